//! Who may use whom (DESIGN.md, "Folders"): held against `cargo metadata`.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;

/// Crate, ours that it may use, and what it must never use of others'.
const TABLE: [(&str, &[&str], &[&str]); 6] = [
    ("windlass-shared", &[], &["tokio", "tonic", "prost", "rusqlite", "clap", "nvml-wrapper", "rustix"]),
    (
        "windlass-engine",
        &["shared"],
        &["tokio", "tonic", "prost", "rusqlite", "clap", "nvml-wrapper", "rustix", "rand", "tracing"],
    ),
    ("windlass-proto", &["shared"], &["tokio", "rusqlite", "clap", "nvml-wrapper"]),
    ("windlass-coordinator", &["engine", "proto", "shared"], &["clap", "nvml-wrapper"]),
    ("windlass-worker", &["engine", "proto", "shared"], &["clap", "rusqlite"]),
    ("windlass-cli", &["coordinator", "engine", "proto", "shared", "worker"], &["nvml-wrapper", "rusqlite"]),
];

/// What the pure crates may use at all.
const ENGINE_USES: [&str; 9] = [
    "windlass-shared",
    "thiserror",
    "regex",
    "rmp-serde",
    "similar",
    "serde",
    "serde_json",
    "blake3",
    "globset",
];

fn metadata() -> Metadata {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    MetadataCommand::new().manifest_path(root).no_deps().exec().expect("cargo metadata answers")
}

/// Ordinary and build dependencies by name.
fn uses(package: &Package) -> BTreeSet<String> {
    let counts = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
    package.dependencies.iter().filter(|d| counts(d.kind)).map(|d| d.name.clone()).collect()
}

#[test]
fn crates_use_each_other_only_as_the_table_says() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for (name, ours, never) in TABLE {
        let package =
            metadata.packages.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no crate {name}"));
        for used in uses(package) {
            let own = used.strip_prefix("windlass-");
            if own.is_some_and(|own| !ours.contains(&own)) || never.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that DESIGN.md's table does not have:\n{}", wrong.join("\n"));
}

/// The workspace of its own that ordinary builds never see falls behind unseen: its lock must name what the
/// crates use, or nothing is fuzzed any more.
#[test]
fn the_fuzz_targets_lock_knows_what_the_crates_use() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("fuzz/Cargo.lock");
    let metadata = metadata();
    let mut seen = 0;
    for block in lock.split("[[package]]") {
        let named = |package: &&Package| block.starts_with(&format!("\nname = \"{}\"\n", package.name));
        let Some(package) = metadata.packages.iter().find(named) else { continue };
        seen += 1;
        for used in uses(package) {
            let is_there =
                block.contains(&format!("\n \"{used}\"")) || block.contains(&format!("\n \"{used} "));
            assert!(
                is_there,
                "{} uses {used}, which fuzz/Cargo.lock does not say: run `cargo metadata --manifest-path \
                 fuzz/Cargo.toml` and commit the lock",
                package.name
            );
        }
    }
    assert!(seen >= 5, "{seen} of our crates stand in the lock");
}

#[test]
fn every_crate_of_the_product_stands_in_the_table() {
    for package in metadata().packages {
        let ours = |part: &str| part == "tests" || part == "benchmarks";
        let in_tests = package.manifest_path.components().any(|part| ours(part.as_str()));
        let listed = TABLE.iter().any(|(name, _, _)| package.name == *name);
        assert!(in_tests || listed, "{} is in no row of the table", package.name);
    }
}

#[test]
fn engine_uses_nothing_beyond_its_list() {
    let metadata = metadata();
    let engine = metadata.packages.iter().find(|p| p.name == "windlass-engine").expect("the engine");
    for used in uses(engine) {
        assert!(ENGINE_USES.contains(&used.as_str()), "engine uses {used}: it is not on its list");
    }
}

#[test]
fn every_dependency_says_why() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let text = std::fs::read_to_string(root).expect("the root manifest");
    let section = text.split("[workspace.dependencies]").nth(1).expect("a dependency section");
    let section = section.split("\n[").next().expect("its end");
    let mut explained = false;
    for line in section.lines() {
        let line = line.trim();
        match line.chars().next() {
            None => explained = false,
            Some('#') => explained = true,
            Some(_) => assert!(explained, "{line}: put one line of why above it, or above its group"),
        }
    }
}
