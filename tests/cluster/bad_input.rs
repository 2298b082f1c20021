//! Input that cannot be, through the command line to a real coordinator: each is refused with its rule, its
//! place and what to do, and beside it stands what is taken.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::path::{Path, PathBuf};

const LEVER: &str = "title: t\nfiles: [params.sh]\ntree: edited\nanchor: {file: value.tsv, pattern: 'value\\t(.*)', compare: \
                     '> 0'}\nprediction: p\nanalysis:\n  - {script: 'builtin:log', output: o.tsv, dimension: d, question: q, \
                     if_helped: a, if_not: b}\n";

/// A coordinator with a campaign whose baseline is analysed.
struct Bench {
    fleet: Fleet,
    campaign: String,
    folder: PathBuf,
}

impl Bench {
    fn refused(&self, args: &[&str]) -> Value {
        let output = self.fleet.client(&[&["--output", "json"], args].concat());
        assert!(matches!(output.status.code(), Some(2 | 3)), "{args:?}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(said).expect("UTF-8");
        // The problems of a lever stand on the first line; what became of all of them after that.
        serde_json::from_str(text.lines().next().unwrap_or_default()).expect(&text)
    }

    fn lever(&self, text: &str) -> PathBuf {
        let path = self.folder.join("l.yaml");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The lever is refused by this rule, with these words, and with something to do.
    #[track_caller]
    fn check(&self, lever: &str, rule: &str, words: &[&str]) {
        let path = self.lever(lever);
        let said = self.refused(&["lever", "add", &self.campaign, path.to_str().expect("UTF-8")]);
        let why = &said["refused"][0];
        check_report(why, rule, words);
    }
}

#[track_caller]
fn check_report(why: &Value, rule: &str, words: &[&str]) {
    let text = why.to_string();
    let of_rule =
        |one: &Value| one["rule"] == rule && one["remedy"].as_str().is_some_and(|text| !text.is_empty());
    let several = why["problems"].as_array().cloned().unwrap_or_default();
    assert!(of_rule(why) || several.iter().any(of_rule), "{rule} and a remedy: {text}");
    assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
}

fn bench() -> (Bench, [crate::harness::Daemon; 2]) {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let daemons = [fleet.coordinator(), fleet.worker("one")];
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let folder = fleet.path("levers");
    std::fs::create_dir_all(folder.join("edited")).expect("made");
    std::fs::write(folder.join("edited/params.sh"), "# the one number\nVALUE=0.6\n").expect("written");
    std::fs::write(folder.join("errors.py"), "print(1)\n").expect("written");
    (Bench { fleet, campaign, folder }, daemons)
}

#[test]
fn p5_p6_p12_a_lever_that_cannot_be_is_refused_with_rule_place_and_remedy() {
    let (bench, _daemons) = bench();
    let with = |from: &str, to: &str| {
        assert!(LEVER.contains(from), "{from}");
        LEVER.replace(from, to)
    };
    let pattern = |pattern: &str| with("value\\t(.*)", pattern);
    let row =
        "  - {script: 'builtin:log', output: o.tsv, dimension: e, question: q, if_helped: a, if_not: b}\n";
    // Missing and extra keys.
    bench.check(&with("prediction: p\n", ""), "P6", &["l.yaml:", "`prediction` is missing"]);
    bench.check(&with("question: q, ", ""), "P12", &["l.yaml:7:", "`question` is missing"]);
    bench.check(&with("prediction", "predictoin"), "P5", &["l.yaml:5:1", "predictoin", "write `prediction`"]);
    bench.check(&format!("{LEVER}lever: two\n"), "P5", &["l.yaml:8:1", "unknown key `lever`"]);
    bench.check(&with("tree: edited\n", "tree: edited\npatch: p.patch\n"), "P5", &["l.yaml:", "one change"]);
    // Anchors.
    bench.check(&pattern("velau\\t(.*)"), "P6", &["value.tsv of iteration 1", "no line matches"]);
    bench.check(&pattern("(("), "P6", &["anchor.pattern", "no regular expression"]);
    bench.check(&pattern("(?:a{1000}){1000}(b)"), "P6", &["anchor.pattern", "too large"]);
    bench.check(&pattern("((a+)+)+$"), "P6", &["no line matches"]);
    bench.check(&pattern("value\\t.*"), "P6", &["anchor.compare", "needs a group"]);
    let several = pattern("^log_[a-z]+\\t([0-9]+)$").replace("file: value.tsv", "file: log_facts.tsv");
    bench.check(
        &several,
        "P6",
        &["log_facts.tsv of iteration 1", "several matches that differ", "line that is meant"],
    );
    bench.check(&with("'> 0'", "'> 9'"), "P6", &["line 1 says 0.5, which is not > 9"]);
    bench.check(&with("file: value.tsv", "file: absent.tsv"), "P6", &["no such file"]);
    // Plans.
    bench.check(&format!("{LEVER}{row}"), "P12", &["analysis[1].output", "output of another row"]);
    bench.check(&with("output: o.tsv", "output: ../o.tsv"), "P3", &["l.yaml:7:", "`..`"]);
    bench.check(&with("output: o.tsv", "output: /o.tsv"), "P3", &["l.yaml:7:", "absolute"]);
    bench.check(&with("output: o.tsv", "output: run.log"), "P12", &["analysis[0].output", "run's own log"]);
    let own = LEVER.replace("'builtin:log'", "errors.py").replace("o.tsv", "errors.py");
    bench.check(&own, "P12", &["analysis[0].output", "is a script of the plan"]);
    bench.check(&with("'builtin:log'", "absent.py"), "P12", &["l.yaml:", "absent.py"]);
    // The control.
    let path = bench.lever(&pattern("(?:value|\\t)\\t?([0-9.]+)"));
    bench.fleet.ok(&["lever", "add", &bench.campaign, path.to_str().expect("UTF-8")]);
    bench.fleet.wait_decided(&bench.campaign, 2);
}

#[test]
fn p23_a_conclusion_that_cannot_be_is_refused_with_rule_place_and_remedy() {
    let (bench, _daemons) = bench();
    let plan = bench.fleet.json(&["show", &bench.campaign, "1"]);
    let output = plan["deliverables"][0]["output"].as_str().expect("a deliverable").to_owned();
    let conclude = |bullets: usize, text: &str| {
        let path = bench.folder.join("c.yaml");
        let bullets = vec![text; bullets].join(", ");
        let text = format!(
            "finding: it ended well\nexamined: the log\nbullets: [{bullets}]\ndeliverables: {{{output}: as_helped}}\n"
        );
        std::fs::write(&path, text).expect("written");
        path
    };
    let refused = |path: &Path, words: &[&str]| {
        let said = bench.refused(&["conclude", &bench.campaign, "1", path.to_str().expect("UTF-8")]);
        check_report(&said, "P23", words);
    };
    refused(&conclude(2, "b"), &["bullets", "has 2; write 3 to 8"]);
    refused(&conclude(9, "b"), &["bullets", "has 9; write 3 to 8"]);
    refused(&conclude(3, &"x".repeat(1 << 20)), &["bullets[0]", "at most"]);
    let path = bench.folder.join("c.yaml");
    std::fs::write(&path, "finding: x\nbulets: []\n").expect("written");
    refused(&path, &["c.yaml:2:1", "unknown key `bulets`", "bullets"]);
    let path = conclude(8, "b");
    bench.fleet.ok(&["conclude", &bench.campaign, "1", path.to_str().expect("UTF-8")]);
}
