//! Every reason to give space back, one by one, and what keeps a table from being picked for it.

use std::path::PathBuf;

use super::super::pick as pick_any;
use super::*;
use crate::config::Config;
use crate::fs::SimFs;
use crate::sstable::BlockCache;
use crate::version::{Garbage, TableSource, VersionEdit};

const NOW: u64 = 1_000;

/// A table of a hundred values from `smallest` to `largest`, with seqnos up to its number times ten.
fn table(number: u64, smallest: &str, largest: &str) -> TableMeta {
    TableMeta {
        number,
        size: 4_096,
        entries: 100,
        smallest: smallest.into(),
        largest: largest.into(),
        seqno_min: number * 10 - 9,
        seqno_max: number * 10,
        ..TableMeta::default()
    }
}

fn expired(at: u64) -> Garbage {
    Garbage { superseded: 0, quarter_expired_at: at, all_expired_at: at }
}

fn version(tables: &[(u8, TableMeta)]) -> Version {
    let fs = Arc::new(SimFs::in_memory());
    let source = Arc::new(TableSource { fs, dir: PathBuf::from("/db"), cache: Arc::new(BlockCache::new(0)) });
    let edit = VersionEdit { added: tables.to_vec(), ..VersionEdit::default() };
    Version::default().apply(&edit, &source).unwrap()
}

/// Level, target, the numbers of the inputs and of what they overlap, and whether they are discarded.
type Picked = (usize, usize, Vec<u64>, Vec<u64>, bool);

fn picked(tables: &[(u8, TableMeta)], oldest_snapshot: SeqNo) -> Option<Picked> {
    let reasons = Reasons { oldest_snapshot, now_ms: NOW };
    let numbers = |tables: &[Arc<TableHandle>]| tables.iter().map(|table| table.meta().number).collect();
    pick_any(&version(tables), &Config::new("/db"), reasons).map(|task| {
        (task.level, task.target, numbers(&task.inputs), numbers(&task.overlapped), task.is_discarded)
    })
}

#[test]
fn values_alone_are_no_reason() {
    assert_eq!(picked(&[(0, table(3, "a", "c")), (1, table(1, "a", "z"))], 100), None);
}

#[test]
fn a_range_tombstone_goes_down_until_nothing_lies_below_and_is_dropped_there() {
    let deletes = |number| TableMeta { range_tombstones: 1, ..table(number, "a", "m") };
    let below = (2, table(1, "b", "d"));

    assert_eq!(
        picked(&[(0, deletes(3)), (1, table(2, "c", "p"))], 100),
        Some((0, 1, vec![3], vec![2], false))
    );
    assert_eq!(picked(&[(1, deletes(3)), below.clone()], 100), Some((1, 2, vec![3], vec![1], false)));
    assert_eq!(picked(&[(2, deletes(3))], 100), Some((2, 2, vec![3], vec![], false)));
    // One level is skipped on the way.
    assert_eq!(picked(&[(0, deletes(3)), below], 100), Some((0, 1, vec![3], vec![], false)));
}

#[test]
fn point_tombstones_are_a_reason_where_they_are_many() {
    let deletes = |tombstones| TableMeta { tombstones, ..table(3, "a", "m") };
    let below = |entries| (2, TableMeta { entries, ..table(1, "b", "d") });

    assert_eq!(picked(&[(1, deletes(25)), below(500)], 100), Some((1, 2, vec![3], vec![1], false)));
    assert_eq!(picked(&[(1, deletes(24)), below(480)], 100), None, "too few in their table");
    assert_eq!(
        picked(&[(1, deletes(25)), below(501)], 100),
        None,
        "too few for what they would be merged with"
    );
    assert_eq!(picked(&[(2, deletes(25))], 100), Some((2, 2, vec![3], vec![], false)));
}

#[test]
fn versions_that_were_kept_for_a_snapshot_go_when_it_has_gone() {
    let garbage = Garbage { superseded: 25, quarter_expired_at: 0, all_expired_at: 0 };
    let tables = [(1, TableMeta { garbage, ..table(3, "a", "m") }), (2, table(1, "b", "d"))];

    assert_eq!(picked(&tables, 30), Some((1, 1, vec![3], vec![], false)));
    assert_eq!(picked(&tables, 29), None);
}

#[test]
fn a_table_is_written_anew_once_a_quarter_of_it_has_expired() {
    let with = |at| {
        let garbage = Garbage { superseded: 0, quarter_expired_at: at, all_expired_at: 0 };
        [(1, TableMeta { garbage, ..table(3, "a", "m") }), (2, table(1, "b", "d"))]
    };

    assert_eq!(picked(&with(NOW), 100), Some((1, 1, vec![3], vec![], false)));
    assert_eq!(picked(&with(NOW + 1), 100), None);
    assert_eq!(picked(&with(0), 100), None, "it is not known when");
}

#[test]
fn a_table_that_has_expired_is_discarded_only_where_it_hides_nothing() {
    let dead = |number| TableMeta { garbage: expired(NOW), ..table(number, "a", "m") };

    assert_eq!(picked(&[(1, dead(3)), (2, table(1, "n", "z"))], 100), Some((1, 1, vec![3], vec![], true)));
    assert_eq!(picked(&[(1, dead(3))], 0), Some((1, 1, vec![3], vec![], true)), "no snapshot sees it either");
    assert_eq!(picked(&[(0, dead(3)), (0, table(4, "a", "z"))], 100), Some((0, 0, vec![3], vec![], true)));
    let hides_below = picked(&[(1, dead(3)), (2, table(1, "b", "d"))], 100);
    assert_eq!(hides_below, Some((1, 1, vec![3], vec![], false)));
    let hides_older = picked(&[(0, dead(3)), (0, table(2, "b", "d"))], 100);
    assert_eq!(hides_older, Some((0, 1, vec![3, 2], vec![], false)));
    let deletes = TableMeta { range_tombstones: 1, ..dead(3) };
    assert_eq!(picked(&[(1, deletes)], 100), Some((1, 1, vec![3], vec![], false)));
}

#[test]
fn what_a_snapshot_holds_back_is_not_picked_and_is_waited_for() {
    let ranges = (1, TableMeta { range_tombstones: 1, ..table(3, "a", "c") });
    let points = (1, TableMeta { tombstones: 100, ..table(4, "d", "f") });
    let expiring = (1, TableMeta { garbage: expired(NOW), ..table(5, "g", "i") });
    let below = (2, table(1, "a", "z"));
    let tables = [ranges, points, expiring, below];
    let held = |oldest_snapshot| held_back(&version(&tables), Reasons { oldest_snapshot, now_ms: NOW });

    assert_eq!((picked(&tables, 29), held(29)), (None, Some(30)));
    assert_eq!(picked(&tables, 30), Some((1, 2, vec![3], vec![1], false)));
    assert_eq!(held(30), Some(40));
    assert_eq!(held(50), None);
}

#[test]
fn size_comes_first() {
    let deletes = (1, TableMeta { range_tombstones: 1, ..table(9, "a", "m") });
    let mut tables: Vec<_> = (5..9).map(|number| (0, table(number, "p", "q"))).collect();
    tables.push(deletes);

    let level = picked(&tables, 100).map(|picked| (picked.0, picked.2));

    assert_eq!(level, Some((0, vec![8, 7, 6, 5])));
}
