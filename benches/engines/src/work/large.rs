//! Values of 100 KiB.

use super::points::{Reading, read};
use super::writes::{FIRST, SECOND, Writing, write};
use super::{Context, Line, Scale, cost, rate};
use crate::clock::{Clock, disk_mb};

const FILL: Line = rate("100 KiB values: random fill, batch 1", "values");
const READ: Line = rate("100 KiB values: random read", "reads");
const OVERWRITE: Line = rate("100 KiB values: overwrite, batch 1", "values");
const DISK: Line = cost("100 KiB values: disk after the overwrite", "MB");

pub const LINES: &[&Line] = &[&FILL, &READ, &OVERWRITE, &DISK];

const VALUE_BYTES: usize = 100 << 10;

/// 200 MB of them, or fewer in a small run.
const ENTRIES: u64 = 2_000;

pub fn run(context: &Context) {
    let scale =
        Scale { entries: (context.scale.entries / 100).clamp(100, ENTRIES), value_bytes: VALUE_BYTES };
    let store = context.create("large", context.warm());
    let store = store.as_ref();
    let write = |line, generation| {
        let what = Writing { batch: 1, ..Writing::shuffled(scale.entries, VALUE_BYTES, generation) };
        let mut clock = Clock::new(120.0);
        write(store, what, &mut clock);
        context.report(line, clock.rate());
        store.settle();
    };
    write(&FILL, FIRST);
    let reading = Reading { scale, generation: Some(FIRST), count: 20_000, seconds: 1.0 };
    let _ = read(store, Reading { count: scale.entries, ..reading }, 1);
    context.measure(&READ, || read(store, reading, 1));
    write(&OVERWRITE, SECOND);
    context.report(&DISK, disk_mb(&context.dir.join("large")));
}
