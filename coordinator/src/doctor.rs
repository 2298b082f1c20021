//! What can be said of a data folder before or while a coordinator uses it. It reads and tries; it changes
//! nothing that stays.

use crate::ledger;
use std::path::Path;
use windlass_shared::view::Finding;

/// Less free disk than this is a warning: a busy campaign's logs of a day.
const FREE_WARN_BYTES: u64 = 5 << 30;
/// Less than this is a failure: the ledger is about to refuse.
const FREE_FAIL_BYTES: u64 = 256 << 20;

/// Findings about the folder of a coordinator on this machine.
pub fn findings(data_dir: &Path) -> Vec<Finding> {
    const CHECK: &str = "data folder";
    let shown = data_dir.display();
    // What is not there yet is made by the first `up`, below the nearest folder that is.
    let Some(nearest) = data_dir.ancestors().find(|folder| folder.exists()) else {
        return vec![Finding::fail(
            CHECK,
            format!("{shown} has no parent that exists"),
            "give another --data-dir",
        )];
    };
    let mut findings = Vec::new();
    findings.push(match (nearest == data_dir, nearest.is_dir(), may_write(nearest)) {
        (_, false, _) => {
            let text = format!("{} is no folder", nearest.display());
            Finding::fail(CHECK, text, "give another --data-dir")
        }
        (_, true, Err(source)) => {
            let text = format!("{} cannot be written: {source}", nearest.display());
            Finding::fail(CHECK, text, "give a folder that you may write to with --data-dir")
        }
        (true, true, Ok(())) => Finding::ok(CHECK, format!("{shown} can be written")),
        (false, true, Ok(())) => Finding::ok(CHECK, format!("{shown} is not there yet and can be made")),
    });
    findings.push(match ledger::refuse_network(nearest) {
        Ok(()) => Finding::ok("file system", "the ledger lies on a local file system".to_owned()),
        Err(error) => {
            let remedy =
                "give a --data-dir on a local disk: a network file system keeps neither locks nor syncs";
            Finding::fail("file system", error.to_string(), remedy)
        }
    });
    findings.extend(free_disk("disk", nearest));
    findings
}

/// How full the disk of a folder is.
pub fn free_disk(check: &'static str, folder: &Path) -> Option<Finding> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!(
        "{:.1} GiB are free on the disk of {}",
        free_bytes as f64 / (1 << 30) as f64,
        folder.display()
    );
    let remedy = "make room, or move the folder to a larger disk";
    Some(match free_bytes {
        bytes if bytes < FREE_FAIL_BYTES => Finding::fail(check, text, remedy),
        bytes if bytes < FREE_WARN_BYTES => Finding::warn(check, text, remedy),
        _ => Finding::ok(check, text),
    })
}

/// Writes a file and takes it away again: permissions alone do not tell of a read-only disk.
fn may_write(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".windlass-doctor-{}", std::process::id()));
    std::fs::write(&path, b"")?;
    std::fs::remove_file(&path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::view::Level;

    fn level(data_dir: &Path) -> Level {
        findings(data_dir)
            .iter()
            .find(|finding| finding.check == "data folder")
            .expect("it is looked at")
            .level
    }

    #[test]
    fn a_folder_that_is_there_or_can_be_made_is_well_and_a_file_is_none() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(level(dir.path()), Level::Ok);
        assert_eq!(level(&dir.path().join("not/yet")), Level::Ok);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0, "nothing is left behind");
        std::fs::write(dir.path().join("file"), "").expect("written");
        assert_eq!(level(&dir.path().join("file")), Level::Fail);
        assert_eq!(level(Path::new("/proc/windlass")), Level::Fail, "nobody writes there");
    }
}
