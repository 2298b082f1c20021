//! How full a disk is, and at which marks that matters. It compares; who measures and what follows from it is
//! the coordinator's and the worker's.

use crate::refusal::Refusal;
use crate::size::Size;
use serde::{Deserialize, Serialize};

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
    /// Which folder's.
    pub folder: String,
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
    /// A disk with so much free of so much, and the marks that fit it.
    pub fn new(folder: String, free_bytes: u64, total_bytes: u64, marks: Marks) -> Self {
        let mark = |set: Option<u64>, (most, part): (u64, u64)| set.unwrap_or(most.min(total_bytes / part));
        let stop_bytes = mark(marks.stop_bytes, STOP);
        let warn_bytes = mark(marks.warn_bytes, WARN).max(stop_bytes);
        Self { folder, free_bytes, total_bytes, warn_bytes, stop_bytes }
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
            folder: self.folder.clone(),
            free_bytes: self.free_bytes,
            mark_bytes: self.stop_bytes,
        })
    }

    /// A sentence for people; none while there is ample room.
    pub fn notice(&self) -> Option<String> {
        let (free, folder) = (Size { bytes: self.free_bytes }, &self.folder);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_fit_the_disk_and_can_be_set() {
        let at = |free, total, marks| Space::new("/data".to_owned(), free, total, marks);
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
}
