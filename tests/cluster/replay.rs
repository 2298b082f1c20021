//! Recorded ledgers, run again: an entrypoint prints what was measured then, analyses say what was seen
//! then, and the ledger that comes of it through coordinator and worker is the recorded one (P25, P29).

use crate::harness::Fleet;
use std::path::Path;

/// The longest first line of a deliverable that becomes a part of the summary, bytes.
const PART_MAX_BYTES: usize = 190;

/// A row of a ledger of the founding loop.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    metric: &'a str,
    status: &'a str,
    summary: &'a str,
    description: &'a str,
}

fn rows(tsv: &str) -> Vec<Row<'_>> {
    let lines = tsv.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    lines
        .enumerate()
        .map(|(index, fields)| {
            assert!(fields.len() == 5 && fields[0] == (index + 1).to_string(), "line {}", index + 2);
            Row { metric: fields[1], status: fields[2], summary: fields[3], description: fields[4] }
        })
        .collect()
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
fn write_project(dir: &Path, rows: &[Row<'_>]) {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    let plan = |iteration: usize| -> String {
        let count = parts(rows[iteration - 1].summary).len();
        let row = |part: usize| {
            format!(
                "{{script: say{part}.sh, output: {part}.txt, dimension: seen-{iteration}-{part}, question: what \
                 was seen, if_helped: this, if_not: that}}"
            )
        };
        (0..count).map(row).collect::<Vec<_>>().join(", ")
    };
    write("run.sh", "echo \"val_acc: $(cat recorded/metric.$WINDLASS_ITERATION)\"\n");
    for (index, row) in rows.iter().enumerate() {
        let number = index + 1;
        write(&format!("recorded/metric.{number}"), row.metric);
        for (part, text) in parts(row.summary).iter().enumerate() {
            write(&format!("recorded/seen.{number}.{part}"), text);
            let script = format!("cat recorded/seen.$WINDLASS_ITERATION.{part}\n");
            write(&format!("say{part}.sh"), &script);
            write(&format!("levers/say{part}.sh"), &script);
        }
        write(&format!("turn/{number:02}"), "off\n");
        if number == 1 {
            continue;
        }
        write(&format!("levers/{number:02}.tree/turn/{number:02}"), "on\n");
        let title = serde_json::Value::from(row.description);
        let lever = format!(
            "title: {title}\nfiles: [turn/{number:02}]\ntree: {number:02}.tree\n\
             anchor: {{file: run.log, pattern: 'val_acc: (.*)'}}\nprediction: as it was\nanalysis: [{}]\n",
            plan(number)
        );
        write(&format!("levers/{number:02}.yaml"), &lever);
    }
    let campaign = format!(
        "metric: val_acc\nmetric_direction: maximize\nentrypoint: sh run.sh\neditable_files: [turn]\ngate: time\n\
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

fn check(recorded: &str) {
    let rows = rows(recorded);
    let fleet = Fleet::new();
    let project = fleet.path("project");
    write_project(&project, &rows);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let dir = project.to_str().expect("UTF-8");
    let lacking = |plan: &serde_json::Value| plan["plan"]["upload"]["lacking_blobs"].as_u64();
    let before = fleet.json(&["submit", dir, "--dry-run"]);
    assert!(lacking(&before).is_some_and(|count| count > 0), "{before}");
    let campaign = fleet.submit(&project, true);
    let after = fleet.json(&["submit", dir, "--dry-run"]);
    assert_eq!(lacking(&after), Some(0), "what was sent is not lacking: {after}");
    fleet.wait_decided(&campaign, rows.len() as u64);

    let tsv = fleet.ok(&["results", &campaign, "--format", "tsv"]);
    let mut lines = tsv.lines();
    assert_eq!(lines.next(), Some("iter\tval_acc\tstatus\tanalysis_summary\tdescription"));
    for (index, (line, row)) in lines.by_ref().zip(&rows).enumerate() {
        let (summary, description) = (normalised(row.summary), normalised(row.description));
        let want = format!("{}\t{}\t{}\t{summary}\t{description}", index + 1, row.metric, row.status);
        assert_eq!(line, want);
    }
    assert_eq!((tsv.lines().count(), lines.next()), (rows.len() + 1, None));
    fleet.verify();
}

#[test]
fn p25_p29_a_recorded_campaign_of_10_iterations_is_decided_as_it_was() {
    check(include_str!("../data/showcase-ml-autoresearch.results.tsv"));
}

#[test]
fn p25_p29_a_recorded_campaign_of_11_iterations_is_decided_as_it_was() {
    check(include_str!("../data/showcase-tournament.results.tsv"));
}
