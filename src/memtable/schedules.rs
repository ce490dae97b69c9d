//! A writer and readers in many orders of their steps: while a leaf splits, a segment of the hash table grows and a chain
//! of versions gets longer.
#![forbid(unsafe_code)]

use std::sync::Arc;

use shuttle::rand::Rng;

use super::tests::KEY_SHAPES;
use super::*;
use crate::iter::InternalIterator;
use crate::key::hash_key;
use crate::sync::{explore, thread};

/// The keys in the order of their inserts, which have the seqnos from one on; so many are in before anybody reads.
struct Run {
    memtable: Arc<Memtable>,
    keys: Vec<Vec<u8>>,
    published: AtomicU64,
}

impl Run {
    fn new(keys: Vec<Vec<u8>>, before: usize) -> Arc<Self> {
        let run = Self { memtable: Arc::new(Memtable::new()), keys, published: AtomicU64::new(0) };
        run.insert(0..before);
        Arc::new(run)
    }

    fn insert(&self, places: std::ops::Range<usize>) {
        for place in places {
            let seqno = place as u64 + 1;
            self.memtable.insert(&self.keys[place], seqno, Kind::Value, 0, &seqno.to_le_bytes());
            self.published.store(seqno, Ordering::Release);
        }
    }

    fn check_get(&self, place: usize) {
        let snapshot = self.published.load(Ordering::Acquire);
        let seqno = place as u64 + 1;
        let found = self.memtable.get(&self.keys[place], snapshot);
        let value = found.map(|found| found.value.to_vec());
        assert_eq!(value, (seqno <= snapshot).then(|| seqno.to_le_bytes().to_vec()), "{seqno} at {snapshot}");
    }

    /// Walks over everything that is visible now.
    fn check_walk(&self, forward: bool) {
        let snapshot = self.published.load(Ordering::Acquire);
        let mut expected: Vec<&Vec<u8>> = self.keys[..snapshot as usize].iter().collect();
        expected.sort();
        let mut iterator = self.memtable.iter();
        if forward {
            iterator.seek_to_first().unwrap()
        } else {
            iterator.seek_to_last().unwrap()
        }
        let mut walked = Vec::new();
        while iterator.is_valid() {
            if iterator.entry().seqno <= snapshot {
                walked.push(iterator.entry().key.to_vec());
            }
            if forward { iterator.next().unwrap() } else { iterator.prev().unwrap() }
        }
        if !forward {
            walked.reverse();
        }
        assert!(walked.iter().eq(expected), "at {snapshot}, forward {forward}: {walked:?}");
    }
}

fn beside_a_writer(run: &Arc<Run>, before: usize, reads: fn(&Run)) {
    let writing = Arc::clone(run);
    let writer = thread::spawn(move || writing.insert(before..writing.keys.len()));
    let reading = Arc::clone(run);
    let reader = thread::spawn(move || reads(&reading));
    reads(run);
    writer.join().unwrap();
    reader.join().unwrap();
    run.check_walk(true);
}

fn any_place(run: &Run) -> usize {
    shuttle::rand::thread_rng().gen_range(0..run.keys.len())
}

#[test]
fn readers_find_everything_published_while_a_leaf_splits() {
    explore("readers find everything published while a leaf splits", 3_000, || {
        let shape = KEY_SHAPES[shuttle::rand::thread_rng().gen_range(0..KEY_SHAPES.len())];
        let in_order = shuttle::rand::thread_rng().gen_range(0..2) == 0;
        let numbers = (0..66).map(|at| if in_order { at } else { at * 31 % 66 });
        let run = Run::new(numbers.map(shape).collect(), 62);
        beside_a_writer(&run, 62, |run| {
            run.check_get(any_place(run));
            run.check_walk(shuttle::rand::thread_rng().gen_range(0..2) == 0);
            run.check_get(any_place(run));
        });
    });
}

#[test]
fn readers_find_every_key_while_the_hash_table_grows() {
    // Keys of one segment, whose first table is full with five of them.
    let of_one_segment = |number: &u64| hash_key(&number.to_be_bytes()) >> 58 == 0;
    let keys: Vec<_> =
        (0..).filter(of_one_segment).take(8).map(|number| number.to_be_bytes().to_vec()).collect();
    explore("readers find every key while the hash table grows", 8_000, move || {
        let run = Run::new(keys.clone(), 4);
        beside_a_writer(&run, 4, |run| (0..4).for_each(|_| run.check_get(any_place(run))));
    });
}

#[test]
fn a_reader_finds_its_version_while_newer_ones_come_in() {
    explore("a reader finds its version while newer ones come in", 4_000, || {
        let memtable = Arc::new(Memtable::new());
        let published = Arc::new(AtomicU64::new(0));
        let insert = |memtable: &Memtable, published: &AtomicU64, seqno: u64| {
            memtable.insert(b"key", seqno, Kind::Value, 0, &seqno.to_le_bytes());
            published.store(seqno, Ordering::Release);
        };
        (1..=30).for_each(|seqno| insert(&memtable, &published, seqno));
        let writer = thread::spawn({
            let (memtable, published) = (Arc::clone(&memtable), Arc::clone(&published));
            move || (31..=36).for_each(|seqno| insert(&memtable, &published, seqno))
        });
        for _ in 0..3 {
            let newest = published.load(Ordering::Acquire);
            for snapshot in [newest, newest / 2, 1] {
                let found = memtable.get(b"key", snapshot).expect("the first version is there");
                assert_eq!((found.seqno, found.value), (snapshot, &snapshot.to_le_bytes()[..]));
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_finds_every_range_tombstone_that_was_published() {
    explore("a reader finds every range tombstone that was published", 4_000, || {
        let memtable = Arc::new(Memtable::new());
        let published = Arc::new(AtomicU64::new(0));
        let writer = thread::spawn({
            let (memtable, published) = (Arc::clone(&memtable), Arc::clone(&published));
            move || {
                for seqno in 1..=3 {
                    memtable.insert_range_tombstone(&[seqno as u8], &[seqno as u8 + 2], seqno);
                    published.store(seqno, Ordering::Release);
                }
            }
        });
        for _ in 0..3 {
            let snapshot = published.load(Ordering::Acquire);
            assert!(snapshot == 0 || memtable.has_range_tombstones());
            let tombstones = memtable.range_tombstones();
            for seqno in 1..=snapshot {
                assert!(tombstones.covering(&[seqno as u8], snapshot) >= Some(seqno));
            }
        }
        writer.join().unwrap();
    });
}
