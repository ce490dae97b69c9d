//! Large values: where they lie, what reading a part of one costs, and that the space of those nobody needs comes back.

mod common;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::Random;
use common::watched::{Watch, Watched, is_a};
use flowdb::clock::ManualClock;
use flowdb::config::{Compression, Config};
use flowdb::engine::{
    CommitOptions, Direction, Engine, ScanRange, Snapshot, Stats, TRY_GET_BYTES_MAX, TryGet, WriteBatch,
};
use flowdb::error::Code;
use flowdb::fs::{FileSystem, SimFs};

const ROWS: u64 = 60;
const VALUE_BYTES: usize = 3_000;

fn config() -> Config {
    Config {
        auto_background: false,
        memtable_size_bytes: 64 << 10,
        table_size_bytes: 4 << 10,
        block_size: 256,
        level_size_bytes: 16 << 10,
        value_threshold_bytes: 1_000,
        value_file_size_bytes: 32 << 10,
        compression: Compression::None,
        clock: Arc::new(ManualClock::new(1_000)),
        ..Config::new("/db")
    }
}

fn open(disk: &SimFs, config: &Config) -> Engine {
    Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap()
}

fn create(config: &Config) -> (SimFs, Engine) {
    let disk = SimFs::new();
    let engine = open(&disk, config);
    (disk, engine)
}

fn key(row: u64) -> Vec<u8> {
    format!("row {row:04}").into_bytes()
}

/// Bytes that don't compress, and are others for each row and version.
fn value(row: u64, version: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(row * 1_000 + version);
    (0..len).map(|_| random.next() as u8).collect()
}

fn put(engine: &Engine, key: &[u8], value: &[u8]) {
    let mut batch = WriteBatch::new();
    batch.put(key, value).unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
}

fn put_rows(engine: &Engine, rows: impl Iterator<Item = u64>, version: u64) {
    for row in rows {
        put(engine, &key(row), &value(row, version, VALUE_BYTES));
    }
}

fn delete_rows(engine: &Engine, rows: impl Iterator<Item = u64>) {
    let mut batch = WriteBatch::new();
    rows.for_each(|row| batch.delete(&key(row)).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
}

fn check_rows(engine: &Engine, rows: impl Iterator<Item = u64>, version: u64, snapshot: Option<&Snapshot>) {
    for row in rows {
        let found = engine.get(&key(row), snapshot).unwrap().map(|found| found.bytes);
        assert_eq!(found, Some(value(row, version, VALUE_BYTES)), "row {row}");
    }
}

/// Does all background work, and returns what there is then.
fn settle(engine: &Engine) -> Stats {
    engine.flush().unwrap();
    let mut steps = 0;
    while engine.run_pending().unwrap() {
        steps += 1;
        assert!(steps < 500, "background work does not end: {:?}", engine.stats());
    }
    let stats = engine.stats();
    let garbage = stats.value_file_bytes - 40 * stats.value_files - stats.value_file_live_bytes;
    assert!(garbage <= stats.value_file_live_bytes + stats.table_bytes(), "{stats:?}");
    stats
}

fn value_files(disk: &SimFs, dir: &str) -> Vec<PathBuf> {
    let is_value_file = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "val");
    disk.files().into_iter().filter(|path| path.starts_with(dir) && is_value_file(path)).collect()
}

fn bytes_on_disk(disk: &SimFs) -> u64 {
    value_files(disk, "/db").iter().map(|path| disk.read_file(path).unwrap().len() as u64).sum()
}

#[test]
fn values_from_the_threshold_on_lie_in_value_files_and_shorter_ones_in_tables() {
    let (disk, engine) = create(&config());
    put(&engine, b"long", &[7; 1_000]);
    put(&engine, b"short", &[7; 999]);
    assert_eq!(engine.stats().value_files, 0, "a memtable holds values whole");
    engine.flush().unwrap();

    let stats = engine.stats();
    assert_eq!((stats.value_files, stats.value_file_live_bytes), (1, 1_000 + 5 + 12));
    assert_eq!((stats.value_file_bytes, bytes_on_disk(&disk)), (1_057, 1_057));
    assert!((1_000..2_000).contains(&stats.table_bytes()), "{stats:?}");
    assert_eq!(engine.try_get(b"long", None).unwrap(), TryGet::NeedsIo);
    assert_eq!(engine.get(b"long", None).unwrap().unwrap().bytes, [7; 1_000]);
    engine.verify().unwrap();
}

#[test]
fn without_a_threshold_no_value_is_separated_and_those_that_were_are_still_read() {
    let (disk, engine) = create(&config());
    put_rows(&engine, 0..ROWS, 1);
    engine.close().unwrap();
    let engine = open(&disk, &Config { value_threshold_bytes: 0, ..config() });
    engine.flush().unwrap();
    let before = engine.stats();
    put_rows(&engine, ROWS..2 * ROWS, 1);
    engine.compact_all().unwrap();

    assert_eq!(engine.stats().value_file_live_bytes, before.value_file_live_bytes);
    assert!(engine.stats().table_bytes() > ROWS * VALUE_BYTES as u64);
    check_rows(&engine, 0..2 * ROWS, 1, None);
    engine.verify().unwrap();

    // Once separation is on again, compaction takes them out of the tables.
    engine.close().unwrap();
    let engine = open(&disk, &config());
    engine.compact_all().unwrap();
    assert!(engine.stats().table_bytes() < ROWS * 1_000, "{:?}", engine.stats());
    check_rows(&engine, 0..2 * ROWS, 1, None);
}

#[test]
fn a_value_file_is_closed_at_its_size_and_a_larger_value_has_one_of_its_own() {
    let (disk, engine) = create(&Config { memtable_size_bytes: 1 << 20, ..config() });
    put_rows(&engine, 0..10, 1);
    put(&engine, b"larger than a file", &value(0, 9, 40_000));
    put(&engine, b"x", &[1; 2_000]);
    engine.flush().unwrap();

    let sizes: Vec<usize> =
        value_files(&disk, "/db").iter().map(|path| disk.read_file(path).unwrap().len()).collect();
    // The larger one by itself; ten rows don't fill a file, and what follows them is in the same one.
    assert_eq!(sizes, [40_000 + 17 + 40, 10 * (VALUE_BYTES + 17) + 2_017 + 40]);
    check_rows(&engine, 0..10, 1, None);
}

#[test]
fn compaction_carries_pointers_and_rewrites_no_value() {
    let (_, engine) = create(&config());
    for version in 1..=3 {
        // Keys that lie between each other, so that tables are merged and not only moved.
        put_rows(&engine, (0..ROWS).filter(|row| row % 3 == version % 3), 1);
        engine.flush().unwrap();
    }
    let before = engine.stats();
    assert!(before.value_bytes_written > ROWS * VALUE_BYTES as u64);

    engine.compact_all().unwrap();
    let after = engine.stats();

    assert!(after.compacted_bytes > 0);
    assert_eq!((after.value_bytes_written, after.value_bytes_relocated), (before.value_bytes_written, 0));
    check_rows(&engine, 0..ROWS, 1, None);
}

#[test]
fn overwritten_values_give_their_space_back() {
    let (disk, engine) = create(&config());
    for version in 1..=6 {
        put_rows(&engine, 0..ROWS, version);
        engine.compact_all().unwrap();
        let stats = settle(&engine);
        assert!(stats.value_file_bytes < 2 * ROWS * (VALUE_BYTES as u64 + 100), "{version}: {stats:?}");
        assert_eq!(bytes_on_disk(&disk), stats.value_file_bytes, "dead files are off the disk");
        check_rows(&engine, 0..ROWS, version, None);
    }
    engine.verify().unwrap();
}

#[test]
fn a_few_survivors_of_each_file_are_moved_together_and_the_files_go() {
    let (disk, engine) = create(&config());
    put_rows(&engine, 0..ROWS, 1);
    let full = settle(&engine);
    assert!(full.value_files >= 4, "{full:?}");
    // One in five survives, in every file.
    delete_rows(&engine, (0..ROWS).filter(|row| row % 5 != 0));
    let stats = settle(&engine);

    let live = ROWS / 5 * (VALUE_BYTES as u64 + 17);
    assert_eq!(stats.value_file_live_bytes, live);
    assert_eq!(stats.value_bytes_relocated, live, "each survivor was moved once");
    assert!(stats.value_files < full.value_files && bytes_on_disk(&disk) < 2 * live + 1_000, "{stats:?}");
    check_rows(&engine, (0..ROWS).step_by(5), 1, None);
    engine.verify().unwrap();
    engine.close().unwrap();
    check_rows(&open(&disk, &config()), (0..ROWS).step_by(5), 1, None);
}

#[test]
fn deleting_everything_leaves_no_value_file() {
    let (disk, engine) = create(&config());
    put_rows(&engine, 0..ROWS, 1);
    settle(&engine);
    delete_rows(&engine, 0..ROWS);
    let stats = settle(&engine);

    assert_eq!((stats.value_files, stats.value_file_bytes, stats.value_file_live_bytes), (0, 0, 0));
    assert_eq!(value_files(&disk, "/db"), Vec::<PathBuf>::new());
}

/// The values weigh, not the entries: two of a hundred entries have nearly all bytes.
#[test]
fn values_that_have_expired_give_their_space_back() {
    let clock = Arc::new(ManualClock::new(1_000));
    let (disk, engine) = create(&Config { clock: clock.clone(), ..config() });
    let mut batch = WriteBatch::new();
    (0..98).for_each(|row| batch.put(&key(row), b"short, and stays").unwrap());
    (98..100).for_each(|row| batch.put_expiring(&key(row), &value(row, 1, 20_000), 5_000).unwrap());
    engine.commit(batch, CommitOptions::default()).unwrap();
    assert!(settle(&engine).value_file_bytes > 40_000);

    clock.set(5_000);
    let stats = settle(&engine);

    assert_eq!((stats.value_file_bytes, bytes_on_disk(&disk)), (0, 0));
    assert!(engine.get(&key(0), None).unwrap().is_some());
}

#[test]
fn a_value_that_a_snapshot_needs_stays_and_goes_when_it_closes() {
    let (_, engine) = create(&config());
    put_rows(&engine, 0..ROWS, 1);
    let snapshot = engine.snapshot();
    put_rows(&engine, 0..ROWS, 2);
    delete_rows(&engine, 0..ROWS / 2);
    engine.compact_all().unwrap();
    let held = settle(&engine);
    check_rows(&engine, 0..ROWS, 1, Some(&snapshot));
    check_rows(&engine, ROWS / 2..ROWS, 2, None);

    drop(snapshot);
    let stats = settle(&engine);

    assert!(stats.value_file_bytes * 2 < held.value_file_bytes, "{held:?} {stats:?}");
    check_rows(&engine, ROWS / 2..ROWS, 2, None);
}

#[test]
fn readers_and_scans_that_are_open_keep_the_files_that_they_read() {
    let (disk, engine) = create(&config());
    put(&engine, b"a", &value(1, 1, 200_000));
    put_rows(&engine, 0..ROWS, 1);
    engine.flush().unwrap();
    let mut reader = engine.open_value(b"a", None).unwrap().unwrap();
    let mut start = vec![0; 10];
    reader.read_exact(&mut start).unwrap();
    let mut scan = engine.scan(ScanRange::prefix("row"), Direction::Forward, None).unwrap();
    delete_rows(&engine, 0..ROWS);
    let mut batch = WriteBatch::new();
    batch.delete(b"a").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.compact_all().unwrap();
    assert_eq!(engine.stats().value_files, 0);

    for row in 0..ROWS {
        assert!(scan.advance().unwrap());
        assert_eq!((scan.key(), scan.value()), (&key(row)[..], &value(row, 1, VALUE_BYTES)[..]));
    }
    assert!(!scan.advance().unwrap());
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!([start, rest].concat(), value(1, 1, 200_000));
    drop((scan, reader));
    assert_eq!(value_files(&disk, "/db"), Vec::<PathBuf>::new(), "the last reader has gone");
}

#[test]
fn small_flushes_do_not_leave_small_files_for_ever() {
    let (_, engine) = create(&Config { value_file_size_bytes: 1 << 20, ..config() });
    for at in 0..ROWS {
        // Each table spans half of the keys, so that tables are merged and not only moved.
        put_rows(&engine, [at, ROWS + at].into_iter(), 1);
        engine.flush().unwrap();
        while engine.run_pending().unwrap() {}
    }
    let stats = settle(&engine);

    assert!(stats.value_files < ROWS / 3, "{stats:?}");
    assert!(stats.value_bytes_written < 3 * 2 * ROWS * VALUE_BYTES as u64, "{stats:?}");
    check_rows(&engine, 0..2 * ROWS, 1, None);
}

#[test]
fn a_checkpoint_has_the_values_and_outlives_the_source() {
    let (disk, engine) = create(&config());
    put_rows(&engine, 0..ROWS, 1);
    engine.checkpoint(Path::new("/copy")).unwrap();
    assert_eq!(value_files(&disk, "/copy").len(), value_files(&disk, "/db").len());
    delete_rows(&engine, 0..ROWS);
    settle(&engine);
    assert_eq!(value_files(&disk, "/db"), Vec::<PathBuf>::new());

    let copy = open(&disk, &Config { data_dir: "/copy".into(), ..config() });
    check_rows(&copy, 0..ROWS, 1, None);
    copy.verify().unwrap();
}

#[test]
fn a_missing_value_file_is_corruption_at_the_opening_and_one_that_nobody_names_is_removed() {
    let (disk, engine) = create(&config());
    put_rows(&engine, 0..ROWS, 1);
    engine.flush().unwrap();
    engine.close().unwrap();
    let file = value_files(&disk, "/db")[0].clone();
    let bytes = disk.read_file(&file).unwrap();
    FileSystem::remove(&disk, &file).unwrap();
    let error = Engine::open_on(config(), Arc::new(disk.clone())).unwrap_err();
    assert_eq!(error.code(), Code::Corruption);
    assert!(error.message().contains(file.to_str().unwrap()), "{error}");

    disk.write_file(&file, &bytes);
    disk.write_file("/db/000999.val", b"left by a crash");
    disk.write_file("/db/notes.val", b"not ours");
    let engine = open(&disk, &config());
    check_rows(&engine, 0..ROWS, 1, None);
    assert_eq!(disk.read_file("/db/000999.val"), None);
    assert!(disk.read_file("/db/notes.val").is_some());
    put(&engine, b"new", &[3; 5_000]);
    engine.flush().unwrap();
    assert!(
        value_files(&disk, "/db").last().unwrap() > &PathBuf::from("/db/000999.val"),
        "numbers are not reused"
    );
}

#[test]
fn damage_to_a_value_is_seen_by_whoever_reads_it_and_by_verify_only() {
    let (disk, engine) = create(&config());
    put(&engine, b"a", &[1; 2_000]);
    put(&engine, b"b", &[2; 2_000]);
    engine.flush().unwrap();
    engine.close().unwrap();
    let file = value_files(&disk, "/db")[0].clone();
    let mut bytes = disk.read_file(&file).unwrap();
    bytes[100] ^= 1;
    disk.write_file(&file, &bytes);

    let engine = open(&disk, &config());
    assert_eq!(engine.get(b"a", None).unwrap_err().code(), Code::Corruption);
    assert_eq!(engine.get_slice(b"a", 0, 1, None).unwrap_err().code(), Code::Corruption);
    let mut reader = engine.open_value(b"a", None).unwrap().unwrap();
    let error = reader.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains(".val"), "{error}");
    assert_eq!(engine.get(b"b", None).unwrap().unwrap().bytes, [2; 2_000]);
    assert_eq!(engine.verify().unwrap_err().code(), Code::Corruption);
    let mut scan = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    assert_eq!(scan.advance().unwrap_err().code(), Code::Corruption);
    assert!(!scan.advance().unwrap(), "after an error the scan is at its end");
}

#[test]
fn slices_and_readers_are_the_same_from_memory_tables_and_value_files() {
    for threshold in [0, 1_000] {
        let (_, engine) = create(&Config { value_threshold_bytes: threshold, ..config() });
        let values: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
            ("empty", Vec::new()),
            ("long", value(1, 1, 200_000)),
            ("middle", value(2, 1, 5_000)),
            ("short", value(3, 1, 10)),
        ]);
        values.iter().for_each(|(key, value)| put(&engine, key.as_bytes(), value));
        for is_flushed in [false, true] {
            if is_flushed {
                engine.flush().unwrap();
            }
            for (key, value) in &values {
                let len = value.len();
                for (offset, wanted) in
                    [(0, len), (0, 7), (65_530, 20), (len / 2, 70_000), (len, 5), (len + 9, 5)]
                {
                    let slice =
                        engine.get_slice(key.as_bytes(), offset as u64, wanted, None).unwrap().unwrap();
                    let part = value.get(offset.min(len)..(offset + wanted).min(len)).unwrap();
                    assert!(slice.bytes == part, "{key} from {offset}, flushed: {is_flushed}");
                    assert_eq!(slice.value_len, len as u64);
                }
                let mut reader = engine.open_value(key.as_bytes(), None).unwrap().unwrap();
                assert_eq!((reader.len(), reader.is_empty()), (len as u64, len == 0));
                let (mut read, mut piece) = (Vec::new(), [0; 3_333]);
                loop {
                    let count = reader.read(&mut piece).unwrap();
                    read.extend_from_slice(&piece[..count]);
                    if count == 0 {
                        break;
                    }
                }
                assert!(read == *value, "{key}, flushed: {is_flushed}");
            }
            assert_eq!(engine.get_slice(b"missing", 0, 1, None).unwrap(), None);
            assert!(engine.open_value(b"missing", None).unwrap().is_none());
        }
    }
}

#[test]
fn a_slice_and_a_reader_respect_snapshots_deletions_and_expiry() {
    let clock = Arc::new(ManualClock::new(1_000));
    let (_, engine) = create(&Config { clock: clock.clone(), ..config() });
    put(&engine, b"a", &value(1, 1, 2_000));
    let snapshot = engine.snapshot();
    let mut batch = WriteBatch::new();
    batch.put_expiring(b"a", &value(1, 2, 2_000), 5_000).unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.flush().unwrap();

    let slice = |snapshot| engine.get_slice(b"a", 5, 5, snapshot).unwrap();
    assert_eq!(slice(Some(&snapshot)).unwrap().bytes, value(1, 1, 2_000)[5..10]);
    let newest = slice(None).unwrap();
    assert_eq!((&newest.bytes[..], newest.expires_at), (&value(1, 2, 2_000)[5..10], 5_000));
    clock.set(5_000);
    assert_eq!(slice(None), None);
    assert!(engine.open_value(b"a", None).unwrap().is_none());
    let mut batch = WriteBatch::new();
    batch.delete_range(b"a", b"b").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    assert!(engine.open_value(b"a", None).unwrap().is_none());
    assert!(slice(Some(&snapshot)).is_some());
}

/// The bytes that were read from value files.
#[derive(Default)]
struct ValueBytes(AtomicU64);

impl Watch for ValueBytes {
    fn has_read(&self, path: &Path, bytes: usize) {
        self.0.fetch_add(if is_a("val", path) { bytes as u64 } else { 0 }, Ordering::Relaxed);
    }
}

#[test]
fn a_slice_costs_its_chunks_and_a_row_of_a_scan_its_value_once() {
    let fs = Watched::new(SimFs::new(), ValueBytes::default());
    let read_bytes = Arc::clone(&fs.watch);
    let engine = Engine::open_on(config(), Arc::new(fs)).unwrap();
    let len = 10 << 20;
    put(&engine, b"large", &value(1, 1, len));
    (0..20).for_each(|row| put(&engine, &key(row), &value(row, 1, 10_000)));
    engine.flush().unwrap();
    let cost = |work: &mut dyn FnMut()| {
        let before = read_bytes.0.load(Ordering::Relaxed);
        work();
        read_bytes.0.load(Ordering::Relaxed) - before
    };
    // Open the files first.
    engine.verify().unwrap();

    let (chunk, directory) = ((64 << 10) + 5, 160 * 4 + 8);
    assert_eq!(cost(&mut || drop(engine.get_slice(b"large", 5 << 20, 100, None))), chunk + directory);
    assert_eq!(
        cost(&mut || drop(engine.get_slice(b"large", (64 << 10) - 1, 2, None))),
        2 * chunk + directory
    );
    let mut reader = engine.open_value(b"large", None).unwrap().unwrap();
    assert_eq!(cost(&mut || reader.read_exact(&mut [0; 1_000]).unwrap()), chunk);
    assert_eq!(cost(&mut || reader.read_exact(&mut [0; 1_000]).unwrap()), 0);

    let record = 10_000 + 5 + 12;
    let scanned = cost(&mut || {
        let mut scan = engine.scan(ScanRange::prefix("row"), Direction::Forward, None).unwrap();
        while scan.advance().unwrap() {
            assert_eq!((scan.value().len(), scan.value().len()), (10_000, 10_000));
        }
    });
    assert_eq!(scanned, 20 * record);
}

/// A whole value is kept in the block cache, and whatever reads it then reads no file.
#[test]
fn a_value_that_was_read_is_lent_from_memory() {
    let fs = Watched::new(SimFs::new(), ValueBytes::default());
    let read_bytes = Arc::clone(&fs.watch);
    let engine = Engine::open_on(config(), Arc::new(fs)).unwrap();
    let expected = value(1, 1, 100_000);
    put(&engine, b"a", &expected);
    engine.flush().unwrap();
    assert!(engine.get_slice(b"a", 7, 9, None).unwrap().is_some());
    assert!(engine.open_value(b"a", None).unwrap().is_some());
    assert!(engine.scan(ScanRange::all(), Direction::Forward, None).unwrap().advance().unwrap());
    assert!(
        engine.stats().cache_bytes < 100_000,
        "what reads in parts or in passing does not fill the cache"
    );
    let is_right = engine.get_with(b"a", None, |found| found.bytes == expected).unwrap();
    assert_eq!(is_right, Some(true));
    assert!(engine.stats().cache_bytes >= 100_000, "{:?}", engine.stats());

    let before = read_bytes.0.load(Ordering::Relaxed);
    assert_eq!(engine.get(b"a", None).unwrap().unwrap().bytes, expected);
    let slice = engine.get_slice(b"a", 70_000, 9, None).unwrap().unwrap();
    assert_eq!((&slice.bytes[..], slice.value_len), (&expected[70_000..70_009], 100_000));
    assert_eq!(engine.get_slice(b"a", 100_001, 9, None).unwrap().unwrap().bytes, b"");
    let mut whole = Vec::new();
    engine.open_value(b"a", None).unwrap().unwrap().read_to_end(&mut whole).unwrap();
    assert_eq!(whole, expected);
    let mut scan = engine.scan(ScanRange::all(), Direction::Reverse, None).unwrap();
    assert!(scan.advance().unwrap());
    assert_eq!((scan.value(), scan.row().value), (&expected[..], &expected[..]));
    assert_eq!(read_bytes.0.load(Ordering::Relaxed), before);
}

#[test]
fn a_value_in_the_cache_is_that_of_its_own_version_and_goes_with_its_file() {
    let (_, engine) = create(&config());
    put(&engine, b"a", &value(1, 1, 50_000));
    engine.flush().unwrap();
    let bytes_of = |at: Option<&Snapshot>| engine.get(b"a", at).unwrap().map(|found| found.bytes);
    assert_eq!(bytes_of(None), Some(value(1, 1, 50_000)));
    let snapshot = engine.snapshot();
    put(&engine, b"a", &value(1, 2, 50_000));

    assert_eq!(bytes_of(None), Some(value(1, 2, 50_000)), "the newer one in the memtable");
    engine.flush().unwrap();
    assert_eq!(bytes_of(None), Some(value(1, 2, 50_000)), "and in its file");
    assert_eq!(bytes_of(Some(&snapshot)), Some(value(1, 1, 50_000)));
    assert!(engine.stats().cache_bytes >= 100_000);
    drop(snapshot);
    engine.compact_all().unwrap();
    assert_eq!(bytes_of(None), Some(value(1, 2, 50_000)));
    let held = engine.stats().cache_bytes;
    assert!((50_000..100_000).contains(&held), "the file of the older one has gone: {held} bytes");
}

/// One long value must not push out everything else.
#[test]
fn a_value_that_would_fill_much_of_the_cache_is_not_kept() {
    let (_, engine) = create(&Config { block_cache_capacity_bytes: 400_000, ..config() });
    put(&engine, b"long", &value(1, 1, 50_001));
    put(&engine, b"short", &value(2, 1, 50_000));
    engine.flush().unwrap();

    for _ in 0..3 {
        assert_eq!(engine.get(b"long", None).unwrap().unwrap().bytes, value(1, 1, 50_001));
    }
    assert!(engine.stats().cache_bytes < 50_000, "{:?}", engine.stats());
    assert_eq!(engine.get(b"short", None).unwrap().unwrap().bytes, value(2, 1, 50_000));
    assert!(engine.stats().cache_bytes >= 50_000, "{:?}", engine.stats());
}

#[test]
fn try_get_tells_what_no_cache_of_ours_holds_where_no_device_is_waited_for() {
    let engine = Engine::open(Config { block_cache_capacity_bytes: 0, ..Config::in_memory() }).unwrap();
    let lengths = [10, 2_000, TRY_GET_BYTES_MAX + 1];
    lengths.iter().for_each(|&len| put(&engine, &key(len as u64), &value(1, 1, len)));
    engine.flush().unwrap();
    let told = |len: usize| engine.try_get(&key(len as u64), None).unwrap();
    assert_eq!(told(10), TryGet::NeedsIo, "the table has to be opened");
    lengths.iter().for_each(|&len| drop(engine.get(&key(len as u64), None).unwrap()));
    assert!(matches!(told(10), TryGet::Found(found) if found.bytes == value(1, 1, 10)));
    assert!(matches!(told(2_000), TryGet::Found(found) if found.bytes == value(1, 1, 2_000)));
    assert_eq!(told(TRY_GET_BYTES_MAX + 1), TryGet::NeedsIo);
    assert_eq!(told(3), TryGet::Missing);
}

#[test]
fn try_get_tells_what_lies_in_memory_up_to_a_length() {
    let (_, engine) = create(&Config { memtable_size_bytes: 1 << 20, ..config() });
    let lengths = [999, 1_000, TRY_GET_BYTES_MAX, TRY_GET_BYTES_MAX + 1];
    lengths.iter().for_each(|&len| put(&engine, &key(len as u64), &value(1, 1, len)));
    let told = |len: usize| match engine.try_get(&key(len as u64), None).unwrap() {
        TryGet::Found(found) => {
            assert_eq!(found.bytes, value(1, 1, len));
            true
        }
        TryGet::NeedsIo => false,
        TryGet::Missing => panic!("{len} bytes are there"),
    };
    assert_eq!(lengths.map(told), [true, true, true, false], "in the memtable");
    engine.flush().unwrap();
    assert_eq!(lengths.map(told), [false; 4], "nothing has been read");
    lengths.iter().for_each(|&len| drop(engine.get(&key(len as u64), None).unwrap()));
    assert_eq!(lengths.map(told), [true, true, true, false], "in the cache");
}

#[test]
fn what_is_deleted_or_has_expired_is_not_read() {
    let clock = Arc::new(ManualClock::new(1_000));
    let fs = Watched::new(SimFs::new(), ValueBytes::default());
    let read_bytes = Arc::clone(&fs.watch);
    let engine = Engine::open_on(Config { clock: clock.clone(), ..config() }, Arc::new(fs)).unwrap();
    let mut batch = WriteBatch::new();
    batch.put_expiring(b"a", &[1; 5_000], 2_000).unwrap();
    batch.put(b"b", &[1; 5_000]).unwrap();
    batch.put(b"c", &[1; 5_000]).unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    engine.flush().unwrap();
    let mut batch = WriteBatch::new();
    batch.delete(b"b").unwrap();
    batch.delete_range(b"c", b"d").unwrap();
    engine.commit(batch, CommitOptions::default()).unwrap();
    clock.set(2_000);

    for key in [b"a", b"b", b"c"] {
        assert_eq!(engine.get(key, None).unwrap(), None);
        assert_eq!(engine.try_get(key, None).unwrap(), TryGet::Missing);
    }
    assert!(!engine.scan(ScanRange::all(), Direction::Reverse, None).unwrap().advance().unwrap());
    assert_eq!(read_bytes.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_size_counts_the_values() {
    let (_, engine) = create(&Config { table_size_bytes: 1 << 20, ..config() });
    (0..1_000).for_each(|row| put(&engine, &key(row), &[7; 1_000]));
    engine.compact_all().unwrap();
    let stats = engine.stats();
    let all = engine.approximate_size(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded).unwrap();
    assert_eq!(all, stats.table_bytes() + stats.value_file_live_bytes);
    let half = key(500);
    let first =
        engine.approximate_size(std::ops::Bound::Unbounded, std::ops::Bound::Excluded(&half)).unwrap();
    assert!(first.abs_diff(all / 2) < all / 4, "{first} of {all}");
}
