//! One `windlass.toml`: its keys and values, each with its line. Anything unknown is refused with line,
//! column and the nearest key that is known.

use super::keys::{Form, KEYS, Key};
use crate::error::Error;
use crate::nearest::nearest;
use crate::yaml::{Problem, read_text};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value that stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its table.
    pub section: &'static str,
    /// Its key there.
    pub name: &'static str,
    /// One text; several for a list.
    pub values: Vec<String>,
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: u64,
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<Entry>, Error> {
    let text = read_text(path)?;
    Ok(parse(path, &text)?)
}

/// Reads the text of `path`.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Box<Problem>> {
    let reader = Reader { path, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Box::new(reader.problem(at, error.message().lines().next().unwrap_or_default().to_owned()))
    })?;
    let mut entries = Vec::new();
    for (name, value) in root.get_ref() {
        let known = KEYS.iter().find(|key| key.section == name.get_ref().as_ref());
        let Some(section) = known.map(|key| key.section) else {
            let sections = KEYS.iter().map(|key| key.section);
            return Err(reader.unknown(name.span().start, "table", name.get_ref(), sections));
        };
        let DeValue::Table(table) = value.get_ref() else {
            let problem = format!("`{section}` is a table: write [{section}] on a line of its own");
            return Err(Box::new(reader.problem(name.span().start, problem)));
        };
        for (name, value) in table {
            let known = KEYS.iter().find(|key| key.section == section && key.name == name.get_ref().as_ref());
            let Some(key) = known else {
                let names = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
                return Err(reader.unknown(name.span().start, "key", name.get_ref(), names));
            };
            entries.push(reader.entry(key, value)?);
        }
    }
    Ok(entries)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn entry(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<Entry, Box<Problem>> {
        let at = value.span().start;
        let refuse =
            |problem: String| Box::new(self.problem(at, format!("`{}.{}` {problem}", key.section, key.name)));
        let texts: Vec<String> = match (value.get_ref(), key.form) {
            (DeValue::Array(items), Form::List) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    _ => Err(refuse("is a list of texts, each in quotes".to_owned())),
                })
                .collect::<Result<_, _>>()?,
            (_, Form::List) => return Err(refuse("is a list: write [\"one\", \"two\"]".to_owned())),
            (DeValue::Integer(number), Form::Number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                vec![number.map_or_else(|_| "out of range".to_owned(), |number| number.to_string())]
            }
            (_, Form::Number) => return Err(refuse("is a number without quotes".to_owned())),
            (DeValue::String(text), _) => vec![text.to_string()],
            _ => return Err(refuse("is a text in quotes".to_owned())),
        };
        if let Some(problem) = texts.iter().find_map(|text| key.form.problem(text)) {
            return Err(refuse(problem));
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let values = match key.form {
            Form::Folder => texts.iter().map(|text| folder.join(text).display().to_string()).collect(),
            _ => texts,
        };
        let line = self.place(at).0;
        Ok(Entry { section: key.section, name: key.name, values, path: self.path.to_owned(), line })
    }

    fn unknown<'a>(
        &self,
        at: usize,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Box<Problem> {
        let mut known: Vec<&str> = known.collect();
        known.dedup();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("write `{meant}`"),
            None => format!("known here: {}", known.join(", ")),
        };
        Box::new(self.problem(at, format!("unknown {what} `{name}`")).with_remedy(&remedy))
    }

    fn problem(&self, at: usize, message: String) -> Problem {
        let (line, column) = self.place(at);
        let text = self.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default();
        Problem::at(self.path, line, column, text, message)
    }

    /// Line and column of a byte, from 1.
    fn place(&self, at: usize) -> (u64, u64) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or_default();
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
        (line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, Option<String>) {
        let problem = parse(Path::new("/etc/w/windlass.toml"), text).expect_err(text);
        (problem.to_string().lines().next().unwrap_or_default().to_owned(), problem.remedy())
    }

    #[test]
    fn a_file_is_read_with_every_line_and_folders_beside_it() {
        let text = "[client]\ndata_dir = \"data\" # here\noutput = \"json\"\n\n[worker]\nlabels = [\"a\", \"b\"]\ncpu_slots = 0x10\n";
        let entries = parse(Path::new("/etc/w/windlass.toml"), text).expect("sound");
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.section, entry.name, entry.values.join(","), entry.line))
            .collect();
        let want = [
            ("client", "data_dir", "/etc/w/data".to_owned(), 2),
            ("client", "output", "json".to_owned(), 3),
            ("worker", "cpu_slots", "16".to_owned(), 7),
            ("worker", "labels", "a,b".to_owned(), 6),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn the_example_of_the_documentation_is_sound_and_names_every_key() {
        let page = include_str!("../../../docs/settings.md");
        let example =
            page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let entries = parse(Path::new("windlass.toml"), example).expect("sound");
        for key in &KEYS {
            let is_there = entries.iter().any(|entry| entry.section == key.section && entry.name == key.name);
            assert!(is_there && page.contains(key.env), "{}.{}", key.section, key.name);
        }
    }

    #[test]
    fn what_is_unknown_or_of_another_form_is_refused_with_its_place_and_the_nearest_key() {
        let place =
            |line: u32, column: u32, rest: &str| format!("/etc/w/windlass.toml:{line}:{column}: {rest}");
        for (text, want, remedy) in [
            ("[clinet]\n", place(1, 2, "unknown table `clinet`"), Some("write `client`")),
            ("[client]\n datadir = 'x'\n", place(2, 2, "unknown key `datadir`"), Some("write `data_dir`")),
            ("[worker]\nlisten = ''\n", place(2, 1, "unknown key `listen`"), None),
            ("client = 3\n", place(1, 1, "`client` is a table: write [client] on a line of its own"), None),
            (
                "[client]\noutput = 'xml'\n",
                place(2, 10, "`client.output` is \"xml\"; write one of human, json"),
                None,
            ),
            (
                "[worker]\ncpu_slots = '2'\n",
                place(2, 13, "`worker.cpu_slots` is a number without quotes"),
                None,
            ),
            (
                "[worker]\ncpu_slots = -2\n",
                place(2, 13, "`worker.cpu_slots` is -2; write a whole number from 0"),
                None,
            ),
            (
                "[worker]\nlabels = 'a'\n",
                place(2, 10, "`worker.labels` is a list: write [\"one\", \"two\"]"),
                None,
            ),
            (
                "[coordinator]\nlisten = '7'\n",
                place(2, 10, "`coordinator.listen` is \"7\"; write an address like \"127.0.0.1:7400\""),
                None,
            ),
            (
                "[coordinator]\nworker_lost_after = 'soon'\n",
                place(2, 21, "`coordinator.worker_lost_after` is \"soon\"; write a time like \"30 s\""),
                None,
            ),
        ] {
            let (said, told) = refused(text);
            assert_eq!(said, want, "{text}");
            if let Some(remedy) = remedy {
                assert_eq!(told.as_deref(), Some(remedy), "{text}");
            }
        }
        let (said, _) = refused("[client]\noutput = \"json\"\noutput = \"json\"\n");
        assert!(said.starts_with("/etc/w/windlass.toml:3:1: duplicate key"), "{said}");
    }
}
