//! Which point of a space is tried next. Pure: the same history and the same draws give the same point.

use super::draw::Draws;
use super::space::{Domain, Setting, Space};
use super::value::{at, unit};
use crate::history::Story;
use std::collections::BTreeSet;
use windlass_shared::conclusion::Status;
use windlass_shared::id::LeverNumber;

/// What the titles of its levers begin with: by that a search knows its own.
pub const TRY: &str = "try ";
/// How far from the best the first steps go, of the whole range.
const STEP_FIRST: f64 = 0.3;
/// What a step that did not help leaves of that: after sixteen the shortest is reached.
const STEP_SHRINKS: f64 = 0.85;
/// The shortest.
const STEP_MIN: f64 = 0.02;
/// How likely one of many settings takes part in a step.
const SHARE_MIN: f64 = 0.4;

/// What a search has done in a campaign so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Its levers.
    pub levers: u32,
    /// Steps near the best since one was kept.
    pub misses: i32,
}

impl Past {
    /// From the story; levers of others with settings of the same names count too, since they were the same search.
    pub fn of(story: &Story, space: &Space) -> Self {
        let is_own = |title: &str| {
            let first = title.strip_prefix(TRY).and_then(|rest| rest.split(' ').next());
            first.is_some_and(|key| space.settings.iter().any(|setting| setting.key == key))
        };
        let own = story.levers.iter().filter(|(_, it)| is_own(&it.lever.title)).map(|(number, _)| *number);
        let own: Vec<LeverNumber> = own.collect();
        let near: BTreeSet<LeverNumber> = own.iter().copied().skip(space.random as usize).collect();
        let steps = story.rows().filter(|(it, _)| it.lever.is_some_and(|lever| near.contains(&lever)));
        let misses = steps.fold(0, |misses, (_, decision)| match decision.status {
            Status::Keep => 0,
            Status::Discard | Status::Crash => misses + 1,
        });
        Self { levers: own.len() as u32, misses }
    }
}

/// The next point: a value for each setting, as it is written. `present` is where the best stands, and only the
/// settings in `movable` are moved.
pub fn next(
    space: &Space,
    present: &[String],
    movable: &[bool],
    past: Past,
    draws: &mut Draws,
) -> Vec<String> {
    let settings = space.settings.iter().zip(present);
    if past.levers < space.random {
        let fresh = settings.zip(movable).map(|((setting, now), is_movable)| {
            // Drawn in any case, so that one setting's evidence does not change the others' values.
            let drawn = at(&setting.domain, draws.unit());
            if *is_movable { drawn } else { now.clone() }
        });
        return fresh.collect();
    }
    let step = (STEP_FIRST * STEP_SHRINKS.powi(past.misses)).max(STEP_MIN);
    let can: Vec<usize> = (0..movable.len()).filter(|index| movable[*index]).collect();
    let share = (1.0 / can.len().max(1) as f64).max(SHARE_MIN);
    // One takes part always.
    let always = can.get(draws.index(can.len())).copied();
    let moved = settings.enumerate().map(|(index, (setting, now))| {
        let takes_part = draws.unit() < share || always == Some(index);
        let moved = step_from(setting, now, step, draws);
        if takes_part && movable[index] { moved } else { now.clone() }
    });
    moved.collect()
}

fn step_from(setting: &Setting, now: &str, step: f64, draws: &mut Draws) -> String {
    let (by, any) = (draws.normal() * step, draws.unit());
    let Some(place) = unit(&setting.domain, now) else { return at(&setting.domain, any) };
    match &setting.domain {
        Domain::Choice(values) => {
            let others: Vec<&String> = values.iter().filter(|value| value.as_str() != now).collect();
            let index = (any * others.len() as f64) as usize;
            others.get(index).map_or(now.to_owned(), |value| (*value).clone())
        }
        Domain::Int { min, max, .. } => {
            let moved = at(&setting.domain, inside(place + by));
            let present: i64 = now.parse().unwrap_or(*min);
            if moved != now {
                return moved;
            }
            // A step shorter than one is one.
            let next = if by < 0.0 { present - 1 } else { present + 1 };
            let other = 2 * present - next;
            if (*min..=*max).contains(&next) { next } else { other }.to_string()
        }
        Domain::Float { .. } => at(&setting.domain, inside(place + by)),
    }
}

/// What lies beyond an end comes back from it, so that ends are not tried over and over.
fn inside(place: f64) -> f64 {
    let folded = place.rem_euclid(2.0);
    if folded > 1.0 { 2.0 - folded } else { folded }
}

#[cfg(test)]
mod tests {
    use super::super::space::Scale;
    use super::*;
    use windlass_shared::path::TreePath;

    fn space(random: u32) -> Space {
        let file = TreePath::parse("config.yaml").expect("a path");
        let setting = |key: &str, domain| Setting {
            key: key.to_owned(),
            file: file.clone(),
            pattern: None,
            domain,
            anchors: Vec::new(),
            place: Default::default(),
        };
        let settings = vec![
            setting("rate", Domain::Float { min: 0.001, max: 1.0, scale: Scale::Log }),
            setting("width", Domain::Int { min: 8, max: 32, scale: Scale::Linear }),
            setting("act", Domain::Choice(["relu", "tanh", "gelu"].map(str::to_owned).to_vec())),
        ];
        let (path, text) = ("space.yaml".into(), String::new());
        Space { path, text, seed: 1, random, settings, anchors: Vec::new(), script: None }
    }

    fn draw(space: &Space, present: &[String], movable: &[bool], misses: i32, candidate: u64) -> Vec<String> {
        let past = Past { levers: 5, misses };
        next(space, present, movable, past, &mut Draws::new(space.seed, "c", 5, candidate))
    }

    fn present() -> Vec<String> {
        ["0.03162", "20", "relu"].map(str::to_owned).to_vec()
    }

    #[test]
    fn first_points_come_from_the_whole_space_and_later_ones_lie_near_the_best() {
        let far = |random, misses| {
            let space = space(random);
            let points = (0..300).map(|candidate| draw(&space, &present(), &[true; 3], misses, candidate));
            let rates = points.map(|point| {
                assert!(
                    point
                        .iter()
                        .zip(&space.settings)
                        .all(|(it, setting)| unit(&setting.domain, it).is_some())
                );
                (unit(&space.settings[0].domain, &point[0]).expect("inside") - 0.5).abs()
            });
            rates.fold(0.0, f64::max)
        };
        assert!(far(100, 0) > 0.45, "the whole range");
        assert!(far(0, 100) < 0.1, "after many misses only what is near");
        assert!(far(0, 0) > 0.3, "the first steps are long");
    }

    #[test]
    fn a_step_moves_something_and_only_what_has_evidence() {
        let space = space(0);
        for candidate in 0..200 {
            let point = draw(&space, &present(), &[false, true, false], 100, candidate);
            assert_eq!((&point[0], &point[2]), (&present()[0], &present()[2]), "these stay");
            assert_ne!(point[1], "20", "the shortest step of a whole number is one");
        }
        let at_end = ["0.03162", "32", "relu"].map(str::to_owned);
        for candidate in 0..50 {
            assert_ne!(draw(&space, &at_end, &[false, true, false], 100, candidate)[1], "32");
        }
        assert_eq!(draw(&space, &present(), &[false; 3], 0, 1), present());
        let foreign = ["fast", "20", "swish"].map(str::to_owned);
        let point = draw(&space, &foreign, &[true; 3], 0, 3);
        assert_eq!(point.len(), 3, "what the file says may lie outside the space: {point:?}");
        assert_eq!(draw(&space, &present(), &[true; 3], 3, 9), draw(&space, &present(), &[true; 3], 3, 9));
    }
}
