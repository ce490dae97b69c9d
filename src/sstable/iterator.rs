//! Walks the point entries of a table, forward and backward.
//!
//! It holds the index partition and the data block that it stands in, and reads ahead once its blocks follow each
//! other.
//!
//! An iterator within a span of time passes over the blocks that hold no record of that time, without reading them. What
//! it gives is then every entry of the blocks that are left. That no version of a row is missed, so long as the row's
//! time is within the span, follows from the time being a part of the key: every entry of the row, tombstones among
//! them, has that time, so none of the blocks with such an entry is passed over. Of other rows it may give some versions and
//! not others, so whoever uses it must leave those rows out. Range tombstones are in no data block and always apply.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use super::data_block::{DataBlock, Slot};
use super::index::IndexBlock;
use super::readahead::{Readahead, Step};
use super::reader::{Role, Table, as_data};
use super::{Damage, Handle};
use crate::error::{Error, Result};
use crate::iter::{InternalIterator, Travel};
use crate::key::{EntryRef, SEQNO_MAX, SeqNo};
use crate::range_tombstone::Hole;
use crate::times::Times;

/// An iterator over the point entries of one table.
pub(crate) struct TableIterator {
    table: Arc<Table>,
    through_cache: bool,
    /// Blocks without a record of this time are passed over.
    within: Option<Times>,
    place: Option<Place>,
    readahead: Readahead,
    /// The entries of the block of `place` that are left alone by [`InternalIterator::begin_run`]'s bound; empty
    /// where nothing is known.
    run: Range<usize>,
}

/// The entry that the iterator stands on, and the way to the neighbours of its block.
struct Place {
    block: DataBlock,
    /// The entry, as a position in the block; below `len`.
    at: usize,
    /// The entry itself.
    slot: Slot,
    /// How many entries the block has.
    len: usize,
    top: Index,
    /// The partition, as a position in the top index.
    partition_at: usize,
    partition: Index,
    /// The data block, as a position in the partition.
    block_at: usize,
}

impl Place {
    /// Moves to the following entry of the block, of which there is one.
    #[inline]
    fn step(&mut self) {
        self.at += 1;
        self.slot = self.block.slot_behind(&self.slot);
    }
}

/// An index block, with what its damage would be told as.
struct Index {
    block: Arc<IndexBlock>,
    role: Role,
    handle: Handle,
}

impl Index {
    fn top(table: &Table) -> Result<Self> {
        Ok(Self { block: table.top_index()?, role: Role::TopIndex, handle: table.footer().top_index })
    }

    /// The partition that the entry `at` of the top index points to, or `None` off its ends.
    fn below(&self, table: &Table, at: usize) -> Result<Option<Self>> {
        let Some(handle) = self.handle_at(table, at)? else { return Ok(None) };
        Ok(Some(Self { block: table.partition(at, handle)?, role: Role::IndexPartition, handle }))
    }

    fn handle_at(&self, table: &Table, at: usize) -> Result<Option<Handle>> {
        self.block.handle(at).map_err(|damage| table.damaged(damage, self.role, self.handle))
    }

    /// Whether the block of the entry `at` may end with a key that goes on in the next one.
    fn divides_a_key(&self, at: usize) -> bool {
        // A separator has a seqno only where blocks divide the versions of a key.
        !matches!(self.block.entry(at), Ok(Some(entry)) if entry.seqno == 0)
    }

    /// Whether the block of the entry `at` has to be read by an iterator `within` a span of time.
    fn may_hold(&self, table: &Table, at: usize, within: Option<Times>) -> Result<bool> {
        let Some(wanted) = within.filter(|_| at < self.block.len()) else { return Ok(true) };
        let times = self.block.times(at).map_err(|damage| table.damaged(damage, self.role, self.handle))?;
        Ok(times.is_some_and(|times| times.overlaps(wanted)))
    }

    /// The first position from `at` on in the direction `step` whose block has to be read, or one off the end.
    fn pass(&self, table: &Table, mut at: usize, step: Step, within: Option<Times>) -> Result<usize> {
        while at < self.block.len() && !self.may_hold(table, at, within)? {
            at = step.from(at);
        }
        Ok(at)
    }

    fn find(&self, table: &Table, key: &[u8], seqno: SeqNo) -> Result<usize> {
        self.block.find(key, seqno).map_err(|damage| table.damaged(damage, self.role, self.handle))
    }

    /// The position where a movement in the direction `step` begins.
    fn end(&self, step: Step) -> usize {
        if step == Step::Forward { 0 } else { self.block.len().wrapping_sub(1) }
    }
}

impl TableIterator {
    pub(super) fn new(table: Arc<Table>, through_cache: bool) -> Self {
        let readahead = if through_cache { Readahead::default() } else { Readahead::eager() };
        Self { table, through_cache, within: None, place: None, readahead, run: 0..0 }
    }

    /// The iterator, passing over the blocks that hold no record within `times`.
    pub(crate) fn within(self, times: Times) -> Self {
        Self { within: Some(times), ..self }
    }

    /// Stands in the first block whose separator is at or above `(key, seqno)`, if there is one, on the entry that
    /// `choose` names: one below 0 or behind the last is in the neighbouring block. Where that block is passed over, or there
    /// is none, it stands on the nearest entry in the direction `step` instead, if there is one.
    fn place_at(
        &mut self,
        key: &[u8],
        seqno: SeqNo,
        step: Step,
        choose: impl FnOnce(&DataBlock) -> Chosen,
    ) -> Result<()> {
        self.leave();
        let top = Index::top(&self.table)?;
        let partition_at = top.find(&self.table, key, seqno)?;
        if !top.may_hold(&self.table, partition_at, self.within)? {
            return self.enter_partition(top, step.from(partition_at), step);
        }
        let Some(partition) = top.below(&self.table, partition_at)? else {
            // Every entry is below.
            return if step == Step::Backward { self.place_at_end(step) } else { Ok(()) };
        };
        let block_at = partition.find(&self.table, key, seqno)?;
        if block_at == partition.block.len() {
            let damage = Damage("it ends before the separator that the top index gives it");
            return Err(self.table.damaged(damage, partition.role, partition.handle));
        }
        if !partition.may_hold(&self.table, block_at, self.within)? {
            return self.enter(top, partition_at, partition, block_at, step);
        }
        let block = self.load(&partition, block_at, Step::Forward)?;
        let (chosen, len) = (choose(&block), block.len());
        let at = if let Chosen::Here(at) = chosen { at } else { 0 };
        let slot = block.slot(at);
        if step == Step::Forward {
            block.warm_from(&slot);
        }
        self.place = Some(Place { block, at, slot, len, top, partition_at, partition, block_at });
        match chosen {
            Chosen::Here(_) => Ok(()),
            Chosen::Before => self.enter_beside(Step::Backward),
            Chosen::Behind => self.enter_beside(Step::Forward),
        }
    }

    /// Stands on the first entry of the table, or on the last for a step backward.
    fn place_at_end(&mut self, step: Step) -> Result<()> {
        self.leave();
        let top = Index::top(&self.table)?;
        let at = top.end(step);
        self.enter_partition(top, at, step)
    }

    /// Moves to the first entry of the following block, or the last of the preceding one; off the end if there is none.
    fn enter_beside(&mut self, step: Step) -> Result<()> {
        self.run = 0..0;
        let Some(Place { top, partition_at, partition, block_at, .. }) = self.place.take() else {
            return Ok(());
        };
        if step.from(block_at) < partition.block.len() {
            return self.enter(top, partition_at, partition, step.from(block_at), step);
        }
        self.enter_partition(top, step.from(partition_at), step)
    }

    /// Stands in the block at the end of the partition `at` where a movement begins, or behind it in the direction `step`.
    fn enter_partition(&mut self, top: Index, mut at: usize, step: Step) -> Result<()> {
        loop {
            at = top.pass(&self.table, at, step, self.within)?;
            let Some(partition) = top.below(&self.table, at)? else { return Ok(()) };
            let block_at = partition.pass(&self.table, partition.end(step), step, self.within)?;
            if block_at < partition.block.len() || partition.block.len() == 0 {
                return self.stand_in(top, at, partition, block_at, step);
            }
            at = step.from(at);
        }
    }

    /// Stands in the block `block_at`, or behind it in the direction `step`.
    fn enter(
        &mut self,
        top: Index,
        partition_at: usize,
        partition: Index,
        block_at: usize,
        step: Step,
    ) -> Result<()> {
        let block_at = partition.pass(&self.table, block_at, step, self.within)?;
        if block_at >= partition.block.len() {
            return self.enter_partition(top, step.from(partition_at), step);
        }
        self.stand_in(top, partition_at, partition, block_at, step)
    }

    fn stand_in(
        &mut self,
        top: Index,
        partition_at: usize,
        partition: Index,
        block_at: usize,
        step: Step,
    ) -> Result<()> {
        let block = self.load(&partition, block_at, step)?;
        block.warm();
        let len = block.len();
        let at = if step == Step::Forward { 0 } else { len - 1 };
        let slot = block.slot(at);
        self.place = Some(Place { block, at, slot, len, top, partition_at, partition, block_at });
        Ok(())
    }

    fn load(&mut self, partition: &Index, block_at: usize, step: Step) -> Result<DataBlock> {
        let table = &self.table;
        let Some(handle) = partition.handle_at(table, block_at)? else {
            return Err(table.damaged(Damage("it has no entries"), partition.role, partition.handle));
        };
        let spot = partition.block.spots().map(|spots| (spots, block_at));
        if self.through_cache {
            if let Some(block) = spot.and_then(|(spots, at)| table.cache().at_spot(spots, at)) {
                return Ok(block);
            }
            if let Some(block) = table.cache().get_at(table.number(), handle.offset, spot) {
                return as_data(&block).cloned();
            }
        }
        table.check_bounds(handle, Role::Data)?;
        let frame = self.readahead.frame(table, handle, step)?;
        let block = table.parse(frame, handle, Role::Data)?;
        if self.through_cache {
            table.cache().insert_at(table.number(), handle.offset, block.clone(), spot);
        }
        as_data(&block).cloned()
    }

    /// Moves to the first entry behind `hole` in the direction of travel.
    ///
    /// # Errors
    ///
    /// `Corruption` where the entries are out of order, so that it would still be in there: who leaves a hole again and
    /// again would never come to an end.
    pub(crate) fn seek_out_of(&mut self, hole: &Hole<'_>, travel: Travel) -> Result<()> {
        match travel {
            Travel::Forward => self.seek(hole.end, SEQNO_MAX)?,
            Travel::Backward => self.seek_before(hole.start)?,
        }
        let is_out = self.place.as_ref().is_none_or(|place| {
            let key = place.block.entry_of(&place.slot).key;
            if travel == Travel::Forward { key >= hole.end } else { key < hole.start }
        });
        if is_out {
            return Ok(());
        }
        self.leave();
        Err(Error::corruption(self.table.file().path(), "its entries are out of order"))
    }

    fn leave(&mut self) {
        self.place = None;
        self.run = 0..0;
    }
}

/// Which entry a search of a block leads to.
enum Chosen {
    Here(usize),
    /// The last one of the block before.
    Before,
    /// The first one of the block behind.
    Behind,
}

impl InternalIterator for TableIterator {
    #[inline]
    fn is_valid(&self) -> bool {
        self.place.is_some()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.place_at_end(Step::Forward)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.place_at_end(Step::Backward)
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        // Between the last entry of a block and its separator there is nothing: the next block begins above.
        self.place_at(key, seqno, Step::Forward, |block| match block.find(key, seqno) {
            at if at < block.len() => Chosen::Here(at),
            _ => Chosen::Behind,
        })
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.place_at(key, SEQNO_MAX, Step::Backward, |block| {
            match block.find(key, SEQNO_MAX).checked_sub(1) {
                Some(at) => Chosen::Here(at),
                None => Chosen::Before,
            }
        })
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        match &mut self.place {
            Some(place) if place.at + 1 < place.len => {
                place.step();
                Ok(())
            }
            _ => self.enter_beside(Step::Forward),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        match &mut self.place {
            Some(place) if place.at > 0 => {
                place.at -= 1;
                place.slot = place.block.slot(place.at);
                Ok(())
            }
            _ => self.enter_beside(Step::Backward),
        }
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        let place = self.place.as_ref().expect("the contract asks for a valid iterator");
        place.block.entry_of(&place.slot)
    }

    #[inline]
    fn next_user_key(&mut self) -> Result<()> {
        let Some(place) = &mut self.place else { return Ok(()) };
        while place.at + 1 < place.len {
            place.step();
            if !place.slot.continues() {
                return Ok(());
            }
        }
        if !place.partition.divides_a_key(place.block_at) {
            return self.enter_beside(Step::Forward);
        }
        let (block, last) = (place.block.clone(), place.len - 1);
        while self.place.as_ref().is_some_and(|place| place.block.key(place.at) == block.key(last)) {
            self.next()?;
        }
        Ok(())
    }

    #[inline]
    fn is_only_version(&self) -> bool {
        let Some(place) = &self.place else { return false };
        // What a key at the end of a block has in the next one is not known here.
        (1..place.len - 1).contains(&place.at)
            && !place.slot.continues()
            && !place.block.slot_behind(&place.slot).continues()
    }

    fn seek_in_hole(&mut self, key: &[u8], hole: &Hole<'_>, travel: Travel) -> Result<()> {
        match travel {
            _ if self.table.properties().seqno_max < hole.deleted_at => self.seek_out_of(hole, travel),
            Travel::Forward => self.seek(key, SEQNO_MAX),
            Travel::Backward => self.seek_before(key),
        }
    }

    fn leave_hole(&mut self, hole: &Hole<'_>, travel: Travel) -> Result<bool> {
        if self.table.properties().seqno_max >= hole.deleted_at {
            return Ok(false);
        }
        self.seek_out_of(hole, travel)?;
        Ok(true)
    }

    #[inline]
    fn is_in_run(&self) -> bool {
        self.place.as_ref().is_some_and(|place| self.run.contains(&place.at))
    }

    fn begin_run(&mut self, bound: &[u8], travel: Travel) {
        let Some(place) = &self.place else { return };
        let is_free = match travel {
            Travel::Forward => place.block.key(place.len - 1) < bound,
            Travel::Backward => place.block.key(0) > bound,
        };
        self.run = if is_free { 0..place.len } else { 0..0 };
    }
}
