//! What a history may have had: operations that checked something, and states that they were checked in.

use std::ops::Bound;

use flowdb::engine::{CompactionKind, Direction};

pub const RANGE_TOMBSTONES: &str = "range tombstones";
pub const EXPIRED: &str = "an entry that expired";
pub const AT_SNAPSHOT: &str = "reads at a snapshot";
pub const REFUSED: &str = "a batch that was refused";
pub const TOGETHER: &str = "batches committed together";
pub const LONG_LIVED_SCAN: &str = "a scan that stayed open";
pub const MANY_VERSIONS: &str = "scans over keys with many versions";
pub const TRIED: &str = "try_get that knows";
pub const NEEDS_IO: &str = "try_get that needs I/O";
pub const SETTLED: &str = "an entry that has lost its seqno";
pub const SLICE: &str = "get_slice and open_value";
pub const CHECKPOINT: &str = "a checkpoint";
pub const CHECKPOINT_WRITTEN: &str = "a checkpoint that was written to";
pub const VERIFY: &str = "verify";
pub const SIZES: &str = "sizes of ranges";
pub const FLUSH: &str = "flush";
pub const COMPACT_ALL: &str = "compact_all";
pub const COMPACT_RANGE: &str = "compact_range";
pub const QUIET: &str = "background work of quiet times";
pub const REOPEN: &str = "a reopening";
pub const READ_ONLY: &str = "a reopening read-only";
pub const FROZEN: &str = "three frozen memtables";
pub const LEVEL_0: &str = "three tables in level 0";
pub const LEVELS: &str = "two levels below level 0";
pub const VALUE_FILES: &str = "value files";
pub const RELOCATED: &str = "values moved between value files";
pub const READ_CACHED: &str = "blocks found in the cache";
pub const READ_UNCACHED: &str = "blocks read from a file";
pub const RECORDS_WRITTEN: &str = "records written";
pub const RECORDS_DELETED: &str = "records deleted by a query";
pub const RECORDS_READ: &str = "records read, by every query";

const NAMED: [&str; 31] = [
    RANGE_TOMBSTONES,
    EXPIRED,
    AT_SNAPSHOT,
    REFUSED,
    TOGETHER,
    LONG_LIVED_SCAN,
    MANY_VERSIONS,
    TRIED,
    NEEDS_IO,
    SETTLED,
    SLICE,
    CHECKPOINT,
    CHECKPOINT_WRITTEN,
    VERIFY,
    SIZES,
    FLUSH,
    COMPACT_ALL,
    COMPACT_RANGE,
    QUIET,
    REOPEN,
    READ_ONLY,
    FROZEN,
    LEVEL_0,
    LEVELS,
    VALUE_FILES,
    RELOCATED,
    READ_CACHED,
    READ_UNCACHED,
    RECORDS_WRITTEN,
    RECORDS_DELETED,
    RECORDS_READ,
];

/// Scans are told apart by their direction and the kinds of their bounds.
pub fn scan(direction: Direction, start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> String {
    format!("a scan {direction:?}, {}..{}", kind_of(start), kind_of(end))
}

pub fn compaction(kind: CompactionKind) -> String {
    format!("a compaction of the kind {kind}")
}

/// Everything that some history must have had.
pub fn all() -> Vec<String> {
    let bounds = || [Bound::Unbounded, Bound::Included(Vec::new()), Bound::Excluded(Vec::new())];
    let mut all: Vec<String> = NAMED.map(str::to_owned).into();
    for direction in [Direction::Forward, Direction::Reverse] {
        for start in bounds() {
            all.extend(bounds().iter().map(|end| scan(direction, &start, end)));
        }
    }
    all.extend(CompactionKind::ALL.map(compaction));
    all
}

fn kind_of(bound: &Bound<Vec<u8>>) -> &'static str {
    match bound {
        Bound::Unbounded => "unbounded",
        Bound::Included(_) => "included",
        Bound::Excluded(_) => "excluded",
    }
}
