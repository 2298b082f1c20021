//! The version handshake: a caller says its version with every call and is refused when it is too far from
//! this one's; every answer says this coordinator's. A caller that says none is a tool, and is let in.

use tonic::service::Interceptor;
use tonic::{Request, Status};
use windlass_proto::refusal::to_status;
use windlass_shared::version::{self, CLIENT, HEADER, ROLE_HEADER, WORKER};

/// This coordinator's version.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// Checks every call's version.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionGuard;

impl Interceptor for VersionGuard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(theirs) = request.metadata().get(HEADER) else { return Ok(request) };
        let caller = if is_worker(request.metadata()) { WORKER } else { CLIENT };
        let theirs = theirs.to_str().unwrap_or_default();
        version::check(caller, theirs, OURS).map_err(|refusal| answer(to_status(&refusal)))?;
        Ok(request)
    }
}

/// Whether a worker calls: what it brings belongs to runs that were leased already.
pub(super) fn is_worker(metadata: &tonic::metadata::MetadataMap) -> bool {
    metadata.get(ROLE_HEADER).is_some_and(|role| role == WORKER)
}

/// A refusal says this version too.
fn answer(mut status: Status) -> Status {
    if let Ok(ours) = OURS.parse() {
        status.metadata_mut().insert(HEADER, ours);
    }
    status
}

/// Says this version in an answer.
pub(super) fn sign<B>(mut response: http::Response<B>) -> http::Response<B> {
    let ours = http::HeaderValue::from_static(OURS);
    response.headers_mut().insert(http::HeaderName::from_static(HEADER), ours);
    response
}
