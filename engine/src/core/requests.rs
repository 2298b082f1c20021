//! Answered requests of the last seven days (I4): the same key gets the same answer.

use super::packed::{self, Field};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::digest::Hash;
use windlass_shared::id::{LeverNumber, RequestId};
use windlass_shared::record::{Answer, Request};

/// How long a request id is remembered: 7 days, milliseconds.
pub const REQUEST_MEMORY_MS: i64 = 7 * 24 * 3_600_000;

/// The first half of the hash of a request's id: two ids that share it are not found by chance.
type Key = [u8; 16];

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Hash of what was asked.
    pub body: Hash,
    kept: Kept,
    /// Until when it is remembered, wall time.
    until_wall_ms: i64,
}

/// An answer in the fewest bytes: nearly all are one of the first two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
enum Kept {
    Done,
    Lever(LeverNumber),
    Other(Box<Answer>),
}

impl Answered {
    /// What was answered.
    pub fn answer(&self) -> Answer {
        match &self.kept {
            Kept::Done => Answer::Done,
            Kept::Lever(number) => Answer::Lever { number: *number, warnings: Vec::new() },
            Kept::Other(answer) => (**answer).clone(),
        }
    }
}

/// The requests by key, and by when they are forgotten, so that forgetting costs in proportion to what is
/// forgotten.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    by_key: BTreeMap<Key, Answered>,
    by_end: BTreeSet<(i64, Key)>,
}

impl Requests {
    /// What is known of a request.
    pub fn get(&self, id: &RequestId) -> Option<&Answered> {
        self.by_key.get(&key(id))
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Remembers one that was answered at `wall_ms`, and forgets those whose time is over.
    pub(super) fn note(&mut self, request: &Request, wall_ms: i64) {
        // An id is refused for its age by its own stamp: it is remembered until then, also where the
        // client's clock is ahead of ours.
        let until_wall_ms = stamp_ms(&request.id).unwrap_or(wall_ms).max(wall_ms) + REQUEST_MEMORY_MS;
        let kept = match &request.answer {
            Answer::Done => Kept::Done,
            Answer::Lever { number, warnings } if warnings.is_empty() => Kept::Lever(*number),
            other => Kept::Other(Box::new(other.clone())),
        };
        let key = key(&request.id);
        self.by_key.insert(key, Answered { body: request.body, kept, until_wall_ms });
        self.by_end.insert((until_wall_ms, key));
        while let Some((until_wall_ms, key)) = self.by_end.first().copied() {
            if until_wall_ms >= wall_ms {
                return;
            }
            self.by_end.pop_first();
            self.by_key.remove(&key);
        }
    }
}

fn key(id: &RequestId) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&Hash::of(id.0.as_bytes()).0[..16]);
    key
}

/// When a UUIDv7 was made, by its own word: its first 48 bits, milliseconds since the Unix epoch.
fn stamp_ms(id: &RequestId) -> Option<i64> {
    let text = id.0.as_bytes();
    let is_v7 = text.len() == 36 && text[8] == b'-' && text[13] == b'-' && text[14] == b'7';
    let digits = is_v7.then(|| [&text[..8], &text[9..13]].concat())?;
    i64::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}

impl Serialize for Requests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        packed::map(&self.by_key, serializer)
    }
}

impl<'de> Deserialize<'de> for Requests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let by_key: BTreeMap<Key, Answered> = packed::read_map(deserializer)?;
        let by_end = by_key.iter().map(|(key, answered)| (answered.until_wall_ms, *key)).collect();
        Ok(Self { by_key, by_end })
    }
}

impl Field for Answered {
    fn put(&self, out: &mut Vec<u8>) {
        self.body.put(out);
        self.until_wall_ms.put(out);
        match &self.kept {
            Kept::Done => 0_u8.put(out),
            Kept::Lever(number) => {
                1_u8.put(out);
                number.put(out);
            }
            Kept::Other(answer) => {
                2_u8.put(out);
                serde_json::to_vec(answer).expect("an answer is representable").put(out);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (body, until_wall_ms) = (Hash::take(bytes)?, i64::take(bytes)?);
        let kept = match u8::take(bytes)? {
            0 => Kept::Done,
            1 => Kept::Lever(LeverNumber::take(bytes)?),
            2 => Kept::Other(serde_json::from_slice(&Vec::<u8>::take(bytes)?).ok()?),
            _ => return None,
        };
        Some(Self { body, kept, until_wall_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn request(id: &str, answer: Answer) -> Request {
        Request { id: id.into(), body: Hash::of(id.as_bytes()), answer }
    }

    /// A UUIDv7 made at this time.
    fn made_at(wall_ms: i64) -> String {
        let digits = format!("{wall_ms:012x}");
        format!("{}-{}-7abc-8def-000000000000", &digits[..8], &digits[8..])
    }

    #[test]
    fn i4_an_answer_reads_back_whatever_it_is() {
        let mut requests = Requests::default();
        let answers = [
            Answer::Done,
            Answer::Lever { number: LeverNumber(7), warnings: Vec::new() },
            Answer::Lever { number: LeverNumber(8), warnings: vec!["P13: nothing new".to_owned()] },
            Answer::Campaign { id: "digits-1".into(), levers_taken: 3 },
        ];
        for (answer, id) in answers.iter().zip(["a", "b", "c", "d"]) {
            requests.note(&request(id, answer.clone()), 5);
            let known = requests.get(&id.into()).expect("just noted");
            assert_eq!(known.answer(), *answer);
            let mut bytes = Vec::new();
            known.put(&mut bytes);
            assert_eq!(Answered::take(&mut bytes.as_slice()).as_ref(), Some(known));
        }
        assert!(requests.get(&"e".into()).is_none());
    }

    #[test]
    fn i4_a_request_is_remembered_for_seven_days_by_either_clock() {
        let start_ms = 1_700_000_000_000;
        for (ahead_ms, kept_days) in [(0, 7), (-DAY_MS, 7), (DAY_MS, 8)] {
            let id = made_at(start_ms + ahead_ms);
            let mut requests = Requests::default();
            requests.note(&request(&id, Answer::Done), start_ms);
            requests.note(&request("later", Answer::Done), start_ms + kept_days * DAY_MS);
            assert!(requests.get(&id.as_str().into()).is_some(), "{ahead_ms}");
            requests.note(&request("later still", Answer::Done), start_ms + kept_days * DAY_MS + 1);
            assert!(requests.get(&id.as_str().into()).is_none(), "{ahead_ms}");
            assert_eq!((requests.len(), requests.by_end.len()), (2, 2), "{ahead_ms}");
        }
    }
}
