//! Which files a lever may touch: models, training, configuration. Not: data, logs, the environment, and
//! what measures (P2).

use super::project::{File, Project, is_environment};
use super::{Guess, guess};
use std::collections::BTreeMap;

/// Files of one folder that are listed one by one; more become a pattern.
const LISTED_MAX: usize = 12;

/// On which side of the guard a file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// A lever may touch it.
    Editable(String),
    /// It keeps its bytes.
    Frozen(String),
}

const CODE: [&str; 9] = ["py", "sh", "bash", "jl", "r", "lua", "js", "rs", "cu"];
const CONFIG: [&str; 5] = ["yaml", "yml", "toml", "json", "cfg"];
const ENVIRONMENT: [&str; 18] = [
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "setup.py",
    "setup.cfg",
    "environment.yml",
    "environment.yaml",
    "conda.yaml",
    "dockerfile",
    "makefile",
    "gnumakefile",
    "tox.ini",
    "noxfile.py",
    "pipfile",
    "package.json",
    "package-lock.json",
    "cargo.toml",
    "conftest.py",
];
const LEFT_BEHIND: [&str; 11] = [
    "venv",
    ".venv",
    "node_modules",
    "wandb",
    "mlruns",
    "lightning_logs",
    "runs",
    "checkpoints",
    "logs",
    "outputs",
    ".cache",
];

/// Whether a file is a script.
pub fn is_code(file: &File) -> bool {
    file.text.is_some() && CODE.contains(&file.ending().as_str())
}

/// Every script and configuration file, and on which side it stands, with why.
pub fn sides(project: &Project) -> Vec<Guess<Side>> {
    let candidates = project.files.iter().filter(|file| {
        let ending = file.ending();
        CODE.contains(&ending.as_str()) || CONFIG.contains(&ending.as_str())
    });
    let side = |file: &File| match frozen_because(file) {
        Some(reason) => guess(Side::Frozen(file.path.clone()), reason),
        None => guess(Side::Editable(file.path.clone()), editable_because(file)),
    };
    candidates.filter(|file| file.name() != crate::campaign_file::NAME).map(side).collect()
}

fn editable_because(file: &File) -> String {
    let name = file.name().to_lowercase();
    let ending = file.ending();
    let what = match () {
        () if CONFIG.contains(&ending.as_str()) => "configuration",
        () if name.contains("model") || name.contains("net") || name.contains("arch") => "the model",
        () if name.contains("train") || name.contains("main") => "training",
        () => "a script",
    };
    what.to_owned()
}

/// Why a file is no lever's to touch, if it is not.
fn frozen_because(file: &File) -> Option<String> {
    let name = file.name().to_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    let words: Vec<&str> = stem.split(['_', '-']).collect();
    let has = |known: &[&str]| words.iter().any(|word| known.contains(word));
    let folders = file.path.rsplit_once('/').map_or("", |(folders, _)| folders).to_lowercase();
    let lies_in =
        |known: &[&str]| folders.split('/').find(|folder| known.contains(folder)).map(str::to_owned);
    if ENVIRONMENT.contains(&name.as_str()) || name.starts_with("requirements") || name.starts_with('.') {
        return Some("environment".to_owned());
    }
    if words.iter().any(|word| word.starts_with("eval"))
        || has(&[
            "metric",
            "metrics",
            "score",
            "scorer",
            "scoring",
            "harness",
            "benchmark",
            "judge",
            "grade",
            "grader",
        ])
    {
        return Some("it measures".to_owned());
    }
    if let Some(folder) = lies_in(&["eval", "evaluation", "metrics", "harness", "benchmark", "benchmarks"]) {
        return Some(format!("it measures: it lies in {folder}/"));
    }
    if has(&["test", "tests"]) || lies_in(&["test", "tests"]).is_some() {
        return Some("a test".to_owned());
    }
    if has(&["prepare", "download", "preprocess", "fetch"]) {
        return Some("it prepares data".to_owned());
    }
    if let Some(folder) = lies_in(&[
        "data",
        "dataset",
        "datasets",
        "results",
        "figures",
        "docs",
        "doc",
        "notebooks",
        ".github",
        "scripts",
        "tools",
        "analysis",
        "levers",
        "deploy",
        "third_party",
        "vendor",
    ]) {
        return Some(format!("it lies in {folder}/"));
    }
    // A configuration is small: thousands of lines are data.
    let is_config = CONFIG.contains(&file.ending().as_str());
    if is_config && file.text.as_ref().is_none_or(|text| text.len() > 64 << 10) {
        return Some("it is as long as data".to_owned());
    }
    // A script that defines the metric and runs nothing else is the harness.
    let defines = file.lines().find(|(_, line)| {
        let line = line.trim_start();
        ["def evaluate", "def compute_metric", "def score"].iter().any(|begin| line.starts_with(begin))
    });
    let trains = || {
        file.lines().any(|(_, line)| {
            line.contains("backward(") || line.contains(".fit(") || line.contains("optimizer")
        })
    };
    match defines {
        Some((number, _)) if file.name() != "model.py" && !trains() => {
            Some(format!("it measures: line {number} defines it"))
        }
        _ => None,
    }
}

/// The editable side as patterns: files, or a folder's ending where that says the same in less.
pub fn patterns(sides: &[Guess<Side>]) -> Vec<Guess<String>> {
    let mut groups: BTreeMap<(String, String), Vec<&Guess<Side>>> = BTreeMap::new();
    let key = |path: &str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        (folder.to_owned(), ending.to_owned())
    };
    for side in sides {
        if let Side::Editable(path) = &side.value {
            groups.entry(key(path)).or_default().push(side);
        }
    }
    let mut found = Vec::new();
    for (group, files) in groups {
        let mixes = sides.iter().any(|side| matches!(&side.value, Side::Frozen(path) if key(path) == group));
        if files.len() > LISTED_MAX && !mixes {
            let (folder, ending) = &group;
            let slash = if folder.is_empty() { "" } else { "/" };
            let pattern = format!("{folder}{slash}*.{ending}");
            found.push(guess(pattern, crate::render::units::count(files.len() as u64, "file")));
            continue;
        }
        for file in files {
            if let Side::Editable(path) = &file.value {
                found.push(guess(path.clone(), file.reason.clone()));
            }
        }
    }
    found
}

/// What lies at the top and should not travel although git does not ignore it.
pub fn ignored(project: &Project) -> Vec<Guess<String>> {
    let mut builder = ignore::gitignore::GitignoreBuilder::new(&project.root);
    // A file that is not there adds nothing.
    let _absent = builder.add(project.root.join(".gitignore"));
    let git = builder.build().ok();
    let is_ignored = |name: &str| git.as_ref().is_some_and(|git| git.matched(name, true).is_ignore());
    let is_left = |name: &str| LEFT_BEHIND.contains(&name) || is_environment(&project.root.join(name));
    let here = project.top.iter().filter(|name| !is_ignored(name));
    here.filter_map(|name| match () {
        () if is_left(name) => Some(guess(name.clone(), "runs or tools left it there")),
        () if may_hold_secrets(name) => Some(guess(name.clone(), "it may hold secrets")),
        () => None,
    })
    .collect()
}

/// Whether a file is one in which settings of a machine are kept, keys among them, and not the example of one.
fn may_hold_secrets(name: &str) -> bool {
    let is_example = ["example", "sample", "template", "dist"].iter().any(|end| name.ends_with(end));
    (name == ".env" || name.starts_with(".env.")) && !is_example
}
