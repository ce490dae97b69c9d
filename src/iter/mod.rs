//! The contract of every ordered stream of entries below the engine, and the streams built from others.
//!
//! An iterator is either on an entry (`is_valid`) or off either end. Both directions exist from day one. After
//! an error the iterator is off the end and the error has been returned; it must be seeked before further use.
#![forbid(unsafe_code)]

mod merge;
mod visible;

use crate::error::Result;
use crate::key::{EntryRef, SeqNo};

pub(crate) use merge::MergeIterator;
pub(crate) use visible::{Visibility, VisibleIterator, is_expired};

/// A stream of entries in internal order (user key ascending, seqno descending).
pub(crate) trait InternalIterator: Send {
    /// Whether the iterator stands on an entry.
    fn is_valid(&self) -> bool;

    /// Moves to the first entry.
    fn seek_to_first(&mut self) -> Result<()>;

    /// Moves to the last entry.
    fn seek_to_last(&mut self) -> Result<()>;

    /// Moves to the first entry at or after `(key, seqno)` in internal order.
    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()>;

    /// Moves to the last entry whose user key is below `key`.
    fn seek_before(&mut self, key: &[u8]) -> Result<()>;

    /// Moves to the following entry. The iterator must be valid.
    fn next(&mut self) -> Result<()>;

    /// Moves to the preceding entry. The iterator must be valid.
    fn prev(&mut self) -> Result<()>;

    /// The entry that the iterator stands on. The iterator must be valid.
    fn entry(&self) -> EntryRef<'_>;
}
