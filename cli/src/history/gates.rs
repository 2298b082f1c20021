//! What the gates said of an iteration's lever, as far as its records tell.

use super::story::{Iteration, LeverStory, Story};
use serde::Serialize;
use std::collections::BTreeSet;
use windlass_shared::lever::{Kind, Pin};

/// One gate that was passed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// Its rule in PROTOCOL.md.
    pub rule: &'static str,
    /// One word.
    pub gate: &'static str,
    /// What it found.
    pub found: String,
}

/// The gates of an iteration, in the order of the rules.
pub fn gates(story: &Story, iteration: &Iteration) -> Vec<Gate> {
    let mut gates = Vec::new();
    if story.imported.is_some() {
        // Nobody here asked anything of what was decided elsewhere.
        return gates;
    }
    let mut push = |rule, gate, found| gates.push(Gate { rule, gate, found });
    if let Some(lever) = iteration.lever.and_then(|number| story.levers.get(&number)) {
        let files: Vec<&str> = lever.lever.files.iter().map(|file| file.as_str()).collect();
        push("P2", "guard", format!("touches {}, which is editable", files.join(", ")));
        push("P6", "anchor", when_proposed(lever));
        if let Some(pin) = &iteration.pin {
            push("P7", "turn", when_pulled(lever, pin));
        }
        push("P8", "rebase", rebase(story, iteration, lever));
        if let Some(missing) = lever.passed.last() {
            let times = crate::render::units::times(lever.passed.len() as u32);
            push("P9", "passes", format!("passed over {times}, for want of {missing}"));
        }
        push("P13", "dimension", dimension(story, iteration));
    }
    let rows = crate::render::units::count(iteration.plan.len() as u64, "deliverable");
    push("P14", "plan", format!("{rows}, written down before anything ran"));
    gates
}

fn when_proposed(story: &LeverStory) -> String {
    match (&story.lever.anchor, &story.pin) {
        (None, _) if story.lever.kind == Kind::Simplification => "a simplification needs none".to_owned(),
        (None, _) => "none".to_owned(),
        (Some(_), None) => "checked for its form: nothing was analysed when it was proposed".to_owned(),
        (Some(_), Some(pin)) => format!("{} when it was proposed", place(pin)),
    }
}

fn when_pulled(story: &LeverStory, pin: &Pin) -> String {
    match &story.pin {
        Some(before) if before == pin => "the pin still stood when it was pulled".to_owned(),
        Some(_) => format!("{} when it was pulled, so it was pinned anew", place(pin)),
        None => format!("{} when it was pulled", place(pin)),
    }
}

fn place(pin: &Pin) -> String {
    format!("{} in iteration {}, line {}", pin.value, pin.iteration, pin.line)
}

fn rebase(story: &Story, iteration: &Iteration, lever: &LeverStory) -> String {
    let parent = iteration.parent.map_or("the workspace".to_owned(), |parent| format!("iteration {parent}"));
    if story.base_of(iteration) == lever.base {
        format!("written against {parent}")
    } else {
        format!("merged onto {parent} without a conflict")
    }
}

/// Which dimensions of the plan nothing before it had measured.
fn dimension(story: &Story, iteration: &Iteration) -> String {
    let before = story.iterations.values().filter(|other| other.number < iteration.number);
    let measured: BTreeSet<&str> = before
        .flat_map(|other| other.plan.iter().filter(|row| other.accepted.contains_key(&row.output)))
        .map(|row| row.dimension.as_str())
        .collect();
    let is_new = |dimension: &&str| !measured.contains(dimension);
    let new: BTreeSet<&str> =
        iteration.plan.iter().map(|row| row.dimension.as_str()).filter(is_new).collect();
    let compares = iteration
        .plan
        .iter()
        .filter_map(|row| row.compares.as_ref())
        .map(|compares| format!("compares with iteration {}: {}", compares.iteration, compares.reason));
    match new.len() {
        0 => {
            let reasons: Vec<String> = compares.collect();
            let known = "measures nothing that was not measured before".to_owned();
            if reasons.is_empty() { known } else { reasons.join("; ") }
        }
        1 => format!("{} is new", new.into_iter().collect::<String>()),
        _ => format!("{} are new", new.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gates_of_a_lever_are_told_in_the_order_of_the_rules() {
        let story = crate::history::test_story();
        let told: Vec<String> = story
            .iterations
            .values()
            .flat_map(|iteration| {
                let of_one = gates(&story, iteration).into_iter();
                of_one.map(move |gate| {
                    format!("{} {} {}: {}", iteration.number, gate.rule, gate.gate, gate.found)
                })
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
