//! How busy this machine is, as the kernel counts it. Two small files of `/proc`; what cannot be read is left out.

use std::fs;
use std::time::{Duration, Instant};
use windlass_shared::device::Load;

/// How old a reading may be that is told: the kernel works its average out anew every 5 s, and reports of short runs
/// come by the hundred a second.
const AGE_MAX: Duration = Duration::from_secs(5);

/// The load as it was read last.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadMeter {
    last: Option<(Instant, Load)>,
}

impl LoadMeter {
    /// The load, read again when the last reading is old.
    pub fn read(&mut self) -> Load {
        match self.last {
            Some((read, load)) if read.elapsed() < AGE_MAX => load,
            _ => self.last.insert((Instant::now(), load())).1,
        }
    }
}

/// A reading of this moment.
fn load() -> Load {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    Load {
        average_hundredths: average_hundredths(&read("/proc/loadavg")),
        memory_available_bytes: memory_available_bytes(&read("/proc/meminfo")),
    }
}

/// The first figure of `/proc/loadavg`, such as `0.52`: the kernel prints two decimals.
fn average_hundredths(text: &str) -> Option<u32> {
    let (whole, hundredths) = text.split_ascii_whitespace().next()?.split_once('.')?;
    let hundredths = hundredths.parse::<u32>().ok().filter(|_| hundredths.len() == 2)?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

/// `MemAvailable` of `/proc/meminfo`, whose `kB` are KiB.
fn memory_available_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_read_to_the_hundredth_or_left_out() {
        for (text, want) in [
            ("0.00 0.01 0.05 1/213 4711\n", Some(0)),
            ("12.07 8.00 4.00 3/990 1\n", Some(1207)),
            ("42949672.99 0.00 0.00 1/1 1\n", None),
            ("1.5 0.00 0.00 1/1 1\n", None),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(average_hundredths(text), want, "{text:?}");
        }
        let meminfo = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(memory_available_bytes(meminfo), Some(2 << 20));
        assert_eq!(memory_available_bytes("MemTotal: 1 kB\n"), None);
        assert!(load().average_hundredths.is_some() && load().memory_available_bytes.is_some());
    }
}
