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
use windlass_proto::v1::log_service_client::LogServiceClient;
use windlass_proto::v1::{ListWorkersRequest, WriteRequest};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// How often it is asked whether the worker is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Two roles as child processes; killed when dropped.
pub struct Service {
    roles: Vec<Child>,
    /// Removed after them.
    _folder: tempfile::TempDir,
    /// The open connection.
    pub channel: Channel,
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
        Ok(Self { roles, _folder: folder, channel })
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
