//! `windlass findings add|list`: what the literature says (P33 to P35).

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::history::{self, FindingRow, Findings};
use crate::render::findings::{self as page, verdict_line};
use crate::session::Session;
use crate::yaml;
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;
use windlass_proto::document;
use windlass_proto::v1::AddFindingsRequest;
use windlass_shared::literature::{self, Scope};
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;

/// What to do with the corpus.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a review of the literature: each finding is kept or rejected by the evidence gate
    Add(Add),
    /// Every finding, kept or rejected, and what became of it
    List {
        /// Campaign: id, name, or a unique prefix of either
        #[arg(value_name = "C")]
        campaign: String,
    },
}

/// A review, and what its findings hold for.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The review as JSON in its published shape
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the findings hold for: `agnostic` or an architecture's tag; `2=TAG` for the second finding alone;
    /// may be given several times [default: agnostic]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = given_scope)]
    pub scopes: Vec<Given>,
    #[command(flatten)]
    pub dry: Dry,
}

/// A scope as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Which finding, from 1; all of them without.
    finding: Option<usize>,
    scope: Scope,
}

/// Reads `--scope`.
pub fn given_scope(text: &str) -> Result<Given, String> {
    let (finding, scope) = match text.split_once('=') {
        Some((number, scope)) => {
            let number = number.parse().ok().filter(|number| *number > 0);
            (Some(number.ok_or("write the number of a finding before `=`, from 1")?), scope)
        }
        None => (None, text),
    };
    let scope =
        Scope::parse(scope).ok_or("write `agnostic`, or a tag of letters a-z, digits, `_` and `-`")?;
    Ok(Given { finding, scope })
}

/// The scope of each finding; what is given for one alone goes before what is given for all.
fn scopes(given: &[Given], count: usize) -> Result<Vec<Scope>, Refusal> {
    let all = given.iter().rev().find(|one| one.finding.is_none()).map(|one| one.scope.clone());
    let mut scopes = vec![all.unwrap_or_default(); count];
    for Given { finding, scope } in given {
        let Some(number) = finding else { continue };
        match scopes.get_mut(number - 1) {
            Some(place) => place.clone_from(scope),
            None => {
                let problem = format!("names finding {number}, and the review has {count}");
                return Err(Refusal::Lever { rule: "P33", field: "--scope".to_owned(), problem });
            }
        }
    }
    Ok(scopes)
}

#[derive(Serialize)]
struct Listing<'a> {
    campaign: &'a str,
    findings: Vec<FindingRow<'a>>,
}

impl<'a> Listing<'a> {
    fn of(campaign: &'a str, findings: &'a Findings) -> Self {
        let findings = findings.iter().map(|(number, finding)| finding.row(*number)).collect();
        Self { campaign, findings }
    }
}

/// Does it.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    match command {
        Command::Add(args) => add(args, session).await,
        Command::List { campaign } => {
            let client = Client::connect(session).await?;
            let (campaign, findings) = history::findings(&client, &campaign).await?;
            if session.is_json() {
                return session.json("windlass.findings/1", &Listing::of(&campaign, &findings));
            }
            session.print(&page::table(&findings, session.width()))
        }
    }
}

async fn add(args: Add, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let text = yaml::read_text(&args.file)?;
    let (campaign, findings) = hand_over(session, args.campaign, &text, &args.scopes).await?;
    if session.is_json() {
        return session.json("windlass.findings_added/1", &Listing::of(&campaign, &findings));
    }
    if findings.is_empty() && !session.is_dry {
        session.say("the review is recorded: it has no finding, so that a lever may say `literature: none`");
    }
    for (number, finding) in &findings {
        session.print(&verdict_line(*number, finding))?;
    }
    Ok(())
}

/// Hands a review over; answers the campaign's id and what became of each finding, which is nothing when it
/// is only asked about.
pub async fn hand_over(
    session: &Session,
    campaign: String,
    text: &str,
    scopes_given: &[Given],
) -> Result<(String, Findings), Error> {
    // What the coordinator would refuse is said before anything is sent.
    let review = literature::read(text.as_bytes())
        .map_err(|faults| Refusal::several(faults.into_iter().map(Refusal::from).collect()))?;
    let scopes = scopes(scopes_given, review.findings.len())?;
    let client = Client::connect(session).await?;
    let request = AddFindingsRequest {
        request_id: session.next_request_id(),
        campaign,
        review_document: document::write(&review),
        scopes: scopes.iter().map(ToString::to_string).collect(),
    };
    let answer = client.campaigns().add_findings(request).await?.into_inner();
    let mut findings = Findings::new();
    for bytes in &answer.record_documents {
        let record: Record = document::read("record_documents", bytes)?;
        history::add_finding(&mut findings, &record);
    }
    Ok((answer.campaign, findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p33_a_scope_is_given_for_all_findings_or_for_one() {
        let check = |given: &[&str], want: Result<&[&str], &str>| {
            let given: Result<Vec<Given>, String> = given.iter().map(|text| given_scope(text)).collect();
            let found = given.and_then(|given| scopes(&given, 2).map_err(|refusal| refusal.to_string()));
            match (found, want) {
                (Ok(found), Ok(want)) => {
                    assert_eq!(found.iter().map(Scope::as_str).collect::<Vec<_>>(), want);
                }
                (Err(found), Err(want)) => assert!(found.contains(want), "{found}"),
                (found, want) => panic!("{found:?} for {want:?}"),
            }
        };
        check(&[], Ok(&["agnostic", "agnostic"]));
        check(&["vit"], Ok(&["vit", "vit"]));
        check(&["2=cnn"], Ok(&["agnostic", "cnn"]));
        check(&["1=cnn", "vit"], Ok(&["cnn", "vit"]));
        check(&["3=cnn"], Err("names finding 3, and the review has 2"));
        check(&["0=cnn"], Err("from 1"));
        check(&["A Net"], Err("a tag of letters"));
    }
}
