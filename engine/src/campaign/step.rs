//! What is due in one campaign: its next records, the facts it lacks, or what it waits for (P24).

use super::iteration::{Iteration, Need};
use super::lever::LeverEntry;
use super::pull::Turn;
use super::state::Campaign;
use crate::core::Soft;
use crate::gate::facts::{FixWanted, Wanted};
use crate::gate::plan::{Completed, complete};
use crate::placement::Ask;
use crate::quota::Holding;
use windlass_shared::attempt::Kind;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{FencingNumber, IterationNumber, WorkerId};
use windlass_shared::lever::{Change, FixTrigger};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::record::{Body, PauseReason, StopReason};
use windlass_shared::view::{CampaignState, LeverState};

/// The reason of a decision whose analysis never came (P21); its lever may be queued again.
pub const UNANALYSED: &str = "unanalysed";
/// The reason of a decision that its owner asked for; its lever was not tried, and may be queued again.
pub const CANCELLED: &str = "cancelled";
/// The reason of a decision that another lane's kept iteration overtook (P39); its lever is run again.
pub const SUPERSEDED: &str = "superseded";
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
    /// What the campaign's owner has of the fleet, if it is a client.
    pub holding: Option<&'a Holding>,
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
    /// Its owner's quota keeps it waiting, whatever is free.
    Quota(String),
    /// Nothing, for this reason.
    Nothing(String),
}

/// What is due in one lane, or in the queue behind them.
#[derive(Debug)]
pub struct Lane {
    /// The iteration that is open in it; none for a lane that is free.
    pub iteration: Option<IterationNumber>,
    /// What is due.
    pub due: Due,
    /// The kind of attempt that it needs next, if it needs one.
    pub kind: Option<Kind>,
    /// What it asks of the fleet, where only devices hinder its next lease.
    pub ask: Option<Ask>,
}

/// What is due in every lane of a campaign (P39), the oldest iteration first. Where something is to be
/// recorded it stands alone: that may change what is due in the others.
pub fn lanes(context: &Context<'_>) -> Vec<Lane> {
    let campaign = context.campaign;
    if campaign.is_stopped() {
        return vec![Lane::free(Due::Nothing("it has stopped".to_owned()))];
    }
    let mut lanes = Vec::new();
    for open in campaign.unfinished() {
        let lane = context.lane(open);
        if let Due::Records(_) = lane.due {
            return vec![lane];
        }
        lanes.push(lane);
    }
    if let Some(due) = context.free_lane() {
        if let Due::Records(_) = due {
            return vec![Lane::free(due)];
        }
        lanes.push(Lane::free(due));
    }
    lanes
}

/// The most urgent of what is due in a campaign: records, then facts, then devices.
pub fn due(context: &Context<'_>) -> Due {
    let rank = |due: &Due| match due {
        Due::Records(_) => 0,
        Due::Facts(_) => 1,
        Due::Device(_) | Due::Quota(_) => 2,
        Due::Nothing(_) => 3,
    };
    let most_urgent = lanes(context).into_iter().map(|lane| lane.due).min_by_key(rank);
    most_urgent.unwrap_or_else(|| Due::Nothing("every lane is busy".to_owned()))
}

impl Lane {
    /// Whether nothing is due: it waits, for a person if for anybody.
    pub fn is_idle(&self) -> bool {
        matches!(self.due, Due::Nothing(_))
    }

    fn free(due: Due) -> Self {
        Self { iteration: None, due, kind: None, ask: None }
    }
}

impl Context<'_> {
    /// What is due in an open iteration.
    pub fn lane(&self, open: &Iteration) -> Lane {
        let due = self.iteration(open);
        let kind = match self.need(open) {
            Need::Run => Some(Kind::Run),
            Need::Analysis => Some(Kind::Analysis),
            Need::Score => Some(Kind::Score),
            _ => None,
        };
        let rests = self.soft.backoff_left(&self.campaign.id, open.number).is_some();
        let is_waiting = matches!(due, Due::Device(_)) && !rests;
        let ask = kind.filter(|_| is_waiting).map(|kind| self.ask(open, kind));
        Lane { iteration: Some(open.number), due, kind, ask }
    }

    /// What is due in a lane where nothing is open, if there is one.
    pub fn free_lane(&self) -> Option<Due> {
        let campaign = self.campaign;
        if campaign.open.len() >= campaign.lanes() {
            return None;
        }
        if let CampaignState::Paused { reason } = &campaign.state {
            return Some(Due::Nothing(match reason {
                PauseReason::Owner => "it is paused; `windlass resume` lets it go on".to_owned(),
                PauseReason::Baseline { repair } => {
                    format!("its baseline is no ground to build on: {repair}")
                }
                PauseReason::Infrastructure => {
                    "two levers in a row were set aside because machines failed; look at `windlass workers`, then `windlass resume`".to_owned()
                }
            }));
        }
        if let Some(limit) = campaign.limit_met() {
            // What is open is decided first.
            let is_idle = campaign.unfinished().next().is_none();
            return is_idle
                .then(|| Due::Records(vec![Body::CampaignStopped { reason: StopReason::Limit { limit } }]));
        }
        if campaign.last_opened.is_none() {
            return Some(Due::Records(vec![self.baseline()]));
        }
        Some(self.pull())
    }

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
            if let Some(why) = campaign.waits_for_move(entry.document.kind) {
                waits.push(format!("{number} {why}"));
                continue;
            }
            let wanted = campaign.pull_wanted(entry);
            let Some(facts) = self.soft.pull_facts(&wanted) else {
                return Due::Facts(Wanted::Pull(Box::new(wanted)));
            };
            match campaign.turn(entry, facts) {
                Turn::Record(body) => return Due::Records(vec![*body]),
                Turn::AlreadyPassed => {
                    waits.push(format!(
                        "{number} for its evidence ({}), which the test of another lever may bring",
                        entry.missing.as_deref().unwrap_or("missing")
                    ));
                }
                Turn::Waits(why) => waits.push(format!("{number} {why}")),
            }
        }
        Due::Nothing(if waits.is_empty() {
            let lever = format!("a lever: `windlass lever add` queues one{}", self.held());
            match campaign.waits_for_finding() {
                Some(finding) => format!("{lever}; {finding}"),
                None => lever,
            }
        } else {
            waits.join("; ")
        })
    }

    /// How many levers are set aside: their researcher may help them on.
    fn held(&self) -> String {
        if self.say == Say::Nothing {
            return String::new();
        }
        let is_held = |entry: &&LeverEntry| matches!(entry.state, LeverState::Held { .. });
        match self.campaign.levers.values().filter(is_held).count() {
            0 => String::new(),
            1 => "; one is held, and `windlass lever list` says for what".to_owned(),
            count => format!("; {count} are held, and `windlass lever list` says for what"),
        }
    }

    /// What an iteration needs next. While its researcher writes the conclusion its follow-ups are carried out
    /// (P22); what else it waits for may change what they would read.
    fn need(&self, open: &Iteration) -> Need {
        if open.is_settled {
            return open.need_of_settled().unwrap_or(Need::Decide);
        }
        let need = open.need(self.fix(open), self.replicates(open));
        let has_time = |need| {
            let follows_up = open.has_follow_ups() && open.is_following_up();
            need == Need::Decide && follows_up && self.waits(open).is_some()
        };
        if has_time(need) { Need::Analysis } else { need }
    }

    fn iteration(&self, open: &Iteration) -> Due {
        match self.need(open) {
            Need::Attempt => Due::Nothing("its attempt is under way".to_owned()),
            Need::Run => self.lease(open, Kind::Run),
            Need::Analysis => self.lease(open, Kind::Analysis),
            Need::Score => self.lease(open, Kind::Score),
            Need::Fix(fix) => self.apply_fix(open, fix),
            Need::Accept => Due::Records(accept(open)),
            Need::Decide if open.is_settled => Due::Nothing("it is decided".to_owned()),
            Need::Decide => match self.waits(open) {
                Some(text) => Due::Nothing(text),
                None => self.decide(open),
            },
        }
    }

    /// The first carried fix that answers the last run's failure and was not tried (P19).
    pub(super) fn fix(&self, open: &Iteration) -> Option<u32> {
        let run = open.run.as_ref()?;
        if open.has_run() || open.fixes_applied >= self.campaign.bindings.windlass.fixes {
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
                change: Change::Patch(carried.patch),
                tree: open.tree,
                written_on: entry.changed,
                net_lines: open.net_lines,
                editable: campaign.bindings.editable_files.clone(),
                cap: campaign.cap_rule(),
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
                change: None,
            }]),
            // `fix` passes refused ones over, so this one is not asked for again.
            Some(Err(refusal)) => Due::Nothing(format!("its fix does not go: {refusal}")),
        }
    }
}

/// The deliverables of the last attempt, recorded one by one (P21).
fn accept(open: &Iteration) -> Vec<Body> {
    let dimension = |path: &TreePath| {
        let mut rows = open.plan.iter().chain(&open.follow_ups.rows);
        rows.find(|row| &row.output == path).map(|row| row.dimension.clone())
    };
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
