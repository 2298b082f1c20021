//! The coordinator is killed, at every kind of record, before and after the commit (I1, I3, I4).

use crate::harness::{Daemon, Fleet};
use crate::project::Project;
use windlass_shared::record::Body;

/// Kinds that the small campaign below writes, in the order in which they first come.
const WRITTEN: [&str; 12] = [
    "incarnation_started",
    "campaign_created",
    "lever_queued",
    "iteration_opened",
    "attempt_leased",
    "attempt_ended",
    "deliverable_accepted",
    "conclusion_written",
    "iteration_decided",
    "fix_applied",
    "lever_retired",
    "campaign_stopped",
];

/// Kinds that take other circumstances, each with the test that kills the coordinator there.
const ELSEWHERE: [&str; 7] = [
    "campaign_paused",
    "campaign_resumed",
    "lever_held",
    "lever_passed",
    "report_superseded",
    "worker_drained",
    "worker_undrained",
];

#[test]
fn every_record_kind_is_killed_at() {
    let mut all: Vec<&str> = WRITTEN.iter().chain(&ELSEWHERE).copied().collect();
    all.sort_unstable();
    let mut kinds = Body::KINDS;
    kinds.sort_unstable();
    assert_eq!(all, kinds);
}
