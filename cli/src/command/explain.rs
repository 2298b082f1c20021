//! `windlass explain C|C N|C L|W`: why something is, or is not, running.

use crate::client::Client;
use crate::error::Error;
use crate::render::page::Page;
use crate::render::text::neutral;
use crate::session::Session;
use windlass_proto::document;
use windlass_proto::v1::ExplainRequest;
use windlass_proto::v1::explain_request::Part as Wire;
use windlass_shared::id::LeverNumber;
use windlass_shared::view::{Explanation, Sentence};

/// What to explain.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign or worker: id, name, or a unique prefix of either
    #[arg(value_name = "C|W")]
    pub name: String,
    /// One of the campaign's iterations (7) or levers (L7)
    #[arg(value_name = "N|L", value_parser = parse_part)]
    pub part: Option<Part>,
}

/// A part of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An iteration's number.
    Iteration(u32),
    /// A lever's number.
    Lever(LeverNumber),
}

fn parse_part(text: &str) -> Result<Part, String> {
    let iteration = text.parse().ok().map(Part::Iteration);
    let part = iteration.or_else(|| LeverNumber::parse(text).map(Part::Lever));
    part.ok_or_else(|| "write an iteration's number like 7, or a lever's like L7".to_owned())
}

/// Asks and prints.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let part = args.part.map(|part| match part {
        Part::Iteration(number) => Wire::Iteration(number),
        Part::Lever(number) => Wire::Lever(number.0),
    });
    let answer = client.campaigns().explain(ExplainRequest { name: args.name, part }).await?.into_inner();
    let explanation: Explanation = document::read("explanation_document", &answer.explanation_document)?;
    if session.is_json() {
        return session.json("windlass.explanation/1", &explanation);
    }
    let mut page = Page::new(&neutral(&explanation.subject), session.width());
    for sentence in &explanation.sentences {
        page.bullet(&line(sentence));
    }
    session.print(&page.finish())
}

/// The sentence, then its rule and its figures.
fn line(sentence: &Sentence) -> String {
    let rule = sentence.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
    let figures: Vec<String> =
        sentence.figures.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect();
    let figures = if figures.is_empty() { String::new() } else { format!(" ({})", figures.join(", ")) };
    neutral(&format!("{}{rule}{figures}", sentence.text))
}
