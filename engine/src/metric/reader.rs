//! The reader of metric lines: `^<metric>:`, blanks, one finite decimal number, end of line (P18).

use crate::metric::lines::{Line, Splitter};
use windlass_shared::attempt::{MetricSpec, Reading};
use windlass_shared::bindings::MetricLine;
use windlass_shared::decimal::Decimal;

/// The most characters of a malformed value that a reason quotes.
const QUOTE_MAX_CHARS: usize = 80;

/// Reads a log as it grows; how it is cut into pieces makes no difference.
#[derive(Clone, Debug)]
pub struct Reader {
    spec: MetricSpec,
    splitter: Splitter,
    candidates: Candidates,
}

/// What has to be remembered of the lines that begin with the metric's name.
#[derive(Clone, Debug, Default)]
struct Candidates {
    first: Option<Candidate>,
    last: Option<Candidate>,
    /// The first malformed one.
    malformed: Option<Candidate>,
    /// The first one whose value differs from that of `first`.
    differing: Option<Candidate>,
}

/// A line that begins with the metric's name and a colon.
#[derive(Clone, Debug)]
struct Candidate {
    line: u64,
    /// The number, or what stands in its place.
    value: Result<Decimal, String>,
}

impl Reader {
    /// A reader of the metric that `spec` describes.
    pub fn new(spec: &MetricSpec) -> Self {
        Self { spec: spec.clone(), splitter: Splitter::default(), candidates: Candidates::default() }
    }

    /// Takes the log's next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { spec, splitter, candidates } = self;
        splitter.push(bytes, |line| candidates.take(&spec.name, line));
    }

    /// The metric, or why there is none. A last line without a newline counts.
    pub fn finish(self) -> Reading {
        let Self { spec, splitter, mut candidates } = self;
        let lines = splitter.finish(|line| candidates.take(&spec.name, line));
        match candidates.pick(&spec, lines) {
            Ok((value, line)) => Reading::Metric { value, line },
            Err(reason) => Reading::None { reason },
        }
    }
}

impl Reader {
    /// As [`Reader::finish`], of a log that was torn in the middle: a last line without a newline does not count.
    pub fn finish_torn(self) -> Reading {
        let Self { spec, splitter, candidates } = self;
        match candidates.pick(&spec, splitter.lines()) {
            Ok((value, line)) => Reading::Metric { value, line },
            Err(reason) => Reading::None { reason },
        }
    }
}

/// Reads a whole log.
pub fn read(bytes: &[u8], spec: &MetricSpec) -> Reading {
    let mut reader = Reader::new(spec);
    reader.push(bytes);
    reader.finish()
}

impl Candidates {
    fn take(&mut self, name: &str, line: Line<'_>) {
        let Some(rest) = line.bytes.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"))
        else {
            return;
        };
        let value = match number(rest) {
            Some(value) if line.whole => Ok(value),
            _ => Err(quote(rest)),
        };
        let candidate = Candidate { line: line.number, value };
        match (&candidate.value, &self.first) {
            (Err(_), _) => _ = self.malformed.get_or_insert_with(|| candidate.clone()),
            (Ok(value), Some(Candidate { value: Ok(first), .. })) if value != first => {
                _ = self.differing.get_or_insert_with(|| candidate.clone());
            }
            _ => {}
        }
        self.first.get_or_insert_with(|| candidate.clone());
        self.last = Some(candidate);
    }

    /// The value that `metric_line` picks. A malformed line is never passed over in favour of another:
    /// under `last`, a run that ends in `nan` has no metric.
    fn pick(self, spec: &MetricSpec, lines: u64) -> Result<(Decimal, u64), String> {
        let name = &spec.name;
        let picked = match spec.line {
            MetricLine::ExactlyOne => self.malformed.or(self.first),
            MetricLine::First => self.first,
            MetricLine::Last => self.last,
        };
        let Some(Candidate { line, value }) = picked else {
            let noun = if lines == 1 { "line" } else { "lines" };
            return Err(format!("no line `{name}: <number>` in {lines} {noun}"));
        };
        let value = value.map_err(|text| {
            format!("line {line} is `{name}:{text}`, which is not `{name}: ` and one finite decimal number")
        })?;
        if spec.line == MetricLine::ExactlyOne
            && let Some(Candidate { line: other_line, value: Ok(other) }) = self.differing
        {
            return Err(format!(
                "line {line} says {value}, line {other_line} says {other}; \
                 `metric_line` can name the one that counts, `first` or `last`"
            ));
        }
        match &spec.range {
            Some((low, high)) if value < *low || value > *high => {
                Err(format!("{value} at line {line} is outside `metric_range`, {low} to {high}"))
            }
            _ => Ok((value, line)),
        }
    }
}

/// The number after the colon: blanks, digits, perhaps blanks, perhaps one carriage return.
fn number(rest: &[u8]) -> Option<Decimal> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let start = rest.iter().position(|byte| !is_blank(byte)).filter(|&start| start > 0)?;
    let end = rest.iter().rposition(|byte| !is_blank(byte))?;
    Decimal::parse(str::from_utf8(&rest[start..=end]).ok()?)
}

/// What a reason shows of a line: bounded, and without control characters.
fn quote(rest: &[u8]) -> String {
    let rest = &rest[..rest.len().min(4 * QUOTE_MAX_CHARS)];
    let text = String::from_utf8_lossy(rest);
    let text = text.trim_end().chars().take(QUOTE_MAX_CHARS);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
