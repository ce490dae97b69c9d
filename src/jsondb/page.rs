//! Pages of documents and index entries in key order, and counts of ranges.
//!
//! A page ends at its limits or at the end of its range, and what it walked over, rows that are not there included,
//! is what the transaction has read. The next page goes on behind the last row, wherever writes have moved things.
//!
//! Rows are lent to whoever takes them, where they lie: to copy each key and document took most of the time of a page
//! (decision 35).
#![forbid(unsafe_code)]

use std::ops::Bound;

use super::catalog::no_index;
use super::conflict::successor;
use super::key::{Key, KeyRange, skip};
use super::overlay::Overlay;
use super::row_ref::RowRef;
use super::rows::{RowRange, damaged, document_key_in, document_prefix, index_prefix, index_row_keys};
use super::schema::{IndexDef, StoreDef};
use super::transaction::Transaction;
use super::view::{LentRow, Sight, View};
use super::{Page, PageLimits, Position};
use crate::engine::Direction;
use crate::error::{Code, Error, Result};

/// Which rows a cursor comes to, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The keys: of documents, or those of an index.
    pub range: KeyRange,
    /// The order.
    pub direction: Direction,
    /// Of all entries of an index that have one key, only the one with the lowest primary key. The others are leapt
    /// over, not read. Means nothing without an index.
    pub distinct: bool,
}

/// What a transaction had written at one moment. It is the writes themselves, and not a copy, until there are others.
#[derive(Debug)]
pub struct Seen(Overlay);

impl Transaction {
    /// The next documents of `range` in key order, or in the order of an index; the page after `after` where given.
    ///
    /// A page holds at least one row if there is one, and has `next` set when it ended at one of its limits: there
    /// may be more then.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope and an index that is not there or not built yet,
    /// `InvalidArgument` for a position in another store or index, `Corruption`, `Io`.
    pub fn page(
        &mut self,
        store: &str,
        index: Option<&str>,
        range: &KeyRange,
        direction: Direction,
        after: Option<&Position>,
        limits: PageLimits,
    ) -> Result<Page> {
        let course = Course { range: range.clone(), direction, distinct: false };
        self.page_of(store, index, &course, after, limits, None)
    }

    /// As [`Transaction::page`], by the course of a cursor, which may leave out all but one entry of each index key.
    ///
    /// `seen` is what the transaction had written when the cursor was opened, where it is to see that and no more.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::page`].
    pub fn page_of(
        &mut self,
        store: &str,
        index: Option<&str>,
        course: &Course,
        after: Option<&Position>,
        limits: PageLimits,
        seen: Option<&Seen>,
    ) -> Result<Page> {
        let mut rows = Vec::new();
        let next =
            self.page_with(store, index, course, after, limits, seen, |row| rows.push(row.to_row()))?;
        Ok(Page { rows, next })
    }

    /// As [`Transaction::page_of`], where nothing is copied: the rows are lent to `take`, one after the other, and where the
    /// page ended is returned. What a row lies in is held meanwhile, so `take` should be short; it may have been given
    /// some rows when the call fails.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::page`].
    #[expect(clippy::too_many_arguments, reason = "those of `page_of`, and who takes the rows")]
    pub fn page_with(
        &mut self,
        store: &str,
        index: Option<&str>,
        course: &Course,
        after: Option<&Position>,
        limits: PageLimits,
        seen: Option<&Seen>,
        take: impl FnMut(RowRef<'_>),
    ) -> Result<Option<Position>> {
        let store = self.store(store)?;
        let source = Source::new(&store, index)?;
        let Course { range, direction, distinct } = course;
        let View { base, overlay, reads } = &mut self.view;
        let mut sight = Sight { base, overlay: seen.map_or(overlay, |Seen(overlay)| overlay), reads };
        if after.is_none()
            && let Some(key) = source.unique_key(range)
        {
            sight.unique_row(&source, key, limits.keys_only, take)?;
            return Ok(None);
        }
        let mut range = RowRange::keys(&source.prefix, range);
        if let Some(Position(row)) = after {
            if !row.starts_with(&source.prefix) {
                let message = format!("a position of another store or index was given for {:?}", store.name);
                return Err(Error::new(Code::InvalidArgument, message));
            }
            match direction {
                Direction::Forward if *distinct => {
                    range.start = range.start.max(source.rows_beside(row)?.end);
                }
                Direction::Forward => range.start = range.start.max(successor(row)),
                Direction::Reverse => range.end = range.end.min(row.clone()),
            }
        }
        sight.page(&source, range, course, limits, take)
    }

    /// What the transaction has written so far, for cursors that are to see no more than that.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(self.view.overlay.seen())
    }

    /// How many entries of an index have their key in `range`.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::page`].
    pub fn count_by_index(&mut self, store: &str, index: &str, range: &KeyRange) -> Result<u64> {
        let store = self.store(store)?;
        let source = Source::new(&store, Some(index))?;
        if let Some(key) = source.unique_key(range) {
            let row = self.view.read(&source.row_of_unique(key))?;
            return Ok(u64::from(row.is_some()));
        }
        self.count_rows(&RowRange::keys(&source.prefix, range))
    }

    /// How many rows there are in `range`.
    pub(super) fn count_rows(&mut self, range: &RowRange) -> Result<u64> {
        let View { base, overlay, reads } = &mut self.view;
        let mut rows = base.rows(overlay, range, Direction::Forward)?;
        let mut count = 0;
        while rows.advance()? {
            count += 1;
        }
        base.walked(overlay, reads, range.clone());
        Ok(count)
    }
}

/// The rows that a page walks over.
struct Source<'a> {
    store: &'a StoreDef,
    index: Option<&'a IndexDef>,
    prefix: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(store: &'a StoreDef, index: Option<&str>) -> Result<Self> {
        let Some(name) = index else {
            return Ok(Self { store, index: None, prefix: document_prefix(store.id) });
        };
        let index = store.index(name).ok_or_else(|| no_index(&store.name, name))?;
        if index.building {
            let message = format!("the index {name:?} of {:?} is still being built", store.name);
            return Err(Error::new(Code::NotFound, message));
        }
        Ok(Self { store, index: Some(index), prefix: index_prefix(store.id, index.id) })
    }
}

impl Source<'_> {
    /// The one key of `range`, where the source is a unique index: one row can have it, and is looked up.
    fn unique_key<'k>(&self, range: &'k KeyRange) -> Option<&'k Key> {
        match (&range.lower, &range.upper) {
            (Bound::Included(lower), Bound::Included(upper)) if lower == upper => {
                self.index.is_some_and(|index| index.options.unique).then_some(lower)
            }
            _ => None,
        }
    }

    fn row_of_unique(&self, key: &Key) -> Vec<u8> {
        [&self.prefix[..], key.as_bytes()].concat()
    }

    /// The rows that have the index key of `row`.
    fn rows_beside(&self, row: &[u8]) -> Result<RowRange> {
        let encoded = row.strip_prefix(&self.prefix[..]).and_then(|mut rest| skip(&mut rest));
        let encoded = encoded
            .ok_or_else(|| damaged("the key of an index row", row, "no encoded index key stands in it"))?;
        Ok(RowRange::prefix([&self.prefix[..], encoded].concat()))
    }

    /// Whether several rows may have one key.
    fn has_duplicates(&self) -> bool {
        self.index.is_some_and(|index| !index.options.unique)
    }
}

impl Sight<'_> {
    fn unique_row(
        &mut self,
        source: &Source<'_>,
        key: &Key,
        keys_only: bool,
        mut take: impl FnMut(RowRef<'_>),
    ) -> Result<()> {
        let row = source.row_of_unique(key);
        if let Some(value) = self.base.read_value(self.overlay, self.reads, &row)? {
            let found = LentRow { key: &row, value: &value.bytes, expires_at: value.expires_at };
            Reading::new(source, keys_only).row(self, found, &mut take)?;
        }
        Ok(())
    }

    fn page(
        &mut self,
        source: &Source<'_>,
        mut range: RowRange,
        course: &Course,
        limits: PageLimits,
        mut take: impl FnMut(RowRef<'_>),
    ) -> Result<Option<Position>> {
        let direction = course.direction;
        let distinct = course.distinct && source.has_duplicates();
        let (base, overlay) = (self.base, self.overlay);
        let mut reading = Reading::new(source, limits.keys_only);
        let (mut count, mut bytes) = (0, 0);
        let mut next = None;
        let mut left = range.clone();
        let mut reached = None;
        let mut rows = base.rows(overlay, &left, direction)?;
        let mut is_there = rows.advance()?;
        while is_there {
            let Some(mut found) = rows.lent() else { break };
            let beside = if distinct { Some(source.rows_beside(found.key)?) } else { None };
            let mut group = None;
            if let (Some(beside), Direction::Reverse) = (&beside, direction) {
                // As in IndexedDB, of several with one key the one with the lowest primary key stands for all.
                group = Some(base.rows(overlay, beside, Direction::Forward)?);
            }
            if let Some(group) = &mut group
                && group.advance()?
                && let Some(first) = group.lent()
            {
                found = first;
            }
            let Some(taken) = reading.row(self, found, &mut take)? else {
                is_there = rows.advance()?;
                continue;
            };
            bytes += taken;
            count += 1;
            if count >= limits.rows || bytes >= limits.bytes {
                // Backward, the rows from the first one with its key on were looked at, and what may come before it.
                reached = beside.map(|beside| beside.start);
                next = Some(Position(found.key.to_vec()));
                break;
            }
            is_there = rows.advance()?;
            if let Some(beside) = beside
                && is_there
                && rows.lent().is_some_and(|next| beside.contains(next.key))
            {
                match direction {
                    Direction::Forward => left.start = beside.end,
                    Direction::Reverse => left.end = beside.start,
                }
                rows = base.rows(overlay, &left, direction)?;
                is_there = rows.advance()?;
            }
        }
        if let Some(Position(last)) = &next {
            match direction {
                Direction::Forward => range.end = successor(last),
                Direction::Reverse => range.start = reached.unwrap_or_else(|| last.clone()),
            }
        }
        base.walked(overlay, self.reads, range);
        Ok(next)
    }
}

/// How rows are read from those of a source.
struct Reading<'a> {
    source: &'a Source<'a>,
    keys_only: bool,
    /// The row of the document that a row of an index leads to, in the same memory each time.
    document_row: Vec<u8>,
    prefix_len: usize,
}

impl<'a> Reading<'a> {
    fn new(source: &'a Source<'a>, keys_only: bool) -> Self {
        let document_row = match source.index {
            Some(_) if !keys_only => document_prefix(source.store.id),
            _ => Vec::new(),
        };
        let prefix_len = document_row.len();
        Self { source, keys_only, document_row, prefix_len }
    }

    /// Gives the row with its document to `take`, and says how many bytes they have; `None` where the document has expired
    /// since the row of an index was looked at.
    #[inline]
    fn row(
        &mut self,
        sight: &mut Sight<'_>,
        found: LentRow<'_>,
        take: &mut impl FnMut(RowRef<'_>),
    ) -> Result<Option<usize>> {
        let source = self.source;
        let mut taking = |row: RowRef<'_>| {
            let bytes = row.size();
            take(row);
            bytes
        };
        let Some(index) = source.index else {
            let key = document_key_in(found.key, &source.prefix)?;
            let row = if self.keys_only {
                RowRef::of_keys(key, None)
            } else {
                RowRef::decode(key, None, found.value, found.key)?
            };
            return Ok(Some(taking(row)));
        };
        let (index_key, key) = index_row_keys(found.key, found.value, &source.prefix, index.options.unique)?;
        if self.keys_only {
            return Ok(Some(taking(RowRef::of_keys(key, Some(index_key)))));
        }
        self.document_row.truncate(self.prefix_len);
        self.document_row.extend_from_slice(key);
        let document = &self.document_row[..];
        let taken = sight.base.lend(sight.overlay, sight.reads, document, |value| {
            RowRef::decode(key, Some(index_key), value, document).map(&mut taking)
        })?;
        match taken {
            Some(taken) => taken.map(Some),
            None if found.expires_at != 0 && found.expires_at <= sight.base.now_ms() => Ok(None),
            None => Err(damaged("an index row", found.key, "there is no document with its primary key")),
        }
    }
}
