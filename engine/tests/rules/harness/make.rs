//! Bindings, levers, plans, devices and outcomes as the tests want them.

use serde_json::{Value, json};
use windlass_engine::gate::facts::{Look, Merged};
use windlass_shared::attempt::{Ending, Kind, Order, Outcome, Output, Reading};
use windlass_shared::bindings::Bindings;
use windlass_shared::decimal::Decimal;
use windlass_shared::device::{Device, DeviceKind};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::IterationNumber;
use windlass_shared::lever::{Anchor, CarriedFix, Change, FixTrigger, Lever, Pin};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};

/// One gibibyte.
pub const GIB: u64 = 1 << 30;

/// Bindings with this `windlass:` block. Nobody is there to help (`fix_wait: 0`), unless it says otherwise.
pub fn bindings(windlass: &Value) -> Bindings {
    let mut windlass = windlass.clone();
    let mut literature = None;
    if let Some(block) = windlass.as_object_mut() {
        block.entry("fix_wait").or_insert_with(|| json!(0));
        // It stands beside the block.
        literature = block.remove("literature");
    }
    serde_json::from_value(json!({
        "metric": "val_acc", "metric_direction": "maximize", "entrypoint": "python3 train.py",
        "editable_files": ["train.py"], "gate": "time", "budget": 0.2, "windlass": windlass,
        "literature": literature.unwrap_or(json!("off")),
    }))
    .expect("test bindings")
}

/// A row of a plan whose output the run itself makes.
pub fn row(dimension: &str) -> Deliverable {
    Deliverable {
        script: Script::Named(Script::BUILTIN_LOG.to_owned()),
        output: path(&format!("{dimension}.tsv")),
        dimension: dimension.to_owned(),
        question: "what is it?".to_owned(),
        if_helped: "more".to_owned(),
        if_not: "less".to_owned(),
        compares: None,
    }
}

/// A row of a plan that needs an analysis attempt.
pub fn scripted(dimension: &str) -> Deliverable {
    let script = Script::Blob { name: format!("{dimension}.py"), digest: Digest::of(dimension.as_bytes()) };
    Deliverable { script, ..row(dimension) }
}

/// A lever that measures a dimension of its own.
pub fn lever(name: &str) -> Lever {
    Lever {
        title: name.to_owned(),
        kind: windlass_shared::lever::Kind::Change,
        files: vec![path("train.py")],
        change: Change::Patch(Digest::of(name.as_bytes())),
        anchor: Some(anchor()),
        prediction: "up".to_owned(),
        fixes: Vec::new(),
        literature: None,
        architecture: None,
        instrumentation: None,
        parents: Vec::new(),
        axes: Vec::new(),
        cites: Vec::new(),
        changed_assumption: None,
        analysis: vec![row(name)],
    }
}

/// The anchor of every test lever.
pub fn anchor() -> Anchor {
    Anchor { file: path("curve.tsv"), pattern: "slope ([0-9.]+)".to_owned(), compare: None, iteration: None }
}

/// A carried fix.
pub fn carried(trigger: FixTrigger) -> CarriedFix {
    CarriedFix { patch: Digest::of(format!("{trigger:?}").as_bytes()), trigger }
}

/// A path that is right.
pub fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect(text)
}

/// A number that is right.
pub fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).expect(text)
}

/// The digest of a named thing.
pub fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// The workspace of every test campaign.
pub fn workspace() -> Digest {
    digest("workspace")
}

/// The tree of a change on a parent.
pub fn merged_tree(parent: Digest, changed: Digest) -> Digest {
    digest(&format!("{parent} and {changed}"))
}

/// The diff of a changed tree.
pub fn diff_of(changed: Digest) -> Hash {
    Hash::of(changed.to_string().as_bytes())
}

/// A merge that fits.
pub fn clean(parent: Digest, changed: Digest) -> Merged {
    Merged::Clean { tree: merged_tree(parent, changed), net_lines: 1, diff: diff_of(changed) }
}

/// A look-up that holds.
pub fn holds(iteration: IterationNumber, value: &str) -> Look {
    Look::Holds(Pin { iteration, line: 1, value: value.to_owned() })
}

/// CPU slots.
pub fn cpus(count: usize) -> Vec<Device> {
    (0..count).map(|index| device(&format!("cpu-{index}"), DeviceKind::Cpu, "slot", None)).collect()
}

/// A GPU.
pub fn gpu(id: &str, model: &str, memory_bytes: u64) -> Device {
    device(id, DeviceKind::Gpu, model, Some(memory_bytes))
}

fn device(id: &str, kind: DeviceKind, model: &str, memory_bytes: Option<u64>) -> Device {
    Device { memory_bytes, ..Device::plain(id.into(), kind, model.to_owned()) }
}

/// A run that printed its metric and made what its builtins make; or scripts that made all they should.
pub fn good(order: &Order, metric: &str) -> Outcome {
    let output = |path: &TreePath| Output {
        path: path.clone(),
        digest: Some(digest(&format!("{path} of {}", order.key))),
        first_line: format!("first line of {path}"),
        problem: None,
    };
    Outcome {
        reading: (order.kind != Kind::Analysis).then(|| Reading::Metric { value: decimal(metric), line: 7 }),
        score_artifact: order.score_artifact.as_ref().map(|path| digest(&format!("{path} of {}", order.key))),
        duration_ms: 3_000,
        results: Some(digest(&format!("results of {}", order.key))),
        outputs: order.scripts.iter().map(|script| output(&script.output)).collect(),
        ..Outcome::bare(Ending::Finished)
    }
}

/// A crash with exit code 1.
pub fn crash() -> Outcome {
    let log_tail = "Traceback\nValueError: shapes".to_owned();
    Outcome { log_tail, ..Outcome::bare(Ending::Crashed { code: Some(1), signal: None }) }
}

/// A failure of the machinery.
pub fn infra() -> Outcome {
    Outcome::bare(Ending::Infra { detail: "no blobs".to_owned() })
}
