//! Ends the runs that a stopped worker left in its folder, for a Ctrl-C. They are cancelled, which is held
//! against nothing: the next worker says so, and they are run again (P20).

use std::path::Path;

/// Ends them; blocks until their processes are gone, some seconds at most. What goes wrong is said.
pub fn in_folder(work_dir: &Path) {
    if let Err(error) = windlass_worker::driver::end_runs(work_dir) {
        tracing::error!(problem = error.chain(), "failed to end all runs");
    }
}
