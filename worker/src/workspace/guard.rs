//! Whether a run touched a frozen file of a layered workspace (P2, I11). The run's own layer says it even
//! of an edit that was reverted; the layers below were shared, so they are checked as well.

use super::layers::{Below, Layers, is_touched};
use super::read_back::node;
use super::trees::Trees;
use crate::error::Error;
use std::path::Path;
use windlass_engine::gate::editable::Editable;
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// The first frozen file of `base` that the run touched: changed, removed, replaced, or opened for writing
/// and left as it was.
pub fn frozen_touched(base: &Manifest, editable: &Editable, upper: &Path) -> Option<TreePath> {
    let mut frozen = base.entries.keys().filter(|path| !editable.allows(path));
    frozen.find(|path| is_touched(upper, path.as_str())).cloned()
}

/// The first frozen file of `base` that is not any more, below the run's own layer, what it was when it was laid
/// out.
pub fn frozen_changed_below(
    base: &Manifest,
    editable: &Editable,
    below: &Below,
) -> Result<Option<TreePath>, Error> {
    let mut all_whole = true;
    for layer in &below.trees {
        if !Trees::is_whole(layer)? {
            // Somebody went around the workspace: no attempt gets this layer again.
            tracing::warn!(layer = %layer.display(), "a tree was changed below a run; its files are read again");
            Trees::condemn(layer)?;
            all_whole = false;
        }
    }
    if all_whole { Ok(None) } else { read_again(base, editable, below) }
}

/// By every byte: a changed time alone (a backup, a scanner) is not held against the run.
fn read_again(base: &Manifest, editable: &Editable, below: &Below) -> Result<Option<TreePath>, Error> {
    let layers = Layers(below.trees.clone());
    for (path, want) in base.entries.iter().filter(|(path, _)| !editable.allows(path)) {
        let found = layers.find(path.as_str()).map(|real| node(&real)).transpose()?.flatten();
        if found.as_ref() != Some(want) {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}
