//! The block cache: verified blocks of all tables, and large values, bounded by the bytes of memory that they take.
//!
//! Eviction is S3-FIFO (Yang et al., FIFO Queues are All You Need for Cache Eviction, SOSP 2023). A new block goes into
//! a small probation queue; only one that is asked for again there, or that comes back soon after it was dropped,
//! reaches the main queue. So a scan passes through a tenth of the cache and leaves the rest alone. Index and filter
//! blocks skip the probation: every read of their table needs them. A value that would take more than a small part of a
//! shard is not kept: those that are read once then push out little but each other.
//!
//! Invariant: a shard's queues name exactly the blocks of its map, and `used` is the sum of their charges, at most the
//! shard's capacity.
#![forbid(unsafe_code)]

mod queues;
#[cfg(all(test, schedules))]
mod schedules;

use std::sync::Arc;

use self::queues::{Blocks, Place};
use super::data_block::DataBlock;
use super::filter::FilterPage;
use super::index::IndexBlock;
use super::pins::Pins;
use super::spots::{Spots, USES_MAX};
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A shard is worth having from this capacity on; a smaller cache has fewer shards, so that large blocks fit.
const SHARD_BYTES_MIN: usize = 4 << 20;

/// The most shards. Two readers seldom want the same one of so many.
const SHARDS_MAX: usize = 64;

/// What a cached block takes besides its own bytes: its places in the map, a queue and the ghost list, and its counters.
const ENTRY_OVERHEAD_BYTES: usize = 224;

/// A large value takes at most one part in so many of a shard.
const VALUE_PART: usize = 8;

/// A verified block of a table, shared by the cache and whoever reads it.
#[derive(Clone)]
pub(crate) enum Block {
    /// Entries.
    Data(DataBlock),
    /// Separators and handles.
    Index(Arc<IndexBlock>),
    /// Lines of a filter.
    Filter(Arc<FilterPage>),
    /// A value of a value file, whole.
    Value(Arc<Vec<u8>>),
}

impl Block {
    fn charge(&self) -> usize {
        let bytes = match self {
            Self::Data(block) => block.charge(),
            Self::Index(block) => block.charge(),
            Self::Filter(page) => page.charge(),
            Self::Value(value) => value.capacity() + size_of::<Vec<u8>>(),
        };
        bytes + ENTRY_OVERHEAD_BYTES
    }

    fn skips_probation(&self) -> bool {
        matches!(self, Self::Index(_) | Self::Filter(_))
    }
}

/// What the cache has done and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CacheStats {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// What is pinned is part of it.
    pub(crate) used_bytes: u64,
    pub(crate) pinned_bytes: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) blocks: u64,
}

/// Index and filter blocks that tables hold by themselves take at most one part in so many of the capacity.
const PINNED_PART: usize = 2;

/// A sharded cache of blocks. With a capacity of 0 it holds nothing.
pub(crate) struct BlockCache {
    shards: Box<[Shard]>,
    capacity: usize,
    /// What open tables hold by themselves, which is taken off what the shards may hold.
    pinned: AtomicUsize,
    /// What they hold in all: the same, and what is beside the capacity.
    pins: Arc<Pins>,
}

/// In cache lines of its own (two, as processors fetch them in pairs), since every reader writes to its lock.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    blocks: RwLock<Blocks>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    /// A cache of at most `capacity` bytes, whose tables hold as much by themselves as its capacity allows.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::with_pins(capacity, usize::MAX)
    }

    /// A cache of at most `capacity` bytes, whose tables hold at most `pinned_bytes_max` by themselves.
    pub(crate) fn with_pins(capacity: usize, pinned_bytes_max: usize) -> Self {
        let count = if capacity == 0 { 0 } else { shards_for(capacity) };
        let shards = (0..count).map(|_| {
            let blocks = Blocks::new(capacity / count);
            Shard { blocks: RwLock::new(blocks), ..Shard::default() }
        });
        let pins = Arc::new(Pins::new(pinned_bytes_max));
        Self { shards: shards.collect(), capacity, pinned: AtomicUsize::new(0), pins }
    }

    /// Charges `bytes` for a block that a table wants to hold by itself, so that it needs no search to find it. False
    /// where too much is held like that already: the block is then to be kept here.
    pub(crate) fn pin(&self, bytes: usize) -> bool {
        if !self.pins.take(bytes) {
            return false;
        }
        let most = self.capacity / PINNED_PART;
        let add = |pinned: usize| pinned.checked_add(bytes).filter(|&pinned| pinned <= most);
        if self.pinned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            self.pins.give_back(bytes);
            return false;
        }
        self.share_capacity();
        true
    }

    /// Takes back the charges of a table that is closed.
    pub(crate) fn unpin(&self, bytes: usize) {
        self.pins.give_back(bytes);
        self.pinned.fetch_sub(bytes, Ordering::Relaxed);
        self.share_capacity();
    }

    /// Divides what is not pinned among the shards.
    fn share_capacity(&self) {
        for shard in &self.shards {
            let mut blocks = shard.blocks.write();
            blocks.capacity =
                self.capacity.saturating_sub(self.pinned.load(Ordering::Relaxed)) / self.shards.len();
            blocks.trim(0);
        }
    }

    /// What the tables hold by themselves.
    pub(crate) fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// The block at `offset` of the table `file`, if it is here.
    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<Block> {
        self.find(Place { file, offset }).map(|(block, _)| block)
    }

    /// The block at `place`, and whether readers find it at a spot.
    fn find(&self, place: Place) -> Option<(Block, bool)> {
        let shard = self.shard(place)?;
        let blocks = shard.blocks.read();
        let Some(cached) = blocks.map.get(&place) else {
            count_one(&shard.misses);
            return None;
        };
        count_one(&shard.hits);
        let uses = cached.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            // Lost updates between readers only make a used block look a little less used.
            cached.uses.store(uses + 1, Ordering::Relaxed);
        }
        Some((cached.block.clone(), cached.spot.is_some()))
    }

    /// The data block at the spot `at`. Where that has none, [`BlockCache::get_at`] may.
    #[inline]
    pub(crate) fn at_spot(&self, spots: &Spots, at: usize) -> Option<DataBlock> {
        let block = spots.get(at)?;
        if let Some(shard) = self.shards.get(at & self.shards.len().wrapping_sub(1)) {
            count_one(&shard.hits);
        }
        Some(block)
    }

    /// As [`BlockCache::get`]; a data block is at its `spot` from then on.
    pub(crate) fn get_at(&self, file: u64, offset: u64, spot: Option<(&Spots, usize)>) -> Option<Block> {
        let place = Place { file, offset };
        let (block, has_spot) = self.find(place)?;
        if let Some((spots, at)) = spot.filter(|_| !has_spot) {
            let mut blocks = self.shard(place)?.blocks.write();
            if let Some(cached) = blocks.map.get_mut(&place) {
                cached.settle(spots, at);
            }
        }
        Some(block)
    }

    /// Keeps `block`, unless it alone is larger than a shard or another reader was faster.
    pub(crate) fn insert(&self, file: u64, offset: u64, block: Block) {
        self.insert_at(file, offset, block, None);
    }

    /// As [`BlockCache::insert`], and readers find it at a spot.
    pub(crate) fn insert_at(&self, file: u64, offset: u64, block: Block, spot: Option<(&Spots, usize)>) {
        let place = Place { file, offset };
        if let Some(shard) = self.shard(place) {
            shard.blocks.write().insert(place, block, spot);
        }
    }

    /// Whether the block at `offset` of the table `file`, which is not here, had better be kept. A block that is asked for
    /// once is mostly not asked for again while it would be here, and to keep it costs more than to read it.
    pub(crate) fn admits(&self, file: u64, offset: u64) -> bool {
        let place = Place { file, offset };
        self.shard(place).is_some_and(|shard| shard.blocks.write().admits(place))
    }

    /// The value at `offset` of the value file `file`, if it is here. One that is too long to be is not looked for.
    pub(crate) fn value(&self, file: u64, offset: u64, len: u64) -> Option<Arc<Vec<u8>>> {
        if !self.has_room_for_value(len) {
            return None;
        }
        match self.get(file, offset)? {
            Block::Value(value) => Some(value),
            Block::Data(_) | Block::Index(_) | Block::Filter(_) => None,
        }
    }

    /// Keeps a verified value. Whoever reads it asks [`BlockCache::has_room_for_value`] first.
    pub(crate) fn insert_value(&self, file: u64, offset: u64, value: Arc<Vec<u8>>) {
        self.insert(file, offset, Block::Value(value));
    }

    /// Whether a value of `len` bytes is kept.
    pub(crate) fn has_room_for_value(&self, len: u64) -> bool {
        // By the capacity without what is pinned: that changes, and a value that was kept is still to be found.
        let shard = self.capacity / self.shards.len().max(1);
        len <= (shard / VALUE_PART) as u64 && shard > 0
    }

    /// Drops every block of the table or value file `file`, which has been deleted.
    pub(crate) fn evict_file(&self, file: u64) {
        for shard in &self.shards {
            shard.blocks.write().evict_file(file);
        }
    }

    /// What the cache has done and holds.
    pub(crate) fn stats(&self) -> CacheStats {
        let pinned = self.pinned.load(Ordering::Relaxed) as u64;
        let mut stats = CacheStats {
            capacity_bytes: self.capacity as u64,
            used_bytes: pinned,
            pinned_bytes: pinned,
            ..CacheStats::default()
        };
        for shard in &self.shards {
            stats.hits += shard.hits.load(Ordering::Relaxed);
            stats.misses += shard.misses.load(Ordering::Relaxed);
            let blocks = shard.blocks.read();
            stats.used_bytes += blocks.used as u64;
            stats.blocks += blocks.map.len() as u64;
        }
        stats
    }

    fn shard(&self, place: Place) -> Option<&Shard> {
        // The map uses the lowest and the highest bits of the same hash.
        let index = (place.hash() >> 40) as usize & self.shards.len().wrapping_sub(1);
        self.shards.get(index)
    }
}

/// Readers of one shard at the same moment may count as one: an exact count would cost each of them more than it tells.
fn count_one(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// A power of two, so that a mask chooses the shard.
fn shards_for(capacity: usize) -> usize {
    let wanted = (capacity / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
    1 << wanted.ilog2()
}

#[cfg(test)]
mod tests {
    use super::queues::Cached;
    use super::*;
    use crate::sstable::Handle;
    use crate::sstable::block::{DataBlockBuilder, unpack};
    use crate::sstable::index::{IndexBlockBuilder, IndexEntry};
    use crate::sstable::testing::{Random, Row};

    /// A data block that takes about `len` bytes and says in its value where it belongs.
    pub(super) fn block(file: u64, offset: u64, len: usize) -> Block {
        let mut value = [file.to_le_bytes(), offset.to_le_bytes()].concat();
        value.resize(len.max(16), 0);
        let mut builder = DataBlockBuilder::default();
        builder.add(b"", &Row::value("", 1, value).entry());
        Block::Data(unpack(builder.finish()).unwrap())
    }

    fn index(len: usize) -> Block {
        let mut builder = IndexBlockBuilder::default();
        let key = vec![1; len];
        builder.add(&IndexEntry { key: &key, seqno: 0, handle: Handle::default() }, None);
        Block::Index(Arc::new(IndexBlock::new(builder.finish()).unwrap()))
    }

    /// Whether the cache gives the block that belongs to the place.
    pub(super) fn has(cache: &BlockCache, file: u64, offset: u64) -> bool {
        match cache.get(file, offset) {
            None => false,
            Some(Block::Data(block)) => {
                let value = block.entry(0).value.to_vec();
                assert_eq!(value[..16], [file.to_le_bytes(), offset.to_le_bytes()].concat());
                true
            }
            Some(_) => true,
        }
    }

    pub(super) fn check_invariant(cache: &BlockCache) {
        for shard in &cache.shards {
            let blocks = shard.blocks.read();
            let charges = |in_main: Option<bool>| -> usize {
                let wanted = |cached: &&Cached| in_main.is_none_or(|in_main| cached.in_main == in_main);
                blocks.map.values().filter(wanted).map(|cached| cached.charge).sum()
            };
            assert!(blocks.used <= blocks.capacity);
            assert_eq!(blocks.used, charges(None));
            assert_eq!(blocks.probation_used, charges(Some(false)));
            assert_eq!(blocks.probation.len() + blocks.main.len(), blocks.map.len());
            for (queue, in_main) in [(&blocks.probation, false), (&blocks.main, true)] {
                assert!(queue.iter().all(|place| blocks.map[place].in_main == in_main));
            }
            assert!(blocks.ghosts.len() <= blocks.ghosts_max(), "the ghosts take memory too");
            assert!(blocks.remembered.len() <= blocks.ghosts.len());
            let mut remembered = blocks.remembered.iter();
            assert!(remembered.all(|(&place, ghost)| blocks.ghosts.contains(&(place, ghost.turn))));
        }
    }

    fn at(spots: &Spots, at: usize) -> bool {
        spots.get(at).is_some()
    }

    /// Who looks at a spot finds what the cache keeps, and nothing once it has gone.
    #[test]
    fn a_spot_holds_its_block_as_long_as_the_cache_does() {
        let cache = BlockCache::new(40 << 10);
        let spots = Spots::new(100);
        for place in 0..100 {
            cache.insert_at(1, place, block(1, place, 4000), Some((&spots, place as usize)));
            let kept = (0..100).filter(|&place| {
                cache.shards[0].blocks.read().map.contains_key(&Place { file: 1, offset: place })
            });
            let filled = (0..100).filter(|&place| at(&spots, place as usize));
            assert_eq!(kept.collect::<Vec<_>>(), filled.collect::<Vec<_>>());
        }
        assert!((5..10).contains(&spots.filled()));

        cache.evict_file(1);

        assert_eq!(spots.filled(), 0);
    }

    #[test]
    fn a_block_that_was_there_before_its_spot_is_put_there_when_it_is_found() {
        let (cache, spots) = (BlockCache::new(1 << 20), Spots::new(2));
        cache.insert(1, 7, block(1, 7, 100));
        assert!(cache.at_spot(&spots, 1).is_none());

        assert!(cache.get_at(1, 7, Some((&spots, 1))).is_some());

        assert!(cache.at_spot(&spots, 1).is_some());
        assert!(cache.at_spot(&spots, 0).is_none());
        assert!(cache.get_at(1, 8, Some((&spots, 0))).is_none());
        assert!(cache.at_spot(&spots, 9).is_none(), "there is no such spot");
        assert_eq!((cache.stats().hits, cache.stats().misses), (2, 1));
    }

    /// The cache isn't asked for a block that is found at its spot, and all the same it has to know that it is used.
    #[test]
    fn a_block_that_is_found_at_its_spot_stays() {
        let (cache, spots) = (BlockCache::new(64 << 10), Spots::new(1));
        cache.insert_at(1, 0, block(1, 0, 4000), Some((&spots, 0)));
        for place in 1..200 {
            assert!(cache.at_spot(&spots, 0).is_some(), "gone after {place} others");
            cache.insert(1, place, block(1, place, 4000));
        }
        check_invariant(&cache);
        assert!(cache.stats().blocks < 20);
    }

    #[test]
    fn a_full_cache_admits_a_block_the_third_time_that_it_is_asked_for() {
        let cache = BlockCache::new(1 << 20);
        assert!(cache.admits(1, 0), "there is room");
        (0..400).for_each(|place| cache.insert(1, place, block(1, place, 4000)));

        assert!(!cache.admits(2, 0) && !cache.admits(2, 1));
        assert!(!cache.admits(2, 0) && !cache.admits(2, 1));
        assert!(cache.admits(2, 0));
        cache.insert(2, 0, block(2, 0, 4000));

        assert!(has(&cache, 2, 0));
        (3..600).for_each(|file| assert!(!cache.admits(file, 0)));
        assert!(!cache.admits(2, 1), "that was long ago");
        check_invariant(&cache);
        assert!(!BlockCache::new(0).admits(1, 0));
    }

    /// The list of those that were asked for has a place for each block that is kept, and would be short here.
    #[test]
    fn a_shard_full_of_large_blocks_remembers_as_many_small_ones_as_it_could_hold() {
        let cache = BlockCache::new(1 << 20);
        (0..20).for_each(|place| cache.insert(1, place, block(1, place, 129_000)));
        assert!(cache.stats().blocks < 10);
        let ask = || (0..80).filter(|&place| cache.admits(2, place)).count();

        assert_eq!((ask(), ask(), ask()), (0, 0, 80));

        check_invariant(&cache);
    }

    #[test]
    fn the_cache_never_takes_more_than_its_capacity() {
        let mut random = Random::from_env();
        for capacity in [1 << 12, 1 << 16, 1 << 20, 9 << 20] {
            let cache = BlockCache::new(capacity);
            for _ in 0..4000 {
                let (file, offset) = (random.below(5), random.below(300));
                if !has(&cache, file, offset) {
                    let len = if random.one_in(50) { random.below(1 << 17) } else { random.below(8000) };
                    cache.insert(file, offset, block(file, offset, len as usize));
                }
                if random.one_in(500) {
                    cache.evict_file(random.below(5));
                }
            }
            check_invariant(&cache);
            assert!(cache.stats().used_bytes <= capacity as u64);
        }
    }

    #[test]
    fn a_cache_that_is_asked_for_more_than_it_holds_is_nearly_full() {
        for capacity in [1 << 16, 1 << 20, 9 << 20, 64 << 20] {
            let cache = BlockCache::new(capacity);
            let blocks = capacity as u64 / 1000;
            (0..blocks * 2).for_each(|offset| cache.insert(1, offset, block(1, offset, 1000)));

            assert!(cache.stats().used_bytes >= capacity as u64 / 10 * 9, "{:?}", cache.stats());
            check_invariant(&cache);
        }
    }

    #[test]
    fn a_scan_leaves_what_is_used_often() {
        let cache = BlockCache::new(1 << 20);
        let read = |offset: u64| {
            let hit = has(&cache, 1, offset);
            if !hit {
                cache.insert(1, offset, block(1, offset, 4000));
            }
            hit
        };
        for _ in 0..4 {
            (0..100).for_each(|hot| {
                read(hot);
            });
        }

        (1000..20_000).for_each(|once| {
            read(once);
        });

        let kept = (0..100).filter(|&hot| read(hot)).count();
        assert!(kept >= 95, "a scan left {kept} of 100 blocks that had been used");
        check_invariant(&cache);
    }

    #[test]
    fn index_and_filter_blocks_outlive_a_scan_although_used_once() {
        let cache = BlockCache::new(1 << 20);
        cache.insert(1, 0, index(30_000));

        for offset in 1..20_000 {
            cache.insert(1, offset, block(1, offset, 4000));
        }

        assert!(has(&cache, 1, 0));
    }

    #[test]
    fn a_block_that_comes_back_soon_is_kept() {
        let cache = BlockCache::new(1 << 20);
        let fill = |from: u64| (from..from + 300).for_each(|at| cache.insert(1, at, block(1, at, 4000)));
        fill(0);
        let gone = (0..300).find(|&at| !has(&cache, 1, at)).unwrap();
        cache.insert(1, gone, block(1, gone, 4000));

        fill(1000);

        assert!(has(&cache, 1, gone));
    }

    #[test]
    fn a_cache_without_capacity_holds_nothing_and_one_too_small_refuses() {
        let none = BlockCache::new(0);
        none.insert(1, 0, block(1, 0, 10));
        assert!(!has(&none, 1, 0));
        none.evict_file(1);
        assert_eq!(none.stats(), CacheStats::default());

        let small = BlockCache::new(1000);
        small.insert(1, 0, block(1, 0, 2000));
        small.insert(1, 1, block(1, 1, 100));
        assert!(!has(&small, 1, 0));
        assert!(has(&small, 1, 1), "a block too large for the cache pushed out another");
    }

    #[test]
    fn values_are_kept_up_to_a_part_of_a_shard_and_leave_the_blocks_that_are_used() {
        let cache = BlockCache::new(1 << 20);
        let most = (1 << 20) / VALUE_PART as u64;
        assert!(cache.has_room_for_value(most) && !cache.has_room_for_value(most + 1));
        assert!(!BlockCache::new(0).has_room_for_value(0));
        for _ in 0..3 {
            (0..100).for_each(|hot| {
                if !has(&cache, 1, hot) {
                    cache.insert(1, hot, block(1, hot, 4000));
                }
            });
        }

        for offset in 0..200 {
            cache.insert_value(2, offset, Arc::new(vec![offset as u8; most as usize / 2]));
        }
        let last = cache.value(2, 199, most / 2).unwrap();
        assert_eq!((last.len() as u64, last[0]), (most / 2, 199));

        let kept = (0..100).filter(|&hot| has(&cache, 1, hot)).count();
        assert!(kept >= 50, "values that were read once left {kept} of 100 blocks that had been used");
        assert_eq!(cache.value(1, 0, 10), None, "a block is no value");
        assert_eq!(cache.value(2, 199, most + 1), None);
        cache.evict_file(2);
        assert_eq!(cache.value(2, 199, most / 2), None);
        check_invariant(&cache);
    }

    #[test]
    fn dropping_a_file_gives_its_memory_back_and_leaves_the_others() {
        let cache = BlockCache::new(1 << 20);
        for file in 1..=2 {
            (0..50).for_each(|offset| cache.insert(file, offset, block(file, offset, 1000)));
        }
        let before = cache.stats();
        assert_eq!(before.blocks, 100);

        cache.evict_file(1);

        let after = cache.stats();
        assert_eq!(after.blocks, 50);
        assert_eq!(after.used_bytes * 2, before.used_bytes);
        assert!(!has(&cache, 1, 7) && has(&cache, 2, 7));
        check_invariant(&cache);
    }

    #[test]
    fn hits_and_misses_are_counted() {
        let cache = BlockCache::new(1 << 20);
        cache.insert(1, 0, block(1, 0, 10));
        assert!(has(&cache, 1, 0) && has(&cache, 1, 0) && !has(&cache, 1, 1));

        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.blocks, stats.capacity_bytes), (2, 1, 1, 1 << 20));
    }

    #[test]
    fn threads_get_the_blocks_of_the_places_they_ask_for() {
        let cache = BlockCache::new(9 << 20);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let cache = &cache;
                scope.spawn(move || {
                    for turn in 0..20_000u64 {
                        let (file, offset) = (turn % 3, (turn * (thread + 7)) % 4001);
                        if !has(cache, file, offset) {
                            cache.insert(file, offset, block(file, offset, 4000));
                        }
                        if turn % 5000 == 4999 {
                            cache.evict_file(file);
                        }
                    }
                });
            }
        });
        check_invariant(&cache);
    }
}
