//! `windlass workers`: the fleet.

use crate::client::Client;
use crate::error::Error;
use crate::notice;
use crate::render::fleet;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::ListWorkersRequest;
use windlass_shared::view::WorkerView;

/// Nothing to say.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Listing {
    workers: Vec<WorkerView>,
}

/// Lists.
pub async fn run(_args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let workers = list(&client).await?;
    if session.is_json() {
        return session.json("windlass.workers/1", &Listing { workers });
    }
    notice::show(&client, session).await;
    session.print(&fleet::workers(&workers, session.width()))
}

/// All workers.
pub async fn list(client: &Client) -> Result<Vec<WorkerView>, Error> {
    let answer = client.fleet().list_workers(ListWorkersRequest {}).await?.into_inner();
    let read = |bytes: &_| document::read("view_documents", bytes).map_err(Error::from);
    answer.view_documents.iter().map(|bytes| read(bytes)).collect()
}
