//! An attempt that runs, or has run, is shipped: its log goes out, and it is looked at meanwhile.

use super::Driver;
use crate::logs::{self, Beginning, Shipped, Turn};
use crate::shim::LogLimits;
use tokio::sync::watch as signal;
use windlass_shared::attempt::AttemptKey;

/// A log on its way.
#[derive(Debug)]
pub(super) struct Shipment {
    /// Set when the log is whole.
    pub whole: signal::Sender<bool>,
    /// What became of it, once that is known; none where it was not taken.
    pub done: signal::Receiver<Option<Option<Shipped>>>,
    /// Whether it goes by itself.
    pub turn: Turn,
}

impl Driver {
    pub(super) fn ship(&mut self, key: AttemptKey, beginning: Beginning) {
        let Ok(dir) = self.shop.work.attempt(&key) else { return };
        let Some(order) = self.orders.get(&key) else { return };
        let most_bytes = LogLimits::of(&order.limits).file_max_bytes();
        self.telemetry.begin(order, dir.clone());
        let (whole, is_whole) = signal::channel(false);
        let (finish, done) = signal::channel(None);
        let (client, turn) = (self.shop.client.clone(), Turn::of(beginning));
        self.shipments.insert(key.clone(), Shipment { whole, done, turn: turn.clone() });
        self.tasks.spawn(async move {
            let shipped = logs::ship(&client, &key, &dir.log(), most_bytes, beginning, &turn, is_whole).await;
            if let Err(error) = &shipped {
                tracing::warn!(attempt = %key, problem = error.chain(), "the log is not taken");
            }
            finish.send_replace(Some(shipped.ok()));
        });
    }
}
