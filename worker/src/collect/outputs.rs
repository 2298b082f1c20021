//! The declared outputs (P21): each must exist, be non-empty, and be made by this attempt. Old ones were
//! removed before it began, so what is there is new.

use crate::blobs::Cache;
use crate::durable;
use crate::error::Error;
use crate::prepare::script_status;
use crate::spool::AttemptDir;
use std::collections::BTreeMap;
use std::io::Read;
use windlass_shared::attempt::{Ending, Order, Output, ScriptOrder};
use windlass_shared::digest::Digest;
use windlass_shared::tree::{Manifest, Node};

/// The most that is read of how the scripts ended, bytes: a line each, and a plan has some thousand rows at most.
const STATUS_MAX_BYTES: u64 = 1 << 20;
/// Bytes of a first line.
const FIRST_LINE_MAX_BYTES: usize = 200;

/// Those that the worker made itself beside a run.
pub fn of_builtins(order: &Order, cache: &Cache, results: &Manifest) -> Result<Vec<Output>, Error> {
    let builtins = order.scripts.iter().filter(|one| one.script.is_builtin());
    builtins.map(|one| output(one, cache, results, None)).collect()
}

/// Those of an analysis.
pub fn of_scripts(
    order: &Order,
    cache: &Cache,
    results: &Manifest,
    dir: &AttemptDir,
    ending: &Ending,
) -> Result<Vec<Output>, Error> {
    let status = durable::read_at_most(&script_status(dir), STATUS_MAX_BYTES).unwrap_or_default();
    let codes = exit_codes(&String::from_utf8_lossy(&status));
    let mut outputs = Vec::new();
    for (index, one) in order.scripts.iter().enumerate() {
        let problem = match codes.get(&index) {
            Some(0) => None,
            Some(code) => Some(format!("{} ended with exit code {code}", one.script.label())),
            None => Some(format!("{} did not end: the analysis was {ending}", one.script.label())),
        };
        outputs.push(output(one, cache, results, problem)?);
    }
    Ok(outputs)
}

fn output(
    one: &ScriptOrder,
    cache: &Cache,
    results: &Manifest,
    problem: Option<String>,
) -> Result<Output, Error> {
    let mut output = Output { path: one.output.clone(), digest: None, first_line: String::new(), problem };
    if output.problem.is_some() {
        return Ok(output);
    }
    match results.entries.get(&one.output) {
        Some(Node::File { digest, .. }) if digest.size_bytes > 0 => {
            output.first_line = first_line(cache, digest)?;
            output.digest = Some(*digest);
        }
        Some(_) => output.problem = Some(format!("{} is empty", one.output)),
        None => output.problem = Some(format!("{} was not written", one.output)),
    }
    Ok(output)
}

fn first_line(cache: &Cache, digest: &Digest) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let blob = cache.open_blob(digest)?;
    let most = 4 * FIRST_LINE_MAX_BYTES as u64;
    blob.take(most).read_to_end(&mut bytes).map_err(|source| Error::File {
        operation: "read",
        path: digest.to_string().into(),
        source,
    })?;
    Ok(clean(&bytes))
}

fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    let mut clean = String::new();
    // A tab parts columns: as a blank it keeps them apart.
    for c in line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()) {
        if clean.len() + c.len_utf8() > FIRST_LINE_MAX_BYTES {
            break;
        }
        clean.push(c);
    }
    clean
}

/// Index and exit code of each script that ended; the file is the scripts' own to spoil, so what cannot be
/// read is skipped.
fn exit_codes(status: &str) -> BTreeMap<usize, i32> {
    let line = |line: &str| {
        let (index, code) = line.split_once(' ')?;
        Some((index.parse().ok()?, code.trim().parse().ok()?))
    };
    status.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_short_and_has_no_control_characters() {
        for (bytes, want) in [
            (&b"slope\t-0.02\nmore"[..], "slope -0.02"),
            (b"\x1b[31mred\x07", "[31mred"),
            (b"a\rb", "a"),
            (b"", ""),
            (b"\nsecond", ""),
        ] {
            assert_eq!(clean(bytes), want);
        }
        let long = clean("ü".repeat(300).as_bytes());
        assert_eq!(long, "ü".repeat(100));
    }

    #[test]
    fn a_torn_status_is_read_as_far_as_it_goes() {
        assert_eq!(exit_codes("0 0\n1 7\nx\n2"), BTreeMap::from([(0, 0), (1, 7)]));
    }
}
