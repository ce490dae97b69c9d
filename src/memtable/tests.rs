//! The memtable against a model: a sorted map from (key, reversed seqno) to the rest of the entry.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::iter::InternalIterator;
use crate::key::{EntryRef, KEY_BYTES_MAX, NEVER_EXPIRES, SEQNO_MAX};

type Model = BTreeMap<(Vec<u8>, Reverse<SeqNo>), (Kind, u64, Vec<u8>)>;

/// SplitMix64: enough randomness for a test, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Starts from FLOWDB_SEED or from the clock, and prints the seed.
    pub(super) fn from_environment() -> Self {
        let seed = match std::env::var("FLOWDB_SEED") {
            Ok(seed) => seed.parse().expect("FLOWDB_SEED is a number"),
            Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        };
        println!("FLOWDB_SEED={seed}");
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Ways to make keys from numbers, each hard for some part of the index.
pub(super) const KEY_SHAPES: [fn(u64) -> Vec<u8>; 7] = [
    // Scattered: every head differs.
    |number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec(),
    // In order.
    |number| number.to_be_bytes().to_vec(),
    // A prefix that fills many heads.
    |number| format!("a/rather/long/prefix/that/all/keys/share/{number:09}").into_bytes(),
    // Shorter than a head.
    |number| number.to_be_bytes()[5..].to_vec(),
    // Ends of NULs, which look like the padding of a head.
    |number| [&(number / 12).to_be_bytes()[5..], &vec![0; (number % 12) as usize]].concat(),
    // Several interleaved sequences.
    |number| {
        format!("{}/{:07}", ["docs", "docs/index", "meta"][(number % 3) as usize], number / 3).into_bytes()
    },
    // Most begin alike, and now and then one breaks with that, sooner or later, to either side.
    |number| {
        let start = "a/rather/long/prefix/that/most/keys/share";
        let (kept, mark) = match number % 97 {
            0 => ((number / 97 % 40) as usize, ["!", "~", ""][(number % 3) as usize]),
            _ => (start.len(), ""),
        };
        format!("{}{mark}{number:09}", &start[..kept]).into_bytes()
    },
];

fn random_entry(random: &mut Random) -> (Kind, u64, Vec<u8>) {
    let kind = if random.below(5) == 0 { Kind::Tombstone } else { Kind::Value };
    let expires_at = if random.below(3) == 0 { random.next() } else { NEVER_EXPIRES };
    let len = if random.below(200) == 0 { 3000 } else { random.below(20) };
    (kind, expires_at, (0..len).map(|_| random.next() as u8).collect())
}

fn fill(random: &mut Random, shape: fn(u64) -> Vec<u8>, keys: u64, entries: u64) -> (Arc<Memtable>, Model) {
    let memtable = Arc::new(Memtable::new());
    let mut model = Model::new();
    let mut writer = memtable.writer();
    let in_order = random.below(2) == 0;
    for seqno in 1..=entries {
        let number = if in_order && seqno < keys { seqno } else { random.below(keys) };
        let (kind, expires_at, value) = random_entry(random);
        writer.insert(&shape(number), seqno, kind, expires_at, &value);
        model.insert((shape(number), Reverse(seqno)), (kind, expires_at, value));
    }
    drop(writer);
    (memtable, model)
}

type ModelEntry<'a> = (&'a (Vec<u8>, Reverse<SeqNo>), &'a (Kind, u64, Vec<u8>));

fn assert_stands_on(iterator: &MemtableIterator, expected: Option<ModelEntry<'_>>) {
    let expected = expected.map(|((key, seqno), (kind, expires_at, value))| EntryRef {
        key,
        seqno: seqno.0,
        kind: *kind,
        expires_at: *expires_at,
        value,
    });
    assert_eq!(iterator.is_valid().then(|| iterator.entry()), expected);
}

#[test]
fn both_directions_give_the_entries_of_the_model() {
    let mut random = Random::from_environment();
    for shape in KEY_SHAPES {
        let (memtable, model) = fill(&mut random, shape, 3000, 10_000);
        let mut iterator = memtable.iter();

        iterator.seek_to_first().unwrap();
        for expected in &model {
            assert_stands_on(&iterator, Some(expected));
            iterator.next().unwrap();
        }
        assert_stands_on(&iterator, None);

        iterator.seek_to_last().unwrap();
        for expected in model.iter().rev() {
            assert_stands_on(&iterator, Some(expected));
            iterator.prev().unwrap();
        }
        assert_stands_on(&iterator, None);
        assert_eq!(memtable.entries(), 10_000);
    }
}

#[test]
fn a_get_finds_the_newest_version_that_the_snapshot_sees() {
    let mut random = Random::from_environment();
    for shape in KEY_SHAPES {
        let (memtable, model) = fill(&mut random, shape, 1000, 5000);
        for _ in 0..5000 {
            let key = shape(random.below(1100));
            let seqno = random.below(5100);
            let expected = model
                .range((key.clone(), Reverse(seqno))..)
                .next()
                .filter(|((other, _), _)| *other == key)
                .map(|((_, seqno), (kind, expires_at, value))| VersionRef {
                    seqno: seqno.0,
                    kind: *kind,
                    expires_at: *expires_at,
                    value,
                });
            assert_eq!(memtable.get(&key, seqno), expected);

            let newest = model.range((key.clone(), Reverse(u64::MAX))..).next();
            let newest = newest.filter(|((other, _), _)| *other == key).map(|((_, seqno), _)| seqno.0);
            assert_eq!(memtable.newest_seqno(&key), newest);
        }
    }
}

#[test]
fn every_mix_of_seeks_and_steps_follows_the_model() {
    let mut random = Random::from_environment();
    for shape in KEY_SHAPES {
        let (memtable, model) = fill(&mut random, shape, 800, 3000);
        let mut iterator = memtable.iter();
        // The position in the model; none is off the end.
        let mut at: Option<&(Vec<u8>, Reverse<SeqNo>)> = None;
        for _ in 0..20_000 {
            let key = match (random.below(4), at) {
                // The key at hand, so that seeks within a key happen often.
                (0, Some((key, _))) => key.clone(),
                _ => shape(random.below(900)),
            };
            match random.below(12) {
                0 => {
                    iterator.seek_to_first().unwrap();
                    at = model.keys().next();
                }
                1 => {
                    iterator.seek_to_last().unwrap();
                    at = model.keys().next_back();
                }
                2 | 3 => {
                    let seqno = [random.below(3100), 0, SEQNO_MAX][random.below(3) as usize];
                    iterator.seek(&key, seqno).unwrap();
                    at = model.range((key, Reverse(seqno))..).next().map(|(key, _)| key);
                }
                4 | 5 => {
                    iterator.seek_before(&key).unwrap();
                    at = model.range(..(key, Reverse(SeqNo::MAX))).next_back().map(|(key, _)| key);
                }
                step => {
                    let Some(here) = at else { continue };
                    if step % 2 == 0 {
                        iterator.next().unwrap();
                        at = model.range(here..).nth(1).map(|(key, _)| key);
                    } else {
                        iterator.prev().unwrap();
                        at = model.range(..here).next_back().map(|(key, _)| key);
                    }
                }
            }
            assert_stands_on(&iterator, at.and_then(|at| model.get_key_value(at)));
        }
    }
}

#[test]
fn a_key_with_thousands_of_versions_is_read_as_any_other() {
    let mut random = Random::from_environment();
    let (memtable, model) = fill(&mut random, KEY_SHAPES[2], 3, 20_000);
    let mut iterator = memtable.iter();
    for _ in 0..2000 {
        let (key, seqno) = (KEY_SHAPES[2](random.below(3)), random.below(20_100));
        iterator.seek(&key, seqno).unwrap();
        let mut expected = model.range((key.clone(), Reverse(seqno))..);
        assert_stands_on(&iterator, expected.next());
        if iterator.is_valid() {
            iterator.next().unwrap();
            assert_stands_on(&iterator, expected.next());
        }
    }

    iterator.seek_to_last().unwrap();
    for expected in model.iter().rev() {
        assert_stands_on(&iterator, Some(expected));
        iterator.prev().unwrap();
    }
    assert!(!iterator.is_valid());
}

#[test]
fn the_empty_key_and_the_empty_value_are_legal() {
    let memtable = Arc::new(Memtable::new());
    memtable.insert(b"", 1, Kind::Value, 0, b"");
    memtable.insert(b"\0", 2, Kind::Value, 0, b"nul");

    assert_eq!(memtable.get(b"", 9).map(|found| (found.seqno, found.value)), Some((1, b"".as_slice())));
    let mut iterator = memtable.iter();
    iterator.seek_to_last().unwrap();
    assert_eq!(iterator.entry().key, b"\0");
    iterator.prev().unwrap();
    assert_eq!(iterator.entry().key, b"");
    iterator.prev().unwrap();
    assert!(!iterator.is_valid());
}

#[test]
fn an_empty_memtable_has_nothing_to_give() {
    let memtable = Arc::new(Memtable::new());
    let mut iterator = memtable.iter();

    assert!(!iterator.is_valid());
    iterator.seek_to_first().unwrap();
    assert!(!iterator.is_valid());
    iterator.seek_to_last().unwrap();
    assert!(!iterator.is_valid());
    iterator.seek(b"a", 1).unwrap();
    assert!(!iterator.is_valid());
    iterator.seek_before(b"a").unwrap();
    assert!(!iterator.is_valid());
    assert!(memtable.get(b"a", SEQNO_MAX).is_none());
    assert!(memtable.is_empty());
    assert!(memtable.range_tombstones().is_empty());
}

#[test]
fn the_longest_keys_and_large_values_come_back_whole() {
    let memtable = Memtable::new();
    let key = |last: u8| [vec![7; KEY_BYTES_MAX - 1], vec![last]].concat();
    let value = |last: u8| vec![last; 5 << 20];
    for last in 0..5 {
        memtable.insert(&key(last), u64::from(last) + 1, Kind::Value, 0, &value(last));
    }

    for last in 0..5 {
        let found = memtable.get(&key(last), SEQNO_MAX).expect("a key that was inserted");
        assert!(found.value == value(last).as_slice());
    }
    assert!(memtable.get(&key(5), SEQNO_MAX).is_none());
    assert!(memtable.size_bytes() > 25 << 20);
}

#[test]
fn overwriting_a_key_leaves_a_held_version_as_it_was() {
    let memtable = Memtable::new();
    memtable.insert(b"k", 1, Kind::Value, 0, b"first");
    let held = memtable.get(b"k", SEQNO_MAX).expect("just inserted");

    for seqno in 2..1000 {
        memtable.insert(b"k", seqno, Kind::Value, 0, &[0; 2000]);
    }

    assert_eq!(held.value, b"first");
    assert_eq!(memtable.get(b"k", 1), Some(held));
}

#[test]
fn an_iterator_keeps_its_memtable_alive() {
    let memtable = Arc::new(Memtable::new());
    memtable.insert(b"k", 1, Kind::Value, 0, b"v");
    let mut iterator = memtable.iter();
    iterator.seek_to_first().unwrap();
    drop(memtable);

    assert_eq!(iterator.entry().value, b"v");
}

#[test]
fn range_tombstones_are_there_as_soon_as_they_are_inserted() {
    let memtable = Memtable::new();
    assert!(!memtable.has_range_tombstones());
    let before = memtable.size_bytes();

    memtable.insert_range_tombstone(b"b", b"d", 5);
    assert!(memtable.has_range_tombstones());
    assert_eq!(memtable.range_tombstones().covering(b"c", 9), Some(5));
    memtable.insert_range_tombstone(b"c", b"e", 7);

    let set = memtable.range_tombstones();
    assert_eq!(set.covering(b"c", 9), Some(7));
    assert_eq!(set.covering(b"c", 6), Some(5));
    assert_eq!(set.covering(b"d", 6), None);
    assert!(Arc::ptr_eq(&set, &memtable.range_tombstones()));
    assert!(memtable.size_bytes() > before);
    assert_eq!((memtable.entries(), memtable.is_empty()), (2, false));
}

#[test]
fn keys_in_order_fill_the_memory_well() {
    let size_of = |shape: fn(u64) -> Vec<u8>| {
        let memtable = Memtable::new();
        for number in 0..50_000 {
            memtable.insert(&shape(number), number + 1, Kind::Value, 0, b"");
        }
        memtable.size_bytes()
    };
    // The bytes of the keys and their records are the same; only the fill of the leaves differs.
    assert!(size_of(KEY_SHAPES[1]) + 50_000 * 3 < size_of(KEY_SHAPES[0]));
}

#[test]
fn entries_that_are_inserted_together_are_found_as_if_one_by_one() {
    for seed in 0..20u64 {
        let mut random = Random(seed);
        let memtable = Arc::new(Memtable::new());
        let mut expected: BTreeMap<Vec<u8>, (SeqNo, Vec<u8>)> = BTreeMap::new();
        let mut seqno = 0;
        for _ in 0..200 {
            // Crowded around a few places, so that leaves are split within one call, and sometimes in order.
            let (at, in_order) = (random.below(50), random.below(4) == 0);
            let count = random.below(150);
            let entries: Vec<(Vec<u8>, SeqNo, Vec<u8>)> = (0..count)
                .map(|step| {
                    seqno += 1;
                    let offset = if in_order { seqno * 8 + step } else { random.below(400) };
                    let key = format!("{:08}", at * 1_000 + offset).into_bytes();
                    (key, seqno, seqno.to_be_bytes().to_vec())
                })
                .collect();
            let borrowed: Vec<EntryRef<'_>> = entries
                .iter()
                .map(|(key, seqno, value)| EntryRef {
                    key,
                    seqno: *seqno,
                    kind: Kind::Value,
                    expires_at: NEVER_EXPIRES,
                    value,
                })
                .collect();
            memtable.writer().insert_all(&borrowed);
            expected.extend(entries.into_iter().map(|(key, seqno, value)| (key, (seqno, value))));
        }
        for (key, (seqno, value)) in &expected {
            let found = memtable.get(key, SEQNO_MAX).expect("it was inserted");
            assert_eq!((found.seqno, found.value), (*seqno, value.as_slice()), "seed {seed}");
        }
        let mut scan = memtable.iter();
        let mut keys = Vec::new();
        scan.seek_to_first().unwrap();
        while scan.is_valid() {
            if keys.last().is_none_or(|last: &Vec<u8>| last != scan.entry().key) {
                keys.push(scan.entry().key.to_vec());
            }
            scan.next().unwrap();
        }
        assert!(keys.iter().eq(expected.keys()), "seed {seed}: {} of {} keys", keys.len(), expected.len());
    }
}
