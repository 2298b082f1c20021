//! The command line as clap reads it: global options and one variant per subcommand.

use crate::command;
use crate::config::Layers;
use crate::error::Error;
use crate::reference::command_line;
use crate::session;
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A fleet pulls one lever at a time; a pawl keeps every gain.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a rule, 4 not found, \
                        5 unavailable and worth a retry, 6 the wait ended first.")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The coordinator: unix:PATH, http://127.0.0.1:PORT, or https://HOST:PORT where this machine has joined
    #[arg(long, global = true, env = "WINDLASS_COORDINATOR", value_name = "URL")]
    pub coordinator: Option<String>,
    /// The coordinator's data folder [default: windlass under the user's data folder]
    #[arg(long, global = true, env = "WINDLASS_DATA_DIR", value_name = "D")]
    pub data_dir: Option<PathBuf>,
    /// Text for people, or JSON as docs/json.md describes it
    #[arg(long, global = true, env = "WINDLASS_OUTPUT", value_name = "FORM", default_value = "human")]
    pub output: Form,
    /// Say nothing that is not data or an error
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, env = "WINDLASS_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Read this windlass.toml, and no other
    #[arg(long, global = true, env = "WINDLASS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read no windlass.toml
    #[arg(long, global = true)]
    pub no_config: bool,
    /// Speak and listen without TLS beyond this machine too, where anyone on the way can read all and run code
    #[arg(long = "plaintext-i-accept-that-anyone-can-read-and-run", global = true, hide = true)]
    pub plaintext: bool,
    /// The idempotency key of a change: whatever is sent twice under the same key happens once
    #[arg(long, global = true, value_name = "UUIDv7")]
    pub request_id: Option<String>,
    /// Whose proposals and claims these are, where several researchers are at one campaign
    #[arg(long, global = true, env = "WINDLASS_RESEARCHER", value_name = "NAME")]
    pub researcher: Option<String>,
}

/// An option of every command that changes something.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Dry {
    /// Ask every rule and say what would be done; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people; `context` and `report` are Markdown then.
    #[value(alias = "markdown")]
    Human,
    /// For programs.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the example campaign on this machine, from nothing to a ledger and a plot
    Demo(command::demo::Args),
    /// Run a coordinator and a worker on this machine
    Up(command::up::Args),
    /// Run the coordinator: the ledger, the queue and every decision
    Coordinator(command::coordinator::Args),
    /// Run a worker: carries out attempts on this machine's devices
    Worker(command::worker::Args),
    /// Infer a project's bindings, ask, and write its loop.run.yaml
    Init(command::init::Args),
    /// Create a campaign from a workspace, and queue levers
    Submit(command::submit::Args),
    /// List campaigns
    Campaigns(command::campaigns::Args),
    /// One page about a campaign, or about what was had of the fleet
    Status(command::status::Args),
    /// Follow a campaign live
    Watch(command::watch::Args),
    /// Wait until an iteration is decided, or nothing is left to do
    Wait(command::wait::Args),
    /// The lever queue
    #[command(subcommand)]
    Lever(command::lever::Command),
    /// The ledger of decided iterations
    Results(command::results::Args),
    /// One iteration: lever, plan, attempts, conclusion, decision
    Show(command::show::Args),
    /// The files of an iteration: tree, results, artifacts, log
    Files(command::files::Args),
    /// One file or folder of an iteration, to standard output or a file
    Get(command::get::Args),
    /// The best iteration, the staircase that led there, its tree
    Best(command::best::Args),
    /// A readable report in Markdown
    Report(command::report::Args),
    /// What an iteration changed
    Diff(command::diff::Args),
    /// The log of a run
    Logs(command::logs::Args),
    /// The metric over the iterations, as text or SVG
    Plot(command::plot::Args),
    /// Open nothing new until resumed
    Pause(command::control::Args),
    /// Go on
    Resume(command::control::Args),
    /// End a campaign for good
    Stop(command::control::Args),
    /// Put a fix on a failed run, which is then run again
    Fix(command::fix::Args),
    /// Replace a script that failed, or add one to an open iteration, the best or the latest
    Analyze(command::analyze::Args),
    /// Write an iteration's conclusion
    Conclude(command::conclude::Args),
    /// What the literature says: record reviews, list findings
    #[command(subcommand)]
    Findings(command::findings::Command),
    /// End the open iteration; its lever is not blamed
    Cancel(command::cancel::Args),
    /// Change a campaign's priority, weight or name
    Update(command::update::Args),
    /// Say what you work on, so that other researchers take something else; list what they work on
    Claim(command::claim::Args),
    /// All that a researcher needs next, in so many bytes
    Context(command::context::Args),
    /// Why something is, or is not, running: the rule and the figures
    Explain(command::explain::Args),
    /// Ask a command for one lever after the other, and do everything around it
    Research(Box<command::research::Args>),
    /// Researchers without a language model, to be started by a research loop
    #[command(subcommand)]
    Researcher(command::researcher::Command),
    /// Serve the Model Context Protocol on standard input and output, for agents' hosts
    Mcp(command::mcp::Args),
    /// Lay out the user's copy: results.tsv and a folder per iteration
    Sync(command::sync::Args),
    /// List workers and their devices
    Workers(command::workers::Args),
    /// What an owner may have of the fleet at most
    #[command(subcommand)]
    Quota(command::quota::Command),
    /// Let a worker finish what runs and take nothing new
    Drain(command::drain::Args),
    /// Let a worker take work again
    Undrain(command::drain::Args),
    /// What is well here, what is not, and what to do; where each setting comes from
    Doctor(command::doctor::Args),
    /// Describe every command, its options, exit codes and documents, to a program
    AgentInfo(command::agent_info::Args),
    /// Print a completion script for a shell
    Completions(command::completions::Args),
    /// Print the manual page, or write one per command
    Man(command::completions::ManArgs),
    /// The devices of a worker
    #[command(subcommand)]
    Device(command::device::Command),
    /// The ledger's own upkeep: verify, back up, restore, export
    #[command(subcommand)]
    Ledger(command::ledger::Command),
    /// Remove what nothing names any more, and evidence whose time is over
    Gc(command::gc::Args),
    /// Let another client see, feed or control a campaign
    Share(command::share::Args),
    /// Tokens by which machines and people join
    #[command(subcommand)]
    Token(command::token::Command),
    /// Join a coordinator elsewhere: this machine's commands then go there
    Join(command::join::Args),
    /// Who is known to the coordinator, and an end of that
    #[command(subcommand)]
    Certs(command::certs::Command),
}

/// A command line, with what the settings came from.
#[derive(Debug)]
pub struct Read {
    /// What is to be done.
    pub cli: Cli,
    /// What the configuration files say.
    pub layers: Layers,
    /// The settings of all commands that the command line itself names, by option.
    pub given: Vec<(&'static str, String)>,
}

/// Why a command line could not be read.
#[derive(Debug)]
pub enum Unread {
    /// It is none.
    Usage(clap::Error),
    /// A configuration file is none.
    Config(Error),
}

/// Reads the command line, over the environment, over the configuration files.
pub fn read() -> Result<Read, Unread> {
    let first = command_line().try_get_matches().map_err(|error| Unread::Usage(as_typed(error)))?;
    if first.get_flag("no_config") {
        let cli = Cli::from_arg_matches(&first).map_err(Unread::Usage)?;
        return Ok(Read { cli, layers: Layers::default(), given: Vec::new() });
    }
    let named = first.get_one::<PathBuf>("config").filter(|path| !path.as_os_str().is_empty());
    let here = std::env::current_dir().unwrap_or_default();
    let layers = Layers::read(
        named.map(PathBuf::as_path),
        &here,
        session::user_folder("XDG_CONFIG_HOME", ".config").as_deref(),
    )
    .map_err(Unread::Config)?;
    let matches = match layers.is_empty() {
        true => first,
        false => layers.apply(command_line(), &first).try_get_matches().map_err(Unread::Usage)?,
    };
    let given = ["coordinator", "data_dir", "output", "color"].into_iter().filter_map(|arg| {
        let is_given = matches.value_source(arg) == Some(ValueSource::CommandLine);
        let value = matches.get_raw(arg)?.next()?.to_string_lossy().into_owned();
        is_given.then_some((arg, value))
    });
    let given = given.collect();
    Ok(Read { cli: Cli::from_arg_matches(&matches).map_err(Unread::Usage)?, layers, given })
}

/// The same error as if no option had come from the environment: the usage line that stands below it names
/// what the person typed, and `windlass` alone is answered with the help.
fn as_typed(error: clap::Error) -> clap::Error {
    if !error.use_stderr() {
        return error;
    }
    match without_environment(command_line()).try_get_matches() {
        Err(typed)
            if typed.kind() == error.kind()
                || typed.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            typed
        }
        _ => error,
    }
}

fn without_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.env(Resettable::Reset)).mut_subcommands(without_environment)
}

impl Command {
    /// Whether this process becomes a coordinator or a worker.
    pub fn is_role(&self) -> bool {
        matches!(self, Self::Coordinator(_) | Self::Worker(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
