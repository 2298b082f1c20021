//! The fingerprint of a data set: BLAKE3 over names, sizes and contents, in the order of the names, so that
//! any copy of it has the same. What was read once is known by its sizes and times, so that a second check
//! costs a look at each file.

use crate::durable;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use windlass_shared::digest::Hash;
use windlass_shared::machine::Data;

/// Files of one data set: more than any that is kept as files.
const FILES_MAX: usize = 20_000_000;
/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What is remembered of one path.
#[derive(Serialize, Deserialize)]
struct Known {
    path: PathBuf,
    /// Over names, sizes and times.
    stamp: Hash,
    fingerprint: String,
}

/// The fingerprint of a file or folder. Links are read as links and not followed, save for `path` itself.
pub fn fingerprint(path: &Path) -> Result<String, Error> {
    let files = list(path)?;
    let mut all = blake3::Hasher::new();
    for (name, place, metadata) in &files {
        add(&mut all, name.as_os_str().as_bytes());
        if metadata.is_symlink() {
            let target = fs::read_link(place).map_err(Error::file("read the link", place))?;
            add(&mut all, b"link");
            add(&mut all, target.as_os_str().as_bytes());
        } else {
            let (hash, size_bytes) = contents(place)?;
            add(&mut all, b"file");
            all.update(&size_bytes.to_le_bytes()).update(hash.as_bytes());
        }
    }
    Ok(format!("blake3:{}", all.finalize().to_hex()))
}

/// Whether a data set is there and is what its campaign means. `known` is the folder of what was read
/// before.
pub fn check(known: &Path, data: &Data) -> Result<(), Error> {
    let path = Path::new(&data.path);
    let is_there = path.is_absolute() && fs::metadata(path).is_ok_and(|it| it.is_dir() || it.is_file());
    if !is_there {
        return Err(Error::NoData { path: path.to_owned() });
    }
    let Some(want) = &data.fingerprint else { return Ok(()) };
    let got = remembered(known, path)?;
    if got == *want {
        Ok(())
    } else {
        Err(Error::OtherData { path: path.to_owned(), want: want.clone(), got })
    }
}

fn remembered(known: &Path, path: &Path) -> Result<String, Error> {
    let stamp = stamp(&list(path)?);
    let name = Hash::of(path.as_os_str().as_bytes()).to_string();
    let place = known.join(&name[..32]).with_extension("json");
    // A torn note is none.
    if let Ok(Some(note)) = durable::read::<Known>(&place)
        && note.path == path
        && note.stamp == stamp
    {
        return Ok(note.fingerprint);
    }
    let fingerprint = fingerprint(path)?;
    fs::create_dir_all(known).map_err(Error::file("create", known))?;
    durable::write(&place, &Known { path: path.to_owned(), stamp, fingerprint: fingerprint.clone() })?;
    Ok(fingerprint)
}

/// Everything that is no folder, sorted by name; other than files and links is an error.
fn list(root: &Path) -> Result<Vec<(PathBuf, PathBuf, Metadata)>, Error> {
    let own = fs::metadata(root).map_err(Error::file("look at", root))?;
    if own.is_file() {
        return Ok(vec![(PathBuf::new(), root.to_owned(), own)]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(root.to_owned(), PathBuf::new())];
    while let Some((folder, name)) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(Error::file("list", &folder))? {
            let (place, name) = (entry.path(), name.join(entry.file_name()));
            let metadata = entry.metadata().map_err(Error::file("look at", &place))?;
            if metadata.is_dir() {
                folders.push((place, name));
            } else if (metadata.is_file() || metadata.is_symlink()) && files.len() < FILES_MAX {
                files.push((name, place, metadata));
            } else {
                let what = "take as data (it is neither a file nor a link, or one too many)";
                return Err(Error::file(what, &place)(io::ErrorKind::InvalidInput.into()));
            }
        }
    }
    files.sort_by(|one, other| one.0.as_os_str().cmp(other.0.as_os_str()));
    Ok(files)
}

fn stamp(files: &[(PathBuf, PathBuf, Metadata)]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for (name, _, metadata) in files {
        add(&mut hasher, name.as_os_str().as_bytes());
        for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&metadata.size().to_le_bytes());
    }
    Hash(*hasher.finalize().as_bytes())
}

/// With its length, so that no two lists run together.
fn add(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
}

fn contents(path: &Path) -> Result<(blake3::Hash, u64), Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut size_bytes = 0;
    loop {
        match file.read(&mut buffer).map_err(Error::file("read", path))? {
            0 => return Ok((hasher.finalize(), size_bytes)),
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

    fn data(path: &Path, fingerprint: Option<String>) -> Data {
        Data { path: path.display().to_string(), fingerprint }
    }

    #[test]
    fn a_copy_has_the_same_fingerprint_and_any_change_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let root = dir.path().join(name);
            fs::create_dir_all(root.join("train")).expect("folders");
            fs::write(root.join("train/a.bin"), "aaaa").expect("a file");
            fs::write(root.join("labels.csv"), "1,2").expect("a file");
            std::os::unix::fs::symlink("train/a.bin", root.join("first")).expect("a link");
            root
        };
        let first = make("first");
        let want = fingerprint(&first).expect("readable");
        assert_eq!(fingerprint(&make("second")).expect("readable"), want);
        assert_ne!(fingerprint(&first.join("labels.csv")).expect("readable"), want);
        let check = |name: &str, change: fn(&Path)| {
            let root = make(name);
            change(&root);
            assert_ne!(fingerprint(&root).expect("readable"), want, "{name}");
        };
        check("bytes", |root| fs::write(root.join("train/a.bin"), "aaab").expect("a file"));
        check("name", |root| fs::rename(root.join("labels.csv"), root.join("label.csv")).expect("a file"));
        check("more", |root| fs::write(root.join("more"), "").expect("a file"));
        check("fewer", |root| fs::remove_file(root.join("first")).expect("a link"));
    }

    #[test]
    fn data_that_is_not_there_or_not_the_same_is_refused_with_what_helps() {
        let dir = tempfile::tempdir().expect("a folder");
        let (known, root) = (dir.path().join("known"), dir.path().join("set"));
        let absent = check(&known, &data(&root, None)).expect_err("not there").chain();
        assert!(absent.contains("set") && absent.contains("windlass.data"), "{absent}");
        fs::create_dir(&root).expect("a folder");
        fs::write(root.join("a"), "a").expect("a file");
        check(&known, &data(&root, None)).expect("no fingerprint is asked for");
        let right = fingerprint(&root).expect("readable");
        check(&known, &data(&root, Some(right.clone()))).expect("the positive control");
        fs::write(root.join("a"), "b").expect("a file");
        let other = check(&known, &data(&root, Some(right.clone()))).expect_err("changed").chain();
        let now = fingerprint(&root).expect("readable");
        assert!(
            other.contains(&right) && other.contains(&now) && other.contains("doctor --fingerprint"),
            "{other}"
        );
        assert!(check(&known, &data(Path::new("relative"), None)).is_err());
    }

    #[test]
    fn a_second_check_reads_no_contents() {
        let dir = tempfile::tempdir().expect("a folder");
        let (known, root) = (dir.path().join("known"), dir.path().join("set"));
        fs::create_dir(&root).expect("a folder");
        fs::write(root.join("a"), "a").expect("a file");
        let first = remembered(&known, &root).expect("read");
        // Another answer is put in its place: it is given while sizes and times stay, and not after.
        let note = fs::read_dir(&known).expect("notes").flatten().next().expect("one").path();
        let noted: Known = durable::read(&note).expect("whole").expect("a note");
        assert_eq!(noted.fingerprint, first);
        durable::write(&note, &Known { fingerprint: "blake3:told".to_owned(), ..noted }).expect("a note");
        assert_eq!(remembered(&known, &root).expect("known"), "blake3:told");
        fs::write(root.join("a"), "other").expect("a file");
        assert_ne!(remembered(&known, &root).expect("read"), "blake3:told");
        fs::write(&note, "{").expect("a torn note");
        remembered(&known, &root).expect("a torn note is none");
    }
}
