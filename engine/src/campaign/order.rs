//! A lease: where an attempt runs, and all that its worker needs for it.

use super::iteration::Iteration;
use super::step::{Context, Due, Say};
use crate::placement::{self, Ask};
use windlass_shared::attempt::{AttemptKey, Kind, MetricSpec, Order, ScriptOrder};
use windlass_shared::digest::Digest;
use windlass_shared::id::{AttemptId, IterationNumber};
use windlass_shared::lever::FixTrigger;
use windlass_shared::record::Body;

/// How long scripts may run past their time limit before they are killed, milliseconds: they have no
/// checkpoint to write.
const ANALYSIS_GRACE_MS: u64 = 10_000;

/// Trees that a worker which ran something of the campaign may have, each once.
fn near(tree: Digest, others: [Digest; 2]) -> Vec<Digest> {
    let mut near: Vec<Digest> = others.into_iter().filter(|other| *other != tree).collect();
    near.dedup();
    near
}

impl Context<'_> {
    pub(super) fn lease(&self, open: &Iteration, kind: Kind) -> Due {
        let campaign = self.campaign;
        if let Some(seconds) = self.soft.backoff_left(&campaign.id, open.number) {
            let what = open.last_infrastructure.as_deref().filter(|_| open.setup_failed);
            let what = what.map_or("the machinery failed", |detail| detail.trim_start_matches("infra: "));
            return Due::Device(format!("{what}; the next try is in {seconds} s"));
        }
        let ask = self.ask(open, kind);
        if let Some(wait) = self.quota(&ask) {
            return Due::Quota(wait);
        }
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

    /// What the owner's quota keeps an attempt waiting for, if it does.
    fn quota(&self, ask: &Ask) -> Option<String> {
        let (_, count) = ask.devices(self.soft.fleet());
        let barred = self.holding?.bars(count, self.soft.wall_ms())?;
        let owner = self.campaign.owner.as_deref().unwrap_or_default();
        Some(if self.say == Say::Nothing { String::new() } else { barred.tell(owner, count) })
    }

    fn order(&self, open: &Iteration, kind: Kind, devices: Vec<windlass_shared::id::DeviceId>) -> Order {
        let bindings = &self.campaign.bindings;
        let w = &bindings.windlass;
        let id = AttemptId {
            campaign: self.campaign.id.clone(),
            iteration: open.number,
            number: open.attempts + 1,
        };
        let budget_ms = self.campaign.run_limit_ms(open.number);
        let (soft_limit_ms, hard_limit_ms) = match kind {
            Kind::Run => (budget_ms, budget_ms.saturating_mul(2)),
            Kind::Analysis | Kind::Score => {
                (w.analysis.time_limit.ms, w.analysis.time_limit.ms + ANALYSIS_GRACE_MS)
            }
        };
        let scripts = open.to_make().filter(|row| match kind {
            Kind::Run => row.script.is_builtin(),
            Kind::Analysis => true,
            Kind::Score => false,
        });
        let run = open.run.as_ref().filter(|_| kind != Kind::Run);
        // The scorer's ground is the workspace as it was submitted: nothing of a lever is in it.
        let (tree, command) = match (kind, &w.score) {
            (Kind::Score, Some(score)) => (self.campaign.tree, score.run.as_str()),
            _ => (open.tree, bindings.command()),
        };
        Order {
            key: AttemptKey { id, fence: self.fence },
            kind,
            tree,
            near: near(tree, [open.parent_tree, self.campaign.tree]),
            devices,
            cpus: (kind == Kind::Run).then_some(w.resources.cpus).flatten(),
            memory_bytes: if kind == Kind::Run { w.resources.memory.unwrap_or(0) } else { 0 },
            command: command.to_owned(),
            soft_limit_ms,
            hard_limit_ms,
            measure_until_ms: self.campaign.measure_until_ms(kind, soft_limit_ms, hard_limit_ms),
            seed: (kind == Kind::Run && w.noise.is_some()).then_some(open.replicates.len() as u64),
            metric: (kind != Kind::Analysis).then(|| MetricSpec {
                name: bindings.metric.clone(),
                line: w.metric_line,
                range: w.metric_range.clone(),
            }),
            editable: bindings.editable_files.clone(),
            env: self.campaign.run_env(kind),
            scripts: scripts
                .map(|row| ScriptOrder { script: row.script.clone(), output: row.output.clone() })
                .collect(),
            python: bindings.python(),
            run: run.map(|run| run.key.clone()),
            results: open.results.filter(|_| kind == Kind::Analysis),
            adds_only: kind == Kind::Analysis && open.is_following_up(),
            history: if kind == Kind::Analysis { self.history_of(open) } else { Vec::new() },
            fix_patterns: if kind == Kind::Run { self.fix_patterns(open) } else { Vec::new() },
            isolation: w.sandbox,
            limits: w.limits,
            data: w.data.clone(),
            caches: w.caches.clone(),
            setup: w.setup.clone(),
            secrets: w.secrets.clone(),
            artifacts: if kind == Kind::Run { w.artifacts.clone() } else { Vec::new() },
            score_artifact: open.artifact.clone().filter(|_| kind == Kind::Run),
            run_artifacts: run.and_then(|run| match kind {
                Kind::Score => run.outcome.score_artifact,
                Kind::Run | Kind::Analysis => run.outcome.artifacts,
            }),
            request: open.request.clone(),
        }
    }

    /// What other iterations found; a decided one is not its own history.
    fn history_of(&self, open: &Iteration) -> Vec<(IterationNumber, Digest)> {
        let others = self.campaign.history.iter().filter(|(number, _)| *number != open.number);
        others.copied().collect()
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
}
