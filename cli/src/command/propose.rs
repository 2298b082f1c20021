//! Proposes lever files one after the other, for `submit`, `lever add` and `demo`: a refused one never
//! stands in the way of the next.

use crate::client::Client;
use crate::error::{Error, Report};
use crate::lever_file;
use crate::render::text::neutral;
use crate::session::Session;
use crate::upload;
use serde::Serialize;
use std::path::{Path, PathBuf};
use windlass_proto::document;
use windlass_proto::v1::ProposeLeverRequest;

/// A lever that stands in line now.
#[derive(Debug, Serialize)]
pub struct Queued {
    /// Its number.
    pub lever: u32,
    /// Its title.
    pub title: String,
    /// Where it came from.
    pub file: String,
    /// What its researcher should know.
    pub warnings: Vec<String>,
}

/// A lever that does not.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// Where it came from.
    pub file: String,
    /// Why, with rule and remedy.
    #[serde(flatten)]
    pub why: Report,
}

/// What became of some lever files.
#[derive(Debug, Default, Serialize)]
pub struct Proposed {
    /// In line.
    pub queued: Vec<Queued>,
    /// Not.
    pub refused: Vec<Refused>,
}

/// What is said about levers that were queued; refused ones are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Each, as it happens.
    Each,
    /// Nothing: the campaign is being watched.
    Watched,
}

/// Proposes each; ends early only when the coordinator is away.
pub async fn all(
    client: &Client,
    session: &Session,
    campaign: &str,
    files: &[PathBuf],
    voice: Voice,
) -> Result<Proposed, Error> {
    let mut proposed = Proposed::default();
    for file in files {
        match one(client, session, campaign, file).await {
            Ok(queued) => {
                if voice == Voice::Each {
                    session.say(&format!("L{} queued: {}", queued.lever, neutral(&queued.title)));
                }
                for warning in &queued.warnings {
                    session.say(&format!("  warning: {}", neutral(warning)));
                }
                proposed.queued.push(queued);
            }
            Err(problem) if problem.is_unavailable() => return Err(problem),
            Err(problem) => proposed.refused.push(refused(session, file, &problem)),
        }
    }
    Ok(proposed)
}

/// Reports one refused file.
pub fn refused(session: &Session, file: &Path, problem: &Error) -> Refused {
    let why = problem.to_report();
    if !why.problems.is_empty() {
        session.complain(&format!("refused {}{}", file.display(), crate::error::told(&why)));
        return Refused { file: file.display().to_string(), why };
    }
    let rule = why.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
    let message = crate::render::text::neutral_block(&why.message);
    let path = file.display().to_string();
    // A problem of the file itself begins with its path and place already.
    let place = if message.starts_with(&path) { String::new() } else { format!("{path}: ") };
    session.complain(&format!("refused{rule} {place}{message}"));
    if let Some(remedy) = &why.remedy {
        session.complain(&format!("  remedy: {remedy}"));
    }
    Refused { file: file.display().to_string(), why }
}

/// Proposes one.
pub async fn one(client: &Client, session: &Session, campaign: &str, file: &Path) -> Result<Queued, Error> {
    let read = lever_file::read(file)?;
    upload::missing(client, &read.blobs).await?;
    let request = ProposeLeverRequest {
        request_id: session.next_request_id(),
        campaign: campaign.to_owned(),
        lever_document: document::write(&read.lever),
        researcher: session.researcher.clone().unwrap_or_default(),
    };
    let answer = client.campaigns().propose_lever(request).await?.into_inner();
    Ok(Queued {
        lever: answer.lever,
        title: read.lever.title,
        file: file.display().to_string(),
        warnings: answer.warnings,
    })
}
