//! `windlass files C N`: a line for each file.

use super::style::{self, FAINT};
use super::table::{Cell, Column, Table};
use super::text::neutral;
use super::units;
use crate::history::Removed;
use crate::listing::{Content, Item, Place, Standing};
use anstyle::Style;
use windlass_shared::conclusion::Status;

/// The table; where programs read it, no path is cut.
pub fn table(items: &[Item], width: Option<u16>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let columns = [Column::new("what"), Column::new("size").right(), Column::new("path")];
    let mut table = Table::new(width.unwrap_or(u16::MAX), columns);
    for item in items {
        let (what, style) = what(item);
        let size = item.size_bytes.map_or("-".to_owned(), units::bytes);
        let path = match &item.content {
            Some(Content::Link { target }) => format!("{} -> {target}", item.path),
            _ => item.path.clone(),
        };
        table.row([Cell::styled(what, style), size.into(), path.into()]);
    }
    table.render()
}

fn what(item: &Item) -> (&'static str, Style) {
    match (item.place, item.standing) {
        (_, Some(Standing::Frozen)) => ("frozen", FAINT),
        (_, Some(Standing::Editable)) => ("editable", Style::new()),
        (_, Some(Standing::Deleted)) => ("deleted", style::of_status(Status::Crash)),
        (_, Some(standing)) => (standing.as_str(), style::of_status(Status::Keep)),
        (Place::Results, None) => ("result", Style::new()),
        (Place::Artifacts, None) => ("artifact", Style::new()),
        (Place::Log, None) => ("log", Style::new()),
        (Place::Tree, None) => ("file", Style::new()),
    }
}

/// What is not listed because its time was over.
pub fn removed(removed: &Removed) -> String {
    let (what, size) = (removed.evidence.as_str(), units::bytes(removed.bytes));
    let (when, why) = (units::day(removed.wall_ms), neutral(&removed.why));
    format!("{what} ({size}) were removed on {when}: {why}")
}

/// How many files, how many bytes, how many changed.
pub fn sum(items: &[Item]) -> String {
    let bytes: u64 = items.iter().filter_map(|item| item.size_bytes).sum();
    let changed = items.iter().filter(|item| item.standing.is_some_and(Standing::is_change)).count();
    let files = units::count(items.len() as u64, "file");
    format!("{files}, {}, {changed} changed against the parent", units::bytes(bytes))
}
