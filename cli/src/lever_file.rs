//! A lever file (PROTOCOL, "A lever file"): read, its patches and scripts taken along as blobs. Form
//! only; whether the lever may be pulled is the coordinator's word.

use crate::blobs::Blobs;
use crate::campaign_file::{beside, read_part, resolve_scripts};
use crate::error::Error;
use crate::yaml::{self, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use windlass_shared::id::IterationNumber;
use windlass_shared::lever::{
    Anchor, CarriedFix, Change, Citation, Edit, FixTrigger, ITEMS_MAX, Kind, Lever,
};
use windlass_shared::path::TreePath;
use windlass_shared::plan::Deliverable;

/// A lever and what it brings along.
#[derive(Debug)]
pub struct LeverFile {
    /// As proposed.
    pub lever: Lever,
    /// Patches, edited files, scripts.
    pub blobs: Blobs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    title: String,
    #[serde(default)]
    kind: Kind,
    files: Vec<TreePath>,
    patch: Option<String>,
    tree: Option<String>,
    anchor: Option<Anchor>,
    prediction: String,
    instrumentation: Option<String>,
    #[serde(default)]
    fixes: Vec<WrittenFix>,
    literature: Option<String>,
    architecture: Option<String>,
    #[serde(default)]
    cites: Vec<Citation>,
    #[serde(default)]
    parents: Vec<IterationNumber>,
    #[serde(default)]
    axes: Vec<String>,
    changed_assumption: Option<String>,
    #[serde(default)]
    analysis: Vec<Deliverable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFix {
    on: Option<String>,
    pattern: Option<String>,
    patch: String,
}

/// The lever files of a folder, in the order of their names.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::File { operation: "read the folder", path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one lever file.
pub fn read(path: &Path) -> Result<LeverFile, Error> {
    read_with(path, None)
}

/// Reads one whose change may also be what was edited elsewhere: that is taken where the file names none.
pub fn read_with(path: &Path, edited: Option<(Change, Blobs)>) -> Result<LeverFile, Error> {
    let text = yaml::read_text(path).map_err(|problem| match problem {
        Error::Document(problem) => Error::Document(Box::new(of_form(*problem))),
        other => other,
    })?;
    let mut written: Written = yaml::parse(path, &text).map_err(|problem| Box::new(of_form(*problem)))?;
    let mut blobs = Blobs::default();
    let change = match (edited, written.patch.is_none() && written.tree.is_none()) {
        (Some((change, parts)), true) => {
            blobs.extend(parts);
            change
        }
        _ => change(path, &text, &written, &mut blobs)?,
    };
    let fixes = written
        .fixes
        .iter()
        .map(|fix| carried_fix(path, &text, fix, &mut blobs))
        .collect::<Result<_, _>>()?;
    let instrumentation = match &written.instrumentation {
        Some(patch) => Some(blobs.hold(read_part(path, &text, "instrumentation", patch)?)),
        None => None,
    };
    resolve_scripts(path, &text, "analysis", &mut written.analysis, &mut blobs)?;
    let lever = Lever {
        title: written.title,
        kind: written.kind,
        files: written.files,
        change,
        anchor: written.anchor,
        prediction: written.prediction,
        instrumentation,
        fixes,
        literature: written.literature,
        architecture: written.architecture,
        cites: written.cites,
        parents: written.parents,
        axes: written.axes,
        changed_assumption: written.changed_assumption,
        analysis: written.analysis,
    };
    Ok(LeverFile { lever, blobs })
}

/// The files that a lever file names, each as it is named, with the key that names it.
pub fn parts(path: &Path, text: &str) -> Result<Vec<(&'static str, String)>, Error> {
    let written: Written = yaml::parse(path, text).map_err(|problem| Box::new(of_form(*problem)))?;
    let one = |key, name: Option<String>| name.map(|name| (key, name));
    let mut parts: Vec<_> = one("patch", written.patch).into_iter().collect();
    if let Some(tree) = &written.tree {
        let Change::Files(files) = edited_files(path, text, tree, &mut Blobs::default())? else {
            return Ok(parts);
        };
        parts.extend(files.keys().map(|file| ("tree", format!("{}/{file}", tree.trim_end_matches('/')))));
    }
    parts.extend(one("instrumentation", written.instrumentation));
    parts.extend(written.fixes.into_iter().map(|fix| ("fixes", fix.patch)));
    let scripts = written.analysis.into_iter().filter(|row| !row.script.is_builtin());
    parts.extend(scripts.map(|row| ("analysis", row.script.label().to_owned())));
    Ok(parts)
}

/// A key that is missing belongs to the rule that asks for it; whatever else is wrong, to a lever's form.
fn of_form(problem: Problem) -> Problem {
    let rule = match problem.missing() {
        Some("prediction" | "file" | "pattern") => "P6",
        Some("script" | "output" | "dimension" | "question" | "if_helped" | "if_not") => "P12",
        _ => "P5",
    };
    problem.of_form(rule)
}

fn change(path: &Path, text: &str, written: &Written, blobs: &mut Blobs) -> Result<Change, Error> {
    match (&written.patch, &written.tree) {
        (Some(patch), None) => Ok(Change::Patch(blobs.hold(read_part(path, text, "patch", patch)?))),
        (None, Some(tree)) => edited_files(path, text, tree, blobs),
        (Some(_), Some(_)) => {
            let message = "`patch` and `tree` both stand here; a lever has one change".to_owned();
            let remedy = "take one of them out, or make a second lever of it";
            Err(Problem::at_key(path, text, "tree", message).with_remedy(remedy).with_rule("P5").into())
        }
        (None, None) => Err(Problem::whole(path, "the change is missing".to_owned())
            .with_remedy("give `patch:` with a unified diff, or `tree:` with a folder of edited files")
            .with_rule("P5")
            .into()),
    }
}

/// Every file below the folder replaces the one of its path; a folder cannot say that a file goes.
fn edited_files(path: &Path, text: &str, tree: &str, blobs: &mut Blobs) -> Result<Change, Error> {
    let root = beside(path, tree);
    let wrong = |message: String| Problem::at_key(path, text, "tree", format!("tree: {message}"));
    let mut files = BTreeMap::new();
    let walk = ignore::WalkBuilder::new(&root).standard_filters(false).build();
    for entry in walk {
        let entry = entry.map_err(|problem| wrong(problem.to_string()))?;
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        let inside = entry.path().strip_prefix(&root).unwrap_or(entry.path());
        let shown = entry.path().display().to_string();
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            let message = format!("{shown} is no regular file");
            return Err(wrong(message).with_remedy("take it out of the folder").with_rule("P3").into());
        }
        let name = inside.to_str().ok_or_else(|| wrong(format!("{shown} is not UTF-8")))?;
        if files.len() == ITEMS_MAX {
            let message =
                format!("{} holds more than {ITEMS_MAX} files; a lever is one change", root.display());
            return Err(wrong(message).with_remedy("make several levers of it").with_rule("P5").into());
        }
        let name = TreePath::parse(name).map_err(|problem| wrong(problem.to_string()).with_rule("P3"))?;
        let relative = Path::new(tree).join(inside);
        let bytes = read_part(path, text, "tree", &relative.to_string_lossy())?;
        files.insert(name, Edit::Write(blobs.hold(bytes)));
    }
    if files.is_empty() {
        let message = format!("{} holds no file", root.display());
        let remedy = "put the edited files into it, under their paths";
        return Err(wrong(message).with_remedy(remedy).with_rule("P5").into());
    }
    Ok(Change::Files(files))
}

/// A change that is a patch file by itself.
pub fn patch_alone(patch: &Path, blobs: &mut Blobs) -> Result<Change, Error> {
    Ok(Change::Patch(blobs.hold(read_part(Path::new("--patch"), "", "patch", &patch.to_string_lossy())?)))
}

/// A change that is a folder of edited files by itself.
pub fn folder_alone(tree: &Path, blobs: &mut Blobs) -> Result<Change, Error> {
    edited_files(Path::new("--tree"), "", &tree.to_string_lossy(), blobs)
}

fn carried_fix(path: &Path, text: &str, fix: &WrittenFix, blobs: &mut Blobs) -> Result<CarriedFix, Error> {
    let trigger = match (&fix.on, &fix.pattern) {
        (Some(ending), None) => FixTrigger::On(ending.clone()),
        (None, Some(pattern)) => FixTrigger::Pattern(pattern.clone()),
        _ => {
            let message = "a fix needs exactly one of `on` and `pattern`".to_owned();
            let remedy = "write the ending that it answers, or a pattern in the log";
            return Err(Problem::at_key(path, text, "fixes", message)
                .with_remedy(remedy)
                .with_rule("P19")
                .into());
        }
    };
    let patch = blobs.hold(read_part(path, text, "fixes", &fix.patch)?);
    Ok(CarriedFix { trigger, patch })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title: add momentum\nfiles: [train.py]\npatch: m.patch\n\
                        anchor: {file: loss.tsv, pattern: 'slope\\t(-?[0-9.]+)', compare: '< -0.01'}\n\
                        prediction: better\nfixes:\n  - {on: out_of_memory, patch: m.patch}\n\
                        analysis:\n  - {script: 'builtin:log', output: l.tsv, dimension: log, question: q, \
                        if_helped: a, if_not: b}\n";

    fn with(text: &str) -> Result<LeverFile, Error> {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("edited/sub")).expect("made");
        std::fs::write(dir.path().join("edited/sub/a.py"), "a = 1\n").expect("written");
        std::fs::write(dir.path().join("m.patch"), "--- a\n").expect("written");
        std::fs::write(dir.path().join("01.yaml"), text).expect("written");
        read(&dir.path().join("01.yaml"))
    }

    fn check_refused(text: &str, want: &str) {
        let report = with(text).expect_err(want).to_report();
        assert!(report.message.contains(want), "{want}: {}", report.message);
    }

    #[test]
    fn a_lever_file_becomes_a_lever_with_its_blobs() {
        let file = with(GOOD).expect("read");
        assert_eq!(file.lever.title, "add momentum");
        assert_eq!(file.lever.fixes[0].trigger, FixTrigger::On("out_of_memory".to_owned()));
        assert_eq!(file.blobs.digests().count(), 1, "the same patch is one blob");
        let file = with(&GOOD.replace("patch: m.patch\nanchor", "tree: edited\nanchor")).expect("read");
        let Change::Files(files) = &file.lever.change else { panic!("files") };
        assert_eq!(files.keys().map(TreePath::as_str).collect::<Vec<_>>(), ["sub/a.py"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        check_refused(&GOOD.replace("prediction", "predicton"), "01.yaml:5:1: unknown key `predicton`");
        check_refused(
            &GOOD.replace("patch: m.patch\nanchor", "patch: n.patch\nanchor"),
            "01.yaml:3:1: patch: ",
        );
        check_refused(&GOOD.replace("patch: m.patch\nanchor", "anchor"), "the change is missing");
        check_refused(&GOOD.replace("on: out_of_memory, ", ""), "exactly one of `on` and `pattern`");
        check_refused(&GOOD.replace("[train.py]", "[../train.py]"), "has a `..`");
        check_refused(&GOOD.replace("< -0.01", "small"), "is no comparison");
        check_refused(&GOOD.replace("builtin:log", "builtin:magic"), "there is no builtin \"magic\"");
    }
}
