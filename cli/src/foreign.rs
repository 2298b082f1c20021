//! Reads a `results.tsv` that somebody else wrote: the founding loop's columns, the five of `commit metric
//! memory_gb status description`, or any header that names a metric, a status and a description. Malformed
//! lines are told by number. Never judges a row again.

use crate::bounded;
use crate::error::Error;
use crate::infer::{Problem as Infer, usual_direction};
use crate::yaml::Problem;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::foreign::{Foreign, ForeignRow, ROW_MAX_BYTES, ROWS_MAX};
use windlass_shared::id::IterationNumber;

/// The largest file that is read, bytes; it is held in memory.
const FILE_MAX_BYTES: u64 = 16 << 20;
/// The rule of what a row is.
const RULE: &str = "P29";
/// Malformed lines that are kept: a file with more of them is no ledger, and a million would fill the memory.
const MALFORMED_MAX: usize = 1000;
/// Malformed lines that are told one by one.
const TOLD_MAX: usize = 8;

/// Names of columns with a meaning; the metric's is none of them.
const KNOWN: [&str; 9] = [
    "iter",
    "iteration",
    "commit",
    "status",
    "analysis_summary",
    "literature_basis",
    "move_type",
    "description",
    "memory_gb",
];

/// A line that is no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Malformed {
    /// From 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// What is known beside the file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What the campaign is called.
    pub name: Option<String>,
    /// What the metric is called.
    pub metric: Option<String>,
    /// Which way is better.
    pub direction: Option<Direction>,
}

/// Reads the file; malformed lines are handed back beside what could be read.
pub fn read(path: &Path, given: &Given) -> Result<(Foreign, Vec<Malformed>), Error> {
    let failed = |source| Error::File { operation: "read", path: path.to_owned(), source };
    match bounded::read(path, FILE_MAX_BYTES).map_err(failed)? {
        Some(bytes) => parse(path, &bytes, given),
        None => {
            let message = format!("it has more than {FILE_MAX_BYTES} bytes; at most as many are taken");
            Err(too_much(path, message))
        }
    }
}

fn too_much(path: &Path, message: String) -> Error {
    let remedy = "split the file, each part with the header, and import the parts one by one";
    Problem::whole(path, message).with_remedy(remedy).with_rule(RULE).into()
}

/// The same of bytes at hand.
pub fn parse(path: &Path, bytes: &[u8], given: &Given) -> Result<(Foreign, Vec<Malformed>), Error> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let lines = lines.map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)));
    let mut lines = lines.filter(|(_, line)| !line.is_empty());
    let (number, first) = lines.next().unwrap_or((1, b""));
    let header = Header::read(first, given).map_err(|message| {
        let text = String::from_utf8_lossy(first).replace('\t', " ");
        let remedy = "the first line names the columns, with tabs between: at least the metric, status and \
                      description; `--metric` names the metric's";
        Error::from(Problem::at(path, number, 1, &text, message).with_remedy(remedy).with_rule(RULE))
    })?;
    let (mut rows, mut malformed, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (line, bytes) in lines {
        match header.row(bytes, rows.len() as u32 + 1, &mut seen) {
            Ok(row) => rows.push(row),
            Err(problem) => malformed.push(Malformed { line, problem }),
        }
        if malformed.len() > MALFORMED_MAX {
            let message =
                format!("more than {MALFORMED_MAX} of its lines are no rows; {}", told(&malformed[0]));
            let remedy = "is it a results.tsv? its first line names the columns, with tabs between";
            return Err(Problem::whole(path, message).with_remedy(remedy).with_rule(RULE).into());
        }
        if rows.len() > ROWS_MAX {
            return Err(too_much(path, format!("it has more than {ROWS_MAX} rows")));
        }
    }
    if rows.is_empty() && malformed.is_empty() {
        let remedy = "import it when its campaign has decided an iteration";
        let message = "it has a header and no rows: there is nothing to import".to_owned();
        return Err(Problem::whole(path, message).with_remedy(remedy).with_rule(RULE).into());
    }
    let direction = given.direction.or_else(|| trend(&rows)).or_else(|| usual_direction(&header.metric));
    let unknown = Infer::Unknown { what: "which way is better", option: "--direction" };
    let ledger = Foreign {
        name: given.name.clone().unwrap_or_else(|| name_of(path)),
        direction: direction.ok_or_else(|| unknown.of(path))?,
        metric: header.metric,
        columns: header.columns,
        source: path.display().to_string().chars().take(1000).collect(),
        rows,
    };
    Ok((ledger, malformed))
}

/// Malformed lines as one error.
pub fn refuse(path: &Path, malformed: &[Malformed]) -> Error {
    let told = malformed.iter().take(TOLD_MAX).map(told);
    let rest = malformed.len().saturating_sub(TOLD_MAX);
    let rest = (rest > 0).then(|| format!("and {rest} more"));
    let lines: Vec<String> = told.chain(rest).collect();
    let message = match lines.as_slice() {
        [only] => only.clone(),
        lines => format!("{} lines are no rows\n  {}", malformed.len(), lines.join("\n  ")),
    };
    Problem::whole(path, message)
        .with_remedy("repair them, or leave them out with --lenient")
        .with_rule(RULE)
        .into()
}

fn told(one: &Malformed) -> String {
    format!("line {}: {}", one.line, one.problem)
}

struct Header {
    columns: Vec<String>,
    metric: String,
    metric_at: usize,
    status_at: usize,
}

impl Header {
    fn read(line: &[u8], given: &Given) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "the header is not UTF-8 text".to_owned())?;
        let mut columns: Vec<String> = text.split('\t').map(|name| name.trim().to_owned()).collect();
        if columns.iter().any(|name| name.is_empty() || name.chars().any(char::is_control)) {
            return Err("a column has no name".to_owned());
        }
        if columns.iter().collect::<BTreeSet<_>>().len() < columns.len() {
            return Err("two columns have the same name".to_owned());
        }
        let at = |name: &str| columns.iter().position(|column| column == name);
        let status_at = at("status").ok_or("no column is called `status`")?;
        at("description").ok_or("no column is called `description`")?;
        let named = given.metric.as_deref().and_then(at);
        let second = || (1..columns.len().min(2)).find(|at| !KNOWN.contains(&columns[*at].as_str()));
        let other = || columns.iter().position(|name| !KNOWN.contains(&name.as_str()));
        let metric_at = named.or_else(|| at("metric")).or_else(second).or_else(other);
        let metric_at = metric_at.ok_or("no column holds the metric")?;
        if let Some(metric) = &given.metric {
            columns[metric_at].clone_from(metric);
        }
        Ok(Self { metric: columns[metric_at].clone(), columns, metric_at, status_at })
    }

    fn row(&self, line: &[u8], place: u32, seen: &mut BTreeSet<u32>) -> Result<ForeignRow, String> {
        if line.len() > ROW_MAX_BYTES {
            return Err(format!("it has {} bytes; at most {ROW_MAX_BYTES} are taken", line.len()));
        }
        if line.contains(&0) {
            return Err("it holds a NUL byte".to_owned());
        }
        let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let fields: Vec<&str> = line.split('\t').collect();
        let (have, want) = (fields.len(), self.columns.len());
        if have != want {
            let hint = if have > want { " (a tab in a text?)" } else { "" };
            return Err(format!("it has {have} fields and the header has {want}{hint}"));
        }
        let status = match fields[self.status_at].trim() {
            "keep" => Status::Keep,
            "discard" => Status::Discard,
            "crash" => Status::Crash,
            other => return Err(format!("status {} is none of keep, discard, crash", quoted(other))),
        };
        let metric = match status {
            Status::Crash => None,
            _ => {
                let text = fields[self.metric_at].trim();
                Some(Decimal::parse(text).ok_or_else(|| format!("{} is no finite number", quoted(text)))?)
            }
        };
        let mut row = ForeignRow {
            iteration: IterationNumber(place),
            metric,
            status,
            summary: String::new(),
            description: String::new(),
            notes: BTreeMap::new(),
        };
        let mut number = place;
        for (at, (name, text)) in self.columns.iter().zip(&fields).enumerate() {
            match name.as_str() {
                _ if at == self.metric_at || at == self.status_at => {}
                // The branch strategy names the commit there (P29); rows stand in the order of decision.
                "iter" if is_commit(text.trim()) => {
                    row.notes.insert(name.clone(), text.trim().to_owned());
                }
                "iter" | "iteration" => {
                    let read = text.trim().parse::<u32>().ok().filter(|number| *number > 0);
                    number = read.ok_or_else(|| format!("{} is no iteration's number", quoted(text)))?;
                }
                "analysis_summary" => row.summary = (*text).to_owned(),
                "description" => row.description = (*text).to_owned(),
                _ => _ = row.notes.insert(name.clone(), (*text).to_owned()),
            }
        }
        if !seen.insert(number) {
            return Err(format!("iteration {number} has a row already"));
        }
        row.iteration = IterationNumber(number);
        Ok(row)
    }
}

/// The first seven digits of a commit; no ledger that is taken has an iteration of seven digits.
fn is_commit(text: &str) -> bool {
    text.len() == 7 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// Which way the kept rows go, if they all go one way.
fn trend(rows: &[ForeignRow]) -> Option<Direction> {
    let kept: Vec<&Decimal> =
        rows.iter().filter(|row| row.status == Status::Keep).filter_map(|row| row.metric.as_ref()).collect();
    let (up, down) = kept
        .windows(2)
        .fold((false, false), |(up, down), pair| (up || pair[1] > pair[0], down || pair[1] < pair[0]));
    match (up, down) {
        (true, false) => Some(Direction::Maximize),
        (false, true) => Some(Direction::Minimize),
        _ => None,
    }
}

/// What a file says of its campaign: its name, or for `results.tsv` its folder's.
fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.strip_suffix(".tsv").unwrap_or(&name);
    let stem = stem.strip_suffix(".results").unwrap_or(stem);
    let folder = || std::fs::canonicalize(path).ok()?.parent()?.file_name()?.to_str().map(str::to_owned);
    let name = if stem == "results" { folder() } else { None };
    name.unwrap_or_else(|| stem.to_owned()).chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests;
