//! Who is on a GPU. NVML numbers processes as the machine does; in a container, or beside one, its number
//! may name nobody here, or somebody else. Then whoever has the device node open is looked for.

use crate::procfs;
use rustix::process::Pid;
use std::fs;
use std::path::Path;

/// A process that NVML names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occupant {
    /// Its number, as NVML has it.
    pub nvml: u32,
    /// The process, where it can be seen.
    pub pid: Option<Pid>,
}

impl Occupant {
    /// Pid, user and command.
    pub fn describe(&self) -> String {
        match self.pid {
            None => format!("pid {}, not visible from here", self.nvml),
            Some(pid) if u32::try_from(pid.as_raw_nonzero().get()) == Ok(self.nvml) => procfs::describe(pid),
            Some(pid) => format!("{} (NVML calls it pid {})", procfs::describe(pid), self.nvml),
        }
    }
}

/// The process behind a number of NVML's, given the GPU's device node.
pub(super) fn find(nvml: u32, node: Option<&Path>) -> Occupant {
    let visible = i32::try_from(nvml).ok().and_then(Pid::from_raw).filter(|&pid| procfs::stat(pid).is_some());
    if let (Some(pid), Some(node)) = (visible, node)
        && has_open(pid, node)
    {
        // The usual case, which costs no walk over all processes.
        return Occupant { nvml, pid: visible };
    }
    let holders = node.map(holders).unwrap_or_default();
    let pid = match visible {
        // Nobody here is seen to have the node open (it may not be ours to see): the number stands.
        Some(pid) if holders.is_empty() => Some(pid),
        _ => {
            let named = holders.iter().find(|&&pid| procfs::numbers(pid).contains(&nvml));
            // One alone can only be it.
            named.or_else(|| holders.first().filter(|_| holders.len() == 1)).copied()
        }
    };
    Occupant { nvml, pid }
}

/// The processes that have a device node open, of those that we may look into.
pub(super) fn holders(node: &Path) -> Vec<Pid> {
    procfs::all().filter(|&pid| has_open(pid, node)).collect()
}

fn has_open(pid: Pid, node: &Path) -> bool {
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| fs::read_link(entry.path()).is_ok_and(|open| open == node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::{Child, Command, Stdio};

    /// A process that has `node` open.
    fn holding(node: &Path) -> Child {
        let file = File::open(node).expect("the node");
        Command::new("sleep").arg("600").stdin(file).stdout(Stdio::null()).spawn().expect("a process")
    }

    fn end(mut child: Child) {
        child.kill().expect("ours");
        child.wait().expect("ours");
    }

    #[test]
    fn a_number_that_names_nobody_or_somebody_else_is_resolved_by_the_open_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let node = folder.path().canonicalize().expect("a path").join("nvidia0");
        std::fs::write(&node, "").expect("a file");
        // A number that can be nobody's.
        let nobody = u32::MAX;
        assert_eq!(find(nobody, Some(&node)).pid, None);
        assert!(find(nobody, None).describe().contains("not visible from here"));
        // Nobody has it open: the visible number stands.
        let own = std::process::id();
        let own_pid = Some(rustix::process::getpid());
        assert_eq!(find(own, Some(&node)).pid, own_pid);
        assert_eq!(find(own, None).pid, own_pid);

        let one = holding(&node);
        let one_pid = Some(Pid::from_child(&one));
        assert_eq!(holders(&node), Vec::from_iter(one_pid));
        assert_eq!(find(nobody, Some(&node)).pid, one_pid);
        assert_eq!(find(own, Some(&node)).pid, one_pid, "somebody else here has that number");
        assert!(find(own, Some(&node)).describe().contains("sleep 600 (NVML calls it pid"));
        let two = holding(&node);
        assert_eq!(find(two.id(), Some(&node)).pid, Some(Pid::from_child(&two)));
        assert_eq!(find(nobody, Some(&node)).pid, None, "either could be it");
        end(one);
        end(two);
    }
}
