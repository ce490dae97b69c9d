//! Space that nobody needs comes back without a call, on a real disk, with the threads of the database at work.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Random;
use flowdb::clock::ManualClock;
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Engine, Snapshot, WriteBatch};

const ROWS: u32 = 20_000;
const ROW_BYTES: usize = 1_000;
const NEVER: u64 = 0;
const SOON: u64 = 10_000;

/// A database in a directory that goes when the test ends.
struct Database {
    dir: PathBuf,
    engine: Option<Engine>,
    clock: Arc<ManualClock>,
}

impl Database {
    fn new(name: &str, memtable_size_bytes: usize) -> Self {
        Self::with_threshold(name, memtable_size_bytes, 0)
    }

    /// Rows lie in value files.
    fn of_large_values(name: &str) -> Self {
        Self::with_threshold(name, 1 << 20, ROW_BYTES)
    }

    fn with_threshold(name: &str, memtable_size_bytes: usize, value_threshold_bytes: usize) -> Self {
        let dir = std::env::temp_dir().join(format!("flowdb-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let clock = Arc::new(ManualClock::new(1_000));
        let config = Config {
            wal_sync_mode: SyncMode::Never,
            memtable_size_bytes,
            flush_interval_ms: 100,
            table_size_bytes: 1 << 20,
            value_threshold_bytes,
            value_file_size_bytes: 1 << 20,
            level_size_bytes: 2 << 20,
            clock: clock.clone(),
            ..Config::new(&dir)
        };
        let engine = Some(Engine::open(config).unwrap());
        Self { dir, engine, clock }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// Writes `ROWS` rows that don't compress.
    fn fill(&self, expires_at: u64) {
        let mut random = Random::new(7);
        self.write(|batch, row| {
            let value: Vec<u8> = (0..ROW_BYTES).map(|_| random.next() as u8).collect();
            batch.put_expiring(&row.to_be_bytes(), &value, expires_at).unwrap();
        });
        assert!(self.size() > u64::from(ROWS) * ROW_BYTES as u64 / 2);
    }

    fn write(&self, mut add: impl FnMut(&mut WriteBatch, u32)) {
        for first in (0..ROWS).step_by(500) {
            let mut batch = WriteBatch::new();
            (first..first + 500).for_each(|row| add(&mut batch, row));
            self.engine().commit(batch, CommitOptions::default()).unwrap();
        }
        self.engine().sync().unwrap();
    }

    fn delete_by_key(&self) {
        self.write(|batch, row| batch.delete(&row.to_be_bytes()).unwrap());
    }

    fn delete_by_range(&self) {
        let mut batch = WriteBatch::new();
        batch.delete_range(&[], &[0xff; 5]).unwrap();
        self.engine().commit(batch, CommitOptions::default()).unwrap();
    }

    /// The bytes of all files. One that goes at this moment counts for nothing.
    fn size(&self) -> u64 {
        let files = std::fs::read_dir(&self.dir).unwrap();
        files.map(|file| file.unwrap().metadata().map_or(0, |metadata| metadata.len())).sum()
    }

    /// Waits until the files take at most `percent` of what the rows did.
    fn wait_until_at_most(&self, percent: u64) {
        let wanted = u64::from(ROWS) * ROW_BYTES as u64 * percent / 100;
        let started = Instant::now();
        while self.size() > wanted {
            let stats = self.engine().stats();
            assert!(started.elapsed() < Duration::from_secs(60), "{} bytes are left: {stats:?}", self.size());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn check_whole(&self, snapshot: &Snapshot) {
        let all = (0..ROWS).filter(|row| {
            self.engine()
                .get(&row.to_be_bytes(), Some(snapshot))
                .unwrap()
                .is_some_and(|value| value.bytes.len() == ROW_BYTES)
        });
        assert_eq!(all.count(), ROWS as usize);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.engine = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn rows_deleted_by_key_give_their_space_back() {
    let database = Database::new("space-keys", 1 << 20);
    database.fill(NEVER);
    database.delete_by_key();
    database.wait_until_at_most(5);
}

#[test]
fn a_deleted_range_gives_its_space_back() {
    let database = Database::new("space-range", 1 << 20);
    database.fill(NEVER);
    database.delete_by_range();
    database.wait_until_at_most(5);
}

#[test]
fn what_is_deleted_in_memory_gives_the_space_of_its_log_back() {
    let database = Database::new("space-memory", 256 << 20);
    database.fill(NEVER);
    database.delete_by_key();
    database.wait_until_at_most(5);
}

#[test]
fn rows_that_have_expired_give_their_space_back() {
    let database = Database::new("space-expiry", 1 << 20);
    database.fill(SOON);
    database.clock.set(SOON);
    database.wait_until_at_most(5);
}

#[test]
fn rows_that_expire_in_memory_give_the_space_of_their_log_back() {
    let database = Database::new("space-expiry-memory", 256 << 20);
    database.fill(SOON);
    database.clock.set(SOON);
    database.wait_until_at_most(5);
}

#[test]
fn what_a_snapshot_needs_stays_and_goes_when_it_closes() {
    let database = Database::new("space-snapshot", 1 << 20);
    database.fill(NEVER);
    let snapshot = database.engine().snapshot();
    database.delete_by_range();
    std::thread::sleep(Duration::from_millis(500));
    database.check_whole(&snapshot);
    drop(snapshot);
    database.wait_until_at_most(5);
}

#[test]
fn versions_that_were_kept_for_a_snapshot_go_when_it_closes() {
    let database = Database::new("space-versions", 1 << 20);
    database.fill(NEVER);
    let snapshot = database.engine().snapshot();
    database.write(|batch, row| batch.put(&row.to_be_bytes(), b"short").unwrap());
    database.engine().compact_all().unwrap();
    database.check_whole(&snapshot);
    drop(snapshot);
    database.wait_until_at_most(5);
}

#[test]
fn large_values_that_are_deleted_give_their_space_back() {
    for (name, is_range) in [("space-values-keys", false), ("space-values-range", true)] {
        let database = Database::of_large_values(name);
        database.fill(NEVER);
        if is_range {
            database.delete_by_range();
        } else {
            database.delete_by_key();
        }
        database.wait_until_at_most(5);
    }
}

#[test]
fn large_values_that_have_expired_give_their_space_back() {
    let database = Database::of_large_values("space-values-expiry");
    database.fill(SOON);
    database.clock.set(SOON);
    database.wait_until_at_most(5);
}

#[test]
fn large_values_that_a_snapshot_needs_stay_and_go_when_it_closes() {
    let database = Database::of_large_values("space-values-snapshot");
    database.fill(NEVER);
    let snapshot = database.engine().snapshot();
    database.write(|batch, row| batch.put(&row.to_be_bytes(), b"short").unwrap());
    database.engine().compact_all().unwrap();
    database.check_whole(&snapshot);
    drop(snapshot);
    database.wait_until_at_most(5);
}

/// At the end, at most half of what value files hold is garbage, beside what level 0 has not been merged with yet.
#[test]
fn large_values_that_are_overwritten_again_and_again_take_bounded_space() {
    let database = Database::of_large_values("space-values-overwritten");
    let mut random = Random::new(3);
    for _ in 0..5 {
        database.write(|batch, row| {
            let value: Vec<u8> = (0..ROW_BYTES).map(|_| random.next() as u8).collect();
            batch.put(&row.to_be_bytes(), &value).unwrap();
        });
    }
    database.wait_until_at_most(250);
    database.engine().verify().unwrap();
}
