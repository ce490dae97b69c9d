//! Spans of time: what is passed over and what is not, against the same rows read without a span.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::testing::{Random, Row, TestTable, options};
use super::super::{BlockCache, Table, TableIterator};
use super::first_at_or_after;
use crate::config::Compression;
use crate::iter::InternalIterator;
use crate::key::{SEQNO_MAX, SeqNo};
use crate::times::{RECORD_KIND, Times, encode_time, time_of};

/// The row key of a record, as far as a table knows.
pub(super) fn record_key(key: &str, time: i64) -> Vec<u8> {
    [&[RECORD_KIND, 1], key.as_bytes(), &[0, 0], &encode_time(time)].concat()
}

/// Records of some keys with versions and tombstones, and rows of other kinds around them.
fn random_rows(random: &mut Random) -> Vec<Row> {
    let mut rows: BTreeMap<(Vec<u8>, Reverse<SeqNo>), Row> = BTreeMap::new();
    let (count, keys, times) = (1 + random.below(400), 1 + random.below(8), 1 + random.below(200));
    for _ in 0..count {
        let key = match random.below(12) {
            0 => [&[[3, 7][random.below(2) as usize]], &random.key(9)[..]].concat(),
            _ => record_key(&format!("key {}", random.below(keys)), random.below(times) as i64 - 20),
        };
        let seqno = 1 + random.below(5);
        let value = vec![b'v'; random.below(30) as usize];
        let row = if random.one_in(4) { Row::tombstone(key, seqno) } else { Row::value(key, seqno, value) };
        rows.insert((row.key.clone(), Reverse(row.seqno)), row);
    }
    rows.into_values().collect()
}

fn is_within(row: &Row, times: Times) -> bool {
    time_of(&row.key).is_some_and(|time| times.contains(time))
}

/// The rows of the span that the iterator gives from where it stands.
fn gather(iter: &mut TableIterator, times: Times, forward: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    while iter.is_valid() {
        rows.push(Row::from(iter.entry()));
        if forward { iter.next() } else { iter.prev() }.unwrap();
    }
    rows.retain(|row| is_within(row, times));
    rows
}

/// From every place, in both directions, exactly the rows of the span come that come without one.
fn compare(random: &mut Random, table: &Arc<Table>, rows: &[Row]) {
    let first = random.below(240) as i64 - 30;
    let times = Times { first, last: first + random.below(60) as i64 };
    let wanted =
        |rows: &[Row]| -> Vec<Row> { rows.iter().filter(|row| is_within(row, times)).cloned().collect() };
    let reversed = |rows: &[Row]| -> Vec<Row> { wanted(rows).into_iter().rev().collect() };
    let mut iter = table.iter().within(times);
    iter.seek_to_first().unwrap();
    assert_eq!(gather(&mut iter, times, true), wanted(rows), "{times:?}");
    iter.seek_to_last().unwrap();
    assert_eq!(gather(&mut iter, times, false), reversed(rows), "{times:?}");
    for _ in 0..20 {
        let mut key = rows[random.below(rows.len() as u64) as usize].key.clone();
        match random.below(4) {
            0 => key.push(0),
            1 => key.truncate(random.below(key.len() as u64 + 1) as usize),
            2 => key = record_key("l", random.below(200) as i64),
            _ => {}
        }
        let seqno = if random.one_in(2) { SEQNO_MAX } else { random.below(6) };
        iter.seek(&key, seqno).unwrap();
        let at = first_at_or_after(rows, &key, seqno);
        assert_eq!(gather(&mut iter, times, true), wanted(&rows[at..]), "{times:?} from {key:?}");
        iter.seek_before(&key).unwrap();
        let at = first_at_or_after(rows, &key, SEQNO_MAX);
        assert_eq!(gather(&mut iter, times, false), reversed(&rows[..at]), "{times:?} below {key:?}");
    }
}

#[test]
fn a_span_of_time_has_every_version_of_every_record_in_it() {
    let mut random = Random::from_env();
    for _ in 0..200 {
        let rows = random_rows(&mut random);
        let block_size = [128, 200, 512][random.below(3) as usize];
        let compression = if random.one_in(2) { Compression::None } else { Compression::Lz4 };
        let test = TestTable::write(options(block_size, compression, 10), &rows, &[]);
        let table = test.open();
        for _ in 0..4 {
            compare(&mut random, &table, &rows);
        }
        table.verify().unwrap();
        let held = rows.iter().filter_map(|row| time_of(&row.key)).map(Times::at).reduce(Times::union);
        assert_eq!(table.properties().times, held);
    }
}

/// A table with so many partitions that whole ones are passed over as well.
fn long_history(minutes: i64) -> (TestTable, Arc<BlockCache>, Arc<Table>) {
    let rows: Vec<Row> =
        (0..minutes).map(|minute| Row::value(record_key("key", minute * 60), 9, [b'v'; 40])).collect();
    let test = TestTable::write(options(256, Compression::None, 10), &rows, &[]);
    let cache = Arc::new(BlockCache::new(16 << 20));
    let table = test.open_cached(&cache);
    (test, cache, table)
}

#[test]
fn only_the_blocks_that_can_hold_the_span_are_read() {
    let (_test, cache, table) = long_history(20_000);
    let blocks = table.properties().data_blocks;
    assert!(blocks > 4_000 && table.top_index().unwrap().len() > 4, "{blocks}");
    let misses_of = |times: Times, forward: bool| {
        let before = cache.stats().misses;
        let mut iter = table.iter().within(times);
        if forward { iter.seek_to_first() } else { iter.seek_to_last() }.unwrap();
        let rows = gather(&mut iter, times, forward).len();
        (rows, cache.stats().misses - before)
    };

    // An hour is 60 records, in at most 22 blocks of 3 or 4 and at most two partitions of the index.
    let hour = Times { first: 600_000, last: 603_599 };
    let (rows, misses) = misses_of(hour, true);
    assert_eq!(rows, 60);
    assert!(misses <= 24, "{misses} blocks were read of {blocks}");
    // Another hour, backwards.
    let (rows, misses) = misses_of(Times { first: 900_000, last: 903_599 }, false);
    assert_eq!(rows, 60);
    assert!(misses <= 24, "{misses} blocks were read of {blocks}");
    // Behind all of them: the table itself says so.
    assert_eq!(misses_of(Times { first: 1_200_000, last: i64::MAX }, true), (0, 0));
    assert!(!table.may_hold_within(Times { first: 1_200_000, last: i64::MAX }));
}
