//! Repair: of whatever is destroyed, everything that is whole comes back, and nothing that was never there.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::Random;
use common::trials::{SeedReport, seeds};
use flowdb::config::{Compression, Config, SyncMode};
use flowdb::engine::{
    CommitOptions, Direction, Engine, ManifestFound, RepairReport, ScanRange, WriteBatch, repair_on,
};
use flowdb::error::Code;
use flowdb::fs::{CrashOutcome, FileSystem, SimFs};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn config(compression: Compression) -> Config {
    Config {
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

/// Half of the time with values of 60 bytes and more in value files.
fn any_config(random: &mut Random) -> Config {
    let value_threshold_bytes = if random.one_in(2) { 60 } else { 0 };
    let config = config(*random.pick(&[Compression::None, Compression::Lz4]));
    Config { value_threshold_bytes, value_file_size_bytes: 4 << 10, ..config }
}

/// A database, what it holds, and every value that any key ever had.
struct Made {
    disk: SimFs,
    state: State,
    ever: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

/// A database with tables on several levels, deletions of both kinds, and entries that are only in the logs. `closed`
/// says whether it was closed, or its process died.
fn make(config: &Config, random: &mut Random, commits: u64, closed: bool) -> Made {
    make_with(config, random, commits, closed, true)
}

fn make_with(config: &Config, random: &mut Random, commits: u64, closed: bool, ranges: bool) -> Made {
    let disk = SimFs::new();
    let mut engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let (mut state, mut ever) = (State::new(), BTreeSet::new());
    let key = |number: u64| format!("key {number:03}").into_bytes();
    for commit in 0..commits {
        let mut batch = WriteBatch::new();
        for _ in 0..1 + random.below(6) {
            let number = random.below(120);
            if random.one_in(6) {
                batch.delete(&key(number)).unwrap();
                state.remove(&key(number));
            } else {
                let value = format!("value {commit} of {number}{}", "-".repeat(random.below(60) as usize));
                batch.put(&key(number), value.as_bytes()).unwrap();
                ever.insert((key(number), value.clone().into_bytes()));
                state.insert(key(number), value.into_bytes());
            }
        }
        if ranges && random.one_in(12) {
            let start = random.below(110);
            batch.delete_range(&key(start), &key(start + 6)).unwrap();
            state.retain(|held, _| held < &key(start) || held >= &key(start + 6));
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
        match random.below(30) {
            0..3 => engine.flush().unwrap(),
            3 => engine.compact_all().unwrap(),
            4..7 => while engine.run_pending().unwrap() {},
            7 => {
                engine.close().unwrap();
                engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
            }
            _ => {}
        }
    }
    let disk = if closed {
        engine.close().unwrap();
        disk
    } else {
        disk.after_crash(CrashOutcome::LoseUnsynced)
    };
    Made { disk, state, ever }
}

/// Repairs a copy of the disk, and reads what is there then: by scans both ways and by key.
fn repaired(config: &Config, disk: &SimFs, context: &str) -> (RepairReport, State, SimFs) {
    let disk = disk.deep_copy();
    let report =
        repair_on(config, Arc::new(disk.clone())).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone()))
        .unwrap_or_else(|error| panic!("{context}: {error:?}"));
    engine.verify().unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let mut states = Vec::new();
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut state = State::new();
        let mut scan = engine.scan(ScanRange::all(), direction, None).unwrap();
        while scan.advance().unwrap() {
            state.insert(scan.key().to_vec(), scan.value().to_vec());
        }
        states.push(state);
    }
    let mut by_get = State::new();
    for number in 0..130 {
        let key = format!("key {number:03}").into_bytes();
        if let Some(value) = engine.get(&key, None).unwrap() {
            by_get.insert(key, value.bytes);
        }
    }
    assert_eq!(states[0], by_get, "{context}: scan and get differ");
    assert_eq!(states[0], states[1], "{context}: the directions differ");
    engine.close().unwrap();
    (report, by_get, disk)
}

fn names(disk: &SimFs, dir: &str, ending: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = disk.files();
    paths.retain(|path| path.parent() == Some(Path::new(dir)) && path.to_str().unwrap().contains(ending));
    paths
}

/// The keys whose value is another one than it was.
fn changed(before: &State, after: &State) -> BTreeSet<Vec<u8>> {
    before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

fn never_there(made: &Made, after: &State) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = after.iter().map(|(key, value)| (key.clone(), value.clone()));
    all.filter(|entry| !made.ever.contains(entry)).collect()
}

#[test]
fn a_database_that_is_whole_stays_as_it_was() {
    for seed in seeds(40) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = any_config(random);
        let closed = random.one_in(2);
        let made = make(&config, random, 80, closed);

        let (report, after, disk) = repaired(&config, &made.disk, "whole");

        assert_eq!(after, made.state);
        assert!(report.is_lossless(), "{report:?}");
        assert!(report.files_moved.is_empty(), "{report:?}");
        let (again, after, _) = repaired(&config, &disk, "again");
        assert_eq!(after, made.state);
        assert!(again.is_lossless(), "{again:?}");
    }
}

/// Tables don't say on which level they were; all that there is must still be read in the right order.
#[test]
fn without_current_and_manifest_everything_comes_back() {
    for seed in seeds(60) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = any_config(random);
        let closed = random.one_in(2);
        let made = make(&config, random, 120, closed);
        for manifest in names(&made.disk, "/db", "MANIFEST") {
            made.disk.remove(&manifest).unwrap();
        }
        if random.one_in(2) {
            made.disk.remove(Path::new("/db/CURRENT")).unwrap();
        }

        let (report, after, _) = repaired(&config, &made.disk, "no manifest");

        assert_eq!(report.manifest, ManifestFound::Lost);
        assert_eq!(after, made.state, "{report:?}");
    }
}

#[test]
fn a_manifest_that_is_damaged_anywhere_costs_nothing() {
    let random = &mut Random::new(3);
    let config = config(Compression::None);
    let made = make(&config, random, 100, true);
    let files = [names(&made.disk, "/db", "MANIFEST"), names(&made.disk, "/db", "CURRENT")].concat();
    for path in files {
        let bytes = made.disk.read_file(&path).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let disk = made.disk.deep_copy();
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x21;
            disk.write_file(&path, &flipped);
            let context = format!("{} at {at}", path.display());

            let (report, after, _) = repaired(&config, &disk, &context);

            assert_eq!(after, made.state, "{context}: {report:?}");
        }
    }
}

/// A manifest that ends behind any of its edits reads as a whole one of an earlier time, whose files may be gone since.
#[test]
fn a_manifest_that_is_cut_at_any_length_costs_nothing() {
    for seed in seeds(6) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = any_config(random);
        let made = make(&config, random, 60, true);
        let manifest = names(&made.disk, "/db", "MANIFEST").pop().unwrap();
        let bytes = made.disk.read_file(&manifest).unwrap();
        for len in 0..bytes.len() {
            let disk = made.disk.deep_copy();
            disk.write_file(&manifest, &bytes[..len]);

            let (report, after, _) = repaired(&config, &disk, &format!("cut to {len}"));

            assert_eq!(after, made.state, "cut to {len} of {}: {report:?}", bytes.len());
        }
    }
}

/// With the manifest whole, one damaged block costs the entries in it and nothing else.
#[test]
fn a_flipped_byte_in_a_table_costs_at_most_the_entries_of_its_block() {
    // Of 256 bytes and entries of at least 20, and what range tombstones of a table cover.
    const ENTRIES_OF_A_BLOCK: usize = 14;
    for compression in [Compression::None, Compression::Lz4] {
        let random = &mut Random::new(11);
        let config = config(compression);
        let made = make(&config, random, 90, true);
        let (mut costly, mut free) = (0, 0);
        for path in names(&made.disk, "/db", ".tbl") {
            let bytes = made.disk.read_file(&path).unwrap();
            for at in (0..bytes.len()).step_by(13) {
                let disk = made.disk.deep_copy();
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                disk.write_file(&path, &flipped);
                let context = format!("{} at {at}", path.display());

                let (report, after, disk) = repaired(&config, &disk, &context);

                let changed = changed(&made.state, &after);
                assert_eq!(never_there(&made, &after), [], "{context}");
                assert!(changed.len() <= ENTRIES_OF_A_BLOCK, "{context}: {changed:?} {report:?}");
                assert!(report.table_bytes_lost > 0 && !report.is_lossless(), "{context}: {report:?}");
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                assert_eq!(report.files_moved, [name.as_str()], "{context}");
                assert_eq!(disk.read_file(format!("/db/lost/{name}")).as_ref(), Some(&flipped), "{context}");
                *(if changed.is_empty() { &mut free } else { &mut costly }) += 1;
            }
        }
        assert!(costly > 0 && free > 0, "{costly} flips cost something, {free} did not");
    }
}

#[test]
fn a_flipped_byte_in_a_log_costs_at_most_one_batch() {
    let config = Config { memtable_size_bytes: 1 << 20, ..config(Compression::None) };
    let disk = SimFs::new();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let mut state = State::new();
    for number in 0..40 {
        let (key, value) = (format!("key {number:03}").into_bytes(), vec![b'v'; 20]);
        let mut batch = WriteBatch::new();
        batch.put(&key, &value).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        state.insert(key, value);
    }
    engine.close().unwrap();
    drop(engine);
    let [path] = names(&disk, "/db", ".wal").try_into().unwrap();
    let bytes = disk.read_file(&path).unwrap();
    // Behind the records are the zeros that the next ones would have been written over.
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for at in (0..end).chain([end, bytes.len() - 1]) {
        let disk = disk.deep_copy();
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        disk.write_file(&path, &flipped);

        let (report, after, _) = repaired(&config, &disk, &format!("at {at}"));

        let changed = changed(&state, &after);
        if at >= end {
            assert!(changed.is_empty(), "at {at}: {changed:?}");
            continue;
        }
        assert!(changed.len() <= 1, "at {at}: {changed:?}");
        assert_eq!(report.log_records_saved, 40 - changed.len() as u64, "at {at}");
        assert!(report.log_bytes_lost > 0, "at {at}: {report:?}");
    }
}

/// Behind a hole that a power loss has left, a log has a whole record that the opening did not take, and the log after it
/// has given its seqno out again. Where that log has lost its header, which says where the first ends, the record must
/// not come back all the same.
#[test]
fn what_an_opening_has_left_out_of_a_log_stays_out_although_the_next_log_has_lost_its_header() {
    for manifest_is_lost in [false, true] {
        let config = Config { wal_sync_mode: SyncMode::Never, ..config(Compression::None) };
        let disk = SimFs::new();
        let open = |disk: &SimFs| Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let put = |engine: &Engine, key: &[u8]| {
            let mut batch = WriteBatch::new();
            batch.put(key, &key.repeat(8)).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
        };
        let engine = open(&disk);
        put(&engine, b"key 000");
        engine.sync().unwrap();
        put(&engine, b"key 001");
        put(&engine, b"key 002");
        engine.sync().unwrap();
        let disk = disk.after_crash(CrashOutcome::ProcessOnly);
        flip(&disk, b"key 001key 001");
        let first_log = names(&disk, "/db", ".wal").remove(0);
        let bytes = disk.read_file(&first_log).unwrap();
        let engine = open(&disk);
        assert!(
            engine.get(b"key 000", None).unwrap().is_some()
                && engine.get(b"key 002", None).unwrap().is_none()
        );
        put(&engine, b"key 003");
        put(&engine, b"key 004");
        engine.sync().unwrap();
        let disk = disk.after_crash(CrashOutcome::ProcessOnly);
        // It went once its entries were in a table; a power loss may bring it back.
        disk.write_file(&first_log, &bytes);
        let logs = names(&disk, "/db", ".wal");
        assert_eq!(logs.len(), 2, "{logs:?}");
        let mut bytes = disk.read_file(&logs[1]).unwrap();
        bytes[20] ^= 1;
        disk.write_file(&logs[1], &bytes);
        if manifest_is_lost {
            names(&disk, "/db", "MANIFEST").iter().for_each(|path| disk.remove(path).unwrap());
        }

        let (report, after, _) = repaired(&config, &disk, "a header");

        let keys: Vec<&[u8]> = after.keys().map(Vec::as_slice).collect();
        assert_eq!(
            keys,
            [b"key 000", b"key 003", b"key 004"],
            "manifest lost: {manifest_is_lost}, {report:?}"
        );
    }
}

/// `lost` outlives a database that is destroyed, and the numbers of files begin anew with the next one.
#[test]
fn what_a_repair_keeps_in_lost_stays_beside_a_file_of_the_same_name_and_is_kept_once() {
    let config = config(Compression::None);
    let disk = make(&config, &mut Random::new(7), 40, true).disk;
    let table = names(&disk, "/db", ".tbl").remove(0);
    let name = table.file_name().unwrap().to_str().unwrap().to_owned();
    let mut damaged = disk.read_file(&table).unwrap();
    damaged[20] ^= 1;
    disk.write_file(&table, &damaged);
    disk.create_dir_all(Path::new("/db/lost")).unwrap();
    disk.write_file(format!("/db/lost/{name}"), b"of another database");

    let (report, _, after) = repaired(&config, &disk, "a name that is taken");

    assert_eq!(report.files_moved, [name.as_str()]);
    assert_eq!(after.read_file(format!("/db/lost/{name}")).unwrap(), b"of another database");
    assert_eq!(after.read_file(format!("/db/lost/{name}.1")).as_ref(), Some(&damaged));
    // As where a repair was cut short behind this.
    disk.write_file(format!("/db/lost/{name}.1"), &damaged);
    let (_, _, again) = repaired(&config, &disk, "a file that is kept already");
    assert_eq!(names(&again, "/db/lost", &name).len(), 2);
}

/// A table that was compacted away and is still being read has no seqnos any more, nor has the one that came in its place.
#[test]
fn of_two_values_without_a_seqno_a_repair_without_a_manifest_takes_the_one_that_was_written_later() {
    let config = config(Compression::None);
    let disk = SimFs::new();
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let put_down = |value: &[u8]| {
        let mut batch = WriteBatch::new();
        (0..50).for_each(|key| batch.put(format!("key {key:03}").as_bytes(), value).unwrap());
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();
        engine.compact_all().unwrap();
    };
    put_down(b"earlier");
    let mut reading = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    assert!(reading.advance().unwrap());
    put_down(b"later");
    let left = disk.after_crash(CrashOutcome::ProcessOnly);
    assert!(names(&left, "/db", ".tbl").len() > 1, "the table that is read is still there");
    drop(reading);
    for ending in ["MANIFEST", "CURRENT"] {
        names(&left, "/db", ending).iter().for_each(|path| left.remove(path).unwrap());
    }

    let (report, after, _) = repaired(&config, &left, "the manifest");

    assert!(after.len() == 50 && after.values().all(|value| value == b"later"), "{report:?} {after:?}");
}

/// Flips a bit of what stands in a log where `text` does.
fn flip(disk: &SimFs, text: &[u8]) {
    for path in names(disk, "/db", ".wal") {
        let mut bytes = disk.read_file(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            return disk.write_file(&path, &bytes);
        }
    }
    panic!("no log has {text:?}");
}

/// What is not touched must be right: where no table and no log is, that is everything.
#[test]
fn whatever_is_destroyed_the_database_opens_and_gives_no_value_that_was_never_there() {
    for seed in seeds(250) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = any_config(random);
        let closed = random.one_in(2);
        let made = make(&config, random, 60, closed);
        let files: Vec<PathBuf> = names(&made.disk, "/db", "");
        let tables_before = names(&made.disk, "/db", ".tbl").len();
        let mut hit = BTreeSet::new();
        for _ in 0..1 + random.below(4) {
            let path = random.pick(&files).clone();
            if path.ends_with("LOCK") || !made.disk.exists(&path).unwrap() {
                continue;
            }
            let mut bytes = made.disk.read_file(&path).unwrap();
            match random.below(4) {
                0 => made.disk.remove(&path).unwrap(),
                1 => {
                    bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
                    made.disk.write_file(&path, &bytes);
                }
                _ if bytes.is_empty() => continue,
                2 => {
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << random.below(8);
                    made.disk.write_file(&path, &bytes);
                }
                _ => {
                    let at = random.below(bytes.len() as u64) as usize;
                    let len = (random.below(200) as usize).min(bytes.len() - at);
                    bytes[at..at + len].fill(0);
                    made.disk.write_file(&path, &bytes);
                }
            }
            hit.insert(path);
        }
        if names(&made.disk, "/db", "").iter().all(|path| path.ends_with("LOCK")) {
            continue;
        }

        let (report, after, _) = repaired(&config, &made.disk, &format!("{hit:?}"));

        assert_eq!(never_there(&made, &after), [], "{hit:?} {report:?}");
        let hits_data = hit.iter().any(|path| {
            let path = path.to_str().unwrap();
            [".tbl", ".val", ".wal"].iter().any(|ending| path.ends_with(ending))
        });
        if !hits_data {
            assert_eq!(after, made.state, "{hit:?} of {tables_before} tables: {report:?}");
        }
    }
}

/// Of a damaged table everything is read but what lay in damaged blocks: so no key has changed that is not among the
/// entries that the report calls lost.
#[test]
fn no_more_keys_change_than_entries_are_lost() {
    let mut lossy = 0;
    for seed in seeds(120) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = any_config(random);
        let made = make_with(&config, random, 80, true, false);
        let tables = names(&made.disk, "/db", ".tbl");
        if tables.is_empty() {
            continue;
        }
        for _ in 0..1 + random.below(5) {
            let path = random.pick(&tables);
            let mut bytes = made.disk.read_file(path).unwrap();
            match random.below(8) {
                0 => bytes.truncate(random.below(bytes.len() as u64) as usize + 1),
                _ => {
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            made.disk.write_file(path, &bytes);
        }

        let (report, after, _) = repaired(&config, &made.disk, "tables");

        let changed = changed(&made.state, &after);
        assert_eq!(report.manifest, ManifestFound::Whole);
        assert_eq!(never_there(&made, &after), [], "{report:?}");
        assert!(changed.len() as u64 <= report.entries_lost, "{changed:?}: {report:?}");
        lossy += u64::from(!changed.is_empty());
    }
    assert!(lossy > 20, "only {lossy} runs lost anything");
}

#[test]
fn a_repair_that_is_cut_short_anywhere_can_be_done_again() {
    for seed in seeds(6) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = any_config(random);
        let made = make(&config, random, 60, true);
        let tables = names(&made.disk, "/db", ".tbl");
        let path = random.pick(&tables);
        let mut bytes = made.disk.read_file(path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        made.disk.write_file(path, &bytes);
        if seed % 3 == 0 {
            made.disk.remove(Path::new("/db/CURRENT")).unwrap();
        }
        if seed % 3 == 1 {
            for manifest in names(&made.disk, "/db", "MANIFEST") {
                made.disk.remove(&manifest).unwrap();
            }
        }
        let (_, expected, _) = repaired(&config, &made.disk, "uncut");
        for outcome in [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced, CrashOutcome::Random(seed)] {
            for crash_at in 0.. {
                let disk = made.disk.deep_copy();
                disk.crash_at(disk.operations() + crash_at);
                let finished = repair_on(&config, Arc::new(disk.clone())).is_ok();
                let context = format!("{outcome:?}, crash at {crash_at}");
                let left = disk.after_crash(outcome);

                // Where it opens, it does so with everything; and either way another repair does the rest.
                if let Ok(engine) = Engine::open_on(config.clone(), Arc::new(left.deep_copy()))
                    && engine.verify().is_ok()
                {
                    for (key, value) in &expected {
                        let found = engine.get(key, None).unwrap().map(|found| found.bytes);
                        assert_eq!(found.as_ref(), Some(value), "{context}");
                    }
                }
                let (_, after, end) = repaired(&config, &left, &context);
                assert_eq!(after, expected, "{context}");
                let name = path.file_name().unwrap().to_str().unwrap();
                assert_eq!(end.read_file(format!("/db/lost/{name}")).as_ref(), Some(&bytes), "{context}");
                if finished {
                    break;
                }
            }
        }
    }
}

/// A value file that is damaged costs the values that are damaged in it, and a missing one its own, and no others.
#[test]
fn a_damaged_value_file_costs_the_values_that_are_gone_only() {
    let (mut kept_all, mut lost_some) = (0, 0);
    for seed in seeds(60) {
        let _report = SeedReport(seed);
        let random = &mut Random::new(seed);
        let config = Config {
            value_threshold_bytes: 40,
            value_file_size_bytes: 4 << 10,
            ..config(*random.pick(&[Compression::None, Compression::Lz4]))
        };
        let made = make_with(&config, random, 80, true, false);
        let files = names(&made.disk, "/db", ".val");
        if files.is_empty() {
            continue;
        }
        let path = random.pick(&files);
        let mut bytes = made.disk.read_file(path).unwrap();
        if random.one_in(4) {
            made.disk.remove(path).unwrap();
        } else {
            let at = match random.one_in(3) {
                // In the footer: every value is there.
                true => bytes.len() - 1 - random.below(40) as usize,
                false => random.below(bytes.len() as u64) as usize,
            };
            bytes[at] ^= 1 << random.below(8);
            made.disk.write_file(path, &bytes);
        }
        if random.one_in(3) {
            for manifest in names(&made.disk, "/db", "MANIFEST") {
                made.disk.remove(&manifest).unwrap();
            }
        }

        let (report, after, disk) = repaired(&config, &made.disk, &path.display().to_string());

        let changed = changed(&made.state, &after);
        assert_eq!(never_there(&made, &after), [], "{report:?}");
        assert!(changed.len() as u64 <= report.values_lost, "{changed:?}: {report:?}");
        assert_eq!(report.tables_salvaged + report.tables_lost, 0, "{report:?}");
        kept_all += u64::from(report.values_lost == 0);
        lost_some += u64::from(!changed.is_empty());
        let (again, same, _) = repaired(&config, &disk, "again");
        assert_eq!((again.is_lossless(), same), (true, after));
    }
    assert!(kept_all > 5 && lost_some > 5, "{kept_all} kept all, {lost_some} lost some");
}

#[test]
fn what_can_not_be_repaired_is_refused_and_left_alone() {
    let config = config(Compression::None);
    let disk = SimFs::new();
    let fs = || Arc::new(disk.clone());
    assert_eq!(repair_on(&config, fs()).unwrap_err().code(), Code::NotFound, "no directory");
    disk.create_dir_all(Path::new("/db")).unwrap();
    disk.write_file("/db/notes.txt", b"not ours");
    assert_eq!(repair_on(&config, fs()).unwrap_err().code(), Code::NotFound, "no database");
    assert_eq!(disk.files(), [PathBuf::from("/db/notes.txt")]);

    let engine = Engine::open_on(config.clone(), fs()).unwrap();
    assert_eq!(repair_on(&config, fs()).unwrap_err().code(), Code::Locked, "open");
    engine.close().unwrap();

    let read_only = Config { read_only: true, ..config.clone() };
    assert_eq!(repair_on(&read_only, fs()).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(repair_on(&Config::in_memory(), fs()).unwrap_err().code(), Code::Unsupported);
}

#[test]
fn new_writes_win_over_what_was_saved() {
    let random = &mut Random::new(5);
    let config = config(Compression::None);
    let made = make(&config, random, 80, true);
    for manifest in names(&made.disk, "/db", "MANIFEST") {
        made.disk.remove(&manifest).unwrap();
    }
    repair_on(&config, Arc::new(made.disk.clone())).unwrap();
    let engine = Engine::open_on(config, Arc::new(made.disk.clone())).unwrap();
    for key in made.state.keys() {
        let mut batch = WriteBatch::new();
        batch.put(key, b"new").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
    }
    engine.flush().unwrap();
    engine.compact_all().unwrap();

    for key in made.state.keys() {
        assert_eq!(engine.get(key, None).unwrap().unwrap().bytes, b"new");
    }
}
