//! The gates of a lever: pure functions over bytes and facts, one file per gate. Bytes come in as
//! [`Contents`], fetched beforehand; a gate that reads some says which by its `blobs_needed`.

pub mod anchor;
pub mod conclusion;
mod contents;
pub mod editable;
pub mod epochs;
pub mod facts;
pub mod fix;
pub mod guard;
pub mod lever;
pub mod merge;
pub mod numstat;
pub mod patch;
pub mod plan;
pub mod proposal;
mod text;

pub use contents::Contents;
