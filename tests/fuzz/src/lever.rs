//! The lever file: refused at a place of its text, or read; what is read holds only paths that stay inside,
//! is the same after a way through JSON, and passes its form's gate without a fault.

use crate::bindings::is_said;
use std::cell::RefCell;
use std::path::PathBuf;
use windlass::error::Error;
use windlass::lever_file;
use windlass_engine::gate::anchor::{self, Finding};
use windlass_engine::gate::editable::Editable;
use windlass_engine::gate::lever as form;
use windlass_shared::lever::{Change, Lever};

/// Some evidence for the anchors that come of it.
const EVIDENCE: &[u8] = b"epoch\tloss\n1\t0.9\r\nfinal_slope\t-0.02\n\xff\xfe broken \xc3\n\nlast 7 8 9";

thread_local! {
    /// A folder with what a lever file may name.
    static PLACE: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// The input is the file.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // A lever file may name any folder of its author's machine; this one is not to read all of it.
    if text.contains("..") || text.contains("tree: /") || text.contains("\\") && text.contains("tree") {
        return;
    }
    let path = file();
    std::fs::write(&path, text).expect("written");
    let lever = match lever_file::read(&path) {
        Ok(file) => file.lever,
        Err(Error::Document(problem)) => return is_said(&problem, text),
        Err(other) => panic!("a lever file is refused as such: {other:?}"),
    };
    stays_inside(&lever);
    let json = serde_json::to_string(&lever).expect("representable");
    let back: Lever = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}"));
    assert_eq!(back, lever, "the ledger gives back what it was given");
    let editable = Editable::new(&["*.py".to_owned(), "params/".to_owned()]).expect("patterns");
    let problems = form::problems(&lever, &editable);
    assert!(problems.iter().all(|problem| problem.rule().is_some() || !problem.to_string().is_empty()));
    if let Some(anchor) = &lever.anchor {
        let is_pattern = anchor::check_form(anchor).is_ok();
        match anchor::search(anchor, EVIDENCE) {
            Finding::Holds { line, value } | Finding::Contradicted { line, value } => {
                assert!((1..=7).contains(&line) && !value.chars().any(char::is_control));
                assert!(is_pattern || anchor.compare.is_some());
            }
            Finding::Several { line, value, other_line, other } => {
                assert!((1..=7).contains(&line) && (line..=7).contains(&other_line) && value != other);
                assert!(!value.chars().chain(other.chars()).any(char::is_control));
            }
            Finding::NoMatch | Finding::TooCostly => {}
        }
    }
}

/// `01.yaml` in a folder with a patch, a script and edited files.
fn file() -> PathBuf {
    PLACE.with_borrow_mut(|place| {
        let dir = place.get_or_insert_with(|| {
            let dir = tempfile::tempdir().expect("a folder");
            std::fs::create_dir_all(dir.path().join("edited/sub")).expect("made");
            for name in ["m.patch", "a.py", "edited/sub/a.py", "edited/b.py"] {
                std::fs::write(dir.path().join(name), "--- a\n").expect("written");
            }
            dir
        });
        dir.path().join("01.yaml")
    })
}

fn stays_inside(lever: &Lever) {
    let changed = match &lever.change {
        Change::Files(files) => files.keys().collect(),
        Change::Patch(_) => Vec::new(),
    };
    let outputs = lever.analysis.iter().map(|row| &row.output);
    let evidence = lever.anchor.iter().map(|anchor| &anchor.file);
    for path in lever.files.iter().chain(changed).chain(outputs).chain(evidence) {
        crate::paths::is_inside(path.as_str());
    }
}
