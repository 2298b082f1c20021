//! Questions in the form of changes: a call whose header says so is gated, decided and answered as it would
//! be, and nothing is recorded. One place for all changes, so that none can be added without it.

use crate::driver::Intent;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{Layer, Service};
use windlass_shared::version::DRY_RUN_HEADER;

tokio::task_local! {
    static IS_DRY: bool;
}

/// What the caller that is being answered wants of its change.
pub(super) fn intent() -> Intent {
    match IS_DRY.try_with(|dry| *dry) {
        Ok(true) => Intent::Ask,
        Ok(false) | Err(_) => Intent::Do,
    }
}

/// Notes the header for as long as a call is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct DryLayer;

impl<S> Layer<S> for DryLayer {
    type Service = Dry<S>;

    fn layer(&self, inner: S) -> Dry<S> {
        Dry { inner }
    }
}

/// See [`DryLayer`].
#[derive(Clone, Debug)]
pub(super) struct Dry<S> {
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Dry<S>
where
    S: Service<http::Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let is_dry = request.headers().contains_key(DRY_RUN_HEADER);
        Box::pin(IS_DRY.scope(is_dry, self.inner.call(request)))
    }
}
