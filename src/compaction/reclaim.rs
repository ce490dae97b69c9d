//! Compactions that give disk space back: of tables that hold what can be dropped, or that delete what lies below.
//!
//! Every one of them makes progress, so that they come to an end under any snapshots and at any time. Give a value
//! the weight 2, a point tombstone 1, and each piece of a range tombstone 1 (pieces between the keys that bound
//! tables and tombstones; they are cut, but never multiply), times the number of levels from where it stands to the bottom. No
//! compaction adds to the sum of these weights; one that goes down a level takes away from it, because it moves at
//! least one entry; and one in place is picked only where the snapshots let it drop or bury at least one. Snapshots
//! that open meanwhile are newer than what the table holds, and change nothing.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{CompactionKind, Task, into_next_level, level_0_with};
use crate::iter::is_expired;
use crate::key::SeqNo;
use crate::version::{LEVELS, TableHandle, TableMeta, Version};

/// A table is worth a compaction of its own once one in so many of its entries can go.
const GARBAGE_SHARE: u64 = 4;

/// Point tombstones are taken down once there is one for so many entries that they would be merged with: it
/// bounds what a deletion costs, and what it leaves lying.
const MERGED_FOR_EACH_TOMBSTONE: u64 = 20;

/// What decides, beside the tables, whether space can be given back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reasons {
    /// The oldest open snapshot, or what is visible now.
    pub(crate) oldest_snapshot: SeqNo,
    pub(crate) now_ms: u64,
}

/// The first compaction that gives space back, from the top, so that deletions gather on their way down.
pub(super) fn pick(version: &Version, reasons: Reasons) -> Option<Task> {
    version.tables().find_map(|(level, table)| task_for(version, level, table, reasons))
}

/// What the oldest snapshot has to reach before [`pick`] finds more; `None` where no snapshot is in the way.
pub(crate) fn held_back(version: &Version, reasons: Reasons) -> Option<SeqNo> {
    let held = version.tables().map(|(_, table)| table.meta());
    let held =
        held.filter(|meta| meta.seqno_max > reasons.oldest_snapshot && has_reason(meta, reasons.now_ms));
    held.map(|meta| meta.seqno_max).min()
}

fn has_reason(meta: &TableMeta, now_ms: u64) -> bool {
    deletes(meta) || can_shrink(meta, now_ms)
}

/// Whether the table has deletions that something may lie below.
fn deletes(meta: &TableMeta) -> bool {
    meta.range_tombstones > 0 || (meta.tombstones > 0 && meta.tombstones * GARBAGE_SHARE >= meta.entries)
}

/// Whether the table can be written anew in fewer bytes whatever lies below.
fn can_shrink(meta: &TableMeta, now_ms: u64) -> bool {
    let superseded = meta.garbage.superseded;
    (superseded > 0 && superseded * GARBAGE_SHARE >= meta.entries)
        || is_expired(meta.garbage.quarter_expired_at, now_ms)
}

/// Why a table is written anew where it is.
fn purpose_in_place(meta: &TableMeta, now_ms: u64) -> CompactionKind {
    if is_expired(meta.garbage.quarter_expired_at, now_ms) {
        CompactionKind::Expired
    } else if can_shrink(meta, now_ms) {
        CompactionKind::Superseded
    } else {
        CompactionKind::DeletionsInPlace
    }
}

fn task_for(version: &Version, level: usize, table: &Arc<TableHandle>, reasons: Reasons) -> Option<Task> {
    let meta = table.meta();
    let lies_on_something =
        || (level + 1..LEVELS).any(|below| !version.overlapping(below, &table.span()).is_empty());
    // Such a table hides nothing and nobody can see it, whatever the snapshots.
    let all_expired = meta.range_tombstones == 0 && is_expired(meta.garbage.all_expired_at, reasons.now_ms);
    if all_expired && !lies_on_something() && !lies_on_older(version, level, table) {
        return Some(Task { is_discarded: true, ..in_place(level, table) });
    }
    // What a snapshot between the entries needs could not be dropped, and the table would be picked for ever.
    if meta.seqno_max > reasons.oldest_snapshot || !has_reason(meta, reasons.now_ms) {
        return None;
    }
    let merged = if level == 0 {
        level_0_with(version, table)
    } else if can_shrink(meta, reasons.now_ms) || !lies_on_something() {
        return Some(in_place(level, table).with_purpose(purpose_in_place(meta, reasons.now_ms)));
    } else {
        into_next_level(version, level, vec![Arc::clone(table)])
    };
    let worth = merged.filter(|task| is_worth_its_merge(meta, task, reasons));
    worth.map(|task| task.with_purpose(CompactionKind::Deletions))
}

/// Whether an older table of level 0 has keys in common with this one of level 0.
pub(super) fn lies_on_older(version: &Version, level: usize, table: &TableHandle) -> bool {
    let mut older =
        version.level(0).iter().skip_while(|other| other.meta().number != table.meta().number).skip(1);
    level == 0 && older.any(|other| other.span().overlaps(&table.span()))
}

fn is_worth_its_merge(meta: &TableMeta, task: &Task, reasons: Reasons) -> bool {
    if meta.range_tombstones > 0 || can_shrink(meta, reasons.now_ms) {
        return true;
    }
    let tombstones: u64 = task.inputs.iter().map(|input| input.meta().tombstones).sum();
    let merged: u64 = task.overlapped.iter().map(|table| table.meta().entries).sum();
    tombstones * MERGED_FOR_EACH_TOMBSTONE >= merged
}

fn in_place(level: usize, table: &Arc<TableHandle>) -> Task {
    let (inputs, overlapped) = (vec![Arc::clone(table)], Vec::new());
    let purpose = CompactionKind::DeletionsInPlace;
    Task { level, inputs, target: level, overlapped, is_discarded: false, is_scattered: false, purpose }
}

#[cfg(test)]
mod tests;
