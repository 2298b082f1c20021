//! A small campaign's records, and the story that they tell. Other tests begin from it too.

use crate::history::Story;
use crate::history::story::Fate;
use windlass_shared::record::Record;

/// Baseline kept, a winner, a crash, a stale lever: as the ledger would have it.
pub fn records() -> Vec<Record> {
    serde_json::from_str(include_str!("../../tests/records.json")).expect("records of the current form")
}

/// The story of [`records`].
pub fn story() -> Story {
    Story::project(&records()).expect("a campaign was created")
}

#[test]
fn a_story_is_the_fold_of_its_records() {
    let story = story();
    assert_eq!(story.decided.iter().map(|n| n.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(story.best.map(|n| n.0), Some(2));
    let rows: Vec<_> =
        story.rows().map(|(iteration, row)| (iteration.title.as_str(), row.status.as_str())).collect();
    assert_eq!(rows, [("baseline", "keep"), ("add momentum 0.9", "keep"), ("rate times ten", "crash")]);
    let third = &story.iterations[&windlass_shared::id::IterationNumber(3)];
    assert_eq!(third.fixes, [0]);
    assert_ne!(third.tree, third.opened_tree, "a fix moves the tree that counts");
    assert_eq!(story.base_of(third), story.iterations[&windlass_shared::id::IterationNumber(2)].tree);
    assert_eq!(third.attempts.len(), 2);
    assert!(matches!(story.levers[&windlass_shared::id::LeverNumber(3)].fate, Fate::Retired(_)));
}

#[test]
fn records_of_other_campaigns_tell_nothing_and_none_is_not_a_story() {
    let mut records = records();
    let whole = story();
    let mut other = records[1].clone();
    other.campaign = Some("other-000000".into());
    records.push(other);
    assert_eq!(Story::project(&records).expect("a story"), whole);
    assert!(Story::project(&[]).is_none());
}
