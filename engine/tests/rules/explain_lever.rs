//! `explain` for a lever says exactly why it is not running: a row for each reason there is.

use crate::harness::{World, cpus, crash, infra, lever, path, row};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_engine::explain::{Subject, explain};
use windlass_engine::gate::facts::{Look, Merged};
use windlass_shared::attempt::{Kind, Outcome};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::Lever;
use windlass_shared::refusal::Refusal;

/// What is told of lever 1 after `play`: some sentence has this rule and these words.
#[track_caller]
fn check(windlass: &Value, play: impl FnOnce(&mut World), rule: Option<&str>, words: &str) {
    check_of(1, windlass, play, rule, words);
}

#[track_caller]
fn check_of(number: u32, windlass: &Value, play: impl FnOnce(&mut World), rule: Option<&str>, words: &str) {
    let mut world = World::with(windlass);
    play(&mut world);
    let subject = Subject::Lever(LeverNumber(number));
    let told = explain(&world.core, world.now, world.id().as_str(), &subject).expect("known").sentences;
    let fits = told.iter().any(|one| one.rule.as_deref() == rule && one.text.contains(words));
    assert!(fits, "{rule:?} {words:?} is not in {told:#?}");
    world.said.clear();
}

fn propose(world: &mut World, names: &[&str]) {
    for name in names {
        world.propose(lever(name)).expect("a lever");
    }
}

fn ask(world: &mut World, ask: impl FnOnce(windlass_shared::id::CampaignId) -> Ask) {
    let campaign = world.id();
    world.ask(ask(campaign)).expect("taken");
}

/// The baseline is decided, and nothing else.
fn based(world: &mut World) {
    world.finish("0.5");
}

#[test]
fn a_lever_in_line_says_what_comes_before_it() {
    let none = json!({});
    check(&none, |w| propose(w, &["a"]), Some("P5"), "one lever is tested at a time: iteration 1 is open");
    check_of(2, &none, |w| propose(w, &["a", "b"]), None, "before it stand L1; `windlass lever move C L2");
    let nine = |w: &mut World| propose(w, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    check_of(10, &none, nine, None, "before it stand 9 levers, the last of them L9");
    let lanes = |w: &mut World| {
        w.connect("x", cpus(2));
        based(w);
        propose(w, &["a", "b", "c"]);
    };
    check_of(3, &json!({"lanes": 2}), lanes, Some("P39"), "every lane is busy: iterations 2, 3 are open");
    let same = |w: &mut World| {
        w.connect("x", cpus(2));
        based(w);
        let measures = |name: &str| Lever { analysis: vec![row("errors")], ..lever(name) };
        w.propose(measures("a")).expect("a lever");
        w.propose(measures("b")).expect("a lever");
    };
    check_of(
        2,
        &json!({"lanes": 2}),
        same,
        Some("P39"),
        "it waits for iteration 2, which measures what it would",
    );
}

#[test]
fn a_lever_whose_campaign_does_not_go_on_says_why_that_is() {
    let none = json!({});
    let paused = |w: &mut World| {
        based(w);
        ask(w, Ask::Pause);
        propose(w, &["a"]);
    };
    check(&none, paused, None, "its campaign is paused by its owner");
    let no_ground = |w: &mut World| {
        propose(w, &["a"]);
        w.run_ends(crash());
    };
    check(&none, no_ground, Some("P1"), "its baseline is no ground to build on");
    let machines = |w: &mut World| {
        w.connect("v", cpus(1));
        w.connect("x", cpus(1));
        based(w);
        propose(w, &["z", "a", "b"]);
        for _ in 0..6 {
            w.pass_heard(6_000);
            w.run_ends(infra());
        }
    };
    check_of(3, &none, machines, Some("P20"), "machines failed under two levers in a row");
    let stopped = |w: &mut World| {
        propose(w, &["a"]);
        ask(w, Ask::Stop);
    };
    check(&none, stopped, Some("P32"), "its campaign has stopped, so its turn never comes");
    let met = |w: &mut World| {
        propose(w, &["a"]);
        based(w);
    };
    check(&json!({"stop": {"iterations": 1}}), met, Some("P32"), "its campaign has stopped");
    let unreadable = |w: &mut World| {
        w.unreadable = true;
        propose(w, &["a"]);
        based(w);
    };
    check(&none, unreadable, Some("I16"), "what its gates have to read cannot be read");
}

#[test]
fn a_lever_that_its_own_gates_keep_back_says_which_and_what_was_seen() {
    let none = json!({});
    let by_move = |w: &mut World| {
        based(w);
        propose(w, &["a"]);
    };
    check(
        &json!({"move_scheduler": {"swing_budget": 2}}),
        by_move,
        Some("P11"),
        "its move waits for a swing",
    );
    let looked = |look: Look| {
        move |w: &mut World| {
            w.looks.insert(LeverNumber(1), look);
            propose(w, &["a"]);
            based(w);
        }
    };
    check(
        &none,
        looked(Look::FileMissing),
        Some("P9"),
        "was passed over: curve.tsv of iteration 1 is not there",
    );
    check(&none, looked(Look::TooCostly), Some("P9"), "is too large for its pattern");
    let several = Look::Several { line: 2, value: "0.4".to_owned(), other_line: 5, other: "0.2".to_owned() };
    check(&none, looked(several), Some("P9"), "says several things: line 2 0.4, line 5 0.2");
    check(
        &json!({"passes": 1}),
        looked(Look::FileMissing),
        Some("P9"),
        "its evidence was missing at 1 turns",
    );
    check(&none, looked(Look::NoMatch), Some("P7"), "has no line like");
    let contradicted = Look::Contradicted { line: 3, value: "0.9".to_owned() };
    check(&none, looked(contradicted), Some("P7"), "line 3 of curve.tsv of iteration 1 says 0.9");
    let merged = |merged: Merged| {
        move |w: &mut World| {
            w.merges.insert(LeverNumber(1), merged);
            propose(w, &["a"]);
            based(w);
        }
    };
    let conflict = Merged::Conflict(vec![path("train.py").into()]);
    check(&none, merged(conflict), Some("P8"), "conflicts with the best in train.py");
    let frozen = Merged::Refused(Refusal::Frozen { path: "evaluate.py".to_owned() });
    check(&none, merged(frozen), Some("P2"), "evaluate.py is frozen");
    let nothing_new = |w: &mut World| {
        propose(w, &["a"]);
        based(w);
        w.finish("0.4");
        w.propose(Lever { analysis: vec![row("a")], ..lever("b") }).expect("warned of");
    };
    check_of(2, &none, nothing_new, Some("P13"), "its plan measures nothing new");
    let tried = |w: &mut World| {
        propose(w, &["a"]);
        let same = w.state().levers[&LeverNumber(1)].changed;
        w.merges.insert(LeverNumber(2), crate::harness::clean(crate::harness::workspace(), same));
        propose(w, &["b"]);
        based(w);
        w.finish("0.4");
    };
    check_of(2, &none, tried, Some("P10"), "this is what iteration 2 tried");
}

#[test]
fn a_lever_that_was_set_aside_or_had_its_turn_says_what_became_of_it() {
    let none = json!({});
    let tested = |w: &mut World| {
        based(w);
        propose(w, &["a"]);
    };
    check(&none, tested, Some("P5"), "iteration 2 tests it: `windlass explain C 2` says how far it is");
    let decided = |w: &mut World| {
        tested(w);
        w.finish("0.4");
    };
    check(&none, decided, Some("P25"), "iteration 2 tested it: discard (worse)");
    let failed = |setup_failed: bool| {
        move |w: &mut World| {
            w.connect("v", cpus(1));
            w.connect("x", cpus(1));
            tested(w);
            for _ in 0..3 {
                w.pass_heard(6_000);
                w.end(Kind::Run, |_| Outcome { setup_failed, ..infra() });
            }
        }
    };
    check(&none, failed(false), Some("P20"), "the machinery failed it three times");
    check(&none, failed(true), Some("P20"), "the campaign's `setup` failed");
    let cancelled = |w: &mut World| {
        tested(w);
        ask(w, |campaign| Ask::Cancel { campaign, iteration: IterationNumber(2) });
        w.run_ends(crash());
    };
    check(&none, cancelled, Some("P10"), "iteration 2 was cancelled, which does not count as tried");
    let retired = |w: &mut World| {
        propose(w, &["a"]);
        ask(w, |campaign| Ask::Retire { campaign, lever: LeverNumber(1) });
    };
    check(&none, retired, None, "it was taken back; `windlass lever retry C L` puts it in line again");
}
