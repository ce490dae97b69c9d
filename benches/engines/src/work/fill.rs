//! Filling an empty database: in order, at random, entry by entry, in batches, and by eight threads. Nothing is synced.

use std::sync::Barrier;
use std::time::Instant;

use super::writes::{BATCH, FIRST, Writing, write};
use super::{Context, Line, Outcome, rate, same};
use crate::clock::Clock;
use crate::data::{Block, Order};
use crate::stores::{Rows, Scan, Setup, Store};

const SEQUENTIAL: Line = rate("sequential fill, batch 100", "entries");
const SEQUENTIAL_SINGLE: Line = rate("sequential fill, batch 1", "entries");
const SINGLE: Line = rate("random fill, batch 1", "entries");
const BY_THREADS: Line = rate("8 threads, batch 100", "entries");

pub const LINES: &[&Line] = &[&SEQUENTIAL, &SEQUENTIAL_SINGLE, &SINGLE, &BY_THREADS];

const THREADS: u64 = 8;

/// The most seconds that a fill by single entries takes.
const SINGLE_SECONDS: f64 = 3.0;

pub fn run(context: &Context) {
    let (entries, value_bytes) = (context.scale.entries, context.scale.value_bytes);
    let ascending = Writing { order: Order::Ascending, ..Writing::shuffled(entries, value_bytes, FIRST) };
    let in_order = Setup { ascending: true, ..context.warm() };
    let fill = |part: &str, setup: Setup, what: Writing, seconds: f64| {
        let store = context.create(part, setup);
        let mut clock = Clock::new(seconds);
        let written = write(store.as_ref(), what, &mut clock);
        check_count(store.as_ref(), written)?;
        store.close();
        Ok(clock.rate())
    };
    context.measure(&SEQUENTIAL, || fill("sequential", in_order, ascending, 60.0));
    let single = Writing { batch: 1, count: entries / 2, ..ascending };
    context.measure(&SEQUENTIAL_SINGLE, || fill("ascending", in_order, single, SINGLE_SECONDS));
    let single = Writing { batch: 1, ..Writing::shuffled(entries / 2, value_bytes, FIRST) };
    context.measure(&SINGLE, || fill("single", context.warm(), single, SINGLE_SECONDS));
    context.measure(&BY_THREADS, || {
        let store = context.create("threads", context.warm());
        by_threads(store.as_ref(), entries.min(1_000_000), value_bytes)
    });
}

/// Whether there are as many rows as were written.
pub fn check_count(store: &dyn Store, written: u64) -> Outcome<()> {
    let Rows { rows, .. } = store.reader().scan(Scan::ALL);
    same("rows after the fill", &rows, &written)
}

fn by_threads(store: &dyn Store, entries: u64, value_bytes: usize) -> Outcome<f64> {
    let share = entries / THREADS;
    let blocks: Vec<Block> = (0..THREADS)
        .map(|thread| {
            let mut block = Block::new(value_bytes, thread);
            let order = Order::Shuffled { count: share, seed: thread };
            // Keys of its own: some engines refuse two writers of one key.
            block.fill((0..share).map(|at| order.number(at) * THREADS + thread), FIRST);
            block
        })
        .collect();
    let start = Barrier::new(blocks.len() + 1);
    let started = std::thread::scope(|scope| {
        for block in &blocks {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                block.batches(BATCH).for_each(|batch| store.write(batch, false));
            });
        }
        start.wait();
        Instant::now()
    });
    let seconds = started.elapsed().as_secs_f64();
    check_count(store, share * THREADS)?;
    Ok((share * THREADS) as f64 / seconds)
}
