//! Campaign files, anchors and patterns that cannot be, through the real binary: each is refused with its place
//! and what to do.

use crate::harness::Fleet;
use crate::project::Project;

/// What is refused of a campaign file: a text in it, what stands there instead, and what the refusal says.
const FILES: [(&str, &str, &[&str]); 23] = [
    ("metric: val\n", "", &["loop.run.yaml:6:1", "the key `metric` is missing", "add `metric:`"]),
    ("entrypoint: sh run.sh\n", "", &["loop.run.yaml", "`entrypoint`", "give the command"]),
    ("metric: val\n", "metrics: val\n", &["loop.run.yaml:1:1", "unknown key `metrics`", "write `metric`"]),
    ("budget: 1\n", "budget: 1\nbudget: 2\n", &["loop.run.yaml:7:1", "`budget` stands twice", "take one"]),
    ("budget: 1\n", "budget: soon\n", &["loop.run.yaml:6:9", "\"soon\"", "decimal number"]),
    ("budget: 1\n", "budget: -1\n", &["loop.run.yaml:6:1", "`budget`", "give a positive number"]),
    ("budget: 1\n", "budget: 1e999\n", &["loop.run.yaml:6:9", "no finite number", "ordinary decimal"]),
    ("budget: 1\n", "budget: .nan\n", &["loop.run.yaml:6:9"]),
    ("maximize", "upwards", &["loop.run.yaml:2:19", "unknown value `upwards`", "minimize, maximize"]),
    ("[params.sh]", "params.sh", &["loop.run.yaml:4:17", "a list is expected", "in brackets"]),
    ("[params.sh]", "{a: b}", &["loop.run.yaml:4:17", "a list is expected", "in brackets"]),
    ("[params.sh]", "[]", &["loop.run.yaml:4:1", "`editable_files`", "name at least one file"]),
    ("[params.sh]", "[../x]", &["loop.run.yaml:4:1", "`editable_files`", "relative to the workspace"]),
    ("gate: time", "gate: [time", &["loop.run.yaml:5:"]),
    ("gate: time", "gate: whenever", &["loop.run.yaml:5:7", "unknown value `whenever`", "time, epochs"]),
    ("fix_wait: 0", "fix_wait: [1]", &["loop.run.yaml:9:3", "a length of time like `30 s`"]),
    ("fix_wait: 0", "fixwait: 0", &["loop.run.yaml:9:3", "unknown key `fixwait`", "write `fix_wait`"]),
    ("fix_wait: 0", "lanes: 0", &["loop.run.yaml:9:3", "`windlass.lanes`", "at least one lane"]),
    ("fix_wait: 0", "lanes: two", &["loop.run.yaml:9:10", "no whole number", "digits alone"]),
    ("fix_wait: 0", "limits: {disk_bytes: much}", &["loop.run.yaml:9:24", "is not a size", "512 MiB"]),
    ("fix_wait: 0", "limits: 3", &["loop.run.yaml:9:", "keys with values are expected", "key: value"]),
    ("fix_wait: 0", "sandbox: locked", &["loop.run.yaml:9:12", "`locked`", "none, guarded, sealed"]),
    ("metric: val\n", "\u{0}", &["loop.run.yaml"]),
];

#[test]
fn a_campaign_file_that_cannot_be_is_refused_with_its_place_and_what_to_write() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let path = project.join("loop.run.yaml");
    let good = std::fs::read_to_string(&path).expect("a campaign file");
    let _coordinator = fleet.coordinator();
    for (part, instead, wants) in FILES {
        assert!(good.contains(part), "{part} stands in {good}");
        std::fs::write(&path, good.replace(part, instead)).expect("written");
        let output = fleet.client(&["--output", "json", "submit", project.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
        assert!(matches!(output.status.code(), Some(2 | 3)), "{instead:?}: {said}");
        // As JSON has it.
        let plain = said.replace("\\\"", "\"");
        assert!(wants.iter().all(|want| plain.contains(want)), "{instead:?}: {wants:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let listed = fleet.json(&["campaigns"]);
    assert_eq!(listed["campaigns"].as_array().map(Vec::len), Some(0), "nothing was made of any");
    std::fs::write(&path, good).expect("written");
    fleet.submit(&project, false);
}

#[test]
fn p6_an_anchor_is_found_among_a_million_matches_and_no_pattern_is_slow() {
    let fleet = Fleet::new();
    let script = "yes hit | head -n 1000000 > \"$WINDLASS_RESULTS/many.tsv\"\n\
                  for i in $(seq 60); do head -c 40000 /dev/zero | tr '\\0' a; echo; done \
                  > \"$WINDLASS_RESULTS/rows.tsv\"\necho \"val: $VALUE\"";
    let project = Project::default().run(script).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let add = |name: &str, file: &str, pattern: &str| {
        Project::lever(&project, name, &format!("0.6{}", name.len()));
        let path = project.join(format!("levers/{name}.yaml"));
        let text = std::fs::read_to_string(&path).expect("a lever");
        let anchor = "{file: value.tsv, pattern: 'value\\t([0-9.]+)', compare: '> 0'}";
        assert!(text.contains(anchor), "{text}");
        std::fs::write(&path, text.replace(anchor, &format!("{{file: {file}, pattern: '{pattern}'}}")))
            .expect("written");
        let output = fleet.client(&["lever", "add", &campaign, path.to_str().expect("UTF-8")]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Built to be slow for an engine that goes back; and as large as a pattern may be.
    for (name, file, pattern) in [
        ("a", "many.tsv", "absent"),
        ("b", "rows.tsv", "(a*)*(a*)*(a*)*b"),
        ("c", "rows.tsv", "(a+a+)+y"),
        ("d", "rows.tsv", "(?:a?){300}a{300}b"),
        ("e", "no-such.tsv", "x"),
    ] {
        let (code, said) = add(name, file, pattern);
        assert_eq!(code, Some(3), "{pattern}: {said}");
        let wants = ["P6", &format!("levers/{name}.yaml"), file, "remedy: "];
        assert!(wants.iter().all(|want| said.contains(want)), "{pattern}: {said}");
    }
    let (code, said) = add("million", "many.tsv", "hit");
    assert_eq!(code, Some(0), "{said}");
    fleet.wait_decided(&campaign, 2);
    // A search in a log says as much of its pattern, before anybody is asked.
    for pattern in ["[", "x{", "(a"] {
        let output = fleet.client(&["logs", &campaign, "1", "--grep", pattern]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let wants = ["--grep", pattern, "is no regular expression: unclosed", "put a backslash before"];
        assert!(output.status.code() == Some(2) && wants.iter().all(|want| said.contains(want)), "{said}");
    }
    assert!(fleet.ok(&["logs", &campaign, "1", "--grep", "\\[|val"]).contains("val: 0.5"));
}
