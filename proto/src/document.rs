//! Documents: types of `shared` that travel as their own JSON.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_shared::refusal::Refusal;

/// The document's bytes.
pub fn write<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("values of shared are always representable"))
}

/// Reads a document; `field` names it in the refusal.
pub fn read<T: DeserializeOwned>(field: &'static str, bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::Malformed { field, problem: error.to_string() })
}
