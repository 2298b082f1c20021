//! Campaigns that live: a lever is queued, an iteration opened, its run and its analysis are leased and end,
//! its deliverable is accepted, it is concluded and decided. Every record is one that the core decided.

use super::fleet;
use serde_json::json;
use windlass_engine::core::{Ask, Command, Core, Input, Observation, RequestKey};
use windlass_engine::gate::facts::{Look, Merged, ProposalFacts, PullFacts, Wanted};
use windlass_shared::attempt::{Ending, Kind, Order, Outcome, Output, Phase, Reading};
use windlass_shared::bindings::Bindings;
use windlass_shared::decimal::Decimal;
use windlass_shared::device::{Device, WorkerInfo};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, Incarnation, IterationNumber, RequestId};
use windlass_shared::lever::{Anchor, Change, Kind as LeverKind, Lever, Pin};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::record::{Answer, Body, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::AttemptReport;
use windlass_shared::time::Time;

/// Wall time between two iterations, over all campaigns: with eight of them about a minute each.
const STEP_MS: i64 = 8_000;
/// One in so many levers is better than all before.
const KEEP_EVERY: u64 = 20;

/// The bindings of every campaign here.
pub fn bindings() -> Box<Bindings> {
    let document = json!({
        "metric": "val_acc", "metric_direction": "maximize", "entrypoint": "python3 train.py --quiet",
        "editable_files": ["train.py", "model/*.py", "config/*.yaml"], "gate": "time", "budget": 1.0,
    });
    serde_json::from_value(document).expect("bindings")
}

/// Campaigns, one worker with a GPU for each, and the records that they have made and nobody has taken.
pub struct Story {
    /// The core that decides.
    pub core: Core,
    /// Records since the last [`Story::take`].
    records: Vec<Record>,
    campaigns: Vec<CampaignId>,
    worker: (WorkerInfo, Vec<Device>),
    reports: u64,
    requests: u64,
    proposed: u64,
    now: Time,
}

impl Story {
    /// So many campaigns whose baselines are decided.
    pub fn new(campaigns: usize) -> Self {
        let mut story = Self {
            core: Core::new(),
            records: Vec::new(),
            campaigns: Vec::new(),
            worker: fleet::gpu_worker(0, campaigns),
            reports: 0,
            requests: 0,
            proposed: 0,
            now: Time { wall_ms: 1_750_000_000_000, mono_ms: 1 },
        };
        let incarnation = Incarnation(0x5EED);
        story.feed(Input::Start { incarnation, version: "0.1.0".to_owned() }).expect("a start");
        story.report(Vec::new());
        for number in 0..campaigns {
            let tree = Digest::of(format!("workspace {number}").as_bytes());
            let ask = Ask::Create {
                name: format!("campaign {number}"),
                bindings: bindings(),
                tree,
                cap: None,
                git: None,
                owner: None,
            };
            let Answer::Campaign { id, .. } = story.ask(ask) else { panic!("a campaign was asked for") };
            story.campaigns.push(id.clone());
            story.finish(&id);
        }
        story
    }

    /// The records made since the last call, in order.
    pub fn take(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// One iteration's whole life in the next campaign.
    pub fn iterate(&mut self) {
        self.now.wall_ms += STEP_MS;
        let campaign = self.campaigns[self.proposed as usize % self.campaigns.len()].clone();
        self.proposed += 1;
        self.propose(&campaign);
        self.finish(&campaign);
    }

    fn propose(&mut self, campaign: &CampaignId) {
        let name = format!("change {}", self.proposed);
        let lever = Box::new(lever(&name));
        let wanted = self.core.proposal_wanted(campaign, lever.clone()).expect("it may be proposed");
        let evidence = wanted.evidence.map(|evidence| evidence.iteration);
        let changed = Digest::of(name.as_bytes());
        let facts = ProposalFacts {
            parent: wanted.parent,
            evidence,
            base: wanted.parent,
            changed,
            diff: Hash::of(name.as_bytes()),
            merged: Some(merged(wanted.parent, changed)),
            sketch: Default::default(),
            look: evidence.map_or(Look::NotLooked, holds),
            cited: Vec::new(),
        };
        self.ask(Ask::Propose { campaign: campaign.clone(), lever, facts: Ok(Box::new(facts)) });
    }

    /// Ends every attempt of the open iteration until it is decided.
    fn finish(&mut self, campaign: &CampaignId) {
        loop {
            let open = self.core.campaign(campaign).expect("known").open.values().next();
            let Some(live) = open.map(|open| open.live.as_ref().expect("a free GPU")) else { return };
            let outcome = Box::new(self.outcome(&live.order));
            let ended = AttemptReport { key: live.key.clone(), phase: Phase::Ended(outcome) };
            self.report(vec![ended]);
        }
    }

    /// A run that printed its metric, or scripts that wrote what they should.
    fn outcome(&self, order: &Order) -> Outcome {
        let of = |what: &str| Digest::of(format!("{what} of {}", order.key.id).as_bytes());
        let output = |path: &TreePath| Output {
            path: path.clone(),
            digest: Some(of(path.as_str())),
            first_line: "epoch\tloss\tfinal_slope".to_owned(),
            problem: None,
        };
        let kept = self.proposed / KEEP_EVERY;
        let is_better = self.proposed.is_multiple_of(KEEP_EVERY);
        let metric = format!("0.{:08}", 50_000_000 + 10 * kept + u64::from(is_better));
        let value = Decimal::parse(&metric).expect("a metric");
        Outcome {
            reading: (order.kind == Kind::Run).then_some(Reading::Metric { value, line: 812 }),
            duration_ms: 55_000,
            log_bytes: 48_000,
            log_hash: Some(Hash::of(order.key.id.to_string().as_bytes())),
            results: Some(of("results")),
            outputs: order.scripts.iter().map(|script| output(&script.output)).collect(),
            isolation: "guarded".to_owned(),
            device_model: "NVIDIA H200".to_owned(),
            ..Outcome::bare(Ending::Finished)
        }
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        self.requests += 1;
        let stamp = format!("{:012x}", self.now.wall_ms);
        let id = format!("{}-{}-7abc-8def-{:012x}", &stamp[..8], &stamp[8..], self.requests);
        let request = RequestKey { body: Hash::of(id.as_bytes()), id: RequestId(id) };
        self.feed(Input::Client { request: request.clone(), ask }).expect("it is not refused");
        let answer = self.core.answered(&request);
        self.settle();
        answer
    }

    fn report(&mut self, ended: Vec<AttemptReport>) {
        self.reports += 1;
        let report = fleet::report(&self.worker, self.core.durable().incarnation, self.reports, ended);
        self.feed(Input::Report(report.clone())).expect("a report is not refused");
        self.core.observe(self.now, Observation::Report(report));
        self.settle();
    }

    fn feed(&mut self, input: Input) -> Result<(), Refusal> {
        let records = self.core.decide(self.now, input)?;
        for record in &records {
            self.core.apply(record);
        }
        self.records.extend(records);
        Ok(())
    }

    /// Carries out what the core wants until it rests.
    fn settle(&mut self) {
        loop {
            let mut is_at_rest = true;
            for command in self.core.wants(self.now) {
                match command {
                    Command::Step(campaign) => {
                        self.feed(Input::Step(campaign)).expect("a step is not refused");
                        is_at_rest = false;
                    }
                    Command::Gather(wanted) => {
                        self.gather(wanted);
                        is_at_rest = false;
                    }
                    Command::Lose(_) | Command::Answer(..) => {}
                }
            }
            if is_at_rest {
                return;
            }
        }
    }

    /// Facts of a change that fits and of an anchor that holds.
    fn gather(&mut self, wanted: Wanted) {
        let Wanted::Pull(wanted) = wanted else { panic!("no lever here carries a fix") };
        let tree = merged(wanted.parent, wanted.changed);
        let diff = Hash::of(wanted.changed.to_string().as_bytes());
        let facts = PullFacts {
            campaign: wanted.campaign,
            lever: wanted.lever,
            parent: wanted.parent,
            best: wanted.best,
            results: wanted.evidence.as_ref().and_then(|evidence| evidence.results),
            merged: Merged::Clean { tree, net_lines: 3, diff },
            look: wanted.best.map_or(Look::NotLooked, holds),
        };
        self.core.observe(self.now, Observation::Pull(Box::new(facts)));
    }

    /// Whether this record ends an iteration.
    pub fn is_decision(record: &Record) -> bool {
        matches!(record.body, Body::IterationDecided { .. })
    }
}

fn merged(parent: Digest, changed: Digest) -> Digest {
    Digest::of(format!("{parent} and {changed}").as_bytes())
}

fn holds(iteration: IterationNumber) -> Look {
    Look::Holds(Pin { iteration, line: 14, value: "-0.0132".to_owned() })
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect("a literal path")
}

/// A lever as researchers write them, with a dimension of its own.
fn lever(name: &str) -> Lever {
    let dimension = name.replace(' ', "-");
    let script = Script::Blob { name: "confusion.py".to_owned(), digest: Digest::of(dimension.as_bytes()) };
    Lever {
        title: format!("{name}: halve the batch and raise momentum to 0.95"),
        kind: LeverKind::Change,
        files: vec![path("train.py"), path("config/base.yaml")],
        change: Change::Patch(Digest::of(name.as_bytes())),
        anchor: Some(Anchor {
            file: path("loss_curve.tsv"),
            pattern: r"final_slope\t(-?[0-9.]+)".to_owned(),
            compare: None,
            iteration: None,
        }),
        prediction: "val_acc up by 0.01; the loss is no longer falling at the cut".to_owned(),
        fixes: Vec::new(),
        literature: None,
        architecture: Some("mlp".to_owned()),
        instrumentation: None,
        parents: Vec::new(),
        axes: Vec::new(),
        cites: Vec::new(),
        changed_assumption: None,
        analysis: vec![Deliverable {
            script,
            output: path("loss_curve.tsv"),
            dimension,
            question: "is the loss still falling when the gate cuts the run?".to_owned(),
            if_helped: "the slope is flatter than before".to_owned(),
            if_not: "the slope is as it was".to_owned(),
            compares: None,
        }],
    }
}
