//! The core, its driver in miniature, and its workers.

use super::replayed::{fold, replay, snapshots_agree, text, through_bytes};
use super::{Fake, Legal, Said, bindings, clean, diff_of, digest, good, holds, merged_tree, workspace};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use windlass_engine::campaign::Past;
use windlass_engine::core::{Ask, Command, Core, Input, Listed, Observation, RequestKey};
use windlass_engine::gate::facts::{
    FixFacts, Look, Merged, ProposalFacts, PullFacts, PullWanted, Wanted, WantedKey,
};
use windlass_shared::attempt::{AttemptKey, Kind, Order, Outcome};
use windlass_shared::device::Device;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, Incarnation, LeverNumber, RequestId, WorkerId};
use windlass_shared::lever::Lever;
use windlass_shared::record::{Answer, Body, Record, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::Report;
use windlass_shared::time::Time;
use windlass_shared::view::LeverState;

/// Inputs that one input may cause before the core must be quiet.
const STEPS_MAX: usize = 10_000;

/// See the module.
pub struct World {
    pub core: Core,
    pub now: Time,
    pub records: Vec<Record>,
    pub workers: BTreeMap<WorkerId, Fake>,
    /// What workers were told and the test has not taken.
    pub said: VecDeque<(WorkerId, Said)>,
    /// What the pull of a lever finds, instead of a merge that fits and an anchor that holds.
    pub merges: BTreeMap<LeverNumber, Merged>,
    pub looks: BTreeMap<LeverNumber, Look>,
    /// What a fix finds, by its index, instead of fitting.
    pub fixes: BTreeMap<u32, Refusal>,
    /// Gathers that fail.
    pub unreadable: bool,
    /// The campaign whose steps cannot be taken.
    pub untakable: Option<CampaignId>,
    /// What was gathered.
    pub gathered: Vec<Wanted>,
    /// Whose the campaigns are that are submitted.
    pub owner: Option<String>,
    /// The latest campaign.
    pub campaign: Option<CampaignId>,
    /// A history of days: what was missed is not looked for after each input.
    pub is_long: bool,
    legal: Legal,
    requests: u32,
    incarnation: u64,
}

impl World {
    /// A coordinator at its first start; nobody is there.
    pub fn empty() -> Self {
        let mut world = Self {
            core: Core::new(),
            now: Time { wall_ms: 1_700_000_000_000, mono_ms: 5_000 },
            records: Vec::new(),
            workers: BTreeMap::new(),
            said: VecDeque::new(),
            merges: BTreeMap::new(),
            looks: BTreeMap::new(),
            fixes: BTreeMap::new(),
            unreadable: false,
            untakable: None,
            gathered: Vec::new(),
            owner: None,
            campaign: None,
            is_long: false,
            legal: Legal::default(),
            requests: 0,
            incarnation: 0,
        };
        world.start();
        world
    }

    /// One worker with one CPU slot, and a campaign with this `windlass:` block whose baseline is being run.
    pub fn with(windlass: &Value) -> Self {
        let mut world = Self::empty();
        world.connect("w", super::cpus(1));
        world.submit("digits", windlass).expect("a good campaign");
        world
    }

    /// The same, the baseline decided at 0.5.
    pub fn based(windlass: &Value) -> Self {
        let mut world = Self::with(windlass);
        world.finish("0.5");
        world
    }

    /// This core in the place of the one that has seen nothing yet.
    pub fn restart_as(&mut self, core: Core) {
        self.core = core;
        (self.records, self.legal) = (Vec::new(), Legal::default());
        self.start();
    }

    fn start(&mut self) {
        self.incarnation += 1;
        let incarnation = Incarnation(self.incarnation);
        let input = Input::Start { incarnation, version: "0.1.0".to_owned() };
        self.input(input).expect("a start is not refused");
    }

    /// The coordinator dies and starts again on what it has recorded, every other time from a snapshot of
    /// some earlier moment; its clock begins anew.
    pub fn restart(&mut self) {
        let cut = if self.incarnation.is_multiple_of(2) { self.records.len() / 2 } else { 0 };
        let (before, after) = self.records.split_at(cut);
        self.core = Core::new().resumed(through_bytes(&fold(before)));
        for record in after {
            self.core.apply(record);
        }
        self.now.mono_ms = 70;
        self.start();
    }

    /// Where a lever stands; the words of a retirement are the ledger's.
    pub fn lever_state(&self, lever: LeverNumber) -> LeverState {
        match self.core.lever(&self.id(), lever).expect("known") {
            Listed::Whole(view) => view.state,
            Listed::Past(_, Past::Decided { iteration, status }) => LeverState::Decided { iteration, status },
            Listed::Past(_, past @ (Past::TakenBack | Past::Stale)) => {
                let retired = self.records.iter().rev().find_map(|record| match &record.body {
                    Body::LeverRetired { lever: retired, reason }
                        if *retired == lever && record.campaign.as_ref() == Some(&self.id()) =>
                    {
                        Some(reason.clone())
                    }
                    _ => None,
                });
                let reason = retired.expect("its retirement is recorded");
                assert_eq!(past == Past::TakenBack, reason == RetireReason::Owner, "{lever}: {reason:?}");
                LeverState::Retired { reason }
            }
        }
    }

    // ---- inputs

    /// Decides and applies one input, then carries out all that is wanted.
    pub fn input(&mut self, input: Input) -> Result<(), Refusal> {
        self.feed(input)?;
        self.settle();
        Ok(())
    }

    pub fn observe(&mut self, seen: Observation) {
        self.core.observe(self.now, seen);
        self.settle();
    }

    pub fn send(&mut self, report: Report) {
        self.hear(report);
        self.settle();
    }

    /// This worker says what it has.
    pub fn report(&mut self, worker: &str) {
        let report = self.fake(worker).report();
        self.send(report);
    }

    /// All workers say what they have.
    pub fn all_report(&mut self) {
        let workers: Vec<WorkerId> = self.workers.keys().cloned().collect();
        for worker in workers {
            self.report(worker.as_str());
        }
    }

    /// Time passes in silence.
    pub fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms as i64;
        self.settle();
    }

    /// Time passes, and every worker is heard meanwhile.
    pub fn pass_heard(&mut self, ms: u64) {
        let mut left = ms;
        while left > 0 {
            let step = left.min(20_000);
            left -= step;
            self.now.mono_ms += step;
            self.now.wall_ms += step as i64;
            self.all_report();
        }
    }

    pub fn connect(&mut self, name: &str, devices: Vec<Device>) {
        let fake = Fake::new(name, devices);
        self.join(fake);
    }

    pub fn join(&mut self, fake: Fake) {
        let id = fake.info.id.clone();
        self.workers.insert(id.clone(), fake);
        self.report(id.as_str());
    }

    pub fn fake(&mut self, worker: &str) -> &mut Fake {
        self.workers.get_mut(&WorkerId::from(worker)).expect("a worker of this world")
    }

    pub fn next_request(&mut self) -> RequestKey {
        self.requests += 1;
        let id = format!("request-{}", self.requests);
        RequestKey { body: Hash::of(id.as_bytes()), id: RequestId(id) }
    }

    pub fn ask(&mut self, ask: Ask) -> Result<Answer, Refusal> {
        let request = self.next_request();
        self.ask_as(&request, ask)
    }

    pub fn ask_as(&mut self, request: &RequestKey, ask: Ask) -> Result<Answer, Refusal> {
        self.feed(Input::Client { request: request.clone(), ask })?;
        let answer = self.core.answered(request);
        if let Answer::Campaign { id, .. } = &answer {
            self.campaign = Some(id.clone());
        }
        self.settle();
        Ok(answer)
    }

    pub fn submit(&mut self, name: &str, windlass: &Value) -> Result<Answer, Refusal> {
        let bindings = Box::new(bindings(windlass));
        let owner = self.owner.clone();
        self.ask(Ask::Create {
            name: name.to_owned(),
            bindings,
            tree: workspace(),
            cap: None,
            git: None,
            owner,
        })
    }

    pub fn propose(&mut self, lever: Lever) -> Result<LeverNumber, Refusal> {
        self.propose_with(lever, |_| {}).map(|(number, _)| number)
    }

    /// Proposes with facts that the test changes; the number and the warnings.
    pub fn propose_with(
        &mut self,
        lever: Lever,
        change: impl FnOnce(&mut ProposalFacts),
    ) -> Result<(LeverNumber, Vec<String>), Refusal> {
        let campaign = self.id();
        let lever = Box::new(lever);
        let wanted = self.core.proposal_wanted(&campaign, lever.clone())?;
        let changed = digest(&format!("change {:?}", lever.change));
        let evidence = wanted.evidence.as_ref().map(|evidence| evidence.iteration);
        let look = evidence.map_or(Look::NotLooked, |iteration| holds(iteration, "1"));
        let mut facts = ProposalFacts {
            parent: wanted.parent,
            evidence,
            base: wanted.parent,
            changed,
            diff: diff_of(changed),
            merged: Some(merged_tree(wanted.parent, changed)),
            sketch: Default::default(),
            look,
            cited: Vec::new(),
        };
        change(&mut facts);
        let facts = Ok(Box::new(facts));
        let asked = Ask::Propose { campaign: campaign.clone(), lever: lever.clone(), facts };
        match self.ask(asked) {
            Ok(Answer::Lever { number, warnings }) => Ok((number, warnings)),
            Ok(other) => panic!("a lever was proposed: {other:?}"),
            Err(refusal) => {
                let refused = Input::Refused { campaign, lever, refusal: refusal.clone() };
                self.feed(refused).expect("noting a refusal is not refused");
                self.settle();
                Err(refusal)
            }
        }
    }

    // ---- what the workers do

    /// The next thing that was told to a worker.
    pub fn take(&mut self) -> (WorkerId, Said) {
        self.said.pop_front().expect("a worker was told something")
    }

    pub fn order(&mut self, kind: Kind) -> (WorkerId, Box<Order>) {
        let (worker, said) = self.take();
        (worker, said.into_order(kind))
    }

    /// Ends the next attempt that was ordered, which must be of this kind.
    pub fn end(&mut self, kind: Kind, outcome: impl FnOnce(&Order) -> Outcome) -> AttemptKey {
        let (worker, order) = self.order(kind);
        let outcome = outcome(&order);
        self.end_on(&worker, &order.key, outcome);
        order.key
    }

    pub fn end_on(&mut self, worker: &WorkerId, key: &AttemptKey, outcome: Outcome) {
        self.fake(worker.as_str()).end(key, outcome);
        self.report(worker.as_str());
    }

    /// Ends the next run with this metric.
    pub fn finish(&mut self, metric: &str) -> AttemptKey {
        self.end(Kind::Run, |order| good(order, metric))
    }

    /// Ends the run of this iteration with this outcome, in whatever lane it runs (P39).
    pub fn end_run_of(&mut self, iteration: u32, outcome: impl FnOnce(&Order) -> Outcome) {
        let is_its =
            |said: &Said| matches!(said, Said::Order(order) if order.key.id.iteration.0 == iteration);
        let at = self.said.iter().position(|(_, said)| is_its(said)).expect("its run was ordered");
        let (worker, said) = self.said.remove(at).expect("found");
        let order = said.into_order(Kind::Run);
        let outcome = outcome(&order);
        self.end_on(&worker, &order.key, outcome);
    }

    /// Ends the run of this iteration with this metric.
    pub fn finish_of(&mut self, iteration: u32, metric: &str) {
        self.end_run_of(iteration, |order| good(order, metric));
    }

    /// Ends the next run with this outcome.
    pub fn run_ends(&mut self, outcome: Outcome) -> AttemptKey {
        self.end(Kind::Run, |_| outcome)
    }

    // ---- the driver in miniature

    /// Decides and applies one input; what it causes waits for the next one.
    pub fn feed(&mut self, input: Input) -> Result<(), Refusal> {
        for record in self.core.decide(self.now, input)? {
            self.legal.take(&record);
            self.core.apply(&record);
            self.records.push(record);
        }
        Ok(())
    }

    fn hear(&mut self, report: Report) {
        if self.workers.get(&report.worker.id).is_some_and(|fake| fake.cut) {
            return;
        }
        self.feed(Input::Report(report.clone())).expect("a report is not refused");
        self.core.observe(self.now, Observation::Report(report));
    }

    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            let commands = self.core.wants(self.now);
            if commands.is_empty() {
                if !self.is_long {
                    self.nothing_was_missed();
                }
                return;
            }
            for command in commands {
                self.carry_out(command);
            }
        }
        panic!("the core does not come to rest");
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Step(campaign) if self.untakable.as_ref() == Some(&campaign) => {
                self.core.observe(self.now, Observation::StepFailed(campaign));
            }
            Command::Step(campaign) => self.feed(Input::Step(campaign)).expect("a step is not refused"),
            Command::Lose(worker) => self.feed(Input::Lose(worker)).expect("a loss is not refused"),
            Command::Gather(wanted) => self.gather(wanted),
            Command::Answer(worker, answer) => {
                let Some(fake) = self.workers.get_mut(&worker).filter(|fake| !fake.cut) else { return };
                let Some(said) = fake.hear(&answer) else { return };
                let report = fake.report();
                self.said.extend(said.into_iter().map(|said| (worker.clone(), said)));
                self.hear(report);
            }
        }
    }

    fn gather(&mut self, wanted: Wanted) {
        self.gathered.push(wanted.clone());
        let seen = match wanted {
            _ if self.unreadable => Observation::GatherFailed(wanted.key()),
            Wanted::Pull(wanted) => Observation::Pull(Box::new(self.pull_facts(&wanted))),
            Wanted::Fix(wanted) => {
                let tree: Digest = digest(&format!("{} with fix {}", wanted.tree, wanted.fix));
                let refused = self.fixes.get(&wanted.fix).cloned();
                Observation::Fix(Box::new(FixFacts {
                    campaign: wanted.campaign,
                    iteration: wanted.iteration,
                    fix: wanted.fix,
                    on: wanted.tree,
                    applied: refused.map_or(Ok((tree, 2)), Err),
                }))
            }
        };
        self.core.observe(self.now, seen);
    }

    pub fn pull_facts(&self, wanted: &PullWanted) -> PullFacts {
        let merged = self.merges.get(&wanted.lever).cloned();
        let found = match (&wanted.anchor, &wanted.evidence) {
            (Some(_), Some(evidence)) => holds(evidence.iteration, "1"),
            _ => Look::NotLooked,
        };
        PullFacts {
            campaign: wanted.campaign.clone(),
            lever: wanted.lever,
            parent: wanted.parent,
            best: wanted.best,
            results: wanted.evidence.as_ref().and_then(|evidence| evidence.results),
            merged: merged.unwrap_or_else(|| clean(wanted.parent, wanted.changed)),
            look: self.looks.get(&wanted.lever).cloned().unwrap_or(found),
        }
    }

    /// The pulls that were gathered so far, by lever.
    pub fn pulls_gathered(&self) -> Vec<LeverNumber> {
        let keys = self.gathered.iter().map(Wanted::key);
        keys.filter_map(|key| match key {
            WantedKey::Pull(_, lever, _) => Some(lever),
            WantedKey::Fix(..) => None,
        })
        .collect()
    }

    /// What is wanted after looking at everything must be what was wanted by looking at what changed.
    fn nothing_was_missed(&self) {
        let mut twin = self.core.clone();
        twin.forget_what_was_looked_at();
        let missed = twin.wants(self.now);
        assert!(missed.is_empty(), "a change woke nobody: {missed:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert!(self.said.is_empty(), "left over: {:?}", self.said);
        assert!(
            text(self.core.durable()).into_bytes() == replay(&self.records),
            "a replay gives other bytes"
        );
        snapshots_agree(&self.records);
    }
}
