//! Ends the runs that a stopped worker left in its folder, for a Ctrl-C: their shims first, so that no
//! exit record says that the idea ended there. The next worker finds them lost, and they are run again
//! (P20).

use rustix::process::{Signal, pidfd_send_signal};
use std::path::Path;
use windlass_worker::shim;
use windlass_worker::spool::WorkDir;

/// Ends them; blocks until their processes are gone, a few seconds at most. What cannot be read is left
/// to its own deadline.
pub fn in_folder(work_dir: &Path) {
    let attempts = WorkDir::open(work_dir).and_then(|work| work.attempts());
    for attempt in attempts.unwrap_or_default() {
        if let Ok(Some(identity)) = attempt.identity()
            && let Some(pidfd) = shim::identify(&identity)
        {
            // It may have ended in between.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
        if let Ok(Some(order)) = attempt.order() {
            shim::kill_leftovers(&order.key);
        }
    }
}
