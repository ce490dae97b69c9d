//! Three promises of FlowDB's engine that are about what grows and what comes back, each shown in a line:
//! `cargo run --release --bin promises [-- tables|space|snapshots] [entries]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use engines::clock::disk_bytes;
use engines::data::{Block, Order, Random, head, key, missing_key};
use engines::stores::{Rows, Seen};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, Snapshot, WriteBatch};

const VALUE_BYTES: usize = 128;

/// What is deleted or has expired has to be gone within this time.
const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let entries = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
    let asked_for = |name: &str| words.iter().all(|word| word == name || word.parse::<u64>().is_ok());
    let dir = std::env::temp_dir().join(format!("flowdb-promises-{}", std::process::id()));
    let mut kept = true;
    if asked_for("tables") {
        kept &= tables(&dir);
    }
    if asked_for("space") {
        kept &= space(&dir, entries);
    }
    if asked_for("snapshots") {
        kept &= snapshots(&dir, entries);
    }
    let _ = std::fs::remove_dir_all(&dir);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn config(dir: &Path) -> Config {
    Config { wal_sync_mode: SyncMode::Interval(60_000), ..Config::new(dir) }
}

fn fresh(dir: &Path, part: &str) -> PathBuf {
    let dir = dir.join(part);
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// Writes entries with these numbers in batches of 1,000. They expire at `expires_at_ms`, or never if that is 0.
fn put(db: &Engine, numbers: impl Iterator<Item = u64>, generation: u64, expires_at_ms: u64) {
    let mut numbers = numbers.peekable();
    let mut block = Block::new(VALUE_BYTES, generation);
    while numbers.peek().is_some() {
        block.fill(numbers.by_ref().take(1_000), generation);
        let mut batch = WriteBatch::new();
        for (key, value) in block.entries().iter() {
            batch.put_expiring(key, value, expires_at_ms).expect("a small entry");
        }
        db.commit(batch, CommitOptions::default()).expect("writing");
    }
}

/// The cost of a get beside 1, 10 and 100 tables of which one has the key: first tables that can't have it by their
/// range, as in a level, then tables that can't have it by their filter only, as in level 0.
fn tables(dir: &Path) -> bool {
    let mut kept = true;
    for (what, overlapping) in [("of one level", false), ("of level 0, all of one range", true)] {
        let mut first: Option<[Cost; 2]> = None;
        for tables in [1, 10, 100] {
            let db = with_tables(dir, tables, overlapping);
            let mut random = Random(tables);
            // Once before it counts, so that the cache has every block.
            cost_of_gets(&db, &mut random, false);
            let costs = [false, true].map(|missing| cost_of_gets(&db, &mut random, missing));
            let firsts = *first.get_or_insert(costs);
            for (case, (cost, first)) in ["there", "nowhere"].iter().zip(costs.iter().zip(&firsts)) {
                println!(
                    "{} tables {what}: a get of a key that is {case} looks up {:.3} blocks, {:.0} ns, {:.2} × that of one table",
                    db.stats().level_tables.iter().sum::<u64>(),
                    cost.blocks,
                    cost.ns,
                    cost.ns / first.ns,
                );
                // A filter lets about one key in a hundred pass that its table doesn't have.
                kept &= cost.blocks <= first.blocks + 0.02 * tables as f64;
            }
        }
    }
    kept
}

/// Keys of all tables together, so that there is as much to search however many they are.
const KEYS: u64 = 200_000;

/// A database of about so many tables, which nothing merges.
fn with_tables(dir: &Path, tables: u64, overlapping: bool) -> Engine {
    let config = Config {
        auto_background: false,
        block_cache_capacity_bytes: 1 << 30,
        // As data blocks take about three quarters of what they hold.
        table_size_bytes: KEYS / tables * (VALUE_BYTES as u64 + 16) * 3 / 4,
        ..config(&fresh(dir, "tables"))
    };
    let db = Engine::open(config).expect("opening");
    if overlapping {
        for table in 0..tables {
            put(&db, (0..KEYS / tables).map(|number| number * tables + table), 1, 0);
            db.flush().expect("flushing");
        }
    } else {
        put(&db, 0..KEYS, 1, 0);
        db.compact_all().expect("compacting");
    }
    db
}

/// What a get costs.
#[derive(Clone, Copy)]
struct Cost {
    /// Blocks that it asks the cache for.
    blocks: f64,
    ns: f64,
}

fn cost_of_gets(db: &Engine, random: &mut Random, missing: bool) -> Cost {
    const GETS: u64 = 200_000;
    let number_to_key = |number| if missing { missing_key(number) } else { key(number) };
    let keys: Vec<_> = (0..GETS).map(|_| number_to_key(random.below(KEYS))).collect();
    let blocks = || db.stats().cache_hits + db.stats().cache_misses;
    let (blocks_before, started) = (blocks(), Instant::now());
    for key in &keys {
        assert_eq!(db.get(key, None).expect("reading").is_none(), missing, "a wrong read");
    }
    let ns = started.elapsed().as_nanos() as f64 / GETS as f64;
    Cost { blocks: (blocks() - blocks_before) as f64 / GETS as f64, ns }
}

/// Deletes everything in two ways, lets everything expire, and watches the disk.
fn space(dir: &Path, entries: u64) -> bool {
    let order = Order::Shuffled { count: entries, seed: 1 };
    let numbers = || (0..entries).map(|at| order.number(at));
    let filled = |part: &str, expires_at_ms: u64| {
        let dir = fresh(dir, part);
        let db = Engine::open(config(&dir)).expect("opening");
        put(&db, numbers(), 1, expires_at_ms);
        db.flush().expect("flushing");
        let bytes = disk_bytes(&dir);
        (db, dir, bytes)
    };
    let (db, dir_of_range, before) = filled("range", 0);
    let mut batch = WriteBatch::new();
    batch.delete_range(&key(0), &key(entries)).expect("a small entry");
    db.commit(batch, CommitOptions::default()).expect("deleting");
    let mut kept = comes_back("deleted by one range", &dir_of_range, before);
    db.close().expect("closing");

    let (db, dir_of_keys, before) = filled("keys", 0);
    let mut numbers_to_delete = numbers().peekable();
    while numbers_to_delete.peek().is_some() {
        let mut batch = WriteBatch::new();
        for number in numbers_to_delete.by_ref().take(1_000) {
            batch.delete(&key(number)).expect("a small entry");
        }
        db.commit(batch, CommitOptions::default()).expect("deleting");
    }
    kept &= comes_back("deleted key by key", &dir_of_keys, before);
    db.close().expect("closing");

    // Long enough to write everything before it expires.
    let expires_in = Duration::from_secs(10 + entries / 200_000);
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock that is set");
    let expires_at = now() + expires_in;
    let (db, dir_of_expired, before) = filled("expired", expires_at.as_millis() as u64);
    assert!(now() < expires_at, "everything had expired before it was written: take fewer entries");
    std::thread::sleep(expires_at.saturating_sub(now()));
    kept &= comes_back("expired", &dir_of_expired, before);
    db.close().expect("closing");
    kept
}

/// Waits until 95 % of the space is back, for a minute at most.
fn comes_back(what: &str, dir: &Path, before: u64) -> bool {
    let started = Instant::now();
    loop {
        let now = disk_bytes(dir);
        let came_back = now * 20 <= before;
        if came_back || started.elapsed() > MINUTE {
            println!(
                "everything {what}: of {:.1} MB, {:.1} MB are left after {:.1} s, {:.1} % are back, without a call",
                before as f64 / 1e6,
                now as f64 / 1e6,
                started.elapsed().as_secs_f64(),
                100.0 - now as f64 * 100.0 / before as f64,
            );
            return came_back;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Overwrites a twentieth as many keys twenty times, with a snapshot in the middle of each time, and reads all of them.
fn snapshots(dir: &Path, overwrites: u64) -> bool {
    const PASSES: u64 = 20;
    let keys = overwrites / PASSES;
    let dir = fresh(dir, "snapshots");
    let db = Engine::open(Config { memtable_size_bytes: 4 << 20, ..config(&dir) }).expect("opening");
    put(&db, 0..keys, 1, 0);
    db.compact_all().expect("compacting");
    let before = disk_bytes(&dir);
    let mut held: Vec<(Snapshot, u64)> = Vec::new();
    for pass in 0..PASSES {
        let order = Order::Shuffled { count: keys, seed: 2 };
        put(&db, (0..keys / 2).map(|at| order.number(at)), pass + 2, 0);
        held.push((db.snapshot(), pass + 2));
        put(&db, (keys / 2..keys).map(|at| order.number(at)), pass + 2, 0);
    }
    let (holding, wrong) = (disk_bytes(&dir), held.iter().filter(|held| !is_exact(&db, held, keys)).count());
    println!(
        "{} snapshots held over {overwrites} overwrites: {} exact by scan and by get of every key; {:.1} MB on the disk instead of {:.1}",
        held.len(),
        held.len() - wrong,
        holding as f64 / 1e6,
        before as f64 / 1e6,
    );
    held.clear();
    let started = Instant::now();
    // What the log and the memtable hold of the last pass is not a snapshot's.
    let allowed = before * 3 / 2 + (8 << 20);
    while disk_bytes(&dir) > allowed && started.elapsed() < MINUTE {
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = disk_bytes(&dir);
    println!(
        "the snapshots closed: {:.1} MB on the disk after {:.1} s, without a call",
        after as f64 / 1e6,
        started.elapsed().as_secs_f64(),
    );
    wrong == 0 && after <= allowed
}

/// Whether a snapshot has the first half of the order with its own generation, and the other with that before.
fn is_exact(db: &Engine, (snapshot, generation): &(Snapshot, u64), keys: u64) -> bool {
    let order = Order::Shuffled { count: keys, seed: 2 };
    let mut expected = Rows::default();
    for at in 0..keys {
        let number = order.number(at);
        let generation = if at < keys / 2 { *generation } else { generation - 1 };
        let head = head(number, generation);
        expected.rows += 1;
        expected.bytes += (key(number).len() + VALUE_BYTES) as u64;
        expected.heads = expected.heads.wrapping_add(head);
        let found = db.get(&key(number), Some(snapshot)).expect("reading");
        if found.map(|value| Seen::of(&value.bytes)) != Some(Seen { bytes: VALUE_BYTES, head }) {
            return false;
        }
    }
    let mut scan = db.scan(ScanRange::all(), Direction::Forward, Some(snapshot)).expect("scanning");
    let mut found = Rows::default();
    while scan.advance().expect("scanning") {
        found.add(scan.key(), scan.value());
    }
    found == expected
}
