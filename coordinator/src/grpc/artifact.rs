//! ArtifactService: blobs in streams, each checked against its digest.

use super::convert::{blob_failure, digest};
use super::version::is_worker;
use crate::blobs::Incoming;
use crate::driver::Handle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use windlass_proto::v1::artifact_service_server::ArtifactService;
use windlass_proto::{refusal::to_status, v1};
use windlass_shared::digest::Digest;
use windlass_shared::refusal::Refusal;

/// Pieces that wait for a slow reader: 2 MiB.
const STREAM_LENGTH: usize = 8;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Artifacts {
    handle: Handle,
}

impl Artifacts {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

fn digests(texts: &[String]) -> Result<Vec<Digest>, Status> {
    texts.iter().map(|text| digest("digests", text)).collect()
}

#[tonic::async_trait]
impl ArtifactService for Artifacts {
    type ReadStream = ReceiverStream<Result<v1::ReadResponse, Status>>;

    async fn find_missing(
        &self,
        request: Request<v1::FindMissingRequest>,
    ) -> Result<Response<v1::FindMissingResponse>, Status> {
        let asked = digests(&request.into_inner().digests)?;
        let missing = self.handle.stores.blobs.missing(asked).await.map_err(blob_failure)?;
        let digests = missing.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::FindMissingResponse { digests }))
    }

    async fn write(
        &self,
        request: Request<Streaming<v1::WriteRequest>>,
    ) -> Result<Response<v1::WriteResponse>, Status> {
        self.handle.writes().map_err(|refusal| to_status(&refusal))?;
        // What a worker brings belongs to a run that was leased: it is taken while there is any room.
        let needs_room = !is_worker(request.metadata());
        let mut stream = request.into_inner();
        let mut incoming = self.handle.stores.blobs.incoming();
        if let Err(status) = receive(&self.handle, needs_room, &mut stream, &mut incoming).await {
            incoming.abandon().await;
            return Err(status);
        }
        let blobs = incoming.finish().await.map_err(blob_failure)?;
        Ok(Response::new(v1::WriteResponse { blobs }))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let asked = digests(&request.into_inner().digests)?;
        let blobs = self.handle.stores.blobs.clone();
        let stream = self.handle.tasks.stream(STREAM_LENGTH, move |sender| async move {
            for digest in asked {
                let mut pieces = blobs.read_pieces(digest);
                let mut begins = digest.to_string();
                loop {
                    let message = match pieces.next().await {
                        Ok(None) => break,
                        Ok(Some(data)) => Ok(v1::ReadResponse { digest: std::mem::take(&mut begins), data }),
                        Err(error) => Err(blob_failure(error)),
                    };
                    let is_over = message.is_err();
                    if sender.send(message).await.is_err() || is_over {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(stream))
    }
}

async fn receive(
    handle: &Handle,
    needs_room: bool,
    stream: &mut Streaming<v1::WriteRequest>,
    incoming: &mut Incoming,
) -> Result<(), Status> {
    while let Some(message) = stream.message().await? {
        if !message.digest.is_empty() {
            let digest = digest("digest", &message.digest)?;
            if needs_room {
                let admitted = handle.space.borrow().admit_more(digest.size_bytes);
                admitted.map_err(|refusal| to_status(&refusal))?;
            }
            incoming.begin(digest).await.map_err(blob_failure)?;
        }
        if !incoming.push(message.data).await.map_err(blob_failure)? {
            let problem = "the first message of a stream must begin a blob".to_owned();
            return Err(to_status(&Refusal::Malformed { field: "digest", problem }));
        }
    }
    Ok(())
}
