//! Rows that are kept by the hundred thousand: a map as one sorted vector, and their form in a snapshot,
//! fields one after another without a name. In JSON, for tests and people, they are sequences.

use serde::de::{self, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{FencingNumber, Incarnation, IterationNumber, LeverNumber};

/// A value that stands in a packed row. What [`Field::put`] writes, [`Field::take`] reads.
pub trait Field: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes it from the front; `None` when the bytes are none.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

/// A map in a sorted vector. Keys mostly come in order, so that putting one in is a push; a row costs its
/// own size and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<K, V> {
    rows: Vec<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

impl<K: Ord, V> Table<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let index = self.rows.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(&self.rows[index].1)
    }

    /// Whether there is a row of this key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let index = self.rows.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(&mut self.rows[index].1)
    }

    /// Puts a value in; the one that it takes the place of, if there was one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.rows.last().is_none_or(|(last, _)| *last < key) {
            self.rows.push((key, value));
            return None;
        }
        match self.rows.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(index) => Some(std::mem::replace(&mut self.rows[index].1, value)),
            Err(index) => {
                self.rows.insert(index, (key, value));
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let index = self.rows.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(self.rows.remove(index).1)
    }

    /// The row with the greatest key.
    pub fn last(&self) -> Option<&(K, V)> {
        self.rows.last()
    }

    /// All rows, by key.
    pub fn rows(&self) -> &[(K, V)] {
        &self.rows
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<K: Field + Serialize, V: Field + Serialize> Serialize for Table<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.rows.iter().map(|(key, value)| (key, value)), serializer)
    }
}

impl<'de, K: Field, V: Field> de::Deserialize<'de> for Table<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { rows: read(deserializer)? })
    }
}

/// Writes a map: entries for people, one run of bytes for a snapshot.
pub(crate) fn map<K, V, S>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Field + Serialize,
    V: Field + Serialize,
    S: Serializer,
{
    write(map.iter(), serializer)
}

/// Reads what [`map`] wrote into a snapshot. Built from rows in order, the map has no half-empty nodes.
pub(crate) fn read_map<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: Field + Ord,
    V: Field,
    D: Deserializer<'de>,
{
    Ok(read::<K, V, D>(deserializer)?.into_iter().collect())
}

fn write<'a, K, V, S>(rows: impl Iterator<Item = (&'a K, &'a V)>, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Field + Serialize + 'a,
    V: Field + Serialize + 'a,
    S: Serializer,
{
    if serializer.is_human_readable() {
        return serializer.collect_seq(rows);
    }
    let mut bytes = Vec::new();
    for (key, value) in rows {
        key.put(&mut bytes);
        value.put(&mut bytes);
    }
    serializer.serialize_bytes(&bytes)
}

fn read<'de, K: Field, V: Field, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(K, V)>, D::Error> {
    struct Rows<K, V>(PhantomData<(K, V)>);
    impl<K: Field, V: Field> Visitor<'_> for Rows<K, V> {
        type Value = Vec<(K, V)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("packed rows")
        }
        fn visit_bytes<E: de::Error>(self, mut bytes: &[u8]) -> Result<Self::Value, E> {
            let mut rows = Vec::new();
            while !bytes.is_empty() {
                let (Some(key), Some(value)) = (K::take(&mut bytes), V::take(&mut bytes)) else {
                    return Err(E::custom("a packed row is cut short"));
                };
                rows.push((key, value));
            }
            rows.shrink_to_fit();
            Ok(rows)
        }
    }
    deserializer.deserialize_bytes(Rows(PhantomData))
}

/// The next `N` bytes.
fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                chunk(bytes).map(Self::from_le_bytes)
            }
        }
    )*};
}
number!(u8, u32, u64, i64);

impl Field for [u8; 16] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        chunk(bytes)
    }
}

impl Field for Hash {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        chunk(bytes).map(Self)
    }
}

impl Field for Digest {
    fn put(&self, out: &mut Vec<u8>) {
        self.hash.put(out);
        self.size_bytes.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { hash: Hash::take(bytes)?, size_bytes: u64::take(bytes)? })
    }
}

impl Field for IterationNumber {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u32::take(bytes).map(Self)
    }
}

impl Field for LeverNumber {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u32::take(bytes).map(Self)
    }
}

impl Field for FencingNumber {
    fn put(&self, out: &mut Vec<u8>) {
        self.incarnation.0.put(out);
        self.n.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { incarnation: Incarnation(u64::take(bytes)?), n: u64::take(bytes)? })
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::take(bytes)?, B::take(bytes)?))
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(self.is_some()).put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(None),
            1 => T::take(bytes).map(Some),
            _ => None,
        }
    }
}

/// Bytes of any length.
impl Field for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::take(bytes)?).ok()?;
        let (head, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(head.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Field + PartialEq + fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(T::take(&mut rest), Some(value));
        assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            assert_eq!(T::take(&mut &bytes[..cut]), None, "cut to {cut} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_field_reads_back_and_a_cut_one_is_none() {
        check(u64::MAX);
        check(-7_i64);
        check(Digest::of(b"a tree"));
        check((IterationNumber(3), LeverNumber(9)));
        check(Some(FencingNumber { incarnation: Incarnation(5), n: 6 }));
        check(None::<u32>);
        check::<Vec<u8>>(b"of any length".to_vec());
        assert!(<Option<u8> as Field>::take(&mut [2, 0].as_slice()).is_none(), "neither there nor absent");
    }

    #[test]
    fn a_table_is_a_map_in_whatever_order_its_rows_come() {
        let mut table = Table::default();
        let mut map = BTreeMap::new();
        for key in [5_u32, 6, 9, 2, 7, 6, 1, 9] {
            let value = key * 10 + table.len() as u32;
            assert_eq!(table.insert(key, value), map.insert(key, value));
        }
        assert_eq!((table.remove(&7), table.remove(&7)), (map.remove(&7), None));
        assert!(table.rows().iter().map(|(key, value)| (key, value)).eq(&map));
        for key in 0..10 {
            assert_eq!(table.get(&key), map.get(&key));
            assert_eq!(table.get_mut(&key), map.get_mut(&key));
        }
        assert_eq!(table.last().map(|(key, _)| *key), Some(9));
    }
}
