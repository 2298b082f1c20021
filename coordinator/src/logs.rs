//! Logs of attempts: one file each, appended by offset, synced before it is acknowledged (I10). They
//! are bytes here; nobody parses them.

use crate::driver::blocking;
use rustix::fs::fdatasync;
use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::CampaignId;

/// Open files that are kept: far above the attempts that run at once on a small fleet, far below the
/// usual limit of 1,024 descriptors.
const OPEN_MAX: usize = 256;
/// The most that one look for lines from the end reads.
const TAIL_MAX_BYTES: u64 = 8 << 20;
/// Read at once while looking for lines from the end.
const BLOCK_BYTES: u64 = 64 << 10;

/// A log that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The piece begins after what is there: it would leave a hole.
    #[error("log {key} has {length_bytes} bytes; a piece at {offset} would leave a gap")]
    Gap {
        /// Whose log.
        key: Box<AttemptKey>,
        /// What is there.
        length_bytes: u64,
        /// Where the piece begins.
        offset: u64,
    },
    /// A campaign's id that is no file name.
    #[error("campaign id {campaign} cannot name a folder")]
    Name {
        /// The id.
        campaign: CampaignId,
    },
    /// The file failed.
    #[error("failed to {operation} log {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The folder of logs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Logs {
    root: PathBuf,
    open: Arc<Mutex<HashMap<AttemptKey, Arc<Log>>>>,
    opened: Arc<watch::Sender<u64>>,
}

/// One log while it is used.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
    length_bytes: watch::Sender<u64>,
    /// After a failed sync the kernel may have dropped the pages: nothing is acknowledged any more (I17).
    failed: AtomicBool,
}

impl Logs {
    /// The logs under `root`, which is made when the first is written.
    pub fn new(root: PathBuf) -> Self {
        Self { root, open: Arc::default(), opened: Arc::default() }
    }

    /// `<campaign>/<iteration>.<attempt>.<fence>.log`.
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
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Changes whenever a log is opened: whoever waits for one to begin looks again.
    pub fn opened(&self) -> watch::Receiver<u64> {
        self.opened.subscribe()
    }

    /// Closes a log that is about to be removed; whoever reads it now reads on.
    pub(crate) fn forget(&self, key: &AttemptKey) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn cached(&self, key: &AttemptKey) -> Option<Arc<Log>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// One log has one writer's view of its length: whoever came first wins.
    fn share(&self, key: &AttemptKey, log: Log) -> Arc<Log> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN_MAX {
            // One that failed to sync is kept until the end: opened anew it would acknowledge again (I17).
            open.retain(|_, log| Arc::strong_count(log) > 1 || log.failed.load(Ordering::Acquire));
        }
        let log = Arc::clone(open.entry(key.clone()).or_insert_with(|| Arc::new(log)));
        drop(open);
        self.opened.send_modify(|opened| *opened += 1);
        log
    }
}

enum Access {
    Append,
    Existing,
}

impl Log {
    fn open(path: PathBuf, access: Access) -> Result<Self, Error> {
        let fail = |operation, source| Error::File { operation, path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        if let Access::Append = access {
            options.create(true);
            make_folder(&path).map_err(|source| fail("make the folder of", source))?;
        }
        let file = options.open(&path).map_err(|source| fail("open", source))?;
        let length_bytes = file.metadata().map_err(|source| fail("open", source))?.len();
        if let Access::Append = access {
            // The name must survive a power cut as the bytes do.
            sync_folder(&path).map_err(|source| fail("sync the folder of", source))?;
        }
        Ok(Self {
            path,
            file: Mutex::new(file),
            length_bytes: watch::Sender::new(length_bytes),
            failed: AtomicBool::new(false),
        })
    }

    fn fail(&self, operation: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = self.path.clone();
        move |source| Error::File { operation, path, source }
    }

    /// Appends a piece that begins at `offset`. What is there already is dropped; a gap is refused.
    /// Returns the length now; nothing is acknowledged before [`Log::sync`].
    pub async fn append(
        self: &Arc<Self>,
        key: &AttemptKey,
        offset: u64,
        data: bytes::Bytes,
    ) -> Result<u64, Error> {
        let log = Arc::clone(self);
        let key = key.clone();
        blocking(move || {
            let file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
            let length_bytes = *log.length_bytes.borrow();
            if offset > length_bytes {
                return Err(Error::Gap { key: Box::new(key), length_bytes, offset });
            }
            let known = usize::try_from(length_bytes - offset).unwrap_or(usize::MAX).min(data.len());
            let fresh = &data[known..];
            if fresh.is_empty() {
                return Ok(length_bytes);
            }
            // A failed write may leave a piece behind the length; the next one at this offset covers it.
            file.write_all_at(fresh, length_bytes).map_err(log.fail("append to"))?;
            let now = length_bytes + fresh.len() as u64;
            drop(file);
            log.length_bytes.send_replace(now);
            Ok(now)
        })
        .await
    }

    /// Makes everything appended durable; returns how much that is.
    pub async fn sync(self: &Arc<Self>) -> Result<u64, Error> {
        let log = Arc::clone(self);
        blocking(move || {
            let file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
            let length_bytes = *log.length_bytes.borrow();
            if log.failed.load(Ordering::Acquire) {
                return Err(log.fail("trust")(io::ErrorKind::Other.into()));
            }
            fdatasync(&*file).map_err(|errno| {
                log.failed.store(true, Ordering::Release);
                log.fail("sync")(errno.into())
            })?;
            Ok(length_bytes)
        })
        .await
    }

    /// The length now, and every change of it.
    pub fn length(&self) -> watch::Receiver<u64> {
        self.length_bytes.subscribe()
    }

    /// At most `limit_bytes` from `offset`; empty at the end.
    pub async fn read(self: &Arc<Self>, offset: u64, limit_bytes: usize) -> Result<bytes::Bytes, Error> {
        let log = Arc::clone(self);
        blocking(move || log.read_now(offset, limit_bytes)).await
    }

    fn read_now(&self, offset: u64, limit_bytes: usize) -> Result<bytes::Bytes, Error> {
        let length_bytes = *self.length_bytes.borrow();
        let there = usize::try_from(length_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; there.min(limit_bytes)];
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.read_exact_at(&mut buffer, offset).map_err(self.fail("read"))?;
        Ok(buffer.into())
    }

    /// Where the last `lines` lines begin. A line break at the very end begins no line. Looks no further
    /// back than 8 MiB.
    pub async fn tail_offset(self: &Arc<Self>, lines: u32) -> Result<u64, Error> {
        let log = Arc::clone(self);
        blocking(move || {
            let end = *log.length_bytes.borrow();
            let floor = end.saturating_sub(TAIL_MAX_BYTES);
            let mut breaks = 0;
            let mut to = end;
            while to > floor {
                let from = to.saturating_sub(BLOCK_BYTES).max(floor);
                let block = log.read_now(from, usize::try_from(to - from).unwrap_or(0))?;
                for (index, byte) in block.iter().enumerate().rev() {
                    let after = from + index as u64 + 1;
                    if *byte == b'\n' && after < end {
                        breaks += 1;
                        if breaks == lines {
                            return Ok(after);
                        }
                    }
                }
                to = from;
            }
            Ok(floor)
        })
        .await
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
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
            let length = log.append(&key, offset, Bytes::from_static(data.as_bytes())).await.expect("append");
            assert_eq!(length, want, "{offset} {data}");
        }
        let gap = log.append(&key, 7, Bytes::from_static(b"h")).await.expect_err("a gap");
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
        log.append(&key, 0, Bytes::from(text.clone())).await.expect("append");
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
        log.append(&key("broken"), 0, Bytes::from_static(b"a")).await.expect("append");
        log.failed.store(true, Ordering::Release);
        drop(log);
        for other in 0..=OPEN_MAX {
            logs.writable(&key(&format!("c{other}"))).await.expect("open");
        }
        assert!(logs.cached(&key("c0")).is_none(), "the others make room");
        let log = logs.writable(&key("broken")).await.expect("open");
        log.append(&key("broken"), 1, Bytes::from_static(b"b")).await.expect("append");
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
}
