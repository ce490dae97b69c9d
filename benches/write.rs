//! How fast the engine writes, by itself: fills, overwrites, syncs, and the replay of a log.
//!
//! ```sh
//! cargo bench --bench write                    # every workload, five rounds
//! cargo bench --bench write -- synced 9        # those with "synced" in their name, nine rounds
//! FLOWDB_BENCH_DIR=/mnt/disk cargo bench --bench write
//! ```
//!
//! Each workload has a new database. The rounds go through all workloads in turn, so that a slow minute of the machine
//! doesn't fall on one of them; what is printed is the median, with the least and the most. Rates are thousands of
//! entries a second. The comparison with other engines is in `benches/engines`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Engine, WriteBatch};

const VALUE_BYTES: usize = 128;

/// Entries of a fill.
const ENTRIES: u64 = 1_000_000;

/// Entries of the fills with one entry a batch.
const SINGLE: u64 = 300_000;

/// Entries of a synced workload.
const SYNCED: u64 = 4_000;

/// Entries of the log that is replayed.
const REPLAYED: u64 = 300_000;

/// A workload: its name, and what runs it in an empty directory and gives its rate.
type Workload = (&'static str, fn(&Path) -> f64);

const WORKLOADS: &[Workload] = &[
    ("sequential fill, batch 100", |dir| fill(dir, ENTRIES, 100, 1, true, SyncMode::Never)),
    ("random fill, batch 1, relaxed", |dir| fill(dir, SINGLE, 1, 1, false, SyncMode::Interval(100))),
    ("random fill, batch 1, none", |dir| fill(dir, SINGLE, 1, 1, false, SyncMode::Never)),
    ("random fill, batch 100", |dir| fill(dir, ENTRIES, 100, 1, false, SyncMode::Never)),
    ("random fill, batch 100, relaxed", |dir| fill(dir, ENTRIES, 100, 1, false, SyncMode::Interval(100))),
    ("8 threads, batch 100", |dir| fill(dir, ENTRIES, 100, 8, false, SyncMode::Never)),
    ("8 threads, batch 100, relaxed", |dir| fill(dir, ENTRIES, 100, 8, false, SyncMode::Interval(100))),
    ("overwrite, batch 100", overwrite),
    ("synced, 1 thread", |dir| fill(dir, SYNCED, 1, 1, false, SyncMode::Always)),
    ("synced, 8 threads", |dir| fill(dir, SYNCED * 2, 1, 8, false, SyncMode::Always)),
    ("synced, 1 thread, warm", synced_warm),
    ("replay of a log", replay),
];

fn main() {
    // Cargo adds `--bench`, which says nothing here.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(5);
    let wanted = words.iter().find(|word| word.parse::<u32>().is_err());
    let chosen: Vec<&Workload> = WORKLOADS
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|wanted| name.contains(wanted.as_str())))
        .collect();
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); chosen.len()];
    for _ in 0..rounds {
        for ((_, run), rates) in chosen.iter().zip(&mut rates) {
            let dir = Directory::new();
            rates.push(run(&dir.0) / 1e3);
        }
    }
    println!("{:34} {:>9} {:>9} {:>9}   thousand entries a second", "", "median", "least", "most");
    for ((name, _), mut rates) in chosen.into_iter().zip(rates) {
        rates.sort_by(f64::total_cmp);
        let median = rates[rates.len() / 2];
        println!("{name:34} {median:9.1} {:9.1} {:9.1}", rates[0], rates[rates.len() - 1]);
    }
}

/// A directory of its own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let above = std::env::var_os("FLOWDB_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = above.join(format!("flowdb-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn open(dir: &Path, wal_sync_mode: SyncMode) -> Engine {
    Engine::open(Config { wal_sync_mode, ..Config::new(dir) }).expect("a database opens")
}

fn key(number: u64) -> [u8; 16] {
    let mut key = [b'0'; 16];
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Half text, half noise: it compresses about as documents do.
fn value() -> Vec<u8> {
    let mut random = Random(1);
    let mut value = b"{\"name\":\"Winterthur\",\"country\":\"CH\",\"admin1\":\"ZH\",\"text\":\"0123".to_vec();
    value.resize_with(VALUE_BYTES, || random.below(256) as u8);
    value
}

fn write(engine: &Engine, keys: impl Iterator<Item = u64>, value: &[u8]) {
    let mut batch = WriteBatch::new();
    for number in keys {
        batch.put(&key(number), value).expect("a small entry fits");
    }
    engine.commit(batch, CommitOptions::default()).expect("a commit succeeds");
}

/// Writes `entries` from `threads` threads and gives the rate.
fn write_all(engine: &Engine, entries: u64, batch: u64, threads: u64, in_order: bool) -> f64 {
    let value = value();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let value = &value;
            let body = move || {
                let mut random = Random(thread);
                for first in (0..entries / threads).step_by(batch as usize) {
                    let numbers =
                        (first..first + batch).map(|n| if in_order { n } else { random.below(ENTRIES) });
                    write(engine, numbers, value);
                }
            };
            if threads == 1 {
                body();
            } else {
                scope.spawn(body);
            }
        }
    });
    entries as f64 / started.elapsed().as_secs_f64()
}

fn fill(dir: &Path, entries: u64, batch: u64, threads: u64, in_order: bool, sync: SyncMode) -> f64 {
    let engine = open(dir, sync);
    write_all(&engine, entries, batch, threads, in_order)
}

fn overwrite(dir: &Path) -> f64 {
    let engine = open(dir, SyncMode::Never);
    write_all(&engine, ENTRIES, 1_000, 1, true);
    engine.compact_all().expect("a compaction succeeds");
    write_all(&engine, ENTRIES, 100, 1, false)
}

/// Synced writes to a database that has written before, so that there is a log to write over.
fn synced_warm(dir: &Path) -> f64 {
    let engine = open(dir, SyncMode::Always);
    for _ in 0..3 {
        write_all(&engine, SYNCED / 4, 100, 1, false);
        engine.flush().expect("a flush succeeds");
    }
    write_all(&engine, SYNCED, 1, 1, false)
}

/// Opens a database whose log holds everything: it was not closed.
fn replay(dir: &Path) -> f64 {
    let engine = open(dir, SyncMode::Interval(100));
    write_all(&engine, REPLAYED, 100, 1, false);
    engine.sync().expect("a sync succeeds");
    // What a process that dies leaves: the files as they are at this moment.
    let copy = dir.join("copy");
    std::fs::create_dir_all(&copy).expect("a directory can be created");
    for entry in std::fs::read_dir(dir).expect("the directory is there").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) && entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("a file can be copied");
        }
    }
    drop(engine);
    // The copy's bytes must be on the disk, or the opening would wait for them.
    std::fs::File::open(&copy).and_then(|dir| dir.sync_all()).expect("a directory can be synced");
    for entry in std::fs::read_dir(&copy).expect("the copy is there").flatten() {
        std::fs::File::open(entry.path()).and_then(|file| file.sync_all()).expect("a file can be synced");
    }
    let started = Instant::now();
    let engine = open(&copy, SyncMode::Interval(100));
    let elapsed = started.elapsed();
    black_box(engine.visible_seqno());
    assert_eq!(engine.visible_seqno(), REPLAYED, "everything was replayed");
    REPLAYED as f64 / elapsed.as_secs_f64()
}
