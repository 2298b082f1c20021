//! The campaign file: refused at a place of its text, or read; and what is read is written out and read
//! back the same, as YAML in the user's copy and as JSON in the ledger.

use std::path::Path;
use windlass::layout::yaml as written;
use windlass::yaml;
use windlass_shared::bindings::Bindings;

/// The longest sentence about a file; it shows at most a line of it.
const PROBLEM_MAX_BYTES: usize = 4000;

/// The input is the file.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let path = Path::new("loop.run.yaml");
    let bindings = match yaml::parse::<Bindings>(path, text) {
        Ok(bindings) => bindings,
        Err(problem) => return is_said(&problem, text),
    };
    if let Err(refusal) = bindings.validate() {
        is_said(&yaml::Problem::refused(path, text, &refusal), text);
    } else {
        assert!(bindings.budget_ms() > 0 || bindings.budget.to_f64() * 60_000.0 < 0.5);
        assert!(!bindings.command().trim().is_empty() && !bindings.python().is_empty());
    }
    let json = serde_json::to_string(&bindings).expect("representable");
    let back: Bindings = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}"));
    assert_eq!(back, bindings, "the ledger gives back what it was given");
    let copy = written(&bindings).expect("representable");
    let back = yaml::parse::<Bindings>(path, &copy).unwrap_or_else(|error| panic!("{error}\n{copy}"));
    assert_eq!(back, bindings, "the user's copy reads back:\n{copy}");
}

/// Every refusal names the file, and a line of it if it names one.
pub(crate) fn is_said(problem: &yaml::Problem, text: &str) {
    let said = problem.to_string();
    assert!(said.len() <= PROBLEM_MAX_BYTES, "{} bytes: {said}", said.len());
    let rest = said.split_once(".yaml").map(|(_, rest)| rest).expect("the file is named");
    let number = rest.strip_prefix(':').and_then(|rest| rest.split(':').next());
    if let Some(line) = number.and_then(|number| number.parse::<usize>().ok()) {
        let lines = text.split(['\n', '\r']).count();
        assert!(line >= 1 && line <= lines + 1, "line {line} of {lines}: {said}");
    }
}
