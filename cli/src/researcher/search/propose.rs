//! A point of the space as a lever: the patch of its files, the anchor, the prediction, the plan.

use super::point::{self, Past, TRY};
use super::space::{Setting, Space};
use super::{RESPONSE, anchor, draw::Draws, value};
use crate::campaign_file::read_part;
use crate::context::Facts;
use crate::error::Error;
use crate::layout::{write_file, yaml};
use crate::researcher::answer::{Answer, Asker, Spoken};
use crate::researcher::turn::Turn;
use crate::session::Session;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use windlass_shared::bindings::Direction;
use windlass_shared::lever::{Anchor, TITLE_MAX_BYTES};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};

/// Points that are asked about in one turn: near the best most may have been tried, and each costs one call.
const CANDIDATES_MAX: u64 = 24;
/// The patch among the parts.
const PATCH: &str = "change.patch";

#[derive(Serialize)]
struct Written<'a> {
    title: &'a str,
    kind: &'static str,
    files: Vec<&'a TreePath>,
    patch: &'static str,
    anchor: &'a Anchor,
    prediction: String,
    analysis: [Deliverable; 1],
}

/// What travels with a lever: its name and its bytes.
type Part = (String, Vec<u8>);

/// The files of the best that the settings stand in.
type Texts = BTreeMap<TreePath, String>;

/// Answers with a point that the campaign would take, if one of those that are drawn is such.
pub async fn propose(turn: &Turn, facts: &Facts, space: &Space, session: &Session) -> Result<Spoken, Error> {
    let texts = texts(space, &turn.work())?;
    let present = present(space, &texts)?;
    let anchors = anchor::for_each(space, facts);
    let movable: Vec<bool> = anchors.iter().map(Option::is_some).collect();
    if !movable.contains(&true) {
        return Ok(Spoken::nothing(turn.kind, "the evidence speaks for moving none of the settings now"));
    }
    let past = Past::of(&facts.story, space);
    let levers = facts.story.levers.len() as u64;
    let mut asker = Asker::new(session, &turn.campaign).await?;
    let mut seen = BTreeSet::from([present.clone()]);
    for candidate in 0..CANDIDATES_MAX {
        let mut draws = Draws::new(space.seed, facts.view.campaign.as_str(), levers, candidate);
        let point = point::next(space, &present, &movable, past, &mut draws);
        if !seen.insert(point.clone()) {
            continue;
        }
        let lever = Lever { space, texts: &texts, present: &present, point: &point };
        let (title, answer) = lever.write(turn, facts, &anchors)?;
        // Not called a lever yet: one that would be refused is no answer.
        let asked = turn.dir.join("candidate.yaml");
        write_parts(&answer, &turn.dir)?;
        write_file(&asked, answer.lever.as_bytes())?;
        let is_taken = asker.would_take(&asked, &title).await;
        // It has served.
        let _ = std::fs::remove_file(&asked);
        if is_taken? {
            let path = answer.write(&turn.dir)?;
            let passed = asker.passed;
            return Ok(Spoken { turn: turn.kind.as_str(), answer: Some(path), about: title, passed });
        }
    }
    let about = format!("none of the {} points that were drawn would be taken now", seen.len() - 1);
    Ok(Spoken { passed: asker.passed, ..Spoken::nothing(turn.kind, &about) })
}

fn write_parts(answer: &Answer, dir: &Path) -> Result<(), Error> {
    for (name, bytes) in &answer.parts {
        write_file(&dir.join(name), bytes)?;
    }
    Ok(())
}

fn texts(space: &Space, work: &Path) -> Result<Texts, Error> {
    let mut texts = Texts::new();
    for setting in &space.settings {
        if !texts.contains_key(&setting.file) {
            let path = work.join(setting.file.as_str());
            let text = std::fs::read_to_string(&path).map_err(|source| {
                space.problem(setting, &format!("{} cannot be read: {source}", setting.file))
            })?;
            texts.insert(setting.file.clone(), text);
        }
    }
    Ok(texts)
}

/// Where the best stands.
fn present(space: &Space, texts: &Texts) -> Result<Vec<String>, Error> {
    let read = |setting: &Setting| {
        let text = &texts[&setting.file];
        let found = value::find(setting, text);
        let place =
            found.map_err(|problem| space.problem(setting, &format!("{}: {problem}", setting.file)))?;
        Ok(text[place].to_owned())
    };
    space.settings.iter().map(read).collect()
}

/// A point, and where it is left from.
struct Lever<'a> {
    space: &'a Space,
    texts: &'a Texts,
    present: &'a [String],
    point: &'a [String],
}

impl Lever<'_> {
    /// Its title, and the lever with its parts.
    fn write(
        &self,
        turn: &Turn,
        facts: &Facts,
        anchors: &[Option<Anchor>],
    ) -> Result<(String, Answer), Error> {
        let moved: Vec<usize> =
            (0..self.point.len()).filter(|index| self.point[*index] != self.present[*index]).collect();
        let none = || self.space.problem(&self.space.settings[0], "its evidence is gone");
        let anchor = moved.iter().find_map(|index| anchors[*index].as_ref()).ok_or_else(none)?;
        let changed = self.changed(&moved)?;
        let patch: String = changed.iter().map(|(file, text)| diff(file, &self.texts[*file], text)).collect();
        let title = self.title(&moved);
        let metric = &facts.view.metric;
        let all = self.words(0..self.point.len()).join(", ");
        let (better, worse) = match facts.view.direction {
            Direction::Maximize => ("above", "not above"),
            Direction::Minimize => ("below", "not below"),
        };
        let record = facts.view.record.as_ref().map_or("the record".to_owned(), ToString::to_string);
        let number = facts.story.levers.len() + 1;
        let (script, part) = self.script()?;
        let response = Deliverable {
            script,
            output: TreePath::parse(RESPONSE).map_err(|_| none())?,
            dimension: format!("response-{}-{number}", slug(&turn.researcher)),
            question: format!("does {metric} improve at {all}?"),
            if_helped: format!("{metric} {better} {record}"),
            if_not: format!("{metric} {worse} {record}"),
            compares: None,
        };
        let written = Written {
            title: &title,
            kind: "change",
            files: changed.keys().copied().collect(),
            patch: PATCH,
            anchor,
            prediction: format!("{metric} {better} {record} at {all}"),
            analysis: [response],
        };
        let mut parts = BTreeMap::from([(PATCH.to_owned(), patch.into_bytes())]);
        parts.extend(part);
        Ok((title.clone(), Answer { lever: yaml(&written)?, parts }))
    }

    /// The files with the point's values in their places.
    fn changed(&self, moved: &[usize]) -> Result<BTreeMap<&TreePath, String>, Error> {
        let mut changed: BTreeMap<&TreePath, String> = BTreeMap::new();
        for index in moved {
            let setting = &self.space.settings[*index];
            let text = changed.entry(&setting.file).or_insert_with(|| self.texts[&setting.file].clone());
            let place =
                value::find(setting, text).map_err(|problem| self.space.problem(setting, &problem))?;
            text.replace_range(place, &self.point[*index]);
        }
        Ok(changed)
    }

    /// `try learning_rate 0.03, hidden 24`; what has no room is counted.
    fn title(&self, moved: &[usize]) -> String {
        let words = self.words(moved.iter().copied());
        let mut title = String::from(TRY);
        for (index, word) in words.iter().enumerate() {
            let rest = format!(", and {} more", words.len() - index);
            // The first has room always: a key and a value are short words.
            if index > 0 && title.len() + 2 + word.len() + rest.len() > TITLE_MAX_BYTES {
                title.push_str(&rest);
                break;
            }
            title.push_str(if index == 0 { "" } else { ", " });
            title.push_str(word);
        }
        title
    }

    fn words(&self, indexes: impl Iterator<Item = usize>) -> Vec<String> {
        indexes.map(|index| format!("{} {}", self.space.settings[index].key, self.point[index])).collect()
    }

    /// What measures the point, and the part that it is.
    fn script(&self) -> Result<(Script, Option<Part>), Error> {
        let Some(name) = &self.space.script else {
            return Ok((Script::Named(Script::BUILTIN_LOG.to_owned()), None));
        };
        let bytes = read_part(&self.space.path, &self.space.text, "script", name)?;
        let last = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        let part = format!("analysis/{last}");
        Ok((Script::Named(part.clone()), Some((part, bytes))))
    }
}

fn diff(file: &TreePath, before: &str, after: &str) -> String {
    let (old, new) = (format!("a/{file}"), format!("b/{file}"));
    similar::TextDiff::from_lines(before, after).unified_diff().header(&old, &new).to_string()
}

/// A name as a part of a dimension: small letters, digits and hyphens.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().take(24).map(plain).collect::<String>().trim_matches('-').to_owned()
}
