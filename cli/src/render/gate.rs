//! How much of a gate is used, as a bar.

use super::units;

/// The bar's cells where there is room for them.
const CELLS: usize = 24;
/// Columns that the words beside the bar take, at the most.
const WORDS: usize = 40;

/// `█████░░░░░ 4.7 s of 12 s, 7.3 s left`, in a space of this width.
pub fn running(elapsed_ms: u64, budget_ms: u64, width: usize) -> String {
    let words = format!("{} of {}", units::duration(elapsed_ms), units::duration(budget_ms));
    let left = match budget_ms.checked_sub(elapsed_ms) {
        Some(left_ms) => format!("{} left", units::duration(left_ms)),
        None => format!("over by {}", units::duration(elapsed_ms - budget_ms)),
    };
    format!("{} {words}, {left}", bar(elapsed_ms, budget_ms, width))
}

/// `█████░░░░░ 4.7 s of 12 s (39 %)`, once it is over.
pub fn used(duration_ms: u64, budget_ms: u64, width: usize) -> String {
    format!(
        "{} {} of {} ({})",
        bar(duration_ms, budget_ms, width),
        units::duration(duration_ms),
        units::duration(budget_ms),
        units::percent(duration_ms, budget_ms)
    )
}

fn bar(part: u64, whole: u64, width: usize) -> String {
    let cells = CELLS.min(width.saturating_sub(WORDS)).max(4);
    let full = (u128::from(part) * cells as u128 / u128::from(whole.max(1))).min(cells as u128) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(cells - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_much_is_used_and_how_much_is_left() {
        assert_eq!(running(6_000, 12_000, 48), "████░░░░ 6.0 s of 12 s, 6.0 s left");
        assert_eq!(running(13_000, 12_000, 48), "████████ 13 s of 12 s, over by 1.0 s");
        assert_eq!(used(900, 12_000, 44), "░░░░ 0.9 s of 12 s (7 %)");
        assert_eq!(used(0, 0, 44), "░░░░ 0.0 s of 0.0 s (0 %)");
    }
}
