//! The epoch cap of a workspace (P17), found as the coordinator will find it. Only reads.

use super::Workspace;
use crate::blobs::Source;
use crate::error::Error;
use windlass_engine::gate::epochs::{CapWanted, gather_cap};
use windlass_engine::gate::facts::{Fetched, Lacking};
use windlass_shared::bindings::{Bindings, EpochCap, GateKind};
use windlass_shared::digest::Digest;
use windlass_shared::refusal::Refusal;

/// Rounds of reading: the manifest, then the files in which a cap may stand.
const ROUNDS_MAX: usize = 8;

/// Where the cap stands, and what it becomes; none under another gate.
///
/// # Errors
/// What the coordinator would refuse: no such line, or several, with the candidates.
pub fn find(workspace: &Workspace, bindings: &Bindings) -> Result<Option<EpochCap>, Error> {
    if bindings.gate != GateKind::Epochs {
        return Ok(None);
    }
    let wanted = CapWanted {
        tree: workspace.manifest.digest(),
        budget: bindings.budget_epochs(),
        epochs: bindings.windlass.epochs.clone().unwrap_or_default(),
        editable: bindings.editable_files.clone(),
    };
    let mut fetched = Fetched::default();
    for _ in 0..ROUNDS_MAX {
        match gather_cap(&wanted, &fetched) {
            Ok((facts, _)) => return Ok(Some(facts.cap)),
            Err(Lacking::Blobs(digests)) => {
                for digest in digests {
                    fetched.blobs.insert(digest, read(workspace, digest)?);
                }
            }
            Err(Lacking::Refused(refusal)) => return Err(refusal.into()),
            // It looks at no log and judges no proposal.
            Err(Lacking::Log(_) | Lacking::Rejected(_)) => break,
        }
    }
    let problem = "the files in which it may stand could not be read".to_owned();
    Err(Refusal::Binding { key: "windlass.epochs", problem }.into())
}

fn read(workspace: &Workspace, digest: Digest) -> Result<Vec<u8>, Error> {
    match workspace.blobs.source(&digest) {
        Some(Source::Bytes(bytes)) => Ok(bytes.clone()),
        Some(Source::File(path)) => std::fs::read(path).map_err(|source| Error::File {
            operation: "read",
            path: path.clone(),
            source,
        }),
        None => Ok(Vec::new()),
    }
}
