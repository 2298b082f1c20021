//! A coordinator and a worker of its own, and one open connection to them.

use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use windlass_proto::v1::artifact_service_client::ArtifactServiceClient;
use windlass_proto::v1::campaign_service_client::CampaignServiceClient;
use windlass_proto::v1::fleet_service_client::FleetServiceClient;
use windlass_proto::v1::identity_service_client::IdentityServiceClient;
use windlass_proto::v1::log_service_client::LogServiceClient;
use windlass_proto::v1::{ListWorkersRequest, WriteRequest};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// How often it is asked whether the worker is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a coordinator may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// What a worker's page has that can be leased.
const READY: &[u8] = b"\"state\":\"ready\"";

/// Two roles as child processes; killed when dropped.
pub struct Service {
    roles: Vec<Child>,
    /// Removed after them.
    folder: tempfile::TempDir,
    /// The open connection.
    pub channel: Channel,
    /// Where machines join; 0 where none does.
    port: u16,
}

impl Service {
    /// Starts the roles and waits until the worker can be leased.
    pub async fn start(windlass: &Path, slots: u32) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let role = |arguments: &[&str]| -> io::Result<Child> {
            let mut command = Command::new(windlass);
            command.arg("--data-dir").arg(&data).arg("--quiet").args(arguments);
            command.stdout(Stdio::null()).stdin(Stdio::null()).spawn()
        };
        let mut roles = vec![role(&["coordinator"])?];
        let socket = data.join("windlass.sock");
        while !socket.exists() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        roles.push(role(&["worker", "--cpu-slots", &slots.to_string()])?);
        let channel = connect(socket).await?;
        let mut fleet = FleetServiceClient::new(channel.clone());
        loop {
            let workers = fleet.list_workers(ListWorkersRequest {}).await?.into_inner();
            if workers.view_documents.iter().any(|view| view.windows(7).any(|part| part == b"\"ready\"")) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Self { roles, folder, channel, port: 0 })
    }

    /// Starts a coordinator alone, that others join over TLS on a port of its own choice.
    pub fn coordinator(windlass: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        // A port that is kept over a restart: nobody takes it in between.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let channel = connect_lazily(folder.path().join("data/windlass.sock"));
        let mut service = Self { roles: Vec::new(), folder, channel, port };
        service.kill_and_start(windlass)?;
        Ok(service)
    }

    /// Kill -9, and another on the same folder and port.
    pub fn kill_and_start(&mut self, windlass: &Path) -> Result<(), Box<dyn std::error::Error>> {
        for mut role in self.roles.drain(..) {
            role.kill()?;
            role.wait()?;
        }
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = Command::new(windlass);
        command.arg("--data-dir").arg(self.folder().join("data")).args([
            "--quiet",
            "coordinator",
            "--listen",
        ]);
        command.args([listen.as_str(), "--tls", "always"]).stdout(Stdio::null()).stdin(Stdio::null());
        self.roles.push(command.spawn()?);
        Ok(())
    }

    /// Waits until the coordinator serves.
    pub async fn until_it_answers(&self) -> Result<(), Box<dyn std::error::Error>> {
        let began = std::time::Instant::now();
        while let Err(problem) = self.ready_workers().await {
            if began.elapsed() > ANSWER_MAX {
                return Err(problem.into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// How many workers new work may be placed on.
    pub async fn ready_workers(&self) -> Result<usize, tonic::Status> {
        let mut fleet = FleetServiceClient::new(self.channel.clone())
            .max_decoding_message_size(windlass_proto::MESSAGE_MAX_BYTES);
        let views = fleet.list_workers(ListWorkersRequest {}).await?.into_inner().view_documents;
        let is_ready = |view: &&bytes::Bytes| view.windows(READY.len()).any(|part| part == READY);
        Ok(views.iter().filter(is_ready).count())
    }

    /// Everything of this service's lies here, and goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Tokens.
    pub fn identities(&self) -> IdentityServiceClient<Channel> {
        IdentityServiceClient::new(self.channel.clone())
    }

    /// The process ids of coordinator and worker.
    pub fn pids(&self) -> Vec<u32> {
        self.roles.iter().map(Child::id).collect()
    }

    /// Campaigns.
    pub fn campaigns(&self) -> CampaignServiceClient<Channel> {
        CampaignServiceClient::new(self.channel.clone())
    }

    /// Logs.
    pub fn logs(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone())
            .max_decoding_message_size(windlass_proto::MESSAGE_MAX_BYTES)
    }

    /// Sends a workspace of one small file, and names its tree.
    pub async fn workspace(&self) -> Result<Digest, Box<dyn std::error::Error>> {
        let file = b"x\n";
        let path = TreePath::parse("a.txt")?;
        let node = Node::File { digest: Digest::of(file), executable: false };
        let manifest = Manifest { entries: BTreeMap::from([(path, node)]) };
        let blobs = [file.to_vec(), manifest.to_bytes()];
        let pieces: Vec<WriteRequest> = blobs
            .into_iter()
            .map(|bytes| WriteRequest { digest: Digest::of(&bytes).to_string(), data: bytes.into() })
            .collect();
        ArtifactServiceClient::new(self.channel.clone()).write(tokio_stream::iter(pieces)).await?;
        Ok(manifest.digest())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for role in &mut self.roles {
            // Its end is all that is asked for; a failure leaves nothing to do.
            let _ = role.kill();
            let _ = role.wait();
        }
    }
}

async fn connect(socket: PathBuf) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://coordinator.invalid").connect_with_connector(connector).await
}

/// One that opens when it is used, and again when it broke.
fn connect_lazily(socket: PathBuf) -> Channel {
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://coordinator.invalid").connect_with_connector_lazy(connector)
}
