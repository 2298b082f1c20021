//! `windlass agent-info`: the command line, described to a program by the program itself.

use crate::error::Error;
use crate::reference::agent;
use crate::session::Session;
use serde_json::Value;

/// All of it, or one document's keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The keys of one document: windlass.wait/1
    #[arg(long, value_name = "S")]
    pub schema: Option<String>,
}

/// Prints it; for people the same document, indented.
pub fn run(args: &Args, session: &Session) -> Result<(), Error> {
    let Some(name) = &args.schema else {
        return print(session, "windlass.agent_info/1", serde_json::to_value(agent::info()));
    };
    let missing = || Error::Input {
        message: format!("there is no document {name:?}"),
        remedy: "`windlass agent-info` lists them under `schemas`".to_owned(),
    };
    let schema = agent::schema(name).ok_or_else(missing)?;
    print(session, "windlass.agent_schema/1", serde_json::to_value(schema))
}

fn print(
    session: &Session,
    schema: &'static str,
    value: Result<Value, serde_json::Error>,
) -> Result<(), Error> {
    let encode = |source| Error::Encode { what: schema, source };
    let value = value.map_err(encode)?;
    if session.is_json() {
        return session.json(schema, &value);
    }
    session.print(&(serde_json::to_string_pretty(&value).map_err(encode)? + "\n"))
}
