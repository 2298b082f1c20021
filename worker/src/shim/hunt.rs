//! What a vanished shim leaves is found and ended (I8): by its cgroup, by its environment, and below what is
//! found so. Never touches what was started from another folder, whatever key it has: two workers of one
//! machine leave each other alone.

use super::control::{self, identify};
use super::record::{Identity, Place};
use super::spec::Spec;
use super::tree;
use crate::durable;
use crate::procfs::{self, Stat};
use crate::sandbox::Cgroup;
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use windlass_shared::attempt::AttemptKey;

/// The variable in a run's environment that holds its attempt: how its leftovers are found.
pub const ATTEMPT_VARIABLE: &str = "WINDLASS_ATTEMPT";
/// The one that leads to its attempt's folder.
const RESULTS_VARIABLE: &str = "WINDLASS_RESULTS";
/// How long leftovers are hunted in one go.
const HUNT: Duration = Duration::from_secs(5);
/// Between blows.
const PAUSE: Duration = Duration::from_millis(5);
/// So many looks in a row must find nothing: a process shows no environment while it becomes another program.
const LOOKS: u32 = 3;

/// Ends the shim in `dir`, if one lives there, and its run with it: of an attempt that nobody can say
/// anything about.
pub fn end_unknown(dir: &Path) {
    let identity = durable::read::<Identity>(&dir.join(Identity::FILE)).ok().flatten();
    let spec = durable::read::<Spec>(&dir.join(Spec::FILE)).ok().flatten();
    let Some(shim) = identity.as_ref().and_then(|identity| identify(dir, identity)) else { return };
    // It ends in between at worst, which is what is wanted.
    let _ = control::kill(&shim);
    if let Some(spec) = spec {
        end_without(dir, identity.as_ref(), &spec.key);
    }
}

/// Ends the run of `dir` whose shim is gone, by whatever contained it, and then by its environment (I8).
/// Returns how many processes it saw; blocks until none is left in the machine's table, at most some seconds.
pub fn end_without(dir: &Path, identity: Option<&Identity>, key: &AttemptKey) -> usize {
    let mut prey = Prey::default();
    let place = Place::of(dir);
    let own = identity.filter(|identity| place.is_some_and(|place| identity.is_at(place)));
    if let Some(path) = own.and_then(|identity| identity.cgroup.clone()) {
        // Its guardian does the same; whichever comes second finds nothing.
        let cgroup = Cgroup::at(path);
        prey.end(|| {
            let members = cgroup.processes();
            if cgroup.is_populated() {
                let _ = cgroup.kill();
            }
            members.into_iter().filter_map(procfs::stat).collect()
        });
        cgroup.remove();
    }
    prey.end(|| leftovers(dir, key));
    prey.seen.len()
}

/// All that was ever seen of one hunt: a process that is just ending shows neither its environment nor its
/// cgroup any more, and has its GPU open still.
#[derive(Default)]
struct Prey {
    seen: BTreeMap<(i32, u64), Stat>,
}

impl Prey {
    /// Kills what `look` finds until it finds nothing and all that was seen has left.
    fn end(&mut self, look: impl Fn() -> Vec<Stat>) {
        let until = Instant::now() + HUNT;
        let mut empty = 0;
        while empty < LOOKS {
            let found = look();
            let number = |stat: &Stat| (stat.pid.as_raw_nonzero().get(), stat.start_ticks);
            self.seen.extend(found.iter().map(|stat| (number(stat), *stat)));
            let living: Vec<Stat> = self.seen.values().filter(|stat| lives(stat)).copied().collect();
            empty = if living.is_empty() { empty + 1 } else { 0 };
            if Instant::now() > until {
                return;
            }
            for stat in &living {
                tree::kill_one(stat, Signal::KILL);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether this very process is in the table still, and not merely waiting to be reaped.
fn lives(seen: &Stat) -> bool {
    procfs::stat(seen.pid).is_some_and(|now| now.start_ticks == seen.start_ticks && now.state != b'Z')
}

/// The processes with this attempt in their environment, and all that is below them.
fn leftovers(dir: &Path, key: &AttemptKey) -> Vec<Stat> {
    let variable = format!("{ATTEMPT_VARIABLE}={key}");
    let all: Vec<Stat> = procfs::all().filter_map(procfs::stat).filter(|stat| stat.state != b'Z').collect();
    let is_left = |stat: &&Stat| {
        // The start is looked at again before a signal: by then it is known that both were one process.
        procfs::environment_has(stat.pid, &variable) && !is_of_another(dir, stat.pid)
    };
    let own: Vec<Stat> = all.iter().filter(is_left).copied().collect();
    let below = own.iter().flat_map(|stat| tree::below(&all, stat.pid));
    own.iter().copied().chain(below).collect()
}

/// Whether a process says that it belongs to another folder that is there.
fn is_of_another(dir: &Path, pid: Pid) -> bool {
    let Some(results) = procfs::environment_value(pid, RESULTS_VARIABLE) else { return false };
    let folder = Path::new(&results).parent().map(Path::to_owned).unwrap_or_default();
    if folder == dir {
        return false;
    }
    // A work folder that was moved is not there any more under its old name.
    Place::of(&folder).is_some_and(|place| Some(place) != Place::of(dir))
}
