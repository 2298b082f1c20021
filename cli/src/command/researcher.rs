//! `windlass researcher levers|search`: researchers without a language model, as the command of a research loop.

use crate::error::Error;
use crate::render::text::neutral;
use crate::researcher::{self, Researcher, Spoken};
use crate::session::Session;
use clap::Subcommand;
use std::path::PathBuf;

/// Which one.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Pull the levers of a folder in the order of their names, one a turn; what would be refused is passed over
    Levers {
        /// The folder of lever files
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Search a declared space of settings: at random first, then around the best
    Search {
        /// The space: which settings, where they stand, what they may be (docs/agents.md)
        #[arg(value_name = "SPACE.yaml")]
        space: PathBuf,
    },
}

/// Answers the turn that the environment describes.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    let researcher = match &command {
        Command::Levers { dir } => Researcher::Levers(dir),
        Command::Search { space } => Researcher::Search(space),
    };
    let spoken = researcher::run(researcher, session).await?;
    if session.is_json() {
        return session.json("windlass.researcher/1", &spoken);
    }
    session.print(&page(&spoken))
}

fn page(spoken: &Spoken) -> String {
    let mut text = String::new();
    for passed in &spoken.passed {
        let rule = passed.why.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
        text.push_str(&format!(
            "passed over{rule} {}: {}\n",
            neutral(&passed.lever),
            neutral(&passed.why.message)
        ));
    }
    match &spoken.answer {
        Some(answer) => text.push_str(&format!("{}: {}\n", neutral(&spoken.about), neutral(answer))),
        None => text.push_str(&format!("nothing to {}: {}\n", spoken.turn, neutral(&spoken.about))),
    }
    text
}
