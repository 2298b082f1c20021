//! The command line as a library: everything but `main`. It is one for the fuzz targets' sake, which read
//! the files that people write with the very code that the binary reads them with; nothing else uses it.

mod args;
pub mod blobs;
mod bounded;
mod branches;
pub mod campaign_file;
mod client;
mod command;
mod config;
mod context;
mod corpus_tsv;
mod demo;
mod download;
pub mod error;
mod example;
mod extract;
mod follow;
mod foreign;
mod history;
mod infer;
pub mod layout;
pub mod lever_file;
mod listing;
mod mcp;
mod nearest;
mod notice;
mod process;
mod reference;
mod render;
mod research;
mod researcher;
mod resolved;
mod results_tsv;
mod secrets;
mod session;
mod tree_diff;
mod upload;
pub mod workspace;
pub mod yaml;

use args::Cli;
use session::Session;
use std::process::ExitCode;

/// The whole program: reads the command line, sets up a runtime and hands over.
pub fn main() -> ExitCode {
    if let Some(code) = process::shim::dispatch() {
        return code;
    }
    let args::Read { cli, layers, given } = match args::read() {
        Ok(read) => read,
        Err(args::Unread::Usage(problem)) => return error::usage(&problem),
        Err(args::Unread::Config(problem)) => return error::early(&problem),
    };
    let session = Session::new(&cli.global, layers, given);
    if !cli.command.is_role() {
        command::role_log::start_for_client();
    }
    match start(cli, &session) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => error::report(&problem, &session),
    }
}

fn start(cli: Cli, session: &Session) -> Result<(), error::Error> {
    // A client command is over in milliseconds: it gets one thread. The roles get a pool.
    let mut builder = if cli.command.is_role() {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|source| error::Error::System { operation: "start a runtime", source })?;
    let outcome = runtime.block_on(Box::pin(command::run(cli.command, session)));
    runtime.shutdown_background();
    outcome
}
