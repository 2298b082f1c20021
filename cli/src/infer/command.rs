//! Commands of one experiment: a Makefile's target, a script of pyproject.toml, uv, a virtual environment,
//! what the README says, the training script itself.

use super::project::Project;
use super::{Guess, guess};

/// Names of the script that an experiment runs, the likeliest first.
const MAIN: [&str; 7] = ["train", "main", "run", "experiment", "run_experiment", "fit", "pretrain"];

/// Commands, the likeliest first, none twice.
pub fn commands(project: &Project) -> Vec<Guess<String>> {
    let mut found = makefile(project);
    found.extend(pyproject(project));
    let script = main_script(project);
    if let Some(script) = script.as_deref().filter(|script| script.ends_with(".py")) {
        found.extend(with_python(project, script));
    }
    found.extend(readme(project));
    if let Some(script) = &script {
        let interpreter = match script.rsplit('.').next() {
            Some("py") => "python3",
            Some("sh" | "bash") => "sh",
            Some("jl") => "julia",
            Some("R" | "r") => "Rscript",
            _ => "node",
        };
        found.push(guess(format!("{interpreter} {script}"), format!("{script} is there")));
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|command| seen.insert(command.value.clone()));
    found
}

/// The script that an experiment runs.
fn main_script(project: &Project) -> Option<String> {
    let endings = ["py", "sh", "bash", "jl", "r", "R", "js"];
    let mut scripts =
        MAIN.iter().flat_map(|name| endings.iter().map(move |ending| format!("{name}.{ending}")));
    let at_top = scripts.clone().find(|name| project.file(name).is_some());
    let below = || {
        let name = scripts.find(|name| project.files.iter().any(|file| file.name() == name))?;
        project.files.iter().find(|file| file.name() == name).map(|file| file.path.clone())
    };
    let only = || {
        let mut scripts =
            project.files.iter().filter(|file| !file.path.contains('/') && file.ending() == "py");
        let first = scripts.next()?;
        scripts.next().is_none().then(|| first.path.clone())
    };
    at_top.or_else(below).or_else(only)
}

/// `make train`, where a Makefile has such a target.
fn makefile(project: &Project) -> Vec<Guess<String>> {
    let Some(file) = ["Makefile", "makefile", "GNUmakefile"].iter().find_map(|name| project.file(name))
    else {
        return Vec::new();
    };
    let target = |wanted: &&str| {
        let found = file.lines().find(|(_, line)| {
            line.strip_prefix(*wanted).is_some_and(|rest| {
                rest.trim_start().starts_with(':') && !rest.trim_start().starts_with(":=")
            })
        });
        found.map(|(number, _)| guess(format!("make {wanted}"), format!("{}:{number}", file.path)))
    };
    MAIN.iter().filter_map(target).collect()
}

/// A script that pyproject.toml defines, run by uv where that is the project's tool.
fn pyproject(project: &Project) -> Vec<Guess<String>> {
    let Some(file) = project.file("pyproject.toml") else { return Vec::new() };
    let (mut found, mut is_scripts) = (Vec::new(), false);
    for (number, line) in file.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            is_scripts = ["[project.scripts]", "[tool.poetry.scripts]"].contains(&line);
            continue;
        }
        let Some((name, _)) = line.split_once('=').filter(|_| is_scripts) else { continue };
        let name = name.trim().trim_matches('"');
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.chars().all(plain) && MAIN.iter().any(|main| name.contains(main)) {
            let run = if uses_uv(project) { format!("uv run {name}") } else { name.to_owned() };
            found.push(guess(run, format!("pyproject.toml:{number} defines it")));
        }
    }
    found
}

fn uses_uv(project: &Project) -> bool {
    let names_uv =
        |file: &super::project::File| file.lines().any(|(_, line)| line.trim().starts_with("[tool.uv"));
    project.file("uv.lock").is_some() || project.file("pyproject.toml").is_some_and(names_uv)
}

/// The script under the project's own Python.
fn with_python(project: &Project, script: &str) -> Vec<Guess<String>> {
    let mut found = Vec::new();
    if uses_uv(project) {
        let why = if project.file("uv.lock").is_some() {
            "uv.lock is there"
        } else {
            "pyproject.toml has [tool.uv]"
        };
        found.push(guess(format!("uv run python {script}"), why));
    }
    for folder in [".venv", "venv", "env"] {
        let python = project.root.join(folder).join("bin/python");
        if python.exists() {
            // By its full path: a run starts in a copy of the workspace, which has no environment in it.
            let reason = format!("{folder}/bin/python is there");
            found.push(guess(format!("{} {script}", quoted(&python.display().to_string())), reason));
        }
    }
    found
}

/// For `sh -c`.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Command lines of the README that run a script of the project.
fn readme(project: &Project) -> Vec<Guess<String>> {
    let mut found = Vec::new();
    for readme in project.readmes() {
        for (number, line) in readme.lines() {
            let line = line.trim().trim_start_matches("$ ").trim_matches('`').trim();
            let mut words = line.split_whitespace();
            let tool = words.next().unwrap_or_default();
            if !["python", "python3", "sh", "bash", "uv", "torchrun", "accelerate", "julia"].contains(&tool) {
                continue;
            }
            let runs_ours = words.any(|word| {
                let stem = word.rsplit('/').next().and_then(|name| name.split('.').next());
                project.file(word).is_some() && stem.is_some_and(|stem| MAIN.contains(&stem))
            });
            let is_plain = line.len() <= 200 && !line.contains(['<', '>', '|', ';', '`', '\\']);
            if runs_ours && is_plain {
                found.push(guess(line.to_owned(), format!("{}:{number}", readme.path)));
            }
        }
    }
    found
}
