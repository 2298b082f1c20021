//! The process tree below a subreaper: found by parents in `/proc`, killed until nothing is left.
//! Never signals a process that is not a descendant.

use crate::procfs::{self, Stat};
use rustix::process::{self, Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two blows.
const BLOW_PAUSE: Duration = Duration::from_millis(2);

/// Every living descendant of `root`, parents before children. Orphans are there too: the subreaper is
/// their parent.
pub fn descendants(root: Pid) -> Vec<Stat> {
    below(&procfs::all().filter_map(procfs::stat).collect::<Vec<_>>(), root)
}

/// The same among processes that were looked at before.
pub fn below(all: &[Stat], root: Pid) -> Vec<Stat> {
    let mut children: BTreeMap<i32, Vec<Stat>> = BTreeMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(*stat);
    }
    let mut found = Vec::new();
    let mut next = vec![root.as_raw_nonzero().get()];
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            next.push(child.pid.as_raw_nonzero().get());
            if child.state != b'Z' {
                found.push(child);
            }
        }
    }
    found
}

/// One blow at everything below `root`, `spared` and its own left out. Groups first: a signal to a group
/// reaches a process that is being forked at that very moment. The groups lie in sessions that the tree
/// made, so nobody else is in them; `root`'s own group is left out.
pub fn kill(root: Pid, spared: Option<Pid>) {
    let mut members = descendants(root);
    members.retain(|stat| Some(stat.pid) != spared);
    let own = process::getpgid(None).map_or(0, |pid| pid.as_raw_nonzero().get());
    let groups: BTreeSet<i32> =
        members.iter().map(|stat| stat.group).filter(|&group| group > 1 && group != own).collect();
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        // It may be gone by now, which is what is wanted.
        let _ = process::kill_process_group(group, Signal::KILL);
    }
    for member in &members {
        kill_one(member, Signal::KILL);
    }
}

/// Kills and reaps everything below this process but `spared`; returns when nothing is left.
pub fn end(spared: Option<Pid>) {
    let own = process::getpid();
    // Nobody's status is asked for: our own pid is never a child's.
    while !reap(own).empty {
        kill(own, spared);
        std::thread::sleep(BLOW_PAUSE);
    }
}

/// Signals exactly the process that was seen: a pid that was recycled meanwhile has another start.
pub fn kill_one(seen: &Stat, signal: Signal) {
    let Ok(pidfd) = process::pidfd_open(seen.pid, PidfdFlags::empty()) else { return };
    if procfs::stat(seen.pid).is_some_and(|now| now.start_ticks == seen.start_ticks) {
        // It may be gone by now, which is what is wanted.
        let _ = process::pidfd_send_signal(&pidfd, signal);
    }
}

/// What reaping found.
#[derive(Debug)]
pub struct Reaped {
    /// The status of the one process that was asked for, if it ended now.
    pub status: Option<WaitStatus>,
    /// No child is left, so no descendant is: orphans would be ours.
    pub empty: bool,
}

/// Reaps all dead children without waiting.
pub fn reap(watched: Pid) -> Reaped {
    let mut status = None;
    loop {
        match process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, ended))) if pid == watched => status = Some(ended),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Reaped { status, empty: false },
            Err(_) => return Reaped { status, empty: true },
        }
    }
}
