//! A forked process under its own name: its command line and the variable that tells it from every other
//! process are written over those it was started with, where the kernel reads them. Room for them is left when
//! the process that forks is started.

use super::record::Identity;
use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest nonce, bytes.
pub const NONCE_MAX_BYTES: usize = 120;
/// The longest command line that is shown whole, bytes.
const LINE_MAX_BYTES: usize = 600;

/// What stands in the command line's place until there is one.
pub fn line_room() -> String {
    " ".repeat(LINE_MAX_BYTES)
}

/// What stands in the nonce's place until there is one.
pub fn nonce_room() -> String {
    ".".repeat(NONCE_MAX_BYTES)
}

/// Where the kernel finds this process's command line, and the value of its nonce.
#[derive(Clone, Debug)]
pub struct Title {
    line: Range<usize>,
    nonce: Range<usize>,
}

impl Title {
    /// Of a process that was started with room for both; nothing without.
    pub fn find() -> Option<Self> {
        let (line, environment) = places(&fs::read("/proc/self/stat").ok()?)?;
        let bytes = fs::read("/proc/self/environ").ok()?;
        let name = format!("{}=", Identity::VARIABLE);
        let mut at = 0;
        for entry in bytes.split(|&byte| byte == 0) {
            if entry.starts_with(name.as_bytes()) && entry.len() == name.len() + NONCE_MAX_BYTES {
                let begin = environment.start + at + name.len();
                return (begin + NONCE_MAX_BYTES <= environment.end)
                    .then_some(Self { line, nonce: begin..begin + NONCE_MAX_BYTES });
            }
            at += entry.len() + 1;
        }
        None
    }

    /// Writes the command line, as much of it as there is room for.
    pub fn show(&self, words: &[&OsStr]) {
        let mut line = words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&0);
        line.truncate(self.line.len().saturating_sub(1));
        write(&self.line, &line);
    }

    /// Writes the nonce: from now on this process is found by it.
    pub fn bear(&self, nonce: &str) {
        write(&self.nonce, nonce.as_bytes());
    }
}

/// The words of a shim's command line.
pub fn of_shim<'a>(exe: &'a Path, dir: &'a Path) -> [&'a OsStr; 3] {
    [exe.as_os_str(), OsStr::new("shim"), dir.as_os_str()]
}

/// The places of the command line and of the environment in this process's memory: fields 48 to 51 of
/// `/proc/self/stat`.
fn places(stat: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    // The first field after the name is the third of the line.
    let mut fields = rest.split_ascii_whitespace().skip(45).map(str::parse::<usize>);
    let mut next = || fields.next()?.ok().filter(|&place| place > 0);
    let (line, environment) = (next()?..next()?, next()?..next()?);
    (line.start < line.end && environment.start < environment.end).then_some((line, environment))
}

/// Fills a place with `bytes`, and with zeros behind them.
#[expect(unsafe_code, reason = "the kernel reads both where they were put at the start of the process")]
fn write(place: &Range<usize>, bytes: &[u8]) {
    let count = bytes.len().min(place.len());
    let to = std::ptr::with_exposed_provenance_mut::<u8>(place.start);
    // SAFETY: the kernel has named the place as this process's own, writable stack; it lies above every frame,
    // and with one thread nobody reads the environment meanwhile.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count);
        std::ptr::write_bytes(to.add(count), 0, place.len() - count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_those_that_the_kernel_names() {
        let numbers: Vec<String> = (3..=52).map(|field| (field * 10).to_string()).collect();
        let line = format!("42 (a) b) {}", numbers.join(" "));
        assert_eq!(places(line.as_bytes()), Some((480..490, 500..510)));
        for cut in ["42 (a)", "42 (a) S 1 2 3", "", &line[..line.len() - 12]] {
            assert_eq!(places(cut.as_bytes()), None, "{cut}");
        }
        let own = fs::read("/proc/self/stat").expect("we live");
        assert!(places(&own).is_some(), "a process of ours may see its own");
    }

    #[test]
    fn a_process_without_room_has_no_title() {
        // A test's environment has no nonce.
        assert!(Title::find().is_none());
    }
}
