//! Fair share: among campaigns of one priority, device time goes by weight. What a campaign had is forgotten
//! by half in every half-life, so that a busy week does not cost the next one; what nobody else wants is lent
//! without limit, and counts.
//!
//! Decay is done forwards: time that is had later counts for more, by 2 to the half-lives since 1970. Everybody's
//! sum decays at the same rate, so the order of two campaigns changes only with a record, never with a clock.
//! Whole numbers throughout: a replay gives the same bytes on every machine.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_shared::id::IterationNumber;

/// The half-life that a coordinator has when it is given none, milliseconds: a day. A night of one campaign
/// is mostly forgotten by the next but one.
pub const HALF_LIFE_MS: u64 = 24 * 3_600_000;
/// The least half-life, milliseconds: a minute, so that the half-lives since 1970 fit an `i32`.
pub const HALF_LIFE_MIN_MS: u64 = 60_000;
/// What a run is taken to last, at its lease, before one has ended: no longer than this, milliseconds. An
/// epoch-gated baseline has a limit of a day, and mostly takes minutes.
const GUESS_MAX_MS: u64 = 10 * 60_000;
/// Bits of a half-life's fraction that count: a day in steps of 1.3 s.
const FRACTION_BITS: u32 = 16;

/// A number that is never negative: `mantissa × 2^exponent`, the mantissa's highest bit set, or zero. It adds
/// without ever running over, and compares by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Amount {
    exponent: i32,
    mantissa: u64,
}

impl Default for Amount {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Amount {
    /// Nothing; less than everything else.
    pub const ZERO: Self = Self { exponent: i32::MIN, mantissa: 0 };

    /// `value × 2^exponent`; what does not fit 64 bits is cut off below.
    fn of(value: u128, exponent: i32) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        // The highest bit goes to place 63.
        let up = value.leading_zeros() as i32 - 64;
        let mantissa = if up >= 0 { value << up } else { value >> -up };
        Self { exponent: exponent.saturating_sub(up), mantissa: mantissa as u64 }
    }

    /// Device time that was had at a moment, decayed forwards.
    pub fn at(device_ms: u64, wall_ms: i64, half_life_ms: u64) -> Self {
        let (exponent, factor) = growth(wall_ms, half_life_ms);
        Self::of(u128::from(device_ms) * u128::from(factor), exponent - FACTOR_BITS as i32)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (larger, smaller) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if smaller.mantissa == 0 {
            return larger;
        }
        // Both with 63 bits to spare below; what is smaller than that is nothing beside the other.
        let down = (i64::from(larger.exponent) - i64::from(smaller.exponent)).min(127) as u32;
        let sum = (u128::from(larger.mantissa) << 63) + ((u128::from(smaller.mantissa) << 63) >> down);
        Self::of(sum, larger.exponent.saturating_sub(63))
    }

    /// Its part, for one of so many shares; a weight of 0 is taken for 1.
    #[must_use]
    pub fn per(self, weight: u32) -> Self {
        if self.mantissa == 0 {
            return self;
        }
        let parts = (u128::from(self.mantissa) << 63) / u128::from(weight.max(1));
        Self::of(parts, self.exponent.saturating_sub(63))
    }

    /// What is left of it at a moment, device milliseconds.
    pub fn left_ms(self, wall_ms: i64, half_life_ms: u64) -> u64 {
        if self.mantissa == 0 {
            return 0;
        }
        let (exponent, factor) = growth(wall_ms, half_life_ms);
        // mantissa × 2^e / (factor × 2^(exponent − FACTOR_BITS))
        let quotient = (u128::from(self.mantissa) << 63) / u128::from(factor);
        let up = i64::from(self.exponent) - i64::from(exponent) + i64::from(FACTOR_BITS) - 63;
        if up >= 0 {
            return u64::try_from(quotient.checked_shl(up.min(127) as u32).unwrap_or(u128::MAX))
                .unwrap_or(u64::MAX);
        }
        u64::try_from(quotient >> (-up).min(127)).unwrap_or(u64::MAX)
    }
}

/// Bits behind the point of a factor.
const FACTOR_BITS: u32 = 62;

/// How much time at this moment counts for: `factor × 2^(exponent − FACTOR_BITS)`, the factor from 1 to
/// below 2.
fn growth(wall_ms: i64, half_life_ms: u64) -> (i32, u64) {
    let half_life_ms = half_life_ms.max(HALF_LIFE_MIN_MS);
    let wall_ms = u64::try_from(wall_ms).unwrap_or(0);
    let exponent = i32::try_from(wall_ms / half_life_ms).unwrap_or(i32::MAX / 2);
    let rest = u128::from(wall_ms % half_life_ms);
    let fraction = (rest << FRACTION_BITS) / u128::from(half_life_ms);
    // 2^(1/2), 2^(1/4), …: the roots whose bits the fraction has, multiplied.
    let (mut root, mut factor) = (2_u128 << FACTOR_BITS, 1_u128 << FACTOR_BITS);
    for bit in (0..FRACTION_BITS).rev() {
        root = (root << FACTOR_BITS).isqrt();
        if fraction >> bit & 1 == 1 {
            factor = (factor * root) >> FACTOR_BITS;
        }
    }
    (exponent, factor as u64)
}

/// What one campaign has had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Device time of attempts that have ended.
    had: Amount,
    /// What live attempts are taken to need, by iteration; the true figure takes its place at their end.
    taken: BTreeMap<IterationNumber, Amount>,
    /// How long the latest run took, milliseconds.
    usual_ms: Option<u64>,
    /// All of it for one share of its weight: who has least is served first.
    per_weight: Amount,
}

impl Share {
    /// All of it for one share of its weight: who has least is served first.
    pub fn per_weight(&self) -> Amount {
        self.per_weight
    }

    /// The device time that an attempt is taken to need: as long as the latest run took, milliseconds.
    pub fn foreseen_ms(&self, devices: usize, limit_ms: u64) -> u64 {
        self.usual_ms.unwrap_or(limit_ms.min(GUESS_MAX_MS)).saturating_mul(devices as u64)
    }

    /// An attempt got devices, for at most `limit_ms`.
    pub fn lease(
        &mut self,
        iteration: IterationNumber,
        devices: usize,
        limit_ms: u64,
        now: Moment,
        weight: u32,
    ) {
        if devices == 0 {
            return;
        }
        let amount = now.amount(self.foreseen_ms(devices, limit_ms));
        self.taken.insert(iteration, amount);
        self.weigh(weight);
    }

    /// An attempt is over; what the machinery failed costs its campaign nothing (P20).
    pub fn end(&mut self, iteration: IterationNumber, ended: Ended, now: Moment, weight: u32) {
        let taken = self.taken.remove(&iteration);
        if ended.is_charged && ended.devices > 0 {
            self.had = self.had.plus(now.amount(ended.took_ms.saturating_mul(ended.devices as u64)));
            if ended.is_run {
                self.usual_ms = Some(ended.took_ms);
            }
        }
        if taken.is_some() || ended.devices > 0 {
            self.weigh(weight);
        }
    }

    /// The weight is another one, or the half-life was.
    pub fn weigh(&mut self, weight: u32) {
        let all = self.taken.values().fold(self.had, |sum, amount| sum.plus(*amount));
        self.per_weight = all.per(weight);
    }

    /// The same device time under another half-life, as it stands at this moment.
    pub fn change_half_life(&mut self, before_ms: u64, now: Moment, weight: u32) {
        let anew = |amount: Amount| now.amount(amount.left_ms(now.wall_ms, before_ms));
        self.had = anew(self.had);
        for amount in self.taken.values_mut() {
            *amount = anew(*amount);
        }
        self.weigh(weight);
    }
}

/// When something happened, and how fast it is forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The record's wall time.
    pub wall_ms: i64,
    /// The coordinator's half-life.
    pub half_life_ms: u64,
}

impl Moment {
    fn amount(self, device_ms: u64) -> Amount {
        Amount::at(device_ms, self.wall_ms, self.half_life_ms)
    }
}

/// An attempt that is over.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// How many devices it had.
    pub devices: usize,
    /// For how long, milliseconds.
    pub took_ms: u64,
    /// Whether it was a run, which the next one of its campaign will take as long as.
    pub is_run: bool,
    /// Whether it counts: what the machinery failed does not.
    pub is_charged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const NOW_MS: i64 = 1_795_000_000_000;

    fn at(device_ms: u64, wall_ms: i64) -> Amount {
        Amount::at(device_ms, wall_ms, HALF_LIFE_MS)
    }

    /// Within a millionth of `wanted`, or one.
    fn is_about(found: u64, wanted: u64) -> bool {
        found.abs_diff(wanted) <= 1 + wanted / 1_000_000
    }

    #[test]
    fn half_is_forgotten_in_a_half_life() {
        let day = HALF_LIFE_MS as i64;
        for (device_ms, after_ms, left) in [
            (HOUR_MS, 0, HOUR_MS),
            (HOUR_MS, day, HOUR_MS / 2),
            (HOUR_MS, 3 * day, HOUR_MS / 8),
            (2 * HOUR_MS, day / 2, 5_091_168),
            (1 << 50, 10 * day, 1 << 40),
            (0, day, 0),
            (1, 100 * day, 0),
        ] {
            let found = at(device_ms, NOW_MS).left_ms(NOW_MS + after_ms, HALF_LIFE_MS);
            // Steps of a 65,536th of a half-life: about 1 in 100,000.
            let near = found.abs_diff(left) <= 1 + left / 50_000;
            assert!(near, "{device_ms} after {after_ms}: {found}, not {left}");
        }
    }

    #[test]
    fn sums_and_parts_are_those_of_arithmetic() {
        for (a, b, weight) in [
            (1, 1, 1),
            (HOUR_MS, 1, 2),
            (1, HOUR_MS, 3),
            (u64::MAX / 4, u64::MAX / 4, 7),
            (0, 5, 5),
            (0, 0, 4),
        ] {
            let sum = at(a, NOW_MS).plus(at(b, NOW_MS));
            assert_eq!(sum, at(b, NOW_MS).plus(at(a, NOW_MS)), "{a} + {b}");
            assert!(is_about(sum.left_ms(NOW_MS, HALF_LIFE_MS), a + b), "{a} + {b}");
            let part = sum.per(weight).left_ms(NOW_MS, HALF_LIFE_MS);
            assert!(is_about(part, (a + b) / u64::from(weight)), "({a} + {b}) / {weight}: {part}");
        }
        assert_eq!(at(7, NOW_MS).per(0), at(7, NOW_MS).per(1), "no weight is a weight of 1");
    }

    #[test]
    fn later_time_counts_for_more_and_order_does_not_change_by_itself() {
        assert!(at(HOUR_MS, NOW_MS) < at(HOUR_MS, NOW_MS + 60_000));
        assert!(Amount::ZERO < at(1, 0));
        let (old, new) = (at(4 * HOUR_MS, NOW_MS), at(HOUR_MS, NOW_MS + 3 * HALF_LIFE_MS as i64));
        assert!(old < new, "four hours of three days ago are half an hour now");
        for wall_ms in [i64::MIN, -1, 0, i64::MAX] {
            let amount = Amount::at(u64::MAX, wall_ms, 0).plus(Amount::at(u64::MAX, wall_ms, u64::MAX));
            let _ = amount.per(u32::MAX).left_ms(i64::MAX, HALF_LIFE_MS);
        }
    }

    #[test]
    fn a_lease_counts_at_once_and_its_end_puts_the_true_figure_there() {
        let now = Moment { wall_ms: NOW_MS, half_life_ms: HALF_LIFE_MS };
        let mut share = Share::default();
        assert_eq!(share.per_weight(), Amount::default());
        let left = |share: &Share| share.per_weight().left_ms(NOW_MS, HALF_LIFE_MS);
        let run = |took_ms, is_charged| Ended { devices: 2, took_ms, is_run: true, is_charged };
        share.lease(IterationNumber(1), 2, 60_000, now, 2);
        assert!(is_about(left(&share), 60_000), "two devices for a minute, for a weight of 2: {share:?}");
        share.end(IterationNumber(1), run(30_000, true), now, 2);
        assert!(is_about(left(&share), 30_000), "{share:?}");
        // The next is taken to last as long, whatever its limit.
        share.lease(IterationNumber(2), 1, HOUR_MS, now, 2);
        assert!(is_about(left(&share), 45_000), "{share:?}");
        share.end(IterationNumber(2), run(HOUR_MS, false), now, 2);
        assert!(is_about(left(&share), 30_000), "the machinery's failure is not charged: {share:?}");
        let before = share.clone();
        share.lease(IterationNumber(3), 0, HOUR_MS, now, 2);
        share.end(IterationNumber(3), Ended { devices: 0, ..run(HOUR_MS, true) }, now, 2);
        assert_eq!(share, before, "scripts without a device take nobody's");
        let week = Moment { half_life_ms: 7 * HALF_LIFE_MS, ..now };
        share.change_half_life(HALF_LIFE_MS, week, 2);
        let left = share.per_weight().left_ms(NOW_MS, week.half_life_ms);
        assert!(left.abs_diff(30_000) <= 2, "{left}");
        // An epoch-gated baseline's limit is a day.
        let mut share = Share::default();
        share.lease(IterationNumber(1), 1, 24 * HOUR_MS, now, 1);
        assert!(is_about(share.per_weight().left_ms(NOW_MS, HALF_LIFE_MS), GUESS_MAX_MS));
    }
}
