//! Single entries, each on the disk before its writer writes the next, by 1 to 16 writers.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::writes::FIRST;
use super::{Context, Line, fill, rate};
use crate::data::{Block, Order};
use crate::stores::{Setup, Store};

const ONE: Line = rate("synced, 1 thread", "entries");
const TWO: Line = rate("synced, 2 threads", "entries");
const FOUR: Line = rate("synced, 4 threads", "entries");
const EIGHT: Line = rate("synced, 8 threads", "entries");
const SIXTEEN: Line = rate("synced, 16 threads", "entries");

pub const LINES: &[&Line] = &[&ONE, &TWO, &FOUR, &EIGHT, &SIXTEEN];

/// How long each number of threads writes.
const TIME: Duration = Duration::from_millis(800);

/// Keys of each writer; it begins anew after the last.
const KEYS: u64 = 4_096;

pub fn run(context: &Context) {
    let setup = Setup { synced: true, ..context.warm() };
    for (line, threads) in LINES.iter().zip([1, 2, 4, 8, 16]) {
        context.measure(line, || {
            let store = context.create("synced", setup);
            let (written, rate) = write_synced(store.as_ref(), threads, context.scale.value_bytes);
            fill::check_count(store.as_ref(), written)?;
            store.close();
            Ok(rate)
        });
    }
}

/// Returns how many keys were written, and how many entries a second.
fn write_synced(store: &dyn Store, threads: u64, value_bytes: usize) -> (u64, f64) {
    let blocks: Vec<Block> = (0..threads)
        .map(|thread| {
            let mut block = Block::new(value_bytes, thread);
            let order = Order::Shuffled { count: KEYS, seed: thread };
            block.fill((0..KEYS).map(|at| order.number(at) * threads + thread), FIRST);
            block
        })
        .collect();
    let start = Barrier::new(blocks.len() + 1);
    let writer = |block: &Block| {
        start.wait();
        let end = Instant::now() + TIME;
        let mut written = 0;
        while Instant::now() < end {
            for batch in block.batches(1).take_while(|_| Instant::now() < end) {
                store.write(batch, true);
                written += 1;
            }
        }
        written
    };
    let (writer, start) = (&writer, &start);
    std::thread::scope(|scope| {
        let writers: Vec<_> = blocks.iter().map(|block| scope.spawn(move || writer(block))).collect();
        start.wait();
        let started = Instant::now();
        let written: Vec<u64> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
        let rate = written.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64();
        (written.iter().map(|written| (*written).min(KEYS)).sum(), rate)
    })
}
