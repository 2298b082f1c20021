//! How full the disk of the data folder is, and at which marks that matters. It measures and compares; what
//! follows from it is the driver's and the services'.

use crate::driver::blocking;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use windlass_shared::refusal::Refusal;
use windlass_shared::size::Size;

/// Between two looks: one statvfs(2) of a few microseconds, often enough that a log at 400 MB/s stays within
/// the lower mark's GiB.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// From here on people are warned: 2 GiB, or a tenth of a disk below 20 GiB.
const WARN: (u64, u64) = (2 << 30, 10);
/// From here on nothing new is taken: 1 GiB, or a twentieth of a disk below 20 GiB. What was leased before
/// still ends: a record is about 2 KiB and a run's results some MiB, so that hundreds of ends have room.
const STOP: (u64, u64) = (1 << 30, 20);

/// The marks as they were set; none takes the figure that fits the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// Free bytes below which people are warned.
    pub warn_bytes: Option<u64>,
    /// Free bytes below which nothing new is taken.
    pub stop_bytes: Option<u64>,
}

/// What a disk's free space means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    Ample,
    /// It gets scarce.
    Low,
    /// Nothing new is taken.
    Out,
}

/// The disk at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The data folder.
    pub folder: PathBuf,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Below this people are warned.
    pub warn_bytes: u64,
    /// Below this nothing new is taken.
    pub stop_bytes: u64,
}

impl Space {
    /// Looks.
    pub fn look(folder: &Path, marks: Marks) -> std::io::Result<Self> {
        let stat = rustix::fs::statvfs(folder)?;
        let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
        let mark = |set: Option<u64>, (most, part): (u64, u64)| set.unwrap_or(most.min(total_bytes / part));
        let stop_bytes = mark(marks.stop_bytes, STOP);
        Ok(Self {
            folder: folder.to_owned(),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes,
            warn_bytes: mark(marks.warn_bytes, WARN).max(stop_bytes),
            stop_bytes,
        })
    }

    /// What it means.
    pub fn level(&self) -> Level {
        match self.free_bytes {
            free if free < self.stop_bytes => Level::Out,
            free if free < self.warn_bytes => Level::Low,
            _ => Level::Ample,
        }
    }

    /// Refuses new work once the disk is nearly full.
    pub fn admit(&self) -> Result<(), Refusal> {
        self.admit_more(0)
    }

    /// Refuses bytes that would fill it too far.
    pub fn admit_more(&self, bytes: u64) -> Result<(), Refusal> {
        if self.free_bytes.saturating_sub(bytes) >= self.stop_bytes {
            return Ok(());
        }
        Err(Refusal::NoRoom {
            folder: self.folder.display().to_string(),
            free_bytes: self.free_bytes,
            mark_bytes: self.stop_bytes,
        })
    }

    /// A sentence for people; none while there is ample room.
    pub fn notice(&self) -> Option<String> {
        let (free, folder) = (Size { bytes: self.free_bytes }, self.folder.display());
        let mark = Size { bytes: self.stop_bytes };
        match self.level() {
            Level::Ample => None,
            Level::Low => {
                Some(format!("{free} are left on the disk of {folder}; below {mark} nothing new is taken"))
            }
            Level::Out => {
                Some(format!("{free} are left on the disk of {folder}; nothing new is taken below {mark}"))
            }
        }
    }
}

/// Looks again and again, and tells who listens when the figure has changed.
pub(crate) async fn watch(folder: PathBuf, marks: Marks, told: watch::Sender<Space>) {
    let mut timer = tokio::time::interval(LOOK_EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let place = folder.clone();
        let Ok(space) = blocking(move || Space::look(&place, marks)).await else { continue };
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
    fn the_marks_fit_the_disk_and_can_be_set() {
        let at = |free_bytes, total_bytes, marks: Marks| {
            let mark =
                |set: Option<u64>, (most, part): (u64, u64)| set.unwrap_or(most.min(total_bytes / part));
            let stop_bytes = mark(marks.stop_bytes, STOP);
            let warn_bytes = mark(marks.warn_bytes, WARN).max(stop_bytes);
            Space { folder: "/data".into(), free_bytes, total_bytes, warn_bytes, stop_bytes }
        };
        const GIB: u64 = 1 << 30;
        let none = Marks::default();
        let set = Marks { warn_bytes: None, stop_bytes: Some(500 * GIB) };
        let cases = [
            (3 * GIB, 1000 * GIB, none, Level::Ample),
            (2 * GIB - 1, 1000 * GIB, none, Level::Low),
            (GIB - 1, 1000 * GIB, none, Level::Out),
            // A disk of 10 GiB: a tenth and a twentieth.
            (GIB + 1, 10 * GIB, none, Level::Ample),
            (GIB - 1, 10 * GIB, none, Level::Low),
            (GIB / 2 - 1, 10 * GIB, none, Level::Out),
            (499 * GIB, 1000 * GIB, set, Level::Out),
            (500 * GIB, 1000 * GIB, set, Level::Ample),
        ];
        for (free, total, marks, want) in cases {
            let space = at(free, total, marks);
            assert_eq!(space.level(), want, "{space:?}");
            assert_eq!(space.admit().is_err(), want == Level::Out);
            assert_eq!(space.notice().is_none(), want == Level::Ample);
        }
        let space = at(GIB + 100, 1000 * GIB, none);
        assert!(
            space.admit_more(100).is_ok() && space.admit_more(101).is_err(),
            "up to the mark and no further"
        );
    }

    #[test]
    fn a_folder_is_looked_at() {
        let folder = tempfile::tempdir().expect("tempdir");
        let space = Space::look(folder.path(), Marks::default()).expect("a disk");
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
    }
}
