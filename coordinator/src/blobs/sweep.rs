//! Removing blobs beside everything that uses them: what is stored is listed, and what its caller names is
//! removed unless somebody has touched it since the sweep began.

use super::pins::{RENEW_AFTER, now_ms};
use super::{Blobs, Error, SMALL_MAX_BYTES};
use crate::driver::blocking;
use std::future::Future;
use std::time::Duration;
use windlass_shared::digest::Digest;

/// Blobs that are removed at once: their commit is a short one, and their writers wait no longer.
const BATCH_BLOBS: usize = 512;

/// A blob in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Which.
    pub digest: Digest,
    /// When it was last found or written, wall time.
    pub pinned_ms: i64,
}

/// One sweep; there is one at a time. It ends when it is dropped.
pub(crate) struct Sweep {
    store: Blobs,
    pin_ms: i64,
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.store.pins.end();
    }
}

impl Blobs {
    /// Begins a sweep that leaves alone what was found or written within `pin`; none while another is under
    /// way.
    pub(crate) fn sweep(&self, pin: Duration) -> Option<Sweep> {
        // Pins are renewed by the hour: the hour that a pin may lag behind is added.
        let pin = pin.saturating_add(RENEW_AFTER.min(pin));
        let pin_ms = i64::try_from(pin.as_millis()).unwrap_or(i64::MAX);
        self.pins.begin().then(|| Sweep { store: self.clone(), pin_ms })
    }
}

impl Sweep {
    /// Everything that is stored.
    pub async fn stored(&self) -> Result<Vec<Stored>, Error> {
        let (large, readers) = (self.store.large.clone(), self.store.readers.clone());
        blocking(move || {
            let mut stored = large.list()?;
            stored
                .extend(readers.blobs()?.into_iter().map(|(digest, pinned_ms)| Stored { digest, pinned_ms }));
            Ok(stored)
        })
        .await
    }

    /// Whether a blob was found or written so lately that it must stay.
    pub fn is_pinned(&self, stored: &Stored) -> bool {
        stored.pinned_ms.saturating_add(self.pin_ms) > now_ms()
    }

    /// Removes these, save what somebody has touched meanwhile; returns what is gone.
    pub async fn remove(&self, unwanted: &[Digest]) -> Result<Vec<Digest>, Error> {
        let mut gone = Vec::new();
        for batch in unwanted.chunks(BATCH_BLOBS) {
            let slot = self.store.writer.slot().await?;
            let is_small = |digest: &Digest| digest.size_bytes <= SMALL_MAX_BYTES;
            let mut removed = None;
            let doomed = self.store.pins.doom(batch, |doomed| {
                let small: Vec<Digest> = doomed.iter().copied().filter(is_small).collect();
                removed = Some(self.store.writer.remove(small, slot));
            });
            let ended = self.carry_out(&doomed, removed).await;
            self.store.pins.gone(&doomed);
            ended?;
            gone.extend(doomed);
        }
        Ok(gone)
    }

    async fn carry_out(
        &self,
        doomed: &[Digest],
        removed: Option<impl Future<Output = Result<(), crate::ledger::Error>>>,
    ) -> Result<(), Error> {
        if let Some(removed) = removed {
            removed.await?;
        }
        let large = self.store.large.clone();
        let files: Vec<Digest> =
            doomed.iter().copied().filter(|digest| digest.size_bytes > SMALL_MAX_BYTES).collect();
        blocking(move || files.into_iter().try_for_each(|digest| large.remove(digest))).await
    }
}
