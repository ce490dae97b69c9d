//! The contract of every ordered stream of entries below the engine, and the streams built from others.
//!
//! An iterator is either on an entry (`is_valid`) or off either end. Both directions exist from day one. After
//! an error the iterator is off the end and the error has been returned; it must be seeked before further use.
#![forbid(unsafe_code)]

mod holes;
mod merge;
mod visible;

use crate::error::Result;
use crate::key::{EntryRef, SEQNO_MAX, SeqNo};
use crate::range_tombstone::Hole;

pub(crate) use holes::{Holes, Stretch, TombstoneSource};
pub(crate) use merge::MergeIterator;
pub(crate) use visible::{Visibility, VisibleIterator, is_expired};

/// The direction in which a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Travel {
    Forward,
    Backward,
}

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

    /// Moves to the first entry of the following user key. The iterator must be valid.
    fn next_user_key(&mut self) -> Result<()> {
        let key = self.entry().key.to_vec();
        while self.is_valid() && self.entry().key == key {
            self.next()?;
        }
        Ok(())
    }

    /// Whether it is certain, without looking far, that no other entry of the stream has this one's user key.
    fn is_only_version(&self) -> bool {
        false
    }

    /// Moves to the first entry from `key` on, or travelling backward to the last one below it. Entries of `hole`, which
    /// holds the key, may be left out where it is known without looking that they are older than its deletion.
    fn seek_in_hole(&mut self, key: &[u8], _hole: &Hole<'_>, travel: Travel) -> Result<()> {
        match travel {
            Travel::Forward => self.seek(key, SEQNO_MAX),
            Travel::Backward => self.seek_before(key),
        }
    }

    /// Leaves `hole`, which holds the entry, in the direction of travel, if it is known without looking that every entry
    /// on the way is older than its deletion. Otherwise nothing happens and the result is false.
    fn leave_hole(&mut self, _hole: &Hole<'_>, _travel: Travel) -> Result<bool> {
        Ok(false)
    }

    /// Tells the iterator, which must be valid, that whoever reads it has to look up from it at the user key `bound`.
    /// It may remember a run of entries around this one that don't reach it in the direction of travel.
    fn begin_run(&mut self, _bound: &[u8], _travel: Travel) {}

    /// Whether the entry is in the run that was begun last, so that its key needs no comparison with the bound.
    fn is_in_run(&self) -> bool {
        false
    }
}

impl InternalIterator for Box<dyn InternalIterator> {
    fn is_valid(&self) -> bool {
        (**self).is_valid()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        (**self).seek_to_first()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        (**self).seek_to_last()
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        (**self).seek(key, seqno)
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        (**self).seek_before(key)
    }

    fn next(&mut self) -> Result<()> {
        (**self).next()
    }

    fn prev(&mut self) -> Result<()> {
        (**self).prev()
    }

    fn entry(&self) -> EntryRef<'_> {
        (**self).entry()
    }

    fn next_user_key(&mut self) -> Result<()> {
        (**self).next_user_key()
    }

    fn is_only_version(&self) -> bool {
        (**self).is_only_version()
    }

    fn seek_in_hole(&mut self, key: &[u8], hole: &Hole<'_>, travel: Travel) -> Result<()> {
        (**self).seek_in_hole(key, hole, travel)
    }

    fn leave_hole(&mut self, hole: &Hole<'_>, travel: Travel) -> Result<bool> {
        (**self).leave_hole(hole, travel)
    }

    fn begin_run(&mut self, bound: &[u8], travel: Travel) {
        (**self).begin_run(bound, travel);
    }

    fn is_in_run(&self) -> bool {
        (**self).is_in_run()
    }
}
