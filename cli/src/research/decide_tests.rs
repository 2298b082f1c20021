//! What comes next in each situation of a campaign.

use super::super::state::Flight;
use super::*;
use crate::history;
use serde_json::{Value, json};

/// The page, with some of its keys changed.
fn view(change: Value) -> CampaignView {
    let mut view: Value = serde_json::from_str(include_str!("../../tests/view.json")).expect("a view");
    let changes = change.as_object().expect("keys").clone();
    view.as_object_mut().expect("an object").extend(changes);
    serde_json::from_value(view).expect("the current form")
}

/// The story as far as the record of this number.
fn story(last: u64) -> Story {
    let records = history::test_records();
    let told: Vec<_> = records.into_iter().filter(|record| record.seq <= last).collect();
    Story::project(&told).expect("a campaign was created")
}

fn with_flight(lever: u32) -> State {
    let title = "a lever".to_owned();
    State { flight: Some(Flight { lever, title }), ..State::new("digits-0a1b2c") }
}

fn waiting(lever: Value, what: &str) -> Value {
    json!({"lanes": [{"iteration": 4, "lever": lever, "title": "t", "stage": "waiting", "attempt": null,
        "wait": {"what": what, "until_wall_ms": 0, "problem": "p", "remedy": "r", "log_tail": ""}}]})
}

const RESTS: u64 = 32;
const ALL: u64 = 1_000;

#[test]
fn p24_a_lever_is_asked_for_on_the_latest_analysed_evidence_and_the_best_tree() {
    let view = view(json!({}));
    let step = next(&view, &story(RESTS), &State::new("digits-0a1b2c"));
    // The crash after it has no evidence of its own.
    assert_eq!(step, Step::Ask { ask: Ask::Propose, iteration: 2, base: view.best_tree });
}

#[test]
fn p1_nothing_is_asked_before_the_baseline_is_decided_nor_while_the_campaign_is_paused() {
    let new = State::new("digits-0a1b2c");
    let Step::Wait(why) = next(&view(json!({})), &story(5), &new) else { panic!("it waits") };
    assert!(why.contains("P1"), "{why}");
    let paused = view(json!({"state": {"state": "paused", "reason": "owner"}}));
    assert!(matches!(next(&paused, &story(RESTS), &new), Step::Wait(_)));
}

#[test]
fn p32_only_a_stopped_campaign_ends_it_and_says_where_research_goes_on() {
    let new = State::new("digits-0a1b2c");
    let stopped = view(json!({"state": {"state": "stopped", "reason": "owner"}}));
    assert!(matches!(next(&stopped, &story(ALL), &new), Step::End(_)));
    let replaced = view(json!({"state": {"state": "stopped", "reason": {"replaced": {"by": "digits-2"}}}}));
    let Step::End(why) = next(&replaced, &story(ALL), &new) else { panic!("it ends") };
    assert!(why.contains("windlass research digits-2"), "{why}");
}

#[test]
fn its_own_lever_is_followed_to_its_end_before_another_is_asked_for() {
    let page = view(json!({}));
    let check = |lever: u32, last: u64, want: fn(&Step) -> bool| {
        let step = next(&page, &story(last), &with_flight(lever));
        assert!(want(&step), "L{lever} up to {last}: {step:?}");
    };
    // Not told of yet, in line, running.
    check(9, ALL, |step| matches!(step, Step::Wait(_)));
    check(4, RESTS, |step| matches!(step, Step::Wait(_)));
    check(4, ALL, |step| matches!(step, Step::Wait(_)));
    // Gone without a test; crashed; decided with evidence, which is concluded first.
    check(3, ALL, |step| matches!(step, Step::Landed { iteration: None, .. }));
    check(2, ALL, |step| matches!(step, Step::Landed { iteration: Some(IterationNumber(3)), .. }));
    let decided = next(&page, &story(RESTS), &with_flight(1));
    let automatic =
        story(RESTS).iterations[&IterationNumber(2)].conclusion.as_ref().is_some_and(|it| it.automatic);
    match automatic {
        true => assert!(matches!(decided, Step::Ask { ask: Ask::Conclude, iteration: 2, .. }), "{decided:?}"),
        false => assert!(matches!(decided, Step::Landed { iteration: Some(_), .. }), "{decided:?}"),
    }
    let concluded = State { concluded: 2, ..with_flight(1) };
    assert!(matches!(next(&page, &story(RESTS), &concluded), Step::Landed { iteration: Some(_), .. }));
}

#[test]
fn p19_help_is_asked_for_once_after_each_attempt_and_for_its_own_lever_alone() {
    let own = with_flight(4);
    let fix = |state: &State| next(&view(waiting(json!(4), "fix")), &story(ALL), state);
    assert!(matches!(fix(&own), Step::Ask { ask: Ask::Fix, iteration: 4, .. }));
    let tries = tries(&story(ALL).iterations[&IterationNumber(4)]);
    assert!(matches!(fix(&State { helped: Some((4, tries)), ..own.clone() }), Step::Wait(_)));
    assert!(matches!(fix(&State { helped: Some((4, tries - 1)), ..own.clone() }), Step::Ask { .. }));
    // Another's lever is another's to repair: this one goes on with its own.
    let other = next(&view(waiting(json!(4), "fix")), &story(ALL), &State::new("digits-0a1b2c"));
    assert!(matches!(other, Step::Ask { ask: Ask::Propose, .. }), "{other:?}");
    let conclude = next(&view(waiting(json!(4), "conclusion")), &story(ALL), &own);
    assert!(matches!(conclude, Step::Ask { ask: Ask::Conclude, iteration: 4, .. }), "{conclude:?}");
    let asked = State { concluded: 4, ..own };
    assert!(matches!(next(&view(waiting(json!(4), "conclusion")), &story(ALL), &asked), Step::Wait(_)));
}
