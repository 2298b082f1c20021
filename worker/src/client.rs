//! The way to the coordinator: Unix socket, loopback TCP with a token, or TLS with a certificate. Holds no state of
//! calls.

use crate::error::Error;
use crate::identity::{self, Identity};
use hyper_util::rt::TokioIo;
use rustix::fs::{Mode, OFlags};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint as TonicEndpoint, Uri};
use tonic::{Request, Status};
use windlass_proto::MESSAGE_MAX_BYTES;
use windlass_proto::v1::artifact_service_client::ArtifactServiceClient;
use windlass_proto::v1::log_service_client::LogServiceClient;
use windlass_proto::v1::worker_service_client::WorkerServiceClient;
use windlass_shared::version;

/// A silent peer is suspected within 3 s: one ping a second, two more to answer (DESIGN "Wire").
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(2);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Between two tries to renew a certificate: a third of its life is left for them.
const RENEW_PAUSE: Duration = Duration::from_secs(2);
/// `sockaddr_un` holds 108 bytes; a longer path goes through an open folder.
const SOCKET_PATH_MAX: usize = 100;

/// Where a coordinator listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// Loopback TCP, `host:port`, with the data folder's token.
    Tcp {
        /// `host:port`.
        address: String,
        /// The token.
        token: String,
    },
    /// TLS, as whoever a file says that this machine is.
    Tls {
        /// The identity.
        identity: Identity,
        /// Where it is kept, and renewed.
        file: PathBuf,
    },
}

/// Puts this version, and the token, on every call.
#[derive(Clone, Debug)]
pub struct Bearer {
    value: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(version::HEADER, MetadataValue::from_static(env!("CARGO_PKG_VERSION")));
        metadata.insert(version::ROLE_HEADER, MetadataValue::from_static(version::WORKER));
        if let Some(value) = &self.value {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A connection that opens when it is used and opens again when it broke.
#[derive(Clone, Debug)]
pub struct Client {
    /// The present one. A call that goes on keeps the one that it began on, so that a new certificate touches no
    /// stream.
    channel: Arc<RwLock<InterceptedService<Channel, Bearer>>>,
}

impl Client {
    /// Prepares the way; nothing is sent before the first call.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let (channel, token) = match endpoint {
            Endpoint::Unix(path) => (unix(path)?, None),
            Endpoint::Tcp { address, token } => (tcp(address)?, Some(token)),
            Endpoint::Tls { identity, .. } => (identity::channel(identity, settings)?, None),
        };
        let header = |token: &String| format!("Bearer {token}").parse();
        let value = token.map(header).transpose().map_err(|_| Error::Address("a token".to_owned()))?;
        let channel = InterceptedService::new(channel, Bearer { value });
        Ok(Self { channel: Arc::new(RwLock::new(channel)) })
    }

    /// Renews a certificate at two thirds of its life, again and again. What goes on goes on; what begins later
    /// shows the new one.
    pub async fn keep_renewed(self, endpoint: Endpoint) {
        let Endpoint::Tls { mut identity, file } = endpoint else { return };
        loop {
            tokio::time::sleep(look_pause(&identity)).await;
            if !identity::is_due(&identity) {
                continue;
            }
            match self.renew(&identity, &file).await {
                Ok(renewed) => {
                    tracing::info!(name = renewed.name, "the certificate was renewed");
                    identity = renewed;
                }
                Err(error) => {
                    let problem = Error::from(error).chain();
                    tracing::warn!(problem, "the certificate could not be renewed; it is tried again");
                    tokio::time::sleep(RENEW_PAUSE).await;
                }
            }
        }
    }

    async fn renew(&self, identity: &Identity, file: &Path) -> Result<Identity, identity::Error> {
        // A connection of its own, that shows the present certificate whatever the others do.
        let renewed = identity::renew(identity::channel(identity, settings)?, identity, file).await?;
        let channel = InterceptedService::new(identity::channel(&renewed, settings)?, Bearer { value: None });
        *self.channel.write().unwrap_or_else(PoisonError::into_inner) = channel;
        Ok(renewed)
    }

    /// The connection for any other service's client.
    pub fn channel(&self) -> InterceptedService<Channel, Bearer> {
        self.channel.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `WorkerService`.
    pub fn workers(&self) -> WorkerServiceClient<InterceptedService<Channel, Bearer>> {
        WorkerServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// `LogService`.
    pub fn logs(&self) -> LogServiceClient<InterceptedService<Channel, Bearer>> {
        LogServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// `ArtifactService`.
    pub fn artifacts(&self) -> ArtifactServiceClient<InterceptedService<Channel, Bearer>> {
        ArtifactServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    }
}

/// Between two looks at a certificate's age: a clock may jump, and a life may be short.
fn look_pause(identity: &Identity) -> Duration {
    let life_ms = u64::try_from(identity.expires_wall_ms - identity.issued_wall_ms).unwrap_or(0);
    Duration::from_millis(life_ms / 20).clamp(Duration::from_millis(100), Duration::from_secs(60))
}

fn settings(endpoint: TonicEndpoint) -> TonicEndpoint {
    endpoint
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .keep_alive_while_idle(true)
        // A log or a blob of 1 MiB moves without waiting for the window.
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(8 << 20)
}

fn tcp(address: &str) -> Result<Channel, Error> {
    if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(Error::Address(address.to_owned()));
    }
    Ok(identity::plain_channel(address, settings))
}

fn unix(path: &Path) -> Result<Channel, Error> {
    let path = path.to_owned();
    // The name is never looked up: the connector below knows the way.
    let endpoint = settings(TonicEndpoint::from_static("http://coordinator.invalid"));
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { connect_unix(&path).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn connect_unix(path: &Path) -> std::io::Result<UnixStream> {
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return UnixStream::connect(path).await;
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default();
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    UnixStream::connect(short).await
}
