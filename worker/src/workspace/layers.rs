//! A workspace as it lies on disk: one folder, or layers of which only the topmost is the attempt's own.
//! Reads what the layers make together, without the kernel's help, after the run and outside its namespace.

use crate::error::{Error, is_absence};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The mark of a folder that hides what is below it.
const OPAQUE: &str = "user.overlay.opaque";
/// How deep folders may lie; a path of 4,095 bytes has at most half as many.
const DEPTH_MAX: usize = 2048;

/// What lies below an attempt's own layer; kept with the attempt, so that a later look finds the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// Verified trees, topmost first, each shared by all attempts that need it.
    pub trees: Vec<PathBuf>,
    /// What the campaign's `setup` created, lowest of all: a file of the tree hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<PathBuf>,
}

impl Below {
    /// All of it, topmost first.
    pub fn all(&self) -> Vec<PathBuf> {
        self.trees.iter().chain(&self.setup).cloned().collect()
    }

    /// Whether the workspace is an overlay on it, rather than a folder with links.
    pub fn is_overlay(&self) -> bool {
        !self.trees.is_empty()
    }

    /// Whether all of it is still there.
    pub fn is_there(&self) -> bool {
        self.all().iter().all(|path| path.is_dir())
    }
}

/// Folders on top of each other, topmost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers(pub Vec<PathBuf>);

/// What a layer says of one path.
enum Found {
    /// Nothing: what is below shows through.
    Nothing,
    /// It is not there, whatever is below.
    Hidden,
    /// A folder; what is below is part of it unless it is opaque.
    Folder { opaque: bool },
    /// Anything else.
    Node,
}

impl Layers {
    /// Where the file, link or other node at `path` really lies; `None` where there is none, or a folder.
    pub fn find(&self, path: &str) -> Option<PathBuf> {
        let mut live: Vec<&PathBuf> = self.0.iter().collect();
        let parts: Vec<&str> = path.split('/').collect();
        for end in 1..=parts.len() {
            let part = parts[..end].join("/");
            let mut folders = Vec::new();
            for layer in live {
                match look(&layer.join(&part)) {
                    Found::Nothing => {}
                    Found::Hidden => break,
                    Found::Folder { opaque } => {
                        folders.push(layer);
                        if opaque {
                            break;
                        }
                    }
                    Found::Node if folders.is_empty() && end == parts.len() => return Some(layer.join(part)),
                    // A file hides folders below it, and ends a folder that lies on it.
                    Found::Node => break,
                }
            }
            live = folders;
            if live.is_empty() {
                return None;
            }
        }
        None
    }

    /// Every node that is no folder, by its path, with where it really lies. Names that are no text and
    /// what lies deeper than [`DEPTH_MAX`] are left out. `visit` ends the walk with an error.
    pub fn walk(
        &self,
        mut visit: impl FnMut(&str, &Path, &Metadata) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut folders = vec![(self.0.clone(), String::new(), 0)];
        while let Some((layers, prefix, depth)) = folders.pop() {
            let mut names: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            let mut settled: BTreeSet<String> = BTreeSet::new();
            for layer in &layers {
                for (name, path) in list(layer)? {
                    if settled.contains(&name) {
                        continue;
                    }
                    match look(&path) {
                        Found::Nothing => {}
                        Found::Hidden => drop(settled.insert(name)),
                        Found::Folder { opaque } => {
                            if opaque {
                                settled.insert(name.clone());
                            }
                            names.entry(name).or_default().push(path);
                        }
                        Found::Node => {
                            settled.insert(name.clone());
                            if names.contains_key(&name) {
                                continue;
                            }
                            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                            visit(&format!("{prefix}{name}"), &path, &metadata)?;
                        }
                    }
                }
            }
            if depth < DEPTH_MAX {
                let below =
                    names.into_iter().map(|(name, layers)| (layers, format!("{prefix}{name}/"), depth + 1));
                folders.extend(below);
            }
        }
        Ok(())
    }
}

/// Whether the topmost layer `upper` has something of its own at `path`, or hides it: then the run touched
/// it, whatever it holds now.
pub fn is_touched(upper: &Path, path: &str) -> bool {
    let mut ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    ends.push(path.len());
    for (index, &end) in ends.iter().enumerate() {
        match look(&upper.join(&path[..end])) {
            Found::Nothing => return false,
            Found::Hidden | Found::Node | Found::Folder { opaque: true } => return true,
            // A folder where the tree has a file or link.
            Found::Folder { .. } if index + 1 == ends.len() => return true,
            Found::Folder { .. } => {}
        }
    }
    false
}

/// Hides `path` of the layers below.
pub fn hide(path: &Path) -> Result<(), Error> {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(|errno| Error::file("hide a removed file at", path)(errno.into()))
}

/// Whether a node hides what is below it.
pub fn is_hiding(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn look(path: &Path) -> Found {
    match fs::symlink_metadata(path) {
        Err(_) => Found::Nothing,
        Ok(metadata) if is_hiding(&metadata) => Found::Hidden,
        Ok(metadata) if metadata.is_dir() => Found::Folder { opaque: is_opaque(path) },
        Ok(_) => Found::Node,
    }
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::lgetxattr(path, OPAQUE, &mut value).is_ok_and(|count| value[..count.min(8)] == *b"y")
}

fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        // The run may have shut a folder of its own, or put something else in its place.
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", folder)(error)),
    };
    Ok(entries
        .into_iter()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two layers: files below, and above what `change` makes of them; the paths that are seen.
    #[track_caller]
    fn check(change: impl Fn(&Path), want: &[&str]) -> (tempfile::TempDir, Layers) {
        let dir = tempfile::tempdir().expect("a folder");
        let (upper, lower) = (dir.path().join("upper"), dir.path().join("lower"));
        fs::create_dir_all(&upper).expect("a folder");
        for path in ["a", "d/e", "d/f/g"] {
            let path = lower.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "below").expect("a file");
        }
        change(&upper);
        let layers = Layers(vec![upper, lower]);
        let mut seen = Vec::new();
        layers
            .walk(|path, real, _| {
                assert_eq!(layers.find(path).as_deref(), Some(real), "{path}");
                seen.push(path.to_owned());
                Ok(())
            })
            .expect("readable");
        seen.sort();
        assert_eq!(seen, want);
        for path in ["a", "d/e", "d/f/g"] {
            assert_eq!(layers.find(path).is_some(), want.contains(&path), "{path}");
        }
        (dir, layers)
    }

    fn opaque(path: &Path) {
        fs::create_dir_all(path).expect("a folder");
        rustix::fs::lsetxattr(path, OPAQUE, b"y", rustix::fs::XattrFlags::empty()).expect("an attribute");
    }

    #[test]
    fn layers_are_read_as_the_kernel_shows_them() {
        check(|_| {}, &["a", "d/e", "d/f/g"]);
        let (_dir, layers) =
            check(|upper| fs::write(upper.join("a"), "above").expect("a file"), &["a", "d/e", "d/f/g"]);
        assert_eq!(fs::read(layers.find("a").expect("seen")).expect("a file"), b"above");
        check(|upper| hide(&upper.join("d")).expect("hidden"), &["a"]);
        check(|upper| opaque(&upper.join("d")), &["a"]);
        check(
            |upper| {
                opaque(&upper.join("d"));
                fs::write(upper.join("d/new"), "").expect("a file");
            },
            &["a", "d/new"],
        );
        check(|upper| fs::write(upper.join("d"), "a file now").expect("a file"), &["a", "d"]);
        check(|upper| fs::create_dir(upper.join("a")).expect("a folder"), &["d/e", "d/f/g"]);
        check(
            |upper| {
                fs::create_dir_all(upper.join("d/f")).expect("folders");
                hide(&upper.join("d/f/g")).expect("hidden");
            },
            &["a", "d/e"],
        );
    }

    #[test]
    fn i11_whatever_the_upper_layer_has_at_a_path_was_touched() {
        let dir = tempfile::tempdir().expect("a folder");
        let upper = dir.path();
        fs::create_dir_all(upper.join("d/f")).expect("folders");
        assert!(!is_touched(upper, "a") && !is_touched(upper, "d/e") && !is_touched(upper, "d/f/g"));
        assert!(is_touched(upper, "d/f"), "a folder where the tree has a file");
        fs::write(upper.join("a"), "the same bytes again").expect("a file");
        hide(&upper.join("d/f/g")).expect("hidden");
        assert!(is_touched(upper, "a") && is_touched(upper, "d/f/g") && !is_touched(upper, "d/e"));
        opaque(&upper.join("d"));
        assert!(is_touched(upper, "d/e"));
    }
}
