//! The worker's folder on its machine. One daemon at a time; its identity is made once (a re-imaged
//! machine is a new worker).

use super::attempt::AttemptDir;
use crate::device;
use crate::durable;
use crate::error::Error;
use crate::procfs;
use crate::shim::Identity;
use crate::workspace::age;
use rustix::fs::{FlockOperation, IFlags, flock, ioctl_getflags, ioctl_setflags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{CampaignId, DeviceId, WorkerId};

/// Workspaces of ended runs that are kept for their analysis and for later scripts (P21), beside those that the
/// coordinator asks for (P22). More than a campaign has lanes; each is as large as a workspace.
const KEPT_MAX: usize = 8;
/// Spools set aside for a person to look at.
const ASIDE_MAX: usize = 100;

/// How long the folder may stay held: by file work of a driver that has returned, or by what a daemon that was
/// killed was just starting, which has its descriptors until it becomes another program.
const HELD_MAX: Duration = Duration::from_secs(3);
/// Between tries to hold it.
const HOLD_PAUSE: Duration = Duration::from_millis(10);

/// Caches of a campaign that nobody ran here for this long go.
const CACHES_UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The work folder, held against other daemons.
#[derive(Debug)]
pub struct WorkDir {
    root: PathBuf,
    id: WorkerId,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct IdentityDocument {
    worker: WorkerId,
}

/// In which boot the folder was last used.
#[derive(PartialEq, Serialize, Deserialize)]
struct Boot {
    id: String,
}

impl WorkDir {
    /// Opens or makes it. Refused where another daemon has it, and keeps it; blocks for [`HELD_MAX`] then.
    pub fn open(root: &Path) -> Result<Self, Error> {
        for folder in [root.to_owned(), root.join("attempts"), root.join("kept"), root.join("aside")] {
            fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        }
        for folder in ["locks", "setups", "caches"].map(|name| root.join(name)) {
            fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        }
        let root = root.canonicalize().map_err(Error::file("find", root))?;
        scatter(&root.join("attempts"));
        let path = root.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(Error::file("open the lock", &path))?;
        let until = Instant::now() + HELD_MAX;
        let pause = || {
            std::thread::sleep(HOLD_PAUSE);
            Instant::now() < until
        };
        if !hold(&lock, pause) {
            return Err(Error::WorkDirBusy(root));
        }
        let id = identity(&root.join("identity.json"))?;
        Ok(Self { root, id, _lock: lock })
    }

    /// Marks every attempt and setup that was here when the machine was last started, and throws away the
    /// workspaces that were kept: a power cut may have torn what was not synced. Done once for each start of the
    /// machine.
    pub(super) fn note_boot(&self) -> Result<(), Error> {
        let path = self.root.join("boot.json");
        let here = Boot { id: procfs::boot_id().to_owned() };
        let last = match durable::read::<Boot>(&path) {
            Ok(Some(last)) if last == here => return Ok(()),
            Ok(last) => last,
            // In which boot it was nobody can say; most likely the one that a power cut ended.
            Err(Error::Torn(_) | Error::Document { .. }) => Some(Boot { id: String::new() }),
            Err(error) => return Err(error),
        };
        // Without one the folder is new, or a version's that synced everything.
        if last.is_some() {
            let attempts = self.attempts()?.into_iter().filter(|dir| dir.path().is_dir());
            for dir in attempts.chain(self.setups()?) {
                // Where the note was torn and not the machine's end, runs of this very boot may live.
                let is_of = |identity: &Identity| identity.boot_id == here.id;
                if !dir.identity().ok().flatten().as_ref().is_some_and(is_of) {
                    dir.note_earlier_boot()?;
                }
            }
            for dir in Self::folders(&self.root.join("kept"))? {
                self.forget(&dir)?;
            }
        }
        durable::write(&path, &here)
    }

    /// Who this worker is.
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where blobs are kept.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The lock file of a device (I6): the machine's for a GPU, our own for a CPU slot, and our own too
    /// where the machine has no place for locks.
    pub fn device_lock(&self, device: &DeviceId) -> PathBuf {
        let own = || self.root.join("locks").join(device::file_name(device));
        match device::machine_lock(device) {
            None => own(),
            Some(Ok(path)) => path,
            Some(Err(error)) => {
                tracing::warn!(%device, %error, "this GPU is locked against our own runs only");
                own()
            }
        }
    }

    /// The folder of an attempt, there or not.
    pub fn attempt(&self, key: &AttemptKey) -> Result<AttemptDir, Error> {
        Ok(AttemptDir::at(self.root.join("attempts").join(AttemptDir::name(key)?)))
    }

    /// The folder of a run that has ended, while it is kept.
    pub fn kept(&self, key: &AttemptKey) -> Result<AttemptDir, Error> {
        Ok(AttemptDir::at(self.root.join("kept").join(AttemptDir::name(key)?)))
    }

    /// All attempt folders.
    pub fn attempts(&self) -> Result<Vec<AttemptDir>, Error> {
        Self::attempts_in(&self.root)
    }

    /// Where verified trees lie ready.
    pub fn trees(&self) -> PathBuf {
        self.root.join("trees")
    }

    /// What was learnt of data sets.
    pub fn fingerprints(&self) -> PathBuf {
        self.root.join("fingerprints")
    }

    /// A new folder in which a shim tries what it can mount; what earlier ones left goes. One that a killed daemon
    /// asked may still be trying, and must not be taken for ours.
    pub fn probe(&self) -> PathBuf {
        let all = self.root.join("probe");
        if let Err(problem) = remove_tree(&all) {
            tracing::warn!(%problem, "failed to remove what was tried before");
        }
        all.join(uuid::Uuid::new_v4().to_string())
    }

    /// A campaign's own caches.
    pub fn caches(&self, campaign: &CampaignId) -> Result<PathBuf, Error> {
        AttemptDir::plain(campaign).map(|name| self.root.join("caches").join(name))
    }

    /// The folder of a setup, there or not.
    pub fn setup(&self, key: &str) -> AttemptDir {
        AttemptDir::at(self.root.join("setups").join(key))
    }

    /// All setups' folders.
    pub fn setups(&self) -> Result<Vec<AttemptDir>, Error> {
        Self::setups_in(&self.root)
    }

    /// All setups' folders below `root`, whoever holds it.
    pub fn setups_in(root: &Path) -> Result<Vec<AttemptDir>, Error> {
        Self::folders(&root.join("setups"))
    }

    /// Removes the logs of failed setups that everybody who waited has had time to copy.
    pub fn drop_setup_logs(&self, older_than: Duration) -> Result<(), Error> {
        let path = self.root.join("setups");
        for entry in fs::read_dir(&path).map_err(Error::file("list", &path))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|it| it == "log") && age(&path) > older_than {
                drop(fs::remove_file(path));
            }
        }
        Ok(())
    }

    /// Removes the caches of campaigns that nobody ran here for long, unless an attempt of theirs is here.
    pub fn drop_unused_caches(&self) -> Result<(), Error> {
        let path = self.root.join("caches");
        let mut here = self.attempts()?;
        here.extend(Self::folders(&self.root.join("kept"))?);
        for dir in Self::folders(&path)? {
            let name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let of_campaign = |other: &AttemptDir| {
                let other = other.path().file_name().unwrap_or_default().to_string_lossy();
                other.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
            };
            if age(&dir.path().with_extension("used")) > CACHES_UNUSED_MAX && !here.iter().any(of_campaign) {
                self.forget(&dir)?;
            }
        }
        Ok(())
    }

    /// The layers that attempts and kept workspaces lie on. An attempt whose note is torn is skipped: its
    /// workspace is of no use either.
    pub fn used_layers(&self) -> Result<BTreeSet<PathBuf>, Error> {
        let mut folders = self.attempts()?;
        folders.extend(Self::folders(&self.root.join("kept"))?);
        folders.extend(self.setups()?);
        let below = folders.iter().filter_map(|dir| dir.layers().ok().flatten());
        Ok(below.flat_map(|below| below.all()).collect())
    }

    fn folders(path: &Path) -> Result<Vec<AttemptDir>, Error> {
        let entries = fs::read_dir(path).map_err(Error::file("list", path))?;
        Ok(entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .map(AttemptDir::at)
            .collect())
    }

    /// All attempt folders below `root`, whoever holds it.
    pub fn attempts_in(root: &Path) -> Result<Vec<AttemptDir>, Error> {
        let path = root.join("attempts");
        let entries = fs::read_dir(&path).map_err(Error::file("list", &path))?;
        Ok(entries.flatten().map(|entry| AttemptDir::at(entry.path())).collect())
    }

    /// Ends an acknowledged attempt's folder at once: nothing of it is found again. The bytes go with
    /// [`WorkDir::sweep`].
    pub fn forget(&self, dir: &AttemptDir) -> Result<(), Error> {
        // A removal that is cut short must not leave half an attempt to be recovered.
        let bin = self.root.join(format!("bin-{}", uuid::Uuid::new_v4()));
        match fs::rename(dir.path(), &bin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", dir.path())(error))
            }
            _ => Ok(()),
        }
    }

    /// Ends an acknowledged run's folder but keeps what its analysis may want, for a while; those of `asked` as
    /// long as they are asked for (P22).
    pub fn keep(
        &self,
        key: &AttemptKey,
        dir: &AttemptDir,
        asked: &BTreeSet<AttemptKey>,
    ) -> Result<(), Error> {
        let kept = self.kept(key)?;
        self.forget(&kept)?;
        match fs::rename(dir.path(), kept.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("keep", dir.path())(error))
            }
            _ => self.shrink("kept", KEPT_MAX, asked),
        }
    }

    /// Sets a folder aside that the ledger does not know (I15), or that cannot be read.
    pub fn set_aside(&self, dir: &AttemptDir) -> Result<(), Error> {
        let name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut to = self.root.join("aside").join(&name);
        for n in 1.. {
            if !to.exists() {
                break;
            }
            to = self.root.join("aside").join(format!("{name}.{n}"));
        }
        fs::rename(dir.path(), &to).map_err(Error::file("set aside", dir.path()))?;
        self.shrink("aside", ASIDE_MAX, &BTreeSet::new())
    }

    /// Removes what was forgotten; may take long, and is safe beside everything else.
    pub fn sweep(&self) -> Result<(), Error> {
        let entries = fs::read_dir(&self.root).map_err(Error::file("list", &self.root))?;
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with("bin-") {
                continue;
            }
            if let Err(error) = remove_tree(&entry.path()) {
                // The others still go; this one is tried again at the next sweep.
                tracing::warn!(path = %entry.path().display(), %error, "failed to remove what was forgotten");
            }
        }
        Ok(())
    }

    /// Keeps the newest `most` folders of a part, and those of `asked`: the coordinator asks one worker for 32 at
    /// most.
    fn shrink(&self, part: &str, most: usize, asked: &BTreeSet<AttemptKey>) -> Result<(), Error> {
        let asked: BTreeSet<String> = asked.iter().filter_map(|key| AttemptDir::name(key).ok()).collect();
        let path = self.root.join(part);
        let entries = fs::read_dir(&path).map_err(Error::file("list", &path))?;
        let modified = |entry: &fs::DirEntry| entry.metadata().and_then(|it| it.modified());
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| !asked.contains(entry.file_name().to_string_lossy().as_ref()))
            .map(|entry| (modified(&entry).unwrap_or(SystemTime::UNIX_EPOCH), entry.path()))
            .collect();
        found.sort();
        let surplus = found.len().saturating_sub(most);
        for (_, path) in found.into_iter().take(surplus) {
            self.forget(&AttemptDir::at(path))?;
        }
        Ok(())
    }
}

/// Removes a folder of a run, which may have made parts of it read-only. One that another sweep removed
/// meanwhile is no error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path).and_then(|()| fs::remove_dir_all(path)).or_else(gone)
        }
        result => result.or_else(gone),
    }
}

/// Makes every folder below `path` writable for us; links are not followed.
fn open_up(path: &Path) -> io::Result<()> {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Takes the lock, which somebody may just be letting go of; `pause` says whether it may be tried again.
fn hold(lock: &File, mut pause: impl FnMut() -> bool) -> bool {
    while flock(lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if !pause() {
            return false;
        }
    }
    true
}

/// Lets ext4 lay the folders in `path` far from each other. For some minutes it gives no inode out again that was in
/// use before, and looks at all of those beside a folder for each new file there: where short runs come and go by
/// the hundred, that is a tenth of what they cost. Elsewhere there is no such flag, and no such search.
fn scatter(path: &Path) {
    let scattered = File::open(path).and_then(|folder| {
        let flags = ioctl_getflags(&folder)?;
        Ok(ioctl_setflags(&folder, flags | IFlags::TOPDIR)?)
    });
    if let Err(problem) = scattered {
        tracing::debug!(%problem, path = %path.display(), "its folders are laid as the file system lays them");
    }
}

fn identity(path: &Path) -> Result<WorkerId, Error> {
    let read = durable::read::<IdentityDocument>(path).map_err(|problem| match problem {
        Error::Torn(_) | Error::Document { .. } => Error::Identity { path: path.to_owned() },
        other => other,
    });
    if let Some(document) = read? {
        return Ok(document.worker);
    }
    let worker = WorkerId(uuid::Uuid::new_v4().to_string());
    durable::write(path, &IdentityDocument { worker: worker.clone() })?;
    Ok(worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_let_go_soon_is_had_and_one_that_is_kept_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || File::create(folder.path().join("lock")).expect("a lock");
        let (daemon, next) = (open(), open());
        assert!(hold(&daemon, || unreachable!("nobody has it")));
        // What a daemon starts has its descriptors until it becomes another program, whoever is killed meanwhile.
        let mut inherited = Some(daemon.try_clone().expect("a descriptor"));
        drop(daemon);
        let mut pauses = 0;
        let some = || {
            pauses += 1;
            pauses < 3
        };
        assert!(!hold(&next, some) && pauses == 3);
        assert!(hold(&next, || inherited.take().is_some()));
    }
}
