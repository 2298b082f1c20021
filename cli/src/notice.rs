//! What the coordinator has to say of itself beside an answer: that its disk fills up, or that it only reads.

use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use windlass_proto::document;
use windlass_proto::v1::GetHealthRequest;
use windlass_shared::upkeep::Health;

/// How the coordinator is.
pub async fn health(client: &Client) -> Result<Health, Error> {
    let answer = client.upkeep().get_health(GetHealthRequest {}).await?.into_inner();
    Ok(document::read("health_document", &answer.health_document)?)
}

/// Says it on stderr, if there is something. An answer that does not come is nobody's loss: the command has
/// its own.
pub async fn show(client: &Client, session: &Session) {
    if let Ok(Health { notice: Some(notice), .. }) = health(client).await {
        session.say(&format!("note: {}", crate::render::text::neutral(&notice)));
    }
}
