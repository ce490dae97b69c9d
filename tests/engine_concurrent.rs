//! Writers, readers and background threads at once, on a real disk.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::Random;
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::Code;

const WRITERS: u64 = 4;
const KEYS: u64 = 500;

/// A directory that goes when the test ends.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("flowdb-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn small(dir: &TemporaryDir) -> Config {
    Config {
        wal_sync_mode: SyncMode::Interval(5),
        memtable_size_bytes: 64 << 10,
        table_size_bytes: 64 << 10,
        level_size_bytes: 128 << 10,
        block_cache_capacity_bytes: 256 << 10,
        ..Config::new(&dir.0)
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// Each writer's batches set all of its keys of one group to the same number, so a torn or stale view shows.
fn write(engine: &Engine, writer: u64, round: u64, group: u64) {
    let mut batch = WriteBatch::new();
    for index in 0..5 {
        let key = format!("{writer}/{group:04}/{index}");
        batch.put(key.as_bytes(), &round.to_be_bytes()).unwrap();
    }
    engine.commit(batch, CommitOptions::default()).unwrap();
}

fn check_groups(engine: &Engine, writer: u64, direction: Direction) -> u64 {
    let snapshot = engine.snapshot();
    let range = ScanRange::prefix(format!("{writer}/"));
    let mut scan = engine.scan(range, direction, Some(&snapshot)).unwrap();
    let (mut rows, mut current) = (0, None);
    while scan.advance().unwrap() {
        let group = scan.key()[..6].to_vec();
        let round = number(scan.value());
        match &current {
            Some((same, first)) if *same == group => {
                assert_eq!(*first, round, "a torn batch of group {group:?}");
            }
            _ => current = Some((group, round)),
        }
        let found = engine.get(scan.key(), Some(&snapshot)).unwrap().unwrap();
        assert_eq!(number(&found.bytes), round, "a point read and a scan of one snapshot differ");
        rows += 1;
    }
    rows
}

#[test]
fn concurrent_readers_see_whole_batches_while_tables_come_and_go() {
    let dir = TemporaryDir::new("concurrent");
    check_concurrent_readers(&small(&dir));
}

#[test]
fn concurrent_readers_see_whole_batches_while_value_files_come_and_go() {
    let dir = TemporaryDir::new("concurrent-values");
    let config = Config { value_threshold_bytes: 8, value_file_size_bytes: 16 << 10, ..small(&dir) };
    assert!(check_concurrent_readers(&config) > 0, "the test wants value files to be emptied");
}

/// Returns how many bytes were moved between value files.
fn check_concurrent_readers(config: &Config) -> u64 {
    let engine = Engine::open(config.clone()).unwrap();
    let stop = AtomicBool::new(false);
    let written: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (engine, written) = (&engine, &written);
                scope.spawn(move || {
                    let mut random = Random::new(writer);
                    for round in 1..=4_000 {
                        write(engine, writer, round, random.below(KEYS / 5));
                        written[writer as usize].store(round, Ordering::Release);
                    }
                })
            })
            .collect();
        for reader in 0..2u64 {
            let (engine, stop) = (&engine, &stop);
            scope.spawn(move || {
                let mut random = Random::new(100 + reader);
                while !stop.load(Ordering::Acquire) {
                    let direction = *random.pick(&[Direction::Forward, Direction::Reverse]);
                    check_groups(engine, random.below(WRITERS), direction);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Release);
    });
    let stats = engine.stats();
    assert!(stats.flushes > 3 && stats.compactions > 0, "the test wants tables to come and go: {stats:?}");
    let rows: Vec<u64> =
        (0..WRITERS).map(|writer| check_groups(&engine, writer, Direction::Forward)).collect();
    engine.close().unwrap();

    let engine = Engine::open(config.clone()).unwrap();
    for writer in 0..WRITERS {
        assert_eq!(check_groups(&engine, writer, Direction::Reverse), rows[writer as usize]);
    }
    engine.verify().unwrap();
    println!("{} of {} bytes of values were moved", stats.value_bytes_relocated, stats.value_bytes_written);
    stats.value_bytes_relocated
}

/// Each entry is named after its seqno, by a check, which knows it: so an entry that is missing below what is visible,
/// one that was published before its turn, and one that was lost between two memtables all show.
#[test]
fn everything_up_to_the_visible_seqno_is_there_whoever_wrote_it() {
    let dir = TemporaryDir::new("in-order");
    let in_memory = Config { in_memory: true, ..small(&dir) };
    check_order(&Engine::open(in_memory).unwrap());

    let engine = Engine::open(small(&dir)).unwrap();
    let last = check_order(&engine);
    engine.close().unwrap();
    let engine = Engine::open(small(&dir)).unwrap();
    check_whole(&engine, last);
}

fn check_order(engine: &Engine) -> u64 {
    let rounds = if cfg!(debug_assertions) { 300 } else { 3000 };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS * 2)
            .map(|writer| {
                scope.spawn(move || {
                    let mut random = Random::new(writer);
                    let mut last = 0;
                    for _ in 0..rounds {
                        let sync = [SyncMode::Never, SyncMode::Interval(5), SyncMode::Always];
                        // Seldom a sync, which would make everybody slow.
                        let sync = sync[random.below(20).saturating_sub(17) as usize];
                        last = commit_numbered(engine, 1 + random.below(4) * random.below(20), sync);
                        assert!(engine.visible_seqno() >= last, "what was acknowledged is visible");
                        assert!(engine.get(&last.to_be_bytes(), None).unwrap().is_some(), "seqno {last}");
                    }
                    last
                })
            })
            .collect();
        for reader in 0..2 {
            let is_done = &is_done;
            scope.spawn(move || {
                let mut random = Random::new(100 + reader);
                while !is_done.load(Ordering::Acquire) {
                    let visible = engine.visible_seqno();
                    for seqno in (visible.saturating_sub(50)..=visible).filter(|&seqno| seqno > 0) {
                        assert!(engine.get(&seqno.to_be_bytes(), None).unwrap().is_some(), "seqno {seqno}");
                    }
                    if random.below(20) == 0 {
                        check_whole(engine, visible);
                    }
                }
            });
        }
        let last = writers.into_iter().map(|writer| writer.join().unwrap()).max().unwrap();
        is_done.store(true, Ordering::Release);
        assert_eq!(engine.visible_seqno(), last);
        check_whole(engine, last);
        last
    })
}

/// Commits so many entries whose keys are their seqnos, and returns the last of them.
fn commit_numbered(engine: &Engine, entries: u64, sync: SyncMode) -> u64 {
    let check = Box::new(move |batch: &mut WriteBatch, first: u64| {
        (first..first + entries).try_for_each(|seqno| batch.put(&seqno.to_be_bytes(), b"value"))
    });
    let options = CommitOptions { sync: Some(sync), check: Some(check) };
    engine.commit(WriteBatch::new(), options).unwrap()
}

/// A scan finds every entry up to `visible`, and each with its own seqno.
fn check_whole(engine: &Engine, visible: u64) {
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    for seqno in 1..=visible {
        assert!(scan.advance().unwrap(), "seqno {seqno} of {visible} is missing");
        let row = scan.row();
        assert_eq!((number(row.key), row.seqno), (seqno, seqno));
    }
}

#[test]
fn a_snapshot_stays_exact_while_everything_it_sees_is_overwritten() {
    let dir = TemporaryDir::new("snapshot");
    let engine = Engine::open(small(&dir)).unwrap();
    write(&engine, 0, 1, 0);
    let snapshot = engine.snapshot();
    for round in 2..3_000 {
        write(&engine, 0, round, round % 40);
    }
    engine.compact_all().unwrap();

    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, Some(&snapshot)).unwrap();
    let mut rows = 0;
    while scan.advance().unwrap() {
        assert_eq!(number(scan.value()), 1);
        rows += 1;
    }
    assert_eq!(rows, 5);

    drop((scan, snapshot));
    engine.compact_all().unwrap();
    let entries: u64 = engine.stats().level_tables.iter().sum();
    assert_eq!(entries, 1, "what only the snapshot saw has gone: {:?}", engine.stats());
}

#[test]
fn a_check_runs_in_commit_order_and_refuses_its_own_batch_only() {
    let engine = Arc::new(Engine::open(Config::in_memory()).unwrap());
    let last = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for thread in 0..8u64 {
        let (engine, last) = (Arc::clone(&engine), Arc::clone(&last));
        threads.push(std::thread::spawn(move || {
            let mut refused = 0;
            for round in 0..500u64 {
                let mut batch = WriteBatch::new();
                batch.put(&(thread * 1_000 + round).to_be_bytes(), b"").unwrap();
                let last = Arc::clone(&last);
                let refuse = round % 7 == 0;
                let check = move |batch: &mut WriteBatch, first_seqno: u64| {
                    assert!(last.swap(first_seqno, Ordering::AcqRel) <= first_seqno, "checks out of order");
                    if refuse {
                        return Err(flowdb::error::Error::new(Code::Conflict, "refused"));
                    }
                    batch.put(b"added by a check", &first_seqno.to_be_bytes())
                };
                let options = CommitOptions { check: Some(Box::new(check)), ..CommitOptions::default() };
                match engine.commit(batch, options) {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.code(), Code::Conflict);
                        refused += 1;
                    }
                }
            }
            refused
        }));
    }
    let refused: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(refused, 8 * 72);
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    let mut rows = 0;
    while scan.advance().unwrap() {
        rows += 1;
    }
    assert_eq!(rows, 8 * 500 - refused + 1);
}

#[test]
fn a_panic_in_a_check_is_its_own_writers_and_the_engine_goes_on() {
    let engine = Engine::open(Config::in_memory()).unwrap();
    let panicking = engine.clone();
    let outcome = std::thread::spawn(move || {
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        let check: flowdb::engine::CommitCheck = Box::new(|_, _| panic!("on purpose"));
        panicking.commit(batch, CommitOptions { check: Some(check), sync: None })
    })
    .join()
    .unwrap();
    assert_eq!(outcome.unwrap_err().code(), Code::Internal);

    let mut batch = WriteBatch::new();
    batch.put(b"key", b"other").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();

    assert_eq!(engine.get(b"key", None).unwrap().unwrap().bytes, b"other");
}

/// A check that panics in a group, with more of the same caller behind the group: nobody may wait for a leader that has
/// gone.
#[test]
fn a_panic_in_a_check_refuses_its_batch_only_and_leaves_nobody_waiting() {
    let engine = Engine::open(Config::in_memory()).unwrap();
    let caller = engine.clone();
    let (told, results) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let request = |number: u8, check: Option<flowdb::engine::CommitCheck>| {
            let mut batch = WriteBatch::new();
            // Two of them are more than one group takes.
            batch.put(&[number], &vec![number; 600 << 10]).unwrap();
            (batch, CommitOptions { check, sync: None })
        };
        let requests = vec![
            request(0, None),
            request(1, Some(Box::new(|_, _| panic!("on purpose")))),
            request(2, None),
            request(3, None),
        ];
        let _ = told.send(caller.commit_all(requests));
    });
    let results = results.recv_timeout(Duration::from_secs(20)).expect("every request has its result");

    let codes: Vec<Option<Code>> =
        results.iter().map(|result| result.as_ref().err().map(|e| e.code())).collect();
    assert_eq!(codes, [None, Some(Code::Internal), None, None]);
    for number in 0..4u8 {
        assert_eq!(engine.get(&[number], None).unwrap().is_some(), number != 1);
    }
    let (told, result) = std::sync::mpsc::channel();
    let writer = engine.clone();
    std::thread::spawn(move || {
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        let _ = told.send(writer.commit(batch, CommitOptions::default()));
    });
    result.recv_timeout(Duration::from_secs(20)).expect("the next writer does not wait for ever").unwrap();
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let dir = TemporaryDir::new("lock");
    let engine = Engine::open(Config::new(&dir.0)).unwrap();

    assert_eq!(Engine::open(Config::new(&dir.0)).unwrap_err().code(), Code::Locked);

    engine.close().unwrap();
    assert_eq!(engine.get(b"key", None).unwrap_err().code(), Code::Closed);
    assert_eq!(engine.commit(WriteBatch::new(), CommitOptions::default()).unwrap_err().code(), Code::Closed);
    Engine::open(Config::new(&dir.0)).unwrap();
}

#[test]
fn a_directory_that_is_a_file_and_one_that_must_exist_are_refused_clearly() {
    let dir = TemporaryDir::new("file");
    std::fs::write(&dir.0, b"not a directory").unwrap();
    assert_eq!(Engine::open(Config::new(&dir.0)).unwrap_err().code(), Code::Io);
    std::fs::remove_file(&dir.0).unwrap();

    let config = Config { create_if_missing: false, ..Config::new(&dir.0) };
    assert_eq!(Engine::open(config).unwrap_err().code(), Code::NotFound);
    assert!(!dir.0.exists(), "a refused opening leaves nothing behind");
}

#[test]
fn files_that_are_not_ours_stay() {
    let dir = TemporaryDir::new("foreign");
    std::fs::create_dir_all(&dir.0).unwrap();
    for name in ["notes.txt", "7.tbl", "000007.tbl.bak", "MANIFEST-old"] {
        std::fs::write(dir.0.join(name), b"mine").unwrap();
    }
    for _ in 0..3 {
        let engine = Engine::open(Config::new(&dir.0)).unwrap();
        write(&engine, 0, 1, 0);
        engine.compact_all().unwrap();
    }
    for name in ["notes.txt", "7.tbl", "000007.tbl.bak", "MANIFEST-old"] {
        assert_eq!(std::fs::read(dir.0.join(name)).unwrap(), b"mine", "{name}");
    }
}

#[test]
fn batches_committed_together_share_a_sync_and_fail_alone() {
    let disk = flowdb::fs::SimFs::new();
    let config = Config { auto_background: false, ..Config::new("/db") };
    let engine = Engine::open_on(config, Arc::new(disk.clone())).unwrap();
    write(&engine, 0, 1, 0);
    let syncs = engine.stats().syncs;
    let requests = (0..50u64).map(|number| {
        let mut batch = WriteBatch::new();
        batch.put(&number.to_be_bytes(), b"value").unwrap();
        let refuse = number % 10 == 3;
        let check = move |_: &mut WriteBatch, _: u64| match refuse {
            true => Err(flowdb::error::Error::new(Code::Conflict, "refused")),
            false => Ok(()),
        };
        (batch, CommitOptions { check: Some(Box::new(check)), ..CommitOptions::default() })
    });

    let results = engine.commit_all(requests.collect());

    assert_eq!(engine.stats().syncs, syncs + 1);
    let survivor = disk.after_crash(flowdb::fs::CrashOutcome::LoseUnsynced);
    let engine = Engine::open_on(Config::new("/db"), Arc::new(survivor)).unwrap();
    let mut last = 0;
    for (number, result) in results.into_iter().enumerate() {
        let found = engine.get(&(number as u64).to_be_bytes(), None).unwrap();
        assert_eq!(found.is_some(), number % 10 != 3, "{number}");
        match result {
            Ok(seqno) => assert!(std::mem::replace(&mut last, seqno) < seqno, "out of order"),
            Err(error) => assert_eq!(error.code(), Code::Conflict),
        }
    }
    assert!(engine.commit_all(Vec::new()).is_empty());
}

/// A group on its way into the memtable is not in its size yet, and another one may follow it there before it is.
#[test]
fn large_batches_side_by_side_leave_a_memtable_when_it_is_full() {
    const BATCH_BYTES: usize = 4 << 20;
    let config = Config {
        memtable_size_bytes: 6 << 20,
        value_threshold_bytes: 0,
        wal_sync_mode: SyncMode::Never,
        ..Config::in_memory()
    };
    let engine = Engine::open(config).unwrap();
    let batch_of = |writer: u64| {
        let mut batch = WriteBatch::new();
        for row in 0..4_000_u64 {
            let key = [writer.to_be_bytes(), row.to_be_bytes()].concat();
            batch.put(&key, &vec![1; BATCH_BYTES / 4_000]).unwrap();
        }
        batch
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (engine, batch) = (&engine, batch_of(writer));
            scope.spawn(move || {
                for _ in 0..15 {
                    engine.commit(batch.clone(), CommitOptions::default()).unwrap();
                    let bytes = engine.stats().memtable_bytes as usize;
                    // One batch may find room for a byte; a third one finds none.
                    assert!(bytes < (6 << 20) + BATCH_BYTES * 3 / 2, "{bytes} bytes in a memtable of 6 MiB");
                }
            });
        }
    });
}
