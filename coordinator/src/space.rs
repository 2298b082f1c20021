//! Looks at the disk of the data folder. What follows from that is the driver's and the services'.

use crate::driver::blocking;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use windlass_shared::space::{Marks, Space};

/// Between two looks: one statvfs(2) of a few microseconds, often enough that a log at 400 MB/s stays within
/// the lower mark's GiB.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks once.
pub fn look(folder: &Path, marks: Marks) -> std::io::Result<Space> {
    let stat = rustix::fs::statvfs(folder)?;
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
    Ok(Space::new(folder.display().to_string(), free_bytes, total_bytes, marks))
}

/// Bytes that this user may still write there.
pub(crate) fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Looks again and again, and tells who listens when the figure has changed.
pub(crate) async fn watch(folder: PathBuf, marks: Marks, told: watch::Sender<Space>) {
    let mut timer = tokio::time::interval(LOOK_EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let place = folder.clone();
        let Ok(space) = blocking(move || look(&place, marks)).await else { continue };
        let before = told.borrow().level();
        if before != space.level() {
            tracing::warn!(free_bytes = space.free_bytes, level = ?space.level(), "the disk of the data folder");
        }
        told.send_if_modified(|known| {
            let has_changed = *known != space;
            *known = space;
            has_changed
        });
        if told.is_closed() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_at() {
        let folder = tempfile::tempdir().expect("tempdir");
        let space = look(folder.path(), Marks::default()).expect("a disk");
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
    }
}
