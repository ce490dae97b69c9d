//! What a snapshot sees of a stream of entries: one row for each user key that is there.
//!
//! A row is the newest entry of its key at or below the snapshot, unless that entry is a tombstone, is covered by
//! a newer range tombstone that the snapshot sees, or has expired.
#![forbid(unsafe_code)]

use std::ops::Bound;

use super::{Holes, InternalIterator, Travel};
use crate::effort;
use crate::error::{Code, Error, Result};
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SEQNO_MAX, SETTLED, SeqNo};

/// What decides whether an entry is seen.
pub(crate) struct Visibility {
    pub(crate) snapshot: SeqNo,
    pub(crate) now_ms: u64,
    /// What has been deleted of every source that the stream is made of.
    pub(crate) holes: Holes,
}

impl Visibility {
    /// Whether the newest entry of a key that the snapshot sees makes a row.
    #[inline]
    fn shows(&mut self, entry: &EntryRef<'_>) -> Result<bool> {
        let is_there = entry.kind.is_value() && !is_expired(entry.expires_at, self.now_ms);
        Ok(is_there && (self.holes.is_empty() || !self.holes.hide(entry)?))
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
    /// Reverse: the current row, where it is one of several versions and the stream has passed it.
    row: SavedRow,
    place: Place,
    /// How many entries in a row made no row.
    passed: u32,
    /// Steps that have not been reckoned up yet.
    walked: i64,
}

/// After so many entries that made no row, it is worth looking whether a range deletion can be left in one leap.
const PASSED_BEFORE_LEAP: u32 = 4;

/// The steps of a walk are reckoned up so many at a time.
const WALKED_BETWEEN: i64 = 16;

/// Where the current row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// The stream stands on it.
    InStream,
    /// It was copied into `row`, and the stream stands before its key.
    Saved,
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
        let (started, place, passed, walked) = (false, Place::Nowhere, 0, 0);
        Self { inner, visibility, start, end, reverse, started, row, place, passed, walked }
    }

    /// Moves to the next row in the direction of travel; false at the end of the range.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool> {
        let left = std::mem::replace(&mut self.place, Place::Nowhere);
        self.place = match (self.reverse, left) {
            (false, Place::InStream) => {
                self.inner.next_user_key()?;
                self.find_forward()?
            }
            (true, Place::InStream) => {
                self.inner.prev()?;
                self.find_reverse()?
            }
            (true, Place::Saved) => self.find_reverse()?,
            (_, Place::Nowhere | Place::Saved) => self.begin()?,
        };
        Ok(self.place != Place::Nowhere)
    }

    /// Moves to the first row from `key` on, or in reverse to the last one below it; false at the end of the range.
    /// `key` lies within the range.
    ///
    /// # Errors
    ///
    /// Also `Corruption` where a table whose entries are out of order leads elsewhere: who skips again and again would
    /// never come to an end.
    pub(crate) fn skip_to(&mut self, key: &[u8]) -> Result<bool> {
        self.place = Place::Nowhere;
        self.visibility.holes.jump();
        self.place = if self.reverse {
            self.inner.seek_before(key)?;
            self.find_reverse()?
        } else {
            self.inner.seek(key, SEQNO_MAX)?;
            self.find_forward()?
        };
        if self.place == Place::Nowhere {
            return Ok(false);
        }
        if (self.entry().key >= key) == self.reverse {
            self.place = Place::Nowhere;
            let message = "a table has entries out of order: verify tells which";
            return Err(Error::new(Code::Corruption, message));
        }
        Ok(true)
    }

    /// The current row. The last `advance` must have returned true.
    #[inline]
    pub(crate) fn entry(&self) -> EntryRef<'_> {
        match self.place {
            Place::InStream => self.inner.entry(),
            Place::Saved => self.row.entry().expect("a reverse row is saved before advance returns true"),
            Place::Nowhere => panic!("a row is read only where advance found one"),
        }
    }

    /// Finds the first row; none where the end has been reached before.
    fn begin(&mut self) -> Result<Place> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(Place::Nowhere);
        }
        if self.reverse {
            self.seek_end()?;
            return self.find_reverse();
        }
        self.seek_start()?;
        self.find_forward()
    }

    fn seek_start(&mut self) -> Result<()> {
        let Some(key) = (match &self.start {
            Bound::Unbounded => None,
            Bound::Included(key) | Bound::Excluded(key) => Some(key),
        }) else {
            return self.inner.seek_to_first();
        };
        if let Some(hole) = self.visibility.holes.widest(key, 0)? {
            self.inner.seek_in_hole(key, &hole, Travel::Forward)?;
        } else if matches!(self.start, Bound::Included(_)) {
            return self.inner.seek(key, SEQNO_MAX);
        } else {
            // Behind every entry of the key but one that is settled.
            self.inner.seek(key, SETTLED)?;
        }
        let excludes = |entry: EntryRef<'_>| matches!(&self.start, Bound::Excluded(key) if entry.key == key);
        while self.inner.is_valid() && excludes(self.inner.entry()) {
            self.inner.next_user_key()?;
        }
        Ok(())
    }

    fn seek_end(&mut self) -> Result<()> {
        let after;
        let key = match &self.end {
            Bound::Unbounded => return self.inner.seek_to_last(),
            Bound::Excluded(key) => key,
            Bound::Included(key) => {
                after = [key.as_slice(), &[0]].concat();
                &after
            }
        };
        match self.visibility.holes.widest(key, 0)? {
            Some(hole) => self.inner.seek_in_hole(key, &hole, Travel::Backward),
            None => self.inner.seek_before(key),
        }
    }

    /// Counts the steps of an entry with a value of so many bytes.
    #[inline]
    fn walk(&mut self, value_len: usize) -> Result<()> {
        self.walked += effort::steps_of(value_len) + 1;
        if self.walked < WALKED_BETWEEN {
            return Ok(());
        }
        effort::spend(std::mem::take(&mut self.walked))
    }

    #[inline]
    fn find_forward(&mut self) -> Result<Place> {
        while self.inner.is_valid() {
            self.walk(self.inner.entry().value.len())?;
            let entry = self.inner.entry();
            if !self.is_below_end(entry.key) {
                break;
            }
            if entry.seqno > self.visibility.snapshot {
                self.inner.next()?;
            } else if self.visibility.shows(&entry)? {
                self.passed = 0;
                return Ok(Place::InStream);
            } else if !self.leap(Travel::Forward)? {
                self.inner.next_user_key()?;
            }
        }
        Ok(Place::Nowhere)
    }

    /// Leaves the range deletion that the entry lies in, if there is one and the source knows how. Whether it did.
    #[inline]
    fn leap(&mut self, travel: Travel) -> Result<bool> {
        self.passed = self.passed.saturating_add(1);
        if self.passed < PASSED_BEFORE_LEAP || self.visibility.holes.is_empty() {
            return Ok(false);
        }
        let EntryRef { key, seqno, .. } = self.inner.entry();
        for hole in self.visibility.holes.over(key, seqno)?.into_iter().flatten() {
            if self.inner.leave_hole(&hole, travel)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Walks back from key to key.
    #[inline]
    fn find_reverse(&mut self) -> Result<Place> {
        while self.inner.is_valid() {
            self.walk(self.inner.entry().value.len())?;
            let entry = self.inner.entry();
            if !self.is_above_start(entry.key) {
                break;
            }
            if !self.inner.is_only_version() {
                if self.save_newest()? {
                    self.passed = 0;
                    return Ok(Place::Saved);
                }
                self.passed = self.passed.saturating_add(1);
            } else if entry.seqno <= self.visibility.snapshot && self.visibility.shows(&entry)? {
                self.passed = 0;
                return Ok(Place::InStream);
            } else if !self.leap(Travel::Backward)? {
                self.inner.prev()?;
            }
        }
        Ok(Place::Nowhere)
    }

    /// Walks back over the entries of one key, oldest first, and keeps the newest that is seen. Whether that is a row.
    fn save_newest(&mut self) -> Result<bool> {
        self.row.key.clear();
        self.row.key.extend_from_slice(self.inner.entry().key);
        self.row.kind = None;
        while self.inner.is_valid() {
            self.walk(self.inner.entry().value.len())?;
            let entry = self.inner.entry();
            if entry.key != self.row.key {
                break;
            }
            if entry.seqno <= self.visibility.snapshot {
                self.row.save(&entry);
            }
            self.inner.prev()?;
        }
        self.row.entry().map_or(Ok(false), |entry| self.visibility.shows(&entry))
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
