//! Best fit, and every reason not to be placed.

use super::*;
use crate::attempt::test_order as order;
use std::collections::BTreeSet;
use windlass_shared::bindings::Resources;
use windlass_shared::device::{Device, DeviceState, Load, WorkerInfo};
use windlass_shared::id::{AttemptId, SessionId};
use windlass_shared::session::Report;

const GIB: u64 = 1 << 30;

fn device(id: &str, kind: DeviceKind, model: &str, memory_gib: u64) -> Device {
    let memory_bytes = (kind == DeviceKind::Gpu).then_some(memory_gib * GIB);
    Device { memory_bytes, ..Device::plain(id.into(), kind, model.to_owned()) }
}

fn gpus(worker: &str, count: usize, model: &str, memory_gib: u64) -> Vec<Device> {
    let one = |index| device(&format!("GPU-{worker}-{index}"), DeviceKind::Gpu, model, memory_gib);
    (0..count).map(one).collect()
}

fn cpus(count: usize) -> Vec<Device> {
    (0..count).map(|index| device(&format!("cpu-{index}"), DeviceKind::Cpu, "slot", 0)).collect()
}

fn fleet(workers: &[(&str, &[&str], Vec<Device>)]) -> Fleet {
    let mut fleet = Fleet::default();
    for (name, labels, devices) in workers {
        let report = Report {
            worker: WorkerInfo {
                labels: labels.iter().map(|&label| label.to_owned()).collect(),
                ..WorkerInfo::named(WorkerId::from(*name), format!("host-{name}"), String::new())
            },
            incarnation: None,
            session: SessionId::from("s"),
            number: 1,
            seen: 0,
            devices: devices.clone(),
            attempts: Vec::new(),
            load: Load::default(),
        };
        fleet.hear(report, 0);
    }
    fleet
}

/// Three machines: `big` has 4 large GPUs, `small` 2 small ones, `mid` 2 large ones and a label.
fn mixed() -> Fleet {
    fleet(&[
        ("big", &[], gpus("big", 4, "NVIDIA H200", 140)),
        ("mid", &["nvlink", "quiet"], gpus("mid", 2, "NVIDIA H200", 140)),
        ("small", &[], gpus("small", 2, "NVIDIA L4", 24)),
    ])
}

fn ask() -> Ask {
    Ask::run(&Resources::default())
}

/// Where it goes and on how many devices; or a part of what it waits for.
fn check(fleet: &Fleet, ask: &Ask, want: Result<(&str, usize), &str>) {
    check_drained(fleet, ask, &[], want);
}

fn check_drained(fleet: &Fleet, ask: &Ask, drained: &[&str], want: Result<(&str, usize), &str>) {
    check_among(fleet, ask, drained, &Reservations::default(), want);
}

fn check_among(
    fleet: &Fleet,
    ask: &Ask,
    drained: &[&str],
    reservations: &Reservations,
    want: Result<(&str, usize), &str>,
) {
    let is_drained = |worker: &WorkerId| drained.contains(&worker.as_str());
    let campaign = CampaignId::from("small");
    let scene = Scene { fleet, is_drained: &is_drained, reservations, campaign: &campaign, priority: 0 };
    match (place(ask, &scene).ok_or_else(|| why_not(ask, &scene)), want) {
        (Ok(place), Ok((worker, devices))) => {
            assert_eq!((place.worker.as_str(), place.devices.len()), (worker, devices), "{ask:?}");
            let distinct: BTreeSet<&DeviceId> = place.devices.iter().collect();
            assert_eq!(distinct.len(), devices);
            assert!(!place.why.is_empty());
        }
        (Err(wait), Err(want)) => assert!(wait.contains(want), "{wait:?} does not say {want:?}"),
        (found, want) => panic!("{ask:?}: {found:?}, not {want:?}"),
    }
}

#[test]
fn the_worker_with_the_fewest_free_devices_that_suffice_is_taken() {
    let fleet = mixed();
    for (count, want) in [
        (1, Ok(("mid", 1))),
        (2, Ok(("mid", 2))),
        (3, Ok(("big", 3))),
        (4, Ok(("big", 4))),
        (5, Err("the most free on one is 4")),
    ] {
        check(&fleet, &Ask { gpus: Some(count), ..ask() }, want);
    }
}

#[test]
fn labels_model_and_memory_must_suit() {
    let fleet = mixed();
    let labels = |names: &[&str]| Ask { labels: names.iter().map(|&n| n.to_owned()).collect(), ..ask() };
    check(&fleet, &labels(&["nvlink"]), Ok(("mid", 1)));
    check(&fleet, &labels(&["nvlink", "quiet"]), Ok(("mid", 1)));
    check(&fleet, &labels(&["nvlink", "loud"]), Err("that suits it"));
    check(&fleet, &Ask { gpu_model: "L4".to_owned(), ..ask() }, Ok(("small", 1)));
    check(&fleet, &Ask { gpu_model: "A100".to_owned(), ..ask() }, Err("that suits it"));
    let large = Ask { gpu_memory_bytes: 141 * GIB, ..ask() };
    check(&fleet, &large, Err("that suits it"));
    check(&fleet, &Ask { gpu_memory_bytes: 140 * GIB, gpus: Some(3), ..ask() }, Ok(("big", 3)));
    // All of a request's devices must suit, not some.
    let mut devices = gpus("odd", 1, "NVIDIA L4", 24);
    devices.extend(gpus("odd2", 1, "NVIDIA H200", 140));
    let odd = self::fleet(&[("odd", &[], devices)]);
    check(&odd, &Ask { gpu_model: "H200".to_owned(), ..ask() }, Ok(("odd", 1)));
    check(&odd, &Ask { gpu_model: "H200".to_owned(), gpus: Some(2), ..ask() }, Err("that suits it"));
}

#[test]
fn one_gpu_is_the_default_where_the_fleet_has_gpus_else_a_cpu_slot() {
    let check_default = |devices: Vec<Device>, resources: Resources, want: Result<(&str, usize), &str>| {
        check(&fleet(&[("w", &[], devices)]), &Ask::run(&resources), want);
    };
    let default = Resources::default;
    check_default(gpus("w", 2, "H200", 140), default(), Ok(("w", 1)));
    check_default(cpus(3), default(), Ok(("w", 1)));
    check_default(cpus(3), Resources { cpus: Some(2), ..default() }, Ok(("w", 2)));
    check_default(cpus(3), Resources { cpus: Some(4), ..default() }, Err("4 free CPU slots"));
    check_default(cpus(3), Resources { gpus: Some(1), ..default() }, Err("1 free GPU "));
    check_default(gpus("w", 2, "H200", 140), Resources { gpus: Some(0), ..default() }, Err("CPU slot"));
    // A leased GPU is a GPU of the fleet all the same.
    let mut fleet = fleet(&[("g", &[], gpus("g", 1, "H200", 140)), ("c", &[], cpus(1))]);
    let attempt = AttemptId::parse("c/1/1").expect("a literal");
    fleet.hold(&WorkerId::from("g"), &order(1, "GPU-g-0"));
    check(&fleet, &ask(), Err("1 free GPU "));
    fleet.let_go(&WorkerId::from("g"), &attempt);
    check(&fleet, &ask(), Ok(("g", 1)));
}

#[test]
fn i6_devices_that_are_held_or_not_free_are_not_given() {
    let states = [
        DeviceState::Outsider { who: "pid 7".to_owned() },
        DeviceState::Quarantined { reason: "memory".to_owned() },
    ];
    for state in states {
        let mut devices = gpus("w", 2, "H200", 140);
        devices[0].state = state;
        let mut fleet = fleet(&[("w", &[], devices)]);
        check(&fleet, &Ask { gpus: Some(2), ..ask() }, Err("the most free on one is 1"));
        check(&fleet, &ask(), Ok(("w", 1)));
        fleet.hold(&WorkerId::from("w"), &order(1, "GPU-w-1"));
        check(&fleet, &ask(), Err("the most free on one is 0"));
    }
}

#[test]
fn drained_suspected_and_lost_workers_take_nothing_new() {
    check(&Fleet::default(), &ask(), Err("none is connected"));
    let all = ["big", "mid", "small"];
    check_drained(&mixed(), &ask(), &["mid"], Ok(("small", 1)));
    check_drained(&mixed(), &ask(), &all, Err("that suits it"));
    let mut suspected = mixed();
    suspected.suspect(&WorkerId::from("mid"));
    check(&suspected, &ask(), Ok(("small", 1)));
    let mut lost = mixed();
    assert_eq!(lost.expire(crate::session::LEASE_PERIOD_MS).len(), 3);
    check(&lost, &ask(), Err("none is connected"));
}

#[test]
fn p20_where_the_machinery_failed_is_the_last_resort() {
    let avoid = |names: &[&str]| names.iter().map(|&name| WorkerId::from(name)).collect::<BTreeSet<_>>();
    check(&mixed(), &Ask { avoid: avoid(&["mid"]), ..ask() }, Ok(("small", 1)));
    check(&mixed(), &Ask { avoid: avoid(&["mid", "small"]), ..ask() }, Ok(("big", 1)));
    check(&mixed(), &Ask { avoid: avoid(&["mid", "small", "big"]), ..ask() }, Ok(("mid", 1)));
    check(&mixed(), &Ask { avoid: avoid(&["big"]), gpus: Some(4), ..ask() }, Ok(("big", 4)));
    let failed = Ask { avoid: avoid(&["mid"]), ..Ask::analysis(0, Some(&WorkerId::from("mid"))) };
    check(&mixed(), &failed, Ok(("big", 0)));
}

#[test]
fn p21_scripts_go_where_the_run_was_while_it_is_there() {
    let scripts = Ask::analysis(0, Some(&WorkerId::from("small")));
    check(&mixed(), &scripts, Ok(("small", 0)));
    check_drained(&mixed(), &scripts, &["small"], Ok(("small", 0)));
    let mut away = mixed();
    away.suspect(&WorkerId::from("small"));
    check(&away, &scripts, Ok(("big", 0)));
    check_drained(&away, &scripts, &["big", "mid"], Err("not drained"));
    check(&mixed(), &Ask::analysis(2, Some(&WorkerId::from("small"))), Ok(("mid", 2)));
}

#[test]
fn one_process_uses_one_mig_slice_and_the_tightest_device_that_suffices() {
    let slice = |id: &str, memory_gib| Device {
        slice_of: Some("GPU-m".into()),
        ..device(id, DeviceKind::Gpu, "H200 MIG", memory_gib)
    };
    let mut devices = gpus("w", 1, "H200", 140);
    devices.extend([slice("MIG-1", 35), slice("MIG-2", 18), slice("MIG-3", 18)]);
    let fleet = fleet(&[("w", &[], devices)]);
    let none = Reservations::default();
    let campaign = CampaignId::from("c");
    let nobody = |_: &WorkerId| false;
    let scene =
        Scene { fleet: &fleet, is_drained: &nobody, reservations: &none, campaign: &campaign, priority: 0 };
    let check = |gpus, gib, want: Option<&str>| {
        let ask = Ask { gpus: Some(gpus), gpu_memory_bytes: gib * GIB, ..ask() };
        let found = place(&ask, &scene).map(|place| place.devices[0].0.clone());
        assert_eq!(found.as_deref(), want, "{gpus} of {gib}");
    };
    check(1, 0, Some("MIG-2"));
    check(1, 20, Some("MIG-1"));
    check(1, 36, Some("GPU-w-0"));
    check(2, 0, None);
}

#[test]
fn devices_of_one_numa_node_go_together() {
    let on = |id: &str, node| Device { numa_node: Some(node), ..device(id, DeviceKind::Gpu, "H200", 140) };
    let fleet = fleet(&[("w", &[], vec![on("a0", 0), on("b0", 1), on("b1", 1), on("b2", 1), on("a1", 0)])]);
    let none = Reservations::default();
    let campaign = CampaignId::from("c");
    let nobody = |_: &WorkerId| false;
    let scene =
        Scene { fleet: &fleet, is_drained: &nobody, reservations: &none, campaign: &campaign, priority: 0 };
    for (gpus, want) in [(2, &["a0", "a1"][..]), (3, &["b0", "b1", "b2"]), (4, &["a0", "b0", "b1", "b2"])] {
        let place = place(&Ask { gpus: Some(gpus), ..ask() }, &scene).expect("room");
        let ids: Vec<&str> = place.devices.iter().map(|id| id.as_str()).collect();
        assert_eq!(ids, want);
    }
}

#[test]
fn what_is_kept_is_bounded_and_bars_equals_only() {
    let mut reservations = Reservations::default();
    let name = |index: usize| CampaignId(format!("big-{index}"));
    let worker = |index: usize| WorkerId(format!("w{index}"));
    for index in 0..RESERVATIONS_MAX + 2 {
        assert!(!reservations.keep(&name(index), 1, Some(worker(index))), "nothing comes free");
    }
    assert_eq!(reservations.holders().count(), RESERVATIONS_MAX);
    let check = |campaign: &CampaignId, priority, want| {
        assert_eq!(reservations.bars(&worker(0), campaign, priority), want, "{campaign} {priority}");
    };
    check(&name(0), 0, false);
    check(&name(1), 0, true);
    check(&name(1), 1, true);
    check(&name(1), 2, false);
    assert!(!reservations.keep(&name(0), 1, Some(worker(0))), "it stays where it is");
    assert!(reservations.keep(&name(0), 1, Some(worker(9))), "the other comes free");
    assert_eq!((reservations.of(&name(0)), reservations.holder(&worker(0))), (Some(&worker(9)), None));
    assert!(reservations.keep(&name(0), 1, None));
    assert!(!reservations.keep(&name(0), 1, None));

    let mut reservations = Reservations::default();
    reservations.keep(&CampaignId::from("big"), 0, Some(WorkerId::from("mid")));
    check_among(&mixed(), &ask(), &[], &reservations, Ok(("small", 1)));
    check_among(&mixed(), &ask(), &["small", "big"], &reservations, Err("kept for a larger request"));
}

#[test]
fn a_wait_says_how_many_lack_what() {
    let asked = Ask { gpus: Some(3), labels: vec!["nvlink".to_owned()], ..ask() };
    check(&mixed(), &asked, Err("host-mid has not as many GPUs"));
    check(&mixed(), &asked, Err("2 workers lack a label of nvlink"));
    let tight = Ask { gpu_memory_bytes: 100 * GIB + GIB / 2, gpu_model: "L4".to_owned(), ..ask() };
    check(&mixed(), &tight, Err("3 workers have not the GPUs of a model like L4 of 100.5 GiB each"));
    check_drained(&mixed(), &ask(), &["big", "mid", "small"], Err("3 workers are drained"));
}

#[test]
fn i17_a_worker_that_is_unwilling_takes_nothing_new_and_its_wait_says_why() {
    let mut fleet = fleet(&[("w", &[], cpus(1))]);
    let hear = |fleet: &mut Fleet, number, unwilling: Option<&str>| {
        let named = WorkerInfo::named(WorkerId::from("w"), "host-w".to_owned(), String::new());
        let worker = WorkerInfo { unwilling: unwilling.map(str::to_owned), ..named };
        let (incarnation, session, attempts) = (None, SessionId::from("s"), Vec::new());
        let (seen, load) = (0, Load::default());
        let report = Report { worker, incarnation, session, number, seen, devices: cpus(1), attempts, load };
        fleet.hear(report, 0)
    };
    let scripts = Ask::analysis(0, Some(&WorkerId::from("w")));
    assert!(hear(&mut fleet, 2, Some("its disk is nearly full")), "whoever waits is looked at again");
    check(&fleet, &ask(), Err("host-w takes nothing new: its disk is nearly full"));
    check(&fleet, &scripts, Err("willing"));
    assert!(hear(&mut fleet, 3, None));
    check(&fleet, &ask(), Ok(("w", 1)));
    check(&fleet, &scripts, Ok(("w", 0)));
}

#[test]
fn i17_a_coordinator_without_room_leases_nothing() {
    let mut fleet = mixed();
    assert!(!fleet.close(Some("1 GiB is left".to_owned())));
    check(&fleet, &ask(), Err("room on the coordinator's disk: 1 GiB is left"));
    check(&fleet, &Ask::analysis(0, Some(&WorkerId::from("big"))), Err("room"));
    assert!(fleet.close(None), "who waits is looked at again");
    check(&fleet, &ask(), Ok(("mid", 1)));
}
