//! What a campaign of branches begins from, and what it is refused for: looked at when it is submitted, before
//! anything is sent.

use super::repository::{GitError, Repository};
use super::{beside, branch, listed};
use crate::error::Error;
use std::path::Path;
use windlass_engine::gate::editable::Editable;
use windlass_shared::bindings::{Bindings, Strategy};
use windlass_shared::digest::Digest;
use windlass_shared::git::GitRoot;
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// What the commits grow from, and the bytes that are sent with it.
#[derive(Clone, Debug)]
pub struct Begun {
    /// For the ledger.
    pub root: GitRoot,
    /// What stands in HEAD.
    pub listing: Vec<u8>,
}

/// Looks at the repository of a workspace; none where the campaign keeps no branch. `file` is the campaign file's
/// name: it stands in the ledger, and may be as it likes.
pub fn begin(
    dir: &Path,
    file: &str,
    bindings: &Bindings,
    manifest: &Manifest,
) -> Result<Option<Begun>, Error> {
    let Some(tag) = bindings.run_tag.as_ref().filter(|_| bindings.iter_strategy == Strategy::Branches) else {
        return Ok(None);
    };
    let repository = Repository::find(dir)?;
    let here = || dir.to_owned();
    if !repository.has_working_tree() {
        return Err(GitError::NoRepository { dir: here() }.into());
    }
    let head = repository.head()?.ok_or_else(|| GitError::Unborn { dir: here() })?;
    let names = [&*branch(tag), &*beside(tag)];
    if let Some((reference, _)) = repository.references(&names)?.into_iter().next() {
        return Err(GitError::Exists { reference }.into());
    }
    let prefix = repository.prefix()?;
    let listing = repository.listing(&head)?;
    refuse_dirty(&repository, file, &prefix, manifest)?;
    refuse_submodules(&listing, &prefix, bindings, manifest)?;
    let root = GitRoot { head, prefix, listing: Digest::of(&listing) };
    root.check()?;
    Ok(Some(Begun { root, listing }))
}

/// What is sent must be as HEAD has it, or HEAD's tree with a lever's files would not be what was measured.
/// Untracked files do not matter: nothing that HEAD says of them is wrong.
fn refuse_dirty(repository: &Repository, file: &str, prefix: &str, manifest: &Manifest) -> Result<(), Error> {
    let mut paths = Vec::new();
    for (path, is_gone) in repository.changed()? {
        let Some(here) = path.strip_prefix(prefix).map(|here| here.trim_start_matches('/')) else { continue };
        let is_below = |entry: &TreePath| {
            entry.as_str().strip_prefix(here.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        let is_sent = TreePath::parse(here).is_ok_and(|here| manifest.entries.contains_key(&here))
            || manifest.entries.keys().any(is_below);
        if here != file && (is_sent || is_gone) {
            paths.push(here.to_owned());
        }
    }
    if paths.is_empty() { Ok(()) } else { Err(GitError::Dirty { paths }.into()) }
}

fn refuse_submodules(
    listing: &[u8],
    prefix: &str,
    bindings: &Bindings,
    manifest: &Manifest,
) -> Result<(), Error> {
    let modules: Vec<String> = listed(listing)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, leaf)| leaf.is_submodule())
        .map(|(path, _)| String::from_utf8_lossy(&path).into_owned())
        .collect();
    if modules.is_empty() {
        return Ok(());
    }
    let editable = Editable::new(&bindings.editable_files)?;
    let is_inside = |path: &&TreePath| {
        let whole = if prefix.is_empty() { path.to_string() } else { format!("{prefix}/{path}") };
        let below =
            |module: &String| whole.strip_prefix(module.as_str()).is_some_and(|it| it.starts_with('/'));
        modules.iter().any(below)
    };
    match manifest.entries.keys().filter(|path| editable.allows(path)).find(is_inside) {
        Some(path) => Err(GitError::Submodule { path: path.to_string() }.into()),
        None => Ok(()),
    }
}
