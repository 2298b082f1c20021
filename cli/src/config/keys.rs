//! Every key that `windlass.toml` may have: where it stands, which option it stands for, what it may say.

use std::net::SocketAddr;
use windlass_shared::size::Size;
use windlass_shared::time::Span;

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its table: `client`, `coordinator` or `worker`.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The option that it stands for, as clap names it.
    pub arg: &'static str,
    /// The variable that stands for the same.
    pub env: &'static str,
    /// What it may say.
    pub form: Form,
    /// The commands that have that option; empty for an option of all.
    pub commands: &'static [&'static str],
    /// What is so without it, for people.
    pub default: &'static str,
}

/// What a value may say.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Any text.
    Text,
    /// A path; a relative one is relative to the file's folder.
    Folder,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from 0.
    Number,
    /// `HOST:PORT`.
    Address,
    /// A length of time, such as `30 s`.
    Span,
    /// A size, such as `2 GiB`.
    Size,
    /// A list of texts.
    List,
}

const COORDINATOR: &[&str] = &["coordinator", "up"];
const WORKER: &[&str] = &["worker", "up"];

/// All of them, as `doctor` lists them.
pub const KEYS: [Key; 34] = [
    key("client", "coordinator", "WINDLASS_COORDINATOR", Form::Text, &[], "the socket in data_dir"),
    key(
        "client",
        "data_dir",
        "WINDLASS_DATA_DIR",
        Form::Folder,
        &[],
        "windlass under the user's data folder",
    ),
    key("client", "output", "WINDLASS_OUTPUT", Form::Word(&["human", "json"]), &[], "human"),
    key("client", "color", "WINDLASS_COLOR", Form::Word(&["auto", "always", "never"]), &[], "auto"),
    key("coordinator", "data_dir", "WINDLASS_DATA_DIR", Form::Folder, &[], "client.data_dir"),
    key("coordinator", "listen", "WINDLASS_LISTEN", Form::Address, COORDINATOR, "the Unix socket alone"),
    key("coordinator", "tls", "WINDLASS_TLS", Form::Word(&["auto", "always"]), COORDINATOR, "auto"),
    key(
        "coordinator",
        "advertise",
        "WINDLASS_ADVERTISE",
        Form::Text,
        COORDINATOR,
        "the address or host name that it listens on",
    ),
    key("coordinator", "certificate_life", "WINDLASS_CERTIFICATE_LIFE", Form::Span, COORDINATOR, "24 h"),
    key("coordinator", "worker_lost_after", "WINDLASS_WORKER_LOST_AFTER", Form::Span, COORDINATOR, "30 s"),
    key("coordinator", "share_half_life", "WINDLASS_SHARE_HALF_LIFE", Form::Span, COORDINATOR, "24 h"),
    key(
        "coordinator",
        "disk_warn_below",
        "WINDLASS_DISK_WARN_BELOW",
        Form::Size,
        COORDINATOR,
        "2 GiB, or a tenth",
    ),
    key(
        "coordinator",
        "disk_stop_below",
        "WINDLASS_DISK_STOP_BELOW",
        Form::Size,
        COORDINATOR,
        "1 GiB, or a twentieth",
    ),
    key("coordinator", "campaign_logs_max", "WINDLASS_CAMPAIGN_LOGS_MAX", Form::Size, COORDINATOR, "200 GiB"),
    key("coordinator", "campaign_blobs_max", "WINDLASS_CAMPAIGN_BLOBS_MAX", Form::Size, COORDINATOR, "1 TiB"),
    key("coordinator", "keep_logs", "WINDLASS_KEEP_LOGS", Form::Span, COORDINATOR, "for ever"),
    key("coordinator", "keep_outputs", "WINDLASS_KEEP_OUTPUTS", Form::Span, COORDINATOR, "for ever"),
    key("coordinator", "keep_unnamed", "WINDLASS_KEEP_UNNAMED", Form::Span, COORDINATOR, "48 h"),
    key("coordinator", "metrics", "WINDLASS_METRICS", Form::Address, COORDINATOR, "off"),
    key("coordinator", "hook", "WINDLASS_HOOK", Form::Text, COORDINATOR, "none"),
    key("coordinator", "hook_after", "WINDLASS_HOOK_AFTER", Form::Span, COORDINATOR, "1 min"),
    key(
        "coordinator",
        "log",
        "WINDLASS_LOG",
        Form::Text,
        COORDINATOR,
        "its own lines from info, others from warn",
    ),
    key(
        "coordinator",
        "log_format",
        "WINDLASS_LOG_FORMAT",
        Form::Word(&["human", "json"]),
        COORDINATOR,
        "human",
    ),
    key("worker", "coordinator", "WINDLASS_COORDINATOR", Form::Text, &[], "client.coordinator"),
    key("worker", "data_dir", "WINDLASS_DATA_DIR", Form::Folder, &[], "client.data_dir"),
    key("worker", "work_dir", "WINDLASS_WORK_DIR", Form::Folder, WORKER, "worker in data_dir"),
    key("worker", "name", "WINDLASS_WORKER_NAME", Form::Text, WORKER, "the host's name"),
    key("worker", "labels", "WINDLASS_LABELS", Form::List, WORKER, "none"),
    key(
        "worker",
        "cpu_slots",
        "WINDLASS_CPU_SLOTS",
        Form::Number,
        WORKER,
        "one for each two cores without a GPU",
    ),
    key(
        "worker",
        "work_disk_stop_below",
        "WINDLASS_WORK_DISK_STOP_BELOW",
        Form::Size,
        WORKER,
        "1 GiB, or a twentieth",
    ),
    key("worker", "secrets_file", "WINDLASS_SECRETS_FILE", Form::Folder, WORKER, "secrets.env in work_dir"),
    key("worker", "cache_max", "WINDLASS_CACHE_MAX", Form::Size, WORKER, "20 GiB, or a tenth"),
    key("worker", "log", "WINDLASS_LOG", Form::Text, WORKER, "its own lines from info, others from warn"),
    key("worker", "log_format", "WINDLASS_LOG_FORMAT", Form::Word(&["human", "json"]), WORKER, "human"),
];

const fn key(
    section: &'static str,
    name: &'static str,
    env: &'static str,
    form: Form,
    commands: &'static [&'static str],
    default: &'static str,
) -> Key {
    Key { section, name, arg: name, env, form, commands, default }
}

impl Form {
    /// What is wrong with a text of this form, if anything is.
    pub fn problem(self, text: &str) -> Option<String> {
        match self {
            Self::Text | Self::Folder | Self::List if text.trim().is_empty() => Some("is empty".to_owned()),
            Self::Text | Self::Folder | Self::List => None,
            Self::Word(words) if words.contains(&text) => None,
            Self::Word(words) => Some(format!("is {text:?}; write one of {}", words.join(", "))),
            Self::Number if text.parse::<u32>().is_ok() => None,
            Self::Number => Some(format!("is {text}; write a whole number from 0")),
            Self::Address if text.parse::<SocketAddr>().is_ok() => None,
            Self::Address => Some(format!("is {text:?}; write an address like \"127.0.0.1:7400\"")),
            Self::Size => {
                Size::parse(text).err().map(|_| format!("is {text:?}; write a size like \"2 GiB\""))
            }
            Self::Span => Span::parse(text).err().map(|_| format!("is {text:?}; write a time like \"30 s\"")),
        }
    }
}

/// In which sections a command looks for a key of all commands, the first that has it: a role has its own,
/// and who only asks looks where the coordinator is.
pub fn sections(command: &str) -> &'static [&'static str] {
    match command {
        "coordinator" | "up" | "ledger" | "gc" => &["coordinator", "client"],
        "worker" => &["worker", "client", "coordinator"],
        _ => &["client", "coordinator"],
    }
}
