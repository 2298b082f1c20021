//! A histogram that is observed without a lock: the loop must not wait for whoever reads the figures.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds in the unit that is observed, ascending.
    bounds: &'static [u64],
    /// How many were within each bound and beyond the one before; one more for those beyond all.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
    /// How many of the observed units make one of the unit that is shown: a billion nanoseconds make a second.
    scale: f64,
}

impl Histogram {
    /// Of figures in a small unit, `scale` of which make the unit that is shown.
    pub fn new(bounds: &'static [u64], scale: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum: AtomicU64::new(0), scale }))
    }

    /// Notes one figure.
    pub fn observe(&self, figure: u64) {
        let inner = &*self.0;
        let at = inner.bounds.partition_point(|bound| *bound < figure);
        // The figures of one moment need not agree with each other to the last one.
        inner.counts[at].fetch_add(1, Ordering::Relaxed);
        inner.sum.fetch_add(figure, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let inner = &*self.0;
        let bounds = inner.bounds.iter().map(|bound| *bound as f64 / inner.scale).chain([f64::INFINITY]);
        let counts = inner.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = inner.sum.load(Ordering::Relaxed) as f64 / inner.scale;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    #[test]
    fn a_figure_is_counted_within_its_bound_and_beyond_all() {
        let histogram = Histogram::new(&[10, 1_000], 1_000.0);
        for figure in [0, 10, 11, 1_000, 1_001, 5_000] {
            histogram.observe(figure);
        }
        let mut registry = Registry::default();
        registry.register("h", "a histogram", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes it");
        for line in [
            "h_bucket{le=\"0.01\"} 2",
            "h_bucket{le=\"1.0\"} 4",
            "h_bucket{le=\"+Inf\"} 6",
            "h_count 6",
            "h_sum 7.022",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
