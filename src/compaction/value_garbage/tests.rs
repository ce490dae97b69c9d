//! Which value files are emptied, by which compactions, and which are left alone.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use super::*;
use crate::compaction::{Reasons, pick as pick_any};
use crate::error::Code;
use crate::fs::SimFs;
use crate::sstable::BlockCache;
use crate::value_file::FOOTER_BYTES;
use crate::version::{TableSource, ValueFileMeta, ValueShare, VersionEdit};

/// A table from `smallest` to `largest` that has bytes in value files.
fn table(number: u64, smallest: &str, largest: &str, values: &[(u64, u64)]) -> TableMeta {
    TableMeta {
        number,
        size: 4_096,
        entries: 100,
        smallest: smallest.into(),
        largest: largest.into(),
        seqno_min: number * 10 - 9,
        seqno_max: number * 10,
        values: values.iter().map(|&(file, bytes)| ValueShare { file, bytes }).collect(),
        ..TableMeta::default()
    }
}

fn source() -> Arc<TableSource> {
    let fs = Arc::new(SimFs::in_memory());
    Arc::new(TableSource { fs, dir: PathBuf::from("/db"), cache: Arc::new(BlockCache::new(0)) })
}

/// A version with these tables, and value files from 50 on with so many bytes of records each.
fn version(tables: &[(u8, TableMeta)], record_bytes: &[u64]) -> Version {
    let file = |(at, bytes): (usize, &u64)| ValueFileMeta {
        number: 50 + at as u64,
        size: bytes + FOOTER_BYTES as u64,
    };
    let values_added = record_bytes.iter().enumerate().map(file).collect();
    let edit = VersionEdit { added: tables.to_vec(), values_added, ..VersionEdit::default() };
    Version::default().apply(&edit, &source()).unwrap()
}

fn numbers(tables: &[Arc<TableHandle>]) -> Vec<u64> {
    tables.iter().map(|table| table.meta().number).collect()
}

fn picked(version: &Version) -> Option<(usize, usize, Vec<u64>)> {
    pick(version).map(|task| {
        assert!(task.is_scattered && !task.is_trivial_move() && task.overlapped.is_empty());
        (task.level, task.target, numbers(&task.inputs))
    })
}

#[test]
fn a_file_of_which_half_is_needed_is_left_alone() {
    let with = |live| picked(&version(&[(1, table(1, "a", "c", &[(50, live)]))], &[10_000]));

    assert_eq!(with(10_000), None);
    assert_eq!(with(5_000), None);
    assert_eq!(with(4_999), Some((1, 1, vec![1])));
}

#[test]
fn a_file_is_emptied_only_where_it_has_more_garbage_than_the_tables_that_lead_to_it() {
    // Two tables of 4,096 bytes.
    let with = |record_bytes: u64| {
        let tables = [(1, table(1, "a", "c", &[(50, 100)])), (2, table(2, "a", "c", &[(50, 100)]))];
        picked(&version(&tables, &[record_bytes]))
    };
    assert_eq!(with(2 * 4_096 + 199), None);
    assert_eq!(with(2 * 4_096 + 200), Some((1, 1, vec![1])));

    // None of the files is worth it for itself, but both are together.
    let both = |number| table(number, "a", "c", &[(50, 10), (51, 10)]);
    let together = |record_bytes| picked(&version(&[(1, both(1)), (2, both(2))], &[record_bytes; 2]));
    assert_eq!(together(4_096 + 19), None);
    assert_eq!(together(4_096 + 20), Some((1, 1, vec![1])));

    // And one is worth it though all together are not.
    let tables = [(1, table(1, "a", "c", &[(50, 10)])), (2, table(2, "a", "c", &[(51, 10)]))];
    assert_eq!(picked(&version(&tables, &[20, 4_106])), Some((2, 2, vec![2])));
}

#[test]
fn live_bytes_are_the_sum_over_the_tables_and_a_file_without_any_leaves() {
    let tables = [(0, table(1, "a", "c", &[(50, 300), (51, 40)])), (2, table(2, "a", "c", &[(50, 300)]))];
    let before = version(&tables, &[1_000, 100]);
    let live = |version: &Version| -> Vec<(u64, u64)> {
        version.values().files().map(|(file, live)| (file.meta().number, live)).collect()
    };
    assert_eq!(live(&before), [(50, 600), (51, 40)]);

    let one = VersionEdit { removed: vec![(2, 2)], ..VersionEdit::default() };
    assert_eq!(live(&before.apply(&one, &source()).unwrap()), [(50, 300), (51, 40)]);

    // One table moves a level down, the other goes.
    let moved = VersionEdit {
        removed: vec![(2, 2), (0, 1)],
        added: vec![(1, tables[0].1.clone())],
        ..VersionEdit::default()
    };
    let after = before.apply(&moved, &source()).unwrap();
    assert_eq!(live(&after), [(50, 300), (51, 40)]);

    let all = VersionEdit { removed: vec![(1, 1)], ..VersionEdit::default() };
    assert_eq!(live(&after.apply(&all, &source()).unwrap()), []);
    assert_eq!(live(&before), [(50, 600), (51, 40)], "a version never changes");
}

#[test]
fn tables_that_need_what_no_file_has_are_corruption() {
    for tables in [[table(1, "a", "c", &[(50, 1_001)])], [table(1, "a", "c", &[(77, 1)])]] {
        let edit = VersionEdit {
            added: tables.into_iter().map(|table| (1, table)).collect(),
            values_added: vec![ValueFileMeta { number: 50, size: 1_000 + FOOTER_BYTES as u64 }],
            ..VersionEdit::default()
        };
        assert_eq!(Version::default().apply(&edit, &source()).err().unwrap().code(), Code::Corruption);
    }
    let twice = ValueFileMeta { number: 50, size: 1_040 };
    let edit = VersionEdit { values_added: vec![twice, twice], ..VersionEdit::default() };
    assert_eq!(Version::default().apply(&edit, &source()).err().unwrap().code(), Code::Corruption);
}

#[test]
fn the_sparsest_file_comes_first_level_by_level_and_a_few_tables_at_once() {
    let mut tables: Vec<_> = (0..12)
        .map(|at| {
            let (smallest, largest) = (format!("{at:02}a"), format!("{at:02}b"));
            // Every other one leads to the sparsest file.
            (3, table(10 + at, &smallest, &largest, &[(50 + at % 2, 10)]))
        })
        .collect();
    assert_eq!(
        picked(&version(&tables, &[1_000_000, 2_000_000])),
        Some((3, 3, vec![11, 13, 15, 17, 19, 21]))
    );
    assert_eq!(
        picked(&version(&tables, &[2_000_000, 1_000_000])),
        Some((3, 3, vec![10, 12, 14, 16, 18, 20]))
    );
    tables.push((1, table(30, "00", "99", &[(50, 1)])));
    assert_eq!(picked(&version(&tables, &[2_000_000, 1_000_000])), Some((1, 1, vec![30])));

    let many: Vec<_> = (0..20)
        .map(|at| (1, table(10 + at, &format!("{at:02}a"), &format!("{at:02}b"), &[(50, 10)])))
        .collect();
    assert_eq!(picked(&version(&many, &[1_000_000])).unwrap().2.len(), TABLES_MAX);
}

#[test]
fn space_in_tables_comes_first() {
    let deletes = TableMeta { range_tombstones: 1, ..table(9, "a", "m", &[]) };
    let tables = [(1, deletes), (2, table(1, "x", "z", &[(50, 10)]))];
    let reasons = Reasons { oldest_snapshot: 100, now_ms: 1_000 };

    let task = pick_any(&version(&tables, &[1_000_000]), &Config::new("/db"), reasons).unwrap();

    assert_eq!((numbers(&task.inputs), task.is_scattered), (vec![9], false));
}

#[test]
fn a_compaction_moves_values_out_of_sparse_files_and_out_of_small_ones_where_there_are_several() {
    let config = Config { value_file_size_bytes: 64_000, ..Config::new("/db") };
    let emptied = |shares: &[(u64, u64)], record_bytes: &[u64], is_scattered: bool| {
        let version = version(&[(1, table(1, "a", "c", shares))], record_bytes);
        let task = Task {
            level: 1,
            inputs: version.level(1).to_vec(),
            target: 1,
            overlapped: Vec::new(),
            is_discarded: false,
            is_scattered,
            purpose: CompactionKind::Values,
        };
        let mut files: Vec<u64> = files_to_empty(&task, &version, &config).into_iter().collect();
        files.sort_unstable();
        files
    };
    let shares = [(50, 4_000), (51, 900), (52, 999), (53, 1_000)];

    assert_eq!(emptied(&shares, &[9_000, 900, 999, 1_000], false), [50, 51, 52]);
    assert_eq!(
        emptied(&shares, &[9_000, 900, 999, 1_000], true),
        [50],
        "its own picks leave small files alone"
    );
    assert!(emptied(&shares, &[8_000, 900, 1_000, 1_000], false).is_empty(), "one small file alone");
}
