//! What several researchers of one campaign work on: claims that end by themselves, and sketches of what each has
//! proposed. Soft: a claim is a courtesy of minutes, and the ledger is what happened. What must hold whatever is
//! forgotten (no change is tried twice, P10) is decided by the records alone.

use super::Core;
use crate::campaign::Campaign;
use crate::gate::plan::is_slug;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::claim::{Claim, ClaimView};
use windlass_shared::id::{CampaignId, LeverNumber};
use windlass_shared::lever::Lever;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;

/// The longest that a claim holds without being renewed: a day, milliseconds.
pub const CLAIM_MAX_MS: u64 = 24 * 3_600_000;
/// Researchers of one campaign that may have a claim: more would only be in each other's way.
const CLAIMS_MAX: usize = 64;
/// Proposals of one campaign that are compared with, the newest: a year's queue is longer, and nearly equal
/// proposals come close together.
const PROPOSED_MAX: usize = 256;
/// Bytes of a researcher's name.
const NAME_MAX_BYTES: usize = 64;
/// Bytes of what a claim is about.
const ABOUT_MAX_BYTES: usize = 500;
/// Dimensions and files of one claim: as many as a lever may have.
const ITEMS_MAX: usize = 64;
/// What share of their lines two changes have in common to be nearly the same, in per cent. One line of ten may
/// differ on both sides; two values of one setting have a third in common and stay apart.
const SIMILAR_PERCENT: usize = 80;
/// What share of their words, in per cent, for two claims on the same file.
const SAME_WORDS_PERCENT: usize = 60;

/// Of every campaign.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    by_campaign: BTreeMap<CampaignId, Held>,
}

#[derive(Clone, Debug, Default)]
struct Held {
    /// By researcher, with the monotonic millisecond at which it ends.
    claims: BTreeMap<String, (Claim, u64)>,
    /// In the order of proposal.
    proposed: BTreeMap<LeverNumber, Proposed>,
}

/// What a researcher has proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Who.
    pub researcher: String,
    /// Its title.
    pub title: String,
    /// The lines of its change ([`sketch`](crate::gate::numstat::sketch)).
    pub sketch: BTreeSet<u64>,
}

impl Core {
    /// Takes a claim for so long, or gives it back when that is nothing; answers what all work on. Without a claim
    /// it only answers. A researcher has one claim: another takes its place.
    ///
    /// # Errors
    /// What is claimed by another, with that one named; a claim that is not of its form.
    pub fn claim(
        &mut self,
        now: Time,
        campaign: &CampaignId,
        claim: Option<Claim>,
        span_ms: u64,
    ) -> Result<Vec<ClaimView>, Refusal> {
        if let Some(claim) = claim {
            self.may_claim(now, campaign, &claim)?;
            let held = self.soft.claims.by_campaign.entry(campaign.clone()).or_default();
            held.forget_over(now.mono_ms);
            let until_ms = now.mono_ms.saturating_add(span_ms.min(CLAIM_MAX_MS));
            held.claims.insert(claim.researcher.clone(), (claim, until_ms));
            held.forget_over(now.mono_ms);
        }
        Ok(self.claims(now, campaign))
    }

    /// Whether a claim may be taken now; nothing is changed.
    ///
    /// # Errors
    /// As for [`Core::claim`].
    pub fn may_claim(&self, now: Time, campaign: &CampaignId, claim: &Claim) -> Result<(), Refusal> {
        check_form(claim)?;
        let Some(held) = self.soft.claims.by_campaign.get(campaign) else { return Ok(()) };
        for (other, left_ms) in held.others(now.mono_ms, &claim.researcher) {
            if let Some(dimension) = claim.dimensions.iter().find(|it| other.dimensions.contains(it)) {
                return Err(claimed(format!("dimension {dimension}"), other, left_ms));
            }
            let file = claim.files.iter().find(|file| other.files.contains(file));
            if let Some(file) = file.filter(|_| share_words(&claim.about, &other.about)) {
                return Err(claimed(format!("{:?} in {file}", claim.about), other, left_ms));
            }
        }
        let others = held.others(now.mono_ms, &claim.researcher).count();
        if others >= CLAIMS_MAX {
            let figure = others as u64 + 1;
            return Err(Refusal::TooMuch {
                what: "the number of claims".to_owned(),
                figure,
                limit: CLAIMS_MAX as u64,
            });
        }
        Ok(())
    }

    /// What researchers work on now, the claim that ends first before the others.
    pub fn claims(&self, now: Time, campaign: &CampaignId) -> Vec<ClaimView> {
        let held = self.soft.claims.by_campaign.get(campaign);
        let live = held.into_iter().flat_map(|held| held.live(now.mono_ms));
        let mut views: Vec<ClaimView> =
            live.map(|(claim, left_ms)| ClaimView { claim: claim.clone(), left_ms }).collect();
        views.sort_by_key(|view| view.left_ms);
        views
    }

    /// Why a researcher's proposal gets in the way of another's: its plan measures what another has claimed, or its
    /// change is nearly one that another has in line or under test. Who states what is different now
    /// (`changed_assumption`) may come near another's change.
    pub fn in_the_way(
        &self,
        now: Time,
        campaign: &Campaign,
        researcher: &str,
        lever: &Lever,
        sketch: &BTreeSet<u64>,
    ) -> Option<Refusal> {
        let held = self.soft.claims.by_campaign.get(&campaign.id)?;
        for (other, left_ms) in held.others(now.mono_ms, researcher) {
            let mut measured = lever.analysis.iter().filter(|row| row.compares.is_none());
            if let Some(row) = measured.find(|row| other.dimensions.contains(&row.dimension)) {
                return Some(claimed(format!("dimension {}", row.dimension), other, left_ms));
            }
        }
        if lever.changed_assumption.is_some() {
            return None;
        }
        let open: BTreeSet<LeverNumber> = campaign.open.values().filter_map(|open| open.lever).collect();
        let (number, near) = held.proposed.iter().rev().find(|(number, earlier)| {
            let is_current = campaign.queue.contains(number) || open.contains(number);
            earlier.researcher != researcher && is_current && is_similar(&earlier.sketch, sketch)
        })?;
        let state = if open.contains(number) { "is being tested" } else { "stands in line" };
        Some(Refusal::Settled {
            rule: "P10",
            what: "this change".to_owned(),
            state: format!(
                "is nearly that of lever {number} of {}, {:?}, which {state}",
                near.researcher, near.title
            ),
            remedy: "propose another change, or state `changed_assumption`: what is different in yours",
        })
    }

    /// Notes what a researcher has proposed; what it had claimed for it is given back.
    pub fn note_proposed(&mut self, campaign: &CampaignId, lever: LeverNumber, proposed: Proposed) {
        let held = self.soft.claims.by_campaign.entry(campaign.clone()).or_default();
        held.claims.remove(&proposed.researcher);
        held.proposed.insert(lever, proposed);
        if held.proposed.len() > PROPOSED_MAX {
            held.proposed.pop_first();
        }
    }
}

impl Held {
    fn live(&self, now_ms: u64) -> impl Iterator<Item = (&Claim, u64)> {
        let claims = self.claims.values().filter(move |(_, until_ms)| *until_ms > now_ms);
        claims.map(move |(claim, until_ms)| (claim, until_ms - now_ms))
    }

    fn others<'a>(&'a self, now_ms: u64, researcher: &'a str) -> impl Iterator<Item = (&'a Claim, u64)> {
        self.live(now_ms).filter(move |(claim, _)| claim.researcher != researcher)
    }

    fn forget_over(&mut self, now_ms: u64) {
        self.claims.retain(|_, (_, until_ms)| *until_ms > now_ms);
    }
}

fn claimed(what: String, by: &Claim, left_ms: u64) -> Refusal {
    let minutes = left_ms.div_ceil(60_000);
    Refusal::Settled {
        rule: "P39",
        what,
        state: format!("is claimed by {} ({:?}) for {minutes} min more", by.researcher, by.about),
        remedy: "work on something else, or wait until that claim is over (`windlass claim C` lists them)",
    }
}

fn check_form(claim: &Claim) -> Result<(), Refusal> {
    let refuse = |field, problem: String| Err(Refusal::Malformed { field, problem });
    let is_line = |text: &str, max_bytes| {
        !text.trim().is_empty() && text.len() <= max_bytes && !text.chars().any(char::is_control)
    };
    if !is_line(&claim.researcher, NAME_MAX_BYTES) {
        return refuse("researcher", format!("write a name of at most {NAME_MAX_BYTES} bytes"));
    }
    if !is_line(&claim.about, ABOUT_MAX_BYTES) {
        return refuse("about", format!("write a line of at most {ABOUT_MAX_BYTES} bytes"));
    }
    if claim.dimensions.len() > ITEMS_MAX || claim.files.len() > ITEMS_MAX {
        return refuse("claim", format!("names more than {ITEMS_MAX} dimensions or files"));
    }
    match claim.dimensions.iter().find(|dimension| !is_slug(dimension)) {
        Some(dimension) => refuse("dimensions", format!("{dimension:?} is no dimension: write a slug")),
        None => Ok(()),
    }
}

/// Whether two changes have most of their lines in common.
fn is_similar(one: &BTreeSet<u64>, other: &BTreeSet<u64>) -> bool {
    share(one, other) >= SIMILAR_PERCENT
}

/// Whether two texts have most of their words in common, without case and punctuation.
fn share_words(one: &str, other: &str) -> bool {
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    share(&words(one), &words(other)) >= SAME_WORDS_PERCENT
}

/// What of all that either has both have, in per cent; of nothing, nothing.
fn share<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> usize {
    let common = one.intersection(other).count();
    (common * 100).checked_div(one.len() + other.len() - common).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::path::TreePath;

    fn at(mono_ms: u64) -> Time {
        Time { wall_ms: 0, mono_ms }
    }

    fn claim(researcher: &str, about: &str, dimensions: &[&str], files: &[&str]) -> Claim {
        Claim {
            researcher: researcher.to_owned(),
            about: about.to_owned(),
            dimensions: dimensions.iter().map(|it| (*it).to_owned()).collect(),
            files: files.iter().map(|it| TreePath::parse(it).expect("a path")).collect(),
        }
    }

    #[test]
    fn p39_what_one_claims_no_other_may_until_it_is_over_or_given_back() {
        let (mut core, id) = (Core::new(), CampaignId("c".to_owned()));
        let ada = claim("ada", "tune the rate of the optimiser", &["curve"], &["train.py"]);
        core.claim(at(0), &id, Some(ada.clone()), 600_000).expect("free");
        core.claim(at(1), &id, Some(ada.clone()), 600_000).expect("one's own is renewed");
        for (other, want) in [
            (claim("bob", "anything", &["curve"], &[]), "dimension curve is claimed by ada"),
            (
                claim("bob", "Tune the rate, of the optimiser!", &[], &["train.py"]),
                "in train.py is claimed by ada",
            ),
        ] {
            let refusal = core.claim(at(2), &id, Some(other), 1_000).expect_err(want).to_string();
            assert!(refusal.contains(want) && refusal.contains("for 10 min more"), "{refusal}");
        }
        core.claim(at(2), &id, Some(claim("bob", "remove dead layers", &["size"], &["train.py"])), 1_000)
            .expect("another thing in the same file");
        core.claim(at(2), &id, Some(claim("eve", "tune the rate of the optimiser", &[], &["b.py"])), 1_000)
            .expect("the same words of another file");
        let names = |core: &Core, now| -> Vec<String> {
            core.claims(at(now), &id).into_iter().map(|view| view.claim.researcher).collect()
        };
        assert_eq!(names(&core, 3), ["bob", "eve", "ada"], "the first to end first");
        assert_eq!(names(&core, 1_003), ["ada"], "each ends by itself");
        let taken = claim("bob", "x", &["curve"], &[]);
        assert!(core.claim(at(2_000), &id, Some(taken.clone()), 1).is_err());
        core.claim(at(2_000), &id, Some(ada), 0).expect("given back");
        core.claim(at(2_000), &id, Some(taken), 1).expect("free again");
        assert!(names(&core, 10_000_000).is_empty());
        assert!(core.claim(at(0), &CampaignId("d".to_owned()), None, 0).expect("asked only").is_empty());
    }

    #[test]
    fn claims_are_bounded_in_form_number_and_time() {
        let (mut core, id) = (Core::new(), CampaignId("c".to_owned()));
        for wrong in [
            claim("", "x", &[], &[]),
            claim("a\nb", "x", &[], &[]),
            claim("a", " ", &[], &[]),
            claim("a", &"x".repeat(501), &[], &[]),
            claim("a", "x", &["No Slug"], &[]),
        ] {
            assert!(core.claim(at(0), &id, Some(wrong.clone()), 1_000).is_err(), "{wrong:?}");
        }
        for number in 0..CLAIMS_MAX {
            let one = claim(&format!("r{number}"), "x", &[], &[]);
            core.claim(at(0), &id, Some(one), u64::MAX).expect("room");
        }
        let more = claim("one more", "x", &[], &[]);
        assert!(matches!(core.claim(at(0), &id, Some(more.clone()), 1), Err(Refusal::TooMuch { .. })));
        core.claim(at(0), &id, Some(claim("r7", "y", &[], &[])), 1).expect("who has one may renew it");
        core.claim(at(CLAIM_MAX_MS), &id, Some(more), 1).expect("none holds longer than a day");
    }

    #[test]
    fn changes_are_nearly_the_same_when_nine_of_ten_lines_are() {
        let lines = |from: u64, to: u64| (from..to).collect::<BTreeSet<u64>>();
        assert!(is_similar(&lines(0, 10), &lines(0, 10)));
        assert!(is_similar(&lines(0, 18), &lines(2, 20)));
        assert!(!is_similar(&lines(0, 2), &lines(0, 1)), "two values of one setting stay apart");
        assert!(!is_similar(&lines(0, 10), &lines(5, 15)));
        assert!(!is_similar(&BTreeSet::new(), &BTreeSet::new()), "nothing is like nothing");
    }
}
