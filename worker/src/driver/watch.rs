//! Waiting for shims: for their first word, and for their end by pidfd. Starts no task of its own.

use crate::driver::blocking;
use crate::error::Error;
use crate::prepare;
use crate::shim::Launched;
use crate::shop::Shop;
use crate::spool::AttemptDir;
use rustix::fd::OwnedFd;
use std::fs::File;
use std::io::Read;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use windlass_engine::attempt::ExitRecord;
use windlass_shared::attempt::Order;

/// A shim that this daemon started.
#[derive(Debug)]
pub struct Started {
    dir: AttemptDir,
    pidfd: Option<OwnedFd>,
    speaks: bool,
}

/// Starts the shim of a prepared order and waits for its first word.
pub async fn start(shop: &Shop, order: Order, cpus: Vec<u32>, model: String) -> Result<Started, Error> {
    let shop = shop.clone();
    blocking(move || {
        let dir = shop.work.attempt(&order.key)?;
        let spec = prepare::spec(&shop, &order, &dir, uuid::Uuid::new_v4().to_string(), cpus, model)?;
        let Launched { pidfd, voice, .. } =
            shop.nursery.launch(dir.path(), &spec, &shop.secrets.of(&order)?)?;
        let speaks = hear(voice);
        let request = order.request.as_ref().map(|request| request.as_str());
        tracing::debug!(attempt = %order.key, request, speaks, "its shim was started");
        Ok(Started { dir, pidfd, speaks })
    })
    .await
}

/// Whether the shim said that its command runs; false when it ended first. A shim speaks or ends within
/// seconds.
fn hear(mut voice: File) -> bool {
    let mut word = [0; 8];
    voice.read_exact(&mut word).is_ok() && &word == b"started\n"
}

impl Started {
    /// Whether its command runs.
    pub fn speaks(&self) -> bool {
        self.speaks
    }

    /// Waits for its end; its record, if it left one.
    pub async fn ended(self) -> Option<Box<ExitRecord>> {
        shim(self.pidfd, &self.dir).await
    }
}

/// Waits for a shim's end, unless it has ended already; its record, if it left one.
pub async fn shim(pidfd: Option<OwnedFd>, dir: &AttemptDir) -> Option<Box<ExitRecord>> {
    match pidfd.map(readable_when).transpose() {
        // A pidfd is readable once, for good.
        Ok(Some(pidfd)) => drop(pidfd.readable().await),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "failed to watch a shim"),
    }
    let dir = dir.clone();
    match blocking(move || dir.exit()).await {
        Ok(exit) => {
            if let Some(exit) = &exit {
                // What the shim itself was told, and wrote down.
                let request = exit.request.as_ref().map(|request| request.as_str());
                let (attempt, code) = (&exit.record.key, exit.record.code);
                tracing::debug!(%attempt, request, code, "its shim has ended");
            }
            exit.map(|exit| Box::new(exit.record))
        }
        Err(error) => {
            tracing::error!(problem = error.chain(), "failed to read an exit record");
            None
        }
    }
}

/// Waits for any descriptor of ours to be readable.
#[expect(unsafe_code, reason = "tokio offers no safe way to wait for a descriptor that is not its own")]
pub fn readable_when(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open for as long as it lives, it is always the same descriptor, and the
    // `AsyncFd` owns it.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(std::io::Error::from)
}
