//! Proposals that rules refuse: what the ledger keeps of them, and that it cannot be flooded with them. Rows of
//! other ledgers that a lever cites (P24).

use crate::harness::{World, lever};
use serde_json::json;
use windlass_engine::core::{Ask, Input};
use windlass_engine::gate::facts::{CitedPlace, Look};
use windlass_shared::access::{Grant, Viewer};
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::foreign::{Foreign, ForeignRow};
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber};
use windlass_shared::lever::{Citation, CitedRow, Lever};
use windlass_shared::record::{Answer, Body, RefusedLever};
use windlass_shared::refusal::Refusal;

fn refused(world: &World) -> Vec<RefusedLever> {
    let of = |body: &Body| match body {
        Body::LeverRefused { proposal } => Some((**proposal).clone()),
        _ => None,
    };
    world.bodies().filter_map(of).collect()
}

/// A proposal whose anchor is nowhere.
fn unfounded(world: &mut World, name: &str) -> Refusal {
    world.propose_with(lever(name), |facts| facts.look = Look::NoMatch).expect_err("no line matches")
}

#[test]
fn p24_a_refused_proposal_is_recorded_with_rule_reason_and_the_evidence_looked_at() {
    let mut world = World::based(&json!({}));
    let before = (world.state().next_lever(), world.state().queue.clone());
    let refusal = unfounded(&mut world, "a");
    let kept = refused(&world);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].problems, [refusal.as_problem()]);
    assert_eq!((kept[0].title.as_str(), kept[0].evidence), ("a", Some(IterationNumber(1))));
    assert!(kept[0].anchor.as_ref().is_some_and(|anchor| anchor.contains("curve.tsv: /slope")), "{kept:?}");
    let view = world.core.campaign_view(world.now, &world.id()).expect("known");
    let shown = view.refused.expect("shown");
    assert_eq!((shown.recorded, shown.title.as_str(), shown.rule.as_deref()), (1, "a", Some("P6")));
    assert_eq!((world.state().next_lever(), world.state().queue.clone()), before, "nothing else changed");
    // It took no number and no place: the same lever, better founded, is taken.
    assert_eq!(world.propose(lever("a")), Ok(LeverNumber(1)));
    world.take();
}

#[test]
fn i18_refused_proposals_cannot_outgrow_what_the_campaign_does() {
    let mut world = World::based(&json!({}));
    let most = RefusedLever::BETWEEN_MAX as usize;
    for round in 1..=3 {
        for n in 0..3 * most {
            unfounded(&mut world, &format!("refused {round} {n}"));
        }
        assert_eq!(refused(&world).len(), round * most, "the rest is answered and not recorded");
        // A lever that is taken makes room, and so does its turn; here both come at once.
        world.propose(lever(&format!("taken {round}"))).expect("queued");
        world.finish("0.4");
    }
}

#[test]
fn i13_what_no_rule_refuses_and_what_a_stopped_campaign_refuses_is_not_recorded() {
    let mut world = World::based(&json!({}));
    let (campaign, proposed) = (world.id(), Box::new(lever("a")));
    let feed = |world: &mut World, refusal: Refusal| {
        let (campaign, lever) = (campaign.clone(), proposed.clone());
        world.feed(Input::Refused { campaign, lever, refusal }).expect("noting is not refused");
        refused(world).len()
    };
    assert_eq!(feed(&mut world, Refusal::FactsMoved), 0);
    assert_eq!(feed(&mut world, Refusal::NotFound { what: "blob", name: "b".to_owned() }), 0);
    let frozen = Refusal::Frozen { path: "evaluate.py".to_owned() };
    assert_eq!(feed(&mut world, frozen.clone()), 1, "the control");
    world.ask(Ask::Stop(campaign.clone())).expect("stopped");
    assert_eq!(feed(&mut world, frozen), 1);
}

#[test]
fn p12_an_output_may_bear_the_name_of_the_anchors_file() {
    // That file belongs to an earlier iteration. Where the best has moved the anchor is looked up under this very
    // name (P7), so that whoever measures the same again must be able to call it so.
    let mut world = World::based(&json!({}));
    let mut again = lever("a");
    let file = again.anchor.as_ref().expect("it has one").file.clone();
    again.analysis[0].output = file.clone();
    world.propose(again).expect("taken");
    assert_eq!(world.open().plan[0].output, file);
    world.take();
}

/// A ledger of one kept row.
fn old_work(world: &mut World, owner: Option<&str>) -> CampaignId {
    let row = ForeignRow {
        iteration: IterationNumber(7),
        metric: Decimal::parse("0.93"),
        status: Status::Keep,
        summary: "it helped".to_owned(),
        description: "momentum".to_owned(),
        notes: std::collections::BTreeMap::new(),
    };
    let ledger = Foreign {
        name: "old".to_owned(),
        metric: "val_acc".to_owned(),
        direction: Direction::Maximize,
        columns: vec!["iter".to_owned(), "val_acc".to_owned(), "status".to_owned()],
        source: "old.tsv".to_owned(),
        rows: vec![row],
    };
    let owner = owner.map(str::to_owned);
    match world.ask(Ask::Import { ledger: Box::new(ledger), owner }).expect("imported") {
        Answer::Campaign { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn citing(campaign: &str, iteration: u32) -> Lever {
    let cites = vec![Citation { campaign: campaign.to_owned(), iteration: IterationNumber(iteration) }];
    Lever { cites, ..lever("a") }
}

#[test]
fn p24_a_lever_cites_rows_of_ledgers_that_its_proposer_may_see() {
    let mut world = World::based(&json!({}));
    let own = world.id();
    let old = old_work(&mut world, Some("ada"));
    let place = CitedPlace {
        campaign: old.clone(),
        metric_name: "val_acc".to_owned(),
        iteration: IterationNumber(7),
    };
    let bob = Viewer::Client("bob".to_owned());
    let ada = Viewer::Client("ada".to_owned());
    let found = |viewer: &Viewer, lever: &Lever| world.core.cited_places(viewer, lever);
    for viewer in [&Viewer::Admin, &ada] {
        assert_eq!(found(viewer, &citing("old", 7)), Ok(vec![place.clone()]));
        assert_eq!(found(viewer, &lever("none")), Ok(Vec::new()));
        let refusal = found(viewer, &citing("old", 8)).expect_err("no such row");
        assert_eq!(refusal.rule(), Some("P24"));
        assert!(refusal.to_string().contains("cites[0]: iteration 8 of"), "{refusal}");
        assert!(refusal.remedy().is_some_and(|remedy| remedy.contains("windlass results")));
    }
    let hidden = found(&bob, &citing("old", 7)).expect_err("not bob's to see").to_string();
    let absent = found(&bob, &citing("odd", 7)).expect_err("not there").to_string();
    assert_eq!(hidden.replace("old", "odd"), absent, "what is hidden is not there");
    assert!(found(&Viewer::Admin, &citing(own.as_str(), 1)).is_ok(), "also rows that were run here");
    let shared = Some(Grant::Read);
    world.ask(Ask::Share { campaign: old.clone(), with: "bob".to_owned(), share: shared }).expect("shared");
    assert_eq!(world.core.cited_places(&bob, &citing("old", 7)), Ok(vec![place]), "the control");
    world.campaign = Some(own);
}

#[test]
fn p24_what_a_cited_row_said_is_in_the_ledger_and_comes_along_to_a_repaired_campaign() {
    let row = CitedRow {
        campaign: CampaignId("old-1a2b3c".to_owned()),
        iteration: IterationNumber(7),
        status: Status::Keep,
        metric_name: "val_acc".to_owned(),
        metric: Decimal::parse("0.93"),
        description: "momentum".to_owned(),
    };
    assert_eq!(row.to_string(), "old-1a2b3c iteration 7: keep momentum (val_acc 0.93)");
    let mut world = World::with(&json!({"fix_wait": "0 s"}));
    let cited = vec![row.clone()];
    let given = cited.clone();
    world.propose_with(citing("old", 7), |facts| facts.cited = given).expect("queued");
    world.run_ends(crate::harness::crash());
    world.submit("digits", &json!({})).expect("submitted again");
    let queued = world.bodies().filter_map(|body| match body {
        Body::LeverQueued { cited, .. } => Some(cited.clone()),
        _ => None,
    });
    assert_eq!(queued.collect::<Vec<_>>(), [cited.clone(), cited], "P1: the queue is taken along whole");
    world.take();
}

#[test]
fn i18_a_lever_cites_eight_rows_at_most() {
    let many = Lever { cites: vec![citing("old", 7).cites.remove(0); 9], ..lever("a") };
    let editable = windlass_engine::gate::editable::Editable::new(&["*.py".to_owned()]).expect("patterns");
    let problems = windlass_engine::gate::lever::problems(&many, &editable);
    assert!(problems.iter().any(|problem| matches!(problem, Refusal::TooMuch { figure: 9, limit: 8, .. })));
}
