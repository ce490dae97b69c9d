//! Value files: what comes back, in whole and in slices, and what damage does.
#![forbid(unsafe_code)]

mod golden;

use std::path::PathBuf;
use std::sync::Arc;

use super::{Directory, FOOTER_BYTES, ValueFile, ValueFileWriter, ValuePointer};
use crate::config::Compression;
use crate::error::{Code, Result};
use crate::fs::{File, FileSystem, SimFs, split_mix};

const NUMBER: u64 = 7;
const CHUNK: usize = 64 << 10;

fn path(number: u64) -> PathBuf {
    PathBuf::from(format!("/{number:06}.val"))
}

/// A value file in memory.
struct TestFile {
    bytes: Vec<u8>,
    pointers: Vec<ValuePointer>,
}

impl TestFile {
    fn write(number: u64, compression: Compression, values: &[Vec<u8>]) -> Self {
        Self::write_by(number, compression, |writer| {
            values.iter().map(|value| writer.add(value).unwrap()).collect()
        })
    }

    fn write_by(
        number: u64,
        compression: Compression,
        add: impl FnOnce(&mut ValueFileWriter) -> Vec<ValuePointer>,
    ) -> Self {
        let fs = SimFs::in_memory();
        let mut writer = ValueFileWriter::new(fs.create(&path(number)).unwrap(), number, compression);
        let pointers = add(&mut writer);
        let size = writer.finish().unwrap();
        let bytes = fs.read_file(path(number)).unwrap();
        assert_eq!(size, bytes.len() as u64);
        Self { bytes, pointers }
    }

    fn open(&self) -> ValueFile {
        open_bytes(&self.bytes, self.bytes.len() as u64).unwrap()
    }
}

fn file_of(bytes: &[u8]) -> Arc<dyn File> {
    let fs = SimFs::in_memory();
    fs.write_file(path(NUMBER), bytes);
    fs.open(&path(NUMBER)).unwrap()
}

/// Opens the value file as it would be if it held `bytes`.
fn open_bytes(bytes: &[u8], size: u64) -> Result<ValueFile> {
    ValueFile::open(file_of(bytes), NUMBER, size)
}

fn read(file: &ValueFile, pointer: &ValuePointer) -> Result<Vec<u8>> {
    let mut value = b"what was there before".to_vec();
    file.read(pointer, 0..pointer.value_len, &mut value).map(|()| value)
}

/// A value that shrinks in some of its chunks and not in others.
fn mixed(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|at| if (at / CHUNK).is_multiple_of(2) { (at / 100) as u8 } else { split_mix(&mut state) as u8 })
        .collect()
}

fn values() -> Vec<Vec<u8>> {
    let lens = [1, 5, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 20 * CHUNK + 77];
    lens.iter().enumerate().map(|(index, &len)| mixed(len, index as u64)).collect()
}

#[test]
fn values_come_back_as_they_went_in() {
    for compression in [Compression::None, Compression::Lz4] {
        let values = values();
        let test = TestFile::write(NUMBER, compression, &values);
        let file = test.open();
        for (value, pointer) in values.iter().zip(&test.pointers) {
            assert!(read(&file, pointer).unwrap() == *value, "{} bytes, {compression:?}", value.len());
        }
        file.verify().unwrap();
    }
    let plain = TestFile::write(NUMBER, Compression::None, &values()).bytes.len();
    let packed = TestFile::write(NUMBER, Compression::Lz4, &values()).bytes.len();
    assert!(packed < plain * 2 / 3, "{packed} of {plain} bytes");
}

/// FLOWDB_SEED replays the ranges of a failure.
#[test]
fn a_slice_is_a_slice_of_the_whole_value() {
    let given = std::env::var("FLOWDB_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut state = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("FLOWDB_SEED={state}");
    let values = values();
    let test = TestFile::write(NUMBER, Compression::Lz4, &values);
    let file = test.open();
    let mut slice = Vec::new();
    for _ in 0..2_000 {
        let index = (split_mix(&mut state) % values.len() as u64) as usize;
        let (value, pointer) = (&values[index], &test.pointers[index]);
        let len = value.len() as u64;
        // Around the ends of chunks and of the value, or anywhere.
        let mut position = || match split_mix(&mut state) % 3 {
            0 => (split_mix(&mut state) % 4 * CHUNK as u64 + split_mix(&mut state) % 3).saturating_sub(1),
            1 => len.saturating_sub(1) + split_mix(&mut state) % 3,
            _ => split_mix(&mut state) % (len + 10),
        };
        let (start, end) = (position(), position());
        file.read(pointer, start..end, &mut slice).unwrap();
        let expected = value.get(start.min(len) as usize..end.min(len) as usize).unwrap_or_default();
        assert!(slice == expected, "{start}..{end} of {len}");
        if let Some(byte) = value.get(start as usize) {
            let directory = file.directory(pointer).unwrap();
            let begin = file.read_chunk(&directory, start, &mut slice).unwrap();
            assert_eq!(slice.get((start - begin) as usize), Some(byte), "{start} of {len}");
        }
    }
}

#[test]
fn a_value_that_is_moved_to_another_file_is_stored_there_as_it_was() {
    let values = values();
    let from = TestFile::write(NUMBER, Compression::Lz4, &values);
    let source = from.open();
    let to = TestFile::write_by(8, Compression::None, |writer| {
        from.pointers.iter().rev().map(|pointer| writer.copy(&source, pointer).unwrap()).collect()
    });
    let fs = SimFs::in_memory();
    fs.write_file(path(8), &to.bytes);
    let file = ValueFile::open(fs.open(&path(8)).unwrap(), 8, to.bytes.len() as u64).unwrap();
    for (value, (old, new)) in values.iter().zip(from.pointers.iter().zip(to.pointers.iter().rev())) {
        assert_eq!((new.file, new.record_len, new.value_len), (8, old.record_len, old.value_len));
        assert!(read(&file, new).unwrap() == *value);
    }
    file.verify().unwrap();
    assert_eq!(to.bytes.len(), from.bytes.len());
}

/// Reads everything that a damaged file still gives, and checks that it is right or that the error says what it is.
/// Returns whether anything was found damaged.
fn read_all(bytes: &[u8], size: u64, values: &[Vec<u8>], pointers: &[ValuePointer], what: &str) -> bool {
    let told = |result: Result<()>| match result {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.code(), Code::Corruption, "{what}: {error}");
            assert!(error.message().contains("000007.val"), "{what}: {error}");
            true
        }
    };
    let file = match open_bytes(bytes, size) {
        Ok(file) => file,
        Err(error) => return told(Err(error)),
    };
    let (mut damaged, mut slice) = (false, Vec::new());
    for (value, pointer) in values.iter().zip(pointers) {
        match read(&file, pointer) {
            Ok(found) => assert!(found == *value, "{what}"),
            Err(error) => damaged |= told(Err(error)),
        }
        let end = value.len().min(20);
        match file.read(pointer, 1..20, &mut slice) {
            Ok(()) => assert!(slice == value[1..end], "{what}"),
            Err(error) => damaged |= told(Err(error)),
        }
    }
    damaged | told(file.verify())
}

fn small_values() -> Vec<Vec<u8>> {
    vec![b"green".to_vec(), b"the same words, ".repeat(9), vec![9; CHUNK + 300], vec![1; 40]]
}

#[test]
fn any_flipped_byte_is_corruption() {
    for compression in [Compression::None, Compression::Lz4] {
        // Every byte of a raw chunk of 64 KiB would take long and say nothing new.
        let mut values = small_values();
        if compression == Compression::None {
            values.remove(2);
        }
        let test = TestFile::write(NUMBER, compression, &values);
        for at in 0..test.bytes.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut bytes = test.bytes.clone();
                bytes[at] ^= mask;
                let what = format!("byte {at} ^ {mask:#x}, {compression:?}");
                assert!(read_all(&bytes, bytes.len() as u64, &values, &test.pointers, &what), "{what}");
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_corruption_whatever_size_is_expected() {
    let values = small_values();
    let test = TestFile::write(NUMBER, Compression::Lz4, &values);
    for len in 0..test.bytes.len() {
        for size in [len, test.bytes.len()] {
            let what = format!("cut to {len}, {size} expected");
            assert!(read_all(&test.bytes[..len], size as u64, &values, &test.pointers, &what), "{what}");
        }
    }
}

#[test]
fn a_record_of_another_place_or_file_is_corruption() {
    let test = TestFile::write(NUMBER, Compression::None, &[vec![1; 50], vec![1; 50]]);
    let record = test.pointers[0].record_len as usize;
    // The second record is replaced by the first, which has the same length.
    let mut bytes = test.bytes.clone();
    bytes.copy_within(..record, record);
    let file = open_bytes(&bytes, bytes.len() as u64).unwrap();
    assert_eq!(read(&file, &test.pointers[1]).unwrap_err().code(), Code::Corruption);

    let other = TestFile::write(8, Compression::None, &[vec![1; 50], vec![1; 50]]);
    assert_eq!(open_bytes(&other.bytes, other.bytes.len() as u64).err().unwrap().code(), Code::Corruption);
    let footer_at = bytes.len() - FOOTER_BYTES;
    let mut bytes = other.bytes;
    bytes[footer_at..].copy_from_slice(&test.bytes[footer_at..]);
    let file = open_bytes(&bytes, bytes.len() as u64).unwrap();
    assert_eq!(read(&file, &test.pointers[0]).unwrap_err().code(), Code::Corruption);
}

/// A defective writer could put any pointer into a table.
#[test]
fn a_pointer_that_no_writer_makes_is_corruption_and_takes_no_memory() {
    let test = TestFile::write(NUMBER, Compression::Lz4, &small_values());
    let file = test.open();
    let good = test.pointers[1];
    let numbers = [0, 1, good.offset, good.record_len, 1 << 20, 1 << 30, u64::MAX / 2, u64::MAX];
    let mut tried = 0;
    for offset in numbers {
        for record_len in numbers {
            for value_len in numbers.into_iter().chain([good.value_len]) {
                let pointer = ValuePointer { offset, record_len, value_len, ..good };
                let mut bytes = Vec::new();
                pointer.encode(&mut bytes);
                let Ok(decoded) = ValuePointer::decode(&bytes) else { continue };
                assert_eq!(decoded, pointer);
                if pointer != good {
                    assert_eq!(read(&file, &pointer).unwrap_err().code(), Code::Corruption, "{pointer:?}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 10, "{tried}");
    let mut bytes = Vec::new();
    good.encode(&mut bytes);
    assert_eq!(ValuePointer::decode(&bytes), Ok(good));
    for cut in 0..bytes.len() {
        assert!(ValuePointer::decode(&bytes[..cut]).is_err());
    }
    bytes.push(0);
    assert!(ValuePointer::decode(&bytes).is_err(), "a byte too many");
}

/// A defective writer can put any directory under a valid checksum.
#[test]
fn a_directory_that_no_writer_writes_does_no_harm_under_a_valid_checksum() {
    let mut state = 5;
    let test = TestFile::write(NUMBER, Compression::Lz4, &[mixed(2 * CHUNK + 9, 1)]);
    let good = test.pointers[0];
    let directory = test.open().directory(&good).unwrap();
    let lens: Vec<u32> = directory.bounds.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
    let at = (good.record_len - 20) as usize;
    for _ in 0..3_000 {
        let mut changed = lens.clone();
        let mut value_len = good.value_len;
        let wild = [0, 1, 5, 6, 70_000, u32::MAX, split_mix(&mut state) as u32];
        let number = wild[(split_mix(&mut state) % 7) as usize];
        match split_mix(&mut state) % 4 {
            0 => value_len = u64::from(number),
            index => changed[index as usize - 1] = number,
        }
        let mut bytes = test.bytes.clone();
        let encoded = Directory::encode(NUMBER, at as u64, &changed, value_len);
        bytes[at..at + encoded.len()].copy_from_slice(&encoded);
        let file = open_bytes(&bytes, bytes.len() as u64).unwrap();
        let pointers = [good, ValuePointer { value_len: value_len.max(1), ..good }];
        let is_changed = changed != lens || value_len != good.value_len;
        for pointer in pointers {
            assert_eq!(read(&file, &pointer).is_err(), is_changed, "{changed:?} {value_len}");
        }
        assert_eq!(file.verify().is_err(), is_changed, "{changed:?} {value_len}");
    }
}

#[test]
fn what_checksums_can_not_tell_is_found_by_verify() {
    let test = TestFile::write(NUMBER, Compression::None, &[vec![1; 50], vec![2; 50]]);
    let footer_at = test.bytes.len() - FOOTER_BYTES;
    for (records, value_bytes) in [(1, 100), (3, 100), (2, 99)] {
        let footer = super::format::Footer { records, value_bytes, number: NUMBER };
        let mut bytes = test.bytes.clone();
        bytes[footer_at..].copy_from_slice(&footer.encode(footer_at as u64));
        let error = open_bytes(&bytes, bytes.len() as u64).unwrap().verify().unwrap_err();
        assert!(error.code() == Code::Corruption && error.message().contains("counts"), "{error}");
    }
}

#[test]
fn an_empty_value_and_one_that_is_too_long_are_refused() {
    let fs = SimFs::in_memory();
    let mut writer = ValueFileWriter::new(fs.create(&path(1)).unwrap(), 1, Compression::None);
    assert_eq!(writer.add(b"").unwrap_err().code(), Code::Internal);
}
