//! The block cache: verified blocks of all tables, bounded by the bytes of memory that they take.
//!
//! Eviction is S3-FIFO (Yang et al., FIFO Queues are All You Need for Cache Eviction, SOSP 2023). A new block goes into
//! a small probation queue; only one that is asked for again there, or that comes back soon after it was dropped,
//! reaches the main queue. So a scan passes through a tenth of the cache and leaves the rest alone. Index and filter
//! blocks skip the probation: every read of their table needs them.
//!
//! Invariant: a shard's queues name exactly the blocks of its map, and `used` is the sum of their charges, at most the
//! shard's capacity.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::RwLock;

use super::block::DataBlock;
use super::filter::FilterPage;
use super::index::IndexBlock;

/// A shard is worth having from this capacity on; a smaller cache has fewer shards, so that large blocks fit.
const SHARD_BYTES_MIN: usize = 4 << 20;

/// The most shards.
const SHARDS_MAX: usize = 16;

/// What a cached block takes besides its own bytes: its places in the map, a queue and the ghost list, and its counters.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// The probation queue holds one part in so many of a shard.
const PROBATION_PART: usize = 10;

/// How many uses are remembered.
const USES_MAX: u8 = 3;

/// A verified block of a table, shared by the cache and whoever reads it.
#[derive(Clone)]
pub(crate) enum Block {
    /// Entries.
    Data(Arc<DataBlock>),
    /// Separators and handles.
    Index(Arc<IndexBlock>),
    /// Lines of a filter.
    Filter(Arc<FilterPage>),
}

impl Block {
    fn charge(&self) -> usize {
        let bytes = match self {
            Self::Data(block) => block.charge(),
            Self::Index(block) => block.charge(),
            Self::Filter(page) => page.charge(),
        };
        bytes + ENTRY_OVERHEAD_BYTES
    }

    fn skips_probation(&self) -> bool {
        !matches!(self, Self::Data(_))
    }
}

/// What the cache has done and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CacheStats {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) used_bytes: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) blocks: u64,
}

/// A sharded cache of blocks. With a capacity of 0 it holds nothing.
pub(crate) struct BlockCache {
    shards: Box<[Shard]>,
    capacity: usize,
}

#[derive(Default)]
struct Shard {
    blocks: RwLock<Blocks>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The file and the offset of a block. File numbers are never reused, so a place never holds two blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: u64,
    offset: u64,
}

impl Place {
    fn hash(self) -> u64 {
        let mut hash = self.file.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.offset;
        hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        hash ^ (hash >> 32)
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64((*self).hash());
    }
}

/// Passes on a hash that is already one.
#[derive(Default)]
struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type BuildPassing = BuildHasherDefault<Passing>;

struct Cached {
    block: Block,
    charge: usize,
    uses: AtomicU8,
    in_main: bool,
}

#[derive(Default)]
struct Blocks {
    capacity: usize,
    map: HashMap<Place, Cached, BuildPassing>,
    probation: VecDeque<Place>,
    main: VecDeque<Place>,
    used: usize,
    probation_used: usize,
    /// Which blocks left the probation unused, oldest first: at most as many as the map has blocks.
    ghosts: VecDeque<Place>,
    ghost_set: HashSet<Place, BuildPassing>,
}

impl BlockCache {
    /// A cache of at most `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let count = if capacity == 0 { 0 } else { shards_for(capacity) };
        let shards = (0..count).map(|_| {
            let blocks = Blocks { capacity: capacity / count, ..Blocks::default() };
            Shard { blocks: RwLock::new(blocks), ..Shard::default() }
        });
        Self { shards: shards.collect(), capacity }
    }

    /// The block at `offset` of the table `file`, if it is here.
    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<Block> {
        let place = Place { file, offset };
        let shard = self.shard(place)?;
        let blocks = shard.blocks.read();
        let Some(cached) = blocks.map.get(&place) else {
            shard.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        shard.hits.fetch_add(1, Ordering::Relaxed);
        let uses = cached.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            // Lost updates between readers only make a used block look a little less used.
            cached.uses.store(uses + 1, Ordering::Relaxed);
        }
        Some(cached.block.clone())
    }

    /// Keeps `block`, unless it alone is larger than a shard or another reader was faster.
    pub(crate) fn insert(&self, file: u64, offset: u64, block: Block) {
        let place = Place { file, offset };
        if let Some(shard) = self.shard(place) {
            shard.blocks.write().insert(place, block);
        }
    }

    /// Drops every block of the table `file`, which has been deleted.
    pub(crate) fn evict_file(&self, file: u64) {
        for shard in &self.shards {
            shard.blocks.write().evict_file(file);
        }
    }

    /// What the cache has done and holds.
    pub(crate) fn stats(&self) -> CacheStats {
        let mut stats = CacheStats { capacity_bytes: self.capacity as u64, ..CacheStats::default() };
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

/// A power of two, so that a mask chooses the shard.
fn shards_for(capacity: usize) -> usize {
    let wanted = (capacity / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
    1 << wanted.ilog2()
}

impl Blocks {
    fn insert(&mut self, place: Place, block: Block) {
        let charge = block.charge();
        if charge > self.capacity || self.map.contains_key(&place) {
            return;
        }
        while self.used + charge > self.capacity {
            self.evict_one();
        }
        let in_main = block.skips_probation() || self.ghost_set.remove(&place);
        if in_main {
            self.main.push_back(place);
        } else {
            self.probation.push_back(place);
            self.probation_used += charge;
        }
        self.used += charge;
        self.map.insert(place, Cached { block, charge, uses: AtomicU8::new(0), in_main });
    }

    /// Drops one block. There is one, since the caller wants room in a shard that its block alone would fit.
    fn evict_one(&mut self) {
        if self.probation_used * PROBATION_PART >= self.capacity || self.main.is_empty() {
            self.evict_from_probation();
        } else {
            self.evict_from_main();
        }
    }

    /// Drops the oldest block on probation; those that were used meanwhile move to the main queue.
    fn evict_from_probation(&mut self) {
        while let Some(place) = self.probation.pop_front() {
            let Some(cached) = self.map.get_mut(&place) else { continue };
            self.probation_used -= cached.charge;
            if *cached.uses.get_mut() == 0 {
                self.remove(place);
                self.remember(place);
                return;
            }
            cached.in_main = true;
            *cached.uses.get_mut() = 0;
            self.main.push_back(place);
        }
        self.evict_from_main();
    }

    /// Drops the oldest block of the main queue that has no use left; the others pay with one use for another round.
    fn evict_from_main(&mut self) {
        while let Some(place) = self.main.pop_front() {
            let Some(cached) = self.map.get_mut(&place) else { continue };
            let uses = cached.uses.get_mut();
            if *uses == 0 {
                self.remove(place);
                return;
            }
            *uses -= 1;
            self.main.push_back(place);
        }
    }

    fn remove(&mut self, place: Place) {
        if let Some(cached) = self.map.remove(&place) {
            self.used -= cached.charge;
        }
    }

    fn remember(&mut self, place: Place) {
        if self.ghost_set.insert(place) {
            self.ghosts.push_back(place);
        }
        while self.ghosts.len() > self.map.len() {
            let Some(oldest) = self.ghosts.pop_front() else { return };
            self.ghost_set.remove(&oldest);
        }
    }

    fn evict_file(&mut self, file: u64) {
        let (mut used, mut probation_used) = (self.used, self.probation_used);
        self.map.retain(|place, cached| {
            if place.file == file {
                used -= cached.charge;
                probation_used -= if cached.in_main { 0 } else { cached.charge };
            }
            place.file != file
        });
        (self.used, self.probation_used) = (used, probation_used);
        self.probation.retain(|place| place.file != file);
        self.main.retain(|place| place.file != file);
        self.ghosts.retain(|place| place.file != file);
        self.ghost_set.retain(|place| place.file != file);
    }
}
