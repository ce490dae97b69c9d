//! Deleting the middle half of the keys, and reading over the hole at once, before anything has been tidied up.

use super::scans::expected;
use super::writes::{FIRST, load};
use super::{Context, Line, Scale, cost, rate, same};
use crate::clock::{Clock, milliseconds};
use crate::data::{Block, Random, key};
use crate::stores::{Scan, Store};

const DELETE: Line = cost("range delete of half", "ms");
const SCAN: Line = rate("full scan over the hole", "rows");
const SEEK: Line = rate("seek into the hole + 10", "rows");

pub const LINES: &[&Line] = &[&DELETE, &SCAN, &SEEK];

/// The most seconds of the reads.
const SECONDS: f64 = 2.0;

/// Keys of a batch, for engines that delete key by key.
const BATCH: u64 = 1_000;

pub fn run(context: &Context) {
    let scale = context.scale;
    let store = context.create("ranges", context.warm());
    let store = store.as_ref();
    load(store, scale.entries, scale.value_bytes);
    store.settle();
    let hole = scale.entries / 4..scale.entries / 4 * 3;
    let (ms, ()) = milliseconds(|| {
        if !store.delete_range(&key(hole.start), &key(hole.end)) {
            delete_one_by_one(store, scale, hole.clone());
        }
    });
    context.report(&DELETE, ms);
    let (mut before, after) =
        (expected(scale, FIRST, 0..hole.start), expected(scale, FIRST, hole.end..scale.entries));
    before.rows += after.rows;
    before.bytes += after.bytes;
    before.heads = before.heads.wrapping_add(after.heads);
    context.measure(&SCAN, || {
        let mut clock = Clock::new(SECONDS);
        while clock.block(3) > 0 {
            let found = clock.time(1, || store.reader().scan(Scan::ALL));
            same("a scan over the hole", &found, &before)?;
        }
        Ok(clock.rate() * before.rows as f64)
    });
    context.measure(&SEEK, || {
        let mut clock = Clock::new(SECONDS);
        let mut random = Random(6);
        let mut reader = store.reader();
        let found_behind = expected(scale, FIRST, hole.end..hole.end + 10);
        loop {
            let block = clock.block(10_000);
            if block == 0 {
                return Ok(clock.rate() * 10.0);
            }
            let starts: Vec<_> =
                (0..block).map(|_| key(hole.start + random.below(hole.end - hole.start))).collect();
            let wrong = clock.time(block, || {
                let scan = |start| Scan { start: Some(start), limit: 10, ..Scan::ALL };
                let mut found = starts.iter().map(|start| reader.scan(scan(start.as_slice())));
                found.find(|found| *found != found_behind)
            });
            if let Some(found) = wrong {
                same("a seek into the hole", &found, &found_behind)?;
            }
        }
    });
}

fn delete_one_by_one(store: &dyn Store, scale: Scale, hole: std::ops::Range<u64>) {
    let mut block = Block::new(scale.value_bytes, 0);
    let mut numbers = hole;
    loop {
        block.fill(numbers.by_ref().take(BATCH as usize), FIRST);
        if block.entries().is_empty() {
            return;
        }
        store.delete(block.entries());
    }
}
