//! One writer and several readers: what was published is always found, while nodes split and tables grow.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::tests::{KEY_SHAPES, Random};
use super::*;
use crate::iter::InternalIterator;
use crate::key::SEQNO_MAX;

/// The seqno of an entry is the place of its number in `order`, from one. All entries up to `published` are in.
struct Run {
    memtable: Arc<Memtable>,
    shape: fn(u64) -> Vec<u8>,
    order: Vec<u64>,
    /// For each number the place at which it stands in `order`.
    place: Vec<u64>,
    /// The numbers in the order of their keys.
    sorted: Vec<u64>,
    published: AtomicU64,
}

impl Run {
    fn new(random: &mut Random, shape: fn(u64) -> Vec<u8>, scattered: bool, count: u64) -> Self {
        let mut order: Vec<u64> = (0..count).collect();
        if scattered {
            for at in (1..order.len()).rev() {
                order.swap(at, random.below(at as u64 + 1) as usize);
            }
        }
        let mut place = vec![0; order.len()];
        for (at, &number) in order.iter().enumerate() {
            place[number as usize] = at as u64;
        }
        let mut sorted: Vec<u64> = (0..count).collect();
        sorted.sort_by_cached_key(|&number| shape(number));
        let memtable = Arc::new(Memtable::new());
        Self { memtable, shape, order, place, sorted, published: AtomicU64::new(0) }
    }

    fn write(&self) {
        for (at, &number) in self.order.iter().enumerate() {
            let seqno = at as u64 + 1;
            let key = (self.shape)(number);
            self.memtable.insert(&key, seqno, Kind::Value, 0, &number.to_le_bytes());
            self.published.store(seqno, Ordering::Release);
        }
    }

    fn is_done(&self) -> bool {
        self.published.load(Ordering::Acquire) == self.order.len() as u64
    }

    /// Whether the snapshot sees the number.
    fn sees(&self, snapshot: u64, number: u64) -> bool {
        self.place[number as usize] < snapshot
    }

    fn check_gets(&self, random: &mut Random) {
        for _ in 0..200 {
            let snapshot = self.published.load(Ordering::Acquire);
            let number = random.below(self.order.len() as u64);
            let found = self.memtable.get(&(self.shape)(number), snapshot);
            assert_eq!(found.is_some(), self.sees(snapshot, number), "number {number} at {snapshot}");
            if let Some(found) = found {
                assert_eq!(
                    (found.seqno, found.value),
                    (self.place[number as usize] + 1, &number.to_le_bytes()[..])
                );
            }
        }
    }

    /// Walks some entries from a random place and compares them with what the snapshot must see.
    fn check_walk(&self, random: &mut Random, steps: usize) {
        let snapshot = self.published.load(Ordering::Acquire);
        let mut iterator = self.memtable.iter();
        let forward = random.below(2) == 0;
        let from = random.below(self.sorted.len() as u64) as usize;
        let key = (self.shape)(self.sorted[from]);
        let expected: Vec<u64> = if forward {
            iterator.seek(&key, SEQNO_MAX).unwrap();
            self.sorted[from..].iter().copied().filter(|&n| self.sees(snapshot, n)).take(steps).collect()
        } else {
            iterator.seek_before(&key).unwrap();
            self.sorted[..from]
                .iter()
                .rev()
                .copied()
                .filter(|&n| self.sees(snapshot, n))
                .take(steps)
                .collect()
        };
        for number in expected {
            while iterator.is_valid() && iterator.entry().seqno > snapshot {
                step(&mut iterator, forward);
            }
            assert!(iterator.is_valid(), "number {number} is missing at {snapshot}, forward {forward}");
            assert_eq!(iterator.entry().key, (self.shape)(number), "snapshot {snapshot}, forward {forward}");
            assert_eq!(iterator.entry().value, number.to_le_bytes());
            step(&mut iterator, forward);
        }
    }
}

fn step(iterator: &mut MemtableIterator, forward: bool) {
    if forward { iterator.next().unwrap() } else { iterator.prev().unwrap() }
}

#[test]
fn readers_find_everything_published_while_nodes_split() {
    let mut random = Random::from_environment();
    let count = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    for shape in KEY_SHAPES {
        for scattered in [true, false] {
            let run = Run::new(&mut random, shape, scattered, count);
            let seeds = [random.next(), random.next(), random.next()];
            thread::scope(|scope| {
                scope.spawn(|| run.write());
                for seed in seeds {
                    let run = &run;
                    scope.spawn(move || {
                        let mut random = Random(seed);
                        while !run.is_done() {
                            run.check_gets(&mut random);
                            run.check_walk(&mut random, 300);
                        }
                    });
                }
            });
            run.check_walk(&mut random, usize::MAX);
        }
    }
}

/// Many versions of few keys: readers walk chains that grow at their heads.
#[test]
fn readers_find_their_version_while_newer_ones_come_in() {
    let mut random = Random::from_environment();
    let (keys, rounds) = (50u64, if cfg!(debug_assertions) { 200 } else { 2000 });
    let memtable = Arc::new(Memtable::new());
    let published = AtomicU64::new(0);
    let last = keys * rounds;
    let seeds = [random.next(), random.next()];
    thread::scope(|scope| {
        scope.spawn(|| {
            for seqno in 1..=last {
                let key = (seqno % keys).to_be_bytes();
                memtable.insert(&key, seqno, Kind::Value, 0, &seqno.to_le_bytes());
                published.store(seqno, Ordering::Release);
            }
        });
        for seed in seeds {
            let (memtable, published) = (&memtable, &published);
            scope.spawn(move || {
                let mut random = Random(seed);
                loop {
                    let snapshot = published.load(Ordering::Acquire);
                    check_versions(memtable, keys, snapshot, &mut random);
                    if snapshot == last {
                        break;
                    }
                }
            });
        }
    });
}

/// The newest seqno of the key `number` that the snapshot sees.
fn version_of(number: u64, keys: u64, snapshot: u64) -> Option<u64> {
    let seqno = snapshot.checked_sub((snapshot + keys - number) % keys)?;
    (seqno > 0).then_some(seqno)
}

fn check_versions(memtable: &Arc<Memtable>, keys: u64, snapshot: u64, random: &mut Random) {
    let number = random.below(keys);
    let found = memtable.get(&number.to_be_bytes(), snapshot).map(|found| found.seqno);
    assert_eq!(found, version_of(number, keys, snapshot), "key {number} at {snapshot}");

    let mut iterator = memtable.iter();
    iterator.seek_to_last().unwrap();
    for number in (0..keys).rev() {
        // A key that the snapshot doesn't see may have come in since.
        let newest = version_of(number, keys, snapshot).unwrap_or(0);
        let mut expected = if number == 0 { keys } else { number };
        while expected <= newest {
            assert!(iterator.is_valid(), "seqno {expected} is missing at {snapshot}");
            assert_eq!(iterator.entry().seqno, expected);
            expected += keys;
            iterator.prev().unwrap();
        }
        while iterator.is_valid() && iterator.entry().key == number.to_be_bytes() {
            assert!(iterator.entry().seqno > snapshot);
            iterator.prev().unwrap();
        }
    }
}
