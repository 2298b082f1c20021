//! What this process makes of its machine, under the names that every Prometheus client library gives it.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::fmt;

/// Looks at `/proc/self` at each scrape; what cannot be read is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = cpu_seconds() {
            let figure = ConstCounter::new(seconds);
            let described = encoder.encode_descriptor(
                "process_cpu",
                "User and system CPU time",
                Some(&Unit::Seconds),
                figure.metric_type(),
            )?;
            figure.encode(described)?;
        }
        if let Some(bytes) = resident_bytes() {
            let figure = ConstGauge::new(bytes);
            let described = encoder.encode_descriptor(
                "process_resident_memory",
                "Resident memory",
                Some(&Unit::Bytes),
                figure.metric_type(),
            )?;
            figure.encode(described)?;
        }
        if let Some(open) = open_files() {
            let figure = ConstGauge::new(open);
            let described = encoder.encode_descriptor(
                "process_open_fds",
                "Open file descriptors",
                None,
                figure.metric_type(),
            )?;
            figure.encode(described)?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident_bytes() -> Option<i64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: i64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(resident.saturating_mul(i64::try_from(rustix::param::page_size()).ok()?))
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}
