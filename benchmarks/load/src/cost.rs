//! What the work cost: processor time, as the kernel counts it.

use std::fs;

/// Milliseconds in one clock tick of `/proc`: 100 Hz on every Linux that matters here.
const TICK_MS: f64 = 10.0;

/// Busy time of the whole machine since its start, milliseconds: runs and their shims are in it, and
/// whatever else the machine does.
pub fn machine_ms() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|text| text.parse().ok()).collect();
    // user, nice, system, then idle and iowait, then irq, softirq, steal.
    [0, 1, 2, 5, 6].iter().filter_map(|&index| ticks.get(index)).sum::<f64>() * TICK_MS
}

/// Memory of one process that is not on the disk, bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
}

/// Files and connections that one process has open.
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Processor time of one process and of its children that have ended, milliseconds.
pub fn process_ms(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    // After the name: state is field 3; utime, stime, cutime, cstime are 14 to 17.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields.iter().skip(11).take(4).filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() * TICK_MS
}
