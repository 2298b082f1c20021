//! `explain` says of every attempt that waits what it waits for, and who is before it: one case for each reason.

use crate::harness::{Fake, GIB, World, cpus, crash, gpu, infra, lever};
use serde_json::{Value, json};
use windlass_engine::core::{Ask, Observation};
use windlass_engine::explain::{Subject, explain};
use windlass_shared::attempt::Kind;
use windlass_shared::device::DeviceState;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::quota::Quota;

/// What is said of the open iteration of a campaign.
fn told(world: &World, campaign: &CampaignId) -> String {
    let number = *world.core.campaign(campaign).expect("known").open.keys().next().expect("one is open");
    let subject = Subject::Iteration(number, Vec::new());
    let told = explain(&world.core, world.now, campaign.as_str(), &subject).expect("known");
    told.sentences.into_iter().map(|sentence| sentence.text).collect::<Vec<_>>().join("\n")
}

/// A scene in which a campaign with this block waits, and the words that say for what.
struct Case {
    windlass: Value,
    scene: fn(&mut World),
    words: &'static [&'static str],
}

fn case(windlass: Value, scene: fn(&mut World), words: &'static [&'static str]) -> Case {
    Case { windlass, scene, words }
}

fn two_gpus(world: &mut World) {
    let mut fake = Fake::new("g", vec![gpu("GPU-1", "A100", 40 * GIB), gpu("GPU-2", "A100", 40 * GIB)]);
    fake.info.memory_bytes = Some(64 * GIB);
    fake.info.cpus = 16;
    world.join(fake);
}

fn state(world: &mut World, state: DeviceState) {
    for device in &mut world.fake("w").devices {
        device.state = state.clone();
    }
    world.report("w");
}

#[test]
fn every_wait_for_the_fleet_says_for_what_and_who_is_before_it() {
    let one = |world: &mut World| world.connect("w", cpus(1));
    let cases = [
        case(json!({}), |_| {}, &["a worker: none is connected"]),
        case(
            json!({}),
            |world| {
                world.connect("w", cpus(1));
                world.ask(Ask::Drain("w".into())).expect("drained");
            },
            &["host-w is drained", "its owner asked; `windlass undrain host-w` ends that"],
        ),
        case(json!({"resources": {"labels": ["fast"]}}), one, &["lacks the label fast"]),
        case(json!({"secrets": ["TOKEN"]}), one, &["the secret TOKEN", "--secret TOKEN"]),
        case(json!({"sandbox": "sealed"}), one, &["none of 1 can", "`sealed`"]),
        case(json!({"resources": {"gpus": 1}}), one, &["1 free GPU", "has not as many GPUs"]),
        case(
            json!({"resources": {"gpus": 1, "gpu_model": "H200"}}),
            two_gpus,
            &["of a model like H200", "GPU-1 is a A100"],
        ),
        case(json!({"resources": {"gpus": 1, "gpu_memory": 80 * GIB}}), two_gpus, &["GPU-1 has 40 GiB"]),
        case(json!({"resources": {"gpus": 1, "memory": 128 * GIB}}), two_gpus, &["128 GiB of memory"]),
        case(
            json!({}),
            |world| {
                world.connect("w", cpus(1));
                state(world, DeviceState::Quarantined { reason: "memory is not back".to_owned() });
            },
            &["in quarantine", "cpu-0 is quarantined [I9], memory is not back"],
        ),
        case(
            json!({}),
            |world| {
                world.connect("w", cpus(1));
                state(world, DeviceState::Outsider { who: "pid 7".to_owned() });
            },
            &["used by a process that is not ours, pid 7"],
        ),
        case(
            json!({}),
            |world| {
                let mut fake = Fake::new("w", cpus(1));
                fake.info.unwilling = Some("its disk is full".to_owned());
                world.join(fake);
            },
            &["by its own word, its disk is full"],
        ),
        case(
            json!({}),
            |world| {
                world.connect("w", cpus(1));
                world.observe(Observation::Room(Err("0.5 GiB left".to_owned())));
            },
            &["room on the coordinator's disk: 0.5 GiB left"],
        ),
        case(
            json!({}),
            |world| {
                world.connect("w", cpus(1));
                world.observe(Observation::Disconnected("w".into()));
            },
            &["its connection broke"],
        ),
    ];
    let mut unsaid = Vec::new();
    for Case { windlass, scene, words } in cases {
        let mut world = World::empty();
        scene(&mut world);
        world.submit("waits", &windlass).expect("created");
        let text = told(&world, &world.id());
        let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
        if !missing.is_empty() {
            unsaid.push(format!("{windlass}: {missing:?} is not in\n{text}"));
        }
        assert!(text.contains("no other campaign that waits for a device comes before it"), "{text}");
        // Another of a higher priority that waits too is named.
        let waits = world.id();
        let urgent = json!({"priority": 5, "resources": {"labels": ["nowhere"]}});
        world.submit("urgent", &urgent).expect("created");
        let text = told(&world, &waits);
        let before = format!("campaign {} comes first: its priority is higher", world.id());
        assert!(text.contains(&before), "{windlass}: {before} is not in\n{text}");
        world.said.clear();
    }
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n\n"));
}

#[test]
fn a_wait_for_what_others_hold_names_them() {
    let mut world = World::empty();
    world.connect("w", cpus(2));
    let mut ids = Vec::new();
    for (name, windlass) in
        [("first", json!({})), ("large", json!({"resources": {"cpus": 2}})), ("small", json!({}))]
    {
        world.submit(name, &windlass).expect("created");
        ids.push(world.id());
    }
    let [first, large, small] = ids.try_into().expect("three");
    assert!(told(&world, &large).contains(&format!("cpu-0 runs {first}")), "{}", told(&world, &large));
    let text = told(&world, &small);
    assert!(
        text.contains(&format!("kept for campaign {large}, which waits for several devices at once")),
        "{text}"
    );
    assert!(text.contains(&format!("campaign {large} comes first: it is older")), "{text}");
    world.said.clear();
}

#[test]
fn a_wait_that_no_device_ends_says_what_does() {
    // The machinery failed it: the next try has its moment.
    let mut world = World::with(&json!({}));
    world.run_ends(infra());
    let text = told(&world, &world.id());
    assert!(text.contains("the machinery failed; the next try is in 1 s"), "{text}");
    world.pass(2_000);
    world.said.clear();
    // Its owner's quota.
    let mut world = World::empty();
    world.owner = Some("ada".to_owned());
    let none = Some(Quota { devices: Some(0), time: None });
    world.ask(Ask::SetQuota { owner: "ada".to_owned(), quota: none }).expect("set");
    world.connect("w", cpus(1));
    world.submit("digits", &json!({})).expect("created");
    let text = told(&world, &world.id());
    assert!(text.contains("its run waits for a larger quota"), "{text}");
    // Its researcher: a fix.
    let mut world = World::based(&json!({"fix_wait": "30 min"}));
    world.propose(lever("a")).expect("queued");
    world.run_ends(crash());
    let text = told(&world, &world.id());
    assert!(text.contains("the run of iteration 2 failed") && text.contains("windlass fix"), "{text}");
    let number = *world.state().open.keys().next().expect("open");
    assert_eq!(number, IterationNumber(2));
    // Nothing at all: it runs.
    let mut world = World::with(&json!({}));
    let text = told(&world, &world.id());
    assert!(text.contains("attempt 1, its run,"), "{text}");
    let (worker, order) = world.order(Kind::Run);
    world.end_on(&worker, &order.key, crash());
}
