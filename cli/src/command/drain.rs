//! `windlass drain|undrain W`.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::{DrainRequest, UndrainRequest};

/// Which worker.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Worker: id, name, or a unique prefix of either
    #[arg(value_name = "W")]
    pub worker: String,
    #[command(flatten)]
    pub dry: Dry,
}

/// What to do with it.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    /// Nothing new.
    Drain,
    /// Work again.
    Undrain,
}

#[derive(Serialize)]
struct Done {
    worker: String,
    done: &'static str,
}

/// Does it.
pub async fn run(args: Args, verb: Verb, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let client = Client::connect(session).await?;
    let (request_id, worker) = (session.next_request_id(), args.worker.clone());
    let done = match verb {
        Verb::Drain => client.fleet().drain(DrainRequest { request_id, worker }).await.map(|_| "drained"),
        Verb::Undrain => {
            client.fleet().undrain(UndrainRequest { request_id, worker }).await.map(|_| "undrained")
        }
    }?;
    if session.is_json() {
        return session.json("windlass.worker_control/1", &Done { worker: args.worker, done });
    }
    session.say(&format!("{} {done}", args.worker));
    Ok(())
}
