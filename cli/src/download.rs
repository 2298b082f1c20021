//! Fetches blobs and trees, each checked against its digest before use (I16).

use crate::client::Client;
use crate::error::Error;
use std::collections::{BTreeMap, BTreeSet};
use windlass_proto::v1::ReadRequest;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::tree::Manifest;

/// Blobs by digest.
pub type Contents = BTreeMap<Digest, Vec<u8>>;

/// Blobs asked for in one call.
const PAGE: usize = 1_000;

/// Fetches blobs; all of them are held, so callers ask for what they use now.
pub async fn blobs(client: &Client, digests: impl IntoIterator<Item = Digest>) -> Result<Contents, Error> {
    let wanted: Vec<Digest> = digests.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let mut contents = Contents::new();
    for page in wanted.chunks(PAGE) {
        let request =
            ReadRequest { digests: page.iter().map(ToString::to_string).collect(), at_hand: Vec::new() };
        let mut stream = client.artifacts().read(request).await?.into_inner();
        let mut current: Option<(Digest, Vec<u8>)> = None;
        while let Some(piece) = stream.message().await? {
            if !piece.digest.is_empty() {
                finish(&mut contents, current.take())?;
                let digest = Digest::parse(&piece.digest)
                    .ok_or_else(|| Error::Blob { digest: piece.digest.clone() })?;
                current = Some((digest, Vec::new()));
            }
            if let Some((digest, bytes)) = &mut current {
                if (bytes.len() + piece.data.len()) as u64 > digest.size_bytes {
                    return Err(Error::Blob { digest: digest.to_string() });
                }
                bytes.extend_from_slice(&piece.data);
            }
        }
        finish(&mut contents, current)?;
    }
    match wanted.iter().find(|digest| !contents.contains_key(digest)) {
        Some(digest) => Err(Error::Blob { digest: digest.to_string() }),
        None => Ok(contents),
    }
}

/// Fetches one blob piece by piece, for what may be too large to hold. Its digest is checked at the end:
/// until this answers, nothing that was taken counts.
pub async fn pieces(
    client: &Client,
    digest: Digest,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let damaged = || Error::Blob { digest: digest.to_string() };
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    if digest.size_bytes > 0 {
        let request = ReadRequest { digests: vec![digest.to_string()], at_hand: Vec::new() };
        let mut stream = client.artifacts().read(request).await?.into_inner();
        while let Some(piece) = stream.message().await? {
            bytes += piece.data.len() as u64;
            if bytes > digest.size_bytes {
                return Err(damaged());
            }
            hasher.update(&piece.data);
            take(&piece.data)?;
        }
    }
    let found = Digest { hash: Hash(*hasher.finalize().as_bytes()), size_bytes: bytes };
    if found == digest { Ok(()) } else { Err(damaged()) }
}

fn finish(contents: &mut Contents, blob: Option<(Digest, Vec<u8>)>) -> Result<(), Error> {
    let Some((digest, bytes)) = blob else { return Ok(()) };
    if Digest::of(&bytes) != digest {
        return Err(Error::Blob { digest: digest.to_string() });
    }
    contents.insert(digest, bytes);
    Ok(())
}

/// Fetches one blob.
pub async fn blob(client: &Client, digest: Digest) -> Result<Vec<u8>, Error> {
    let mut contents = blobs(client, [digest]).await?;
    contents.remove(&digest).ok_or_else(|| Error::Blob { digest: digest.to_string() })
}

/// Fetches a tree's manifest.
pub async fn manifest(client: &Client, tree: Digest) -> Result<Manifest, Error> {
    let bytes = blob(client, tree).await?;
    Manifest::from_bytes(&bytes).map_err(|_| Error::Blob { digest: tree.to_string() })
}
