//! One section of a context: how many entries it has, and how each is told in so many characters.

use super::form::Form;
use crate::render::text::{neutral, neutral_block};
use serde::Serialize;
use std::cell::Cell;

/// A section before anything is cut.
pub struct Section<'a> {
    /// Its key in JSON.
    pub name: &'static str,
    /// Its heading in Markdown.
    pub heading: &'static str,
    /// What shows it whole.
    pub command: String,
    /// Who grows first where there is little room: the lower.
    pub rank: u8,
    /// The rung that it is brought to before any other grows further.
    pub floor: usize,
    /// How many entries there are, the newest or most needed first.
    pub total: usize,
    /// Tells one.
    pub entry: Teller<'a>,
}

/// Tells the entry of an index with a pen.
pub type Teller<'a> = Box<dyn Fn(usize, &Pen) -> String + 'a>;

/// How an entry is written: in which form, and how long its texts may be. It notes whether one was cut.
#[derive(Debug)]
pub struct Pen {
    /// Markdown or JSON.
    pub form: Form,
    chars: usize,
    has_cut: Cell<bool>,
}

impl Pen {
    /// A pen for texts of at most so many characters.
    pub fn new(form: Form, chars: usize) -> Self {
        Self { form, chars, has_cut: Cell::new(false) }
    }

    /// Whether a text was cut.
    pub fn has_cut(&self) -> bool {
        self.has_cut.get()
    }

    /// Somebody's text on one line: control characters out, the cut marked.
    pub fn line(&self, text: &str) -> String {
        self.clip(neutral(text))
    }

    /// The end of somebody's text of several lines, since the end of a log says most.
    pub fn last_lines(&self, text: &str) -> String {
        let text = neutral_block(text.trim_end());
        // A log is told in whole lines, as many as have room in four times a text.
        let mut left = self.chars.saturating_mul(4);
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines().rev() {
            let line = self.clip(line.to_owned());
            let length = line.chars().count() + 1;
            if length > left {
                self.has_cut.set(true);
                break;
            }
            left -= length;
            lines.push(line);
        }
        lines.reverse();
        lines.join("\n")
    }

    /// The beginning of somebody's text of several lines.
    pub fn first_lines(&self, text: &str) -> String {
        let text = neutral_block(text.trim_end());
        let mut left = self.chars.saturating_mul(2);
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            let line = self.clip(line.to_owned());
            let length = line.chars().count() + 1;
            if length > left {
                self.has_cut.set(true);
                break;
            }
            left -= length;
            lines.push(line);
        }
        lines.join("\n")
    }

    fn clip(&self, text: String) -> String {
        if text.chars().count() <= self.chars {
            return text;
        }
        self.has_cut.set(true);
        text.chars().take(self.chars.saturating_sub(1)).chain(['…']).collect()
    }

    /// The entry in its form: `markdown` is told without the bullet that stands before it.
    pub fn entry<T: Serialize>(&self, value: &T, markdown: impl FnOnce() -> String) -> String {
        match self.form {
            Form::Json => serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()),
            Form::Markdown => format!("- {}\n", markdown()),
        }
    }
}

/// Several lines below a bullet, fenced so that nothing in them ends the fence.
pub fn fenced(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
    format!("\n  {fence}text\n{lines}  {fence}")
}

/// A text as code within a line.
pub fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}
