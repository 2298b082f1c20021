//! The names in a patch's headers: quoted or not, with `a/` and `b/` before them or not.

use windlass_shared::path::PATH_MAX_BYTES;

/// Pairs of prefixes that git writes before the old and the new name.
const PREFIXES: [(&[u8], &[u8]); 5] =
    [(b"a/", b"b/"), (b"i/", b"w/"), (b"c/", b"i/"), (b"c/", b"w/"), (b"o/", b"w/")];

/// The longest `diff --git` line that is looked at: two paths, quoted.
const HEADER_MAX_BYTES: usize = 4 * PATH_MAX_BYTES;

/// What a `diff --git` line tells.
pub(super) struct Header {
    /// The file's name, where both sides have the same.
    pub name: Option<Vec<u8>>,
}

impl Header {
    /// Reads what follows `diff --git `. The same name twice is as long on both sides, so that names with blanks
    /// are parted by the blank in the middle.
    pub(super) fn read(text: &[u8]) -> Self {
        let middle = text.len() / 2;
        if text.len() > HEADER_MAX_BYTES || text.get(middle) != Some(&b' ') {
            return Self { name: None };
        }
        Self { name: same_name(&unquoted(&text[..middle]), &unquoted(&text[middle + 1..])) }
    }

    /// The name, checked against what `---` and `+++` say.
    pub(super) fn resolve(&self, plain: Option<[Option<Vec<u8>>; 2]>) -> Result<Vec<u8>, &'static str> {
        let Some(name) = &self.name else {
            return match plain {
                Some(names) => pair_of_headers(names),
                None => Err("its header names two files, without `rename from` and `rename to`"),
            };
        };
        let agrees = |other: &Vec<u8>| other == name || other.get(2..) == Some(name);
        if plain.is_some_and(|names| !names.iter().flatten().all(agrees)) {
            return Err("`diff --git` names another file than `---` and `+++`");
        }
        Ok(name.clone())
    }
}

/// The file that `---` and `+++` name together; `/dev/null` is none.
pub(super) fn pair_of_headers(names: [Option<Vec<u8>>; 2]) -> Result<Vec<u8>, &'static str> {
    let strip = |name: Vec<u8>, prefix: &[u8]| name.strip_prefix(prefix).map(<[u8]>::to_vec).unwrap_or(name);
    match names {
        [None, None] => Err("both its names are /dev/null"),
        [Some(old), None] => Ok(strip(old, b"a/")),
        [None, Some(new)] => Ok(strip(new, b"b/")),
        [Some(old), Some(new)] => match same_name(&old, &new) {
            Some(name) => Ok(name),
            None if old.starts_with(b"a/") && new.starts_with(b"b/") => {
                Err("`---` and `+++` name two files, without `rename from` and `rename to`")
            }
            // `train.py.orig` and `train.py`: the new name is the file's.
            None => Ok(new),
        },
    }
}

/// A name after `---` or `+++`: up to a tab, after which diff writes a time. `/dev/null` is none.
pub(super) fn plain_name(text: &[u8]) -> Option<Vec<u8>> {
    let name = if text.starts_with(b"\"") { text } else { text.split(|&byte| byte == b'\t').next()? };
    let name = unquoted(name);
    (name != b"/dev/null").then_some(name)
}

/// The name behind both, prefixes off.
fn same_name(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let stripped = PREFIXES.iter().find_map(|(a, b)| {
        let (old, new) = (old.strip_prefix(*a)?, new.strip_prefix(*b)?);
        (old == new).then(|| old.to_vec())
    });
    stripped.or_else(|| (old == new).then(|| old.to_vec()))
}

/// A name as git quotes it, C-style, or as it stands.
pub(super) fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inner) = text.strip_prefix(b"\"").and_then(|rest| {
        let end = rest.iter().rposition(|&byte| byte == b'"')?;
        Some(&rest[..end])
    }) else {
        return text.to_vec();
    };
    let mut name = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => name.push(b'\n'),
            Some(b't') => name.push(b'\t'),
            Some(b'r') => name.push(b'\r'),
            Some(first @ b'0'..=b'7') => {
                let mut value = u32::from(first - b'0');
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(|byte| (b'0'..=b'7').contains(byte)) else { break };
                    value = value * 8 + u32::from(digit - b'0');
                }
                name.push((value & 0xff) as u8);
            }
            Some(other) => name.push(other),
            None => {}
        }
    }
    name
}
