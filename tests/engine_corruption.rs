//! Every byte of every file of a small database, damaged one at a time: right data or `Corruption`, never wrong data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowdb::config::{Compression, Config};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::{Code, Result};
use flowdb::fs::SimFs;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// Values from `value_threshold_bytes` on lie in value files.
fn config(compression: Compression, value_threshold_bytes: usize) -> Config {
    Config {
        value_threshold_bytes,
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        block_size: 256,
        compaction_threshold: 2,
        level_size_bytes: 16 << 10,
        auto_background: false,
        compression,
        ..Config::new("/db")
    }
}

/// A database with tables on two levels, deletions of both kinds, and entries that are only in the log.
fn make_database(config: &Config) -> (SimFs, State) {
    let disk = SimFs::in_memory();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let mut state = State::new();
    let mut put = |batch: &mut WriteBatch, number: u32, len: usize| {
        let key = format!("key {number:03}").into_bytes();
        let value = vec![b'a' + (number % 26) as u8; len];
        batch.put(&key, &value).unwrap();
        state.insert(key, value);
    };
    for part in 0..3 {
        let mut batch = WriteBatch::new();
        (0..12).for_each(|number| put(&mut batch, part * 8 + number, 40));
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();
        if part == 1 {
            engine.compact_all().unwrap();
        }
    }
    let mut batch = WriteBatch::new();
    put(&mut batch, 90, 10);
    engine.commit(batch, CommitOptions::default()).unwrap();
    let mut batch = WriteBatch::new();
    put(&mut batch, 91, 10);
    batch.delete(b"key 003").unwrap();
    batch.delete_range(b"key 010", b"key 013").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    state.remove(&b"key 003"[..]);
    state.retain(|key, _| !(b"key 010"[..] <= key[..] && key[..] < b"key 013"[..]));
    engine.close().unwrap();
    (disk, state)
}

fn read_everything(config: &Config, disk: &SimFs, keys: &State) -> Result<State> {
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone()))?;
    let mut states = Vec::new();
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut state = State::new();
        let mut scan = engine.scan(ScanRange::all(), direction, None)?;
        while scan.advance()? {
            state.insert(scan.key().to_vec(), scan.value().to_vec());
        }
        states.push(state);
    }
    let mut by_get = State::new();
    for number in 0..100 {
        let key = format!("key {number:03}").into_bytes();
        if let Some(value) = engine.get(&key, None)? {
            by_get.insert(key, value.bytes);
        }
    }
    assert_eq!(&by_get, keys, "by point reads");
    assert_eq!(&states[0], keys, "forward");
    assert_eq!(&states[1], keys, "in reverse");
    Ok(by_get)
}

/// What became of the trials: right data, or an error that says so.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    right: u64,
    refused: u64,
}

fn try_damaged(
    config: &Config,
    disk: &SimFs,
    state: &State,
    path: &Path,
    damage: &str,
    outcomes: &mut Outcomes,
) {
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read_everything(config, disk, state)));
    match result {
        Ok(Ok(_)) => outcomes.right += 1,
        Ok(Err(error)) if error.code() == Code::Corruption => outcomes.refused += 1,
        Ok(Err(error)) => panic!("{} {damage}: {error:?}", path.display()),
        Err(_) => panic!("{} {damage}: wrong data or a panic", path.display()),
    }
}

fn has_value_files(disk: &SimFs) -> bool {
    disk.files().iter().any(|path| path.extension().is_some_and(|extension| extension == "val"))
}

fn files_of(disk: &SimFs) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter();
    files.filter_map(|path| disk.read_file(&path).map(|bytes| (path, bytes))).collect()
}

/// The places in a file to damage: every byte that says something, and some of the zeros that were written ahead of a
/// log's records.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let used = used(bytes);
    (0..bytes.len()).filter(move |index| *index < used + 16 || index % 4_099 == 0)
}

/// Where the zeros at the end of a file begin.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn a_flipped_byte_anywhere_gives_right_data_or_corruption() {
    let mut outcomes = Outcomes::default();
    let settings =
        [(Compression::None, 0), (Compression::Lz4, 0), (Compression::Lz4, 1), (Compression::None, 20)];
    for (compression, threshold) in settings {
        let config = config(compression, threshold);
        let (disk, state) = make_database(&config);
        assert_eq!(has_value_files(&disk), threshold > 0);
        read_everything(&config, &disk.deep_copy(), &state).unwrap();
        for (path, bytes) in files_of(&disk) {
            for index in places(&bytes) {
                for mask in [0x01, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[index] ^= mask;
                    let copy = disk.deep_copy();
                    copy.write_file(&path, &damaged);
                    let damage = format!("byte {index} ^ {mask:#x} ({compression:?}, {threshold})");
                    try_damaged(&config, &copy, &state, &path, &damage, &mut outcomes);
                }
            }
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes.refused > outcomes.right, "{outcomes:?}: most bytes matter");
}

#[test]
fn a_file_cut_at_any_length_or_gone_gives_right_data_or_corruption() {
    let config = config(Compression::Lz4, 20);
    let (disk, state) = make_database(&config);
    let mut outcomes = Outcomes::default();
    for (path, bytes) in files_of(&disk) {
        for len in places(&bytes) {
            let copy = disk.deep_copy();
            copy.write_file(&path, &bytes[..len]);
            try_damaged(&config, &copy, &state, &path, &format!("cut to {len}"), &mut outcomes);
        }
        let copy = disk.deep_copy();
        flowdb::fs::FileSystem::remove(&copy, &path).unwrap();
        try_damaged(&config, &copy, &state, &path, "removed", &mut outcomes);
    }
    println!("{outcomes:?}");
}

#[test]
fn files_that_have_changed_places_are_noticed() {
    let config = config(Compression::None, 20);
    let (disk, state) = make_database(&config);
    let files = files_of(&disk);
    let mut outcomes = Outcomes::default();
    for (path, _) in &files {
        for (other, bytes) in files.iter().filter(|(other, _)| other != path) {
            let copy = disk.deep_copy();
            copy.write_file(path, bytes);
            let damage = format!("replaced by {}", other.display());
            try_damaged(&config, &copy, &state, path, &damage, &mut outcomes);
        }
    }
    println!("{outcomes:?}");
}

/// A compaction before the first write begins a new manifest, which must not forget where the log ended.
#[test]
fn a_clean_end_outlives_the_manifest_that_it_was_written_in() {
    let config = config(Compression::None, 0);
    let disk = SimFs::in_memory();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let put = |engine: &Engine, key: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(key, b"value").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
    };
    for key in [b"a", b"b"] {
        put(&engine, key);
        engine.flush().unwrap();
    }
    put(&engine, b"only in the log");
    engine.close().unwrap();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    assert!(engine.run_pending().unwrap(), "the test wants a compaction");
    engine.close().unwrap();

    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "wal");
    let log = disk.files().into_iter().filter(is_log).max().unwrap();
    let mut bytes = disk.read_file(&log).unwrap();
    let last = used(&bytes) - 1;
    bytes[last] ^= 1;
    disk.write_file(&log, &bytes);

    assert_eq!(Engine::open_on(config, Arc::new(disk)).unwrap_err().code(), Code::Corruption);
}
