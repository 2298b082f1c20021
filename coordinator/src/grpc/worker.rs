//! WorkerService: the one call of a worker.

use super::access::permitted;
use super::convert::{answered, digest, ledger_failure};
use super::reach::{Reach, orders_of};
use crate::driver::{Event, Handle, blocking};
use crate::ledger::Blob;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tonic::{Request, Response, Status};
use windlass_proto::v1::worker_service_server::WorkerService;
use windlass_proto::{PARCEL_MAX_BYTES, PARCELS_MAX_BYTES, refusal::to_status, v1};
use windlass_shared::access::{Access, Viewer};
use windlass_shared::attempt::{AttemptKey, Phase};
use windlass_shared::digest::Digest;
use windlass_shared::id::{SessionId, WorkerId};
use windlass_shared::record::Body;
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{AttemptReport, Report};

/// See [`apart_ms`].
const CLOCK_STEP_MS: i64 = 10_000;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Workers {
    handle: Handle,
    reach: Reach,
}

impl Workers {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle, reach: Reach) -> Self {
        Self { handle, reach }
    }

    /// A report of the very worker that the certificate names. What it says of attempts that were never leased to it is
    /// left out: to it they are not there (I5). The end of one that is leased to it now stays what it was told before
    /// where it names a blob that its worker may not.
    async fn of(
        &self,
        access: &Access,
        mut report: Report,
        parcels: &mut Vec<Blob>,
    ) -> Result<Report, Status> {
        let Viewer::Worker(id, name) = &access.viewer else { return Ok(report) };
        if report.worker.id != *id || report.worker.name != *name {
            let name = format!("{} ({})", report.worker.name, report.worker.id);
            return Err(to_status(&Refusal::NotFound { what: "worker", name }));
        }
        let is_end = |attempt: &AttemptReport| matches!(attempt.phase, Phase::Ended(_));
        if !report.attempts.iter().any(is_end) {
            // Only an end is recorded; everything else is the worker's own page of the fleet.
            parcels.clear();
            return Ok(report);
        }
        let orders = orders_of(&self.handle, id).await?;
        let (mut own, mut brings) = (Vec::with_capacity(report.attempts.len()), false);
        for mut attempt in report.attempts {
            let order = orders.iter().find(|order| order.key == attempt.key);
            if let (Phase::Ended(outcome), Some(order)) = (&attempt.phase, order) {
                let foreign =
                    self.reach.foreign(&self.handle, id, (&orders, order), outcome, parcels).await?;
                if let Some(digest) = foreign {
                    tracing::warn!(attempt = %attempt.key, worker = name, %digest, "an attempt's end names a blob that its worker neither sent nor was given; it is not recorded until the worker sends it");
                    // Its worker still has it: to leave it out altogether would say that it never was there.
                    attempt.phase = Phase::Collecting;
                } else {
                    brings = true;
                }
            }
            if !is_end(&attempt) || order.is_some() || self.was_leased(id, &attempt.key).await? {
                own.push(attempt);
            }
        }
        if !brings {
            // Parcels belong to the end of an attempt that is this worker's now; nothing else has any.
            parcels.clear();
        }
        report.attempts = own;
        Ok(report)
    }

    /// Whether the ledger leased an attempt to this worker, or does not know it at all (I15).
    async fn was_leased(&self, worker: &WorkerId, key: &AttemptKey) -> Result<bool, Status> {
        let (readers, id) = (self.handle.stores.readers.clone(), key.id.clone());
        let lease = blocking(move || readers.lease(&id)).await.map_err(|error| ledger_failure(&error))?;
        Ok(match lease.map(|record| record.body) {
            Some(Body::AttemptLeased { order, worker: leased, .. }) => order.key != *key || leased == *worker,
            _ => true,
        })
    }
}

/// Tells the loop when a hanging call is dropped: its connection broke, or its caller gave it up.
struct HangUp {
    handle: Handle,
    worker: WorkerId,
    session: SessionId,
    number: u64,
    is_answered: bool,
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if !self.is_answered {
            let (worker, session) = (self.worker.clone(), self.session.clone());
            self.handle.tell(Event::HungUp { worker, session, number: self.number });
        }
    }
}

/// How far a worker's clock is ahead, in steps of ten seconds: what a message takes on its way is no news, and neither
/// is a clock that drifts.
fn apart_ms(wall_ms: i64, now_ms: i64) -> i64 {
    let apart_ms = if wall_ms == 0 { 0 } else { wall_ms.saturating_sub(now_ms) };
    apart_ms.saturating_add(apart_ms.signum() * CLOCK_STEP_MS / 2) / CLOCK_STEP_MS * CLOCK_STEP_MS
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// The blobs beside a report, each checked (I16). One that is damaged is left out, so that the worker's other
/// attempts go on: the end that names it is not recorded before it comes whole.
fn parcels(sent: Vec<v1::Parcel>) -> Result<Vec<Blob>, Status> {
    let bytes: usize = sent.iter().map(|parcel| parcel.data.len()).sum();
    if bytes > PARCELS_MAX_BYTES || sent.iter().any(|parcel| parcel.data.len() > PARCEL_MAX_BYTES) {
        return Err(to_status(&Refusal::TooMuch {
            what: "the bytes of blobs beside a worker's report".to_owned(),
            figure: bytes as u64,
            limit: PARCELS_MAX_BYTES as u64,
        }));
    }
    let mut blobs = Vec::with_capacity(sent.len());
    for v1::Parcel { digest: name, data } in sent {
        let digest = digest("parcels", &name)?;
        if Digest::of(&data) == digest {
            blobs.push(Blob { digest, bytes: data });
        } else {
            tracing::warn!(%digest, "a blob beside a report is damaged");
        }
    }
    Ok(blobs)
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn sync(&self, request: Request<v1::SyncRequest>) -> Result<Response<v1::SyncResponse>, Status> {
        let came = Instant::now();
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let mut parcels = parcels(std::mem::take(&mut message.parcels))?;
        let apart_ms = apart_ms(message.wall_ms, now_ms());
        let mut report = Report::try_from(message).map_err(|refusal| to_status(&refusal))?;
        report.worker.clock_apart_ms = apart_ms;
        let report = self.of(&access, report, &mut parcels).await?;
        let mut hang_up = HangUp {
            handle: self.handle.clone(),
            worker: report.worker.id.clone(),
            session: report.session.clone(),
            number: report.number,
            is_answered: false,
        };
        let report = Box::new(report);
        let answer = self.handle.ask(|reply| Event::Report { report, parcels, came, reply }).await;
        hang_up.is_answered = true;
        let answer = answered(answer)?;
        let secrets = self.handle.stores.secrets.beside(&answer);
        Ok(Response::new(v1::SyncResponse { secrets, ..(&answer).into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_told_apart_in_steps_that_neither_a_slow_message_nor_drift_makes() {
        let now_ms = 1_700_000_000_000;
        for (ahead_ms, want_ms) in [
            (0, 0),
            (-3_000, 0),
            (4_999, 0),
            (5_000, 10_000),
            (7_200_000, 7_200_000),
            (7_203_700, 7_200_000),
            (-7_200_000, -7_200_000),
            (-7_203_000, -7_200_000),
        ] {
            assert_eq!(apart_ms(now_ms + ahead_ms, now_ms), want_ms, "{ahead_ms}");
        }
        assert_eq!(apart_ms(0, now_ms), 0, "an older worker says nothing");
    }
}
