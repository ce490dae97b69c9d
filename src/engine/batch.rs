//! Write batches: entries in the order they were added, applied whole or not at all.
//!
//! A batch is kept in the form in which the log stores it, so that a commit copies bytes and encodes nothing:
//! for each entry `tag | varint key length | key | expiry u64 where the tag has 0x80 | varint length | value`.
//! The tag is the entry's kind; a tombstone has no value, a range tombstone's value is its exclusive end.
//! Entry `i` of a batch gets seqno `first + i`, so within one batch later entries win.
#![forbid(unsafe_code)]

use crate::coding::{put_prefixed, take_prefixed, take_u8, take_u64};
use crate::error::{Code, Error, Result};
use crate::key::{EntryRef, KEY_BYTES_MAX, Kind, NEVER_EXPIRES, SeqNo, VALUE_BYTES_MAX};

/// The most bytes one batch may hold: one largest value with room for the entries beside it.
pub const BATCH_BYTES_MAX: usize = VALUE_BYTES_MAX + (64 << 20);

/// What an entry counts for beside its bytes: about what it takes in a memtable, so that the memory of a batch of
/// tiny entries is bounded too.
const ENTRY_CHARGE_BYTES: usize = 64;

/// What the encoding of an entry takes at most beside its key and value: the tag, their lengths, which are below 2^35,
/// and the expiry.
const ENTRY_BYTES_FIXED: usize = 1 + 5 + 5 + 8;

const EXPIRES_FLAG: u8 = 0x80;

/// Puts and deletes that become visible together.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    entries: usize,
    /// When entries of [`WriteBatch::put`] expire.
    default_expiry: u64,
}

/// What a batch does to a key or a range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchEntry<'a> {
    Put {
        key: &'a [u8],
        value: &'a [u8],
    },
    Delete {
        key: &'a [u8],
    },
    /// The end is exclusive.
    DeleteRange {
        start: &'a [u8],
        end: &'a [u8],
    },
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `bytes` of entries.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// An empty batch whose [`WriteBatch::put`] sets values that expire at `expires_at_ms`, in milliseconds since 1970; 0
    /// means never.
    #[must_use]
    pub fn expiring_at(expires_at_ms: u64) -> Self {
        Self { default_expiry: expires_at_ms, ..Self::default() }
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    ///
    /// `InvalidKey` above 64 KiB, `InvalidValue` above 1 GiB, `InvalidArgument` when the batch would be too large.
    /// The batch is then as it was.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_expiring(key, value, self.default_expiry)
    }

    /// Sets `key` to `value` until `expires_at_ms`, in milliseconds since 1970; 0 means for ever.
    ///
    /// # Errors
    ///
    /// As [`WriteBatch::put`].
    pub fn put_expiring(&mut self, key: &[u8], value: &[u8], expires_at_ms: u64) -> Result<()> {
        if value.len() > VALUE_BYTES_MAX {
            let message = format!("a value of {} bytes: the most is {VALUE_BYTES_MAX}", value.len());
            return Err(Error::new(Code::InvalidValue, message));
        }
        self.check_room(key, value.len())?;
        let expires = expires_at_ms != NEVER_EXPIRES;
        // At once, where a new batch would grow with each of the parts.
        self.bytes.reserve(ENTRY_BYTES_FIXED + key.len() + value.len());
        self.bytes.push(Kind::Value as u8 | if expires { EXPIRES_FLAG } else { 0 });
        put_prefixed(&mut self.bytes, key);
        if expires {
            self.bytes.extend_from_slice(&expires_at_ms.to_le_bytes());
        }
        put_prefixed(&mut self.bytes, value);
        self.entries += 1;
        Ok(())
    }

    /// Removes `key`, whether it is there or not.
    ///
    /// # Errors
    ///
    /// As [`WriteBatch::put`].
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.check_room(key, 0)?;
        self.bytes.push(Kind::Tombstone as u8);
        put_prefixed(&mut self.bytes, key);
        self.entries += 1;
        Ok(())
    }

    /// Removes every key from `start` (inclusive) to `end` (exclusive), at a cost that does not depend on how
    /// many there are. Keys that are put later in the same batch stay.
    ///
    /// # Errors
    ///
    /// As [`WriteBatch::put`].
    pub fn delete_range(&mut self, start: &[u8], end: &[u8]) -> Result<()> {
        self.check_room(start, end.len())?;
        check_key(end)?;
        if start >= end {
            return Ok(());
        }
        self.bytes.push(Kind::RangeTombstone as u8);
        put_prefixed(&mut self.bytes, start);
        put_prefixed(&mut self.bytes, end);
        self.entries += 1;
        Ok(())
    }

    /// Adds what `other` holds behind what this holds, all of it or nothing.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when the batch would be too large.
    pub(crate) fn append(&mut self, other: &WriteBatch) -> Result<()> {
        self.check_room(&[], other.bytes.len() + other.entries * ENTRY_CHARGE_BYTES)?;
        self.bytes.extend_from_slice(&other.bytes);
        self.entries += other.entries;
        Ok(())
    }

    /// How many puts and deletes the batch holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether the batch holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// What the batch takes in the log, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The puts (value and expiry) and deletions of single keys that the batch holds, in their order.
    pub(crate) fn points(&self) -> impl Iterator<Item = (&[u8], Option<(&[u8], u64)>)> {
        decode(&self.bytes, 0).flatten().filter_map(|entry| match entry.kind {
            Kind::Value => Some((entry.key, Some((entry.value, entry.expires_at)))),
            Kind::Tombstone => Some((entry.key, None)),
            // A value is put apart only when it is written to a table.
            Kind::RangeTombstone | Kind::Separated => None,
        })
    }

    /// Everything that the batch holds, in its order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = BatchEntry<'_>> {
        decode(&self.bytes, 0).flatten().filter_map(|EntryRef { key, kind, value, .. }| match kind {
            Kind::Value => Some(BatchEntry::Put { key, value }),
            Kind::Tombstone => Some(BatchEntry::Delete { key }),
            Kind::RangeTombstone => Some(BatchEntry::DeleteRange { start: key, end: value }),
            // A value is put apart only when it is written to a table.
            Kind::Separated => None,
        })
    }

    /// The batch as the log stores it.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    fn check_room(&self, key: &[u8], value_len: usize) -> Result<()> {
        check_key(key)?;
        let charged = self.bytes.len() + self.entries * ENTRY_CHARGE_BYTES;
        if charged + key.len() + value_len > BATCH_BYTES_MAX {
            let message = format!("a batch of more than {BATCH_BYTES_MAX} bytes: commit it in parts");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(())
    }
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        let message = format!("a key of {} bytes: the most is {KEY_BYTES_MAX}", key.len());
        return Err(Error::new(Code::InvalidKey, message));
    }
    Ok(())
}

/// Reads entries as [`WriteBatch`] encodes them, numbering them from `seqno` on. `None` in the place of an entry
/// means that the bytes are not a batch.
pub(crate) fn decode(mut bytes: &[u8], mut seqno: SeqNo) -> impl Iterator<Item = Option<EntryRef<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = decode_one(&mut bytes, seqno);
        seqno += 1;
        if entry.is_none() {
            bytes = &[];
        }
        Some(entry)
    })
}

fn decode_one<'a>(bytes: &mut &'a [u8], seqno: SeqNo) -> Option<EntryRef<'a>> {
    let tag = take_u8(bytes)?;
    let kind = Kind::from_u8(tag & !EXPIRES_FLAG).filter(|&kind| kind != Kind::Separated)?;
    let key = take_prefixed(bytes)?;
    let expires_at = match tag & EXPIRES_FLAG {
        0 => NEVER_EXPIRES,
        _ => take_u64(bytes)?,
    };
    let value: &[u8] = if kind == Kind::Tombstone { &[] } else { take_prefixed(bytes)? };
    Some(EntryRef { key, seqno, kind, expires_at, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_order_with_rising_seqnos() {
        let mut batch = WriteBatch::new();
        batch.put(b"", b"empty key").unwrap();
        batch.put_expiring(b"b", b"", 77).unwrap();
        batch.delete(b"c").unwrap();
        batch.delete_range(b"d", b"f").unwrap();

        let entries: Vec<_> = decode(batch.encoded(), 9).map(Option::unwrap).collect();

        let seen: Vec<_> = entries.iter().map(|e| (e.seqno, e.kind, e.key, e.expires_at, e.value)).collect();
        assert_eq!(
            seen,
            [
                (9, Kind::Value, &b""[..], 0, &b"empty key"[..]),
                (10, Kind::Value, b"b", 77, b""),
                (11, Kind::Tombstone, b"c", 0, b""),
                (12, Kind::RangeTombstone, b"d", 0, b"f"),
            ]
        );
        assert_eq!(batch.len(), 4);
    }

    #[test]
    fn a_cut_batch_is_seen_to_be_cut() {
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        let bytes = batch.encoded();

        for len in 1..bytes.len() {
            assert!(decode(&bytes[..len], 1).any(|entry| entry.is_none()), "{len}");
        }
    }

    #[test]
    fn a_key_that_is_too_long_is_refused_and_changes_nothing() {
        let mut batch = WriteBatch::new();

        let error = batch.put(&vec![0; KEY_BYTES_MAX + 1], b"").unwrap_err();

        assert_eq!(error.code(), Code::InvalidKey);
        assert!(batch.is_empty());
        assert_eq!(batch.size_bytes(), 0);
    }
}
