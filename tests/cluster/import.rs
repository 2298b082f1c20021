//! A ledger that was made elsewhere, through a real coordinator: listed, shown, plotted, exported, read-only.

use crate::harness::{Fleet, WINDLASS};

const RECORDED: &str = include_str!("../data/showcase-ml-autoresearch.results.tsv");

#[test]
fn i13_p29_an_imported_ledger_is_shown_like_any_campaign_and_never_changes() {
    let fleet = Fleet::new();
    let file = fleet.path("old.tsv");
    std::fs::write(&file, RECORDED).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let coordinator = fleet.coordinator();
    let imported = fleet.json(&["ledger", "import", file, "--name", "first loop"]);
    let id = imported["campaign"].as_str().expect("an id").to_owned();
    assert_eq!((imported["rows"].as_u64(), &imported["direction"]), (Some(10), &"maximize".into()));

    let shown = |fleet: &Fleet| {
        let status = fleet.json(&["status", &id]);
        assert_eq!(status["best"]["iteration"], 9, "P31: the best, not the last");
        assert_eq!((&status["decided"]["keep"], &status["decided"]["discard"]), (&6.into(), &4.into()));
        assert_eq!(fleet.json(&["campaigns"])["campaigns"][0]["name"], "first loop");
        assert_eq!(fleet.ok(&["results", &id, "--format", "tsv"]), RECORDED, "import and export are one");
        let page = fleet.ok(&["show", &id, "9"]);
        assert!(page.contains("cosine schedule") && page.contains("old.tsv"), "{page}");
        assert!(!page.contains("[P14]") && !page.contains("net lines"), "nobody knows of those: {page}");
        assert!(fleet.ok(&["best", &id]).contains("0.6700"));
        assert!(fleet.ok(&["plot", &id]).contains("val_acc"));
        let context = fleet.ok(&["context", &id]);
        assert!(context.contains("cosine schedule") && context.contains("(imported)"), "{context}");
        assert!(
            !context.contains("P16") && !context.contains("editable_files"),
            "nothing is asked: {context}"
        );
        let report = fleet.ok(&["report", &id]);
        assert!(report.contains("imported from") && report.contains("Learnt: "), "{report}");
        assert!(fleet.ok(&["explain", &id]).contains("read-only"));
        fleet.ok(&["files", &id, "9"]);
        fleet.ok(&["diff", &id, "9"]);
        let copy = fleet.path("copy");
        fleet.ok(&["sync", &id, copy.to_str().expect("UTF-8")]);
        assert_eq!(std::fs::read_to_string(copy.join("results.tsv")).expect("it"), RECORDED);
    };
    shown(&fleet);
    for refused in [&["pause", &id][..], &["resume", &id], &["cancel", &id, "9"]] {
        assert_eq!(fleet.client(refused).status.code(), Some(3), "{refused:?}");
    }
    coordinator.kill();
    let _coordinator = fleet.coordinator();
    shown(&fleet);
    let exported = fleet.ok(&["ledger", "export", "first loop"]);
    assert_eq!(exported.lines().count(), 11, "one record begins it, one for each row");
    fleet.verify();
}

#[test]
fn a_malformed_line_is_refused_by_number_and_left_out_only_when_asked() {
    let fleet = Fleet::new();
    let file = fleet.path("old.tsv");
    std::fs::write(&file, format!("{RECORDED}11\t0.7\tkept\ts\td\n12\t0.7\tdiscard\ts\td\n"))
        .expect("a file");
    let file = file.to_str().expect("UTF-8");
    let _coordinator = fleet.coordinator();
    let refused = fleet.client(&["ledger", "import", file]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("line 12: status \"kept\""), "{said}");
    assert_eq!(
        fleet.json(&["campaigns"])["campaigns"].as_array().map(Vec::len),
        Some(0),
        "nothing was taken"
    );
    let imported = fleet.json(&["ledger", "import", file, "--lenient"]);
    assert_eq!((&imported["rows"], &imported["skipped"][0]["line"]), (&11.into(), &12.into()));
}

#[test]
fn i18_the_longest_ledger_that_is_taken_is_one_message_and_one_batch() {
    let fleet = Fleet::new();
    let file = fleet.path("long.tsv");
    let mut text = String::from("iter\tloss\tstatus\tanalysis_summary\tdescription\n");
    for number in 1..=10_000 {
        let status = if number % 7 == 1 { "keep" } else { "discard" };
        let value = if number % 7 == 1 { 100_000 - number } else { 200_000 };
        text.push_str(&format!("{number}\t{value}\t{status}\t{}\trow {number}\n", "x".repeat(550)));
    }
    std::fs::write(&file, &text).expect("a file");
    let path = file.to_str().expect("UTF-8");
    let _coordinator = fleet.coordinator();
    let id = fleet.json(&["ledger", "import", path])["campaign"].as_str().expect("an id").to_owned();
    assert_eq!(fleet.ok(&["results", &id, "--format", "tsv"]), text);
    // Every page and document has them all: records come in many pieces, and none is left out between two.
    let decided = &fleet.json(&["status", &id])["decided"];
    let count = |status: &str| decided[status].as_u64().unwrap_or_default();
    assert_eq!((count("keep"), count("keep") + count("discard")), (1_429, 10_000));
    let rows = fleet.json(&["results", &id, "--format", "json"])["iterations"].as_array().map(Vec::len);
    assert_eq!(rows, Some(10_000));
    assert!(fleet.ok(&["show", &id, "9999"]).contains("row 9999"));
    text.push_str("10001\t1\tdiscard\ts\tone too many\n");
    std::fs::write(&file, &text).expect("a file");
    let refused = fleet.client(&["ledger", "import", path]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("more than 10000 rows"), "{said}");
}

#[test]
fn i18_a_file_without_end_is_refused_wherever_one_is_named() {
    let fleet = Fleet::new();
    let project = crate::project::Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    for arguments in [
        &["ledger", "import", "/dev/zero", "--metric", "val"][..],
        &["lever", "add", &campaign, "/dev/zero"],
        &["conclude", &campaign, "1", "/dev/zero"],
        &["findings", "add", &campaign, "/dev/zero"],
        &["fix", &campaign, "1", "/dev/zero"],
        &["--config", "/dev/zero", "campaigns"],
    ] {
        let refused = fleet.client(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(matches!(refused.status.code(), Some(2 | 3)), "{arguments:?}: {said}");
        let names_it = said.contains("/dev/zero") && said.contains("remedy");
        assert!(names_it && (said.contains("at most") || said.contains("no regular file")), "{said}");
    }
    // What is named by a pipe is taken all the same.
    let (file, data) = (fleet.path("old.tsv"), fleet.data_dir());
    std::fs::write(&file, RECORDED).expect("a file");
    let line = format!(
        "cat '{}' | '{WINDLASS}' --data-dir '{}' ledger import /dev/stdin --name piped",
        file.display(),
        data.display()
    );
    let mut shell = std::process::Command::new("sh");
    let piped = shell.args(["-c", &line]).env_remove("WINDLASS_COORDINATOR").output().expect("a shell");
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert_eq!(fleet.ok(&["results", "piped", "--format", "tsv"]), RECORDED);
}
