//! Walking rows in the order that is wanted, and looking at each document as its row is met.
//!
//! Invariant: nothing is read behind the last row that a page takes. A batch is read ahead of what is known of its
//! documents, so where a condition is left to ask, the last one is mostly for nothing; and each opens a scan of its own.

use super::Query;
use super::cursor::{Found, Room, Run, Stage, Trust};
use super::walk::Counts;
use super::{Rest, selected_of};
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::Format;
use crate::jsondb::row_ref::RowRef;
use crate::jsondb::rows::{RowRange, damaged, document_prefix};
use crate::jsondb::schema::StoreDef;
use crate::jsondb::view::{LentRow, Sight};

impl Run {
    /// Whether the next rows can be read so: those that lie side by side, forwards, and are wanted as they come.
    pub(super) fn is_stream(&self) -> bool {
        let goes_on = |stage: &Stage| !stage.by_key && stage.walk.goes_forwards();
        let is_free = self.pending.is_empty() && self.sorter.is_none() && !self.is_satisfied();
        is_free && self.stages.front().is_some_and(goes_on)
    }

    /// Reads rows until the page has no room, all that is wanted has been given, or there are no more side by side.
    pub(super) fn stream(
        &mut self,
        sight: &mut Sight<'_>,
        query: &Query,
        room: &mut Room,
        counts: &mut Counts,
        take: &mut impl FnMut(&mut Room, Found<'_>),
    ) -> Result<()> {
        let Some(stage) = self.stages.front_mut() else { return Ok(()) };
        let Some(range) = stage.walk.take_forwards() else { return Ok(()) };
        let document_row = document_prefix(self.store.id);
        let judge = Judge {
            store: &self.store,
            query,
            rest: if stage.trust == Trust::Exact { None } else { self.rest.as_ref() },
            keys_only: room.limits.keys_only,
        };
        let mut reading = Reading {
            is_exact: stage.trust == Trust::Exact,
            prefix_len: document_row.len(),
            judge,
            document_row,
            offset_left: &mut self.offset_left,
            limit_left: &mut self.limit_left,
        };
        let last = reading.rows(sight, stage, &range, room, counts, take);
        // Of a walk that failed nobody knows what it has given.
        let read_to = last.as_ref().ok().and_then(Option::as_deref);
        stage.walk.give_back(sight, range, read_to);
        last.map(drop)
    }
}

/// What a document is held against, and what is given of it.
struct Judge<'a> {
    store: &'a StoreDef,
    query: &'a Query,
    /// `None` where nothing is left to ask.
    rest: Option<&'a Rest>,
    keys_only: bool,
}

impl Judge<'_> {
    /// Gives a row on, as far as it is wanted, if its document passes.
    #[inline]
    fn row(&self, row: RowRef<'_>, give: impl FnOnce(RowRef<'_>)) -> Result<()> {
        if let Some(rest) = self.rest
            && rest.pass(self.store, row.key, row.format, row.document)?.is_none()
        {
            return Ok(());
        }
        match &self.query.selection {
            _ if self.keys_only => give(RowRef::of_keys(row.key, None)),
            None => give(row),
            Some(selection) => {
                let document = &selected_of(selection, row.format, row.document)?;
                give(RowRef { format: Format::Json, document, ..row });
            }
        }
        Ok(())
    }
}

struct Reading<'a> {
    judge: Judge<'a>,
    /// Every row leads to a document that passes.
    is_exact: bool,
    /// The row of the document that a row of an index leads to, in the same memory each time.
    document_row: Vec<u8>,
    prefix_len: usize,
    offset_left: &'a mut u64,
    limit_left: &'a mut Option<u64>,
}

impl Reading<'_> {
    /// Reads rows of `range`, and gives the key of the last one where there may be more.
    fn rows(
        &mut self,
        sight: &mut Sight<'_>,
        stage: &Stage,
        range: &RowRange,
        room: &mut Room,
        counts: &mut Counts,
        take: &mut impl FnMut(&mut Room, Found<'_>),
    ) -> Result<Option<Vec<u8>>> {
        let (base, overlay) = (sight.base, sight.overlay);
        let mut rows = base.rows(overlay, range, Direction::Forward)?;
        while rows.advance()? {
            let Some(found) = rows.lent() else { break };
            stage.walk.count(counts);
            let key = stage.walk.key_of(found.key, found.value)?;
            let is_told = self.is_exact && (self.judge.keys_only || *self.offset_left > 0);
            let mut give = |row: RowRef<'_>| {
                if *self.offset_left > 0 {
                    *self.offset_left -= 1;
                    return;
                }
                if let Some(left) = &mut *self.limit_left {
                    *left -= 1;
                }
                take(room, Found::Lent(row));
            };
            if is_told {
                give(RowRef::of_keys(key, None));
            } else if stage.walk.is_over_documents() {
                self.judge.row(RowRef::decode(key, None, found.value, found.key)?, give)?;
            } else {
                counts.documents += 1;
                self.document_row.truncate(self.prefix_len);
                self.document_row.extend_from_slice(key);
                follow(sight, &self.judge, found, key, &self.document_row, give)?;
            }
            if room.is_full() || *self.limit_left == Some(0) || !room.may_read(counts) {
                return Ok(Some(found.key.to_vec()));
            }
        }
        Ok(None)
    }
}

/// Reads the document at `row`, which the row `found` of an index leads to.
fn follow(
    sight: &mut Sight<'_>,
    judge: &Judge<'_>,
    found: LentRow<'_>,
    key: &[u8],
    row: &[u8],
    give: impl FnOnce(RowRef<'_>),
) -> Result<()> {
    let read = sight.base.lend(sight.overlay, sight.reads, row, |value| {
        judge.row(RowRef::decode(key, None, value, row)?, give)
    })?;
    match read {
        Some(read) => read,
        // It has expired since the row of the index was looked at.
        None if found.expires_at != 0 && found.expires_at <= sight.base.now_ms() => Ok(()),
        None => Err(damaged("a document row", row, "an index leads to it, and it is missing")),
    }
}
