//! Sends the blobs that the store lacks, each streamed from where it is.

use crate::blobs::{Blobs, Source};
use crate::client::Client;
use crate::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_proto::CHUNK_BYTES;
use windlass_proto::v1::{FindMissingRequest, WriteRequest};
use windlass_shared::digest::Digest;

/// Digests asked about in one call: 10,000 × 80 bytes fit a message many times.
const PAGE: usize = 10_000;

/// What went over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Which blobs the store lacks.
pub async fn lacking(client: &Client, blobs: &Blobs) -> Result<Vec<Digest>, Error> {
    let digests: Vec<String> = blobs.digests().map(|digest| digest.to_string()).collect();
    let mut wanted = Vec::new();
    for page in digests.chunks(PAGE) {
        let request = FindMissingRequest { digests: page.to_vec() };
        let answer = client.artifacts().find_missing(request).await?.into_inner();
        wanted.extend(answer.digests.iter().filter_map(|text| Digest::parse(text)));
    }
    Ok(wanted)
}

/// Sends what is missing.
pub async fn missing(client: &Client, blobs: &Blobs) -> Result<Sent, Error> {
    let wanted = lacking(client, blobs).await?;
    let parts: Vec<(Digest, Source)> = wanted
        .into_iter()
        .filter_map(|digest| blobs.source(&digest).map(|source| (digest, source.clone())))
        .collect();
    if parts.is_empty() {
        return Ok(Sent::default());
    }
    let sent =
        Sent { blobs: parts.len() as u64, bytes: parts.iter().map(|(digest, _)| digest.size_bytes).sum() };
    let failed = Arc::new(Mutex::new(None));
    let pieces = Pieces { parts: parts.into_iter(), current: None, failed: failed.clone() };
    let answer = client.artifacts().write(tokio_stream::iter(pieces)).await;
    // What went wrong while reading says more than the stream that broke because of it.
    if let Some(problem) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(problem);
    }
    answer?;
    Ok(sent)
}

/// The messages of one stream, read as they are sent: no file is held whole.
struct Pieces {
    parts: std::vec::IntoIter<(Digest, Source)>,
    current: Option<Open>,
    failed: Arc<Mutex<Option<Error>>>,
}

/// A file that is being sent.
struct Open {
    file: File,
    path: PathBuf,
    left_bytes: u64,
}

impl Iterator for Pieces {
    type Item = WriteRequest;

    fn next(&mut self) -> Option<WriteRequest> {
        match self.step() {
            Ok(piece) => piece,
            Err(problem) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                None
            }
        }
    }
}

impl Pieces {
    fn step(&mut self) -> Result<Option<WriteRequest>, Error> {
        if let Some(open) = &mut self.current {
            let data = open.read()?;
            if open.left_bytes == 0 {
                self.current = None;
            }
            return Ok(Some(WriteRequest { digest: String::new(), data: data.into() }));
        }
        let Some((digest, source)) = self.parts.next() else { return Ok(None) };
        match source {
            Source::Bytes(bytes) if bytes.len() <= CHUNK_BYTES => {
                Ok(Some(WriteRequest { digest: digest.to_string(), data: bytes.into() }))
            }
            Source::Bytes(bytes) => {
                // Rare and bounded: a patch or manifest of more than one piece, spooled to be streamed.
                let failed = |source| Error::System { operation: "spool a blob", source };
                let mut file = spool().map_err(failed)?;
                std::io::Write::write_all(&mut file, &bytes).map_err(failed)?;
                std::io::Seek::rewind(&mut file).map_err(failed)?;
                self.begin(digest, file, PathBuf::from("a spooled blob"))
            }
            Source::File(path) => {
                let file = File::open(&path).map_err(|source| Error::File {
                    operation: "read",
                    path: path.clone(),
                    source,
                })?;
                self.begin(digest, file, path)
            }
        }
    }

    fn begin(&mut self, digest: Digest, file: File, path: PathBuf) -> Result<Option<WriteRequest>, Error> {
        let mut open = Open { file, path, left_bytes: digest.size_bytes };
        let data = open.read()?;
        if open.left_bytes > 0 {
            self.current = Some(open);
        }
        Ok(Some(WriteRequest { digest: digest.to_string(), data: data.into() }))
    }
}

impl Open {
    fn read(&mut self) -> Result<Vec<u8>, Error> {
        let want = self.left_bytes.min(CHUNK_BYTES as u64) as usize;
        let mut data = vec![0; want];
        self.file.read_exact(&mut data).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::Changed { path: self.path.clone() },
            _ => Error::File { operation: "read", path: self.path.clone(), source },
        })?;
        self.left_bytes -= want as u64;
        Ok(data)
    }
}

/// A file without a name.
fn spool() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(File::from(memfd_create("windlass-blob", MemfdFlags::CLOEXEC)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_blobs_and_a_file_that_shrank_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("big");
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 7).map(|i| i as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mut parts = vec![
            (Digest::of(b"small"), Source::Bytes(b"small".to_vec())),
            (Digest::of(b""), Source::Bytes(Vec::new())),
            (Digest::of(&bytes), Source::Bytes(bytes.clone())),
            (Digest::of(&bytes), Source::File(path.clone())),
        ];
        let failed = Arc::new(Mutex::new(None));
        let all: Vec<WriteRequest> =
            Pieces { parts: parts.clone().into_iter(), current: None, failed: failed.clone() }.collect();
        assert_eq!(all.iter().filter(|piece| !piece.digest.is_empty()).count(), 4);
        assert!(all.iter().all(|piece| piece.data.len() <= CHUNK_BYTES));
        assert_eq!(all.iter().map(|piece| piece.data.len()).sum::<usize>(), 5 + bytes.len() * 2);
        std::fs::write(&path, b"shrunk").expect("written");
        let rest: Vec<WriteRequest> =
            Pieces { parts: parts.split_off(3).into_iter(), current: None, failed: failed.clone() }.collect();
        assert!(rest.is_empty());
        let problem = failed.lock().expect("unpoisoned").take();
        assert!(matches!(problem, Some(Error::Changed { .. })));
    }
}
