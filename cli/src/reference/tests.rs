//! docs/commands.md is this module's and clap's word: the page is made here, and held against the file.

use super::*;
use clap::Arg;
use std::collections::BTreeSet;
use std::path::Path;

/// Writes the page where this is set, instead of holding the file against it.
const WRITE: &str = "WINDLASS_WRITE_DOCS";

/// What stands before the commands; the options of every command take the place of `OPTIONS`.
const BEGINNING: &str = include_str!("beginning.md");

/// Every command that does something, with its words.
fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
        .collect();
    if below.is_empty() {
        return found.push((path.to_owned(), command.clone()));
    }
    for command in below {
        let name = command.get_name();
        let path = if path.is_empty() { name.to_owned() } else { format!("{path} {name}") };
        leaves(command, &path, found);
    }
}

fn all() -> (Command, Vec<(String, Command)>) {
    let mut root = command_line();
    root.build();
    let mut found = Vec::new();
    leaves(&root, "", &mut found);
    (root, found)
}

/// `-o, --out <FILE>`, `[DIR]`, `<FILE>...`.
fn name(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let values = if arg.get_action().takes_values() { values } else { Vec::new() };
    if arg.is_positional() {
        let value = values.join(" ");
        let value = if arg.is_required_set() { format!("<{value}>") } else { format!("[{value}]") };
        let is_many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
        return if is_many { format!("{value}...") } else { value };
    }
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let long = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    let value = values.iter().map(|value| format!(" <{value}>")).collect::<String>();
    format!("{short}{long}{value}")
}

fn row(arg: &Arg) -> String {
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        meaning.push_str(&format!("; one of {}", values.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        meaning.push_str(&format!(" [default: {}]", defaults.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        meaning.push_str(&format!(" [`{}`]", variable.to_string_lossy()));
    }
    format!("| `{}` | {} |\n", name(arg).replace('|', "\\|"), meaning.replace('|', "\\|"))
}

fn table<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let rows: String = args.map(row).collect();
    if rows.is_empty() { rows } else { format!("\n| option | meaning |\n|---|---|\n{rows}") }
}

fn page() -> String {
    let (root, leaves) = all();
    let is_shown = |arg: &&Arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version";
    let options = table(root.get_arguments().filter(is_shown));
    let mut page = BEGINNING.replace("\nOPTIONS\n", &options);
    for (path, command) in &leaves {
        let entry = ENTRIES.iter().find(|entry| entry.path == path).expect("held by another test");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!("\n## `windlass {path}`\n\n{about}.\n"));
        page.push_str(&table(command.get_arguments().filter(|arg| !arg.is_global_set()).filter(is_shown)));
        if !entry.codes.is_empty() {
            let codes: Vec<String> = entry.codes.iter().map(ToString::to_string).collect();
            page.push_str(&format!("\nExit codes beside 0, 1 and 2: {}.\n", codes.join(", ")));
        }
        let block = if entry.runs == Runs::Yes { "sh" } else { "text" };
        page.push_str(&format!("\n```{block}\n{}\n```\n", entry.example));
    }
    page
}

#[test]
fn every_command_has_an_example_and_no_example_is_of_another() {
    let (_, leaves) = all();
    let known: BTreeSet<&str> = leaves.iter().map(|(path, _)| path.as_str()).collect();
    let told: BTreeSet<&str> = ENTRIES.iter().map(|entry| entry.path).collect();
    assert_eq!(told.len(), ENTRIES.len(), "each once");
    assert_eq!(told, known, "cli/src/reference.rs has an entry for every command");
    for entry in ENTRIES {
        let begins = entry.example.strip_prefix("windlass ").is_some_and(|rest| rest.starts_with(entry.path));
        assert!(begins, "{}: {}", entry.path, entry.example);
        assert!(entry.codes.is_sorted(), "{}", entry.path);
        assert!(entry.codes.iter().all(|code| matches!(code, 3..=6 | 130)), "{}", entry.path);
    }
}

#[test]
fn every_example_is_a_command_line() {
    for entry in ENTRIES {
        // What a shell would do with pipes, patterns and quotes is left out.
        let line = entry.example.split(['|', '>']).next().unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        for (at, part) in line.split(['\'', '"']).enumerate() {
            match at % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        let read = command_line().try_get_matches_from(&words);
        assert!(read.is_ok(), "{}: {}", entry.example, read.err().map(|e| e.to_string()).unwrap_or_default());
    }
}

#[test]
fn the_page_of_commands_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page).expect("the page is written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).find(|(is, should)| is != should);
    assert!(
        written == page,
        "docs/commands.md is out of date ({differs:?}); make it again with\n  \
         {WRITE}=1 cargo test -p windlass-cli --lib page_of_commands"
    );
}
