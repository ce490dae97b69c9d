//! Reading what was just written: 200,000 entries of 128 bytes, which fit into one memtable.

use super::points::{Reading, read};
use super::writes::{FIRST, load};
use super::{Context, Line, Scale, rate};

const HIT: Line = rate("read from the memtable, hit", "reads");
const MISSING: Line = rate("read from the memtable, miss", "reads");

pub const LINES: &[&Line] = &[&HIT, &MISSING];

pub fn run(context: &Context) {
    let scale = Scale { entries: context.scale.entries.min(200_000), value_bytes: 128 };
    let store = context.create("memtable", context.warm());
    load(store.as_ref(), scale.entries, scale.value_bytes);
    let hits = Reading { scale, generation: Some(FIRST), count: 600_000, seconds: 1.0 };
    // Once before it counts, as for the other reads.
    let _ = read(store.as_ref(), Reading { count: 50_000, ..hits }, 1);
    context.measure(&HIT, || read(store.as_ref(), hits, 1));
    context.measure(&MISSING, || read(store.as_ref(), Reading { generation: None, ..hits }, 1));
    store.close();
}
