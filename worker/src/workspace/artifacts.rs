//! The files of a workspace that a campaign keeps: chosen by pattern among what a run left, within the
//! bounds of results.

use super::layers::Layers;
use super::results::{FILES_MAX, Gathered, TOTAL_MAX_BYTES};
use crate::blobs::Cache;
use crate::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use windlass_engine::gate::editable::Editable;
use windlass_shared::path::TreePath;
use windlass_shared::tree::Node;

/// Takes the regular files that `patterns` name into the cache; whatever else they name is skipped and
/// named. `root` is the folder below which a file that cannot be read is the run's doing.
pub fn artifacts(
    cache: &Cache,
    layers: &Layers,
    patterns: &Editable,
    root: &Path,
) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    let mut total_bytes = 0;
    layers.walk(|shown, real, metadata| {
        let Some(path) = TreePath::parse(shown).ok().filter(|path| patterns.allows(path)) else {
            return Ok(());
        };
        let reason = if !metadata.is_file() {
            "is not a regular file"
        } else if gathered.tree.entries.len() >= FILES_MAX {
            "is past the most files that are kept"
        } else if total_bytes + metadata.len() > TOTAL_MAX_BYTES {
            "is past the most bytes that are kept"
        } else {
            match cache.take_in(real) {
                Ok(digest) => {
                    total_bytes += digest.size_bytes;
                    let executable = metadata.permissions().mode() & 0o100 != 0;
                    gathered.tree.entries.insert(path, Node::File { digest, executable });
                    return Ok(());
                }
                Err(error) if error.is_absence_below(root) => "cannot be read",
                Err(error) => return Err(error),
            }
        };
        gathered.skip(format!("{shown:?} {reason}"));
        Ok(())
    })?;
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn artifacts_are_chosen_by_pattern_across_layers_and_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        let (upper, lower) = (dir.path().join("upper"), dir.path().join("lower"));
        for (path, text) in [
            ("lower/config.json", "{}"),
            ("lower/train.py", "t"),
            ("upper/checkpoints/last.pt", "weights"),
            ("upper/checkpoints/tmp", "x"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        std::os::unix::fs::symlink("/etc/passwd", upper.join("checkpoints/link.pt")).expect("a link");
        // Sparse: it costs nothing here, and would cost 10 GB to move.
        let large = File::create(upper.join("checkpoints/large.pt")).expect("a file");
        large.set_len(10 << 30).expect("sparse");
        let patterns =
            Editable::new(&["checkpoints/*.pt".to_owned(), "config.json".to_owned()]).expect("patterns");
        let layers = Layers(vec![upper, lower]);
        let gathered = artifacts(&cache, &layers, &patterns, dir.path()).expect("gathered");
        let paths: Vec<_> = gathered.tree.entries.keys().map(TreePath::as_str).collect();
        assert_eq!(paths, ["checkpoints/last.pt", "config.json"]);
        assert_eq!(gathered.skipped_count, 2, "{:?}", gathered.skipped);
    }
}
