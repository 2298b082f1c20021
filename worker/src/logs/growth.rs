//! Knows when a file grew, by inotify; where there is none to be had, by looking again soon.

use crate::driver::{aside, readable_when};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::path::Path;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Between looks where nothing tells: a kernel's limit of watches is reached, or the file is not there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One file under watch.
#[derive(Debug)]
pub struct Growth {
    told: Option<AsyncFd<OwnedFd>>,
}

impl Growth {
    /// Watches the file at `path`.
    pub fn of(path: &Path) -> Self {
        let watch = || -> std::io::Result<AsyncFd<OwnedFd>> {
            let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            inotify::add_watch(&queue, path, WatchFlags::MODIFY)?;
            readable_when(queue)
        };
        Self { told: watch().ok() }
    }

    /// Waits until it was written to since the last call; may come back without, so that the caller looks.
    pub async fn grew(&self) {
        let Some(told) = &self.told else { return tokio::time::sleep(LOOK_EVERY).await };
        let Ok(mut ready) = told.readable().await else { return tokio::time::sleep(LOOK_EVERY).await };
        // One event at least stands in the queue; equal ones are folded by the kernel, so it stays short.
        let mut events = [0; 512];
        while rustix::io::read(told.get_ref(), &mut events).is_ok_and(|count| count > 0) {}
        ready.clear_ready();
    }
}

impl Drop for Growth {
    /// The kernel lets a queue go after a grace period of some ten milliseconds: nobody else waits for that.
    fn drop(&mut self) {
        if let Some(queue) = self.told.take().map(AsyncFd::into_inner) {
            aside(move || drop(queue));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Whether the queue of events has none now.
    fn is_empty(queue: &OwnedFd) -> bool {
        rustix::io::read(queue, &mut [0; 512]) == Err(rustix::io::Errno::WOULDBLOCK)
    }

    #[tokio::test]
    async fn growth_is_told_and_only_growth() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.log");
        let mut file = std::fs::File::create(&path).expect("a file");
        let growth = Growth::of(&path);
        let queue = growth.told.as_ref().expect("inotify is there").get_ref();
        assert!(is_empty(queue), "nothing was written");
        for _ in 0..3 {
            file.write_all(b"line\n").expect("it grows");
            growth.grew().await;
            assert!(is_empty(queue), "told once");
        }
        // One that is not there is looked at again and again.
        let absent = Growth::of(&folder.path().join("absent"));
        assert!(absent.told.is_none());
        absent.grew().await;
    }
}
