//! The run's log on disk: a head, and under a flood a tail ring with one gap record between (I18).
//! Never refuses a byte: a log that cannot be written must not block or kill the run.

use super::spec::LogLimits;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use windlass_shared::digest::Hash;

/// How far into the tail its first whole line is looked for: sixteen of the longest lines that a metric
/// is read from. A tail that begins with a longer line keeps it, on the gap record's own line.
const TORN_MAX_BYTES: u64 = 64 << 10;

/// The log being written.
pub struct LogFile {
    file: File,
    written: u64,
    limits: LogLimits,
    ring_path: PathBuf,
    ring: Option<Ring>,
    errno: Option<i32>,
    /// Bytes taken so far, kept or not.
    taken: u64,
    /// The same at the mark.
    marked: Option<u64>,
    /// Of all that got into the file, so that what is damaged later is never read as what was printed.
    hasher: blake3::Hasher,
}

/// What became of a finished log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The file's size.
    pub bytes: u64,
    /// Dropped between head and tail.
    pub cut_bytes: u64,
    /// The first error in writing.
    pub errno: Option<i32>,
    /// Where in the file the mark lies, if one was made.
    pub marked_bytes: Option<u64>,
}

struct Ring {
    file: File,
    total: u64,
}

impl LogFile {
    /// The log's file name in the attempt's folder.
    pub const FILE: &'static str = "run.log";

    /// Begins an empty log in `dir`.
    pub fn create(dir: &Path, limits: LogLimits) -> io::Result<Self> {
        let file = File::create(dir.join(Self::FILE))?;
        let ring_path = dir.join("run.tail");
        let hasher = blake3::Hasher::new();
        Ok(Self {
            file,
            written: 0,
            limits,
            ring_path,
            ring: None,
            errno: None,
            taken: 0,
            marked: None,
            hasher,
        })
    }

    /// Takes bytes; what does not fit the head goes into the ring.
    pub fn write(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        let mut tail = bytes;
        if self.ring.is_none() {
            let room = self.limits.head_bytes.saturating_sub(self.written);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            if bytes.len() <= room {
                return self.append(bytes);
            }
            // The cut falls between two lines where it can.
            let end = bytes[..room].iter().rposition(|&byte| byte == b'\n').map_or(room, |at| at + 1);
            let (head, rest) = bytes.split_at(end);
            self.append(head);
            tail = rest;
        }
        if let Err(error) = self.write_ring(tail) {
            self.failed(&error);
        }
    }

    /// Marks this place in what is printed.
    pub fn mark(&mut self) {
        self.marked = Some(self.taken);
    }

    /// Joins head and tail; with the hash of the file. The tree is dead: nothing more will come.
    pub fn finish_hashed(mut self) -> (Finished, Hash) {
        let mut cut_bytes = 0;
        let head_bytes = self.written;
        if let Some(ring) = self.ring.take() {
            match self.append_ring(ring) {
                Ok(cut) => cut_bytes = cut,
                Err(error) => self.failed(&error),
            }
            // The tail lives in the log now; what is left of the ring goes with the folder.
            drop(fs::remove_file(&self.ring_path));
        }
        // A mark in the tail keeps its distance from the end; one in what was cut lies at the end of the head.
        let tail_bytes = self.taken.saturating_sub(head_bytes + cut_bytes);
        let in_tail = |marked| match self.taken - marked {
            after if after <= tail_bytes => self.written.saturating_sub(after).max(head_bytes),
            _ => head_bytes,
        };
        let marked_bytes =
            self.marked.map(|marked| if marked <= head_bytes { marked } else { in_tail(marked) });
        let finished = Finished { bytes: self.written, cut_bytes, errno: self.errno, marked_bytes };
        (finished, Hash(*self.hasher.finalize().as_bytes()))
    }

    /// Writes at the log's end, counting what really got there.
    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.errno.is_none() {
            match self.file.write(bytes) {
                Ok(0) => self.failed(&io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
                    self.hasher.update(&bytes[..count]);
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failed(&error),
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.errno.get_or_insert(error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()));
    }

    fn write_ring(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let size = self.limits.tail_bytes.max(1);
        if self.ring.is_none() {
            let file =
                File::options().create(true).truncate(true).read(true).write(true).open(&self.ring_path)?;
            self.ring = Some(Ring { file, total: 0 });
        }
        let Some(ring) = self.ring.as_mut() else { return Ok(()) };
        while !bytes.is_empty() {
            let at = ring.total % size;
            let count = bytes.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
            ring.file.write_all_at(&bytes[..count], at)?;
            ring.total += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Appends the gap record and the tail; returns what was cut. A line that the cut has torn never reads
    /// as a whole one (P18): its beginning has the record at its end, its rest is cut too, or follows the
    /// record on the same line.
    fn append_ring(&mut self, mut ring: Ring) -> io::Result<u64> {
        let size = self.limits.tail_bytes.max(1);
        let overwritten = ring.total.saturating_sub(size);
        if overwritten == 0 {
            self.append_part(&mut ring.file, 0, ring.total)?;
            return Ok(0);
        }
        let begin = ring.total % size;
        let torn = torn_bytes(&ring.file, begin, size)?;
        let cut_bytes = overwritten + torn.unwrap_or(0);
        let end = if torn.is_some() { "\n" } else { "" };
        self.append(format!("[windlass: {} of output left out here]{end}", amount(cut_bytes)).as_bytes());
        let from = begin + torn.unwrap_or(0);
        if from < size {
            self.append_part(&mut ring.file, from, size - from)?;
        }
        let from = from.saturating_sub(size);
        self.append_part(&mut ring.file, from, begin.saturating_sub(from))?;
        Ok(cut_bytes)
    }

    fn append_part(&mut self, ring: &mut File, from: u64, mut left: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        ring.seek(SeekFrom::Start(from))?;
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            ring.read_exact(&mut buffer[..want])?;
            self.append(&buffer[..want]);
            left -= want as u64;
        }
        Ok(())
    }
}

/// Bytes before the first line that begins in a full ring, oldest first; none when that is far.
fn torn_bytes(ring: &File, begin: u64, size: u64) -> io::Result<Option<u64>> {
    let mut torn = Vec::new();
    for (from, until) in [(begin, size), (0, begin)] {
        let most = TORN_MAX_BYTES.min(size) - torn.len() as u64;
        let mut piece = vec![0; usize::try_from(most.min(until - from)).unwrap_or(0)];
        ring.read_exact_at(&mut piece, from)?;
        torn.extend(piece);
    }
    Ok(torn.iter().position(|&byte| byte == b'\n').map(|at| at as u64 + 1))
}

/// A number of bytes for people: `1.2 GiB`.
fn amount(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, shift)| {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limits: (u64, u64), writes: &[&[u8]], want: &[u8], cut_bytes: u64) {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = LogLimits { head_bytes: limits.0, tail_bytes: limits.1 };
        let mut log = LogFile::create(dir.path(), limits).expect("a log");
        for bytes in writes {
            log.write(bytes);
        }
        let (finished, hash) = log.finish_hashed();
        assert_eq!(hash, Hash::of(&fs::read(dir.path().join(LogFile::FILE)).expect("the log")));
        let got = fs::read(dir.path().join(LogFile::FILE)).expect("the log");
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want));
        assert_eq!(
            finished,
            Finished { bytes: want.len() as u64, cut_bytes, errno: None, marked_bytes: None }
        );
        assert!(!dir.path().join("run.tail").exists());
    }

    #[test]
    fn i18_a_flood_keeps_head_and_tail_and_says_what_was_cut() {
        check((4, 3), &[b"ab", b"cd"], b"abcd", 0);
        check((4, 3), &[b"ab", b"cdef", b"g"], b"abcdefg", 0);
        let gap = |n: u64| format!("[windlass: {n} bytes of output left out here]");
        check((4, 3), &[b"abcdefghij", b"k"], format!("abcd{}ijk", gap(4)).as_bytes(), 4);
        check((4, 3), &[b"abcd", b"efghijkl", b"mnop"], format!("abcd{}nop", gap(9)).as_bytes(), 9);
    }

    #[test]
    fn p18_a_line_torn_by_the_cut_never_reads_as_a_whole_one() {
        let gap = |n: u64| format!("[windlass: {n} bytes of output left out here]\n");
        // The head ends with a line, and so begins the tail, wherever the ring wraps.
        check((6, 8), &[b"one\ntwo\nthree\nfour\nfive\n"], format!("one\n{}five\n", gap(15)).as_bytes(), 15);
        check((6, 9), &[b"one\ntwo\nthree\nfour\nfive\n"], format!("one\n{}five\n", gap(15)).as_bytes(), 15);
        check((6, 10), &[b"one\ntwo\nthree\nfour\nfive\n"], format!("one\n{}five\n", gap(15)).as_bytes(), 15);
        // A head without a break in the piece at hand says so on its torn line.
        check((4, 4), &[b"acc", b"uracy: 1\nab\n"], format!("accu{}ab\n", gap(8)).as_bytes(), 8);
        // Nothing more goes to the head once the ring has begun; a line is only known by the break before it.
        check((6, 6), &[b"one\ntwo", b"3", b"\n4\n5\n6\n"], format!("one\n{}5\n6\n", gap(7)).as_bytes(), 7);
    }

    #[test]
    fn p16_a_mark_keeps_its_place_whether_the_log_is_cut_or_not() {
        let marked = |limits: (u64, u64), before: &str, after: &str| {
            let dir = tempfile::tempdir().expect("a folder");
            let limits = LogLimits { head_bytes: limits.0, tail_bytes: limits.1 };
            let mut log = LogFile::create(dir.path(), limits).expect("a log");
            log.write(before.as_bytes());
            log.mark();
            log.write(after.as_bytes());
            let (finished, _) = log.finish_hashed();
            let text = fs::read_to_string(dir.path().join(LogFile::FILE)).expect("the log");
            text[..usize::try_from(finished.marked_bytes.expect("marked")).expect("small")].to_owned()
        };
        assert_eq!(marked((64, 8), "one\n", "two\n"), "one\n");
        assert_eq!(marked((64, 8), "", "two\n"), "");
        assert_eq!(marked((64, 8), "one\n", ""), "one\n");
        // The head ends before the mark, which lies in what was cut; then in the tail.
        assert_eq!(marked((4, 8), "one\ntwo\n", "three\nfour\nfive\n"), "one\n");
        let kept = marked((4, 12), "one\ntwo\nthree\nfour\n", "five\n");
        assert!(kept.ends_with("]\nfour\n"), "{kept:?}");
    }

    #[test]
    fn an_amount_is_short_and_never_rounded_up() {
        for (bytes, want) in
            [(7, "7 bytes"), (1024, "1.0 KiB"), ((5 << 20) - 1, "4.9 MiB"), (1_288_490_190, "1.2 GiB")]
        {
            assert_eq!(amount(bytes), want);
        }
    }
}
