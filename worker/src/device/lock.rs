//! Locks of GPUs, machine-wide: two workers on one machine never use one GPU at once (I6). A lock is held
//! by a shim for its whole life; here it is only looked at.

use crate::procfs;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use windlass_shared::id::DeviceId;

/// The folder of all locks, in place of the machine's own. For tests; all workers of a machine must agree.
const FOLDER_VARIABLE: &str = "WINDLASS_LOCK_DIR";
/// Where every user may make files; none of them outlives a boot, and no lock does either.
const FOLDER: &str = "/tmp/windlass-locks";

/// The lock file of a GPU, its folder made. A CPU slot has none here: it is its worker's own.
pub fn machine_lock(device: &DeviceId) -> Option<io::Result<PathBuf>> {
    if device.as_str().starts_with("cpu-") {
        return None;
    }
    Some(folder().map(|folder| folder.join(file_name(device))))
}

/// A device's id as a file name. It is NVML's or ours; anything else becomes dashes.
pub fn file_name(device: &DeviceId) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    device.as_str().chars().map(plain).take(200).collect()
}

fn folder() -> io::Result<PathBuf> {
    let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    match fs::create_dir(&folder) {
        // Like /tmp itself: everybody adds files, nobody removes another's.
        Ok(()) => fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    Ok(folder)
}

/// Who holds the lock of a GPU, in words; nobody, or nobody that can be told, without.
pub fn holder(device: &DeviceId) -> Option<String> {
    holder_of(&machine_lock(device)?.ok()?)
}

fn holder_of(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    // A shared lock, let go at once: a shim that comes in between tries again.
    if flock(&file, FlockOperation::NonBlockingLockShared) != Err(rustix::io::Errno::WOULDBLOCK) {
        return None;
    }
    let inode = file.metadata().ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let who = locks.lines().find_map(|line| holder_in(line, inode)).map(procfs::describe);
    Some(format!("a run of another worker: {}", who.unwrap_or_else(|| "not visible from here".to_owned())))
}

/// The process of a line like `1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF`, if it is about this inode.
fn holder_in(line: &str, inode: u64) -> Option<Pid> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", pid, place, ..] = fields[..] else { return None };
    let same = place.rsplit(':').next()?.parse() == Ok(inode);
    same.then(|| pid.parse().ok().filter(|&pid| pid > 0).and_then(Pid::from_raw)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_named_and_a_free_one_has_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("GPU-a");
        assert_eq!(holder_of(&path), None, "never locked");
        let lock = File::create(&path).expect("a file");
        assert_eq!(holder_of(&path), None, "free");
        lock.lock().expect("free");
        let who = holder_of(&path).expect("held");
        assert!(who.contains("another worker"), "{who}");
        drop(lock);
        assert_eq!(holder_of(&path), None, "free again");
    }

    #[test]
    fn only_the_line_of_this_very_file_names_its_holder() {
        let line = "1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF";
        assert_eq!(holder_in(line, 131), Pid::from_raw(708));
        assert_eq!(holder_in(line, 13), None);
        assert_eq!(holder_in("1: FLOCK  ADVISORY  WRITE -1 08:01:131 0 EOF", 131), None);
        assert_eq!(holder_in("1: POSIX  ADVISORY  WRITE 708 08:01:131 0 EOF", 131), None);
    }
}
