//! A database that is opened only to be read: it shows everything, and nothing on the disk changes.
//!
//! `FLOWDB_SEED=n` replays one history.

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::trials::{SeedReport, seeds};
use common::{Random, tiny_config};
use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, SimFs};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(disk: &SimFs, config: &Config) -> Result<Engine> {
    Engine::open_on(config.clone(), Arc::new(disk.clone()))
}

fn to_read(config: &Config) -> Config {
    Config { read_only: true, ..config.clone() }
}

fn config() -> Config {
    Config { auto_background: false, ..Config::new("/db") }
}

fn read_all(engine: &Engine) -> State {
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    let mut state = State::new();
    while scan.advance().unwrap() {
        state.insert(scan.key().to_vec(), scan.value().to_vec());
    }
    for (key, value) in &state {
        assert_eq!(&engine.get(key, None).unwrap().unwrap().bytes, value);
    }
    state
}

fn put(engine: &Engine, key: &[u8], value: &[u8]) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(key, value)?;
    engine.commit(batch, CommitOptions::default()).map(|_| ())
}

fn files(disk: &SimFs) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.read_file(&path))).collect()
}

/// Writes, flushes and compacts at random, and returns with some of it in tables and some in the log.
fn work(engine: &Engine, random: &mut Random) {
    for _ in 0..random.below(120) {
        let key = format!("{:02}", random.below(60));
        let mut batch = WriteBatch::new();
        match random.below(10) {
            0 => batch.delete(key.as_bytes()).unwrap(),
            1 => batch.delete_range(key.as_bytes(), b"40").unwrap(),
            _ => batch.put(key.as_bytes(), &vec![7; random.below(400) as usize]).unwrap(),
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
        if random.one_in(20) {
            engine.run_pending().unwrap();
        }
    }
}

#[test]
fn a_reader_sees_what_a_writer_would_and_changes_no_byte() {
    for seed in seeds(200) {
        let _report = SeedReport(seed);
        let mut random = Random::new(seed);
        let config = tiny_config(&mut random, Arc::new(ManualClock::new(1_000)));
        let disk = SimFs::new();
        for _ in 0..1 + random.below(5) {
            let engine = open(&disk, &config).unwrap();
            work(&engine, &mut random);
            engine.close().unwrap();
        }
        let mut crashed = disk.deep_copy();
        if random.one_in(2) {
            let engine = open(&disk, &config).unwrap();
            work(&engine, &mut random);
            let outcome = *random.pick(&[CrashOutcome::ProcessOnly, CrashOutcome::Random(seed)]);
            crashed = disk.after_crash(outcome);
        }
        let writer = open(&crashed.deep_copy(), &config).unwrap();
        let (files_before, operations) = (files(&crashed), crashed.operations());

        // Threads that work in the background would show as well.
        let auto_background = random.one_in(4);
        let reader = open(&crashed, &Config { auto_background, ..to_read(&config) }).unwrap();
        assert!(reader.is_read_only());
        assert_eq!(read_all(&reader), read_all(&writer));
        assert_eq!(reader.visible_seqno(), writer.visible_seqno());
        assert!(!reader.run_pending().unwrap(), "there is nothing that it may do");
        reader.sync().unwrap();
        reader.verify().unwrap();
        reader.close().unwrap();

        assert_eq!(crashed.operations(), operations);
        assert!(files(&crashed) == files_before);
        assert_eq!(read_all(&open(&crashed, &config).unwrap()), read_all(&writer));
    }
}

#[test]
fn everything_that_writes_is_refused_and_reads_go_on() {
    let disk = SimFs::new();
    let engine = open(&disk, &config()).unwrap();
    put(&engine, b"key", b"value").unwrap();
    engine.close().unwrap();
    let reader = open(&disk, &to_read(&config())).unwrap();

    for refused in [
        put(&reader, b"key", b"other"),
        reader.commit(WriteBatch::new(), CommitOptions::default()).map(|_| ()),
        reader.flush(),
        reader.compact_all(),
        reader.compact_range(Bound::Unbounded, Bound::Unbounded),
        reader.checkpoint(Path::new("/copy")),
    ] {
        assert_eq!(refused.unwrap_err().code(), Code::ReadOnly);
    }

    assert_eq!(reader.get(b"key", None).unwrap().unwrap().bytes, b"value");
    assert_eq!(reader.get(b"key", Some(&reader.snapshot())).unwrap().unwrap().bytes, b"value");
    assert!(disk.files().iter().all(|path| path.starts_with("/db")), "no checkpoint was begun");
    reader.close().unwrap();
    assert_eq!(put(&reader, b"key", b"other").unwrap_err().code(), Code::Closed);
    assert_eq!(reader.sync().unwrap_err().code(), Code::Closed);
}

#[test]
fn where_there_is_no_database_nothing_is_created() {
    let disk = SimFs::new();
    let open_to_read = |dir: &str| open(&disk, &to_read(&Config::new(dir)));
    assert_eq!(open_to_read("/missing").unwrap_err().code(), Code::NotFound);
    disk.write_file("/notes/todo.txt", b"mine");
    assert_eq!(open_to_read("/notes").unwrap_err().code(), Code::NotFound);
    assert_eq!(disk.files(), [PathBuf::from("/notes/todo.txt")]);
    assert_eq!(disk.operations(), 0);
    // What is left of a database is damage, and not the absence of one.
    disk.write_file("/notes/000003.tbl", b"");
    assert_eq!(open_to_read("/notes").unwrap_err().code(), Code::Corruption);
    disk.write_file("/notes/LOCK", b"");
    assert_eq!(open_to_read("/notes").unwrap_err().code(), Code::Corruption);
    assert_eq!(disk.operations(), 0);
}

#[test]
fn readers_and_writers_of_different_openings_exclude_each_other() {
    let disk = SimFs::new();
    let writer = open(&disk, &config()).unwrap();
    assert_eq!(open(&disk, &to_read(&config())).unwrap_err().code(), Code::Locked);
    writer.close().unwrap();
    let reader = open(&disk, &to_read(&config())).unwrap();
    assert_eq!(open(&disk, &config()).unwrap_err().code(), Code::Locked);
    assert_eq!(open(&disk, &to_read(&config())).unwrap_err().code(), Code::Locked);
    drop(reader);
    put(&open(&disk, &config()).unwrap(), b"key", b"value").unwrap();
}

#[test]
fn a_database_in_memory_is_never_only_read() {
    let error = Engine::open(Config { read_only: true, ..Config::in_memory() }).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("read_only"), "{error}");
}

#[test]
fn a_copy_without_its_lock_can_be_read() {
    let dir = std::env::temp_dir().join(format!("flowdb-read-only-{}", std::process::id()));
    let engine = Engine::open(Config { data_dir: dir.clone(), ..config() }).unwrap();
    put(&engine, b"key", b"value").unwrap();
    engine.close().unwrap();
    std::fs::remove_file(dir.join("LOCK")).unwrap();

    let reader = Engine::open(Config { data_dir: dir.clone(), ..to_read(&config()) }).unwrap();
    assert_eq!(read_all(&reader).len(), 1);
    reader.close().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}
