//! `windlass report C`: where a campaign stands, as Markdown to pass on.

use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::layout;
use crate::render::report;
use crate::session::Session;
use serde::Serialize;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Which campaign, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// Write it here; `-` is standard output [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write over a file that is no report
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Report {
    campaign: String,
    head_seq: u64,
    best: Option<u32>,
    keeps: usize,
    decided: usize,
    gpu_ms: u64,
    cpu_ms: u64,
    runs: u64,
    file: Option<String>,
    markdown: String,
}

/// Writes it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let markdown = report::markdown(&story);
    let out = args.out.filter(|out| out.as_os_str() != "-");
    if let Some(path) = &out {
        if !args.force {
            refuse_foreign(path)?;
        }
        layout::write_file(path, markdown.as_bytes())?;
        if !session.is_json() {
            session.say(&format!("wrote {}", path.display()));
            return Ok(());
        }
    }
    if session.is_json() {
        let spent = story.spent();
        let report = Report {
            campaign: story.campaign.to_string(),
            head_seq: story.head_seq,
            best: story.best.map(|best| best.0),
            keeps: story.steps().count(),
            decided: story.decided.len(),
            gpu_ms: spent.gpu_ms,
            cpu_ms: spent.cpu_ms,
            runs: spent.runs,
            file: out.map(|path| path.display().to_string()),
            markdown,
        };
        return session.json("windlass.report/1", &report);
    }
    session.print(&markdown)
}

/// A report may be made again over an earlier one; anything else that is there stays.
fn refuse_foreign(path: &Path) -> Result<(), Error> {
    let mut beginning = vec![0; report::MARK.len()];
    match std::fs::File::open(path).map(|mut file| file.read_exact(&mut beginning)) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(()),
        Ok(Ok(())) if beginning == report::MARK.as_bytes() => Ok(()),
        _ => Err(Error::Exists { path: path.to_owned() }),
    }
}
