//! The walls of `guarded`: Landlock rules for the files, no capabilities, no new privileges. Asked for as a
//! hard requirement: a kernel that lacks one of them fails the start, and nothing is run with less.
//!
//! Landlock allows; it has no word for "all but". What may be read is therefore found by walking from `/`
//! towards the hidden folders and allowing everything beside the way.

use super::walls::Walls;
use crate::error::Error;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::fs;
use std::path::{Path, PathBuf};

/// Before this version a file outside could be truncated.
pub const ABI_MIN: u32 = 3;
/// From this one on, signals and abstract sockets stay among the run's own processes.
pub const ABI_SCOPES: u32 = 6;
/// The newest version that the rules make use of: from 9 on, sockets in hidden folders are out of reach.
const ABI_KNOWN: u32 = 9;
/// What one walk may allow: far beyond the entries of any sensible way to a work folder. Each costs some
/// microseconds at every start.
const RULES_MAX: usize = 20_000;
/// Devices that do no harm, and the folders of terminals and shared memory.
const DEVICES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
];

/// The kernel's version of Landlock; 0 without it.
#[expect(unsafe_code, reason = "the version is asked for by a call that no safe wrapper shows")]
pub fn abi() -> u32 {
    const VERSION: libc::c_ulong = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no attributes and only answers a number.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) };
    u32::try_from(answer).unwrap_or(0)
}

/// Shuts this process in, for good, with all that it will start.
pub fn shut_in(walls: &Walls) -> Result<(), Error> {
    let version = abi();
    if version < ABI_MIN {
        return Err(Error::Landlock { problem: format!("the kernel has version {version} of it") });
    }
    let rules = rules(walls, version)?;
    drop_capabilities()?;
    // It renounces new privileges first: without that the kernel lets nobody shut himself in.
    rules.restrict_self().map(drop).map_err(refused)
}

fn rules(walls: &Walls, version: u32) -> Result<RulesetCreated, Error> {
    // The version that the rules were written for, or the kernel's where that is older.
    let abi = ABI::from(i32::try_from(version.min(ABI_KNOWN)).unwrap_or(0));
    // What can be opened may be asked anything: GPUs are used that way.
    let handled = AccessFs::from_all(abi) & !AccessFs::IoctlDev;
    // Sockets of others are reached where files may be read: not the coordinator's, in its data folder.
    let read = (AccessFs::from_read(abi) | AccessFs::ResolveUnix) & handled;
    // A run makes no device nodes.
    let write = handled & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(handled)
        .map_err(refused)?;
    if version >= ABI_SCOPES {
        ruleset = ruleset.scope(Scope::Signal | Scope::AbstractUnixSocket).map_err(refused)?;
    }
    let mut rules = ruleset.create().map_err(refused)?;
    for path in readable(&walls.hidden)? {
        rules = allow(rules, &path, read)?;
    }
    for path in &walls.read {
        rules = allow(rules, path, read)?;
    }
    let devices = DEVICES.iter().map(PathBuf::from).chain(walls.devices.iter().cloned());
    for path in devices.chain(walls.write.iter().cloned()) {
        rules = allow(rules, &path, write)?;
    }
    Ok(rules)
}

/// Adds a rule. What is not there needs none; what is a link is allowed by its target's own rule.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, Error> {
    let Some(fd) = open(path)? else { return Ok(rules) };
    let kind = rustix::fs::fstat(&fd).map_err(|errno| Error::file("look at", path)(errno.into()))?;
    let kind = rustix::fs::FileType::from_raw_mode(kind.st_mode);
    let access = match kind {
        rustix::fs::FileType::Directory => access,
        rustix::fs::FileType::Symlink => return Ok(rules),
        // A file has no entries to make or remove.
        _ => access & AccessFs::from_file(ABI::V9),
    };
    rules.add_rule(PathBeneath::new(fd, access)).map_err(refused)
}

fn open(path: &Path) -> Result<Option<OwnedFd>, Error> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // Gone since it was listed, or closed to us anyway.
        Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(Error::file("open for a rule", path)(errno.into())),
    }
}

/// Everything but `hidden`: the whole of `/` where nothing is, else the entries beside each step of the way
/// to a hidden folder.
fn readable(hidden: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    // A way through links would not be the way that is walked.
    let hidden: Vec<PathBuf> =
        hidden.iter().map(|path| path.canonicalize().unwrap_or(path.clone())).collect();
    let mut found = Vec::new();
    let mut walk = vec![PathBuf::from("/")];
    while let Some(path) = walk.pop() {
        if hidden.contains(&path) {
            continue;
        }
        if hidden.iter().any(|one| one.starts_with(&path)) {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            walk.extend(entries.map(|entry| entry.path()));
        } else {
            found.push(path.clone());
        }
        if found.len() + walk.len() > RULES_MAX {
            return Err(Error::Landlock {
                problem: format!(
                    "there are more than {RULES_MAX} entries beside the way to the data folders; move them \
                     out of such a crowded place as {}",
                    path.display()
                ),
            });
        }
    }
    Ok(found)
}

/// A root's run keeps what its files need and nothing that reaches the machine. It reads whatever root reads (a
/// data set in a closed home), and writes as everybody does: frozen files are laid read-only, which holds for
/// root as well without the right to override modes. Landlock has no word for that: who may write a new file
/// into a folder may write to every file in it.
fn drop_capabilities() -> Result<(), Error> {
    let kept = CapabilitySet::CHOWN
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::IPC_LOCK
        | CapabilitySet::SYS_NICE;
    let failed = || Error::system("drop capabilities");
    let own = rustix::thread::capabilities(None).map_err(failed())?;
    if own.permitted.is_empty() {
        return Ok(());
    }
    for one in CapabilitySet::all().iter().filter(|&one| !kept.contains(one)) {
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // One that this kernel does not know is not had either.
            Ok(()) | Err(Errno::INVAL) => {}
            // Without the right to narrow the bound, no new privileges keeps exec from widening the rest.
            Err(Errno::PERM) => break,
            Err(errno) => return Err(failed()(errno)),
        }
    }
    let sets = CapabilitySets {
        effective: own.effective & kept,
        permitted: own.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed())
}

fn refused(error: landlock::RulesetError) -> Error {
    Error::Landlock { problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_beside_the_way_to_a_hidden_folder_may_be_read_and_the_way_itself_may_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it is there");
        for path in ["home/data/worker", "home/data/beside", "home/code"] {
            fs::create_dir_all(root.join(path)).expect("a folder");
        }
        fs::write(root.join("home/code/secrets.env"), "A=1").expect("a file");
        std::os::unix::fs::symlink(root.join("home/data/worker"), root.join("way in")).expect("a link");
        fs::write(root.join("home/code/train.py"), "").expect("a file");
        let secrets = root.join("home/code/secrets.env");
        let hidden = [root.join("home/data/worker"), root.join("way in"), secrets];
        let found = readable(&hidden).expect("few entries");
        let has = |path: &str| found.contains(&root.join(path));
        assert!(has("home/data/beside") && has("home/code/train.py"));
        assert!(!has("home/code") && !has("home/code/secrets.env"), "a file is kept out as well");
        assert!(!has("home/data/worker") && !has("home/data") && !has("home") && !has(""));
        assert!(found.contains(&PathBuf::from("/usr")));
        assert_eq!(readable(&[]).expect("nothing hidden"), [PathBuf::from("/")]);
    }
}
