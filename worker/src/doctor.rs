//! What can be said of a machine as a worker: findings that `windlass doctor` prints beside its own. It
//! reads and tries; it changes nothing that stays.

use crate::settings::Settings;
use std::path::Path;
use windlass_shared::view::Finding;

/// Findings about a worker with these settings on this machine.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    vec![work_dir(&settings.work_dir)]
}

/// The work folder, or the nearest one above it that is there, takes files.
fn work_dir(work_dir: &Path) -> Finding {
    const CHECK: &str = "work folder";
    let shown = work_dir.display();
    let remedy = "give a folder that you may write to with --work-dir";
    let Some(nearest) = work_dir.ancestors().find(|folder| folder.exists()) else {
        return Finding::fail(CHECK, format!("{shown} has no parent that exists"), remedy);
    };
    let probe = nearest.join(format!(".windlass-doctor-{}", std::process::id()));
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Finding::ok(CHECK, format!("{shown} takes files")),
        Err(source) => {
            Finding::fail(CHECK, format!("{} cannot be written: {source}", nearest.display()), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::view::Level;

    #[test]
    fn a_work_folder_takes_files_or_says_why_not() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(work_dir(&dir.path().join("not/yet")).level, Level::Ok);
        assert_eq!(work_dir(Path::new("/proc/windlass")).level, Level::Fail);
    }
}
