//! The bytes that a gate was handed. It never fetches any.

use std::collections::BTreeMap;
use windlass_shared::digest::Digest;
use windlass_shared::tree::Node;

/// Blobs by their digest, as the driver fetched them.
pub type Contents = BTreeMap<Digest, Vec<u8>>;

/// A blob's bytes, if they were handed in; the empty blob needs no fetching.
pub(super) fn blob<'a>(contents: &'a Contents, digest: &Digest) -> Option<&'a [u8]> {
    match contents.get(digest) {
        Some(bytes) => Some(bytes),
        None if digest.size_bytes == 0 => Some(&[]),
        None => None,
    }
}

/// What a node says: a file's bytes, a link's target, nothing where there is no node.
///
/// # Panics
/// When a blob was not handed in: the caller passes what the gate's `blobs_needed` named, and an empty
/// stand-in would put a false figure into the ledger.
pub(super) fn of_node<'a>(contents: &'a Contents, node: Option<&'a Node>) -> &'a [u8] {
    match node {
        None => &[],
        Some(Node::Link { target }) => target.as_bytes(),
        Some(Node::File { digest, .. }) => {
            blob(contents, digest).expect("the caller hands in what blobs_needed names")
        }
    }
}
