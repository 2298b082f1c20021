//! A campaign in two short lines: the record as a staircase of blocks, and a mark for each test.

use super::style;
use std::fmt::Write;
use windlass_shared::conclusion::Status;

/// Eight heights of a block.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One decided iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// How it was decided.
    pub status: Status,
    /// The best kept metric from here on, if anything was kept yet.
    pub best: Option<f64>,
}

/// The running best, a block each; the latest ones where there is no room for all.
pub fn staircase(tests: &[Test], width: usize) -> String {
    let shown = latest(tests, width);
    let values = || shown.iter().filter_map(|test| test.best);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let blocks = shown.iter().map(|test| match test.best {
        None => ' ',
        // A record that stands still is a line in the middle.
        Some(_) if high <= low => BLOCKS[3],
        Some(best) => BLOCKS[((best - low) / (high - low) * 7.0).round() as usize % 8],
    });
    mark_cut(tests, shown, blocks.collect())
}

/// A mark each, in its colour: kept, let go, crashed.
pub fn marks(tests: &[Test], width: usize) -> String {
    let shown = latest(tests, width);
    let mut text = String::new();
    for test in shown {
        let style = style::of_status(test.status);
        let _ = write!(text, "{style}{}{style:#}", super::chart::mark(test.status));
    }
    mark_cut(tests, shown, text)
}

/// The decisions that fit, one column kept for the mark of what does not.
fn latest(tests: &[Test], width: usize) -> &[Test] {
    if tests.len() <= width {
        tests
    } else {
        &tests[tests.len() - width.saturating_sub(1).min(tests.len())..]
    }
}

fn mark_cut(tests: &[Test], shown: &[Test], text: String) -> String {
    if shown.len() < tests.len() { format!("…{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p31_the_record_climbs_or_falls_as_the_metric_does() {
        let test = |best, status| Test { status, best };
        let up = [
            test(None, Status::Crash),
            test(Some(0.5), Status::Keep),
            test(Some(0.5), Status::Discard),
            test(Some(0.9), Status::Keep),
        ];
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!((staircase(&up, 10), plain(marks(&up, 10))), (" ▁▁█".into(), "×●○●".into()));
        assert_eq!((staircase(&up, 3), plain(marks(&up, 3))), ("…▁█".into(), "…○●".into()));
        let down = [test(Some(3.0), Status::Keep), test(Some(2.0), Status::Keep)];
        assert_eq!(staircase(&down, 10), "█▁");
        assert_eq!(staircase(&down[..1], 10), "▄");
        assert_eq!((staircase(&[], 10), marks(&[], 10)), (String::new(), String::new()));
    }
}
