//! Walks the point entries of a table, forward and backward.
//!
//! It holds the index partition and the data block that it stands in, and reads ahead once its blocks follow each
//! other, so that a long scan costs few reads and bounded memory.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::block::DataBlock;
use super::cursor::Cursor;
use super::index::IndexBlock;
use super::reader::{Role, Table, as_data};
use super::{Damage, Decoded, Handle};
use crate::error::Result;
use crate::iter::InternalIterator;
use crate::key::{EntryRef, Kind, NEVER_EXPIRES, SEQNO_MAX, SeqNo};

/// The first readahead of a scan, doubled with every further one.
const READAHEAD_BYTES_MIN: u64 = 16 << 10;

/// The largest readahead, and that of compaction from the start.
const READAHEAD_BYTES_MAX: u64 = 256 << 10;

/// An iterator over the point entries of one table.
pub(crate) struct TableIterator {
    table: Arc<Table>,
    through_cache: bool,
    place: Option<Place>,
    cursor: Cursor,
    readahead: Readahead,
}

/// The data block that the iterator stands in, and the way to its neighbours.
struct Place {
    top: Index,
    /// The partition, as a position in the top index.
    partition_at: usize,
    partition: Index,
    /// The data block, as a position in the partition.
    block_at: usize,
    block: Arc<DataBlock>,
    handle: Handle,
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
        Ok(Some(Self { block: table.partition(handle)?, role: Role::IndexPartition, handle }))
    }

    fn handle_at(&self, table: &Table, at: usize) -> Result<Option<Handle>> {
        let entry = self.block.entry(at).map_err(|damage| table.damaged(damage, self.role, self.handle))?;
        Ok(entry.map(|entry| entry.handle))
    }

    fn find(&self, table: &Table, key: &[u8], seqno: SeqNo) -> Result<usize> {
        self.block.find(key, seqno).map_err(|damage| table.damaged(damage, self.role, self.handle))
    }

    /// The position where a movement in the direction `step` begins.
    fn end(&self, step: Step) -> usize {
        if step == Step::Forward { 0 } else { self.block.len().wrapping_sub(1) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Forward,
    Backward,
}

impl TableIterator {
    pub(super) fn new(table: Arc<Table>, through_cache: bool) -> Self {
        let window = if through_cache { 0 } else { READAHEAD_BYTES_MAX };
        let readahead = Readahead { window, ..Readahead::default() };
        Self { table, through_cache, place: None, cursor: Cursor::default(), readahead }
    }

    /// Stands in the first block whose separator is at or above `(key, seqno)`, or returns `false` if there is none.
    fn place_at(&mut self, key: &[u8], seqno: SeqNo) -> Result<bool> {
        let top = Index::top(&self.table)?;
        let at = top.find(&self.table, key, seqno)?;
        let Some(partition) = top.below(&self.table, at)? else { return Ok(false) };
        let block_at = partition.find(&self.table, key, seqno)?;
        if block_at == partition.block.len() {
            let damage = Damage("it ends before the separator that the top index gives it");
            return Err(self.table.damaged(damage, partition.role, partition.handle));
        }
        self.enter(top, at, partition, block_at, Step::Forward)
    }

    /// Stands in the first or the last block, or returns `false` if there is none.
    fn place_at_end(&mut self, step: Step) -> Result<bool> {
        let top = Index::top(&self.table)?;
        let at = top.end(step);
        self.enter_partition(top, at, step)
    }

    /// Moves to the neighbouring block, or returns `false` if there is none.
    fn place_beside(&mut self, step: Step) -> Result<bool> {
        let Some(Place { top, partition_at, partition, block_at, .. }) = self.place.take() else {
            return Ok(false);
        };
        // Below 0 wraps around to a position that no entry has.
        let moved = |at: usize| if step == Step::Forward { at + 1 } else { at.wrapping_sub(1) };
        if moved(block_at) < partition.block.len() {
            return self.enter(top, partition_at, partition, moved(block_at), step);
        }
        self.enter_partition(top, moved(partition_at), step)
    }

    fn enter_partition(&mut self, top: Index, at: usize, step: Step) -> Result<bool> {
        let Some(partition) = top.below(&self.table, at)? else { return Ok(false) };
        let block_at = partition.end(step);
        self.enter(top, at, partition, block_at, step)
    }

    fn enter(
        &mut self,
        top: Index,
        partition_at: usize,
        partition: Index,
        block_at: usize,
        step: Step,
    ) -> Result<bool> {
        let Some(handle) = partition.handle_at(&self.table, block_at)? else {
            return Err(self.table.damaged(Damage("it has no entries"), partition.role, partition.handle));
        };
        let block = self.load(handle, step)?;
        self.place = Some(Place { top, partition_at, partition, block_at, block, handle });
        Ok(true)
    }

    fn load(&mut self, handle: Handle, step: Step) -> Result<Arc<DataBlock>> {
        if self.through_cache
            && let Some(block) = self.table.cache().get(self.table.number(), handle.offset)
        {
            return as_data(&block).cloned();
        }
        self.table.check_bounds(handle, Role::Data)?;
        let frame = self.readahead.frame(&self.table, handle, step)?;
        let block = self.table.parse(frame, handle, Role::Data)?;
        if self.through_cache {
            self.table.cache().insert(self.table.number(), handle.offset, block.clone());
        }
        as_data(&block).cloned()
    }

    /// Runs `movement` on the cursor in the current block.
    fn in_block(&mut self, movement: impl FnOnce(&mut Cursor, &DataBlock) -> Decoded<()>) -> Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        movement(&mut self.cursor, &place.block).map_err(|damage| {
            self.cursor.clear();
            self.table.damaged(damage, Role::Data, place.handle)
        })
    }

    /// Moves on to the following block until the cursor stands on an entry.
    fn settle(&mut self, step: Step) -> Result<()> {
        while !self.cursor.is_valid() && self.place_beside(step)? {
            match step {
                Step::Forward => self.in_block(Cursor::seek_to_first)?,
                Step::Backward => self.in_block(Cursor::seek_to_last)?,
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.place = None;
        self.cursor.clear();
    }
}

impl InternalIterator for TableIterator {
    fn is_valid(&self) -> bool {
        self.cursor.is_valid()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.leave();
        if self.place_at_end(Step::Forward)? {
            self.in_block(Cursor::seek_to_first)?;
        }
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.leave();
        if self.place_at_end(Step::Backward)? {
            self.in_block(Cursor::seek_to_last)?;
        }
        Ok(())
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        self.leave();
        if self.place_at(key, seqno)? {
            self.in_block(|cursor, block| cursor.seek(block, key, seqno))?;
            // Between the last entry of a block and its separator there is nothing: the next block begins above.
            self.settle(Step::Forward)?;
        }
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.leave();
        if !self.place_at(key, SEQNO_MAX)? {
            return self.seek_to_last();
        }
        self.in_block(|cursor, block| cursor.seek_before(block, key))?;
        self.settle(Step::Backward)
    }

    fn next(&mut self) -> Result<()> {
        self.in_block(Cursor::next)?;
        self.settle(Step::Forward)
    }

    fn prev(&mut self) -> Result<()> {
        self.in_block(Cursor::prev)?;
        self.settle(Step::Backward)
    }

    fn entry(&self) -> EntryRef<'_> {
        let entry = self.place.as_ref().and_then(|place| self.cursor.entry(&place.block));
        debug_assert!(entry.is_some(), "the iterator must be valid");
        const NONE: EntryRef<'_> =
            EntryRef { key: &[], seqno: 0, kind: Kind::Tombstone, expires_at: NEVER_EXPIRES, value: &[] };
        entry.unwrap_or(NONE)
    }
}

/// Reads blocks that follow each other many at a time.
#[derive(Default)]
struct Readahead {
    /// Where `bytes` begin in the file.
    start: u64,
    bytes: Vec<u8>,
    /// How much the next read takes at least; 0 until the blocks are seen to follow each other.
    window: u64,
    /// The block that was wanted last.
    last: Handle,
}

impl Readahead {
    /// The bytes of the block at `handle`, which lies within the file.
    fn frame(&mut self, table: &Table, handle: Handle, step: Step) -> Result<Vec<u8>> {
        let last = std::mem::replace(&mut self.last, handle);
        if let Some(frame) = self.buffered(handle) {
            return Ok(frame.to_vec());
        }
        let follows = match step {
            Step::Forward => last.end() == handle.offset,
            Step::Backward => handle.end() == last.offset,
        };
        if follows && last.len > 0 {
            self.window = (self.window * 2).clamp(READAHEAD_BYTES_MIN, READAHEAD_BYTES_MAX);
        }
        if self.window <= u64::from(handle.len) {
            let mut frame = vec![0; handle.len as usize];
            table.file().read_exact_at(handle.offset, &mut frame)?;
            return Ok(frame);
        }
        let (start, end) = match step {
            Step::Forward => (handle.offset, (handle.offset + self.window).min(table.blocks_end())),
            Step::Backward => (handle.end().saturating_sub(self.window), handle.end()),
        };
        self.bytes.clear();
        self.bytes.resize((end - start) as usize, 0);
        self.start = start;
        if let Err(error) = table.file().read_exact_at(start, &mut self.bytes) {
            self.bytes.clear();
            return Err(error);
        }
        Ok(self.buffered(handle).unwrap_or_default().to_vec())
    }

    fn buffered(&self, handle: Handle) -> Option<&[u8]> {
        let start = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(handle.len as usize)?)
    }
}
