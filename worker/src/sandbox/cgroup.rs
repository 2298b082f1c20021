//! A cgroup v2 of a run's own: made, limited, killed whole, removed. Plain reads and writes of cgroupfs; no
//! process is ever moved by force out of a place that somebody else manages.

use crate::error::Error;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use windlass_shared::machine::Limits;

/// A cgroup in place of the one that is looked for. For operators who delegate one, and for tests.
const VARIABLE: &str = "WINDLASS_CGROUP";
/// Our own part of the hierarchy: a name that systemd reads as a slice.
const SLICE: &str = "windlass.slice";
/// Where shims live: outside the daemon's service, so that stopping it leaves them.
const SHIMS: &str = "shims";

/// One run's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

/// Which limits the kernel holds for a cgroup; the others are for its shim to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// `memory.max`.
    pub memory: bool,
    /// `pids.max`.
    pub pids: bool,
}

/// Finds or makes the cgroup below which runs get theirs: the topmost place that we may write to, which is
/// outside our own service. Else why there is none.
pub fn base() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        return make_base(&path, Place::Given).map_err(|error| format!("{}: {error}", path.display()));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (root, point) = mounts.lines().find_map(hierarchy).ok_or("no cgroup v2 hierarchy is mounted")?;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let own = Path::new(own).strip_prefix(&root).unwrap_or(Path::new(""));
    let own = own.strip_prefix("/").unwrap_or(own);
    let mut problem = String::new();
    let mut places: Vec<&Path> = own.ancestors().collect();
    places.reverse();
    for place in places {
        let path = point.join(place);
        let is_own = place == own && !own.as_os_str().is_empty();
        match make_base(&path, if is_own { Place::Own } else { Place::Given }) {
            Ok(base) => return Ok(base),
            Err(error) => problem = format!("{}: {error}", path.display()),
        }
    }
    Err(format!("no cgroup can be made ({problem})"))
}

/// The hierarchy's root and where it is mounted, of a line of mountinfo.
fn hierarchy(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (fields, kind) = line.split_once(" - ")?;
    if kind.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = fields.split(' ').skip(3);
    Some((PathBuf::from(fields.next()?), PathBuf::from(fields.next()?)))
}

/// Whose cgroup the base is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// One above our service, or one that was named.
    Given,
    /// Our own service's, with this very process in it.
    Own,
}

fn make_base(parent: &Path, place: Place) -> io::Result<PathBuf> {
    let base = parent.join(SLICE);
    make(&base)?;
    // A cgroup that hands controllers on takes no process any more while one lives below it: a service manager could
    // not start the daemon again beside its runs. So our own service's hands none on.
    let giving: &[&Path] = match place {
        Place::Given => &[parent, &base],
        Place::Own => &[],
    };
    for controller in ["+memory", "+pids"] {
        // A controller that cannot be had is one whose limits the shim watches itself.
        for cgroup in giving {
            drop(fs::write(cgroup.join("cgroup.subtree_control"), controller));
        }
    }
    make(&base.join(SHIMS))?;
    // Older kernels have the rest but cannot kill a whole cgroup.
    let probe = Cgroup::place(&base, &probe_name());
    fs::create_dir(&probe)?;
    let kills = fs::metadata(probe.join("cgroup.kill"));
    fs::remove_dir(&probe)?;
    kills.map(|_| base)
}

/// A name that nobody else has: workers of one machine that start at once must not find each other's probe
/// in the way, and one of a process that was killed must not be in anybody's.
pub fn probe_name() -> String {
    format!("probe-{}", uuid::Uuid::new_v4())
}

fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Moves processes to where shims live. Where that may not be done they stay, and end with their service.
pub fn leave_service(base: &Path, processes: &[Pid]) {
    for pid in processes {
        drop(fs::write(base.join(SHIMS).join("cgroup.procs"), pid.as_raw_nonzero().to_string()));
    }
}

/// Whether this process is in a cgroup that a service manager ends as a whole.
pub fn in_a_service() -> bool {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    own != "/" && !own.ends_with(&format!("{SLICE}/{SHIMS}"))
}

impl Cgroup {
    /// Where a run's cgroup of this name is, below `base`.
    pub fn place(base: &Path, name: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        base.join(format!("run-{}", name.chars().take(100).map(plain).collect::<String>()))
    }

    /// Makes a cgroup for a run and sets what limits the kernel can hold.
    pub fn make(path: PathBuf, limits: &Limits) -> Result<(Self, Held), Error> {
        fs::create_dir(&path).map_err(Error::file("make the cgroup", &path))?;
        let set = |file: &str, value: String| fs::write(path.join(file), value).is_ok();
        let held = Held {
            // The whole run ends when its memory does, not one process of it that nobody waits for.
            memory: limits.memory_bytes.is_some_and(|bytes| {
                let limited = set("memory.max", bytes.to_string()) && set("memory.oom.group", "1".to_owned());
                // Swap is no way around it; a kernel without swap accounting has no such file.
                limited && (set("memory.swap.max", "0".to_owned()) || !path.join("memory.swap.max").exists())
            }),
            pids: limits.pids.is_some_and(|pids| set("pids.max", pids.to_string())),
        };
        Ok((Self { path }, held))
    }

    /// One that was made before.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For a process that is born in it.
    pub fn open(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.path, flags, Mode::empty())
            .map_err(|errno| Error::file("open the cgroup", &self.path)(errno.into()))
    }

    /// Kills everything in it at once, also what is being forked, stopped or frozen.
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    /// Whether a process lives in it or below.
    pub fn is_populated(&self) -> bool {
        let events = fs::read_to_string(self.path.join("cgroup.events")).unwrap_or_default();
        count(&events, "populated").is_some_and(|populated| populated > 0)
    }

    /// The processes in it.
    pub fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }

    /// How often the kernel has killed in it for memory; none where it does not count.
    pub fn oom_kills(&self) -> Option<u64> {
        count(&fs::read_to_string(self.path.join("memory.events")).ok()?, "oom_kill")
    }

    /// Removes it when it is empty, with cgroups that the run made in it.
    pub fn remove(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                Self::at(entry.path()).remove();
            }
        }
        // One that is not empty yet is in use; the next start of the worker tries again.
        drop(fs::remove_dir(&self.path));
    }
}

/// Removes what shims of an earlier time left empty below `base`. A cgroup younger than an hour may belong
/// to a run that is just being started.
pub fn sweep(base: &Path) {
    const OLD: std::time::Duration = std::time::Duration::from_secs(3600);
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
        let ours = entry.file_name().to_string_lossy().starts_with("run-");
        let cgroup = Cgroup::at(entry.path());
        if ours && age.is_some_and(|age| age > OLD) && !cgroup.is_populated() {
            cgroup.remove();
        }
    }
}

/// A count of a cgroup's flat-keyed file, such as `oom_kill 2`.
fn count(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_among_others_and_its_counts_are_read_by_whole_keys() {
        let v1 = "30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu";
        let v2 = "40 29 0:35 /part /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(hierarchy(v1), None);
        let want = (PathBuf::from("/part"), PathBuf::from("/sys/fs/cgroup/unified"));
        assert_eq!(hierarchy(v2), Some(want));
        let events = "low 0\nhigh 0\nmax 41\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!((count(events, "oom_kill"), count(events, "oom")), (Some(2), Some(3)));
        assert_eq!((count(events, "populated"), count("", "oom_kill")), (None, None));
    }

    #[test]
    fn our_own_services_cgroup_hands_no_controllers_on_so_that_the_service_can_be_started_beside_its_runs() {
        for (place, is_written) in [(Place::Own, false), (Place::Given, true)] {
            let folder = tempfile::tempdir().expect("a folder");
            // A folder is no cgroup: it has nothing to kill by, and its files are whatever is written.
            assert!(make_base(folder.path(), place).is_err());
            assert_eq!(folder.path().join("cgroup.subtree_control").exists(), is_written, "{place:?}");
        }
    }

    #[test]
    fn whoever_looks_at_the_same_time_finds_the_same() {
        // Without a hierarchy that may be written to, all must find that.
        let alone = base().ok();
        let look = || (0..25).map(|_| base().ok()).collect::<Vec<_>>();
        let found = std::thread::scope(|scope| {
            let looks: Vec<_> = (0..8).map(|_| scope.spawn(look)).collect();
            looks.into_iter().flat_map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(found.iter().all(|one| *one == alone), "{alone:?}, and at once {found:?}");
    }

    #[test]
    fn the_kernel_says_what_a_cgroup_was_killed_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let cgroup = Cgroup::at(folder.path().to_owned());
        assert_eq!((cgroup.oom_kills(), cgroup.is_populated()), (None, false));
        fs::write(folder.path().join("memory.events"), "oom 1\noom_kill 1\n").expect("a file");
        fs::write(folder.path().join("cgroup.events"), "populated 1\nfrozen 0\n").expect("a file");
        assert_eq!((cgroup.oom_kills(), cgroup.is_populated()), (Some(1), true));
    }
}
