//! Facts, made up: a pure function of the seed and of what they are computed from, as the real gates are
//! of file contents.

use crate::coverage::Fault;
use crate::faults::Ambush;
use crate::random::Random;
use crate::violation::Checked;
use crate::world::{Event, World};
use windlass_engine::core::{Ask, Input, Observation};
use windlass_engine::gate::facts::{
    Evidence, FixFacts, FixWanted, Look, Merged, ProposalFacts, ProposalWanted, PullFacts, PullWanted, Wanted,
};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber};
use windlass_shared::lever::{Anchor, Pin};
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;

/// How often a proposal's facts are gathered before its client is refused.
const GATHER_TIMES_MAX: u32 = 5;

impl World {
    pub(crate) fn gathered(&mut self, life: u64, wanted: &Wanted) -> Checked {
        if life != self.coordinator.life {
            return Ok(());
        }
        if self.is_unreadable(wanted)
            || self.is_due(Fault::GatherFailed, self.weather.gather_fails_in_a_thousand)
        {
            self.hit(Fault::GatherFailed);
            self.observe(Observation::GatherFailed(wanted.key()));
            return self.pursue();
        }
        let seen = match wanted {
            Wanted::Pull(wanted) => Observation::Pull(Box::new(pull(self.seed, wanted))),
            Wanted::Fix(wanted) => Observation::Fix(Box::new(fix(self.seed, wanted))),
        };
        self.observe(seen);
        self.pursue()
    }

    /// Where gatherings are to fail, about every other campaign has a blob that cannot be read: one is under
    /// way or resting at most times.
    pub(crate) fn is_unreadable(&self, wanted: &Wanted) -> bool {
        let key = wanted.key();
        let is_marked = key.campaign().as_str().bytes().last().is_some_and(|byte| byte % 2 == 0);
        self.weather.is_foul && self.ambush.fault == Fault::GatherFailed && is_marked
    }

    /// A proposal's facts are there; if they have moved they are wanted again.
    pub(crate) fn judged(&mut self, life: u64, call: usize, wanted: &ProposalWanted, tries: u32) -> Checked {
        if life != self.coordinator.life || self.coordinator.core.is_none() {
            return Ok(());
        }
        let facts = if self.client.calls[call].is_spoiled {
            Err(Box::new(Refusal::Frozen { path: "evaluate.py".to_owned() }.into()))
        } else {
            Ok(Box::new(proposal(self.seed, wanted)))
        };
        let request = self.client.calls[call].request.clone();
        let (campaign, lever) = (wanted.campaign.clone(), wanted.lever.clone());
        let ask = Ask::Propose { campaign: campaign.clone(), lever: lever.clone(), facts };
        let result = self.submit(Input::Client { request: request.clone(), ask })?;
        if result == Some(Err(Refusal::FactsMoved)) && tries < GATHER_TIMES_MAX {
            self.say(|| "facts moved".to_owned());
            self.gather_proposal(call, tries + 1);
        } else if let Some(result) = result {
            // Under a request that was answered already nothing was refused.
            if let Err(refusal) = &result {
                self.submit(Input::Refused { campaign, lever, refusal: refusal.clone() })?;
            }
            self.reply(call, request, result)?;
        }
        self.pursue()
    }

    /// Begins to look for a proposal's facts.
    pub(crate) fn gather_proposal(&mut self, call: usize, tries: u32) {
        let Some((campaign, lever)) = self.client.calls[call].proposal() else { return };
        let Some(core) = &self.coordinator.core else { return };
        match core.proposal_wanted(&campaign, lever) {
            Ok(wanted) => {
                let life = self.coordinator.life;
                let delay_ms = self.random.range(1, self.weather.gather_max_ms);
                self.after(delay_ms, Event::Judged { life, call, wanted: Box::new(wanted), tries });
            }
            Err(refusal) => {
                let request = self.client.calls[call].request.clone();
                self.leave_refused(call, request, refusal);
            }
        }
    }
}

/// Chance that depends on nothing but the seed and these words.
fn fixed(seed: u64, words: &str) -> Random {
    let hash = Hash::of(format!("{seed} {words}").as_bytes());
    Random::new(u64::from_le_bytes(hash.0[..8].try_into().expect("eight bytes")))
}

/// One tree of few, so that some repeat (P10).
fn some_tree(random: &mut Random) -> Digest {
    Digest::of(format!("tree {}", random.below(150)).as_bytes())
}

fn some_diff(random: &mut Random) -> Hash {
    Hash::of(format!("diff {}", random.below(150)).as_bytes())
}

fn look(seed: u64, random: &mut Random, anchor: Option<&Anchor>, evidence: Option<&Evidence>) -> Look {
    let (Some(_), Some(evidence)) = (anchor, evidence) else { return Look::NotLooked };
    if Ambush::of(seed).is_for("lever_passed") && random.chance(500) {
        return Look::FileMissing;
    }
    match random.below(20) {
        0..13 => Look::Holds(Pin { iteration: evidence.iteration, line: 3, value: "0.5".to_owned() }),
        13 => Look::Contradicted { line: 4, value: "7".to_owned() },
        14 => Look::NoMatch,
        _ => Look::FileMissing,
    }
}

/// What a lever's change is on a parent.
pub(crate) fn merged(
    seed: u64,
    campaign: &CampaignId,
    lever: LeverNumber,
    parent: &Digest,
    best: Option<IterationNumber>,
) -> Merged {
    let mut random = fixed(seed, &format!("{campaign} {lever} {parent} {best:?}"));
    let conflict = || Merged::Conflict(vec![TreePath::parse("train.py").expect("a plain path").into()]);
    match random.below(20) {
        0..2 => conflict(),
        // Every fourth history is full of changes that interfere (P39).
        3..12 if seed.is_multiple_of(4) => conflict(),
        2 => Merged::Refused(Refusal::NoChange),
        3..9 if Ambush::of(seed).is_for("lever_held") => conflict(),
        _ => Merged::Clean {
            tree: some_tree(&mut random),
            net_lines: random.range(0, 40) as i64 - 10,
            diff: some_diff(&mut random),
        },
    }
}

/// What a lever's anchor finds in the evidence of a best.
pub(crate) fn look_up(
    seed: u64,
    campaign: &CampaignId,
    lever: LeverNumber,
    best: Option<IterationNumber>,
    anchor: Option<&Anchor>,
    evidence: Option<&Evidence>,
) -> Look {
    let mut random = fixed(seed, &format!("look {campaign} {lever} {best:?}"));
    look(seed, &mut random, anchor, evidence)
}

pub(crate) fn pull(seed: u64, wanted: &PullWanted) -> PullFacts {
    let (campaign, lever, best) = (&wanted.campaign, wanted.lever, wanted.best);
    PullFacts {
        campaign: wanted.campaign.clone(),
        lever: wanted.lever,
        parent: wanted.parent,
        best: wanted.best,
        results: wanted.evidence.as_ref().and_then(|evidence| evidence.results),
        merged: merged(seed, &wanted.campaign, wanted.lever, &wanted.parent, wanted.best),
        look: look_up(seed, campaign, lever, best, wanted.anchor.as_ref(), wanted.evidence.as_ref()),
    }
}

pub(crate) fn fix(seed: u64, wanted: &FixWanted) -> FixFacts {
    let words = format!("{} {} {} {}", wanted.campaign, wanted.iteration, wanted.fix, wanted.tree);
    let mut random = fixed(seed, &words);
    let applied = if random.chance(250) {
        Err(Refusal::Frozen { path: "evaluate.py".to_owned() })
    } else {
        Ok((some_tree(&mut random), random.range(0, 30) as i64 - 5))
    };
    FixFacts {
        campaign: wanted.campaign.clone(),
        iteration: wanted.iteration,
        fix: wanted.fix,
        on: wanted.tree,
        applied,
    }
}

fn proposal(seed: u64, wanted: &ProposalWanted) -> ProposalFacts {
    let words = format!("{} {} {}", wanted.campaign, wanted.lever.title, wanted.parent);
    let mut random = fixed(seed, &words);
    ProposalFacts {
        parent: wanted.parent,
        evidence: wanted.evidence.as_ref().map(|evidence| evidence.iteration),
        base: wanted.parent,
        changed: some_tree(&mut random),
        diff: some_diff(&mut random),
        merged: random.chance(800).then(|| some_tree(&mut random)),
        sketch: Default::default(),
        look: look(seed, &mut random, wanted.lever.anchor.as_ref(), wanted.evidence.as_ref()),
        cited: Vec::new(),
    }
}
