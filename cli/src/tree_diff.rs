//! The change between two trees as a unified diff: what `diff` prints and `change.patch` holds.

use crate::client::Client;
use crate::download;
use crate::error::Error;
use windlass_engine::gate::numstat;
use windlass_shared::digest::Digest;
use windlass_shared::tree::Manifest;

/// The change from one tree to another, its bytes.
pub async fn between(client: &Client, base: Digest, changed: Digest) -> Result<Vec<u8>, Error> {
    if base == changed {
        return Ok(Vec::new());
    }
    let base = download::manifest(client, base).await?;
    let changed = download::manifest(client, changed).await?;
    of_manifests(client, &base, &changed).await
}

/// The same, for manifests that are at hand.
pub async fn of_manifests(client: &Client, base: &Manifest, changed: &Manifest) -> Result<Vec<u8>, Error> {
    let contents = download::blobs(client, numstat::blobs_needed(base, changed)).await?;
    Ok(numstat::unified_bytes(base, changed, &contents))
}
