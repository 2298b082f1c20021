//! What becomes of findings as iterations are decided (P36 to P38), and what a campaign says of them (P23, P24).

use crate::harness::{World, cpus, crash, row};
use crate::literature::{
    add, add_scoped, aside, citing, finding, marked, reading, refused, stale, submit, touching, with,
};
use serde_json::json;
use windlass_engine::core::Ask;
use windlass_shared::conclusion::{Conclusion, Verdict as Shown};
use windlass_shared::id::{FindingNumber, IterationNumber, LeverNumber};
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::literature::Effect;
use windlass_shared::plan::Deliverable;
use windlass_shared::record::Body;

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
