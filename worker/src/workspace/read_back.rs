//! What stands at the paths of a tree after a run (P2): every byte is read, whatever its time says.
//! Folders that became links are not followed: what is behind them is not the tree's.

use crate::blobs::open_plain;
use crate::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::tree::{Manifest, Node};

/// The nodes found in `root` at the paths of `base`; what is not there, cannot be read for what the run
/// made of it, or is neither file nor link, is left out.
pub fn read_back(base: &Manifest, root: &Path) -> Result<Manifest, Error> {
    let mut found = Manifest::default();
    let mut folders: BTreeMap<String, bool> = BTreeMap::new();
    if !fs::symlink_metadata(root).is_ok_and(|it| it.is_dir()) {
        return Ok(found);
    }
    for path in base.entries.keys() {
        if !path.parent().is_none_or(|parent| is_folder(root, parent, &mut folders)) {
            continue;
        }
        let place = root.join(path.as_str());
        match node(&place) {
            Ok(Some(node)) => drop(found.entries.insert(path.clone(), node)),
            Ok(None) => {}
            Err(error) if error.is_absence_below(root) => {
                tracing::info!(%path, problem = error.chain(), "counts as not there");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether each part of `path` is a real folder.
fn is_folder(root: &Path, path: &str, known: &mut BTreeMap<String, bool>) -> bool {
    if let Some(&answer) = known.get(path) {
        return answer;
    }
    let above = path.rsplit_once('/').is_none_or(|(above, _)| is_folder(root, above, known));
    let answer = above && fs::symlink_metadata(root.join(path)).is_ok_and(|it| it.is_dir());
    known.insert(path.to_owned(), answer);
    answer
}

/// What stands at one place; `None` when it is neither a regular file nor a link.
pub(super) fn node(place: &Path) -> Result<Option<Node>, Error> {
    let metadata = fs::symlink_metadata(place).map_err(Error::file("look at", place))?;
    if metadata.is_symlink() {
        let target = fs::read_link(place).map_err(Error::file("read the link", place))?;
        // A target that is no text cannot be the tree's.
        return Ok(target.to_str().map(|target| Node::Link { target: target.to_owned() }));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(Some(Node::File { digest: digest(place)?, executable }))
}

fn digest(place: &Path) -> Result<Digest, Error> {
    let mut file = open_plain(place)?;
    let mut hasher = blake3::Hasher::new();
    let mut size_bytes = 0;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer).map_err(Error::file("read", place))? {
            0 => return Ok(Digest { hash: Hash(*hasher.finalize().as_bytes()), size_bytes }),
            count => {
                hasher.update(&buffer[..count]);
                size_bytes += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Cache;
    use crate::workspace::{Access, lay_out};
    use std::os::unix::fs::symlink;
    use windlass_engine::gate::editable::Editable;
    use windlass_engine::gate::guard::frozen_changed;
    use windlass_shared::path::TreePath;

    /// Lays a small tree out, does `harm` to it, and says which frozen file the guard names.
    #[track_caller]
    fn check(harm: impl Fn(&Path), want: Option<&str>) {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        let mut base = Manifest::default();
        for (path, bytes) in [("train.py", "train"), ("lib/eval.py", "eval"), ("run.sh", "run")] {
            let digest = Digest::of(bytes.as_bytes());
            cache.insert(&digest, bytes.as_bytes()).expect("a blob");
            let node = Node::File { digest, executable: path == "run.sh" };
            base.entries.insert(TreePath::parse(path).expect(path), node);
        }
        let link = Node::Link { target: "lib/eval.py".to_owned() };
        base.entries.insert(TreePath::parse("eval").expect("a path"), link);
        let root = dir.path().join("workspace");
        let editable = Editable::new(&["train.py".to_owned()]).expect("a pattern");
        lay_out(&cache, &base, &root, Access::Editable(&editable)).expect("a workspace");
        assert_eq!(read_back(&base, &root).expect("readable"), base, "fresh");
        harm(&root);
        let found = read_back(&base, &root).expect("readable");
        let changed = frozen_changed(&base, &found, &editable);
        assert_eq!(changed.as_ref().map(TreePath::as_str), want);
    }

    #[test]
    fn p2_every_way_to_change_a_frozen_file_is_seen() {
        let rewrite = |path: &Path, bytes: &str| {
            fs::remove_file(path).expect("a file");
            fs::write(path, bytes).expect("a file");
        };
        check(|_| {}, None);
        check(|root| rewrite(&root.join("train.py"), "other"), None);
        check(|root| fs::write(root.join("new.py"), "new").expect("a file"), None);
        check(|root| rewrite(&root.join("lib/eval.py"), "evil"), Some("lib/eval.py"));
        check(|root| fs::remove_file(root.join("lib/eval.py")).expect("a file"), Some("lib/eval.py"));
        check(
            |root| {
                fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o644)).expect("a mode");
            },
            Some("run.sh"),
        );
        check(
            |root| {
                fs::remove_file(root.join("eval")).expect("a link");
                symlink("train.py", root.join("eval")).expect("a link");
            },
            Some("eval"),
        );
        // The same bytes behind a link are not the tree's.
        check(
            |root| {
                fs::rename(root.join("lib"), root.join("elsewhere")).expect("a folder");
                symlink("elsewhere", root.join("lib")).expect("a link");
            },
            Some("lib/eval.py"),
        );
        check(
            |root| {
                fs::remove_file(root.join("run.sh")).expect("a file");
                fs::create_dir(root.join("run.sh")).expect("a folder");
            },
            Some("run.sh"),
        );
        // What cannot be read at all is not an infrastructure failure either.
        check(|root| fs::remove_dir_all(root).expect("a folder"), Some("eval"));
        check(
            |root| {
                fs::remove_dir_all(root).expect("a folder");
                fs::write(root, "a file").expect("a file");
            },
            Some("eval"),
        );
        check(
            |root| {
                fs::rename(root, root.with_extension("elsewhere")).expect("a folder");
                symlink(root.with_extension("elsewhere"), root).expect("a link");
            },
            Some("eval"),
        );
        check(
            |root| {
                fs::remove_dir_all(root.join("lib")).expect("a folder");
                symlink("lib", root.join("lib")).expect("a link to itself");
            },
            Some("lib/eval.py"),
        );
    }
}
