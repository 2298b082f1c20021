//! The end of an iteration: its conclusion, its decision, and what follows from them.

use super::automatic::{self, conclude};
use super::iteration::Iteration;
use super::overtaken::Verdict;
use super::step::{CANCELLED, Context, Due, UNANALYSED};
use std::collections::BTreeMap;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::record::{Arithmetic, Body, HoldReason, PauseReason};
use windlass_shared::view::CampaignState;

impl Context<'_> {
    /// Conclusion and decision, and what follows from them, in one batch.
    pub(super) fn decide(&self, open: &Iteration) -> Due {
        let campaign = self.campaign;
        let verdict = match self.beside_others(open, self.judge(open)) {
            Ok(verdict) => verdict,
            Err(wanted) => return Due::Facts(*wanted),
        };
        let Verdict { status, reason, arithmetic, replaced } = verdict;
        let facts = automatic::Facts {
            iteration: open,
            sentence: &arithmetic.sentence,
            metric: &campaign.bindings.metric,
            budget_ms: campaign.run_limit_ms(open.number),
            epochs: campaign.cap.as_ref().map(|cap| cap.set),
            ceiling: campaign.ceiling_facts(open, status),
        };
        // One that a researcher wrote stands in the ledger already (P23).
        let written = open.conclusion.as_ref().map(|conclusion| conclusion.finding.clone());
        let conclusion = written.is_none().then(|| conclude(&facts));
        let summary = written.or_else(|| Some(conclusion.as_ref()?.finding.clone())).unwrap_or_default();
        let best = match status {
            Status::Keep => Some(open.number),
            _ => campaign.best.as_ref().map(|best| best.iteration),
        };
        let marked = campaign.findings_marked(open, status, &reason, &arithmetic);
        let write = |conclusion| Body::ConclusionWritten { iteration: open.number, conclusion };
        let mut records: Vec<Body> = conclusion.map(write).into_iter().collect();
        records.push(Body::IterationDecided {
            iteration: open.number,
            status,
            reason: reason.clone(),
            arithmetic,
            best,
            summary,
            description: campaign.title(open.lever).to_owned(),
            notes: BTreeMap::new(),
        });
        records.extend(self.requeued(open, &reason, &replaced));
        records.extend(self.aftermath(open, status, &reason));
        records.extend(marked);
        Due::Records(records)
    }

    /// The decision by the iteration's own ground: the record of its start.
    fn judge(&self, open: &Iteration) -> Verdict {
        if open.is_cancelled {
            let sentence = "no metric: cancelled by its owner".to_owned();
            return Verdict::new(Status::Crash, CANCELLED, without_metric(open, sentence));
        }
        let Some(metric) = open.metric().filter(|_| !open.is_out_of_tries()) else {
            let reason = match (open.failure(), &open.last_infrastructure) {
                (Some(failure), _) if !open.is_out_of_tries() => failure,
                (_, Some(detail)) if open.setup_failed => detail.trim_start_matches("infra: ").to_owned(),
                (_, Some(detail)) => format!("infrastructure: {detail}"),
                (_, None) => "no run".to_owned(),
            };
            let sentence =
                if reason.starts_with("no metric") { reason.clone() } else { format!("no metric: {reason}") };
            return Verdict::new(Status::Crash, &reason, without_metric(open, sentence));
        };
        let mean = Decimal::mean(&open.replicates).filter(|_| open.replicates.len() > 1);
        let metric = mean.as_ref().unwrap_or(metric);
        if let Some(absent) = open.missing().next() {
            let problem = open.analysis_problem.clone();
            let problem = problem.unwrap_or_else(|| format!("results/{} is not there", absent.output));
            let sentence = format!("{metric} does not count: {problem}");
            let arithmetic = Arithmetic { metric: Some(metric.clone()), ..without_metric(open, sentence) };
            return Verdict::new(Status::Discard, UNANALYSED, arithmetic);
        }
        let decided = self.decide_measured(open, metric);
        Verdict::new(decided.status, decided.reason, decided.arithmetic)
    }

    /// A baseline that is no ground to build on pauses the campaign (P1, P21); levers that the machinery
    /// failed are set aside, and two in a row pause it too (P20).
    fn aftermath(&self, open: &Iteration, status: Status, reason: &str) -> Vec<Body> {
        let pause = |reason| Body::CampaignPaused { reason };
        let is_active = self.campaign.state == CampaignState::Active;
        let Some(lever) = open.lever else {
            if status == Status::Keep {
                return Vec::new();
            }
            if open.is_cancelled {
                let repair = "it was cancelled, and nothing can be compared without it; submit the project \
                              again, the queue is taken along";
                return vec![pause(PauseReason::Baseline { repair: repair.to_owned() })];
            }
            // Also when its owner has paused it: this pause is the one that no resume ends.
            let tail =
                open.run.as_ref().and_then(|run| run.outcome.log_tail.lines().last().map(str::to_owned));
            let said =
                tail.filter(|line| !line.trim().is_empty()).map(|line| format!("; its log ends: {line}"));
            let repair =
                format!("{reason}{}; repair the project and submit it again", said.unwrap_or_default());
            return vec![pause(PauseReason::Baseline { repair })];
        };
        if open.is_cancelled {
            let reason = HoldReason::Cancelled { iteration: open.number };
            return vec![Body::LeverHeld { lever, reason }];
        }
        if !open.is_out_of_tries() {
            return Vec::new();
        }
        let reason = if open.setup_failed { HoldReason::SetupFailed } else { HoldReason::Infrastructure };
        let mut records = vec![Body::LeverHeld { lever, reason }];
        if self.campaign.held_in_a_row + 1 >= 2 && is_active {
            records.push(pause(PauseReason::Infrastructure));
        }
        records
    }
}

fn without_metric(open: &Iteration, sentence: String) -> Arithmetic {
    Arithmetic { metric: None, record: None, gain: None, net_lines: open.net_lines, noise: None, sentence }
}
