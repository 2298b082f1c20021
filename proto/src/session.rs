//! Reports and answers of `WorkerService.Sync`.

use crate::attempt::required_key;
use crate::device::{containment, isolation, present};
use crate::{document, v1};
use std::collections::BTreeSet;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::device::{Device, Load, WorkerInfo};
use windlass_shared::id::{DeviceId, FencingNumber, Incarnation, SessionId, WorkerId};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{Answer, AttemptReport, Release, Report, Standing, Stop, StopReason};

impl From<&Report> for v1::SyncRequest {
    fn from(report: &Report) -> Self {
        Self {
            worker: report.worker.id.0.clone(),
            name: report.worker.name.clone(),
            version: report.worker.version.clone(),
            labels: report.worker.labels.clone(),
            incarnation: report.incarnation.map_or(0, |incarnation| incarnation.0),
            session: report.session.0.clone(),
            number: report.number,
            seen: report.seen,
            devices: report.devices.iter().map(Into::into).collect(),
            attempts: report.attempts.iter().map(Into::into).collect(),
            driver: report.worker.driver.clone().unwrap_or_default(),
            cpus: report.worker.cpus,
            memory_bytes: report.worker.memory_bytes,
            isolation: report
                .worker
                .isolation
                .iter()
                .map(|level| v1::Isolation::from(*level).into())
                .collect(),
            containment: report
                .worker
                .containment
                .map_or(v1::Containment::Unspecified, v1::Containment::from)
                .into(),
            unwilling: report.worker.unwilling.clone().unwrap_or_default(),
            secrets: report.worker.secrets.clone(),
            // The worker puts them beside the outcomes, from where it keeps them.
            parcels: Vec::new(),
            // And its clock, at the moment of sending.
            wall_ms: 0,
            load: Some(v1::Load {
                average_hundredths: report.load.average_hundredths,
                memory_available_bytes: report.load.memory_available_bytes,
            }),
        }
    }
}

/// The most of a worker's report that is taken: far above what any machine has, far below what would fill the
/// coordinator's memory or its ledger (I18).
mod bounds {
    /// Bytes of a name: of the worker, a session, a label, a device.
    pub(super) const NAME_BYTES: usize = 200;
    /// Bytes of a sentence: why a device is in quarantine, why nothing is taken.
    pub(super) const SENTENCE_BYTES: usize = 4096;
    /// Labels.
    pub(super) const LABELS: usize = 100;
    /// Devices: CPU slots, GPUs and their slices.
    pub(super) const DEVICES: usize = 4096;
    /// Attempts that it has, those that wait for their acknowledgement included.
    pub(super) const ATTEMPTS: usize = 16_384;
    /// Bytes of an outcome: a log's tail of 8 KiB and the first lines of some hundred outputs.
    pub(super) const OUTCOME_BYTES: usize = 1 << 20;
}

fn at_most(what: &str, figure: usize, limit: usize) -> Result<(), Refusal> {
    if figure <= limit {
        return Ok(());
    }
    Err(Refusal::TooMuch {
        what: format!("{what} of a worker's report"),
        figure: figure as u64,
        limit: limit as u64,
    })
}

/// Refuses a report that is larger than any machine's, or that does not say whose it is.
fn check_size(message: &v1::SyncRequest) -> Result<(), Refusal> {
    for (field, text) in [("worker", &message.worker), ("session", &message.session)] {
        if text.is_empty() {
            return Err(Refusal::Malformed { field, problem: "it is missing".to_owned() });
        }
    }
    at_most("the number of labels", message.labels.len(), bounds::LABELS)?;
    at_most("the number of devices", message.devices.len(), bounds::DEVICES)?;
    at_most("the number of attempts", message.attempts.len(), bounds::ATTEMPTS)?;
    let names = [&message.worker, &message.name, &message.version, &message.session, &message.driver];
    let ids = message
        .devices
        .iter()
        .flat_map(|it| [&it.id, &it.model, &it.compute_capability, &it.pci, &it.slice_of]);
    let campaigns =
        message.attempts.iter().filter_map(|attempt| attempt.key.as_ref().map(|key| &key.campaign));
    for name in names.into_iter().chain(&message.labels).chain(ids).chain(campaigns) {
        at_most("the bytes of a name", name.len(), bounds::NAME_BYTES)?;
    }
    let states = message.devices.iter().filter_map(|device| match device.state.as_ref()? {
        v1::device::State::Outsider(text) | v1::device::State::Quarantined(text) => Some(text.len()),
        v1::device::State::Busy(key) => Some(key.campaign.len()),
        v1::device::State::Free(_) => None,
    });
    for length in states.chain([message.unwilling.len()]) {
        at_most("the bytes of a sentence", length, bounds::SENTENCE_BYTES)?;
    }
    for attempt in &message.attempts {
        at_most("the bytes of an outcome", attempt.outcome_document.len(), bounds::OUTCOME_BYTES)?;
    }
    let ids: BTreeSet<&str> = message.devices.iter().map(|device| device.id.as_str()).collect();
    if ids.len() != message.devices.len() || ids.contains("") {
        let problem = "a device stands in it twice, or has no id".to_owned();
        return Err(Refusal::Malformed { field: "devices", problem });
    }
    Ok(())
}

impl TryFrom<v1::SyncRequest> for Report {
    type Error = Refusal;

    fn try_from(message: v1::SyncRequest) -> Result<Self, Refusal> {
        check_size(&message)?;
        let load = message.load.unwrap_or_default();
        let containment = containment(message.containment());
        let isolation = message.isolation().filter_map(isolation).collect();
        let attempts =
            message.attempts.into_iter().map(AttemptReport::try_from).collect::<Result<Vec<_>, _>>()?;
        let keys: BTreeSet<&AttemptKey> = attempts.iter().map(|attempt| &attempt.key).collect();
        if keys.len() != attempts.len() {
            let problem = "an attempt stands in it twice".to_owned();
            return Err(Refusal::Malformed { field: "attempts", problem });
        }
        Ok(Self {
            worker: WorkerInfo {
                id: WorkerId(message.worker),
                name: message.name,
                version: message.version,
                labels: message.labels,
                driver: present(message.driver),
                cpus: message.cpus,
                memory_bytes: message.memory_bytes,
                isolation,
                containment,
                secrets: message.secrets,
                unwilling: present(message.unwilling),
                // The receiver's to say.
                clock_apart_ms: 0,
            },
            incarnation: (message.incarnation != 0).then_some(Incarnation(message.incarnation)),
            session: SessionId(message.session),
            number: message.number,
            seen: message.seen,
            devices: message.devices.into_iter().map(Device::try_from).collect::<Result<_, _>>()?,
            attempts,
            load: Load {
                average_hundredths: load.average_hundredths,
                memory_available_bytes: load.memory_available_bytes,
            },
        })
    }
}

impl From<&Answer> for v1::SyncResponse {
    fn from(answer: &Answer) -> Self {
        let standing = match answer.standing {
            Standing::Current => v1::Standing::Current,
            Standing::Closed => v1::Standing::Closed,
        };
        Self {
            incarnation: answer.incarnation.0,
            session: answer.session.0.clone(),
            number: answer.number,
            standing: standing.into(),
            order_documents: answer.orders.iter().map(document::write).collect(),
            stop: answer.stop.iter().map(Into::into).collect(),
            acknowledged: answer.acknowledged.iter().map(Into::into).collect(),
            releases: answer.releases.iter().map(Into::into).collect(),
            keep: answer.keep.iter().map(Into::into).collect(),
            // The head node puts them beside the orders, from where they are kept.
            secrets: Vec::new(),
        }
    }
}

impl TryFrom<v1::SyncResponse> for Answer {
    type Error = Refusal;

    fn try_from(message: v1::SyncResponse) -> Result<Self, Refusal> {
        let standing = match message.standing() {
            v1::Standing::Current => Standing::Current,
            v1::Standing::Closed => Standing::Closed,
            v1::Standing::Unspecified => {
                return Err(Refusal::Malformed { field: "standing", problem: "it is missing".to_owned() });
            }
        };
        let orders = message.order_documents.iter().map(|bytes| document::read("order_documents", bytes));
        Ok(Self {
            incarnation: Incarnation(message.incarnation),
            session: SessionId(message.session),
            number: message.number,
            standing,
            orders: orders.collect::<Result<_, _>>()?,
            stop: message.stop.into_iter().map(Stop::try_from).collect::<Result<_, _>>()?,
            acknowledged: message.acknowledged.into_iter().map(Into::into).collect(),
            releases: message.releases.into_iter().map(Into::into).collect(),
            keep: message.keep.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<&Release> for v1::Release {
    fn from(release: &Release) -> Self {
        let FencingNumber { incarnation, n } = release.number;
        Self { device: release.device.0.clone(), incarnation: incarnation.0, n }
    }
}

impl From<v1::Release> for Release {
    fn from(message: v1::Release) -> Self {
        let number = FencingNumber { incarnation: Incarnation(message.incarnation), n: message.n };
        Self { device: DeviceId(message.device), number }
    }
}

impl From<&Stop> for v1::Stop {
    fn from(stop: &Stop) -> Self {
        let reason = match stop.reason {
            StopReason::Cancelled => v1::StopReason::Cancelled,
            StopReason::Superseded => v1::StopReason::Superseded,
            StopReason::Unknown => v1::StopReason::Unknown,
        };
        Self { key: Some((&stop.key).into()), reason: reason.into() }
    }
}

impl TryFrom<v1::Stop> for Stop {
    type Error = Refusal;

    fn try_from(message: v1::Stop) -> Result<Self, Refusal> {
        let reason = match message.reason() {
            v1::StopReason::Cancelled => StopReason::Cancelled,
            v1::StopReason::Superseded => StopReason::Superseded,
            // An unknown reason is the careful one: the spool is kept.
            v1::StopReason::Unknown | v1::StopReason::Unspecified => StopReason::Unknown,
        };
        Ok(Self { key: required_key(message.key)?, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> v1::SyncRequest {
        let state = Some(v1::device::State::Free(v1::device::Free {}));
        let kind = v1::DeviceKind::Cpu.into();
        let device = v1::Device { id: "cpu-0".to_owned(), kind, state, ..v1::Device::default() };
        let (worker, session) = ("worker-1".to_owned(), "session-1".to_owned());
        v1::SyncRequest { worker, session, devices: vec![device], ..v1::SyncRequest::default() }
    }

    #[test]
    fn i18_a_report_larger_than_any_machine_s_is_refused_by_what_is_too_much_in_it() {
        Report::try_from(message()).expect("the positive control");
        let check = |change: &dyn Fn(&mut v1::SyncRequest), want: &str| {
            let mut message = message();
            change(&mut message);
            let refusal = Report::try_from(message).expect_err(want);
            assert!(refusal.to_string().contains(want) && refusal.remedy().is_some(), "{want}: {refusal}");
        };
        check(&|it| it.worker.clear(), "worker");
        check(&|it| it.session.clear(), "session");
        check(&|it| it.name = "x".repeat(1 << 20), "bytes of a name");
        check(&|it| it.labels = vec![String::new(); 101], "number of labels");
        check(&|it| it.devices = vec![it.devices[0].clone(); 5000], "number of devices");
        check(&|it| it.devices = vec![it.devices[0].clone(); 2], "twice");
        check(&|it| it.unwilling = "x".repeat(5000), "bytes of a sentence");
        check(&|it| it.attempts = vec![v1::AttemptReport::default(); 20_000], "number of attempts");
        let ended = v1::AttemptReport { outcome_document: vec![b' '; 2 << 20].into(), ..Default::default() };
        check(&|it| it.attempts = vec![ended.clone()], "bytes of an outcome");
    }
}
