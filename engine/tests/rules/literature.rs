//! Literature (P33, P34, P37): the evidence gate, and the basis of a lever. What becomes of findings is in
//! [`findings`](crate::findings).

use crate::harness::{World, bindings, cpus, lever, row, workspace};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_shared::bindings::Dial;
use windlass_shared::id::{FindingNumber, LeverNumber};
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::literature::{self, Effect, Scope, Verdict};
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Answer, Body, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

/// A finding that is kept.
pub fn finding(change: &str) -> Value {
    json!({
        "question": "what helps?", "abstraction_level": 2, "claim": format!("{change} helps"),
        "evidence": {"strength": "moderate"},
        "citations": [{"title": format!("On {change}"), "doi": format!("10.1/{}", change.replace(' ', "-"))}],
        "applicability_to_our_setup": "the same data, model and budget",
        "proposed_change": change, "how_to_verify": "the loss falls", "verdict": "keep",
    })
}

pub fn with(change: &str, key: &str, value: Value) -> Value {
    let mut finding = finding(change);
    finding[key] = value;
    finding
}

/// The same change; its files are the one that every test lever touches.
pub fn touching(change: &str) -> Value {
    with(change, "files_to_edit", json!(["./train.py"]))
}

/// A campaign with literature, its baseline decided at 0.5.
pub fn reading(windlass: &Value) -> World {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    submit(&mut world, windlass).expect("a good campaign");
    world.finish("0.5");
    world
}

pub fn submit(world: &mut World, windlass: &Value) -> Result<Answer, Refusal> {
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

pub fn add_scoped(world: &mut World, findings: &[(Value, &str)]) -> Result<Answer, Refusal> {
    let documents: Vec<&Value> = findings.iter().map(|(finding, _)| finding).collect();
    let review = json!({"iteration": 2, "findings": documents}).to_string();
    let review = Box::new(literature::read(review.as_bytes()).expect("the published shape"));
    let scopes = findings.iter().map(|(_, scope)| Scope::parse(scope).expect("a scope")).collect();
    let campaign = world.id();
    world.ask(Ask::AddFindings { campaign, review, scopes })
}

pub fn add(world: &mut World, findings: &[Value]) {
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
pub fn marked(world: &World) -> Vec<(u32, Effect, Option<u32>)> {
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

pub fn citing(name: &str, basis: &str) -> Lever {
    Lever { literature: Some(basis.to_owned()), ..lever(name) }
}

/// A lever that may say `none` and leaves every finding alone.
pub fn aside(name: &str) -> Lever {
    let files = vec![crate::harness::path("other.py")];
    Lever { kind: Kind::Ablation, files, ..citing(name, "none") }
}

pub fn refused(world: &mut World, lever: Lever) -> (&'static str, String) {
    match world.propose(lever).expect_err("refused") {
        Refusal::Lever { rule, field, problem } => {
            assert_eq!(field, "literature");
            (rule, problem)
        }
        other => panic!("{other:?}"),
    }
}

pub fn stale(world: &World, lever: u32) -> (String, String) {
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
