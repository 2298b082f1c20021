//! File work off the event loop. A task that is ended leaves its file work running, so it is counted: a
//! driver that ends waits until none is left.

use crate::error::Error;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::watch;

/// How much of it is in hand, in this process.
static IN_HAND: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// One piece of it, until dropped.
struct Piece;

impl Piece {
    fn begin() -> Self {
        IN_HAND.send_modify(|count| *count += 1);
        Self
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        IN_HAND.send_modify(|count| *count -= 1);
    }
}

/// Does `work` on a thread for blocking calls.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let piece = Piece::begin();
    let counted = move || {
        let _piece = piece;
        work()
    };
    tokio::task::spawn_blocking(counted).await.map_err(Error::Task)?
}

/// Does `work` there without anybody waiting for it: closing what the kernel takes its time over. Here and now where
/// the runtime is gone.
pub(crate) fn aside(work: impl FnOnce() + Send + 'static) {
    let piece = Piece::begin();
    let counted = move || {
        let _piece = piece;
        work();
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(counted)),
        Err(_) => counted(),
    }
}

/// Waits until none is in hand, at most so long. Whether that came true.
pub(super) async fn settle(at_most: Duration) -> bool {
    let mut in_hand = IN_HAND.subscribe();
    let none = in_hand.wait_for(|&count| count == 0);
    tokio::time::timeout(at_most, none).await.is_ok()
}
