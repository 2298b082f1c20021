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

/// Digests named in one request: 20,000 of 80 bytes are 1.6 MB of a message's 16.
const DIGESTS_MAX: usize = 20_000;
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

async fn fetch_part(client: &Client, cache: &Cache, part: &[Digest]) -> Result<(), Error> {
    let request = v1::ReadRequest { digests: part.iter().map(Digest::to_string).collect() };
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
