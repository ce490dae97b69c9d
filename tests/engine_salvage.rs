//! `salvage`: a database whose log or manifest is damaged opens with what was written before the damage, and says what
//! is lost; without it the same damage is `Corruption`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use flowdb::error::Code;
use flowdb::fs::SimFs;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn config() -> Config {
    Config { auto_background: false, wal_segment_size_bytes: 4 << 10, ..Config::new("/db") }
}

fn salvaging() -> Config {
    Config { salvage: true, ..config() }
}

fn open(config: Config, disk: &SimFs) -> flowdb::error::Result<Engine> {
    Engine::open_on(config, Arc::new(disk.clone()))
}

/// A database of several logs and one table, each batch synced, and the state after each batch. It was not closed.
fn make_database(batches: usize, value_len: usize) -> (SimFs, Vec<State>) {
    let disk = SimFs::new();
    let engine = open(config(), &disk).unwrap();
    let mut states = vec![State::new()];
    for number in 0..batches {
        let mut state = states[number].clone();
        let mut batch = WriteBatch::new();
        let key = format!("key {:03}", number % 7).into_bytes();
        let value = vec![number as u8; value_len];
        batch.put(&key, &value).unwrap();
        state.insert(key, value);
        if number % 5 == 4 {
            batch.delete(b"key 000").unwrap();
            state.remove(b"key 000".as_slice());
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
        states.push(state);
        if number == 3 {
            engine.flush().unwrap();
        }
    }
    (disk.after_crash(flowdb::fs::CrashOutcome::LoseUnsynced), states)
}

fn read_all(engine: &Engine) -> State {
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    let mut state = State::new();
    while scan.advance().unwrap() {
        state.insert(scan.key().to_vec(), scan.value().to_vec());
    }
    state
}

fn files(disk: &SimFs, extension: &str) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// How many bytes of a log have been written to; zeros follow.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Opens a damaged database and checks what it gives: a state after some batch, the loss told, and a database that
/// goes on. Returns how many batches are there; `None` for a database that opens without.
fn salvage(disk: &SimFs, states: &[State], context: &str) -> Option<usize> {
    let strict = open(config(), &disk.deep_copy());
    let engine = open(salvaging(), disk).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let state = read_all(&engine);
    let found = states.iter().rposition(|candidate| *candidate == state);
    let found = found.unwrap_or_else(|| panic!("{context}: not the state after any batch: {state:?}"));
    let Err(refused) = strict else {
        assert!(engine.salvage_report().is_none(), "{context}: nothing was lost");
        return None;
    };
    assert_eq!(refused.code(), Code::Corruption, "{context}");
    let report = engine.salvage_report().unwrap_or_else(|| panic!("{context}: a loss without a report"));
    assert!(!report.losses.is_empty(), "{context}");
    let behind = report.losses.iter().filter_map(|loss| loss.last_seqno).max();
    assert!(behind.is_none_or(|lost| lost > report.last_seqno || found == states.len() - 1), "{context}");

    let mut batch = WriteBatch::new();
    batch.put(b"after", b"the salvage").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    let mut expected = state;
    expected.insert(b"after".to_vec(), b"the salvage".to_vec());
    assert_eq!(read_all(&engine), expected, "{context}");
    engine.close().unwrap();
    let again = open(config(), disk).unwrap_or_else(|error| panic!("{context}: opened again: {error:?}"));
    assert_eq!(read_all(&again), expected, "{context}: opened again");
    assert!(again.salvage_report().is_none());
    Some(found)
}

#[test]
fn every_flipped_byte_of_every_log_costs_what_lies_behind_it_and_is_told() {
    let (disk, states) = make_database(24, 700);
    let logs = files(&disk, "wal");
    assert!(logs.len() >= 3, "{logs:?}");
    let mut found = Vec::new();
    for (index, path) in logs.iter().enumerate() {
        let bytes = disk.read_file(path).unwrap();
        for at in (0..used(&bytes)).filter(|at| *at < 200 || at % 7 == 0) {
            let copy = disk.deep_copy();
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            copy.write_file(path, &damaged);
            if let Some(batches) = salvage(&copy, &states, &format!("{} byte {at}", path.display())) {
                found.push((index, at, batches));
            }
        }
    }
    assert!(found.is_sorted_by(|a, b| a.2 <= b.2), "the later the damage, the more there is");
    assert!(found.iter().any(|(.., batches)| *batches == 4), "the table alone");
    assert!(found.iter().any(|(.., batches)| *batches >= 22), "nearly everything");
}

#[test]
fn a_log_that_is_cut_or_gone_costs_what_lies_behind_it() {
    let (disk, states) = make_database(24, 700);
    for path in files(&disk, "wal") {
        let bytes = disk.read_file(&path).unwrap();
        for len in (0..used(&bytes)).step_by(61) {
            let copy = disk.deep_copy();
            copy.write_file(&path, &bytes[..len]);
            salvage(&copy, &states, &format!("{} cut at {len}", path.display()));
        }
        let copy = disk.deep_copy();
        flowdb::fs::FileSystem::remove(&copy, &path).unwrap();
        salvage(&copy, &states, &format!("{} gone", path.display()));
    }
}

#[test]
fn a_salvage_says_which_file_from_where_on_and_up_to_which_commit() {
    let (disk, _) = make_database(14, 100);
    let path = files(&disk, "wal").pop().unwrap();
    let bytes = disk.read_file(&path).unwrap();
    // In the value of the ninth commit; the twelfth says that it was synced.
    let at = bytes.windows(50).position(|window| window == [8; 50]).unwrap();
    let mut damaged = bytes.clone();
    damaged[at] ^= 1;
    disk.write_file(&path, &damaged);

    let engine = open(salvaging(), &disk).unwrap();

    let report = engine.salvage_report().unwrap();
    let [loss] = &report.losses[..] else { panic!("{report:?}") };
    assert_eq!(loss.path, path);
    assert!(loss.offset < at as u64 && loss.offset + 60 > at as u64, "{loss:?}");
    assert_eq!(loss.bytes, bytes.len() as u64 - loss.offset);
    // Eight commits and one deletion before, fourteen and two in all.
    assert_eq!((report.last_seqno, loss.last_seqno), (9, Some(16)));
    assert_eq!(loss.reason.code(), Code::Corruption);
}

#[test]
fn a_salvage_that_is_read_only_changes_nothing() {
    let (disk, states) = make_database(14, 700);
    let path = files(&disk, "wal")[0].clone();
    let mut bytes = disk.read_file(&path).unwrap();
    bytes[1_000] ^= 1;
    disk.write_file(&path, &bytes);
    let all = |disk: &SimFs| -> Vec<_> {
        disk.files().into_iter().map(|path| (disk.read_file(&path), path)).collect()
    };
    let before = all(&disk);

    let engine = open(Config { read_only: true, ..salvaging() }, &disk).unwrap();

    assert!(states.contains(&read_all(&engine)) && engine.salvage_report().is_some());
    engine.close().unwrap();
    drop(engine);
    assert_eq!(all(&disk), before);
    assert_eq!(open(config(), &disk).unwrap_err().code(), Code::Corruption);
}

#[test]
fn damage_to_an_edit_of_the_manifest_costs_the_edits_behind_it_or_stays_corruption() {
    let (disk, states) = make_database(14, 700);
    let path = disk.files().into_iter().find(|path| path.to_str().unwrap().contains("MANIFEST")).unwrap();
    let bytes = disk.read_file(&path).unwrap();
    let (mut salvaged, mut refused) = (0, 0);
    for at in 0..bytes.len() {
        let copy = disk.deep_copy();
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        copy.write_file(&path, &damaged);
        match open(salvaging(), &copy.deep_copy()) {
            Ok(_) => {
                salvage(&copy, &states, &format!("byte {at}"));
                salvaged += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::Corruption, "byte {at}");
                refused += 1;
            }
        }
    }
    assert!(salvaged > 0 && refused > 0, "{salvaged} salvaged, {refused} refused");
}

#[test]
fn damage_to_a_table_is_not_salvaged_and_a_whole_database_has_no_report() {
    let (disk, states) = make_database(14, 700);
    let engine = open(salvaging(), &disk.deep_copy()).unwrap();
    assert!(engine.salvage_report().is_none());
    assert_eq!(Some(&read_all(&engine)), states.last());
    let table = files(&disk, "tbl")[0].clone();
    flowdb::fs::FileSystem::remove(&disk, Path::new(&table)).unwrap();

    assert_eq!(open(salvaging(), &disk).unwrap_err().code(), Code::Corruption);
}

#[test]
fn what_no_sync_had_confirmed_is_cut_without_a_report() {
    let disk = SimFs::new();
    let unsynced = Config { wal_sync_mode: SyncMode::Interval(10), ..config() };
    let engine = open(unsynced, &disk).unwrap();
    for number in 0..5u8 {
        let mut batch = WriteBatch::new();
        batch.put(&[number], &[number; 40]).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
    }
    let path = files(&disk, "wal").pop().unwrap();
    let disk = disk.after_crash(flowdb::fs::CrashOutcome::ProcessOnly);
    let mut bytes = disk.read_file(&path).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    disk.write_file(&path, &bytes);

    let engine = open(salvaging(), &disk).unwrap();

    assert!(engine.salvage_report().is_none());
    assert!(engine.get(&[0], None).unwrap().is_some() && engine.get(&[4], None).unwrap().is_none());
}
