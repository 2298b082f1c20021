//! An exit record becomes exactly one ending.

use serde::{Deserialize, Serialize};
use windlass_shared::attempt::{AttemptKey, DiskUse, Ending, Memory};

/// What a shim knows when its tree is dead; written to disk before any clean-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Which attempt.
    pub key: AttemptKey,
    /// The main process's exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The gate sent SIGTERM.
    pub soft_fired: bool,
    /// The gate killed the tree.
    pub hard_fired: bool,
    /// A cancel was asked for.
    pub cancelled: bool,
    /// The kernel's out-of-memory killer was seen at work.
    pub oom_killed: bool,
    /// The command could not be started, with the reason.
    pub start_failure: Option<String>,
    /// When it started, wall time.
    pub started_wall_ms: i64,
    /// From start to the death of its tree, milliseconds.
    pub duration_ms: u64,
    /// Bytes of log kept.
    pub log_bytes: u64,
    /// Bytes of log that were cut out, 0 when it is whole.
    pub log_cut_bytes: u64,
    /// Bytes of the log that were printed by the end of the grace; none where the run had ended by then, or
    /// where passing the budget is a crash (P16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes_in_time: Option<u64>,
    /// The limit that it was killed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceeded: Option<Exceeded>,
    /// For [`Exceeded::Disk`]: by how much. Older shims do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_use: Option<DiskUse>,
}

/// A limit of the campaign that a run was killed for, or was found over at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exceeded {
    /// Host memory.
    Memory,
    /// Bytes in its folders.
    Disk,
    /// Processes and threads; the ending is a crash by SIGKILL, and the log says why.
    Processes,
}

/// The signal of a file that would grow beyond what somebody else (a batch system, the run itself) allows.
const SIGXFSZ: i32 = 25;

/// Words at the end of a failed run's log that say the GPU's memory ran out.
pub const DEVICE_MEMORY_WORDS: [&str; 3] =
    ["CUDA out of memory", "CUDA_ERROR_OUT_OF_MEMORY", "torch.OutOfMemoryError"];
/// The same of the machine's memory.
pub const HOST_MEMORY_WORDS: [&str; 4] =
    ["MemoryError", "Cannot allocate memory", "std::bad_alloc", "memory allocation of"];

/// The same of the disk.
const DISK_WORDS: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];

/// Classifies an exit. `log_end` is the end of the log, at most some kilobytes.
pub fn classify(exit: &ExitRecord, log_end: &str) -> Ending {
    if let Some(detail) = &exit.start_failure {
        return Ending::Infra { detail: detail.clone() };
    }
    if exit.cancelled {
        return Ending::Cancelled;
    }
    if exit.hard_fired {
        return Ending::HardTimeout;
    }
    // Also of one that ended by itself: what it made is more than it may leave.
    if exit.exceeded == Some(Exceeded::Disk) {
        return Ending::DiskFull { over: exit.disk_use };
    }
    if exit.soft_fired {
        return Ending::SoftTimeout;
    }
    if exit.code == Some(0) {
        return Ending::Finished;
    }
    match exit.exceeded {
        Some(Exceeded::Memory) => return Ending::OutOfMemory { memory: Memory::Host },
        Some(Exceeded::Disk | Exceeded::Processes) | None => {}
    }
    // A shell says of its child's signal what the child would have.
    if exit.signal == Some(SIGXFSZ) || exit.code == Some(128 + SIGXFSZ) {
        return Ending::DiskFull { over: None };
    }
    let says = |words: &[&str]| words.iter().any(|word| log_end.contains(word));
    if !exit.oom_killed && says(&DEVICE_MEMORY_WORDS) {
        return Ending::OutOfMemory { memory: Memory::Device };
    }
    if exit.oom_killed || says(&HOST_MEMORY_WORDS) {
        return Ending::OutOfMemory { memory: Memory::Host };
    }
    if says(&DISK_WORDS) {
        return Ending::DiskFull { over: None };
    }
    Ending::Crashed { code: exit.code, signal: exit.signal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::id::{AttemptId, FencingNumber, Incarnation};

    fn exit() -> ExitRecord {
        ExitRecord {
            key: AttemptKey {
                id: AttemptId::parse("c/1/1").expect("a literal"),
                fence: FencingNumber { incarnation: Incarnation(1), n: 1 },
            },
            code: Some(0),
            signal: None,
            soft_fired: false,
            hard_fired: false,
            cancelled: false,
            oom_killed: false,
            start_failure: None,
            started_wall_ms: 0,
            duration_ms: 0,
            log_bytes: 0,
            log_cut_bytes: 0,
            log_bytes_in_time: None,
            exceeded: None,
            disk_use: None,
        }
    }

    #[test]
    fn every_exit_has_exactly_one_ending() {
        let check = |change: fn(&mut ExitRecord), log: &str, want: Ending| {
            let mut exit = exit();
            change(&mut exit);
            assert_eq!(classify(&exit, log), want);
        };
        let crash = |code| Ending::Crashed { code: Some(code), signal: None };
        check(|_| {}, "", Ending::Finished);
        check(|e| e.code = Some(3), "boom", crash(3));
        check(
            |e| (e.code, e.signal) = (None, Some(11)),
            "",
            Ending::Crashed { code: None, signal: Some(11) },
        );
        check(
            |e| e.code = Some(1),
            "RuntimeError: CUDA out of memory.",
            Ending::OutOfMemory { memory: Memory::Device },
        );
        check(
            |e| e.code = Some(1),
            "OSError: [Errno 28] No space left on device",
            Ending::DiskFull { over: None },
        );
        check(|e| e.code = Some(1), "OSError: [Errno 27] File too large", Ending::DiskFull { over: None });
        check(
            |e| (e.code, e.signal, e.oom_killed) = (None, Some(9), true),
            "",
            Ending::OutOfMemory { memory: Memory::Host },
        );
        // A run that was killed for a limit says so, whatever its last words.
        check(
            |e| (e.code, e.signal, e.exceeded) = (None, Some(9), Some(Exceeded::Memory)),
            "CUDA out of memory",
            Ending::OutOfMemory { memory: Memory::Host },
        );
        check(
            |e| (e.signal, e.exceeded, e.code) = (Some(9), Some(Exceeded::Disk), None),
            "",
            Ending::DiskFull { over: None },
        );
        // P20: its own limit is not the machine's failure, and what it left does not count though it ended well.
        let over = DiskUse { used_bytes: 5, limit_bytes: 4 };
        let full = Ending::DiskFull { over: Some(over) };
        assert!(!full.is_infrastructure() && Ending::DiskFull { over: None }.is_infrastructure());
        check(
            |e| {
                e.exceeded = Some(Exceeded::Disk);
                e.disk_use = Some(DiskUse { used_bytes: 5, limit_bytes: 4 });
            },
            "",
            full,
        );
        check(
            |e| (e.signal, e.exceeded, e.code) = (Some(9), Some(Exceeded::Processes), None),
            "",
            Ending::Crashed { code: None, signal: Some(9) },
        );
        check(|e| (e.code, e.signal) = (None, Some(SIGXFSZ)), "", Ending::DiskFull { over: None });
        check(|e| e.code = Some(128 + SIGXFSZ), "", Ending::DiskFull { over: None });
        check(|e| (e.exceeded, e.cancelled) = (Some(Exceeded::Disk), true), "", Ending::Cancelled);
        // P16: a run ended by its gate, also when it then ends with code 0.
        check(|e| e.soft_fired = true, "", Ending::SoftTimeout);
        check(|e| (e.soft_fired, e.hard_fired) = (true, true), "", Ending::HardTimeout);
        check(|e| (e.soft_fired, e.cancelled) = (true, true), "", Ending::Cancelled);
        // Words in the log of a run that finished say nothing.
        check(|_| {}, "recovered from MemoryError", Ending::Finished);
    }
}
