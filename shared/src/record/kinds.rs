//! The names of the record kinds, as the ledger and the documents have them.

use super::Body;

impl Body {
    /// The kind of the record that every start of a coordinator begins with.
    pub const INCARNATION_STARTED: &'static str = "incarnation_started";

    /// Every kind, as [`Body::kind`] names it; failpoints and coverage counts run over this list.
    pub const KINDS: [&'static str; 33] = [
        Self::INCARNATION_STARTED,
        "campaign_created",
        "ledger_imported",
        "campaign_paused",
        "campaign_resumed",
        "campaign_stopped",
        "campaign_updated",
        "lever_queued",
        "lever_refused",
        "lever_passed",
        "lever_held",
        "lever_retired",
        "lever_moved",
        "lever_requeued",
        "iteration_opened",
        "iteration_cancelled",
        "attempt_leased",
        "attempt_ended",
        "report_superseded",
        "fix_applied",
        "deliverable_added",
        "deliverable_accepted",
        "conclusion_written",
        "iteration_decided",
        "review_recorded",
        "finding_recorded",
        "finding_marked",
        "worker_drained",
        "worker_undrained",
        "evidence_removed",
        "device_released",
        "quota_set",
        "request_answered",
    ];

    /// The kind's name, as the ledger's `kind` column has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::IncarnationStarted { .. } => Self::INCARNATION_STARTED,
            Self::CampaignCreated { .. } => "campaign_created",
            Self::LedgerImported { .. } => "ledger_imported",
            Self::CampaignPaused { .. } => "campaign_paused",
            Self::CampaignResumed {} => "campaign_resumed",
            Self::CampaignStopped { .. } => "campaign_stopped",
            Self::CampaignUpdated { .. } => "campaign_updated",
            Self::LeverQueued { .. } => "lever_queued",
            Self::LeverRefused { .. } => "lever_refused",
            Self::LeverPassed { .. } => "lever_passed",
            Self::LeverHeld { .. } => "lever_held",
            Self::LeverRetired { .. } => "lever_retired",
            Self::LeverMoved { .. } => "lever_moved",
            Self::LeverRequeued { .. } => "lever_requeued",
            Self::IterationOpened { .. } => "iteration_opened",
            Self::IterationCancelled { .. } => "iteration_cancelled",
            Self::AttemptLeased { .. } => "attempt_leased",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::ReportSuperseded { .. } => "report_superseded",
            Self::FixApplied { .. } => "fix_applied",
            Self::DeliverableAdded { .. } => "deliverable_added",
            Self::DeliverableAccepted { .. } => "deliverable_accepted",
            Self::ConclusionWritten { .. } => "conclusion_written",
            Self::IterationDecided { .. } => "iteration_decided",
            Self::ReviewRecorded { .. } => "review_recorded",
            Self::FindingRecorded { .. } => "finding_recorded",
            Self::FindingMarked { .. } => "finding_marked",
            Self::WorkerDrained { .. } => "worker_drained",
            Self::WorkerUndrained { .. } => "worker_undrained",
            Self::EvidenceRemoved { .. } => "evidence_removed",
            Self::DeviceReleased { .. } => "device_released",
            Self::QuotaSet { .. } => "quota_set",
            Self::RequestAnswered {} => "request_answered",
        }
    }
}
