//! Small blobs that travel with the report of an attempt's end, so that a short run costs no call of its own.
//! They are kept beside the outcome until that is acknowledged.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_proto::{PARCEL_MAX_BYTES, PARCELS_MAX_BYTES};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::digest::Digest;

/// What one attempt may send this way, bytes: the log and the results of a short run. More goes up by itself.
pub const ATTEMPT_MAX_BYTES: u64 = 64 << 10;

/// One blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Parcel {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How one stands in a document: text as it is, anything else in hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct Written {
    digest: Digest,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hex: String,
}

impl From<Parcel> for Written {
    fn from(parcel: Parcel) -> Self {
        match String::from_utf8(parcel.bytes.to_vec()) {
            Ok(text) => Self { digest: parcel.digest, text, hex: String::new() },
            Err(error) => {
                let hex = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                Self { digest: parcel.digest, text: String::new(), hex }
            }
        }
    }
}

impl From<Written> for Parcel {
    fn from(written: Written) -> Self {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = if written.hex.is_empty() {
            written.text.into_bytes()
        } else {
            let pairs = written.hex.as_bytes().chunks(2);
            // What is none stands under a checksum, and is checked against its digest by whoever gets it.
            pairs.filter_map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
        };
        Self { digest: written.digest, bytes: bytes.into() }
    }
}

/// Whether a blob of this size may go this way at all.
pub fn is_small(digest: &Digest) -> bool {
    digest.size_bytes <= PARCEL_MAX_BYTES as u64
}

/// Those of all attempts that wait for their acknowledgement.
#[derive(Debug, Default)]
pub struct Parcels {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_attempt: BTreeMap<AttemptKey, Vec<Parcel>>,
    bytes: usize,
}

impl Parcels {
    /// Takes those of an attempt. False where a report has no room for them: then they go up by themselves.
    pub fn offer(&self, key: &AttemptKey, parcels: Vec<Parcel>) -> bool {
        let bytes: usize = parcels.iter().map(|parcel| parcel.bytes.len()).sum();
        self.forget(key);
        let mut held = self.held();
        if bytes as u64 > ATTEMPT_MAX_BYTES
            || held.bytes + bytes > PARCELS_MAX_BYTES
            || !parcels.iter().all(|parcel| is_small(&parcel.digest))
        {
            return false;
        }
        held.bytes += bytes;
        held.by_attempt.insert(key.clone(), parcels);
        true
    }

    /// Those of an attempt.
    pub fn of(&self, key: &AttemptKey) -> Vec<Parcel> {
        self.held().by_attempt.get(key).cloned().unwrap_or_default()
    }

    /// The attempt is acknowledged.
    pub fn forget(&self, key: &AttemptKey) {
        let mut held = self.held();
        let gone = held.by_attempt.remove(key).unwrap_or_default();
        held.bytes -= gone.iter().map(|parcel| parcel.bytes.len()).sum::<usize>();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::tests::order;

    fn parcel(bytes: &[u8]) -> Parcel {
        Parcel { digest: Digest::of(bytes), bytes: Bytes::copy_from_slice(bytes) }
    }

    #[test]
    fn a_parcel_reads_back_as_it_was_written_whatever_its_bytes() {
        for bytes in [&b""[..], b"val: 1\n", b"\xff\x00\x80", "\u{fc}\0\n".as_bytes(), b"\xf0"] {
            let text = serde_json::to_string(&parcel(bytes)).expect("representable");
            assert_eq!(serde_json::from_str::<Parcel>(&text).expect("readable"), parcel(bytes), "{text}");
        }
    }

    #[test]
    fn i18_parcels_stay_within_what_a_report_may_hold() {
        let parcels = Parcels::default();
        let key = |n: u64| {
            let mut key = order().key;
            key.fence.n = n;
            key
        };
        assert!(!parcels.offer(&key(0), vec![parcel(&vec![b'x'; PARCEL_MAX_BYTES + 1])]), "one is too large");
        let piece = || parcel(&vec![b'x'; PARCEL_MAX_BYTES]);
        assert!(!parcels.offer(&key(0), vec![piece(), piece(), piece()]), "an attempt has too many");
        assert_eq!(parcels.of(&key(0)), []);
        let room = (PARCELS_MAX_BYTES / (2 * PARCEL_MAX_BYTES)) as u64;
        for n in 0..room {
            assert!(parcels.offer(&key(n), vec![piece(), piece()]), "{n}");
            assert!(parcels.offer(&key(n), vec![piece(), piece()]), "{n}: again is no more");
        }
        assert!(!parcels.offer(&key(room), vec![piece()]), "the report is full");
        parcels.forget(&key(1));
        assert!(parcels.offer(&key(room), vec![piece()]), "an acknowledgement makes room");
        assert_eq!(parcels.of(&key(room)), [piece()]);
    }
}
