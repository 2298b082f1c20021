//! What a tree of processes uses, from `/proc`: at the cost of the tree, not of the machine.

use crate::procfs;
use rustix::process::Pid;
use std::fs;
use std::io;

/// Processes of one tree that are counted: a fork storm must not make looking at it dear.
const PROCESSES_MAX: usize = 4096;

/// What a tree has used so far, and holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// CPU time of the living and of the dead that were waited for, clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Read from and written to disks, when all of the tree can be asked.
    pub disk_bytes: Option<(u64, u64)>,
    /// The living, the root left out.
    pub pids: Vec<Pid>,
}

/// The tree below `root`, a shim: of itself only what its dead children used counts. None when it is gone.
pub(super) fn usage(root: Pid) -> Option<Usage> {
    let dead = times(root)?.1;
    let mut usage = Usage { cpu_ticks: dead, disk_bytes: disk(root).ok(), ..Usage::default() };
    let mut next = children(root);
    while let Some(pid) = next.pop() {
        let Some((own, dead)) = times(pid) else { continue };
        usage.cpu_ticks += own + dead;
        usage.memory_bytes += resident_bytes(pid).unwrap_or(0);
        usage.disk_bytes = match (usage.disk_bytes, disk(pid)) {
            (Some((read, written)), Ok((more_read, more_written))) => {
                Some((read + more_read, written + more_written))
            }
            // Ended in between.
            (sum, Err(error)) if error.kind() == io::ErrorKind::NotFound => sum,
            _ => None,
        };
        usage.pids.push(pid);
        if usage.pids.len() >= PROCESSES_MAX {
            break;
        }
        next.extend(children(pid));
    }
    Some(usage)
}

/// A process's children, by whichever of its threads. The kernel keeps the list; where it has none, every
/// process is asked for its parent.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for task in tasks {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => {
                found.extend(text.split_ascii_whitespace().filter_map(|it| Pid::from_raw(it.parse().ok()?)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && task.path().exists() => {
                let own = pid.as_raw_nonzero().get();
                let stats = procfs::all().filter_map(procfs::stat);
                return stats.filter(|stat| stat.parent == own).map(|stat| stat.pid).collect();
            }
            // The thread has ended.
            Err(_) => {}
        }
    }
    found
}

/// CPU time of a process, and of its dead children, clock ticks.
fn times(pid: Pid) -> Option<(u64, u64)> {
    let text = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    // Fields 14 to 17 of the whole line; the rest begins with field 3.
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let mut field = || fields.next()?.ok();
    let (user, system, dead_user, dead_system) = (field()?, field()?, field()?, field()?);
    Some((user + system, dead_user + dead_system))
}

fn resident_bytes(pid: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn disk(pid: Pid) -> io::Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{}/io", pid.as_raw_nonzero()))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    field("read_bytes:").zip(field("write_bytes:")).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The machine's CPUs since boot, clock ticks: busy, and all.
pub(super) fn machine_ticks() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user.
    let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|it| it.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

/// Milliseconds since a process started, by the clock that no one sets.
pub(super) fn age_ms(start_ticks: u64) -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    let began = start_ticks as f64 / ticks_per_second() as f64;
    Some(((seconds - began).max(0.0) * 1000.0) as u64)
}

/// The kernel's unit of CPU time.
pub(super) fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_tree_is_counted_with_its_grandchildren_and_its_dead() {
        let script =
            "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; sh -c 'echo ready; read x; :' & wait";
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec 3<&0; {}", script.replace("read x", "read x <&3"))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut word = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut word).expect("a word");
        let root = Pid::from_child(&child);
        let usage = usage(root).expect("it lives");
        assert_eq!(usage.pids.len(), 1, "{usage:?}");
        assert!(usage.cpu_ticks > 0 && usage.memory_bytes > 0 && usage.disk_bytes.is_some(), "{usage:?}");
        drop(child.stdin.take());
        child.wait().expect("ours");
        assert_eq!(super::usage(root), None, "gone");
    }

    #[test]
    fn the_machine_says_how_busy_it_is() {
        let (busy, all) = machine_ticks().expect("Linux");
        assert!(0 < busy && busy < all);
        let own = procfs::stat(rustix::process::getpid()).expect("we live");
        assert!(age_ms(own.start_ticks).expect("Linux") < 3_600_000);
    }
}
