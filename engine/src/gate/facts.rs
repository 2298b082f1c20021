//! Facts: what the gates find in file contents, gathered off the loop and keyed by what they were
//! computed from. [`decide`](crate::core::Core::decide) judges facts; it never sees a byte.
//!
//! Every `gather_*` function is restarted from the beginning with more contents until nothing is missing:
//! it answers [`Lacking`] with what to fetch.

use super::anchor::{self, Finding};
use super::contents::Contents;
use super::editable::Editable;
use super::epochs::{self, CapRule};
use super::fix::{Beside, held, put_on};
use super::guard;
use super::merge::{self, Merge};
use super::numstat;
use super::patch::Applied;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber};
use windlass_shared::lever::{Anchor, Change, CitedRow, Lever, Pin};
use windlass_shared::path::TreePath;
use windlass_shared::record::Clash;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

/// Bytes of logs that were fetched.
pub type Logs = BTreeMap<AttemptKey, Vec<u8>>;

/// What a gatherer may look at.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Blobs by digest.
    pub blobs: Contents,
    /// Logs by attempt.
    pub logs: Logs,
}

/// Why facts are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Fetch these and gather again.
    Blobs(Vec<Digest>),
    /// Fetch this log and gather again.
    Log(AttemptKey),
    /// The lever or its change is refused.
    Refused(Refusal),
    /// A proposal is refused, for all of these reasons.
    Rejected(Box<Rejected>),
}

impl From<Refusal> for Lacking {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An iteration's evidence (PROTOCOL, "anchor").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Whose.
    pub iteration: IterationNumber,
    /// Its results tree.
    pub results: Option<Digest>,
    /// Its run's log.
    pub log: Option<AttemptKey>,
}

/// What an anchor's look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The lever has none, or there is no evidence yet.
    NotLooked,
    /// It holds.
    Holds(Pin),
    /// The pattern is there and says otherwise.
    Contradicted {
        /// Line number, from 1.
        line: u64,
        /// What it says.
        value: String,
    },
    /// The pattern is there more than once, and says different things.
    Several {
        /// Line number of the first match, from 1.
        line: u64,
        /// What it says.
        value: String,
        /// Of the first match that says something else.
        other_line: u64,
        /// What that says.
        other: String,
    },
    /// The file is there, the pattern is not.
    NoMatch,
    /// The file is not there.
    FileMissing,
    /// The pattern is too large for as much evidence.
    TooCostly,
}

/// What makes a lever's facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalWanted {
    /// Whose queue.
    pub campaign: CampaignId,
    /// The lever.
    pub lever: Box<Lever>,
    /// The best's tree: tried first as the base of a patch.
    pub parent: Digest,
    /// The workspace: tried next.
    pub workspace: Digest,
    /// The campaign's editable set.
    pub editable: Vec<String>,
    /// Where the anchor is looked up.
    pub evidence: Option<Evidence>,
    /// The epoch cap to which its change is held (P17).
    pub cap: Option<CapRule>,
}

/// What was found of a proposed lever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalFacts {
    /// Key: the parent it was judged against.
    pub parent: Digest,
    /// Key: whose evidence was looked at.
    pub evidence: Option<IterationNumber>,
    /// The tree it was written against.
    pub base: Digest,
    /// That tree with the change.
    pub changed: Digest,
    /// The normalised diff between the two.
    pub diff: Hash,
    /// The tree it would give on the parent, unless it conflicts (P10).
    pub merged: Option<Digest>,
    /// The lines that it removes and adds, hashed: what nearly equal changes have in common.
    pub sketch: BTreeSet<u64>,
    /// What the anchor's look-up found.
    pub look: Look,
    /// What the rows that it cites say (P24).
    pub cited: Vec<CitedRow>,
}

/// A row that a lever cites, found: its campaign by id, and what that one's metric is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CitedPlace {
    /// The campaign.
    pub campaign: CampaignId,
    /// Its metric's name.
    pub metric_name: String,
    /// The row.
    pub iteration: IterationNumber,
}

/// A proposal that the gates refuse: all of its problems, and what could be looked at in spite of them, so
/// that its author hears everything at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What the gates say; never empty.
    pub problems: Vec<Refusal>,
    /// Whose evidence was looked at.
    pub evidence: Option<IterationNumber>,
    /// The normalised diff, where the change could be made.
    pub diff: Option<Hash>,
    /// The tree on the parent, where the change could be made and merged.
    pub merged: Option<Digest>,
    /// What the anchor's look-up found.
    pub look: Look,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self { problems: vec![refusal], evidence: None, diff: None, merged: None, look: Look::NotLooked }
    }
}

/// What makes the facts of a lever whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullWanted {
    /// Whose queue.
    pub campaign: CampaignId,
    /// Which lever.
    pub lever: LeverNumber,
    /// The best's tree.
    pub parent: Digest,
    /// The best.
    pub best: Option<IterationNumber>,
    /// The lever's two trees.
    pub base: Digest,
    /// See `base`.
    pub changed: Digest,
    /// Its separate instrumentation (P26).
    pub instrumentation: Option<Digest>,
    /// Its declared files.
    pub files: Vec<TreePath>,
    /// Its anchor.
    pub anchor: Option<Anchor>,
    /// The campaign's editable set.
    pub editable: Vec<String>,
    /// Where the anchor is looked up.
    pub evidence: Option<Evidence>,
    /// The epoch cap to which it is held (P17).
    pub cap: Option<CapRule>,
}

/// What was found of a lever whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullFacts {
    /// Key: whose queue.
    pub campaign: CampaignId,
    /// Key: which lever.
    pub lever: LeverNumber,
    /// Key: the parent it was merged onto.
    pub parent: Digest,
    /// Key: the best whose evidence was looked at.
    pub best: Option<IterationNumber>,
    /// Key: its results at that moment; a follow-up adds to them (P22).
    pub results: Option<Digest>,
    /// The change on the parent.
    pub merged: Merged,
    /// What the anchor's look-up found.
    pub look: Look,
}

/// A change merged onto a parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It fits and passes the guard.
    Clean {
        /// The tree.
        tree: Digest,
        /// Net lines against the parent (P26).
        net_lines: i64,
        /// The normalised diff against the parent (P10).
        diff: Hash,
    },
    /// It conflicts here (P8).
    Conflict(Vec<Clash>),
    /// The guard refuses it, or it changes nothing any more.
    Refused(Refusal),
}

/// What makes the facts of a carried fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixWanted {
    /// Whose.
    pub campaign: CampaignId,
    /// Which iteration.
    pub iteration: IterationNumber,
    /// Which of the lever's fixes; a researcher's own stands behind those.
    pub fix: u32,
    /// The change.
    pub change: Change,
    /// The tree it goes on top of.
    pub tree: Digest,
    /// The lever's own tree, which the fix was written against.
    pub written_on: Digest,
    /// Net lines of that tree against the iteration's parent.
    pub net_lines: i64,
    /// The campaign's editable set.
    pub editable: Vec<String>,
    /// The epoch cap to which it is held (P17).
    pub cap: Option<CapRule>,
}

/// What was found of a carried fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixFacts {
    /// Key: whose.
    pub campaign: CampaignId,
    /// Key: which iteration.
    pub iteration: IterationNumber,
    /// Key: which fix.
    pub fix: u32,
    /// Key: the tree it was put on.
    pub on: Digest,
    /// The tree with the fix and its net lines against the parent, or why it does not go.
    pub applied: Result<(Digest, i64), Refusal>,
}

/// What the core wants gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// For a lever whose turn has come.
    Pull(Box<PullWanted>),
    /// For a carried fix.
    Fix(Box<FixWanted>),
}

/// The identity of a [`Wanted`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedKey {
    /// A lever on a parent.
    Pull(CampaignId, LeverNumber, Digest),
    /// A fix on a tree.
    Fix(CampaignId, IterationNumber, u32, Digest),
}

impl WantedKey {
    /// The campaign it is for.
    pub fn campaign(&self) -> &CampaignId {
        match self {
            Self::Pull(campaign, ..) | Self::Fix(campaign, ..) => campaign,
        }
    }
}

impl Wanted {
    /// Its identity.
    pub fn key(&self) -> WantedKey {
        match self {
            Self::Pull(w) => WantedKey::Pull(w.campaign.clone(), w.lever, w.parent),
            Self::Fix(w) => WantedKey::Fix(w.campaign.clone(), w.iteration, w.fix, w.tree),
        }
    }
}

/// Gathers what is wanted by the core; with it, the new blobs to be stored first.
pub fn gather_pull(wanted: &PullWanted, fetched: &Fetched) -> Result<(PullFacts, Contents), Lacking> {
    let editable = Editable::new(&wanted.editable)?;
    let (parent, base) = (tree(wanted.parent, fetched)?, tree(wanted.base, fetched)?);
    let changed = tree(wanted.changed, fetched)?;
    let mut new = Contents::new();
    let mut sight = fetched.blobs.clone();
    let (base, changed) = match &wanted.cap {
        Some(rule) => epochs::aligned(rule, base, changed, &mut sight)?,
        None => (base, changed),
    };
    let merged = match merge_onto(&parent, &base, &changed, &sight)? {
        Err(files) => Merged::Conflict(files),
        Ok(applied) => match held(wanted.cap.as_ref(), applied, &sight) {
            Err(Lacking::Refused(refusal)) => Merged::Refused(refusal),
            Err(lacking) => return Err(lacking),
            Ok(applied) => {
                sight.extend(applied.blobs.clone());
                need(numstat::blobs_needed(&parent, &applied.manifest), &sight)?;
                new.extend(applied.blobs);
                let within = guard::check_change(&parent, &applied.manifest, &editable, &wanted.files);
                let net_lines = numstat::net_lines(&parent, &applied.manifest, &editable, &sight);
                let diff = numstat::normalised_diff(&parent, &applied.manifest, &sight);
                let on = applied.manifest;
                match (within, wanted.instrumentation) {
                    (Err(refusal), _) => Merged::Refused(refusal),
                    (Ok(()), None) => Merged::Clean { tree: keep(&on, &mut new), net_lines, diff },
                    (Ok(()), Some(patch)) => {
                        let fetched = Fetched { blobs: sight, logs: Logs::new() };
                        let beside = Beside { cap: wanted.cap.as_ref(), editable: &editable };
                        match put_on(patch, &on, Some((&changed, wanted.changed)), beside, &fetched) {
                            Err(Lacking::Refused(refusal)) => Merged::Refused(refusal),
                            Err(lacking) => return Err(lacking),
                            Ok(applied) => {
                                new.extend(applied.blobs);
                                Merged::Clean { tree: keep(&applied.manifest, &mut new), net_lines, diff }
                            }
                        }
                    }
                }
            }
        },
    };
    let look = look(wanted.anchor.as_ref(), wanted.evidence.as_ref(), fetched)?;
    let facts = PullFacts {
        campaign: wanted.campaign.clone(),
        lever: wanted.lever,
        parent: wanted.parent,
        best: wanted.best,
        results: wanted.evidence.as_ref().and_then(|evidence| evidence.results),
        merged,
        look,
    };
    Ok((facts, new))
}

/// The change from `base` to `changed`, on `parent`; the conflicting files when it does not fit (P8).
pub(super) fn merge_onto(
    parent: &Manifest,
    base: &Manifest,
    changed: &Manifest,
    contents: &Contents,
) -> Result<Result<Applied, Vec<Clash>>, Lacking> {
    need(merge::blobs_needed(base, parent, changed), contents)?;
    Ok(match merge::merge_trees(base, parent, changed, contents) {
        Merge::Clean(applied) => Ok(applied),
        Merge::Conflict(files) => Err(files),
    })
}

pub(super) fn look(
    anchor: Option<&Anchor>,
    evidence: Option<&Evidence>,
    fetched: &Fetched,
) -> Result<Look, Lacking> {
    let (Some(anchor), Some(evidence)) = (anchor, evidence) else { return Ok(Look::NotLooked) };
    let bytes = if anchor.file.as_str() == "run.log" {
        let Some(key) = &evidence.log else { return Ok(Look::FileMissing) };
        fetched.logs.get(key).ok_or_else(|| Lacking::Log(key.clone()))?
    } else {
        let Some(results) = evidence.results else { return Ok(Look::FileMissing) };
        match tree(results, fetched)?.entries.get(&anchor.file) {
            Some(Node::File { digest, .. }) => blob(*digest, fetched)?,
            _ => return Ok(Look::FileMissing),
        }
    };
    Ok(match anchor::search(anchor, bytes) {
        Finding::Holds { line, value } => Look::Holds(Pin { iteration: evidence.iteration, line, value }),
        Finding::Contradicted { line, value } => Look::Contradicted { line, value },
        Finding::Several { line, value, other_line, other } => {
            Look::Several { line, value, other_line, other }
        }
        Finding::NoMatch => Look::NoMatch,
        Finding::TooCostly => Look::TooCostly,
    })
}

pub(super) fn tree(digest: Digest, fetched: &Fetched) -> Result<Manifest, Lacking> {
    let bytes = blob(digest, fetched)?;
    Manifest::from_bytes(bytes).map_err(|error| {
        Refusal::Malformed { field: "tree", problem: format!("{}: {error}", digest.short()) }.into()
    })
}

pub(super) fn blob(digest: Digest, fetched: &Fetched) -> Result<&[u8], Lacking> {
    fetched.blobs.get(&digest).map(Vec::as_slice).ok_or_else(|| Lacking::Blobs(vec![digest]))
}

pub(super) fn need(digests: Vec<Digest>, contents: &Contents) -> Result<(), Lacking> {
    let absent: Vec<Digest> = digests.into_iter().filter(|digest| !contents.contains_key(digest)).collect();
    if absent.is_empty() { Ok(()) } else { Err(Lacking::Blobs(absent)) }
}

/// Adds a manifest to the blobs to be stored.
pub(super) fn keep(manifest: &Manifest, new: &mut Contents) -> Digest {
    let bytes = manifest.to_bytes();
    let digest = Digest::of(&bytes);
    new.insert(digest, bytes);
    digest
}
