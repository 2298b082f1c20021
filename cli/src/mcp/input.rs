//! What each tool takes. Every type refuses fields that it does not know: a misspelt option must not be
//! left out in silence.

use rmcp::schemars;
use rmcp::schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `context`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// At most so many bytes, 2000 to 65536; 24576 when absent.
    pub max_bytes: Option<u32>,
}

/// `propose`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Propose {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The lever as YAML, as the resource windlass://levers describes it. Give this or `file`.
    pub lever: Option<String>,
    /// With `lever`: the text of every file that it names (patches, scripts, files of a `tree:` folder), by
    /// the path that the lever names it with.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
    /// A lever file on this machine, in place of `lever`.
    pub file: Option<String>,
    /// A UUIDv7: the same call sent again under the same id happens once.
    pub request_id: Option<String>,
    /// Ask every rule and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What to do with the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueAction {
    /// Show it.
    #[default]
    List,
    /// Take a lever back.
    Retire,
    /// Put a lever in line again that was not tried.
    Retry,
    /// Put a lever before all others.
    First,
    /// Put a lever behind all others.
    Last,
}

/// `queue`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// What to do; `list` when absent.
    #[serde(default)]
    pub action: QueueAction,
    /// The lever's number, for every action but `list`.
    pub lever: Option<u32>,
    /// With `list`: `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// A UUIDv7: the same call sent again under the same id happens once.
    pub request_id: Option<String>,
    /// Ask every rule and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `status`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Campaign: id, name, or a unique prefix of either; all campaigns when absent.
    pub campaign: Option<String>,
    /// Without a campaign: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `wait`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// Until this iteration is decided; when absent, until nothing is left to do.
    pub iteration: Option<u32>,
    /// How long, 1 to 50; 25 when absent. Call again while `done` is false.
    pub seconds: Option<u32>,
}

/// `log`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The iteration's number.
    pub iteration: u32,
    /// An attempt's number; the latest run when absent.
    #[serde(default)]
    pub attempt: u32,
    /// The last so many lines, 1 to 1000; 100 when nothing else is asked for.
    pub tail: Option<u32>,
    /// Only lines that this linear-time regular expression matches, with their numbers.
    pub grep: Option<String>,
    /// Go on from `next_cursor` of an earlier answer: a byte offset.
    pub cursor: Option<String>,
}

/// `metrics` and `report`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paged {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `findings`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// A review to hand over, in its published shape (windlass://protocol, P33); when absent they are listed.
    pub review: Option<Map<String, Value>>,
    /// With `review`, what its findings hold for: `agnostic`, an architecture's tag, or `2=TAG` for one.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When listing: `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// A UUIDv7: the same call sent again under the same id happens once.
    pub request_id: Option<String>,
    /// Ask every rule and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The iteration's number.
    pub iteration: u32,
    /// A path of the tree, results/…, artifacts/… or run.log; when absent the files are listed.
    pub path: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `diff`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The iteration's number.
    pub iteration: u32,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `analyze`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analyze {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The file under results/ that the script makes.
    pub result: String,
    /// The script's file name (its ending says what runs it), or builtin:log, builtin:telemetry.
    pub script: String,
    /// The script itself; absent for a builtin one.
    pub text: Option<String>,
    /// What it measures: a slug; as planned when absent.
    pub dimension: Option<String>,
    /// The question it answers; as planned when absent.
    pub question: Option<String>,
    /// What it shows if the change helped; as planned when absent.
    pub if_helped: Option<String>,
    /// What it shows if not; as planned when absent.
    pub if_not: Option<String>,
    /// A UUIDv7: the same call sent again under the same id happens once.
    pub request_id: Option<String>,
    /// Ask every rule and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `fix`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The iteration's number.
    pub iteration: u32,
    /// A unified diff on top of the iteration's own tree.
    pub patch: String,
    /// A UUIDv7: the same call sent again under the same id happens once.
    pub request_id: Option<String>,
    /// Ask every rule and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a deliverable shows.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As expected if the change helped.
    AsHelped,
    /// As expected if not.
    AsNot,
    /// Neither.
    Neither,
}

/// An anchor for the next lever.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Relative to results/, or run.log.
    pub file: String,
    /// A linear-time regular expression, matched line by line.
    pub pattern: String,
    /// What the first capture must satisfy: `< -0.01`.
    pub compare: Option<String>,
    /// Whose evidence; the latest analysed iteration when absent.
    pub iteration: Option<u32>,
}

/// `conclude`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conclude {
    /// Campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The iteration's number.
    pub iteration: u32,
    /// What was examined.
    pub examined: String,
    /// The finding, one line.
    pub finding: String,
    /// 3 to 8 bullets.
    pub bullets: Vec<String>,
    /// For each deliverable, by its file under results/.
    #[serde(default)]
    pub deliverables: BTreeMap<String, Verdict>,
    /// With literature: whether the ceiling is near.
    pub ceiling_near: Option<bool>,
    /// The anchor that it offers to the next lever.
    pub anchor: Option<Anchor>,
    /// A UUIDv7: the same call sent again under the same id happens once.
    pub request_id: Option<String>,
    /// Ask every rule and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}
