//! A directory of the entries of one data block, made in memory: point reads find their entry in it without walking
//! through the entries before, each of which would be a wait for memory.
//!
//! For each entry it has the eight bytes of its key behind the prefix that all keys of the block share, and where it
//! begins. That orders nearly all keys; what it leaves open, the entries decide.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use super::block::{DataBlock, common_prefix_len};
use super::cursor::Cursor;

const HEAD_BYTES: usize = 8;
const OFFSET_BYTES: usize = 4;

/// A longer prefix makes a directory not worth its memory.
const PREFIX_BYTES_MAX: usize = 256;

/// The directory of a data block; an empty one knows nothing.
#[derive(Default)]
pub(super) struct Directory {
    /// The heads, the offsets (little endian), and the shared prefix, in one piece of memory.
    bytes: Box<[u8]>,
    entries: usize,
}

/// Where a key is, so far as the directory knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Located {
    /// No entry has the key; the first above it is here.
    At(u32),
    /// No entry has the key, and none is above it.
    End,
    /// This is the first entry that may have the key: those before it are below.
    Candidate(u32),
    /// The entries have to be searched.
    Unknown,
}

impl Directory {
    /// What an entry takes in the directory.
    pub(super) const ENTRY_BYTES: usize = HEAD_BYTES + OFFSET_BYTES;

    /// Makes the directory of `block`, or `None` where it would not serve.
    pub(super) fn of(block: &DataBlock) -> Option<Self> {
        let (mut heads, mut offsets) = (Vec::new(), Vec::new());
        let (first, last) = (end_key(block, true)?, end_key(block, false)?);
        let prefix = common_prefix_len(&first, &last);
        if prefix > PREFIX_BYTES_MAX {
            return None;
        }
        let mut cursor = Cursor::default();
        cursor.seek_to_first(block).ok()?;
        while let (Some(entry), Some(at)) = (cursor.entry(block), cursor.at()) {
            heads.extend_from_slice(&head(entry.key.get(prefix..)?));
            offsets.extend_from_slice(&u32::try_from(at).ok()?.to_le_bytes());
            cursor.next(block).ok()?;
        }
        let entries = heads.len() / HEAD_BYTES;
        let bytes = [&heads[..], &offsets, &first[..prefix]].concat().into_boxed_slice();
        Some(Self { bytes, entries })
    }

    /// Looks `key` up.
    pub(super) fn locate(&self, key: &[u8]) -> Located {
        let Some((heads, rest)) = self.bytes.split_at_checked(self.entries * HEAD_BYTES) else {
            return Located::Unknown;
        };
        let Some((offsets, prefix)) = rest.split_at_checked(self.entries * OFFSET_BYTES) else {
            return Located::Unknown;
        };
        let (heads, offsets) = (heads.as_chunks::<HEAD_BYTES>().0, offsets.as_chunks::<OFFSET_BYTES>().0);
        let Some((start, rest)) = key.split_at_checked(prefix.len()) else { return Located::Unknown };
        let at = |index: usize, found: fn(u32) -> Located| match offsets.get(index) {
            Some(&at) => found(u32::from_le_bytes(at)),
            None => Located::End,
        };
        match start.cmp(prefix) {
            Ordering::Less => return at(0, Located::At),
            Ordering::Greater => return Located::End,
            Ordering::Equal if heads.is_empty() => return Located::Unknown,
            Ordering::Equal => {}
        }
        let wanted = u64::from_be_bytes(head(rest));
        let index = heads.partition_point(|&head| u64::from_be_bytes(head) < wanted);
        match heads.get(index) {
            Some(&head) if u64::from_be_bytes(head) == wanted => at(index, Located::Candidate),
            _ => at(index, Located::At),
        }
    }
}

/// The first or the last key of a block.
fn end_key(block: &DataBlock, first: bool) -> Option<Vec<u8>> {
    let mut cursor = Cursor::default();
    if first { cursor.seek_to_first(block) } else { cursor.seek_to_last(block) }.ok()?;
    cursor.entry(block).map(|entry| entry.key.to_vec())
}

/// The first eight bytes; a shorter key is padded with zeros.
fn head(key: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let len = key.len().min(HEAD_BYTES);
    head[..len].copy_from_slice(&key[..len]);
    head
}
