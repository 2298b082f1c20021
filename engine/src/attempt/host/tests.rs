//! The worker's machine, event by event: what it does next, and what it says.

use super::*;
use windlass_shared::device::DeviceKind;
use windlass_shared::digest::Digest;
use windlass_shared::id::{AttemptId, FencingNumber, WorkerId};
use windlass_shared::session::Stop;

const NOW: Time = Time { wall_ms: 0, mono_ms: 10_000 };

fn key(number: u32) -> AttemptKey {
    AttemptKey {
        id: AttemptId::parse(&format!("c/1/{number}")).expect("a literal"),
        fence: FencingNumber { incarnation: Incarnation(1), n: u64::from(number) },
    }
}

pub(crate) fn order(number: u32, device: &str) -> Order {
    Order {
        seed: None,
        key: key(number),
        kind: windlass_shared::attempt::Kind::Run,
        tree: Digest::of(b"tree"),
        near: Vec::new(),
        devices: vec![device.into()],
        cpus: None,
        memory_bytes: 0,
        command: "true".to_owned(),
        soft_limit_ms: 1,
        hard_limit_ms: 2,
        measure_until_ms: None,
        metric: None,
        editable: Vec::new(),
        env: BTreeMap::new(),
        scripts: Vec::new(),
        python: "python3".to_owned(),
        run: None,
        results: None,
        adds_only: false,
        history: Vec::new(),
        fix_patterns: Vec::new(),
        isolation: None,
        limits: Default::default(),
        data: Vec::new(),
        caches: Vec::new(),
        setup: None,
        secrets: Vec::new(),
        artifacts: Vec::new(),
        score_artifact: None,
        request: None,
        run_artifacts: None,
    }
}

fn done() -> Box<Outcome> {
    Box::new(Outcome::bare(Ending::Finished))
}

fn exit() -> ExitRecord {
    ExitRecord {
        key: key(1),
        code: Some(0),
        signal: None,
        soft_fired: false,
        hard_fired: false,
        cancelled: false,
        oom_killed: false,
        start_failure: None,
        started_wall_ms: 0,
        duration_ms: 1,
        log_bytes: 0,
        log_cut_bytes: 0,
        log_bytes_in_time: None,
        exceeded: None,
        disk_use: None,
    }
}

fn devices() -> Vec<Device> {
    let one = |id: &str| Device::plain(id.into(), DeviceKind::Cpu, "slot".to_owned());
    vec![one("cpu-0"), one("cpu-1")]
}

/// A worker that has joined and has reported.
fn host() -> Host {
    let info = WorkerInfo::named(WorkerId::from("w"), "w".to_owned(), String::new());
    let mut host = Host::new(info, SessionId::from("s"));
    assert_eq!(host.handle(NOW, Event::Devices(devices())), [Action::Report]);
    assert_eq!(host.handle(NOW, Event::Devices(devices())), [], "the same again is nothing");
    host.report(NOW);
    host
}

/// An answer to the host's latest report.
fn answer(host: &Host) -> Answer {
    Answer {
        incarnation: Incarnation(1),
        session: host.session.clone(),
        number: host.number,
        standing: Standing::Current,
        orders: Vec::new(),
        stop: Vec::new(),
        acknowledged: Vec::new(),
        releases: Vec::new(),
        keep: Vec::new(),
    }
}

fn told(host: &mut Host, change: impl FnOnce(&mut Answer)) -> Vec<Action> {
    let mut answer = answer(host);
    change(&mut answer);
    let mut actions = host.handle(NOW, Event::Answer(answer));
    assert_eq!(actions.pop(), Some(Action::Report), "the next call is opened at once");
    host.report(NOW);
    actions
}

fn ordered(host: &mut Host, order: Order) -> Vec<Action> {
    told(host, |answer| answer.orders.push(order))
}

fn stopped(host: &mut Host, number: u32, reason: StopReason) -> Vec<Action> {
    told(host, |answer| answer.stop.push(Stop { key: key(number), reason }))
}

fn phases(host: &mut Host) -> Vec<Phase> {
    host.report(NOW).attempts.into_iter().map(|attempt| attempt.phase).collect()
}

/// A host with attempt 1 on `cpu-0`, as far as `stage` (0 preparing, 1 starting, 2 running, 3 collecting,
/// 4 ended).
fn at_stage(stage: usize) -> Host {
    let mut host = host();
    assert_eq!(ordered(&mut host, order(1, "cpu-0")), [Action::Prepare(Box::new(order(1, "cpu-0")))]);
    let steps = [
        (Event::Prepared(key(1)), vec![Action::StartShim(key(1))]),
        (Event::Started(key(1)), vec![Action::ReportSoon]),
        (
            Event::ShimEnded(key(1), Some(exit())),
            vec![Action::Collect(key(1), Some(Box::new(exit()))), Action::ReportSoon],
        ),
        (Event::Collected(key(1), done()), vec![Action::Report]),
    ];
    for (event, want) in steps.into_iter().take(stage) {
        assert_eq!(host.handle(NOW, event.clone()), want, "{event:?}");
        assert_eq!(host.handle(NOW, event.clone()), [], "a second {event:?} is nothing");
    }
    host
}

#[test]
fn an_attempt_goes_through_its_stages_and_is_forgotten_once_acknowledged() {
    let want = [
        Phase::Preparing,
        Phase::Preparing,
        Phase::Running { elapsed_ms: 0 },
        Phase::Collecting,
        Phase::Ended(done()),
    ];
    for (stage, want) in want.into_iter().enumerate() {
        let mut host = at_stage(stage);
        assert_eq!(phases(&mut host), [want], "stage {stage}");
        let state = host.report(NOW).devices[0].state.clone();
        let expected = if stage == 4 { DeviceState::Free } else { DeviceState::Busy(key(1)) };
        assert_eq!(state, expected, "stage {stage}");
        assert_eq!(ordered(&mut host, order(1, "cpu-0")), [], "the same order again is nothing");
        let forgets = told(&mut host, |answer| answer.acknowledged.push(key(1)));
        assert_eq!(forgets.is_empty(), stage != 4, "stage {stage}: only what has ended is forgotten");
        assert_eq!(host.unfinished().count(), usize::from(stage != 4));
    }
}

#[test]
fn an_answer_to_any_but_the_latest_report_does_nothing() {
    let mut host = host();
    let old = answer(&host);
    host.report(NOW);
    let stale: [fn(&mut Answer); 2] =
        [|_| {}, |answer| (answer.session, answer.number) = (SessionId::from("another"), 2)];
    for change in stale {
        let mut late = old.clone();
        late.orders.push(order(1, "cpu-0"));
        change(&mut late);
        assert_eq!(host.handle(NOW, Event::Answer(late)), []);
    }
    assert_eq!(host.report(NOW).seen, 0);
    assert!(phases(&mut host).is_empty());
}

#[test]
fn a_closed_session_is_drawn_anew_and_keeps_the_attempts() {
    let mut host = at_stage(2);
    let mut closed = answer(&host);
    (closed.standing, closed.incarnation) = (Standing::Closed, Incarnation(7));
    closed.stop.push(Stop { key: key(1), reason: StopReason::Unknown });
    assert_eq!(host.handle(NOW, Event::Answer(closed)), [Action::DrawSession]);
    assert_eq!(host.handle(NOW, Event::SessionDrawn(SessionId::from("t"))), [Action::Report]);
    let report = host.report(NOW);
    assert_eq!((report.session, report.number, report.seen), (SessionId::from("t"), 1, 0));
    assert_eq!((report.incarnation, report.attempts.len()), (Some(Incarnation(7)), 1));
}

#[test]
fn a_stop_takes_effect_in_every_stage() {
    // Preparing: it never starts. Starting: it is ended once it runs. Running: at once, and once.
    let mut host = at_stage(0);
    assert_eq!(stopped(&mut host, 1, StopReason::Cancelled), [Action::Terminate(key(1))], "a wait ends");
    assert_eq!(host.handle(NOW, Event::Prepared(key(1))), [Action::Report]);
    assert_eq!(phases(&mut host), [Phase::Ended(Box::new(Outcome::bare(Ending::Cancelled)))]);

    let mut host = at_stage(1);
    assert_eq!(stopped(&mut host, 1, StopReason::Cancelled), []);
    let terminate = Action::Terminate(key(1));
    assert_eq!(host.handle(NOW, Event::Started(key(1))), [Action::ReportSoon, terminate.clone()]);

    let mut host = at_stage(2);
    assert_eq!(stopped(&mut host, 1, StopReason::Superseded), [terminate]);
    assert_eq!(stopped(&mut host, 1, StopReason::Superseded), [], "once");

    let mut host = at_stage(3);
    assert_eq!(stopped(&mut host, 1, StopReason::Cancelled), []);
    host.handle(NOW, Event::Collected(key(1), done()));
    assert_eq!(phases(&mut host), [Phase::Ended(done())], "what happened is said");

    let mut host = at_stage(4);
    assert_eq!(stopped(&mut host, 1, StopReason::Superseded), []);
    assert_eq!(phases(&mut host).len(), 1, "kept until it is acknowledged");
    assert_eq!(stopped(&mut host, 9, StopReason::Cancelled), [], "what is not here needs no end");
}

#[test]
fn i15_what_the_ledger_does_not_know_is_ended_and_its_spool_kept() {
    let keep = Action::Keep(key(1));
    let mut host = at_stage(4);
    assert_eq!(stopped(&mut host, 1, StopReason::Unknown), std::slice::from_ref(&keep));
    assert!(phases(&mut host).is_empty());

    let mut host = at_stage(0);
    assert_eq!(stopped(&mut host, 1, StopReason::Unknown), [Action::Terminate(key(1))]);
    assert_eq!(host.handle(NOW, Event::Prepared(key(1))), [keep.clone(), Action::Report]);

    let mut host = at_stage(2);
    assert_eq!(stopped(&mut host, 1, StopReason::Unknown), [Action::Terminate(key(1))]);
    host.handle(NOW, Event::ShimEnded(key(1), None));
    assert_eq!(host.report(NOW).devices[0].state, DeviceState::Busy(key(1)), "until the tree is dead");
    assert_eq!(host.handle(NOW, Event::Collected(key(1), done())), [keep, Action::Report]);
    assert_eq!(host.report(NOW).devices[0].state, DeviceState::Free);
}

#[test]
fn i6_an_order_for_a_held_device_is_refused_by_the_host() {
    for stage in 0..4 {
        let mut host = at_stage(stage);
        assert_eq!(ordered(&mut host, order(2, "cpu-0")), [], "stage {stage}: it starts nothing");
        match phases(&mut host).pop() {
            Some(Phase::Ended(outcome)) => {
                assert!(outcome.ending.is_infrastructure(), "{:?}", outcome.ending);
                assert!(outcome.ending.to_string().contains("c/1/1"), "{}", outcome.ending);
            }
            other => panic!("stage {stage}: {other:?}"),
        }
        assert_eq!(ordered(&mut host, order(3, "cpu-1")).len(), 1, "another device is free");
    }
    let mut host = at_stage(4);
    assert_eq!(ordered(&mut host, order(2, "cpu-0")).len(), 1, "what has ended holds nothing");
    let mut host = self::host();
    let both = told(&mut host, |answer| answer.orders.extend([order(1, "cpu-0"), order(2, "cpu-0")]));
    assert_eq!(both.len(), 1, "two orders for one device: the first alone");
}

#[test]
fn what_could_not_be_prepared_ends_as_it_says() {
    let mut host = at_stage(0);
    assert_eq!(
        host.handle(NOW, Event::PrepareFailed(key(1), Ending::DiskFull { over: None })),
        [Action::Report]
    );
    assert_eq!(phases(&mut host), [Phase::Ended(Box::new(Outcome::bare(Ending::DiskFull { over: None })))]);
    assert_eq!(host.handle(NOW, Event::Prepared(key(1))), [], "too late");
}

#[test]
fn a_shim_that_ends_before_it_was_seen_to_start_is_collected() {
    for exit in [Some(exit()), None] {
        let mut host = at_stage(1);
        let collect = Action::Collect(key(1), exit.clone().map(Box::new));
        assert_eq!(host.handle(NOW, Event::ShimEnded(key(1), exit)), [collect, Action::ReportSoon]);
        assert_eq!(host.handle(NOW, Event::Started(key(1))), [], "too late");
    }
}

#[test]
fn a_restarted_daemon_carries_on_from_every_state() {
    let check = |state: Recovery, want: Vec<Action>, phase: Phase| {
        let mut host = host();
        let found = Recovered { order: order(1, "cpu-0"), state };
        assert_eq!(host.handle(NOW, Event::Recovered(vec![found])), want);
        assert_eq!(phases(&mut host), [phase]);
        assert_eq!(ordered(&mut host, order(1, "cpu-0")), [], "its order again starts nothing twice");
    };
    let collect = |exit: Option<ExitRecord>| vec![Action::Collect(key(1), exit.map(Box::new))];
    let prepare = vec![Action::Prepare(Box::new(order(1, "cpu-0")))];
    check(Recovery::Unstarted, prepare, Phase::Preparing);
    // The second began long before the daemon's own clock did.
    for elapsed_ms in [3_000, 86_400_000] {
        check(Recovery::Running { elapsed_ms }, vec![Action::Report], Phase::Running { elapsed_ms });
    }
    check(Recovery::Exited(exit()), collect(Some(exit())), Phase::Collecting);
    check(Recovery::Gone, collect(None), Phase::Collecting);
    check(Recovery::Ended(done()), vec![Action::Report], Phase::Ended(done()));
}

#[test]
fn events_for_what_is_not_here_do_nothing() {
    for event in [
        Event::Prepared(key(9)),
        Event::PrepareFailed(key(9), Ending::DiskFull { over: None }),
        Event::Started(key(9)),
        Event::ShimEnded(key(9), None),
        Event::Collected(key(9), done()),
    ] {
        assert_eq!(at_stage(2).handle(NOW, event.clone()), [], "{event:?}");
    }
}

#[test]
fn an_attempt_whose_gpu_failed_is_ended_wherever_it_stands() {
    let broken = || Event::Broken(BTreeMap::from([(DeviceId::from("cpu-0"), "XID 79".to_owned())]));
    for stage in 0..5 {
        let mut host = at_stage(stage);
        let actions = host.handle(NOW, broken());
        assert_eq!(actions, if stage == 2 { vec![Action::Terminate(key(1))] } else { Vec::new() }, "{stage}");
        assert_eq!(host.handle(NOW, broken()), [], "once is enough");
        match stage {
            0 => {
                host.handle(NOW, Event::Prepared(key(1)));
                let phases = phases(&mut host);
                let ended = matches!(&phases[..], [Phase::Ended(outcome)]
                    if outcome.ending == Ending::GpuFault { detail: "XID 79".to_owned() });
                assert!(ended, "{phases:?}");
            }
            1 => {
                let actions = host.handle(NOW, Event::Started(key(1)));
                assert!(actions.contains(&Action::Terminate(key(1))), "{actions:?}");
            }
            _ => {}
        }
        assert!(!host.is_stopped(&key(1)), "nobody asked for it");
    }
    // Another device's failure is nothing to it.
    let other = Event::Broken(BTreeMap::from([(DeviceId::from("cpu-1"), "XID 79".to_owned())]));
    assert_eq!(at_stage(2).handle(NOW, other), []);
}

#[test]
fn i6_an_order_for_a_device_that_is_not_free_is_refused_by_the_host() {
    let check = |state: Option<DeviceState>, want: &str| {
        let mut host = host();
        let mut devices = devices();
        match state {
            Some(state) => devices[0].state = state,
            None => drop(devices.remove(0)),
        }
        host.handle(NOW, Event::Devices(devices));
        host.report(NOW);
        assert_eq!(ordered(&mut host, order(1, "cpu-0")), []);
        let phases = phases(&mut host);
        let refused = matches!(&phases[..], [Phase::Ended(outcome)]
            if matches!(&outcome.ending, Ending::Infra { detail } if detail.contains(want)));
        assert!(refused, "{phases:?}");
    };
    check(Some(DeviceState::Outsider { who: "pid 7".to_owned() }), "used by pid 7");
    check(Some(DeviceState::Quarantined { reason: "XID 79".to_owned() }), "XID 79");
    check(None, "there is no device cpu-0");
}

#[test]
fn a_release_and_a_driver_are_passed_on() {
    let mut host = host();
    let number = FencingNumber { incarnation: Incarnation(1), n: 7 };
    let release = Release { device: "cpu-0".into(), number };
    let actions = told(&mut host, |answer| answer.releases.push(release.clone()));
    assert_eq!(actions, [Action::Release(release)]);
    assert_eq!(host.handle(NOW, Event::Driver(None)), []);
    assert_eq!(host.handle(NOW, Event::Driver(Some("570".to_owned()))), [Action::Report]);
    assert_eq!(host.report(NOW).worker.driver.as_deref(), Some("570"));
}
