//! Documents on disk that are whole or not there: written beside and renamed. Knows no meaning.
//!
//! What is *put* outlives the death of any process. What is *written* is synced too, and outlives a power cut;
//! after one, what was only put is whole, as it was before, torn or not there, and the checksum tells.
//!
//! A document is a line that says its version and the checksum of what follows, and then JSON:
//!
//! ```text
//! windlass-spool 1 <BLAKE3 of the version and the rest, in hex>
//! {"key": …}
//! ```
//!
//! Version 0 had no such line; it is understood. A later version is refused by name and kept as it is.

use crate::error::Error;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version that is written.
pub const VERSION: u32 = 1;
/// How every document from version 1 on begins.
const MAGIC: &str = "windlass-spool ";
/// The longest first line, bytes: a document without one in this much is none.
const HEAD_MAX_BYTES: usize = 200;

/// The longest document, bytes: an outcome with its parcels has a few MiB, and so has an order. What is longer was
/// not written by us.
const DOCUMENT_MAX_BYTES: u64 = 64 << 20;

/// Files and folders that are synced one by one: a second on a slow disk. More cost less together with all that
/// the file system was given, which a neighbour's checkpoint can make tens of gigabytes.
const FEW_MAX: usize = 64;

/// A document's bytes.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = serde_json::to_vec(value).expect("our documents are always representable");
    let mut bytes = format!("{MAGIC}{VERSION} {}\n", checksum(VERSION, &body)).into_bytes();
    bytes.extend(body);
    bytes
}

/// Of version and contents together, in every version: a torn line must not read as another version's.
fn checksum(version: u32, body: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&version.to_le_bytes()).update(body).finalize().to_hex().to_string()
}

/// What a document's bytes say; `path` is where they were read.
pub fn decode<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    let body = if bytes.first() == Some(&b'{') { bytes } else { body(path, bytes)? };
    serde_json::from_slice(body).map_err(|source| Error::Document { path: path.to_owned(), source })
}

/// What follows the first line, if it is what was written.
fn body<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    let torn = || Error::Torn(path.to_owned());
    let end = bytes.iter().take(HEAD_MAX_BYTES).position(|&byte| byte == b'\n').ok_or_else(torn)?;
    let head = std::str::from_utf8(&bytes[..end]).ok().and_then(|head| head.strip_prefix(MAGIC));
    let mut words = head.ok_or_else(torn)?.split(' ');
    let version: u32 = words.next().and_then(|word| word.parse().ok()).ok_or_else(torn)?;
    let body = &bytes[end + 1..];
    let whole = words.next().is_some_and(|word| word == checksum(version, body));
    match version {
        _ if !whole => Err(torn()),
        VERSION => Ok(body),
        version => Err(Error::NewerSpool { path: path.to_owned(), version, known: VERSION }),
    }
}

/// Writes `value` so that after a crash the old bytes or the new ones are there, never half.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    place(path, value, true)?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Puts `value` there so that whoever reads it, after the death of any process too, finds the old bytes or the
/// new ones.
pub fn put<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    place(path, value, false)
}

fn place<T: Serialize>(path: &Path, value: &T, synced: bool) -> Result<(), Error> {
    let bytes = encode(value);
    let beside = path.with_extension("new");
    let mut file = create(&beside).map_err(Error::file("create", &beside))?;
    let written = file.write_all(&bytes).and_then(|()| if synced { file.sync_all() } else { Ok(()) });
    written.map_err(Error::file("write", &beside))?;
    let renamed = fs::rename(&beside, path).or_else(|error| {
        clear(path, &error)?;
        fs::rename(&beside, path)
    });
    renamed.map_err(Error::file("rename into", path))
}

/// Begins a file of our own; what a run has put in its place, where it could, goes.
pub fn create(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let begin = || -> io::Result<File> {
        let opened = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?);
        if opened.metadata()?.is_file() { Ok(opened) } else { Err(io::ErrorKind::AlreadyExists.into()) }
    };
    begin().or_else(|error| {
        clear(path, &error)?;
        begin()
    })
}

/// Removes what is no file at `path`; where that is not what was in the way, it stays with `error`.
fn clear(path: &Path, error: &io::Error) -> io::Result<()> {
    match fs::symlink_metadata(path).map(|found| found.file_type()) {
        Ok(kind) if kind.is_dir() => fs::remove_dir_all(path),
        Ok(kind) if !kind.is_file() => fs::remove_file(path),
        _ => Err(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)),
    }
}

/// Sets `bytes` of the disk aside at `path`, for a document that must be written when it is full. Where the
/// file system cannot do that, there is no such comfort.
pub fn reserve(path: &Path, bytes: u64) -> Result<(), Error> {
    let file = create(path).map_err(Error::file("create", path))?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(errno @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT)) => {
            Err(Error::file("reserve room in", path)(errno.into()))
        }
        _ => Ok(()),
    }
}

/// Does `write`; on a full disk once more, when all but `left_bytes` of the reserve at `reserve` are given back.
pub fn from_reserve(
    reserve: &Path,
    left_bytes: u64,
    mut write: impl FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    match write() {
        Err(error) if error.is_disk_full() => {
            let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
            let file = File::options().write(true).custom_flags(flags).open(reserve);
            let file = file.map_err(Error::file("open", reserve))?;
            file.set_len(left_bytes).map_err(Error::file("give back", reserve))?;
            write()
        }
        result => result,
    }
}

/// Reads a document; `None` when there is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match read_at_most(path, DOCUMENT_MAX_BYTES) {
        Ok(bytes) if bytes.len() as u64 > DOCUMENT_MAX_BYTES => Err(Error::Torn(path.to_owned())),
        Ok(bytes) => decode(path, &bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Opens a file of an attempt's folder. A link, a device or a pipe that a run put in its place is not there, so that
/// nobody reads without an end or waits for whoever writes.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::NXIO) => return Err(io::ErrorKind::NotFound.into()),
        opened => File::from(opened?),
    };
    if opened.metadata()?.is_file() { Ok(opened) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The bytes of such a file: of a longer one than `most_bytes` one byte more than that.
pub fn read_at_most(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file outlive a power cut; one that is not there needs nothing.
pub fn sync_file(path: &Path) -> Result<(), Error> {
    match open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("sync", path)(error)),
        _ => Ok(()),
    }
}

/// Makes all that lies in `folders` of one file system outlive a power cut. Nobody writes to them any more.
pub fn sync_trees(folders: &[PathBuf]) -> Result<(), Error> {
    let Some(first) = folders.first() else { return Ok(()) };
    let by_one = |paths: Vec<PathBuf>| {
        // What can be listed and not opened is synced with everything else.
        paths.iter().try_for_each(|path| File::open(path).and_then(|file| file.sync_all())).is_ok()
    };
    if few(folders).is_some_and(by_one) { Ok(()) } else { sync_file_system(first) }
}

/// The files and folders that lie in `folders`; nothing where they are many or cannot all be listed.
fn few(folders: &[PathBuf]) -> Option<Vec<PathBuf>> {
    let (mut waiting, mut found) = (folders.to_vec(), Vec::new());
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).ok()? {
            let entry = entry.ok()?;
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() {
                // A link is its folder's; nothing else that may lie here has bytes of its own.
                found.push(entry.path());
            }
            if found.len() + waiting.len() > FEW_MAX {
                return None;
            }
        }
        found.push(folder);
    }
    Some(found)
}

/// Makes all outlive a power cut that the file system of `folder` was given.
pub fn sync_file_system(folder: &Path) -> Result<(), Error> {
    let opened = File::open(folder).map_err(Error::file("open", folder))?;
    rustix::fs::syncfs(&opened).map_err(|errno| Error::file("sync the file system of", folder)(errno.into()))
}

/// Makes a rename in `folder` outlive a power cut.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync folder", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Document = BTreeMap<String, u32>;

    fn document() -> Document {
        BTreeMap::from([("code".to_owned(), 3), ("bytes".to_owned(), 1024)])
    }

    #[test]
    fn a_torn_or_flipped_document_is_never_read_as_another() {
        let (path, bytes) = (Path::new("/spool/exit.json"), encode(&document()));
        assert_eq!(decode::<Document>(path, &bytes).expect("whole"), document());
        for length in 0..bytes.len() {
            assert!(decode::<Document>(path, &bytes[..length]).is_err(), "cut at {length}");
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x02, 0x0c, 0x80] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let problem = decode::<Document>(path, &bytes).expect_err("damaged").chain();
                assert!(problem.contains("/spool/exit.json"), "byte {at}: {problem}");
                assert!(!problem.contains("newer"), "byte {at} does not make it another version: {problem}");
            }
        }
    }

    #[test]
    fn what_is_little_is_synced_one_by_one_and_nothing_is_waited_for_that_has_no_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        fs::create_dir_all(root.join("a/b")).expect("folders");
        fs::write(root.join("a/b/loss.tsv"), "0.5").expect("a file");
        std::os::unix::fs::symlink("/nowhere", root.join("link")).expect("a link");
        // Opening it would wait for somebody who writes.
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
        let listed = |want: &[&str]| {
            let mut found = few(std::slice::from_ref(&root)).expect("few");
            found.sort();
            assert_eq!(found, want.iter().map(|name| root.join(name)).collect::<Vec<_>>());
            sync_trees(std::slice::from_ref(&root)).expect("synced");
        };
        listed(&["", "a", "a/b", "a/b/loss.tsv"]);
        for number in 0..FEW_MAX {
            fs::write(root.join(format!("{number}")), "").expect("a file");
        }
        assert_eq!(few(std::slice::from_ref(&root)), None, "many");
        sync_trees(std::slice::from_ref(&root)).expect("synced with everything else");
        assert_eq!(few(&[root.join("gone")]), None, "what cannot be listed is not taken for nothing");
    }

    #[test]
    fn what_is_no_file_any_more_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("exit.json");
        put(&path, &document()).expect("put");
        assert_eq!(read::<Document>(&path).expect("whole"), Some(document()));
        let kept = folder.path().join("kept");
        fs::rename(&path, &kept).expect("moved");
        // To a whole document; and where reading would not end, or wait for somebody.
        for to in [kept.as_path(), Path::new("/dev/zero")] {
            std::os::unix::fs::symlink(to, &path).expect("a link");
            assert_eq!(read::<Document>(&path).expect("nothing"), None, "{}", to.display());
            fs::remove_file(&path).expect("removed");
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).expect("a pipe");
        assert_eq!(read::<Document>(&path).expect("nothing"), None);
        fs::remove_file(&path).expect("removed");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        assert_eq!(read::<Document>(&path).expect("nothing"), None);
        fs::remove_file(&path).expect("removed");
        File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a hole of a terabyte");
        assert!(matches!(read::<Document>(&path), Err(Error::Torn(_))));
        // Whatever stands where it is to be, or where it is written first, is in nobody's way.
        for place in [path.clone(), path.with_extension("new")] {
            let pipe = || Ok(rustix::fs::mkfifoat(rustix::fs::CWD, &place, Mode::RWXU)?);
            let makes: [&dyn Fn() -> io::Result<()>; 3] =
                [&|| fs::create_dir_all(place.join("full")), &pipe, &|| {
                    std::os::unix::fs::symlink("/dev/full", &place)
                }];
            for make in makes {
                drop(fs::remove_file(&place));
                make().expect("made");
                put(&path, &document()).expect("put");
                assert_eq!(read::<Document>(&path).expect("whole"), Some(document()));
            }
        }
        // What is a failure stays one.
        assert!(
            put(&folder.path().join("absent/exit.json"), &document()).is_err_and(|error| error.is_absent())
        );
    }

    #[test]
    fn an_older_version_is_understood_and_a_newer_one_is_refused_by_name() {
        let (path, body) = (Path::new("/spool/exit.json"), br#"{"code":3,"bytes":1024}"#);
        assert_eq!(decode::<Document>(path, body).expect("version 0"), document());
        let newer = format!("{MAGIC}{} {} and more\n", VERSION + 1, checksum(VERSION + 1, b"new things"));
        let problem = decode::<Document>(path, &[newer.as_bytes(), b"new things"].concat());
        let problem = problem.expect_err("nobody knows what it says").chain();
        assert!(problem.contains("newer windlass") && problem.contains("/spool/exit.json"), "{problem}");
    }
}
