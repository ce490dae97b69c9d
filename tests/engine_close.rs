//! Closing, and stopping, while others are in the middle of something.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Engine, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, File, FileSystem, LockGuard, SimFs};

/// A disk that calls a function before it creates a file.
struct Watched<F>(SimFs, F);

impl<F: Fn(&Path) + Send + Sync + 'static> FileSystem for Watched<F> {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.0.create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        (self.1)(path);
        self.0.create(path)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.0.open(path)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.0.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.0.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        self.0.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.0.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.0.lock(path)
    }

    fn canonicalize(&self, dir: &Path) -> Result<PathBuf> {
        self.0.canonicalize(dir)
    }
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tbl")
}

fn put(engine: &Engine, key: &[u8], len: usize) -> Result<u64> {
    let mut batch = WriteBatch::new();
    batch.put(key, &vec![7; len])?;
    engine.commit(batch, CommitOptions::default())
}

#[test]
fn a_close_waits_for_a_flush_of_another_thread_so_that_nothing_is_written_after_it() {
    let disk = SimFs::in_memory();
    let reached = Arc::new(AtomicBool::new(false));
    let watch = {
        let reached = Arc::clone(&reached);
        move |path: &Path| {
            if is_table(path) {
                reached.store(true, Ordering::Release);
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    };
    let config = Config { auto_background: false, ..Config::new("/db") };
    let engine = Engine::open_on(config.clone(), Arc::new(Watched(disk.clone(), watch))).unwrap();
    put(&engine, b"before", 10).unwrap();
    let flushing = engine.clone();
    let flush = std::thread::spawn(move || flushing.flush());
    while !reached.load(Ordering::Acquire) {
        std::thread::yield_now();
    }

    engine.close().unwrap();

    let operations = disk.operations();
    // Whether the flush got through is not the point.
    let _ = flush.join().unwrap();
    assert_eq!(disk.operations(), operations, "a file was changed after the directory was let go");
    let engine = Engine::open_on(config, Arc::new(disk)).unwrap();
    assert!(engine.get(b"before", None).unwrap().is_some());
}

#[test]
fn a_close_flushes_what_would_take_long_to_replay() {
    let disk = SimFs::in_memory();
    let engine = Engine::open_on(Config::new("/db"), Arc::new(disk.clone())).unwrap();
    let mut batch = WriteBatch::new();
    for number in 0..20_000u32 {
        batch.put(&number.to_be_bytes(), &[7; 20]).unwrap();
    }
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.close().unwrap();

    let engine = Engine::open_on(Config::new("/db"), Arc::new(disk)).unwrap();

    let stats = engine.stats();
    assert_eq!((stats.memtable_bytes / (64 << 10), stats.frozen_memtables), (0, 0), "{stats:?}");
    assert!(engine.get(&19_999u32.to_be_bytes(), None).unwrap().is_some());
}

/// A database whose only memtable is flushed when it closes: entries that were overwritten, deleted one by one and by range.
fn fill_for_the_close(engine: &Engine) -> Result<()> {
    for round in 0..2u8 {
        let mut batch = WriteBatch::new();
        for number in 0..8_000u32 {
            batch.put(&number.to_be_bytes(), &[round; 20])?;
        }
        engine.commit(batch, CommitOptions::default())?;
    }
    let mut batch = WriteBatch::new();
    batch.delete(&7u32.to_be_bytes())?;
    batch.delete_range(&1_000u32.to_be_bytes(), &2_000u32.to_be_bytes())?;
    batch.put(&1_500u32.to_be_bytes(), b"behind the deletion")?;
    engine.commit(batch, CommitOptions::default())?;
    Ok(())
}

fn check_filled(engine: &Engine, context: &str) {
    for number in 0..8_000u32 {
        let expected = match number {
            1_500 => Some(b"behind the deletion".to_vec()),
            7 | 1_000..2_000 => None,
            _ => Some(vec![1; 20]),
        };
        let value = engine.get(&number.to_be_bytes(), None).unwrap();
        assert_eq!(value.map(|value| value.bytes.to_vec()), expected, "{number}, {context}");
    }
}

#[test]
fn what_a_close_flushes_first_is_at_rest_at_once() {
    let disk = SimFs::in_memory();
    let config = Config { auto_background: false, ..Config::new("/db") };
    let open = || Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let engine = open();
    fill_for_the_close(&engine).unwrap();
    engine.close().unwrap();

    let engine = open();

    let stats = engine.stats();
    assert_eq!((stats.level_tables[0], stats.level_tables[1]), (0, 1), "{stats:?}");
    check_filled(&engine, "reopened");
    let last = engine.visible_seqno();
    let bytes = stats.table_bytes();
    engine.compact_all().unwrap();
    assert!(
        engine.stats().table_bytes() + 1_000 >= bytes,
        "a compaction gains nothing: {:?}",
        engine.stats()
    );
    assert_eq!(put(&engine, b"next", 1).unwrap(), last + 1, "seqnos go on, though entries have lost theirs");
    check_filled(&engine, "compacted");
}

#[test]
fn what_a_close_flushes_later_lies_above_what_was_there() {
    let disk = SimFs::in_memory();
    let config = Config { auto_background: false, ..Config::new("/db") };
    let open = || Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let engine = open();
    for number in 0..8_000u32 {
        put(&engine, &number.to_be_bytes(), 40).unwrap();
    }
    engine.close().unwrap();
    let engine = open();
    fill_for_the_close(&engine).unwrap();
    engine.close().unwrap();

    let engine = open();

    let stats = engine.stats();
    assert_eq!((stats.level_tables[0], stats.level_tables[1]), (1, 1), "{stats:?}");
    check_filled(&engine, "reopened");
}

/// What the flush at a close drops and settles, the log still has until the manifest names the tables.
#[test]
fn a_crash_in_a_close_that_flushes_loses_nothing() {
    let config = Config { auto_background: false, ..Config::new("/db") };
    let fill = |disk: &SimFs| {
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        fill_for_the_close(&engine).unwrap();
        engine
    };
    for crash_after in 0.. {
        let disk = SimFs::new();
        let engine = fill(&disk);
        disk.crash_at(disk.operations() + crash_after);
        let closed = engine.close();
        for outcome in
            [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced, CrashOutcome::Random(crash_after)]
        {
            let after = disk.after_crash(outcome);
            let engine = Engine::open_on(config.clone(), Arc::new(after)).unwrap();
            check_filled(&engine, &format!("{outcome:?}, crash after {crash_after}"));
        }
        if closed.is_ok() {
            assert!(crash_after > 8, "the close flushed");
            break;
        }
    }
}

#[test]
fn the_opening_of_a_database_that_was_closed_changes_nothing_and_syncs_nothing() {
    for entries in [0, 10, 20_000u32] {
        let disk = SimFs::in_memory();
        let engine = Engine::open_on(Config::new("/above/db"), Arc::new(disk.clone())).unwrap();
        for number in 0..entries {
            put(&engine, &number.to_be_bytes(), 20).unwrap();
        }
        engine.close().unwrap();
        let operations = disk.operations();

        let engine = Engine::open_on(Config::new("/above/db"), Arc::new(disk.clone())).unwrap();

        assert!(engine.get(&0u32.to_be_bytes(), None).unwrap().is_some() || entries == 0);
        assert_eq!(disk.operations(), operations, "{entries} entries");
    }
}

#[test]
fn a_writer_that_waits_for_a_thread_that_panicked_is_told() {
    let watch = |path: &Path| assert!(!is_table(path), "on purpose");
    let config = Config {
        wal_sync_mode: SyncMode::Interval(10),
        memtable_size_bytes: 4 << 10,
        max_frozen_memtables: 1,
        ..Config::new("/db")
    };
    let engine = Engine::open_on(config, Arc::new(Watched(SimFs::in_memory(), watch))).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let error = (0..1_000u32).find_map(|number| put(&engine, &number.to_be_bytes(), 1_000).err());
        sender.send(error.map(|error| error.code())).unwrap();
    });

    let told = receiver.recv_timeout(Duration::from_secs(20)).expect("the writer waits for ever");

    assert_eq!(told, Some(Code::Poisoned));
}

#[test]
fn a_close_does_not_wait_for_the_write_limit() {
    let config = Config {
        wal_sync_mode: SyncMode::Never,
        memtable_size_bytes: 64 << 10,
        // The first piece of a compaction would wait for most of a day.
        write_limit_bytes_per_sec: 1,
        ..Config::new("/db")
    };
    let engine = Engine::open_on(config, Arc::new(SimFs::in_memory())).unwrap();
    for round in 0..2u8 {
        for key in 0..100u8 {
            let mut batch = WriteBatch::new();
            let value: Vec<u8> =
                (0..2_000u32).map(|at| ((at * at * u32::from(key)) >> 7) as u8 ^ round).collect();
            // In such an order that all tables overlap, and none is moved without being written.
            batch.put(&[(u32::from(key) * 37 % 100) as u8], &value).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
        }
        engine.flush().unwrap();
    }
    while engine.stats().flushes < 2 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(50));

    engine.close().unwrap();

    let stats = engine.stats();
    assert!(stats.level_tables[0] >= 4, "the limit did not hold: {stats:?}");
}
