//! What findings may take of the coordinator's memory (I18), and what is left of them when a campaign stops.

use crate::harness::{World, bindings, cpus, workspace};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_shared::bindings::Dial;
use windlass_shared::literature::{self, Scope};
use windlass_shared::record::Answer;
use windlass_shared::refusal::Refusal;

/// A campaign with literature, its baseline decided.
fn reading() -> World {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    let mut bindings = Box::new(bindings(&json!({})));
    bindings.literature = Dial::On;
    let (name, tree) = ("digits".to_owned(), workspace());
    world.ask(Ask::Create { name, bindings, tree, cap: None, git: None, owner: None }).expect("good");
    world.finish("0.5");
    world
}

/// Findings that are as long as one may be, or short ones, kept or rejected.
fn findings(strength: &str, first: usize, count: usize, long: bool) -> Vec<Value> {
    let text = |word: &str| if long { word.repeat(7_000 / word.len()) } else { word.to_owned() };
    let one = |number: usize| {
        let citation = json!({"title": text("on it "), "doi": "10.1/x", "snippet": text("they say ")});
        json!({
            "question": "what helps?", "abstraction_level": 2, "claim": text("it helps "),
            "evidence": {"strength": strength},
            "citations": vec![citation; if long { 4 } else { 1 }],
            "applicability_to_our_setup": "the same data, model and budget",
            "proposed_change": format!("change {number}"), "how_to_verify": "the loss falls", "verdict": "keep",
        })
    };
    (first..first + count).map(one).collect()
}

fn add(world: &mut World, findings: &[Value]) -> Result<Answer, Refusal> {
    let review = json!({"iteration": 2, "findings": findings}).to_string();
    let review = Box::new(literature::read(review.as_bytes()).expect("the published shape"));
    let scopes = vec![Scope::parse("agnostic").expect("a scope"); findings.len()];
    let campaign = world.id();
    world.ask(Ask::AddFindings { campaign, review, scopes })
}

/// How many findings were taken, and the words of the refusal that came then.
fn fill(world: &mut World, strength: &str, long: bool, per_review: usize, most: usize) -> (usize, String) {
    for first in (0..most).step_by(per_review) {
        if let Err(refusal) = add(world, &findings(strength, first, per_review, long)) {
            assert_eq!(refusal.rule(), Some("I18"), "{refusal}");
            return (first, refusal.to_string());
        }
    }
    panic!("nothing stops it");
}

#[test]
fn i18_findings_that_wait_are_bounded_by_their_number_and_by_their_bytes() {
    let mut world = reading();
    world.is_long = true;
    let (taken, said) = fill(&mut world, "moderate", false, 50, 2_000);
    assert_eq!(taken, 1_000, "{said}");
    let mut world = reading();
    world.is_long = true;
    let (taken, said) = fill(&mut world, "moderate", true, 16, 2_000);
    assert!((100..200).contains(&taken) && said.contains("in bytes"), "{taken}: {said}");
    add(&mut world, &findings("weak", taken, 16, true)).expect("what is rejected does not wait");
}

#[test]
fn a_campaign_that_stops_keeps_how_its_findings_ended_and_lets_their_texts_go() {
    let mut world = reading();
    add(&mut world, &findings("moderate", 0, 3, true)).expect("kept");
    add(&mut world, &findings("weak", 3, 2, false)).expect("rejected");
    let counts = |world: &World| {
        let id = world.id();
        let view = world.core.campaign_view(world.now, &id).expect("it is there");
        view.literature.expect("it is on").counts
    };
    let before = counts(&world);
    assert_eq!((before.pending, before.rejected), (3, 2));
    let campaign = world.id();
    world.ask(Ask::Stop(campaign)).expect("stopped");
    assert!(world.state().literature.kept.is_empty());
    assert_eq!(counts(&world), before);
    let refusal = add(&mut world, &findings("moderate", 5, 1, false)).expect_err("it has stopped");
    assert!(refusal.to_string().contains("stopped"), "{refusal}");
}
