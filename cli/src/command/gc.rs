//! `windlass gc`: removes what nothing names any more, and evidence whose time is over.

use crate::client::Client;
use crate::error::Error;
use crate::render::table::{Column, Table};
use crate::render::text::fit;
use crate::render::units;
use crate::session::Session;
use windlass_proto::document;
use windlass_proto::v1::CollectGarbageRequest;
use windlass_shared::time::Span;
use windlass_shared::upkeep::Collected;

/// Evidence that is listed for people; a program gets more.
const SHOWN_MAX: usize = 20;

/// What goes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Remove outputs and artifacts of iterations decided longer ago, as `30 d` [default: the coordinator's --keep-outputs]
    #[arg(long, value_name = "SPAN", value_parser = Span::parse)]
    pub older_than: Option<Span>,
    /// The same for logs [default: the coordinator's --keep-logs]
    #[arg(long, value_name = "SPAN", value_parser = Span::parse)]
    pub logs_older_than: Option<Span>,
}

/// Asks the coordinator to.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let request = CollectGarbageRequest {
        dry_run: args.dry_run,
        outputs_older_than_ms: args.older_than.map(|span| span.ms),
        logs_older_than_ms: args.logs_older_than.map(|span| span.ms),
    };
    let answer = client.upkeep().collect_garbage(request).await?.into_inner();
    let collected: Collected = document::read("collected_document", &answer.collected_document)?;
    if session.is_json() {
        return session.json("windlass.garbage/1", &collected);
    }
    session.print(&page(&collected, session.width()))
}

fn page(collected: &Collected, width: u16) -> String {
    let mut text = String::new();
    if !collected.evidence.is_empty() {
        let mut table = Table::new(
            width,
            [
                Column::new("campaign"),
                Column::new("iteration").right(),
                Column::new("evidence"),
                Column::new("size").right(),
            ],
        );
        for removed in collected.evidence.iter().take(SHOWN_MAX) {
            table.row([
                removed.campaign.to_string().into(),
                removed.iteration.to_string().into(),
                removed.evidence.as_str().into(),
                units::bytes(removed.bytes).into(),
            ]);
        }
        text.push_str(&table.render());
        let more = collected.evidence_count.saturating_sub(SHOWN_MAX as u64);
        if more > 0 {
            text.push_str(&format!("… and {more} more\n"));
        }
        text.push('\n');
    }
    let verb = if collected.dry_run { "would go" } else { "went" };
    let sized = |count: u64, noun: &str, bytes: u64| {
        format!("{} ({})", units::count(count, noun), units::bytes(bytes))
    };
    text.push_str(&format!(
        "{verb}: {} and {}\n",
        sized(collected.blobs, "blob", collected.blob_bytes),
        sized(collected.logs, "log file", collected.log_bytes),
    ));
    text.push_str(&format!(
        "stays: {} that records name, {} asked for lately\n",
        sized(collected.kept_blobs, "blob", collected.kept_bytes),
        sized(collected.pinned_blobs, "blob", collected.pinned_bytes),
    ));
    fit(&text, Some(width))
}
