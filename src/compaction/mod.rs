//! Compaction: which tables to merge next, and the merging.
//!
//! Level 0 is merged into level 1 once it has `compaction_threshold` tables, later where level 1 is large, or once nobody
//! writes any more, and then within itself where level 1 is large; a deeper level spills into the next once it is larger than its target (levelled compaction, as in LevelDB and RocksDB). Targets
//! follow the deepest level, so that nine tenths of the data and more lie in it ([`level_target`]). Where every level is
//! within its target, [`reclaim`] looks for space to give back in tables, and [`value_garbage`] in value files. [`pick`] is a pure function of a version, so that a test
//! can ask it anything; [`job`] does what it says.
#![forbid(unsafe_code)]

pub(crate) mod job;
mod kind;
mod outputs;
mod reclaim;
mod retention;
mod value_garbage;
mod value_outputs;

use std::sync::Arc;

use crate::config::Config;
use crate::version::{KeyBounds, KeySpan, LEVELS, TableHandle, Version};

pub use kind::CompactionKind;
pub(crate) use outputs::Written;
pub(crate) use reclaim::{Reasons, held_back};
pub(crate) use retention::Retention;
pub(crate) use value_garbage::pick as pick_value_garbage;

/// Each level holds this many times what the one above it does.
const LEVEL_GROWTH: u64 = 10;

/// Level 0 waits for more tables while it is smaller than so many times level 1, which a merge rewrites …
const LEVEL_0_GATHERS: u64 = 2;

/// … but never for more than so many times `compaction_threshold`, since each read looks into all of them.
const LEVEL_0_PATIENCE: usize = 3;

/// What is done because nobody writes rewrites at most so many times `level_size_bytes` of level 1.
const QUIET_REWRITES_MAX: u64 = 2;

/// Level 0 is merged within itself up to so many times `level_size_bytes`, and so many entries: the keys of a table in the making
/// take eight bytes each.
const WITHIN_LEVEL_0_MAX: u64 = 4;
const WITHIN_LEVEL_0_ENTRIES_MAX: u64 = 4 << 20;

/// Tables of one level to be merged with what they overlap in the next one.
pub(crate) struct Task {
    /// The level that gives.
    pub(crate) level: usize,
    /// The tables that it gives; for level 0 the newest first.
    pub(crate) inputs: Vec<Arc<TableHandle>>,
    /// The level that takes.
    pub(crate) target: usize,
    /// The tables there that overlap the inputs, in key order.
    pub(crate) overlapped: Vec<Arc<TableHandle>>,
    /// Nobody can see anything of the inputs and nothing depends on them: they go, and are not even read.
    pub(crate) is_discarded: bool,
    /// The inputs are written anew where they are, each for itself: others lie between them.
    pub(crate) is_scattered: bool,
    /// What it is for.
    pub(crate) purpose: CompactionKind,
}

impl Task {
    /// The same task, for another purpose.
    fn with_purpose(self, purpose: CompactionKind) -> Self {
        Self { purpose, ..self }
    }

    /// What it is counted as.
    pub(crate) fn kind(&self) -> CompactionKind {
        if self.is_discarded {
            CompactionKind::Discard
        } else if self.is_trivial_move() {
            CompactionKind::Move
        } else {
            self.purpose
        }
    }

    /// Whether the one input can change its level without being rewritten.
    pub(crate) fn is_trivial_move(&self) -> bool {
        self.level != self.target && self.inputs.len() == 1 && self.overlapped.is_empty()
    }
}

/// The most urgent compaction of `version`, or `None` where every level is within its target and no space can be
/// given back.
pub(crate) fn pick(version: &Version, config: &Config, reasons: Reasons) -> Option<Task> {
    pick_by_size(version, config)
        .or_else(|| reclaim::pick(version, reasons))
        .or_else(|| value_garbage::pick(version))
}

fn pick_by_size(version: &Version, config: &Config) -> Option<Task> {
    let (level, score) = (0..LEVELS - 1)
        .map(|level| (level, score(version, level, config)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    if score < 1.0 {
        return None;
    }
    if level == 0 { pick_from_level_0(version) } else { pick_from_level(version, level) }
}

/// How far `level` is over its target: 1.0 is just at it.
fn score(version: &Version, level: usize, config: &Config) -> f64 {
    if level == 0 {
        return version.level(0).len() as f64 / level_0_tables(version, config) as f64;
    }
    version.level_bytes(level) as f64 / level_target(version, level, config) as f64
}

/// With how many tables level 0 is merged into level 1. Each merge rewrites all of a level 1 of random keys, so that a fill is
/// cheaper the fewer merges there are, and most of all the last ones.
fn level_0_tables(version: &Version, config: &Config) -> usize {
    let tables = config.compaction_threshold;
    let is_worth_it = version.level_bytes(0) >= version.level_bytes(1).saturating_mul(LEVEL_0_GATHERS);
    if is_worth_it { tables } else { tables.saturating_mul(LEVEL_0_PATIENCE) }
}

/// The bytes that `level` may hold: a tenth of what the level below holds, and at least `level_size_bytes`, times ten
/// for each level above. The deepest level may hold ten times more before the next one is begun: everything that lies in
/// two levels is read twice and may be there twice. Once begun, the new level takes nearly all by trivial moves.
pub(crate) fn level_target(version: &Version, level: usize, config: &Config) -> u64 {
    let least = (1..level).fold(config.level_size_bytes, |target, _| target.saturating_mul(LEVEL_GROWTH));
    let below = (level + 1..LEVELS).find(|&below| !version.level(below).is_empty());
    match below {
        Some(below) => least.max(version.level_bytes(below) / LEVEL_GROWTH),
        None => least.saturating_mul(LEVEL_GROWTH),
    }
}

/// What is worth a compaction once nobody writes: level 0, whose tables every read has to look into and whose entries
/// may be there again below. It goes down where that rewrites few bytes of level 1, by themselves and for each byte that is
/// moved. Else it becomes one table where it is, and waits for more.
pub(crate) fn pick_when_quiet(version: &Version, config: &Config) -> Option<Task> {
    let bytes = |tables: &[Arc<TableHandle>]| -> u64 { tables.iter().map(|table| table.meta().size).sum() };
    let task = pick_from_level_0(version)?.with_purpose(CompactionKind::Quiet);
    let (moved, rewritten) = (bytes(&task.inputs), bytes(&task.overlapped));
    if rewritten <= moved.saturating_mul(LEVEL_GROWTH)
        && rewritten <= config.level_size_bytes.saturating_mul(QUIET_REWRITES_MAX)
    {
        return Some(task);
    }
    is_worth_a_table(&task.inputs, config).then(|| within_level_0(task))
}

/// Whether `tables` of level 0 had better become one: several, of which the largest is not much more than the others, since it
/// would be written anew for a few bytes each time that somebody writes a little and rests.
fn is_worth_a_table(tables: &[Arc<TableHandle>], config: &Config) -> bool {
    let sizes = || tables.iter().map(|table| table.meta().size);
    let (all, largest) = (sizes().sum::<u64>(), sizes().max().unwrap_or(0));
    let entries: u64 = tables.iter().map(|table| table.meta().entries).sum();
    tables.len() > 1
        && (all - largest).saturating_mul(2) >= largest
        && all <= config.level_size_bytes.saturating_mul(WITHIN_LEVEL_0_MAX)
        && entries <= WITHIN_LEVEL_0_ENTRIES_MAX
}

/// The inputs of `task` as one table of level 0. They are all that could overlap one another there, so that what is newer
/// stays in front of it and what is older behind.
fn within_level_0(task: Task) -> Task {
    Task { target: 0, overlapped: Vec::new(), purpose: CompactionKind::WithinLevel0, ..task }
}

/// The oldest table of level 0 with every other one that it overlaps, directly or through another.
///
/// What stays behind overlaps none of them, so that no older data ends up above newer data.
fn pick_from_level_0(version: &Version) -> Option<Task> {
    level_0_with(version, version.level(0).last()?)
}

/// As [`pick_from_level_0`], for any table of level 0.
fn level_0_with(version: &Version, table: &Arc<TableHandle>) -> Option<Task> {
    into_next_level(version, 0, with_entangled(version, vec![Arc::clone(table)])?)
}

/// `inputs` of level 0 and every other table there that overlaps one of them, directly or through another.
fn with_entangled(version: &Version, mut inputs: Vec<Arc<TableHandle>>) -> Option<Vec<Arc<TableHandle>>> {
    loop {
        let more = version.overlapping(0, &KeySpan::of(&inputs)?);
        if more.len() == inputs.len() {
            return Some(more);
        }
        inputs = more;
    }
}

/// `inputs` of `level` into the next one; `None` where there are none.
fn into_next_level(version: &Version, level: usize, inputs: Vec<Arc<TableHandle>>) -> Option<Task> {
    let overlapped = version.overlapping(level + 1, &KeySpan::of(&inputs)?);
    let purpose = if level == 0 { CompactionKind::Level0 } else { CompactionKind::Level };
    Some(Task {
        level,
        inputs,
        target: level + 1,
        overlapped,
        is_discarded: false,
        is_scattered: false,
        purpose,
    })
}

/// The table of `level` that rewrites the fewest bytes below for each byte it moves down.
fn pick_from_level(version: &Version, level: usize) -> Option<Task> {
    let cost = |table: &Arc<TableHandle>| {
        let below: u64 = version.overlapping(level + 1, &table.span()).iter().map(|t| t.meta().size).sum();
        below as f64 / table.meta().size.max(1) as f64
    };
    let input = version.level(level).iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    into_next_level(version, level, vec![Arc::clone(input)])
}

/// What `level` holds within `bounds` into the next one, for a compaction that was asked for; `None` where that is
/// nothing.
pub(crate) fn pick_within(version: &Version, level: usize, bounds: KeyBounds<'_>) -> Option<Task> {
    let inputs = version.within(level, bounds);
    let inputs = if level == 0 { with_entangled(version, inputs)? } else { inputs };
    into_next_level(version, level, inputs).map(|task| task.with_purpose(CompactionKind::Asked))
}

/// What `level`, the last one with tables within `bounds`, has there, rewritten in place: drops what only that can.
pub(crate) fn pick_rewrite(version: &Version, level: usize, bounds: KeyBounds<'_>) -> Option<Task> {
    let inputs = version.within(level, bounds);
    let task = Task {
        level,
        inputs,
        target: level,
        overlapped: Vec::new(),
        is_discarded: false,
        is_scattered: false,
        purpose: CompactionKind::Asked,
    };
    Some(task).filter(|task| !task.inputs.is_empty())
}

#[cfg(test)]
mod tests;
