//! `approaches.md` (P11): the registry of swings and merges, from the story alone.

use crate::history::{Iteration, Story};
use crate::results_tsv;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use windlass_shared::conclusion::{Status, Verdict};
use windlass_shared::id::IterationNumber;
use windlass_shared::lever::{Kind, Move};

/// The registry; none where moves are not scheduled.
pub fn render(story: &Story) -> Option<String> {
    story.bindings.windlass.move_scheduler.as_ref()?;
    let mut text = format!(
        "# Approaches\n\nSwings and merges of {}, in the order of decision.\n\n\
         | iter | name | move | axes changed | {} | strengths | weaknesses | ablated |\n\
         |---|---|---|---|---|---|---|---|\n",
        cell(&story.name),
        cell(&story.bindings.metric),
    );
    let ablated = ablated(story);
    for (iteration, decision) in story.rows() {
        let Some(lever) = story.lever_of(iteration).filter(|lever| lever.kind.as_move() != Move::Exploit)
        else {
            continue;
        };
        let sum = learnt(iteration, &decision.arithmetic.sentence);
        let (mut strengths, mut weaknesses) = match decision.status {
            Status::Keep => (vec![sum], Vec::new()),
            Status::Discard | Status::Crash => (Vec::new(), vec![sum]),
        };
        strengths.extend(notes(iteration, Verdict::AsHelped));
        weaknesses.extend(notes(iteration, Verdict::AsNot));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            iteration.number,
            cell(&lever.title),
            name_of_move(lever.kind, &lever.parents),
            cell(&lever.axes.join("; ")),
            results_tsv::metric(decision),
            cell(&strengths.join("; ")),
            cell(&weaknesses.join("; ")),
            if ablated.contains(&iteration.number) { "y" } else { "n" },
        );
    }
    Some(text)
}

/// A merge says what it joins.
fn name_of_move(kind: Kind, parents: &[IterationNumber]) -> String {
    let word = kind.as_move().as_str();
    let parents: Vec<String> = parents.iter().map(ToString::to_string).collect();
    if parents.is_empty() { word.to_owned() } else { format!("{word} of {}", parents.join(" and ")) }
}

/// What its scripts noted, where its researcher judged that to speak for the change, or against it.
fn notes(iteration: &Iteration, verdict: Verdict) -> Vec<String> {
    let judged = iteration.conclusion.iter().flat_map(|conclusion| &conclusion.deliverables);
    let outputs = judged.filter(|(_, is)| *is == verdict).map(|(output, _)| output);
    let noted = outputs.filter_map(|output| Some((output, iteration.accepted.get(output)?)));
    noted.map(|(output, line)| format!("{output}: {line}")).collect()
}

/// How it was decided, and what its analysis found.
fn learnt(iteration: &Iteration, sentence: &str) -> String {
    let finding = iteration.conclusion.as_ref().map(|conclusion| conclusion.finding.as_str());
    match finding.filter(|finding| !sentence.is_empty() && *finding != sentence) {
        Some(finding) => format!("{sentence}; {finding}"),
        None => sentence.to_owned(),
    }
}

/// The approaches whose parts were taken away once: the swing or merge that was in force where a measured
/// ablation began, found by going back over kept iterations.
fn ablated(story: &Story) -> BTreeSet<IterationNumber> {
    let is_ablation =
        |iteration: &Iteration| story.lever_of(iteration).is_some_and(|lever| lever.kind == Kind::Ablation);
    let measured = story.rows().filter(|(_, decision)| decision.status != Status::Crash);
    let ablations = measured.filter(|(iteration, _)| is_ablation(iteration));
    ablations.filter_map(|(iteration, _)| in_force(story, iteration)).collect()
}

fn in_force(story: &Story, iteration: &Iteration) -> Option<IterationNumber> {
    let mut parent = iteration.parent;
    // Parents have smaller numbers, so this ends.
    while let Some(one) = parent.and_then(|number| story.iterations.get(&number)) {
        if story.lever_of(one).is_some_and(|lever| lever.kind.as_move() != Move::Exploit) {
            return Some(one.number);
        }
        parent = one.parent;
    }
    None
}

/// Text that stays in its cell: no line break, no bar, nothing that a page takes for markup.
fn cell(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.collect::<String>().replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::bindings::MoveScheduler;

    #[test]
    fn p11_the_registry_has_a_row_for_each_swing_and_merge() {
        let mut story = crate::history::test_story();
        assert_eq!(render(&story), None, "only where moves are scheduled");
        story.bindings.windlass.move_scheduler = Some(MoveScheduler::default());
        let rows = |story: &Story| {
            render(story).expect("scheduled").lines().skip(6).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(rows(&story), Vec::<String>::new(), "no swing yet");
        let lever = story.iterations[&IterationNumber(2)].lever.expect("a lever");
        let known = story.levers.get_mut(&lever).expect("known");
        known.lever.kind = Kind::Swing;
        known.lever.title = "a | in a title".to_owned();
        known.lever.axes = vec!["family".to_owned(), "head".to_owned()];
        let shown = rows(&story);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(
            shown[0].starts_with("| 2 | a \\| in a title | swing | family; head | 0.9025 | "),
            "{shown:?}"
        );
        assert!(shown[0].ends_with("|  | n |"), "{shown:?}");
        // What the scripts noted stands where its researcher's verdict puts it.
        for (verdict, column) in [(Verdict::AsHelped, 6), (Verdict::AsNot, 7)] {
            let mut story = story.clone();
            let iteration = story.iterations.get_mut(&IterationNumber(2)).expect("known");
            let (output, line) = iteration.accepted.first_key_value().expect("a deliverable");
            let noted = format!("{output}: {line}");
            let judged = vec![(output.clone(), verdict)];
            iteration.conclusion.as_mut().expect("concluded").deliverables = judged;
            let shown = rows(&story);
            let cells: Vec<&str> = shown[0].split('|').collect();
            assert!(cells[column + 1].contains(&cell(&noted)), "{noted} in {column}: {cells:?}");
        }
    }
}
