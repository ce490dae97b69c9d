//! The rows of keyspaces: what their keys look like. docs/format/keyspaces.md is the reference.
//!
//! A row's key is a kind that neither documents nor series have, the number of the keyspace as a varint, and the key as it
//! is. So the rows of a keyspace lie side by side in the order of their keys, and a key costs two bytes more than it has,
//! or three where there are more than 128 keyspaces.
#![forbid(unsafe_code)]

use std::ops::Bound;

use super::KeyBounds;
use crate::coding::{put_varint, take_varint};
use crate::engine::KEY_BYTES_MAX;
use crate::error::{Code, Error, Result};
use crate::numbering::Numbering;

/// The version of the rows that this build writes.
const ROWS_VERSION: u64 = 1;

/// The first byte of the rows that name keyspaces. Part of the format.
const CATALOG_KIND: u8 = 0x08;

/// The first byte of the rows in keyspaces. Part of the format.
const ROW_KIND: u8 = 0x09;

/// The numbers of keyspaces: what comes next fits a `u32`, too.
pub(super) const NUMBERS: Numbering = Numbering { kind: ROW_KIND, highest: u32::MAX as u64 - 1 };

/// The number of the keyspace without a name.
pub(super) const DEFAULT_ID: u32 = 0;

/// The kind, and the longest number of a keyspace.
const PREFIX_BYTES_MAX: usize = 1 + 5;

/// The longest key, in bytes: with what stands before it, and with a byte behind it that makes it the end of a range, it is
/// still one of the engine's.
pub const KEYSPACE_KEY_BYTES_MAX: usize = KEY_BYTES_MAX - PREFIX_BYTES_MAX - 2;

/// What the rows of one keyspace begin with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix {
    bytes: [u8; PREFIX_BYTES_MAX],
    len: usize,
}

impl Prefix {
    pub(super) fn new(id: u32) -> Self {
        let mut varint = Vec::with_capacity(PREFIX_BYTES_MAX);
        put_varint(&mut varint, u64::from(id));
        let mut bytes = [ROW_KIND; PREFIX_BYTES_MAX];
        bytes[1..=varint.len()].copy_from_slice(&varint);
        Self { bytes, len: 1 + varint.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The row of a key.
    pub(super) fn row(&self, key: &[u8]) -> Vec<u8> {
        let mut row = Vec::new();
        self.put_row(&mut row, key);
        row
    }

    /// Puts the row of a key in the place of what is in `row`.
    pub(super) fn put_row(&self, row: &mut Vec<u8>, key: &[u8]) {
        row.clear();
        row.extend_from_slice(self.as_slice());
        row.extend_from_slice(key);
    }

    /// The rows of a range of keys: from the first (inclusive) to the second (exclusive). A bound may be longer than any key
    /// can be: then the keys up to as much of it as one can have lie before it, and the others behind it.
    pub(super) fn rows(&self, (start, end): KeyBounds<'_>) -> (Vec<u8>, Vec<u8>) {
        let start = match start {
            Bound::Unbounded => self.row(&[]),
            Bound::Included(key) | Bound::Excluded(key) if is_too_long(key) => self.behind(longest_of(key)),
            Bound::Included(key) => self.row(key),
            Bound::Excluded(key) => self.behind(key),
        };
        let end = match end {
            Bound::Unbounded => self.end(),
            Bound::Included(key) | Bound::Excluded(key) if is_too_long(key) => self.behind(longest_of(key)),
            Bound::Excluded(key) => self.row(key),
            Bound::Included(key) => self.behind(key),
        };
        (start, end)
    }

    /// The first row that can follow that of a key.
    fn behind(&self, key: &[u8]) -> Vec<u8> {
        let mut row = self.row(key);
        row.push(0);
        row
    }

    /// Behind every row of the keyspace. The last byte of a varint is below 0x80, so that it can grow.
    fn end(&self) -> Vec<u8> {
        let mut end = self.as_slice().to_vec();
        end[self.len - 1] += 1;
        end
    }
}

fn is_too_long(key: &[u8]) -> bool {
    key.len() > KEYSPACE_KEY_BYTES_MAX
}

/// As much of a key as one can have.
fn longest_of(key: &[u8]) -> &[u8] {
    &key[..KEYSPACE_KEY_BYTES_MAX]
}

/// The row that says in which version the rows are and which number comes next.
pub(super) const META_KEY: &[u8] = &[CATALOG_KIND];

/// The row that gives a name its number. Names are not empty, so that it isn't [`META_KEY`].
pub(super) fn catalog_key(name: &str) -> Vec<u8> {
    [META_KEY, name.as_bytes()].concat()
}

/// The name that stands in the key of a row.
pub(super) fn decode_catalog_key(row: &[u8]) -> Option<&str> {
    std::str::from_utf8(row.strip_prefix(META_KEY)?).ok()
}

pub(super) fn encode_meta(next_id: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, ROWS_VERSION);
    put_varint(&mut value, next_id);
    value
}

/// The next number.
pub(super) fn decode_meta(mut value: &[u8]) -> Result<u32> {
    match take_varint(&mut value) {
        Some(ROWS_VERSION) => {}
        Some(version) if version > ROWS_VERSION => {
            let message = format!(
                "the keyspaces are in format {version}, this build reads up to {ROWS_VERSION}: use a newer one"
            );
            return Err(Error::new(Code::Version, message));
        }
        _ => return Err(damaged("its format version is not one")),
    }
    decode_number(value)
}

pub(super) fn encode_id(id: u32) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, u64::from(id));
    value
}

/// The number of a keyspace with a name.
pub(super) fn decode_id(value: &[u8]) -> Result<u32> {
    match decode_number(value)? {
        id if u64::from(id) <= NUMBERS.highest => Ok(id),
        _ => Err(damaged("its number is none of a keyspace")),
    }
}

/// The number that stands in a value, and nothing else.
fn decode_number(mut value: &[u8]) -> Result<u32> {
    match take_varint(&mut value).map(u32::try_from) {
        Some(Ok(number)) if value.is_empty() && number > DEFAULT_ID => Ok(number),
        _ => Err(damaged("it does not hold a number")),
    }
}

pub(super) fn damaged(what: &str) -> Error {
    Error::new(Code::Corruption, format!("a row that names a keyspace is damaged: {what}"))
}
