//! What this machine can do around a run, found out by trying it once at the daemon's start, in a small
//! process of its own: a daemon with threads cannot try what a shim will do.

use super::{cgroup, landlock};
use crate::shim;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use windlass_shared::machine::{Containment, Isolation};

/// Forces one containment. For tests, and for operators who know better.
const CONTAINMENT_VARIABLE: &str = "WINDLASS_CONTAINMENT";
/// How long the trying may take. A kernel that answers at all does so within milliseconds; a machine that is
/// just being filled with work takes longer, and would find itself weaker than it is.
const PROBE_MAX: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The cgroup below which runs get theirs, where one can be killed whole.
    pub cgroups: Option<PathBuf>,
    /// Whether a pid namespace can be made.
    pub pid_namespace: bool,
    /// The kernel's version of Landlock; 0 without it.
    pub landlock: u32,
    /// bubblewrap, where it can make its namespaces.
    pub bubblewrap: Option<PathBuf>,
    /// Why something is not there, by its name.
    pub problems: BTreeMap<String, String>,
    /// The containment that was forced.
    pub forced: Option<Containment>,
}

impl Machine {
    /// Tries everything; `exe` is this very binary. Blocks for some milliseconds.
    pub fn probe(exe: &Path) -> Self {
        let mut machine = ask(exe).unwrap_or_else(|problem| {
            let names = ["cgroup", "pid_namespace", "landlock", "bubblewrap"];
            let problems = names.map(|name| (name.to_owned(), problem.clone()));
            Self { problems: BTreeMap::from(problems), ..Self::default() }
        });
        machine.forced = std::env::var(CONTAINMENT_VARIABLE).ok().and_then(|word| {
            let all = [Containment::Cgroup, Containment::PidNamespace, Containment::Subreaper];
            let found = all.into_iter().find(|one| one.as_str() == word);
            if found.is_none() {
                tracing::warn!(word, "{CONTAINMENT_VARIABLE} names no containment and is not heeded");
            }
            found
        });
        machine
    }

    /// The shim's side of it: really makes, uses and removes each thing.
    pub fn here() -> Self {
        let mut machine = Self { landlock: landlock::abi(), ..Self::default() };
        if machine.landlock < landlock::ABI_MIN {
            let least = landlock::ABI_MIN;
            let problem = format!("the kernel has Landlock version {}, {least} is needed", machine.landlock);
            machine.problems.insert("landlock".to_owned(), problem);
        }
        match cgroup::base().and_then(|base| shim::try_cgroup(&base).map(|()| base)) {
            Ok(base) => machine.cgroups = Some(base),
            Err(problem) => drop(machine.problems.insert("cgroup".to_owned(), problem)),
        }
        match shim::try_pid_namespace() {
            Ok(()) => machine.pid_namespace = true,
            Err(problem) => drop(machine.problems.insert("pid_namespace".to_owned(), problem)),
        }
        match bubblewrap() {
            Ok(path) => machine.bubblewrap = Some(path),
            Err(problem) => drop(machine.problems.insert("bubblewrap".to_owned(), problem)),
        }
        machine
    }

    /// The levels that it can give.
    pub fn levels(&self) -> Vec<Isolation> {
        let all = [Isolation::None, Isolation::Guarded, Isolation::Sealed];
        all.into_iter().filter(|&level| self.lacks(level).is_none()).collect()
    }

    /// Why a level is not to be had, and what its owner can do; nothing when it is.
    pub fn lacks(&self, level: Isolation) -> Option<(String, &'static str)> {
        let (name, there, remedy) = match level {
            Isolation::None => return None,
            Isolation::Guarded => (
                "landlock",
                self.landlock >= landlock::ABI_MIN,
                "boot a kernel from 6.2 on with Landlock among its `lsm=`, or ask for `sandbox: none`",
            ),
            Isolation::Sealed => (
                "bubblewrap",
                self.bubblewrap.is_some(),
                "install bubblewrap and allow user namespaces, or ask for `sandbox: guarded`",
            ),
        };
        let problem = || self.problems.get(name).cloned().unwrap_or_else(|| format!("there is no {name}"));
        (!there).then(|| (problem(), remedy))
    }

    /// The strongest containment, or the one that was forced.
    pub fn containment(&self) -> Containment {
        let strongest = match (&self.cgroups, self.pid_namespace) {
            (Some(_), _) => Containment::Cgroup,
            (None, true) => Containment::PidNamespace,
            (None, false) => Containment::Subreaper,
        };
        self.forced.unwrap_or(strongest)
    }
}

fn ask(exe: &Path) -> Result<Machine, String> {
    let mut probe = Command::new(exe)
        .arg(shim::PROBE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the probe did not start: {error}"))?;
    if !ended_within(&mut probe, PROBE_MAX) {
        drop(probe.kill().and_then(|()| probe.wait()));
        return Err("the kernel does not answer the probe".to_owned());
    }
    let mut answer = Vec::new();
    // It has ended, and what it says fits into a pipe.
    let read = probe.stdout.take().map(|mut stdout| stdout.read_to_end(&mut answer));
    drop(read);
    serde_json::from_slice(&answer).map_err(|error| format!("the probe's answer is unreadable: {error}"))
}

fn ended_within(child: &mut Child, time: Duration) -> bool {
    let until = Instant::now() + time;
    while !child.try_wait().is_ok_and(|ended| ended.is_some()) {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// bubblewrap, tried out with the namespaces that a sealed run gets.
fn bubblewrap() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let found = std::env::split_paths(&path).map(|folder| folder.join("bwrap")).find(|path| path.is_file());
    let bwrap = found.ok_or("bubblewrap (bwrap) is not installed")?;
    let mut tried = Command::new(&bwrap)
        .args(["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts"])
        .args(["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("bubblewrap does not start: {error}"))?;
    if !ended_within(&mut tried, PROBE_MAX / 2) {
        drop(tried.kill().and_then(|()| tried.wait()));
        return Err("bubblewrap does not end".to_owned());
    }
    if tried.wait().is_ok_and(|status| status.success()) {
        return Ok(bwrap);
    }
    let mut said = String::new();
    let _ = tried.stderr.take().map(|stderr| stderr.take(500).read_to_string(&mut said));
    Err(format!("bubblewrap cannot make its namespaces: {}", said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_that_is_there_is_chosen_and_what_is_lacking_is_named_with_a_remedy() {
        let bare = Machine::default();
        assert_eq!((bare.levels(), bare.containment()), (vec![Isolation::None], Containment::Subreaper));
        let spaces = Machine { pid_namespace: true, landlock: 3, ..Machine::default() };
        assert_eq!(spaces.levels(), [Isolation::None, Isolation::Guarded]);
        assert_eq!(spaces.containment(), Containment::PidNamespace);
        let all = Machine { cgroups: Some("/c".into()), bubblewrap: Some("/b".into()), ..spaces.clone() };
        assert_eq!(all.levels().last(), Some(&Isolation::Sealed));
        assert_eq!(all.containment(), Containment::Cgroup);
        let forced = Machine { forced: Some(Containment::Subreaper), ..all };
        assert_eq!(forced.containment(), Containment::Subreaper);
        let (problem, remedy) = bare.lacks(Isolation::Sealed).expect("it lacks bubblewrap");
        assert!(problem.contains("bubblewrap") && remedy.contains("install bubblewrap"));
        let old = Machine { landlock: 2, ..Machine::default() };
        assert!(old.lacks(Isolation::Guarded).is_some() && old.lacks(Isolation::None).is_none());
    }
}
