//! `windlass research C -- CMD…`: a command is asked for one lever after the other; everything around it is done
//! for it, for as long as it takes.

use crate::args::Dry;
use crate::error::{Error, quote};
use crate::research::{self, Limits, Preset, Settings};
use crate::session::Session;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_shared::machine::Isolation;
use windlass_shared::time::Span;

/// Which campaign, by whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// Ask this agent; what follows `--` is added to its command line
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<Preset>,
    /// The researcher's name: several on one campaign have each their own
    #[arg(long, value_name = "NAME", default_value = "researcher", value_parser = research::parse_name)]
    pub name: String,
    /// Where it keeps its turns and what it is at [default: research/<campaign>/<name> in the data folder]
    #[arg(long, value_name = "D")]
    pub dir: Option<PathBuf>,
    /// How long the command may take over one turn
    #[arg(long, value_name = "TIME", default_value = "1 h", value_parser = parse_span)]
    pub turn_timeout: Span,
    /// The first wait after a turn that failed or was limited; it doubles up to 64 times that
    #[arg(long, value_name = "TIME", default_value = "30 s", value_parser = parse_span)]
    pub backoff: Span,
    /// So often an answer that was refused goes back to the command
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_repairs: u32,
    /// How far the command is shut in: none, guarded or sealed
    #[arg(long, value_name = "LEVEL", default_value = "none", value_parser = parse_isolation)]
    pub isolation: Isolation,
    /// A folder that a command which is shut in may write to, beside its turn's
    #[arg(long, value_name = "DIR")]
    pub writable: Vec<PathBuf>,
    /// Keep the user's copy up to date here, and the campaign's branch, as `windlass sync` does
    #[arg(long, value_name = "DIR")]
    pub sync: Option<PathBuf>,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub dry: Dry,
    /// The researcher's command; words that name files from here are named from the root
    #[arg(last = true, value_name = "CMD", required_unless_present = "agent")]
    pub command: Vec<String>,
}

fn parse_span(text: &str) -> Result<Span, String> {
    let span = Span::parse(text).map_err(|problem| problem.to_string())?;
    if span.ms == 0 { Err("write a time above 0".to_owned()) } else { Ok(span) }
}

fn parse_isolation(text: &str) -> Result<Isolation, String> {
    let all = [Isolation::None, Isolation::Guarded, Isolation::Sealed];
    all.into_iter()
        .find(|level| level.to_string() == text)
        .ok_or_else(|| "write none, guarded or sealed".to_owned())
}

/// What would be asked: `windlass.research_prompt/1`.
#[derive(Serialize)]
struct Asked<'a> {
    campaign: &'a str,
    prompt: String,
}

/// Runs the loop.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let dry = args.dry;
    let settings = settings(args, &std::env::args().collect::<Vec<_>>());
    if !dry.dry_run {
        return Box::pin(research::run(settings, session)).await;
    }
    let session = &session.asking(dry);
    let prompt = research::show(&settings, session).await?;
    if session.is_json() {
        let asked = Asked { campaign: &settings.campaign, prompt };
        return session.json("windlass.research_prompt/1", &asked);
    }
    session.print(&prompt)
}

fn settings(args: Args, line: &[String]) -> Settings {
    let given = args.command.iter().map(|word| research::from_here(word));
    let words = match args.agent {
        None => given.collect(),
        Some(preset) => {
            let last = preset.last_words().iter().map(|&word| word.to_owned());
            preset.words().into_iter().chain(args.command.clone()).chain(last).collect()
        }
    };
    let resume: Vec<String> = line.iter().skip(1).map(|word| quote(Path::new(word))).collect();
    Settings {
        campaign: args.campaign,
        name: args.name,
        dir: args.dir,
        words,
        preset: args.agent,
        turn_timeout: Duration::from_millis(args.turn_timeout.ms),
        pause: Duration::from_millis(args.backoff.ms),
        repairs_max: args.max_repairs,
        isolation: args.isolation,
        writable: args.writable,
        limits: args.limits,
        sync: args.sync,
        resume: format!("windlass {}", resume.join(" ")),
    }
}
