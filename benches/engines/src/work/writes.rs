//! Writing many entries in blocks that are made while the clock stands.

use crate::clock::Clock;
use crate::data::{Block, Order};
use crate::stores::Store;

/// Entries of a batch where a workload is not about another size.
pub const BATCH: u64 = 100;

/// What to write.
#[derive(Clone, Copy)]
pub struct Writing {
    /// Which numbers, in which order.
    pub order: Order,
    /// How many of them.
    pub count: u64,
    /// Entries of a batch.
    pub batch: u64,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Tells these values from others of the same keys.
    pub generation: u64,
}

impl Writing {
    /// The first `count` numbers in random order, in batches of 100.
    pub fn shuffled(count: u64, value_bytes: usize, generation: u64) -> Self {
        let order = Order::Shuffled { count, seed: generation };
        Self { order, count, batch: BATCH, value_bytes, generation }
    }
}

/// Writes until everything is written or the clock is over, and returns how many entries were.
pub fn write(store: &dyn Store, what: Writing, clock: &mut Clock) -> u64 {
    let mut block = Block::new(what.value_bytes, what.generation);
    let mut written = 0;
    loop {
        let wanted = clock.block(what.count).next_multiple_of(what.batch).min(what.count - written);
        if wanted == 0 {
            return written;
        }
        block.fill((written..written + wanted).map(|at| what.order.number(at)), what.generation);
        clock.time(wanted, || block.batches(what.batch).for_each(|batch| store.write(batch, false)));
        written += wanted;
    }
}

/// Writes everything, however long it takes, without measuring it.
pub fn load(store: &dyn Store, entries: u64, value_bytes: usize) {
    let what = Writing { batch: 1_000, ..Writing::shuffled(entries, value_bytes, FIRST) };
    write(store, what, &mut Clock::new(f64::from(u32::MAX)));
}

/// The generation of the values that a database is filled with.
pub const FIRST: u64 = 1;

/// That of those that overwrite them.
pub const SECOND: u64 = 2;
