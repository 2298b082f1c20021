//! The gates of a lever: pure functions over bytes and facts, one file per gate.
