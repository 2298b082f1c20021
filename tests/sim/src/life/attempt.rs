//! Attempts in the model: leased, ended, superseded.

use super::campaign::CampaignLife;
use super::iteration::{LiveLife, OpenLife};
use super::truth::Truth;
use crate::violation::{Checked, broken, hold};
use windlass_shared::attempt::{AttemptKey, Ending, Kind, Order, Outcome, ScriptOrder};
use windlass_shared::id::{DeviceId, WorkerId};
use windlass_shared::path::TreePath;

/// The tries of an iteration when machines fail (P20).
const INFRASTRUCTURE_TRIES: u32 = 3;

impl CampaignLife {
    pub(super) fn leased(&mut self, order: &Order, worker: &WorkerId) -> Checked {
        let key = &order.key;
        if self.decided.contains_key(&key.id.iteration) || order.adds_only {
            return self.followed_up(order, worker);
        }
        let (is_stopped, workspace) = (self.is_stopped(), self.tree);
        let Some(open) = self.open.get_mut(&key.id.iteration) else {
            return broken("I13", format!("{key} is leased for no open iteration"));
        };
        hold(!is_stopped && !open.is_cancelled, "I13", || format!("{key} is leased after the end"))?;
        hold(open.live.is_none() && !open.concluded, "I13", || {
            format!("{key} is leased beside {:?}", open.live)
        })?;
        hold(key.id.number == open.attempts + 1, "I13", || format!("{key} follows {}", open.attempts))?;
        hold(open.infrastructure < INFRASTRUCTURE_TRIES, "I13", || format!("{key} is a try too many"))?;
        let tree = if order.kind == Kind::Score { workspace } else { open.tree };
        hold(order.tree == tree, "I2", || format!("{key} runs another tree than its iteration's"))?;
        hold(!open.plan.is_empty(), "I13", || format!("{key} is leased without a plan (P14)"))?;
        let is_replicate = self.noise.is_some() && open.is_measured() && open.analysis_failures == 0;
        let may_run = open.run.is_none() || is_replicate;
        let is_right = match order.kind {
            Kind::Run => may_run,
            Kind::Score => open.is_scored && open.has_run() && open.score.is_none(),
            Kind::Analysis => open.run.is_some(),
        };
        hold(is_right, "I13", || format!("{key} is a {:?}", order.kind))?;
        let seed = (self.noise.is_some() && order.kind == Kind::Run).then_some(open.replicates.len() as u64);
        hold(order.seed == seed, "P27", || format!("{key} has seed {:?}, not {seed:?}", order.seed))?;
        if order.kind == Kind::Analysis {
            hold(open.is_measured() && !open.is_analysed(), "I13", || format!("{key} has nothing to read"))?;
            let run = open.run.as_ref().map(|(run, _)| run);
            hold(order.run.as_ref() == run, "I2", || format!("{key} reads {:?}", order.run))?;
        }
        open.attempts = key.id.number;
        open.live = Some(LiveLife {
            key: key.clone(),
            kind: order.kind,
            worker: worker.clone(),
            devices: order.devices.clone(),
            adds_only: false,
        });
        Ok(())
    }

    /// P22: scripts alone, on a run that is over, of an iteration whose plan is done with.
    fn followed_up(&mut self, order: &Order, worker: &WorkerId) -> Checked {
        let key = &order.key;
        let (is_stopped, is_decided) = (self.is_stopped(), self.decided.contains_key(&key.id.iteration));
        let known = self.open.get_mut(&key.id.iteration);
        let Some(known) = known.or_else(|| self.settled.get_mut(&key.id.iteration)) else {
            return broken("P22", format!("{key} follows up on nothing"));
        };
        hold(order.kind == Kind::Analysis && order.adds_only, "P22", || format!("{key} is no follow-up"))?;
        hold(!is_stopped && known.live.is_none(), "P22", || format!("{key} beside {:?}", known.live))?;
        hold(key.id.number == known.attempts + 1, "P22", || format!("{key} follows {}", known.attempts))?;
        hold(order.tree == known.tree, "I2", || format!("{key} looks at another tree"))?;
        let is_over = is_decided || (known.is_measured() && known.is_analysed());
        hold(is_over, "P22", || format!("{key} comes before the plan is done with"))?;
        let run = known.run.as_ref().map(|(run, _)| run);
        hold(run.is_some() && order.run.as_ref() == run, "I2", || format!("{key} reads {:?}", order.run))?;
        let is_added =
            |one: &ScriptOrder| known.added.contains(&one.output) && !known.accepted.contains(&one.output);
        hold(!order.scripts.is_empty() && order.scripts.iter().all(is_added), "P22", || {
            format!("{key} makes {:?}", order.scripts)
        })?;
        known.attempts = key.id.number;
        known.live = Some(LiveLife {
            key: key.clone(),
            kind: order.kind,
            worker: worker.clone(),
            devices: order.devices.clone(),
            adds_only: true,
        });
        Ok(())
    }

    pub(super) fn ended(
        &mut self,
        key: &AttemptKey,
        worker: &WorkerId,
        devices: &[DeviceId],
        outcome: &Outcome,
        truth: &Truth,
    ) -> Checked {
        let iteration = key.id.iteration;
        let open = self.open.get_mut(&iteration).or_else(|| self.settled.get_mut(&iteration));
        let live = open.and_then(|open| open.live.take());
        let Some(live) = live.filter(|live| live.key == *key) else {
            return broken("I5", format!("{key} ended without holding its lease"));
        };
        hold(live.worker == *worker && live.devices == devices, "I5", || {
            format!(
                "{key} ended on {worker} {devices:?} but was leased on {} {:?}",
                live.worker, live.devices
            )
        })?;
        hold(self.over.insert(key.clone(), outcome.ending == Ending::Lost).is_none(), "I1", || {
            format!("{key} ended twice")
        })?;
        check_truth(key, outcome, truth)?;
        let known = self.open.get_mut(&iteration).or_else(|| self.settled.get_mut(&iteration));
        let Some(open) = known else { return Ok(()) };
        if live.adds_only {
            if !outcome.ending.is_infrastructure() && outcome.ending != Ending::Cancelled {
                open.last_outputs = outcome.outputs.clone();
            }
            return Ok(());
        }
        if outcome.ending.is_infrastructure() {
            open.infrastructure += 1;
            return Ok(());
        }
        if outcome.ending == Ending::Cancelled {
            // It says nothing of the lever, and is run again.
            return Ok(());
        }
        if live.kind == Kind::Score {
            open.score = Some((key.clone(), outcome.clone()));
            open.replicates.extend(open.printed().map(|(_, metric)| metric.clone()));
            return Ok(());
        }
        open.last_outputs = outcome.outputs.clone();
        match live.kind {
            Kind::Run => {
                (open.run, open.score) = (Some((key.clone(), outcome.clone())), None);
                open.replicates.extend(open.printed().map(|(_, metric)| metric.clone()));
            }
            Kind::Analysis | Kind::Score => open.analysed_once(outcome),
        }
        Ok(())
    }

    /// `ending` is its worker's word at that time: a spool that a power cut took back may say another one later.
    pub(super) fn superseded(&mut self, key: &AttemptKey, ending: &str) -> Checked {
        hold(ending != Ending::Lost.as_str(), "I5", || {
            format!("{key} was lost, and is superseded by its own loss")
        })?;
        match self.over.get_mut(key) {
            Some(lost) if *lost => {
                *lost = false;
                Ok(())
            }
            Some(_) => broken("I5", format!("{key} was no lost lease, and is superseded")),
            None => broken("I5", format!("{key} never ended, and is superseded")),
        }
    }
}

/// A number, an output or a results tree in the ledger is what that very attempt made (I2).
fn check_truth(key: &AttemptKey, outcome: &Outcome, truth: &Truth) -> Checked {
    if outcome.reading.is_none() && outcome.outputs.is_empty() && outcome.results.is_none() {
        return Ok(());
    }
    let made = truth.made.get(key);
    hold(made.is_some_and(|made| made.outcome == *outcome), "I2", || {
        format!("{key} is said to have made {outcome:?}, but made {:?}", made.map(|made| &made.outcome))
    })
}

impl OpenLife {
    fn analysed_once(&mut self, outcome: &Outcome) {
        let delivered = |path: &TreePath| {
            outcome.outputs.iter().any(|output| output.path == *path && output.digest.is_some())
        };
        let missing = self.plan.iter().any(|path| !self.accepted.contains(path) && !delivered(path));
        self.analysis_failures += u32::from(missing);
    }
}
