//! Numbers by chance that are the same whenever they are asked for: a stream of BLAKE3 over what they are for.

use std::f64::consts::TAU;

/// A stream of numbers.
#[derive(Debug)]
pub struct Draws {
    stream: blake3::OutputReader,
}

impl Draws {
    /// The stream of one candidate: by the space's seed, the campaign, how many levers that had, and how many
    /// candidates came before this one.
    pub fn new(seed: u64, campaign: &str, levers: u64, candidate: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        for number in [seed, levers, candidate] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(campaign.as_bytes());
        Self { stream: hasher.finalize_xof() }
    }

    /// From 0 up to, but not, 1.
    pub fn unit(&mut self) -> f64 {
        let mut bytes = [0; 8];
        self.stream.fill(&mut bytes);
        // The 53 bits that binary64 holds.
        (u64::from_le_bytes(bytes) >> 11) as f64 / 2f64.powi(53)
    }

    /// Around 0, two thirds of them within 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// One of so many.
    pub fn index(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_the_same_for_the_same_and_spread_over_what_they_should() {
        let some = |seed, levers, candidate| {
            let mut draws = Draws::new(seed, "c", levers, candidate);
            [draws.unit(), draws.normal()]
        };
        assert_eq!(some(1, 2, 3), some(1, 2, 3));
        for other in [some(2, 2, 3), some(1, 3, 3), some(1, 2, 4)] {
            assert_ne!(some(1, 2, 3), other);
        }
        let mut draws = Draws::new(1, "c", 0, 0);
        let units: Vec<f64> = (0..2_000).map(|_| draws.unit()).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        let mean = units.iter().sum::<f64>() / 2_000.0;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
        let normals: Vec<f64> = (0..2_000).map(|_| draws.normal()).collect();
        let spread = (normals.iter().map(|n| n * n).sum::<f64>() / 2_000.0).sqrt();
        assert!((spread - 1.0).abs() < 0.1, "{spread}");
    }
}
