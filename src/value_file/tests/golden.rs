//! Golden files: what was written once is read for ever, and the same values give the same bytes.
//!
//! A change that breaks these tests changes the format: it needs a new format version, a golden file of its own, and
//! the old file still has to be read. The bytes in docs/format/values.md are those of the first file.
#![forbid(unsafe_code)]

use super::{NUMBER, TestFile, open_bytes, read};
use crate::config::Compression;
use crate::value_file::ValuePointer;

const FILE: &[u8] = include_bytes!("../../../tests/golden/values-v1.val");
/// Written with LZ4. It is only read: another version of the compressor may choose other bytes.
const FILE_LZ4: &[u8] = include_bytes!("../../../tests/golden/values-v1-lz4.val");
const DOCUMENT: &str = include_str!("../../../docs/format/values.md");

fn input() -> (Vec<Vec<u8>>, Vec<ValuePointer>) {
    let pointer =
        |offset, record_len, value_len| ValuePointer { file: NUMBER, offset, record_len, value_len };
    (vec![b"green".to_vec(), vec![b'r'; 40]], vec![pointer(0, 22, 5), pointer(22, 57, 40)])
}

/// One value of four chunks, and one of a single chunk that doesn't shrink.
fn input_lz4() -> (Vec<Vec<u8>>, Vec<ValuePointer>) {
    let pointer =
        |offset, record_len, value_len| ValuePointer { file: NUMBER, offset, record_len, value_len };
    let long = (0..200_000_u32).map(|at| (at / 1_000) as u8).collect();
    (
        vec![long, b"no two are like".to_vec()],
        vec![pointer(0, LZ4_RECORD, 200_000), pointer(LZ4_RECORD, 32, 15)],
    )
}

/// The length of the long record.
const LZ4_RECORD: u64 = 1_698;

#[test]
fn a_value_file_of_version_1_is_read() {
    for (bytes, (values, pointers)) in [(FILE, input()), (FILE_LZ4, input_lz4())] {
        let file = open_bytes(bytes, bytes.len() as u64).unwrap();
        for (value, pointer) in values.iter().zip(&pointers) {
            assert!(read(&file, pointer).unwrap() == *value);
        }
        file.verify().unwrap();
    }
}

#[test]
fn the_same_values_give_the_same_bytes() {
    let (values, pointers) = input();
    let written = TestFile::write(NUMBER, Compression::None, &values);
    assert_eq!((written.bytes, written.pointers), (FILE.to_vec(), pointers));
}

/// The dump in the document has lines of `offset  bytes in hexadecimal  what they are`.
#[test]
fn the_worked_example_in_the_documentation_is_the_golden_file() {
    let mut bytes = Vec::new();
    let dump = DOCUMENT.lines().skip_while(|line| *line != "```dump").skip(1);
    for line in dump.take_while(|line| *line != "```") {
        let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        let offset = columns.next().unwrap();
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let hex = columns.next().unwrap().split(' ');
        bytes.extend(hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    assert_eq!(bytes, FILE);
}

/// The pointer of the second value, as the entry of a table has it.
#[test]
fn the_bytes_of_a_pointer_are_frozen() {
    let mut bytes = Vec::new();
    input().1[1].encode(&mut bytes);
    assert_eq!(bytes, [7, 22, 57, 40]);
    let far = ValuePointer { file: 300, offset: 1 << 20, record_len: 70_021, value_len: 70_000 };
    bytes.clear();
    far.encode(&mut bytes);
    assert_eq!(bytes, [0xac, 2, 0x80, 0x80, 0x40, 0x85, 0xa3, 4, 0xf0, 0xa2, 4]);
}
