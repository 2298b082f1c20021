//! After the faults: every campaign moves on within two lease periods, or waits for what it may wait for
//! (I14).

use crate::client::What;
use crate::faults::Weather;
use crate::violation::{Checked, broken};
use crate::world::World;
use std::collections::BTreeMap;
use windlass_engine::campaign::{Campaign, Due, Iteration};
use windlass_engine::core::Core;
use windlass_shared::attempt::Kind;
use windlass_shared::device::DeviceKind;
use windlass_shared::id::CampaignId;

/// Two lease periods.
const MOVES_WITHIN_MS: u64 = 60_000;
/// Room for fetching, collecting, terminating and the disk around one attempt.
const AROUND_AN_ATTEMPT_MS: u64 = 15_000;
/// More events than any history needs to come to rest.
const EVENTS_MAX: u64 = 60_000;
/// How often the owner looks at drained workers.
const LOOK_MS: u64 = 5_000;

/// When a campaign was last seen to move: the number of its records, and the moment.
type Moves = BTreeMap<CampaignId, (u64, u64)>;

impl World {
    /// Everything that can be well is well again.
    fn heal(&mut self) -> Checked {
        self.say(|| "the faults stop".to_owned());
        self.weather = Weather::fair();
        self.forced = None;
        for machine in 0..self.machines.len() {
            self.machines[machine].cut = None;
            self.outsiders(machine)?;
            if self.machines[machine].paused.is_some() {
                self.daemon_resumes(machine)?;
            }
        }
        self.machine_returns(0, false)
    }

    /// Runs until everything rests, and holds every campaign to I14 on the way.
    pub(crate) fn liveness(&mut self) -> Checked {
        self.heal()?;
        let mut moves = Moves::new();
        let mut look_ms = self.now_ms;
        let end = self.handled + EVENTS_MAX;
        while self.handled < end {
            if !self.step()? {
                break;
            }
            self.check_moves(&mut moves)?;
            if self.now_ms >= look_ms {
                look_ms = self.now_ms + LOOK_MS;
                let drained: Vec<_> = self.coordinator.model.drained.iter().cloned().collect();
                for worker in drained {
                    self.ask(What::Undrain(worker));
                }
                if self.coordinator.model.quota.is_some() {
                    self.ask(What::Quota(None));
                }
                if self.is_at_rest() {
                    return self.check_bytes();
                }
            }
        }
        broken("I14", format!("it never comes to rest: {}", self.describe()))
    }

    fn check_moves(&mut self, moves: &mut Moves) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        for (id, campaign) in &core.durable().campaigns {
            let mark = mark(campaign);
            let entry = moves.entry(id.clone()).or_insert((mark, self.now_ms));
            if entry.0 != mark || self.may_wait(core, campaign) {
                *entry = (mark, self.now_ms);
                continue;
            }
            let attempts = campaign.live().map(|live| live.order.hard_limit_ms + AROUND_AN_ATTEMPT_MS);
            let attempt_ms = attempts.max().unwrap_or(0);
            if self.now_ms - entry.1 > MOVES_WITHIN_MS + attempt_ms {
                return broken("I14", format!("{id} stands still: {}", self.describe()));
            }
        }
        Ok(())
    }

    /// Whether a campaign waits for what no worker can give it.
    fn may_wait(&self, core: &Core, campaign: &Campaign) -> bool {
        if campaign.is_stopped() {
            return campaign.live().next().is_none();
        }
        match core.due(&campaign.id) {
            None | Some(Due::Nothing(_)) => campaign.live().next().is_none(),
            Some(Due::Device(_)) => !self.can_ever_run(core, campaign) || self.others_run(core, &campaign.id),
            // Until it is lifted; then it is due like any other.
            Some(Due::Quota(_)) => true,
            Some(Due::Records(_) | Due::Facts(_)) => false,
        }
    }

    fn others_run(&self, core: &Core, campaign: &CampaignId) -> bool {
        core.durable().live.values().flat_map(|live| live.keys()).any(|id| id.campaign != *campaign)
    }

    /// Whether some machine that is there has what the campaign asks for in some lane.
    fn can_ever_run(&self, core: &Core, campaign: &Campaign) -> bool {
        let lanes = core.lanes(&campaign.id).unwrap_or_default();
        lanes.into_iter().filter_map(|lane| lane.kind).any(|kind| self.can_ever_run_kind(campaign, kind))
    }

    fn can_ever_run_kind(&self, campaign: &Campaign, kind: Kind) -> bool {
        let there = || self.machines.iter().filter(|machine| machine.has_power);
        let resources = &campaign.bindings.windlass.resources;
        let is_analysis = kind != Kind::Run;
        let any_gpu = there().any(|machine| machine.devices_of(DeviceKind::Gpu, "", None) > 0);
        let gpus = match is_analysis {
            true => campaign.bindings.windlass.analysis.gpus,
            false => resources.gpus.unwrap_or(u32::from(any_gpu)),
        };
        let (kind, count) = match (gpus, is_analysis) {
            (0, true) => return there().next().is_some(),
            (0, false) => (DeviceKind::Cpu, resources.cpus.unwrap_or(1)),
            (gpus, _) => (DeviceKind::Gpu, gpus),
        };
        let labels = if is_analysis { &[][..] } else { &resources.labels[..] };
        let model = resources.gpu_model.as_deref().filter(|_| kind == DeviceKind::Gpu && !is_analysis);
        let is_baseline = campaign.decided.is_empty();
        let pinned = campaign.baseline_device_model.as_deref().filter(|_| !is_baseline && !is_analysis);
        there().any(|machine| {
            machine.devices_of(kind, model.unwrap_or_default(), pinned) >= count as usize
                && labels.iter().all(|label| machine.info.labels.contains(label))
        })
    }

    /// Nothing is due, nothing is live, every spool is empty, all is durable.
    fn is_at_rest(&self) -> bool {
        let Some(core) = &self.coordinator.core else { return false };
        let is_idle = |campaign: &Campaign| match core.due(&campaign.id) {
            _ if campaign.is_stopped() => true,
            Some(Due::Nothing(_)) => campaign.unfinished().next().is_none(),
            Some(Due::Device(_)) => !self.can_ever_run(core, campaign),
            _ => false,
        };
        let spools = || self.machines.iter().filter(|machine| machine.has_power);
        self.coordinator.is_settled()
            && core.durable().live.is_empty()
            && core.durable().campaigns.values().all(is_idle)
            && spools().all(|machine| machine.daemon.is_some() && machine.spool.is_empty())
            && self.machines.iter().all(|machine| machine.shims.is_empty())
    }

    fn describe(&self) -> String {
        let Some(core) = &self.coordinator.core else { return "the coordinator is down".to_owned() };
        let campaigns = core.durable().campaigns.values().map(|campaign| {
            let open: Vec<_> = campaign.open.values().map(|open| (open.number, &open.live)).collect();
            let text =
                format!("{} {:?} {open:?} due {:?}", campaign.id, campaign.state, core.due(&campaign.id));
            text.chars().take(1_200).collect::<String>()
        });
        let machines = self.machines.iter().map(|machine| {
            let spool: Vec<String> = machine
                .spool
                .iter()
                .map(|(key, spooled)| format!("{key} outcome {}", spooled.outcome.is_some()))
                .collect();
            let (id, power, daemon) = (&machine.info.id, machine.has_power, machine.daemon.is_some());
            format!("{id} power {power} daemon {daemon} spool {spool:?} shims {}", machine.shims.len())
        });
        campaigns.chain(machines).collect::<Vec<_>>().join("\n  ")
    }
}

/// A number that grows with whatever a campaign does.
fn mark(campaign: &Campaign) -> u64 {
    let of_lane = |open: &Iteration| {
        let is_live = u64::from(open.live.is_some());
        let accepted = open.accepted.len() as u64;
        u64::from(open.attempts) * 1_000 + is_live * 500 + accepted + 20 * u64::from(open.fixes_applied)
    };
    let open: u64 = campaign.open.values().chain(campaign.settled.values()).map(of_lane).sum();
    let passes: u32 = campaign.levers.values().map(|lever| lever.passes).sum();
    let queue = campaign.queue.len() as u64;
    (campaign.decided.len() as u64) * 1_000_000 + open + u64::from(passes) * 40 + queue
}
