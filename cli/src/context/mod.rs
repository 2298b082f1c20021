//! Everything that a researcher needs next, within a number of bytes: gathered through the calls that every
//! page uses, cut section by section so that the newest and the most needed stay, and what is cut is named.

mod budget;
mod evidence;
mod facts;
mod form;
mod learnt;
mod next;
mod past;
mod section;
mod standing;

#[cfg(test)]
mod tests;

pub use budget::{MAX_BYTES_DEFAULT, MAX_BYTES_MAX, parse_max_bytes};
pub use facts::{Facts, File, gather};
pub use form::Form;

use section::Section;

/// The whole context in at most `max_bytes`, its closing line break counted.
pub fn write(facts: &Facts, form: Form, max_bytes: usize) -> String {
    budget::fit(facts, &sections(facts), form, max_bytes)
}

/// Every section, in reading order.
fn sections(facts: &Facts) -> Vec<Section<'_>> {
    let mut sections = vec![standing::now(facts), next::actions(facts)];
    sections.extend([past::best(facts), past::recent(facts), learnt::conclusion(facts)]);
    sections.extend([learnt::analysis(facts), evidence::files(facts), learnt::dimensions(facts)]);
    sections.extend([
        standing::queue(facts),
        standing::claims(facts),
        past::near_misses(facts),
        past::crashes(facts),
    ]);
    sections.extend([learnt::findings(facts), standing::rules(facts), standing::bindings(facts)]);
    sections
}
