//! `results.tsv` (P29): one row per decided iteration. The only place that renders one.

use crate::corpus_tsv;
use crate::history::{Decision, Iteration, Story};
use windlass_shared::bindings::Dial;
use windlass_shared::conclusion::Status;

/// What stands for the metric of an iteration that has none.
const NO_METRIC: &str = "0.000000";

/// The whole file, header first; an imported ledger has its own columns again.
pub fn render(story: &Story) -> String {
    if let Some(imported) = &story.imported {
        return foreign(story, &imported.columns);
    }
    let mut text = header(story);
    for (iteration, decision) in story.rows() {
        text.push_str(&row(story, iteration, decision));
    }
    text
}

fn foreign(story: &Story, columns: &[String]) -> String {
    let mut text = line(columns);
    for (iteration, decision) in story.rows() {
        let number = iteration.number.to_string();
        let cells = columns.iter().map(|column| match column.as_str() {
            name if name == story.bindings.metric => metric(decision),
            "iter" | "iteration" => decision.notes.get(column).unwrap_or(&number),
            "status" => decision.status.as_str(),
            "analysis_summary" => &decision.summary,
            "description" => &decision.description,
            name => decision.notes.get(name).map_or("", String::as_str),
        });
        text.push_str(&line(&cells.collect::<Vec<_>>()));
    }
    text
}

/// The header, with the metric's name; `move_type` exactly where moves are scheduled, `literature_basis` exactly
/// where literature is on.
fn header(story: &Story) -> String {
    let mut columns = vec!["iter", &story.bindings.metric, "status"];
    columns.extend(has_moves(story).then_some("move_type"));
    columns.push("analysis_summary");
    columns.extend(has_literature(story).then_some("literature_basis"));
    columns.push("description");
    line(&columns)
}

fn row(story: &Story, iteration: &Iteration, decision: &Decision) -> String {
    let number = iteration.number.to_string();
    // For branches the commit's first seven characters.
    let name = story.commits.get(&iteration.number).unwrap_or(&number);
    let mut cells = vec![&**name, metric(decision), decision.status.as_str()];
    cells.extend(has_moves(story).then(|| story.move_of(iteration)));
    cells.push(&*decision.summary);
    let basis = match story.lever_of(iteration) {
        Some(lever) => corpus_tsv::basis(&story.findings, lever.literature.as_deref()),
        None => "none (baseline)".to_owned(),
    };
    cells.extend(has_literature(story).then_some(&*basis));
    cells.push(&*decision.description);
    line(&cells)
}

fn has_moves(story: &Story) -> bool {
    story.bindings.windlass.move_scheduler.is_some()
}

fn has_literature(story: &Story) -> bool {
    story.bindings.literature == Dial::On
}

/// The metric's digits as printed, or zero where there is none.
pub fn metric(decision: &Decision) -> &str {
    match (&decision.arithmetic.metric, decision.status) {
        (Some(metric), Status::Keep | Status::Discard) => metric.text(),
        _ => NO_METRIC,
    }
}

/// One line: its fields with tabs between them, text that could break the table made plain.
pub fn line<T: AsRef<str>>(fields: &[T]) -> String {
    let mut text = fields.iter().map(|text| field(text.as_ref())).collect::<Vec<_>>().join("\t");
    text.push('\n');
    text
}

/// Tabs and newlines become spaces, commas semicolons; other control characters go.
fn field(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A Windows line end is one break.
            '\r' if chars.peek() == Some(&'\n') => {}
            '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push(' '),
            ',' => out.push(';'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p29_one_row_each_in_the_order_of_decision_header_first() {
        let story = crate::history::test_story();
        let want = "iter\tval_acc\tstatus\tanalysis_summary\tdescription\n\
                    1\t0.8120\tkeep\tconfusion.tsv: pair; count seen\tbaseline\n\
                    2\t0.9025\tkeep\tconfusion.tsv: fewer pairs\tadd momentum 0.9\n\
                    3\t0.000000\tcrash\tcrashed with exit code 1: ValueError; loss is not finite\trate times ten\n";
        assert_eq!(render(&story), want);
        for line in render(&story).lines() {
            assert_eq!(line.split('\t').count(), 5, "{line}");
        }
    }

    #[test]
    fn p11_p29_the_column_of_moves_is_there_exactly_where_moves_are_scheduled() {
        let mut story = crate::history::test_story();
        story.bindings.windlass.move_scheduler = Some(windlass_shared::bindings::MoveScheduler::default());
        let text = render(&story);
        let columns: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let moves: Vec<&str> = columns.iter().map(|row| row[3]).collect();
        assert_eq!(moves, ["move_type", "baseline", "exploit", "exploit"]);
        assert!(columns.iter().all(|row| row.len() == 6), "{text}");
    }

    #[test]
    fn p29_p35_the_column_of_the_basis_is_there_exactly_where_literature_is_on_and_reads_back() {
        use crate::history::{add_finding, finding_added, test_finding};
        let mut story = crate::history::test_story();
        assert!(!render(&story).contains("literature_basis"));
        story.bindings.literature = Dial::On;
        add_finding(
            &mut story.findings,
            &finding_added(3, test_finding("A Closer, Look", "strong"), "agnostic", &[]),
        );
        let cited = story.iterations[&windlass_shared::id::IterationNumber(2)].lever.expect("a lever");
        story.levers.get_mut(&cited).expect("known").lever.literature = Some("F3".to_owned());
        let text = render(&story);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let basis: Vec<&str> = rows.iter().map(|row| row[4]).collect();
        let want = ["literature_basis", "none (baseline)", "F3 A Closer; Look (1810.13243)", "none"];
        assert_eq!(basis, want);
        assert!(rows.iter().all(|row| row.len() == 6 && row[3] != row[4]), "{text}");
        let given = crate::foreign::Given::default();
        let path = std::path::Path::new("results.tsv");
        let (read, malformed) = crate::foreign::parse(path, text.as_bytes(), &given).expect("reads back");
        assert!(malformed.is_empty());
        let notes: Vec<&str> = read.rows.iter().map(|row| row.notes["literature_basis"].as_str()).collect();
        assert_eq!(notes, want[1..]);
    }

    #[test]
    fn p29_text_cannot_break_the_table() {
        for (text, want) in [
            ("a\tb\nc,d", "a b c;d"),
            ("a\r\nb\rc", "a b c"),
            ("\u{1b}[31mred\u{2028}x", "[31mred x"),
            ("  plain ", "plain"),
        ] {
            assert_eq!(field(text), want, "{text:?}");
        }
    }
}
