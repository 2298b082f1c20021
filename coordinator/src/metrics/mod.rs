//! Figures for Prometheus. What happens is counted in atomics, so that it costs the loop nothing; what there is
//! is counted when somebody asks. No label names a campaign, an owner or a worker: how many series there are is
//! known in advance.

mod histogram;
mod process;
pub(crate) mod serve;

use histogram::Histogram;
use process::Process;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use windlass_engine::core::{CAMPAIGN_STATES, DEVICE_STATES, Figures, WORKER_STATES};
use windlass_shared::attempt::{Ending, Kind, Memory};
use windlass_shared::conclusion::Status;
use windlass_shared::device::DeviceKind;
use windlass_shared::record::{Body, Record};
use windlass_shared::space::Space;

/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;
/// Bounds of what should take milliseconds, nanoseconds: from 100 µs to 5 s.
const SHORT_NS: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];
/// Bounds of how many records one commit has: up to the most that one batch may.
const RECORDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 512, 4_096];

const KINDS: [DeviceKind; 2] = [DeviceKind::Gpu, DeviceKind::Cpu];
type Label = (&'static str, &'static str);
type Counters<const N: usize> = Family<[Label; N], Counter>;
type Gauges<const N: usize> = Family<[Label; N], Gauge<i64, AtomicI64>>;

/// All of them. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    leased: Counter,
    /// By kind and word of the ending: found once, so that counting looks nothing up.
    ended: BTreeMap<(Kind, &'static str), Counter>,
    decided: [Counter; 3],
    commit: Histogram,
    commit_records: Histogram,
    sync: Histogram,
    log_bytes: Counter,
    hooks: [Counter; 3],
    records: Counter,
    campaigns: Gauges<1>,
    queued_levers: Gauge,
    open_iterations: Gauge,
    waiting: Gauges<1>,
    leases: Gauge,
    workers: Gauges<1>,
    devices: Gauges<2>,
    offered: Family<[Label; 1], Counter<f64, AtomicU64>>,
    held: Family<[Label; 1], Counter<f64, AtomicU64>>,
    free_bytes: Gauge,
    read_only: Gauge,
}

/// What came of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hooked {
    /// It ran and ended well.
    Well,
    /// It could not be run, failed, or took too long.
    Failed,
    /// Too many waited already.
    Dropped,
}

/// What is known beside the core when somebody asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    /// Records that are durable.
    pub records: u64,
    /// Whether nothing is written any more.
    pub is_read_only: bool,
}

impl Metrics {
    /// All at nothing.
    pub fn new() -> Self {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process));
        let registry = all.sub_registry_with_prefix("windlass");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What this coordinator is", version);
        let ended = attempts_ended(registry);
        let decided: Counters<1> = Family::default();
        registry.register("iterations_decided", "Iterations that were decided, by status", decided.clone());
        let hooks: Counters<1> = Family::default();
        registry.register("hook_runs", "Runs of the hook command, by what came of them", hooks.clone());
        let seconds = |registry: &mut Registry, name, help| {
            let histogram = Histogram::new(SHORT_NS, SECOND_NS);
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
            histogram
        };
        let commit =
            seconds(registry, "commit_duration", "From handing a batch to the ledger to its being durable");
        let sync = seconds(
            registry,
            "sync_handling_duration",
            "From the arrival of a worker's report to its being decided on; how long it then hangs is not in it",
        );
        let commit_records = Histogram::new(RECORDS, 1.0);
        registry.register("commit_records", "Records of one commit", commit_records.clone());
        let inner = Inner {
            leased: counter(registry, "attempts_leased", "Attempts that were given devices"),
            ended,
            decided: [Status::Keep, Status::Discard, Status::Crash]
                .map(|status| decided.get_or_create_owned(&[("status", status.as_str())])),
            commit,
            commit_records,
            sync,
            log_bytes: {
                let bytes = Counter::default();
                let help = "Bytes of logs that workers sent";
                registry.register_with_unit("log_received", help, Unit::Bytes, bytes.clone());
                bytes
            },
            hooks: ["well", "failed", "dropped"]
                .map(|outcome| hooks.get_or_create_owned(&[("outcome", outcome)])),
            records: counter(registry, "ledger_records", "Records that are durable in the ledger"),
            campaigns: gauges(registry, "campaigns", "Campaigns, by state"),
            queued_levers: gauge(registry, "queued_levers", "Levers in line"),
            open_iterations: gauge(registry, "open_iterations", "Iterations that are open"),
            waiting: gauges(
                registry,
                "waiting_campaigns",
                "Campaigns with an attempt that waits, by for what",
            ),
            leases: gauge(registry, "leases", "Live attempts"),
            workers: gauges(registry, "workers", "Workers, by state; a drained one that is lost is drained"),
            devices: gauges(registry, "devices", "Devices of workers that are not lost, by kind and state"),
            offered: device_time(registry, "device_offered", "Time for which devices were there for work"),
            held: device_time(registry, "device_leased", "Time for which devices were leased"),
            free_bytes: {
                let free = Gauge::default();
                let help = "Free bytes on the disk of the data folder";
                registry.register_with_unit("disk_free", help, Unit::Bytes, free.clone());
                free
            },
            read_only: gauge(registry, "ledger_read_only", "1 once nothing is written any more, else 0"),
            registry: all,
        };
        Self(Arc::new(inner))
    }

    /// Counts what records say, as they are applied.
    pub fn note(&self, records: &[Record]) {
        for record in records {
            match &record.body {
                Body::AttemptLeased { .. } => _ = self.0.leased.inc(),
                Body::AttemptEnded { attempt_kind, outcome, .. } => {
                    if let Some(counter) = self.0.ended.get(&(*attempt_kind, outcome.ending.as_str())) {
                        counter.inc();
                    }
                }
                Body::IterationDecided { status, .. } => {
                    let at = match status {
                        Status::Keep => 0,
                        Status::Discard => 1,
                        Status::Crash => 2,
                    };
                    self.0.decided[at].inc();
                }
                _ => {}
            }
        }
    }

    /// A batch of so many records was durable after so long.
    pub fn committed(&self, records: u64, took: Duration) {
        self.0.commit.observe(nanoseconds(took));
        if records > 0 {
            self.0.commit_records.observe(records);
        }
    }

    /// A worker's report was decided on so long after it came.
    pub fn synced(&self, took: Duration) {
        self.0.sync.observe(nanoseconds(took));
    }

    /// So many bytes of a log were appended.
    pub fn log_received(&self, bytes: u64) {
        self.0.log_bytes.inc_by(bytes);
    }

    /// A hook ran, or did not.
    pub fn hooked(&self, outcome: Hooked) {
        let at = match outcome {
            Hooked::Well => 0,
            Hooked::Failed => 1,
            Hooked::Dropped => 2,
        };
        self.0.hooks[at].inc();
    }

    /// The page, in the text format of OpenMetrics.
    pub fn page(&self, figures: &Figures, space: &Space, beside: Beside) -> String {
        let inner = &*self.0;
        for state in CAMPAIGN_STATES {
            set(&inner.campaigns, &[("state", state)], figures.campaigns.get(state));
        }
        for state in WORKER_STATES {
            set(&inner.workers, &[("state", state)], figures.workers.get(state));
        }
        for kind in KINDS {
            for state in DEVICE_STATES {
                let labels = [("kind", word(kind)), ("state", state)];
                set(&inner.devices, &labels, figures.devices.get(&(kind, state)));
            }
            let had = figures.had.get(&kind).copied().unwrap_or_default();
            for (family, ms) in [(&inner.offered, had.offered_ms), (&inner.held, had.leased_ms)] {
                let counter = family.get_or_create_owned(&[("kind", word(kind))]);
                counter.inner().store((ms as f64 / 1000.0).to_bits(), Ordering::Relaxed);
            }
        }
        let waiting = [("device", figures.waiting_for_device), ("quota", figures.waiting_for_quota)];
        for (what, count) in waiting {
            set(&inner.waiting, &[("for", what)], Some(&count));
        }
        inner.queued_levers.set(signed(figures.queued_levers));
        inner.open_iterations.set(signed(figures.open_iterations));
        inner.leases.set(signed(figures.leases));
        inner.free_bytes.set(signed(space.free_bytes));
        inner.read_only.set(i64::from(beside.is_read_only));
        inner.records.inner().store(beside.records, Ordering::Relaxed);
        let mut text = String::new();
        // A string takes whatever is written into it.
        let _ = encode(&mut text, &inner.registry);
        text
    }
}

/// Every ending of every kind of attempt, so that a series is there before it is needed.
fn attempts_ended(registry: &mut Registry) -> BTreeMap<(Kind, &'static str), Counter> {
    let family: Counters<2> = Family::default();
    registry.register("attempts_ended", "Attempts that ended, by kind and ending", family.clone());
    let kinds = [(Kind::Run, "run"), (Kind::Analysis, "analysis"), (Kind::Score, "score")];
    let endings = [
        Ending::Finished,
        Ending::Crashed { code: None, signal: None },
        Ending::SoftTimeout,
        Ending::HardTimeout,
        Ending::OutOfMemory { memory: Memory::Host },
        Ending::GpuFault { detail: String::new() },
        Ending::DiskFull { over: None },
        Ending::Infra { detail: String::new() },
        Ending::Lost,
        Ending::Cancelled,
        Ending::Superseded,
    ];
    let mut counters = BTreeMap::new();
    for (kind, name) in kinds {
        for ending in endings.iter().map(Ending::as_str) {
            counters
                .insert((kind, ending), family.get_or_create_owned(&[("kind", name), ("ending", ending)]));
        }
    }
    counters
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn gauges<const N: usize>(registry: &mut Registry, name: &str, help: &str) -> Gauges<N> {
    let family = Family::default();
    registry.register(name, help, Gauges::clone(&family));
    family
}

fn device_time(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> Family<[Label; 1], Counter<f64, AtomicU64>> {
    let family = Family::default();
    registry.register_with_unit(name, help, Unit::Seconds, Family::clone(&family));
    family
}

fn set<const N: usize>(family: &Gauges<N>, labels: &[Label; N], count: Option<&u64>) {
    family.get_or_create_owned(labels).set(signed(count.copied().unwrap_or(0)));
}

fn word(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Gpu => "gpu",
        DeviceKind::Cpu => "cpu",
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
