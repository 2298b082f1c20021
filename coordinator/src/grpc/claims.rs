//! What researchers work on: claims, which are in no record.

use super::convert::{answered, known};
use super::dry;
use crate::driver::{Event, Handle, Query};
use bytes::Bytes;
use tonic::Status;
use windlass_proto::{document, refusal::to_status, v1};
use windlass_shared::access::Access;
use windlass_shared::claim::ClaimView;
use windlass_shared::refusal::Refusal;

/// Takes a claim, gives one back, or only says what all work on.
pub(super) async fn claim(
    handle: &Handle,
    access: Access,
    message: v1::ClaimRequest,
) -> Result<v1::ClaimResponse, Status> {
    let name = known("campaign", message.campaign)?;
    let read = |bytes: &[u8]| document::read("claim_document", bytes);
    let claim = Some(message.claim_document).filter(|bytes| !bytes.is_empty());
    let claim = claim.map(|bytes| read(&bytes)).transpose();
    let claim = claim.map_err(|refusal: Refusal| to_status(&refusal))?;
    let (span_ms, intent) = (message.span_ms, dry::intent());
    let event = |reply| Event::Claim { access, name, claim, span_ms, intent, reply };
    Ok(v1::ClaimResponse { claim_documents: documents(&answered(handle.ask(event).await)?) })
}

/// The claims on a campaign, where they are asked for.
pub(super) async fn asked(
    handle: &Handle,
    access: &Access,
    name: &str,
    is_asked: bool,
) -> Result<Vec<Bytes>, Status> {
    if !is_asked {
        return Ok(Vec::new());
    }
    let (access, name) = (access.clone(), name.to_owned());
    let claims = handle.ask(|reply| Event::Query(Query::Claims { access, name, reply })).await;
    Ok(documents(&answered(claims)?))
}

fn documents(claims: &[ClaimView]) -> Vec<Bytes> {
    claims.iter().map(document::write).collect()
}
