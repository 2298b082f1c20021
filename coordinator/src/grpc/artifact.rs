//! ArtifactService: blobs in streams, each checked against its digest.

use super::access::permitted;
use super::at_a_time::{AtATime, caller};
use super::convert::{blob_failure, digest};
use super::reach::{Reach, orders_of};
use super::version::is_worker;
use crate::blobs::{self, Incoming};
use crate::driver::{Handle, blocking};
use bytes::Bytes;
use std::collections::HashSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use windlass_proto::v1::artifact_service_server::ArtifactService;
use windlass_proto::{refusal::to_status, v1};
use windlass_shared::access::{Access, Viewer};
use windlass_shared::digest::Digest;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, TreeChange};

/// Trees at hand that are looked at: the parent's and the campaign's own.
const AT_HAND_MAX: usize = 4;
/// The largest change that is sent: of some thousand files. What differs more is sent whole, in pieces.
const CHANGE_MAX_BYTES: usize = 1 << 20;
/// The largest manifest: 200,000 paths of average length.
const MANIFEST_MAX_BYTES: u64 = 64 << 20;
/// Pieces that wait for a slow reader: 2 MiB.
const STREAM_LENGTH: usize = 8;

/// Uploads of one client or worker at a time: a worker ships four outcomes at once, a person submits from a few
/// shells. Each holds 256 KiB and an open file.
const UPLOADS_EACH_MAX: usize = 32;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Artifacts {
    handle: Handle,
    reach: Reach,
    uploads: AtATime,
}

impl Artifacts {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle, reach: Reach) -> Self {
        Self { handle, reach, uploads: AtATime::new("uploads", UPLOADS_EACH_MAX) }
    }

    /// A worker without an attempt has nothing to do with blobs.
    async fn refuse_idle(&self, access: &Access) -> Result<(), Status> {
        let Viewer::Worker(id, name) = &access.viewer else { return Ok(()) };
        if orders_of(&self.handle, id).await?.is_empty() {
            return Err(to_status(&Refusal::NotFound { what: "attempt", name: format!("of worker {name}") }));
        }
        Ok(())
    }
}

impl Artifacts {
    /// What makes a tree of one that the caller has, where that is less than the tree itself. What it may not
    /// touch is taken for not at hand, so that nobody learns what is in it.
    async fn change(
        &self,
        access: &Access,
        tree: Digest,
        at_hand: Vec<Digest>,
    ) -> Result<Option<v1::ReadResponse>, Status> {
        let at_hand: Vec<Digest> = at_hand.into_iter().take(AT_HAND_MAX).collect();
        if at_hand.is_empty() {
            return Ok(None);
        }
        let beyond = self.reach.beyond(&self.handle, access, &at_hand).await?;
        for from in at_hand.into_iter().filter(|digest| !beyond.contains(digest)) {
            let (Ok(was), Ok(is)) = tokio::join!(self.manifest(from), self.manifest(tree)) else { continue };
            let change = blocking(move || {
                let was = Manifest::from_bytes(&was).ok()?;
                let is = Manifest::from_bytes(&is).ok()?;
                Some(TreeChange::between(&was, &is).to_bytes())
            });
            let Some(change) = change.await else { continue };
            if change.len() <= CHANGE_MAX_BYTES && (change.len() as u64) < tree.size_bytes {
                let (digest, made_of) = (tree.to_string(), from.to_string());
                return Ok(Some(v1::ReadResponse { digest, data: change.into(), made_of }));
            }
        }
        Ok(None)
    }

    /// A tree's manifest, unless that is larger than any.
    async fn manifest(&self, tree: Digest) -> Result<Bytes, blobs::Error> {
        if tree.size_bytes > MANIFEST_MAX_BYTES {
            return Err(blobs::Error::Absent { digest: tree });
        }
        self.handle.stores.blobs.read(tree).await
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
        let access = permitted(&request)?;
        let asked = digests(&request.into_inner().digests)?;
        self.refuse_idle(&access).await?;
        // What a caller may not see is missing for it, whoever else has it: it sends its own.
        let beyond = self.reach.beyond(&self.handle, &access, &asked).await?;
        let within = asked.iter().copied().filter(|digest| !beyond.contains(digest)).collect();
        let missing = self.handle.stores.blobs.missing(within).await.map_err(blob_failure)?;
        let missing: HashSet<Digest> = missing.into_iter().chain(beyond).collect();
        if matches!(access.viewer, Viewer::Worker(..)) {
            // What it was told is there it will name without sending it: by then what let it see that may be over.
            let there = asked.iter().copied().filter(|digest| !missing.contains(digest)).collect();
            self.reach.note_sent(&self.handle, &access, there).await?;
        }
        let digests =
            asked.iter().filter(|digest| missing.contains(digest)).map(ToString::to_string).collect();
        Ok(Response::new(v1::FindMissingResponse { digests }))
    }

    async fn write(
        &self,
        request: Request<Streaming<v1::WriteRequest>>,
    ) -> Result<Response<v1::WriteResponse>, Status> {
        self.handle.writes().map_err(|refusal| to_status(&refusal))?;
        let access = permitted(&request)?;
        self.refuse_idle(&access).await?;
        // What a worker brings belongs to a run that was leased: it is taken while there is any room. A client does
        // not come by that by its own word.
        let needs_room = !is_worker(request.metadata()) || matches!(access.viewer, Viewer::Client(_));
        let _upload = self.uploads.begin(caller(&access.viewer)).map_err(|refusal| to_status(&refusal))?;
        let mut stream = request.into_inner();
        let mut incoming = self.handle.stores.blobs.incoming();
        let mut sent = Vec::new();
        if let Err(status) = receive(&self.handle, needs_room, &mut stream, &mut incoming, &mut sent).await {
            incoming.abandon().await;
            return Err(status);
        }
        let blobs = incoming.finish().await.map_err(blob_failure)?;
        self.reach.note_sent(&self.handle, &access, sent).await?;
        Ok(Response::new(v1::WriteResponse { blobs }))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let access = permitted(&request)?;
        let v1::ReadRequest { digests: asked, at_hand } = request.into_inner();
        let (asked, at_hand) = (digests(&asked)?, digests(&at_hand)?);
        self.reach.refuse(&self.handle, &access, &asked).await?;
        if let [tree] = asked[..]
            && let Some(change) = self.change(&access, tree, at_hand).await?
        {
            return Ok(Response::new(self.handle.tasks.stream(STREAM_LENGTH, move |sender| async move {
                // The caller may be gone: then nobody needs it.
                drop(sender.send(Ok(change)).await);
            })));
        }
        let blobs = self.handle.stores.blobs.clone();
        let stream = self.handle.tasks.stream(STREAM_LENGTH, move |sender| async move {
            for digest in asked {
                let mut pieces = blobs.read_pieces(digest);
                let mut begins = digest.to_string();
                loop {
                    let message = match pieces.next().await {
                        Ok(None) => break,
                        Ok(Some(data)) => Ok(v1::ReadResponse {
                            digest: std::mem::take(&mut begins),
                            data,
                            made_of: String::new(),
                        }),
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
    sent: &mut Vec<Digest>,
) -> Result<(), Status> {
    while let Some(message) = stream.message().await? {
        if !message.digest.is_empty() {
            let digest = digest("digest", &message.digest)?;
            if needs_room {
                let admitted = handle.space.borrow().admit_more(digest.size_bytes);
                admitted.map_err(|refusal| to_status(&refusal))?;
            }
            incoming.begin(digest).await.map_err(blob_failure)?;
            sent.push(digest);
        }
        if !incoming.push(message.data).await.map_err(blob_failure)? {
            let problem = "the first message of a stream must begin a blob".to_owned();
            return Err(to_status(&Refusal::Malformed { field: "digest", problem }));
        }
    }
    Ok(())
}
