//! What every command shares: where the coordinator is, how to print, which request ids to use.
//! stdout is data, stderr is talk.

use crate::args::{Color, Dry, Form, Global};
use crate::config::Layers;
use crate::error::Error;
use crate::render::text::{fit, json_safe, neutral_block};
use anstream::{AutoStream, ColorChoice};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The resolved global options.
#[derive(Debug)]
pub struct Session {
    /// As given by option or environment.
    pub coordinator: Option<String>,
    /// The data folder, absolute where the current folder is known.
    pub data_dir: PathBuf,
    /// People or programs.
    pub form: Form,
    /// No talk.
    pub quiet: bool,
    /// Without TLS beyond this machine too.
    pub plaintext: bool,
    /// Whose proposals and claims these are among several researchers.
    pub researcher: Option<String>,
    color: ColorChoice,
    request_id: Option<String>,
    requests: AtomicU32,
    /// Changes are only asked about.
    pub is_dry: bool,
    /// What the configuration files say.
    pub layers: Layers,
    /// What the command line itself says of the settings of all commands, by option.
    pub given: Vec<(&'static str, String)>,
}

/// A JSON answer: its schema, then its own keys.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
    /// Only where nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

impl Session {
    /// Resolves the options against the environment.
    pub fn new(global: &Global, layers: Layers, given: Vec<(&'static str, String)>) -> Self {
        let data_dir = global.data_dir.clone().unwrap_or_else(default_data_dir);
        let color = match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        color.write_global();
        Self {
            coordinator: global.coordinator.clone().filter(|url| !url.is_empty()),
            data_dir: std::path::absolute(&data_dir).unwrap_or(data_dir),
            form: global.output,
            quiet: global.quiet,
            plaintext: global.plaintext,
            researcher: global.researcher.clone().filter(|name| !name.is_empty()),
            color,
            request_id: global.request_id.clone(),
            requests: AtomicU32::new(0),
            is_dry: false,
            layers,
            given,
        }
    }

    /// The same session for another data folder, reached by its socket: for `demo` and `up`.
    pub fn at(&self, data_dir: &Path) -> Self {
        Self { coordinator: None, data_dir: data_dir.to_owned(), ..self.keyed(None) }
    }

    /// The same session, whose changes are done or only asked about.
    pub fn asking(&self, dry: Dry) -> Self {
        Self { is_dry: dry.dry_run, ..self.keyed(self.request_id.clone()) }
    }

    /// The same session with this idempotency key, or with fresh ones: for a call of its own.
    pub fn keyed(&self, request_id: Option<String>) -> Self {
        Self {
            coordinator: self.coordinator.clone(),
            data_dir: self.data_dir.clone(),
            form: self.form,
            quiet: self.quiet,
            plaintext: self.plaintext,
            researcher: self.researcher.clone(),
            color: self.color,
            request_id,
            requests: AtomicU32::new(0),
            is_dry: self.is_dry,
            layers: self.layers.clone(),
            given: self.given.clone(),
        }
    }

    /// A fresh idempotency key (I4). With `--request-id` the first call gets that key and the next ones
    /// get keys derived from it, so that a whole command can be repeated.
    pub fn next_request_id(&self) -> String {
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = match &self.request_id {
            None => Uuid::now_v7().to_string(),
            Some(id) if n == 0 => id.clone(),
            Some(id) => derive(id, n),
        };
        tracing::debug!(request = %id, "asks for a change");
        id
    }

    /// Prints data.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        self.write(text.as_bytes())
    }

    /// Prints data as bytes.
    fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = AutoStream::new(std::io::stdout().lock(), self.color);
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|source| Error::Output { source })
    }

    /// Hands bytes on as they are, whatever they hold: for files and logs that programs read.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|source| Error::Output { source })
    }

    /// Prints one JSON document on a line of its own, so that a stream of them is JSON lines.
    pub fn json<T: Serialize>(&self, schema: &'static str, body: &T) -> Result<(), Error> {
        let text = serde_json::to_string(&Document { schema, body, dry_run: self.is_dry.then_some(true) })
            .map_err(|source| Error::Encode { what: schema, source })?;
        let mut text = json_safe(text);
        text.push('\n');
        self.write(text.as_bytes())
    }

    /// Talks, unless `--quiet`: in whole words on a terminal, and without control bytes, whoever's words
    /// they are. A closed stderr is nobody's loss.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// The same of what went wrong, `--quiet` or not.
    pub fn complain(&self, text: &str) {
        let mut err = AutoStream::new(std::io::stderr().lock(), self.color);
        let dry = if self.is_dry { "(dry run) " } else { "" };
        let text = format!("{dry}{}", neutral_block(text));
        let _ = writeln!(err, "{}", fit(&text, talk_width()));
    }

    /// Whether programs read.
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Columns of the terminal; where there is none, those that `COLUMNS` states, or 80.
    pub fn width(&self) -> u16 {
        self.line_width().unwrap_or(80)
    }

    /// Columns for lines that programs read one by one: none where there is no terminal and `COLUMNS` is
    /// not stated either, since nothing may be cut or broken then.
    pub fn line_width(&self) -> Option<u16> {
        if !std::io::stdout().is_terminal() {
            let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<u16>().ok());
            // None at all is what a terminal says that does not know.
            return stated.filter(|&columns| columns > 0).map(|columns| columns.max(WIDTH_MIN));
        }
        Some(columns_of(std::io::stdout()))
    }

    /// Whether a display may redraw itself.
    pub fn is_live(&self) -> bool {
        !self.is_json() && std::io::stdout().is_terminal()
    }
}

/// The narrowest that pages are laid out for; a terminal that is narrower breaks their lines itself.
const WIDTH_MIN: u16 = 40;

/// Columns of the terminal behind a stream.
fn columns_of(terminal: impl std::os::fd::AsFd) -> u16 {
    let size = rustix::termios::tcgetwinsize(terminal);
    size.map_or(80, |size| if size.ws_col == 0 { 80 } else { size.ws_col.max(WIDTH_MIN) })
}

/// Columns for talk; none where nobody looks at a terminal.
pub fn talk_width() -> Option<u16> {
    let err = std::io::stderr();
    err.is_terminal().then(|| columns_of(err))
}

/// Between two looks at whether standard output was closed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until whoever reads standard output has closed it. What follows a quiet campaign would otherwise
/// outlive its reader until the next line.
pub async fn closed() {
    let stdout = std::io::stdout();
    loop {
        let mut looked = [PollFd::new(&stdout, PollFlags::empty())];
        // A pipe without a reader shows as an error; a file or a terminal never does.
        let answer = rustix::event::poll(&mut looked, Some(&Timespec::default()));
        if answer.is_ok() && looked[0].revents().contains(PollFlags::ERR) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Keeps the time of a UUIDv7 and derives its random part.
fn derive(id: &str, n: u32) -> String {
    let Ok(base) = Uuid::parse_str(id) else { return id.to_owned() };
    let mut bytes = *base.as_bytes();
    let hash = blake3::hash(format!("{id}/{n}").as_bytes());
    bytes[6] = 0x70 | (hash.as_bytes()[0] & 0x0f);
    bytes[7] = hash.as_bytes()[1];
    bytes[8] = 0x80 | (hash.as_bytes()[2] & 0x3f);
    bytes[9..16].copy_from_slice(&hash.as_bytes()[3..10]);
    Uuid::from_bytes(bytes).to_string()
}

fn default_data_dir() -> PathBuf {
    let folder = user_folder("XDG_DATA_HOME", ".local/share");
    folder.unwrap_or_else(|| PathBuf::from("windlass"))
}

/// Our folder among the user's: below what `variable` names, else below this folder of the home.
pub fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = given(variable).filter(|path| path.is_absolute());
    Some(base.or_else(|| given("HOME").map(|home| home.join(below_home)))?.join("windlass"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i4_keys_derived_from_a_given_one_are_stable_distinct_and_of_version_7() {
        let base = Uuid::now_v7().to_string();
        let (first, second) = (derive(&base, 1), derive(&base, 2));
        assert_eq!(first, derive(&base, 1));
        assert_ne!(first, second);
        let parsed = Uuid::parse_str(&first).expect("a uuid");
        assert_eq!(parsed.get_version_num(), 7);
        assert_eq!(first[..13], base[..13], "the time is kept");
    }
}
