//! A worker's report on its way through the loop: what ended is recorded, then the report is seen, then it
//! hangs. It judges nothing.

use super::event::Reply;
use super::hanging::superseded;
use super::{Driver, Error};
use crate::ledger::Blob;
use windlass_engine::core::{Input, Observation};
use windlass_shared::attempt::{AttemptKey, Phase};
use windlass_shared::digest::Digest;
use windlass_shared::record::{Body, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{Answer, Report};
use windlass_shared::time::Time;

impl Driver {
    /// Takes a report. An end whose blobs are not there is left undecided (I16): its worker is heard all
    /// the same, its other attempts go on, and it reports that one again until the blobs have come.
    /// One that is older than what its worker said since changes nothing and is told so at once.
    pub(super) fn report(
        &mut self,
        now: Time,
        report: Report,
        parcels: Vec<Blob>,
        reply: Reply<Answer>,
    ) -> Result<(), Error> {
        let member = self.core.soft().fleet().member(&report.worker.id);
        if member.is_some_and(|member| member.session == report.session && report.number < member.number) {
            let _ = reply.send(Err(superseded()));
            return Ok(());
        }
        // Those that another report brought a moment ago are on their way to the disk.
        let parcels: Vec<Blob> =
            parcels.into_iter().filter(|parcel| !self.stores.blobs.is_pending(parcel.digest)).collect();
        self.stores.blobs.hold(&parcels);
        let decided = self.decide_report(now, &report)?;
        let is_end = |record: &Record| matches!(record.body, Body::AttemptEnded { .. });
        if decided.as_ref().is_ok_and(|records| records.iter().any(is_end)) {
            self.batch.blobs.extend(parcels);
        } else {
            // Nothing was decided on them: what is said again is in the ledger, or is not to be.
            let digests: Vec<Digest> = parcels.iter().map(|parcel| parcel.digest).collect();
            self.stores.blobs.release(&digests);
        }
        match decided {
            Err(refusal) => self.outbox.push(self.core.durable().seq, reply, Err(refusal)),
            Ok(records) => {
                self.apply(records);
                self.hanging.hang(&report, reply, now.mono_ms);
                self.observe(now, Observation::Report(report));
            }
        }
        Ok(())
    }

    /// Decides a report, again and again without the ends that name an absent blob.
    fn decide_report(&mut self, now: Time, report: &Report) -> Result<Result<Vec<Record>, Refusal>, Error> {
        let mut decidable = report.clone();
        loop {
            let records = match self.core.decide(now, Input::Report(decidable.clone())) {
                Ok(records) => records,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let Some((key, digest)) = self.end_without_blob(&records)? else {
                return Ok(match self.absent_blob(&records)? {
                    Some(digest) => Err(Refusal::AbsentBlob { digest }),
                    None => Ok(records),
                });
            };
            self.note_without_blob(&key, digest);
            let mut reported = decidable.attempts.iter_mut();
            match reported.find(|attempt| attempt.key == key && attempt.phase != Phase::Collecting) {
                // Its worker still has it: to leave it out altogether would say that it never was there.
                Some(attempt) => attempt.phase = Phase::Collecting,
                None => return Ok(Err(Refusal::AbsentBlob { digest })),
            }
        }
    }

    /// The first recorded end that names a blob that nobody has.
    fn end_without_blob(&self, records: &[Record]) -> Result<Option<(AttemptKey, Digest)>, Error> {
        for record in records {
            if let Body::AttemptEnded { attempt, fence, .. } = &record.body
                && let Some(digest) = self.absent_blob(std::slice::from_ref(record))?
            {
                return Ok(Some((AttemptKey { id: attempt.clone(), fence: *fence }, digest)));
            }
        }
        Ok(None)
    }

    /// Says once per attempt that its end cannot be recorded.
    fn note_without_blob(&mut self, key: &AttemptKey, digest: Digest) {
        let live = &self.core.durable().live;
        self.without_blobs.retain(|known| live.values().any(|held| held.contains_key(&known.id)));
        if self.without_blobs.insert(key.clone()) {
            tracing::error!(%key, %digest, "an attempt's end names a blob that is not in the store; it is not recorded until the blob comes");
        }
    }

    /// The first blob that these records name and nobody has (I16).
    pub(super) fn absent_blob(&self, records: &[Record]) -> Result<Option<Digest>, Error> {
        for digest in records.iter().flat_map(|record| record.body.blobs()) {
            if !self.stores.blobs.contains(digest).map_err(|error| Error::Blobs(Box::new(error)))? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }
}
