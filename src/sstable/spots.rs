//! The cached blocks below a pinned index partition, beside it: who has searched the partition need not search the cache.
//!
//! Invariant: a spot holds a block only while the cache keeps that block. The cache fills it and empties it, both under the
//! lock of the block's shard; readers only look.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::data_block::DataBlock;
use crate::prefetch;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU8, Ordering};

/// How many uses are remembered of a cached block.
pub(super) const USES_MAX: u8 = 3;

/// One spot for each entry of a partition; a clone is the same ones.
#[derive(Clone)]
pub(crate) struct Spots(Arc<[Spot]>);

/// Aligned, so that each lies in one line of memory.
#[derive(Default)]
#[repr(align(32))]
struct Spot {
    block: Mutex<Option<DataBlock>>,
    /// Uses of the block that the cache has not been told of.
    uses: AtomicU8,
}

impl Spots {
    /// Empty spots for a partition of `entries`.
    pub(crate) fn new(entries: usize) -> Self {
        Self(std::iter::repeat_with(Spot::default).take(entries).collect())
    }

    /// The bytes of memory that the spots of `entries` take.
    pub(crate) fn charge_of(entries: usize) -> usize {
        entries * size_of::<Spot>() + 2 * size_of::<usize>()
    }

    /// How many spots have a block.
    #[cfg(test)]
    pub(crate) fn filled(&self) -> usize {
        self.0.iter().filter(|spot| spot.block.lock().is_some()).count()
    }

    /// Lets the processor fetch the spot `at`.
    #[inline]
    pub(super) fn fetch(&self, at: usize) {
        if let Some(spot) = self.0.get(at) {
            prefetch::line(std::ptr::from_ref(spot).cast());
        }
    }

    /// Lets the processor fetch what a point read of the block at the spot `at` begins with.
    #[inline]
    pub(super) fn fetch_block(&self, at: usize) {
        let held = self.0.get(at).and_then(|spot| spot.block.try_lock());
        if let Some(block) = held.as_ref().and_then(|held| held.as_ref()) {
            block.fetch();
        }
    }

    /// The block of the entry `at`, if it is here and nobody else looks at this moment: the cache has it, too, and
    /// searching that takes less than waiting.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<DataBlock> {
        let spot = self.0.get(at)?;
        let block = {
            let held = spot.block.try_lock()?;
            let block = held.as_ref()?;
            // Before it is counted who holds it: so all of these lines come together.
            block.fetch();
            block.clone()
        };
        let uses = spot.uses.load(Ordering::Relaxed);
        if uses < USES_MAX {
            // Lost updates between readers only make a used block look a little less used.
            spot.uses.store(uses + 1, Ordering::Relaxed);
        }
        Some(block)
    }
}

/// A spot while the cache keeps its block.
pub(super) struct Filled {
    spots: Spots,
    at: u32,
}

impl Filled {
    /// Puts `block` into the spot `at`, if there is such a one.
    pub(super) fn new(spots: &Spots, at: usize, block: &DataBlock) -> Option<Self> {
        let spot = spots.0.get(at)?;
        *spot.block.lock() = Some(block.clone());
        Some(Self { spots: spots.clone(), at: u32::try_from(at).ok()? })
    }

    /// How often the block was found here since this was last asked.
    pub(super) fn take_uses(&self) -> u8 {
        self.spots.0[self.at as usize].uses.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let spot = &self.spots.0[self.at as usize];
        *spot.block.lock() = None;
        spot.uses.store(0, Ordering::Relaxed);
    }
}
