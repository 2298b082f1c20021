//! One file per subcommand: arguments, the calls it makes, what it prints.

pub mod agent_info;
pub mod analyze;
pub mod best;
pub mod campaigns;
pub mod cancel;
pub mod certs;
pub mod claim;
pub mod completions;
pub mod conclude;
pub mod context;
pub mod control;
pub mod coordinator;
pub mod demo;
pub mod device;
pub mod diff;
pub mod doctor;
pub mod drain;
mod dry_run;
pub mod explain;
pub mod files;
pub mod findings;
pub mod fix;
pub mod gc;
pub mod get;
pub mod init;
pub mod join;
pub mod ledger;
pub mod lever;
pub mod logs;
pub mod mcp;
pub mod plot;
pub mod propose;
pub mod quota;
pub mod report;
pub mod research;
pub mod researcher;
pub mod results;
pub mod role_log;
pub mod share;
pub mod show;
pub mod status;
pub mod submit;
mod suggest;
pub mod sync;
pub mod token;
pub mod up;
pub mod update;
pub mod wait;
pub mod watch;
pub mod worker;
pub mod workers;

use crate::args::Command;
use crate::error::Error;
use crate::session::Session;
pub use suggest::improve;

/// Runs a command; a name that is not known is answered with the one that was meant.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    match dispatch(command, session).await {
        Err(problem) => Err(suggest::improve(problem, session).await),
        done => done,
    }
}

async fn dispatch(command: Command, session: &Session) -> Result<(), Error> {
    match command {
        Command::Demo(args) => Box::pin(demo::run(args, session)).await,
        Command::Up(args) => Box::pin(up::run(args, session)).await,
        Command::Coordinator(args) => Box::pin(coordinator::run(args, session)).await,
        Command::Worker(args) => Box::pin(worker::run(args, session)).await,
        Command::Init(args) => init::run(&args, session),
        Command::Submit(args) => submit::run(args, session).await,
        Command::Campaigns(args) => campaigns::run(args, session).await,
        Command::Status(args) => status::run(args, session).await,
        Command::Watch(args) => watch::run(args, session).await,
        Command::Wait(args) => wait::run(args, session).await,
        Command::Lever(command) => lever::run(command, session).await,
        Command::Results(args) => results::run(args, session).await,
        Command::Show(args) => show::run(args, session).await,
        Command::Files(args) => files::run(args, session).await,
        Command::Get(args) => get::run(args, session).await,
        Command::Best(args) => best::run(args, session).await,
        Command::Report(args) => report::run(args, session).await,
        Command::Diff(args) => diff::run(args, session).await,
        Command::Logs(args) => logs::run(args, session).await,
        Command::Plot(args) => plot::run(args, session).await,
        Command::Pause(args) => control::run(args, control::Verb::Pause, session).await,
        Command::Resume(args) => control::run(args, control::Verb::Resume, session).await,
        Command::Stop(args) => control::run(args, control::Verb::Stop, session).await,
        Command::Fix(args) => fix::run(args, session).await,
        Command::Analyze(args) => analyze::run(args, session).await,
        Command::Claim(args) => claim::run(args, session).await,
        Command::Context(args) => context::run(args, session).await,
        Command::Findings(command) => findings::run(command, session).await,
        Command::Conclude(args) => conclude::run(args, session).await,
        Command::Cancel(args) => cancel::run(args, session).await,
        Command::Update(args) => update::run(args, session).await,
        Command::Explain(args) => explain::run(args, session).await,
        Command::Researcher(command) => Box::pin(researcher::run(command, session)).await,
        Command::Sync(args) => sync::run(args, session).await,
        Command::Research(args) => Box::pin(research::run(*args, session)).await,
        Command::Mcp(args) => Box::pin(mcp::run(args, session)).await,
        Command::Workers(args) => workers::run(args, session).await,
        Command::Quota(command) => quota::run(command, session).await,
        Command::Drain(args) => drain::run(args, drain::Verb::Drain, session).await,
        Command::Undrain(args) => drain::run(args, drain::Verb::Undrain, session).await,
        Command::Doctor(args) => Box::pin(doctor::run(args, session)).await,
        Command::AgentInfo(args) => agent_info::run(&args, session),
        Command::Completions(args) => completions::run(&args, session),
        Command::Man(args) => completions::man(&args, session),
        Command::Device(command) => device::run(command, session).await,
        Command::Ledger(command) => ledger::run(command, session).await,
        Command::Gc(args) => gc::run(args, session).await,
        Command::Token(command) => token::run(command, session).await,
        Command::Join(args) => Box::pin(join::run(args, session)).await,
        Command::Certs(command) => certs::run(command, session).await,
        Command::Share(args) => share::run(args, session).await,
    }
}
