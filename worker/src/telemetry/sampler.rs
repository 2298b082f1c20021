//! Looks at all runs of a worker together, every two seconds at most and never for more than half a per cent
//! of a core. Knows nothing of how runs begin or end but what it is told.

use super::gpu::Sensors;
use super::row::Row;
use super::series::Series;
use super::tree::{self, Usage};
use crate::procfs;
use crate::shim;
use crate::spool::AttemptDir;
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use windlass_shared::attempt::{AttemptKey, Kind, Order};
use windlass_shared::id::DeviceId;

/// Between two looks at most runs.
const TICK: Duration = Duration::from_secs(2);
/// Before the first look at a run.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause, however dear a look is.
const TICK_MAX: Duration = Duration::from_secs(60);
/// A pause is at least so many times as long as the CPU time of the look before it: half a per cent of a core.
const CPU_FACTOR: u32 = 200;
/// And so many times as long as it took: a driver that answers slowly, or a machine that is busy with other
/// things, is not asked all the time.
const WALL_FACTOR: u32 = 4;
/// CPUs are contended when so much of all is busy, per cent …
const BUSY_PERCENT: u64 = 90;
/// … and so much of all is kept busy by processes that are no run of ours.
const OTHERS_PERCENT: u64 = 10;

/// A worker's telemetry. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Telemetry {
    wanted: Arc<Mutex<BTreeMap<AttemptKey, Wanted>>>,
    changed: Arc<Notify>,
    sampler: Arc<Mutex<Sampler>>,
}

/// What a look took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Of a CPU.
    cpu: Duration,
    /// From its beginning to its end.
    wall: Duration,
}

/// A run that is to be looked at.
#[derive(Clone, Debug)]
struct Wanted {
    dir: AttemptDir,
    gpus: Vec<DeviceId>,
    /// Whether it gets a table; an analysis is only known for ours.
    kind: Kind,
}

/// The GPUs among an order's devices, in its order: the columns of its table.
pub(crate) fn gpus(order: &Order) -> Vec<DeviceId> {
    order.devices.iter().filter(|id| !id.as_str().starts_with("cpu-")).cloned().collect()
}

impl Telemetry {
    /// Through NVML's own library, or through `library`.
    pub fn new(library: Option<OsString>) -> Self {
        let sampler = Sampler { sensors: Sensors::new(library), runs: BTreeMap::new(), machine: None };
        Self { wanted: Arc::default(), changed: Arc::default(), sampler: Arc::new(Mutex::new(sampler)) }
    }

    /// Looks at an attempt from now on.
    pub fn begin(&self, order: &Order, dir: AttemptDir) {
        let wanted = Wanted { dir, gpus: gpus(order), kind: order.kind };
        self.wanted().insert(order.key.clone(), wanted);
        self.changed.notify_one();
    }

    /// Its tree is dead.
    pub fn end(&self, key: &AttemptKey) {
        self.wanted().remove(key);
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, BTreeMap<AttemptKey, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before the next look; none while there is nothing to look at.
    pub(crate) fn pause(&self, spent: Spent, is_first: bool) -> Option<Duration> {
        (!self.wanted().is_empty()).then(|| pause_after(spent, is_first))
    }

    /// Waits until a run begins.
    pub(crate) async fn begun(&self) {
        self.changed.notified().await;
    }

    /// One look at every run; blocks. Says what it took.
    pub(crate) fn look(&self) -> Spent {
        let (began, cpu) = (Instant::now(), cpu_time());
        let wanted = self.wanted().clone();
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner).look(&wanted);
        Spent { cpu: cpu_time().saturating_sub(cpu), wall: began.elapsed() }
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn pause_after(spent: Spent, is_first: bool) -> Duration {
    let least = if is_first { FIRST } else { TICK };
    (spent.cpu * CPU_FACTOR).max(spent.wall * WALL_FACTOR).clamp(least, TICK_MAX)
}

#[derive(Debug)]
struct Sampler {
    sensors: Sensors,
    runs: BTreeMap<AttemptKey, Run>,
    /// The machine's CPU time at the last look, busy and all.
    machine: Option<(u64, u64)>,
}

/// A run while it is looked at.
#[derive(Debug)]
struct Run {
    shim: Pid,
    start_ticks: u64,
    series: Series,
    usage: Usage,
    /// CPU time and age at the row before.
    since: Option<(u64, u64)>,
    /// Others were busy since the row before.
    contended_cpu: bool,
}

impl Sampler {
    fn look(&mut self, wanted: &BTreeMap<AttemptKey, Wanted>) {
        let before = self.runs.len();
        self.runs.retain(|key, _| wanted.contains_key(key));
        // What one that has ended used since the last look is nobody's fault.
        let mut has_ended = self.runs.len() < before;
        let mut ours = 0;
        for (key, wanted) in wanted {
            if !self.runs.contains_key(key) {
                let Some(run) = Run::find(wanted) else { continue };
                self.runs.insert(key.clone(), run);
            }
            let Some(run) = self.runs.get_mut(key) else { continue };
            match tree::usage(run.shim) {
                Some(usage) => {
                    ours += usage.cpu_ticks.saturating_sub(run.usage.cpu_ticks);
                    run.usage = usage;
                }
                None => has_ended |= self.runs.remove(key).is_some(),
            }
        }
        let contended = self.machine_is_contended(ours) && !has_ended;
        for (key, wanted) in wanted {
            let Some(run) = self.runs.get_mut(key) else { continue };
            run.contended_cpu |= contended;
            if let Some(row) = run.row(wanted, &mut self.sensors)
                && let Err(error) = run.series.push(row)
            {
                tracing::debug!(attempt = %key, %error, "a row of telemetry is lost");
            }
        }
    }

    /// Whether processes of nobody's run kept the CPUs from ours since the last look, in which ours used so
    /// many ticks.
    fn machine_is_contended(&mut self, ours: u64) -> bool {
        let Some((busy, all)) = tree::machine_ticks() else { return false };
        let Some((busy_before, all_before)) = self.machine.replace((busy, all)) else { return false };
        are_contended(busy.saturating_sub(busy_before), all.saturating_sub(all_before), ours)
    }
}

fn are_contended(busy: u64, all: u64, ours: u64) -> bool {
    all > 0 && busy * 100 >= all * BUSY_PERCENT && busy.saturating_sub(ours) * 100 >= all * OTHERS_PERCENT
}

impl Run {
    /// A run whose shim lives.
    fn find(wanted: &Wanted) -> Option<Self> {
        let identity = wanted.dir.identity().ok()??;
        shim::identify(wanted.dir.path(), &identity)?;
        let shim = Pid::from_raw(identity.pid)?;
        Some(Self {
            shim,
            start_ticks: procfs::stat(shim)?.start_ticks,
            series: Series::open(wanted.dir.path(), wanted.gpus.len()),
            usage: Usage::default(),
            since: None,
            contended_cpu: false,
        })
    }

    /// The row that is due, if one is.
    fn row(&mut self, wanted: &Wanted, sensors: &mut Sensors) -> Option<Row> {
        let elapsed_ms = tree::age_ms(self.start_ticks)?;
        if wanted.kind != Kind::Run || !self.series.is_due(elapsed_ms) {
            return None;
        }
        // A daemon that has just come knows nothing of the time before.
        let cpu_cores = self.since.and_then(|(ticks, at_ms)| {
            let seconds = elapsed_ms.checked_sub(at_ms).filter(|&ms| ms > 0)? as f64 / 1000.0;
            let used = self.usage.cpu_ticks.saturating_sub(ticks) as f64;
            Some(used / tree::ticks_per_second() as f64 / seconds)
        });
        self.since = Some((self.usage.cpu_ticks, elapsed_ms));
        let read = wanted.gpus.iter().map(|id| sensors.read(id));
        let (gpus, shared): (Vec<_>, Vec<bool>) = read.unzip();
        Some(Row {
            elapsed_ms,
            cpu_cores,
            memory_bytes: Some(self.usage.memory_bytes),
            read_bytes: self.usage.disk_bytes.map(|(read, _)| read),
            written_bytes: self.usage.disk_bytes.map(|(_, written)| written),
            processes: Some(self.usage.pids.len() as u64),
            contended_cpu: std::mem::take(&mut self.contended_cpu),
            contended_gpu: shared.contains(&true),
            gpus,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_contended_when_others_keep_a_full_machine_busy() {
        for (busy, all, ours, want) in [
            (1000, 1000, 1000, false),
            (1000, 1000, 850, true),
            (1000, 1000, 950, false),
            (800, 1000, 0, false),
            (0, 0, 0, false),
            (900, 1000, 2000, false),
        ] {
            assert_eq!(are_contended(busy, all, ours), want, "{busy} {all} {ours}");
        }
    }

    #[test]
    fn a_look_that_costs_much_or_takes_long_is_taken_seldom() {
        for (cpu_ms, wall_ms, is_first, pause_ms) in [
            (0, 0, true, 1_000),
            (0, 0, false, 2_000),
            (5, 400, false, 2_000),
            (5, 3_000, false, 12_000),
            (50, 50, false, 10_000),
            (5_000, 5_000, false, 60_000),
        ] {
            let spent = Spent { cpu: Duration::from_millis(cpu_ms), wall: Duration::from_millis(wall_ms) };
            let pause = pause_after(spent, is_first);
            assert_eq!(pause, Duration::from_millis(pause_ms));
        }
        assert_eq!(Telemetry::new(None).pause(Spent::default(), true), None, "nothing runs");
    }
}
