//! Every key of PROTOCOL.md's two tables, as a person writes it: read, defaulted, refused at its place.

use crate::yaml;
use std::path::Path;
use windlass_shared::bindings::{Bindings, ConclusionMode, Overrun, Strategy};

/// Nothing but what is required.
const LEAST: &str = "metric: val_acc\nmetric_direction: maximize\nentrypoint: python3 train.py\n\
                     editable_files: [train.py]\ngate: time\nbudget: 10\n";

/// Every key, none with its default.
const ALL: &str = "\
metric: loss
metric_direction: minimize
run_cmd: make train
entrypoint: .venv/bin/python3.12 train.py
editable_files:
  - train.py
  - src/**/*.py
sandbox_root: ./work/sandbox
iter_strategy: branches
run_tag: jun21
gate: epochs
budget: 5
literature: on
domain: small-image classification
research_scale: x-high
lit_skill_dir: ~/.claude/skills/literature-search
lit_py: python3.11
literature_tiers: {s2: true, sonar: false}
host: claude-code
windlass:
  name: digits
  priority: -2
  weight: 3
  resources: {gpus: 2, gpu_memory: 24 GiB, gpu_model: H200, cpus: 8, memory: 1073741824, labels: [fast]}
  comparable: any
  include: [data/small.csv]
  ignore: ['*.ckpt']
  data:
    - {path: /data/imagenet, fingerprint: '0f'}
  caches:
    - {name: pip, writable: true}
  setup: {run: uv sync, inputs: [uv.lock], time_limit: 1 h}
  env: {OMP_NUM_THREADS: '4'}
  secrets: [HF_TOKEN]
  baseline: &plan
    - {script: 'builtin:log', output: log.tsv, dimension: log, question: q, if_helped: a, if_not: b}
  always: *plan
  diagnostics: *plan
  analysis: {time_limit: 5 min, gpus: 1, wait: 0}
  conclusion: {mode: required, wait: 2 h}
  fixes: 2
  fix_wait: 0 s
  overrun: {mode: measure, grace: 10 s}
  epochs: {file: train.py, pattern: 'EPOCHS = (\\d+)', safety_limit: 2 h}
  metric_line: last
  metric_range: [0, 1.5]
  simplicity: {tolerance: 0.0005, min_gain: 0.01, lines: 5}
  noise: {baseline_replicates: 5, confirm_replicates: 3, sigmas: 2.5}
  score: {run: python3 score.py, artifact: preds.csv}
  artifacts: [model.npz]
  architecture: mlp
  move_scheduler: {swing_budget: 2, stagnation_limit: 4}
  lanes: 4
  passes: 5
  python: python3.11
  sandbox: sealed
  limits: {log_bytes: 1 MiB, disk_bytes: 2GB, pids: 100, memory_bytes: 4 GiB}
  stop: {iterations: 100, gpu_hours: 24.5, target: 0.1}
";

fn parse(text: &str) -> Bindings {
    yaml::parse(Path::new("loop.run.yaml"), text).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn every_key_of_the_protocol_is_read() {
    let read = parse(ALL);
    let w = &read.windlass;
    assert_eq!(read.command(), ".venv/bin/python3.12 train.py");
    assert_eq!((w.resources.gpu_memory, w.resources.memory), (Some(24 << 30), Some(1 << 30)));
    assert_eq!((w.limits.log_bytes, w.limits.disk_bytes), (Some(1 << 20), Some(2_000_000_000)));
    assert_eq!((w.overrun.mode, w.overrun.grace.map(|span| span.ms)), (Overrun::Measure, Some(10_000)));
    assert_eq!(w.conclusion.mode, ConclusionMode::Required);
    assert_eq!(w.noise.as_ref().map(|noise| noise.sigmas.text()), Some("2.5"));
    // What is not the default is written out, and reads back as it was.
    let written = serde_json::to_value(&read).expect("written");
    let least = serde_json::to_value(parse(LEAST)).expect("written");
    let differ = |key: &str| assert_ne!(written.get(key), least.get(key), "{key} has its default");
    let keys = written.as_object().expect("an object").keys();
    for key in keys.filter(|key| !["windlass"].contains(&key.as_str())) {
        differ(key);
    }
    for (key, value) in written["windlass"].as_object().expect("an object") {
        assert_ne!(Some(value), least["windlass"].get(key), "windlass.{key} has its default");
    }
    assert_eq!(serde_json::from_value::<Bindings>(written).expect("reads back"), read);
}

#[test]
fn defaults_are_those_of_the_protocol_with_or_without_a_block() {
    let least = parse(LEAST);
    assert_eq!(least.iter_strategy, Strategy::Snapshots);
    let written = serde_json::to_value(&least.windlass).expect("written");
    let want = serde_json::json!({
        "name": null, "priority": 0, "weight": 1, "resources": {"labels": []}, "comparable": "device",
        "include": [], "ignore": [], "env": {}, "baseline": [], "always": [], "diagnostics": [],
        "analysis": {"time_limit": "10 min", "gpus": 0, "wait": "30 min"}, "conclusion": "automatic",
        "fixes": 1, "fix_wait": "30 min", "overrun": "crash", "metric_line": "exactly_one",
        "metric_range": null, "simplicity": {"tolerance": "0", "lines": 20}, "architecture": null,
        "lanes": 1, "passes": 3, "python": null, "limits": {}, "data": [], "caches": [], "secrets": [],
        "artifacts": [], "stop": {},
    });
    assert_eq!(written, want);
    assert_eq!(least.sandbox_root, "./sandbox");
    for block in ["windlass:\n", "windlass: {}\n", "windlass: ~\n", "windlass:\n  noise: ~\n"] {
        assert_eq!(parse(&format!("{LEAST}{block}")), least, "{block:?}");
    }
    let block = "windlass:\n  noise: {}\n  move_scheduler: {}\n  setup: {run: make}\n";
    let read = parse(&format!("{LEAST}{block}")).windlass;
    let noise = read.noise.expect("given");
    assert_eq!((noise.baseline_replicates, noise.confirm_replicates, noise.sigmas.text()), (1, 1, "2"));
    let moves = read.move_scheduler.expect("given");
    assert_eq!((moves.swing_budget, moves.stagnation_limit), (3, 3));
    assert_eq!(read.setup.expect("given").time_limit.to_string(), "30 min");
}

#[test]
fn the_command_is_the_entrypoint_and_falls_back_either_way() {
    for (given, want) in [
        ("entrypoint: a", "a"),
        ("run_cmd: b", "b"),
        ("run_cmd: b\nentrypoint: a", "a"),
        ("run_cmd: b\nentrypoint: ''", "b"),
        ("run_cmd: ' '\nentrypoint: a", "a"),
    ] {
        let bindings = parse(&LEAST.replace("entrypoint: python3 train.py", given));
        assert_eq!((bindings.command(), bindings.validate()), (want, Ok(())), "{given}");
    }
}

#[test]
fn an_unknown_key_is_refused_at_its_place_with_the_nearest_at_every_depth() {
    // A line of the full file, what replaces it, the column of the key, the nearest known one.
    for (line, typo, column, nearest) in [
        ("metric: loss", "metrik: loss", 1, "metric"),
        ("run_tag: jun21", "runtag: jun21", 1, "run_tag"),
        ("  priority: -2", "  prioritty: 1", 3, "priority"),
        (
            "  analysis: {time_limit: 5 min, gpus: 1, wait: 0}",
            "  analysis: {time_limt: 5 min}",
            14,
            "time_limit",
        ),
        (
            "  noise: {baseline_replicates: 5, confirm_replicates: 3, sigmas: 2.5}",
            "  noise: {sigma: 2}",
            11,
            "sigmas",
        ),
        ("  overrun: {mode: measure, grace: 10 s}", "  overrun: {mode: measure, grase: 10 s}", 28, "grace"),
        (
            "  stop: {iterations: 100, gpu_hours: 24.5, target: 0.1}",
            "  stop: {iteration: 1}",
            10,
            "iterations",
        ),
        ("    - {name: pip, writable: true}", "    - {name: pip, writeable: true}", 19, "writable"),
        (
            "  score: {run: python3 score.py, artifact: preds.csv}",
            "  score: {run: x, artefact: y}",
            19,
            "artifact",
        ),
    ] {
        assert!(ALL.contains(line), "{line}");
        let number = ALL.lines().position(|other| other == line).expect("there") + 1;
        let problem = yaml::parse::<Bindings>(Path::new("f"), &ALL.replace(line, typo)).expect_err(typo);
        let said = problem.to_string();
        assert!(said.starts_with(&format!("f:{number}:{column}: unknown key `")), "{typo}: {said}");
        assert_eq!(problem.remedy(), Some(format!("write `{nearest}`")), "{typo}");
    }
}

#[test]
fn the_founding_loops_own_file_is_read_whole() {
    let text = include_str!("../../../tests/data/loop.run.example.yaml");
    let bindings = parse(text);
    assert_eq!(bindings.command(), "/path/to/venv/bin/python train.py");
    assert_eq!(bindings.python(), "/path/to/venv/bin/python");
    assert_eq!(bindings.editable_files, ["model.py", "config.yaml"]);
    assert_eq!(bindings.run_tag.as_deref(), Some("jun21"));
    assert_eq!(bindings.validate(), Ok(()));
    // Its commented part is a campaign file too.
    let known = ["domain", "research_scale", "lit_", "literature_tiers", "  s2", "  openalex"];
    let without_mark = |line: &str| match line.strip_prefix("# ") {
        Some(setting) if known.iter().any(|key| setting.starts_with(key)) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    let text = text.replace("\nliterature: off ", "\nliterature: on ");
    let bindings = parse(&text.lines().map(without_mark).collect::<String>());
    assert_eq!(bindings.research_scale.as_deref(), Some("medium"));
    assert_eq!(bindings.literature_tiers.len(), 2);
}
