//! `windlass.toml`: what a user or a project sets once. An option on the command line wins over the
//! environment, that over the nearest `windlass.toml` up the tree, that over the one in the user's
//! configuration folder, that over the default.

mod file;
mod keys;
mod layers;

pub use keys::{KEYS, Key};
pub use layers::{Layers, Setting};
