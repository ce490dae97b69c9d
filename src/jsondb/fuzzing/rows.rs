//! Any bytes as rows of documents, indexes and the catalog.

use crate::coding::Choices;
use crate::error::undamaged;
use crate::jsondb::Key;
use crate::jsondb::rows::{
    Gap, StoreState, StoredDocument, decode_catalog_key, decode_document_key, decode_expiry_key,
    decode_gap_row, decode_index_row, decode_meta, decode_schema_version, document_key, document_prefix,
    encode_meta, encode_schema_version, expiries_prefix, expiry_key, gap_key, index_prefix, split_row_key,
};
use crate::jsondb::schema::StoreDef;

const STORE: u64 = 3;
const INDEX: u64 = 300;

/// Reads the key and the value of a row as each kind of row. Whether they were of one.
///
/// What was decoded comes back when it is encoded again.
pub(crate) fn read_rows(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let kind = choices.byte() % 9;
    let (rest, value) = (choices.piece(256), choices.rest());
    let read = match kind {
        0 => read_document(rest, value),
        1 => read_index_row(rest, value, false),
        2 => read_index_row(rest, value, true),
        3 => read_gap(rest, value),
        4 => read_expiry(rest),
        5 => undamaged(StoreState::decode(value, rest)).map(|state| {
            assert_eq!(StoreState::decode(&state.encode(), rest).ok(), Some(state));
        }),
        6 => read_store(value),
        7 => undamaged(decode_meta(value)).map(|(version, next_id)| {
            assert_eq!(decode_meta(&encode_meta(version, next_id)).ok(), Some((version, next_id)));
        }),
        _ => undamaged(decode_schema_version(value)).map(|version| {
            assert_eq!(decode_schema_version(&encode_schema_version(version)).ok(), Some(version));
        }),
    };
    let _ = split_row_key(rest).zip(undamaged(decode_catalog_key(rest)));
    read.is_some()
}

fn read_document(rest: &[u8], value: &[u8]) -> Option<()> {
    let prefix = document_prefix(STORE);
    let row = [&prefix, rest].concat();
    let stored = undamaged(StoredDocument::decode(value, &row));
    assert_eq!(undamaged(StoredDocument::decode_in_place(value.to_vec(), &row)), stored);
    let stored = stored?;
    assert_eq!(StoredDocument::decode(&stored.encode(), &row).ok().as_ref(), Some(&stored));
    let header = StoredDocument::decode_header(value, &row).expect("the whole row was");
    assert_eq!((header.version, header.expires_at), (stored.version, stored.expires_at));
    let key = undamaged(decode_document_key(&row, &prefix))?;
    assert_eq!(document_key(STORE, &key), row);
    Some(())
}

fn read_index_row(rest: &[u8], value: &[u8], unique: bool) -> Option<()> {
    let prefix = index_prefix(STORE, INDEX);
    let row = [&prefix, rest].concat();
    let (index_key, key) = undamaged(decode_index_row(&row, value, &prefix, unique))?;
    let both = [index_key.as_bytes(), key.as_bytes()].concat();
    assert_eq!(both, [rest, value].concat());
    Some(())
}

fn read_gap(rest: &[u8], value: &[u8]) -> Option<()> {
    let key = Key::from_encoded(rest).ok()?;
    for gap in [Gap::NoKey, Gap::KeyTooLong] {
        let row = gap_key(STORE, INDEX, gap, &key);
        let read = decode_gap_row(&row, value, STORE, INDEX);
        assert_eq!(read.as_ref(), value.is_empty().then_some(&key));
        assert_eq!(decode_gap_row(&row, value, STORE, INDEX + 1), None);
    }
    Some(())
}

fn read_expiry(rest: &[u8]) -> Option<()> {
    let prefix = expiries_prefix(STORE);
    let row = [&prefix, rest].concat();
    let (expires_at, key) = undamaged(decode_expiry_key(&row, &prefix))?;
    assert_eq!(expiry_key(STORE, expires_at, &key), row);
    Some(())
}

fn read_store(value: &[u8]) -> Option<()> {
    let store = undamaged(StoreDef::decode(STORE, value, 1))?;
    let again = StoreDef::decode(STORE, &store.encode(), 1).expect("it has just been encoded");
    assert_eq!(again.to_schema(), store.to_schema());
    Some(())
}
