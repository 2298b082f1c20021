//! One iteration's folder.

use super::documents::{self, ScriptNames};
use super::files::Folder;
use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::history::{Iteration, Story};
use crate::tree_diff;
use std::collections::BTreeMap;
use windlass_engine::gate::editable::Editable;
use windlass_proto::v1::ReadLogRequest;
use windlass_shared::digest::Digest;
use windlass_shared::tree::{Manifest, Node};

/// Lays out `iter<N>/`.
pub async fn lay_out(
    client: &Client,
    story: &Story,
    iteration: &Iteration,
    bindings: &str,
    folder: &mut Folder,
) -> Result<(), Error> {
    let home = format!("iter{}", iteration.number);
    let base = download::manifest(client, story.base_of(iteration)).await?;
    snapshot(client, story, &base, &home, folder).await?;
    let lever = story.lever_of(iteration);
    let scripts =
        ScriptNames::of(iteration.plan.iter().chain(lever.iter().flat_map(|lever| &lever.analysis)));
    if let Some(lever) = lever {
        let opened = download::manifest(client, iteration.opened_tree).await?;
        let patch = tree_diff::of_manifests(client, &base, &opened).await?;
        folder.put(&format!("{home}/change.patch"), &patch)?;
        folder.put(&format!("{home}/lever.yaml"), documents::lever(lever, &scripts)?.as_bytes())?;
        if let Some(patch) = lever.instrumentation {
            blob(client, patch, &format!("{home}/{}", documents::INSTRUMENTATION), folder).await?;
        }
        for (index, fix) in lever.fixes.iter().enumerate() {
            blob(client, fix.patch, &format!("{home}/{}", documents::fix_name(index)), folder).await?;
        }
    }
    folder.put(&format!("{home}/loop.run.yaml"), bindings.as_bytes())?;
    log(client, story, iteration, &home, folder).await?;
    folder.put(&format!("{home}/analysis/plan.md"), documents::plan(iteration, &scripts).as_bytes())?;
    for (digest, name) in scripts.files() {
        blob(client, *digest, &format!("{home}/analysis/{name}"), folder).await?;
    }
    folder.put(&format!("{home}/analysis/summary.md"), documents::summary(iteration).as_bytes())?;
    if let Some(results) = iteration.results() {
        let manifest = download::manifest(client, results).await?;
        let all = files_of(&manifest, |_| true);
        blobs(client, all, &format!("{home}/results"), folder).await?;
    }
    Ok(())
}

/// The editable files as they were before the change.
async fn snapshot(
    client: &Client,
    story: &Story,
    base: &Manifest,
    home: &str,
    folder: &mut Folder,
) -> Result<(), Error> {
    let editable = Editable::new(&story.bindings.editable_files)?;
    let before = files_of(base, |path| editable.allows(path));
    blobs(client, before, &format!("{home}/code_snapshot"), folder).await
}

/// Regular files only: a link of a run's own making could lead anywhere on the user's machine.
fn files_of(
    manifest: &Manifest,
    wanted: impl Fn(&windlass_shared::path::TreePath) -> bool,
) -> BTreeMap<String, Digest> {
    let files = manifest.entries.iter().filter(|(path, _)| wanted(path));
    files
        .filter_map(|(path, node)| match node {
            Node::File { digest, .. } => Some((path.to_string(), *digest)),
            Node::Link { .. } => None,
        })
        .collect()
}

async fn blobs(
    client: &Client,
    files: BTreeMap<String, Digest>,
    home: &str,
    folder: &mut Folder,
) -> Result<(), Error> {
    for (path, digest) in files {
        blob(client, digest, &format!("{home}/{path}"), folder).await?;
    }
    Ok(())
}

async fn blob(client: &Client, digest: Digest, relative: &str, folder: &mut Folder) -> Result<(), Error> {
    if folder.has(relative, &digest) {
        folder.keep();
        return Ok(());
    }
    let bytes = if digest.size_bytes == 0 { Vec::new() } else { download::blob(client, digest).await? };
    folder.put(relative, &bytes)
}

/// The log of the last run.
async fn log(
    client: &Client,
    story: &Story,
    iteration: &Iteration,
    home: &str,
    folder: &mut Folder,
) -> Result<(), Error> {
    let Some((attempt, outcome)) = iteration.logged() else { return Ok(()) };
    let relative = format!("{home}/run.log");
    let digest = outcome.log_hash.map(|hash| Digest { hash, size_bytes: outcome.log_bytes });
    if digest.is_some_and(|digest| folder.has(&relative, &digest)) {
        folder.keep();
        return Ok(());
    }
    let request = ReadLogRequest {
        campaign: story.campaign.to_string(),
        iteration: iteration.number.0,
        attempt: attempt.order.key.id.number,
        ..ReadLogRequest::default()
    };
    let mut stream = client.logs().read_log(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.message().await? {
        bytes.extend_from_slice(&piece.data);
    }
    folder.put(&relative, &bytes)
}
