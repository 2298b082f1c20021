//! Binds a command to its CPUs: the shim binds itself, starts the command, which inherits that, and unbinds
//! itself again, so that pumping the log takes nothing from the run.

use crate::error::Error;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Binds this thread, and what it starts from now on, to `cpus`; what it was bound to before. None: nothing
/// is changed. Fails where none of them can be used: the run would stand in its neighbours' way.
pub(super) fn bind(cpus: &[u32]) -> Result<Option<CpuSet>, Error> {
    if cpus.is_empty() {
        return Ok(None);
    }
    let before = sched_getaffinity(None).map_err(Error::system("read the CPUs of the run"))?;
    let mut bound = CpuSet::new();
    for &cpu in cpus {
        if (cpu as usize) < CpuSet::MAX_CPU {
            bound.set(cpu as usize);
        }
    }
    sched_setaffinity(None, &bound).map_err(Error::system("bind the run to its CPUs"))?;
    Ok(Some(before))
}

/// Takes a binding of this thread back; children keep theirs.
pub(super) fn restore(before: Option<CpuSet>) {
    if let Some(before) = before {
        // A CPU that went offline meanwhile leaves the shim where its run is.
        let _ = sched_setaffinity(None, &before);
    }
}
