//! The tables of one level below 0 as one stream; a table is opened when the stream reaches it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{TableHandle, Version};
use crate::error::Result;
use crate::iter::{InternalIterator, Travel};
use crate::key::{EntryRef, SEQNO_MAX, SeqNo};
use crate::range_tombstone::Hole;
use crate::sstable::TableIterator;
use crate::times::Times;

/// Walks disjoint tables in key order.
pub(crate) struct LevelIterator {
    tables: Tables,
    /// The table that `current` walks.
    at: usize,
    current: Option<TableIterator>,
    through_cache: bool,
    /// See [`LevelIterator::within`].
    times: Option<Times>,
}

/// The tables of one level, disjoint and in key order. A read names the level, so that its cost does not grow with
/// the number of tables.
enum Tables {
    Level(Arc<Version>, usize),
    Listed(Vec<Arc<TableHandle>>),
}

impl Tables {
    fn as_slice(&self) -> &[Arc<TableHandle>] {
        match self {
            Self::Level(version, level) => version.level(*level),
            Self::Listed(tables) => tables,
        }
    }
}

impl LevelIterator {
    /// The entries of a level of `version` below 0.
    pub(crate) fn new(version: Arc<Version>, level: usize) -> Self {
        Self { tables: Tables::Level(version, level), at: 0, current: None, through_cache: true, times: None }
    }

    /// The entries of `tables`, for a compaction: it reads every block once and would only fill the cache.
    pub(crate) fn new_uncached(tables: Vec<Arc<TableHandle>>) -> Self {
        Self { tables: Tables::Listed(tables), at: 0, current: None, through_cache: false, times: None }
    }

    /// The iterator, passing over the blocks and tables that hold no record within `times`: what is said of that in
    /// [`TableIterator`]'s file holds for the level as well.
    pub(crate) fn within(self, times: Times) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Opens the table at `at`; off the end where there is none.
    fn enter(&mut self, at: usize) -> Result<Option<&mut TableIterator>> {
        if self.current.is_none() || self.at != at {
            self.current = None;
            let Some(handle) = self.tables.as_slice().get(at) else { return Ok(None) };
            let table = handle.open()?;
            let entries = if self.through_cache { table.iter() } else { table.iter_uncached() };
            self.current = Some(match self.times {
                Some(times) => entries.within(times),
                None => entries,
            });
            self.at = at;
        }
        Ok(self.current.as_mut())
    }

    fn leave(&mut self) {
        self.current = None;
    }

    /// Moves on to the following tables while the current one has no more entries.
    fn skip_forward(&mut self) -> Result<()> {
        while self.current.as_ref().is_some_and(|table| !table.is_valid()) {
            let following = self.at + 1;
            self.leave();
            if let Some(table) = self.enter(following)? {
                table.seek_to_first()?;
            }
        }
        Ok(())
    }

    /// Moves on to the preceding tables while the current one has no more entries.
    fn skip_backward(&mut self) -> Result<()> {
        while self.current.as_ref().is_some_and(|table| !table.is_valid()) {
            let at = self.at;
            self.leave();
            if at == 0 {
                return Ok(());
            }
            if let Some(table) = self.enter(at - 1)? {
                table.seek_to_last()?;
            }
        }
        Ok(())
    }

    /// Moves within the current table, and by `skip` to another one where it ends.
    #[inline]
    fn step(
        &mut self,
        step: impl FnOnce(&mut TableIterator) -> Result<()>,
        skip: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let Some(table) = &mut self.current else { return Ok(()) };
        let moved = step(table);
        if moved.is_ok() && table.is_valid() {
            return Ok(());
        }
        self.guarded(|level| moved.and_then(|()| skip(level)))
    }

    /// The first table from `at` on that is not wholly hidden by the deletion of `hole`; a place off the ends where
    /// there is none.
    fn behind_hole(&self, mut at: usize, hole: &Hole<'_>, travel: Travel) -> usize {
        let tables = self.tables.as_slice();
        while let Some(handle) = tables.get(at) {
            let is_within = match travel {
                Travel::Forward => handle.ends_before(hole.end),
                Travel::Backward => handle.meta().smallest.as_slice() >= hole.start,
            };
            if !is_older(handle, hole) || !is_within {
                return at;
            }
            // Below 0 wraps around to a place that no table has.
            at = if travel == Travel::Forward { at + 1 } else { at.wrapping_sub(1) };
        }
        usize::MAX
    }

    /// Moves to the first entry behind `hole`, or of a table that may have newer ones, in the table `at`, which
    /// [`LevelIterator::behind_hole`] gave, or behind it in the direction of travel.
    fn enter_behind(&mut self, at: usize, hole: &Hole<'_>, travel: Travel) -> Result<()> {
        let reaches_beyond = self.tables.as_slice().get(at).is_some_and(|handle| is_older(handle, hole));
        let Some(table) = self.enter(at)? else { return Ok(()) };
        match (travel, reaches_beyond) {
            (_, true) => table.seek_out_of(hole, travel)?,
            (Travel::Forward, false) => table.seek_to_first()?,
            (Travel::Backward, false) => table.seek_to_last()?,
        }
        match travel {
            Travel::Forward => self.skip_forward(),
            Travel::Backward => self.skip_backward(),
        }
    }

    /// The table in which a seek to `key` begins; a place off the ends where there is none.
    fn table_for(&self, key: &[u8], travel: Travel) -> usize {
        let tables = self.tables.as_slice();
        match travel {
            Travel::Forward => tables.partition_point(|table| table.ends_before(key)),
            Travel::Backward => {
                tables.partition_point(|table| table.meta().smallest.as_slice() < key).wrapping_sub(1)
            }
        }
    }

    /// Runs a movement; after an error the stream is off the end.
    fn guarded(&mut self, movement: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let moved = movement(self);
        if moved.is_err() {
            self.leave();
        }
        moved
    }
}

/// Whether every entry of the table is older than the deletion of `hole`.
fn is_older(table: &TableHandle, hole: &Hole<'_>) -> bool {
    table.meta().seqno_max < hole.deleted_at
}

impl InternalIterator for LevelIterator {
    #[inline]
    fn is_valid(&self) -> bool {
        self.current.as_ref().is_some_and(InternalIterator::is_valid)
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.guarded(|level| {
            level.leave();
            if let Some(table) = level.enter(0)? {
                table.seek_to_first()?;
            }
            level.skip_forward()
        })
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.guarded(|level| {
            level.leave();
            let Some(last) = level.tables.as_slice().len().checked_sub(1) else { return Ok(()) };
            if let Some(table) = level.enter(last)? {
                table.seek_to_last()?;
            }
            level.skip_backward()
        })
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        self.guarded(|level| {
            let at = level.table_for(key, Travel::Forward);
            if let Some(table) = level.enter(at)? {
                table.seek(key, seqno)?;
            }
            level.skip_forward()
        })
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.guarded(|level| {
            let at = level.table_for(key, Travel::Backward);
            if let Some(table) = level.enter(at)? {
                table.seek_before(key)?;
            }
            level.skip_backward()
        })
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        self.step(TableIterator::next, Self::skip_forward)
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        self.step(TableIterator::prev, Self::skip_backward)
    }

    /// The versions of one key are never divided between tables.
    #[inline]
    fn next_user_key(&mut self) -> Result<()> {
        self.step(TableIterator::next_user_key, Self::skip_forward)
    }

    #[inline]
    fn is_only_version(&self) -> bool {
        self.current.as_ref().is_some_and(InternalIterator::is_only_version)
    }

    #[inline]
    fn is_in_run(&self) -> bool {
        self.current.as_ref().is_some_and(InternalIterator::is_in_run)
    }

    /// Tables that lie in the hole are passed over without being opened.
    fn seek_in_hole(&mut self, key: &[u8], hole: &Hole<'_>, travel: Travel) -> Result<()> {
        let first = self.table_for(key, travel);
        let at = self.behind_hole(first, hole, travel);
        let is_newer =
            at == first && self.tables.as_slice().get(at).is_some_and(|table| !is_older(table, hole));
        match travel {
            Travel::Forward if is_newer => self.seek(key, SEQNO_MAX),
            Travel::Backward if is_newer => self.seek_before(key),
            _ => self.guarded(|level| level.enter_behind(at, hole, travel)),
        }
    }

    /// Tables that lie in the hole are passed over without being opened.
    fn leave_hole(&mut self, hole: &Hole<'_>, travel: Travel) -> Result<bool> {
        if self.tables.as_slice().get(self.at).is_some_and(|table| !is_older(table, hole)) {
            return Ok(false);
        }
        let at = self.behind_hole(self.at, hole, travel);
        self.guarded(|level| level.enter_behind(at, hole, travel))?;
        Ok(true)
    }

    fn begin_run(&mut self, bound: &[u8], travel: Travel) {
        if let Some(table) = &mut self.current {
            table.begin_run(bound, travel);
        }
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        self.current.as_ref().expect("the caller checked is_valid").entry()
    }
}
