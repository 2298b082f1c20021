//! The move scheduler (P11).

use crate::harness::{World, lever};
use serde_json::{Value, json};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::refusal::Refusal;

fn of_kind(name: &str, kind: Kind) -> Lever {
    Lever { kind, ..lever(name) }
}

fn scheduled(swing_budget: u32, stagnation_limit: u32) -> Value {
    json!({"move_scheduler": {"swing_budget": swing_budget, "stagnation_limit": stagnation_limit}})
}

fn open(world: &World) -> Option<u32> {
    world.state().open.values().next().and_then(|open| open.lever).map(|lever| lever.0)
}

#[test]
fn p11_the_first_levers_are_swings_and_after_the_limit_of_exploits_comes_another() {
    let mut world = World::based(&scheduled(1, 2));
    for (name, kind) in [
        ("a", Kind::Exploit),
        ("b", Kind::Change),
        ("c", Kind::Swing),
        ("d", Kind::Simplification),
        ("e", Kind::Swing),
    ] {
        world.propose(of_kind(name, kind)).expect("queued");
    }
    // The swing overtakes; those before it wait, and have not been passed over (P9).
    assert_eq!(open(&world), Some(3));
    assert_eq!(world.state().levers[&LeverNumber(1)].passes, 0);
    for next in [Some(1), Some(2), Some(5), Some(4), None] {
        world.finish("0.4");
        assert_eq!(open(&world), next);
    }
}

#[test]
fn p11_p24_an_exploit_waits_and_says_for_what() {
    let mut world = World::based(&scheduled(2, 1));
    world.propose(of_kind("a", Kind::Change)).expect("queued");
    assert_eq!(open(&world), None);
    let wait = "for a swing: the first 2 levers are swings, and 0 of them were pulled";
    assert_eq!(world.waits_for(), format!("L1 {wait}"));
    assert!(world.explain_lever(1).contains(&format!("its move waits {wait}")));
    let moves = world.core.campaign_view(world.now, &world.id()).expect("known").moves.expect("scheduled");
    assert_eq!((moves.swings, moves.swing_budget, moves.allowed), (0, 2, vec!["swing".to_owned()]));
    let mut world = World::based(&scheduled(1, 1));
    world.propose(of_kind("a", Kind::Change)).expect("queued");
    assert_eq!(world.waits_for(), "L1 for a swing: the first lever is to be one");
    // Where nothing is scheduled any move goes.
    let mut world = World::based(&json!({}));
    world.propose(of_kind("a", Kind::Change)).expect("queued");
    assert_eq!(open(&world), Some(1));
    world.finish("0.4");
}

#[test]
fn p11_a_merge_names_measured_iterations_of_this_campaign() {
    let mut world = World::based(&scheduled(0, 9));
    world.propose(of_kind("a", Kind::Swing)).expect("queued");
    world.finish("0.6");
    let merge = |parents: &[u32]| Lever {
        parents: parents.iter().map(|number| IterationNumber(*number)).collect(),
        ..of_kind("m", Kind::Merge)
    };
    for (parents, words) in [(&[][..], "is missing"), (&[1, 7], "not decided")] {
        match world.propose(merge(parents)).expect_err("refused") {
            Refusal::Lever { rule, problem, .. } => {
                assert!(rule == "P11" && problem.contains(words), "{parents:?}: {problem}");
            }
            other => panic!("{parents:?}: {other:?}"),
        }
    }
    world.propose(merge(&[1, 2])).expect("both were measured here");
    world.finish("0.4");
}
