//! The values that every part of Windlass agrees on: ids, digests, units, campaign bindings, levers,
//! records. Validation only; never a decision, never I/O.

pub mod access;
pub mod attempt;
pub mod bindings;
pub mod claim;
pub mod conclusion;
pub mod decimal;
pub mod device;
pub mod digest;
pub mod foreign;
pub mod git;
pub mod id;
pub mod join;
pub mod lever;
pub mod literature;
pub mod machine;
pub mod path;
pub mod plan;
pub mod quota;
pub mod record;
pub mod reference;
pub mod refusal;
pub mod secret;
pub mod session;
pub mod size;
pub mod space;
pub mod time;
pub mod tree;
pub mod upkeep;
pub mod usage;
pub mod version;
pub mod view;
