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

/// Mutations of each target's seeds: some seconds; `WINDLASS_FUZZ_ROUNDS` asks for more.
const ROUNDS: u64 = 200;

/// Fuzzing without coverage, for machines where libFuzzer is not built: the same mutations on every machine.
#[test]
fn mutated_seeds_hold_too() {
    let asked = std::env::var("WINDLASS_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds: u64 = asked.unwrap_or(ROUNDS);
    for (name, check) in TARGETS {
        let seeds: Vec<Vec<u8>> =
            seeds(name).iter().map(|seed| std::fs::read(seed).expect("a seed")).collect();
        for round in 0..rounds {
            let data = mutated(&seeds, round);
            let held = std::panic::catch_unwind(|| check(&data)).is_ok();
            assert!(held, "{name}, round {round}: a new seed is {:?}", data.escape_ascii().to_string());
        }
    }
}

/// A seed with some bytes flipped, cut out, doubled, or put in from another seed.
fn mutated(seeds: &[Vec<u8>], round: u64) -> Vec<u8> {
    let mut state = round;
    let mut draw = move |end: usize| {
        // splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    };
    let mut data = seeds[draw(seeds.len())].clone();
    for _ in 0..=draw(6) {
        let (from, to) = (draw(data.len() + 1), draw(data.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match draw(5) {
            0 if from < data.len() => data[from] ^= 1 << draw(8),
            1 if from < data.len() => data[from] = [0, b'\n', b'"', b':', 0x7f, 0x80, 0xff][draw(7)],
            2 => drop(data.drain(from..to.min(from + 16))),
            3 => {
                let part = data[from..to.min(from + 64)].to_vec();
                data.splice(from..from, part);
            }
            _ => {
                let other = &seeds[draw(seeds.len())];
                let at = draw(other.len() + 1);
                let part = other[at..other.len().min(at + 64)].to_vec();
                data.splice(from..from, part);
            }
        }
    }
    data.truncate(8 << 10);
    data
}
