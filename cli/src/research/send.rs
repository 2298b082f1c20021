//! An answer on its way to the coordinator. Its parts are sent first; then it is written down, byte for byte, under
//! a key; then it is sent, and after any kill it is sent again: the same key has the same answer (I4).

use super::answer::Answer;
use super::ask::Ask;
use super::state::{Sending, Turn};
use crate::blobs::Blobs;
use crate::client::Client;
use crate::error::Error;
use crate::upload;
use serde::Serialize;
use uuid::Uuid;
use windlass_proto::v1::{ProposeLeverRequest, SubmitFixRequest, WriteConclusionRequest};

/// What came of sending.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// The lever stands in line, with what its researcher should know.
    Queued {
        /// Its number.
        lever: u32,
        /// Warnings.
        warnings: Vec<String>,
    },
    /// The conclusion is written, the fix is on.
    Done,
}

/// Makes an answer ready: its parts are there, its bytes and its key are settled. None for what is no answer.
pub async fn prepare(client: &Client, turn: &Turn, answer: &Answer) -> Result<Option<Sending>, Error> {
    let nothing = Blobs::default();
    let (document, title, blobs) = match answer {
        Answer::Lever(file) => (text(&file.lever)?, file.lever.title.clone(), &file.blobs),
        Answer::Conclusion(conclusion) => (text(conclusion)?, conclusion.finding.clone(), &nothing),
        Answer::Fix(change, blobs) => {
            (text(change)?, format!("a fix of iteration {}", turn.iteration), blobs)
        }
        Answer::Nothing | Answer::Unusable(_) => return Ok(None),
    };
    upload::missing(client, blobs).await?;
    let request_id = Uuid::now_v7().to_string();
    Ok(Some(Sending { turn: turn.clone(), request_id, document, title }))
}

fn text<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|source| Error::Encode { what: "an answer", source })
}

/// Sends it to a campaign, as this researcher of it.
pub async fn send(
    client: &Client,
    (campaign, researcher): (&str, &str),
    sending: &Sending,
) -> Result<Sent, Error> {
    let (request_id, campaign) = (sending.request_id.clone(), campaign.to_owned());
    let (document, iteration) = (sending.document.clone().into_bytes().into(), sending.turn.iteration);
    let mut service = client.campaigns();
    match sending.turn.ask {
        Ask::Propose | Ask::Repair => {
            let researcher = researcher.to_owned();
            let request = ProposeLeverRequest { request_id, campaign, lever_document: document, researcher };
            let answer = service.propose_lever(request).await?.into_inner();
            Ok(Sent::Queued { lever: answer.lever, warnings: answer.warnings })
        }
        Ask::Conclude => {
            let request =
                WriteConclusionRequest { request_id, campaign, iteration, conclusion_document: document };
            service.write_conclusion(request).await?;
            Ok(Sent::Done)
        }
        Ask::Fix => {
            let request = SubmitFixRequest { request_id, campaign, iteration, change_document: document };
            service.submit_fix(request).await?;
            Ok(Sent::Done)
        }
    }
}
