//! One log: appended by offset while it grows, read at any offset, compressed in place once it is whole. A
//! reader that has it open sees the same bytes at the same offsets before and after.

use super::error::Error;
use super::sealed::{self, Sealed};
use crate::driver::blocking;
use bytes::Bytes;
use rustix::fs::fdatasync;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;
use windlass_shared::attempt::AttemptKey;

/// The most that one look for lines from the end reads.
const TAIL_MAX_BYTES: u64 = 8 << 20;
/// Read at once while looking for lines from the end.
const BLOCK_BYTES: u64 = 64 << 10;

/// One log while it is used.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    body: RwLock<Body>,
    /// One piece is appended at a time.
    appending: Mutex<()>,
    length_bytes: watch::Sender<u64>,
    /// After a failed sync the kernel may have dropped the pages: nothing is acknowledged any more (I17).
    failed: AtomicBool,
}

/// Where its bytes are.
#[derive(Clone, Debug)]
enum Body {
    Raw(Arc<File>),
    Sealed(Arc<Sealed>),
    /// A short one that is a blob, whole.
    Blob(Bytes),
}

/// What a log is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To append; made if it is not there.
    Append,
    /// To read what is there.
    Existing,
}

impl Log {
    /// Opens the log at `path`. Where a crash, or a backup, has left both forms, the compressed one counts: it
    /// got its name when it was whole, synced and read back.
    pub(super) fn open(path: PathBuf, access: Access) -> Result<Self, Error> {
        let raw = match Self::open_raw(&path, Access::Existing) {
            Ok(raw) => Some(raw),
            Err(error) if error.is_absence() => None,
            Err(error) => return Err(error),
        };
        let raw_bytes = raw.as_ref().map_or(0, |raw| *raw.length_bytes.borrow());
        let sealed = sealed_path(&path);
        match (Sealed::open(&sealed), raw) {
            (Ok(sealed), _) if sealed.length_bytes() >= raw_bytes => {
                let length_bytes = sealed.length_bytes();
                Ok(Self::new(path, Body::Sealed(Arc::new(sealed)), length_bytes))
            }
            (_, Some(raw)) => {
                if access == Access::Append {
                    sync_folder(&path).map_err(Error::file("sync the folder of", &path))?;
                }
                Ok(raw)
            }
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound && access == Access::Append => {
                Self::open_raw(&path, Access::Append)
            }
            (Err(error), None) => Err(Error::file("open", &sealed)(error)),
            (Ok(_), None) => Err(Error::file("open", &sealed)(io::ErrorKind::InvalidData.into())),
        }
    }

    /// A log that is a blob: whole from the beginning, and only read.
    pub(super) fn of_blob(path: PathBuf, bytes: Bytes) -> Self {
        let length_bytes = bytes.len() as u64;
        Self::new(path, Body::Blob(bytes), length_bytes)
    }

    fn open_raw(path: &Path, access: Access) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        if access == Access::Append {
            options.create(true);
            make_folder(path).map_err(Error::file("make the folder of", path))?;
        }
        let file = options.open(path).map_err(Error::file("open", path))?;
        let length_bytes = file.metadata().map_err(Error::file("open", path))?.len();
        if access == Access::Append {
            // The name must survive a power cut as the bytes do.
            sync_folder(path).map_err(Error::file("sync the folder of", path))?;
        }
        Ok(Self::new(path.to_owned(), Body::Raw(Arc::new(file)), length_bytes))
    }

    fn new(path: PathBuf, body: Body, length_bytes: u64) -> Self {
        Self {
            path,
            body: RwLock::new(body),
            appending: Mutex::new(()),
            length_bytes: watch::Sender::new(length_bytes),
            failed: AtomicBool::new(false),
        }
    }

    fn body(&self) -> Body {
        self.body.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a sync has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn fail_from_now_on(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Appends pieces that follow each other and begin at `offset`. What is there already is dropped; a gap
    /// is refused. Returns the length now; nothing is acknowledged before [`Log::sync`].
    pub async fn append(
        self: &Arc<Self>,
        key: &AttemptKey,
        offset: u64,
        pieces: Vec<Bytes>,
    ) -> Result<u64, Error> {
        let log = Arc::clone(self);
        let key = key.clone();
        blocking(move || {
            let _appending = log.appending.lock().unwrap_or_else(PoisonError::into_inner);
            let mut at = offset;
            for piece in &pieces {
                log.append_piece(&key, at, piece)?;
                at += piece.len() as u64;
            }
            Ok(*log.length_bytes.borrow())
        })
        .await
    }

    fn append_piece(&self, key: &AttemptKey, offset: u64, piece: &[u8]) -> Result<(), Error> {
        let length_bytes = *self.length_bytes.borrow();
        if offset > length_bytes {
            return Err(Error::Gap { key: Box::new(key.clone()), length_bytes, offset });
        }
        let known = usize::try_from(length_bytes - offset).unwrap_or(usize::MAX).min(piece.len());
        let fresh = &piece[known..];
        if fresh.is_empty() {
            return Ok(());
        }
        let Body::Raw(file) = self.body() else {
            return Err(Error::Whole { key: Box::new(key.clone()), length_bytes });
        };
        // A failed write may leave a piece behind the length; the next one at this offset covers it.
        file.write_all_at(fresh, length_bytes).map_err(Error::file("append to", &self.path))?;
        self.length_bytes.send_replace(length_bytes + fresh.len() as u64);
        Ok(())
    }

    /// Makes everything appended durable; returns how much that is. Appending goes on meanwhile.
    pub async fn sync(self: &Arc<Self>) -> Result<u64, Error> {
        let log = Arc::clone(self);
        blocking(move || log.sync_now()).await
    }

    fn sync_now(&self) -> Result<u64, Error> {
        // What the length says was written before the sync begins.
        let length_bytes = *self.length_bytes.borrow();
        if self.has_failed() {
            return Err(Error::file("trust", &self.path)(io::ErrorKind::Other.into()));
        }
        if let Body::Raw(file) = self.body() {
            fdatasync(&*file).map_err(|errno| {
                self.failed.store(true, Ordering::Release);
                Error::file("sync", &self.path)(errno.into())
            })?;
        }
        Ok(length_bytes)
    }

    /// The length now, and every change of it.
    pub fn length(&self) -> watch::Receiver<u64> {
        self.length_bytes.subscribe()
    }

    /// At most `limit_bytes` from `offset`; empty at the end.
    pub async fn read(self: &Arc<Self>, offset: u64, limit_bytes: usize) -> Result<Bytes, Error> {
        let log = Arc::clone(self);
        blocking(move || log.read_now(offset, limit_bytes)).await
    }

    fn read_now(&self, offset: u64, limit_bytes: usize) -> Result<Bytes, Error> {
        let length_bytes = *self.length_bytes.borrow();
        let there = usize::try_from(length_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; there.min(limit_bytes)];
        let read = match self.body() {
            Body::Raw(file) => file.read_exact_at(&mut buffer, offset),
            Body::Sealed(sealed) => sealed.read_exact_at(&mut buffer, offset),
            Body::Blob(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let until = from + buffer.len();
                buffer.copy_from_slice(&bytes[from..until]);
                Ok(())
            }
        };
        read.map_err(Error::file("read", &self.path))?;
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

    /// Compresses a log that has all of its `whole_bytes`; blocks. The raw file goes only when the other is
    /// synced, renamed and read back. False when the log is not as long as that, or is sealed already.
    pub(super) fn seal(&self, whole_bytes: u64, go_on: &dyn Fn() -> bool) -> Result<bool, Error> {
        let Body::Raw(raw) = self.body() else {
            // Killed before the raw file went, at an earlier time.
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::file("remove the raw", &self.path)(error))
                }
                _ => Ok(false),
            };
        };
        if *self.length_bytes.borrow() != whole_bytes || self.has_failed() {
            return Ok(false);
        }
        let (to, beside) = (sealed_path(&self.path), self.path.with_extension("log.zst.new"));
        let sealed = write_sealed(&raw, whole_bytes, &beside, go_on).inspect_err(|_| {
            // What is half done is made anew, now or at the next start.
            drop(fs::remove_file(&beside));
        });
        let sealed = sealed.map_err(Error::file("compress", &self.path))?;
        fs::rename(&beside, &to).map_err(Error::file("rename", &beside))?;
        sync_folder(&to).map_err(Error::file("sync the folder of", &to))?;
        let appending = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.length_bytes.borrow() != whole_bytes {
            // It grew after all: the raw file stays the log.
            fs::remove_file(&to).map_err(Error::file("remove", &to))?;
            return Ok(false);
        }
        *self.body.write().unwrap_or_else(PoisonError::into_inner) = Body::Sealed(Arc::new(sealed));
        drop(appending);
        fs::remove_file(&self.path).map_err(Error::file("remove the raw", &self.path))?;
        sync_folder(&self.path).map_err(Error::file("sync the folder of", &self.path))?;
        Ok(true)
    }
}

fn write_sealed(raw: &File, length_bytes: u64, to: &Path, go_on: &dyn Fn() -> bool) -> io::Result<Sealed> {
    let hash = sealed::write(raw, length_bytes, to, go_on)?;
    let sealed = Sealed::open(to)?;
    if sealed.length_bytes() != length_bytes || sealed.hash(go_on)? != hash {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what was compressed reads back otherwise"));
    }
    Ok(sealed)
}

/// Where the sealed form of the log at `path` is.
pub(super) fn sealed_path(path: &Path) -> PathBuf {
    path.with_extension("log.zst")
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
