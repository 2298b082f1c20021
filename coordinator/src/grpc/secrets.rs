//! Values of secrets on their way into their store. They never reach the loop: it is told their names.

use super::convert::answered;
use crate::driver::{Event, Handle, blocking};
use crate::secrets;
use std::collections::BTreeMap;
use tonic::Status;
use windlass_proto::refusal::to_status;
use windlass_shared::id::CampaignId;
use windlass_shared::refusal::Refusal;

/// Keeps what a submitter gives.
pub(super) async fn give(
    handle: &Handle,
    campaign: CampaignId,
    given: BTreeMap<String, String>,
) -> Result<(), Status> {
    let (store, id) = (handle.stores.secrets.clone(), campaign.clone());
    match blocking(move || store.give(&id, given)).await {
        Ok(()) => {}
        Err(secrets::Error::Secret(error)) => {
            let problem = error.to_string();
            return Err(to_status(&Refusal::Malformed { field: "secrets", problem }));
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to keep secrets");
            return Err(Status::unavailable("the coordinator could not keep the secrets; its log says why"));
        }
    }
    let names = handle.stores.secrets.names_of(&campaign);
    answered(handle.ask(|reply| Event::SecretsGiven { campaign, names, reply }).await)
}
