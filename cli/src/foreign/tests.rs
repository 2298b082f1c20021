//! Ledgers as others write them, good ones and bad ones, and the way there and back.

use super::*;
use crate::history::Story;
use crate::results_tsv;
use windlass_engine::core::{Ask, Core, Input, RequestKey};
use windlass_shared::digest::Hash;
use windlass_shared::id::{Incarnation, RequestId};
use windlass_shared::record::Record;
use windlass_shared::time::Time;

fn parsed(text: &str) -> Result<(Foreign, Vec<Malformed>), Error> {
    parse(Path::new("old.tsv"), text.as_bytes(), &Given::default())
}

fn good(text: &str) -> Foreign {
    let (ledger, malformed) = parsed(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    assert_eq!(malformed, [], "{text}");
    ledger
}

/// The records of an import, decided and applied by the core itself.
fn imported(ledger: Foreign) -> Vec<Record> {
    let mut core = Core::new();
    let now = Time { wall_ms: 1_700_000_000_000, mono_ms: 5 };
    let mut all = Vec::new();
    let request = RequestKey { id: RequestId("r".to_owned()), body: Hash::of(b"r") };
    let import = Input::Client { request, ask: Ask::Import { ledger: Box::new(ledger), owner: None } };
    for input in [Input::Start { incarnation: Incarnation(1), version: "0.1.0".to_owned() }, import] {
        for record in core.decide(now, input).expect("taken") {
            core.apply(&record);
            all.push(record);
        }
    }
    assert!(core.wants(now).is_empty(), "an imported campaign wants nothing");
    all
}

fn story(ledger: Foreign) -> Story {
    Story::project(imported(ledger).iter().skip(1)).expect("a campaign")
}

#[test]
fn the_founding_loops_columns_and_the_five_are_read() {
    let ledger = good(include_str!("../../../tests/data/showcase-ml-autoresearch.results.tsv"));
    assert_eq!((ledger.metric.as_str(), ledger.direction), ("val_acc", Direction::Maximize));
    assert_eq!((ledger.rows.len(), ledger.name.as_str()), (10, "old"));
    let row = &ledger.rows[3];
    assert_eq!((row.status, row.metric.as_ref().map(Decimal::text)), (Status::Discard, Some("0.5730")));
    assert_eq!(row.description, "enable augmentation");

    let five = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\r\na1b2c3d\t0.997900\t44.0\tkeep\tbaseline\r\n\
                b2c3d4e\t0.993200\t44.2\tkeep\tincrease LR\r\nc3d4e5f\t0.000000\t0.0\tcrash\tdouble width (OOM)\r\n";
    let ledger = good(five);
    assert_eq!((ledger.metric.as_str(), ledger.direction), ("val_bpb", Direction::Minimize));
    let numbers: Vec<u32> = ledger.rows.iter().map(|row| row.iteration.0).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(ledger.rows[2].metric, None);
    assert_eq!(ledger.rows[1].notes["commit"], "b2c3d4e");
    assert_eq!(ledger.rows[1].notes["memory_gb"], "44.2");

    let literal = five.replace("val_bpb", "metric");
    let given = Given { metric: Some("val_bpb".to_owned()), ..Given::default() };
    let (ledger, _) = parse(Path::new("x.tsv"), literal.as_bytes(), &given).expect("read");
    assert_eq!((ledger.metric.as_str(), ledger.columns[1].as_str()), ("val_bpb", "val_bpb"));
}

#[test]
fn a_bad_line_is_told_by_number_and_the_others_are_read() {
    let head = "iter\tval_acc\tstatus\tanalysis_summary\tdescription\n1\t0.5\tkeep\ts\tbaseline\n";
    for (line, want) in [
        ("2\t0.6\tkeep\ta\tb\tc", "it has 6 fields and the header has 5 (a tab in a text?)"),
        ("2\t0.6\tkeep", "it has 3 fields and the header has 5"),
        ("2\t0.6\tkept\ts\td", "status \"kept\" is none of keep, discard, crash"),
        ("2\tnan\tkeep\ts\td", "\"nan\" is no finite number"),
        ("2\t0,6\tdiscard\ts\td", "\"0,6\" is no finite number"),
        ("two\t0.6\tkeep\ts\td", "\"two\" is no iteration's number"),
        ("0\t0.6\tkeep\ts\td", "\"0\" is no iteration's number"),
        ("1\t0.6\tkeep\ts\td", "iteration 1 has a row already"),
        ("2\t0.6\tkeep\ts\0\td", "it holds a NUL byte"),
    ] {
        let (ledger, malformed) = parsed(&format!("{head}{line}\n3\t0.7\tkeep\ts\td\n")).expect(line);
        assert_eq!(malformed, [Malformed { line: 3, problem: want.to_owned() }], "{line}");
        let read: Vec<u32> = ledger.rows.iter().map(|row| row.iteration.0).collect();
        assert_eq!(read, [1, 3], "{line}");
    }
    let (_, malformed) =
        parse(Path::new("x"), &[head.as_bytes(), b"2\t1\tkeep\t\xff\tx\n"].concat(), &Given::default())
            .expect("read");
    assert_eq!(malformed[0].problem, "it is not UTF-8 text");
    let long = format!("{head}2\t1\tkeep\ts\t{}\n", "x".repeat(ROW_MAX_BYTES));
    assert!(parsed(&long).expect("read").1[0].problem.contains("at most 16384"));
    let many: Vec<Malformed> =
        (3..20).map(|line| Malformed { line, problem: "it is not UTF-8 text".to_owned() }).collect();
    let said = refuse(Path::new("old.tsv"), &many).to_report();
    assert!(said.message.starts_with("old.tsv: 17 lines are no rows\n  line 3: it is"), "{}", said.message);
    assert!(said.message.ends_with("and 9 more"), "{}", said.message);
    assert!(said.remedy.is_some_and(|remedy| remedy.contains("--lenient")));
}

#[test]
fn a_file_that_is_no_ledger_or_too_long_is_refused_with_a_remedy() {
    for (text, want) in [
        ("", "a column has no name"),
        ("1\t0.5\tkeep\tbaseline\n", "no column is called `status`"),
        ("iter\tval\tstatus\n", "no column is called `description`"),
        ("iter\tstatus\tstatus\tdescription\n", "two columns have the same name"),
        ("iter\tstatus\tdescription\n", "no column holds the metric"),
        ("iter\tquality\tstatus\tdescription\n1\t1\tkeep\td\n", "which way is better"),
    ] {
        let report = parsed(text).expect_err(text).to_report();
        assert!(report.message.contains(want) && report.remedy.is_some(), "{text:?}: {}", report.message);
    }
    // A million lines: told to be too many before they are all taken in.
    let mut text = String::from("iter\tval_acc\tstatus\tdescription\n");
    for number in 1..=1_000_000 {
        text.push_str(&format!("{number}\t1\tkeep\td\n"));
    }
    let report = parsed(&text).expect_err("too many").to_report();
    assert!(report.message.contains("more than 10000 rows"), "{}", report.message);
    assert!(report.remedy.is_some_and(|remedy| remedy.contains("split the file")));
    // A million lines that are no rows, of either sort of damage: what is kept of them is bounded.
    for line in ["x\ty\n", "\0\n"] {
        let text = format!("iter\tval_acc\tstatus\tdescription\n{}", line.repeat(1_000_000));
        let report = parsed(&text).expect_err("too many").to_report();
        assert!(
            report.message.contains("more than 1000 of its lines are no rows; line 2: "),
            "{}",
            report.message
        );
        assert!(report.remedy.is_some());
    }
}

/// A generator of numbers that is the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A ledger with this seed, as our own export writes it.
fn exported(seed: u64) -> String {
    let mut draw = Draw(seed);
    let words = ["lr", "ε→δ", "50 %", "\"so\"", "a;b", "x=1", "|", "#", "'", "\\n", "=1+1", "  two"];
    let text = |draw: &mut Draw| {
        let count = draw.below(6);
        (0..count).map(|_| words[draw.below(words.len() as u64) as usize]).collect::<Vec<_>>().join(" ")
    };
    let extra = ["", "move_type\t", "memory_gb\t"][draw.below(3) as usize];
    let basis = ["", "literature_basis\t"][draw.below(2) as usize];
    let mut out = format!("iter\tval_acc\tstatus\t{extra}analysis_summary\t{basis}description\n");
    for number in 1..=draw.below(40) + 2 {
        let status = ["keep", "discard", "crash"][if number < 3 { 0 } else { draw.below(3) as usize }];
        let metric = match status {
            "crash" => "0.000000".to_owned(),
            // The kept ones rise, so that the direction is plain.
            "keep" => format!("{number}.{:04}", draw.below(10_000)),
            _ => format!("-{}e-{}", draw.below(100), draw.below(5)),
        };
        let extra = if extra.is_empty() { String::new() } else { format!("{}\t", text(&mut draw).trim()) };
        let basis = if basis.is_empty() { String::new() } else { format!("{}\t", text(&mut draw).trim()) };
        let (summary, description) = (text(&mut draw), text(&mut draw));
        out.push_str(&format!(
            "{number}\t{metric}\t{status}\t{extra}{}\t{basis}{}\n",
            summary.trim(),
            description.trim()
        ));
    }
    out
}

#[test]
fn p29_import_after_export_is_the_identity() {
    for seed in 0..300 {
        let text = exported(seed);
        let story = story(good(&text));
        let again = results_tsv::render(&story);
        assert_eq!(again, text, "seed {seed}");
        assert_eq!(results_tsv::render(&story), again, "seed {seed}: two renders");
    }
    for text in [
        include_str!("../../../tests/data/showcase-ml-autoresearch.results.tsv").to_owned(),
        include_str!("../../../tests/data/showcase-tournament.results.tsv").replace(',', ";"),
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\na1\t0.9\t44.0\tkeep\tbaseline\n".to_owned(),
        // The branch strategy's, one commit all of digits.
        "iter\tval_acc\tstatus\tanalysis_summary\tdescription\n81a14f5\t0.5\tkeep\ts\tbaseline\n\
         1234567\t0.6\tkeep\ts\tmore\nabcdef0\t0.000000\tcrash\ts\tless\n"
            .to_owned(),
        results_tsv::render(&crate::history::test_story()),
    ] {
        assert_eq!(results_tsv::render(&story(good(&text))), text);
    }
}

#[test]
fn p29_a_ledger_without_rows_and_one_without_a_metric_say_what_to_do() {
    let head = "iter\tval_acc\tstatus\tanalysis_summary\tdescription\n";
    for (text, wants) in [
        (head.to_owned(), ["old.tsv: it has a header and no rows", "decided an iteration"]),
        (
            "iter\tmemory_gb\tstatus\tdescription\n1\t2\tkeep\td\n".to_owned(),
            ["holds the metric", "--metric"],
        ),
        (format!("{head}81a14f\t0.5\tkeep\ts\td\n"), ["", ""]),
    ] {
        match parse(Path::new("old.tsv"), text.as_bytes(), &Given::default()) {
            Err(Error::Document(problem)) => {
                let said = format!("{problem} {:?}", problem.remedy());
                assert!(wants.iter().all(|want| said.contains(want)), "{said}");
                assert_eq!(problem.rule(), Some("P29"), "{said}");
            }
            Err(other) => panic!("{other}"),
            Ok((_, malformed)) => assert_eq!(malformed.len(), 1, "six digits are no commit: {text}"),
        }
    }
}

/// Texts that could break a table, a page or a terminal.
const HOSTILE: [&str; 9] = [
    "a\tb",
    "two\nlines\r\nthree",
    "nul\0and\u{1b}[31mred",
    "commas, and; semicolons",
    "| bars | `code` <b>",
    "\u{2028}\u{85}\u{b}breaks",
    "",
    "  ",
    "crash\t0.000000\tkeep",
];

#[test]
fn p29_p30_every_row_of_a_ledger_parses_back_and_every_render_is_the_same_bytes() {
    for seed in 0..100 {
        let mut draw = Draw(seed);
        let mut ledger = good(&exported(seed));
        for row in &mut ledger.rows {
            row.summary = HOSTILE[draw.below(HOSTILE.len() as u64) as usize].to_owned();
            row.description = HOSTILE[draw.below(HOSTILE.len() as u64) as usize].to_owned();
        }
        let records = imported(ledger);
        let tell = || Story::project(records.iter().skip(1)).expect("a campaign");
        let (one, two) = (tell(), tell());
        let text = results_tsv::render(&one);
        assert_eq!(text, results_tsv::render(&two), "seed {seed}");
        let report = crate::render::report::markdown(&one);
        assert_eq!(report, crate::render::report::markdown(&two), "seed {seed}");
        assert!(!report.contains(['\0', '\u{1b}']), "seed {seed}");
        let back = good(&text);
        assert_eq!(back.rows.len(), one.decided.len(), "seed {seed}");
        for (row, (iteration, decision)) in back.rows.iter().zip(one.rows()) {
            assert_eq!((row.iteration, row.status), (iteration.number, decision.status), "seed {seed}");
            assert_eq!(
                row.metric.as_ref().map(Decimal::text),
                decision.arithmetic.metric.as_ref().map(Decimal::text)
            );
        }
    }
}

#[test]
fn i13_an_imported_campaign_is_finished_and_takes_nothing() {
    let ledger = good(include_str!("../../../tests/data/showcase-ml-autoresearch.results.tsv"));
    let records = imported(ledger);
    let mut core = Core::new();
    records.iter().for_each(|record| core.apply(record));
    let now = Time { wall_ms: 1_700_000_000_000, mono_ms: 9 };
    let id = records[1].campaign.clone().expect("a campaign");
    let view = core.campaign_view(now, &id).expect("known");
    assert_eq!((view.decided.keep, view.decided.discard, view.decided.crash), (6, 4, 0));
    assert_eq!(view.best.as_ref().map(|best| best.iteration.0), Some(9), "P31: the best, not the last");
    assert_eq!(view.record.as_ref().map(Decimal::text), Some("0.6700"));
    for (name, ask) in [("pause", Ask::Pause(id.clone())), ("resume", Ask::Resume(id.clone()))] {
        let request = RequestKey { id: RequestId(name.to_owned()), body: Hash::of(name.as_bytes()) };
        let refused = core.decide(now, Input::Client { request, ask }).expect_err(name);
        assert!(refused.to_string().contains("stopped"), "{name}: {refused}");
    }
    let best = story(good(include_str!("../../../tests/data/showcase-ml-autoresearch.results.tsv")));
    let steps: Vec<u32> = best.steps().map(|(iteration, _)| iteration.number.0).collect();
    assert_eq!(steps, [1, 2, 3, 5, 6, 9]);
}
