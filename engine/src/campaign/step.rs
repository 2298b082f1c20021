//! What is due in one campaign: its next records, the facts it lacks, or what it waits for (P24).

use super::automatic::{self, conclude};
use super::decision::{self, Case, Held};
use super::iteration::{Iteration, Need};
use super::pull::Turn;
use super::state::Campaign;
use crate::core::Soft;
use crate::gate::facts::{FixWanted, Wanted};
use crate::gate::plan::{Completed, complete};
use crate::placement;
use windlass_shared::attempt::{AttemptKey, Kind, MetricSpec, Order, ScriptOrder};
use windlass_shared::conclusion::Status;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{AttemptId, FencingNumber, IterationNumber, WorkerId};
use windlass_shared::lever::FixTrigger;
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::record::{Arithmetic, Body, HoldReason, PauseReason, StopReason};
use windlass_shared::view::CampaignState;

/// The reason of a decision whose analysis never came (P21); its lever may be queued again.
pub const UNANALYSED: &str = "unanalysed";
/// The reason of a decision that its owner asked for; its lever was not tried, and may be queued again.
pub const CANCELLED: &str = "cancelled";
/// How long scripts may run past their time limit before they are killed, milliseconds: they have no
/// checkpoint to write.
const ANALYSIS_GRACE_MS: u64 = 10_000;

/// What a step looks at.
pub struct Context<'a> {
    /// The campaign.
    pub campaign: &'a Campaign,
    /// Facts, workers, backoffs.
    pub soft: &'a Soft,
    /// The fencing number of the next lease.
    pub fence: FencingNumber,
    /// Whether a worker takes nothing new.
    pub is_drained: &'a dyn Fn(&WorkerId) -> bool,
    /// Whether somebody reads why an attempt is not placed.
    pub say: Say,
}

/// Whether a wait for a device says why: that takes a look at the whole fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// It does.
    Why,
    /// Nobody asked; the text is empty.
    Nothing,
}

/// What is due.
#[derive(Debug)]
pub enum Due {
    /// Record these, together.
    Records(Vec<Body>),
    /// Gather these first.
    Facts(Wanted),
    /// Nothing can be placed yet.
    Device(String),
    /// Nothing, for this reason.
    Nothing(String),
}

/// What is due in a campaign.
pub fn due(context: &Context<'_>) -> Due {
    let campaign = context.campaign;
    if campaign.is_stopped() {
        return Due::Nothing("it has stopped".to_owned());
    }
    if let Some(open) = &campaign.open {
        return context.iteration(open);
    }
    if let CampaignState::Paused { reason } = &campaign.state {
        return Due::Nothing(match reason {
            PauseReason::Owner => "it is paused; `windlass resume` lets it go on".to_owned(),
            PauseReason::Baseline { repair } => format!("its baseline is no ground to build on: {repair}"),
            PauseReason::Infrastructure => {
                "two levers in a row were set aside because machines failed; look at `windlass workers`, then `windlass resume`".to_owned()
            }
        });
    }
    if let Some(limit) = campaign.limit_met() {
        return Due::Records(vec![Body::CampaignStopped { reason: StopReason::Limit { limit } }]);
    }
    if campaign.last_opened.is_none() {
        return Due::Records(vec![context.baseline()]);
    }
    context.pull()
}

impl Context<'_> {
    /// P1: the workspace as it is, with its own plan.
    fn baseline(&self) -> Body {
        let campaign = self.campaign;
        let w = &campaign.bindings.windlass;
        let plan = if w.baseline.is_empty() { vec![log_facts()] } else { w.baseline.clone() };
        let plan = match complete(&plan, &w.always, &[], &campaign.measured) {
            Completed::Plan(plan) => plan,
            Completed::NeedsPlan => plan,
        };
        Body::IterationOpened {
            iteration: IterationNumber::BASELINE,
            lever: None,
            parent: None,
            tree: campaign.tree,
            pin: None,
            plan,
            net_lines: 0,
            diff: Hash::of(b"baseline"),
        }
    }

    fn pull(&self) -> Due {
        let campaign = self.campaign;
        let mut waits = Vec::new();
        for number in &campaign.queue {
            let Some(entry) = campaign.levers.get(number) else { continue };
            let wanted = campaign.pull_wanted(entry);
            let Some(facts) = self.soft.pull_facts(&wanted) else {
                return Due::Facts(Wanted::Pull(Box::new(wanted)));
            };
            match campaign.turn(entry, facts) {
                Turn::Record(body) => return Due::Records(vec![*body]),
                Turn::AlreadyPassed => {
                    waits.push(format!(
                        "{number} for its evidence ({})",
                        entry.missing.as_deref().unwrap_or("missing")
                    ));
                }
            }
        }
        Due::Nothing(if waits.is_empty() {
            "a lever: `windlass lever add` queues one".to_owned()
        } else {
            waits.join("; ")
        })
    }

    fn iteration(&self, open: &Iteration) -> Due {
        match open.need(self.fix(open)) {
            Need::Attempt => Due::Nothing("its attempt is under way".to_owned()),
            Need::Run => self.lease(open, Kind::Run),
            Need::Analysis => self.lease(open, Kind::Analysis),
            Need::Fix(fix) => self.apply_fix(open, fix),
            Need::Accept => Due::Records(accept(open)),
            Need::Decide => Due::Records(self.decide(open)),
        }
    }

    /// The first carried fix that answers the last run's failure and was not tried (P19).
    pub(super) fn fix(&self, open: &Iteration) -> Option<u32> {
        let run = open.run.as_ref()?;
        if run.is_measured() || open.fixes_applied >= self.campaign.bindings.windlass.fixes {
            return None;
        }
        let entry = self.campaign.levers.get(&open.lever?)?;
        let mut patterns = 0;
        for (index, fix) in (0..).zip(&entry.document.fixes) {
            let answers = match &fix.trigger {
                FixTrigger::On(ending) => ending == run.outcome.ending.as_str(),
                FixTrigger::Pattern(_) => {
                    patterns += 1;
                    run.outcome.fix_matches.contains(&(patterns - 1))
                }
            };
            let refused = self.soft.fix_is_refused(&self.campaign.id, open.number, index, open.tree);
            if answers && !refused && !open.fixes_tried.contains(&index) {
                return Some(index);
            }
        }
        None
    }

    fn apply_fix(&self, open: &Iteration, fix: u32) -> Due {
        let campaign = self.campaign;
        let wanted = open.lever.and_then(|lever| campaign.levers.get(&lever)).and_then(|entry| {
            let carried = entry.document.fixes.get(fix as usize)?;
            Some(FixWanted {
                campaign: campaign.id.clone(),
                iteration: open.number,
                fix,
                patch: carried.patch,
                tree: open.tree,
                written_on: entry.changed,
                parent: campaign.parent_tree(),
                editable: campaign.bindings.editable_files.clone(),
            })
        });
        let Some(wanted) = wanted else { return Due::Nothing("its fix is not in the ledger".to_owned()) };
        match self.soft.fix_facts(&wanted).map(|facts| &facts.applied) {
            None => Due::Facts(Wanted::Fix(Box::new(wanted))),
            Some(Ok((tree, net_lines))) => Due::Records(vec![Body::FixApplied {
                iteration: open.number,
                fix,
                tree: *tree,
                net_lines: *net_lines,
            }]),
            // `fix` passes refused ones over, so this one is not asked for again.
            Some(Err(refusal)) => Due::Nothing(format!("its fix does not go: {refusal}")),
        }
    }

    fn lease(&self, open: &Iteration, kind: Kind) -> Due {
        let campaign = self.campaign;
        if let Some(seconds) = self.soft.backoff_left(&campaign.id) {
            let what = open.last_infrastructure.as_deref().filter(|_| open.setup_failed);
            let what = what.map_or("the machinery failed", |detail| detail.trim_start_matches("infra: "));
            return Due::Device(format!("{what}; the next try is in {seconds} s"));
        }
        let ask = self.ask(open, kind);
        match placement::place(&ask, &self.scene()) {
            None if self.say == Say::Nothing => Due::Device(String::new()),
            None => Due::Device(placement::why_not(&ask, &self.scene())),
            Some(place) => {
                let order = self.order(open, kind, place.devices);
                Due::Records(vec![Body::AttemptLeased {
                    order: Box::new(order),
                    worker: place.worker,
                    worker_name: place.worker_name,
                    why: place.why,
                }])
            }
        }
    }

    fn order(&self, open: &Iteration, kind: Kind, devices: Vec<windlass_shared::id::DeviceId>) -> Order {
        let bindings = &self.campaign.bindings;
        let w = &bindings.windlass;
        let id = AttemptId {
            campaign: self.campaign.id.clone(),
            iteration: open.number,
            number: open.attempts + 1,
        };
        let budget_ms = bindings.budget_ms();
        let (soft_limit_ms, hard_limit_ms) = match kind {
            Kind::Run => (budget_ms, budget_ms.saturating_mul(2)),
            Kind::Analysis => (w.analysis.time_limit.ms, w.analysis.time_limit.ms + ANALYSIS_GRACE_MS),
        };
        let scripts = open.missing().filter(|row| kind == Kind::Analysis || row.script.is_builtin());
        Order {
            key: AttemptKey { id, fence: self.fence },
            kind,
            tree: open.tree,
            devices,
            cpus: (kind == Kind::Run).then_some(w.resources.cpus).flatten(),
            memory_bytes: if kind == Kind::Run { w.resources.memory.unwrap_or(0) } else { 0 },
            command: bindings.command().to_owned(),
            soft_limit_ms,
            hard_limit_ms,
            metric: (kind == Kind::Run).then(|| MetricSpec {
                name: bindings.metric.clone(),
                line: w.metric_line,
                range: w.metric_range.clone(),
            }),
            editable: bindings.editable_files.clone(),
            env: w.env.clone(),
            scripts: scripts
                .map(|row| ScriptOrder { script: row.script.clone(), output: row.output.clone() })
                .collect(),
            python: bindings.python(),
            run: open.run.as_ref().filter(|_| kind == Kind::Analysis).map(|run| run.key.clone()),
            results: open.results.filter(|_| kind == Kind::Analysis),
            history: if kind == Kind::Analysis { self.campaign.history.clone() } else { Vec::new() },
            fix_patterns: self.fix_patterns(open),
            isolation: w.sandbox,
            limits: w.limits,
            data: w.data.clone(),
            caches: w.caches.clone(),
            setup: w.setup.clone(),
            secrets: w.secrets.clone(),
            artifacts: if kind == Kind::Run { w.artifacts.clone() } else { Vec::new() },
            run_artifacts: open
                .run
                .as_ref()
                .filter(|_| kind == Kind::Analysis)
                .and_then(|run| run.outcome.artifacts),
        }
    }

    fn fix_patterns(&self, open: &Iteration) -> Vec<String> {
        let entry = open.lever.and_then(|lever| self.campaign.levers.get(&lever));
        let fixes = entry.map(|entry| entry.document.fixes.as_slice()).unwrap_or_default();
        let patterns = fixes.iter().filter_map(|fix| match &fix.trigger {
            FixTrigger::Pattern(pattern) => Some(pattern.clone()),
            FixTrigger::On(_) => None,
        });
        patterns.collect()
    }

    /// Conclusion and decision, and what follows from them, in one batch.
    fn decide(&self, open: &Iteration) -> Vec<Body> {
        let campaign = self.campaign;
        let (status, reason, arithmetic) = self.judge(open);
        let facts = automatic::Facts {
            iteration: open,
            sentence: &arithmetic.sentence,
            metric: &campaign.bindings.metric,
            budget_ms: campaign.bindings.budget_ms(),
        };
        let conclusion = conclude(&facts);
        let summary = conclusion.finding.clone();
        let best = match status {
            Status::Keep => Some(open.number),
            _ => campaign.best.as_ref().map(|best| best.iteration),
        };
        let mut records = vec![
            Body::ConclusionWritten { iteration: open.number, conclusion },
            Body::IterationDecided {
                iteration: open.number,
                status,
                reason: reason.clone(),
                arithmetic,
                best,
                summary,
                description: campaign.title(open.lever).to_owned(),
            },
        ];
        records.extend(self.aftermath(open, status, &reason));
        records
    }

    fn judge(&self, open: &Iteration) -> (Status, String, Arithmetic) {
        let campaign = self.campaign;
        if open.is_cancelled {
            let sentence = "no metric: cancelled by its owner".to_owned();
            return (Status::Crash, CANCELLED.to_owned(), without_metric(open, sentence));
        }
        let measured = open.run.as_ref().filter(|run| run.is_measured() && !open.is_out_of_tries());
        let metric =
            measured.and_then(|run| run.outcome.reading.as_ref()).and_then(|reading| reading.value());
        let Some(metric) = metric else {
            let reason = match (&open.run, &open.last_infrastructure) {
                (Some(run), _) if !open.is_out_of_tries() => run.failure(),
                (_, Some(detail)) if open.setup_failed => detail.trim_start_matches("infra: ").to_owned(),
                (_, Some(detail)) => format!("infrastructure: {detail}"),
                (_, None) => "no run".to_owned(),
            };
            let sentence =
                if reason.starts_with("no metric") { reason.clone() } else { format!("no metric: {reason}") };
            return (Status::Crash, reason, without_metric(open, sentence));
        };
        if let Some(absent) = open.missing().next() {
            let problem = open.analysis_problem.clone();
            let problem = problem.unwrap_or_else(|| format!("results/{} is not there", absent.output));
            let sentence = format!("{metric} does not count: {problem}");
            let arithmetic = Arithmetic { metric: Some(metric.clone()), ..without_metric(open, sentence) };
            return (Status::Discard, UNANALYSED.to_owned(), arithmetic);
        }
        let w = &campaign.bindings.windlass;
        let held = Held {
            record: campaign.record.as_ref(),
            baseline: campaign.baseline_metric.as_ref(),
            direction: campaign.bindings.metric_direction,
            simplicity: &w.simplicity,
        };
        let entry = open.lever.and_then(|lever| campaign.levers.get(&lever));
        let case = Case { metric, net_lines: open.net_lines, kind: entry.map(|entry| entry.document.kind) };
        let decided = decision::decide(&case, &held);
        (decided.status, decided.reason.to_owned(), decided.arithmetic)
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
    Arithmetic { metric: None, record: None, gain: None, net_lines: open.net_lines, sentence }
}

/// The deliverables of the last attempt, recorded one by one (P21).
fn accept(open: &Iteration) -> Vec<Body> {
    let dimension =
        |path: &TreePath| open.plan.iter().find(|row| &row.output == path).map(|row| row.dimension.clone());
    let accepted = open.unrecorded.iter().filter_map(|output| {
        let digest: Digest = output.digest?;
        Some(Body::DeliverableAccepted {
            iteration: open.number,
            output: output.path.clone(),
            dimension: dimension(&output.path)?,
            digest,
            first_line: output.first_line.clone(),
        })
    });
    accepted.collect()
}

/// The plan of a baseline that was given none.
fn log_facts() -> Deliverable {
    Deliverable {
        script: Script::Named(Script::BUILTIN_LOG.to_owned()),
        output: TreePath::parse("log_facts.tsv").expect("a literal path"),
        dimension: "log-facts".to_owned(),
        question: "how did the run end and what did it print?".to_owned(),
        if_helped: "it finished and printed its metric".to_owned(),
        if_not: "it ended otherwise".to_owned(),
        compares: None,
    }
}
