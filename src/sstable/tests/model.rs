//! Iterators and lookups against a model: a map of the same entries, with the same movements made in both.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::testing::{Random, Row, TestTable, options};
use super::super::{Table, TableIterator};
use super::{expected, first_at_or_after, get};
use crate::config::Compression;
use crate::iter::InternalIterator;
use crate::key::{Kind, SEQNO_MAX, SeqNo};

/// Random entries in internal order, many of them versions of one key.
fn random_rows(random: &mut Random) -> Vec<Row> {
    let mut entries: BTreeMap<(Vec<u8>, Reverse<SeqNo>), Row> = BTreeMap::new();
    let (count, key_len) = (1 + random.below(400), 1 + random.below(12));
    for _ in 0..count {
        let (key, seqno) = (random.key(key_len + 1), random.below(30));
        let value_len = if random.one_in(30) { random.below(3000) } else { random.below(20) };
        let value = vec![random.next() as u8; value_len as usize];
        let expires_at = if random.one_in(5) { random.next() } else { 0 };
        let row = match random.one_in(4) {
            true => Row::tombstone(key, seqno),
            false => Row { key, seqno, kind: Kind::Value, expires_at, value },
        };
        entries.insert((row.key.clone(), Reverse(row.seqno)), row);
    }
    entries.into_values().collect()
}

fn random_table(random: &mut Random, rows: &[Row]) -> TestTable {
    let block_size = [128, 200, 512, 4096][random.below(4) as usize];
    let compression = if random.one_in(2) { Compression::None } else { Compression::Lz4 };
    let bits_per_key = [0, 2, 10][random.below(3) as usize];
    TestTable::write(options(block_size, compression, bits_per_key), rows, &[])
}

/// A key of the table, or one close to it, or any.
fn some_key(random: &mut Random, rows: &[Row]) -> Vec<u8> {
    let mut key = rows[random.below(rows.len() as u64) as usize].key.clone();
    match random.below(6) {
        0 => key.push(0),
        1 => key.truncate(key.len() / 2),
        2 => key = random.key(14),
        3 => key.extend_from_slice(&random.key(4)),
        _ => {}
    }
    key
}

/// Makes one random movement in the iterator and in the model, whose position is an index or nowhere.
fn step(random: &mut Random, iter: &mut TableIterator, rows: &[Row], at: Option<usize>) -> Option<usize> {
    let wanted = match random.below(12) {
        0 => {
            iter.seek_to_first().unwrap();
            Some(0)
        }
        1 => {
            iter.seek_to_last().unwrap();
            rows.len().checked_sub(1)
        }
        2 => {
            let (key, seqno) = (some_key(random, rows), random.below(32));
            let seqno = if seqno == 31 { SEQNO_MAX } else { seqno };
            iter.seek(&key, seqno).unwrap();
            Some(first_at_or_after(rows, &key, seqno))
        }
        3 => {
            let key = some_key(random, rows);
            iter.seek_before(&key).unwrap();
            first_at_or_after(rows, &key, SEQNO_MAX).checked_sub(1)
        }
        4..=6 => {
            let at = at?;
            iter.next().unwrap();
            Some(at + 1)
        }
        7 => {
            let at = at?;
            iter.next_user_key().unwrap();
            Some(rows.partition_point(|row| row.key <= rows[at].key))
        }
        _ => {
            let at = at?;
            iter.prev().unwrap();
            at.checked_sub(1)
        }
    };
    wanted.filter(|&at| at < rows.len())
}

fn compare_movements(random: &mut Random, table: &Arc<Table>, rows: &[Row]) {
    let mut iter = if random.one_in(3) { table.iter_uncached() } else { table.iter() };
    let mut at = None;
    for movement in 0..600 {
        at = step(random, &mut iter, rows, at);
        let entry = iter.is_valid().then(|| Row::from(iter.entry()));
        assert_eq!(entry.as_ref(), at.map(|at| &rows[at]), "movement {movement}");
        let Some(at) = at else { continue };
        let is_same = |other: Option<&Row>| other.is_some_and(|row| row.key == rows[at].key);
        let has_others = is_same(rows.get(at + 1)) || is_same(at.checked_sub(1).map(|before| &rows[before]));
        assert!(!(iter.is_only_version() && has_others), "movement {movement}");
    }
}

#[test]
fn an_iterator_moves_as_a_sorted_map_would() {
    let mut random = Random::from_env();
    for _ in 0..150 {
        let rows = random_rows(&mut random);
        let test = random_table(&mut random, &rows);
        let table = test.open_with([0, 2000, 1 << 20][random.below(3) as usize]);
        compare_movements(&mut random, &table, &rows);
        table.verify().unwrap();
    }
}

#[test]
fn a_lookup_finds_what_a_sorted_map_would() {
    let mut random = Random::from_env();
    for _ in 0..150 {
        let rows = random_rows(&mut random);
        let table = random_table(&mut random, &rows).open();
        for _ in 0..400 {
            let (key, seqno) = (some_key(&mut random, &rows), random.below(32));
            assert_eq!(get(&table, &key, seqno), expected(&rows, &key, seqno), "{key:?} at {seqno}");
        }
    }
}
