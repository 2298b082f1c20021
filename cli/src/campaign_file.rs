//! `loop.run.yaml`: read, validated, its deliverables' scripts taken along as blobs. Never sends
//! anything.

use crate::blobs::Blobs;
use crate::error::Error;
use crate::yaml::{self, Problem};
use std::path::{Path, PathBuf};
use windlass_shared::bindings::{Bindings, Strategy};
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::refusal::Refusal;

/// The file's name in a workspace.
pub const NAME: &str = "loop.run.yaml";

/// The largest script or patch that is taken, bytes; they are held in memory.
const PART_MAX_BYTES: u64 = 8 << 20;

/// A campaign file and what it brings along.
#[derive(Debug)]
pub struct CampaignFile {
    /// Validated, scripts resolved.
    pub bindings: Bindings,
    /// The scripts.
    pub blobs: Blobs,
    /// The file's own text.
    pub text: String,
    /// The keys that it gives, with their values.
    pub given: serde_json::Value,
    /// Whether `run_tag` is today's date, for a branch that the file does not name.
    pub tag_from_date: bool,
}

/// Reads the campaign file of the workspace at `dir`.
pub fn read(dir: &Path) -> Result<CampaignFile, Error> {
    let path = dir.join(NAME);
    // A pipe would be waited for without end; the file travels with the workspace anyway.
    if std::fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        return Err(Problem::whole(&path, "is no regular file".to_owned())
            .with_remedy("name the workspace's folder; it must hold a loop.run.yaml")
            .into());
    }
    let text = yaml::read_text(&path).map_err(|problem| match problem {
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Problem::whole(&path, "there is no campaign file".to_owned())
                .with_remedy("name the workspace's folder; it must hold a loop.run.yaml")
                .into()
        }
        Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotADirectory => {
            Problem::whole(dir, "is no folder".to_owned())
                .with_remedy("name the workspace's folder; it must hold a loop.run.yaml")
                .into()
        }
        other => other,
    })?;
    let mut bindings: Bindings = yaml::parse(&path, &text)?;
    let given = yaml::parse(&path, &text)?;
    let tag_from_date = bindings.iter_strategy == Strategy::Branches && bindings.run_tag.is_none();
    if tag_from_date {
        bindings.run_tag = Some(tag_of(&jiff::Zoned::now()));
    }
    bindings.validate().map_err(|refusal| Problem::refused(&path, &text, &refusal))?;
    let mut blobs = Blobs::default();
    let w = &mut bindings.windlass;
    for (key, plan) in
        [("baseline", &mut w.baseline), ("always", &mut w.always), ("diagnostics", &mut w.diagnostics)]
    {
        resolve_scripts(&path, &text, &format!("windlass.{key}"), plan, &mut blobs)?;
    }
    Ok(CampaignFile { bindings, blobs, text, given, tag_from_date })
}

/// A day as the founding loop tags a branch: `jun21`.
fn tag_of(day: &jiff::Zoned) -> String {
    day.strftime("%b%d").to_string().to_lowercase()
}

/// Points at the campaign file's line for a refused binding that only the workspace could tell.
pub fn place(dir: &Path, problem: Error) -> Error {
    let path = dir.join(NAME);
    match (&problem, yaml::read_text(&path)) {
        (Error::Refused(refusal @ Refusal::Binding { .. }), Ok(text)) => {
            Problem::refused(&path, &text, refusal).into()
        }
        _ => problem,
    }
}

/// Replaces each script's path, relative to the file at `path`, by its content's digest.
pub fn resolve_scripts(
    path: &Path,
    text: &str,
    key: &str,
    plan: &mut [Deliverable],
    blobs: &mut Blobs,
) -> Result<(), Error> {
    for row in plan {
        let Script::Named(name) = &row.script else {
            let message = format!("{key}: write the script as a path beside this file, or builtin:log");
            let remedy = "use builtin:log, builtin:telemetry or a script's path";
            return Err(Problem::at_key(path, text, key, message)
                .with_remedy(remedy)
                .with_rule("P12")
                .into());
        };
        if row.script.is_builtin() {
            continue;
        }
        if let Some(unknown) = name.strip_prefix("builtin:") {
            let message = format!("{key}: there is no builtin {unknown:?}");
            let remedy = "use builtin:log, builtin:telemetry or a script's path";
            return Err(Problem::at_key(path, text, key, message)
                .with_remedy(remedy)
                .with_rule("P12")
                .into());
        }
        let bytes = read_part(path, text, key, name)?;
        let name = Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned());
        row.script = Script::Blob { name: name.unwrap_or_default(), digest: blobs.hold(bytes) };
    }
    Ok(())
}

/// Reads a file that `path` names relative to itself.
pub fn read_part(path: &Path, text: &str, key: &str, name: &str) -> Result<Vec<u8>, Error> {
    let beside = beside(path, name);
    let refuse = |problem: String| {
        let message = format!("{key}: {} {problem}", beside.display());
        let rule = match key {
            "patch" | "tree" | "instrumentation" => "P5",
            "fixes" => "P19",
            _ => "P12",
        };
        let remedy = "name an ordinary file; paths are relative to the file that names them";
        Error::from(Problem::at_key(path, text, key, message).with_remedy(remedy).with_rule(rule))
    };
    let meta = std::fs::metadata(&beside).map_err(|source| refuse(format!("cannot be read: {source}")))?;
    if !meta.is_file() {
        return Err(refuse("is no regular file".to_owned()));
    }
    if meta.len() > PART_MAX_BYTES {
        return Err(refuse(format!("has {} bytes; at most {PART_MAX_BYTES} are taken", meta.len())));
    }
    std::fs::read(&beside).map_err(|source| refuse(format!("cannot be read: {source}")))
}

/// The path that `name` means in the file at `path`.
pub fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

#[cfg(test)]
mod bindings_tests;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "metric: val_acc\nmetric_direction: maximize\nentrypoint: python3 train.py\n\
                        editable_files: [train.py]\ngate: time\nbudget: 0.2\n";

    fn with(text: &str) -> (tempfile::TempDir, Result<CampaignFile, Error>) {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join(NAME), text).expect("written");
        let read = read(dir.path());
        (dir, read)
    }

    #[test]
    fn scripts_travel_with_the_campaign() {
        let plan = "windlass:\n  baseline:\n    - {script: confusion.py, output: c.tsv, dimension: errors, \
                    question: q, if_helped: a, if_not: b}\n";
        let (dir, missing) = with(&format!("{GOOD}{plan}"));
        let message = missing.expect_err("the script is not there").to_report().message;
        assert!(message.contains(":8:3: windlass.baseline: "), "{message}");
        std::fs::write(dir.path().join("confusion.py"), "print(1)\n").expect("written");
        let file = read(dir.path()).expect("read");
        let Script::Blob { name, digest } = &file.bindings.windlass.baseline[0].script else {
            panic!("resolved")
        };
        assert_eq!(name, "confusion.py");
        assert!(file.blobs.source(digest).is_some());
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_place() {
        let (_dir, read) = with(&format!("{GOOD}windlass:\n  lanes: 0\n"));
        let report = read.expect_err("refused").to_report();
        assert!(report.message.contains("loop.run.yaml:8:3: "), "{}", report.message);
    }

    #[test]
    fn a_branch_without_a_name_is_named_by_the_day() {
        let day: jiff::Zoned = "2026-06-21T23:59:00[UTC]".parse().expect("a day");
        assert_eq!(tag_of(&day), "jun21");
    }

    #[test]
    fn no_campaign_file_is_said_with_a_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let problem = read(dir.path()).expect_err("refused");
        assert_eq!(problem.exit_code(), 2);
        assert!(problem.to_report().message.contains("there is no campaign file"));
    }

    #[test]
    fn a_campaign_file_that_is_a_pipe_or_a_folder_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(NAME);
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo is there");
        assert!(made.success());
        let refused = |dir: &Path| read(dir).expect_err("refused").to_report().message;
        assert!(refused(dir.path()).contains("is no regular file"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("a folder");
        assert!(refused(dir.path()).contains("is no regular file"));
    }
}
