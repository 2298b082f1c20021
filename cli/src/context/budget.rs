//! A number of bytes shared out among sections. Every section begins cut to nothing and climbs a ladder, the
//! most needed first, for as long as the whole still fits: so any number from [`MAX_BYTES_MIN`] up gives a
//! whole document.

use super::facts::Facts;
use super::form::{Form, head};
use super::section::{Pen, Section, code};
use serde::Serialize;
use windlass_shared::size::Size;

/// Below this not even a head, what is waited for and the names of what is cut have room.
pub const MAX_BYTES_MIN: usize = 2_000;
/// More than any model reads at once; a bound on what is put together in memory.
pub const MAX_BYTES_MAX: usize = 4 << 20;
/// What is used where nothing is asked for.
pub const MAX_BYTES_DEFAULT: &str = "24 KiB";

/// Entries and characters of a text on each rung. The last is a bound on what one section may hold: more
/// than a thousand entries are no context but a listing, and there is a command for that.
const LADDER: [(usize, usize); 18] = [
    (0, 0),
    (1, 24),
    (1, 60),
    (1, 120),
    (1, 240),
    (2, 240),
    (3, 240),
    (4, 300),
    (6, 300),
    (8, 400),
    (12, 500),
    (16, 700),
    (24, 1_000),
    (40, 1_500),
    (64, 2_000),
    (120, 4_000),
    (300, 8_000),
    (1_000, 8_000),
];

/// Reads `--max-bytes`: a number of bytes, or a size as people write it.
pub fn parse_max_bytes(text: &str) -> Result<usize, String> {
    let bytes = match text.trim().parse::<u64>() {
        Ok(bytes) => bytes,
        Err(_) => Size::parse(text).map_err(|problem| problem.to_string())?.bytes,
    };
    check_max_bytes(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Refuses what no context can be made within.
pub(super) fn check_max_bytes(bytes: usize) -> Result<usize, String> {
    match bytes {
        ..MAX_BYTES_MIN => Err(format!("a context needs {MAX_BYTES_MIN} bytes at least")),
        MAX_BYTES_MIN..=MAX_BYTES_MAX => Ok(bytes),
        _ => Err(format!("a context has {MAX_BYTES_MAX} bytes at most")),
    }
}

/// Sections up to this rank are in every context: what is going on, and what can be done.
const RANK_NEEDED: u8 = 1;

/// A section told on one rung.
#[derive(Clone, Debug, Default)]
struct Told {
    text: String,
    shown: usize,
    is_whole: bool,
}

/// Something that was left out.
#[derive(Serialize)]
struct Cut<'a> {
    sections: Vec<&'a str>,
    shown: usize,
    of: usize,
    command: &'a str,
}

/// How what is cut is named: each section with its own command, or where even that has no room, together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Each,
    Together,
}

/// The whole, within `max_bytes`.
pub fn fit(facts: &Facts, sections: &[Section<'_>], form: Form, max_bytes: usize) -> String {
    let head = head(facts, form, max_bytes);
    let layout = |naming| Layout { facts, sections, form, max_bytes, head: &head, naming };
    let each = layout(Naming::Each).grow();
    each.or_else(|| layout(Naming::Together).grow()).unwrap_or_else(|| {
        // The head and one line of names are bounded well below the least that may be asked for.
        layout(Naming::Together).assemble(&vec![Told::default(); sections.len()])
    })
}

struct Layout<'a, 'b> {
    facts: &'a Facts,
    sections: &'a [Section<'b>],
    form: Form,
    max_bytes: usize,
    head: &'a str,
    naming: Naming,
}

impl Layout<'_, '_> {
    /// The fullest that fits; none where nothing does.
    fn grow(&self) -> Option<String> {
        let mut rungs = vec![0; self.sections.len()];
        let mut told: Vec<Told> = self.sections.iter().map(|section| self.tell(section, 0)).collect();
        let mut best = Some(self.assemble(&told)).filter(|text| text.len() <= self.max_bytes)?;
        let mut order: Vec<usize> = (0..self.sections.len()).collect();
        order.sort_by_key(|&index| self.sections[index].rank);
        let mut climb = |index: usize, best: &mut String| {
            if told[index].is_whole || rungs[index] + 1 == LADDER.len() {
                return false;
            }
            let higher = self.tell(&self.sections[index], rungs[index] + 1);
            let before = std::mem::replace(&mut told[index], higher);
            let text = self.assemble(&told);
            if text.len() > self.max_bytes {
                told[index] = before;
                return false;
            }
            rungs[index] += 1;
            *best = text;
            true
        };
        // Without a word of what is needed most the names of the rest are worth nothing.
        for index in self.needed() {
            if !climb(index, &mut best) {
                return None;
            }
        }
        // The most needed ones stand on their floors before any other has more than a line.
        for &index in &order {
            for _ in 0..self.sections[index].floor {
                if !climb(index, &mut best) {
                    break;
                }
            }
        }
        // Bounded: each round climbs a rung of some section, and there are so many rungs.
        loop {
            let climbed = order.iter().filter(|&&index| climb(index, &mut best)).count();
            if climbed == 0 {
                return Some(best);
            }
        }
    }

    /// The sections that no context goes without.
    fn needed(&self) -> impl Iterator<Item = usize> + '_ {
        let is_needed = |section: &Section<'_>| section.rank <= RANK_NEEDED && section.total > 0;
        (0..self.sections.len()).filter(move |&index| is_needed(&self.sections[index]))
    }

    fn tell(&self, section: &Section<'_>, rung: usize) -> Told {
        let (entries, chars) = LADDER[rung];
        let pen = Pen::new(self.form, chars);
        let shown = section.total.min(entries);
        let told: Vec<String> = (0..shown).map(|index| (section.entry)(index, &pen)).collect();
        let text = match self.form {
            _ if shown == 0 => String::new(),
            Form::Json => format!(",{:?}:[{}]", section.name, told.join(",")),
            Form::Markdown => format!("\n## {}\n\n{}", section.heading, told.concat()),
        };
        Told { text, shown, is_whole: shown == section.total && !pen.has_cut() }
    }

    fn assemble(&self, told: &[Told]) -> String {
        let mut text = self.head.to_owned();
        told.iter().for_each(|told| text.push_str(&told.text));
        let cuts = self.cuts(told);
        if self.form == Form::Json {
            let cuts = serde_json::to_string(&cuts).unwrap_or_else(|_| "[]".to_owned());
            text.push_str(&format!(",\"cut\":{cuts}}}\n"));
            return text;
        }
        if cuts.is_empty() {
            return text;
        }
        text.push_str("\n## Cut\n\n");
        for cut in cuts {
            let how_many = match (cut.shown, cut.of) {
                (0, _) => String::new(),
                (shown, of) if shown < of => format!(" ({shown} of {of})"),
                _ => " (long texts)".to_owned(),
            };
            text.push_str(&format!("- {}{how_many}: {}\n", cut.sections.join(", "), code(cut.command)));
        }
        text
    }

    fn cuts(&self, told: &[Told]) -> Vec<Cut<'_>> {
        let is_cut = |(section, told): &(&Section<'_>, &Told)| section.total > 0 && !told.is_whole;
        let cut = self.sections.iter().zip(told).filter(is_cut);
        if self.naming == Naming::Each {
            let of = |(section, told): (&'_ Section<'_>, &Told)| (section.name, told.shown, section.total);
            return cut
                .map(|pair| {
                    let (name, shown, of) = of(pair);
                    Cut { sections: vec![name], shown, of, command: self.command_of(name) }
                })
                .collect();
        }
        let (mut sections, mut shown, mut of) = (Vec::new(), 0, 0);
        for (section, told) in cut {
            sections.push(section.name);
            (shown, of) = (shown + told.shown, of + section.total);
        }
        if sections.is_empty() {
            return Vec::new();
        }
        vec![Cut { sections, shown, of, command: &self.facts.whole }]
    }

    fn command_of(&self, name: &str) -> &str {
        self.sections.iter().find(|section| section.name == name).map_or("", |section| &section.command)
    }
}
