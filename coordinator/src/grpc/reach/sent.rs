//! What each caller has sent, and nothing may name yet: whoever sends a blob had it already. Time is an argument.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};
use windlass_shared::digest::Digest;
use windlass_shared::refusal::Refusal;

/// Blobs of one caller: an upload of the largest workspace.
const EACH_MAX: usize = 250_000;
/// Blobs of all callers: 100 MB of memory.
const ALL_MAX: usize = 2_000_000;
/// A caller that has neither sent nor asked for anything for so long is not in the middle of a submit.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// See the module.
#[derive(Debug)]
pub(super) struct Sent {
    callers: BTreeMap<String, Caller>,
    each_max: usize,
    all_max: usize,
}

#[derive(Debug)]
struct Caller {
    digests: HashSet<Digest>,
    /// When it last sent or asked.
    last: Instant,
    /// The last record that was durable when what campaigns name was last taken out.
    pruned_seq: Option<u64>,
}

impl Default for Sent {
    fn default() -> Self {
        Self { callers: BTreeMap::new(), each_max: EACH_MAX, all_max: ALL_MAX }
    }
}

impl Sent {
    /// Takes those that a caller has sent out of `digests`.
    pub fn take_out(&mut self, who: &str, digests: &mut HashSet<Digest>, now: Instant) {
        if let Some(caller) = self.callers.get_mut(who) {
            caller.last = now;
            digests.retain(|digest| !caller.digests.contains(digest));
        }
    }

    /// All that a caller's list holds, when it has no room for more and campaigns may name some of it by now. What
    /// they name is then to be given to [`Sent::forget`]; `seq` is the last record that is durable.
    pub fn crowded(&mut self, who: &str, more: usize, seq: u64) -> Option<Vec<Digest>> {
        let caller = self.callers.get_mut(who)?;
        // Without a new record nothing more is named than last time.
        if caller.digests.len() + more <= self.each_max || caller.pruned_seq.is_some_and(|known| known >= seq)
        {
            return None;
        }
        caller.pruned_seq = Some(seq);
        Some(caller.digests.iter().copied().collect())
    }

    /// Forgets what campaigns name: it is within reach by their word.
    pub fn forget(&mut self, who: &str, named: &HashSet<Digest>) {
        if let Some(caller) = self.callers.get_mut(who) {
            caller.digests.retain(|digest| !named.contains(digest));
        }
    }

    /// Notes what a caller has sent, or says figure and limit. Where all together have too much, the list that has
    /// been idle for longest goes, and none that is in use.
    pub fn note(&mut self, who: &str, sent: &[Digest], now: Instant) -> Result<(), Refusal> {
        let is_new =
            |digest: &&Digest| !self.callers.get(who).is_some_and(|caller| caller.digests.contains(digest));
        let fresh: HashSet<Digest> = sent.iter().filter(is_new).copied().collect();
        let own = self.callers.get(who).map_or(0, |caller| caller.digests.len());
        bound(
            "the number of blobs that were sent and that no campaign names",
            own + fresh.len(),
            self.each_max,
        )?;
        loop {
            let all: usize = self.callers.values().map(|caller| caller.digests.len()).sum();
            let Err(refusal) = bound(
                "the number of blobs that all together have sent and that no campaign names",
                all + fresh.len(),
                self.all_max,
            ) else {
                break;
            };
            let idle = |caller: &Caller| now.saturating_duration_since(caller.last) > IDLE;
            let others = self.callers.iter().filter(|(name, caller)| *name != who && idle(caller));
            let Some(oldest) = others.min_by_key(|(_, caller)| caller.last).map(|(name, _)| name.clone())
            else {
                return Err(refusal);
            };
            self.callers.remove(&oldest);
        }
        let empty = || Caller { digests: HashSet::new(), last: now, pruned_seq: None };
        let caller = self.callers.entry(who.to_owned()).or_insert_with(empty);
        caller.last = now;
        caller.digests.extend(fresh);
        Ok(())
    }
}

fn bound(what: &str, figure: usize, limit: usize) -> Result<(), Refusal> {
    if figure <= limit {
        return Ok(());
    }
    Err(Refusal::TooMuch { what: what.to_owned(), figure: figure as u64, limit: limit as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(name: &str, count: usize) -> Vec<Digest> {
        (0..count).map(|n| Digest::of(format!("{name}-{n}").as_bytes())).collect()
    }

    fn small() -> Sent {
        Sent { each_max: 10, all_max: 40, ..Sent::default() }
    }

    fn has(sent: &mut Sent, who: &str, digests: &[Digest], now: Instant) -> bool {
        let mut left: HashSet<Digest> = digests.iter().copied().collect();
        sent.take_out(who, &mut left, now);
        left.is_empty()
    }

    #[test]
    fn an_honest_caller_goes_on_for_ever_since_what_campaigns_name_makes_room() {
        let (mut sent, now) = (small(), Instant::now());
        for round in 0..20 {
            let upload = digests(&round.to_string(), 8);
            if let Some(held) = sent.crowded("ada", upload.len(), round) {
                // Her campaigns name all that she sent before.
                sent.forget("ada", &held.into_iter().collect());
            }
            sent.note("ada", &upload, now).expect("room");
            assert!(has(&mut sent, "ada", &upload, now));
            assert!(!has(&mut sent, "eve", &upload, now), "what she sent is hers");
        }
        let refused = sent.note("ada", &digests("more", 3), now).expect_err("nothing is named");
        assert!(refused.to_string().contains("is 11; at most 10"), "{refused}");
        assert_eq!(sent.crowded("ada", 3, 19), None, "nothing new is named, so nothing is looked up");
        assert!(sent.note("ada", &digests("19", 8), now).is_ok(), "what is there already takes no room");
    }

    #[test]
    fn nobody_in_the_middle_of_a_submit_is_forgotten_for_another() {
        let (mut sent, start) = (small(), Instant::now());
        for name in ["one", "two", "three", "four"] {
            sent.note(name, &digests(name, 10), start).expect("room");
        }
        let refused = sent.note("five", &digests("five", 1), start).expect_err("all are at it");
        assert!(refused.to_string().contains("is 41; at most 40"), "{refused}");
        assert!(["one", "two", "three", "four"].iter().all(|one| has(
            &mut sent,
            one,
            &digests(one, 10),
            start
        )));
        // The first goes on asking; the second has been idle for as long as the others, and is the first by name.
        let later = start + IDLE + Duration::from_secs(1);
        assert!(has(&mut sent, "one", &digests("one", 10), later));
        sent.note("five", &digests("five", 10), later).expect("an idle one makes room");
        assert!(has(&mut sent, "one", &digests("one", 10), later), "the one that is in use stays");
        let left =
            ["two", "three", "four"].iter().filter(|one| has(&mut sent, one, &digests(one, 10), later));
        assert_eq!(left.count(), 2, "one of the idle went, and no more than that");
    }
}
