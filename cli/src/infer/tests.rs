//! Small project layouts, and what is inferred from each.

use super::gate::Epochs;
use super::*;
use std::path::Path;

/// A layout: its files, then what is wanted of it.
struct Case {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    metric: Option<(&'static str, Option<Direction>)>,
    repeats: bool,
    command: Option<&'static str>,
    editable: &'static [&'static str],
    limits: &'static [&'static str],
}

const TRAIN: &str = "import model\noptimizer = 0\ndef main():\n    for epoch in range(5):\n        \
                     print(f\"epoch {epoch} loss {epoch}\")\n    print(f\"val_acc: {acc:.4f}\")\nmain()\n";

fn cases() -> Vec<Case> {
    use Direction::{Maximize, Minimize};
    vec![
        Case {
            name: "a flat project with a harness",
            files: &[
                ("train.py", TRAIN),
                ("model.py", "class Net: pass\n"),
                ("config.yaml", "lr: 0.1\nepochs: 5\n"),
                ("evaluate.py", "def evaluate(): return 1\nprint(f'test_acc: {1}')\n"),
                ("prepare.py", "print('downloads')\n"),
                ("data/train.csv", "1,2\n"),
                ("run.log", "val_acc: 0.5\n"),
                ("requirements.txt", "numpy\n"),
                ("README.md", "The goal is to maximize `val_acc`.\n"),
            ],
            metric: Some(("val_acc", Some(Maximize))),
            repeats: false,
            command: Some("python3 train.py"),
            editable: &["train.py", "model.py", "config.yaml"],
            limits: &["5 epochs"],
        },
        Case {
            name: "uv, a time budget, and a README that says which way",
            files: &[
                ("train.py", "TIME_BUDGET = 300  # seconds\nprint(f\"val_bpb: {x:.6f}\")\nx.backward()\n"),
                ("prepare.py", "def evaluate_bpb(): pass\n"),
                ("pyproject.toml", "[project]\nname = 'x'\n"),
                ("uv.lock", "version = 1\n"),
                ("README.md", "metric: val_bpb, lower is better\n\n    uv run train.py\n"),
            ],
            metric: Some(("val_bpb", Some(Minimize))),
            repeats: false,
            command: Some("uv run python train.py"),
            editable: &["train.py"],
            limits: &["10 minutes"],
        },
        Case {
            name: "a Makefile goes before the script",
            files: &[
                ("Makefile", "PYTHON := python3\nall:\n\ttrue\ntrain: data\n\t$(PYTHON) main.py\n"),
                ("main.py", "for i in range(3):\n    print(\"rmse:\", i)\n"),
            ],
            metric: Some(("rmse", Some(Minimize))),
            repeats: true,
            command: Some("make train"),
            editable: &["main.py"],
            limits: &[],
        },
        Case {
            name: "a script of pyproject.toml in a package",
            files: &[
                ("pyproject.toml", "[project]\nname = 'x'\n[project.scripts]\nmytrain = 'pkg.train:main'\n"),
                ("src/pkg/train.py", "print('val_loss: %.4f' % x)\nmax_minutes = 15\nloss.backward()\n"),
                ("src/pkg/metrics.py", "def accuracy(): pass\n"),
                ("tests/test_train.py", "print('acc: 1')\n"),
            ],
            metric: Some(("val_loss", Some(Minimize))),
            repeats: false,
            command: Some("mytrain"),
            editable: &["src/pkg/train.py"],
            limits: &["30 minutes"],
        },
        Case {
            name: "the validation metric goes before the training one, a result before a loss",
            files: &[(
                "train.py",
                "print(f'train_acc: {a}')\nprint(f'val_loss: {b}')\nprint(f'val_acc: {c}')\nprint(f'lr: {d}')\n",
            )],
            metric: Some(("val_acc", Some(Maximize))),
            repeats: false,
            command: Some("python3 train.py"),
            editable: &["train.py"],
            limits: &[],
        },
        Case {
            name: "what is no metric line is no candidate",
            files: &[(
                "run.sh",
                "echo \"epoch: $e acc: $a\"\necho \"usage: $0\"\necho \"acc=$a\"\necho \"elapsed_seconds: $s\"\n",
            )],
            metric: None,
            repeats: false,
            command: Some("sh run.sh"),
            editable: &["run.sh"],
            limits: &[],
        },
        Case {
            name: "a shell script, a name that says nothing of its direction",
            files: &[("run.sh", "echo \"quality: $q\"\n")],
            metric: Some(("quality", None)),
            repeats: false,
            command: Some("sh run.sh"),
            editable: &["run.sh"],
            limits: &[],
        },
        Case {
            name: "two epoch caps are none",
            files: &[
                ("main.py", "epochs = 5\nprint(f'f1: {x}')\n"),
                ("conf/a.yaml", "max_epochs: 7\n"),
                (".gitignore", "scratch\n"),
                ("scratch/train.py", "print('acc: {x}')\n"),
            ],
            metric: Some(("f1", Some(Maximize))),
            repeats: false,
            command: Some("python3 main.py"),
            editable: &["main.py", "conf/a.yaml"],
            limits: &[],
        },
        Case {
            name: "the default of an option caps epochs, and is named by a pattern",
            files: &[(
                "train.py",
                "p.add_argument('-e', '--epochs', type=int, default=12, help='how many')\nprint(f'acc: {x}')\n",
            )],
            metric: Some(("acc", Some(Maximize))),
            repeats: false,
            command: Some("python3 train.py"),
            editable: &["train.py"],
            limits: &[r#"12 epochs of train.py by ["']--epochs["'].*\bdefault\s*=\s*([0-9]+)"#],
        },
        Case {
            name: "an option that a Makefile passes is no cap, and a limit in minutes may be one",
            files: &[
                (
                    "train.py",
                    "p.add_argument('--num-epochs', default=12)\np.add_argument(\"--max-minutes\", default=2.5)\n\
                     p.add_argument('--lr', default=0.1)\nprint(f'acc: {x}')\n",
                ),
                ("Makefile", "train:\n\tpython3 train.py --num-epochs 3\n"),
            ],
            metric: Some(("acc", Some(Maximize))),
            repeats: false,
            command: Some("make train"),
            editable: &["train.py"],
            limits: &["5 minutes"],
        },
        Case {
            name: "a line of the usual form goes before an option's default",
            files: &[
                ("train.py", "p.add_argument('--epochs', default=12)\nprint(f'acc: {x}')\n"),
                ("config.yaml", "epochs: 5\n"),
            ],
            metric: Some(("acc", Some(Maximize))),
            repeats: false,
            command: Some("python3 train.py"),
            editable: &["train.py", "config.yaml"],
            limits: &["5 epochs"],
        },
        Case {
            name: "nothing at all",
            files: &[("notes.md", "a thought\n")],
            metric: None,
            repeats: false,
            command: None,
            editable: &[],
            limits: &[],
        },
    ]
}

fn lay_out(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

#[test]
fn bindings_are_inferred_from_what_a_project_says() {
    for case in cases() {
        let dir = tempfile::tempdir().expect("a folder");
        lay_out(dir.path(), case.files);
        let inferred = Inferred::of(&Project::read(dir.path()).expect("read"));
        let metric = inferred.metrics.first().map(|found| &found.value);
        let name = case.name;
        assert_eq!(metric.map(|metric| (metric.name.as_str(), metric.direction)), case.metric, "{name}");
        assert_eq!(metric.is_some_and(|metric| metric.repeats), case.repeats, "{name}");
        assert_eq!(inferred.commands.first().map(|found| found.value.as_str()), case.command, "{name}");
        let mut editable: Vec<_> = inferred.editable().into_iter().map(|found| found.value).collect();
        let mut want: Vec<_> = case.editable.iter().map(|path| (*path).to_owned()).collect();
        editable.sort();
        want.sort();
        assert_eq!(editable, want, "{name}");
        let limits = inferred.limits.iter().map(|found| match &found.value {
            Limit::Minutes(minutes) => format!("{minutes} minutes"),
            Limit::Epochs(Epochs { count, stated: None }) => format!("{count} epochs"),
            Limit::Epochs(Epochs { count, stated: Some(stated) }) => {
                format!("{count} epochs of {} by {}", stated.file, stated.pattern)
            }
        });
        let limits: Vec<String> = limits.collect();
        assert_eq!(limits, case.limits, "{name}");
    }
}

#[test]
fn every_guess_names_the_place_that_it_rests_on() {
    let dir = tempfile::tempdir().expect("a folder");
    lay_out(dir.path(), cases()[1].files);
    let inferred = Inferred::of(&Project::read(dir.path()).expect("read"));
    let metric = &inferred.metrics[0];
    assert_eq!(
        (metric.reason.as_str(), metric.value.direction_reason.as_str()),
        ("train.py:2 prints it", "README.md:1")
    );
    assert_eq!(inferred.commands[0].reason, "uv.lock is there");
    assert_eq!(inferred.commands[1], guess("uv run train.py".to_owned(), "README.md:3"));
    assert_eq!(inferred.limits[0].reason, "twice TIME_BUDGET of train.py:1");
    let frozen = inferred.sides.iter().find(|side| side.value == Side::Frozen("prepare.py".into()));
    assert_eq!(frozen.map(|side| side.reason.as_str()), Some("it prepares data"));
}

#[test]
fn an_environment_stays_here_and_its_python_is_named_by_its_full_path() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = [
        ("train.py", TRAIN),
        (".venv/pyvenv.cfg", ""),
        (".venv/bin/python", ""),
        ("wandb/x.py", ""),
        (".env", "TOKEN=1\n"),
        (".env.example", "TOKEN=\n"),
    ];
    lay_out(dir.path(), &files);
    let inferred = Inferred::of(&Project::read(dir.path()).expect("read"));
    let root = std::fs::canonicalize(dir.path()).expect("there");
    let python = root.join(".venv/bin/python");
    assert_eq!(inferred.commands[0].value, format!("{} train.py", python.display()));
    let ignored: Vec<_> = inferred.ignore.iter().map(|found| found.value.as_str()).collect();
    assert_eq!(ignored, [".env", ".venv", "wandb"]);
    std::fs::write(dir.path().join(".gitignore"), ".venv/\nwandb\n.env\n").expect("written");
    let inferred = Inferred::of(&Project::read(dir.path()).expect("read"));
    assert_eq!(inferred.ignore, []);
}

#[test]
fn a_folder_of_many_scripts_becomes_a_pattern_unless_it_holds_a_harness() {
    let dir = tempfile::tempdir().expect("a folder");
    for n in 0..20 {
        lay_out(
            dir.path(),
            &[(&format!("blocks/b{n:02}.py"), "x = 1\n"), (&format!("mixed/m{n:02}.py"), "x = 1\n")],
        );
    }
    lay_out(dir.path(), &[("mixed/evaluate.py", "x = 1\n")]);
    let inferred = Inferred::of(&Project::read(dir.path()).expect("read"));
    let editable: Vec<_> = inferred.editable().into_iter().map(|found| found.value).collect();
    assert_eq!(editable[0], "blocks/*.py");
    assert_eq!(editable.len(), 21);
    assert!(!editable.contains(&"mixed/evaluate.py".to_owned()));
}
