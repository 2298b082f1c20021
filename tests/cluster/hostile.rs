//! Input that nobody should send, through the real binary: each is a refusal that names rule, place and what
//! to do, or a typed ending; the campaign goes on, and the ledger is whole.

use crate::harness::{Fleet, WINDLASS};
use crate::project::Project;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Fails to submit, with all of these in what is said.
fn refused(fleet: &Fleet, project: &Path, wants: &[&str]) {
    let project = project.to_str().expect("UTF-8");
    let output = fleet.client(&["--output", "json", "submit", project]);
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(3), "{wants:?}: {said}");
    assert!(wants.iter().all(|want| said.contains(want)), "{wants:?}: {said}");
    assert!(said.contains("\"remedy\":\""), "it says what to do: {said}");
}

fn python(folder: &Path, script: &str) {
    let done = Command::new("python3").args(["-c", script]).current_dir(folder).status().expect("python3");
    assert!(done.success(), "{script}");
}

#[test]
fn p3_i18_a_workspace_that_no_tree_can_hold_is_refused_by_name() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let inside = |name: &str| project.join(name);

    symlink("../../outside", inside("escape")).expect("linked");
    refused(&fleet, &project, &["P3", "escape", "leaves the workspace"]);
    std::fs::remove_file(inside("escape")).expect("removed");

    // A device needs a right that not every root has; a pipe is refused by the same rule.
    let made = Command::new("mknod").arg(inside("dev")).args(["c", "1", "3"]).output().expect("mknod");
    let what = if made.status.success() { "is a device" } else { "is a pipe" };
    if !made.status.success() {
        eprintln!("no device can be made here, so a pipe stands for it");
        assert!(Command::new("mkfifo").arg(inside("dev")).status().expect("mkfifo").success());
    }
    refused(&fleet, &project, &["P3", "dev", what]);
    std::fs::remove_file(inside("dev")).expect("removed");

    for (a, b) in [("Data.txt", "data.TXT"), ("caf\u{e9}", "cafe\u{301}"), ("\u{df}.py", "SS.py")] {
        std::fs::write(inside(a), "a").expect("written");
        std::fs::write(inside(b), "b").expect("written");
        refused(&fleet, &project, &["P3", "collides with"]);
        std::fs::remove_file(inside(a)).expect("removed");
        std::fs::remove_file(inside(b)).expect("removed");
    }

    let sparse = std::fs::File::create(inside("model.bin")).expect("made");
    sparse.set_len(3 << 30).expect("3 GiB without a block");
    refused(&fleet, &project, &["P3", "model.bin", "has 3 GiB"]);
    std::fs::remove_file(inside("model.bin")).expect("removed");

    // 16 folders of 255 characters: 4,096 bytes to the file below them.
    let deep =
        "import os\nfor n in range(16):\n    os.mkdir('d'*255)\n    os.chdir('d'*255)\nopen('f','w').close()";
    python(&project, deep);
    refused(&fleet, &project, &["P3", "too long"]);
    python(&project, "import os, shutil\nshutil.rmtree('d'*255)");

    let listed = fleet.json(&["campaigns"]);
    assert_eq!(listed["campaigns"].as_array().map(Vec::len), Some(0), "nothing was made of any");
    fleet.submit(&project, false);
}

#[test]
fn p3_a_file_that_cannot_be_read_is_refused_by_name() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let secret = project.join("secret.txt");
    std::fs::write(&secret, "x").expect("written");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o0)).expect("no rights");
    let data_dir = fleet.data_dir();
    let args = ["--output", "json", "--data-dir", data_dir.to_str().expect("UTF-8"), "submit"];
    // Root reads whatever it owns, unless it is without the right to.
    let mut command = match std::fs::read(&secret) {
        Err(_) => Command::new(WINDLASS),
        Ok(_) => {
            let mut command = Command::new("setpriv");
            command.args([
                "--bounding-set",
                "-dac_override,-dac_read_search",
                "--inh-caps",
                "-all",
                WINDLASS,
            ]);
            command
        }
    };
    let submit = command.args(args).arg(&project).output();
    let output =
        submit.expect("setpriv, of util-linux: root can be shown a file that it cannot read only with it");
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(["P3", "secret.txt", "Permission denied", "remedy"].iter().all(|it| said.contains(it)), "{said}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("the owner's");
    fleet.submit(&project, false);
}

#[test]
fn p2_a_hundred_thousand_files_are_an_ordinary_workspace() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let many = "import os\nfor a in range(100):\n    os.mkdir(f'd{a}')\n    for b in range(1000):\n        \
                os.close(os.open(f'd{a}/f{b}', os.O_CREAT | os.O_WRONLY))";
    python(&project, many);
    let _coordinator = fleet.coordinator();
    let submitted = fleet.json(&["submit", project.to_str().expect("UTF-8")]);
    assert!(submitted["campaign"].is_string(), "{submitted}");
    assert!(submitted["entries"].as_u64().is_some_and(|entries| entries > 100_000), "{submitted}");
}

/// What a run prints in place of its metric, by the number that its lever sets; how it is decided, and why.
const LINES: [(&str, &str, &str); 12] = [
    ("echo nothing", "crash", "no line `val: <number>`"),
    ("printf 'val: 0.1\\nval: 0.2\\n'", "crash", "says 0.1, line 2 says 0.2"),
    ("echo 'val: nan'", "crash", "`val: nan`"),
    ("echo 'val: 1e999'", "crash", "`val: 1e999`"),
    ("echo 'val: 0,91'", "crash", "`val: 0,91`"),
    ("echo 'val: 1_000'", "crash", "`val: 1_000`"),
    ("printf 'val: \\331\\240.\\331\\241\\n'", "crash", "one finite decimal number"),
    ("printf 'val: \\3770.9\\n'", "crash", "one finite decimal number"),
    ("printf 'val: 0.'; sleep 0.3; printf '61\\n'", "keep", "0.61"),
    ("head -c 100000000 /dev/zero | tr '\\0' x; printf '\\nval: 0.62\\n'", "keep", "0.62"),
    ("printf '\\377\\376 noise \\303\\nval: 0.63\\n'", "keep", "0.63"),
    // Reckoned from these two the gain has more digits than any metric, and is recorded all the same.
    ("echo 'val: 1e300'", "keep", "1e300"),
];

#[test]
fn p18_every_line_that_is_no_metric_is_a_crash_that_names_it_and_the_campaign_goes_on() {
    let fleet = Fleet::new();
    let cases: String = (1..).zip(LINES).map(|(n, (line, _, _))| format!("{n}) {line};;\n")).collect();
    let script = format!("case \"$VALUE\" in\n{cases}99) echo 'val: 1e-300';;\n*) echo 'val: 0.5';;\nesac");
    let project = Project::default().run(&script).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    // One by one: a lever that was queued before another is kept conflicts with it.
    let add = |value: &str| {
        Project::lever(&project, &format!("l{value}"), value);
        let file = project.join(format!("levers/l{value}.yaml"));
        fleet.ok(&["lever", "add", &campaign, file.to_str().expect("UTF-8")]);
    };
    let last = LINES.len() as u64 + 2;
    for (n, (line, status, why)) in (2..).zip(LINES) {
        add(&(n - 1).to_string());
        fleet.wait_decided(&campaign, n);
        let told = fleet.ok(&["--output", "json", "show", &campaign, &n.to_string()]);
        let decided = fleet.decided(&campaign);
        let row = decided.iter().find(|row| row.0 == n).expect("decided");
        assert_eq!(row.1, status, "{line}: {told}");
        assert!(told.contains(why), "{line}: {told}");
    }
    add("99");
    fleet.wait_decided(&campaign, last);
    assert_eq!(fleet.decided(&campaign).last().map(|row| row.1.clone()), Some("discard".to_owned()));
    for page in ["status", "plot", "report", "results"] {
        let said = fleet.ok(&[page, &campaign]);
        assert!(!said.contains("NaN") && !said.contains("inf "), "{page}: {said}");
    }
    assert!(fleet.verify() > last);
}

#[test]
fn p21_scripts_that_make_no_output_leave_an_iteration_unanalysed_and_the_campaign_goes_on() {
    let fleet = Fleet::new();
    let limits = "  analysis: {time_limit: 8 s, wait: 0}\n";
    let project = Project::default().windlass(limits).write(&fleet.path("project"));
    let scripts = [
        ("silent", ":", "was not written"),
        (
            "outside",
            "echo x > ../out.tsv; echo x > \"$WINDLASS_RESULTS/../out.tsv\"; true",
            "was not written",
        ),
        ("huge", "truncate -s 10G \"$WINDLASS_RESULTS/huge.tsv\"", "past the 4 GiB that are kept"),
        ("hang", "echo x > \"$WINDLASS_RESULTS/other.tsv\"; sleep 1000", "did not end"),
        ("good", "echo fine", "fine"),
    ];
    for (n, (name, script, _)) in (1..).zip(scripts) {
        let lever = format!("{n}-{name}");
        Project::lever(&project, &lever, &format!("0.6{n}"));
        let path = project.join(format!("levers/{lever}.yaml"));
        let text = std::fs::read_to_string(&path).expect("a lever");
        let text = text.replace("builtin:log", &format!("{name}.sh"));
        let text = text.replace(&format!("output: {lever}.tsv"), &format!("output: {name}.tsv"));
        std::fs::write(&path, text).expect("a lever");
        std::fs::write(project.join(format!("levers/{name}.sh")), format!("{script}\n")).expect("a script");
    }
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    for (n, (name, _, why)) in (2..).zip(scripts) {
        fleet.wait_decided(&campaign, n);
        let told = fleet.ok(&["--output", "json", "show", &campaign, &n.to_string()]);
        let decided = fleet.decided(&campaign);
        let row = decided.iter().find(|row| row.0 == n).expect("decided");
        let want = if name == "good" { "keep" } else { "discard" };
        assert_eq!(row.1, want, "{name}: {told}");
        let end = &told[told.find("\"kind\":\"analysis\"").unwrap_or(0)..];
        assert!(told.contains(why), "{name}: {end}");
        assert!(name == "good" || told.contains("unanalysed"), "{name}: {told}");
    }
    fleet.verify();
}

#[test]
fn p5_p6_a_lever_that_cannot_be_is_refused_with_rule_file_and_line() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let text = std::fs::read_to_string(project.join("loop.run.yaml")).expect("it");
    let text = text.replace("[params.sh]", "[params.sh, other.sh]");
    std::fs::write(project.join("loop.run.yaml"), text).expect("written");
    std::fs::write(project.join("other.sh"), "A=1\r\nB=2\r\n").expect("written");
    let _coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    let folder = fleet.path("levers");
    std::fs::create_dir(&folder).expect("made");
    let lever = "title: t\nfiles: [params.sh]\npatch: p.patch\nanchor: {file: value.tsv, pattern: 'value\\t(.*)'}\n\
                 prediction: p\nanalysis:\n  - {script: 'builtin:log', output: o.tsv, dimension: d, question: q, \
                 if_helped: a, if_not: b}\n";
    let patch = |file: &str, body: &str| format!("--- a/{file}\n+++ b/{file}\n@@ -1,2 +1,2 @@\n{body}");
    let good = patch("params.sh", " # the one number\n-VALUE=0.5\n+VALUE=0.6\n");
    let add = |lever: &str, patch: &str| {
        std::fs::write(folder.join("p.patch"), patch).expect("written");
        std::fs::write(folder.join("l.yaml"), lever).expect("written");
        let path = folder.join("l.yaml");
        let output =
            fleet.client(&["--output", "json", "lever", "add", &campaign, path.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let pattern = |pattern: &str| lever.replace("value\\t(.*)", pattern);
    let cases: Vec<(String, String, &[&str])> = vec![
        (lever.to_owned(), good.replace("0.5", "0.7"), &["P5", "params.sh", "line 3", "fits nowhere"]),
        (
            lever.to_owned(),
            patch("other.sh", "-A=1\r\n+A=2\r\n B=2\r\n"),
            &["P5", "other.sh", "does not declare"],
        ),
        (lever.to_owned(), patch("run.sh", "-x\n+y\n z\n"), &["P5", "run.sh"]),
        (lever.replace("params.sh", "other.sh"), patch("other.sh", "-A=1\n+A=2\n B=2\n"), &["P5", "CRLF"]),
        (lever.to_owned(), good.replace('\n', "\r\n"), &["P5", "the patch's lines end in CRLF"]),
        (
            lever.to_owned(),
            "diff --git a/params.sh b/params.sh\nGIT binary patch\nliteral 1\nK\n".to_owned(),
            &["P5", "binary"],
        ),
        (lever.to_owned(), "no diff at all".to_owned(), &["P5", "no diff in it"]),
        (lever.replace("prediction: p\n", ""), good.clone(), &["l.yaml:", "`prediction` is missing"]),
        (
            format!("{lever}predictoin: q\n"),
            good.clone(),
            &["l.yaml:8:1", "unknown key `predictoin`", "prediction"],
        ),
        (format!("{lever}title: q\n"), good.clone(), &["l.yaml:", "`title` stands twice"]),
        (lever.replace("[params.sh]", "{a: b}"), good.clone(), &["l.yaml:2:"]),
        (pattern("(("), good.clone(), &["P6", "no regular expression"]),
        (pattern("(?:a{1000}){1000}"), good.clone(), &["P6", "too large"]),
    ];
    for (lever, patch, wants) in cases {
        let (code, said) = add(&lever, &patch);
        assert!(matches!(code, Some(2 | 3)), "{wants:?}: {said}");
        assert!(wants.iter().all(|want| said.contains(want)), "{wants:?}: {said}");
    }
    // The positive controls: without a last newline, and as it should be.
    let bare = good.replace("+VALUE=0.6\n", "+VALUE=0.6\n\\ No newline at end of file");
    let (code, said) = add(lever, &bare);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = add(&lever.replace("title: t", "title: u"), &good.replace("0.6", "0.7"));
    assert_eq!(code, Some(0), "{said}");
}
