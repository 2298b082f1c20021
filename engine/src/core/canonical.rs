//! Maps whose keys are no strings, as sequences: JSON has no other form for them. Order is the map's, so
//! equal maps give equal bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// A map of maps as `(outer key, inner key, value)`.
pub(crate) fn nested<A: Serialize, B: Serialize, V: Serialize, S: Serializer>(
    map: &BTreeMap<A, BTreeMap<B, V>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_seq(map.iter().flat_map(|(outer, inner)| inner.iter().map(move |(k, v)| (outer, k, v))))
}

/// Reads what [`nested`] wrote.
pub(crate) fn read_nested<'de, A, B, V, D>(deserializer: D) -> Result<BTreeMap<A, BTreeMap<B, V>>, D::Error>
where
    A: Deserialize<'de> + Ord,
    B: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let mut map: BTreeMap<A, BTreeMap<B, V>> = BTreeMap::new();
    for (outer, inner, value) in Vec::<(A, B, V)>::deserialize(deserializer)? {
        map.entry(outer).or_default().insert(inner, value);
    }
    Ok(map)
}
