//! Blobs between this worker and the coordinator: only those that the receiver lacks, many in a stream.

use super::cache::{Cache, Incoming};
use crate::client::Client;
use crate::driver::blocking;
use crate::error::Error;
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use tokio_stream::StreamExt;
use windlass_proto::{CHUNK_BYTES, v1};
use windlass_shared::digest::Digest;
use windlass_shared::tree::{Manifest, TreeChange};

/// Digests named in one request: 20,000 of 80 bytes are 1.6 MB of a message's 16.
const DIGESTS_MAX: usize = 20_000;
/// A change is sent where it is smaller than its tree; that of a tiny tree may have so many bytes all the same.
const CHANGE_MAX_BYTES: u64 = 64 << 10;
/// Messages that may wait for the network on the way up: 4 MiB.
const UPLOAD_AHEAD: usize = 16;

/// Gets those of `wanted` that the cache lacks.
pub async fn fetch(client: &Client, cache: &Cache, wanted: &[Digest]) -> Result<(), Error> {
    let missing: BTreeSet<Digest> = wanted.iter().copied().filter(|digest| !cache.has(digest)).collect();
    let missing: Vec<Digest> = missing.into_iter().collect();
    for part in missing.chunks(DIGESTS_MAX) {
        fetch_part(client, cache, part).await?;
    }
    Ok(())
}

/// Gets the manifest of a tree, by what differs from one of `near` where that is here.
pub async fn fetch_tree(
    client: &Client,
    cache: &Arc<Cache>,
    tree: Digest,
    near: &[Digest],
) -> Result<(), Error> {
    if cache.has(&tree) {
        return Ok(());
    }
    let at_hand: Vec<Digest> = near.iter().copied().filter(|digest| cache.has(digest)).collect();
    if !at_hand.is_empty() {
        match fetch_change(client, cache, tree, &at_hand).await {
            // What is at hand is damaged, or not what the coordinator takes it for: then the tree comes whole.
            Err(error @ (Error::Damaged(_) | Error::Missing(_) | Error::Manifest { .. })) => {
                tracing::warn!(%tree, problem = error.chain(), "a tree could not be made of another");
            }
            result => return result,
        }
    }
    fetch_part(client, cache, &[tree]).await
}

/// The same; the coordinator may send it whole all the same.
async fn fetch_change(
    client: &Client,
    cache: &Arc<Cache>,
    tree: Digest,
    at_hand: &[Digest],
) -> Result<(), Error> {
    let names = |digests: &[Digest]| digests.iter().map(Digest::to_string).collect();
    let request = v1::ReadRequest { digests: names(&[tree]), at_hand: names(at_hand) };
    let response = client.artifacts().read(request).await.map_err(Error::call("ArtifactService.Read"))?;
    let mut stream = response.into_inner();
    let (mut made_of, mut bytes) = (String::new(), Vec::new());
    while let Some(message) = stream.next().await {
        let message = message.map_err(Error::call("ArtifactService.Read"))?;
        if !message.digest.is_empty() {
            if Digest::parse(&message.digest) != Some(tree) || !bytes.is_empty() {
                let got = message.digest.chars().take(100).collect();
                return Err(Error::WrongBlob { want: tree, got });
            }
            made_of = message.made_of;
        }
        bytes.extend(&message.data);
        if bytes.len() as u64 > tree.size_bytes.max(CHANGE_MAX_BYTES) {
            return Err(Error::Damaged(tree));
        }
    }
    let from = at_hand.iter().copied().find(|digest| digest.to_string() == made_of);
    let cache = Arc::clone(cache);
    blocking(move || {
        let whole = match from {
            None if made_of.is_empty() => bytes,
            None => return Err(Error::Damaged(tree)),
            Some(from) => made(&cache, tree, &from, &bytes)?,
        };
        // Only what has the tree's own digest is taken (I16).
        cache.insert(&tree, &whole)
    })
    .await
}

/// The manifest of `tree` as a change makes it of another that is here.
fn made(cache: &Cache, tree: Digest, from: &Digest, change: &[u8]) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Manifest { digest: tree, source };
    let from = Manifest::from_bytes(&cache.read(from)?).map_err(unreadable)?;
    let change = TreeChange::from_bytes(change).map_err(unreadable)?;
    Ok(change.make_of(from).to_bytes())
}

async fn fetch_part(client: &Client, cache: &Cache, part: &[Digest]) -> Result<(), Error> {
    let digests = part.iter().map(Digest::to_string).collect();
    let request = v1::ReadRequest { digests, at_hand: Vec::new() };
    let response = client.artifacts().read(request).await.map_err(Error::call("ArtifactService.Read"))?;
    let mut stream = response.into_inner();
    let mut wanted = part.iter();
    let mut current: Option<Incoming> = None;
    while let Some(message) = stream.next().await {
        let message = message.map_err(Error::call("ArtifactService.Read"))?;
        if !message.digest.is_empty() {
            if let Some(done) = current.take() {
                cache.finish(done)?;
            }
            let want = *wanted.next().unwrap_or(&part[part.len() - 1]);
            if Digest::parse(&message.digest) != Some(want) {
                return Err(Error::WrongBlob { want, got: message.digest.chars().take(100).collect() });
            }
            current = Some(cache.begin(Some(want))?);
        }
        if let Some(incoming) = current.as_mut() {
            incoming.write(&message.data)?;
        }
    }
    if let Some(done) = current.take() {
        cache.finish(done)?;
    }
    match wanted.next() {
        Some(digest) => Err(Error::Missing(*digest)),
        None => Ok(()),
    }
}

/// Sends those of `blobs`, all in the cache, that the coordinator lacks. Those it has are pinned by the
/// asking.
pub async fn upload(client: &Client, cache: &Arc<Cache>, blobs: &[Digest]) -> Result<(), Error> {
    for part in blobs.chunks(DIGESTS_MAX) {
        let request = v1::FindMissingRequest { digests: part.iter().map(Digest::to_string).collect() };
        let found = client.artifacts().find_missing(request).await;
        let found = found.map_err(Error::call("ArtifactService.FindMissing"))?.into_inner();
        let missing: Vec<Digest> = found.digests.iter().filter_map(|text| Digest::parse(text)).collect();
        if !missing.is_empty() {
            upload_part(client, cache, missing).await?;
        }
    }
    Ok(())
}

async fn upload_part(client: &Client, cache: &Arc<Cache>, missing: Vec<Digest>) -> Result<(), Error> {
    let (sender, receiver) = tokio::sync::mpsc::channel(UPLOAD_AHEAD);
    let cache = Arc::clone(cache);
    let reading = blocking(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        for digest in missing {
            let mut file = cache.open_blob(&digest)?;
            let mut name = digest.to_string();
            loop {
                let count = file.read(&mut buffer).map_err(Error::file("read", cache_path()))?;
                if count == 0 && name.is_empty() {
                    break;
                }
                let data = bytes::Bytes::copy_from_slice(&buffer[..count]);
                let message = v1::WriteRequest { digest: std::mem::take(&mut name), data };
                // The receiver is gone when the call has failed; the call says why.
                if sender.blocking_send(message).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut artifacts = client.artifacts();
    let (read, written) = tokio::join!(reading, artifacts.write(stream));
    read?;
    written.map(drop).map_err(Error::call("ArtifactService.Write"))
}

fn cache_path() -> &'static std::path::Path {
    std::path::Path::new("blobs")
}
