//! A worker that only says what it has and keeps what it is told.

use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Kind, Order, Outcome, Phase};
use windlass_shared::device::{Device, DeviceState, Load, WorkerInfo};
use windlass_shared::id::{Incarnation, SessionId, WorkerId};
use windlass_shared::session::{Answer, AttemptReport, Release, Report, Standing, StopReason};

/// What a worker was told, for the test to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// To have this attempt.
    Order(Box<Order>),
    /// To end this attempt.
    Stop(AttemptKey, StopReason),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Fake {
    pub info: WorkerInfo,
    pub devices: Vec<Device>,
    pub incarnation: Option<Incarnation>,
    pub session: SessionId,
    pub number: u64,
    pub seen: u64,
    pub attempts: BTreeMap<AttemptKey, (Vec<windlass_shared::id::DeviceId>, Phase)>,
    pub acknowledged: Vec<AttemptKey>,
    /// The releases that were carried out.
    pub released: Vec<Release>,
    /// Whether its messages and the answers to it are lost.
    pub cut: bool,
    pub sessions: u32,
}

impl Fake {
    pub fn new(name: &str, devices: Vec<Device>) -> Self {
        let info = WorkerInfo::named(WorkerId::from(name), format!("host-{name}"), "0.1.0".to_owned());
        Self {
            session: SessionId(format!("{name}-session-0")),
            info,
            devices,
            incarnation: None,
            number: 0,
            seen: 0,
            attempts: BTreeMap::new(),
            acknowledged: Vec::new(),
            released: Vec::new(),
            cut: false,
            sessions: 0,
        }
    }

    pub fn report(&mut self) -> Report {
        self.number += 1;
        let attempts = &self.attempts;
        let holder = |device: &Device| {
            let holds = |(_, (devices, phase)): &(&AttemptKey, &(Vec<_>, Phase))| {
                !matches!(phase, Phase::Ended(_)) && devices.contains(&device.id)
            };
            attempts.iter().find(holds).map(|(key, _)| key.clone())
        };
        let state = |device: &Device| Device {
            state: holder(device).map_or_else(|| device.state.clone(), DeviceState::Busy),
            ..device.clone()
        };
        Report {
            worker: self.info.clone(),
            incarnation: self.incarnation,
            session: self.session.clone(),
            number: self.number,
            seen: self.seen,
            devices: self.devices.iter().map(state).collect(),
            attempts: attempts
                .iter()
                .map(|(key, (_, phase))| AttemptReport { key: key.clone(), phase: phase.clone() })
                .collect(),
            load: Load::default(),
        }
    }

    pub fn draw_session(&mut self) {
        self.sessions += 1;
        self.session = SessionId(format!("{}-session-{}", self.info.id, self.sessions));
        (self.number, self.seen) = (0, 0);
    }

    /// Takes an answer; what it was told, unless the answer is out of date.
    pub fn hear(&mut self, answer: &Answer) -> Option<Vec<Said>> {
        if answer.session != self.session || answer.number != self.number {
            return None;
        }
        if answer.standing == Standing::Closed {
            self.incarnation = Some(answer.incarnation);
            self.draw_session();
            return Some(Vec::new());
        }
        self.seen = answer.number;
        let mut said = Vec::new();
        for key in &answer.acknowledged {
            let gone = self.attempts.remove(key);
            assert!(matches!(gone, Some((_, Phase::Ended(_)))), "{key} was acknowledged: {gone:?}");
            self.acknowledged.push(key.clone());
        }
        for stop in &answer.stop {
            said.push(Said::Stop(stop.key.clone(), stop.reason));
        }
        for release in &answer.releases {
            if self.released.contains(release) {
                continue;
            }
            self.released.push(release.clone());
            for device in self.devices.iter_mut().filter(|device| device.id == release.device) {
                device.state = DeviceState::Free;
            }
        }
        for order in &answer.orders {
            if !self.attempts.contains_key(&order.key) {
                self.attempts.insert(order.key.clone(), (order.devices.clone(), Phase::Preparing));
                said.push(Said::Order(Box::new(order.clone())));
            }
        }
        Some(said)
    }

    pub fn end(&mut self, key: &AttemptKey, outcome: Outcome) {
        let (devices, phase) = self.attempts.get_mut(key).expect("the worker has the attempt");
        let own = self.devices.iter().filter(|device| devices.contains(&device.id));
        let models: BTreeSet<&str> = own.map(|device| device.model.as_str()).collect();
        let device_model = models.into_iter().collect::<Vec<_>>().join(", ");
        let outcome = Outcome { device_model, ..outcome };
        *phase = Phase::Ended(Box::new(outcome));
    }
}

impl Said {
    /// The order, which must be of this kind.
    pub fn into_order(self, kind: Kind) -> Box<Order> {
        match self {
            Self::Order(order) if order.kind == kind => order,
            other => panic!("an order to {kind:?} was expected, not {other:?}"),
        }
    }
}
