//! The scripted researchers in their seat: turn by turn, in folders as the loop lays them out.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A seat at one campaign.
struct Seat<'a> {
    fleet: &'a Fleet,
    campaign: String,
    turns: u32,
}

/// What became of a turn.
struct Turn {
    dir: PathBuf,
    code: Option<i32>,
    /// What it printed; of a failure what it said.
    document: Value,
}

impl<'a> Seat<'a> {
    fn new(fleet: &'a Fleet, campaign: &str) -> Self {
        Self { fleet, campaign: campaign.to_owned(), turns: 0 }
    }

    /// A turn that asks this of this researcher.
    fn ask(&mut self, kind: &str, iteration: u32, researcher: &[&str]) -> Turn {
        self.turns += 1;
        let dir = self.fleet.path(&format!("turns/{}", self.turns));
        std::fs::create_dir_all(&dir).expect("a folder");
        self.fleet.ok(&["best", &self.campaign, "--tree", text(&dir.join("work"))]);
        let args = [&["--output", "json", "researcher"], researcher].concat();
        let mut command = self.fleet.command_of("data", &args);
        command.current_dir(dir.join("work"));
        command.env("WINDLASS_TURN", kind).env("WINDLASS_TURN_DIR", &dir);
        command.env("WINDLASS_CAMPAIGN", &self.campaign).env("WINDLASS_RESEARCHER", "Ada 1");
        command.env("WINDLASS_ITERATION", iteration.to_string());
        let output = command.output().expect("the binary starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let line = out.lines().chain(err.lines()).find(|line| line.starts_with("{\"schema\""));
        let document = line.unwrap_or_else(|| panic!("no document: {out}{err}"));
        Turn { dir, code: output.status.code(), document: serde_json::from_str(document).expect("JSON") }
    }

    /// Proposes what a turn answered; the decided iteration.
    fn pull(&self, turn: &Turn, iteration: u64) {
        assert_eq!(turn.document["answer"], text(&turn.dir.join("lever.yaml")), "{}", turn.document);
        self.fleet.ok(&["lever", "add", &self.campaign, text(&turn.dir.join("lever.yaml"))]);
        self.fleet.wait_decided(&self.campaign, iteration);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn lever(turn: &Turn) -> String {
    std::fs::read_to_string(turn.dir.join("lever.yaml")).expect("a lever")
}

#[test]
fn levers_of_a_folder_are_pulled_in_order_what_is_refused_is_passed_over_and_each_once() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    for (name, value) in [("a", "0.75"), ("b", "0.6"), ("c", "0.9")] {
        Project::lever(&project, name, value);
    }
    let levers = project.join("levers");
    // The second touches a frozen file, and a fourth cannot be read.
    std::fs::write(levers.join("b.tree/run.sh"), "echo val: 99\n").expect("a file");
    std::fs::write(levers.join("d.yaml"), "title: [\n").expect("a file");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let mut seat = Seat::new(&fleet, &campaign);
    let folder = ["levers", text(&levers)];

    let first = seat.ask("propose", 1, &folder);
    assert_eq!(lever(&first), std::fs::read_to_string(levers.join("a.yaml")).expect("there"));
    assert_eq!(seat.ask("propose", 1, &folder).document["about"], first.document["about"], "not yet had");
    seat.pull(&first, 2);
    let second = seat.ask("repair", 2, &folder);
    assert!(lever(&second).contains("title: set 0.9"), "{}", second.document);
    let passed = &second.document["passed"][0];
    assert_eq!((&passed["lever"], &passed["rule"]), (&"b.yaml".into(), &"P2".into()), "{passed}");
    seat.pull(&second, 3);
    let third = seat.ask("propose", 3, &folder);
    assert!(third.document["answer"].is_null() && third.code == Some(0), "{}", third.document);
    assert_eq!(third.document["passed"].as_array().map(Vec::len), Some(2), "{}", third.document);
    assert!(!third.dir.join("lever.yaml").exists());
    assert!(seat.ask("fix", 3, &folder).document["answer"].is_null(), "it repairs nothing");

    let concluded = seat.ask("conclude", 3, &folder);
    let file = concluded.dir.join("conclusion.yaml");
    assert_eq!(concluded.document["about"], "val improved: 0.9 after 0.75 in iteration 2");
    fleet.ok(&["conclude", &campaign, "3", text(&file)]);
    assert!(fleet.ok(&["show", &campaign, "3"]).contains("val improved: 0.9 after 0.75"));
    let missing = seat.ask("conclude", 9, &folder);
    assert_eq!((missing.code, &missing.document["code"]), (Some(4), &"NOT_FOUND".into()));
    fleet.verify();
}

/// A space whose best lies at 2 and 30.
fn space(fleet: &Fleet, more: &str) -> PathBuf {
    let path = fleet.path("space.yaml");
    let text = format!(
        "file: settings.yaml\nrandom: 3\nsettings:\n  - {{key: rate, kind: float, range: [0.1, 10], scale: log}}\n  \
         - {{key: width, kind: int, range: [4, 64]}}\n{more}"
    );
    std::fs::write(&path, text).expect("a file");
    path
}

fn searched_project(fleet: &Fleet) -> PathBuf {
    let project = Project::default().write(&fleet.path("project"));
    let score = "awk '/^rate:/ { r = $2 } /^width:/ { w = $2 } END { printf \"val: %.6f\\nvalue\\t%.6f\\n\", \
                 100 - (r - 2) ^ 2 - (w - 30) ^ 2 / 100, r }' settings.yaml > out.txt\n\
                 grep value out.txt > \"$WINDLASS_RESULTS/value.tsv\"\ngrep val: out.txt\n";
    std::fs::write(project.join("run.sh"), score).expect("a file");
    std::fs::write(project.join("settings.yaml"), "# how it learns\nrate: 0.2  # a step\nwidth: 8\n")
        .expect("a file");
    let bindings = project.join("loop.run.yaml");
    let old = std::fs::read_to_string(&bindings).expect("there");
    std::fs::write(&bindings, old.replace("[params.sh]", "[params.sh, settings.yaml]")).expect("a file");
    project
}

#[test]
fn a_space_is_searched_by_levers_that_the_history_alone_decides() {
    let fleet = Fleet::new();
    let project = searched_project(&fleet);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let space = space(&fleet, "");
    let search = ["search", text(&space)];
    let mut seat = Seat::new(&fleet, &campaign);
    let mut titles = Vec::new();
    for iteration in 2..=9 {
        let turn = seat.ask("propose", iteration - 1, &search);
        let again = seat.ask("repair", iteration - 1, &search);
        assert_eq!(lever(&turn), lever(&again), "the same history, the same lever");
        let lever = lever(&turn);
        assert!(lever.contains("file: run.log") && lever.contains("iteration: "), "P6: {lever}");
        assert!(lever.contains(&format!("dimension: response-ada-1-{}", iteration - 1)), "P13: {lever}");
        assert!(!turn.dir.join("candidate.yaml").exists());
        titles.push(turn.document["about"].as_str().expect("a title").to_owned());
        seat.pull(&turn, iteration.into());
    }
    let first = titles[0].strip_prefix("try rate ").expect("both settings are drawn anew");
    assert!(first.contains(", width "), "{titles:?}");
    let best: f64 = fleet.json(&["status", &campaign])["best"]["metric"]
        .as_str()
        .expect("a best")
        .parse()
        .expect("a number");
    assert!(best > 91.92, "better than where it began (91.92): {best}");
    let changed = fleet.ok(&["diff", &campaign, "2"]);
    assert!(changed.contains("# a step") && !changed.contains("-# how it learns"), "in its place: {changed}");

    let concluded = seat.ask("conclude", 2, &search);
    let conclusion = concluded.dir.join("conclusion.yaml");
    fleet.ok(&["conclude", &campaign, "2", text(&conclusion)]);
    let said = std::fs::read_to_string(conclusion).expect("there");
    assert!(said.contains("response.tsv: as_"), "its own deliverable is judged by the figure: {said}");
    fleet.verify();
}

#[test]
fn a_search_moves_only_what_the_evidence_speaks_for_and_says_what_is_wrong_with_its_space() {
    let fleet = Fleet::new();
    let project = searched_project(&fleet);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let mut seat = Seat::new(&fleet, &campaign);
    let anchored = |compare: &str| {
        format!("anchors:\n  - {{file: value.tsv, pattern: '^value\\t([0-9.]+)$', compare: '{compare}'}}\n")
    };
    let path = space(&fleet, &anchored("> 1"));
    let none = seat.ask("propose", 1, &["search", text(&path)]);
    assert!(none.document["answer"].is_null() && none.code == Some(0), "{}", none.document);
    space(&fleet, &anchored("< 1"));
    let some = seat.ask("propose", 1, &["search", text(&path)]);
    assert!(lever(&some).contains("file: value.tsv"), "{}", lever(&some));

    for (from, to, line, want) in [
        ("kind: int", "kind: itn", 5, "unknown value `itn`"),
        ("range: [4, 64]", "range: [64, 4]", 5, "`width`: range must lead"),
        ("key: width", "key: depth", 5, "`depth`: settings.yaml: there is no such key"),
        ("settings.yaml", "nowhere.yaml", 4, "`rate`: nowhere.yaml cannot be read"),
        ("random: 3", "randm: 3", 2, "unknown key `randm`"),
    ] {
        let good = std::fs::read_to_string(space(&fleet, "")).expect("there");
        std::fs::write(&path, good.replacen(from, to, 1)).expect("a file");
        let turn = seat.ask("propose", 1, &["search", text(&path)]);
        let message = turn.document["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(turn.code, Some(2), "{}", turn.document);
        assert!(
            message.contains(&format!("space.yaml:{line}:")) && message.contains(want),
            "{want}: {message}"
        );
        assert!(turn.document["remedy"].is_string(), "{}", turn.document);
    }
    // Outside a turn it says who starts it.
    let (code, _, said) = fleet.run_as("data", &["researcher", "search", text(&space(&fleet, ""))]);
    assert!(
        code == 2 && said.contains("WINDLASS_TURN is not set") && said.contains("windlass research"),
        "{said}"
    );
}

/// A lever file that gives the parameters so many lines, of which the last is its own.
fn long_lever(project: &Path, name: &str, last: &str, more: &str) -> String {
    Project::lever(project, name, "0.75");
    let lines: String = (1..=12).map(|line| format!("# line {line}\n")).collect();
    let tree = project.join(format!("levers/{name}.tree/params.sh"));
    std::fs::write(tree, format!("# the one number\nVALUE=0.75\n{lines}# {last}\n")).expect("a file");
    let file = project.join(format!("levers/{name}.yaml"));
    let lever = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, format!("{more}{lever}")).expect("a file");
    text(&file).to_owned()
}

#[test]
fn p39_what_one_researcher_claims_or_has_in_line_no_other_proposes() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    let lever = long_lever(&project, "one", "adas", "");
    let near = long_lever(&project, "two", "bobs", "");
    let second = long_lever(&project, "four", "adas second", "");
    let other = long_lever(&project, "three", "bobs", "changed_assumption: the last line is mine\n");
    let add = |researcher: &str, file: &str| {
        let output =
            fleet.client(&["--output", "json", "--researcher", researcher, "lever", "add", &campaign, file]);
        let answer: Value = serde_json::from_slice(&output.stdout).expect("a document");
        (output.status.code(), answer)
    };
    let claim = ["--researcher", "ada", "claim", &campaign, "--about", "the lines", "--dimension", "one"];
    fleet.ok(&claim);
    let context = fleet.json(&["context", &campaign]);
    assert_eq!(context["claims"][0]["researcher"], "ada", "{context}");
    let (code, _, said) = fleet
        .run_as("data", &["--researcher", "bob", "claim", &campaign, "--about", "x", "--dimension", "one"]);
    assert!(code == 3 && said.contains("[P39]") && said.contains("claimed by ada"), "{code}: {said}");
    let (code, answer) = add("bob", &lever);
    let why = &answer["refused"][0];
    assert_eq!(
        (code, &why["rule"]),
        (Some(3), &"P39".into()),
        "its plan measures what ada claimed: {answer}"
    );
    assert_eq!(add("ada", &lever).0, Some(0), "who claimed it may");
    assert_eq!(fleet.json(&["claim", &campaign])["claims"], serde_json::json!([]), "over when she proposed");
    let (code, answer) = add("bob", &near);
    let why = &answer["refused"][0];
    assert_eq!((code, &why["rule"]), (Some(3), &"P10".into()), "{answer}");
    let message = why["message"].as_str().expect("a sentence");
    assert!(message.contains("lever L1 of ada") || message.contains("lever 1 of ada"), "{message}");
    assert_eq!(add("ada", &second).0, Some(0), "to herself she may come near");
    assert_eq!(add("bob", &other).0, Some(0), "he says what is different in his");
    fleet.ok(&["lever", "retire", &campaign, "L1"]);
    fleet.verify();
}

#[test]
fn the_loop_pulls_a_folder_of_levers_and_then_searches_through_the_same_seat() {
    let fleet = Fleet::new();
    let project = searched_project(&fleet);
    Project::lever(&project, "a", "0.75");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let windlass = crate::harness::WINDLASS;
    let levers = project.join("levers");
    let space = space(&fleet, "");
    fleet.ok(&[
        "research",
        &campaign,
        "--name",
        "ada",
        "--backoff",
        "1 ms",
        "--max-dry",
        "1",
        "--",
        windlass,
        "researcher",
        "levers",
        text(&levers),
    ]);
    fleet.ok(&[
        "research",
        &campaign,
        "--name",
        "bob",
        "--backoff",
        "1 ms",
        "--max-iterations",
        "3",
        "--",
        windlass,
        "researcher",
        "search",
        text(&space),
    ]);
    let decided = fleet.decided(&campaign);
    assert_eq!(decided.len(), 5, "the baseline, one of the folder, three of the search: {decided:?}");
    let titles = fleet.ok(&["results", &campaign]);
    assert!(titles.contains("set 0.75") && titles.contains("try rate"), "{titles}");
    fleet.verify();
}
