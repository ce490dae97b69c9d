//! Tables as a whole: what is written is read, in every shape and both directions, and damage is never believed.
#![forbid(unsafe_code)]

mod damage;
mod golden;
mod model;
mod times;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::testing::{NUMBER, Row, TestTable, options};
use super::{BlockCache, Effort, Table, TableEntry, TableIterator, TableOptions, TableWriter};
use crate::config::{Compression, Config};
use crate::error::{Code, Result};
use crate::fs::nowait::without_waiting;
use crate::fs::{CrashOutcome, Fault, File, FileSystem, SimFs};
use crate::iter::InternalIterator;
use crate::key::{KEY_BYTES_MAX, Kind, SEQNO_MAX, SeqNo, compare_internal, hash_key};
use crate::range_tombstone::RangeTombstone;

fn tombstone(start: &str, end: &str, seqno: SeqNo) -> RangeTombstone {
    RangeTombstone { start: start.into(), end: end.into(), seqno }
}

/// A table of a certain shape.
struct Shape {
    name: &'static str,
    options: TableOptions,
    rows: Vec<Row>,
    tombstones: Vec<RangeTombstone>,
}

/// Tables of every shape, small enough to damage each byte of each.
fn shapes() -> Vec<Shape> {
    let plain =
        || (0..40).map(|i| Row::value(format!("user:{i:04}"), 100 - i, format!("value {i} {i}"))).collect();
    let versions: Vec<Row> = (0..5)
        .flat_map(|key| {
            let versions = 1 + key * 9;
            (0..versions).map(move |version| Row::value(format!("k{key}"), 900 - version, vec![b'v'; 9]))
        })
        .collect();
    let mixed = vec![
        Row::value("", 9, ""),
        Row::tombstone("", 4),
        Row::value("\0", 5, "zero").expiring(1),
        Row::value("a", 8, "x".repeat(300)).expiring(u64::MAX),
        Row::tombstone("a", 7),
        Row::value("a", 6, "old"),
        Row::value(vec![0xff; 40], SEQNO_MAX, "last"),
        Row::value(vec![0xff; 41], 0, "even later"),
    ];
    let shape = |name, options, rows, tombstones| Shape { name, options, rows, tombstones };
    let (raw, lz4) = (Compression::None, Compression::Lz4);
    vec![
        shape("raw", options(4096, raw, 10), plain(), vec![]),
        shape("lz4", options(4096, lz4, 10), plain(), vec![]),
        shape("tiny blocks", options(128, lz4, 10), plain(), vec![tombstone("a", "zz", 3)]),
        shape("versions across blocks", options(128, raw, 10), versions.clone(), vec![]),
        shape("versions in one block", options(4096, lz4, 4), versions, vec![]),
        shape("mixed kinds", options(128, raw, 10), mixed.clone(), vec![tombstone("a", "c", 9)]),
        shape("no filter", options(128, lz4, 0), mixed, vec![]),
        shape("one empty key", options(4096, raw, 10), vec![Row::value("", 1, "")], vec![]),
        shape("records", options(128, raw, 10), records(), vec![]),
        shape(
            "range tombstones only",
            options(4096, raw, 10),
            vec![],
            vec![tombstone("b", "m", 5), tombstone("d", "x", 9), tombstone("", "\0", 0)],
        ),
    ]
}

/// Records of two keys, and rows before and behind them that are none.
fn records() -> Vec<Row> {
    let mut rows = vec![Row::value("\x03", 2, "a document")];
    for (key, times) in [("a", -3..6), ("b", 2..9)] {
        for time in times {
            rows.push(Row::value(times::record_key(key, time * 1_000), 7, "value"));
            rows.push(Row::tombstone(times::record_key(key, time * 1_000), 3));
        }
    }
    rows.push(Row::value("\x07", 2, "something else"));
    rows
}

/// Every position that a table of `rows` may be asked for: the rows' own, and those around them.
fn positions(rows: &[Row]) -> Vec<(Vec<u8>, SeqNo)> {
    let mut positions =
        vec![(vec![], 0), (vec![], SEQNO_MAX), (b"nowhere".to_vec(), 50), (vec![0xff; 50], 1)];
    for row in rows {
        for seqno in [row.seqno, row.seqno.saturating_sub(1), (row.seqno + 1).min(SEQNO_MAX), SEQNO_MAX, 0] {
            positions.push((row.key.clone(), seqno));
        }
        positions.push(([&row.key[..], b"\0"].concat(), SEQNO_MAX));
    }
    positions.sort();
    positions.dedup();
    positions
}

fn first_at_or_after(rows: &[Row], key: &[u8], seqno: SeqNo) -> usize {
    rows.partition_point(|row| compare_internal((&row.key, row.seqno), (key, seqno)).is_lt())
}

fn expected(rows: &[Row], key: &[u8], seqno: SeqNo) -> Option<Row> {
    let row = rows.get(first_at_or_after(rows, key, seqno))?;
    (row.key == key).then(|| row.clone())
}

fn collect(table: &Arc<Table>, forward: bool) -> (Vec<Row>, Result<()>) {
    collect_from(table.iter(), forward)
}

fn collect_from(mut iter: TableIterator, forward: bool) -> (Vec<Row>, Result<()>) {
    let mut rows = Vec::new();
    let mut result = if forward { iter.seek_to_first() } else { iter.seek_to_last() };
    while result.is_ok() && iter.is_valid() {
        rows.push(Row::from(iter.entry()));
        result = if forward { iter.next() } else { iter.prev() };
    }
    if result.is_err() {
        assert!(!iter.is_valid(), "an iterator stands on an entry after an error");
    }
    (rows, result)
}

#[test]
fn a_table_of_every_shape_gives_back_what_was_written() {
    for Shape { name, options, rows, tombstones } in shapes() {
        let test = TestTable::write(options, &rows, &tombstones);
        for cache_bytes in [0, 1 << 20] {
            let table = test.open_with(cache_bytes);
            for (key, seqno) in positions(&rows) {
                assert_eq!(
                    get(&table, &key, seqno),
                    expected(&rows, &key, seqno),
                    "{name}: {key:?} at {seqno}"
                );
            }
            let (all, result) = collect(&table, true);
            result.unwrap();
            assert_eq!(all, rows, "{name}");
            let (mut all, result) = collect(&table, false);
            result.unwrap();
            all.reverse();
            assert_eq!(all, rows, "{name}, backward");
            table.verify().unwrap();
        }
    }
}

fn get(table: &Table, key: &[u8], seqno: SeqNo) -> Option<Row> {
    found(table.get(key, hash_key(key), seqno)).unwrap()
}

fn found(lookup: Result<Option<TableEntry>>) -> Result<Option<Row>> {
    Ok(lookup?.map(|found| Row::from(found.entry())))
}

/// So many rows that the index has many partitions when blocks are small.
fn many_rows(count: u64) -> Vec<Row> {
    (0..count).map(|i| Row::value(format!("key:{i:08}"), i % 1000, format!("value {i}"))).collect()
}

#[test]
fn a_table_with_many_index_partitions_and_filter_pages_finds_every_key() {
    let rows = many_rows(30_000);
    let test = TestTable::write(options(128, Compression::None, 10), &rows, &[]);
    let table = test.open_with(8 << 20);
    assert!(table.top_index().unwrap().len() > 5, "the table has too few partitions for this test");
    assert!(table.footer().filter.pages() > 1, "the table has too few filter pages for this test");

    for row in &rows {
        assert_eq!(get(&table, &row.key, SEQNO_MAX), Some(row.clone()), "{:?}", row.key);
    }

    let mut passed = 0;
    for i in 0..30_000 {
        let absent = format!("key:{i:08}x");
        assert_eq!(get(&table, absent.as_bytes(), SEQNO_MAX), None);
        passed += u32::from(table.may_contain(hash_key(absent.as_bytes())).unwrap());
    }
    assert!(passed < 600, "the filter lets {passed} of 30,000 absent keys pass");
    assert_eq!(collect(&table, true).0, rows);
    table.verify().unwrap();
}

/// Separators of 64 KiB make a top index that is too large to stay in memory with its table.
#[test]
fn a_top_index_beyond_its_limit_is_read_through_the_cache() {
    let long = |i: u32| {
        let mut key = vec![b'k'; KEY_BYTES_MAX - 4];
        key.extend_from_slice(&i.to_be_bytes());
        key
    };
    let rows: Vec<_> = (0..200).map(|i| Row::value(long(i * 256), 5, "v")).collect();
    let test = TestTable::write(options(4096, Compression::Lz4, 10), &rows, &[]);
    for cache_bytes in [0, 64 << 20] {
        let table = test.open_with(cache_bytes);
        assert!(table.footer().top_index.len > 16 << 10);
        for row in &rows {
            assert_eq!(get(&table, &row.key, 9), Some(row.clone()));
        }
        assert_eq!(get(&table, &long(300), 9), None);
        assert_eq!(collect(&table, false).0.len(), rows.len());
        table.verify().unwrap();
    }
}

#[test]
fn values_of_a_mebibyte_come_back_compressed_and_not() {
    let mut noise = 1u64;
    let mut random = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (noise >> 56) as u8
    };
    let incompressible: Vec<u8> = (0..1 << 20).map(|_| random()).collect();
    let rows = [
        Row::value("a", 1, "small"),
        Row::value("b", 3, incompressible),
        Row::value("b", 2, vec![0; 1 << 20]),
        Row::value("c", 1, "small"),
    ];
    for compression in [Compression::None, Compression::Lz4] {
        let test = TestTable::write(options(4096, compression, 10), &rows, &[]);
        for cache_bytes in [0, 1 << 20, 64 << 20] {
            let table = test.open_with(cache_bytes);
            for row in &rows {
                assert_eq!(get(&table, &row.key, row.seqno), Some(row.clone()));
            }
            assert_eq!(collect(&table, true).0, rows);
            table.verify().unwrap();
        }
        let compressed = compression == Compression::Lz4;
        assert_eq!(compressed, test.summary.size < (3 << 19), "{compression:?}: {}", test.summary.size);
    }
}

#[test]
fn a_lookup_without_file_reads_says_when_it_would_need_one() {
    let rows = many_rows(200);
    let test = TestTable::write(options(128, Compression::Lz4, 10), &rows, &[]);
    let table = test.open();
    let (here, seqno) = (&rows[50].key, rows[50].seqno);
    let try_get = |key: &[u8]| {
        test.fs.fail_reads(true);
        let lookup = without_waiting(|| table.get(key, hash_key(key), SEQNO_MAX));
        test.fs.fail_reads(false);
        lookup.unwrap()
    };

    assert!(try_get(here).is_none());
    assert!(matches!(try_get(b"zzz"), Some(None)), "the bounds of the table are in memory");
    assert!(get(&table, here, seqno).is_some());
    assert!(matches!(try_get(here), Some(Some(found)) if Row::from(found.entry()) == rows[50]));
    assert!(matches!(try_get(b"key:00000050x"), Some(None)));
    assert!(try_get(&rows[190].key).is_none(), "its block has not been read");
}

#[test]
fn an_error_of_the_disk_is_told_and_the_next_read_works() {
    let rows = many_rows(200);
    let test = TestTable::write(options(128, Compression::Lz4, 10), &rows, &[]);
    let table = test.open_with(0);
    let mut iter = table.iter();
    iter.seek_to_first().unwrap();
    test.fs.fail_reads(true);

    assert_eq!(
        found(table.get(&rows[3].key, hash_key(&rows[3].key), SEQNO_MAX)).unwrap_err().code(),
        Code::Io
    );
    let error = loop {
        match iter.next() {
            Ok(()) => assert!(iter.is_valid(), "the iterator ended instead of telling of the error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Io);
    assert!(!iter.is_valid());

    test.fs.fail_reads(false);
    assert_eq!(get(&table, &rows[3].key, SEQNO_MAX), Some(rows[3].clone()));
    iter.seek(&rows[3].key, SEQNO_MAX).unwrap();
    assert_eq!(Row::from(iter.entry()), rows[3]);
}

#[test]
fn the_filter_has_a_key_once_however_many_versions_it_has() {
    let rows: Vec<_> = (0..1000).rev().map(|seqno| Row::value("key", seqno, "value")).collect();

    let table = TestTable::write(options(128, Compression::None, 10), &rows, &[]).open();

    assert_eq!(table.footer().filter.lines, 1);
    assert!(table.may_contain(hash_key(b"key")).unwrap());
    assert!(!table.may_contain(hash_key(b"another")).unwrap());
}

fn writer(fs: &SimFs) -> TableWriter {
    let file = fs.create(&TestTable::path()).unwrap();
    TableWriter::new(file, NUMBER, TableOptions::new(&Config::in_memory(), Effort::Quick))
}

#[test]
fn what_would_make_a_wrong_table_is_an_internal_error() {
    let long = vec![0; KEY_BYTES_MAX + 1];
    let bad = [
        ("an older key", Row::value("a", 5, "")),
        ("the same entry", Row::value("b", 5, "")),
        ("a newer version behind an older one", Row::value("b", 6, "")),
        ("a key beyond its limit", Row::value(long, 6, "")),
        ("a seqno beyond its limit", Row::value("c", SEQNO_MAX + 1, "")),
        ("a range tombstone", Row { kind: Kind::RangeTombstone, ..Row::value("c", 1, "") }),
    ];
    for (what, row) in bad {
        let mut writer = writer(&SimFs::in_memory());
        writer.add(Row::value("b", 5, "").entry()).unwrap();
        assert_eq!(writer.add(row.entry()).unwrap_err().code(), Code::Internal, "{what}");
    }
    assert_eq!(writer(&SimFs::in_memory()).finish().unwrap_err().code(), Code::Internal, "nothing at all");
    let mut nothing = writer(&SimFs::in_memory());
    nothing.add_range_tombstone(tombstone("b", "b", 1)).unwrap();
    assert!(nothing.is_empty(), "a range tombstone that deletes nothing counts as something");
}

#[test]
fn the_summary_bounds_point_entries_and_range_tombstones() {
    let bounds = |rows: &[&str], tombstones: &[(&str, &str)]| {
        let rows: Vec<_> = rows.iter().map(|key| Row::value(*key, 5, "")).collect();
        let tombstones: Vec<_> = tombstones.iter().map(|(start, end)| tombstone(start, end, 9)).collect();
        let summary = TestTable::write(options(128, Compression::None, 0), &rows, &tombstones).summary;
        let text = |key: Vec<u8>| String::from_utf8(key).unwrap();
        (text(summary.smallest), text(summary.largest), summary.largest_is_exclusive)
    };
    let of = |smallest: &str, largest: &str, exclusive| (smallest.to_owned(), largest.to_owned(), exclusive);

    assert_eq!(bounds(&["b", "d"], &[]), of("b", "d", false));
    assert_eq!(bounds(&["b", "d"], &[("a", "c")]), of("a", "d", false));
    assert_eq!(bounds(&["b", "d"], &[("c", "d")]), of("b", "d", false));
    assert_eq!(bounds(&["b", "d"], &[("c", "d\0")]), of("b", "d\0", true));
    assert_eq!(bounds(&[], &[("c", "d"), ("a", "b")]), of("a", "d", true));
    assert_eq!(bounds(&["", "d"], &[("a", "e"), ("b", "c")]), of("", "e", true));
}

#[test]
fn the_summary_and_the_properties_count_what_was_written() {
    let rows = [
        Row::value("a", 90, "12345").expiring(7),
        Row::tombstone("a", 20),
        Row::value("bb", 30, "").expiring(5),
        Row::tombstone("c", 40),
    ];
    let deletions = [tombstone("x", "z", 12), tombstone("a", "b", 99), tombstone("x", "z", 12)];
    let test = TestTable::write(options(128, Compression::None, 10), &rows, &deletions);
    let (summary, table) = (&test.summary, test.open());
    let properties = table.properties();

    assert_eq!((summary.entries, summary.tombstones, summary.range_tombstones), (4, 2, 2));
    assert_eq!((summary.seqno_min, summary.seqno_max), (12, 99));
    assert_eq!((summary.expiring, summary.largest_expiry), (2, 7));
    assert_eq!((properties.entries, properties.tombstones, properties.range_tombstones), (4, 2, 2));
    assert_eq!((properties.raw_key_bytes, properties.raw_value_bytes), (5, 5));
    assert_eq!((properties.seqno_min, properties.seqno_max), (12, 99));
    assert_eq!((properties.expiring, properties.largest_expiry), (2, 7));
    assert_eq!(properties.point_keys, Some((b"a".to_vec(), b"c".to_vec())));
    assert_eq!(table.range_tombstones().covering(b"a", 100), Some(99));
    assert_eq!(table.range_tombstones().covering(b"y", 100), Some(12));
    assert_eq!(table.range_tombstones().covering(b"c", 100), None);
}

#[test]
fn the_size_estimate_is_close_while_writing() {
    let fs = SimFs::in_memory();
    let mut writer = writer(&fs);
    for row in many_rows(50_000) {
        writer.add(row.entry()).unwrap();
    }
    let estimate = writer.size_estimate();

    let size = writer.finish().unwrap().size;

    assert!(estimate.abs_diff(size) < size / 50, "estimated {estimate}, written {size}");
}

#[test]
fn a_finished_table_survives_a_power_loss_and_a_failed_one_is_not_taken_for_finished() {
    let rows = many_rows(20_000);
    for fail_at in 0.. {
        let fs = SimFs::new();
        let mut writer = writer(&fs);
        fs.sync_dir(Path::new("/")).unwrap();
        fs.fail_at(fs.operations() + fail_at, Fault::once(std::io::ErrorKind::StorageFull));
        let written = rows.iter().try_for_each(|row| writer.add(row.entry()));
        let finished = written.and_then(|()| writer.finish());
        let disk = fs.after_crash(CrashOutcome::LoseUnsynced);
        let file = disk.open(&TestTable::path()).unwrap();
        match finished {
            Ok(summary) => {
                let cache = Arc::new(BlockCache::new(1 << 20));
                let table = Table::open(file, NUMBER, summary.size, cache).unwrap();
                table.verify().unwrap();
                assert!(fail_at >= 3, "the table was written in fewer operations than it must take");
                return;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::Io);
                let size = file.len().unwrap();
                assert!(Table::open(file, NUMBER, size, Arc::new(BlockCache::new(0))).is_err());
            }
        }
    }
}

/// A file that counts the reads made of it.
struct CountedFile {
    file: Arc<dyn File>,
    reads: AtomicUsize,
}

impl File for CountedFile {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_at(offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

fn counted(test: &TestTable, cache: &Arc<BlockCache>) -> (Arc<CountedFile>, Arc<Table>) {
    let file = test.fs.open(&TestTable::path()).unwrap();
    let file = Arc::new(CountedFile { file, reads: AtomicUsize::new(0) });
    let table = Table::open(Arc::clone(&file) as _, NUMBER, test.summary.size, Arc::clone(cache)).unwrap();
    (file, table)
}

#[test]
fn opening_reads_once_and_a_cold_lookup_three_times() {
    let rows = many_rows(30_000);
    let test = TestTable::write(options(4096, Compression::Lz4, 10), &rows, &[]);
    let (file, table) = counted(&test, &Arc::new(BlockCache::new(16 << 20)));
    assert_eq!(file.reads.swap(0, Ordering::Relaxed), 1, "the end of the table, at once");

    assert!(get(&table, &rows[9].key, SEQNO_MAX).is_some());
    assert_eq!(file.reads.swap(0, Ordering::Relaxed), 3, "a filter page, an index partition, a data block");

    assert!(get(&table, &rows[9].key, SEQNO_MAX).is_some());
    assert_eq!(file.reads.load(Ordering::Relaxed), 0, "all of it is cached");
}

#[test]
fn scans_read_many_blocks_at_once_in_both_directions_and_compaction_leaves_the_cache_alone() {
    let rows = many_rows(30_000);
    let test = TestTable::write(options(4096, Compression::None, 10), &rows, &[]);
    for uncached in [false, true] {
        let cache = Arc::new(BlockCache::new(64 << 20));
        let (file, table) = counted(&test, &cache);
        let blocks = table.properties().data_blocks as usize;
        for forward in [true, false] {
            cache.evict_file(NUMBER);
            file.reads.store(0, Ordering::Relaxed);
            let mut iter = if uncached { table.iter_uncached() } else { table.iter() };
            let mut count = 0;
            if forward { iter.seek_to_first() } else { iter.seek_to_last() }.unwrap();
            while iter.is_valid() {
                count += 1;
                if forward { iter.next() } else { iter.prev() }.unwrap();
            }
            assert_eq!(count, rows.len());
            let reads = file.reads.load(Ordering::Relaxed);
            assert!(reads * 8 < blocks, "{reads} reads of {blocks} blocks, forward: {forward}");
        }
        let cached = cache.stats().blocks as usize;
        assert_eq!(cached == blocks, !uncached, "{cached} blocks are cached, uncached: {uncached}");
    }
}

#[test]
fn two_tables_share_a_cache_without_taking_each_others_blocks() {
    let cache = Arc::new(BlockCache::new(1 << 20));
    let fs = SimFs::new();
    let tables = [3u64, 4].map(|number| {
        let path = format!("/{number}");
        let file = fs.create(Path::new(&path)).unwrap();
        let mut writer = TableWriter::new(Arc::clone(&file), number, options(128, Compression::None, 10));
        for i in 0..50 {
            writer.add(Row::value(format!("{i:03}"), 1, format!("table {number}")).entry()).unwrap();
        }
        let size = writer.finish().unwrap().size;
        Table::open(file, number, size, Arc::clone(&cache)).unwrap()
    });
    for _ in 0..2 {
        for table in &tables {
            let found = get(table, b"017", 9).unwrap();
            assert_eq!(found.value, format!("table {}", table.number()).as_bytes());
        }
    }
    cache.evict_file(3);
    let lookup = |table: &Table| without_waiting(|| table.get(b"017", hash_key(b"017"), 9)).unwrap();
    assert!(lookup(&tables[0]).is_none());
    assert!(matches!(lookup(&tables[1]), Some(Some(_))));
}
