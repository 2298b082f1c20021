//! A page of names and values in sections, long values wrapped under themselves.

use super::style::STRONG;
use super::text::{cut, visible_width, wrap};

/// Columns before a value: the margin, the name, a blank.
const INDENT: usize = 13;

/// A page that is being written.
#[derive(Debug)]
pub struct Page {
    text: String,
    width: usize,
}

impl Page {
    /// Begins with a heading.
    pub fn new(heading: &str, width: u16) -> Self {
        let mut page = Self { text: String::new(), width: usize::from(width) };
        page.wrapped("", 2, heading);
        page
    }

    /// Begins a section: a blank line and its name.
    pub fn section(&mut self, name: &str) {
        self.text.push_str(&format!("\n{STRONG}{name}{STRONG:#}\n"));
    }

    /// A value under its name; under the one before when the name is empty. Nothing for an empty value.
    pub fn line(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.wrapped(&format!("  {name:<10} "), INDENT, value);
        }
    }

    /// A line of somebody else's, as it stands, cut where there is no more room.
    pub fn verbatim(&mut self, name: &str, value: &str) {
        let value = cut(value, self.room());
        self.text.push_str(format!("  {name:<10} {value}").trim_end());
        self.text.push('\n');
    }

    /// One point of a list.
    pub fn bullet(&mut self, value: &str) {
        self.wrapped("  - ", 4, value);
    }

    /// A sentence on lines of its own, within the margin of a section.
    pub fn sentence(&mut self, value: &str) {
        self.wrapped("  ", 2, value);
    }

    /// Anything, as it is.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Columns that a value has.
    pub fn room(&self) -> usize {
        self.width.saturating_sub(INDENT)
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn wrapped(&mut self, first: &str, indent: usize, value: &str) {
        let used = visible_width(first);
        let lines = wrap(value, self.width.saturating_sub(used), self.width.saturating_sub(indent));
        for (index, line) in lines.iter().enumerate() {
            let begin = if index == 0 { first.to_owned() } else { " ".repeat(indent) };
            self.text.push_str(format!("{begin}{line}").trim_end());
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_stand_under_themselves() {
        let mut page = Page::new("head", 30);
        page.line("name", "one two three four five");
        page.line("", "\u{1b}[32mgreen\u{1b}[0m and more of it");
        page.line("\u{1b}[31mred\u{1b}[0m       ", "one two three");
        page.line("absent", "");
        page.section("Points");
        page.bullet("a point that is too long for it");
        page.bullet("/a/path/that/is/longer/than/the/whole/line");
        let text = page.finish();
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "head\n  name       one two three\n             four five\n             green and more of\n             \
             it\n  red        one two three\n\nPoints\n  - a point that is too long\n    for it\n  - /a/path/that/is/longer/th…\n"
        );
    }
}
