//! The epoch gate on real processes (P17): the founding loop's own campaign file, filled in, and a project
//! whose cap is one line of its configuration.

use crate::harness::Fleet;
use std::path::Path;

/// As it is published.
const EXAMPLE: &str = include_str!("loop.run.example.yaml");
/// The frozen part: it trains as many epochs as the configuration says, and says so.
const TRAIN: &str = r#"import os, re
config = open("config.yaml").read()
epochs = int(re.search(r"^epochs: (\d+)", config, re.M).group(1))
rate = float(re.search(r"^rate: ([0-9.]+)", config, re.M).group(1))
for epoch in range(epochs):
    print(f"epoch {epoch + 1} of {os.environ['WINDLASS_EPOCHS']}")
print(f"val_acc: {rate}")
"#;
const CONFIG: &str = "rate: 0.5\nepochs: 50\nseed: 1\n";

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn lever(dir: &Path, name: &str, config: &str) {
    write(dir, &format!("levers/{name}.tree/config.yaml"), config);
    let text = format!(
        "title: {name}\nfiles: [config.yaml]\ntree: {name}.tree\n\
         anchor: {{file: run.log, pattern: 'val_acc: ([0-9.]+)', compare: '< 1'}}\nprediction: better\n\
         analysis:\n  - {{script: 'builtin:log', output: {name}.tsv, dimension: {name}, question: how?, \
         if_helped: well, if_not: badly}}\n"
    );
    write(dir, &format!("levers/{name}.yaml"), &text);
}

#[test]
fn p17_the_founding_loops_own_file_submits_and_runs_its_epochs() {
    let fleet = Fleet::new();
    let project = fleet.path("project");
    write(&project, "loop.run.yaml", &EXAMPLE.replace("/path/to/venv/bin/python", "python3"));
    write(&project, "train.py", TRAIN);
    write(&project, "config.yaml", CONFIG);
    write(&project, "model.py", "WIDTH = 3\n");
    // Written on the user's own file, cap and all; and two that ask for more.
    lever(&project, "faster", "rate: 0.7\nepochs: 50\nseed: 1\n");
    lever(&project, "longer", "rate: 0.7\nepochs: 60\nseed: 1\n");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign)[0].1, "keep", "{}", fleet.ok(&["show", &campaign, "1"]));
    let log = fleet.ok(&["logs", &campaign, "1"]);
    assert!(log.contains("epoch 5 of 5") && !log.contains("epoch 6"), "{log}");
    let own = std::fs::read_to_string(project.join("config.yaml")).expect("there");
    assert_eq!(own, CONFIG, "the user's own files stay as they are");

    let levers = |name: &str| project.join(format!("levers/{name}.yaml")).display().to_string();
    let longer = fleet.client(&["lever", "add", &campaign, &levers("longer")]);
    let said = String::from_utf8_lossy(&longer.stderr).into_owned();
    assert_eq!(longer.status.code(), Some(3), "{said}");
    assert!(said.contains("P17") && said.contains("config.yaml:2") && said.contains("60 epochs"), "{said}");
    fleet.ok(&["lever", "add", &campaign, &levers("faster")]);
    fleet.wait_decided(&campaign, 2);
    assert_eq!(fleet.decided(&campaign)[1], (2, "keep".to_owned(), "0.7".to_owned()));
    let log = fleet.ok(&["logs", &campaign, "2"]);
    assert!(log.contains("epoch 5 of 5") && !log.contains("epoch 6"), "{log}");
    let diff = fleet.ok(&["diff", &campaign, "2"]);
    assert!(diff.contains("+rate: 0.7") && !diff.contains("epochs: 50"), "{diff}");
}

#[test]
fn p17_a_project_without_one_line_for_the_cap_is_refused_with_the_candidates() {
    let fleet = Fleet::new();
    let project = fleet.path("project");
    write(&project, "loop.run.yaml", EXAMPLE);
    write(&project, "train.py", "epochs = 9\n");
    write(&project, "config.yaml", CONFIG);
    write(&project, "model.py", "width = 3\nmax_epochs = 50\n");
    let _coordinator = fleet.coordinator();
    let submit = |project: &Path| {
        let output = fleet.client(&["submit", &project.display().to_string()]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = submit(&project);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("config.yaml:2") && said.contains("model.py:2") && !said.contains("train.py"),
        "{said}"
    );
    write(&project, "loop.run.yaml", &format!("{EXAMPLE}\nwindlass:\n  epochs: {{file: model.py}}\n"));
    let (code, said) = submit(&project);
    assert_eq!(code, Some(0), "{said}");
}
