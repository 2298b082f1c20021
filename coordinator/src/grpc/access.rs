//! Who may make which call: one table, from which both the check and its test are made. What a call is about is
//! looked at where its name is resolved, with the very access that the table gave.

use super::at_a_time::{AtATime, Place, caller, stranger};
use crate::identity::{Office, Peer};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::{Request, Status};
use tower::{Layer, Service};
use windlass_proto::refusal::to_status;
use windlass_shared::access::{Access, Grant, Role, Viewer};
use windlass_shared::refusal::Refusal;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Yes,
    /// It is refused: not for this role.
    No,
    /// It is answered as if what it names were not there.
    Hidden,
}

/// One call, and what becomes of it by who asks. `own` and `other` are the same where it is about nothing that
/// belongs to anybody. For a client, `own` is also what is shared with it as far as `need`.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `Service/Call`; a service of `windlass.v1` without its package.
    pub call: &'static str,
    /// A TLS peer without a certificate.
    pub none: Verdict,
    /// A worker: its own attempts at their current number.
    pub worker_own: Verdict,
    /// Everything else.
    pub worker_other: Verdict,
    /// A client: its own campaigns.
    pub client_own: Verdict,
    /// Those of others.
    pub client_other: Verdict,
    /// An administrator.
    pub admin: Verdict,
    /// How much of a campaign it needs.
    pub need: Grant,
}

use Verdict::{Hidden as H, No as N, Yes as Y};

const fn row(call: &'static str, verdicts: [Verdict; 6], need: Grant) -> Row {
    let [none, worker_own, worker_other, client_own, client_other, admin] = verdicts;
    Row { call, none, worker_own, worker_other, client_own, client_other, admin, need }
}

/// A call about one campaign that no worker makes.
const fn campaign(call: &'static str, need: Grant) -> Row {
    row(call, [N, N, N, Y, H, Y], need)
}

/// A call for administrators alone.
const fn admin(call: &'static str) -> Row {
    row(call, [N, N, N, N, N, Y], Grant::Own)
}

/// Every call that is served.
pub const TABLE: &[Row] = &[
    //                                     none worker     client     admin
    //                                          own other  own other
    row("CampaignService/Create", [N, N, N, Y, Y, Y], Grant::Own),
    row("CampaignService/ImportLedger", [N, N, N, Y, Y, Y], Grant::Own),
    row("CampaignService/List", [N, N, N, Y, H, Y], Grant::Read),
    row("CampaignService/Watch", [N, N, N, Y, H, Y], Grant::Read),
    campaign("CampaignService/Get", Grant::Read),
    campaign("CampaignService/Explain", Grant::Read),
    campaign("CampaignService/ListLevers", Grant::Read),
    campaign("CampaignService/GetLever", Grant::Read),
    campaign("CampaignService/GetIteration", Grant::Read),
    campaign("CampaignService/ListIterations", Grant::Read),
    campaign("CampaignService/ListFindings", Grant::Read),
    campaign("CampaignService/AddFindings", Grant::Propose),
    campaign("CampaignService/ProposeLever", Grant::Propose),
    campaign("CampaignService/Claim", Grant::Propose),
    campaign("CampaignService/RetryLever", Grant::Propose),
    campaign("CampaignService/SubmitFix", Grant::Propose),
    campaign("CampaignService/AddDeliverable", Grant::Propose),
    campaign("CampaignService/WriteConclusion", Grant::Propose),
    campaign("CampaignService/RetireLever", Grant::Control),
    campaign("CampaignService/MoveLever", Grant::Control),
    campaign("CampaignService/CancelIteration", Grant::Control),
    campaign("CampaignService/GiveSecrets", Grant::Control),
    campaign("CampaignService/Pause", Grant::Control),
    campaign("CampaignService/Resume", Grant::Control),
    campaign("CampaignService/Stop", Grant::Control),
    campaign("CampaignService/Update", Grant::Control),
    campaign("CampaignService/Share", Grant::Own),
    row("WorkerService/Sync", [N, Y, H, N, N, Y], Grant::Own),
    row("LogService/WriteLog", [N, Y, H, N, N, Y], Grant::Own),
    row("LogService/ReadLog", [N, Y, H, Y, H, Y], Grant::Read),
    row("ArtifactService/FindMissing", [N, Y, H, Y, H, Y], Grant::Read),
    row("ArtifactService/Write", [N, Y, H, Y, Y, Y], Grant::Propose),
    row("ArtifactService/Read", [N, Y, H, Y, H, Y], Grant::Read),
    row("FleetService/About", [N, Y, Y, Y, Y, Y], Grant::Read),
    row("FleetService/ListWorkers", [N, N, N, Y, Y, Y], Grant::Read),
    admin("FleetService/Drain"),
    admin("FleetService/Undrain"),
    admin("FleetService/ReleaseDevice"),
    admin("FleetService/SetQuota"),
    row("FleetService/ListQuotas", [N, N, N, Y, Y, Y], Grant::Read),
    row("FleetService/GetUsage", [N, N, N, Y, H, Y], Grant::Read),
    admin("UpkeepService/CollectGarbage"),
    row("UpkeepService/GetHealth", [N, N, N, Y, Y, Y], Grant::Read),
    row("IdentityService/Join", [Y, Y, Y, Y, Y, Y], Grant::Read),
    row("IdentityService/Renew", [N, Y, Y, Y, Y, Y], Grant::Read),
    admin("IdentityService/CreateToken"),
    admin("IdentityService/ListCertificates"),
    admin("IdentityService/RevokeCertificates"),
    row("grpc.health.v1.Health/Check", [N, Y, Y, Y, Y, Y], Grant::Read),
    row("grpc.health.v1.Health/Watch", [N, Y, Y, Y, Y, Y], Grant::Read),
    row("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", [N, Y, Y, Y, Y, Y], Grant::Read),
    row("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", [N, Y, Y, Y, Y, Y], Grant::Read),
];

/// The row of a call's path, `/windlass.v1.Service/Call`.
pub(crate) fn find(path: &str) -> Option<&'static Row> {
    let call = path.strip_prefix('/')?;
    let call = call.strip_prefix("windlass.v1.").unwrap_or(call);
    TABLE.iter().find(|row| row.call == call)
}

impl Row {
    /// Whether the call is ever made for such a caller; what it is about is looked at later.
    fn admits(&self, viewer: &Viewer) -> bool {
        let (own, other) = match viewer {
            Viewer::Admin => (self.admin, self.admin),
            Viewer::Client(_) => (self.client_own, self.client_other),
            Viewer::Worker(..) => (self.worker_own, self.worker_other),
        };
        own == Y || other == Y
    }
}

/// Asks the table at every call, and puts what it gave beside the request.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// Certificates are asked for where there is an office; else whoever came this far is an administrator.
    office: Option<Office>,
    calls: AtATime,
    joins: AtATime,
}

/// Calls of one client or worker whose answers have not begun: a worker has a report and its streams, a person a few
/// shells. Each may hold a message.
const CALLS_EACH_MAX: usize = 128;
/// The same for all of one address that have no certificate yet.
const JOINS_EACH_MAX: usize = 16;

impl Gate {
    /// For a socket that is its owner's alone, or one behind the data folder's token.
    pub fn local() -> Self {
        Self::new(None)
    }

    /// For peers with certificates.
    pub fn with(office: Office) -> Self {
        Self::new(Some(office))
    }

    fn new(office: Option<Office>) -> Self {
        let calls = AtATime::new("calls", CALLS_EACH_MAX);
        Self { office, calls, joins: AtATime::new("calls", JOINS_EACH_MAX) }
    }

    /// Whether a call is made, for whom, and its place among those that its caller has going on.
    fn admit<B>(&self, request: &http::Request<B>) -> Result<(Access, Place), Refusal> {
        let path = request.uri().path();
        let row = find(path).ok_or(Refusal::Unsupported { key: "call" })?;
        let Some(office) = &self.office else {
            return Ok((Access { viewer: Viewer::Admin, need: row.need }, self.calls.begin(None)?));
        };
        let missing = || Refusal::Certificate { problem: "the connection has no peer".to_owned() };
        let peer = request.extensions().get::<Peer>().ok_or_else(missing)?;
        if row.none == Y {
            // It looks at no campaign and no worker: its own token is what counts.
            let place = self.joins.begin(Some(stranger(peer.from)))?;
            return Ok((Access { viewer: Viewer::Client(String::new()), need: row.need }, place));
        }
        let holder = office.holder(peer)?;
        let who = format!("the {} {}", holder.role, holder.name);
        let viewer = match (holder.role, holder.worker) {
            (Role::Admin, _) => Viewer::Admin,
            (Role::Client, _) => Viewer::Client(holder.name),
            (Role::Worker, Some(id)) => Viewer::Worker(id, holder.name),
            (Role::Worker, None) => return Err(missing()),
        };
        if row.admits(&viewer) {
            let place = self.calls.begin(caller(&viewer))?;
            return Ok((Access { viewer, need: row.need }, place));
        }
        let what = format!("call {}", row.call);
        Err(Refusal::NotAllowed { who, what, remedy: "use an identity of a role that may" })
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind the table.
#[derive(Clone, Debug)]
pub(super) struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S, B> Service<http::Request<B>> for Gated<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match self.gate.admit(&request) {
            Ok((access, place)) => {
                request.extensions_mut().insert(access);
                Answering::Made(Box::pin(self.inner.call(request)), place)
            }
            Err(refusal) => Answering::Refused(ready(Ok(to_status(&refusal).into_http()))),
        }
    }
}

/// The answer of a call, or the table's.
pub(super) enum Answering<F> {
    /// It was made; its place is free once the answer begins.
    Made(Pin<Box<F>>, #[expect(dead_code, reason = "held, and never read")] Place),
    /// It was not.
    Refused(Ready<Result<http::Response<Body>, Infallible>>),
}

impl<F: Future<Output = Result<http::Response<Body>, Infallible>>> Future for Answering<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match &mut *self {
            Self::Made(future, _) => future.as_mut().poll(context),
            Self::Refused(answer) => Pin::new(answer).poll(context),
        }
    }
}

/// What the table gave a request. One that came past no table is a fault of ours, and is refused.
pub(super) fn permitted<T>(request: &Request<T>) -> Result<Access, Status> {
    request.extensions().get::<Access>().cloned().ok_or_else(|| {
        tracing::error!("A CALL CAME PAST THE TABLE OF CALLS; this is a fault of the coordinator");
        Status::internal("the coordinator does not know who asks")
    })
}

#[cfg(test)]
mod tests;
