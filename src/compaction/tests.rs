//! When a level is merged for its size.

use std::path::PathBuf;

use super::*;
use crate::fs::SimFs;
use crate::sstable::BlockCache;
use crate::version::{TableMeta, TableSource, VersionEdit};

const MIB: u64 = 1 << 20;

/// `tables` of 20 MiB each in level 0, above `below` bytes in level 1.
fn version(tables: u64, below: u64) -> Version {
    version_of(&vec![20 * MIB; tables as usize], below)
}

/// Tables of these sizes in level 0, the oldest first.
fn version_of(sizes: &[u64], below: u64) -> Version {
    let fs = Arc::new(SimFs::in_memory());
    let source = Arc::new(TableSource { fs, dir: PathBuf::from("/db"), cache: Arc::new(BlockCache::new(0)) });
    let table = |number: u64, size: u64| TableMeta {
        number,
        size,
        entries: 100,
        smallest: b"a".into(),
        largest: b"z".into(),
        seqno_min: number * 10 - 9,
        seqno_max: number * 10,
        ..TableMeta::default()
    };
    let mut added = vec![(1, table(1, below))];
    added.extend((2..).zip(sizes).map(|(number, &size)| (0, table(number, size))));
    let edit = VersionEdit { added, ..VersionEdit::default() };
    Version::default().apply(&edit, &source).unwrap()
}

/// How many tables of level 0 are merged first where there is so much below.
fn merged_at(below: u64) -> u64 {
    let config = Config::new("/db");
    let is_picked = |tables: &u64| {
        let task = pick_by_size(&version(*tables, below), &config);
        task.is_some_and(|task| task.level == 0 && task.inputs.len() as u64 == *tables)
    };
    (1..).find(is_picked).unwrap()
}

#[test]
fn level_0_gathers_more_tables_where_a_merge_would_rewrite_much_below() {
    assert_eq!(merged_at(MIB), 4);
    assert_eq!(merged_at(40 * MIB), 4);
    assert_eq!(merged_at(41 * MIB), 5);
    assert_eq!(merged_at(100 * MIB), 10);
    assert_eq!(merged_at(120 * MIB), 12);
    assert_eq!(merged_at(600 * MIB), 12, "reads have to look into all of them");
}

#[test]
fn a_large_table_of_level_0_is_not_written_anew_for_a_little_that_came_since() {
    let config = Config::new("/db");
    let merged = |sizes: &[u64]| {
        let version = version_of(sizes, 600 * MIB);
        pick_when_quiet(&version, &config).map(|task| task.kind())
    };
    let within = Some(CompactionKind::WithinLevel0);

    assert_eq!(merged(&[100 * MIB, MIB]), None);
    assert_eq!(merged(&[100 * MIB, 20 * MIB, 20 * MIB]), None);
    assert_eq!(merged(&[100 * MIB, 20 * MIB, 20 * MIB, 20 * MIB]), within);
    assert_eq!(merged(&[MIB, MIB]), within);
}

/// What is done with so many tables of level 0 when nobody writes: the kind, and the level that takes them.
fn in_quiet(tables: u64, below: u64) -> Option<(CompactionKind, usize)> {
    let config = Config::new("/db");
    pick_when_quiet(&version(tables, below), &config).map(|task| (task.kind(), task.target))
}

#[test]
fn in_quiet_times_level_0_goes_down_where_that_costs_little_and_else_becomes_one_table() {
    assert_eq!(in_quiet(1, 128 * MIB), Some((CompactionKind::Quiet, 1)));
    assert_eq!(in_quiet(6, 128 * MIB), Some((CompactionKind::Quiet, 1)));
    assert_eq!(in_quiet(2, 129 * MIB), Some((CompactionKind::WithinLevel0, 0)));
    assert_eq!(in_quiet(7, 600 * MIB), Some((CompactionKind::WithinLevel0, 0)));
    assert_eq!(in_quiet(1, 600 * MIB), None, "it is one table");
    assert_eq!(in_quiet(0, 600 * MIB), None);
    assert_eq!(in_quiet(13, 600 * MIB), None, "a table of level 0 has bounds");
}
