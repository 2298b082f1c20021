//! The durable state as bytes and back, so that a start need not fold every record. Only the very sources
//! that wrote a state read it again: whoever keeps one stamps it with [`VERSION`].

use super::Durable;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// This version and a fingerprint of the sources of `engine` and `shared`: what a state was folded by.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-", env!("WINDLASS_ENGINE_FINGERPRINT"));

/// A state that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It could not be written.
    #[error("failed to write the state")]
    Write(#[source] rmp_serde::encode::Error),
    /// The bytes are no state.
    #[error("the bytes are no state")]
    Read(#[source] rmp_serde::decode::Error),
}

impl Durable {
    /// Writes the state in MessagePack: equal states give equal bytes.
    pub fn write_to(&self, out: &mut impl Write) -> Result<(), SnapshotError> {
        // Fields by name: some are left out when they are empty.
        let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
        self.serialize(&mut serializer).map_err(SnapshotError::Write)
    }

    /// Reads what [`Durable::write_to`] wrote.
    pub fn read_from(input: impl Read) -> Result<Self, SnapshotError> {
        let mut deserializer = rmp_serde::Deserializer::new(input);
        Self::deserialize(&mut deserializer).map_err(SnapshotError::Read)
    }
}
