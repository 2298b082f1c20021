//! The run's log on disk: a head, and under a flood a tail ring with one gap record between (I18).
//! Never refuses a byte: a log that cannot be written must not block or kill the run.

use super::spec::LogLimits;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The log being written.
pub struct LogFile {
    file: File,
    written: u64,
    limits: LogLimits,
    ring_path: PathBuf,
    ring: Option<Ring>,
    errno: Option<i32>,
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
        Ok(Self { file, written: 0, limits, ring_path: dir.join("run.tail"), ring: None, errno: None })
    }

    /// Takes bytes; what does not fit the head goes into the ring.
    pub fn write(&mut self, bytes: &[u8]) {
        let room = self.limits.head_bytes.saturating_sub(self.written);
        let (head, tail) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
        self.append(head);
        if tail.is_empty() {
            return;
        }
        if let Err(error) = self.write_ring(tail) {
            self.failed(&error);
        }
    }

    /// Joins head and tail. The tree is dead: nothing more will come.
    pub fn finish(mut self) -> Finished {
        let mut cut_bytes = 0;
        if let Some(ring) = self.ring.take() {
            cut_bytes = ring.total.saturating_sub(self.limits.tail_bytes);
            if let Err(error) = self.append_ring(ring, cut_bytes) {
                self.failed(&error);
            }
            // The tail lives in the log now; what is left of the ring goes with the folder.
            drop(fs::remove_file(&self.ring_path));
        }
        Finished { bytes: self.written, cut_bytes, errno: self.errno }
    }

    /// Writes at the log's end, counting what really got there.
    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.errno.is_none() {
            match self.file.write(bytes) {
                Ok(0) => self.failed(&io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
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

    /// The gap record has no line breaks of its own, so that a line torn by the cut can never read as a
    /// whole one (P18).
    fn append_ring(&mut self, mut ring: Ring, cut_bytes: u64) -> io::Result<()> {
        let size = self.limits.tail_bytes.max(1);
        if cut_bytes == 0 {
            return self.append_part(&mut ring.file, 0, ring.total);
        }
        let gap = format!("[windlass: {cut_bytes} bytes of this log were cut here]");
        self.append(gap.as_bytes());
        let begin = ring.total % size;
        self.append_part(&mut ring.file, begin, size - begin)?;
        self.append_part(&mut ring.file, 0, begin)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: LogLimits, writes: &[&[u8]], want: &[u8], cut_bytes: u64) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = LogFile::create(dir.path(), limits).expect("a log");
        for bytes in writes {
            log.write(bytes);
        }
        let finished = log.finish();
        let got = fs::read(dir.path().join(LogFile::FILE)).expect("the log");
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want));
        assert_eq!(finished, Finished { bytes: want.len() as u64, cut_bytes, errno: None });
        assert!(!dir.path().join("run.tail").exists());
    }

    #[test]
    fn i18_a_flood_keeps_head_and_tail_and_says_what_was_cut() {
        let limits = LogLimits { head_bytes: 4, tail_bytes: 3 };
        check(limits, &[b"ab", b"cd"], b"abcd", 0);
        check(limits, &[b"ab", b"cdef", b"g"], b"abcdefg", 0);
        check(limits, &[b"abcdefghij", b"k"], b"abcd[windlass: 4 bytes of this log were cut here]ijk", 4);
        check(
            limits,
            &[b"abcd", b"efghijkl", b"mnop"],
            b"abcd[windlass: 9 bytes of this log were cut here]nop",
            9,
        );
    }
}
