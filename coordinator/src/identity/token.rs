//! The token of a data folder: whoever can read the file may speak over loopback TCP. Without it every
//! user of a shared machine could run code here.

use super::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The token's file.
pub fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("token")
}

/// 244 random bits in hex.
#[derive(Clone)]
pub struct Token(String);

/// Two UUIDs in hex: what [`Token::ensure`] writes.
const LENGTH: usize = 64;

impl Token {
    /// Reads the data folder's token, or makes one that only its owner can read.
    pub fn ensure(data_dir: &Path) -> Result<Self, Error> {
        let path = file_in(data_dir);
        let fail = |operation, source| Error::File { operation, path: path.clone(), source };
        let text = match File::open(&path) {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(|source| fail("read", source))?;
                // A copied folder may have widened the mode.
                let owner_only = std::fs::Permissions::from_mode(0o600);
                file.set_permissions(owner_only).map_err(|source| fail("protect", source))?;
                text
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path)?,
            Err(source) => return Err(fail("open", source)),
        };
        let text = if text.trim().is_empty() {
            tracing::warn!(path = %path.display(), "the token's file was empty; a new token is made");
            make(&path)?
        } else {
            text
        };
        let text = text.trim().to_owned();
        if text.len() < LENGTH { Err(Error::TooShort { path }) } else { Ok(Self(text)) }
    }

    /// Whether `offered` is this token, in a time that does not depend on where they differ.
    pub fn matches(&self, offered: &[u8]) -> bool {
        let known = self.0.as_bytes();
        let mut difference = known.len() ^ offered.len();
        for (index, byte) in known.iter().enumerate() {
            difference |= usize::from(byte ^ offered.get(index).copied().unwrap_or(0));
        }
        std::hint::black_box(difference) == 0
    }
}

/// Draws a token and writes it beside its place, so that a crash leaves the old file or a whole new one.
fn make(path: &Path) -> Result<String, Error> {
    let fail = |operation, source| Error::File { operation, path: path.to_owned(), source };
    let text = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let beside = path.with_extension("new");
    // A crash may have left one, with any mode: the new one is made with its own.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail("make", error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&beside).map_err(|source| fail("make", source))?;
    writeln!(file, "{text}").map_err(|source| fail("write", source))?;
    file.sync_all().map_err(|source| fail("sync", source))?;
    std::fs::rename(&beside, path).map_err(|source| fail("put into place", source))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| fail("sync", source))?;
    Ok(text)
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_owners_alone_and_stays() {
        let folder = tempfile::tempdir().expect("tempdir");
        let token = Token::ensure(folder.path()).expect("make");
        let mode = std::fs::metadata(file_in(folder.path())).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Token::ensure(folder.path()).expect("read");
        assert!(again.matches(token.0.as_bytes()));
        for wrong in [&b""[..], b"x", &token.0.as_bytes()[1..], format!("{}0", token.0).as_bytes()] {
            assert!(!again.matches(wrong));
        }
        std::fs::write(file_in(folder.path()), "short\n").expect("write");
        assert!(matches!(Token::ensure(folder.path()), Err(Error::TooShort { .. })));
    }

    #[test]
    fn what_a_crash_left_keeps_no_coordinator_from_starting() {
        let folder = tempfile::tempdir().expect("tempdir");
        std::fs::write(file_in(folder.path()), "\n").expect("write");
        std::fs::write(file_in(folder.path()).with_extension("new"), "half a tok").expect("write");
        let token = Token::ensure(folder.path()).expect("made anew");
        let again = Token::ensure(folder.path()).expect("read");
        assert!(again.matches(token.0.as_bytes()));
        let mode = std::fs::metadata(file_in(folder.path())).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1, "nothing is left beside it");
    }
}
