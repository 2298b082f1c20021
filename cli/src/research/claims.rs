//! What a researcher works on, told to the others of its campaign: claimed while its command is asked for a lever,
//! renewed as long as that takes, given back with the turn. A courtesy: what does not get through holds nothing up.

use super::ask::Ask;
use super::desk::Desk;
use super::state::Turn;
use crate::client::Client;
use crate::command::claim;
use crate::error::Error;
use crate::render::text::neutral;
use crate::yaml;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use windlass_shared::claim::Claim;
use windlass_shared::path::TreePath;

/// How often a claim is renewed while a command is at it.
pub const RENEW_EVERY: Duration = Duration::from_secs(180);
/// How long it holds by itself, milliseconds: two renewals may fail, and a loop that was killed is soon out of the
/// others' way.
const HOLDS_MS: u64 = 600_000;
/// A coordinator that says nothing for so long is not waited for.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Dimensions and files of one claim, and characters of what it is about: less than what a claim may have.
const ITEMS_MAX: usize = 32;
/// See [`ITEMS_MAX`].
const ABOUT_MAX_CHARS: usize = 100;

/// What of a lever file says what it is about; a file that has more wrong with it may still say that.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    title: String,
    files: Vec<String>,
    analysis: Vec<Row>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Row {
    dimension: String,
    compares: Option<serde_json::Value>,
}

/// Claims what a turn works on. What the command has claimed by itself stands, and holds longer.
pub async fn hold(client: &Client, desk: &Desk, campaign: &str, researcher: &str, turn: &Turn) {
    let held = async {
        let all = claim::list(client, campaign).await?;
        let own = all.into_iter().map(|view| view.claim).find(|claim| claim.researcher == researcher);
        let about = || about(desk, researcher, turn);
        let wanted = own.or_else(about).unwrap_or_else(|| general(researcher, turn));
        match claim::take(client, campaign, &wanted, HOLDS_MS).await {
            // What it was about is another's by now: it is told that all the same, and that it is at something.
            Err(problem) if !problem.is_unavailable() => {
                claim::take(client, campaign, &general(researcher, turn), HOLDS_MS).await.map(drop)
            }
            taken => taken.map(drop),
        }
    };
    courtesy(held).await;
}

/// Gives back what a turn was about: it is over.
pub async fn give_back(client: &Client, campaign: &str, researcher: &str) {
    let nothing = Claim {
        researcher: researcher.to_owned(),
        about: "nothing".to_owned(),
        dimensions: Vec::new(),
        files: Vec::new(),
    };
    courtesy(async { claim::take(client, campaign, &nothing, 0).await.map(drop) }).await;
}

async fn courtesy(call: impl Future<Output = Result<(), Error>>) {
    match tokio::time::timeout(ANSWER_MAX, call).await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => tracing::debug!(problem = problem.to_report().message, "no claim"),
        Err(_) => tracing::debug!("no claim: the coordinator says nothing"),
    }
}

/// That somebody is at it: neither file nor dimension, so that it is in nobody's way.
fn general(researcher: &str, turn: &Turn) -> Claim {
    Claim {
        researcher: researcher.to_owned(),
        about: format!("a lever on the evidence of iteration {}", turn.iteration),
        dimensions: Vec::new(),
        files: Vec::new(),
    }
}

/// What is to be repaired, from the lever that was refused.
fn about(desk: &Desk, researcher: &str, turn: &Turn) -> Option<Claim> {
    let previous = turn.previous.filter(|_| turn.ask == Ask::Repair)?;
    let path = desk.turn(previous).join(super::answer::LEVER);
    of_lever(&path, researcher)
}

fn of_lever(path: &Path, researcher: &str) -> Option<Claim> {
    // What a link leads to is nothing that was answered.
    std::fs::symlink_metadata(path).ok().filter(|found| found.is_file())?;
    let text = yaml::read_text(path).ok()?;
    let said: About = yaml::parse(path, &text).ok()?;
    let about: String = neutral(&said.title).trim().chars().take(ABOUT_MAX_CHARS).collect();
    let new = said.analysis.into_iter().filter(|row| row.compares.is_none() && !row.dimension.is_empty());
    (!about.is_empty()).then(|| Claim {
        researcher: researcher.to_owned(),
        about,
        dimensions: new.map(|row| row.dimension).take(ITEMS_MAX).collect(),
        files: said.files.iter().filter_map(|file| TreePath::parse(file).ok()).take(ITEMS_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lever_that_is_to_be_repaired_says_what_is_claimed_as_far_as_it_can_be_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lever.yaml");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            of_lever(&path, "ada")
        };
        let rows = "analysis:\n  - {dimension: swing, output: a.tsv}\n  - {dimension: errors, compares: {iteration: 2, reason: r}}\n";
        let claim =
            read(&format!("title: \"halve\\u001b the rate\"\nfiles: [train.py, ../x]\n{rows}")).expect("one");
        assert_eq!(claim.about, "halve the rate");
        assert_eq!(claim.dimensions, ["swing"], "one that is compared is nobody's alone");
        assert_eq!(claim.files.iter().map(TreePath::as_str).collect::<Vec<_>>(), ["train.py"]);
        let long = read(&format!("title: {}\n", "x".repeat(5_000))).expect("one");
        assert_eq!(long.about.len(), ABOUT_MAX_CHARS);
        for nothing in ["", "title: [\n", "files: [a]\n", "title: '  '\n"] {
            assert_eq!(read(nothing), None, "{nothing:?}");
        }
    }
}
