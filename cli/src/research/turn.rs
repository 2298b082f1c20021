//! A turn from its start to its answer: laid out, started or found again, waited for, and what it left collected
//! and written down. Never sends anything.

use super::agent::{self, Agent, Standing, Start};
use super::answer::{self, Answer};
use super::cost::Usage;
use super::desk::{self, Desk};
use super::edits::{self, Edits};
use super::lay::{self, Edited, REFUSAL, WORK};
use super::preset::Preset;
use super::state::{State, Turn};
use crate::client::Client;
use crate::download;
use crate::error::{Error, Report};
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use windlass_engine::attempt::ExitRecord;
use windlass_engine::gate::editable::Editable;
use windlass_worker::shim::{Exit, LogFile};

/// The exit code by which a command says that its service limits it (`EX_TEMPFAIL`).
const LIMITED_CODE: i32 = 75;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// By itself, as it should.
    Done,
    /// Its service limits it.
    Limited,
    /// Any other way.
    Failed,
    /// It was asked to end.
    Cancelled,
}

/// A turn that is over.
#[derive(Debug)]
pub struct Over {
    /// How it ended.
    pub ending: Ending,
    /// The same as a sentence.
    pub sentence: String,
    /// What it answered; of one that did not end as it should nothing counts.
    pub answer: Answer,
    /// How long it took, milliseconds.
    pub agent_ms: u64,
    /// What it says that it cost.
    pub usage: Usage,
}

/// What is kept of a turn: `turn.json` in its folder.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    schema: &'static str,
    turn: u64,
    ask: &'static str,
    iteration: u32,
    previous: Option<u64>,
    started_wall_ms: i64,
    duration_ms: u64,
    ending: Ending,
    sentence: &'a str,
    exit_code: Option<i32>,
    signal: Option<i32>,
    isolation: Option<String>,
    containment: Option<String>,
    output_bytes: u64,
    output_cut_bytes: u64,
    usage: Usage,
    answer: &'static str,
    files: Vec<String>,
    frozen_edited: Vec<String>,
    problem: Option<&'a Report>,
}

/// Everything around a turn.
#[derive(Debug)]
pub struct Table<'a> {
    /// How to print, and where the coordinator is.
    pub session: &'a Session,
    /// The researcher's folder.
    pub desk: &'a Desk,
    /// What starts commands.
    pub agent: &'a Agent,
    /// The agent whose words are known.
    pub preset: Option<Preset>,
    /// The researcher's name.
    pub researcher: &'a str,
}

impl Table<'_> {
    /// Starts a turn that was never started; one that was is left alone.
    pub async fn begin(&self, client: &Client, state: &State, turn: &Turn) -> Result<(), Error> {
        let shim = self.desk.shim(turn.number);
        if agent::was_begun(&shim) {
            return Ok(());
        }
        lay::turn(client, self.desk, self.researcher, state, turn).await?;
        let folder = self.desk.turn(turn.number);
        let start = Start {
            turn: &folder,
            shim: &shim,
            campaign: &state.campaign,
            number: turn.number,
            nonce: turn.nonce,
            env: self.environment(&folder, state, turn),
        };
        self.agent.start(start).await
    }

    fn environment(&self, folder: &Path, state: &State, turn: &Turn) -> BTreeMap<String, String> {
        let place = |name: &str| folder.join(name).display().to_string();
        let mut env = BTreeMap::from([
            ("WINDLASS_TURN", turn.ask.as_str().to_owned()),
            ("WINDLASS_TURN_DIR", folder.display().to_string()),
            ("WINDLASS_PROMPT", place("prompt.md")),
            ("WINDLASS_CONTEXT", place("context.json")),
            ("WINDLASS_EVIDENCE", place("evidence")),
            ("WINDLASS_CAMPAIGN", state.campaign.clone()),
            ("WINDLASS_ITERATION", turn.iteration.to_string()),
            ("WINDLASS_RESEARCHER", self.researcher.to_owned()),
            ("WINDLASS_DATA_DIR", self.session.data_dir.display().to_string()),
        ]);
        if turn.previous.is_some() {
            env.insert("WINDLASS_REFUSAL", place(REFUSAL));
        }
        if let Some(address) = &self.session.coordinator {
            env.insert("WINDLASS_COORDINATOR", address.clone());
        }
        env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Waits until nothing of the turn runs any more, and collects what it left.
    pub async fn end(
        &self,
        client: &Client,
        editable: &Editable,
        state: &State,
        turn: &Turn,
    ) -> Result<Over, Error> {
        let shim = self.desk.shim(turn.number);
        let standing = agent::ended(&shim, &state.campaign, turn.number, turn.nonce).await?;
        let exit = match standing {
            Standing::Ended(exit) => Some(exit),
            // It was started just before this was asked: that it never began is a failure of the machine's.
            Standing::Lost | Standing::Unstarted => None,
        };
        self.collect(client, editable, turn, exit.as_deref()).await
    }

    async fn collect(
        &self,
        client: &Client,
        editable: &Editable,
        turn: &Turn,
        exit: Option<&Exit>,
    ) -> Result<Over, Error> {
        let folder = self.desk.turn(turn.number);
        self.desk.take_back(turn.number)?;
        let output = self.output(turn.number)?;
        let (mut ending, mut sentence) = exit.map_or_else(lost, |exit| ended(&exit.record));
        if ending == Ending::Failed && self.preset.is_some_and(|preset| preset.is_limited(&output)) {
            (ending, sentence) = (Ending::Limited, format!("{sentence}: its service limits it"));
        }
        let said = answer::usage(&folder).or_else(|| self.preset.and_then(|preset| preset.usage(&output)));
        let usage = said.unwrap_or_default().believable();
        let base = download::manifest(client, turn.base).await?;
        let read = edits::of(client, &base, &folder.join(WORK), editable).await;
        let (files, frozen, answer) = match read {
            Ok(edits) => self.judge(turn, &folder, ending, edits)?,
            // A copy that cannot be read as a change is its researcher's to repair.
            Err(problem @ (Error::Input { .. } | Error::File { .. } | Error::Changed { .. })) => {
                (Vec::new(), Vec::new(), Answer::Unusable(Box::new(problem.to_report())))
            }
            Err(problem) => return Err(problem),
        };
        let answer = if ending == Ending::Done { answer } else { Answer::Nothing };
        let record = exit.map(|exit| &exit.record);
        let agent_ms = record.map_or(0, |record| record.duration_ms);
        let kept = Kept {
            schema: "windlass.turn/1",
            turn: turn.number,
            ask: turn.ask.as_str(),
            iteration: turn.iteration,
            previous: turn.previous,
            started_wall_ms: record.map_or(0, |record| record.started_wall_ms),
            duration_ms: agent_ms,
            ending,
            sentence: &sentence,
            exit_code: record.and_then(|record| record.code),
            signal: record.and_then(|record| record.signal),
            isolation: exit.and_then(|exit| exit.isolation).map(|level| level.to_string()),
            containment: exit.and_then(|exit| exit.containment).map(|one| one.as_str().to_owned()),
            output_bytes: record.map_or(0, |record| record.log_bytes),
            output_cut_bytes: record.map_or(0, |record| record.log_cut_bytes),
            usage,
            answer: word(&answer),
            files,
            frozen_edited: frozen,
            problem: match &answer {
                Answer::Unusable(report) => Some(report),
                _ => None,
            },
        };
        keep(&folder.join("turn.json"), &kept)?;
        Ok(Over { ending, sentence, answer, agent_ms, usage })
    }

    fn judge(
        &self,
        turn: &Turn,
        folder: &Path,
        ending: Ending,
        edits: Edits,
    ) -> Result<(Vec<String>, Vec<String>, Answer), Error> {
        let names =
            |paths: &[windlass_shared::path::TreePath]| paths.iter().map(ToString::to_string).collect();
        let (files, frozen) = (names(&edits.files), names(&edits.frozen));
        Edited { base: Some(turn.base), files: edits.files.clone() }.keep(folder)?;
        // For people to read, unless the command has a file of that name for itself.
        let patch = folder.join("change.patch");
        if !edits.patch.is_empty() && std::fs::symlink_metadata(&patch).is_err() {
            desk::put(&patch, &edits.patch)?;
        }
        let answer = match ending {
            Ending::Done => answer::read(turn.ask, folder, edits),
            _ => Answer::Nothing,
        };
        Ok((files, frozen, answer))
    }

    /// What the command printed, put beside its answer. It is bounded by what contained it.
    fn output(&self, number: u64) -> Result<String, Error> {
        let (from, to) =
            (self.desk.shim(number).join(LogFile::FILE), self.desk.turn(number).join("output.log"));
        let bytes = match std::fs::read(&from) {
            Ok(bytes) => bytes,
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Error::File { operation: "read", path: from, source }),
        };
        desk::put(&to, &bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn keep(path: &Path, kept: &Kept<'_>) -> Result<(), Error> {
    let bytes = serde_json::to_vec_pretty(kept)
        .map_err(|source| Error::Encode { what: "windlass.turn/1", source })?;
    desk::put(path, &bytes)
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Nothing => "nothing",
        Answer::Unusable(_) => "unusable",
        Answer::Lever(_) => "lever",
        Answer::Conclusion(_) => "conclusion",
        Answer::Fix(..) => "fix",
    }
}

fn lost() -> (Ending, String) {
    (Ending::Failed, "what contained the command is gone, and the command with it".to_owned())
}

/// How a command ended, in a word and in a sentence.
fn ended(record: &ExitRecord) -> (Ending, String) {
    if let Some(reason) = &record.start_failure {
        return (Ending::Failed, format!("the command could not be started: {reason}"));
    }
    if record.cancelled {
        return (Ending::Cancelled, "the command was asked to end".to_owned());
    }
    if record.exceeded.is_some() {
        return (Ending::Failed, "the command was ended for what it took of the machine".to_owned());
    }
    let took = units::duration(record.duration_ms);
    if record.soft_fired || record.hard_fired {
        return (Ending::Failed, format!("the command was ended by its time limit after {took}"));
    }
    match (record.code, record.signal) {
        (Some(0), _) => (Ending::Done, format!("the command ended after {took}")),
        (Some(LIMITED_CODE), _) => (Ending::Limited, "the command says that it is limited (75)".to_owned()),
        (Some(code), _) => (Ending::Failed, format!("the command failed with exit code {code} after {took}")),
        (None, Some(signal)) => (Ending::Failed, format!("the command was killed by signal {signal}")),
        (None, None) => (Ending::Failed, "the command ended in an unknown way".to_owned()),
    }
}
