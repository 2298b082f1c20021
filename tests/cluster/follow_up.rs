//! Follow-ups on decided iterations, by real processes (P22); and every row rebuilt from the store (P28).

use crate::harness::Fleet;
use crate::project::Project;
use std::collections::BTreeMap;
use std::path::Path;

/// Adds a script to an iteration.
fn analyze(fleet: &Fleet, campaign: &str, iteration: &str, script: &Path, output: &str) {
    let script = script.display().to_string();
    let dimension = output.trim_end_matches(".tsv");
    fleet.ok(&[
        "analyze",
        campaign,
        iteration,
        "--script",
        &script,
        "--result",
        output,
        "--dimension",
        dimension,
        "--question",
        "what else?",
        "--if-helped",
        "more of it",
        "--if-not",
        "less of it",
    ]);
}

fn wait_for(fleet: &Fleet, campaign: &str, iteration: &str, output: &str) -> String {
    let path = format!("results/{output}");
    fleet.wait_until(output, || fleet.client(&["get", campaign, iteration, &path]).status.success());
    fleet.ok(&["get", campaign, iteration, &path])
}

#[test]
fn p22_a_decided_iteration_is_followed_up_on_and_what_is_found_is_evidence() {
    let fleet = Fleet::new();
    // Only the workspace itself knows this: nothing of it is among the results.
    let run = "echo \"made in $VALUE\" > made.txt\n[ \"$VALUE\" != 0.3 ] || exit 3\necho \"val: $VALUE\"";
    let project = Project::default().run(run).write(&fleet.path("project"));
    let script = |name: &str, text: &str| {
        let path = project.join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let look = script("look.sh", "cat made.txt\nrm -f \"$WINDLASS_RESULTS/value.tsv\"\necho \"val: 99\"\n");
    let log = script("log.sh", "grep -c val: \"$WINDLASS_RUN_LOG\" || echo none\nls \"$WINDLASS_HISTORY\"\n");
    let bad = script("bad.sh", "echo so it is\nexit 4\n");
    Project::lever(&project, "a", "0.75");
    let _coordinator = fleet.coordinator();
    let worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    // Many runs later the best's workspace is still there.
    for n in 0..9 {
        let name = format!("lever{n}");
        Project::lever(&project, &name, &format!("0.4{n}"));
        let file = project.join(format!("levers/{name}.yaml")).display().to_string();
        fleet.ok(&["lever", "add", &campaign, &file]);
    }
    fleet.wait_decided(&campaign, 11);
    let before = fleet.decided(&campaign);
    analyze(&fleet, &campaign, "2", &look, "late.tsv");
    assert_eq!(wait_for(&fleet, &campaign, "2", "late.tsv"), "made in 0.75\nval: 99\n");
    let value = fleet.ok(&["get", &campaign, "2", "results/value.tsv"]);
    assert_eq!(value, "value\t0.75\n", "a follow-up only adds");
    assert_eq!(fleet.decided(&campaign), before, "neither status nor metric");
    fleet.wait_until("it is in the status", || {
        fleet.ok(&["status", &campaign]).contains("has late.tsv since: made in 0.75")
    });
    assert!(fleet.ok(&["show", &campaign, "2"]).contains("late.tsv"));
    let rows = fleet.json(&["results", &campaign]);
    let found = &rows["iterations"][1]["follow_ups"];
    assert_eq!(found[0]["first_line"], "made in 0.75", "{rows}");
    assert!(rows["iterations"][2].get("follow_ups").is_none(), "{rows}");
    assert!(fleet.ok(&["report", &campaign]).contains("(`late.tsv`): made in 0.75"));
    // A lever cites it.
    Project::lever(&project, "cites", "0.3");
    let lever = project.join("levers/cites.yaml");
    let text = std::fs::read_to_string(&lever).expect("there");
    let anchor = "anchor: {file: late.tsv, pattern: 'made in ([0-9.]+)', compare: '> 0', iteration: 2}\n";
    let text: String = text
        .lines()
        .map(|line| if line.starts_with("anchor") { anchor.to_owned() } else { format!("{line}\n") })
        .collect();
    std::fs::write(&lever, text).expect("written");
    fleet.ok(&["lever", "add", &campaign, &lever.display().to_string()]);
    fleet.wait_decided(&campaign, 12);
    assert_eq!(fleet.decided(&campaign).last().map(|row| row.1.clone()).as_deref(), Some("crash"));
    // The latest is a crash: its log can be looked at, elsewhere too, where its workspace is rebuilt.
    worker.kill();
    for (pid, _) in fleet.processes().into_iter().filter(|(_, command)| command.contains("shim")) {
        crate::harness::signal(pid, "KILL");
    }
    let _other = fleet.worker("two");
    analyze(&fleet, &campaign, "12", &log, "log.tsv");
    assert!(wait_for(&fleet, &campaign, "12", "log.tsv").starts_with("0\nnone\n"));
    // One that fails is given up, says why, and leaves everything as it was.
    analyze(&fleet, &campaign, "12", &bad, "bad.tsv");
    fleet.wait_until("it is given up", || fleet.ok(&["status", &campaign]).contains("bad.tsv given up"));
    let older = fleet.client(&[
        "analyze",
        &campaign,
        "5",
        "--script",
        &log.display().to_string(),
        "--result",
        "x.tsv",
        "--dimension",
        "x",
        "--question",
        "q",
        "--if-helped",
        "h",
        "--if-not",
        "n",
    ]);
    let said = String::from_utf8_lossy(&older.stderr).into_owned();
    assert!(older.status.code() == Some(3) && said.contains("P22"), "{said}");
    fleet.verify();
}

/// A file's bytes by its path below a folder.
fn files_below(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path().strip_prefix(dir).expect("below").display().to_string();
            found.insert(path, std::fs::read(entry.path()).expect("a file"));
        }
    }
    found
}

#[test]
fn p28_every_row_is_rebuilt_byte_for_byte_from_the_store() {
    let fleet = Fleet::new();
    // Each run keeps a copy of its own workspace where the test finds it.
    let aside = fleet.path("aside");
    std::fs::create_dir_all(&aside).expect("a folder");
    let run = format!(
        "mkdir -p {0}/$WINDLASS_ITERATION && cp -R . {0}/$WINDLASS_ITERATION/\n\
         printf '\\0\\377 %s' \"$VALUE\" > \"$WINDLASS_RESULTS/raw.bin\"\n\
         cp \"$WINDLASS_RESULTS/raw.bin\" {0}/$WINDLASS_ITERATION.bin\n\
         [ \"$VALUE\" != 0.3 ] || {{ echo boom; exit 3; }}\necho \"val: $VALUE\"",
        aside.display()
    );
    let project = Project::default().run(&run).windlass("  sandbox: none\n").write(&fleet.path("project"));
    // Bytes that no text tool leaves alone, an executable, a link, an empty file.
    std::fs::write(project.join("data.bin"), [0_u8, 255, 13, 10, 13, 0]).expect("written");
    std::fs::write(project.join("empty"), "").expect("written");
    std::os::unix::fs::symlink("data.bin", project.join("link")).expect("a link");
    for (name, value) in [("1-worse", "0.4"), ("2-crash", "0.3"), ("3-better", "0.9")] {
        Project::lever(&project, name, value);
        let edited = project.join(format!("levers/{name}.tree/params.sh"));
        std::fs::write(edited, format!("# the one number\r\nVALUE={value}\n# \u{e9}\n")).expect("written");
    }
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 4);
    // Written against the new best, so that it fits.
    Project::lever(&project, "equal", "0.90");
    fleet.ok(&["lever", "add", &campaign, &project.join("levers/equal.yaml").display().to_string()]);
    fleet.wait_decided(&campaign, 5);
    let rows = fleet.decided(&campaign);
    let statuses: Vec<&str> = rows.iter().map(|row| row.1.as_str()).collect();
    assert!(["keep", "discard", "crash"].iter().all(|status| statuses.contains(status)), "{statuses:?}");
    fleet.ok(&["sync", &campaign, &fleet.path("copy").display().to_string()]);
    for (number, ..) in &rows {
        let number = number.to_string();
        let listed = fleet.json(&["files", &campaign, &number]);
        let run_in = files_below(&aside.join(&number));
        let listed = listed["files"].as_array().expect("files").clone();
        let tree: Vec<&str> =
            listed.iter().filter(|it| it["place"] == "tree").filter_map(|it| it["path"].as_str()).collect();
        assert!(tree.len() >= 5, "{tree:?}");
        let rebuilt = fleet.path(&format!("rebuilt{number}"));
        for path in tree {
            if let Ok(target) = std::fs::read_link(aside.join(&number).join(path)) {
                let said = fleet.ok(&["get", &campaign, &number, path]);
                assert_eq!(said, format!("{}\n", target.display()));
                continue;
            }
            let to = rebuilt.join(path);
            std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
            fleet.ok(&["get", &campaign, &number, path, "-o", &to.display().to_string()]);
            assert_eq!(std::fs::read(&to).ok().as_ref(), run_in.get(path), "{path} of iteration {number}");
        }
        // The results and the log, from the store and in the user's copy.
        let raw = std::fs::read(aside.join(format!("{number}.bin"))).expect("kept aside");
        let to = fleet.path(&format!("raw{number}")).display().to_string();
        fleet.ok(&["get", &campaign, &number, "results/raw.bin", "-o", &to]);
        assert_eq!(std::fs::read(to).expect("there"), raw);
        let copy = files_below(&fleet.path("copy").join(format!("iter{number}")));
        assert_eq!(copy.get("results/raw.bin"), Some(&raw));
        let log = fleet.ok(&["get", &campaign, &number, "run.log"]);
        assert_eq!(copy.get("run.log").map(Vec::as_slice), Some(log.as_bytes()));
        // The layout is whole (PROTOCOL, "Layout of the user's copy").
        let mut want =
            vec!["code_snapshot/params.sh", "loop.run.yaml", "analysis/plan.md", "analysis/summary.md"];
        want.extend(if number == "1" { &[][..] } else { &["change.patch", "lever.yaml"] });
        assert_eq!(want.iter().find(|name| !copy.contains_key(**name)), None, "{:?}", copy.keys());
        // What stood before, with the patch on it, is what ran.
        if number != "1" {
            let before = rebuilt.join("before");
            std::fs::create_dir_all(&before).expect("a folder");
            std::fs::write(before.join("params.sh"), &copy["code_snapshot/params.sh"]).expect("written");
            let patch = fleet.path("copy").join(format!("iter{number}/change.patch"));
            let mut git = std::process::Command::new("git");
            git.args(["apply", "--unsafe-paths"]).arg(patch).current_dir(&before);
            git.env("GIT_CEILING_DIRECTORIES", rebuilt.display().to_string());
            assert!(git.status().expect("git is there").success(), "the patch of {number} goes");
            let after = std::fs::read(before.join("params.sh")).expect("there");
            assert_eq!(Some(&after), run_in.get("params.sh"), "iteration {number}");
        }
    }
    let copy = files_below(&fleet.path("copy"));
    assert!(copy.contains_key("results.tsv") && copy.contains_key("loop.run.yaml"));
    assert!(!copy.contains_key("approaches.md"), "only with move_scheduler");
    fleet.verify();
}
