//! A dead tree becomes an outcome: its log and results go out, its GPUs are looked at meanwhile.

use super::{Driver, Event, keep, send};
use crate::collect;
use crate::logs::{Beginning, Shipped};
use windlass_engine::attempt::{self, ExitRecord};
use windlass_shared::attempt::{AttemptKey, Ending, Outcome};

impl Driver {
    /// A new life of the coordinator: what an ended attempt names, and what does not travel with the report, is
    /// offered to it once more.
    pub(super) fn send_again(&mut self, key: AttemptKey, outcome: Box<Outcome>) {
        if outcome.blobs().next().is_none() || !self.shop.parcels.of(&key).is_empty() {
            return;
        }
        let (shop, sender) = (self.shop.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            if let Err(error) = collect::send_again(&shop, &outcome).await {
                tracing::warn!(attempt = %key, problem = error.chain(), "failed to send results once more");
            }
            send(&sender, Event::SentAgain).await;
        });
    }

    pub(super) fn collect(&mut self, key: &AttemptKey, exit: Option<Box<ExitRecord>>) {
        let Some(order) = self.orders.get(key).cloned() else { return };
        self.sent_in.insert(key.clone(), self.life);
        if !self.shipments.contains_key(key) {
            self.ship(key.clone(), Beginning::Resumed);
            self.telemetry.end(key);
        }
        let Some(shipment) = self.shipments.get(key) else { return };
        let (mut done, turn) = (shipment.done.clone(), shipment.turn.clone());
        // Without a record the tree may live still, and print: its log is whole once it is buried.
        let whole = shipment.whole.clone();
        let (shop, sender, model) = (self.shop.clone(), self.sender.clone(), self.model(&order));
        let (devices, is_stopped) = (self.devices.clone(), self.host.is_stopped(key));
        self.tasks.spawn(async move {
            let buried = match &exit {
                None => Some(collect::bury(&shop, &order, model.clone()).await),
                Some(_) => None,
            };
            // A short log of which nothing has gone goes with the outcome.
            let is_held = exit.as_ref().is_some_and(|exit| collect::is_short(exit) && turn.hold());
            whole.send_replace(true);
            // The tree is dead: its GPUs are looked at while its results are read.
            let outcome = async {
                match (buried, &exit) {
                    (Some(outcome), _) => Some(outcome),
                    (None, Some(exit)) => Some(collect::collect(&shop, &order, exit, model, is_held).await),
                    (None, None) => None,
                }
            };
            let (outcome, failed) = tokio::join!(outcome, devices.settle(&order));
            let Some(mut outcome) = outcome else { return };
            if let Some(detail) = failed.filter(|_| !is_stopped) {
                outcome.ending = Ending::GpuFault { detail };
            }
            if !is_held {
                let shipped = done.wait_for(Option::is_some).await;
                if !shipped.is_ok_and(|shipped| shipped.flatten() == Some(Shipped::Whole)) {
                    outcome.log_hash = None;
                }
            }
            keep(&shop, &order.key, &outcome).await;
            send(&sender, Event::Host(attempt::Event::Collected(order.key, Box::new(outcome)))).await;
        });
    }
}
