//! Checkpoints: a whole database of its own as of one moment, whatever goes on meanwhile and wherever it is cut short.
//!
//! `FLOWDB_SEED=n` replays one workload.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::trials::{SeedReport, seeds};
use common::{Random, tiny_config};
use flowdb::clock::ManualClock;
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::{CrashOutcome, Fault, FileSystem, SimFs};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

const TARGET: &str = "/backup/monday";

fn target() -> &'static Path {
    Path::new(TARGET)
}

fn config() -> Config {
    Config {
        auto_background: false,
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        value_threshold_bytes: 100,
        ..Config::new("/db")
    }
}

fn open(disk: &SimFs, config: &Config, dir: &str) -> Result<Engine> {
    let config = Config { data_dir: PathBuf::from(dir), create_if_missing: false, ..config.clone() };
    Engine::open_on(config, Arc::new(disk.clone()))
}

fn create(disk: &SimFs, config: &Config) -> Engine {
    Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap()
}

fn put(engine: &Engine, key: &[u8], value: &[u8]) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(key, value)?;
    engine.commit(batch, CommitOptions::default()).map(|_| ())
}

fn read_all(engine: &Engine) -> State {
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    let mut state = State::new();
    while scan.advance().unwrap() {
        state.insert(scan.key().to_vec(), scan.value().to_vec());
    }
    state
}

/// A database with tables on several levels, a deleted range and something in memory.
fn fill(engine: &Engine, random: &mut Random) -> State {
    for round in 0..3 {
        for _ in 0..40 {
            let key = format!("{:03}", random.below(200));
            put(engine, key.as_bytes(), &vec![round; random.below(200) as usize]).unwrap();
        }
        let mut batch = WriteBatch::new();
        batch.delete_range(b"050", format!("{:03}", 50 + random.below(30)).as_bytes()).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();
        engine.run_pending().unwrap();
    }
    put(engine, b"only in memory", b"so far").unwrap();
    read_all(engine)
}

#[test]
fn a_checkpoint_opens_as_what_was_there_and_goes_its_own_way() {
    for seed in seeds(20) {
        let _report = SeedReport(seed);
        let mut random = Random::new(seed);
        let config = tiny_config(&mut random, Arc::new(ManualClock::new(1_000)));
        let disk = SimFs::new();
        let engine = create(&disk, &config);
        let state = fill(&engine, &mut random);

        engine.checkpoint(target()).unwrap();
        put(&engine, b"later", b"here only").unwrap();
        engine.compact_all().unwrap();

        let copy = open(&disk, &config, TARGET).unwrap();
        assert_eq!(read_all(&copy), state);
        copy.verify().unwrap();
        put(&copy, b"later", b"there only").unwrap();
        let mut batch = WriteBatch::new();
        batch.delete_range(b"0", b"1").unwrap();
        copy.commit(batch, CommitOptions::default()).unwrap();
        copy.compact_all().unwrap();
        copy.close().unwrap();
        engine.verify().unwrap();
        let mut expected = state;
        expected.insert(b"later".to_vec(), b"here only".to_vec());
        assert_eq!(read_all(&engine), expected);
        engine.close().unwrap();
        assert_eq!(read_all(&open(&disk, &config, "/db").unwrap()), expected);
        let copy = open(&disk, &config, TARGET).unwrap();
        assert_eq!(copy.get(b"later", None).unwrap().unwrap().bytes, b"there only");
        // A checkpoint is a database like any other.
        copy.checkpoint(Path::new("/backup/of the backup")).unwrap();
        assert_eq!(read_all(&open(&disk, &config, "/backup/of the backup").unwrap()), read_all(&copy));
    }
}

#[test]
fn a_checkpoint_of_an_empty_database_is_one() {
    let disk = SimFs::new();
    create(&disk, &config()).checkpoint(target()).unwrap();

    let copy = open(&disk, &config(), TARGET).unwrap();
    assert!(read_all(&copy).is_empty());
    put(&copy, b"key", b"value").unwrap();
    drop(copy);
    assert_eq!(read_all(&open(&disk, &config(), TARGET).unwrap()).len(), 1);
}

#[test]
fn a_checkpoint_links_tables_instead_of_writing_them_again() {
    let disk = SimFs::new();
    let engine = create(&disk, &config());
    fill(&engine, &mut Random::new(1));
    engine.flush().unwrap();
    let before = disk.operations();
    let tables: u64 = engine.stats().level_tables.iter().sum();

    engine.checkpoint(target()).unwrap();

    // The manifest and CURRENT, and their directories; nothing that grows with the bytes.
    assert!(disk.operations() - before <= tables + 20, "{} operations", disk.operations() - before);
}

#[test]
fn a_checkpoint_goes_only_where_nothing_stands() {
    let disk = SimFs::new();
    let engine = create(&disk, &config());
    put(&engine, b"key", b"value").unwrap();
    disk.write_file("/notes/todo.txt", b"mine");
    disk.write_file("/file", b"mine");
    engine.checkpoint(target()).unwrap();
    let files = disk.files();

    for taken in ["/notes", "/file", "/db", TARGET] {
        let error = engine.checkpoint(Path::new(taken)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{taken}: {error:?}");
        assert!(error.message().contains(taken), "{error}");
    }

    assert_eq!(disk.files(), files, "nothing is left behind where it was refused");
    disk.create_dir_all(Path::new("/empty")).unwrap();
    engine.checkpoint(Path::new("/empty")).unwrap();
    assert_eq!(read_all(&open(&disk, &config(), "/empty").unwrap()), read_all(&engine));
}

#[test]
fn a_database_in_memory_or_closed_has_no_checkpoint() {
    let memory = Engine::open(Config::in_memory()).unwrap();
    assert_eq!(memory.checkpoint(target()).unwrap_err().code(), Code::Unsupported);
    let disk = SimFs::new();
    let engine = create(&disk, &config());
    engine.close().unwrap();
    assert_eq!(engine.checkpoint(target()).unwrap_err().code(), Code::Closed);
    assert!(!disk.exists(target()).unwrap());
}

/// A disk with a database and the number of its first operation that belongs to a checkpoint.
fn prepared(seed: u64) -> (SimFs, Engine, State) {
    let disk = SimFs::new();
    let engine = create(&disk, &config());
    let state = fill(&engine, &mut Random::new(seed));
    (disk, engine, state)
}

fn has_current(disk: &SimFs) -> bool {
    disk.read_file(format!("{TARGET}/CURRENT")).is_some()
}

fn operations_of_a_checkpoint(seed: u64) -> std::ops::Range<u64> {
    let (disk, engine, _) = prepared(seed);
    let before = disk.operations();
    engine.checkpoint(target()).unwrap();
    before..disk.operations()
}

#[test]
fn a_crash_at_any_operation_leaves_a_whole_checkpoint_or_none_and_the_source_unharmed() {
    for seed in seeds(2) {
        let _report = SeedReport(seed);
        let operations = operations_of_a_checkpoint(seed);
        for crash_at in operations.start..=operations.end {
            let (disk, engine, state) = prepared(seed);
            disk.crash_at(crash_at);
            let made = engine.checkpoint(target());
            assert_eq!(made.is_ok(), crash_at >= operations.end, "{crash_at}: {made:?}");

            let outcomes =
                [CrashOutcome::ProcessOnly, CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced];
            for outcome in outcomes.into_iter().chain((0..6).map(CrashOutcome::Random)) {
                let context = format!("crash at {crash_at}, {outcome:?}");
                let found = disk.after_crash(outcome);
                assert!(has_current(&found) || made.is_err(), "{context}: it was made and is not there");
                match open(&found, &config(), TARGET) {
                    Ok(copy) => {
                        assert!(has_current(&found), "{context}");
                        assert_eq!(read_all(&copy), state, "{context}");
                        copy.verify().unwrap();
                    }
                    Err(error) => assert!(!has_current(&found), "{context}: {error:?}"),
                }
                let source = open(&found, &config(), "/db").unwrap();
                assert_eq!(read_all(&source), state, "{context}");
                source.verify().unwrap();
            }
        }
    }
}

#[test]
fn a_failure_of_any_operation_leaves_nothing_and_the_next_checkpoint_is_made() {
    for failing in operations_of_a_checkpoint(0) {
        let (disk, mut engine, state) = prepared(0);
        disk.fail_at(failing, Fault::once(std::io::ErrorKind::StorageFull));
        let failed = engine.checkpoint(target());
        disk.heal();

        if failed.is_err() {
            let left: Vec<_> = disk.files().into_iter().filter(|path| path.starts_with("/backup")).collect();
            assert_eq!(left, Vec::<PathBuf>::new(), "{failing}");
            if put(&engine, b"only in memory", b"so far").is_err() {
                // What failed was the log, on the way to the flush.
                drop(engine);
                engine = open(&disk, &config(), "/db").unwrap();
            }
            engine.checkpoint(target()).unwrap();
        }
        assert_eq!(read_all(&open(&disk, &config(), TARGET).unwrap()), state, "{failing}");
        assert_eq!(read_all(&engine), state, "{failing}");
        engine.verify().unwrap();
    }
}

/// Each write replaces every key, so that a copy that is not of one moment would show two numbers.
#[test]
fn a_checkpoint_beside_writers_and_compaction_is_of_one_moment() {
    let config = Config {
        wal_sync_mode: SyncMode::Never,
        memtable_size_bytes: 8 << 10,
        table_size_bytes: 8 << 10,
        value_threshold_bytes: 58,
        value_file_size_bytes: 4 << 10,
        level_size_bytes: 16 << 10,
        compaction_threshold: 2,
        ..Config::new("/db")
    };
    let disk = SimFs::new();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let stop = AtomicBool::new(false);
    let write = |number: u64| {
        let mut batch = WriteBatch::new();
        for key in 0..20_u8 {
            batch.put(&[key], &[&number.to_be_bytes()[..], &[key; 50]].concat()).unwrap();
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
    };
    write(0);
    std::thread::scope(|scope| {
        scope.spawn(|| (1..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(write));
        let number_in = |engine: &Engine| {
            let state = read_all(engine);
            assert_eq!(state.len(), 20);
            let numbers: Vec<_> = state.values().map(|value| value[..8].to_vec()).collect();
            assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
            numbers[0].clone()
        };
        for round in 0..15 {
            let dir = format!("/backup/{round}");
            let before = number_in(&engine);
            engine.checkpoint(Path::new(&dir)).unwrap();
            let after = number_in(&engine);
            let copy = open(&disk, &Config { auto_background: false, ..config.clone() }, &dir).unwrap();
            copy.verify().unwrap();
            let number = number_in(&copy);
            assert!(before <= number && number <= after, "{before:?} {number:?} {after:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_checkpoint_on_the_real_disk_survives_its_source() {
    let dir = std::env::temp_dir().join(format!("flowdb-checkpoint-{}", std::process::id()));
    let (source, copy) = (dir.join("db"), dir.join("copies").join("first"));
    let engine = Engine::open(Config { data_dir: source.clone(), ..config() }).unwrap();
    let state = fill(&engine, &mut Random::new(3));
    engine.checkpoint(&copy).unwrap();
    engine.close().unwrap();
    std::fs::remove_dir_all(&source).unwrap();

    let opened = Engine::open(Config { data_dir: copy, ..config() }).unwrap();
    assert_eq!(read_all(&opened), state);
    opened.verify().unwrap();
    opened.close().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}
