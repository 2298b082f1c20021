//! Finds the coordinator and speaks to it: by its address, by the Unix socket in the data folder, or by TLS as
//! whoever this folder has joined as.

use crate::error::{Error, Trouble};
use crate::session::Session;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};
use windlass_proto::MESSAGE_MAX_BYTES;
use windlass_proto::v1::artifact_service_client::ArtifactServiceClient;
use windlass_proto::v1::campaign_service_client::CampaignServiceClient;
use windlass_proto::v1::fleet_service_client::FleetServiceClient;
use windlass_proto::v1::identity_service_client::IdentityServiceClient;
use windlass_proto::v1::log_service_client::LogServiceClient;
use windlass_proto::v1::upkeep_service_client::UpkeepServiceClient;
use windlass_shared::version;
use windlass_worker::identity::{self, Identity, file_in};

/// How long a connection may take to open. The coordinator is on this machine; one that is busy
/// starting has not opened its socket yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest path that fits a socket address, with its closing NUL.
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// An open connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    authorize: Authorize,
}

/// Says this version and whether changes are only asked about, and adds the token where the connection needs
/// one.
#[derive(Clone, Debug)]
pub struct Authorize {
    token: Option<MetadataValue<Ascii>>,
    is_dry: bool,
}

impl Interceptor for Authorize {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(version::HEADER, MetadataValue::from_static(env!("CARGO_PKG_VERSION")));
        metadata.insert(version::ROLE_HEADER, MetadataValue::from_static(version::CLIENT));
        if self.is_dry {
            metadata.insert(version::DRY_RUN_HEADER, MetadataValue::from_static("1"));
        }
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

type Service = InterceptedService<Channel, Authorize>;

/// The `HOST:PORT` of an address without TLS, with or without `http://`. Anything beyond this machine is refused
/// unless that is accepted: the token would travel in clear.
pub fn plain(address: &str, is_accepted: bool) -> Result<String, Error> {
    let plain = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let refuse = || Error::Address { address: address.to_owned() };
    let (host, port) = plain.rsplit_once(':').filter(|_| !plain.contains("://")).ok_or_else(refuse)?;
    port.parse::<u16>().map_err(|_| refuse())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_loopback && !is_accepted {
        return Err(Error::BeyondThisMachine { address: address.to_owned() });
    }
    Ok(plain.to_owned())
}

/// What the coordinator leaves in its data folder.
#[derive(Debug, Deserialize)]
struct EndpointFile {
    socket: Option<PathBuf>,
}

impl Client {
    /// Connects to the session's coordinator.
    pub async fn connect(session: &Session) -> Result<Self, Error> {
        let Some(address) = &session.coordinator else {
            let nobody = |_| Error::NoCoordinator { data_dir: session.data_dir.clone() };
            return match Self::by_socket(&socket_of(&session.data_dir), session.is_dry).await {
                Ok(client) => Ok(client),
                // Where no coordinator is, the folder may be one that has joined another's.
                Err(error) => match Self::joined(session, None).await {
                    Err(Error::Identity { trouble: Trouble::NotJoined, .. }) => Err(nobody(error)),
                    joined => joined,
                },
            };
        };
        if let Some(address) = address.strip_prefix("https://") {
            return Self::joined(session, Some(address.trim_end_matches('/').to_owned())).await;
        }
        let unreachable = |source| Error::Unreachable { address: address.clone(), source };
        if let Some(path) = address.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Self::by_socket(Path::new(path), session.is_dry).await.map_err(unreachable);
        }
        let plain = plain(address, session.plaintext)?;
        let channel = identity::connect_plain(&plain, tuned).await.map_err(|error| {
            // What the dialler says is whole: which numbers were tried, what came of it, and what to look at.
            let is_said = identity::Error::within(&error).is_some();
            if is_said { Error::from_connection(&error) } else { unreachable(error) }
        })?;
        Ok(Self { channel, authorize: Authorize { token: token(session)?, is_dry: session.is_dry } })
    }

    /// By TLS, as whoever this folder has joined as; renewed on the way when two thirds of its life are over.
    async fn joined(session: &Session, address: Option<String>) -> Result<Self, Error> {
        let file = file_in(&session.data_dir);
        let identity =
            Identity::read(&file)?.ok_or_else(|| identity::Error::NotJoined { path: file.clone() })?;
        let identity = match address {
            Some(address) => identity.at(address),
            None => identity,
        };
        let mut channel = identity::channel(&identity, tuned)?;
        if identity::is_due(&identity) {
            // Without it the present one goes on as long as it lives; what is wrong is said by the call itself.
            if let Ok(renewed) = identity::renew(channel.clone(), &identity, &file).await {
                channel = identity::channel(&renewed, tuned)?;
            }
        }
        Ok(Self { channel, authorize: Authorize { token: None, is_dry: session.is_dry } })
    }

    async fn by_socket(path: &Path, is_dry: bool) -> Result<Self, tonic::transport::Error> {
        let path = path.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { open_socket(&path).await.map(TokioIo::new) }
        });
        // The address is never resolved: the connector above opens the socket instead.
        let endpoint = tuned(Endpoint::from_static("http://coordinator.invalid"));
        let channel = endpoint.connect_with_connector(connector).await?;
        Ok(Self { channel, authorize: Authorize { token: None, is_dry } })
    }

    fn service(&self) -> Service {
        InterceptedService::new(self.channel.clone(), self.authorize.clone())
    }

    /// Campaigns, levers, iterations.
    pub fn campaigns(&self) -> CampaignServiceClient<Service> {
        CampaignServiceClient::new(self.service())
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// Blobs.
    pub fn artifacts(&self) -> ArtifactServiceClient<Service> {
        ArtifactServiceClient::new(self.service())
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// Logs.
    pub fn logs(&self) -> LogServiceClient<Service> {
        LogServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// Upkeep.
    pub fn upkeep(&self) -> UpkeepServiceClient<Service> {
        UpkeepServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// Tokens and certificates.
    pub fn identities(&self) -> IdentityServiceClient<Service> {
        IdentityServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_MAX_BYTES)
    }

    /// Workers.
    pub fn fleet(&self) -> FleetServiceClient<Service> {
        FleetServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_MAX_BYTES)
    }
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_while_idle(true)
}

/// The socket that the coordinator of a data folder listens on.
pub fn socket_of(data_dir: &Path) -> PathBuf {
    let file = std::fs::read(data_dir.join("endpoint.json")).ok();
    let named = file.and_then(|bytes| serde_json::from_slice::<EndpointFile>(&bytes).ok());
    match named.and_then(|file| file.socket) {
        Some(socket) => data_dir.join(socket),
        None => data_dir.join("windlass.sock"),
    }
}

/// A path too long for a socket address is reached through its open folder.
async fn open_socket(path: &Path) -> std::io::Result<UnixStream> {
    if path.as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return UnixStream::connect(path).await;
    }
    let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    UnixStream::connect(short).await
}

/// Loopback TCP asks for the token in the data folder (RELIABILITY, "Access").
fn token(session: &Session) -> Result<Option<MetadataValue<Ascii>>, Error> {
    let Some(text) = token_text(session)? else { return Ok(None) };
    let path = session.data_dir.join("token");
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {text}").parse().map_err(|_| Error::Token { path })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The token, from the environment or the data folder. Without one the coordinator says what it wants.
pub fn token_text(session: &Session) -> Result<Option<String>, Error> {
    if let Ok(token) = std::env::var("WINDLASS_TOKEN")
        && !token.is_empty()
    {
        return Ok(Some(token.trim().to_owned()));
    }
    let path = session.data_dir.join("token");
    match std::fs::read_to_string(&path) {
        Ok(token) => Ok(Some(token.trim().to_owned())),
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { operation: "read", path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_the_one_that_the_coordinator_wrote_down() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(socket_of(dir.path()), dir.path().join("windlass.sock"));
        std::fs::write(dir.path().join("endpoint.json"), r#"{"socket":"/run/w.sock","tcp":"127.0.0.1:1"}"#)
            .expect("written");
        assert_eq!(socket_of(dir.path()), Path::new("/run/w.sock"));
        std::fs::write(dir.path().join("endpoint.json"), "{").expect("written");
        assert_eq!(socket_of(dir.path()), dir.path().join("windlass.sock"));
    }

    #[tokio::test]
    async fn a_socket_path_too_long_for_its_address_is_reached_through_its_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let deep = dir.path().join("x".repeat(120));
        std::fs::create_dir(&deep).expect("made");
        let folder = std::fs::File::open(&deep).expect("open");
        let short = PathBuf::from(format!("/proc/self/fd/{}/s", folder.as_raw_fd()));
        let listener = tokio::net::UnixListener::bind(short).expect("bound");
        let path = deep.join("s");
        let (accepted, opened) = tokio::join!(listener.accept(), open_socket(&path));
        assert!(accepted.is_ok() && opened.is_ok());
    }
}
