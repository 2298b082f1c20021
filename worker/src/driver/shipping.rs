//! An attempt that runs, or has run, is shipped: its log goes out, and it is looked at meanwhile.

use super::Driver;
use crate::logs::{self, Beginning};
use tokio::sync::watch as signal;
use windlass_shared::attempt::AttemptKey;

/// A log on its way.
#[derive(Debug)]
pub(super) struct Shipment {
    /// Set when the log is whole.
    pub whole: signal::Sender<bool>,
    /// Whether all of it got there, once that is known.
    pub done: signal::Receiver<Option<bool>>,
}

impl Driver {
    pub(super) fn ship(&mut self, key: AttemptKey, beginning: Beginning) {
        let Ok(dir) = self.shop.work.attempt(&key) else { return };
        if let Some(order) = self.orders.get(&key) {
            self.telemetry.begin(order, dir.clone());
        }
        let (whole, is_whole) = signal::channel(false);
        let (finish, done) = signal::channel(None);
        let client = self.shop.client.clone();
        self.shipments.insert(key.clone(), Shipment { whole, done });
        self.tasks.spawn(async move {
            let shipped = logs::ship(&client, &key, &dir.log(), beginning, is_whole).await;
            if let Err(error) = &shipped {
                tracing::warn!(attempt = %key, problem = error.chain(), "the log is not taken");
            }
            finish.send_replace(Some(shipped.is_ok()));
        });
    }
}
