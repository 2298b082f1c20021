//! Colours, each with one meaning. The writer strips them where they are not wanted.

use anstyle::{AnsiColor, Style};
use windlass_shared::conclusion::Status;

/// Something failed.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something will trouble somebody.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Headings and names.
pub const STRONG: Style = Style::new().bold();
/// What can be skipped.
pub const FAINT: Style = Style::new().dimmed();

/// The colour of a decision.
pub fn of_status(status: Status) -> Style {
    match status {
        Status::Keep => AnsiColor::Green.on_default().bold(),
        Status::Discard => AnsiColor::Yellow.on_default(),
        Status::Crash => AnsiColor::Red.on_default(),
    }
}
