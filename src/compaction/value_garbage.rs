//! Garbage in value files: which files are emptied, by which compactions.
//!
//! A value that no table leads to any more can't be taken out of its file; the file goes as a whole, when the values
//! that are still needed have been moved to another one. That is worth it once less than half of a file is needed:
//! then each byte written gives at least one back. Snapshots need no care here: what one of them sees, some table leads
//! to, and it is moved like any other.
//!
//! This comes to an end, after the argument of [`reclaim`](super::reclaim). A compaction that [`pick`] finds adds nothing
//! to the sum of weights there. If it drops an entry, it takes away from the sum. If it drops none, it lowers the number
//! of entries that lead to sparse files: it moves the values of at least one such entry to a new file, all of which is
//! needed, and no other file loses anything that would make it sparse. Every other compaction takes away from the sum.
//! So the pair of both numbers falls, in the order of dictionaries, with every compaction.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::sync::Arc;

use super::Task;
use crate::config::Config;
use crate::version::{LEVELS, TableHandle, TableMeta, Version};

/// At most so many tables are written anew at once: a compaction that has become urgent meanwhile must not wait long.
const TABLES_MAX: usize = 8;

/// A value file that is smaller than one in so many of the usual size is small.
const SMALL_SHARE: u64 = 64;

/// The compaction that comes nearest to emptying the sparsest value file; `None` where no file is sparse.
pub(crate) fn pick(version: &Version) -> Option<Task> {
    let share = |live: u64, all: u64| live as f64 / all.max(1) as f64;
    let mut sparse: Vec<(f64, u64)> = version
        .values()
        .files()
        .filter(|(file, _)| version.values().is_sparse(file.meta().number))
        .map(|(file, live)| (share(live, file.record_bytes()), file.meta().number))
        .collect();
    sparse.sort_by(|a, b| a.0.total_cmp(&b.0));
    sparse.into_iter().find_map(|(_, number)| task_for(version, number))
}

/// Some tables of one level that lead to value file `number`. One of level 0 needs all of the files that were written
/// with it, and no others.
fn task_for(version: &Version, number: u64) -> Option<Task> {
    let leads_there = |table: &&Arc<TableHandle>| leads_to(table.meta(), number);
    (1..LEVELS).find_map(|level| {
        let tables = version.level(level).iter().filter(leads_there);
        let inputs: Vec<Arc<TableHandle>> = tables.take(TABLES_MAX).cloned().collect();
        (!inputs.is_empty()).then(|| Task {
            level,
            inputs,
            target: level,
            overlapped: Vec::new(),
            is_discarded: false,
            is_scattered: true,
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
