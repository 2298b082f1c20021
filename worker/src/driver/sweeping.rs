//! What was put away is removed beside everything else: for many attempts at once, since a sweep looks at the
//! whole work folder.

use super::blocking;
use crate::shop::Shop;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Between two sweeps: what a hundred short runs leave in this time is a few MiB.
const PAUSE: Duration = Duration::from_millis(500);

/// Sweeps whenever there is litter.
pub(super) async fn sweep(shop: Shop, litter: Arc<Notify>) {
    loop {
        litter.notified().await;
        let shop = shop.clone();
        if let Err(error) = blocking(move || shop.sweep()).await {
            tracing::warn!(problem = error.chain(), "failed to sweep the work folder");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
