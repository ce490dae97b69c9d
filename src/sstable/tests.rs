//! Tables as a whole: what is written is read, in every shape and both directions, and damage is never believed.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::testing::{NUMBER, Random, Row, TestTable, options};
use super::{BlockCache, Lookup, Table, TableOptions, TableWriter};
use crate::config::Compression;
use crate::error::{Code, Result};
use crate::fs::{FileSystem, SimFs};
use crate::iter::InternalIterator;
use crate::key::{Found, KEY_BYTES_MAX, Kind, SEQNO_MAX, SeqNo, compare_internal, hash_key};
use crate::range_tombstone::RangeTombstone;

fn tombstone(start: &str, end: &str, seqno: SeqNo) -> RangeTombstone {
    RangeTombstone { start: start.into(), end: end.into(), seqno }
}

/// A table of a certain shape.
struct Shape {
    name: &'static str,
    options: TableOptions,
    rows: Vec<Row>,
    tombstones: Vec<RangeTombstone>,
}

/// Tables of every shape, small enough to damage each byte of each.
fn shapes() -> Vec<Shape> {
    let plain =
        || (0..40).map(|i| Row::value(format!("user:{i:04}"), 100 - i, format!("value {i} {i}"))).collect();
    let versions: Vec<Row> = (0..5)
        .flat_map(|key| {
            let versions = 1 + key * 9;
            (0..versions).map(move |version| Row::value(format!("k{key}"), 900 - version, vec![b'v'; 9]))
        })
        .collect();
    let mixed = vec![
        Row::value("", 9, ""),
        Row::tombstone("", 4),
        Row::value("\0", 5, "zero").expiring(1),
        Row::value("a", 8, "x".repeat(300)).expiring(u64::MAX),
        Row::tombstone("a", 7),
        Row::value("a", 6, "old"),
        Row::value(vec![0xff; 40], SEQNO_MAX, "last"),
        Row::value(vec![0xff; 41], 0, "even later"),
    ];
    let shape = |name, options, rows, tombstones| Shape { name, options, rows, tombstones };
    let (raw, lz4) = (Compression::None, Compression::Lz4);
    vec![
        shape("raw", options(4096, raw, 10), plain(), vec![]),
        shape("lz4", options(4096, lz4, 10), plain(), vec![]),
        shape("tiny blocks", options(128, lz4, 10), plain(), vec![tombstone("a", "zz", 3)]),
        shape("versions across blocks", options(128, raw, 10), versions.clone(), vec![]),
        shape("versions in one block", options(4096, lz4, 4), versions, vec![]),
        shape("mixed kinds", options(128, raw, 10), mixed.clone(), vec![tombstone("a", "c", 9)]),
        shape("no filter", options(128, lz4, 0), mixed, vec![]),
        shape("one empty key", options(4096, raw, 10), vec![Row::value("", 1, "")], vec![]),
        shape(
            "range tombstones only",
            options(4096, raw, 10),
            vec![],
            vec![tombstone("b", "m", 5), tombstone("d", "x", 9), tombstone("", "\0", 0)],
        ),
    ]
}

/// Every position that a table of `rows` may be asked for: the rows' own, and those around them.
fn positions(rows: &[Row]) -> Vec<(Vec<u8>, SeqNo)> {
    let mut positions =
        vec![(vec![], 0), (vec![], SEQNO_MAX), (b"nowhere".to_vec(), 50), (vec![0xff; 50], 1)];
    for row in rows {
        for seqno in [row.seqno, row.seqno.saturating_sub(1), (row.seqno + 1).min(SEQNO_MAX), SEQNO_MAX, 0] {
            positions.push((row.key.clone(), seqno));
        }
        positions.push(([&row.key[..], b"\0"].concat(), SEQNO_MAX));
    }
    positions.sort();
    positions.dedup();
    positions
}

fn first_at_or_after(rows: &[Row], key: &[u8], seqno: SeqNo) -> usize {
    rows.partition_point(|row| compare_internal((&row.key, row.seqno), (key, seqno)).is_lt())
}

fn expected(rows: &[Row], key: &[u8], seqno: SeqNo) -> Option<Found> {
    let row = rows.get(first_at_or_after(rows, key, seqno))?;
    (row.key == key).then(|| row.found())
}

fn collect(table: &Arc<Table>, forward: bool) -> (Vec<Row>, Result<()>) {
    let mut iter = table.iter();
    let mut rows = Vec::new();
    let mut result = if forward { iter.seek_to_first() } else { iter.seek_to_last() };
    while result.is_ok() && iter.is_valid() {
        rows.push(Row::from(iter.entry()));
        result = if forward { iter.next() } else { iter.prev() };
    }
    if result.is_err() {
        assert!(!iter.is_valid(), "an iterator stands on an entry after an error");
    }
    (rows, result)
}

#[test]
fn a_table_of_every_shape_gives_back_what_was_written() {
    for Shape { name, options, rows, tombstones } in shapes() {
        let test = TestTable::write(options, &rows, &tombstones);
        for cache_bytes in [0, 1 << 20] {
            let table = test.open_with(cache_bytes);
            for (key, seqno) in positions(&rows) {
                let found = table.get(&key, hash_key(&key), seqno).unwrap();
                assert_eq!(found, expected(&rows, &key, seqno), "{name}: {key:?} at {seqno}");
            }
            let (all, result) = collect(&table, true);
            result.unwrap();
            assert_eq!(all, rows, "{name}");
            let (mut all, result) = collect(&table, false);
            result.unwrap();
            all.reverse();
            assert_eq!(all, rows, "{name}, backward");
            table.verify().unwrap();
        }
    }
}
