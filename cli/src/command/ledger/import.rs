//! `windlass ledger import FILE.tsv`: a ledger that was made elsewhere becomes a finished campaign.

use crate::args::Dry;
use crate::blobs::Blobs;
use crate::client::Client;
use crate::command::init::Way;
use crate::error::Error;
use crate::foreign::{self, Given, Malformed};
use crate::render::units;
use crate::session::Session;
use crate::upload;
use serde::Serialize;
use std::path::PathBuf;
use windlass_proto::document;
use windlass_proto::v1::ImportLedgerRequest;
use windlass_shared::bindings::Direction;
use windlass_shared::tree::Manifest;

/// Which file, and what it does not say itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A results.tsv: a header, then a row per iteration, tabs between the columns
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The campaign's name [default: the file's, or the folder's of a results.tsv]
    #[arg(long, value_name = "N")]
    pub name: Option<String>,
    /// The metric's column, or what a column called `metric` measures
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Which way is better [default: the way of the kept rows, else what the metric's name says]
    #[arg(long, value_name = "WAY")]
    pub direction: Option<Way>,
    /// Leave malformed lines out, and say which
    #[arg(long)]
    pub lenient: bool,
    #[command(flatten)]
    pub dry: Dry,
}

/// What came of it: `windlass.import/1`.
#[derive(Debug, Serialize)]
struct Imported {
    campaign: String,
    name: String,
    metric: String,
    direction: Direction,
    rows: usize,
    skipped: Vec<Malformed>,
}

/// Imports.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let direction = args.direction.map(Direction::from);
    let given = Given { name: args.name, metric: args.metric, direction };
    let (ledger, malformed) = foreign::read(&args.file, &given)?;
    if !malformed.is_empty() && !args.lenient {
        return Err(foreign::refuse(&args.file, &malformed));
    }
    ledger.validate()?;
    for one in &malformed {
        session.say(&format!("left out line {}: {}", one.line, one.problem));
    }
    let client = Client::connect(session).await?;
    // The campaign's tree: it has no files.
    let mut blobs = Blobs::default();
    blobs.hold(Manifest::default().to_bytes());
    upload::missing(&client, &blobs).await?;
    let request = ImportLedgerRequest {
        request_id: session.next_request_id(),
        ledger_document: document::write(&ledger),
    };
    let campaign = client.campaigns().import_ledger(request).await?.into_inner().campaign;
    let rows = ledger.rows.len();
    if session.is_json() {
        let (name, metric, direction) = (ledger.name, ledger.metric, ledger.direction);
        let imported = Imported { campaign, name, metric, direction, rows, skipped: malformed };
        return session.json("windlass.import/1", &imported);
    }
    let way = crate::render::chart::better(ledger.direction);
    session.say(&format!("{}, {}, {way}", units::count(rows as u64, "row"), ledger.metric));
    session.print(&format!("{campaign}\n"))
}
