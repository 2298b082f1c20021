//! `windlass submit --dry-run`: the campaign as it would be, and what would travel. Sends nothing; works
//! without a coordinator, and with one says what its store lacks.

use super::submit::Args;
use crate::blobs::Blobs;
use crate::campaign_file::CampaignFile;
use crate::client::Client;
use crate::error::Error;
use crate::render::table::{Column, Table};
use crate::render::text::neutral;
use crate::render::{units, views};
use crate::resolved::{self, Setting};
use crate::session::Session;
use crate::upload;
use crate::workspace::Workspace;
use serde::Serialize;
use windlass_engine::gate::editable::Editable;

/// Files of each kind that are listed for people; the JSON document has them all.
const LISTED_MAX: usize = 40;

/// What a dry run found.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Every setting.
    pub settings: Vec<Setting>,
    /// Files that a lever may touch.
    pub editable: Vec<String>,
    /// Files that keep their bytes (P2).
    pub frozen: Vec<String>,
    /// What would travel.
    pub upload: Upload,
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
    let (count, bytes) = blobs.total();
    let lacking = lacking(session, blobs).await?;
    Ok(Plan {
        settings: resolved::settings(file, (name, &why)),
        editable: texts(editable),
        frozen: texts(frozen),
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
    for path in paths.iter().take(LISTED_MAX) {
        text.push_str(&format!("  {}\n", neutral(path)));
    }
    if paths.len() > LISTED_MAX {
        let rest = views::more(paths.len() - LISTED_MAX, "windlass submit --dry-run --output json");
        text.push_str(&rest);
    }
}
