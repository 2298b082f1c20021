//! The folder of logs: which file is whose, and which are open.

use super::error::Error;
use super::file::{Access, Log};
use crate::driver::blocking;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{AttemptId, CampaignId, FencingNumber, Incarnation, IterationNumber};

/// Open files that are kept: far above the attempts that run at once on a small fleet, far below the
/// usual limit of 1,024 descriptors.
const OPEN_MAX: usize = 256;

/// The folder of logs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Logs {
    root: PathBuf,
    open: Arc<Mutex<HashMap<AttemptKey, Arc<Log>>>>,
    opened: Arc<watch::Sender<u64>>,
    /// Logs that are worth sealing once they are whole.
    large: Arc<watch::Sender<BTreeSet<AttemptKey>>>,
}

impl Logs {
    /// The logs under `root`, which is made when the first is written.
    pub fn new(root: PathBuf) -> Self {
        Self { root, open: Arc::default(), opened: Arc::default(), large: Arc::default() }
    }

    /// `<campaign>/<iteration>.<attempt>.<fence>.log`, with `.zst` behind it when it is sealed.
    fn path(&self, key: &AttemptKey) -> Result<PathBuf, Error> {
        let campaign = &key.id.campaign;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if campaign.0.is_empty()
            || campaign.0.len() > 200
            || campaign.0.starts_with('.')
            || !campaign.0.chars().all(plain)
        {
            return Err(Error::Name { campaign: campaign.clone() });
        }
        let name = format!("{}.{}.{}.log", key.id.iteration, key.id.number, key.fence);
        Ok(self.root.join(&campaign.0).join(name))
    }

    /// Opens a log to append to it, making it if it is not there.
    pub async fn writable(&self, key: &AttemptKey) -> Result<Arc<Log>, Error> {
        if let Some(log) = self.cached(key) {
            return Ok(log);
        }
        let path = self.path(key)?;
        let log = blocking(move || Log::open(path, Access::Append)).await?;
        Ok(self.share(key, log))
    }

    /// Opens a log to read it; none when nothing was written yet.
    pub async fn readable(&self, key: &AttemptKey) -> Result<Option<Arc<Log>>, Error> {
        if let Some(log) = self.cached(key) {
            return Ok(Some(log));
        }
        let path = self.path(key)?;
        match blocking(move || Log::open(path, Access::Existing)).await {
            Ok(log) => Ok(Some(self.share(key, log))),
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A log that is a blob, for its readers. It is not kept open: there is nothing to share.
    pub(crate) fn of_blob(&self, key: &AttemptKey, bytes: Bytes) -> Result<Arc<Log>, Error> {
        Ok(Arc::new(Log::of_blob(self.path(key)?, bytes)))
    }

    /// Changes whenever a log is opened: whoever waits for one to begin looks again.
    pub fn opened(&self) -> watch::Receiver<u64> {
        self.opened.subscribe()
    }

    /// Closes a log that is about to be removed; whoever reads it now reads on.
    pub(crate) fn forget(&self, key: &AttemptKey) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.forget_large(key);
    }

    /// Logs that were noted as large and not forgotten since.
    pub(super) fn large(&self) -> watch::Receiver<BTreeSet<AttemptKey>> {
        self.large.subscribe()
    }

    /// Notes that a log is worth sealing once it is whole.
    pub fn note_large(&self, key: &AttemptKey) {
        self.large.send_if_modified(|large| large.insert(key.clone()));
    }

    /// It is sealed, or cannot be.
    pub(super) fn forget_large(&self, key: &AttemptKey) {
        self.large.send_if_modified(|large| large.remove(key));
    }

    /// Compresses a log that has all of its `whole_bytes`. False when it has not, when it is not there, or
    /// when that was done before. Ends early with an error when `go_on` says no; nothing is lost then.
    pub async fn seal(
        &self,
        key: &AttemptKey,
        whole_bytes: u64,
        go_on: impl Fn() -> bool + Send + 'static,
    ) -> Result<bool, Error> {
        // Held by us and so by the map too: nobody opens it a second time meanwhile.
        let Some(log) = self.readable(key).await? else { return Ok(false) };
        blocking(move || log.seal(whole_bytes, &go_on)).await
    }

    /// Logs of at least `least_bytes` that are not sealed. What a crash left half compressed is removed.
    pub async fn unsealed(&self, least_bytes: u64) -> Result<Vec<AttemptKey>, Error> {
        let root = self.root.clone();
        blocking(move || {
            let mut found = Vec::new();
            for campaign in list(&root)? {
                if !campaign.is_dir() {
                    continue;
                }
                for path in list(&campaign)? {
                    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
                    match extension {
                        "new" => fs::remove_file(&path).map_err(Error::file("remove", &path))?,
                        "log" if path.metadata().is_ok_and(|file| file.len() >= least_bytes) => {
                            found.extend(key_of(&path));
                        }
                        _ => {}
                    }
                }
            }
            found.sort();
            Ok(found)
        })
        .await
    }

    fn cached(&self, key: &AttemptKey) -> Option<Arc<Log>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// One log has one writer's view of its length: whoever came first wins.
    fn share(&self, key: &AttemptKey, log: Log) -> Arc<Log> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN_MAX {
            // One that failed to sync is kept until the end: opened anew it would acknowledge again (I17).
            open.retain(|_, log| Arc::strong_count(log) > 1 || log.has_failed());
        }
        let log = Arc::clone(open.entry(key.clone()).or_insert_with(|| Arc::new(log)));
        drop(open);
        self.opened.send_modify(|opened| *opened += 1);
        log
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::file("list", folder)(error)),
    }
}

/// Whose log a file is, by its name.
fn key_of(path: &Path) -> Option<AttemptKey> {
    let campaign = CampaignId(path.parent()?.file_name()?.to_str()?.to_owned());
    let mut parts = path.file_stem()?.to_str()?.split('.');
    let (iteration, number, fence) = (parts.next()?, parts.next()?, parts.next()?);
    let (incarnation, n) = fence.split_once('-')?;
    let id = AttemptId {
        campaign,
        iteration: IterationNumber(iteration.parse().ok()?),
        number: number.parse().ok()?,
    };
    let incarnation = Incarnation(u64::from_str_radix(incarnation, 16).ok()?);
    Some(AttemptKey { id, fence: FencingNumber { incarnation, n: n.parse().ok()? } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use windlass_shared::id::{AttemptId, FencingNumber, Incarnation, IterationNumber};

    fn key(campaign: &str) -> AttemptKey {
        let id = AttemptId { campaign: campaign.into(), iteration: IterationNumber(3), number: 1 };
        AttemptKey { id, fence: FencingNumber { incarnation: Incarnation(7), n: 2 } }
    }

    #[tokio::test]
    async fn i10_pieces_join_without_gap_or_duplicate() {
        let folder = tempfile::tempdir().expect("tempdir");
        let logs = Logs::new(folder.path().to_owned());
        let key = key("digits-1");
        let log = logs.writable(&key).await.expect("open");
        for (offset, data, want) in
            [(0, "abc", 3), (0, "abc", 3), (1, "bcde", 5), (5, "f", 6), (6, "", 6), (2, "x", 6)]
        {
            let length =
                log.append(&key, offset, vec![Bytes::from_static(data.as_bytes())]).await.expect("append");
            assert_eq!(length, want, "{offset} {data}");
        }
        let gap = log.append(&key, 7, vec![Bytes::from_static(b"h")]).await.expect_err("a gap");
        assert!(matches!(gap, Error::Gap { length_bytes: 6, offset: 7, .. }), "{gap}");
        assert_eq!(log.sync().await.expect("sync"), 6);
        // Another life of the coordinator goes on where this one ended.
        let again = Logs::new(folder.path().to_owned());
        let log = again.readable(&key).await.expect("open").expect("it is there");
        assert_eq!(log.read(0, 100).await.expect("read"), "abcdef");
        assert_eq!(log.read(4, 1).await.expect("read"), "e");
        assert_eq!(log.read(9, 1).await.expect("past the end"), "");
    }

    #[tokio::test]
    async fn the_tail_begins_at_a_line() {
        let folder = tempfile::tempdir().expect("tempdir");
        let logs = Logs::new(folder.path().to_owned());
        let key = key("digits-1");
        let log = logs.writable(&key).await.expect("open");
        assert_eq!(log.tail_offset(5).await.expect("empty"), 0);
        let text: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
        log.append(&key, 0, vec![Bytes::from(text.clone())]).await.expect("append");
        for lines in [1, 2, 100, 15_000, 20_000, 30_000] {
            let offset = log.tail_offset(lines).await.expect("tail");
            let tail = &text[usize::try_from(offset).expect("small")..];
            assert_eq!(tail.lines().count(), lines.min(20_000) as usize, "{lines}");
            assert!(tail.starts_with("line "), "{lines}");
        }
        let length = log.length();
        assert_eq!(*length.borrow(), text.len() as u64);
    }

    #[tokio::test]
    async fn i17_a_log_that_failed_to_sync_is_never_trusted_again() {
        let folder = tempfile::tempdir().expect("tempdir");
        let logs = Logs::new(folder.path().to_owned());
        let log = logs.writable(&key("broken")).await.expect("open");
        log.append(&key("broken"), 0, vec![Bytes::from_static(b"a")]).await.expect("append");
        log.fail_from_now_on();
        drop(log);
        for other in 0..=OPEN_MAX {
            logs.writable(&key(&format!("c{other}"))).await.expect("open");
        }
        assert!(logs.cached(&key("c0")).is_none(), "the others make room");
        let log = logs.writable(&key("broken")).await.expect("open");
        log.append(&key("broken"), 1, vec![Bytes::from_static(b"b")]).await.expect("append");
        log.sync().await.expect_err("nothing is acknowledged any more");
    }

    #[tokio::test]
    async fn a_campaign_id_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().expect("tempdir");
        let logs = Logs::new(folder.path().join("logs"));
        for name in ["", "..", ".hidden", "a/b", "../x", "a\0b", "ü"] {
            assert!(matches!(logs.writable(&key(name)).await, Err(Error::Name { .. })), "{name:?}");
        }
        logs.writable(&key("digits-1a2b3c")).await.expect("an ordinary one");
        assert!(logs.readable(&key("another")).await.expect("read").is_none());
    }

    /// A log of some pieces, whole.
    async fn whole(logs: &Logs, key: &AttemptKey) -> (String, Arc<Log>) {
        let text: String = (0..200_000).map(|line| format!("line {line}\n")).collect();
        let log = logs.writable(key).await.expect("open");
        let pieces = text.as_bytes().chunks(100_000).map(Bytes::copy_from_slice).collect();
        assert_eq!(log.append(key, 0, pieces).await.expect("append"), text.len() as u64);
        log.sync().await.expect("sync");
        (text, log)
    }

    #[tokio::test]
    async fn a_sealed_log_answers_the_same_bytes_before_and_after() {
        let folder = tempfile::tempdir().expect("tempdir");
        let logs = Logs::new(folder.path().to_owned());
        let key = key("digits-1");
        let (text, log) = whole(&logs, &key).await;
        let size = text.len() as u64;
        let before = log.tail_offset(100).await.expect("tail");
        assert!(!logs.seal(&key, size + 1, || true).await.expect("seal"), "it is not whole");
        assert!(logs.seal(&key, size, || true).await.expect("seal"));
        assert!(!logs.seal(&key, size, || true).await.expect("seal"), "once");
        let names = || -> Vec<_> {
            let entries = std::fs::read_dir(folder.path().join("digits-1")).expect("a folder");
            entries.map(|entry| entry.expect("an entry").file_name()).collect()
        };
        assert_eq!(names(), ["3.1.0000000000000007-2.log.zst"]);
        // Whoever had it open, and whoever opens it in another life.
        let again = Logs::new(folder.path().to_owned()).writable(&key).await.expect("open");
        for log in [&log, &again] {
            for (offset, count) in [(0, 10), (1 << 20, 100), ((1 << 20) - 5, 10), (size - 3, 100), (size, 1)]
            {
                let want = &text.as_bytes()[usize::try_from(offset).expect("small")..];
                let read = log.read(offset, count).await.expect("read");
                assert_eq!(read, want[..want.len().min(count)], "{offset}");
            }
            assert_eq!(log.tail_offset(100).await.expect("tail"), before);
            // A worker that was not told sends it again: nothing new is taken, and nothing is lost.
            let same = log.append(&key, 0, vec![Bytes::from_static(b"line 0\n")]).await.expect("known");
            assert_eq!((same, log.sync().await.expect("durable")), (size, size));
            let more = log.append(&key, size, vec![Bytes::from_static(b"more")]).await.expect_err("whole");
            assert!(matches!(more, Error::Whole { .. }), "{more}");
        }
        assert_eq!(names().len(), 1, "opening to write made no second file");
    }

    #[tokio::test]
    async fn a_crash_while_sealing_loses_nothing() {
        let folder = tempfile::tempdir().expect("tempdir");
        let logs = Logs::new(folder.path().to_owned());
        let key = key("digits-1");
        let (text, log) = whole(&logs, &key).await;
        let size = text.len() as u64;
        let stopped = logs.seal(&key, size, || false).await.expect_err("it was to end");
        assert!(matches!(stopped, Error::File { operation: "compress", .. }), "{stopped}");
        drop((log, logs));
        // Dead before the raw file went: both are there, the compressed one perhaps torn.
        let campaign = folder.path().join("digits-1");
        for name in ["3.1.0000000000000007-2.log.zst", "3.1.0000000000000007-2.log.zst.new"] {
            std::fs::write(campaign.join(name), "torn").expect("a file");
        }
        let logs = Logs::new(folder.path().to_owned());
        let log = logs.readable(&key).await.expect("open").expect("there");
        assert_eq!(log.read(0, 7).await.expect("read"), "line 0\n");
        assert_eq!(logs.unsealed(1).await.expect("a list"), std::slice::from_ref(&key));
        assert!(logs.seal(&key, size, || true).await.expect("seal"));
        assert!(logs.unsealed(1).await.expect("a list").is_empty());
        // Dead between the two: the compressed one counts, and the raw one goes.
        for part in [&text[..100], &text] {
            std::fs::write(campaign.join("3.1.0000000000000007-2.log"), part).expect("a file");
            let logs = Logs::new(folder.path().to_owned());
            let log = logs.readable(&key).await.expect("open").expect("there");
            assert_eq!(*log.length().borrow(), size);
            assert_eq!(logs.unsealed(1).await.expect("a list"), std::slice::from_ref(&key));
            assert!(!logs.seal(&key, size, || true).await.expect("seal"), "it is");
        }
        assert_eq!(std::fs::read_dir(&campaign).expect("a folder").count(), 1, "nothing is left behind");
    }
}
