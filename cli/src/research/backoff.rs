//! How long to wait before a command is asked again: longer each time, and not all at once.

use std::time::Duration;

/// It grows to so many times the first wait.
const GROWTH_MAX: u32 = 64;

/// The wait before the next try after `n` failures in a row. `noise` is any number: waits differ by up to a
/// quarter, so that researchers who were limited together do not come back together.
pub fn pause(first: Duration, n: u32, noise: u64) -> Duration {
    let doubled = 1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(GROWTH_MAX).min(GROWTH_MAX);
    let wait = first.saturating_mul(doubled.max(1));
    // Three quarters to five quarters, in thousandths.
    wait.mul_f64((750 + noise % 501) as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_differ_by_a_quarter_at_most() {
        let first = Duration::from_secs(30);
        for (n, want_s) in [(0, 30), (1, 30), (2, 60), (3, 120), (7, 1_920), (8, 1_920), (500, 1_920)] {
            for noise in [0, 250, 500, u64::MAX] {
                let wait = pause(first, n, noise).as_secs_f64();
                let want = f64::from(want_s);
                assert!((want * 0.75..=want * 1.25).contains(&wait), "{n} {noise}: {wait}");
            }
        }
        assert_ne!(pause(first, 1, 1), pause(first, 1, 400));
    }
}
