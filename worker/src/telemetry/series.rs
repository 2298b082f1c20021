//! The rows of one run in a file: appended, read again after a restart, thinned when there are many, and in
//! the end summed up.

use super::FILE;
use super::row::{Row, header};
use crate::durable;
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use windlass_shared::machine::Flag;

/// When there are so many, each two become one, and rows come half as often: a table of at most 60 KB for a
/// CPU run, and 25 minutes of two-second rows before the first thinning.
const ROWS_MAX: usize = 800;
/// Between rows, at first.
const INTERVAL_MS: u64 = 2_000;
/// More than a table has, bytes: rows of eight GPUs have some hundred.
const TABLE_MAX_BYTES: u64 = 4 << 20;
/// Circumstances count when they held in at least one row of so many.
const SHARE: usize = 10;

/// A table that is being written.
#[derive(Debug)]
pub struct Series {
    path: PathBuf,
    rows: Vec<Row>,
    gpus: usize,
    interval_ms: u64,
}

impl Series {
    /// The table in an attempt's folder, with what an earlier daemon has left there.
    pub fn open(dir: &Path, gpus: usize) -> Self {
        let path = dir.join(FILE);
        let rows = read(&path, gpus);
        // What was thinned before is thinned still: its rows stand that far apart.
        let apart = |pair: &[Row]| pair[1].elapsed_ms.saturating_sub(pair[0].elapsed_ms);
        let least = rows.windows(2).map(apart).min().unwrap_or(INTERVAL_MS);
        let mut interval_ms = INTERVAL_MS;
        while interval_ms * 3 / 2 < least && rows.len() > 1 {
            interval_ms *= 2;
        }
        Self { path, rows, gpus, interval_ms }
    }

    /// Whether a row is due at this time.
    pub fn is_due(&self, elapsed_ms: u64) -> bool {
        // A tick that comes a little early is not put off for a whole one.
        let after = |row: &Row| row.elapsed_ms + self.interval_ms - INTERVAL_MS / 4;
        self.rows.last().is_none_or(|row| elapsed_ms >= after(row))
    }

    /// Adds a row. A table that cannot be written is given up in silence for this row: it must not end a run.
    pub fn push(&mut self, row: Row) -> io::Result<()> {
        let is_first = self.rows.is_empty();
        self.rows.push(row);
        if self.rows.len() >= ROWS_MAX {
            self.thin();
            return self.write_all();
        }
        if is_first {
            return self.write_all();
        }
        let line = self.rows.last().map(Row::to_line).unwrap_or_default();
        let mut table = File::options();
        // A pipe that a run puts in its place must not make anybody wait.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut table = table.append(true).custom_flags(flags.bits().cast_signed()).open(&self.path)?;
        table.write_all(line.as_bytes())
    }

    fn thin(&mut self) {
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        while let Some(first) = rows.next() {
            self.rows.push(match rows.next() {
                Some(second) => first.merge(second),
                None => first,
            });
        }
        self.interval_ms *= 2;
    }

    /// Not synced: after a power cut nobody asks for it.
    fn write_all(&self) -> io::Result<()> {
        let beside = self.path.with_extension("tsv.new");
        durable::create(&beside)?.write_all(text(&self.rows, self.gpus).as_bytes())?;
        fs::rename(&beside, &self.path)
    }
}

/// A run's whole table, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    rows: Vec<Row>,
    gpus: usize,
}

impl Summary {
    /// What stands in an attempt's folder; nothing when no row was ever due.
    pub fn of(dir: &Path, gpus: usize) -> Self {
        Self { rows: read(&dir.join(FILE), gpus), gpus }
    }

    /// The table, header first.
    pub fn table(&self) -> String {
        text(&self.rows, self.gpus)
    }

    /// One line that a conclusion can quote.
    pub fn line(&self, seconds: &str) -> String {
        let mut line = format!("{seconds} s on the worker");
        let Some(last) = self.rows.last() else { return line + ", too short for a sample" };
        let mut add = |text: String| {
            line.push_str(", ");
            line.push_str(&text);
        };
        if let Some(cores) = mean(self.rows.iter().filter_map(|row| row.cpu_cores)) {
            add(format!("{cores:.1} cores"));
        }
        if let Some(bytes) = self.rows.iter().filter_map(|row| row.memory_bytes).max() {
            add(format!("{} MiB of memory", bytes >> 20));
        }
        for gpu in 0..last.gpus.len() {
            let of = || self.rows.iter().filter_map(move |row| row.gpus.get(gpu));
            if let Some(percent) = mean(of().filter_map(|it| it.utilization_percent).map(f64::from)) {
                add(format!("GPU {gpu} {percent:.0} % busy"));
            }
            if let Some(bytes) = of().filter_map(|it| it.memory_bytes).max() {
                add(format!("{} MiB of its memory", bytes >> 20));
            }
            if let Some(hottest) = of().filter_map(|it| it.temperature_c).max() {
                add(format!("{hottest} °C at most"));
            }
        }
        for flag in self.flags() {
            add(flag.as_str().to_owned());
        }
        line
    }

    /// The circumstances that stand beside the metric.
    pub fn flags(&self) -> Vec<Flag> {
        let many = |is_so: fn(&Row) -> bool| {
            let count = self.rows.iter().filter(|row| is_so(row)).count();
            count > 0 && count * SHARE >= self.rows.len()
        };
        let mut flags = Vec::new();
        // One process of another on the GPU may have taken its memory bandwidth for that long.
        if many(|row| row.contended_cpu) || self.rows.iter().any(|row| row.contended_gpu) {
            flags.push(Flag::Contended);
        }
        if many(|row| row.gpus.iter().any(|gpu| gpu.throttle.is_some_and(|bits| bits != 0))) {
            flags.push(Flag::Throttled);
        }
        flags
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn text(rows: &[Row], gpus: usize) -> String {
    let mut text = header(gpus);
    text.extend(rows.iter().map(Row::to_line));
    text
}

/// Rows of a file, as far as they are whole; of one that is not there, none.
fn read(path: &Path, gpus: usize) -> Vec<Row> {
    let bytes = durable::read_at_most(path, TABLE_MAX_BYTES).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, body)) = text.split_once('\n') else { return Vec::new() };
    if format!("{head}\n") != header(gpus) {
        return Vec::new();
    }
    // A last line without its break is torn.
    let whole = body.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(|line| Row::parse(line, gpus)).take(ROWS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::full;
    use super::*;

    #[test]
    fn rows_are_bounded_and_none_of_the_time_is_lost() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut series = Series::open(dir.path(), 2);
        let mut pushed = 0;
        for tick in 1..=10_000_u64 {
            if series.is_due(tick * 2_000) {
                series.push(full(tick * 2_000)).expect("written");
                pushed += 1;
            }
        }
        assert!(pushed < 3_500, "{pushed}");
        let table = Summary::of(dir.path(), 2).table();
        let lines = table.lines().count();
        assert!((400..=ROWS_MAX + 1).contains(&lines), "{lines} lines");
        let last: f64 =
            table.lines().last().and_then(|it| it.split('\t').next()?.parse().ok()).expect("a row");
        assert!(last > 19_900.0, "{last}");
        // Another daemon goes on, in the same step.
        let again = Series::open(dir.path(), 2);
        assert_eq!((again.rows.len(), again.interval_ms), (series.rows.len(), series.interval_ms));
    }

    #[test]
    fn a_torn_table_is_read_as_far_as_it_goes_and_a_foreign_one_not_at_all() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut series = Series::open(dir.path(), 2);
        series.push(full(1_000)).expect("written");
        series.push(full(3_000)).expect("written");
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).expect("a table");
        fs::write(&path, &text[..text.len() - 3]).expect("a file");
        let mut series = Series::open(dir.path(), 2);
        assert_eq!(series.rows, [full(1_000)]);
        series.push(full(5_000)).expect("written");
        assert!(Summary::of(dir.path(), 1).rows.is_empty());
        fs::write(&path, "a run's own\n").expect("a file");
        assert!(Summary::of(dir.path(), 2).rows.is_empty());
        fs::remove_file(&path).expect("a file");
        assert_eq!(Summary::of(dir.path(), 0).table(), header(0));
        assert!(Summary::of(dir.path(), 0).line("0.1").ends_with("too short for a sample"));
    }

    #[test]
    fn contention_and_throttling_are_flags_when_they_are_more_than_a_moment() {
        let quiet = Row { contended_cpu: false, gpus: vec![Default::default()], ..full(0) };
        let busy = Row { contended_cpu: true, ..quiet.clone() };
        let shared = Row { contended_gpu: true, ..quiet.clone() };
        let mut hot = quiet.clone();
        hot.gpus[0].throttle = Some(0x20);
        let check = |odd: &Row, count: usize, want: &[Flag]| {
            let rows = vec![quiet.clone(); 20 - count].into_iter().chain(vec![odd.clone(); count]).collect();
            assert_eq!(Summary { rows, gpus: 1 }.flags(), want, "{odd:?} {count}");
        };
        check(&quiet, 20, &[]);
        check(&busy, 1, &[]);
        check(&busy, 2, &[Flag::Contended]);
        check(&shared, 1, &[Flag::Contended]);
        check(&hot, 1, &[]);
        check(&hot, 2, &[Flag::Throttled]);
        let line = Summary { rows: vec![full(0)], gpus: 2 }.line("12.5");
        assert_eq!(
            line,
            "12.5 s on the worker, 1.5 cores, 7168 MiB of memory, GPU 0 97 % busy, 4096 MiB of its memory, \
             61 °C at most, contended, throttled"
        );
    }
}
