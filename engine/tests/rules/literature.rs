//! Literature (P33 to P38): the evidence gate, the basis of a lever, what decisions make of findings.

use crate::harness::{World, bindings, cpus, crash, lever, row, workspace};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_shared::bindings::Dial;
use windlass_shared::conclusion::{Conclusion, Verdict as Shown};
use windlass_shared::id::{FindingNumber, IterationNumber, LeverNumber};
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::literature::{self, Effect, Scope, Verdict};
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Answer, Body, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

/// A finding that is kept.
fn finding(change: &str) -> Value {
    json!({
        "question": "what helps?", "abstraction_level": 2, "claim": format!("{change} helps"),
        "evidence": {"strength": "moderate"},
        "citations": [{"title": format!("On {change}"), "doi": format!("10.1/{}", change.replace(' ', "-"))}],
        "applicability_to_our_setup": "the same data, model and budget",
        "proposed_change": change, "how_to_verify": "the loss falls", "verdict": "keep",
    })
}

fn with(change: &str, key: &str, value: Value) -> Value {
    let mut finding = finding(change);
    finding[key] = value;
    finding
}

/// The same change; its files are the one that every test lever touches.
fn touching(change: &str) -> Value {
    with(change, "files_to_edit", json!(["./train.py"]))
}

/// A campaign with literature, its baseline decided at 0.5.
fn reading(windlass: &Value) -> World {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    submit(&mut world, windlass).expect("a good campaign");
    world.finish("0.5");
    world
}

fn submit(world: &mut World, windlass: &Value) -> Result<Answer, Refusal> {
    let mut bindings = Box::new(bindings(windlass));
    bindings.literature = Dial::On;
    world.ask(Ask::Create {
        name: "digits".to_owned(),
        bindings,
        tree: workspace(),
        cap: None,
        git: None,
        owner: None,
    })
}

fn add_scoped(world: &mut World, findings: &[(Value, &str)]) -> Result<Answer, Refusal> {
    let documents: Vec<&Value> = findings.iter().map(|(finding, _)| finding).collect();
    let review = json!({"iteration": 2, "findings": documents}).to_string();
    let review = Box::new(literature::read(review.as_bytes()).expect("the published shape"));
    let scopes = findings.iter().map(|(_, scope)| Scope::parse(scope).expect("a scope")).collect();
    let campaign = world.id();
    world.ask(Ask::AddFindings { campaign, review, scopes })
}

fn add(world: &mut World, findings: &[Value]) {
    let findings: Vec<(Value, &str)> = findings.iter().map(|finding| (finding.clone(), "agnostic")).collect();
    add_scoped(world, &findings).expect("recorded");
}

/// What the gate said of each finding, in order.
fn gated(world: &World) -> Vec<(Verdict, String)> {
    let recorded = world.bodies().filter_map(|body| match body {
        Body::FindingRecorded { verdict, reasons, .. } => Some((*verdict, reasons.join("; "))),
        _ => None,
    });
    recorded.collect()
}

/// What became of findings so far.
fn marked(world: &World) -> Vec<(u32, Effect, Option<u32>)> {
    let marked = world.bodies().filter_map(|body| match body {
        Body::FindingMarked { finding, result, iteration, .. } => {
            Some((finding.0, *result, iteration.map(|iteration| iteration.0)))
        }
        _ => None,
    });
    marked.collect()
}

/// A review of one finding, kept or rejected.
pub fn some_review(world: &mut World, which: u8) -> Result<Answer, Refusal> {
    let change = format!("change {}", which % 16);
    let strength = if which.is_multiple_of(5) { "weak" } else { "strong" };
    let scope = if which.is_multiple_of(3) { "mlp" } else { "agnostic" };
    add_scoped(world, &[(with(&change, "evidence", json!({"strength": strength})), scope)])
}

/// What a lever may rest on here, with literature.
pub fn some_basis(world: &World, which: u8) -> Option<String> {
    let state = world.state();
    let kept: Vec<_> = state.literature.kept.keys().collect();
    let basis = kept.get(usize::from(which) % kept.len().max(1));
    (state.bindings.literature == Dial::On).then(|| basis.map_or("none".to_owned(), ToString::to_string))
}

fn citing(name: &str, basis: &str) -> Lever {
    Lever { literature: Some(basis.to_owned()), ..lever(name) }
}

/// A lever that may say `none` and leaves every finding alone.
fn aside(name: &str) -> Lever {
    let files = vec![crate::harness::path("other.py")];
    Lever { kind: Kind::Ablation, files, ..citing(name, "none") }
}

fn refused(world: &mut World, lever: Lever) -> (&'static str, String) {
    match world.propose(lever).expect_err("refused") {
        Refusal::Lever { rule, field, problem } => {
            assert_eq!(field, "literature");
            (rule, problem)
        }
        other => panic!("{other:?}"),
    }
}

fn stale(world: &World, lever: u32) -> (String, String) {
    match world.lever_state(LeverNumber(lever)) {
        LeverState::Retired { reason: RetireReason::Stale { rule, detail } } => (rule, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn p33_p34_the_evidence_gate_records_every_finding_kept_or_with_its_reasons() {
    let mut world = reading(&json!({}));
    let cases = [
        (finding("warm up"), ""),
        (with("a", "evidence", json!({"strength": "strong"})), ""),
        (with("b", "evidence", json!({"strength": "weak"})), "its evidence is weak"),
        (with("c", "applicability_to_our_setup", json!(" ")), "does not say that it transfers"),
        (with("c2", "applicability_to_our_setup", json!("N/A")), "it says \"n a\""),
        (
            with(
                "c3",
                "applicability_to_our_setup",
                json!("Their budget is 100 times ours: it doesn't transfer."),
            ),
            "it says \"t transfer\"",
        ),
        (with("c4", "applicability_to_our_setup", json!("Same data and size, so it transfers as it is")), ""),
        (with("d", "files_to_edit", json!(["train.py", "score.py"])), "score.py is not among editable_files"),
        (with("e", "files_to_edit", json!(["../x"])), "\"../x\" is no file of the workspace"),
        (with("f", "citations", json!([{"title": "t"}])), "citation 1 has a title alone"),
        (
            with(
                "g",
                "citations",
                json!([{"title": "t", "url": "https://t.org"}, {"title": "u", "doi": " "}]),
            ),
            "citation 2 has a title alone",
        ),
        (with("h", "verdict", json!("reject")), "its researcher rejects it"),
    ];
    add(&mut world, &cases.clone().map(|(finding, _)| finding));
    for ((verdict, reasons), (finding, want)) in gated(&world).iter().zip(&cases) {
        assert_eq!(*verdict == Verdict::Keep, want.is_empty(), "{finding}: {reasons}");
        assert!(reasons.contains(want), "{finding}: {reasons}");
    }
    // Everything that speaks against one is said.
    let mut bad = with("i", "evidence", json!({"strength": "weak"}));
    bad["citations"] = json!([{"title": "t"}]);
    bad["applicability_to_our_setup"] = Value::Null;
    bad.as_object_mut().expect("an object").remove("applicability_to_our_setup");
    add(&mut world, &[bad]);
    assert_eq!(gated(&world).last().expect("recorded").1.matches("; ").count(), 2);
    let reviews = world.bodies().filter_map(|body| match body {
        Body::ReviewRecorded { kept, rejected, .. } => Some((*kept, *rejected)),
        _ => None,
    });
    assert_eq!(reviews.collect::<Vec<_>>(), [(3, 9), (0, 1)]);
}

#[test]
fn p33_only_a_campaign_with_literature_takes_findings() {
    let mut world = World::based(&json!({}));
    let refusal = add_scoped(&mut world, &[(finding("warm up"), "agnostic")]).expect_err("off");
    assert_eq!((refusal.rule(), refusal.reason()), (Some("P33"), "STATE"));
    assert!(refusal.to_string().contains("`literature: off`"), "{refusal}");
    let (rule, problem) = refused(&mut world, citing("a", "F1"));
    assert!(rule == "P37" && problem.contains("`literature: off`"), "{problem}");
    world.propose(citing("b", "none")).expect("none is none");
    world.finish("0.4");
    world.propose(lever("c")).expect("no basis is asked for");
    world.finish("0.4");
    assert_eq!(world.core.campaign_view(world.now, &world.id()).expect("known").literature, None);
    // The control.
    let mut world = reading(&json!({}));
    let answer = add_scoped(&mut world, &[(finding("warm up"), "agnostic")]).expect("on");
    assert_eq!(answer, Answer::Findings { first: FindingNumber(1), count: 1 });
}

#[test]
fn p37_a_lever_names_a_kept_finding_or_may_say_none() {
    let mut world = reading(&json!({}));
    add(&mut world, &[touching("warm up"), with("b", "evidence", json!({"strength": "weak"}))]);
    for (basis, rule, words) in [
        (None, "P37", "is missing"),
        (Some("none"), "P37", "which only a simplification, an ablation"),
        (Some("a paper"), "P37", "is no finding"),
        (Some("F9"), "P37", "F9 is not in the corpus"),
        (Some("F2"), "P34", "F2 was rejected"),
    ] {
        let proposed = Lever { literature: basis.map(str::to_owned), ..lever("x") };
        let (found, problem) = refused(&mut world, proposed);
        assert!(found == rule && problem.contains(words), "{basis:?}: {problem}");
    }
    for (name, kind, may) in [
        ("s", Kind::Simplification, true),
        ("i", Kind::Instrumentation, true),
        ("a", Kind::Ablation, true),
        ("c", Kind::Change, false),
        ("e", Kind::Exploit, false),
        ("w", Kind::Swing, false),
    ] {
        let proposed = world.propose(Lever { kind, ..citing(name, "none") });
        assert_eq!(proposed.is_ok(), may, "{kind:?}");
        if may {
            world.finish("0.4");
        }
    }
    world.propose(citing("f", "F1")).expect("a kept finding");
    world.finish("0.6");
    // After a review that kept nothing any lever may say so, until the next one.
    add(&mut world, &[]);
    world.propose(citing("g", "none")).expect("nothing was kept");
    world.finish("0.4");
    add(&mut world, &[finding("decay")]);
    assert_eq!(refused(&mut world, citing("h", "none")).0, "P37");
}

#[test]
fn p37_a_basis_is_told_beside_everything_else_that_is_wrong() {
    let mut world = reading(&json!({}));
    world.propose(aside("a")).expect("queued");
    world.finish("0.4");
    let same = Lever { literature: None, ..aside("a") };
    let Refusal::Several { problems, .. } = world.propose(same).expect_err("two problems") else {
        panic!("one problem only");
    };
    let rules: Vec<_> = problems.iter().filter_map(Refusal::rule).collect();
    assert_eq!(rules, ["P10", "P37"]);
}

#[test]
fn p37_the_verify_todo_becomes_a_deliverable_of_the_plan() {
    let mut world = reading(&json!({}));
    let mut silent = touching("b");
    silent["how_to_verify"] = json!("");
    add(&mut world, &[touching("warm up"), silent, touching("c"), touching("d")]);
    let mut planned = |lever: Lever| {
        world.propose(lever).expect("queued");
        let rows: Vec<(String, String, String)> = world.open().plan.iter().map(told).collect();
        world.finish("0.4");
        rows
    };
    fn told(row: &Deliverable) -> (String, String, String) {
        (row.dimension.clone(), row.output.to_string(), row.question.clone())
    }
    let rows = planned(citing("a", "F1"));
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1], told(&Deliverable { question: "the loss falls".to_owned(), ..row("verify-f1") }));
    assert_eq!(planned(citing("b", "F2")).len(), 1, "nothing to verify by");
    // A lever may bring the script itself, and may have taken the name.
    let own = Lever { analysis: vec![row("c"), row("verify-f3")], ..citing("c", "F3") };
    assert_eq!(planned(own).len(), 2);
    let taken = Deliverable { output: crate::harness::path("verify-f4.tsv"), ..row("d") };
    let rows = planned(Lever { analysis: vec![taken], ..citing("d", "F4") });
    assert_eq!(rows[1].1, "verify-f4-2.tsv");
}

#[test]
fn p13_p37_what_literature_adds_is_no_new_dimension() {
    let mut world = reading(&json!({}));
    add(&mut world, &[finding("warm up"), finding("b")]);
    world.propose(citing("a", "F1")).expect("queued");
    world.finish("0.4");
    let again = Lever { analysis: vec![row("a")], ..citing("b", "F2") };
    world.propose(again).expect("queued with a warning");
    assert!(matches!(world.lever_state(LeverNumber(2)), LeverState::Held { .. }));
}

#[test]
fn p37_the_decision_sets_the_result() {
    for (metric, lines, want) in [
        (Some("0.6"), 1, Effect::Helped),
        (Some("0.5"), 1, Effect::NoEffect),
        (Some("0.4"), 1, Effect::Hurt),
        (Some("0.5005"), 25, Effect::NoEffect),
        (None, 1, Effect::Hurt),
    ] {
        let mut world = reading(&json!({}));
        add(&mut world, &[finding("warm up")]);
        world.merges.insert(
            LeverNumber(1),
            windlass_engine::gate::facts::Merged::Clean {
                tree: crate::harness::digest("merged"),
                net_lines: lines,
                diff: crate::harness::diff_of(crate::harness::digest("merged")),
            },
        );
        world.propose(citing("a", "F1")).expect("queued");
        match metric {
            Some(metric) => _ = world.finish(metric),
            None => _ = world.run_ends(crash()),
        }
        assert_eq!(marked(&world), [(1, want, Some(2))], "{metric:?}");
        let view = world.core.campaign_view(world.now, &world.id()).expect("known");
        let counts = view.literature.expect("on").counts;
        let by = [
            (Effect::Helped, counts.helped),
            (Effect::NoEffect, counts.no_effect),
            (Effect::Hurt, counts.hurt),
        ];
        for (effect, count) in by {
            assert_eq!(count, u32::from(effect == want), "{metric:?}");
        }
        assert_eq!(counts.pending, 0);
    }
}

#[test]
fn p37_what_was_not_tried_settles_nothing() {
    let mut world = reading(&json!({}));
    add(&mut world, &[finding("warm up")]);
    world.propose(citing("a", "F1")).expect("queued");
    let campaign = world.id();
    let iteration = IterationNumber(2);
    world.ask(Ask::Cancel { campaign, iteration }).expect("it is open");
    let mut stopped = false;
    while let Some((worker, said)) = world.said.pop_front() {
        stopped = true;
        if let crate::harness::Said::Order(order) = said {
            world.end_on(&worker, &order.key, crate::harness::infra());
        }
    }
    assert!(stopped && marked(&world).is_empty(), "{:?}", marked(&world));
    // Its lever is held, and still rests on it.
    let told = world.explain_lever(1);
    assert!(told.contains("it rests on F1, On warm up: pending"), "{told}");
}

#[test]
fn p34_a_change_that_failed_is_rejected_unless_the_finding_says_why_it_differs() {
    let mut world = reading(&json!({}));
    let with_recipe = |change: &str, epochs: u32| {
        let mut value =
            with(change, "recipe", json!({"method": "warmup", "other_hparams": {"epochs": epochs}}));
        value["citations"] = json!([{"title": "t", "arxiv_id": "1810.13243"}]);
        value
    };
    add(&mut world, &[with_recipe("Warm up over 3 epochs.", 3)]);
    world.propose(citing("a", "F1")).expect("queued");
    world.finish("0.4");
    let differs = |text: &str| with("warm up over 3 epochs", "verdict_reason", json!(text));
    let cases = [
        (finding("warm up, over 3 epochs"), false),
        (with_recipe("the same recipe in other words", 3), false),
        (with_recipe("another recipe of the same paper", 5), true),
        (finding("warm up over 4 epochs"), true),
        (touching("warm up over 3 epochs"), true),
        (differs("it is different now"), false),
        (differs("F1 had no decay; there is one now"), true),
        (differs("unlike in iteration 2 the batch is large"), true),
        (differs("iteration 12 says so"), false),
    ];
    let from = gated(&world).len();
    add(&mut world, &cases.clone().map(|(finding, _)| finding));
    for ((verdict, reasons), (finding, is_kept)) in gated(&world)[from..].iter().zip(&cases) {
        assert_eq!(*verdict == Verdict::Keep, *is_kept, "{finding}: {reasons}");
        let names_it = reasons.contains("iteration 2 tested the same change for F1 (hurt)");
        assert_eq!(names_it, !is_kept, "{finding}: {reasons}");
    }
    let (rule, problem) = refused(&mut world, citing("b", "F1"));
    assert!(rule == "P34" && problem.contains("F1 was tested already: hurt"), "{problem}");
}

#[test]
fn p34_the_gate_is_asked_again_when_the_lever_is_pulled() {
    let mut world = reading(&json!({}));
    add(&mut world, &[finding("warm up"), finding("Warm up!"), finding("decay")]);
    for (name, basis) in [("a", "F1"), ("b", "F2"), ("c", "F3"), ("d", "F1")] {
        world.propose(citing(name, basis)).expect("queued");
    }
    world.finish("0.4");
    let (rule, detail) = stale(&world, 2);
    assert!(rule == "P34" && detail.contains("its finding F2 does not pass the gate any more"), "{detail}");
    // What does not repeat it goes on.
    world.finish("0.6");
    let (rule, detail) = stale(&world, 4);
    assert!(rule == "P34" && detail.contains("its finding F1 was tested already: hurt"), "{detail}");
    assert_eq!(marked(&world), [(1, Effect::Hurt, Some(2)), (3, Effect::Helped, Some(3))]);
}

#[test]
fn p37_what_helped_may_be_cited_again_and_stays_so() {
    let mut world = reading(&json!({}));
    add(&mut world, &[finding("warm up")]);
    world.propose(citing("a", "F1")).expect("queued");
    world.finish("0.6");
    world.propose(citing("b", "F1")).expect("it helped");
    world.finish("0.4");
    assert_eq!(marked(&world), [(1, Effect::Helped, Some(2))]);
}

#[test]
fn p37_p39_a_finding_is_tested_in_one_lane_at_a_time() {
    let mut world = World::empty();
    world.connect("w", cpus(2));
    submit(&mut world, &json!({"lanes": 2})).expect("a good campaign");
    world.finish("0.5");
    add(&mut world, &[finding("warm up"), finding("decay")]);
    world.propose(citing("a", "F1")).expect("queued");
    world.propose(citing("b", "F1")).expect("queued");
    let explained = world.explain_lever(2);
    assert!(explained.contains("it waits for iteration 2, which tests F1"), "{explained}");
    world.propose(citing("c", "F2")).expect("queued");
    assert_eq!(world.state().open.len(), 2, "the next in line has its turn");
    world.finish_of(3, "0.4");
    world.finish_of(2, "0.6");
    assert_eq!(world.open().lever, Some(LeverNumber(2)));
    world.finish("0.4");
}

#[test]
fn p36_another_architecture_retires_what_holds_for_the_old_one() {
    let mut world = reading(&json!({"architecture": "mlp"}));
    let scoped = [("a", "mlp"), ("b", "agnostic"), ("c", "vit"), ("d", "mlp"), ("e", "mlp")];
    let findings = scoped.map(|(change, scope)| (touching(change), scope));
    add_scoped(&mut world, &findings).expect("recorded");
    let stating = |name: &str, basis: &str, tag: &str| Lever {
        architecture: Some(tag.to_owned()),
        ..citing(name, basis)
    };
    world.propose(stating("same", "F1", "mlp")).expect("queued");
    world.finish("0.6");
    assert_eq!(marked(&world), [(1, Effect::Helped, Some(2))], "the same tag is no drift");
    world.propose(stating("lost", "F2", "vit")).expect("queued");
    world.finish("0.55");
    assert_eq!(marked(&world).len(), 2, "what is not kept changes no architecture");
    world.propose(stating("won", "F3", "vit")).expect("queued");
    world.propose(citing("late", "F4")).expect("queued while it held");
    world.finish("0.7");
    let now = marked(&world);
    assert_eq!(now[2..], [(3, Effect::Helped, Some(4)), (4, Effect::Stale, None), (5, Effect::Stale, None)]);
    let view = world.core.campaign_view(world.now, &world.id()).expect("known").literature.expect("on");
    assert_eq!((view.architecture.as_deref(), view.counts.stale), (Some("vit"), 2));
    let (rule, detail) = stale(&world, 4);
    assert!(rule == "P36" && detail.contains("F4 is stale"), "{detail}");
    assert_eq!(refused(&mut world, citing("again", "F5")).0, "P36");
}

#[test]
fn p36_a_finding_that_three_iterations_in_a_row_leave_alone_is_stale() {
    let mut world = reading(&json!({}));
    add(&mut world, &[finding("left alone"), touching("touched"), finding("in line")]);
    for name in ["a", "b"] {
        world.propose(aside(name)).expect("queued");
        world.finish("0.4");
    }
    assert_eq!(marked(&world), []);
    world.propose(aside("c")).expect("queued");
    world.propose(citing("waits", "F3")).expect("queued");
    world.propose(aside("d")).expect("queued");
    world.finish("0.4");
    // F2 was left alone too: nobody touched its file. F3 stands in line.
    assert_eq!(marked(&world), [(1, Effect::Stale, None), (2, Effect::Stale, None)]);
    world.finish("0.4");
    world.finish("0.4");
    assert_eq!(marked(&world)[2..], [(3, Effect::Hurt, Some(5))]);
    // What a lever touches begins anew, and so does what comes later.
    add(&mut world, &[touching("touched again"), finding("cited")]);
    for name in ["e", "f"] {
        world.propose(aside(name)).expect("queued");
        world.finish("0.4");
    }
    world.propose(citing("g", "F5")).expect("queued, and touches train.py");
    world.finish("0.4");
    for name in ["h", "i"] {
        world.propose(aside(name)).expect("queued");
        world.finish("0.4");
    }
    assert_eq!(marked(&world)[3..], [(5, Effect::Hurt, Some(9))]);
    world.propose(aside("j")).expect("queued");
    world.finish("0.4");
    assert_eq!(marked(&world)[4..], [(4, Effect::Stale, None)]);
}

#[test]
fn p36_what_was_open_before_a_finding_came_does_not_age_it() {
    let mut world = reading(&json!({}));
    world.propose(aside("a")).expect("queued");
    add(&mut world, &[finding("late")]);
    world.finish("0.4");
    assert_eq!(world.state().literature.kept[&FindingNumber(1)].untouched, 0);
    world.propose(aside("b")).expect("queued");
    world.finish("0.4");
    assert_eq!(world.state().literature.kept[&FindingNumber(1)].untouched, 1);
}

#[test]
fn p38_a_swing_and_every_tenth_iteration_look_at_headroom() {
    let probe = serde_json::to_value(row("headroom")).expect("a row");
    let other = serde_json::to_value(row("gradients")).expect("a row");
    let mut world = reading(&json!({"diagnostics": [other, probe]}));
    let has_probe = |world: &World| world.open().plan.iter().any(|row| row.dimension == "headroom");
    world.propose(Lever { kind: Kind::Ablation, ..citing("two", "none") }).expect("queued");
    assert!(!has_probe(&world), "a change looks at what it says");
    world.finish("0.4");
    add(&mut world, &[finding("swing"), finding("own")]);
    world.propose(Lever { kind: Kind::Swing, ..citing("three", "F1") }).expect("queued");
    assert!(has_probe(&world));
    world.finish("0.4");
    let analysis = vec![row("four"), Deliverable { question: "mine?".to_owned(), ..row("headroom") }];
    world.propose(Lever { kind: Kind::Swing, analysis, ..citing("four", "F2") }).expect("queued");
    let own: Vec<_> = world.open().plan.iter().filter(|row| row.dimension == "headroom").collect();
    assert_eq!(own.len(), 1, "one that a lever brings is enough");
    assert_eq!(own[0].question, "mine?");
    world.finish("0.4");
    for number in 5..=11 {
        world.propose(aside(&format!("number {number}"))).expect("queued");
        assert_eq!(has_probe(&world), number == 10, "iteration {number}");
        world.finish("0.4");
    }
    // Where there is none, a swing is told so.
    let mut world = reading(&json!({}));
    add(&mut world, &[finding("swing")]);
    let swing = Lever { kind: Kind::Swing, ..citing("a", "F1") };
    let (_, warnings) = world.propose_with(swing, |_| {}).expect("queued");
    assert!(warnings.iter().any(|warning| warning.starts_with("P38: ")), "{warnings:?}");
    world.finish("0.4");
}

#[test]
fn p23_with_literature_a_conclusion_says_whether_the_ceiling_is_near() {
    let mut world = reading(&json!({}));
    let conclusion = |ceiling_near| {
        Box::new(Conclusion {
            finding: "it is flat".to_owned(),
            bullets: vec!["one".to_owned(), "two".to_owned(), "three".to_owned()],
            deliverables: vec![(crate::harness::path("log_facts.tsv"), Shown::AsHelped)],
            automatic: false,
            examined: "the log".to_owned(),
            ceiling_near,
            anchor: None,
        })
    };
    let ask = |world: &mut World, ceiling_near| {
        let delivered = [crate::harness::path("log_facts.tsv")].into();
        let (campaign, iteration) = (world.id(), IterationNumber(1));
        world.ask(Ask::Conclude { campaign, iteration, conclusion: conclusion(ceiling_near), delivered })
    };
    let refusal = ask(&mut world, None).expect_err("it does not say");
    assert!(refusal.rule() == Some("P23") && refusal.to_string().contains("ceiling_near"), "{refusal}");
    ask(&mut world, Some(false)).expect("it says so");
    let mut off = World::based(&json!({}));
    ask(&mut off, None).expect("nobody asks");
    // An automatic one has the facts, and no judgement.
    world.propose(aside("a")).expect("queued");
    world.finish("0.4");
    let automatic = world.bodies().filter_map(|body| match body {
        Body::ConclusionWritten { conclusion, .. } if conclusion.automatic => Some(conclusion),
        _ => None,
    });
    let last = automatic.last().expect("composed");
    let said = "whether the ceiling is near was not judged; the last gain was iteration 1, 1 before this one";
    assert!(last.bullets.iter().any(|bullet| bullet == said), "{:?}", last.bullets);
    assert_eq!(last.ceiling_near, None);
}

#[test]
fn p24_an_idle_campaign_says_which_findings_can_be_cited() {
    let mut world = reading(&json!({}));
    let waits = |world: &World, words: &str| {
        let wait = world.waits_for();
        assert!(wait.starts_with("a lever: ") && wait.ends_with(words), "{wait}");
    };
    waits(&world, "no review of the literature is there: `windlass findings add` records one");
    add(&mut world, &[]);
    waits(&world, "the last review kept no finding, so that it may say `literature: none`");
    add(&mut world, &[finding("warm up"), finding("decay")]);
    waits(&world, "; F1, F2 can be cited");
    for (name, basis) in [("a", "F1"), ("b", "F2")] {
        world.propose(citing(name, basis)).expect("queued");
        world.finish("0.4");
    }
    waits(&world, "no kept finding is left to cite: `windlass findings add` records a review");
}

#[test]
fn p1_findings_come_along_with_the_queue_of_a_baseline_that_crashed() {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    submit(&mut world, &json!({})).expect("a good campaign");
    add_scoped(
        &mut world,
        &[(with("b", "evidence", json!({"strength": "weak"})), "agnostic"), (finding("warm up"), "mlp")],
    )
    .expect("recorded");
    world.propose(citing("a", "F2")).expect("queued");
    world.run_ends(crash());
    submit(&mut world, &json!({})).expect("again");
    let kept = &world.state().literature.kept;
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), [FindingNumber(2)], "under its number");
    assert_eq!(kept[&FindingNumber(2)].scope.as_str(), "mlp");
    world.finish("0.5");
    world.finish("0.6");
    assert_eq!(marked(&world), [(2, Effect::Helped, Some(2))]);
    add(&mut world, &[finding("next")]);
    assert!(world.state().literature.kept.contains_key(&FindingNumber(3)), "numbers go on");
}
