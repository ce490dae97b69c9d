//! Any bytes as values, as damage to their file, and as a file, a pointer or a directory.

use std::path::Path;

use super::format::{Directory, checksum};
use super::{ValueFile, ValueFileWriter, ValuePointer};
use crate::coding::Choices;
use crate::config::Compression;
use crate::error::undamaged;
use crate::fs::{FileSystem, SimFs};

const NUMBER: u64 = 7;

/// Does both. Whether everything that was written could be read.
pub(crate) fn write_and_read_values(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    match choices.byte() % 4 {
        0 => read_anything(&mut choices),
        1 => read_directory(&mut choices),
        packed => read_damaged(&mut choices, if packed == 2 { Compression::None } else { Compression::Lz4 }),
    }
}

/// What is read of values whose file was damaged is right, or it says that it is damaged.
fn read_damaged(choices: &mut Choices<'_>, compression: Compression) -> bool {
    let (fs, path) = (SimFs::in_memory(), Path::new("/000007.val"));
    let mut writer = ValueFileWriter::new(fs.create(path).expect("it is new"), NUMBER, compression);
    let mut values = Vec::new();
    for _ in 0..1 + choices.below(6) {
        // Long ones are of more than one chunk.
        let (piece, repeated) = (choices.piece(200), 1 + choices.below(1_500));
        let value = if piece.is_empty() { vec![b'v'; repeated] } else { piece.repeat(repeated) };
        values.push((writer.add(&value).expect("nothing fails in memory"), value));
    }
    writer.finish().expect("nothing fails in memory");
    let mut file = fs.read_file(path).expect("it has just been written");
    let written = file.clone();
    for _ in 0..choices.below(4) {
        let at = choices.below(file.len().min(1 << 16));
        file[at] ^= choices.byte();
    }
    fs.write_file(path, &file);
    let opened = fs.open(path).expect("it has just been written");
    let mut is_whole = true;
    let reader = match undamaged(ValueFile::open(opened, NUMBER, file.len() as u64)) {
        Some(reader) => {
            let is_verified = undamaged(reader.verify()).is_some();
            assert_eq!(is_verified, file == written, "damage that is not found, or is none");
            reader
        }
        None => {
            is_whole = false;
            ValueFile::damaged_with(fs.open(path).expect("it is there"), NUMBER, file.len() as u64)
        }
    };
    for (pointer, value) in &values {
        let (start, len) = (choices.below(value.len() + 1), choices.below(value.len() + 1));
        for range in [0..value.len(), start..start + len] {
            let end = range.end.min(value.len());
            let mut out = Vec::new();
            let read = undamaged(reader.read(pointer, range.start as u64..range.end as u64, &mut out));
            assert!(read.is_none() || out == value[range.start.min(end)..end], "a wrong value");
            is_whole &= read.is_some();
        }
    }
    is_whole
}

/// Any file, and any pointer into it.
fn read_anything(choices: &mut Choices<'_>) -> bool {
    let pointer = choices.piece(32);
    let pointer = ValuePointer::decode(pointer).ok();
    if let Some(pointer) = pointer {
        let mut encoded = Vec::new();
        pointer.encode(&mut encoded);
        assert_eq!(ValuePointer::decode(&encoded), Ok(pointer));
    }
    let (fs, path, file) = (SimFs::in_memory(), Path::new("/000007.val"), choices.rest());
    fs.write_file(path, file);
    let open = || fs.open(path).expect("it has just been written");
    let reader = undamaged(ValueFile::open(open(), NUMBER, file.len() as u64));
    let is_whole = reader.is_some_and(|reader| undamaged(reader.verify()).is_some());
    if let Some(pointer) = pointer {
        let reader = ValueFile::damaged_with(open(), NUMBER, file.len() as u64);
        let _ = undamaged(reader.read(&pointer, 0..100, &mut Vec::new()));
    }
    is_whole
}

/// A directory under a right checksum.
fn read_directory(choices: &mut Choices<'_>) -> bool {
    let offset = choices.number() % (1 << 40);
    let mut bytes = choices.rest().to_vec();
    let sum = checksum(NUMBER, offset, &[&bytes]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let Ok(directory) = Directory::decode(NUMBER, offset, &bytes) else { return false };
    let lens: Vec<u32> = directory.bounds.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
    assert_eq!(Directory::encode(NUMBER, offset, &lens, directory.value_len), bytes);
    assert!(directory.bounds.is_sorted() && directory.bounds.last() == Some(&offset));
    true
}
