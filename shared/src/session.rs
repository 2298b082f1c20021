//! What a worker and a coordinator say to each other: level-triggered, so that a lost or doubled
//! message costs nothing but time. The worker says all it has; the answer says all it should have.

use crate::attempt::{AttemptKey, Order, Phase};
use crate::device::{Device, Load, WorkerInfo};
use crate::id::{DeviceId, FencingNumber, Incarnation, SessionId};
use serde::{Deserialize, Serialize};

/// Everything a worker has, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who speaks.
    pub worker: WorkerInfo,
    /// The coordinator's life that this session was opened with; none before the first answer. A report
    /// for another life is answered, and changes nothing.
    pub incarnation: Option<Incarnation>,
    /// Drawn anew at each start of the worker and whenever a session was closed.
    pub session: SessionId,
    /// Counted within the session, from 1; an older one than the newest seen is thrown away.
    pub number: u64,
    /// The number of the latest report whose answer arrived; 0 before the first. What was told in a later
    /// answer was lost on the way, and is told again.
    pub seen: u64,
    /// All devices.
    pub devices: Vec<Device>,
    /// All attempts in the spool, ended ones until they are acknowledged.
    pub attempts: Vec<AttemptReport>,
    /// How busy its machine is at this moment.
    #[serde(default)]
    pub load: Load,
}

/// One attempt as its worker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// Which, under which lease.
    pub key: AttemptKey,
    /// Where it stands.
    pub phase: Phase,
}

/// What a worker should have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The coordinator's present life.
    pub incarnation: Incarnation,
    /// Echo of the report's session.
    pub session: SessionId,
    /// Echo of the report's number: the worker ignores an answer to any but its latest report.
    pub number: u64,
    /// Whether this session still counts.
    pub standing: Standing,
    /// Every attempt that should be on this worker.
    pub orders: Vec<Order>,
    /// Attempts to end: their lease has passed on, or the ledger does not know them. The spool of an
    /// unknown one is kept.
    pub stop: Vec<Stop>,
    /// Ended attempts that are in the ledger: the worker may forget them.
    pub acknowledged: Vec<AttemptKey>,
    /// Quarantined devices that their owner has released.
    pub releases: Vec<Release>,
    /// Ended runs whose workspaces stay for follow-ups, as long as the disk has room (P22).
    pub keep: Vec<AttemptKey>,
}

/// That a device's quarantine is to be lifted. The worker looks again and says its own word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which device.
    pub device: DeviceId,
    /// Which release: carried out once, compared for equality only.
    pub number: FencingNumber,
}

/// Whether a session still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It does.
    Current,
    /// It was declared lost, or belongs to another life of the coordinator: begin a new one, with the
    /// incarnation that the answer names.
    Closed,
}

/// An attempt to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Which.
    pub key: AttemptKey,
    /// Why.
    pub reason: StopReason,
}

/// Why an attempt is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Its owner cancelled it or stopped the campaign.
    Cancelled,
    /// Its lease has passed on (I5).
    Superseded,
    /// The ledger does not know it (I15): stop it, keep its spool.
    Unknown,
}
