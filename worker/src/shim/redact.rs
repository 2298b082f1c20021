//! Takes the values of secrets out of what a run prints, before a byte of it reaches a disk. A value that is
//! split over two writes is found all the same: what could be the beginning of one is held back until it is
//! known, and nothing else is.

use windlass_shared::secret::Secrets;

/// Shorter values are left in: they would be found in every other line, and the log with them.
pub const REDACTED_MIN_BYTES: usize = 4;

/// The filter of one log.
pub struct Redactor {
    /// What is looked for and what stands in its place; longest first, so that one in another is no matter.
    values: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first bytes of the values, so that most bytes cost one look.
    firsts: Vec<bool>,
    held: Vec<u8>,
}

impl Redactor {
    /// Of a run that was given these.
    pub fn new(secrets: &Secrets) -> Self {
        let mut values: Vec<(Vec<u8>, Vec<u8>)> = secrets
            .iter()
            .filter(|(_, value)| value.expose().len() >= REDACTED_MIN_BYTES)
            .map(|(name, value)| (value.expose().into(), format!("[secret {name}]").into_bytes()))
            .collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let mut firsts = vec![false; 256];
        for (value, _) in &values {
            firsts[usize::from(value[0])] = true;
        }
        Self { values, firsts, held: Vec::new() }
    }

    /// Whether nothing is looked for: then bytes need not pass here at all.
    pub fn is_idle(&self) -> bool {
        self.values.is_empty()
    }

    /// The next bytes, less what may be the beginning of a value.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(all.len());
        let mut at = 0;
        while at < all.len() {
            let rest = &all[at..];
            let skip = rest.iter().position(|&byte| self.firsts[usize::from(byte)]).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..skip]);
            at += skip;
            let rest = &all[at..];
            if rest.is_empty() {
                break;
            }
            // A longer value that may still come is worth the wait.
            let may_come = |value: &[u8]| value.len() > rest.len() && value.starts_with(rest);
            if self.values.iter().any(|(value, _)| may_come(value)) {
                self.held = rest.to_vec();
                return out;
            }
            match self.values.iter().find(|(value, _)| rest.starts_with(value)) {
                Some((value, name)) => {
                    out.extend_from_slice(name);
                    at += value.len();
                }
                None => {
                    out.push(rest[0]);
                    at += 1;
                }
            }
        }
        out
    }

    /// What was held back: nothing more will come.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        // A shorter value may stand in what could have become a longer one.
        let mut out = Vec::new();
        while !all.is_empty() {
            match self.values.iter().find(|(value, _)| all.starts_with(value)) {
                Some((value, name)) => {
                    out.extend_from_slice(name);
                    all.drain(..value.len());
                }
                None => out.push(all.remove(0)),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::secret::Secret;

    fn secrets(all: &[(&str, &str)]) -> Secrets {
        let one = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), Secret::new(name, (*value).to_owned()).expect("a value"))
        };
        all.iter().map(one).collect()
    }

    /// Passes `text` in every way it can be split in two, and byte by byte.
    #[track_caller]
    fn check(all: &[(&str, &str)], text: &str, want: &str) {
        let pass = |pieces: &[&[u8]]| {
            let mut redactor = Redactor::new(&secrets(all));
            let mut out: Vec<u8> = pieces.iter().flat_map(|piece| redactor.pass(piece)).collect();
            out.extend(redactor.finish());
            String::from_utf8(out).expect("text")
        };
        for at in 0..=text.len() {
            let (one, other) = text.as_bytes().split_at(at);
            assert_eq!(pass(&[one, other]), want, "split at {at}");
        }
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(pass(&single), want);
    }

    #[test]
    fn values_are_taken_out_however_they_are_split() {
        let token = [("HF_TOKEN", "hf_abcabcd")];
        check(&token, "token hf_abcabcd.\n", "token [secret HF_TOKEN].\n");
        check(&token, "hf_abcabcdhf_abcabcd", "[secret HF_TOKEN][secret HF_TOKEN]");
        check(&token, "hf_abchf_abcabcd hf_abcab", "hf_abc[secret HF_TOKEN] hf_abcab");
        check(&token, "nothing of it: hf", "nothing of it: hf");
        // One value within another: the longer one goes, and the shorter one where it stands alone.
        let nested = [("LONG", "key-1234-more"), ("SHORT", "key-1234")];
        check(
            &nested,
            "key-1234-more key-1234-mo key-1234",
            "[secret LONG] [secret SHORT]-mo [secret SHORT]",
        );
        check(&[("KEY", "-----\nMII\n-----")], "a\n-----\nMII\n-----\nb", "a\n[secret KEY]\nb");
        check(&[("TINY", "1")], "loss: 0.1", "loss: 0.1");
        check(&[], "anything", "anything");
    }

    #[test]
    fn only_what_may_be_a_value_is_held_back() {
        let mut redactor = Redactor::new(&secrets(&[("A", "secret")]));
        assert_eq!(redactor.pass(b"epoch 1\n"), b"epoch 1\n");
        assert_eq!(redactor.pass(b"epoch 2 sec"), b"epoch 2 ");
        assert_eq!(redactor.pass(b"onds\n"), b"seconds\n");
        assert!(Redactor::new(&Secrets::new()).is_idle());
    }
}
