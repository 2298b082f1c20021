//! Searches a declared space of settings: a number of draws from all of it, then near the best, nearer after each
//! one that did not help. Draws follow from the space's seed and the campaign's history alone, so that the same
//! history is always answered with the same lever.

mod anchor;
mod draw;
mod point;
mod propose;
mod space;
mod value;

pub use propose::propose;
pub use space::Space;

/// The deliverable of each of its levers: whether the metric rose there.
pub const RESPONSE: &str = "response.tsv";
