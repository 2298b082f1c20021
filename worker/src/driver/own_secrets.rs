//! Looks at the worker's own file of secrets, so that one that is added is known without a restart.

use super::{Event, blocking, send};
use crate::secrets::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use windlass_engine::attempt;

/// Between two looks: one stat(2), and whoever adds a secret waits no longer than this.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Tells the loop the names whenever the file has changed.
pub(super) async fn watch(store: Arc<Store>, sender: Sender<Event>) {
    let mut told = None;
    loop {
        let (at, before) = (Arc::clone(&store), told);
        let looked = blocking(move || {
            let stamp = Some(at.stamp());
            Ok((stamp, (stamp != before).then(|| at.names())))
        });
        if let Ok((stamp, Some(names))) = looked.await {
            told = stamp;
            send(&sender, Event::Host(attempt::Event::Secrets(names))).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
