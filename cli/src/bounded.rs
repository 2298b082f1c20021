//! Files that somebody names, up to a bound. What the file says of its size is no bound: a device or a pipe says
//! zero and has no end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bytes of a file; `None` where it has more than `most_bytes`, of which no more than that is read.
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > most_bytes {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let read = file.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((read as u64 <= most_bytes).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i18_a_file_is_read_up_to_its_bound_whatever_it_says_of_its_size() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("five");
        std::fs::write(&path, "12345").expect("written");
        for (most_bytes, want) in [(6, true), (5, true), (4, false), (0, false)] {
            let read = read(&path, most_bytes).expect("it is there");
            assert_eq!(read.is_some(), want, "{most_bytes}");
            assert!(read.is_none_or(|bytes| bytes == b"12345"));
        }
        assert_eq!(read(Path::new("/dev/zero"), 1 << 20).expect("it is there"), None, "it has no end");
        assert_eq!(read(Path::new("/dev/null"), 1 << 20).expect("it is there"), Some(Vec::new()));
        read(dir.path(), 1 << 20).expect_err("a folder has no bytes");
    }
}
