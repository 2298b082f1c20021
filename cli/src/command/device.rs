//! `windlass device release W D`: lifts a quarantine.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::ReleaseDeviceRequest;

/// What to do with a device.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lift a device's quarantine; its worker looks again and says whether it is clean
    Release(Args),
}

/// Which device.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Worker: id, name, or a unique prefix of either
    #[arg(value_name = "W")]
    pub worker: String,
    /// Device: its id as `windlass workers` shows it, or a unique prefix of it
    #[arg(value_name = "D")]
    pub device: String,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Serialize)]
struct Done {
    worker: String,
    device: String,
    done: &'static str,
}

/// Does it.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    let Command::Release(Args { worker, device, dry }) = command;
    let session = &session.asking(dry);
    let client = Client::connect(session).await?;
    let request_id = session.next_request_id();
    let request = ReleaseDeviceRequest { request_id, worker: worker.clone(), device: device.clone() };
    client.fleet().release_device(request).await?;
    if session.is_json() {
        let done = Done { worker, device, done: "released" };
        return session.json("windlass.device_control/1", &done);
    }
    session.say(&format!("{device} of {worker} released; its worker looks again (`windlass workers`)"));
    Ok(())
}
