//! The workloads, each on one engine in a process of its own. Every read checks that it found what it should.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::stores::{self, Store};

/// The value of an entry: half of it random, half text, so that it compresses about as documents do.
const VALUE_BYTES: usize = 128;

/// Entries of a synced workload: each costs the disk a sync.
const SYNCED: u64 = 2_000;

/// Reads and short scans of a workload.
const READS: u64 = 300_000;
const SCANS: u64 = 20_000;

/// A cache that holds all the data.
const CACHE_BYTES: usize = 512 << 20;

/// Tells the parent a result: entries, reads or rows a second unless the name says otherwise.
type Report<'a> = &'a mut dyn FnMut(&str, f64);

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("{number:016}").into_bytes()
}

fn missing_key(number: u64) -> Vec<u8> {
    format!("{number:015}x").into_bytes()
}

fn value(random: &mut Random) -> Vec<u8> {
    let mut value = b"{\"name\":\"Winterthur\",\"country\":\"CH\",\"admin1\":\"ZH\",\"text\":\"0123".to_vec();
    while value.len() < VALUE_BYTES {
        value.extend_from_slice(&random.next().to_le_bytes());
    }
    value.truncate(VALUE_BYTES);
    value
}

fn rate(count: u64, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}

/// Runs every workload on the engine called `name` in `dir`, with `entries` entries.
pub fn run(name: &str, dir: &Path, entries: u64, report: Report<'_>) {
    let fresh = |part: &str| -> (PathBuf, Box<dyn Store>) {
        let dir = dir.join(part);
        let _ = std::fs::remove_dir_all(&dir);
        let store = stores::open(name, &dir, CACHE_BYTES);
        (dir, store)
    };
    {
        let (_dir, store) = fresh("sequential");
        report("sequential fill, batch 100", fill(store.as_ref(), entries, 100, true));
    }
    {
        let (_dir, store) = fresh("single");
        report("random fill, batch 1", fill(store.as_ref(), entries / 4, 1, false));
    }
    {
        let (_dir, store) = fresh("threads");
        report("8 threads, batch 100", fill_by_threads(store.as_ref(), entries));
    }
    {
        let (_dir, store) = fresh("memory");
        // What fits into one memtable with room to spare.
        let few = entries.min(200_000);
        fill(store.as_ref(), few, 100, true);
        report("read from the memtable", reads(store.as_ref(), few, READS, true));
    }
    {
        let (_dir, store) = fresh("synced");
        report("synced, 1 thread", synced(store.as_ref(), 1));
        report("synced, 8 threads", synced(store.as_ref(), 8));
    }
    let (data, store) = fresh("random");
    report("random fill, batch 100", fill(store.as_ref(), entries, 100, false));
    fill_gaps(store.as_ref(), entries);
    store.settle();
    report("bytes on disk after the fill", bytes_in(&data) as f64);
    read_all(store.as_ref(), entries, report);
    report("overwrite, batch 100", fill(store.as_ref(), entries, 100, false));
    store.settle();
    report("bytes on disk after the overwrite", bytes_in(&data) as f64);
    drop(store);
    let started = Instant::now();
    let store = stores::open(name, &data, CACHE_BYTES);
    report("reopen, ms", started.elapsed().as_secs_f64() * 1e3);
    assert_eq!(store.reader().get(&key(entries / 2)), Some(VALUE_BYTES));
    report("peak memory, MB", peak_memory_mb());
}

fn read_all(store: &dyn Store, entries: u64, report: Report<'_>) {
    // Once without a clock, so that the cache holds what it can.
    reads(store, entries, READS, true);
    report("random read, hit", reads(store, entries, READS, true));
    report("random read, miss", reads(store, entries, READS, false));
    report("seek + 10, rows", scans(store, entries, 10, false));
    report("seek + 200, rows", scans(store, entries, 200, false));
    report("seek + 200 in reverse, rows", scans(store, entries, 200, true));
    for (name, start, reverse) in
        [("full scan, rows", b"".as_slice(), false), ("full scan in reverse, rows", b"~", true)]
    {
        let started = Instant::now();
        let (rows, bytes) = store.reader().scan(start, usize::MAX, reverse);
        report(name, rate(rows as u64, started));
        assert_eq!((rows as u64, bytes as u64), (entries, entries * (16 + VALUE_BYTES as u64)), "{name}");
    }
}

fn fill(store: &dyn Store, entries: u64, batch: u64, in_order: bool) -> f64 {
    let mut random = Random(entries);
    // Made before the clock starts: the engines are measured, not the generator.
    let value = value(&mut random);
    let started = Instant::now();
    let mut written = 0;
    while written < entries {
        let entry = |number: u64| (key(number), value.clone());
        let batch: Vec<(Vec<u8>, Vec<u8>)> = (written..written + batch)
            .map(|n| entry(if in_order { n } else { random.below(entries) }))
            .collect();
        written += batch.len() as u64;
        store.write(&batch, false);
    }
    rate(written, started)
}

/// Sees to it that every key is there after a random fill, with a value of its own.
fn fill_gaps(store: &dyn Store, entries: u64) {
    let mut random = Random(7);
    for first in (0..entries).step_by(1_000) {
        let batch: Vec<_> =
            (first..(first + 1_000).min(entries)).map(|n| (key(n), value(&mut random))).collect();
        store.write(&batch, false);
    }
}

fn fill_by_threads(store: &dyn Store, entries: u64) -> f64 {
    const THREADS: u64 = 8;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random(thread);
                let value = value(&mut random);
                for _ in 0..entries / THREADS / 100 {
                    // Keys of its own: some engines refuse two writers of one key.
                    let own = |random: &mut Random| key(random.below(entries / THREADS) * THREADS + thread);
                    let batch: Vec<_> = (0..100).map(|_| (own(&mut random), value.clone())).collect();
                    store.write(&batch, false);
                }
            });
        }
    });
    rate(entries, started)
}

fn synced(store: &dyn Store, threads: u64) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut random = Random(thread);
                for _ in 0..SYNCED / threads {
                    store.write(&[(key(random.below(1 << 30) * threads + thread), value(&mut random))], true);
                }
            });
        }
    });
    rate(SYNCED, started)
}

fn reads(store: &dyn Store, entries: u64, count: u64, hits: bool) -> f64 {
    let mut random = Random(count);
    let keys: Vec<Vec<u8>> = (0..count)
        .map(|_| random.below(entries))
        .map(|number| if hits { key(number) } else { missing_key(number / 10) })
        .collect();
    let reader = store.reader();
    let started = Instant::now();
    for key in &keys {
        assert_eq!(reader.get(key), hits.then_some(VALUE_BYTES), "a wrong read of {key:?}");
    }
    rate(count, started)
}

fn scans(store: &dyn Store, entries: u64, limit: u64, reverse: bool) -> f64 {
    let mut random = Random(limit);
    let reader = store.reader();
    let started = Instant::now();
    let scans = SCANS * 10 / limit.max(10);
    for _ in 0..scans {
        let start = limit + random.below(entries - 2 * limit);
        let (rows, _) = reader.scan(&key(start), limit as usize, reverse);
        assert_eq!(rows as u64, limit, "a scan that ended early");
    }
    rate(scans * limit, started)
}

fn bytes_in(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_in(&entry.path()),
            // Blocks and not lengths: some engines make files longer than what is in them.
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}
