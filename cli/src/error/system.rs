//! What of an error's chain the system said.

use std::io::ErrorKind;

/// Whether the system refused a folder or file, somewhere down the chain of an error.
pub(super) fn is_folder_trouble(error: &(dyn std::error::Error + 'static)) -> bool {
    use ErrorKind::{AlreadyExists, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    is_of(error, &[PermissionDenied, NotFound, NotADirectory, AlreadyExists, ReadOnlyFilesystem])
}

/// Whether a disk had no room left, or a quota was used up.
pub(super) fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    is_of(error, &[ErrorKind::StorageFull, ErrorKind::QuotaExceeded])
}

/// What to do about a file that the system refused.
pub(super) fn file_remedy(source: &std::io::Error) -> Option<&'static str> {
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Some("name one that is there"),
        ErrorKind::IsADirectory => Some("name a file: that is a folder"),
        ErrorKind::PermissionDenied => Some("name one that you may read and write, or change its mode"),
        ErrorKind::ReadOnlyFilesystem => Some("name one on a disk that can be written"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("free some of that disk, and try again"),
        _ => None,
    }
}

/// Whether a link of the chain is an error of the system of one of these kinds.
fn is_of(error: &(dyn std::error::Error + 'static), kinds: &[ErrorKind]) -> bool {
    let mut link = Some(error);
    while let Some(error) = link {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind.is_some_and(|kind| kinds.contains(&kind)) {
            return true;
        }
        link = error.source();
    }
    false
}
