//! What the fuzz targets do with their bytes. `fuzz/` gives them to libFuzzer; the tests here give them the
//! committed seeds. Each target asserts properties, and panics where one does not hold.

mod bindings;
mod bytes;
mod ledger;
mod lever;
mod lines;
mod metric;
mod offsets;
mod patch;
mod paths;
mod review;

/// A target's name, which is also its folder below `fuzz/corpus`, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("metric", metric::check),
    ("lines", lines::check),
    ("bindings", bindings::check),
    ("lever", lever::check),
    ("paths", paths::check),
    ("patch", patch::check),
    ("ledger", ledger::check),
    ("offsets", offsets::check),
    ("review", review::check),
];

/// Runs the target of this name on an input.
///
/// # Panics
/// When there is no such target, or when one of its properties does not hold.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("there is no target {name}")).1(data);
}
