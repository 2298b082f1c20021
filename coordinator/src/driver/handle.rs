//! How the outside reaches the loop: by events, and by what it may read without asking.

use super::event::Event;
use super::frozen::Frozen;
use super::query::Query;
use super::stores::Stores;
use super::tasks::Tasks;
use crate::ledger::Durable;
use tokio::sync::{mpsc, oneshot, watch};
use windlass_shared::access::Access;
use windlass_shared::refusal::Refusal;
use windlass_shared::space::Space;

/// How the outside reaches the loop. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(super) events: mpsc::Sender<Event>,
    /// How far the ledger is durable.
    pub durable: watch::Receiver<Durable>,
    /// Changes whenever the soft state may have moved.
    pub moved: watch::Receiver<u64>,
    /// Why nothing is written any more, if so.
    pub frozen: watch::Receiver<Option<Frozen>>,
    /// The disk of the data folder.
    pub space: watch::Receiver<Space>,
    /// What lies beside the core.
    pub stores: Stores,
    /// For streams.
    pub tasks: Tasks,
}

/// The coordinator ends; the caller may try again elsewhere or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is shutting down")]
pub(crate) struct Gone;

impl Handle {
    /// Sends an event and awaits its answer.
    pub async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Event,
    ) -> Result<Result<T, Refusal>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.events.send(event(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// The dimensions that a campaign has measured (P13), where they are asked for: they grow with it.
    pub async fn dimensions(
        &self,
        access: &Access,
        name: &str,
        is_asked: bool,
    ) -> Result<Result<Vec<String>, Refusal>, Gone> {
        if !is_asked {
            return Ok(Ok(Vec::new()));
        }
        let (access, name) = (access.clone(), name.to_owned());
        self.ask(|reply| Event::Query(Query::Dimensions { access, name, reply })).await
    }

    /// Refuses every change while the ledger cannot be written.
    pub fn writes(&self) -> Result<(), Refusal> {
        self.frozen.borrow().as_ref().map_or(Ok(()), |frozen| Err(frozen.refusal.clone()))
    }

    /// Sends an event that nobody answers; one that finds the queue full is lost, as a message can be.
    pub fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}
