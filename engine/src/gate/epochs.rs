//! The epoch cap (P17): one line of one editable file. It is found at submit, set to the budget in every tree
//! of the campaign, and a change that asks for another cap is refused. Linear time, bounded memory.

use super::anchor::{self, Pattern, Purse};
use super::contents::Contents;
use super::editable::Editable;
use super::facts::{Fetched, Lacking, keep, need, tree};
use super::patch::{Applied, Patch};
use super::text;
use std::ops::Range;
use windlass_shared::bindings::{EpochCap, Epochs};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

/// A line that states a cap: the name alone before `:` or `=`, a whole number alone after it. A comment, a
/// sum or a keyword in the middle of a line is none.
const LINE: &str = concat!(
    r#"(?i-u)^[ \t]*["']?(?:max_|num_)?epochs["']?[ \t]*(?::[ \t]*int[ \t]*=|[:=])"#,
    r"[ \t]*([0-9][0-9_]*)[ \t]*(?:[,;)}#].*|//.*)?\r?$",
);
/// The largest file in which a cap is looked for: a configuration or a script, no data.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// The most that is looked at in all; past it the file must be named.
const ALL_MAX_BYTES: u64 = 64 << 20;
/// What a longer line is skipped at.
const LINE_MAX_BYTES: usize = 64 << 10;
/// Candidates that a refusal names.
const NAMED_MAX: usize = 8;

/// What a campaign's epoch cap is found from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapWanted {
    /// The workspace as submitted.
    pub tree: Digest,
    /// The campaign's editable set.
    pub editable: Vec<String>,
    /// What the campaign file says of it.
    pub epochs: Epochs,
    /// The cap that every run has.
    pub budget: u64,
}

/// What was found: the campaign's tree, its cap set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapFacts {
    /// The tree of the campaign.
    pub tree: Digest,
    /// Where the cap stands, and what it was.
    pub cap: EpochCap,
}

/// The cap to which every change is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapRule {
    /// Where it stands.
    pub cap: EpochCap,
    /// The campaign's own pattern.
    pub pattern: Option<String>,
}

/// A line that states a cap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// From 1.
    line: u64,
    /// The number's bytes.
    place: Range<usize>,
    /// The number, unless what was captured is none.
    value: Option<u64>,
}

/// Finds the cap of a workspace, and sets it.
///
/// # Errors
/// What is to be fetched first; a refusal that names the candidates (`file:line`), when there is not exactly
/// one.
pub fn gather_cap(wanted: &CapWanted, fetched: &Fetched) -> Result<(CapFacts, Contents), Lacking> {
    let pattern = compile(wanted.epochs.pattern.as_deref())?;
    let editable = Editable::new(&wanted.editable)?;
    let manifest = tree(wanted.tree, fetched)?;
    let files = files(wanted, &manifest, &editable)?;
    need(
        files.iter().map(|(_, digest)| *digest).filter(|digest| digest.size_bytes > 0).collect(),
        &fetched.blobs,
    )?;
    let (mut candidates, mut purse) = (Vec::new(), Purse::full());
    for (path, digest) in files {
        let bytes = super::contents::blob(&fetched.blobs, &digest).unwrap_or_default();
        let found = lines(&pattern, &mut purse, bytes)?;
        candidates.extend(found.into_iter().map(|found| (path.clone(), found)));
    }
    let (path, found) = match candidates.as_slice() {
        [one] => one.clone(),
        [] => return Err(none_found(wanted).into()),
        several => return Err(several_found(several).into()),
    };
    let Some(given) = found.value else {
        let problem = format!("what `pattern` captures at {path}:{} is no whole number", found.line);
        return Err(Refusal::Binding { key: "windlass.epochs.pattern", problem }.into());
    };
    let cap = EpochCap { file: path, line: found.line, given, set: wanted.budget, submitted: wanted.tree };
    let rule = CapRule { cap, pattern: wanted.epochs.pattern.clone() };
    let mut new = Contents::new();
    let tree = match rule.write(&manifest, &fetched.blobs, wanted.budget)? {
        None => wanted.tree,
        Some(applied) => {
            new.extend(applied.blobs);
            keep(&applied.manifest, &mut new)
        }
    };
    Ok((CapFacts { tree, cap: rule.cap }, new))
}

impl CapRule {
    /// Holds a changed tree to the cap: what the user's own files say becomes the campaign's.
    ///
    /// # Errors
    /// What is to be fetched first; a refusal with the place, when it asks for another cap or its line is gone.
    pub fn hold(&self, changed: Applied, sight: &Contents) -> Result<Applied, Lacking> {
        let mut all = sight.clone();
        all.extend(changed.blobs.clone());
        let found = self.find(&changed.manifest, &all)?;
        let cap = &self.cap;
        if found.value != Some(cap.set) && found.value != Some(cap.given) {
            let asked =
                found.value.map_or_else(|| "what is no number of".to_owned(), |asked| asked.to_string());
            let problem = format!("asks for {asked} epochs; every run of this campaign has {}", cap.set);
            return Err(self.refuse(Some(found.line), problem).into());
        }
        let Some(written) = self.write(&changed.manifest, &all, cap.set)? else { return Ok(changed) };
        let mut blobs = changed.blobs;
        blobs.extend(written.blobs);
        let kept: Vec<Digest> = written.manifest.blobs().collect();
        blobs.retain(|digest, _| kept.contains(digest));
        Ok(Applied { manifest: written.manifest, blobs })
    }

    /// A tree as its user would have it: with the cap of the user's own files. None where that is the same, or
    /// where the cap has no line.
    pub fn as_given(&self, manifest: &Manifest, sight: &Contents) -> Result<Option<Applied>, Lacking> {
        match self.write(manifest, sight, self.cap.given) {
            Err(Lacking::Refused(_)) => Ok(None),
            written => written,
        }
    }

    /// What a tree says, if it says it once.
    pub fn value(&self, manifest: &Manifest, sight: &Contents) -> Result<Option<u64>, Lacking> {
        match self.find(manifest, sight) {
            Ok(found) => Ok(found.value),
            Err(Lacking::Refused(_)) => Ok(None),
            Err(lacking) => Err(lacking),
        }
    }

    /// The tree with this cap; none where it has that.
    pub fn write(
        &self,
        manifest: &Manifest,
        sight: &Contents,
        value: u64,
    ) -> Result<Option<Applied>, Lacking> {
        let found = self.find(manifest, sight)?;
        let Some(Node::File { digest, executable }) = manifest.entries.get(&self.cap.file) else {
            return Ok(None);
        };
        if found.value == Some(value) {
            return Ok(None);
        }
        let old = super::contents::blob(sight, digest).unwrap_or_default();
        let mut bytes = old[..found.place.start].to_vec();
        bytes.extend(value.to_string().bytes());
        bytes.extend_from_slice(&old[found.place.end..]);
        let (digest, executable) = (Digest::of(&bytes), *executable);
        let mut manifest = manifest.clone();
        manifest.entries.insert(self.cap.file.clone(), Node::File { digest, executable });
        Ok(Some(Applied { manifest, blobs: [(digest, bytes)].into() }))
    }

    fn find(&self, manifest: &Manifest, sight: &Contents) -> Result<Found, Lacking> {
        let pattern = compile(self.pattern.as_deref())?;
        let Some(Node::File { digest, .. }) = manifest.entries.get(&self.cap.file) else {
            let problem = "the file with the epoch cap is gone".to_owned();
            return Err(self.refuse(None, problem).into());
        };
        if digest.size_bytes > FILE_MAX_BYTES {
            return Err(Refusal::TooMuch {
                what: format!("the bytes of {}, in which the epoch cap stands", self.cap.file),
                figure: digest.size_bytes,
                limit: FILE_MAX_BYTES,
            }
            .into());
        }
        if digest.size_bytes > 0 {
            need(vec![*digest], sight)?;
        }
        let bytes = super::contents::blob(sight, digest).unwrap_or_default();
        let found = lines(&pattern, &mut Purse::full(), bytes)?;
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => {
                let problem =
                    format!("the line with the epoch cap is gone (line {} at submit)", self.cap.line);
                Err(self.refuse(None, problem).into())
            }
            [_, second, ..] => {
                let problem = "a second line states an epoch cap; the campaign has one".to_owned();
                Err(self.refuse(Some(second.line), problem).into())
            }
        }
    }

    fn refuse(&self, line: Option<u64>, problem: String) -> Refusal {
        let place = line.map_or_else(String::new, |line| format!(":{line}"));
        Refusal::Lever { rule: "P17", field: format!("{}{place}", self.cap.file), problem }
    }
}

/// Applies a patch to a tree, or to the same tree with the cap of its user's own files, and holds the result
/// to the cap. The refusal is that of the tree itself.
pub(super) fn apply_held(
    patch: &Patch,
    on: &Manifest,
    cap: Option<&CapRule>,
    sight: &Contents,
) -> Result<Applied, Lacking> {
    need(patch.blobs_needed(on), sight)?;
    let refusal = match (patch.apply(on, sight), cap) {
        (Ok(applied), None) => return Ok(applied),
        (Ok(applied), Some(rule)) => return rule.hold(applied, sight),
        (Err(refusal), None) => return Err(refusal.into()),
        (Err(refusal), Some(_)) => refusal,
    };
    let Some(rule) = cap else { return Err(refusal.into()) };
    let Some(given) = rule.as_given(on, sight)? else { return Err(refusal.into()) };
    let mut all = sight.clone();
    all.extend(given.blobs);
    match patch.apply(&given.manifest, &all) {
        Ok(applied) => rule.hold(applied, &all),
        Err(_) => Err(refusal.into()),
    }
}

/// The editable files in which the cap may stand.
fn files(
    wanted: &CapWanted,
    manifest: &Manifest,
    editable: &Editable,
) -> Result<Vec<(TreePath, Digest)>, Refusal> {
    let key = "windlass.epochs.file";
    if let Some(file) = &wanted.epochs.file {
        let problem = match manifest.entries.get(file) {
            Some(Node::File { .. }) if !editable.allows(file) => {
                format!("{file} is not among editable_files")
            }
            Some(Node::File { digest, .. }) if digest.size_bytes > FILE_MAX_BYTES => {
                format!(
                    "{file} has {} bytes; a cap is looked for in at most {FILE_MAX_BYTES}",
                    digest.size_bytes
                )
            }
            Some(Node::File { digest, .. }) => return Ok(vec![(file.clone(), *digest)]),
            Some(Node::Link { .. }) | None => format!("there is no file {file} in the workspace"),
        };
        return Err(Refusal::Binding { key, problem });
    }
    let mut all_bytes = 0;
    let mut files = Vec::new();
    for (path, node) in &manifest.entries {
        let Node::File { digest, .. } = node else { continue };
        if digest.size_bytes > FILE_MAX_BYTES || !editable.allows(path) {
            continue;
        }
        all_bytes += digest.size_bytes;
        if all_bytes > ALL_MAX_BYTES {
            let problem =
                "the editable files are too many to look for the epoch cap; name its file".to_owned();
            return Err(Refusal::Binding { key, problem });
        }
        files.push((path.clone(), *digest));
    }
    Ok(files)
}

fn none_found(wanted: &CapWanted) -> Refusal {
    let place = match &wanted.epochs.file {
        Some(file) => file.to_string(),
        None => "any editable file".to_owned(),
    };
    let what = match &wanted.epochs.pattern {
        Some(pattern) => format!("no line of {place} matches {pattern:?}"),
        None => format!("no line of {place} is like `epochs: N`, `max_epochs = N` or `num_epochs = N`"),
    };
    let problem =
        format!("{what} (P17); name the cap's line with `epochs: {{file: …, pattern: '…([0-9]+)…'}}`");
    Refusal::Binding { key: "windlass.epochs", problem }
}

fn several_found(candidates: &[(TreePath, Found)]) -> Refusal {
    let mut places: Vec<String> =
        candidates.iter().take(NAMED_MAX).map(|(path, found)| format!("{path}:{}", found.line)).collect();
    if candidates.len() > NAMED_MAX {
        places.push(format!("and {} more", candidates.len() - NAMED_MAX));
    }
    let problem = format!(
        "{} lines could be the epoch cap: {} (P17); name one with `epochs: {{file: …, pattern: '…'}}`",
        candidates.len(),
        places.join(", ")
    );
    Refusal::Binding { key: "windlass.epochs", problem }
}

fn compile(own: Option<&str>) -> Result<Pattern, Refusal> {
    let refuse = |problem| Refusal::Binding { key: "windlass.epochs.pattern", problem };
    let pattern = anchor::compile(own.unwrap_or(LINE)).map_err(refuse)?;
    if !pattern.has_group() {
        return Err(refuse("needs a group `(…)` around the number of epochs".to_owned()));
    }
    Ok(pattern)
}

/// The lines that state a cap. A binary file has none.
fn lines(pattern: &Pattern, purse: &mut Purse, bytes: &[u8]) -> Result<Vec<Found>, Refusal> {
    if text::is_binary(bytes) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut begin = 0;
    for (number, whole) in (1..).zip(text::lines(bytes)) {
        let line = whole.strip_suffix(b"\n").unwrap_or(whole);
        if line.len() <= LINE_MAX_BYTES {
            if !purse.pay(pattern, line.len()) {
                let problem = "is too large a pattern for so many bytes; name `epochs.file` too".to_owned();
                return Err(Refusal::Binding { key: "windlass.epochs.pattern", problem });
            }
            if let Some(group) = pattern.first_group(line) {
                let value = whole_number(&line[group.clone()]);
                found.push(Found { line: number, place: begin + group.start..begin + group.end, value });
            }
        }
        begin += whole.len();
    }
    Ok(found)
}

fn whole_number(digits: &[u8]) -> Option<u64> {
    let plain: String = digits.iter().filter(|byte| **byte != b'_').map(|byte| char::from(*byte)).collect();
    if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    plain.parse().ok()
}

/// A lever's two trees, brought to the campaign's cap where both state the same other one: a queue that was
/// taken along from a campaign with another budget (P1).
pub(super) fn aligned(
    rule: &CapRule,
    base: Manifest,
    changed: Manifest,
    sight: &mut Contents,
) -> Result<(Manifest, Manifest), Lacking> {
    let (was, is) = (rule.value(&base, sight)?, rule.value(&changed, sight)?);
    if was.is_none() || was != is || was == Some(rule.cap.set) {
        return Ok((base, changed));
    }
    let mut set = |manifest: Manifest| -> Result<Manifest, Lacking> {
        let Some(applied) = rule.write(&manifest, sight, rule.cap.set)? else { return Ok(manifest) };
        sight.extend(applied.blobs);
        Ok(applied.manifest)
    };
    Ok((set(base)?, set(changed)?))
}

#[cfg(test)]
#[path = "epochs_tests.rs"]
mod tests;
