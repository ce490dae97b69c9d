//! What a snapshot sees of a stream of entries: one row for each user key that is there.
//!
//! A row is the newest entry of its key at or below the snapshot, unless that entry is a tombstone, is covered by
//! a newer range tombstone that the snapshot sees, or has expired.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::sync::Arc;

use super::InternalIterator;
use crate::error::Result;
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo};
use crate::range_tombstone::RangeTombstones;

/// What decides whether an entry is seen.
pub(crate) struct Visibility {
    pub(crate) snapshot: SeqNo,
    pub(crate) now_ms: u64,
    /// The range tombstones of every source that the stream is made of.
    pub(crate) tombstones: Vec<Arc<RangeTombstones>>,
}

impl Visibility {
    /// Whether the newest entry of a key that the snapshot sees makes a row.
    fn shows(&self, entry: &EntryRef<'_>) -> bool {
        entry.kind.is_value()
            && !is_expired(entry.expires_at, self.now_ms)
            && !self.tombstones.iter().any(|set| {
                set.covering(entry.key, self.snapshot).is_some_and(|deleted_at| deleted_at > entry.seqno)
            })
    }
}

/// Whether an expiry has come at `now_ms`.
pub(crate) fn is_expired(expires_at: u64, now_ms: u64) -> bool {
    expires_at != NEVER_EXPIRES && expires_at <= now_ms
}

/// The rows of one range in one direction. It starts before the first row.
pub(crate) struct VisibleIterator<I> {
    inner: I,
    visibility: Visibility,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    reverse: bool,
    started: bool,
    /// Forward: the key of the current row, whose older entries are to be skipped. Reverse: the current row.
    row: SavedRow,
    on_row: bool,
}

#[derive(Default)]
struct SavedRow {
    key: Vec<u8>,
    value: Vec<u8>,
    seqno: SeqNo,
    kind: Option<Kind>,
    expires_at: u64,
}

impl SavedRow {
    fn save(&mut self, entry: &EntryRef<'_>) {
        self.value.clear();
        self.value.extend_from_slice(entry.value);
        self.seqno = entry.seqno;
        self.kind = Some(entry.kind);
        self.expires_at = entry.expires_at;
    }

    fn entry(&self) -> Option<EntryRef<'_>> {
        let kind = self.kind?;
        let (key, value) = (&self.key[..], &self.value[..]);
        Some(EntryRef { key, seqno: self.seqno, kind, expires_at: self.expires_at, value })
    }
}

impl<I: InternalIterator> VisibleIterator<I> {
    /// The rows of `inner` between `start` and `end`.
    pub(crate) fn new(
        inner: I,
        visibility: Visibility,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
        reverse: bool,
    ) -> Self {
        let row = SavedRow::default();
        Self { inner, visibility, start, end, reverse, started: false, row, on_row: false }
    }

    /// Moves to the next row in the direction of travel; false at the end of the range.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        self.on_row = false;
        let first = !std::mem::replace(&mut self.started, true);
        self.on_row = match (self.reverse, first) {
            (false, true) => self.seek_start().and_then(|()| self.find_forward())?,
            (false, false) => self.skip_row_key().and_then(|()| self.find_forward())?,
            (true, true) => self.seek_end().and_then(|()| self.find_reverse())?,
            (true, false) => self.find_reverse()?,
        };
        Ok(self.on_row)
    }

    /// The current row. The last `advance` must have returned true.
    pub(crate) fn entry(&self) -> EntryRef<'_> {
        assert!(self.on_row, "a row is read only where advance found one");
        if self.reverse {
            self.row.entry().expect("a reverse row is saved before advance returns true")
        } else {
            self.inner.entry()
        }
    }

    fn seek_start(&mut self) -> Result<()> {
        match &self.start {
            Bound::Unbounded => self.inner.seek_to_first(),
            Bound::Included(key) => self.inner.seek(key, SEQNO_MAX),
            Bound::Excluded(key) => {
                self.inner.seek(key, 0)?;
                // Seqnos begin at 1, so the position (key, 0) lies behind every entry of the key.
                Ok(())
            }
        }
    }

    fn seek_end(&mut self) -> Result<()> {
        match &self.end {
            Bound::Unbounded => self.inner.seek_to_last(),
            Bound::Excluded(key) => self.inner.seek_before(key),
            Bound::Included(key) => {
                let mut after = key.clone();
                after.push(0);
                self.inner.seek_before(&after)
            }
        }
    }

    /// Leaves the key of the current row, whose older entries the snapshot doesn't see.
    fn skip_row_key(&mut self) -> Result<()> {
        if !self.inner.is_valid() {
            return Ok(());
        }
        self.row.key.clear();
        self.row.key.extend_from_slice(self.inner.entry().key);
        while self.inner.is_valid() && self.inner.entry().key == self.row.key {
            self.inner.next()?;
        }
        Ok(())
    }

    fn find_forward(&mut self) -> Result<bool> {
        while self.inner.is_valid() {
            let entry = self.inner.entry();
            if !self.is_below_end(entry.key) {
                return Ok(false);
            }
            if entry.seqno > self.visibility.snapshot {
                self.inner.next()?;
            } else if self.visibility.shows(&entry) {
                return Ok(true);
            } else {
                self.skip_row_key()?;
            }
        }
        Ok(false)
    }

    /// Walks back over the entries of one key after another, oldest first, keeping the newest that is seen.
    fn find_reverse(&mut self) -> Result<bool> {
        while self.inner.is_valid() {
            self.row.key.clear();
            self.row.key.extend_from_slice(self.inner.entry().key);
            self.row.kind = None;
            if !self.is_above_start(&self.row.key) {
                return Ok(false);
            }
            while self.inner.is_valid() {
                let entry = self.inner.entry();
                if entry.key != self.row.key {
                    break;
                }
                if entry.seqno <= self.visibility.snapshot {
                    self.row.save(&entry);
                }
                self.inner.prev()?;
            }
            if self.row.entry().is_some_and(|entry| self.visibility.shows(&entry)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_below_end(&self, key: &[u8]) -> bool {
        match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end.as_slice(),
            Bound::Excluded(end) => key < end.as_slice(),
        }
    }

    fn is_above_start(&self, key: &[u8]) -> bool {
        match &self.start {
            Bound::Unbounded => true,
            Bound::Included(start) => key >= start.as_slice(),
            Bound::Excluded(start) => key > start.as_slice(),
        }
    }
}
