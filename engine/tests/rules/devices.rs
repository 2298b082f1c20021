//! Devices: who gets which, what waits for what, and how a quarantine is lifted (I9, P20).

use crate::harness::{Fake, GIB, World, cpus, gpu, lever};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_shared::attempt::Kind;
use windlass_shared::device::{Device, DeviceState};
use windlass_shared::id::{CampaignId, WorkerId};
use windlass_shared::machine::Isolation;
use windlass_shared::record::Body;
use windlass_shared::refusal::Refusal;

fn gpus(count: usize, model: &str) -> Vec<Device> {
    (1..=count).map(|index| gpu(&format!("GPU-{model}-{index}"), model, 100 * GIB)).collect()
}

/// A campaign with levers in line.
fn submit(world: &mut World, name: &str, windlass: &Value) -> CampaignId {
    world.submit(name, windlass).expect("a good campaign");
    for which in ["first", "second"] {
        world.propose(lever(&format!("{name}-{which}"))).expect("queued");
    }
    world.id()
}

fn waits_for(world: &World, campaign: &CampaignId) -> String {
    world.core.campaign_view(world.now, campaign).expect("known").waits_for.unwrap_or_default()
}

/// The campaign and the number of devices of the next order, which is then ended.
fn next(world: &mut World) -> (String, usize) {
    let (worker, order) = world.order(Kind::Run);
    let outcome = crate::harness::good(&order, "0.5");
    let name = order.key.id.campaign.0.split('-').next().unwrap_or_default().to_owned();
    world.end_on(&worker, &order.key, outcome);
    (name, order.devices.len())
}

#[test]
fn a_request_for_a_whole_node_is_not_starved_by_a_stream_of_small_ones() {
    let mut world = World::empty();
    world.connect("w", gpus(2, "H200"));
    let small = json!({"resources": {"gpus": 1}});
    let one = submit(&mut world, "one", &small);
    submit(&mut world, "two", &small);
    let big = submit(&mut world, "big", &json!({"resources": {"gpus": 2}}));
    assert!(waits_for(&world, &big).contains("the most free on one is 0"), "{}", waits_for(&world, &big));
    // What comes free is kept, although an older campaign would have it at once.
    assert_eq!(next(&mut world), ("one".to_owned(), 1));
    assert!(waits_for(&world, &one).contains("host-w is kept for a larger request"));
    assert!(waits_for(&world, &big).contains("the most free on one is 1"));
    assert_eq!(next(&mut world), ("two".to_owned(), 1));
    assert_eq!(next(&mut world), ("big".to_owned(), 2));
    // Then it is everybody's again, and big's next iteration has its turn in the same way.
    let rest: Vec<(String, usize)> = (0..6).map(|_| next(&mut world)).collect();
    assert_eq!(rest.iter().filter(|(name, _)| name == "big").count(), 2, "{rest:?}");
    assert!(world.said.is_empty() && world.core.soft().reservations().holders().next().is_none());
}

#[test]
fn what_is_kept_yields_to_a_higher_priority_and_to_the_end_of_the_wait() {
    let mut world = World::empty();
    world.connect("w", gpus(2, "H200"));
    let small = json!({"resources": {"gpus": 1}});
    submit(&mut world, "one", &small);
    submit(&mut world, "two", &small);
    let big = submit(&mut world, "big", &json!({"resources": {"gpus": 2}}));
    assert_eq!(next(&mut world).0, "one");
    let urgent = json!({"resources": {"gpus": 1}, "priority": 1, "stop": {"iterations": 1}});
    world.submit("urgent", &urgent).expect("a good campaign");
    assert_eq!(next(&mut world).0, "two");
    assert_eq!(next(&mut world).0, "urgent");
    let (worker, order) = world.order(Kind::Run);
    assert_eq!((order.key.id.campaign.clone(), order.devices.len()), (big.clone(), 2));
    // It waits no more: others go on at once.
    world.ask(Ask::Stop(big)).expect("stopped");
    world.said.clear();
    world.end_on(
        &worker,
        &order.key,
        windlass_shared::attempt::Outcome::bare(windlass_shared::attempt::Ending::Cancelled),
    );
    let names: Vec<String> = (0..4).map(|_| next(&mut world).0).collect();
    assert_eq!(names, ["one", "two", "one", "two"]);
}

#[test]
fn a_time_gated_campaign_is_held_to_the_device_model_of_its_baseline() {
    let check = |windlass: &Value, want: Result<(), &str>| {
        let mut world = World::empty();
        world.connect("w", gpus(1, "L4"));
        submit(&mut world, "c", windlass);
        world.ask(Ask::Drain(WorkerId::from("w"))).expect("drained");
        world.connect("x", gpus(1, "H200"));
        world.finish("0.5");
        match want {
            Ok(()) => assert_eq!(world.order(Kind::Run).0, WorkerId::from("x")),
            Err(words) => {
                assert!(world.waits_for().contains(words), "{}", world.waits_for());
                world.ask(Ask::Undrain(WorkerId::from("w"))).expect("undrained");
                let (worker, order) = world.order(Kind::Run);
                assert_eq!(worker, WorkerId::from("w"));
                let why = world.open().live.as_ref().map(|live| live.why.clone()).unwrap_or_default();
                assert!(why.contains("L4, as the baseline had"), "{why}");
                assert_eq!(order.devices.len(), 1);
            }
        }
    };
    check(
        &json!({}),
        Err("host-x has not the GPUs of the baseline's model L4 (`comparable: any` lifts that)"),
    );
    check(&json!({"comparable": "any"}), Ok(()));
}

#[test]
fn isolation_that_nobody_can_give_is_waited_for_with_the_remedy() {
    let check = |asked: &str, has: &[Isolation], want: Option<&str>| {
        let mut world = World::empty();
        let mut fake = Fake::new("w", cpus(1));
        fake.info.isolation = has.to_vec();
        world.join(fake);
        world.submit("c", &json!({"sandbox": asked})).expect("a good campaign");
        match want {
            None => drop(world.order(Kind::Run)),
            Some(words) => assert!(world.waits_for().contains(words), "{}", world.waits_for()),
        }
    };
    let remedy = Some("none of 1 can; `windlass doctor` on a worker says what it lacks");
    let all = [Isolation::None, Isolation::Guarded, Isolation::Sealed];
    check("sealed", &all, None);
    check("sealed", &all[..2], remedy);
    check("guarded", &all[..1], remedy);
    // One that says nothing is of an older version, which shuts nothing in.
    check("guarded", &[], remedy);
    check("none", &[], None);
}

#[test]
fn host_memory_and_cpus_that_a_lease_asked_for_are_set_aside() {
    let check = |resources: Value, want: &str| {
        let mut world = World::empty();
        let mut fake = Fake::new("w", gpus(3, "H200"));
        (fake.info.memory_bytes, fake.info.cpus) = (Some(10 * GIB), 8);
        world.join(fake);
        let windlass = json!({"resources": resources, "stop": {"iterations": 1}});
        world.submit("one", &windlass).expect("a good campaign");
        let (worker, order) = world.order(Kind::Run);
        world.submit("two", &windlass).expect("a good campaign");
        assert!(world.waits_for().contains(want), "{}", world.waits_for());
        // Over a restart too: what is live holds what it asked for.
        world.restart();
        world.all_report();
        assert!(world.waits_for().contains(want), "{}", world.waits_for());
        let outcome = crate::harness::good(&order, "0.5");
        world.end_on(&worker, &order.key, outcome);
        drop(world.order(Kind::Run));
    };
    check(json!({"memory": 6 * GIB}), "host-w has not 6 GiB of memory beside what runs there");
    check(json!({"cpus": 5}), "host-w has not 5 CPUs beside what runs there");
    let mut world = World::empty();
    let mut fake = Fake::new("w", cpus(1));
    fake.info.memory_bytes = Some(10 * GIB);
    world.join(fake);
    world.submit("more", &json!({"resources": {"memory": 11 * GIB}})).expect("a good campaign");
    assert!(world.waits_for().contains("host-w has not 11 GiB of memory"), "{}", world.waits_for());
}

fn quarantined() -> DeviceState {
    DeviceState::Quarantined { reason: "XID 79".to_owned() }
}

#[test]
fn i9_a_release_is_recorded_told_once_and_carried_out_by_the_worker() {
    let mut world = World::empty();
    let mut fake = Fake::new("w", cpus(1));
    fake.devices[0].state = quarantined();
    world.join(fake);
    world.submit("c", &json!({})).expect("a good campaign");
    assert!(world.waits_for().contains("quarantine"), "{}", world.waits_for());
    let release = || Ask::ReleaseDevice(WorkerId::from("w"), "cpu-0".into());
    world.ask(release()).expect("released");
    assert_eq!(world.fake("w").released.len(), 1);
    drop(world.order(Kind::Run));
    let released =
        |world: &World| world.bodies().filter(|body| matches!(body, Body::DeviceReleased { .. })).count();
    assert_eq!(released(&world), 1);

    // Quarantined anew: the old release is no news, and lifts nothing.
    let mut world = World::empty();
    let mut fake = Fake::new("w", cpus(2));
    fake.devices[0].state = quarantined();
    world.join(fake);
    world.ask(release()).expect("released");
    world.fake("w").devices[0].state = quarantined();
    world.all_report();
    world.restart();
    world.all_report();
    assert_eq!(world.fake("w").devices[0].state, quarantined());
    world.ask(release()).expect("released");
    assert_eq!(world.fake("w").devices[0].state, DeviceState::Free);
    assert_eq!(released(&world), 2);
}

#[test]
fn only_a_quarantine_can_be_released() {
    let check = |state: DeviceState, device: &str, want: Result<&str, &str>| {
        let mut world = World::empty();
        let mut fake = Fake::new("w", cpus(1));
        fake.devices[0].state = state;
        world.join(fake);
        let answer = world.ask(Ask::ReleaseDevice(WorkerId::from("w"), device.into()));
        match (answer, want) {
            (Ok(_), Ok(kind)) => assert_eq!(world.kinds(1), [kind]),
            (Err(Refusal::NotFound { what, .. }), Err(want)) => assert_eq!(what, want),
            (Err(Refusal::State { state, .. }), Err(want)) => assert!(state.contains(want), "{state}"),
            (answer, want) => panic!("{answer:?}, not {want:?}"),
        }
    };
    check(quarantined(), "cpu-0", Ok("device_released"));
    check(DeviceState::Free, "cpu-0", Ok("request_answered"));
    check(DeviceState::Outsider { who: "pid 7".to_owned() }, "cpu-0", Err("pid 7"));
    check(quarantined(), "cpu-9", Err("device"));
}
