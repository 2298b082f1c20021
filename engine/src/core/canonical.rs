//! Maps whose keys are no strings, as sequences: JSON has no other form for them. Order is the map's, so
//! equal maps give equal bytes.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A map as its entries.
pub(crate) fn entries<K: Serialize, V: Serialize, S: Serializer>(
    map: &BTreeMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map)
}

/// A map of maps as `(outer key, inner key, value)`.
pub(crate) fn nested<A: Serialize, B: Serialize, V: Serialize, S: Serializer>(
    map: &BTreeMap<A, BTreeMap<B, V>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_seq(map.iter().flat_map(|(outer, inner)| inner.iter().map(move |(k, v)| (outer, k, v))))
}
