//! What the sources must and must not say.

use std::path::{Path, PathBuf};

/// Past this a file is two ideas (STYLE 17).
const FILE_LINES_MAX: usize = 500;

/// What a pure crate never names: clock, files, environment, threads, randomness, order of chance, output.
const IMPURE: [&str; 15] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "async fn",
    ".await",
    "HashMap",
    "HashSet",
    "rand::",
    "println!",
    "thread_local!",
    "unsafe ",
];

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().expect("the root")
}

/// Every Rust file of the product and its tests, with its text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() && !name.starts_with("target") {
                open.push(path);
            } else if name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let shown = path.strip_prefix(&root).expect("below the root").display().to_string();
                found.push((shown, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {folders:?}");
    found.sort();
    found
}

const PRODUCT: [&str; 6] =
    ["shared/src", "engine/src", "proto/src", "coordinator/src", "worker/src", "cli/src"];

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

fn refuse(wrong: Vec<String>, rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

/// Code without its comments and without what follows the test module.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    lines.map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn engine_and_shared_are_pure() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&["engine/src", "shared/src"]) {
        for (number, line) in code(&text).filter(|_| !is_test(&path)) {
            wrong.extend(
                IMPURE
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{path}:{number} {word}")),
            );
        }
    }
    refuse(wrong, "engine and shared have no clock, I/O, async, threads or randomness");
}

#[test]
fn every_module_says_what_it_is_for() {
    let files = sources(&PRODUCT).into_iter().chain(sources(&["tests"]));
    let silent =
        files.filter(|(path, text)| !is_test(path) && !text.starts_with("//!")).map(|(path, _)| path);
    refuse(silent.collect(), "a module opens with //!");
}

#[test]
fn files_are_one_idea() {
    let long = sources(&PRODUCT).into_iter().map(|(path, text)| (path, text.lines().count()));
    let long = long.filter(|(path, lines)| !is_test(path) && *lines > FILE_LINES_MAX);
    refuse(
        long.map(|(path, lines)| format!("{path}: {lines} lines")).collect(),
        "past 500 lines a file is two ideas",
    );
}

#[test]
fn tasks_are_spawned_by_drivers_alone() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&["coordinator/src", "worker/src"]) {
        if path.ends_with("driver.rs") || path.contains("/driver/") || is_test(&path) {
            continue;
        }
        let spawns = |line: &str| line.contains("tokio::spawn(") || line.contains("spawn_blocking(");
        wrong.extend(
            code(&text).filter(|(_, line)| spawns(line)).map(|(number, _)| format!("{path}:{number}")),
        );
    }
    refuse(wrong, "tasks are spawned in driver.rs and joined there");
}

#[test]
fn nothing_is_skipped_or_left_open() {
    let words = [
        concat!("#[", "ignore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources(&PRODUCT).into_iter().chain(sources(&["tests"])) {
        for (number, line) in text.lines().enumerate() {
            wrong.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{path}:{} {word}", number + 1)),
            );
        }
    }
    refuse(wrong, "no test is skipped and nothing is left open in silence");
}

#[test]
fn architecture_names_every_crate_and_module() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut absent = Vec::new();
    for folder in PRODUCT {
        let krate = folder.trim_end_matches("/src");
        if !text.contains(&format!("`{krate}/")) {
            absent.push(format!("crate {krate}"));
        }
        for entry in std::fs::read_dir(root().join(folder)).expect("a crate") {
            let name = entry.expect("an entry").file_name().into_string().expect("a UTF-8 name");
            let module = name.trim_end_matches(".rs");
            if !["lib", "main"].contains(&module) && !text.contains(&format!("`{module}`")) {
                absent.push(format!("{krate}: module {module}"));
            }
        }
    }
    for folder in
        std::fs::read_dir(root().join("tests")).expect("tests/").map(|entry| entry.expect("an entry"))
    {
        let name = folder.file_name().into_string().expect("a UTF-8 name");
        if folder.path().is_dir() && !text.contains(&format!("`tests/{name}`")) {
            absent.push(format!("tests/{name}"));
        }
    }
    refuse(absent, "ARCHITECTURE.md names every crate, top-level module and test folder, each in backquotes");
}
