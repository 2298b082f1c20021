//! The lifeline: a pipe whose other end the parent holds. When the parent is gone, however it went, the
//! pipe ends, and so does the child.

use std::io::Read;
use tokio::sync::oneshot;

/// Resolves when the parent's end of descriptor `fd` is closed; never, without one.
pub async fn cut(fd: Option<u32>) {
    let Some(fd) = fd else { return std::future::pending().await };
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: the read blocks for as long as this process lives.
    let watching = std::thread::Builder::new().name("lifeline".to_owned()).spawn(move || {
        if let Ok(mut pipe) = std::fs::File::open(format!("/proc/self/fd/{fd}")) {
            let mut bytes = [0; 64];
            while pipe.read(&mut bytes).is_ok_and(|n| n > 0) {}
        }
        // Nobody waits any more when the process ends for another reason.
        let _ = sender.send(());
    });
    if watching.is_ok() {
        let _ = receiver.await;
    }
}
