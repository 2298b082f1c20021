//! Limits that no kernel holds for this run are looked at by its shim: memory, number of processes, disk. A
//! run that is over one is ended whole. Costs nothing where nothing is limited.

use super::tree;
use crate::procfs;
use crate::sandbox::{Cgroup, Held};
use rustix::process::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windlass_engine::attempt::Exceeded;
use windlass_shared::attempt::DiskUse;
use windlass_shared::machine::Limits;

/// Between looks at processes: what a run can take more than it may is what it takes in this time.
const PROCESSES_EVERY: Duration = Duration::from_millis(250);
/// Between looks at the disk, at least; a look that takes long is made more rarely.
const DISK_EVERY: Duration = Duration::from_millis(250);
/// A look takes at most this part of the time.
const DISK_SHARE: u32 = 20;

/// What is looked at, and when next.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    folders: Vec<PathBuf>,
    before_bytes: u64,
    processes_at: Option<Instant>,
    disk_at: Option<Instant>,
    /// What the look found that said [`Exceeded::Disk`].
    found: Option<DiskUse>,
}

impl Watch {
    /// Of a run that is about to start, over what the kernel does not hold. `folders` are what it writes to.
    pub fn new(limits: Limits, held: Held, folders: &[PathBuf]) -> Self {
        let limits = Limits {
            memory_bytes: limits.memory_bytes.filter(|_| !held.memory),
            pids: limits.pids.filter(|_| !held.pids),
            ..limits
        };
        let now = Instant::now();
        let folders = folders.to_vec();
        Self {
            before_bytes: limits.disk_bytes.map_or(0, |_| used_bytes(&folders)),
            processes_at: (limits.memory_bytes.is_some() || limits.pids.is_some()).then_some(now),
            disk_at: limits.disk_bytes.map(|_| now + DISK_EVERY),
            limits,
            folders,
            found: None,
        }
    }

    /// When it looks next.
    pub fn next(&self) -> Option<Instant> {
        self.processes_at.into_iter().chain(self.disk_at).min()
    }

    /// Looks at what is due.
    pub fn look(&mut self, cgroup: Option<&Cgroup>) -> Option<Exceeded> {
        let now = Instant::now();
        if self.processes_at.is_some_and(|at| at <= now) {
            self.processes_at = Some(now + PROCESSES_EVERY);
            let processes = members(cgroup);
            if self.limits.pids.is_some_and(|most| threads(&processes) > u64::from(most)) {
                return Some(Exceeded::Processes);
            }
            if self.limits.memory_bytes.is_some_and(|most| is_over(&processes, most)) {
                return Some(Exceeded::Memory);
            }
        }
        if self.disk_at.is_some_and(|at| at <= now) {
            self.found = self.over_disk();
            self.disk_at = Some(Instant::now() + DISK_EVERY.max(now.elapsed() * DISK_SHARE));
            if self.found.is_some() {
                return Some(Exceeded::Disk);
            }
        }
        None
    }
}

impl Watch {
    /// By how much the run is over its disk, once a look has found that.
    pub fn found(&self) -> Option<DiskUse> {
        self.found
    }

    /// What the run has added to its folders by now, if that is more than it may. Whole folders count and not
    /// single files: a file with holes may seem as large as it likes, and many small ones may not.
    pub fn over_disk(&self) -> Option<DiskUse> {
        let limit_bytes = self.limits.disk_bytes?;
        let used_bytes = used_bytes(&self.folders).saturating_sub(self.before_bytes);
        (used_bytes > limit_bytes).then_some(DiskUse { used_bytes, limit_bytes })
    }
}

/// The run's processes.
fn members(cgroup: Option<&Cgroup>) -> Vec<Pid> {
    match cgroup {
        Some(cgroup) => cgroup.processes(),
        None => tree::descendants(rustix::process::getpid()).iter().map(|stat| stat.pid).collect(),
    }
}

fn threads(processes: &[Pid]) -> u64 {
    processes.iter().filter_map(|&pid| procfs::threads(pid)).sum()
}

/// Resident memory counts what processes share once for each of them, so that the fair share decides; it
/// costs more, and is asked for only when the first is over.
fn is_over(processes: &[Pid], most: u64) -> bool {
    let resident: u64 = processes.iter().filter_map(|&pid| procfs::resident_bytes(pid)).sum();
    resident > most && processes.iter().filter_map(|&pid| procfs::fair_bytes(pid)).sum::<u64>() > most
}

/// What the folders take on the disk. Links are not followed, and what vanishes meanwhile takes nothing.
fn used_bytes(folders: &[PathBuf]) -> u64 {
    let mut walk = folders.to_vec();
    let mut bytes = 0;
    while let Some(path) = walk.pop() {
        let Ok(kind) = fs::symlink_metadata(&path) else { continue };
        // The kernel counts in pieces of 512 bytes, whatever the file system's own.
        bytes += kind.blocks() * 512;
        if kind.is_dir() {
            walk.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_looked_at_for_what_a_run_adds_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("own");
        fs::create_dir_all(own.join("deep")).expect("a folder");
        fs::write(folder.path().join("big"), vec![1; 1 << 20]).expect("a file");
        let limits = Limits { disk_bytes: Some(100_000), ..Limits::default() };
        let mut watch = Watch::new(limits, Held::default(), std::slice::from_ref(&own));
        std::os::unix::fs::symlink(folder.path(), own.join("deep/up")).expect("a link");
        watch.disk_at = Some(Instant::now());
        assert_eq!(watch.look(None), None);
        fs::write(own.join("deep/file"), vec![1; 200_000]).expect("a file");
        watch.disk_at = Some(Instant::now());
        assert_eq!(watch.look(None), Some(Exceeded::Disk));
        let over = watch.over_disk().expect("it is over");
        assert!(over.limit_bytes == 100_000 && (200_000..250_000).contains(&over.used_bytes), "{over:?}");
    }

    #[test]
    fn what_the_kernel_holds_and_what_is_not_limited_is_not_looked_at() {
        let all = Limits { memory_bytes: Some(1), pids: Some(1), ..Limits::default() };
        let held = Held { memory: true, pids: true };
        assert_eq!(Watch::new(all, held, &[]).next(), None);
        assert_eq!(Watch::new(Limits::default(), Held::default(), &[]).next(), None);
        let mut watch = Watch::new(all, Held { memory: false, pids: true }, &[]);
        assert!(watch.next().is_some());
        // Nothing of this test's process is a run's.
        assert_eq!(watch.look(Some(&Cgroup::at("/absent".into()))), None);
    }
}
