//! One row of the table, and the text that it becomes and is read from.

use std::fmt::Write;
use std::str::FromStr;

/// Columns that every row has; see [`Row`].
const COLUMNS: &str = "elapsed_s\tcpu_cores\tmemory_bytes\tread_bytes\twritten_bytes\tprocesses\tcontended";
/// NVML's bits, in words; what is not here means nothing bad: idle, or clocks that were asked for.
const THROTTLES: [(u64, &str); 6] = [
    (0x04, "power_cap"),
    (0x08, "hardware_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "thermal"),
    (0x40, "hardware_thermal"),
    (0x80, "hardware_power_brake"),
];

/// What was seen at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Since the shim's start, milliseconds.
    pub elapsed_ms: u64,
    /// CPUs that the tree kept busy since the row before, as a mean.
    pub cpu_cores: Option<f64>,
    /// Resident memory of the tree; what processes share counts for each.
    pub memory_bytes: Option<u64>,
    /// Read from disks so far.
    pub read_bytes: Option<u64>,
    /// Written to disks so far, the log among it.
    pub written_bytes: Option<u64>,
    /// Processes of the tree.
    pub processes: Option<u64>,
    /// Others kept the CPUs busy that this run may use.
    pub contended_cpu: bool,
    /// Others were on a leased GPU.
    pub contended_gpu: bool,
    /// The leased GPUs, in the order of the lease.
    pub gpus: Vec<GpuRow>,
}

/// One GPU at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuRow {
    /// Share of time in which something ran on it, per cent.
    pub utilization_percent: Option<u32>,
    /// In use.
    pub memory_bytes: Option<u64>,
    /// Drawn now, milliwatts.
    pub power_mw: Option<u32>,
    /// Degrees Celsius.
    pub temperature_c: Option<u32>,
    /// NVML's bits for what slows it down; only those that [`Row`]'s text has words for.
    pub throttle: Option<u64>,
}

/// The table's first line.
pub fn header(gpus: usize) -> String {
    let mut text = COLUMNS.to_owned();
    for gpu in 0..gpus {
        for column in ["utilization_percent", "memory_bytes", "power_w", "temperature_c", "throttle"] {
            write!(text, "\tgpu{gpu}_{column}").expect(TAKES);
        }
    }
    text.push('\n');
    text
}

impl Row {
    /// One line, with its break.
    pub fn to_line(&self) -> String {
        let mut text = format!("{}.{}", self.elapsed_ms / 1000, self.elapsed_ms % 1000 / 100);
        cell(&mut text, self.cpu_cores.map(|cores| format!("{cores:.2}")));
        for number in [self.memory_bytes, self.read_bytes, self.written_bytes, self.processes] {
            cell(&mut text, number);
        }
        let who = [("cpu", self.contended_cpu), ("gpu", self.contended_gpu)];
        let who: Vec<&str> = who.into_iter().filter(|(_, is_so)| *is_so).map(|(who, _)| who).collect();
        cell(&mut text, Some(who.join(",")));
        for gpu in &self.gpus {
            cell(&mut text, gpu.utilization_percent);
            cell(&mut text, gpu.memory_bytes);
            cell(&mut text, gpu.power_mw.map(|mw| format!("{}.{}", mw / 1000, mw % 1000 / 100)));
            cell(&mut text, gpu.temperature_c);
            cell(&mut text, gpu.throttle.map(throttle_words));
        }
        text.push('\n');
        text
    }

    /// A line as [`Row::to_line`] wrote it, of a run with so many GPUs; none when it is torn or another's.
    pub fn parse(line: &str, gpus: usize) -> Option<Self> {
        let mut cells = line.split('\t');
        let elapsed_ms = tenths(cells.next()?)? * 100;
        let cpu_cores = read::<f64>(cells.next()?)?;
        let mut number = || read::<u64>(cells.next()?);
        let (memory_bytes, read_bytes, written_bytes) = (number()?, number()?, number()?);
        let processes = number()?;
        let contended = cells.next()?;
        let mut row = Self {
            elapsed_ms,
            cpu_cores,
            memory_bytes,
            read_bytes,
            written_bytes,
            processes,
            contended_cpu: contended.contains("cpu"),
            contended_gpu: contended.contains("gpu"),
            gpus: Vec::new(),
        };
        for _ in 0..gpus {
            row.gpus.push(GpuRow {
                utilization_percent: read(cells.next()?)?,
                memory_bytes: read(cells.next()?)?,
                power_mw: match cells.next()? {
                    "" => None,
                    watts => Some(u32::try_from(tenths(watts)? * 100).ok()?),
                },
                temperature_c: read(cells.next()?)?,
                throttle: throttle_bits(cells.next()?)?,
            });
        }
        cells.next().is_none().then_some(row)
    }

    /// Makes one row of two that follow each other: rates as their mean, circumstances of both, everything
    /// else as it was last.
    pub fn merge(self, later: Self) -> Self {
        let gpus = self.gpus.into_iter().zip(later.gpus);
        Self {
            cpu_cores: mean(self.cpu_cores, later.cpu_cores),
            contended_cpu: self.contended_cpu || later.contended_cpu,
            contended_gpu: self.contended_gpu || later.contended_gpu,
            gpus: gpus
                .map(|(first, second)| GpuRow {
                    utilization_percent: mean_of(first.utilization_percent, second.utilization_percent),
                    power_mw: mean_of(first.power_mw, second.power_mw),
                    throttle: match (first.throttle, second.throttle) {
                        (Some(first), Some(second)) => Some(first | second),
                        (first, second) => first.or(second),
                    },
                    ..second
                })
                .collect(),
            ..later
        }
    }
}

/// Only what slows a device down for heat or power.
pub fn slowing(bits: u64) -> u64 {
    bits & THROTTLES.iter().map(|(bit, _)| bit).sum::<u64>()
}

fn cell(text: &mut String, value: Option<impl std::fmt::Display>) {
    text.push('\t');
    if let Some(value) = value {
        write!(text, "{value}").expect(TAKES);
    }
}

/// An empty cell is absent; one that is no number spoils the row.
fn read<T: FromStr>(cell: &str) -> Option<Option<T>> {
    if cell.is_empty() { Some(None) } else { cell.parse().ok().map(Some) }
}

fn tenths(text: &str) -> Option<u64> {
    let (whole, tenth) = text.split_once('.')?;
    (tenth.len() == 1).then_some(())?;
    whole.parse::<u64>().ok()?.checked_mul(10)?.checked_add(tenth.parse().ok()?)
}

fn throttle_words(bits: u64) -> String {
    let words: Vec<&str> =
        THROTTLES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(",") }
}

fn throttle_bits(cell: &str) -> Option<Option<u64>> {
    match cell {
        "" => return Some(None),
        "none" => return Some(Some(0)),
        _ => {}
    }
    let bit = |word: &str| THROTTLES.iter().find(|(_, known)| *known == word).map(|(bit, _)| *bit);
    cell.split(',').map(bit).sum::<Option<u64>>().map(Some)
}

fn mean(first: Option<f64>, second: Option<f64>) -> Option<f64> {
    match (first, second) {
        (Some(first), Some(second)) => Some(f64::midpoint(first, second)),
        (first, second) => first.or(second),
    }
}

fn mean_of(first: Option<u32>, second: Option<u32>) -> Option<u32> {
    match (first, second) {
        (Some(first), Some(second)) => Some(u32::midpoint(first, second)),
        (first, second) => first.or(second),
    }
}

const TAKES: &str = "a string takes everything";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A row with everything in it.
    pub fn full(elapsed_ms: u64) -> Row {
        Row {
            elapsed_ms,
            cpu_cores: Some(1.5),
            memory_bytes: Some(7 << 30),
            read_bytes: Some(0),
            written_bytes: Some(12),
            processes: Some(3),
            contended_cpu: true,
            contended_gpu: false,
            gpus: vec![
                GpuRow {
                    utilization_percent: Some(97),
                    memory_bytes: Some(4 << 30),
                    power_mw: Some(350_500),
                    temperature_c: Some(61),
                    throttle: Some(0x24),
                },
                GpuRow::default(),
            ],
        }
    }

    #[test]
    fn a_row_reads_back_as_it_was_and_what_is_absent_stays_absent() {
        let absent = Row { gpus: vec![GpuRow { throttle: Some(0), ..GpuRow::default() }], ..Row::default() };
        for row in [full(2_300), Row { gpus: Vec::new(), ..full(100) }, absent, Row::default()] {
            let line = row.to_line();
            let columns = header(row.gpus.len()).matches('\t').count();
            assert_eq!(line.matches('\t').count(), columns, "{line}");
            assert_eq!(Row::parse(line.trim_end_matches('\n'), row.gpus.len()), Some(row));
        }
        assert_eq!(
            full(2_300).to_line(),
            "2.3\t1.50\t7516192768\t0\t12\t3\tcpu\t97\t4294967296\t350.5\t61\tpower_cap,thermal\t\t\t\t\t\n"
        );
    }

    #[test]
    fn a_torn_or_foreign_line_is_no_row() {
        let line = full(0).to_line();
        let line = line.trim_end_matches('\n');
        for wrong in ["", "elapsed_s\tx", &line[..line.len() - 1], &line[..20], &format!("{line}\tmore")] {
            assert_eq!(Row::parse(wrong, 2), None, "{wrong:?}");
        }
        assert_eq!(Row::parse(line, 1), None);
        assert_eq!(Row::parse(&line.replace("thermal", "magic"), 2), None);
    }

    #[test]
    fn two_rows_become_one_that_hides_no_circumstance() {
        let mut later = full(4_000);
        later.cpu_cores = Some(0.5);
        later.contended_cpu = false;
        later.gpus[0].throttle = Some(0);
        later.gpus[0].utilization_percent = Some(1);
        let merged = full(2_000).merge(later);
        assert_eq!((merged.elapsed_ms, merged.cpu_cores, merged.contended_cpu), (4_000, Some(1.0), true));
        assert_eq!(merged.gpus[0].throttle, Some(0x24));
        assert_eq!(merged.gpus[0].utilization_percent, Some(49));
        assert_eq!(merged.gpus[1], GpuRow::default());
    }
}
