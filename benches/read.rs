//! How fast the engine reads: points, short and long scans, from memtables, the cache and the files.
//!
//! `cargo bench --bench read -- [entries] [name part]`. Each figure is the median of five rounds, in which the workloads
//! take turns. Where the system tells it, time is that of the processor, so that a busy machine disturbs less. The
//! comparison with other engines is in `benches/engines`.

use std::ops::Bound;
use std::path::Path;
use std::time::Instant;

use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};

const VALUE_BYTES: usize = 128;
const ROUNDS: usize = 5;

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

fn key(number: u64) -> Vec<u8> {
    format!("{number:016}").into_bytes()
}

fn value(random: &mut Random) -> Vec<u8> {
    let mut value = b"{\"name\":\"Winterthur\",\"country\":\"CH\",\"admin1\":\"ZH\",\"text\":\"0123".to_vec();
    while value.len() < VALUE_BYTES {
        value.extend_from_slice(&random.below(u64::MAX).to_le_bytes());
    }
    value.truncate(VALUE_BYTES);
    value
}

fn open(dir: &Path, cache_bytes: usize) -> Engine {
    let config = Config {
        wal_sync_mode: SyncMode::Interval(1_000),
        block_cache_capacity_bytes: cache_bytes,
        ..Config::new(dir)
    };
    Engine::open(config).expect("opening a database")
}

fn fill(db: &Engine, entries: u64) {
    let mut random = Random(7);
    let mut order: Vec<u64> = (0..entries).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    for numbers in order.chunks(100) {
        let mut batch = WriteBatch::new();
        for &number in numbers {
            batch.put(&key(number), &value(&mut random)).expect("a small entry");
        }
        db.commit(batch, CommitOptions::default()).expect("a commit");
    }
}

fn settle(db: &Engine) {
    db.flush().expect("a flush");
    let mut compactions = u64::MAX;
    while std::mem::replace(&mut compactions, db.stats().compactions) != db.stats().compactions {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

/// Keys to read, made before the clock starts: those of entries, or some between them.
fn wanted(entries: u64, count: u64, hits: bool) -> Vec<Vec<u8>> {
    let mut random = Random(count);
    let wanted = (0..count).map(|_| {
        let mut wanted = key(random.below(entries));
        if !hits {
            wanted[15] = b'x';
        }
        wanted
    });
    wanted.collect()
}

fn gets(db: &Engine, keys: &[Vec<u8>], hits: bool) -> u64 {
    for key in keys {
        let len = db.get_with(key, None, |value| value.bytes.len()).expect("a read");
        assert_eq!(len, hits.then_some(VALUE_BYTES));
    }
    keys.len() as u64
}

fn scans(db: &Engine, entries: u64, limit: u64, scans: u64, direction: Direction) -> u64 {
    let mut random = Random(limit);
    for _ in 0..scans {
        let start = key(limit + random.below(entries - 2 * limit));
        let range = match direction {
            Direction::Forward => ScanRange { start: Bound::Included(start), end: Bound::Unbounded },
            Direction::Reverse => ScanRange { start: Bound::Unbounded, end: Bound::Excluded(start) },
        };
        assert_eq!(rows(db, range, direction, limit), limit);
    }
    scans * limit
}

fn rows(db: &Engine, range: ScanRange, direction: Direction, limit: u64) -> u64 {
    let mut scan = db.scan(range, direction, None).expect("a scan");
    let (mut rows, mut bytes) = (0, 0);
    while rows < limit && scan.advance().expect("a row") {
        let row = scan.row();
        rows += 1;
        bytes += row.key.len() + row.value.len();
    }
    assert_eq!(bytes as u64, rows * (16 + VALUE_BYTES as u64));
    rows
}

/// Seconds that this thread has run, or that have passed.
fn seconds() -> f64 {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = ran.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| STARTED.get_or_init(Instant::now).elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let entries: u64 = words.first().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let part = words.get(1).cloned().unwrap_or_default();
    let dir = std::env::temp_dir().join(format!("flowdb-read-{}", std::process::id()));
    let few = entries.min(200_000);
    let memory = open(&dir.join("memory"), 64 << 20);
    fill(&memory, few);
    let tables = open(&dir.join("tables"), 512 << 20);
    fill(&tables, entries);
    settle(&tables);
    let small = open(&dir.join("small"), (entries as usize) * (16 + VALUE_BYTES) / 4);
    fill(&small, entries);
    settle(&small);
    println!("levels: {:?}", tables.stats().level_tables);

    let (few_hits, few_misses) = (wanted(few, 300_000, true), wanted(few, 300_000, false));
    let (hits, misses) = (wanted(entries, 300_000, true), wanted(entries, 300_000, false));

    type Workload<'a> = (&'a str, Box<dyn Fn() -> u64 + 'a>);
    let (forward, reverse) = (Direction::Forward, Direction::Reverse);
    let workloads: Vec<Workload<'_>> = vec![
        ("memtable, hit", Box::new(|| gets(&memory, &few_hits, true))),
        ("memtable, miss", Box::new(|| gets(&memory, &few_misses, false))),
        ("memtable, full scan", Box::new(|| rows(&memory, ScanRange::all(), forward, u64::MAX))),
        ("hit", Box::new(|| gets(&tables, &hits, true))),
        ("miss", Box::new(|| gets(&tables, &misses, false))),
        ("hit, small cache", Box::new(|| gets(&small, &hits, true))),
        ("seek + 10", Box::new(|| scans(&tables, entries, 10, 20_000, forward))),
        ("seek + 200", Box::new(|| scans(&tables, entries, 200, 2_000, forward))),
        ("seek + 200, reverse", Box::new(|| scans(&tables, entries, 200, 2_000, reverse))),
        ("full scan", Box::new(|| rows(&tables, ScanRange::all(), forward, u64::MAX))),
        ("full scan, reverse", Box::new(|| rows(&tables, ScanRange::all(), reverse, u64::MAX))),
    ];
    let chosen: Vec<&Workload<'_>> = workloads.iter().filter(|(name, _)| name.contains(&part)).collect();
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); chosen.len()];
    chosen.iter().for_each(|(_, work)| {
        work();
    });
    for _ in 0..ROUNDS {
        for ((_, work), rates) in chosen.iter().zip(&mut rates) {
            let started = seconds();
            rates.push(work() as f64 / (seconds() - started));
        }
    }
    for ((name, _), rates) in chosen.iter().zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        println!("{name:22} {:8.3} M/s   ({:.3} to {:.3})", rates[2] / 1e6, rates[0] / 1e6, rates[4] / 1e6);
    }
    for db in [&memory, &tables, &small] {
        db.close().expect("closing a database");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
