//! One database from its fill by random batches to its reopening: most of what is read, what it takes on the disk, and
//! how much memory all of that took.

use super::points::{Reading, read, touch_all};
use super::scans;
use super::writes::{FIRST, SECOND, Writing, write};
use super::{Context, Line, cost, rate, same};
use crate::clock::{Clock, disk_mb, median, milliseconds, peak_memory_mb, written_bytes};
use crate::data::{head, key};
use crate::stores::{self, Seen, Setup};

const FILL: Line = rate("random fill, batch 100", "entries");
const AMPLIFICATION: Line = cost("write amplification of the random fill", "×");
const DISK: Line = cost("disk after the random fill", "MB");
const HIT: Line = rate("random read, hit, all in cache", "reads");
const HIT_BY_TWO: Line = rate("random read, hit, all in cache, 2 threads", "reads");
const MISSING: Line = rate("random read, miss", "reads");
const MISSING_BY_TWO: Line = rate("random read, miss, 2 threads", "reads");
const OVERWRITE: Line = rate("overwrite, batch 100", "entries");
const DISK_AFTER: Line = cost("disk after the overwrite", "MB");
const MEMORY: Line = cost("peak memory", "MB");
const QUARTER: Line = rate("random read, hit, cache of a quarter", "reads");
const QUARTER_BY_TWO: Line = rate("random read, hit, cache of a quarter, 2 threads", "reads");
const REOPEN: Line = cost("clean reopen", "ms");

pub const LINES: &[&Line] = &[
    &FILL,
    &AMPLIFICATION,
    &DISK,
    &HIT,
    &HIT_BY_TWO,
    &MISSING,
    &MISSING_BY_TWO,
    scans::LINES[0],
    scans::LINES[1],
    scans::LINES[2],
    scans::LINES[3],
    scans::LINES[4],
    scans::LINES[5],
    &OVERWRITE,
    &DISK_AFTER,
    &MEMORY,
    &QUARTER,
    &QUARTER_BY_TWO,
    &REOPEN,
];

/// The most seconds of a workload of reads.
const SECONDS: f64 = 2.0;

/// A fill or overwriting may take as long as it needs; this ends one that has come to a standstill.
const WRITING_SECONDS: f64 = 600.0;

pub fn run(context: &Context) {
    let scale = context.scale;
    let dir = context.dir.join("base");
    let store = context.create("base", context.warm());
    let written_before = written_bytes();
    let mut clock = Clock::new(WRITING_SECONDS);
    let filling = Writing::shuffled(scale.entries, scale.value_bytes, FIRST);
    write(store.as_ref(), filling, &mut clock);
    context.report(&FILL, clock.rate());
    store.settle();
    context.report(&AMPLIFICATION, (written_bytes() - written_before) / context.data_bytes() as f64);
    context.report(&DISK, disk_mb(&dir));
    if !context.wants_any(&LINES[3..]) {
        // Filling alone is a matter of seconds with 5 M entries, too.
        store.close();
        return;
    }

    // A read that is wrong here will be found wrong with its line.
    let _ = touch_all(store.as_ref(), scale);
    let hits = Reading { scale, generation: Some(FIRST), count: 400_000, seconds: SECONDS };
    let misses = Reading { generation: None, ..hits };
    context.measure(&HIT, || read(store.as_ref(), hits, 1));
    context.measure(&HIT_BY_TWO, || read(store.as_ref(), hits, 2));
    context.measure(&MISSING, || read(store.as_ref(), misses, 1));
    context.measure(&MISSING_BY_TWO, || read(store.as_ref(), misses, 2));
    scans::run(context, store.as_ref(), FIRST);

    let mut clock = Clock::new(WRITING_SECONDS);
    let overwriting = Writing::shuffled(scale.entries, scale.value_bytes, SECOND);
    write(store.as_ref(), overwriting, &mut clock);
    context.report(&OVERWRITE, clock.rate());
    store.settle();
    context.report(&DISK_AFTER, disk_mb(&dir));
    context.report(&MEMORY, peak_memory_mb());
    store.close();

    let cache_bytes = (context.data_bytes() / 4) as usize;
    let small = Setup { cache_bytes, short_cache: true, ..context.warm() };
    let hits = Reading { generation: Some(SECOND), ..hits };
    let store = stores::open(&context.engine, &dir, small);
    // So that the cache holds what it can.
    let _ = read(store.as_ref(), Reading { count: hits.count / 2, ..hits }, 1);
    context.measure(&QUARTER, || read(store.as_ref(), hits, 1));
    context.measure(&QUARTER_BY_TWO, || read(store.as_ref(), hits, 2));
    store.close();

    context.measure(&REOPEN, || {
        let mut took = Vec::new();
        for number in 0..5 {
            let (ms, (store, found)) = milliseconds(|| {
                let store = stores::open(&context.engine, &dir, context.warm());
                let found = store.reader().get(&key(number));
                (store, found)
            });
            let expected = Seen { bytes: scale.value_bytes, head: head(number, SECOND) };
            same("a read after the reopening", &found, &Some(expected))?;
            store.close();
            took.push(ms);
        }
        Ok(median(&took))
    });
}
