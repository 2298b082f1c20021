//! Keeps garbage collection and backups of one data folder apart: a backup copies blobs that a collection
//! could remove. Backups share the lock, a collection has it alone.

use super::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A collection removes for seconds, seldom for a minute; a backup waits that long.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Held while it lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// For a collection: alone, at once or not at all.
    pub fn alone(data_dir: &Path) -> Result<Self, Error> {
        let file = open(data_dir)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(Error::Busy { what: "a backup", path: data_dir.into() })
            }
            Err(errno) => Err(Error::file("lock", data_dir)(errno.into())),
        }
    }

    /// For a backup: beside others; a collection's end is waited for.
    pub fn shared(data_dir: &Path) -> Result<Self, Error> {
        let file = open(data_dir)?;
        let until = Instant::now() + WAIT_MAX;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(TRY_EVERY),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::Busy { what: "a collection of garbage", path: data_dir.into() });
                }
                Err(errno) => return Err(Error::file("lock", data_dir)(errno.into())),
            }
        }
    }
}

fn open(data_dir: &Path) -> Result<File, Error> {
    let path = data_dir.join("upkeep.lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(&path).map_err(Error::file("open", path))
}
