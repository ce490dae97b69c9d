//! Garbage in value files: which files are emptied, by which compactions.
//!
//! A value that no table leads to any more can't be taken out of its file; the file goes as a whole, when the values
//! that are still needed have been moved to another one. That is worth it once less than half of a file is needed, and
//! there is more garbage than the tables that have to be written anew for it: then each two bytes written give at least
//! one back. Snapshots need no care here: what one of them sees, some table leads to, and it is moved like any other.
//!
//! This comes to an end, after the argument of [`reclaim`]. A compaction that [`pick`] finds adds nothing
//! to the sum of weights there. If it drops an entry, it takes away from the sum. If it drops none, it lowers the number
//! of entries that lead to sparse files: it moves the values of at least one such entry to a new file, all of which is
//! needed, and no other file loses anything that would make it sparse. Every other compaction takes away from the sum.
//! So the pair of both numbers falls, in the order of dictionaries, with every compaction.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{CompactionKind, Task, reclaim};
use crate::config::Config;
use crate::version::{LEVELS, TableHandle, TableMeta, Version};

/// At most so many tables are written anew at once: a compaction that has become urgent meanwhile must not wait long.
const TABLES_MAX: usize = 8;

/// A value file that is smaller than one in so many of the usual size is small.
const SMALL_SHARE: u64 = 64;

/// A value file of which less than half is needed.
struct Sparse {
    number: u64,
    live_bytes: u64,
    garbage_bytes: u64,
    /// The bytes of the tables that would have to be written anew to empty it.
    table_bytes: u64,
}

/// The compaction that comes nearest to emptying the sparsest value file that is worth it; `None` where none is.
pub(crate) fn pick(version: &Version) -> Option<Task> {
    let mut sparse = worth_emptying(version);
    let share = |file: &Sparse| file.live_bytes as f64 / (file.live_bytes + file.garbage_bytes).max(1) as f64;
    sparse.sort_by(|a, b| share(a).total_cmp(&share(b)));
    sparse.into_iter().find_map(|file| task_for(version, file.number))
}

/// The sparse value files whose garbage is more than the tables that lead to them: each for itself, or all of them
/// together, since a table that is written anew lets go of all at once. So at rest the garbage in value files is at most
/// what is needed there and the size of all tables.
fn worth_emptying(version: &Version) -> Vec<Sparse> {
    let values = version.values();
    let mut sparse: BTreeMap<u64, Sparse> = BTreeMap::new();
    for (file, live_bytes) in values.files().filter(|(file, _)| values.is_sparse(file.meta().number)) {
        let number = file.meta().number;
        let garbage_bytes = file.record_bytes().saturating_sub(live_bytes);
        sparse.insert(number, Sparse { number, live_bytes, garbage_bytes, table_bytes: 0 });
    }
    let mut all_table_bytes = 0;
    for (_, table) in version.tables() {
        let TableMeta { size, values, .. } = table.meta();
        let mut leads_to_any = false;
        for share in values {
            if let Some(file) = sparse.get_mut(&share.file) {
                file.table_bytes += size;
                leads_to_any = true;
            }
        }
        all_table_bytes += if leads_to_any { *size } else { 0 };
    }
    let all_garbage: u64 = sparse.values().map(|file| file.garbage_bytes).sum();
    let together = all_garbage >= all_table_bytes;
    sparse.into_values().filter(|file| together || file.garbage_bytes >= file.table_bytes).collect()
}

/// Some tables of one level that lead to value file `number`. In level 0 that is one with nothing older of its keys there, since
/// the work in place knows only what lies in deeper levels.
fn task_for(version: &Version, number: u64) -> Option<Task> {
    let leads_there = |table: &&Arc<TableHandle>| leads_to(table.meta(), number);
    (1..LEVELS).chain([0]).find_map(|level| {
        let may_be_taken = |table: &&Arc<TableHandle>| !reclaim::lies_on_older(version, level, table);
        let tables = version.level(level).iter().filter(leads_there).filter(may_be_taken);
        let most = if level == 0 { 1 } else { TABLES_MAX };
        let inputs: Vec<Arc<TableHandle>> = tables.take(most).cloned().collect();
        (!inputs.is_empty()).then(|| Task {
            level,
            inputs,
            target: level,
            overlapped: Vec::new(),
            is_discarded: false,
            is_scattered: true,
            purpose: CompactionKind::Values,
        })
    })
}

/// The value files that `task` moves values out of, since it rewrites the entries that lead there anyway: the sparse
/// ones and, unless it was picked for those alone, small ones, so that small flushes don't leave small files for ever.
pub(super) fn files_to_empty(task: &Task, version: &Version, config: &Config) -> HashSet<u64> {
    let tables = task.inputs.iter().chain(&task.overlapped);
    let led_to: HashSet<u64> =
        tables.flat_map(|table| &table.meta().values).map(|share| share.file).collect();
    let is_small = |number: &u64| {
        let file = version.values().file(*number);
        file.is_ok_and(|file| file.record_bytes() < config.value_file_size_bytes / SMALL_SHARE)
    };
    let mut small: HashSet<u64> = led_to.iter().copied().filter(is_small).collect();
    // One alone would only be copied; and a pick of its own must leave no new sparse file behind (see above).
    if small.len() < 2 || task.is_scattered {
        small.clear();
    }
    led_to
        .into_iter()
        .filter(|number| small.contains(number) || version.values().is_sparse(*number))
        .collect()
}

fn leads_to(table: &TableMeta, file: u64) -> bool {
    table.values.iter().any(|share| share.file == file)
}

#[cfg(test)]
mod tests;
