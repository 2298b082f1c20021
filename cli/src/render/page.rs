//! A page of names and values, long values wrapped under themselves.

use super::text::visible_width;

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
        Self { text: format!("{heading}\n"), width: usize::from(width) }
    }

    /// A value under its name; under the one before when the name is empty.
    pub fn line(&mut self, name: &str, value: &str) {
        self.wrapped(&format!("  {name:<10} "), INDENT, value);
    }

    /// One point of a list.
    pub fn bullet(&mut self, value: &str) {
        self.wrapped("  - ", 4, value);
    }

    /// A sentence on lines of its own.
    pub fn sentence(&mut self, value: &str) {
        self.wrapped("", 0, value);
    }

    /// Anything, as it is.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn wrapped(&mut self, first: &str, indent: usize, value: &str) {
        let mut line = first.to_owned();
        let mut is_begun = false;
        for word in value.split(' ') {
            if is_begun && visible_width(&line) + 1 + visible_width(word) > self.width {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = " ".repeat(indent);
                is_begun = false;
            }
            if is_begun {
                line.push(' ');
            }
            line.push_str(word);
            is_begun = true;
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
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
        page.bullet("a point that is too long for it");
        let text = page.finish();
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "head\n  name       one two three\n             four five\n             green and more of\n             \
             it\n  - a point that is too long\n    for it\n"
        );
    }
}
