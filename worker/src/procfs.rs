//! What `/proc` says of processes. Reads only; a process that vanishes meanwhile is simply not there.

use rustix::process::Pid;
use std::fs;
use std::sync::LazyLock;

/// The parts of `/proc/<pid>/stat` that we need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: Pid,
    /// `Z` for a zombie, `R`, `S`, `D`, `T` …
    pub state: u8,
    /// Its parent; 0 for the kernel's own.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// When it started, clock ticks since boot: with the pid, its identity within one boot.
    pub start_ticks: u64,
}

/// One process, if it is there.
pub fn stat(pid: Pid) -> Option<Stat> {
    let text = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    parse(pid, &text)
}

/// The command's name may hold blanks and parentheses, so the fields are counted after the last one.
fn parse(pid: Pid, text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Field 22 of the whole line; the iterator stands before field 6.
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { pid, state, parent, group, start_ticks })
}

/// Every process that can be seen.
pub fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Whether the environment a process was started with has this `NAME=value`. False when it cannot be read.
pub fn environment_has(pid: Pid, entry: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|part| part == entry.as_bytes())
}

/// What a variable is in the environment a process was started with, if that can be read.
pub fn environment_value(pid: Pid, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    let value = |part: &[u8]| part.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
    String::from_utf8(environment.split(|&byte| byte == 0).find_map(value)?).ok()
}

/// Whether the environment a process was started with has a variable of this name.
pub fn environment_names(pid: Pid, name: &str) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    let named = |part: &[u8]| part.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    environment.split(|&byte| byte == 0).any(named)
}

/// The command line for people: arguments joined by blanks, at most 200 bytes.
pub fn command_line(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    text.trim_end().to_owned()
}

/// A process for people: its pid, its user, its command line.
pub fn describe(pid: Pid) -> String {
    let user =
        user(pid).map_or("unknown".to_owned(), |uid| user_name(uid).unwrap_or_else(|| uid.to_string()));
    let command = Some(command_line(pid)).filter(|line| !line.is_empty());
    let command = command.unwrap_or_else(|| "not visible from here".to_owned());
    format!("pid {}, user {user}: {command}", pid.as_raw_nonzero())
}

/// The user id that owns a process.
pub fn user(pid: Pid) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How many threads a process has.
pub fn threads(pid: Pid) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?, "Threads:")
}

/// What a process has in memory, what it shares with others counted whole.
pub fn resident_bytes(pid: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What a process has in memory, what it shares counted by its part.
pub fn fair_bytes(pid: Pid) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero())).ok()?;
    field(&text, "Pss:").map(|kib| kib << 10)
}

/// The first number of the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
}

/// The name of a user of this machine, as its own files have it.
fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// The numbers that a process has in the namespaces below ours, its own last; its number here first.
pub fn numbers(pid: Pid) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// This boot's id: a process of another boot is gone, whatever its pid. It outlives no process, and is read once.
pub fn boot_id() -> &'static str {
    static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    });
    &BOOT_ID
}

/// How often the kernel has killed for memory since boot.
pub fn oom_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let pid = Pid::from_raw(42).expect("not zero");
        let line = b"42 (a) b) (c) S 7 9 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 0 0";
        let stat = parse(pid, line).expect("well formed");
        assert_eq!((stat.state, stat.parent, stat.group, stat.start_ticks), (b'S', 7, 9, 123_456));
        assert_eq!(parse(pid, b"42 (sh"), None);
        assert_eq!(parse(pid, b""), None);
    }

    #[test]
    fn this_process_is_found_with_its_parent_and_start() {
        let own = stat(rustix::process::getpid()).expect("we live");
        assert_eq!(own.parent, rustix::process::getppid().expect("a parent").as_raw_nonzero().get());
        assert!(own.start_ticks > 0);
        assert!(all().any(|pid| pid == own.pid));
        assert!(threads(own.pid).is_some_and(|count| count > 0));
        let (whole, part) =
            (resident_bytes(own.pid).expect("readable"), fair_bytes(own.pid).expect("readable"));
        assert!(whole > 0 && part > 0 && part < 2 * whole, "{part} of {whole}");
    }
}
