//! Tasks beside the loop, spawned here and in no other folder. What a task does is its caller's.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Tasks beside the loop: servers, streams, gatherers. Every one is joined at shutdown. Cloning shares
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    pub(super) shutdown: CancellationToken,
    /// Ends what has not ended within its grace.
    abort: CancellationToken,
}

impl Tasks {
    /// Tasks that end with `shutdown`.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), shutdown, abort: CancellationToken::new() }
    }

    /// Starts a task.
    pub fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                _ = caught(task) => {}
                () = abort.cancelled() => {}
            }
        });
    }

    /// Resolves when the coordinator is to end: for a task that has a last word.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shutdown.clone().cancelled_owned()
    }

    /// Starts a task that ends with the coordinator, wherever it stands.
    pub fn until_shutdown(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.start(async move {
            tokio::select! {
                () = task => {}
                () = shutdown.cancelled() => {}
            }
        });
    }

    /// A stream that `fill` fills; it ends with the caller, with `fill`, or with the coordinator.
    pub fn stream<T, F>(&self, length: usize, fill: impl FnOnce(mpsc::Sender<T>) -> F) -> ReceiverStream<T>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(length);
        let caller = sender.clone();
        let shutdown = self.shutdown.clone();
        let fill = fill(sender);
        self.tracker.spawn(async move {
            tokio::select! {
                _ = caught(fill) => {}
                () = caller.closed() => {}
                () = shutdown.cancelled() => {}
            }
        });
        ReceiverStream::new(receiver)
    }

    /// Waits until every task has ended; after `grace` they are ended.
    pub async fn end(&self, grace: Duration) {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            self.abort.cancel();
            self.tracker.wait().await;
        }
    }
}

/// A task that panicked; that was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task panicked")]
pub(crate) struct Panicked;

/// Runs a task whose panic is logged and handed back instead of passing in silence.
pub(crate) async fn caught<T>(task: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut task = std::pin::pin!(task);
    std::future::poll_fn(|context| {
        // The task is not polled again after a panic, so nobody sees what it left half done.
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
                tracing::error!(panic = text, "A TASK PANICKED; this is a fault of the coordinator");
                Poll::Ready(Err(Panicked))
            }
        }
    })
    .await
}

/// Runs the loop among the other tasks, on their threads: on the thread that waits for it each of its words would be
/// one thread waking another.
pub(crate) async fn among_tasks<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Runs what blocks for the disk on a thread where that hurts nobody. What it logs names the call that it is for.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(answer) => answer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
