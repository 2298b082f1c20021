//! What to do about a refusal.

use super::Refusal;

impl Refusal {
    /// What to do about it, where there is something to say beyond the sentence itself.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Frozen { .. } => {
                "leave the file as it is, or submit a new campaign that lists it under editable_files"
            }
            Self::Finding { .. } => {
                "write it in the published shape (docs/literature.md); nothing was recorded"
            }
            Self::Undeclared { .. } => "add it to `files`, or take it out of the change",
            Self::NoChange => "give a patch or edited files that differ from the base",
            Self::Patch { .. } => {
                "make the patch against the best iteration's files (`windlass sync C` lays them out)"
            }
            Self::Anchor { .. } => {
                "cite run.log or a file that a run wrote into $WINDLASS_RESULTS (`windlass show C N` names them)"
            }
            Self::NotSimpler { .. } => "delete more than you add, or use `kind: change` with an anchor",
            Self::Lever { rule: "P6", field, .. } if field.starts_with("anchor.") => {
                "write a regular expression that finds the line, with a group around the number that `compare` is \
                 held against, such as `'loss ([0-9.]+)'` with `'< 0.1'` (docs/levers.md)"
            }
            Self::Lever { rule, .. } => return lever_remedy(rule),
            Self::Duplicate { .. } => "state `changed_assumption` if something is different now",
            Self::DuplicateQueued { .. } => "retire one of the two",
            Self::Settled { remedy, .. } | Self::NotAllowed { remedy, .. } => remedy,
            Self::Token { .. } => {
                "ask for one by `windlass token create --role R --name N` on the head node, and use it at once"
            }
            Self::Certificate { .. } => {
                "join (again) with a token of `windlass token create`, after a look at this machine's clock"
            }
            Self::Several { .. } => "repair each of them and ask again",
            Self::Removed { .. } => {
                "a backup that was taken before that day has it; rows and changes are kept for ever"
            }
            Self::RequestReused { .. } => "use a new request id for a new request",
            Self::RequestId { .. } => "make a new UUIDv7 for each request, or leave --request-id out",
            Self::Binding { .. } => "correct it in loop.run.yaml (docs/bindings.md has every key)",
            Self::State { .. } => "`windlass status C` and `windlass explain C` say how it stands now",
            Self::AbsentBlob { .. } => "send it again: what nothing names is removed after 48 hours",
            Self::Unsupported { .. } => "leave it out for now",
            Self::Ambiguous { .. } => "write more of the name, or the id",
            Self::NoRoom { .. } => {
                "free space there, or let `windlass gc` do it; the coordinator goes on by itself"
            }
            Self::ReadOnly { waits_for_room: true, .. } => {
                "free space on its disk; the coordinator then opens its ledger again by itself"
            }
            Self::ReadOnly { .. } => "look after its disk, then start the coordinator again",
            Self::Version { caller_is_older: true, caller: "worker", .. } => "upgrade windlass on the worker",
            Self::Version { caller_is_older: true, .. } => "upgrade this windlass",
            Self::Version { .. } => "upgrade the coordinator",
            Self::Tree { .. } => "take it out of the workspace, or name it under windlass.ignore",
            Self::Path { .. } => "give it another name, or leave it out (windlass.ignore, in a workspace)",
            Self::TooMuch { .. } => {
                "send less: split it, or leave out what is not needed (windlass.ignore, in a workspace)"
            }
            Self::Malformed { .. } => "use the client of the coordinator's own version",
            Self::NotFound { what: "campaign", .. } => "`windlass campaigns` lists them",
            Self::NotFound { what: "campaign or worker", .. } => {
                "`windlass campaigns` and `windlass workers` list them"
            }
            Self::NotFound { what: "worker", .. } => "`windlass workers` lists them",
            Self::NotFound { what: "certificate", .. } => "`windlass certs list` lists them",
            Self::NotFound { what: "finding", .. } => "`windlass findings list C` lists them",
            Self::NotFound { what: "lever", .. } => "`windlass lever list C` lists them",
            Self::NotFound { what: "iteration", .. } => "`windlass results C` lists those that are decided",
            Self::NotFound { what: "device", .. } => "`windlass workers` lists them",
            Self::NotFound { what: "log", .. } => "`windlass show C N` lists the attempts",
            Self::NotFound { what: "ledger", .. } => "name the coordinator's folder with --data-dir",
            Self::NotFound { .. } => "look at its name again",
            _ => return None,
        })
    }
}

/// What a rule asks of a lever, a fix or a conclusion that has a value which cannot be.
fn lever_remedy(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "P5" => "write a title of one line, and name in `files` every file that the change touches, once",
        "P6" => {
            "say in `prediction` what should happen, and in `anchor` what shows that: a file of the evidence, a \
             pattern in it, perhaps a comparison (`windlass show C N` names the files)"
        }
        "P11" => "name in `parents` two or more measured iterations, in a lever of `kind: merge` alone",
        "P12" => "fill every column of each row of `analysis`; outputs are distinct paths under results/",
        "P17" => "leave the line as the campaign has it: its budget says how many epochs a run has",
        "P19" => "answer an ending such as `on: out_of_memory`, or a `pattern` in the log",
        "P34" | "P36" | "P37" => {
            "name in `literature` a finding that can be cited (`windlass findings list C` shows them), or add one"
        }
        "P24" => {
            "cite a decided row of a campaign that you can see: `cites: [{campaign: C, iteration: N}]` (`windlass \
             results C` lists them)"
        }
        "P23" => "write `finding`, `examined`, 3 to 8 `bullets` and a verdict for each deliverable",
        _ => return None,
    })
}
