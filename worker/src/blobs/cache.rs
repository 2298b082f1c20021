//! The cache of blobs by their digest. A damaged one is thrown out when it is met, so that it is fetched
//! anew; its bytes are never handed on.

use crate::error::Error;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use windlass_shared::digest::{Digest, Hash};

/// Bytes moved at a time.
const PIECE_BYTES: usize = 128 << 10;
/// Blobs that nobody used for this long go.
const UNUSED_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// New bytes after which unused blobs are looked for, 1 GiB.
const GROWN_MAX_BYTES: u64 = 1 << 30;
/// A blob's last use is noted once a day: a note per use would cost a write per file of a workspace.
const USE_NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What came in or was used so lately is wanted by somebody just now.
const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);

/// The cache.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    /// What it may hold.
    most_bytes: u64,
    /// Blobs that are on their way out, by how many hold them: they are nowhere else yet.
    pinned: Mutex<BTreeMap<Hash, u32>>,
    beside: AtomicU64,
    /// Bytes that came in since the last eviction.
    grown_bytes: AtomicU64,
}

/// Holds blobs in the cache until dropped.
#[derive(Debug)]
pub struct Pinned<'a> {
    cache: &'a Cache,
    blobs: Vec<Hash>,
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        let mut pinned = self.cache.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in &self.blobs {
            if let Some(count) = pinned.get_mut(hash) {
                *count -= 1;
                if *count == 0 {
                    pinned.remove(hash);
                }
            }
        }
    }
}

/// A blob on its way in.
#[derive(Debug)]
pub struct Incoming {
    want: Option<Digest>,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl Cache {
    /// Opens or makes it; what an earlier life left half-written goes.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let beside = root.join("incoming");
        match fs::remove_dir_all(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &beside)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&beside).map_err(Error::file("create", &beside))?;
        Ok(Self {
            root: root.to_owned(),
            most_bytes: u64::MAX,
            pinned: Mutex::default(),
            beside: AtomicU64::new(0),
            grown_bytes: AtomicU64::new(0),
        })
    }

    /// Bounds what it holds; [`Cache::evict`] keeps to it.
    pub fn bounded(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }

    /// Keeps these until the answer is dropped, however full the cache is.
    pub fn pin(&self, blobs: &[Digest]) -> Pinned<'_> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in blobs {
            *pinned.entry(digest.hash).or_default() += 1;
        }
        Pinned { cache: self, blobs: blobs.iter().map(|digest| digest.hash).collect() }
    }

    /// Whether it is here, by name and size; its bytes are checked when they are used.
    pub fn has(&self, digest: &Digest) -> bool {
        fs::metadata(self.path(digest)).is_ok_and(|it| it.is_file() && it.len() == digest.size_bytes)
    }

    /// Takes the bytes of a blob whose digest is known.
    pub fn insert(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let mut incoming = self.begin(Some(*digest))?;
        incoming.write(bytes)?;
        self.finish(incoming).map(drop)
    }

    /// Begins a blob; with `want`, it must turn out to be that one.
    pub fn begin(&self, want: Option<Digest>) -> Result<Incoming, Error> {
        let number = self.beside.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("incoming").join(number.to_string());
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        Ok(Incoming { want, path, file, hasher: blake3::Hasher::new(), size_bytes: 0 })
    }

    /// Ends a blob: checked, and only then under its name.
    pub fn finish(&self, incoming: Incoming) -> Result<Digest, Error> {
        let Incoming { want, path, file, hasher, size_bytes } = incoming;
        drop(file);
        let got = Digest { hash: Hash(*hasher.finalize().as_bytes()), size_bytes };
        if let Some(want) = want.filter(|want| *want != got) {
            fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            return Err(Error::Damaged(want));
        }
        let to = self.path(&got);
        let folder = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        fs::rename(&path, &to).map_err(Error::file("rename into", &to))?;
        self.grown_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        Ok(got)
    }

    /// Takes a copy of a regular file in, whatever it holds. Links are not followed.
    pub fn take_in(&self, path: &Path) -> Result<Digest, Error> {
        let mut file = open_plain(path)?;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut count = file.read(&mut buffer).map_err(Error::file("read", path))?;
        // A small file, such as a telemetry table without rows, is often here already; to rename another over it
        // would make the file system write it out at once.
        let digest = Digest::of(&buffer[..count]);
        if self.is_here_whole(&digest) && file.read(&mut [0]).map_err(Error::file("read", path))? == 0 {
            return Ok(digest);
        }
        file.seek(SeekFrom::Start(count as u64)).map_err(Error::file("read", path))?;
        let mut incoming = self.begin(None)?;
        while count > 0 {
            incoming.write(&buffer[..count])?;
            count = file.read(&mut buffer).map_err(Error::file("read", path))?;
        }
        self.finish(incoming)
    }

    /// Whether a small blob is here, its bytes checked; it counts as used now.
    fn is_here_whole(&self, digest: &Digest) -> bool {
        self.has(digest)
            && self.read(digest).is_ok()
            && self.open_blob(digest).is_ok_and(|blob| {
                note_use(&blob);
                true
            })
    }

    /// The bytes of a blob, checked.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let bytes = fs::read(self.path(digest)).map_err(|error| self.absent(digest, error))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(self.damaged(digest)) }
    }

    /// An open blob for sending. The receiver checks it.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, Error> {
        File::open(self.path(digest)).map_err(|error| self.absent(digest, error))
    }

    /// Makes a new file of a blob with this mode: a reflink where the file system can, else a copy; never
    /// a hard link, for root writes through its mode. The bytes are checked on the way.
    pub fn place(&self, digest: &Digest, to: &Path, mode: u32) -> Result<(), Error> {
        let path = self.path(digest);
        let mut from = File::open(&path).map_err(|error| self.absent(digest, error))?;
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode | 0o200)
            .open(to)
            .map_err(Error::file("create", to))?;
        let cloned = rustix::fs::ioctl_ficlone(&file, &from).is_ok();
        let mut hasher = blake3::Hasher::new();
        let mut size_bytes = 0;
        let mut buffer =
            vec![0; PIECE_BYTES.min(usize::try_from(digest.size_bytes).unwrap_or(PIECE_BYTES) + 1)];
        loop {
            let count = from.read(&mut buffer).map_err(Error::file("read", &path))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            size_bytes += count as u64;
            if !cloned {
                file.write_all(&buffer[..count]).map_err(Error::file("write", to))?;
            }
        }
        let got = Digest { hash: Hash(*hasher.finalize().as_bytes()), size_bytes };
        if got != *digest {
            fs::remove_file(to).map_err(Error::file("remove", to))?;
            return Err(self.damaged(digest));
        }
        // The mode asked for at creation was cut by the umask.
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(Error::file("set the mode of", to))?;
        note_use(&from);
        Ok(())
    }

    /// [`Cache::evict`], once enough came in to be worth the look.
    pub fn evict_when_grown(&self) -> Result<(), Error> {
        let due = GROWN_MAX_BYTES.min(self.most_bytes / 8);
        if self.grown_bytes.load(Ordering::Relaxed) < due { Ok(()) } else { self.evict() }
    }

    /// Throws out what nobody has used for a week, and past its bound the oldest first; never what is on
    /// its way out or was used just now. What is being prepared from a blob that goes all the same fetches
    /// it anew.
    pub fn evict(&self) -> Result<(), Error> {
        self.grown_bytes.store(0, Ordering::Relaxed);
        let folders = fs::read_dir(&self.root).map_err(Error::file("list", &self.root))?;
        let incoming = self.root.join("incoming");
        let folders = folders.flatten().map(|folder| folder.path()).filter(|folder| *folder != incoming);
        let mut found = Vec::new();
        for entry in folders.flat_map(fs::read_dir).flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified().ok().and_then(|used| used.elapsed().ok()).unwrap_or_default();
            found.push((used, metadata.len(), entry.path()));
        }
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        found.sort();
        for (unused, bytes, path) in found.into_iter().rev() {
            let is_due = unused > UNUSED_MAX || (total > self.most_bytes && unused > SETTLED_AFTER);
            if !is_due || self.is_pinned(&path) {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &path)(error));
                }
                _ => total = total.saturating_sub(bytes),
            }
        }
        Ok(())
    }

    fn is_pinned(&self, path: &Path) -> bool {
        let hash = path.file_name().and_then(|name| name.to_str()).and_then(Hash::parse);
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        hash.is_some_and(|hash| pinned.contains_key(&hash))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.hash.to_string();
        self.root.join(&name[..2]).join(name)
    }

    fn absent(&self, digest: &Digest, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => Error::Missing(*digest),
            _ => Error::file("read", &self.path(digest))(error),
        }
    }

    fn damaged(&self, digest: &Digest) -> Error {
        tracing::warn!(%digest, "threw a damaged blob out of the cache");
        drop(fs::remove_file(self.path(digest)));
        Error::Damaged(*digest)
    }
}

impl Incoming {
    /// Takes the blob's next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.size_bytes += bytes.len() as u64;
        if self.want.is_some_and(|want| self.size_bytes > want.size_bytes) {
            return Err(Error::Damaged(self.want.expect("just seen")));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(Error::file("write", &self.path))
    }
}

/// Opens a regular file and nothing else.
pub(crate) fn open_plain(path: &Path) -> Result<File, Error> {
    use rustix::fs::OFlags;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).expect("the flags are small");
    File::options().read(true).custom_flags(flags).open(path).map_err(Error::file("open", path))
}

fn note_use(blob: &File) {
    let stale = |modified: SystemTime| modified.elapsed().is_ok_and(|since| since > USE_NOTED_EVERY);
    if blob.metadata().and_then(|it| it.modified()).is_ok_and(stale) {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        // Only a hint for eviction.
        let _ = rustix::fs::futimens(blob, &times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        (dir, cache)
    }

    #[test]
    fn i16_bytes_that_are_not_the_digest_never_get_in() {
        let (_dir, cache) = cache();
        let digest = Digest::of(b"weights");
        assert!(matches!(cache.insert(&digest, b"weightz"), Err(Error::Damaged(_))));
        assert!(matches!(cache.insert(&digest, b"weight"), Err(Error::Damaged(_))));
        assert!(matches!(cache.insert(&digest, b"weights!"), Err(Error::Damaged(_))));
        assert!(!cache.has(&digest));
        cache.insert(&digest, b"weights").expect("the right bytes");
        assert!(cache.has(&digest));
    }

    #[test]
    fn i16_a_flipped_bit_is_found_before_use_and_thrown_out() {
        let (dir, cache) = cache();
        let digest = Digest::of(b"weights");
        let to = dir.path().join("file");
        for read in [false, true] {
            cache.insert(&digest, b"weights").expect("the right bytes");
            fs::write(cache.path(&digest), b"weighus").expect("a flipped bit");
            let result = if read { cache.read(&digest).map(drop) } else { cache.place(&digest, &to, 0o644) };
            assert!(matches!(result, Err(Error::Damaged(_))), "{result:?}");
            assert!(!to.exists() && !cache.has(&digest));
        }
        cache.insert(&digest, b"weights").expect("the right bytes");
        cache.place(&digest, &to, 0o444).expect("the positive control");
        assert_eq!(fs::read(&to).expect("the file"), b"weights");
        assert_eq!(fs::metadata(&to).expect("the file").permissions().mode() & 0o7777, 0o444);
        assert!(cache.place(&digest, &to, 0o444).is_err(), "never over what is there");
    }

    #[test]
    fn a_link_is_not_taken_in() {
        let (dir, cache) = cache();
        fs::write(dir.path().join("secret"), b"s").expect("a file");
        std::os::unix::fs::symlink("secret", dir.path().join("link")).expect("a link");
        assert!(cache.take_in(&dir.path().join("link")).is_err());
        assert_eq!(cache.take_in(&dir.path().join("secret")).expect("a file"), Digest::of(b"s"));
    }

    #[test]
    fn what_is_here_whole_stays_and_what_is_damaged_is_replaced() {
        let (dir, cache) = cache();
        let file = dir.path().join("telemetry.tsv");
        fs::write(&file, b"rows").expect("a file");
        let digest = cache.take_in(&file).expect("a file");
        let inode = || fs::metadata(cache.path(&digest)).expect("the blob").ino();
        let before = inode();
        assert_eq!(cache.take_in(&file).expect("the same file"), digest);
        assert_eq!(inode(), before);
        fs::write(cache.path(&digest), b"rots").expect("damaged in place");
        assert_eq!(cache.take_in(&file).expect("the same file"), digest);
        assert_eq!(cache.read(&digest).expect("whole again"), b"rows");

        let long = vec![b'x'; PIECE_BYTES + 1];
        fs::write(&file, &long).expect("a file");
        cache.insert(&Digest::of(&long[..PIECE_BYTES]), &long[..PIECE_BYTES]).expect("its beginning alone");
        let digest = cache.take_in(&file).expect("a long file");
        assert_eq!(cache.read(&digest).expect("all of it"), long);
    }

    #[test]
    fn unused_blobs_go_once_enough_has_come_in_and_used_ones_stay() {
        let (_dir, cache) = cache();
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        cache.insert(&old, b"old").expect("the right bytes");
        cache.insert(&new, b"new").expect("the right bytes");
        let long_ago = SystemTime::now() - 2 * UNUSED_MAX;
        let file = File::options().write(true).open(cache.path(&old)).expect("the blob");
        file.set_modified(long_ago).expect("a time");
        cache.evict_when_grown().expect("nothing to do");
        assert!(cache.has(&old), "not worth the look yet");
        cache.grown_bytes.store(GROWN_MAX_BYTES, Ordering::Relaxed);
        cache.evict_when_grown().expect("evicted");
        assert_eq!((cache.has(&old), cache.has(&new)), (false, true));
        assert_eq!(cache.grown_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_full_cache_loses_its_oldest_first_and_never_what_is_held() {
        let (_dir, cache) = cache();
        let cache = cache.bounded(20);
        let blobs: Vec<Digest> = (0..6_u64).map(|n| Digest::of(format!("blob {n:5}").as_bytes())).collect();
        for (n, digest) in (0_u64..).zip(&blobs) {
            cache.insert(digest, format!("blob {n:5}").as_bytes()).expect("the right bytes");
            let file = File::options().write(true).open(cache.path(digest)).expect("the blob");
            // The last was used just now.
            let ago = if n == 5 { Duration::ZERO } else { Duration::from_secs(3600 * (10 - n)) };
            file.set_modified(SystemTime::now() - ago).expect("a time");
        }
        let has = || blobs.iter().map(|digest| cache.has(digest)).collect::<Vec<_>>();
        let held = cache.pin(&blobs[1..2]);
        cache.evict().expect("evicted");
        assert_eq!(has(), [false, true, false, false, false, true]);
        drop(held);
        cache.evict().expect("evicted");
        assert_eq!(has(), [false, true, false, false, false, true], "20 bytes are within the bound");
        let cache = Cache { most_bytes: 5, ..cache };
        cache.evict().expect("evicted");
        let has = blobs.iter().map(|digest| cache.has(digest)).collect::<Vec<_>>();
        assert_eq!(has, [false, false, false, false, false, true], "what was just used stays");
    }
}
