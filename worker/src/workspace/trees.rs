//! Verified trees that lie ready as the lower layers of workspaces: laid out once, checked before each use
//! and after each run, shared by all attempts that need them. A tree that differs little from one that lies
//! here is a layer on it, so that a lever of five files moves five files. Never written to once it is named.

use super::lay_out::{Access, lay_out};
use super::layers::hide;
use crate::blobs::Cache;
use crate::error::Error;
use crate::{durable, procfs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use windlass_engine::gate::editable::Editable;
use windlass_engine::gate::guard::changed_paths;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// A tree is laid on another one when at most a quarter of its entries differ: the rest is not moved.
const LAYER_SHARE: usize = 4;
/// Entries that may differ in any case: a small tree costs little either way.
const LAYER_ENTRIES: usize = 64;
/// Whole trees that are compared with a new one; the newest few hold the campaigns that run now.
const CANDIDATES_MAX: usize = 8;
/// What was used so lately may be in the hands of an attempt that has not written that down yet.
const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// What nobody used for this long goes.
const UNUSED_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The store of one worker.
#[derive(Debug)]
pub struct Trees {
    root: PathBuf,
    /// One tree is laid out at a time: they share a disk.
    building: Mutex<()>,
}

/// What is written beside the files of one tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Document {
    tree: Digest,
    /// For a layer: the folder name of the whole tree that it lies on.
    on: Option<String>,
    /// A tree of another boot is not trusted for new attempts: a power cut may have torn it.
    boot_id: String,
    /// What [`stamp`] said when it was whole.
    stamp: Hash,
    bytes: u64,
}

/// What has to be fetched and laid for a tree that does not lie here.
#[derive(Clone, Debug)]
pub struct Missing {
    key: String,
    tree: Digest,
    on: Option<(String, PathBuf)>,
    entries: Manifest,
    gone: Vec<String>,
}

impl Missing {
    /// The blobs that are needed.
    pub fn blobs(&self) -> Vec<Digest> {
        self.entries.blobs().collect()
    }
}

/// Whether a tree lies ready.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Its layers, topmost first.
    Ready(Vec<PathBuf>),
    /// What is missing.
    Missing(Box<Missing>),
}

impl Trees {
    /// Opens or makes it; what an earlier life left half-made goes.
    pub fn open(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::file("create", root))?;
        for name in names(root)? {
            if name.starts_with("new-") {
                remove(&root.join(&name))?;
            }
        }
        Ok(Self { root: root.to_owned(), building: Mutex::new(()) })
    }

    /// The layers, topmost first, of a tree that lies ready as an attempt with these editable files sees it. Checks
    /// what it finds: a layer that somebody changed is never used.
    pub fn find(&self, tree: Digest, editable: &[String]) -> Result<Option<Vec<PathBuf>>, Error> {
        self.find_key(&key(tree, editable))
    }

    fn find_key(&self, key: &str) -> Result<Option<Vec<PathBuf>>, Error> {
        for name in self.of_key(key)? {
            if let Some(layers) = self.ready(&name)? {
                return Ok(Some(layers));
            }
        }
        Ok(None)
    }

    /// The same; where it does not lie ready, what it takes to lay it out.
    pub fn look(&self, tree: Digest, manifest: &Manifest, editable: &[String]) -> Result<Standing, Error> {
        if let Some(layers) = self.find(tree, editable)? {
            return Ok(Standing::Ready(layers));
        }
        let key = key(tree, editable);
        let mut missing = Missing { key, tree, on: None, entries: manifest.clone(), gone: Vec::new() };
        let most = LAYER_ENTRIES.max(manifest.entries.len() / LAYER_SHARE);
        let mut fewest = most + 1;
        for (name, document) in self.whole_trees(editable)? {
            let Some(base) = self.manifest(&name) else { continue };
            let paths = changed_paths(&base, manifest);
            if paths.len() < fewest && self.ready(&name)?.is_some() {
                fewest = paths.len();
                let entries =
                    paths.iter().filter_map(|path| Some((path.clone(), manifest.entries.get(path)?.clone())));
                missing.entries = Manifest { entries: entries.collect() };
                missing.gone = gone(&paths, manifest);
                missing.on = Some((name.clone(), self.files(&name)));
                debug_assert!(document.on.is_none());
            }
        }
        Ok(Standing::Missing(Box::new(missing)))
    }

    /// Lays a missing tree out; its blobs must be in the cache. Gives its layers, topmost first.
    pub fn lay(
        &self,
        cache: &Cache,
        missing: &Missing,
        manifest: &Manifest,
        editable: &Editable,
    ) -> Result<Vec<PathBuf>, Error> {
        let _one = self.lock();
        // Another attempt may have been faster.
        if let Some(layers) = self.find_key(&missing.key)? {
            return Ok(layers);
        }
        let number = uuid::Uuid::new_v4();
        let beside = self.root.join(format!("new-{number}"));
        let files = beside.join("files");
        lay_out(cache, &missing.entries, &files, Access::Editable(editable))?;
        for path in &missing.gone {
            let path = files.join(path);
            let folder = path.parent().unwrap_or(&files);
            fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
            hide(&path)?;
        }
        if missing.on.is_none() {
            let path = beside.join("manifest.json");
            fs::write(&path, manifest.to_bytes()).map_err(Error::file("write", &path))?;
        }
        note_use(&beside.join("used"))?;
        let name = format!("{}.{number}", missing.key);
        let to = self.root.join(&name);
        fs::rename(&beside, &to).map_err(Error::file("rename into", &to))?;
        let document = Document {
            tree: missing.tree,
            on: missing.on.as_ref().map(|(name, _)| name.clone()),
            boot_id: procfs::boot_id().to_owned(),
            stamp: stamp(&to.join("files"))?,
            bytes: missing.entries.blobs().map(|blob| blob.size_bytes).sum(),
        };
        // Without its document a tree is not there.
        durable::write(&to.join("tree.json"), &document)?;
        Ok([self.files(&name)].into_iter().chain(missing.on.iter().map(|(_, files)| files.clone())).collect())
    }

    /// Whether a layer is as it was laid out: no name, mode, size, time or inode in it changed. Only the
    /// clock's owner could write to it and pass.
    pub fn is_whole(layer: &Path) -> Result<bool, Error> {
        let document: Option<Document> = durable::read(&layer.with_file_name("tree.json"))?;
        let Some(document) = document else { return Ok(false) };
        Ok(stamp(layer)? == document.stamp)
    }

    /// Throws a layer out that somebody changed: nothing new lies on it. Who uses it keeps it.
    pub fn condemn(layer: &Path) -> Result<(), Error> {
        let path = layer.with_file_name("tree.json");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes what is in nobody's hands and unused for a week, or past `most_bytes`, the oldest first.
    /// `used` are the layers of attempts and of kept workspaces.
    pub fn evict(&self, used: &BTreeSet<PathBuf>, most_bytes: u64) -> Result<(), Error> {
        let one = self.lock();
        let mut found = Vec::new();
        let mut bins = Vec::new();
        let mut needed: BTreeSet<String> = BTreeSet::new();
        for name in names(&self.root)? {
            let document = self.document(&name);
            let noted = self.root.join(&name).join("used");
            let since = if noted.exists() { age(&noted) } else { age(&self.root.join(&name)) };
            let is_used = used.contains(&self.files(&name)) || since < SETTLED_AFTER;
            if is_used {
                needed.extend(document.as_ref().and_then(|document| document.on.clone()));
                needed.insert(name.clone());
            }
            found.push((since, name, document.map_or(0, |document| document.bytes)));
        }
        // The oldest last, to be taken from the end.
        found.sort();
        let mut total: u64 = found.iter().map(|(_, _, bytes)| bytes).sum();
        for (since, name, bytes) in found.into_iter().rev() {
            let is_due = since > UNUSED_MAX || total > most_bytes || self.document(&name).is_none();
            if is_due && !needed.contains(&name) {
                // Out of the way at once; a layer on it lost its ground and is not ready any more.
                let bin = self.root.join(format!("new-{}", uuid::Uuid::new_v4()));
                let path = self.root.join(&name);
                fs::rename(&path, &bin).map_err(Error::file("remove", &path))?;
                bins.push(bin);
                total = total.saturating_sub(bytes);
            }
        }
        // Nobody waits for the bytes to go.
        drop(one);
        bins.iter().try_for_each(|bin| remove(bin))
    }

    fn ready(&self, name: &str) -> Result<Option<Vec<PathBuf>>, Error> {
        let Some(document) = self.document(name).filter(|it| it.boot_id == procfs::boot_id()) else {
            return Ok(None);
        };
        let mut layers = vec![self.files(name)];
        layers.extend(document.on.as_ref().map(|on| self.files(on)));
        for layer in &layers {
            if !layer.is_dir() || !Self::is_whole(layer)? {
                tracing::warn!(layer = %layer.display(), "a tree that lay ready was changed; it is laid out anew");
                Self::condemn(layer)?;
                Self::condemn(&layers[0])?;
                return Ok(None);
            }
            note_use(&layer.with_file_name("used"))?;
        }
        Ok(Some(layers))
    }

    /// Whole trees for these editable files, the newest first.
    fn whole_trees(&self, editable: &[String]) -> Result<Vec<(String, Document)>, Error> {
        let part = access_part(editable);
        let mut found: Vec<_> = names(&self.root)?
            .into_iter()
            .filter(|name| name.starts_with(&part))
            .filter_map(|name| Some((age(&self.root.join(&name).join("used")), self.document(&name)?, name)))
            .filter(|(_, document, _)| document.on.is_none() && document.boot_id == procfs::boot_id())
            .collect();
        found.sort_by_key(|(since, _, _)| *since);
        Ok(found.into_iter().take(CANDIDATES_MAX).map(|(_, document, name)| (name, document)).collect())
    }

    fn of_key(&self, key: &str) -> Result<Vec<String>, Error> {
        let of_key = |name: &String| name.split_once('.').is_some_and(|(part, _)| part == key);
        Ok(names(&self.root)?.into_iter().filter(of_key).collect())
    }

    fn manifest(&self, name: &str) -> Option<Manifest> {
        Manifest::from_bytes(&fs::read(self.root.join(name).join("manifest.json")).ok()?).ok()
    }

    /// A torn document is none.
    fn document(&self, name: &str) -> Option<Document> {
        durable::read(&self.root.join(name).join("tree.json")).ok().flatten()
    }

    fn files(&self, name: &str) -> PathBuf {
        self.root.join(name).join("files")
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.building.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tree's name begins with what its files' modes depend on.
fn access_part(editable: &[String]) -> String {
    let text = serde_json::to_vec(editable).expect("texts are representable");
    format!("{}-", &Hash::of(&text).to_string()[..16])
}

fn key(tree: Digest, editable: &[String]) -> String {
    format!("{}{}", access_part(editable), tree.hash)
}

/// What has to be hidden of the layer below, each at its highest place: a folder that nothing is left in
/// goes whole. What lies in the place of a former folder hides it by itself.
fn gone(changed: &[TreePath], manifest: &Manifest) -> Vec<String> {
    let folders: BTreeSet<&str> = manifest
        .entries
        .keys()
        .flat_map(|path| path.as_str().match_indices('/').map(|(at, _)| &path.as_str()[..at]))
        .collect();
    let mut hidden = BTreeSet::new();
    for path in changed.iter().filter(|path| !manifest.entries.contains_key(*path)) {
        let text = path.as_str();
        let places = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
        let highest = places.map(|end| &text[..end]).find(|place| !folders.contains(place));
        // A path that became a folder is hidden by that folder.
        let Some(place) = highest else { continue };
        let is_entry = TreePath::parse(place).is_ok_and(|place| manifest.entries.contains_key(&place));
        if !is_entry {
            hidden.insert(place.to_owned());
        }
    }
    hidden.into_iter().collect()
}

/// A hash over everything that changes when a file or folder does: the kernel sets the change time, and
/// nobody else can.
fn stamp(root: &Path) -> Result<Hash, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(Error::file("list", &folder))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let own = fs::symlink_metadata(&folder).map_err(Error::file("look at", &folder))?;
        stamp_one(&mut hasher, &folder, &own);
        for entry in entries {
            let metadata = entry.metadata().map_err(Error::file("look at", &entry.path()))?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                stamp_one(&mut hasher, &entry.path(), &metadata);
            }
        }
    }
    Ok(Hash(*hasher.finalize().as_bytes()))
}

fn stamp_one(hasher: &mut blake3::Hasher, path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().unwrap_or_default().as_bytes();
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
    for number in [metadata.ino(), metadata.size(), u64::from(metadata.mode()), metadata.rdev()] {
        hasher.update(&number.to_le_bytes());
    }
    for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
}

/// Notes that something is used now.
pub(crate) fn note_use(path: &Path) -> Result<(), Error> {
    File::create(path)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .map_err(Error::file("note the use at", path))
}

/// How long ago that was; nothing when it is not known, which keeps the thing.
pub(crate) fn age(path: &Path) -> Duration {
    let modified = fs::metadata(path).and_then(|it| it.modified());
    modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default()
}

fn names(root: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(root).map_err(Error::file("list", root))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn remove(path: &Path) -> Result<(), Error> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    match if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "trees_tests.rs"]
mod tests;
