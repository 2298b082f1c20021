//! What an iteration waits for before it is decided: a fix, a repaired script, a conclusion (P19, P21, P23).
//! Each wait has an end, counted from the record that began it, so that a restart loses none.

use super::iteration::{ANALYSIS_TRIES, Iteration};
use super::state::Campaign;
use super::step::Context;
use windlass_shared::bindings::ConclusionMode;
use windlass_shared::time::Span;
use windlass_shared::view::{CampaignState, WaitFor};

/// A wait for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For what.
    pub what: WaitFor,
    /// Since when, wall time.
    pub since_wall_ms: i64,
    /// For how long, milliseconds.
    pub span_ms: u64,
}

impl Wait {
    /// When it is over, wall time.
    pub fn until_wall_ms(&self) -> i64 {
        self.since_wall_ms.saturating_add_unsigned(self.span_ms)
    }
}

impl Campaign {
    /// Whether its owner has said that nobody is there to help: then nothing waits for a fix or a script.
    pub fn is_unattended(&self) -> bool {
        self.bindings.windlass.fix_wait.ms == 0
    }

    /// What an iteration with nothing left to do waits for, whether the time for it is over or not.
    pub fn wait(&self, open: &Iteration) -> Option<Wait> {
        let ended_wall_ms = open.ended_wall_ms?;
        let is_stopped = matches!(self.state, CampaignState::Stopped { .. });
        if open.live.is_some() || open.is_cancelled || open.is_out_of_tries() || is_stopped {
            return None;
        }
        let (what, span_ms) = self.wanted(open)?;
        (span_ms > 0).then_some(Wait { what, since_wall_ms: ended_wall_ms, span_ms })
    }

    fn wanted(&self, open: &Iteration) -> Option<(WaitFor, u64)> {
        let w = &self.bindings.windlass;
        open.run.as_ref()?;
        if !open.has_run() {
            // The baseline is the workspace unmodified (P1): what is wrong with it is repaired there.
            let may_fix = open.lever.is_some() && open.fixes_applied < w.fixes;
            return may_fix.then_some((WaitFor::Fix, w.fix_wait.ms));
        }
        // The scorer is frozen: no fix answers what it cannot score.
        open.metric()?;
        if open.missing().next().is_some() {
            let has_failed = open.analysis_failures >= ANALYSIS_TRIES && !self.is_unattended();
            return has_failed.then_some((WaitFor::Script, w.analysis.wait.ms));
        }
        let is_wanted = w.conclusion.mode == ConclusionMode::Required && open.conclusion.is_none();
        is_wanted.then_some((WaitFor::Conclusion, w.conclusion.wait.unwrap_or(w.analysis.wait).ms))
    }
}

impl Context<'_> {
    /// What the iteration waits for, as a sentence; none when it may be decided.
    pub(super) fn waits(&self, open: &Iteration) -> Option<String> {
        let campaign = self.campaign;
        let wait = campaign.wait(open)?;
        if self.soft.wait_is_over(&campaign.id, open.number, wait) {
            return None;
        }
        let (trouble, remedy) = (campaign.trouble(open, wait.what), campaign.remedy(open, wait));
        Some(format!("{}: {trouble}; {remedy}", wait.what.as_str()))
    }
}

impl Campaign {
    /// What is wrong with an iteration that waits.
    pub(crate) fn trouble(&self, open: &Iteration, what: WaitFor) -> String {
        let number = open.number;
        match what {
            WaitFor::Fix => {
                let failure = open.failure().unwrap_or_default();
                format!("the run of iteration {number} failed ({failure})")
            }
            WaitFor::Script => {
                let problem = open.analysis_problem.as_deref().unwrap_or("a deliverable is missing");
                format!("the analysis of iteration {number} failed twice ({problem})")
            }
            WaitFor::Conclusion => format!("the deliverables of iteration {number} are there"),
        }
    }

    /// What releases a wait, and what becomes of the iteration without.
    pub(crate) fn remedy(&self, open: &Iteration, wait: Wait) -> String {
        let (id, number) = (&self.id, open.number);
        let span = Span { ms: wait.span_ms };
        match wait.what {
            WaitFor::Fix => format!(
                "send one with `windlass fix {id} {number} PATCH` within {span}, else it is a crash; `fix_wait: 0` \
                 waits for none"
            ),
            WaitFor::Script => format!(
                "replace the script with `windlass analyze {id} {number} --script S --result F` within {span}, \
                 else it is discarded as unanalysed"
            ),
            WaitFor::Conclusion => format!(
                "write one with `windlass conclude {id} {number} FILE` within {span}, else an automatic one stands"
            ),
        }
    }
}
