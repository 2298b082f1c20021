//! One snapshot as a file: a line that says of what it is, then the state. Written whole or not at all.

use crate::ledger::{self, Head};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use windlass_engine::core::{Durable, SnapshotError, VERSION};
use windlass_shared::digest::Hash;

/// The first line is padded to this: it is written last, when the rest is known.
const HEADER_BYTES: usize = 512;
/// The form of the file; another one is refused.
const FORMAT: u32 = 1;

/// The snapshot of a data folder.
pub fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("snapshot")
}

/// A snapshot that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error("failed to {operation} {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state.
    #[error(transparent)]
    State(#[from] SnapshotError),
    /// The ledger that it is taken of.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

/// Why a snapshot is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Its first line is not one of a snapshot.
    #[error("its first line is not that of a snapshot")]
    Header,
    /// Another version wrote it, or other sources of this one.
    #[error("windlass {found} wrote it, and this is {VERSION}")]
    Version {
        /// Which.
        found: String,
    },
    /// Its length is not what its first line says.
    #[error("it has {found} bytes of state and says {said}")]
    Length {
        /// What is there.
        found: u64,
        /// What should be.
        said: u64,
    },
    /// Its content is not what was written.
    #[error("its content does not match its hash")]
    Changed,
    /// It is of another ledger, of a newer state of this one, or of records that were changed since.
    #[error("the ledger's chain does not go through its record {seq}")]
    Unchained {
        /// Its last record.
        seq: u64,
    },
    /// Its content is no state, or one of another record.
    #[error("its content is not the state after its record {seq}")]
    State {
        /// Its last record.
        seq: u64,
    },
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    engine: String,
    seq: u64,
    head: Hash,
    body: Hash,
    body_bytes: u64,
}

/// A snapshot that is what was written, by this very fold; whether it is of this ledger is not said.
#[derive(Debug)]
pub struct Snapshot {
    /// The last record that it rests on.
    pub head: Head,
    body: Hash,
    file: File,
}

impl Snapshot {
    /// Opens and checks the snapshot of a folder; `None` when there is none. Reads the file once, through a
    /// small buffer.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, Refused> {
        let mut file = match File::open(file_in(data_dir)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut line = [0; HEADER_BYTES];
        file.read_exact(&mut line).map_err(|_| Refused::Header)?;
        let header: Header = serde_json::from_slice(&line).map_err(|_| Refused::Header)?;
        if header.format != FORMAT || header.engine != VERSION {
            return Err(Refused::Version { found: header.engine });
        }
        let found = file.metadata()?.len().saturating_sub(HEADER_BYTES as u64);
        if found != header.body_bytes {
            return Err(Refused::Length { found, said: header.body_bytes });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file)?;
        if Hash(*hasher.finalize().as_bytes()) != header.body {
            return Err(Refused::Changed);
        }
        Ok(Some(Self { head: Head { seq: header.seq, hash: header.head }, body: header.body, file }))
    }

    /// The state.
    pub fn state(mut self) -> Result<Durable, Refused> {
        let seq = self.head.seq;
        self.file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
        let state = Durable::read_from(BufReader::with_capacity(BUFFER_BYTES, &self.file));
        state.ok().filter(|state| state.seq == seq).ok_or(Refused::State { seq })
    }

    /// Whether it is a snapshot of this state, byte for byte.
    pub fn is_of(&self, state: &Durable) -> bool {
        let mut hasher = blake3::Hasher::new();
        state.write_to(&mut hasher).is_ok() && Hash(*hasher.finalize().as_bytes()) == self.body
    }
}

/// Bytes read or written at once.
const BUFFER_BYTES: usize = 1 << 16;

/// Writes a snapshot of `state`, which is the fold of the records up to `head`. Until it is whole and on disk
/// the one before it stays.
pub fn write(data_dir: &Path, head: Head, state: &Durable) -> Result<(), Error> {
    let path = data_dir.join("snapshot.new");
    let written = fill(&path, head, state).and_then(|()| replace(&path, data_dir));
    if written.is_err() {
        // What is left would take room, and is never read.
        let _ = std::fs::remove_file(&path);
    }
    written
}

fn fill(path: &Path, head: Head, state: &Durable) -> Result<(), Error> {
    let fail = |operation| move |source| Error::File { operation, path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(fail("make"))?;
    let mut out = Hashing {
        out: BufWriter::with_capacity(BUFFER_BYTES, file),
        hasher: blake3::Hasher::new(),
        bytes: 0,
    };
    out.out.write_all(&[b' '; HEADER_BYTES]).map_err(fail("write"))?;
    state.write_to(&mut out)?;
    let header = Header {
        format: FORMAT,
        engine: VERSION.to_owned(),
        seq: head.seq,
        head: head.hash,
        body: Hash(*out.hasher.finalize().as_bytes()),
        body_bytes: out.bytes,
    };
    let line = serde_json::to_string(&header).expect("a header is representable");
    let mut file = out.out.into_inner().map_err(|error| fail("write")(error.into_error()))?;
    file.rewind().map_err(fail("write"))?;
    // A version of some hundred characters would not fit; ours has thirty.
    writeln!(file, "{line:<width$}", width = HEADER_BYTES - 1).map_err(fail("write"))?;
    file.sync_all().map_err(fail("sync"))
}

fn replace(path: &Path, data_dir: &Path) -> Result<(), Error> {
    let fail = |operation| move |source| Error::File { operation, path: path.to_owned(), source };
    std::fs::rename(path, file_in(data_dir)).map_err(fail("put in place"))?;
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(fail("sync the folder of"))
}

/// Writes and hashes.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
