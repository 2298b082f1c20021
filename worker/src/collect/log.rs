//! One pass over a finished log: the metric, the hash, the end. Memory stays bounded whatever the log
//! (I18).

use crate::durable;
use crate::error::Error;
use std::io::{self, Read};
use std::path::Path;
use windlass_engine::gate::anchor;
use windlass_engine::metric::Reader;
use windlass_shared::attempt::{MetricSpec, Reading};
use windlass_shared::digest::Hash;

/// Bytes read at a time.
const PIECE_BYTES: usize = 128 << 10;
/// The end of the log that is looked at: 200 lines of 1 KiB and some.
const END_MAX_BYTES: usize = 256 << 10;
/// Lines in which carried fixes' patterns are looked for (P19).
const PATTERN_LINES: usize = 200;
/// Lines of the tail that goes into the ledger (P19).
const TAIL_LINES: usize = 50;
/// And its bytes: fifty lines of more than a kilobyte each, which is a dump and no message.
const TAIL_MAX_BYTES: usize = 64 << 10;

/// Room for the line that says that a tail was cut.
const CUT_MAX_BYTES: usize = 128;

/// What a log says.
#[derive(Clone, Debug)]
pub struct LogReading {
    /// Whether there is one.
    pub is_there: bool,
    /// The metric, when one was asked for (P18).
    pub reading: Option<Reading>,
    /// Its bytes.
    pub bytes: u64,
    /// Its line breaks, and one more for a last line without.
    pub lines: u64,
    /// Of all of it.
    pub hash: Hash,
    /// Its last [`PATTERN_LINES`] lines, within [`END_MAX_BYTES`].
    pub end: String,
    /// Indexes of the patterns that match one of these lines.
    pub matches: Vec<u32>,
}

/// Reads the log at `path`; one that is not there is empty. It has `most_bytes`: one that is longer is not what was
/// printed, and is read no further than shows that. The metric is read from its first `in_time_bytes` alone, where
/// what was printed later does not count (P16): a line that was torn there is none.
pub fn read(
    path: &Path,
    most_bytes: u64,
    metric: Option<&MetricSpec>,
    in_time_bytes: Option<u64>,
    patterns: &[String],
) -> Result<LogReading, Error> {
    let mut reader = metric.map(Reader::new);
    let mut hasher = blake3::Hasher::new();
    let (mut bytes, mut breaks, mut last) = (0_u64, 0_u64, b'\n');
    let mut end: Vec<u8> = Vec::with_capacity(2 * PIECE_BYTES);
    let mut buffer = vec![0; PIECE_BYTES];
    let mut file = match durable::open(path) {
        Ok(file) => Some(file.take(most_bytes.saturating_add(1))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::file("open", path)(error)),
    };
    let is_there = file.is_some();
    while let Some(file) = file.as_mut() {
        let count = file.read(&mut buffer).map_err(Error::file("read", path))?;
        let Some(&final_byte) = buffer[..count].last() else { break };
        let piece = &buffer[..count];
        if let Some(reader) = reader.as_mut() {
            let left = in_time_bytes.unwrap_or(u64::MAX).saturating_sub(bytes);
            reader.push(&piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))]);
        }
        hasher.update(piece);
        bytes += count as u64;
        breaks += piece.iter().filter(|&&byte| byte == b'\n').count() as u64;
        last = final_byte;
        end.extend_from_slice(piece);
        if end.len() > 2 * END_MAX_BYTES {
            end.drain(..end.len() - END_MAX_BYTES);
        }
    }
    end.drain(..end.len().saturating_sub(END_MAX_BYTES));
    let end = last_lines(&String::from_utf8_lossy(&end), PATTERN_LINES);
    let matches = matches(&end, patterns);
    let lines = breaks + u64::from(last != b'\n');
    let hash = Hash(*hasher.finalize().as_bytes());
    let is_torn = in_time_bytes.is_some_and(|in_time| in_time < bytes);
    let reading = reader.map(|reader| if is_torn { reader.finish_torn() } else { reader.finish() });
    Ok(LogReading { is_there, reading, bytes, lines, hash, end, matches })
}

impl LogReading {
    /// The last lines for the ledger, bounded.
    pub fn tail(&self) -> String {
        let mut tail = last_lines(&self.end, TAIL_LINES);
        if tail.len() > TAIL_MAX_BYTES {
            let lines = tail.lines().count();
            let room = TAIL_MAX_BYTES - CUT_MAX_BYTES;
            let cut = (tail.len() - room..tail.len()).find(|&at| tail.is_char_boundary(at));
            tail.drain(..cut.unwrap_or(tail.len()));
            let left = tail.lines().count();
            tail.insert_str(
                0,
                &format!("[of the last {lines} lines these are the end, {left} lines; the log has all]\n"),
            );
        }
        tail
    }
}

fn last_lines(text: &str, most: usize) -> String {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let begin = body.rmatch_indices('\n').nth(most - 1).map_or(0, |(at, _)| at + 1);
    body[begin..].to_owned()
}

fn matches(end: &str, patterns: &[String]) -> Vec<u32> {
    let mut found = Vec::new();
    // One purse for all of them: patterns that were built to be slow end with it, and match nothing.
    let mut purse = anchor::Purse::full();
    for (index, pattern) in (0_u32..).zip(patterns) {
        // A pattern that is none was refused with its lever; here it matches nothing.
        let Ok(pattern) = anchor::compile(pattern) else { continue };
        // `\r` redraws a line: what stands after it is a line for its reader.
        if purse.pay(&pattern, end.len())
            && end.split(['\n', '\r']).any(|line| pattern.is_match(line.as_bytes()))
        {
            found.push(index);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::bindings::MetricLine;

    fn check(log: &[u8], patterns: &[&str]) -> LogReading {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run.log");
        std::fs::write(&path, log).expect("a log");
        let metric = MetricSpec { name: "acc".to_owned(), line: MetricLine::Last, range: None };
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        read(&path, log.len() as u64, Some(&metric), None, &patterns).expect("readable")
    }

    #[test]
    fn a_log_is_read_once_for_metric_hash_lines_and_end() {
        let log = check(b"epoch 1\nacc: 0.5\nlast", &[]);
        assert!(matches!(&log.reading, Some(Reading::Metric { line: 2, .. })), "{:?}", log.reading);
        assert_eq!((log.bytes, log.lines), (21, 3));
        assert_eq!(log.hash, Hash::of(b"epoch 1\nacc: 0.5\nlast"));
        assert_eq!(log.tail(), "epoch 1\nacc: 0.5\nlast");
        let empty = check(b"", &["x"]);
        assert_eq!((empty.bytes, empty.lines, empty.tail()), (0, 0, String::new()));
        assert!(empty.matches.is_empty());
    }

    #[test]
    fn p16_only_what_was_printed_in_time_says_the_metric() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run.log");
        std::fs::write(&path, b"acc: 0.5\nacc: 0.6\nacc: 0.7").expect("a log");
        let metric = MetricSpec { name: "acc".to_owned(), line: MetricLine::Last, range: None };
        for (in_time_bytes, want) in [
            (None, Some("0.7")),
            (Some(26), Some("0.7")),
            (Some(25), Some("0.6")),
            (Some(18), Some("0.6")),
            (Some(17), Some("0.5")),
            (Some(8), None),
            (Some(0), None),
        ] {
            let log = read(&path, u64::MAX, Some(&metric), in_time_bytes, &[]).expect("readable");
            let value = log.reading.as_ref().and_then(Reading::value).map(ToString::to_string);
            assert_eq!(value.as_deref(), want, "{in_time_bytes:?}");
            assert_eq!((log.bytes, log.lines), (26, 3), "the log itself is whole");
        }
    }

    #[test]
    fn p19_patterns_are_looked_for_in_the_last_200_lines() {
        let mut log = b"early trouble\n".to_vec();
        for n in 0..199 {
            log.extend(format!("line {n}\n").bytes());
        }
        assert_eq!(check(&log, &["(", "trouble", "^line 198$", "nothing"]).matches, [1, 2]);
        log.extend(b"one more\n");
        assert_eq!(check(&log, &["trouble", "\\bmore$"]).matches, [1]);
    }

    #[test]
    fn i18_a_line_of_millions_costs_no_memory_and_the_tail_stays_bounded() {
        let mut log = vec![b'x'; 3_000_000];
        log.extend("ü".repeat(6000).bytes());
        let log = check(&log, &[]);
        assert!(log.end.len() <= END_MAX_BYTES + 3);
        assert!(log.tail().len() <= TAIL_MAX_BYTES && log.tail().ends_with('ü'));
    }

    #[test]
    fn p19_the_last_50_lines_are_told_whole_and_a_cut_is_said() {
        let lines = |count: usize, length: usize| -> Vec<u8> {
            (1..=count).flat_map(|n| format!("{n:04}{}\n", "x".repeat(length)).into_bytes()).collect()
        };
        // Far more than a traceback: fifty lines of a kilobyte.
        let tail = check(&lines(80, 1_000), &[]).tail();
        assert_eq!((tail.lines().count(), &tail[..4], tail.len()), (50, "0031", 50 * 1_005 - 1));
        let tail = check(&lines(80, 4_000), &[]).tail();
        assert!(tail.len() <= TAIL_MAX_BYTES, "{}", tail.len());
        assert!(tail.starts_with("[of the last 50 lines these are the end, 17 lines; the log has all]\n"));
        assert!(tail.contains("\n0080x"), "the very end is there");
    }
}
