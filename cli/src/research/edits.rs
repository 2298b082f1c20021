//! What a command has edited in its working copy, as a lever's change. Only editable files count: what it did to
//! frozen ones is named and never sent (P2).

use crate::blobs::Blobs;
use crate::client::Client;
use crate::download;
use crate::error::Error;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use windlass_engine::gate::editable::Editable;
use windlass_engine::gate::guard::changed_paths;
use windlass_engine::gate::numstat;
use windlass_shared::digest::Digest;
use windlass_shared::lever::{Change, Edit, ITEMS_MAX};
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};
use windlass_worker::workspace::read_back;

/// One file of a change: what a lever file may bring along as well.
const FILE_MAX_BYTES: u64 = 8 << 20;
/// Files that are looked at for new ones. A copy with more has built something.
const LOOKED_AT_MAX: usize = 200_000;
/// Folders of tools, which are no part of any change.
const NOT_OURS: [&str; 5] = [".git", "__pycache__", ".venv", "node_modules", ".ipynb_checkpoints"];
/// As git tells a binary file: a NUL among so many first bytes.
const BINARY_LOOK_BYTES: usize = 8_000;

/// What was done to a working copy.
#[derive(Debug, Default)]
pub struct Edits {
    /// The change of the editable files; none where nothing of them is changed.
    pub change: Option<Change>,
    /// What it brings along.
    pub blobs: Blobs,
    /// The same as a unified diff, for people; empty for a binary file.
    pub patch: Vec<u8>,
    /// The editable files that are changed.
    pub files: Vec<TreePath>,
    /// The frozen ones: they stay as they were.
    pub frozen: Vec<TreePath>,
}

/// Compares `work` with the tree that it was a copy of.
pub async fn of(client: &Client, base: &Manifest, work: &Path, editable: &Editable) -> Result<Edits, Error> {
    let mut found = read_back(base, work).map_err(|problem| Error::Input {
        message: format!("the working copy cannot be read: {}", problem.chain()),
        remedy: "leave its files and folders readable".to_owned(),
    })?;
    added(base, work, editable, &mut found)?;
    let mut edits = Edits::default();
    let mut changed = base.clone();
    for path in changed_paths(base, &found) {
        if !editable.allows(&path) {
            edits.frozen.push(path);
            continue;
        }
        match found.entries.get(&path) {
            Some(node) => drop(changed.entries.insert(path.clone(), node.clone())),
            None => drop(changed.entries.remove(&path)),
        }
        edits.files.push(path);
    }
    if edits.files.is_empty() {
        return Ok(edits);
    }
    if edits.files.len() > ITEMS_MAX {
        return Err(too_much(format!("{} files are changed; a lever is one change", edits.files.len())));
    }
    let (contents, is_text) = contents(client, base, &changed, work, &edits.files).await?;
    if is_text {
        edits.patch = numstat::unified_bytes(base, &changed, &contents);
        edits.change = Some(Change::Patch(edits.blobs.hold(edits.patch.clone())));
    } else {
        edits.change = Some(Change::Files(whole(&edits.files, &changed, &contents, &mut edits.blobs)?));
    }
    Ok(edits)
}

/// New editable files, entered into `found`.
fn added(base: &Manifest, work: &Path, editable: &Editable, found: &mut Manifest) -> Result<(), Error> {
    let ours = |entry: &ignore::DirEntry| !NOT_OURS.iter().any(|name| entry.file_name() == *name);
    let walk = ignore::WalkBuilder::new(work).standard_filters(false).filter_entry(ours).build();
    for (looked_at, entry) in walk.enumerate() {
        if looked_at == LOOKED_AT_MAX {
            return Err(too_much(format!("the working copy holds more than {LOOKED_AT_MAX} files")));
        }
        // What went while it was looked at, or cannot be read, is not there.
        let Ok(entry) = entry else { continue };
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        let inside = entry.path().strip_prefix(work).ok().and_then(Path::to_str);
        let Some(path) = inside.filter(|_| is_file).and_then(|inside| TreePath::parse(inside).ok()) else {
            continue;
        };
        if base.entries.contains_key(&path) || !editable.allows(&path) {
            continue;
        }
        let bytes = read(entry.path(), &path)?;
        let executable = entry.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0);
        found.entries.insert(path, Node::File { digest: Digest::of(&bytes), executable });
    }
    Ok(())
}

/// Both sides of what is changed, and whether all of it is text.
async fn contents(
    client: &Client,
    base: &Manifest,
    changed: &Manifest,
    work: &Path,
    files: &[TreePath],
) -> Result<(BTreeMap<Digest, Vec<u8>>, bool), Error> {
    let mut contents = BTreeMap::new();
    for path in files {
        if let Some(Node::File { digest, .. }) = changed.entries.get(path) {
            let bytes = read(&work.join(path.as_str()), path)?;
            // Its command is dead: nobody writes there any more but the user.
            if Digest::of(&bytes) != *digest {
                return Err(Error::Changed { path: work.join(path.as_str()) });
            }
            contents.insert(*digest, bytes);
        }
    }
    let wanted = numstat::blobs_needed(base, changed);
    let lacking = wanted.into_iter().filter(|digest| !contents.contains_key(digest));
    contents.extend(download::blobs(client, lacking.collect::<Vec<_>>()).await?);
    let is_text = contents.values().all(|bytes| !bytes.iter().take(BINARY_LOOK_BYTES).any(|&byte| byte == 0));
    Ok((contents, is_text))
}

/// Whole files, for what no diff can say.
fn whole(
    files: &[TreePath],
    changed: &Manifest,
    contents: &BTreeMap<Digest, Vec<u8>>,
    blobs: &mut Blobs,
) -> Result<BTreeMap<TreePath, Edit>, Error> {
    let edit = |path: &TreePath| match changed.entries.get(path) {
        Some(Node::File { digest, .. }) => {
            Ok(Edit::Write(blobs.hold(contents.get(digest).cloned().unwrap_or_default())))
        }
        Some(Node::Link { .. }) => {
            Err(too_much(format!("{path} became a link, beside a binary file; write a file in its place")))
        }
        None => Ok(Edit::Delete),
    };
    let mut edit = edit;
    files.iter().map(|path| Ok((path.clone(), edit(path)?))).collect()
}

fn read(place: &Path, path: &TreePath) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { operation: "read", path: place.to_owned(), source };
    let size = std::fs::symlink_metadata(place).map_err(failed)?.len();
    if size > FILE_MAX_BYTES {
        return Err(too_much(format!("{path} has {size} bytes; at most {FILE_MAX_BYTES} are taken")));
    }
    std::fs::read(place).map_err(failed)
}

fn too_much(message: String) -> Error {
    Error::Input { message, remedy: "change less in one lever".to_owned() }
}
