//! What stands in a key's header: which structure it holds, how large that is, and, of a short string, all of it.
#![forbid(unsafe_code)]

use super::Type;
use super::rows::{ID_BYTES, IDS_MAX, damaged};
use crate::coding::{put_varint, take_bytes, take_u8, take_varint};
use crate::error::Result;

/// Strings up to this length stand in the header. Longer ones have a row of their own, so that who asks for the type, the
/// time to live or the length of a key, or sets its expiry, moves little.
pub(super) const SHORT_BYTES_MAX: usize = 1024;

/// The levels above the members of a sorted set, which count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tree {
    /// How many there are; 0 for a set that is small enough to be walked over.
    pub(super) depth: u8,
    /// How many rows the uppermost has.
    pub(super) top: u64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Type,
    /// The structure's number; 0 of a short string, which has none.
    pub(super) id: u64,
    /// Of a string its bytes, of the others fields, members or elements.
    pub(super) count: u64,
    /// Where a list begins.
    pub(super) first: u64,
    pub(super) tree: Tree,
    /// A short string.
    pub(super) text: Vec<u8>,
    /// In milliseconds since 1970; 0 is never. It stands in the engine's entry.
    pub(super) expires_at: u64,
}

/// Where the first element of a list comes: as far from one end of the numbers as from the other.
const LIST_MIDDLE: u64 = 1 << 63;

const SHORT_STRING: u8 = 1;
const LONG_STRING: u8 = 2;
const HASH: u8 = 3;
const SET: u8 = 4;
const SORTED_SET: u8 = 5;
const LIST: u8 = 6;

impl Header {
    /// That of a structure without anything in it.
    pub(super) fn empty(kind: Type, id: u64) -> Self {
        let (tree, text) = (Tree::default(), Vec::new());
        Self { kind, id, count: 0, first: LIST_MIDDLE, tree, text, expires_at: 0 }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(24 + self.text.len());
        value.push(self.tag());
        match self.kind {
            Type::String if self.id == 0 => value.extend_from_slice(&self.text),
            Type::String | Type::Hash | Type::Set => self.put_id_and_count(&mut value),
            Type::SortedSet => {
                self.put_id_and_count(&mut value);
                value.push(self.tree.depth);
                put_varint(&mut value, self.tree.top);
            }
            Type::List => {
                self.put_id_and_count(&mut value);
                value.extend_from_slice(&self.first.to_be_bytes());
            }
        }
        value
    }

    fn tag(&self) -> u8 {
        match self.kind {
            Type::String if self.id == 0 => SHORT_STRING,
            Type::String => LONG_STRING,
            Type::Hash => HASH,
            Type::Set => SET,
            Type::SortedSet => SORTED_SET,
            Type::List => LIST,
        }
    }

    fn put_id_and_count(&self, value: &mut Vec<u8>) {
        put_id(value, self.id);
        put_varint(value, self.count);
    }

    /// The header at `row`.
    pub(super) fn decode(value: &[u8], expires_at: u64, row: &[u8]) -> Result<Self> {
        Self::read(value)
            .map(|header| Self { expires_at, ..header })
            .ok_or_else(|| damaged(row, "it is no header of a kind that is known"))
    }

    fn read(mut value: &[u8]) -> Option<Self> {
        let tag = take_u8(&mut value)?;
        if tag == SHORT_STRING {
            let text = value.to_vec();
            let is_short = text.len() <= SHORT_BYTES_MAX;
            let count = text.len() as u64;
            return is_short.then(|| Self { count, text, ..Self::empty(Type::String, 0) });
        }
        let mut header = Self::empty(type_of(tag)?, take_id(&mut value)?);
        header.count = take_varint(&mut value)?;
        match header.kind {
            Type::SortedSet => {
                header.tree.depth = take_u8(&mut value)?;
                header.tree.top = take_varint(&mut value)?;
            }
            Type::List => {
                let first = take_bytes(&mut value, 8)?.try_into().ok()?;
                header.first = u64::from_be_bytes(first);
                header.first.checked_add(header.count)?;
            }
            Type::String | Type::Hash | Type::Set => {}
        }
        (value.is_empty() && header.count > 0).then_some(header)
    }

    /// What an expiry row holds: the type and the number, by which what is left of the structure is found.
    pub(super) fn encode_expiry(&self) -> Vec<u8> {
        let mut value = vec![self.tag()];
        put_id(&mut value, self.id);
        value
    }
}

/// The number that stands in a header or in an expiry row; `None` where there is none.
pub(super) fn id_in(value: &[u8]) -> Option<u64> {
    let (tag, mut id) = value.split_first()?;
    type_of(*tag)?;
    take_id(&mut id)
}

/// The type and the number that stand in the expiry row at `row`; `None` where nothing but the header is left.
pub(super) fn decode_expiry(value: &[u8], row: &[u8]) -> Result<Option<(Type, u64)>> {
    match value {
        [SHORT_STRING, id @ ..] if id.len() == ID_BYTES => Ok(None),
        [tag, id @ ..] if id.len() == ID_BYTES => {
            let found = type_of(*tag).zip(take_id(&mut &id[..]));
            found.map(Some).ok_or_else(|| damaged(row, "it names no structure"))
        }
        _ => Err(damaged(row, "it holds no type and number")),
    }
}

fn type_of(tag: u8) -> Option<Type> {
    match tag {
        LONG_STRING => Some(Type::String),
        HASH => Some(Type::Hash),
        SET => Some(Type::Set),
        SORTED_SET => Some(Type::SortedSet),
        LIST => Some(Type::List),
        _ => None,
    }
}

fn put_id(value: &mut Vec<u8>, id: u64) {
    value.extend_from_slice(&id.to_be_bytes()[8 - ID_BYTES..]);
}

fn take_id(value: &mut &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes[8 - ID_BYTES..].copy_from_slice(take_bytes(value, ID_BYTES)?);
    let id = u64::from_be_bytes(bytes);
    (id > 0 && id < IDS_MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn headers() -> Vec<Header> {
        let of = |kind| Header { count: 300, expires_at: 9, ..Header::empty(kind, 0x01_0203) };
        let text = b"\0text".to_vec();
        vec![
            Header { text, count: 5, expires_at: 9, ..Header::empty(Type::String, 0) },
            of(Type::String),
            of(Type::Hash),
            of(Type::Set),
            Header { tree: Tree { depth: 2, top: 17 }, ..of(Type::SortedSet) },
            Header { first: LIST_MIDDLE - 7, ..of(Type::List) },
        ]
    }

    #[test]
    fn headers_come_back_as_they_went_in() {
        for header in headers() {
            assert_eq!(Header::decode(&header.encode(), 9, b"row").unwrap(), header);
            let named = (header.id > 0).then_some((header.kind, header.id));
            assert_eq!(decode_expiry(&header.encode_expiry(), b"row").unwrap(), named);
            let id = (header.id > 0).then_some(header.id);
            assert_eq!((id_in(&header.encode()), id_in(&header.encode_expiry())), (id, id));
        }
    }

    #[test]
    fn a_header_that_is_cut_or_has_more_behind_it_is_damaged() {
        for header in headers().split_off(1) {
            let value = header.encode();
            for len in 0..value.len() {
                let error = Header::decode(&value[..len], 0, b"row").unwrap_err();
                assert_eq!(error.code(), Code::Corruption);
            }
            let longer = [&value[..], &[0]].concat();
            assert!(Header::decode(&longer, 0, b"row").is_err());
            let expiry = header.encode_expiry();
            assert!(decode_expiry(&expiry[1..], b"row").is_err());
        }
        assert!(Header::decode(&[9, 0, 0, 0, 0, 0, 1, 1], 0, b"row").is_err());
        assert!(Header::decode(&[SHORT_STRING; SHORT_BYTES_MAX + 2], 0, b"row").is_err());
    }
}
