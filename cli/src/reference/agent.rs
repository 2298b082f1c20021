//! The command line as a document for programs: every command with its options, exit codes and what it
//! prints, from what clap reads and from docs/json.md, which a test holds against what is printed.

use super::{ENTRIES, Entry, command_line, words_of};
use clap::{Arg, Command};
use serde::Serialize;
use std::collections::BTreeSet;

/// The page of documents.
const JSON: &str = include_str!("../../../docs/json.md");

/// Everything: `windlass.agent_info/1`.
#[derive(Debug, Serialize)]
pub struct Info {
    version: &'static str,
    commands: Vec<Described>,
    options: Vec<Parameter>,
    exit_codes: Vec<Code>,
    error: &'static str,
    schemas: Vec<String>,
}

/// One command.
#[derive(Debug, Serialize)]
pub struct Described {
    /// Its words after `windlass`.
    pub command: String,
    about: String,
    example: &'static str,
    /// Whether it changes something, and so takes `--dry-run` and `--request-id`.
    changes: bool,
    exit_codes: Vec<u8>,
    options: Vec<Parameter>,
    prints: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Parameter {
    name: String,
    value: Option<String>,
    is_positional: bool,
    is_required: bool,
    is_repeated: bool,
    default: Option<String>,
    environment: Option<String>,
    choices: Vec<String>,
    about: String,
}

#[derive(Debug, Serialize)]
struct Code {
    code: u8,
    meaning: &'static str,
}

/// A document's keys, and the objects that they name: `windlass.agent_schema/1`.
#[derive(Debug, Serialize)]
pub struct Schema {
    /// The document.
    pub name: String,
    /// It first, then each object below it.
    pub objects: Vec<Object>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    name: String,
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Key {
    key: String,
    #[serde(rename = "type")]
    kind: String,
    may_be_absent: bool,
    meaning: String,
}

/// Of every command.
pub fn info() -> Info {
    let mut root = command_line();
    root.build();
    let mut commands = Vec::new();
    describe(&root, "", &mut commands);
    let codes = [0, 1, 2, 3, 4, 5, 6, 130].map(|code| Code { code, meaning: words_of(code) });
    Info {
        version: env!("CARGO_PKG_VERSION"),
        commands,
        options: root.get_arguments().filter(|arg| is_shown(arg)).map(parameter).collect(),
        exit_codes: codes.into_iter().collect(),
        error: "windlass.error/1",
        schemas: headings().into_iter().map(|(schema, _)| schema).collect(),
    }
}

fn describe(command: &Command, path: &str, found: &mut Vec<Described>) {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    for command in below {
        let name = command.get_name();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
        match ENTRIES.iter().find(|entry| entry.path == path) {
            Some(entry) => found.push(described(command, entry)),
            None => describe(command, &path, found),
        }
    }
}

fn described(command: &Command, entry: &'static Entry) -> Described {
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && is_shown(arg));
    let prints = headings().into_iter().filter(|(_, commands)| commands.iter().any(|it| it == entry.path));
    Described {
        command: entry.path.to_owned(),
        about: command.get_about().map(ToString::to_string).unwrap_or_default(),
        example: entry.example,
        changes: command.get_arguments().any(|arg| arg.get_id() == "dry_run"),
        exit_codes: [0, 1, 2].into_iter().chain(entry.codes.iter().copied()).collect(),
        options: own.map(parameter).collect(),
        prints: prints.map(|(schema, _)| schema).collect(),
    }
}

fn is_shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version"
}

fn parameter(arg: &Arg) -> Parameter {
    let takes = arg.get_action().takes_values();
    let values = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
    let default = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    let is_told = takes && !arg.is_hide_default_value_set();
    Parameter {
        name: arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}")),
        value: takes.then(|| values.collect::<Vec<_>>().join(" ")),
        is_positional: arg.is_positional(),
        is_required: arg.is_required_set(),
        is_repeated: arg.get_num_args().is_some_and(|count| count.max_values() > 1)
            || matches!(arg.get_action(), clap::ArgAction::Append),
        default: is_told.then(|| default.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty()),
        environment: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
        choices: match takes {
            true => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
            false => Vec::new(),
        },
        about: arg.get_help().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Every document with the commands that print it.
fn headings() -> Vec<(String, Vec<String>)> {
    let of = |line: &str| {
        let mut words = line.split('`').skip(1).step_by(2).map(str::to_owned);
        let schema = words.next().filter(|name| name.starts_with("windlass."))?;
        let command = |word: String| word.split(" --").next().unwrap_or_default().to_owned();
        Some((schema, words.map(command).collect()))
    };
    JSON.lines().filter(|line| line.starts_with("## ")).filter_map(of).collect()
}

/// A document by its name, if there is one.
pub fn schema(name: &str) -> Option<Schema> {
    let all = objects();
    let first = all.iter().find(|object| object.name == name && name.starts_with("windlass."))?;
    let mut found = vec![first.clone()];
    let mut known = BTreeSet::from([name.to_owned()]);
    let mut at = 0;
    // Each object is taken once, so that this ends.
    while let Some(object) = found.get(at).cloned() {
        at += 1;
        let named: Vec<String> = object.keys.iter().flat_map(|key| words(&key.kind)).collect();
        for object in all.iter().filter(|object| named.contains(&object.name)) {
            if known.insert(object.name.clone()) {
                found.push(object.clone());
            }
        }
    }
    Some(Schema { name: name.to_owned(), objects: found })
}

fn words(kind: &str) -> Vec<String> {
    kind.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned).collect()
}

/// The page's tables. One that has "the keys of" another has that one's.
fn objects() -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    let mut same: Vec<(usize, String)> = Vec::new();
    for line in JSON.lines() {
        if line.starts_with('#') {
            if let Some(name) = line.split('`').nth(1) {
                objects.push(Object { name: name.to_owned(), keys: Vec::new() });
            }
        } else if let Some(other) = line.strip_prefix("The keys of ").and_then(|rest| rest.split('`').nth(1))
        {
            same.push((objects.len().saturating_sub(1), other.to_owned()));
        } else if let (Some(object), Some(cells)) = (objects.last_mut(), line.strip_prefix("| `")) {
            let cells: Vec<&str> = cells.trim_end_matches(" |").split(" | ").collect();
            let (names, rest) = (format!("`{}", cells[0]), &cells[1..]);
            let may_be_absent = names.ends_with("may be absent");
            let kind = rest.first().copied().unwrap_or_default().trim().to_owned();
            let meaning = rest.get(1).copied().unwrap_or_default().trim().to_owned();
            object.keys.extend(names.split('`').skip(1).step_by(2).map(|key| Key {
                key: key.to_owned(),
                kind: kind.clone(),
                may_be_absent,
                meaning: meaning.clone(),
            }));
        }
    }
    for (index, other) in same {
        let keys = objects.iter().find(|object| object.name == other).map(|object| object.keys.clone());
        objects[index].keys.extend(keys.unwrap_or_default());
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_described_with_what_it_prints_and_exits_with() {
        let info = info();
        let described: BTreeSet<&str> = info.commands.iter().map(|it| it.command.as_str()).collect();
        let known: BTreeSet<&str> = ENTRIES.iter().map(|entry| entry.path).collect();
        assert_eq!(described, known);
        // Long-lived roles and files for other programs are no documents.
        let mute = ["up", "coordinator", "worker", "completions", "man", "mcp"];
        let printless = info.commands.iter().filter(|it| it.prints.is_empty()).map(|it| it.command.as_str());
        let printless: Vec<&str> = printless.filter(|name| !mute.contains(name)).collect();
        assert!(printless.is_empty(), "docs/json.md names no document of {printless:?}");
    }

    /// What changes nothing: it reads, is a server of its own, or writes only the file that it is asked for.
    const CHANGES_NOTHING: &str = "agent-info, best, campaigns, certs list, completions, context, coordinator, demo, \
        diff, doctor, explain, files, findings list, get, ledger export, ledger verify, lever list, lever show, logs, \
        man, mcp, plot, report, researcher levers, researcher search, results, show, status, up, wait, \
        watch, worker, workers, quota list";

    #[test]
    fn everything_that_changes_something_can_be_asked_about_first() {
        let nothing: BTreeSet<&str> = CHANGES_NOTHING.split(", ").map(str::trim).collect();
        for command in info().commands {
            let is_told = nothing.contains(command.command.as_str());
            assert!(
                command.changes != is_told,
                "{}: give it a `--dry-run`, or say here that it changes nothing",
                command.command
            );
        }
    }

    #[test]
    fn a_schema_is_told_with_every_object_below_it() {
        let schema = schema("windlass.context/1").expect("a document");
        let names: Vec<&str> = schema.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names[0], "windlass.context/1");
        for below in ["standing", "cut", "counts", "evidence_file"] {
            assert!(names.contains(&below), "{below} in {names:?}");
        }
        assert!(super::schema("windlass.nothing").is_none());
        assert!(super::schema("cut").is_none(), "an object is no document");
    }
}
