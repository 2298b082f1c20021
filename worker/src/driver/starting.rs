//! An order becomes a prepared folder, and the folder a shim.

use super::{Driver, Event, keep, send, watch};
use crate::collect;
use crate::error::Error;
use crate::prepare;
use tokio_util::sync::CancellationToken;
use windlass_engine::attempt;
use windlass_shared::attempt::{AttemptKey, Order};

impl Driver {
    pub(super) fn prepare(&mut self, order: Order) {
        let request = order.request.as_ref().map(|request| request.0.clone());
        tracing::debug!(attempt = %order.key, request, "an order came");
        self.orders.insert(order.key.clone(), order.clone());
        let stop = CancellationToken::new();
        self.preparing.insert(order.key.clone(), stop.clone());
        let (shop, sender) = (self.shop.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let event = match prepare::prepare(&shop, &order, &stop).await {
                Ok(()) => attempt::Event::Prepared(order.key),
                Err(Error::Setup(failure)) => {
                    let outcome = collect::failed_setup(&shop, &order, &failure).await;
                    keep(&shop, &order.key, &outcome).await;
                    attempt::Event::Collected(order.key, Box::new(outcome))
                }
                Err(error) => {
                    tracing::warn!(attempt = %order.key, request, problem = error.chain(), "failed to prepare");
                    attempt::Event::PrepareFailed(order.key, error.ending())
                }
            };
            send(&sender, Event::Host(event)).await;
        });
    }

    pub(super) fn start(&mut self, key: &AttemptKey) {
        if !self.looked {
            return self.early.push(key.clone());
        }
        let Some(order) = self.orders.get(key).cloned() else { return };
        let (shop, sender) = (self.shop.clone(), self.sender.clone());
        let cpus = self.cpus.give(&order, &self.seen);
        let model = self.model(&order);
        self.tasks.spawn(async move {
            let key = order.key.clone();
            match watch::start(&shop, order, cpus, model).await {
                Ok(started) => {
                    if started.speaks() {
                        send(&sender, Event::Host(attempt::Event::Started(key.clone()))).await;
                    }
                    let exit = started.ended().await;
                    send(&sender, Event::ShimEnded(key, exit)).await;
                }
                Err(error) => {
                    tracing::warn!(attempt = %key, problem = error.chain(), "failed to start a shim");
                    send(&sender, Event::Host(attempt::Event::PrepareFailed(key, error.ending()))).await;
                }
            }
        });
    }
}
