//! Pages of documents and index entries in key order, and counts of ranges.
//!
//! A page ends at its limits or at the end of its range, and what it walked over, rows that are not there included,
//! is what the transaction has read. The next page goes on behind the last row, wherever writes have moved things.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ops::Bound;

use super::catalog::no_index;
use super::conflict::successor;
use super::key::{Key, KeyRange, skip};
use super::overlay::Overlay;
use super::rows::{
    RowRange, StoredDocument, damaged, decode_document_key, decode_index_row, document_key, document_prefix,
    index_prefix,
};
use super::schema::{IndexDef, StoreDef};
use super::transaction::{Transaction, row_of};
use super::view::{Sight, View};
use super::{Document, Format, Page, PageLimits, Position, Row};
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
        let store = self.store(store)?;
        let source = Source::new(&store, index)?;
        let Course { range, direction, distinct } = course;
        let View { base, overlay, reads } = &mut self.view;
        let mut sight = Sight { base, overlay: seen.map_or(overlay, |Seen(overlay)| overlay), reads };
        if after.is_none()
            && let Some(key) = source.unique_key(range)
        {
            return sight.unique_row(&source, key, limits.keys_only);
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
        sight.page(&source, range, *direction, *distinct, limits)
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
    fn unique_row(&mut self, source: &Source<'_>, key: &Key, keys_only: bool) -> Result<Page> {
        let row = source.row_of_unique(key);
        let found = self.base.read_value(self.overlay, self.reads, &row)?;
        let found = found.map(|value| self.row(source, &row, &value.bytes, value.expires_at, keys_only));
        let rows = found.transpose()?.flatten();
        Ok(Page { rows: rows.into_iter().collect(), next: None })
    }

    fn page(
        &mut self,
        source: &Source<'_>,
        mut range: RowRange,
        direction: Direction,
        distinct: bool,
        limits: PageLimits,
    ) -> Result<Page> {
        let distinct = distinct && source.has_duplicates();
        let (base, overlay) = (self.base, self.overlay);
        let mut page = Page { rows: Vec::new(), next: None };
        let mut bytes = 0;
        let mut left = range.clone();
        let mut reached = None;
        let mut rows = base.rows(overlay, &left, direction)?;
        let mut is_there = rows.advance()?;
        while is_there {
            let mut expires_at = rows.expires_at();
            let Some((row_key, value)) = rows.row() else { break };
            let (mut row_key, mut value) = (Cow::Borrowed(row_key), Cow::Borrowed(value));
            let beside = if distinct { Some(source.rows_beside(&row_key)?) } else { None };
            if let (Some(beside), Direction::Reverse) = (&beside, direction) {
                // As in IndexedDB, of several with one key the one with the lowest primary key stands for all.
                let mut first = base.rows(overlay, beside, Direction::Forward)?;
                if first.advance()? {
                    expires_at = first.expires_at();
                }
                if let Some((first_key, first_value)) = first.row() {
                    (row_key, value) = (Cow::Owned(first_key.to_vec()), Cow::Owned(first_value.to_vec()));
                }
            }
            let row = self.row(source, &row_key, &value, expires_at, limits.keys_only)?;
            let Some(row) = row else {
                is_there = rows.advance()?;
                continue;
            };
            bytes += size_of(&row);
            page.rows.push(row);
            if page.rows.len() >= limits.rows || bytes >= limits.bytes {
                // Backward, the rows from the first one with its key on were looked at, and what may come before it.
                reached = beside.map(|beside| beside.start);
                page.next = Some(Position(row_key.into_owned()));
                break;
            }
            is_there = rows.advance()?;
            if let Some(beside) = beside
                && is_there
                && rows.row().is_some_and(|(next, _)| beside.contains(next))
            {
                match direction {
                    Direction::Forward => left.start = beside.end,
                    Direction::Reverse => left.end = beside.start,
                }
                rows = base.rows(overlay, &left, direction)?;
                is_there = rows.advance()?;
            }
        }
        if let Some(Position(last)) = &page.next {
            match direction {
                Direction::Forward => range.end = successor(last),
                Direction::Reverse => range.start = reached.unwrap_or_else(|| last.clone()),
            }
        }
        base.walked(overlay, self.reads, range);
        Ok(page)
    }

    /// The row with its document; `None` where that has expired since the row of an index was looked at.
    fn row(
        &mut self,
        source: &Source<'_>,
        row_key: &[u8],
        value: &[u8],
        expires_at: u64,
        keys_only: bool,
    ) -> Result<Option<Row>> {
        let Some(index) = source.index else {
            return document_row(source, row_key, value, keys_only).map(Some);
        };
        let (index_key, key) = decode_index_row(row_key, value, &source.prefix, index.options.unique)?;
        let stored = if keys_only {
            no_document()
        } else {
            let document = document_key(source.store.id, &key);
            match self.base.read(self.overlay, self.reads, &document)? {
                Some(value) => StoredDocument::decode_in_place(value, &document)?,
                None if expires_at != 0 && expires_at <= self.base.now_ms() => return Ok(None),
                None => {
                    let how = "there is no document with its primary key";
                    return Err(damaged("an index row", row_key, how));
                }
            }
        };
        Ok(Some(row_of(key, Some(index_key), stored)))
    }
}

fn document_row(source: &Source<'_>, row_key: &[u8], value: &[u8], keys_only: bool) -> Result<Row> {
    let key = decode_document_key(row_key, &source.prefix)?;
    let stored = if keys_only { no_document() } else { StoredDocument::decode(value, row_key)? };
    Ok(row_of(key, None, stored))
}

/// What stands in the place of a document that was not asked for.
fn no_document() -> StoredDocument {
    let document = Document { format: Format::Raw, bytes: Vec::new() };
    StoredDocument { document, version: 0, updated_at: 0, expires_at: 0 }
}

fn size_of(row: &Row) -> usize {
    let keys = row.key.as_bytes().len() + row.index_key.as_ref().map_or(0, |key: &Key| key.as_bytes().len());
    keys + row.document.bytes.len()
}
