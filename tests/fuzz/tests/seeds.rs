//! The committed seeds through the fuzz targets, as an ordinary test: whatever fuzzing once found stays
//! found, on every machine and with the stable compiler.

use std::path::{Path, PathBuf};
use windlass_fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz")).to_owned()
}

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = corpus().join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_holds_in_its_target() {
    let mut failed = Vec::new();
    for (name, check) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 4, "{name} has seeds");
        for seed in seeds {
            let data = std::fs::read(&seed).expect("a seed");
            if std::panic::catch_unwind(|| check(&data)).is_err() {
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let manifest = std::fs::read_to_string(corpus().join("Cargo.toml")).expect("fuzz/Cargo.toml");
    let script = include_str!("../run.sh");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} stands in fuzz/Cargo.toml");
        let program = std::fs::read_to_string(corpus().join(format!("fuzz_targets/{name}.rs")));
        assert!(program.expect(name).contains(&format!("run(\"{name}\", data)")), "{name} runs itself");
        let listed = script.split("targets=(").nth(2).and_then(|rest| rest.split(')').next());
        assert!(listed.is_some_and(|listed| listed.split(' ').any(|it| it == name)), "{name} is run");
    }
}

#[test]
fn seeds_are_small() {
    for (name, _) in TARGETS {
        for seed in seeds(name) {
            let bytes = seed.metadata().expect("a seed").len();
            assert!(bytes <= 8 << 10, "{} has {bytes} bytes", seed.display());
        }
    }
}
