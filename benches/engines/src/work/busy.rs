//! Reading while the engine is at work: beside a writer at full speed, and during a compaction of everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::points::touch_all;
use super::writes::{BATCH, SECOND, load};
use super::{Context, Line, Miss, Outcome, Scale, cost, rate, same};
use crate::clock::{Clock, quantile};
use crate::data::{Block, Random, key};
use crate::stores::Store;

const READS: Line = rate("read beside a writer", "reads");
const WRITES: Line = rate("… and what it writes, batch 100", "entries");
const IDLE: Line = cost("p99 of a read, idle", "µs");
const COMPACTING: Line = cost("p99 of a read, everything being compacted", "µs");
const RATIO: Line = cost("… against idle", "×");

pub const LINES: &[&Line] = &[&READS, &WRITES, &IDLE, &COMPACTING, &RATIO];

/// How long a reader reads beside a writer, and how long it reads alone.
const SECONDS: f64 = 2.0;

/// The longest that a reader waits for the end of a compaction.
const COMPACTION_SECONDS: f64 = 60.0;

pub fn run(context: &Context) {
    let store = context.create("busy", context.warm());
    let store = store.as_ref();
    load(store, context.scale.entries, context.scale.value_bytes);
    store.settle();
    let _ = touch_all(store, context.scale);
    beside_writer(context, store);
    store.settle();
    during_compaction(context, store);
}

/// A reader that reads for some time or until it is told to stop, and finds every key.
fn read_keys(
    store: &dyn Store,
    scale: Scale,
    clock: &mut Clock,
    stop: &AtomicBool,
    mut read: impl FnMut(&mut dyn crate::stores::Reader, &[u8]) -> Option<usize>,
) -> Outcome<()> {
    let mut random = Random(3);
    let mut keys = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let block = clock.block(u64::MAX).min(100);
        if block == 0 {
            break;
        }
        keys.clear();
        keys.extend((0..block).map(|_| key(random.below(scale.entries))));
        // A new view for each block, so that engines with transactions read what was written, too.
        let wrong = clock.time(block, || {
            let mut reader = store.reader();
            let mut found = keys.iter().map(|key| read(reader.as_mut(), key));
            found.find(|found| *found != Some(scale.value_bytes))
        });
        if let Some(found) = wrong {
            same("a read beside other work", &found, &Some(scale.value_bytes))?;
        }
    }
    Ok(())
}

fn beside_writer(context: &Context, store: &dyn Store) {
    let scale = context.scale;
    let stop = AtomicBool::new(false);
    let mut reading = Clock::new(SECONDS);
    let mut writing = Clock::new(COMPACTION_SECONDS);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut block = Block::new(scale.value_bytes, 4);
            let mut random = Random(4);
            while !stop.load(Ordering::Acquire) {
                block.fill((0..10 * BATCH).map(|_| random.below(scale.entries)), SECOND);
                for batch in block.batches(BATCH).take_while(|_| !stop.load(Ordering::Acquire)) {
                    writing.time(batch.len() as u64, || store.write(batch, false));
                }
            }
        });
        let never = AtomicBool::new(false);
        let outcome = read_keys(store, scale, &mut reading, &never, |reader, key| {
            reader.get(key).map(|value| value.bytes)
        });
        stop.store(true, Ordering::Release);
        outcome
    });
    context.measure(&READS, || outcome.map(|()| reading.rate()));
    context.report(&WRITES, writing.rate());
}

/// The 99th percentile of the time of a read, in µs.
fn read_timed(store: &dyn Store, scale: Scale, seconds: f64, stop: &AtomicBool) -> Outcome<f64> {
    let mut took: Vec<f64> = Vec::new();
    read_keys(store, scale, &mut Clock::new(seconds), stop, |reader, key| {
        let started = Instant::now();
        let found = reader.get(key);
        took.push(started.elapsed().as_secs_f64() * 1e6);
        found.map(|value| value.bytes)
    })?;
    Ok(quantile(&took, 0.99))
}

fn during_compaction(context: &Context, store: &dyn Store) {
    let scale = context.scale;
    let idle = read_timed(store, scale, SECONDS / 2.0, &AtomicBool::new(false));
    // So that there are tables in several levels to merge.
    load(store, scale.entries / 4, scale.value_bytes);
    let compacted = AtomicBool::new(false);
    let mut can_compact = true;
    let compacting = std::thread::scope(|scope| {
        let compaction = scope.spawn(|| {
            let can = store.compact_all();
            compacted.store(true, Ordering::Release);
            can
        });
        let compacting = read_timed(store, scale, COMPACTION_SECONDS, &compacted);
        can_compact = compaction.join().expect("a compaction");
        compacting
    });
    if !can_compact {
        let lacking = || Err(Miss::Lacking("it can't compact while it is in use"));
        context.measure(&IDLE, || idle);
        context.measure(&COMPACTING, lacking);
        context.measure(&RATIO, lacking);
        return;
    }
    let ratio = match (&idle, &compacting) {
        (Ok(idle), Ok(compacting)) => Ok(compacting / idle),
        _ => Err(Miss::Wrong("one of the two was".into())),
    };
    context.measure(&IDLE, || idle);
    context.measure(&COMPACTING, || compacting);
    context.measure(&RATIO, || ratio);
}
