//! The durable state as a fold of records, and as a snapshot gives it back.

use windlass_engine::core::Durable;
use windlass_shared::record::Record;

/// A fold of these records.
pub(super) fn fold(records: &[Record]) -> Durable {
    let mut durable = Durable::default();
    for record in records {
        durable.apply(record);
    }
    durable
}

/// A state as a snapshot gives it back.
pub(super) fn through_bytes(durable: &Durable) -> Durable {
    let mut bytes = Vec::new();
    durable.write_to(&mut bytes).expect("a state is representable");
    Durable::read_from(bytes.as_slice()).expect("a state reads back")
}

pub(super) fn text(durable: &Durable) -> String {
    serde_json::to_string(durable).expect("durable state serialises")
}

/// The bytes of a fold of these records.
pub fn replay(records: &[Record]) -> Vec<u8> {
    text(&fold(records)).into_bytes()
}

/// A snapshot of any moment and the records after it are the whole ledger, byte for byte.
pub(super) fn snapshots_agree(records: &[Record]) {
    let whole = text(&fold(records));
    let length = records.len();
    for cut in [1, length / 3, length / 2, length.saturating_sub(1), length] {
        let (before, after) = records.split_at(cut.min(length));
        let mut durable = through_bytes(&fold(before));
        for record in after {
            durable.apply(record);
        }
        assert!(text(&durable) == whole, "a snapshot after {cut} of {length} records and its tail differ");
    }
}
