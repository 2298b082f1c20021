//! Recorded ledgers, run again: an entrypoint prints what was measured then, analyses say what was seen
//! then, and the ledger that comes of it through coordinator and worker is the recorded one (P25, P29).

use crate::harness::Fleet;
use std::path::Path;

/// The longest first line of a deliverable that becomes a part of the summary, bytes.
const PART_MAX_BYTES: usize = 190;

/// A row of a recorded ledger, and the file that its lever turns.
#[derive(Clone, Debug)]
struct Row {
    /// As printed; none for a crash.
    metric: Option<String>,
    status: String,
    summary: String,
    description: String,
    /// The file before and after.
    turn: (String, String),
    /// A lever is queued behind this one, whose evidence says otherwise at its turn.
    has_stale_behind: bool,
}

impl Row {
    fn new(metric: Option<&str>, status: &str, summary: &str, description: &str) -> Self {
        Self {
            metric: metric.map(str::to_owned),
            status: status.to_owned(),
            summary: summary.to_owned(),
            description: description.to_owned(),
            turn: ("off\n".to_owned(), "on\n".to_owned()),
            has_stale_behind: false,
        }
    }
}

/// A ledger of the founding loop.
fn recorded(tsv: &str) -> Vec<Row> {
    let lines = tsv.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    lines
        .enumerate()
        .map(|(index, fields)| {
            assert!(fields.len() == 5 && fields[0] == (index + 1).to_string(), "line {}", index + 2);
            Row::new(Some(fields[1]), fields[2], fields[3], fields[4])
        })
        .collect()
}

/// A ledger of every sort of row, drawn with this seed: gains, losses, crashes, ties, ties with fewer lines,
/// gains that are not worth their lines, and levers that go stale.
fn drawn(sign: i64, seed: u64, count: usize) -> Vec<Row> {
    let mut state = seed;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut record: i64 = if sign > 0 { 10_000 } else { 90_000 };
    let text = |value: i64, zeros: u64| {
        format!("{}.{:04}{}", value / 10_000, value % 10_000, "0".repeat(zeros as usize))
    };
    let mut rows = vec![Row::new(Some(&text(record, 0)), "keep", "what the baseline shows", "baseline")];
    for number in 2..=count {
        let sort = number as u64 % 6;
        let gain = match sort {
            0 => 11 + below(40) as i64,
            1 => -1 - below(500) as i64,
            5 => 1 + below(10) as i64,
            _ => 0,
        };
        let metric = text(record + sign * gain, below(3));
        let summary = format!("seen, in row {number}; and \"more\" of it");
        let row =
            |status| Row::new(Some(&metric), status, &summary, &format!("step {number}, of sort {sort}"));
        rows.push(match sort {
            0 => Row { has_stale_behind: true, ..row("keep") },
            1 | 2 => row("discard"),
            3 => Row { turn: ("off\none\ntwo\n".to_owned(), "on\n".to_owned()), ..row("keep") },
            4 => {
                let ended = "no metric: crashed with exit code 3";
                Row { metric: None, summary: ended.to_owned(), ..row("crash") }
            }
            _ => Row { turn: ("off\n".to_owned(), "on\n".repeat(25)), ..row("discard") },
        });
        if sort == 0 {
            record += sign * gain;
        }
    }
    rows
}

/// A summary as parts that fit the first lines of deliverables; joined by `; ` they are the summary.
fn parts(summary: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for piece in summary.split("; ") {
        match parts.last_mut().filter(|part| part.len() + 2 + piece.len() <= PART_MAX_BYTES) {
            Some(part) => *part = format!("{part}; {piece}"),
            None => parts.push(piece.to_owned()),
        }
    }
    parts
}

/// The project: what was recorded is frozen, and each lever turns one file of its own.
fn write_project(dir: &Path, rows: &[Row], direction: &str) {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    let plan = |iteration: usize| -> String {
        let count = parts(&rows[iteration - 1].summary).len();
        let row = |part: usize| {
            format!(
                "{{script: say{part}.sh, output: {part}.txt, dimension: seen-{iteration}-{part}, question: what \
                 was seen, if_helped: this, if_not: that}}"
            )
        };
        (0..count).map(row).collect::<Vec<_>>().join(", ")
    };
    write(
        "run.sh",
        "metric=recorded/metric.$WINDLASS_ITERATION\n[ -e $metric ] || { echo boom; exit 3; }\necho \"val_acc: \
         $(cat $metric)\"\n",
    );
    for (index, row) in rows.iter().enumerate() {
        let number = index + 1;
        if let Some(metric) = &row.metric {
            write(&format!("recorded/metric.{number}"), metric);
        }
        for (part, text) in parts(&row.summary).iter().enumerate() {
            write(&format!("recorded/seen.{number}.{part}"), text);
            let script = format!("cat recorded/seen.$WINDLASS_ITERATION.{part}\n");
            write(&format!("say{part}.sh"), &script);
            write(&format!("levers/say{part}.sh"), &script);
        }
        let (before, after) = &row.turn;
        write(&format!("turn/{number:02}"), before);
        if number == 1 {
            continue;
        }
        write(&format!("levers/{number:02}.tree/turn/{number:02}"), after);
        let title = serde_json::Value::from(row.description.as_str());
        let lever = format!(
            "title: {title}\nfiles: [turn/{number:02}]\ntree: {number:02}.tree\n\
             anchor: {{file: run.log, pattern: 'val_acc: (.*)'}}\nprediction: as it was\nanalysis: [{}]\n",
            plan(number)
        );
        write(&format!("levers/{number:02}.yaml"), &lever);
        if row.has_stale_behind {
            write(&format!("stale/{number:02}"), "off\n");
            write(&format!("levers/{number:02}s.tree/stale/{number:02}"), "on\n");
            let stale = lever
                .replace(&format!("turn/{number:02}"), &format!("stale/{number:02}"))
                .replace(&format!("{number:02}.tree"), &format!("{number:02}s.tree"))
                .replace("'val_acc: (.*)'}", "'val_acc: (.*)', compare: '< -1000'}");
            write(&format!("levers/{number:02}s.yaml"), &stale);
        }
    }
    let campaign = format!(
        "metric: val_acc\nmetric_direction: {direction}\nentrypoint: sh run.sh\neditable_files: [turn, stale]\ngate: time\n\
         budget: 5\nwindlass:\n  name: replay\n  ignore: [levers]\n  fix_wait: 0\n  analysis: {{wait: 0}}\n  \
         baseline: [{}]\n",
        plan(1)
    );
    write("loop.run.yaml", &campaign);
}

/// Text as P29 writes it.
fn normalised(text: &str) -> String {
    text.trim().replace(',', ";")
}

fn check(rows: &[Row], direction: &str) {
    let fleet = Fleet::new();
    let project = fleet.path("project");
    write_project(&project, rows, direction);
    let _coordinator = fleet.coordinator();
    let dir = project.to_str().expect("UTF-8");
    let lacking = |plan: &serde_json::Value| plan["plan"]["upload"]["lacking_blobs"].as_u64();
    let before = fleet.json(&["submit", dir, "--dry-run"]);
    assert!(lacking(&before).is_some_and(|count| count > 0), "{before}");
    // The whole queue is there before the first of them has its turn.
    let campaign = fleet.submit(&project, true);
    let _worker = fleet.worker("one");
    let after = fleet.json(&["submit", dir, "--dry-run"]);
    assert_eq!(lacking(&after), Some(0), "what was sent is not lacking: {after}");
    fleet.wait_decided(&campaign, rows.len() as u64);

    let tsv = fleet.ok(&["results", &campaign, "--format", "tsv"]);
    let mut lines = tsv.lines();
    assert_eq!(lines.next(), Some("iter\tval_acc\tstatus\tanalysis_summary\tdescription"));
    for (index, (line, row)) in lines.by_ref().zip(rows).enumerate() {
        let (summary, description) = (normalised(&row.summary), normalised(&row.description));
        let metric = row.metric.as_deref().unwrap_or("0.000000");
        let want = format!("{}\t{metric}\t{}\t{summary}\t{description}", index + 1, row.status);
        assert_eq!(line, want);
    }
    assert_eq!((tsv.lines().count(), lines.next()), (rows.len() + 1, None));
    let levers = fleet.json(&["lever", "list", &campaign]);
    let retired = levers["levers"]
        .as_array()
        .expect("levers")
        .iter()
        .filter(|lever| lever["state"]["reason"]["stale"]["rule"] == "P7");
    assert_eq!(retired.count(), rows.iter().filter(|row| row.has_stale_behind).count(), "{levers}");
    fleet.verify();
}

#[test]
fn p25_p29_a_recorded_campaign_of_10_iterations_is_decided_as_it_was() {
    check(&recorded(include_str!("../data/showcase-ml-autoresearch.results.tsv")), "maximize");
}

#[test]
fn p25_p29_a_recorded_campaign_of_11_iterations_is_decided_as_it_was() {
    check(&recorded(include_str!("../data/showcase-tournament.results.tsv")), "maximize");
}

#[test]
fn p7_p25_p26_a_drawn_ledger_that_maximises_is_decided_as_it_was_recorded() {
    check(&drawn(1, 7, 37), "maximize");
}

#[test]
fn p7_p25_p26_a_drawn_ledger_that_minimises_is_decided_as_it_was_recorded() {
    check(&drawn(-1, 8, 37), "minimize");
}
