//! What an iteration is made of and what it made, fetched from a real coordinator.

use crate::harness::Fleet;
use crate::project::Project;

/// Larger than one piece of a blob's way, and no text.
const LARGE_BYTES: usize = 5 << 20;

#[test]
fn p28_i16_every_file_of_an_iteration_comes_back_byte_for_byte() {
    let fleet = Fleet::new();
    let script = "mkdir -p \"$WINDLASS_RESULTS/plots\"; cat weights.bin weights.bin > \"$WINDLASS_RESULTS/plots/double.bin\"\n\
                  echo \"val: $VALUE\"";
    let project = Project::default().run(script).write(&fleet.path("project"));
    let large: Vec<u8> = (0..LARGE_BYTES).map(|n| (n * 31 % 251) as u8).collect();
    std::fs::write(project.join("weights.bin"), &large).expect("a file");
    Project::lever(&project, "a-better", "0.75");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);

    let files = fleet.json(&["files", &campaign, "2"]);
    let of = |path: &str| {
        let files = files["files"].as_array().expect("a list");
        files
            .iter()
            .find(|file| file["path"] == path)
            .unwrap_or_else(|| panic!("{path} in {files:?}"))
            .clone()
    };
    let standing = |path: &str| of(path)["standing"].as_str().map(str::to_owned);
    assert_eq!(standing("params.sh").as_deref(), Some("changed"));
    assert_eq!(standing("run.sh").as_deref(), Some("frozen"));
    assert_eq!(of("results/plots/double.bin")["size_bytes"], 2 * LARGE_BYTES);
    assert_eq!(of("run.log")["place"], "log");

    let out = |name: &str| fleet.path(name).to_str().expect("UTF-8").to_owned();
    let get = |path: &str| fleet.client(&["get", &campaign, "2", path]).stdout;
    assert_eq!(get("run.log"), b"val: 0.75\n");
    assert_eq!(get("weights.bin"), large);
    fleet.ok(&["get", &campaign, "2", "results", "-o", &out("results")]);
    let double = std::fs::read(fleet.path("results").join("plots/double.bin")).expect("a file");
    assert_eq!(double, [large.as_slice(), &large].concat());

    fleet.ok(&["best", &campaign, "--tree", &out("best")]);
    let params = std::fs::read_to_string(fleet.path("best").join("params.sh")).expect("a file");
    assert_eq!(params, "# the one number\nVALUE=0.75\n", "P31: the best's tree, not the workspace's");
    assert_eq!(std::fs::read(fleet.path("best").join("weights.bin")).expect("a file"), large);
    let best = fleet.json(&["best", &campaign]);
    assert_eq!((&best["best"]["iteration"], &best["best"]["metric"]), (&2.into(), &"0.75".into()));
    assert_eq!(best["staircase"].as_array().map(Vec::len), Some(2));

    let report = fleet.ok(&["report", &campaign]);
    for part in ["**Best: `val` 0.75**", "`value.tsv` of iteration 1, line 1", "## What it cost"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let shown = fleet.json(&["show", &campaign, "2"]);
    assert_eq!(shown["evidence"]["value"], "0.5");
    assert_eq!(shown["attempts"][0]["ended"]["ending"], "finished");
    assert_eq!(shown["decision"]["status"], "keep");
}

#[test]
fn a_watch_without_a_name_tells_of_every_campaign() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let campaigns = [fleet.submit(&project, false), fleet.submit(&project, false)];
    let data_dir = fleet.data_dir();
    let mut watch = std::process::Command::new("timeout");
    watch.args(["60", "sh", "-c", "\"$0\" --data-dir \"$1\" watch | head -n 4", crate::harness::WINDLASS]);
    let output = watch.arg(&data_dir).output().expect("it runs");
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    for campaign in &campaigns {
        assert!(told.lines().any(|line| line.contains(&format!(" {campaign}: "))), "{campaign}: {told}");
    }
    let timed_out = output.status.code() == Some(124);
    assert!(!timed_out, "a closed pipe ends it, though nothing more happens");
}
