//! Each call has a span: whatever is logged while it is answered names the call, and the request where it has one.

use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{Layer, Service};
use tracing::Instrument;
use uuid::Uuid;

/// Notes the request that is being answered. One that is no UUID is nobody's key, and is not written into a log.
pub(super) fn note_request(id: &str) {
    if Uuid::parse_str(id).is_ok() {
        tracing::Span::current().record("request", id);
    }
}

/// Puts each call into a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner }
    }
}

/// See [`TraceLayer`].
#[derive(Clone, Debug)]
pub(super) struct Traced<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Only what was let in by the table is spoken of by name: a path is anything that a peer likes.
        let call = super::access::find(request.uri().path()).map_or("unknown", |row| row.call);
        let span = tracing::info_span!("call", call, request = tracing::field::Empty);
        let answered = span.in_scope(|| self.inner.call(request));
        Box::pin(
            async move {
                let answer = answered.await;
                if let Ok(answer) = &answer {
                    // Absent where all is well and the body has yet to say so.
                    let status = answer.headers().get("grpc-status").and_then(|status| status.to_str().ok());
                    tracing::debug!(status, "answered");
                }
                answer
            }
            .instrument(span),
        )
    }
}
