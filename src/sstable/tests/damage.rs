//! Damage is told and never believed: any byte changed, any end missing, any block from elsewhere.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::super::footer::{FOOTER_BYTES, Footer};
use super::super::frame::{self, Packing};
use super::super::testing::{NUMBER, Random, Row, TestTable, options};
use super::super::{BlockCache, Handle, Table, TableWriter};
use super::times::record_key;
use super::{Shape, collect, collect_from, expected, found, many_rows, shapes, tombstone};
use crate::config::Compression;
use crate::error::{Code, Result};
use crate::fs::{FileSystem, SimFs};
use crate::iter::{InternalIterator, Travel};
use crate::key::{SEQNO_MAX, hash_key};
use crate::range_tombstone::Hole;
use crate::times::{Times, time_of};

/// Reads everything that a damaged table still gives, and checks that it is right or that the error says what it is.
/// Returns whether anything was found damaged.
fn read_all(bytes: &[u8], size: u64, shape: &Shape, what: &str) -> bool {
    let told = |result: Result<()>| match result {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.code(), Code::Corruption, "{what}: {error}");
            assert!(error.message().contains("000007.tbl"), "{what}: {error}");
            true
        }
    };
    let table = match TestTable::open_damaged(bytes, size) {
        Ok(table) => table,
        Err(error) => return told(Err(error)),
    };
    let mut damaged = false;
    for row in &shape.rows {
        for seqno in [row.seqno, SEQNO_MAX] {
            match found(table.get(&row.key, hash_key(&row.key), seqno)) {
                Ok(found) => assert_eq!(found, expected(&shape.rows, &row.key, seqno), "{what}"),
                Err(error) => damaged |= told(Err(error)),
            }
        }
    }
    for forward in [true, false] {
        let (mut rows, result) = collect(&table, forward);
        let whole = result.is_ok();
        damaged |= told(result);
        let from = if forward { 0 } else { shape.rows.len() - rows.len() };
        if !forward {
            rows.reverse();
        }
        assert_eq!(rows, shape.rows[from..from + rows.len()], "{what}");
        assert!(!whole || rows.len() == shape.rows.len(), "{what}: rows are missing without an error");
    }
    let times = Times { first: 1_000, last: 3_000 };
    let is_within = |row: &Row| time_of(&row.key).is_some_and(|time| times.contains(time));
    let (rows, result) = collect_from(table.iter().within(times), true);
    let wanted: Vec<&Row> = shape.rows.iter().filter(|row| is_within(row)).collect();
    let found: Vec<&Row> = rows.iter().filter(|row| is_within(row)).collect();
    assert_eq!(found, wanted[..found.len()], "{what}");
    assert!(result.is_err() || found.len() == wanted.len(), "{what}: records are missing without an error");
    damaged | told(result) | told(table.verify())
}

#[test]
fn any_flipped_byte_is_corruption_or_harmless_to_what_was_asked() {
    for shape in shapes() {
        let test = TestTable::write(shape.options, &shape.rows, &shape.tombstones);
        for at in 0..test.bytes.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut bytes = test.bytes.clone();
                bytes[at] ^= mask;
                let what = format!("{}: byte {at} of {}, mask {mask:#x}", shape.name, bytes.len());
                assert!(read_all(&bytes, test.summary.size, &shape, &what), "{what}: not noticed");
            }
        }
    }
}

#[test]
fn a_table_cut_anywhere_is_corruption() {
    for shape in shapes() {
        let test = TestTable::write(shape.options, &shape.rows, &shape.tombstones);
        for len in 0..test.bytes.len() {
            let bytes = &test.bytes[..len];
            for size in [test.summary.size, len as u64] {
                let error = TestTable::open_damaged(bytes, size).err().map(|error| error.code());
                assert_eq!(error, Some(Code::Corruption), "{} cut at {len}, size {size}", shape.name);
            }
        }
        let longer = [&test.bytes[..], b"x"].concat();
        for size in [test.summary.size, longer.len() as u64] {
            assert!(TestTable::open_damaged(&longer, size).is_err(), "{}: a byte too many", shape.name);
        }
    }
}

#[test]
fn damage_in_a_large_value_is_corruption() {
    let value: Vec<u8> = (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let rows = vec![Row::value("a", 1, "small"), Row::value("b", 1, value), Row::value("c", 1, "small")];
    let options = options(4096, Compression::Lz4, 10);
    let shape = Shape { name: "large value", options, rows, tombstones: vec![] };
    let test = TestTable::write(options, &shape.rows, &[]);
    let mut random = Random::from_env();
    for _ in 0..100 {
        let at = random.below(test.bytes.len() as u64) as usize;
        let mut bytes = test.bytes.clone();
        bytes[at] ^= 1 << random.below(8);
        let what = format!("byte {at}");
        assert!(read_all(&bytes, test.summary.size, &shape, &what), "{what}: not noticed");
    }
}

/// Two tables of the same shape differ only in what a stale sector would differ in: their numbers and their values.
#[test]
fn a_block_of_another_table_at_the_same_place_is_corruption() {
    let write = |number: u64, value: &str| {
        let fs = SimFs::in_memory();
        let file = fs.create(&TestTable::path()).unwrap();
        let mut writer = TableWriter::new(file, number, options(128, Compression::None, 10));
        for i in 0..30 {
            writer.add(Row::value(format!("{i:03}"), 1, value).entry()).unwrap();
        }
        writer.finish().unwrap();
        fs.read_file(TestTable::path()).unwrap()
    };
    let (old, new) = (write(NUMBER - 1, "old"), write(NUMBER, "new"));
    assert_eq!(old.len(), new.len());
    let block = block_at(&new, 0);
    let mut mixed = new.clone();
    mixed[..block.len as usize].copy_from_slice(&old[..block.len as usize]);

    let table = TestTable::open_damaged(&mixed, mixed.len() as u64).unwrap();

    assert_eq!(found(table.get(b"000", hash_key(b"000"), 9)).unwrap_err().code(), Code::Corruption);
    assert_eq!(TestTable::open_damaged(&old, old.len() as u64).err().unwrap().code(), Code::Corruption);
}

#[test]
fn two_blocks_of_a_table_that_changed_places_are_corruption() {
    let rows: Vec<_> = (0..9).map(|i| Row::value(format!("{i:090}"), 1, "value")).collect();
    let options = options(128, Compression::None, 10);
    let test = TestTable::write(options, &rows, &[]);
    let (first, second) = (block_at(&test.bytes, 3), block_at(&test.bytes, 4));
    assert_eq!(first.len, second.len);
    let mut bytes = test.bytes.clone();
    let (a, b) = bytes.split_at_mut(second.offset as usize);
    a[first.offset as usize..].swap_with_slice(&mut b[..second.len as usize]);

    let shape = Shape { name: "swapped", options, rows, tombstones: vec![] };
    assert!(read_all(&bytes, test.summary.size, &shape, "swapped blocks"), "not noticed");
}

/// The data block `index` of a table with one index partition.
fn block_at(bytes: &[u8], index: usize) -> Handle {
    let table = TestTable::open_damaged(bytes, bytes.len() as u64).unwrap();
    let top = table.top_index().unwrap();
    let partition = table.partition(0, top.entry(0).unwrap().unwrap().handle).unwrap();
    partition.entry(index).unwrap().unwrap().handle
}

/// Every block of a table, the way a reader finds them.
fn all_blocks(table: &Arc<Table>) -> Vec<Handle> {
    let footer = table.footer();
    let mut handles = vec![footer.top_index, footer.properties];
    handles.extend(Some(footer.range_tombstones).filter(|handle| handle.len > 0));
    handles.extend((0..footer.filter.pages()).map(|page| footer.filter.page(page).0));
    let top = table.top_index().unwrap();
    for partition_at in 0..top.len() {
        let handle = top.entry(partition_at).unwrap().unwrap().handle;
        handles.push(handle);
        let partition = table.partition(partition_at, handle).unwrap();
        handles.extend((0..partition.len()).map(|at| partition.entry(at).unwrap().unwrap().handle));
    }
    handles
}

/// Reads everything there is, and doesn't mind what comes.
fn read_whatever(bytes: &[u8]) {
    let Ok(table) = TestTable::open_damaged(bytes, bytes.len() as u64) else { return };
    for key in [&b""[..], b"a", b"k3", b"user:0017", b"zz"] {
        let _ = table.get(key, hash_key(key), 50);
    }
    for forward in [true, false] {
        let _ = collect(&table, forward);
        let _ = collect_from(table.iter().within(Times { first: 1_000, last: 3_000 }), forward);
    }
    let _ = table.verify();
    for travel in [Travel::Forward, Travel::Backward] {
        for (start, end) in [(&b""[..], &b"k5"[..]), (b"k1", b"zz")] {
            let hole = Hole { start, end, deleted_at: SEQNO_MAX };
            let mut iter = table.iter();
            let placed =
                if travel == Travel::Forward { iter.seek(start, SEQNO_MAX) } else { iter.seek_before(end) };
            let is_within = |key: &[u8]| (start..end).contains(&key);
            let mut leaps = 0;
            while placed.is_ok() && iter.is_valid() && is_within(iter.entry().key) {
                leaps += 1;
                assert!(leaps < 3, "a hole is left for ever");
                if !iter.leave_hole(&hole, travel).is_ok_and(|left| left) {
                    break;
                }
            }
        }
    }
}

/// The bytes of a table with one block changed by a writer that then made its checksum.
fn resealed(bytes: &[u8], handle: Handle, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let stored = handle.offset as usize..handle.end() as usize - frame::TRAILER_BYTES;
    change(&mut bytes[stored.clone()]);
    let packing = if bytes[stored.end] == 0 { Packing::Raw } else { Packing::Lz4 };
    let trailer = frame::trailer(NUMBER, handle.offset, &bytes[stored.clone()], packing);
    bytes[stored.end..stored.end + trailer.len()].copy_from_slice(&trailer);
    bytes
}

/// A defective writer can put any bytes under a valid checksum. What is read then may be wrong, but nothing may
/// panic, run for ever or take memory without bound.
#[test]
fn bytes_that_no_writer_writes_do_no_harm_under_a_valid_checksum() {
    let mut random = Random::from_env();
    for shape in shapes() {
        let test = TestTable::write(shape.options, &shape.rows, &shape.tombstones);
        for handle in all_blocks(&test.open()) {
            for at in 0..handle.len as usize - frame::TRAILER_BYTES {
                let there = test.bytes[handle.offset as usize + at];
                for byte in [0, 0xff, 0x7f, there ^ 1, there ^ 0x80, random.next() as u8] {
                    read_whatever(&resealed(&test.bytes, handle, |block| block[at] = byte));
                }
            }
        }
    }
}

#[test]
fn a_footer_that_no_writer_writes_does_no_harm_under_a_valid_checksum() {
    let shape = &shapes()[2];
    let test = TestTable::write(shape.options, &shape.rows, &shape.tombstones);
    let footer_at = test.bytes.len() - FOOTER_BYTES;
    let footer = *test.open().footer();
    let mut random = Random::from_env();
    for _ in 0..5000 {
        let mut changed: Footer = footer;
        for _ in 0..1 + random.below(2) {
            let number = match random.below(3) {
                0 => random.below(test.bytes.len() as u64 * 2),
                1 => random.next(),
                _ => u64::MAX - random.below(100),
            };
            match random.below(9) {
                0 => changed.top_index.offset = number,
                1 => changed.top_index.len = number as u32,
                2 => changed.range_tombstones.offset = number,
                3 => changed.range_tombstones.len = number as u32,
                4 => changed.properties.offset = number,
                5 => changed.properties.len = number as u32,
                6 => changed.filter.offset = number,
                7 => changed.filter.lines = number as u32,
                _ => changed.filter.probes = number as u32,
            }
        }
        let mut bytes = test.bytes.clone();
        bytes[footer_at..].copy_from_slice(&changed.encode(footer_at as u64));
        read_whatever(&bytes);
    }
}

/// What checksums can't tell: a writer that was wrong.
#[test]
fn verify_finds_a_wrong_block_under_a_valid_checksum() {
    let rows = many_rows(40);
    let test = TestTable::write(options(512, Compression::None, 10), &rows, &[tombstone("a", "b", 3)]);
    let verify = |handle: Handle, change: &dyn Fn(&mut [u8])| {
        let bytes = resealed(&test.bytes, handle, change);
        let verified = TestTable::open_damaged(&bytes, test.summary.size).and_then(|table| table.verify());
        verified.map_err(|error| error.message().to_owned())
    };
    let expect = |found: std::result::Result<(), String>, part: &str| {
        let message = found.expect_err(part);
        assert!(message.contains(part), "{message}");
    };
    let (block, table) = (block_at(&test.bytes, 1), test.open());
    let partition = table.top_index().unwrap().entry(0).unwrap().unwrap().handle;
    let footer = table.footer();
    // The first entry of a block: two lengths, the flags, a seqno of one byte, the length of the value, the key.
    let last_of_key = 5 + rows[0].key.len() - 1;

    assert_eq!(verify(block, &|_| {}), Ok(()));
    expect(verify(block, &|block| block[last_of_key] += 100), "the data block");
    expect(verify(block, &|block| block[last_of_key] = 0), "the data block");
    expect(verify(block, &|block| block[3] = 0x7f), "the properties");
    expect(verify(footer.filter.page(0).0, &|page| page.fill(0)), "the filter denies");
    expect(verify(partition, &|partition| partition[1] = b'a'), "the data block");
    expect(verify(footer.properties, &|properties| properties[5] ^= 1), "the properties");
    expect(verify(footer.range_tombstones, &|tombstone| tombstone[4] = 99), "the properties");
    // In a table with one partition, the separator of the top index repeats the last one of the partition.
    expect(verify(footer.top_index, &|top| top[1] += 1), "the index partition");
}

/// A span of time that a block is said to have, and has not, would make records disappear.
#[test]
fn verify_finds_wrong_times_under_a_valid_checksum() {
    let rows: Vec<Row> = (0..30).map(|time| Row::value(record_key("k", time), 9, "value")).collect();
    let test = TestTable::write(options(256, Compression::None, 10), &rows, &[]);
    let table = test.open();
    let partition = table.top_index().unwrap().entry(0).unwrap().unwrap().handle;
    let footer = table.footer();
    let verified = |handle: Handle, at: usize, by: u8| {
        let bytes = resealed(&test.bytes, handle, |block| block[at] = block[at].wrapping_add(by));
        TestTable::open_damaged(&bytes, test.summary.size).and_then(|table| table.verify())
    };
    let told = |result: Result<()>, part: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Code::Corruption);
        assert!(error.message().contains(part), "{error}");
    };
    // The first entry of an index ends with the times: the first moment and how long, a byte each.
    let entry_end = |index: usize| {
        let block = if index == 0 { footer.top_index } else { partition };
        let payload = &test.bytes[block.offset as usize..block.end() as usize - frame::TRAILER_BYTES];
        let count = u32::from_le_bytes(*payload.last_chunk().unwrap()) as usize;
        match count {
            1 => payload.len() - 8,
            _ => u32::from_le_bytes(*payload[payload.len() - count * 4..].first_chunk().unwrap()) as usize,
        }
    };
    told(verified(partition, entry_end(1) - 1, 1), "the data block");
    told(verified(partition, entry_end(1) - 2, 2), "the data block");
    told(verified(footer.top_index, entry_end(0) - 1, 1), "the index partition");
    let properties_end = footer.properties.len as usize - frame::TRAILER_BYTES;
    told(verified(footer.properties, properties_end - 1, 1), "the properties");
}

#[test]
fn a_table_opened_under_another_number_is_corruption() {
    let test = TestTable::write(options(128, Compression::None, 10), &many_rows(3), &[]);
    let file = test.fs.open(&TestTable::path()).unwrap();

    let error = Table::open(file, NUMBER + 1, test.summary.size, Arc::new(BlockCache::new(0))).err().unwrap();

    assert_eq!(error.code(), Code::Corruption);
}
