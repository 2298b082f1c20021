//! What a command has answered, from the files that it left. Everything in them is a claim of whoever wrote it:
//! what is half written, too large or leads out of the turn's folder is refused by name, for it to repair.

use super::ask::Ask;
use super::cost::Usage;
use super::edits::Edits;
use crate::blobs::Blobs;
use crate::command::conclude;
use crate::error::{Error, Report};
use crate::lever_file::{self, LeverFile};
use crate::yaml::{self, Problem};
use serde::Deserialize;
use std::path::Path;
use windlass_shared::conclusion::Conclusion;
use windlass_shared::lever::Change;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;

/// The answer to `propose` and `repair`.
pub const LEVER: &str = "lever.yaml";
/// The answer to `conclude`.
pub const CONCLUSION: &str = "conclusion.yaml";
/// What the turn has cost.
const USAGE: &str = "usage.json";
/// More is no account of three numbers.
const USAGE_MAX_BYTES: u64 = 64 << 10;

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// None.
    Nothing,
    /// One that cannot be used, and why.
    Unusable(Box<Report>),
    /// A lever.
    Lever(Box<LeverFile>),
    /// A conclusion.
    Conclusion(Box<Conclusion>),
    /// A fix.
    Fix(Change, Blobs),
}

/// The parts that a lever file names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    patch: Option<String>,
    tree: Option<String>,
    instrumentation: Option<String>,
    fixes: Vec<NamedPatch>,
    analysis: Vec<NamedScript>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedPatch {
    patch: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedScript {
    script: Option<String>,
}

/// Reads what was answered in the folder of a turn.
pub fn read(ask: Ask, turn: &Path, edits: Edits) -> Answer {
    let read = match ask {
        Ask::Propose | Ask::Repair => lever(turn, edits),
        Ask::Conclude => conclusion(turn),
        Ask::Fix => fix(edits),
    };
    read.unwrap_or_else(|problem| Answer::Unusable(Box::new(problem.to_report())))
}

fn lever(turn: &Path, edits: Edits) -> Result<Answer, Error> {
    let path = turn.join(LEVER);
    let (change, frozen) = (edits.change, edits.frozen.first().cloned());
    if !is_there(&path)? {
        return match (change, frozen) {
            (None, None) => Ok(Answer::Nothing),
            // Edits that nobody stands for are no proposal: there is neither an anchor nor a plan.
            (Some(_), _) => Err(missing(&path)),
            (None, Some(path)) => Err(Refusal::Frozen { path: path.to_string() }.into()),
        };
    }
    let named = parts_inside(turn, &path)?;
    if let (None, Some(path), true) = (&change, frozen, named.is_some_and(|named| named.has_no_change())) {
        return Err(Refusal::Frozen { path: path.to_string() }.into());
    }
    let edited = change.map(|change| (change, edits.blobs));
    Ok(Answer::Lever(Box::new(lever_file::read_with(&path, edited)?)))
}

fn missing(path: &Path) -> Error {
    let remedy = "write lever.yaml beside work/: title, files, anchor, prediction and analysis";
    Problem::whole(path, "work/ was edited, and there is no lever.yaml".to_owned())
        .with_remedy(remedy)
        .with_rule("P5")
        .into()
}

fn conclusion(turn: &Path) -> Result<Answer, Error> {
    let path = turn.join(CONCLUSION);
    if !is_there(&path)? {
        return Ok(Answer::Nothing);
    }
    Ok(Answer::Conclusion(Box::new(conclude::read(&path)?)))
}

fn fix(edits: Edits) -> Result<Answer, Error> {
    match (edits.change, edits.frozen.first()) {
        (Some(change), _) => Ok(Answer::Fix(change, edits.blobs)),
        (None, Some(path)) => Err(Refusal::Frozen { path: path.to_string() }.into()),
        (None, None) => Ok(Answer::Nothing),
    }
}

/// Whether an answer is there: as a file, since what a link leads to is not what was answered.
fn is_there(path: &Path) -> Result<bool, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(Problem::whole(path, "it is no regular file".to_owned())
            .with_remedy("write the answer into it")
            .with_rule("P3")
            .into()),
        Err(_) => Ok(false),
    }
}

/// The parts that a lever names; refused outside the turn's folder: a command that is shut in must not have the
/// loop read for it what it may not read itself (P3). None where it is no lever file, which its reader says.
fn parts_inside(turn: &Path, path: &Path) -> Result<Option<Named>, Error> {
    let text = yaml::read_text(path)?;
    let Ok(named) = yaml::parse::<Named>(path, &text) else { return Ok(None) };
    let root = turn.canonicalize().map_err(|source| Error::File {
        operation: "look at",
        path: turn.to_owned(),
        source,
    })?;
    let parts = [&named.patch, &named.tree, &named.instrumentation].into_iter().flatten();
    let parts = parts.chain(named.fixes.iter().filter_map(|fix| fix.patch.as_ref()));
    let scripts = named.analysis.iter().filter_map(|row| row.script.as_ref());
    for part in parts.chain(scripts.filter(|script| !script.starts_with("builtin:"))) {
        let inside = part.strip_prefix("./").unwrap_or(part);
        let is_plain = TreePath::parse(inside).is_ok();
        // What is not there is told by the reader.
        let stays = root.join(inside).canonicalize().map_or(true, |place| place.starts_with(&root));
        if !is_plain || !stays {
            let remedy = "name a file beside lever.yaml, by a relative path";
            return Err(Problem::whole(path, format!("{part:?} leads out of the turn's folder"))
                .with_remedy(remedy)
                .with_rule("P3")
                .into());
        }
    }
    Ok(Some(named))
}

impl Named {
    fn has_no_change(&self) -> bool {
        self.patch.is_none() && self.tree.is_none()
    }
}

/// What the turn says that it cost; nothing where it says nothing that can be believed.
pub fn usage(turn: &Path) -> Option<Usage> {
    let path = turn.join(USAGE);
    let found = std::fs::symlink_metadata(&path).ok()?;
    if !found.is_file() || found.len() > USAGE_MAX_BYTES {
        return None;
    }
    serde_json::from_slice(&std::fs::read(&path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title: t\nfiles: [a.sh]\nanchor: {file: v.tsv, pattern: x}\nprediction: p\nanalysis:\n  \
                        - {script: 'builtin:log', output: l.tsv, dimension: d, question: q, if_helped: h, if_not: n}\n";

    fn edited() -> Edits {
        let mut blobs = Blobs::default();
        let change = Change::Patch(blobs.hold(b"--- a\n".to_vec()));
        Edits { change: Some(change), blobs, ..Edits::default() }
    }

    fn frozen() -> Edits {
        Edits { frozen: vec![TreePath::parse("eval.sh").expect("a path")], ..Edits::default() }
    }

    fn check_refused(files: &[(&str, &str)], edits: Edits, want: &str, rule: &str) {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let answer = read(Ask::Propose, dir.path(), edits);
        let Answer::Unusable(report) = answer else { panic!("{want}: {answer:?}") };
        assert!(report.message.contains(want), "{want}: {}", report.message);
        assert_eq!(report.rule.as_deref(), Some(rule), "{want}");
        assert!(report.remedy.is_some(), "{want}");
    }

    #[test]
    fn a_lever_without_a_change_of_its_own_takes_what_was_edited() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(matches!(read(Ask::Propose, dir.path(), Edits::default()), Answer::Nothing));
        std::fs::write(dir.path().join(LEVER), GOOD).expect("written");
        let answer = read(Ask::Propose, dir.path(), edited());
        let Answer::Lever(lever) = answer else { panic!("{answer:?}") };
        assert!(matches!(lever.lever.change, Change::Patch(_)));
        assert_eq!(lever.blobs.digests().count(), 1, "the edits come along");
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name_for_its_researcher_to_repair() {
        check_refused(&[], edited(), "there is no lever.yaml", "P5");
        check_refused(&[], frozen(), "eval.sh", "P2");
        check_refused(&[(LEVER, GOOD)], frozen(), "eval.sh", "P2");
        check_refused(&[(LEVER, GOOD)], Edits::default(), "the change is missing", "P5");
        check_refused(&[(LEVER, &GOOD[..40])], edited(), "lever.yaml", "P5");
        check_refused(&[(LEVER, &format!("{GOOD}patch: ../secret\n"))], edited(), "leads out", "P3");
        check_refused(&[(LEVER, &format!("{GOOD}patch: /etc/passwd\n"))], edited(), "leads out", "P3");
        let script = GOOD.replace("builtin:log", "../../x.py");
        check_refused(&[(LEVER, &script)], edited(), "leads out", "P3");
    }

    #[test]
    fn p3_a_link_is_no_answer_and_no_part_of_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::NamedTempFile::new().expect("a file");
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(LEVER)).expect("a link");
        let answer = read(Ask::Propose, dir.path(), edited());
        assert!(
            matches!(&answer, Answer::Unusable(report) if report.rule.as_deref() == Some("P3")),
            "{answer:?}"
        );
        std::fs::remove_file(dir.path().join(LEVER)).expect("removed");
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("x.patch")).expect("a link");
        std::fs::write(dir.path().join(LEVER), format!("{GOOD}patch: x.patch\n")).expect("written");
        let answer = read(Ask::Propose, dir.path(), edited());
        assert!(
            matches!(&answer, Answer::Unusable(report) if report.rule.as_deref() == Some("P3")),
            "{answer:?}"
        );
    }

    #[test]
    fn a_fix_is_what_was_edited_and_a_conclusion_its_file() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(matches!(read(Ask::Fix, dir.path(), edited()), Answer::Fix(..)));
        assert!(matches!(read(Ask::Fix, dir.path(), Edits::default()), Answer::Nothing));
        assert!(matches!(read(Ask::Fix, dir.path(), frozen()), Answer::Unusable(_)));
        assert!(matches!(read(Ask::Conclude, dir.path(), Edits::default()), Answer::Nothing));
        std::fs::write(dir.path().join(CONCLUSION), "examined: x\nfinding: y\nbullets: [a, b, c]\n")
            .expect("ok");
        assert!(matches!(read(Ask::Conclude, dir.path(), Edits::default()), Answer::Conclusion(_)));
        std::fs::write(dir.path().join(CONCLUSION), "examined: x\n").expect("ok");
        assert!(matches!(read(Ask::Conclude, dir.path(), Edits::default()), Answer::Unusable(_)));
    }

    #[test]
    fn an_account_that_is_none_counts_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        for text in ["", "{", "3", "{\"input_tokens\": -1}", &" ".repeat(70_000)] {
            std::fs::write(dir.path().join(USAGE), text).expect("written");
            assert_eq!(usage(dir.path()), None, "{text:.20}");
        }
        std::fs::write(dir.path().join(USAGE), "{\"output_tokens\": 3}").expect("written");
        assert_eq!(usage(dir.path()).map(|usage| usage.output_tokens), Some(3));
    }
}
