//! One shard of the cache: its blocks, and the two queues that say which of them goes first.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::Block;
use crate::sstable::spots::{Filled, Spots, USES_MAX};
use crate::sync::atomic::AtomicU8;

/// A shard has room while one part in so many of it is free.
const FREE_PART: usize = 64;

/// About what a data block of the default size takes.
const USUAL_BLOCK_BYTES: usize = 4096;

/// The probation queue holds one part in so many of a shard.
const PROBATION_PART: usize = 10;

/// A full shard keeps a block that is asked for so many times while it is remembered. Keeping a block costs as much as it saves
/// once: where all blocks are asked for alike, those that come a second time are no better than those that go for them.
const ASKED_TIMES: u8 = 3;

/// The file and the offset of a block. File numbers are never reused, so a place never holds two blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: u64,
    pub(super) offset: u64,
}

impl Place {
    pub(super) fn hash(self) -> u64 {
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
pub(super) struct Passing(u64);

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

pub(super) type BuildPassing = BuildHasherDefault<Passing>;

pub(super) struct Cached {
    pub(super) block: Block,
    pub(super) charge: usize,
    pub(super) uses: AtomicU8,
    pub(super) in_main: bool,
    /// Where readers find the block without a search; emptied when the block goes.
    pub(super) spot: Option<Filled>,
}

impl Cached {
    /// The uses that are remembered, those that were seen at the spot among them.
    fn uses(&mut self) -> &mut u8 {
        let uses = self.uses.get_mut();
        *uses = (*uses + self.spot.as_ref().map_or(0, Filled::take_uses)).min(USES_MAX);
        uses
    }

    /// Lets readers find the block at the spot `at`, if it is a data block and has none.
    pub(super) fn settle(&mut self, spots: &Spots, at: usize) {
        if let (None, Block::Data(block)) = (&self.spot, &self.block) {
            self.spot = Filled::new(spots, at, block);
        }
    }
}

#[derive(Default)]
pub(super) struct Blocks {
    pub(super) capacity: usize,
    pub(super) map: HashMap<Place, Cached, BuildPassing>,
    pub(super) probation: VecDeque<Place>,
    pub(super) main: VecDeque<Place>,
    pub(super) used: usize,
    pub(super) probation_used: usize,
    /// Which blocks left the probation unused, oldest first, each with its turn: at most [`Blocks::ghosts_max`].
    pub(super) ghosts: VecDeque<(Place, u64)>,
    /// Each block that is still remembered. One that came back is no longer, though it stands in the queue.
    pub(super) remembered: HashMap<Place, Ghost, BuildPassing>,
    turn: u64,
}

/// What is remembered of a block.
#[derive(Clone, Copy)]
pub(super) struct Ghost {
    /// Where it stands in the queue.
    pub(super) turn: u64,
    /// How many times it was asked for.
    asked: u8,
}

impl Blocks {
    /// None, and room for `capacity` bytes of them.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(super) fn insert(&mut self, place: Place, block: Block, spot: Option<(&Spots, usize)>) {
        let charge = block.charge();
        if charge > self.capacity || self.map.contains_key(&place) {
            return;
        }
        self.trim(charge);
        let in_main = block.skips_probation() || self.remembered.remove(&place).is_some();
        if in_main {
            self.main.push_back(place);
        } else {
            self.probation.push_back(place);
            self.probation_used += charge;
        }
        self.used += charge;
        let mut cached = Cached { block, charge, uses: AtomicU8::new(0), in_main, spot: None };
        if let Some((spots, at)) = spot {
            cached.settle(spots, at);
        }
        self.map.insert(place, cached);
        self.trim_ghosts();
    }

    /// Whether the block at `place` had better be kept: there is room, or it was asked for several times not long ago. Else
    /// it is remembered.
    pub(super) fn admits(&mut self, place: Place) -> bool {
        let asked = self.remembered.get(&place).map_or(0, |ghost| ghost.asked) + 1;
        if self.used + self.capacity / FREE_PART < self.capacity || asked >= ASKED_TIMES {
            return true;
        }
        self.remember(place, asked);
        self.trim_ghosts();
        false
    }

    /// Drops blocks until there is room for `charge`, which the capacity is enough for.
    pub(super) fn trim(&mut self, charge: usize) {
        while self.used + charge > self.capacity && !self.map.is_empty() {
            self.evict_one();
        }
    }

    /// Drops one block, of which there is at least one.
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
            if *cached.uses() == 0 {
                self.remove(place);
                self.remember(place, 1);
                return;
            }
            cached.in_main = true;
            *cached.uses() = 0;
            self.main.push_back(place);
        }
        self.evict_from_main();
    }

    /// Drops the oldest block of the main queue that has no use left; the others pay with one use for another round.
    /// Readers at the spots may add uses as fast as they are paid, so the rounds are counted.
    fn evict_from_main(&mut self) {
        let mut left = self.main.len() * (usize::from(USES_MAX) + 1);
        while let Some(place) = self.main.pop_front() {
            left = left.saturating_sub(1);
            let Some(cached) = self.map.get_mut(&place) else { continue };
            let uses = cached.uses();
            if *uses == 0 || left == 0 {
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

    fn remember(&mut self, place: Place, asked: u8) {
        self.turn += 1;
        self.ghosts.push_back((place, self.turn));
        self.remembered.insert(place, Ghost { turn: self.turn, asked });
    }

    /// The most ghosts. They take memory too: no more are remembered than there are blocks, or would be of the usual size
    /// where a few large ones fill the shard.
    pub(super) fn ghosts_max(&self) -> usize {
        self.map.len().max(self.capacity / USUAL_BLOCK_BYTES)
    }

    fn trim_ghosts(&mut self) {
        while self.ghosts.len() > self.ghosts_max() {
            let Some((oldest, turn)) = self.ghosts.pop_front() else { return };
            if self.remembered.get(&oldest).is_some_and(|ghost| ghost.turn == turn) {
                self.remembered.remove(&oldest);
            }
        }
    }

    pub(super) fn evict_file(&mut self, file: u64) {
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
        self.ghosts.retain(|(place, _)| place.file != file);
        self.remembered.retain(|place, _| place.file != file);
        self.trim_ghosts();
    }
}
