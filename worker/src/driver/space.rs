//! Looks at the disk of the work folder, and says when it is too full for new work: what runs goes on, and its
//! results still have room.

use super::{Event, blocking, send};
use crate::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use windlass_engine::attempt;
use windlass_shared::size::Size;
use windlass_shared::space::{Level, Marks, Space};

/// Between two looks: one statvfs(2), and a run fills a GiB no faster.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Tells the loop whenever the answer to "does new work fit?" changes.
pub(super) async fn watch(work_dir: PathBuf, marks: Marks, sender: Sender<Event>) {
    let mut told: Option<Level> = None;
    loop {
        let place = work_dir.clone();
        let looked = blocking(move || {
            let stat = rustix::fs::statvfs(&place)
                .map_err(|errno| Error::System { operation: "look at the disk", source: errno.into() })?;
            let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
            let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
            Ok(Space::new(place.display().to_string(), free_bytes, total_bytes, marks))
        });
        if let Ok(space) = looked.await
            && told != Some(space.level())
        {
            if told.is_some() || space.level() != Level::Ample {
                tracing::warn!(free_bytes = space.free_bytes, level = ?space.level(), "the disk of the work folder");
            }
            told = Some(space.level());
            send(&sender, Event::Host(attempt::Event::Unwilling(unwilling(&space)))).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Why nothing new is taken. The free bytes are left out: they change with every look, and a report says
/// only what has changed.
fn unwilling(space: &Space) -> Option<String> {
    let mark = Size { bytes: space.stop_bytes };
    (space.level() == Level::Out)
        .then(|| format!("less than {mark} is free on the disk of its work folder {}", space.folder))
}
