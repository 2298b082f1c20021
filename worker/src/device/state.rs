//! Whether a GPU that works can be leased: nobody is on it and its memory is back (I9).

use super::health::Health;
use super::reading::Reading;
use super::{lock, occupant};
use crate::procfs;
use crate::shim::ATTEMPT_VARIABLE;
use std::path::Path;
use windlass_shared::device::DeviceState;

/// Memory beyond the baseline that an empty GPU may hold: drivers move by some MiB on their own.
const SLACK_BYTES: u64 = 256 << 20;
/// Processes named in one reason.
const NAMED_MAX: usize = 8;

/// The state of a GPU or slice. All of it is judged anew at each look: it lifts itself when it is clean.
pub(super) fn of(reading: &Reading, health: &mut Health) -> DeviceState {
    let node = reading.minor.map(|minor| format!("/dev/nvidia{minor}"));
    let state = match reading.pids.is_empty() {
        false => inhabited(&reading.pids, node.as_deref().map(Path::new)),
        true => empty(reading, node.as_deref().map(Path::new), health),
    };
    // Where the run is our own, the host machine says so over this.
    match lock::holder(&reading.device.id) {
        Some(who) if !matches!(state, DeviceState::Outsider { .. }) => DeviceState::Outsider { who },
        _ => state,
    }
}

/// A GPU with processes: an outsider's wins, for ours are known elsewhere while they are leased, and
/// leftovers where they are not.
fn inhabited(pids: &[u32], node: Option<&Path>) -> DeviceState {
    let occupants: Vec<_> = pids.iter().map(|&pid| occupant::find(pid, node)).collect();
    let is_ours = |occupant: &occupant::Occupant| {
        occupant.pid.is_some_and(|pid| procfs::environment_names(pid, ATTEMPT_VARIABLE))
    };
    match occupants.iter().find(|occupant| !is_ours(occupant)) {
        Some(occupant) => DeviceState::Outsider { who: occupant.describe() },
        None => {
            let named: Vec<String> =
                occupants.iter().take(NAMED_MAX).map(occupant::Occupant::describe).collect();
            let reason = format!("processes of an attempt are still on it: {}", named.join("; "));
            DeviceState::Quarantined { reason }
        }
    }
}

/// A GPU without processes is free when its memory is back.
fn empty(reading: &Reading, node: Option<&Path>, health: &mut Health) -> DeviceState {
    let Some(used) = reading.used_bytes else { return DeviceState::Free };
    let baseline = health.baseline(&reading.device.id, used);
    if used <= baseline.saturating_add(SLACK_BYTES) {
        return DeviceState::Free;
    }
    let (used, baseline) = (used >> 20, baseline >> 20);
    let holders: Vec<String> = node
        .map(occupant::holders)
        .unwrap_or_default()
        .into_iter()
        .take(NAMED_MAX)
        .map(procfs::describe)
        .collect();
    let who = match holders.is_empty() {
        true => "NVML names no process and none here has it open".to_owned(),
        false => format!("NVML names no process, but these have it open: {}", holders.join("; ")),
    };
    let reason = format!("{used} MiB are in use where {baseline} MiB are usual: {who}");
    DeviceState::Quarantined { reason }
}
