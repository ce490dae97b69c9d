//! Reads one table: point lookups and iterators over verified blocks, which the block cache holds.
//!
//! Invariant: between calls a table keeps no blocks of its own but the range tombstones and, while the budget of all
//! tables has room for them, a small top index and those partitions and filter pages that it has pinned: the charge of
//! the latter is taken off the cache's capacity. So a read finds them without a search, and memory is bounded all the
//! same.
#![forbid(unsafe_code)]

mod near;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use super::block::{find_packed, unpack};
use super::cache::{Block, BlockCache};
use super::data_block::DataBlock;
use super::filter::{self, FilterPage, PAGE_LINES};
use super::footer::{FOOTER_BYTES, Footer};
use super::frame;
use super::index::IndexBlock;
use super::pins::Pinned;
use super::spots::Spots;
use super::{Damage, Decoded, Handle, Properties, TableIterator};
use crate::coding::{take_prefixed, take_varint};
use crate::error::{Code, Error, Result};
use crate::fs::File;
use crate::key::{EntryRef, SEQNO_MAX, SeqNo};
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::times::Times;

pub(crate) use near::Near;

/// The end of a table is read at once up to this size: mostly it holds all that opening needs.
const TAIL_BYTES: u64 = 8 << 10;

/// A top index of up to this size stays with its table; a larger one is in the cache like any other block.
const PINNED_TOP_BYTES_MAX: u32 = 16 << 10;

/// A longer data block is taken apart, also where it is not kept: most of it is the value.
const PACKED_BYTES_MAX: u32 = 64 << 10;

/// An entry, with the block that it lies in.
#[derive(Clone)]
pub(crate) struct TableEntry {
    block: DataBlock,
    index: usize,
}

impl TableEntry {
    /// The entry.
    pub(crate) fn entry(&self) -> EntryRef<'_> {
        self.block.entry(self.index)
    }
}

/// What is kept of the memory that frames are read into.
const FRAME_BYTES_KEPT: usize = 1 << 20;

crate::sync::thread_local! {
    /// Its length never falls but to give memory back, so that it is not cleared for each read.
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An open table.
pub(crate) struct Table {
    file: Arc<dyn File>,
    number: u64,
    size: u64,
    cache: Arc<BlockCache>,
    footer: Footer,
    properties: Properties,
    range_tombstones: Arc<RangeTombstones>,
    pinned_top: Option<Arc<IndexBlock>>,
    /// The partitions that are pinned, by their place in a pinned top index.
    partitions: Box<[OnceLock<Arc<IndexBlock>>]>,
    filter_pages: Box<[OnceLock<Arc<FilterPage>>]>,
    pinned_bytes: AtomicUsize,
    /// Counts the range tombstones and the top index.
    _pinned: Pinned,
}

/// What a block is read as; also the name that an error gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    TopIndex,
    IndexPartition,
    /// With so many lines.
    FilterPage(usize),
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "the data block",
            Self::TopIndex => "the top index",
            Self::IndexPartition => "the index partition",
            Self::FilterPage(_) => "the filter page",
        }
    }

    fn parse(self, payload: &[u8]) -> Decoded<Block> {
        Ok(match self {
            Self::Data => Block::Data(unpack(payload)?),
            Self::TopIndex | Self::IndexPartition => {
                Block::Index(Arc::new(IndexBlock::new(payload.to_vec())?))
            }
            Self::FilterPage(lines) => Block::Filter(Arc::new(FilterPage::new(payload.to_vec(), lines)?)),
        })
    }
}

impl Table {
    /// Opens the table `number` of `size` bytes in `file`: verifies its footer, properties and range tombstones.
    ///
    /// # Errors
    ///
    /// `Corruption` when any of them is damaged, `Version` when a newer FlowDB wrote the table, `Io` from the file.
    pub(crate) fn open(
        file: Arc<dyn File>,
        number: u64,
        size: u64,
        cache: Arc<BlockCache>,
    ) -> Result<Arc<Self>> {
        let actual = file.len()?;
        if actual != size || size < FOOTER_BYTES as u64 {
            let what = format!("the table should have {size} bytes, the file has {actual}");
            return Err(Error::corruption(file.path(), what));
        }
        let tail = Tail::read(&*file, size)?;
        let footer_at = size - FOOTER_BYTES as u64;
        let footer = Footer::decode(tail.last(FOOTER_BYTES), number, footer_at, file.path())?;
        let read = |handle: Handle, part: &str| tail.payload(&*file, number, handle, part);
        let damaged =
            |damage: Damage, part: &str, handle: Handle| damage.at(file.path(), part, handle.offset);

        let (handle, part) = (footer.properties, "the properties");
        let properties = Properties::decode(&read(handle, part)?).map_err(|d| damaged(d, part, handle))?;
        let (handle, part) = (footer.range_tombstones, "the range tombstones");
        let tombstones = if handle.len == 0 {
            Vec::new()
        } else {
            decode_range_tombstones(&read(handle, part)?).map_err(|d| damaged(d, part, handle))?
        };
        if tombstones.len() as u64 != properties.range_tombstones {
            return Err(damaged(Damage("their count is not that of the properties"), part, handle));
        }
        let mut pinned = cache.pins().hold(footer.range_tombstones.len as usize);
        let (handle, part) = (footer.top_index, Role::TopIndex.name());
        let pinned_top = if handle.len <= PINNED_TOP_BYTES_MAX {
            let block = IndexBlock::new(read(handle, part)?).map_err(|d| damaged(d, part, handle))?;
            let block = Arc::new(block);
            let has_room = pinned.grow(block.charge());
            if !has_room {
                cache.insert(number, handle.offset, Block::Index(Arc::clone(&block)));
            }
            has_room.then_some(block)
        } else {
            None
        };
        let partitions = unset(pinned_top.as_ref().map_or(0, |top| top.len()));
        let filter_pages = unset(footer.filter.pages());
        Ok(Arc::new(Self {
            file,
            number,
            size,
            cache,
            footer,
            properties,
            range_tombstones: Arc::new(RangeTombstones::new(&tombstones)),
            pinned_top,
            partitions,
            filter_pages,
            pinned_bytes: AtomicUsize::new(0),
            _pinned: pinned,
        }))
    }

    /// The newest entry of `key` at or below `seqno`; `hash` is the key's [`crate::key::hash_key`]. The table's range
    /// tombstones are not applied.
    pub(crate) fn get(&self, key: &[u8], hash: u64, seqno: SeqNo) -> Result<Option<TableEntry>> {
        let Some((smallest, largest)) = &self.properties.point_keys else { return Ok(None) };
        if key < &smallest[..] || key > &largest[..] || !self.filter_passes(hash)? {
            return Ok(None);
        }
        let top_in_cache;
        let top = match &self.pinned_top {
            Some(top) => top,
            None => {
                top_in_cache = self.load(self.footer.top_index, Role::TopIndex)?;
                as_index(&top_in_cache)?
            }
        };
        let damaged = |damage| self.damaged(damage, Role::TopIndex, self.footer.top_index);
        let at = top.find(key, seqno).map_err(damaged)?;
        let Some(handle) = top.handle(at).map_err(damaged)? else { return Ok(None) };
        let partition_in_cache;
        let partition = match self.partitions.get(at).and_then(OnceLock::get) {
            Some(partition) => partition,
            None => {
                partition_in_cache = self.load_partition(at, handle)?;
                &partition_in_cache
            }
        };
        // The separator of this block is at or above the wanted position. Either the block ends at or above it too, or
        // no entry of the key follows: where blocks divide a key, the separator is the last entry itself.
        let damaged = |damage| self.damaged(damage, Role::IndexPartition, handle);
        let at = partition.find(key, seqno).map_err(damaged)?;
        let spot = partition.spots().map(|spots| (spots, at));
        if let Some(block) = spot.and_then(|(spots, at)| self.cache.at_spot(spots, at)) {
            return Ok(found_in(block, key, seqno));
        }
        match partition.handle(at).map_err(damaged)? {
            Some(handle) => self.look_into(handle, spot, key, seqno),
            None => Ok(None),
        }
    }

    /// Whether a key of this hash may be in the table: `false` is certain. `true` where there is no filter.
    #[cfg(test)]
    pub(crate) fn may_contain(&self, hash: u64) -> Result<bool> {
        self.filter_passes(hash)
    }

    /// An iterator over the point entries, for reads of users: through the cache, with readahead once it is seen to
    /// move on.
    pub(crate) fn iter(self: &Arc<Self>) -> TableIterator {
        TableIterator::new(Arc::clone(self), true)
    }

    /// An iterator over the point entries that reads far ahead and leaves the cache alone, for compaction.
    pub(crate) fn iter_uncached(self: &Arc<Self>) -> TableIterator {
        TableIterator::new(Arc::clone(self), false)
    }

    /// Whether the table may hold a record of the span of time.
    pub(crate) fn may_hold_within(&self, times: Times) -> bool {
        self.properties.times.is_some_and(|held| held.overlaps(times))
    }

    /// The deletions of ranges that the table carries.
    pub(crate) fn range_tombstones(&self) -> &Arc<RangeTombstones> {
        &self.range_tombstones
    }

    /// What the table says of itself.
    pub(crate) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The number of the table's file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The length of the table's file, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Where the data that is not below `(key, seqno)` begins, exact to a data block: the offset of the first block
    /// that may hold some of it, or the size of the file where there is none.
    pub(crate) fn offset_of(&self, key: &[u8], seqno: SeqNo) -> Result<u64> {
        let top = self.top_index()?;
        let damaged = |damage| self.damaged(damage, Role::TopIndex, self.footer.top_index);
        let at = top.find(key, seqno).map_err(damaged)?;
        let Some(handle) = top.handle(at).map_err(damaged)? else { return Ok(self.size) };
        let partition = self.partition(at, handle)?;
        let damaged = |damage| self.damaged(damage, Role::IndexPartition, handle);
        let block = handle_for(&partition, key, seqno).map_err(damaged)?;
        // Bytes that would reach beyond the file are for whoever reads them to report.
        Ok(block.map_or(self.size, |block| block.offset.min(self.size)))
    }

    /// Looks for `(key, seqno)` in the data block at `handle`, which is at its `spot` from then on if the cache keeps it.
    fn look_into(
        &self,
        handle: Handle,
        spot: Option<(&Spots, usize)>,
        key: &[u8],
        seqno: SeqNo,
    ) -> Result<Option<TableEntry>> {
        let block = match self.cache.get_at(self.number, handle.offset, spot) {
            Some(block) => block,
            None if handle.len <= PACKED_BYTES_MAX && !self.cache.admits(self.number, handle.offset) => {
                let found = self.read_with(handle, Role::Data, |payload| find_packed(payload, key, seqno))?;
                return Ok(found.map(|block| TableEntry { block, index: 0 }));
            }
            None => {
                let block = self.read(handle, Role::Data)?;
                self.cache.insert_at(self.number, handle.offset, block.clone(), spot);
                block
            }
        };
        let Block::Data(block) = block else { return Err(mistaken()) };
        Ok(found_in(block, key, seqno))
    }

    /// Whether the filter lets `hash` pass.
    fn filter_passes(&self, hash: u64) -> Result<bool> {
        let place = self.footer.filter;
        if place.lines == 0 {
            return Ok(true);
        }
        let line = filter::line_of(hash, place.lines);
        let page_at = line / PAGE_LINES;
        let passes = |page: &FilterPage| page.may_contain(line % PAGE_LINES, hash, place.probes);
        let pin = self.filter_pages.get(page_at);
        if let Some(page) = pin.and_then(OnceLock::get) {
            return Ok(passes(page));
        }
        let (handle, lines) = place.page(page_at);
        let load = self.load_or_pin(handle, Role::FilterPage(lines), |block| match block {
            Block::Filter(page) => self.pin(pin, page, page.charge()),
            _ => false,
        });
        match load? {
            Block::Filter(page) => Ok(passes(&page)),
            _ => Err(mistaken()),
        }
    }

    /// The partition at `handle`, the entry `at` of the top index, from the cache or the file.
    fn load_partition(&self, at: usize, handle: Handle) -> Result<Arc<IndexBlock>> {
        let load = self.load_or_pin(handle, Role::IndexPartition, |block| match block {
            Block::Index(partition) => {
                let charge = partition.charge() + partition.spots_charge();
                let is_pinned = self.pin(self.partitions.get(at), partition, charge);
                if is_pinned {
                    partition.make_spots();
                }
                is_pinned
            }
            _ => false,
        });
        let block = load?;
        // The one that is pinned is the one with spots that count.
        match self.partitions.get(at).and_then(OnceLock::get) {
            Some(pinned) => Ok(Arc::clone(pinned)),
            None => as_index(&block).cloned(),
        }
    }

    /// Holds `block` in the table itself, if there is a place for it and the cache allows it.
    fn pin<T>(&self, place: Option<&OnceLock<Arc<T>>>, block: &Arc<T>, charge: usize) -> bool {
        let Some(place) = place.filter(|_| self.cache.pin(charge)) else { return false };
        match place.set(Arc::clone(block)) {
            Ok(()) => {
                self.pinned_bytes.fetch_add(charge, Ordering::Relaxed);
            }
            // Another reader was faster.
            Err(_) => self.cache.unpin(charge),
        }
        true
    }

    /// The top index, from memory or the file.
    pub(super) fn top_index(&self) -> Result<Arc<IndexBlock>> {
        if let Some(top) = &self.pinned_top {
            return Ok(Arc::clone(top));
        }
        let block = self.load(self.footer.top_index, Role::TopIndex)?;
        as_index(&block).cloned()
    }

    /// The index partition at `handle`, the entry `at` of the top index.
    pub(super) fn partition(&self, at: usize, handle: Handle) -> Result<Arc<IndexBlock>> {
        match self.partitions.get(at).and_then(OnceLock::get) {
            Some(partition) => Ok(Arc::clone(partition)),
            None => self.load_partition(at, handle),
        }
    }

    fn load(&self, handle: Handle, role: Role) -> Result<Block> {
        self.load_or_pin(handle, role, |_| false)
    }

    /// The block at `handle`. One that was read is kept by `pin`, or else by the cache.
    fn load_or_pin(&self, handle: Handle, role: Role, pin: impl FnOnce(&Block) -> bool) -> Result<Block> {
        if let Some(block) = self.cache.get(self.number, handle.offset) {
            return Ok(block);
        }
        let block = self.read(handle, role)?;
        if !pin(&block) {
            self.cache.insert(self.number, handle.offset, block.clone());
        }
        Ok(block)
    }

    /// Reads and verifies a block, around the cache.
    pub(super) fn read(&self, handle: Handle, role: Role) -> Result<Block> {
        self.read_with(handle, role, |payload| role.parse(payload))
    }

    /// As [`Table::read`], for what `parse` makes of the payload.
    fn read_with<T>(&self, handle: Handle, role: Role, parse: impl FnOnce(&[u8]) -> Decoded<T>) -> Result<T> {
        self.check_bounds(handle, role)?;
        let len = handle.len as usize;
        FRAME.with(|frame| {
            let mut frame = frame.borrow_mut();
            if frame.len() < len {
                frame.resize(len, 0);
            }
            let read = self.file.read_exact_at(handle.offset, &mut frame[..len]);
            let parsed = read.and_then(|()| self.parse_with(&frame[..len], handle, role, parse));
            if frame.len() > FRAME_BYTES_KEPT {
                *frame = Vec::new();
            }
            parsed
        })
    }

    /// Verifies a block whose frame has been read.
    pub(super) fn parse(&self, frame: &[u8], handle: Handle, role: Role) -> Result<Block> {
        self.parse_with(frame, handle, role, |payload| role.parse(payload))
    }

    fn parse_with<T>(
        &self,
        frame: &[u8],
        handle: Handle,
        role: Role,
        parse: impl FnOnce(&[u8]) -> Decoded<T>,
    ) -> Result<T> {
        frame::open_with(self.number, handle.offset, frame, parse)
            .map_err(|damage| self.damaged(damage, role, handle))
    }

    /// Before anything of its size is allocated: the block lies within the file.
    pub(super) fn check_bounds(&self, handle: Handle, role: Role) -> Result<()> {
        if handle.end() > self.blocks_end() {
            return Err(self.damaged(Damage("it would reach beyond the file"), role, handle));
        }
        Ok(())
    }

    /// Where the blocks end and the footer begins.
    pub(super) fn blocks_end(&self) -> u64 {
        self.size - FOOTER_BYTES as u64
    }

    pub(super) fn cache(&self) -> &BlockCache {
        &self.cache
    }

    pub(super) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The error for damage in a block of this table.
    pub(super) fn damaged(&self, damage: Damage, role: Role, handle: Handle) -> Error {
        damage.at(self.file.path(), role.name(), handle.offset)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let pinned = *self.pinned_bytes.get_mut();
        if pinned > 0 {
            self.cache.unpin(pinned);
        }
    }
}

fn found_in(block: DataBlock, key: &[u8], seqno: SeqNo) -> Option<TableEntry> {
    block.get(key, seqno).map(|index| TableEntry { block, index })
}

fn unset<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

/// The handle of the only block below `index` that may hold what a lookup of `(key, seqno)` wants.
fn handle_for(index: &IndexBlock, key: &[u8], seqno: SeqNo) -> Decoded<Option<Handle>> {
    index.handle(index.find(key, seqno)?)
}

/// The end of a table, read at once.
struct Tail {
    start: u64,
    bytes: Vec<u8>,
}

impl Tail {
    fn read(file: &dyn File, size: u64) -> Result<Self> {
        let len = size.min(TAIL_BYTES);
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(size - len, &mut bytes)?;
        Ok(Self { start: size - len, bytes })
    }

    fn last(&self, len: usize) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(len)..]
    }

    /// The payload of the block at `handle`, which the footer says lies before itself.
    fn payload(&self, file: &dyn File, number: u64, handle: Handle, part: &str) -> Result<Vec<u8>> {
        let within = handle.offset.checked_sub(self.start).and_then(|start| {
            let start = usize::try_from(start).ok()?;
            self.bytes.get(start..start.checked_add(handle.len as usize)?)
        });
        let mut beyond = Vec::new();
        let frame = match within {
            Some(frame) => frame,
            None => {
                beyond.resize(handle.len as usize, 0);
                file.read_exact_at(handle.offset, &mut beyond)?;
                &beyond
            }
        };
        frame::open(number, handle.offset, frame)
            .map_err(|damage| damage.at(file.path(), part, handle.offset))
    }
}

pub(super) fn decode_range_tombstones(mut input: &[u8]) -> Decoded<Vec<RangeTombstone>> {
    const DAMAGE: Damage = Damage("a range tombstone is damaged");
    let mut tombstones = Vec::new();
    while !input.is_empty() {
        let start = take_prefixed(&mut input).ok_or(DAMAGE)?.to_vec();
        let end = take_prefixed(&mut input).ok_or(DAMAGE)?.to_vec();
        let seqno = take_varint(&mut input).filter(|&seqno| seqno <= SEQNO_MAX).ok_or(DAMAGE)?;
        if start >= end {
            return Err(DAMAGE);
        }
        tombstones.push(RangeTombstone { start, end, seqno });
    }
    Ok(tombstones)
}

pub(super) fn as_data(block: &Block) -> Result<&DataBlock> {
    match block {
        Block::Data(block) => Ok(block),
        _ => Err(mistaken()),
    }
}

pub(super) fn as_index(block: &Block) -> Result<&Arc<IndexBlock>> {
    match block {
        Block::Index(block) => Ok(block),
        _ => Err(mistaken()),
    }
}

/// A place of a file holds one block of one role, so the cache can't give another.
fn mistaken() -> Error {
    Error::new(Code::Internal, "a cached block is not what its handle says: this is a defect of FlowDB")
}
