//! The blobs behind the fixture: small trees, results and artifacts, under their true digests.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// Every blob by its digest, and the digests that stand for the fixture's placeholders.
pub struct Store {
    /// Contents.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// `1111…:10` and the like, with what they stand for.
    names: Vec<(String, Digest)>,
}

/// The store, made once.
pub static STORE: LazyLock<Store> = LazyLock::new(Store::new);

impl Store {
    fn new() -> Self {
        let mut store = Self { blobs: BTreeMap::new(), names: Vec::new() };
        let frozen = [("evaluate.py", "print('val_acc')\n"), ("data/digits.csv", "1,2,3\n")];
        let trees = [
            ('1', 10, "rate = 0.1\n"),
            ('2', 10, "rate = 0.1\nmomentum = 0.9\n"),
            ('3', 10, "rate = 1.0\nmomentum = 0.9\n"),
            ('4', 10, "rate = 0.5\nmomentum = 0.9\n"),
        ];
        for (digit, size, train) in trees {
            store.tree(
                digit,
                size,
                &[&frozen[..], &[("train.py", train)]].concat(),
                &[("latest.csv", "data/digits.csv")],
            );
        }
        let loss = ("loss.tsv", "epoch\tloss\n1\t0.9\nslope\t-0.04\n");
        let confusion = ("confusion.tsv", "pair\tcount\n8-3\t9\n");
        for iteration in [10, 20, 30] {
            store.tree('f', iteration + 1, &[loss], &[]);
            store.tree(
                'f',
                iteration + 2,
                &[loss, confusion, ("figures/loss.svg", "<svg/>\n")],
                &[("away", "/etc/passwd")],
            );
        }
        store.tree('7', 10, &[("model.bin", "\u{0}\u{1}weights")], &[]);
        for (digit, content) in [('c', "print('confusion')\n"), ('d', "--- a/train.py\n+++ b/train.py\n")] {
            let digest = store.put(content.as_bytes().to_vec());
            store.names.push((format!("{}:10", digit.to_string().repeat(64)), digest));
        }
        store
    }

    fn tree(&mut self, digit: char, size: u64, files: &[(&str, &str)], links: &[(&str, &str)]) {
        let mut manifest = Manifest::default();
        for (path, content) in files {
            let digest = self.put(content.as_bytes().to_vec());
            manifest.entries.insert(at(path), Node::File { digest, executable: path.ends_with(".py") });
        }
        for (path, target) in links {
            manifest.entries.insert(at(path), Node::Link { target: (*target).to_owned() });
        }
        let digest = self.put(manifest.to_bytes());
        self.names.push((format!("{}:{size}", digit.to_string().repeat(64)), digest));
    }

    fn put(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    /// A fixture with the true digests in it.
    pub fn resolve(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, digest)| text.replace(name, &digest.to_string()))
    }
}

fn at(path: &str) -> TreePath {
    TreePath::parse(path).expect("a path")
}
