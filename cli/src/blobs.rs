//! Blobs on their way to the coordinator: small ones in memory, files by their path.

use std::collections::BTreeMap;
use std::path::PathBuf;
use windlass_shared::digest::Digest;

/// Where a blob's bytes are.
#[derive(Clone, Debug)]
pub enum Source {
    /// Held.
    Bytes(Vec<u8>),
    /// Read when it is sent.
    File(PathBuf),
}

/// A set of blobs by digest.
#[derive(Clone, Debug, Default)]
pub struct Blobs {
    sources: BTreeMap<Digest, Source>,
}

impl Blobs {
    /// Takes bytes in; answers their digest.
    pub fn hold(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.sources.entry(digest).or_insert(Source::Bytes(bytes));
        digest
    }

    /// Notes that `digest` can be read from `path`.
    pub fn note(&mut self, digest: Digest, path: PathBuf) {
        self.sources.entry(digest).or_insert(Source::File(path));
    }

    /// Takes all of another set in.
    pub fn extend(&mut self, other: Self) {
        for (digest, source) in other.sources {
            self.sources.entry(digest).or_insert(source);
        }
    }

    /// All digests, sorted.
    pub fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        self.sources.keys().copied()
    }

    /// How many there are, and their bytes.
    pub fn total(&self) -> (u64, u64) {
        (self.sources.len() as u64, self.sources.keys().map(|digest| digest.size_bytes).sum())
    }

    /// A blob's source.
    pub fn source(&self, digest: &Digest) -> Option<&Source> {
        self.sources.get(digest)
    }
}
