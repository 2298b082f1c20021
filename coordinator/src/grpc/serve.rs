//! The servers: the same services on the Unix socket, behind the token on loopback TCP, and behind certificates
//! beyond this machine.

use super::access::Gate;
use super::artifact::Artifacts;
use super::campaign::Campaigns;
use super::dry::DryLayer;
use super::fleet::Fleet;
use super::guard::TokenGuard;
use super::health;
use super::identity::Identities;
use super::log::LogFiles;
use super::malformed;
use super::reach::Reach;
use super::room::Room;
use super::trace::TraceLayer;
use super::upkeep::Keeper;
use super::version::{self, VersionGuard};
use super::worker::Workers;
use crate::driver::Handle;
use crate::identity::tls::TlsConnection;
use crate::identity::{Office, Token};
use crate::upkeep::Upkeep;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding::Zstd;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::util::MapResponseLayer;
use windlass_proto::v1::artifact_service_server::ArtifactServiceServer;
use windlass_proto::v1::campaign_service_server::CampaignServiceServer;
use windlass_proto::v1::fleet_service_server::FleetServiceServer;
use windlass_proto::v1::identity_service_server::IdentityServiceServer;
use windlass_proto::v1::log_service_server::LogServiceServer;
use windlass_proto::v1::upkeep_service_server::UpkeepServiceServer;
use windlass_proto::v1::worker_service_server::WorkerServiceServer;
use windlass_proto::{DESCRIPTORS, MESSAGE_MAX_BYTES};

/// HTTP/2 keep-alive: a peer that is silent for the sum of both is suspected within 3 s.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(1);
/// See [`KEEPALIVE_EVERY`].
const KEEPALIVE_WAIT: Duration = Duration::from_secs(2);
/// Flow-control windows: what a log or a blob stream may have on its way.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// See [`STREAM_WINDOW_BYTES`].
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The largest message of the one service that answers peers without a certificate, bytes.
const IDENTITY_MESSAGE_MAX_BYTES: usize = 64 << 10;
/// Streams of one connection at a time: a worker has a dozen, a client one for each of its pages.
const STREAMS_MAX: u32 = 256;
/// What the headers of one call may take, bytes.
const HEADERS_MAX_BYTES: u32 = 16 << 10;

/// A piece of a log or a blob travels in one frame, not in sixteen.
const FRAME_BYTES: u32 = 256 << 10;

/// The descriptors in this binary are not what reflection takes: a fault of the build.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the compiled descriptors")]
pub struct ReflectionError(#[from] tonic_reflection::server::Error);

/// Every service, with health and reflection.
pub(crate) async fn routes(
    handle: &Handle,
    upkeep: &Upkeep,
    office: &Office,
    room: Room,
) -> Result<Routes, ReflectionError> {
    let reach = Reach::default();
    let campaigns = CampaignServiceServer::new(Campaigns::new(handle.clone(), reach.clone(), room));
    let workers = WorkerServiceServer::new(Workers::new(handle.clone(), reach.clone()));
    let fleet = FleetServiceServer::new(Fleet::new(handle.clone()));
    let logs = LogServiceServer::new(LogFiles::new(handle.clone())).accept_compressed(Zstd);
    let artifacts = ArtifactServiceServer::new(Artifacts::new(handle.clone(), reach)).accept_compressed(Zstd);
    let upkeep = UpkeepServiceServer::new(Keeper::new(upkeep.clone()));
    let identities = IdentityServiceServer::new(Identities::new(handle.clone(), office.clone()));
    let (reporter, health_service) = tonic_health::server::health_reporter();
    health::begin(&reporter).await;
    handle.tasks.start(health::report(reporter, handle.clone()));
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    let mut routes = Routes::builder();
    routes
        .add_service(campaigns.max_decoding_message_size(MESSAGE_MAX_BYTES))
        .add_service(workers.max_decoding_message_size(MESSAGE_MAX_BYTES))
        .add_service(fleet.max_decoding_message_size(MESSAGE_MAX_BYTES))
        .add_service(logs.max_decoding_message_size(MESSAGE_MAX_BYTES))
        .add_service(artifacts.max_decoding_message_size(MESSAGE_MAX_BYTES))
        .add_service(upkeep.max_decoding_message_size(MESSAGE_MAX_BYTES))
        .add_service(identities.max_decoding_message_size(IDENTITY_MESSAGE_MAX_BYTES))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes())
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX_BYTES)
}

/// Serves the owner's socket until `shutdown`.
pub(crate) async fn unix(listener: UnixListener, routes: Routes, shutdown: CancellationToken) {
    let incoming = UnixListenerStream::new(listener);
    let served = server()
        .layer(MapResponseLayer::new(version::sign))
        .layer(InterceptorLayer::new(VersionGuard))
        .layer(MapResponseLayer::new(malformed::refuse))
        .layer(DryLayer)
        .layer(TraceLayer)
        .layer(Gate::local())
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(error = &error as &dyn std::error::Error, "the socket is no longer served");
    }
}

/// Serves loopback TCP, to callers with the token, until `shutdown`.
pub(crate) async fn tcp(listener: TcpListener, routes: Routes, token: Token, shutdown: CancellationToken) {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = server()
        .layer(MapResponseLayer::new(version::sign))
        .layer(InterceptorLayer::new(TokenGuard::new(token)))
        .layer(InterceptorLayer::new(VersionGuard))
        .layer(MapResponseLayer::new(malformed::refuse))
        .layer(DryLayer)
        .layer(TraceLayer)
        .layer(Gate::local())
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(error = &error as &dyn std::error::Error, "loopback TCP is no longer served");
    }
}

/// Serves peers with certificates of the coordinator's CA, and those that are about to join, until `shutdown`.
pub(crate) async fn tls(
    incoming: ReceiverStream<std::io::Result<TlsConnection>>,
    routes: Routes,
    office: Office,
    shutdown: CancellationToken,
) {
    let served = server()
        .layer(MapResponseLayer::new(version::sign))
        .layer(InterceptorLayer::new(VersionGuard))
        .layer(MapResponseLayer::new(malformed::refuse))
        .layer(DryLayer)
        .layer(TraceLayer)
        .layer(Gate::with(office))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(error = &error as &dyn std::error::Error, "TLS is no longer served");
    }
}
