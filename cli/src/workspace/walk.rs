//! The walk itself: every entry once, in order, each refused by name or hashed.

use super::exclude::Exclude;
use super::link;
use crate::blobs::Blobs;
use crate::error::Error;
use ignore::{DirEntry, WalkBuilder};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::size::Size;
use windlass_shared::tree::{ENTRIES_MAX, Manifest, Node};

/// Bytes read at once while hashing.
const BUFFER_BYTES: usize = 256 << 10;

/// The largest file that is sent: code, its tables and a small model. Data sets stay where the workers are.
const FILE_MAX_BYTES: u64 = 2 << 30;
/// The most bytes of a workspace: each worker that runs a part of the campaign gets all of them.
const TOTAL_MAX_BYTES: u64 = 16 << 30;

/// Walks `root` and reads what belongs to the workspace.
pub fn walk(root: &Path, exclude: &Exclude) -> Result<(Manifest, Blobs), Error> {
    let mut found = Found::default();
    visit(root, builder(root).build(), exclude, &mut found, |_| true)?;
    if exclude.has_includes() {
        let mut all = builder(root);
        all.git_ignore(false).git_exclude(false).git_global(false).parents(false);
        visit(root, all.build(), exclude, &mut found, |path| exclude.is_included(path))?;
    }
    Ok((found.manifest, found.blobs))
}

/// As git does, in a repository or not; hidden files belong to the workspace like any other.
fn builder(root: &Path) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder.hidden(false).ignore(false).require_git(false).follow_links(false);
    builder.sort_by_file_name(|a, b| a.cmp(b));
    builder
}

#[derive(Default)]
struct Found {
    manifest: Manifest,
    blobs: Blobs,
    folded: BTreeMap<String, String>,
    total_bytes: u64,
}

fn visit(
    root: &Path,
    walk: ignore::Walk,
    exclude: &Exclude,
    found: &mut Found,
    wanted: impl Fn(&Path) -> bool,
) -> Result<(), Error> {
    let mut skipped: Option<std::path::PathBuf> = None;
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(problem) => return Err(unreadable(root, &problem)),
        };
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
        let below_skipped = skipped.as_ref().is_some_and(|folder| relative.starts_with(folder));
        if relative.as_os_str().is_empty() || below_skipped {
            continue;
        }
        if exclude.is_out(&relative) {
            skipped = Some(relative);
            continue;
        }
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        if !is_folder && wanted(&relative) {
            found.take(root, &entry, &relative)?;
        }
    }
    Ok(())
}

fn unreadable(root: &Path, problem: &ignore::Error) -> Error {
    refuse(root, &format!("cannot be read: {problem}"))
}

fn refuse(path: &Path, problem: &str) -> Error {
    Refusal::Tree { path: path.display().to_string(), problem: problem.to_owned() }.into()
}

impl Found {
    fn take(&mut self, root: &Path, entry: &DirEntry, relative: &Path) -> Result<(), Error> {
        let text = relative.to_str().ok_or_else(|| refuse(relative, "its name is not UTF-8"))?;
        let path = TreePath::parse(text).map_err(|problem| Error::from(Refusal::Path { problem }))?;
        if self.manifest.entries.contains_key(&path) {
            return Ok(());
        }
        self.refuse_collisions(&path)?;
        let node = self.node(root, entry, relative)?;
        self.manifest.entries.insert(path, node);
        if self.manifest.entries.len() > ENTRIES_MAX {
            let figure = self.manifest.entries.len() as u64;
            let limit = ENTRIES_MAX as u64;
            return Err(Refusal::TooMuch { what: "the number of files".to_owned(), figure, limit }.into());
        }
        Ok(())
    }

    fn node(&mut self, root: &Path, entry: &DirEntry, relative: &Path) -> Result<Node, Error> {
        let kind = entry.file_type().ok_or_else(|| refuse(relative, "has no type"))?;
        let unreadable = |source: std::io::Error| refuse(relative, &format!("cannot be read: {source}"));
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(unreadable)?;
            if let Some(problem) = link::problem(root, relative, &target) {
                return Err(refuse(relative, &problem));
            }
            let target = target.to_str().ok_or_else(|| refuse(relative, "its target is not UTF-8"))?;
            return Ok(Node::Link { target: target.to_owned() });
        }
        if kind.is_file() {
            let bytes = std::fs::symlink_metadata(entry.path()).map_err(unreadable)?.len();
            if bytes > FILE_MAX_BYTES {
                let (size, most) = (Size { bytes }, Size { bytes: FILE_MAX_BYTES });
                let problem = format!(
                    "has {size}, and at most {most} of one file are sent; keep it on the workers (windlass.data)"
                );
                return Err(refuse(relative, &problem));
            }
            self.total_bytes += bytes;
            if self.total_bytes > TOTAL_MAX_BYTES {
                let (figure, limit) = (self.total_bytes, TOTAL_MAX_BYTES);
                return Err(Refusal::TooMuch {
                    what: "the bytes of the workspace".to_owned(),
                    figure,
                    limit,
                }
                .into());
            }
            let (digest, executable) = hash(entry.path()).map_err(unreadable)?;
            self.blobs.note(digest, entry.path().to_owned());
            return Ok(Node::File { digest, executable });
        }
        let what = if kind.is_socket() {
            "a socket"
        } else if kind.is_fifo() {
            "a pipe"
        } else {
            "a device"
        };
        Err(refuse(relative, &format!("is {what}; a workspace holds files, folders and links")))
    }

    /// Two names that one file system would hold apart and another not, folders on the way included.
    fn refuse_collisions(&mut self, path: &TreePath) -> Result<(), Error> {
        for (end, _) in path.as_str().match_indices('/').chain([(path.as_str().len(), "")]) {
            let prefix = &path.as_str()[..end];
            let folded =
                TreePath::parse(prefix).map_err(|problem| Error::from(Refusal::Path { problem }))?.folded();
            let other = self.folded.entry(folded).or_insert_with(|| prefix.to_owned());
            if other != prefix {
                let problem = format!("collides with {other} where case or Unicode form does not count");
                return Err(refuse(Path::new(prefix), &problem));
            }
        }
        Ok(())
    }
}

/// Hashes a file as it streams by. A pipe that took its place meanwhile is not waited for.
fn hash(path: &Path) -> std::io::Result<(Digest, bool)> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let mut file = std::fs::File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let executable = file.metadata()?.permissions().mode() & 0o100 != 0;
    let mut hasher = blake3::Hasher::new();
    let mut size_bytes = 0;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        size_bytes += n as u64;
    }
    Ok((Digest { hash: Hash(*hasher.finalize().as_bytes()), size_bytes }, executable))
}
