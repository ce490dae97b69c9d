//! Golden files: what was written once is read for ever, and the same input gives the same bytes.
//!
//! A change that breaks these tests changes the format: it needs a new format version, a golden file of its own, and
//! the old file still has to be read. The bytes in docs/format/tables.md are those of the first file.
#![forbid(unsafe_code)]

use super::super::TableOptions;
use super::super::testing::{Row, TestTable, options};
use super::times::record_key;
use super::{collect, get, tombstone};
use crate::config::Compression;
use crate::key::Kind;
use crate::range_tombstone::RangeTombstone;
use crate::times::Times;

const TABLE: &[u8] = include_bytes!("../../../tests/golden/table-v1.tbl");
/// Written with LZ4. It is only read: another version of the compressor may choose other bytes.
const TABLE_LZ4: &[u8] = include_bytes!("../../../tests/golden/table-v1-lz4.tbl");
/// Two blocks of records.
const TABLE_TIMES: &[u8] = include_bytes!("../../../tests/golden/table-v1-times.tbl");
const DOCUMENT: &str = include_str!("../../../docs/format/tables.md");

/// Two data blocks, and the versions of "apple" in both.
fn input() -> (TableOptions, Vec<Row>, Vec<RangeTombstone>) {
    let rows = vec![
        Row::value("apple", 12, "r".repeat(40)),
        Row::value("apple", 9, "green").expiring(1_700_000_000_000),
        Row::value("apple", 5, "y".repeat(40)),
        Row::tombstone("apricot", 300),
        Row::value("banana", 4, ""),
    ];
    (options(128, Compression::None, 10), rows, vec![tombstone("b", "c", 3), tombstone("ap", "apr", 1)])
}

/// Records, so that blocks and table say which times they hold, and a last block without any.
fn input_times() -> (TableOptions, Vec<Row>, Vec<RangeTombstone>) {
    let rows = vec![
        Row::value(record_key("k", -1), 3, "a".repeat(60)),
        Row::value(record_key("k", 1_700_000_000_000_000), 4, "b".repeat(60)),
        Row::tombstone(record_key("k", 1_700_000_000_000_001), 5),
        Row::value("z", 6, "c".repeat(90)),
    ];
    (options(128, Compression::None, 0), rows, vec![])
}

fn input_lz4() -> (TableOptions, Vec<Row>, Vec<RangeTombstone>) {
    let rows =
        (0..40).map(|i| Row::value(format!("key {i:02}"), 90 - i, format!("value {i} of forty"))).collect();
    (options(256, Compression::Lz4, 10), rows, vec![])
}

#[test]
fn a_table_of_version_1_is_read() {
    for (bytes, (_, rows, tombstones)) in
        [(TABLE, input()), (TABLE_LZ4, input_lz4()), (TABLE_TIMES, input_times())]
    {
        let table = TestTable::open_damaged(bytes, bytes.len() as u64).unwrap();
        for row in &rows {
            assert_eq!(get(&table, &row.key, row.seqno).as_ref(), Some(row));
        }
        assert_eq!(collect(&table, true).0, rows);
        assert_eq!(table.properties().range_tombstones, tombstones.len() as u64);
        assert_eq!(table.range_tombstones().covering(b"banana", 9).is_some(), !tombstones.is_empty());
        table.verify().unwrap();
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for ((options, rows, tombstones), bytes) in [(input(), TABLE), (input_times(), TABLE_TIMES)] {
        assert_eq!(TestTable::write(options, &rows, &tombstones).bytes, bytes);
    }
}

/// What was written before blocks said which times they hold: no records, and no times.
#[test]
fn a_table_without_times_holds_no_records() {
    let table = TestTable::open_damaged(TABLE, TABLE.len() as u64).unwrap();

    assert_eq!(table.properties().times, None);
    assert!(!table.may_hold_within(Times::ALL));
}

/// The entry in docs/format/values.md, and the pointer there as its value.
#[test]
fn the_entry_of_a_value_in_a_value_file_is_frozen() {
    let row = Row { kind: Kind::Separated, ..Row::value("long", 12, [7, 22, 57, 40]) };
    let test = TestTable::write(options(128, Compression::None, 10), std::slice::from_ref(&row), &[]);

    let entry = [&[0, 4, 0b1001, 12, 4][..], b"long", &[7, 22, 57, 40]].concat();
    assert_eq!(test.bytes[..entry.len()], entry);
    let table = test.open();
    assert_eq!(get(&table, b"long", 12).as_ref(), Some(&row));
    assert_eq!(collect(&table, false).0, [row]);
    table.verify().unwrap();
}

/// The dump in the document has lines of `offset  bytes in hexadecimal  what they are`.
#[test]
fn the_worked_examples_in_the_documentation_are_the_golden_files() {
    let dumps: Vec<&str> = DOCUMENT.split("```dump\n").skip(1).collect();
    assert_eq!(dumps.len(), 2);
    assert_eq!(bytes_of(dumps[0]), TABLE);
    assert_eq!(bytes_of(dumps[1]), TABLE_TIMES);
}

fn bytes_of(dump: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in dump.lines().take_while(|line| *line != "```") {
        let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        let offset = columns.next().unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let hex = columns.next().unwrap().split(' ');
        bytes.extend(hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}
