//! User keys, sequence numbers and kinds, and the internal order that everything below the engine keeps.
//!
//! Internal order: user key ascending (bytewise), then seqno descending, so that the newest entry of a key
//! comes first and a search for `(key, snapshot)` lands on the entry that the snapshot sees.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

/// Numbers every entry in the order of commit; 56 bits are used.
pub(crate) type SeqNo = u64;

/// The largest sequence number; as a search position it lies before every entry of its key.
pub(crate) const SEQNO_MAX: SeqNo = (1 << 56) - 1;

/// The seqno of an entry that is older than every snapshot, and below which its key has nothing: real ones begin at 1.
pub(crate) const SETTLED: SeqNo = 0;

/// The longest user key, in bytes.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// An expiry of 0 means that the entry never expires.
pub(crate) const NEVER_EXPIRES: u64 = 0;

/// What an entry says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The key has this value.
    Value = 1,
    /// The key has none.
    Tombstone = 2,
    /// No key from this one (inclusive) to the value (exclusive) has any. Never stands among point entries
    /// of a memtable or table: it lives in their list of range tombstones.
    RangeTombstone = 3,
    /// The key has a value, which lies in a value file: the entry's own says where. Only tables hold such entries.
    Separated = 9,
}

impl Kind {
    /// Whether the key has a value, be it here or in a value file.
    pub(crate) fn is_value(self) -> bool {
        matches!(self, Self::Value | Self::Separated)
    }

    /// The kind with this number on disk.
    pub(crate) fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Value),
            2 => Some(Self::Tombstone),
            3 => Some(Self::RangeTombstone),
            9 => Some(Self::Separated),
            _ => None,
        }
    }
}

/// One entry, borrowed from where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryRef<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) seqno: SeqNo,
    pub(crate) kind: Kind,
    /// Milliseconds since 1970, or [`NEVER_EXPIRES`].
    pub(crate) expires_at: u64,
    pub(crate) value: &'a [u8],
}

/// Compares two positions in internal order.
pub(crate) fn compare_internal(a: (&[u8], SeqNo), b: (&[u8], SeqNo)) -> Ordering {
    a.0.cmp(b.0).then(b.1.cmp(&a.1))
}

/// The hash of a user key that filters and hash indexes share. FxHash-like multiply-rotate over 8-byte words
/// with a final mix; part of the table format (filters are built from it), so it may never change.
pub(crate) fn hash_key(key: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = (key.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER).rotate_left(29);
    }
    let mut last = [0u8; 8];
    last[..tail.len()].copy_from_slice(tail);
    hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    // The finaliser of SplitMix64, so that every bit of the key reaches every bit of the hash.
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entry_of_a_key_comes_first() {
        assert_eq!(compare_internal((b"a", 9), (b"a", 3)), Ordering::Less);
        assert_eq!(compare_internal((b"a", 3), (b"b", 9)), Ordering::Less);
        assert_eq!(compare_internal((b"a", SEQNO_MAX), (b"a", 9)), Ordering::Less);
    }

    #[test]
    fn the_filter_hash_is_frozen() {
        assert_eq!(hash_key(b""), hash_key(b""));
        assert_ne!(hash_key(b"a"), hash_key(b"a\0"));
        assert_ne!(hash_key(b"12345678"), hash_key(b"12345678\0"));
    }
}
