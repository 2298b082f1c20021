//! IdentityService: tokens, certificates, and how they end.

use super::access::permitted;
use super::convert::answered;
use super::dry;
use crate::driver::{Event, Handle, Intent, Query, blocking};
use crate::identity::{Failure, Issued, Joiner, Office, Peer};
use tonic::{Request, Response, Status};
use windlass_proto::v1::identity_service_server::IdentityService;
use windlass_proto::{document, refusal::to_status, v1};
use windlass_shared::access::{Access, CertificateView, Role};
use windlass_shared::id::WorkerId;
use windlass_shared::refusal::Refusal;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    handle: Handle,
    office: Office,
}

impl Identities {
    /// Serves what `office` gives out.
    pub fn new(handle: Handle, office: Office) -> Self {
        Self { handle, office }
    }

    /// A worker that is known under another name is not to be spoken for.
    async fn refuse_known(&self, worker: Option<&WorkerId>, name: &str) -> Result<(), Status> {
        let Some(worker) = worker else { return Ok(()) };
        let access = Access::ADMIN;
        let known = answered(self.handle.ask(|reply| Event::Query(Query::Workers { access, reply })).await)?;
        match known.iter().find(|known| known.info.id == *worker && known.info.name != name) {
            None => Ok(()),
            Some(known) => {
                let problem = format!(
                    "cannot be used by this work folder: its worker is known as {} already; join with --name {} or a fresh --work-dir",
                    known.info.name, known.info.name
                );
                Err(to_status(&Refusal::Token { problem }))
            }
        }
    }
}

#[tonic::async_trait]
impl IdentityService for Identities {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let (message, intent) = (request.into_inner(), dry::intent());
        let role = role(&message.role)?;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let (name, address) = (given(message.name), given(message.address));
        let office = self.office.clone();
        let made = blocking(move || office.create_token(role, name, message.ttl_ms, address, intent)).await;
        let (token, expires_wall_ms) = made.map_err(failed)?;
        // One that would not work is not handed out.
        let token = if intent == Intent::Do { token.to_string() } else { String::new() };
        Ok(Response::new(v1::CreateTokenResponse { token, expires_wall_ms }))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        refuse_questions()?;
        let message = request.into_inner();
        let worker = Some(message.worker).filter(|id| !id.is_empty());
        if worker.as_ref().is_some_and(|id| uuid::Uuid::parse_str(id).is_err()) {
            let problem = "it is no worker's id".to_owned();
            return Err(to_status(&Refusal::Malformed { field: "worker", problem }));
        }
        let joiner = Joiner {
            secret: message.secret,
            role: role(&message.role)?,
            name: message.name,
            worker: worker.map(WorkerId),
            signing_request: message.signing_request.to_vec(),
        };
        self.office.look_at(&joiner).map_err(|refusal| to_status(&refusal))?;
        self.refuse_known(joiner.worker.as_ref(), &joiner.name).await?;
        let office = self.office.clone();
        let issued = blocking(move || office.join(joiner)).await.map_err(failed)?;
        Ok(Response::new(v1::JoinResponse { issued: Some(wire(&issued)) }))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        permitted(&request)?;
        refuse_questions()?;
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| {
            let problem = "only a certificate can be renewed, and this connection has none".to_owned();
            to_status(&Refusal::Certificate { problem })
        })?;
        let (office, message) = (self.office.clone(), request.into_inner());
        let issued = blocking(move || office.renew(&peer, &message.signing_request)).await.map_err(failed)?;
        Ok(Response::new(v1::RenewResponse { issued: Some(wire(&issued)) }))
    }

    async fn list_certificates(
        &self,
        _: Request<v1::ListCertificatesRequest>,
    ) -> Result<Response<v1::ListCertificatesResponse>, Status> {
        let view_documents = documents(&self.office.certificates());
        Ok(Response::new(v1::ListCertificatesResponse { view_documents }))
    }

    async fn revoke_certificates(
        &self,
        request: Request<v1::RevokeCertificatesRequest>,
    ) -> Result<Response<v1::RevokeCertificatesResponse>, Status> {
        let (office, which, intent) = (self.office.clone(), request.into_inner().which, dry::intent());
        let ended = blocking(move || office.revoke(&which, intent)).await.map_err(failed)?;
        Ok(Response::new(v1::RevokeCertificatesResponse { view_documents: documents(&ended) }))
    }
}

/// What uses a token up, or a key, cannot be tried out.
fn refuse_questions() -> Result<(), Status> {
    match dry::intent() {
        Intent::Do => Ok(()),
        Intent::Ask => Err(to_status(&Refusal::Unsupported { key: "dry_run" })),
    }
}

fn documents(views: &[CertificateView]) -> Vec<bytes::Bytes> {
    views.iter().map(document::write).collect()
}

fn role(text: &str) -> Result<Role, Status> {
    Role::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let problem = format!("{shown:?} is none of worker, client and admin");
        to_status(&Refusal::Malformed { field: "role", problem })
    })
}

fn wire(issued: &Issued) -> v1::Issued {
    v1::Issued {
        certificate: issued.certificate.to_vec().into(),
        authority: issued.authority.to_vec().into(),
        role: issued.holder.role.as_str().to_owned(),
        name: issued.holder.name.clone(),
        issued_wall_ms: issued.issued_ms,
        expires_wall_ms: issued.expires_ms,
    }
}

fn failed(failure: Failure) -> Status {
    match failure {
        Failure::Refused(refusal) => to_status(&refusal),
        Failure::Failed(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to keep an identity");
            Status::unavailable("the coordinator could not keep that; its log says why")
        }
    }
}
