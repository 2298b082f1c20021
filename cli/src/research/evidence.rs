//! Which iterations' evidence is laid beside a working copy: the one that is meant, the best, the latest crashes.

use crate::history::Story;
use windlass_shared::conclusion::Status;
use windlass_shared::id::IterationNumber;

/// Crashes whose logs are at hand: more would be looked for in the ledger.
const CRASHES_MAX: usize = 3;

/// Their numbers, the one that is meant first, none twice.
pub fn of(story: &Story, meant: u32) -> Vec<IterationNumber> {
    let meant = Some(IterationNumber(meant));
    let best = story.best_row().map(|(iteration, _)| iteration.number);
    let mut numbers: Vec<IterationNumber> = Vec::new();
    let crashes: Vec<IterationNumber> = story
        .rows()
        .filter(|(_, decision)| decision.status == Status::Crash)
        .map(|(iteration, _)| iteration.number)
        .collect();
    for number in meant.into_iter().chain(best).chain(crashes.into_iter().rev().take(CRASHES_MAX)) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meant_one_is_first_and_none_is_there_twice() {
        let story = crate::history::test_story();
        let numbers = of(&story, 1);
        assert_eq!(numbers.first(), Some(&IterationNumber(1)));
        let best = story.best_row().map(|(iteration, _)| iteration.number).expect("a best");
        assert!(numbers.contains(&best));
        let mut once = numbers.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), numbers.len());
        assert!(numbers.len() <= 2 + CRASHES_MAX);
    }
}
