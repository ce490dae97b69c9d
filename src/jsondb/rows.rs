//! The rows that a document database keeps in the engine: what their keys and values look like.
//!
//! Every key begins with a byte of kind and then ids as varints. Varints and encoded keys are prefix-free, and no
//! encoded key begins with 0xff, so "all keys below this prefix" is the range from the prefix to the prefix
//! followed by 0xff, and the rows of one index key lie side by side. `docs/format/documents.md` is the reference.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::sync::Arc;

use super::key::{Key, KeyRange, skip};
use super::{Document, Format};
use crate::coding::{VARINT_BYTES_MAX, put_varint, take_u8, take_varint};
use crate::error::{Code, Error, Result};

/// The version of the rows of a database in which nothing has ever expired, in the row at [`META_KEY`].
pub(crate) const ROWS_VERSION_FIRST: u64 = 1;

/// The version from which on there are rows of [`Kind::Expiry`], and the newest. Who does not know of them would count
/// wrongly.
pub(crate) const ROWS_VERSION_EXPIRY: u64 = 2;

/// The key of the one row that says which version the rows are in and which id comes next.
pub(crate) const META_KEY: &[u8] = &[Kind::Meta as u8];

/// The key of the row that says which version its users have given to the schema. There is none before they do.
pub(crate) const SCHEMA_VERSION_KEY: &[u8] = &[Kind::Meta as u8, 1];

/// Sorts behind every key that can follow a prefix. Ids may begin with it.
const BEHIND: u8 = 0xff;

/// The first byte of a row's key. Part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The format version and the next id.
    Meta = 0x00,
    /// A store's definition.
    Catalog = 0x01,
    /// A store's document count and key generator.
    State = 0x02,
    /// A document.
    Document = 0x03,
    /// An entry of an index.
    Index = 0x04,
    // 0x05 and 0x06 are those of series.
    /// Says that a document expires, and when.
    Expiry = 0x07,
}

/// The key of a row that a transaction reads and writes: what it has written, what it has read and what was committed
/// lately list the same bytes.
pub(crate) type RowKey = Arc<[u8]>;

/// A half-open range of row keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowRange {
    pub(crate) start: Vec<u8>,
    /// Exclusive.
    pub(crate) end: Vec<u8>,
}

impl RowRange {
    /// The part of it before `end`, which lies in it.
    pub(crate) fn up_to(&self, end: Vec<u8>) -> Self {
        Self { start: self.start.clone(), end }
    }

    /// The part of it from `start` on, which lies in it.
    pub(crate) fn down_to(&self, start: Vec<u8>) -> Self {
        Self { start, end: self.end.clone() }
    }

    /// Every row whose key begins with `prefix`.
    pub(crate) fn prefix(prefix: Vec<u8>) -> Self {
        let end = behind(&prefix, &[]);
        Self { start: prefix, end }
    }

    /// The rows below `prefix` whose next key lies in `range`.
    pub(crate) fn keys(prefix: &[u8], range: &KeyRange) -> Self {
        let start = match &range.lower {
            Bound::Unbounded => prefix.to_vec(),
            Bound::Included(key) => joined(prefix, key.as_bytes()),
            Bound::Excluded(key) => behind(prefix, key.as_bytes()),
        };
        let end = match &range.upper {
            Bound::Unbounded => behind(prefix, &[]),
            Bound::Included(key) => behind(prefix, key.as_bytes()),
            Bound::Excluded(key) => joined(prefix, key.as_bytes()),
        };
        Self { start, end }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }
}

fn joined(prefix: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + rest.len() + 1);
    key.extend_from_slice(prefix);
    key.extend_from_slice(rest);
    key
}

fn behind(prefix: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut key = joined(prefix, rest);
    key.push(BEHIND);
    key
}

/// Room for a kind and two ids that are not very large.
const IDS_BYTES: usize = 16;

fn with_ids(kind: Kind, ids: &[u64]) -> Vec<u8> {
    with_ids_and_room(kind, ids, 0)
}

/// As [`with_ids`], with room for `more` bytes behind them.
fn with_ids_and_room(kind: Kind, ids: &[u64], more: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(IDS_BYTES + more);
    key.push(kind as u8);
    for &id in ids {
        put_varint(&mut key, id);
    }
    key
}

/// The key of a store's definition.
pub(crate) fn catalog_key(store: u64) -> Vec<u8> {
    with_ids(Kind::Catalog, &[store])
}

/// The range of every store's definition.
pub(crate) fn catalog_range() -> RowRange {
    RowRange { start: vec![Kind::Catalog as u8], end: vec![Kind::State as u8] }
}

/// The key of a store's count and generator.
pub(crate) fn state_key(store: u64) -> Vec<u8> {
    with_ids(Kind::State, &[store])
}

/// What the keys of a store's documents begin with.
pub(crate) fn document_prefix(store: u64) -> Vec<u8> {
    with_ids(Kind::Document, &[store])
}

/// The key of a document.
pub(crate) fn document_key(store: u64, key: &Key) -> Vec<u8> {
    let mut row = with_ids_and_room(Kind::Document, &[store], key.as_bytes().len());
    row.extend_from_slice(key.as_bytes());
    row
}

/// The rows of all of a store's indexes.
pub(crate) fn indexes_range(store: u64) -> RowRange {
    of_store(Kind::Index, store)
}

/// The rows of a kind in which another id or a number, and so any byte, comes behind the store's id. The range ends where
/// the last byte of that id is one up, which a varint's last byte can always be.
fn of_store(kind: Kind, store: u64) -> RowRange {
    let start = with_ids(kind, &[store]);
    let mut end = start.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    RowRange { start, end }
}

/// What the keys of an index's rows begin with.
pub(crate) fn index_prefix(store: u64, index: u64) -> Vec<u8> {
    with_ids(Kind::Index, &[store, index])
}

/// As [`index_prefix`], with room for `more` bytes behind it.
pub(crate) fn index_prefix_with_room(store: u64, index: u64, more: usize) -> Vec<u8> {
    with_ids_and_room(Kind::Index, &[store, index], more)
}

/// What the keys of the rows that tell of a store's expiries begin with.
pub(crate) fn expiries_prefix(store: u64) -> Vec<u8> {
    with_ids(Kind::Expiry, &[store])
}

/// All rows that tell of a store's expiries.
pub(crate) fn expiries_range(store: u64) -> RowRange {
    of_store(Kind::Expiry, store)
}

/// The key of the row that says that a document expires at `expires_at`.
pub(crate) fn expiry_key(store: u64, expires_at: u64, key: &Key) -> Vec<u8> {
    let mut row = expiries_prefix(store);
    row.extend_from_slice(&expires_at.to_be_bytes());
    row.extend_from_slice(key.as_bytes());
    row
}

/// The rows that tell of what has expired at `now_ms`.
pub(crate) fn expired_range(store: u64, now_ms: u64) -> RowRange {
    let start = expiries_prefix(store);
    let end = joined(&start, &now_ms.saturating_add(1).to_be_bytes());
    RowRange { start, end }
}

/// When which document expires, as the row at `row` says, whose key begins with `prefix`.
pub(crate) fn decode_expiry_key(row: &[u8], prefix: &[u8]) -> Result<(u64, Key)> {
    let rest = row.strip_prefix(prefix).and_then(|rest| rest.split_first_chunk::<8>());
    let (expires_at, key) =
        rest.ok_or_else(|| damaged("the key of an expiry row", row, "it does not hold a time"))?;
    Ok((u64::from_be_bytes(*expires_at), decode_key(key.to_vec(), row)?))
}

/// Why a document has no entry in an index. Part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Gap {
    /// Not every path of the index leads to a key.
    NoKey = 0x00,
    /// Each part of the compound key is one, and together they are too long or nested too deep.
    KeyTooLong = 0x01,
}

/// What the rows that list a gap begin with: they stand behind all entries of their index.
fn gap_prefix(store: u64, index: u64, gap: Gap) -> Vec<u8> {
    let mut prefix = behind(&index_prefix(store, index), &[]);
    prefix.push(gap as u8);
    prefix
}

/// The row that lists the document under `primary` as one that the index has no entry for.
pub(crate) fn gap_key(store: u64, index: u64, gap: Gap, primary: &Key) -> Vec<u8> {
    joined(&gap_prefix(store, index, gap), primary.as_bytes())
}

/// The rows of one kind of gap of an index.
pub(crate) fn gap_range(store: u64, index: u64, gap: Gap) -> RowRange {
    RowRange::prefix(gap_prefix(store, index, gap))
}

/// All rows of an index, those of its gaps included.
pub(crate) fn index_range(store: u64, index: u64) -> RowRange {
    let start = index_prefix(store, index);
    let end = behind(&behind(&start, &[]), &[]);
    RowRange { start, end }
}

/// The primary key that a row in the gaps of an index lists; `None` for a row that is none of those.
pub(crate) fn decode_gap_row(row: &[u8], value: &[u8], store: u64, index: u64) -> Option<Key> {
    let rest = row.strip_prefix(&*behind(&index_prefix(store, index), &[]))?;
    let (gap, primary) = rest.split_first()?;
    let is_known = [Gap::NoKey, Gap::KeyTooLong].iter().any(|known| *known as u8 == *gap);
    if is_known && value.is_empty() { Key::from_encoded(primary).ok() } else { None }
}

/// Which kind of row and which store a row key belongs to, and what stands behind them.
pub(crate) fn split_row_key(mut key: &[u8]) -> Option<(u8, u64, &[u8])> {
    let kind = take_u8(&mut key)?;
    let store = take_varint(&mut key)?;
    Some((kind, store, key))
}

/// The store whose definition stands at `row`.
pub(crate) fn decode_catalog_key(row: &[u8]) -> Result<u64> {
    match split_row_key(row) {
        Some((kind, store, [])) if kind == Kind::Catalog as u8 => Ok(store),
        _ => Err(damaged("the key of a catalog row", row, "it is not a kind and a store id")),
    }
}

/// The primary key of the document at `row`, whose key begins with `prefix`.
pub(crate) fn decode_document_key(row: &[u8], prefix: &[u8]) -> Result<Key> {
    document_key_in(row, prefix).map(Key::of_checked)
}

/// As [`decode_document_key`], where it lies: checked, and not copied.
pub(crate) fn document_key_in<'a>(row: &'a [u8], prefix: &[u8]) -> Result<&'a [u8]> {
    let encoded = row
        .strip_prefix(prefix)
        .ok_or_else(|| damaged("the key of a document row", row, "it belongs to another store"))?;
    checked_key(encoded, row)
}

/// The index key and the primary key of an index row.
pub(crate) fn decode_index_row(row: &[u8], value: &[u8], prefix: &[u8], unique: bool) -> Result<(Key, Key)> {
    let (index_key, key) = index_row_keys(row, value, prefix, unique)?;
    Ok((Key::of_checked(index_key), Key::of_checked(key)))
}

/// As [`decode_index_row`], where they lie: checked, and not copied.
pub(crate) fn index_row_keys<'a>(
    row: &'a [u8],
    value: &'a [u8],
    prefix: &[u8],
    unique: bool,
) -> Result<(&'a [u8], &'a [u8])> {
    let mut rest = row
        .strip_prefix(prefix)
        .ok_or_else(|| damaged("the key of an index row", row, "it belongs to another index"))?;
    if unique {
        return Ok((checked_key(rest, row)?, checked_key(value, row)?));
    }
    if !value.is_empty() {
        return Err(damaged("an index row", row, "a row of an index that is not unique has a value"));
    }
    let index_key = skip(&mut rest)
        .ok_or_else(|| damaged("the key of an index row", row, "no encoded index key stands in it"))?;
    Ok((index_key, checked_key(rest, row)?))
}

/// An encoded key that stands in a row of ours, and nothing behind it.
fn checked_key<'a>(encoded: &'a [u8], row: &[u8]) -> Result<&'a [u8]> {
    let mut rest = encoded;
    match skip(&mut rest) {
        Some(_) if rest.is_empty() => Ok(encoded),
        // Whatever is wrong with it is told in the same words.
        _ => decode_key(encoded.to_vec(), row).map(|_| encoded),
    }
}

/// A key that stands in a row of ours.
pub(crate) fn decode_key(encoded: Vec<u8>, row: &[u8]) -> Result<Key> {
    Key::from_encoded(encoded).map_err(|error| error.wrap(Code::Corruption, describe("a key in a row", row)))
}

/// The row that says in which version the rows are written and which id comes next.
pub(crate) fn encode_meta(version: u64, next_id: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, version);
    put_varint(&mut value, next_id);
    value
}

/// The version and the next id.
pub(crate) fn decode_meta(mut value: &[u8]) -> Result<(u64, u64)> {
    let version = match take_varint(&mut value) {
        Some(version @ ROWS_VERSION_FIRST..=ROWS_VERSION_EXPIRY) => version,
        Some(version) if version > ROWS_VERSION_EXPIRY => {
            let message = format!(
                "the documents are in format {version}, this build reads up to {ROWS_VERSION_EXPIRY}: use a newer \
                 one"
            );
            return Err(Error::new(Code::Version, message));
        }
        _ => return Err(damaged("the meta row", META_KEY, "its format version is not one")),
    };
    match take_varint(&mut value) {
        Some(next_id) if value.is_empty() && next_id > 0 => Ok((version, next_id)),
        _ => Err(damaged("the meta row", META_KEY, "it does not hold a next id")),
    }
}

/// The row at [`SCHEMA_VERSION_KEY`].
pub(crate) fn encode_schema_version(version: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, version);
    value
}

/// The version that its users have given to the schema.
pub(crate) fn decode_schema_version(mut value: &[u8]) -> Result<u64> {
    match take_varint(&mut value) {
        Some(version) if value.is_empty() && version > 0 => Ok(version),
        _ => Err(damaged("the row of the schema's version", SCHEMA_VERSION_KEY, "it does not hold one")),
    }
}

/// What a store's state row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StoreState {
    /// How many documents the store holds.
    pub(crate) count: u64,
    /// The next key that the store's generator gives.
    pub(crate) generator: u64,
}

impl StoreState {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut value = Vec::with_capacity(2 * VARINT_BYTES_MAX);
        put_varint(&mut value, self.count);
        put_varint(&mut value, self.generator);
        value
    }

    pub(crate) fn decode(mut value: &[u8], row: &[u8]) -> Result<Self> {
        let state = take_varint(&mut value).zip(take_varint(&mut value));
        match state {
            Some((count, generator)) if value.is_empty() => Ok(Self { count, generator }),
            _ => Err(damaged("a store's state row", row, "it does not hold a count and a generator")),
        }
    }
}

/// What stands before the bytes of a document is no longer than this: the format and three varints.
const HEADER_BYTES_MAX: usize = 31;

/// A document as its row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredDocument {
    pub(crate) document: Document,
    /// 1 for the first document under the key, and one more for each that replaced it.
    pub(crate) version: u64,
    /// When it was written, in milliseconds since 1970.
    pub(crate) updated_at: u64,
    /// When it expires, in milliseconds since 1970; 0 is never.
    pub(crate) expires_at: u64,
}

impl StoredDocument {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Document { format, bytes } = &self.document;
        Self::encoded(*format, self.version, self.updated_at, self.expires_at, bytes)
    }

    /// What [`StoredDocument::encode`] gives, of a document that lies elsewhere.
    pub(crate) fn encoded(
        format: Format,
        version: u64,
        updated_at: u64,
        expires_at: u64,
        bytes: &[u8],
    ) -> Vec<u8> {
        let mut value = Vec::with_capacity(bytes.len() + 16);
        value.push(format as u8);
        put_varint(&mut value, version);
        put_varint(&mut value, updated_at);
        put_varint(&mut value, expires_at);
        value.extend_from_slice(bytes);
        value
    }

    /// As [`StoredDocument::decode`], in the memory of `value`.
    pub(crate) fn decode_in_place(mut value: Vec<u8>, row: &[u8]) -> Result<Self> {
        let mut rest = &value[..];
        let (format, version, updated_at, expires_at) = Self::header(&mut rest, row)?;
        let header_len = value.len() - rest.len();
        value.drain(..header_len);
        Ok(Self { document: Document { format, bytes: value }, version, updated_at, expires_at })
    }

    pub(crate) fn decode(value: &[u8], row: &[u8]) -> Result<Self> {
        let mut rest = value;
        let (format, version, updated_at, expires_at) = Self::header(&mut rest, row)?;
        Ok(Self { document: Document { format, bytes: rest.to_vec() }, version, updated_at, expires_at })
    }

    /// Takes the header off the front: the format, the version, when it was written and when it expires.
    pub(crate) fn header(value: &mut &[u8], row: &[u8]) -> Result<(Format, u64, u64, u64)> {
        take_header(value)
            .ok_or_else(|| damaged("a document row", row, "its header is cut or names no known format"))
    }

    /// As [`StoredDocument::decode`], without the bytes of the document.
    pub(crate) fn decode_header(value: &[u8], row: &[u8]) -> Result<Self> {
        Self::decode(&value[..value.len().min(HEADER_BYTES_MAX)], row)
            .map(|stored| Self { document: Document { bytes: Vec::new(), ..stored.document }, ..stored })
    }
}

fn take_header(value: &mut &[u8]) -> Option<(Format, u64, u64, u64)> {
    let format = Format::from_u8(take_u8(value)?)?;
    let version = take_varint(value)?;
    let updated_at = take_varint(value)?;
    let expires_at = take_varint(value)?;
    (version > 0).then_some((format, version, updated_at, expires_at))
}

/// A `Corruption` that names the row.
pub(crate) fn damaged(what: &str, row: &[u8], how: &str) -> Error {
    Error::new(Code::Corruption, format!("{}: {how}", describe(what, row)))
}

fn describe(what: &str, row: &[u8]) -> String {
    use std::fmt::Write;
    // A key may be kilobytes long; its beginning tells which row it is.
    const SHOWN: usize = 48;
    let mut text = format!("{what} (row ");
    for byte in row.iter().take(SHOWN) {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str(if row.len() > SHOWN { "…)" } else { ")" });
    text
}
