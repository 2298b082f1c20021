//! What a backup, restore or collection that was not done means to its caller.

use windlass_coordinator::upkeep::Error as Upkeep;
use windlass_shared::refusal::ExitCode as Code;

/// Its exit code.
pub(super) fn code(problem: &Upkeep) -> Code {
    match problem {
        Upkeep::NotEmpty { .. } | Upkeep::Occupied { .. } | Upkeep::Inside { .. } => Code::Usage,
        Upkeep::Foreign { .. } => Code::Usage,
        Upkeep::NoBackup { .. } => Code::NotFound,
        Upkeep::Busy { .. } => Code::Unavailable,
        _ => Code::Failed,
    }
}

/// What to do.
pub(super) fn remedy(problem: &Upkeep) -> Option<&'static str> {
    Some(match problem {
        Upkeep::NotEmpty { .. } | Upkeep::Occupied { .. } | Upkeep::Inside { .. } => {
            "give a new or empty folder"
        }
        Upkeep::Foreign { .. } => "give this ledger's backups a folder of their own",
        Upkeep::Moved { .. } => {
            "take the backup again into a new folder; a folder that was used is a data folder now"
        }
        Upkeep::Unfinished { .. } => "take it again with `windlass ledger backup` or `ledger restore`",
        Upkeep::NoBackup { .. } => "name a folder that `windlass ledger backup` has filled",
        Upkeep::Missing { .. } | Upkeep::Damaged { .. } | Upkeep::NoTree { .. } => {
            "take it from an older backup; `windlass ledger verify` looks at the rest"
        }
        Upkeep::Busy { .. } => "try again when it is over",
        _ => return None,
    })
}
