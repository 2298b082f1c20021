//! The token check of loopback TCP. The Unix socket needs none: its mode is the check.

use crate::identity::Token;
use std::collections::HashMap;
use tonic::service::Interceptor;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt};
use windlass_proto::refusal::DOMAIN;

/// Asks every call for `authorization: Bearer <token>`.
#[derive(Clone, Debug)]
pub struct TokenGuard {
    token: Token,
}

impl TokenGuard {
    /// Lets in whoever has `token`.
    pub fn new(token: Token) -> Self {
        Self { token }
    }
}

impl Interceptor for TokenGuard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let offered = request.metadata().get("authorization").map(|value| value.as_bytes());
        match offered.and_then(|value| value.strip_prefix(b"Bearer ")) {
            Some(offered) if self.token.matches(offered) => Ok(request),
            Some(_) => Err(refuse("the token is not this coordinator's")),
            None => Err(refuse("this address asks for the coordinator's token")),
        }
    }
}

fn refuse(message: &str) -> Status {
    let metadata = HashMap::from([
        ("exit_code".to_owned(), "1".to_owned()),
        (
            "remedy".to_owned(),
            "send `authorization: Bearer <token>` with the content of `token` in the coordinator's data folder, or use its Unix socket"
                .to_owned(),
        ),
    ]);
    let details = ErrorDetails::with_error_info("UNAUTHENTICATED", DOMAIN, metadata);
    Status::with_error_details(Code::Unauthenticated, message, details)
}
