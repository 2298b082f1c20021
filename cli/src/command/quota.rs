//! `windlass quota set|lift|list`: what an owner may have of the fleet at most.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::render::quota;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::{ListQuotasRequest, SetQuotaRequest};
use windlass_shared::quota::{DeviceTime, Quota, QuotaView};
use windlass_shared::time::Span;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Bound what a client's attempts may have of the fleet; what runs is finished
    Set(SetArgs),
    /// Lift a client's quota
    Lift(LiftArgs),
    /// List quotas, with what is had of each
    List(ListArgs),
}

/// Whose, and how much.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("bound").required(true).multiple(true)))]
pub struct SetArgs {
    /// The client's name, as `windlass certs list` has it
    #[arg(value_name = "OWNER")]
    pub owner: String,
    /// Devices at once, over all campaigns of the owner
    #[arg(long, value_name = "N", group = "bound")]
    pub devices: Option<u32>,
    /// Device-hours within the stretch of `--per`
    #[arg(long, value_name = "H", group = "bound", value_parser = device_hours)]
    pub device_hours: Option<u64>,
    /// The stretch that device-hours are counted over, by the hour: from 1 h to 31 d
    #[arg(long, value_name = "SPAN", default_value = "7 d", value_parser = Span::parse)]
    pub per: Span,
    #[command(flatten)]
    pub dry: Dry,
}

/// Whose.
#[derive(Debug, clap::Args)]
pub struct LiftArgs {
    /// The client's name
    #[arg(value_name = "OWNER")]
    pub owner: String,
    #[command(flatten)]
    pub dry: Dry,
}

/// Nothing to say.
#[derive(Debug, clap::Args)]
pub struct ListArgs {}

#[derive(Serialize)]
struct Done {
    owner: String,
    quota: Option<Quota>,
}

#[derive(Serialize)]
struct Listing {
    quotas: Vec<QuotaView>,
}

/// Does it.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    match command {
        Command::Set(args) => {
            let per_ms = args.per.ms;
            let time = args.device_hours.map(|device_ms| DeviceTime { device_ms, per_ms });
            let quota = Quota { devices: args.devices, time };
            change(args.owner, Some(quota), &session.asking(args.dry)).await
        }
        Command::Lift(args) => change(args.owner, None, &session.asking(args.dry)).await,
        Command::List(_) => list(session).await,
    }
}

async fn change(owner: String, quota: Option<Quota>, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let request = SetQuotaRequest {
        request_id: session.next_request_id(),
        owner: owner.clone(),
        quota_document: quota.as_ref().map(document::write).unwrap_or_default(),
    };
    client.fleet().set_quota(request).await?;
    if session.is_json() {
        return session.json("windlass.quota/1", &Done { owner, quota });
    }
    match quota {
        Some(bound) => session.say(&format!("{owner} may have {} at most", quota::words(&bound))),
        None => session.say(&format!("{owner} may have as much as there is")),
    }
    Ok(())
}

async fn list(session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let answer = client.fleet().list_quotas(ListQuotasRequest {}).await?.into_inner();
    let read = |bytes: &_| document::read("view_documents", bytes).map_err(Error::from);
    let quotas: Vec<QuotaView> =
        answer.view_documents.iter().map(|bytes| read(bytes)).collect::<Result<_, _>>()?;
    if session.is_json() {
        return session.json("windlass.quotas/1", &Listing { quotas });
    }
    session.print(&quota::table(&quotas, session.width()))
}

/// Hours as device milliseconds; fractions are allowed.
fn device_hours(text: &str) -> Result<u64, String> {
    let hours: f64 = text.parse().map_err(|_| format!("{text:?} is no number of hours"))?;
    // A million years of one device: far below what 64 bits hold.
    if !(0.0..=1e10).contains(&hours) {
        return Err(format!("{text} is not between 0 and ten billion hours"));
    }
    Ok((hours * 3_600_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_hours_are_a_number_that_can_be_had() {
        for (text, want) in [("100", Some(360_000_000)), ("0.5", Some(1_800_000)), ("0", Some(0))] {
            assert_eq!(device_hours(text).ok(), want, "{text}");
        }
        for text in ["-1", "", "many", "inf", "NaN", "1e11"] {
            assert!(device_hours(text).is_err(), "{text}");
        }
    }
}
