//! What is mounted for a run before it starts, in a mount namespace of its shim's own: the workspace as an
//! overlay of verified trees, folders bound in. It ends with the last process in it, so there is nothing to
//! clean up. Never touches the machine's own mounts.

use crate::error::Error;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount,
};
use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The kernel takes one page of mount options; some room is left for what it adds.
const OPTIONS_MAX_BYTES: usize = 4000;
/// How long a machine may take to say whether it can mount.
const PROBE_MAX: Duration = Duration::from_secs(10);
/// The document that asks a shim to try, and what it answers.
const PROBE_FILE: &str = "probe.json";
const PROBED_FILE: &str = "probed.json";

/// All that is mounted for one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// Its workspace, where it is an overlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// Mounted after it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<Bind>,
}

/// A workspace made of layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Folders that are shared and never written, topmost first.
    pub lower: Vec<PathBuf>,
    /// Where the run's own writes go.
    pub upper: PathBuf,
    /// The kernel's own; on the file system of `upper`, empty at first.
    pub work: PathBuf,
    /// Where the run sees it all.
    pub merged: PathBuf,
}

/// A file or folder seen in a second place, or in its own place but read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// What.
    pub from: PathBuf,
    /// Where; it must be there, of the same kind.
    pub to: PathBuf,
    /// Whether the run may write to it. What else is mounted below a read-only one keeps its own mode.
    pub writable: bool,
}

impl Mounts {
    /// Whether nothing is mounted, so that no namespace is needed.
    pub fn is_empty(&self) -> bool {
        self.overlay.is_none() && self.binds.is_empty()
    }
}

impl Mounts {
    /// Where what is written to these folders really goes, for whoever counts it: what lies below an overlay
    /// was there before, and is seen in two places where a setup made it.
    pub fn written(&self, folders: &[PathBuf]) -> Vec<PathBuf> {
        let Some(overlay) = &self.overlay else { return folders.to_vec() };
        let is_twice = |folder: &PathBuf| self.binds.iter().any(|bind| bind.to == *folder && bind.writable);
        let once = folders.iter().filter(|folder| !is_twice(folder));
        once.map(|folder| if *folder == overlay.merged { &overlay.upper } else { folder }).cloned().collect()
    }
}

/// Enters a mount namespace and mounts everything. Does nothing where there is nothing to mount.
pub fn enter(mounts: &Mounts) -> Result<(), Error> {
    if mounts.is_empty() {
        return Ok(());
    }
    enter_namespace()?;
    // What the machine mounts later is seen here too; what is mounted here is seen nowhere else.
    let propagation = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", propagation).map_err(Error::system("keep mounts to the run"))?;
    if let Some(overlay) = &mounts.overlay {
        mount_overlay(overlay)?;
    }
    mounts.binds.iter().try_for_each(bind)
}

/// The namespace needs a user namespace around it unless we may mount anyway. Our own ids stay as they are
/// in it, so that files keep their owner and a run sees who it is.
#[expect(unsafe_code, reason = "unsharing a namespace is a system call that rustix marks unsafe")]
fn enter_namespace() -> Result<(), Error> {
    // SAFETY: no descriptor table is unshared, and a shim has one thread.
    let unshare = |flags| unsafe { rustix::thread::unshare_unsafe(flags) };
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    if unshare(UnshareFlags::NEWNS).is_ok() {
        return Ok(());
    }
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(Error::system("make a mount namespace"))?;
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{user} {user} 1")),
        ("/proc/self/gid_map", format!("{group} {group} 1")),
    ] {
        fs::write(file, text).map_err(Error::file("write", Path::new(file)))?;
    }
    Ok(())
}

/// Plain layers: `userxattr` leaves out redirects and partial copies, so that the upper layer can be read
/// without the kernel. `volatile` leaves out the sync of the whole file system below, of whatever anybody has
/// written there, with which an overlay's end otherwise waits: what an attempt leaves is synced by itself.
fn mount_overlay(overlay: &Overlay) -> Result<(), Error> {
    let plain = options(overlay).ok_or_else(|| unmountable(&overlay.merged))?;
    let with = |options: String| -> Result<(), Error> {
        let options = std::ffi::CString::new(options).map_err(|_| unmountable(&overlay.merged))?;
        mount("overlay", &overlay.merged, "overlay", MountFlags::empty(), Some(options.as_c_str()))
            .map_err(|errno| Error::file("mount an overlay at", &overlay.merged)(errno.into()))
    };
    // Linux before 5.10 does not know it.
    with(format!("{plain},volatile")).or_else(|_| with(plain))
}

fn unmountable(path: &Path) -> Error {
    Error::file("write as mount options the layers of", path)(std::io::ErrorKind::InvalidInput.into())
}

/// The mount options; none where a path cannot be written in them.
fn options(overlay: &Overlay) -> Option<String> {
    let text = |path: &PathBuf| {
        let text = path.to_str()?;
        (!text.contains([',', ':', '\\', '"', '\n'])).then(|| text.to_owned())
    };
    let lower = overlay.lower.iter().map(text).collect::<Option<Vec<_>>>()?.join(":");
    let (upper, work) = (text(&overlay.upper)?, text(&overlay.work)?);
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work},userxattr");
    (!lower.is_empty() && options.len() <= OPTIONS_MAX_BYTES).then_some(options)
}

impl Overlay {
    /// Whether its paths can be given to the kernel at all.
    pub fn is_mountable(&self) -> bool {
        options(self).is_some()
    }
}

fn bind(bind: &Bind) -> Result<(), Error> {
    let failed = |errno: rustix::io::Errno| Error::file("bind into the run", &bind.from)(errno.into());
    mount_bind_recursive(&bind.from, &bind.to).map_err(failed)?;
    if bind.writable {
        return Ok(());
    }
    // A namespace of our own may add a restriction but not lift the machine's.
    let before = statvfs(&bind.to).map_err(failed)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| before.contains(*flag)).map(|(_, flag)| flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, flag| all | flag);
    mount_remount(&bind.to, flags, "").map_err(failed)
}

/// Whether shims of `exe` can mount overlays below `folder`, which is made and left behind; else why not.
/// Blocks for some milliseconds.
pub fn probe_overlay(exe: &Path, folder: &Path) -> Result<(), String> {
    let overlay = Overlay {
        lower: vec![folder.join("lower")],
        upper: folder.join("upper"),
        work: folder.join("work"),
        merged: folder.join("merged"),
    };
    let prepare = || -> std::io::Result<()> {
        for path in [&overlay.lower[0].join("gone"), &overlay.upper, &overlay.work, &overlay.merged] {
            fs::create_dir_all(path)?;
        }
        let asked = serde_json::to_vec(&Mounts { overlay: Some(overlay.clone()), binds: Vec::new() });
        fs::write(folder.join(PROBE_FILE), asked.expect("paths that were just made are representable"))
    };
    prepare().map_err(|error| format!("the work folder takes no files: {error}"))?;
    let shim = Command::new(exe).arg("shim").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut shim = shim.map_err(|error| format!("no shim starts: {error}"))?;
    let until = Instant::now() + PROBE_MAX;
    while !shim.try_wait().is_ok_and(|ended| ended.is_some()) {
        if Instant::now() > until {
            drop(shim.kill().and_then(|()| shim.wait()));
            return Err("the kernel does not answer".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let answer = fs::read(folder.join(PROBED_FILE)).unwrap_or_default();
    match serde_json::from_slice::<Option<String>>(&answer) {
        Ok(None) => Ok(()),
        Ok(Some(problem)) => Err(problem),
        Err(_) => Err("the shim did not say".to_owned()),
    }
}

/// The shim's side of [`probe_overlay`].
pub(super) fn try_for(dir: &Path) -> ExitCode {
    let Ok(asked) = fs::read(dir.join(PROBE_FILE)) else { return ExitCode::from(3) };
    let answer = match serde_json::from_slice::<Mounts>(&asked) {
        Ok(mounts) => enter(&mounts).and_then(|()| use_overlay(&mounts)).err().map(|error| error.chain()),
        Err(_) => Some("the probe is torn".to_owned()),
    };
    let bytes = serde_json::to_vec(&answer).unwrap_or_default();
    let written = fs::write(dir.join(PROBED_FILE), bytes);
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(4) }
}

/// What every run will do: make a file, remove a folder of the tree and make it anew, which needs extended
/// attributes above.
fn use_overlay(mounts: &Mounts) -> Result<(), Error> {
    let Some(overlay) = &mounts.overlay else { return Ok(()) };
    let folder = overlay.merged.join("gone");
    fs::write(overlay.merged.join("file"), "x").map_err(Error::file("write below", &overlay.merged))?;
    fs::remove_dir(&folder).map_err(Error::file("remove", &folder))?;
    fs::create_dir(&folder).map_err(Error::file("make anew", &folder))?;
    let above = overlay.upper.join("file");
    let owner = fs::metadata(&above).map_err(Error::file("look at", &above))?.uid();
    if owner == geteuid().as_raw() { Ok(()) } else { Err(unmountable(&above)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_writes_is_counted_where_it_goes_and_once() {
        let path = PathBuf::from;
        let overlay =
            Overlay { lower: vec![path("/l")], upper: path("/u"), work: path("/w"), merged: path("/m") };
        let binds = vec![Bind { from: path("/m"), to: path("/setup"), writable: true }];
        let mounts = Mounts { overlay: Some(overlay), binds };
        let folders = [path("/m"), path("/setup"), path("/results")];
        assert_eq!(mounts.written(&folders), [path("/u"), path("/results")]);
        assert_eq!(Mounts::default().written(&folders), folders);
    }

    #[test]
    fn paths_that_mount_options_cannot_hold_are_not_mounted() {
        let overlay = |lower: &str| Overlay {
            lower: vec![PathBuf::from(lower), PathBuf::from("/below")],
            upper: PathBuf::from("/u"),
            work: PathBuf::from("/w"),
            merged: PathBuf::from("/m"),
        };
        let want = "lowerdir=/plain path:/below,upperdir=/u,workdir=/w,userxattr";
        assert_eq!(options(&overlay("/plain path")).as_deref(), Some(want));
        for odd in ["/a:b", "/a,b", "/a\\b", &format!("/{}", "x".repeat(OPTIONS_MAX_BYTES))] {
            assert!(!overlay(odd).is_mountable(), "{odd}");
        }
    }
}
