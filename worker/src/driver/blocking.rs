//! File work off the event loop. Every such task is awaited where it was begun, so none outlives the driver.

use crate::error::Error;

/// Does `work` on a thread for blocking calls.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Task)?
}
