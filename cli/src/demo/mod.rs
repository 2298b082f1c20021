//! The parts of `windlass demo` that are not a command: its folder, and the campaign shown live.

pub mod folder;
mod live;
pub mod show;
mod tail;
