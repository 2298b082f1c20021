//! Reports and answers of `WorkerService.Sync`.

use crate::attempt::required_key;
use crate::device::{containment, isolation, present};
use crate::{document, v1};
use std::collections::BTreeSet;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::device::{Device, WorkerInfo};
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
        }
    }
}

impl TryFrom<v1::SyncRequest> for Report {
    type Error = Refusal;

    fn try_from(message: v1::SyncRequest) -> Result<Self, Refusal> {
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
            },
            incarnation: (message.incarnation != 0).then_some(Incarnation(message.incarnation)),
            session: SessionId(message.session),
            number: message.number,
            seen: message.seen,
            devices: message.devices.into_iter().map(Device::try_from).collect::<Result<_, _>>()?,
            attempts,
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
