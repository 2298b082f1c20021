//! What a program says about itself, on stderr: roles always, client commands where `WINDLASS_LOG` asks for it.

use tracing_subscriber::EnvFilter;

/// What a role says where nobody asks for more or less.
const DEFAULT: &str = "warn,windlass_coordinator=info,windlass_worker=info";

/// How much a role says, and in which form.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Logging {
    /// What is logged, as `LEVEL` or `MODULE=LEVEL,…`: `debug` names each request on its way
    #[arg(long, env = "WINDLASS_LOG", value_name = "FILTER", value_parser = filter)]
    pub log: Option<String>,
    /// The form of log lines: text for people, or one JSON object each
    #[arg(long, env = "WINDLASS_LOG_FORMAT", value_name = "FORM", default_value = "human")]
    pub log_format: Form,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
}

impl Form {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

/// Begins to write it.
pub fn start(args: &Logging, quiet: bool) {
    let default = if quiet { "error" } else { DEFAULT };
    write(EnvFilter::new(args.log.as_deref().unwrap_or(default)), args.log_format);
}

/// The same for a client command, where its environment asks for it. What it asks for is a filter, or nothing is said.
pub fn start_for_client() {
    let asked = std::env::var("WINDLASS_LOG").ok().filter(|asked| !asked.is_empty());
    if let Some(filter) = asked.and_then(|asked| EnvFilter::try_new(asked).ok()) {
        let is_json = std::env::var("WINDLASS_LOG_FORMAT").is_ok_and(|form| form == Form::Json.as_str());
        write(filter, if is_json { Form::Json } else { Form::Human });
    }
}

fn write(filter: EnvFilter, form: Form) {
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // A second start in one process changes nothing.
    let _ = match form {
        Form::Human => subscriber.with_target(false).try_init(),
        Form::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

/// A filter that can be read.
fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("it is no filter of log lines: {error}")),
    }
}
