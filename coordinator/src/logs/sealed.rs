//! A whole log, compressed: zstd's seekable format, a frame for each MiB and a table of frames at the end,
//! so that any offset is read at the cost of one frame, and `zstdcat` reads it too. Every frame carries a
//! checksum; a damaged one is an error, never other bytes.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use windlass_shared::digest::Hash;

/// Raw bytes of a frame: small enough that a look at the end costs a millisecond, large enough that text
/// compresses as well as in one piece.
pub const FRAME_BYTES: usize = 1 << 20;
/// zstd's own default: about 300 MB/s, and logs shrink to a tenth.
const LEVEL: i32 = 3;
/// The skippable frame that holds the table.
const TABLE_MAGIC: u32 = 0x184D_2A5E;
/// The last four bytes of the file.
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
const TABLE_HEADER_BYTES: u64 = 8;
const ENTRY_BYTES: u64 = 8;
const FOOTER_BYTES: u64 = 9;

/// An open one.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    /// Where each frame begins, and where the last one ends.
    bounds: Vec<u64>,
    length_bytes: u64,
    /// The frame that was read last: a reader goes on in it.
    recent: Mutex<Option<(usize, Bytes)>>,
}

impl Sealed {
    /// Opens a file that [`write`] has made; anything else is refused as damaged.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut footer = [0; FOOTER_BYTES as usize];
        file.read_exact_at(&mut footer, size.checked_sub(FOOTER_BYTES).ok_or_else(damaged)?)?;
        let (count, descriptor, magic) = (number(&footer[0..4]), footer[4], number(&footer[5..9]));
        let table_bytes = u64::from(count) * ENTRY_BYTES + FOOTER_BYTES;
        let table_at = size.checked_sub(table_bytes + TABLE_HEADER_BYTES).ok_or_else(damaged)?;
        if magic != SEEKABLE_MAGIC || descriptor != 0 {
            return Err(damaged());
        }
        // At most as large as the file that was just seen.
        let mut table = vec![0; usize::try_from(table_bytes + TABLE_HEADER_BYTES).map_err(|_| damaged())?];
        file.read_exact_at(&mut table, table_at)?;
        if number(&table[0..4]) != TABLE_MAGIC || u64::from(number(&table[4..8])) != table_bytes {
            return Err(damaged());
        }
        let entries = &table[TABLE_HEADER_BYTES as usize..][..count as usize * ENTRY_BYTES as usize];
        let (mut bounds, mut length_bytes) = (vec![0], 0);
        for (index, entry) in entries.chunks_exact(ENTRY_BYTES as usize).enumerate() {
            let (packed, raw) = (u64::from(number(&entry[0..4])), number(&entry[4..8]) as usize);
            let is_last = index + 1 == count as usize;
            if raw > FRAME_BYTES || raw == 0 || (raw < FRAME_BYTES && !is_last) {
                return Err(damaged());
            }
            bounds.push(bounds[index] + packed);
            length_bytes += raw as u64;
        }
        if bounds[count as usize] != table_at {
            return Err(damaged());
        }
        Ok(Self { file, bounds, length_bytes, recent: Mutex::new(None) })
    }

    /// Bytes of the log.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Fills `buffer` from `offset`; both lie within the log.
    pub fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let frame = self.frame(usize::try_from(offset / FRAME_BYTES as u64).unwrap_or(usize::MAX))?;
            let within = usize::try_from(offset % FRAME_BYTES as u64).unwrap_or(0);
            let count = buffer.len().min(frame.len().saturating_sub(within));
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[..count].copy_from_slice(&frame[within..within + count]);
            buffer = &mut buffer[count..];
            offset += count as u64;
        }
        Ok(())
    }

    fn frame(&self, index: usize) -> io::Result<Bytes> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, bytes)) = recent.as_ref()
            && *known == index
        {
            return Ok(bytes.clone());
        }
        let (Some(&from), Some(&until)) = (self.bounds.get(index), self.bounds.get(index + 1)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let mut packed = vec![0; usize::try_from(until - from).map_err(|_| damaged())?];
        self.file.read_exact_at(&mut packed, from)?;
        let bytes = Bytes::from(zstd::bulk::decompress(&packed, FRAME_BYTES)?);
        let begin = index as u64 * FRAME_BYTES as u64;
        if bytes.len() as u64 != (self.length_bytes - begin).min(FRAME_BYTES as u64) {
            return Err(damaged());
        }
        *recent = Some((index, bytes.clone()));
        Ok(bytes)
    }

    /// The hash of all of it: every frame is read and checked.
    pub fn hash(&self, go_on: impl Fn() -> bool) -> io::Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        for index in 0..self.bounds.len() - 1 {
            interrupted_unless(go_on())?;
            hasher.update(&self.frame(index)?);
        }
        Ok(Hash(*hasher.finalize().as_bytes()))
    }
}

/// Compresses the first `length_bytes` of `raw` into a new file at `path`, synced. Returns the hash of what
/// was read. Ends early when `go_on` says no.
pub fn write(raw: &File, length_bytes: u64, path: &Path, go_on: impl Fn() -> bool) -> io::Result<Hash> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(FRAME_BYTES, file);
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    let mut hasher = blake3::Hasher::new();
    let mut table = Vec::new();
    let (mut offset, mut frames) = (0, 0_u32);
    let mut piece = vec![0; FRAME_BYTES];
    while offset < length_bytes {
        interrupted_unless(go_on())?;
        let count = usize::try_from(length_bytes - offset).unwrap_or(usize::MAX).min(FRAME_BYTES);
        raw.read_exact_at(&mut piece[..count], offset)?;
        hasher.update(&piece[..count]);
        let packed = compressor.compress(&piece[..count])?;
        out.write_all(&packed)?;
        for size in [packed.len(), count] {
            table.extend(u32::try_from(size).map_err(|_| damaged())?.to_le_bytes());
        }
        offset += count as u64;
        frames += 1;
    }
    let table_bytes = u32::try_from(table.len() as u64 + FOOTER_BYTES).map_err(|_| damaged())?;
    out.write_all(&TABLE_MAGIC.to_le_bytes())?;
    out.write_all(&table_bytes.to_le_bytes())?;
    out.write_all(&table)?;
    out.write_all(&frames.to_le_bytes())?;
    out.write_all(&[0])?;
    out.write_all(&SEEKABLE_MAGIC.to_le_bytes())?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(Hash(*hasher.finalize().as_bytes()))
}

fn interrupted_unless(goes_on: bool) -> io::Result<()> {
    if goes_on { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the compressed log is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A log of two frames and a bit, and where it is sealed.
    fn sealed() -> (tempfile::TempDir, Vec<u8>, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let text: String = (0..200_000).map(|n| format!("line {n} {}\n", n * 7919 % 1013)).collect();
        fs::write(folder.path().join("raw"), &text).expect("a file");
        let raw = File::open(folder.path().join("raw")).expect("a file");
        let path = folder.path().join("log.zst");
        let hash = write(&raw, text.len() as u64, &path, || true).expect("compressed");
        assert_eq!(hash, Hash::of(text.as_bytes()));
        (folder, text.into_bytes(), path)
    }

    #[test]
    fn every_offset_reads_the_same_bytes_as_before() {
        let (_folder, text, path) = sealed();
        assert!(text.len() > 2 * FRAME_BYTES, "several frames");
        assert!(fs::metadata(&path).expect("a file").len() < text.len() as u64 / 2);
        let log = Sealed::open(&path).expect("whole");
        assert_eq!(log.length_bytes(), text.len() as u64);
        assert_eq!(log.hash(|| true).expect("whole"), Hash::of(&text));
        for (offset, count) in [
            (0, 1),
            (0, text.len()),
            (FRAME_BYTES - 1, 2),
            (FRAME_BYTES, FRAME_BYTES),
            (text.len() - 1, 1),
            (5, 2 * FRAME_BYTES),
        ] {
            let mut buffer = vec![0; count];
            log.read_exact_at(&mut buffer, offset as u64).expect("inside");
            assert!(buffer == text[offset..offset + count], "{offset} {count}");
        }
        log.read_exact_at(&mut [0; 2], text.len() as u64 - 1).expect_err("past the end");
    }

    #[test]
    fn i16_a_flipped_or_lost_byte_is_an_error_and_never_other_bytes() {
        let (folder, text, path) = sealed();
        let whole = fs::read(&path).expect("a file");
        let (copy, size) = (folder.path().join("copy"), whole.len());
        let read = || -> io::Result<Vec<u8>> {
            let log = Sealed::open(&copy)?;
            let mut all = vec![0; usize::try_from(log.length_bytes()).expect("small")];
            log.read_exact_at(&mut all, 0)?;
            Ok(all)
        };
        let step = size / 97;
        for at in (0..size).step_by(step).chain(size - 60..size) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&copy, &bytes).expect("a file");
            // The format has bits that mean nothing.
            assert!(read().map_or(true, |read| at == 0 && read == text), "byte {at} of {size} is flipped");
        }
        for length in (0..size).step_by(step) {
            fs::write(&copy, &whole[..length]).expect("a file");
            assert!(read().is_err(), "{length} of {size} bytes are left");
        }
        fs::write(&copy, &whole).expect("a file");
        assert!(read().expect("undamaged") == text);
    }
}
