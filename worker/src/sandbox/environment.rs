//! The environment of a run or an analysis, made from nothing: what the worker was started with does not
//! leak, save for what finds programs and libraries.

use crate::shim::ATTEMPT_VARIABLE;
use crate::spool::AttemptDir;
use std::collections::BTreeMap;
use std::path::Path;
use windlass_shared::attempt::Order;

/// Variables of the worker's own environment that are passed on: they say who and where, and nothing of
/// what the worker was told.
const PASSED_ON: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
];

/// The environment of a run.
pub fn run(order: &Order, dir: &AttemptDir) -> BTreeMap<String, String> {
    common(order, dir)
}

/// The environment of an analysis; `run_log` is where the run's log lies.
pub fn analysis(order: &Order, dir: &AttemptDir, run_log: &Path) -> BTreeMap<String, String> {
    let mut env = common(order, dir);
    env.insert("WINDLASS_RUN_LOG".to_owned(), run_log.display().to_string());
    env.insert("WINDLASS_HISTORY".to_owned(), dir.history().display().to_string());
    env
}

/// Sends what compilers would keep below the user's home to the run's own folder: a run that is shut in
/// cannot write there, and some of them fail for it. What the campaign says itself stands.
pub fn keep_within(env: &mut BTreeMap<String, String>, dir: &AttemptDir) {
    for (name, folder) in [("TRITON_CACHE_DIR", "triton"), ("CUDA_CACHE_PATH", "nv"), ("MPLCONFIGDIR", "mpl")]
    {
        env.entry(name.to_owned()).or_insert_with(|| dir.temporary().join(folder).display().to_string());
    }
}

fn common(order: &Order, dir: &AttemptDir) -> BTreeMap<String, String> {
    let passed = PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut env: BTreeMap<String, String> = passed.collect();
    env.entry("PATH".to_owned()).or_insert_with(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    // A NUL or an `=` in a name would not be what it seems; the coordinator checks, and so do we.
    let usable = |(name, value): &(&String, &String)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    env.extend(order.env.iter().filter(usable).map(|(name, value)| (name.clone(), value.clone())));
    env.insert("WINDLASS_SEED".to_owned(), order.seed.unwrap_or(0).to_string());
    let gpus: Vec<&str> =
        order.devices.iter().map(|id| id.as_str()).filter(|id| !id.starts_with("cpu-")).collect();
    let ours = [
        ("TMPDIR", dir.temporary().display().to_string()),
        ("WINDLASS_RESULTS", dir.results().display().to_string()),
        ("WINDLASS_ITERATION", order.key.id.iteration.to_string()),
        (ATTEMPT_VARIABLE, order.key.to_string()),
        // UUIDs, never indices; empty where no GPU is leased, so that none is used by accident.
        ("CUDA_VISIBLE_DEVICES", gpus.join(",")),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()),
    ];
    env.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    env
}
