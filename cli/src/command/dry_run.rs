//! `windlass submit --dry-run`: the campaign as it would be, and what would travel. Sends nothing; works
//! without a coordinator, and with one says what its store lacks.

use super::submit::Args;
use crate::blobs::Blobs;
use crate::campaign_file::{self, CampaignFile};
use crate::client::Client;
use crate::error::Error;
use crate::render::table::{Column, Table};
use crate::render::text::neutral;
use crate::render::units;
use crate::resolved::{self, Setting};
use crate::session::Session;
use crate::upload;
use crate::workspace::{self, Workspace};
use serde::Serialize;
use windlass_engine::gate::editable::Editable;
use windlass_shared::bindings::EpochCap;

/// What a dry run found.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Every setting.
    pub settings: Vec<Setting>,
    /// Files that a lever may touch.
    pub editable: Vec<String>,
    /// Files that keep their bytes (P2).
    pub frozen: Vec<String>,
    /// Under the epoch gate: the line that caps the epochs (P17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<Cap>,
    /// What would travel.
    pub upload: Upload,
}

/// The line that caps the epochs of every run (P17).
#[derive(Debug, Serialize)]
pub struct Cap {
    /// The editable file it stands in.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What it says in the user's own file, which stays as it is.
    pub given: u64,
    /// What it says in every tree of the campaign.
    pub set: u64,
}

impl From<EpochCap> for Cap {
    fn from(cap: EpochCap) -> Self {
        Self { file: cap.file.to_string(), line: cap.line, given: cap.given, set: cap.set }
    }
}

/// What would travel: files, scripts, levers' patches and the manifest, each content once.
#[derive(Debug, Serialize)]
pub struct Upload {
    /// Blobs in all.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them the coordinator lacks; none without one.
    pub lacking_blobs: Option<u64>,
    /// Their bytes.
    pub lacking_bytes: Option<u64>,
}

/// Puts the plan together; `blobs` is all that would be offered.
pub async fn plan(
    args: &Args,
    session: &Session,
    file: &CampaignFile,
    workspace: &Workspace,
    name: &str,
    blobs: &Blobs,
) -> Result<Plan, Error> {
    let rule = Editable::new(&file.bindings.editable_files)?;
    let (editable, frozen): (Vec<_>, Vec<_>) =
        workspace.manifest.entries.keys().partition(|path| rule.allows(path));
    let texts =
        |paths: Vec<&windlass_shared::path::TreePath>| paths.iter().map(ToString::to_string).collect();
    let why = match (&args.name, &file.bindings.windlass.name) {
        (Some(_), _) => "--name".to_owned(),
        (None, Some(_)) => match crate::yaml::line_of_key(&file.text, "windlass.name") {
            Some(line) => format!("line {line}"),
            None => "the campaign file".to_owned(),
        },
        (None, None) => "the folder's name".to_owned(),
    };
    let cap = workspace::cap::find(workspace, &file.bindings)
        .map_err(|problem| campaign_file::place(&args.dir, problem))?;
    let (count, bytes) = blobs.total();
    let lacking = lacking(session, blobs).await?;
    Ok(Plan {
        settings: resolved::settings(file, (name, &why)),
        editable: texts(editable),
        frozen: texts(frozen),
        cap: cap.map(Cap::from),
        upload: Upload {
            blobs: count,
            bytes,
            lacking_blobs: lacking.map(|sent| sent.blobs),
            lacking_bytes: lacking.map(|sent| sent.bytes),
        },
    })
}

/// What the coordinator lacks; none where there is no coordinator.
async fn lacking(session: &Session, blobs: &Blobs) -> Result<Option<upload::Sent>, Error> {
    match Client::connect(session).await {
        Ok(client) => {
            let digests = upload::lacking(&client, blobs).await?;
            let bytes = digests.iter().map(|digest| digest.size_bytes).sum();
            Ok(Some(upload::Sent { blobs: digests.len() as u64, bytes }))
        }
        Err(Error::NoCoordinator { .. } | Error::Unreachable { .. }) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The plan for people.
pub fn page(plan: &Plan, width: u16) -> String {
    let mut table = Table::new(
        width,
        [Column::new("setting"), Column::new("value").wraps(), Column::new("from").wraps()],
    );
    for setting in &plan.settings {
        table.row([(&setting.key).into(), (&setting.value).into(), (&setting.from).into()]);
    }
    let mut text = table.render();
    if let Some(Cap { file, line, given, set }) = &plan.cap {
        text.push_str(&format!(
            "\nepoch cap [P17]: line {line} of {} says {given}; every run gets {set}\n",
            neutral(file)
        ));
    }
    files(&mut text, "editable", &plan.editable);
    files(&mut text, "frozen", &plan.frozen);
    let upload = &plan.upload;
    let (count, size) = (units::count(upload.blobs, "blob"), units::bytes(upload.bytes));
    text.push_str(&format!("\nto send: {count}, {size}"));
    text.push_str(&match (upload.lacking_blobs, upload.lacking_bytes) {
        (Some(blobs), Some(bytes)) => {
            format!("; the coordinator lacks {} of them, {}\n", blobs, units::bytes(bytes))
        }
        _ => "; no coordinator was asked what it has\n".to_owned(),
    });
    text
}

fn files(text: &mut String, kind: &str, paths: &[String]) {
    text.push_str(&format!("\n{kind}: {}\n", units::count(paths.len() as u64, "file")));
    for path in paths {
        text.push_str(&format!("  {}\n", neutral(path)));
    }
}
