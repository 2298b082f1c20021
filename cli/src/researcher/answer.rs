//! What a scripted researcher leaves in a turn's folder, and what it says of that. A lever is there whole or not
//! at all: its parts are written first, and `lever.yaml` comes last, by a rename.

use super::turn::Kind;
use crate::client::Client;
use crate::command::propose;
use crate::error::{Error, Report};
use crate::layout::write_file;
use crate::lever_file;
use crate::session::Session;
use crate::yaml;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use windlass_shared::path::TreePath;

/// The answer to `propose` and `repair`.
const LEVER: &str = "lever.yaml";
/// What lies in a turn's folder by itself (docs/agents.md): no part of a lever may be called so.
const TAKEN: [&str; 12] = [
    LEVER,
    "conclusion.yaml",
    "usage.json",
    "work",
    "evidence",
    "previous",
    "prompt.md",
    "context.json",
    "context.md",
    "refusal.json",
    "output.log",
    "turn.json",
];

/// A lever that was passed over.
#[derive(Debug, Serialize)]
pub struct Passed {
    /// Its title, or its file.
    pub lever: String,
    /// Why, with rule and remedy.
    #[serde(flatten)]
    pub why: Report,
}

/// What became of a turn: `windlass.researcher/1`.
#[derive(Debug, Serialize)]
pub struct Spoken {
    /// What was asked.
    pub turn: &'static str,
    /// The file that answers it; none where there is nothing to say.
    pub answer: Option<String>,
    /// What it says, in a line.
    pub about: String,
    /// What the campaign would have refused.
    pub passed: Vec<Passed>,
}

impl Spoken {
    /// A turn without an answer.
    pub fn nothing(turn: Kind, about: &str) -> Self {
        Self { turn: turn.as_str(), answer: None, about: about.to_owned(), passed: Vec::new() }
    }
}

/// A lever as it is to lie in a turn's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The lever file.
    pub lever: String,
    /// What it names, by the path that it names it with.
    pub parts: BTreeMap<String, Vec<u8>>,
}

impl Answer {
    /// A lever file from elsewhere, with all that it names. What lies outside its folder cannot come along.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let lever = yaml::read_text(path)?;
        let mut parts = BTreeMap::new();
        for (key, name) in lever_file::parts(path, &lever)? {
            let refuse = |problem: String| {
                let message = format!("{key}: {name} {problem}");
                let remedy = "name a file beside the lever or below, by a relative path of its own";
                Error::from(yaml::Problem::at_key(path, &lever, key, message).with_remedy(remedy))
            };
            let inside = TreePath::parse(&name)
                .map_err(|_| refuse("lies outside the folder of its lever".to_owned()))?;
            let first = inside.as_str().split('/').next().unwrap_or_default();
            if TAKEN.contains(&first) {
                return Err(refuse("is called like a file of a turn".to_owned()));
            }
            let bytes = crate::campaign_file::read_part(path, &lever, key, &name)?;
            parts.insert(inside.to_string(), bytes);
        }
        Ok(Self { lever, parts })
    }

    /// Writes it into a turn's folder.
    pub fn write(&self, dir: &Path) -> Result<String, Error> {
        for (name, bytes) in &self.parts {
            write_file(&dir.join(name), bytes)?;
        }
        let path = dir.join(LEVER);
        write_file(&path, self.lever.as_bytes())?;
        Ok(path.display().to_string())
    }
}

/// Asks the campaign whether it would take a lever; nothing is changed by that.
pub struct Asker<'a> {
    client: Client,
    session: Session,
    campaign: &'a str,
    /// Those that it would not take, so far.
    pub passed: Vec<Passed>,
}

impl<'a> Asker<'a> {
    /// For one campaign.
    pub async fn new(session: &Session, campaign: &'a str) -> Result<Self, Error> {
        let session = session.asking(crate::args::Dry { dry_run: true });
        Ok(Self { client: Client::connect(&session).await?, session, campaign, passed: Vec::new() })
    }

    /// Whether it would be queued; why not is kept.
    pub async fn would_take(&mut self, file: &Path, named: &str) -> Result<bool, Error> {
        match propose::one(&self.client, &self.session, self.campaign, file).await {
            Ok(_) => Ok(true),
            Err(problem) if problem.is_unavailable() => Err(problem),
            Err(problem) => {
                self.pass(named, &problem);
                Ok(false)
            }
        }
    }

    /// Passes a lever over.
    pub fn pass(&mut self, named: &str, problem: &Error) {
        self.passed.push(Passed { lever: named.to_owned(), why: problem.to_report() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(script: &str) -> Result<Answer, Error> {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("levers/edit/sub")).expect("made");
        for (name, text) in [("m.patch", "--- a\n"), ("edit/sub/a.py", "a = 1\n"), ("s.py", "print(1)\n")] {
            std::fs::write(dir.path().join("levers").join(name), text).expect("written");
        }
        std::fs::write(dir.path().join("outside.py"), "print(2)\n").expect("written");
        std::fs::create_dir(dir.path().join("levers/work")).expect("made");
        std::fs::write(dir.path().join("levers/work/s.py"), "print(3)\n").expect("written");
        let text = format!(
            "title: t\nfiles: [a.py]\ntree: edit\nprediction: p\nfixes: [{{on: crashed, patch: m.patch}}]\n\
             analysis:\n  - {{script: {script}, output: o.tsv, dimension: d, question: q, if_helped: a, if_not: b}}\n"
        );
        let path = dir.path().join("levers/1.yaml");
        std::fs::write(&path, text).expect("written");
        let answer = Answer::of_file(&path)?;
        let turn = dir.path().join("turn");
        answer.write(&turn)?;
        let (here, there) = (lever_file::read(&path)?, lever_file::read(&turn.join("lever.yaml"))?);
        assert_eq!(here.lever, there.lever, "it reads the same where it was laid");
        Ok(answer)
    }

    #[test]
    fn a_lever_travels_with_all_that_it_names_and_with_nothing_from_outside_its_folder() {
        let parts = |answer: Answer| answer.parts.into_keys().collect::<Vec<_>>();
        assert_eq!(parts(with("s.py").expect("taken")), ["edit/sub/a.py", "m.patch", "s.py"]);
        assert_eq!(parts(with("builtin:log").expect("taken")), ["edit/sub/a.py", "m.patch"]);
        for (script, want) in [
            ("../outside.py", "lies outside the folder"),
            ("work/s.py", "is called like a file of a turn"),
            ("none.py", "cannot be read"),
        ] {
            let message = with(script).expect_err(want).to_report().message;
            assert!(message.contains(want), "{message}");
        }
    }
}
