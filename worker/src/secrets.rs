//! The secrets that this worker can give to runs: those of its own file, and those that the coordinator sends
//! beside an order. Values stay in memory; they are in no document and no line of a log.

use crate::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use windlass_shared::attempt::{AttemptKey, Order};
use windlass_shared::secret::{self, SecretError, Secrets as Values};

/// How long an attempt waits for values that are sent beside its order: after a restart of the daemon they
/// come with the next answer, which hangs for 20 s at most.
const DELIVERY_MAX: Duration = Duration::from_secs(90);
/// The largest file of secrets that is read, 4 MiB: more than all that are taken.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// The secrets at hand.
#[derive(Debug, Default)]
pub struct Store {
    file: PathBuf,
    sent: Mutex<BTreeMap<AttemptKey, Values>>,
    came: Notify,
}

impl Store {
    /// With the worker's own file, which need not be there.
    pub fn new(file: PathBuf) -> Self {
        Self { file, ..Self::default() }
    }

    /// What changes with every change of the worker's own file: its times, size, mode and number.
    pub fn stamp(&self) -> Option<[i64; 5]> {
        let seen = fs::metadata(&self.file).ok()?;
        let plain = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Some([
            seen.ctime(),
            seen.ctime_nsec(),
            plain(seen.size()),
            i64::from(seen.mode() & 0o7777),
            plain(seen.ino()),
        ])
    }

    /// The names in the worker's own file, for its reports. A file that cannot be used has none, and is named.
    pub fn names(&self) -> Vec<String> {
        match read_own(&self.file) {
            Ok(own) => own.into_keys().collect(),
            Err(error) => {
                tracing::warn!(problem = error.chain(), "no secret of this worker's own is used");
                Vec::new()
            }
        }
    }

    /// Takes what came beside an answer's orders, in place of what came before.
    pub fn take(&self, sent: BTreeMap<AttemptKey, Values>) {
        let mut kept = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(sent);
        drop(kept);
        self.came.notify_waiters();
    }

    /// Forgets what was sent for an attempt.
    pub fn forget(&self, key: &AttemptKey) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The values that an order names; what was sent stands before what the worker has of its own.
    pub fn of(&self, order: &Order) -> Result<Values, Error> {
        if order.secrets.is_empty() {
            return Ok(Values::new());
        }
        let mut at_hand = read_own(&self.file)?;
        if let Some(sent) = self.sent.lock().unwrap_or_else(PoisonError::into_inner).get(&order.key) {
            at_hand.extend(sent.clone());
        }
        at_hand.retain(|name, _| order.secrets.contains(name));
        match order.secrets.iter().find(|name| !at_hand.contains_key(*name)) {
            None => Ok(at_hand),
            Some(name) => Err(Error::NoSecret { name: name.clone(), file: self.file.clone() }),
        }
    }

    /// Waits until all that an order names is at hand, for a bounded time.
    pub async fn await_all(&self, order: &Order) -> Result<(), Error> {
        let until = tokio::time::Instant::now() + DELIVERY_MAX;
        loop {
            // Listened for before the look, so that nothing comes unseen in between.
            let came = self.came.notified();
            match self.of(order) {
                Err(Error::NoSecret { .. }) if tokio::time::Instant::now() < until => {
                    drop(tokio::time::timeout_at(until, came).await);
                }
                result => return result.map(drop),
            }
        }
    }
}

/// The worker's own file: none where it is not there.
fn read_own(file: &Path) -> Result<Values, Error> {
    match read_file(file) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Values::new()),
        result => result,
    }
}

/// Reads a file of secrets. Refused when anybody but its owner may read or write it.
pub fn read_file(file: &Path) -> Result<Values, Error> {
    let mut opened = fs::File::open(file).map_err(Error::file("open", file))?;
    let metadata = opened.metadata().map_err(Error::file("look at", file))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::OpenSecrets { file: file.to_owned(), mode: metadata.mode() & 0o777 });
    }
    let mut text = String::new();
    let read = (&mut opened).take(FILE_MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(Error::file("read", file))?;
    // Cut short, its last value would be another.
    let whole = if text.len() as u64 > FILE_MAX_BYTES {
        Err(SecretError::FileTooLong(FILE_MAX_BYTES))
    } else {
        secret::parse_file(&text)
    };
    whole.map_err(|source| Error::Secrets { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use windlass_shared::secret::Secret;

    fn order(names: &[&str]) -> Order {
        let secrets = names.iter().map(|&name| name.to_owned()).collect();
        Order { secrets, ..crate::shop::tests::order() }
    }

    fn store(text: &str, mode: u32) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("secrets.env");
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
        let store = Store::new(file);
        (dir, store)
    }

    #[test]
    fn values_come_from_the_workers_file_and_from_beside_the_order() {
        let (_dir, store) = store("A=own-a\nB=own-b\n", 0o600);
        assert_eq!(store.names(), ["A", "B"]);
        let order = order(&["A", "C"]);
        let missing = store.of(&order).expect_err("C is nowhere").chain();
        assert!(missing.contains("C") && missing.contains("submit --secret C"), "{missing}");
        let value =
            |name: &str, text: &str| (name.to_owned(), Secret::new(name, text.to_owned()).expect("a value"));
        let sent = Values::from([value("C", "sent-c"), value("A", "sent-a"), value("D", "not named")]);
        store.take(BTreeMap::from([(order.key.clone(), sent)]));
        let values = store.of(&order).expect("all there");
        let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(values, [("A", "sent-a"), ("C", "sent-c")]);
        store.forget(&order.key);
        assert!(store.of(&order).is_err());
        assert!(!format!("{store:?}").contains("sent-"));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_by_name() {
        for (mode, is_read) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            let (_dir, store) = store("A=own-a\n", mode);
            assert_eq!(store.of(&order(&["A"])).is_ok(), is_read, "{mode:o}");
            assert_eq!(store.names().len(), usize::from(is_read));
        }
        let (_dir, store) = store("A=own-a\n", 0o644);
        let refused = store.of(&order(&["A"])).expect_err("open to all").chain();
        assert!(refused.contains("chmod 600") && !refused.contains("own-a"), "{refused}");
        assert!(Store::new(PathBuf::from("/absent/secrets.env")).names().is_empty());
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_whole() {
        let fits = usize::try_from(FILE_MAX_BYTES).expect("small") - "#\nA=own-a\n".len();
        for (comment, is_read) in [(fits, true), (fits + 1, false)] {
            let (_dir, store) = store(&format!("#{}\nA=own-a\n", "x".repeat(comment)), 0o600);
            let read = store.of(&order(&["A"])).map_err(|error| error.chain());
            assert_eq!(read.is_ok(), is_read, "{read:?}");
            assert!(is_read || read.is_err_and(|said| said.contains("more than 4194304 bytes")));
        }
    }
}
