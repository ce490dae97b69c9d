//! What every file system promises, tried on each of them.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{DiskFs, File, FileBudget, FileSystem, SimFs};
use crate::error::{Code, Error, Result};

/// A directory of its own for one test, removed at its end.
pub(super) struct TemporaryDir(pub(super) PathBuf);

impl TemporaryDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let name = format!("flowdb-fs-{}-{nanoseconds}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// Runs `test` on every file system, in an empty directory that exists.
fn on_each(test: impl Fn(&dyn FileSystem, &Path)) {
    println!("on DiskFs:");
    let temporary = TemporaryDir::new();
    test(&DiskFs, &temporary.0);
    for (name, disk) in [("SimFs::new", SimFs::new()), ("SimFs::in_memory", SimFs::in_memory())] {
        println!("on {name}:");
        disk.create_dir_all(Path::new("/a/directory")).unwrap();
        test(&disk, Path::new("/a/directory"));
    }
    println!("on FileBudget:");
    let disk = SimFs::new();
    disk.create_dir_all(Path::new("/a/directory")).unwrap();
    test(&FileBudget::new(std::sync::Arc::new(disk), 64), Path::new("/a/directory"));
}

#[track_caller]
fn assert_io<T>(result: Result<T>, kind: ErrorKind, path: &Path) -> Error {
    let Err(error) = result else { panic!("an operation on {} should have failed", path.display()) };
    assert_eq!(error.code(), Code::Io, "{error:?}");
    assert_eq!(error.io_cause().map(std::io::Error::kind), Some(kind), "{error:?}");
    assert!(error.message().contains(path.to_str().unwrap()), "{error:?} should name {}", path.display());
    error
}

fn write(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) {
    fs.create(path).unwrap().append(bytes).unwrap();
}

fn read(fs: &dyn FileSystem, path: &Path) -> Vec<u8> {
    read_all(&*fs.open(path).unwrap())
}

fn read_all(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn sorted_list(fs: &dyn FileSystem, dir: &Path) -> Vec<String> {
    let mut names = fs.list(dir).unwrap();
    names.sort();
    names
}

#[test]
fn what_was_appended_is_read_back_at_every_offset() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        let file = fs.create(&path).unwrap();
        assert!(file.is_empty().unwrap());
        let mut expected = Vec::new();
        for (turn, size) in [1, 0, 4095, 1, 65_536, 100_000, 7, 131_071].into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|index| (index * 31 + turn) as u8).collect();
            file.append(&bytes).unwrap();
            expected.extend_from_slice(&bytes);
            assert_eq!(file.len().unwrap(), expected.len() as u64);
        }
        let reader = fs.open(&path).unwrap();
        for file in [&file, &reader] {
            assert_eq!(read_all(&**file), expected);
            for offset in
                [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 170_000, expected.len() - 3, expected.len()]
            {
                for length in [0, 1, 2, 3, 5000, 140_000] {
                    let mut buffer = vec![0xEE; length];
                    let count = file.read_at(offset as u64, &mut buffer).unwrap();
                    assert_eq!(count, length.min(expected.len() - offset), "{length} at {offset}");
                    assert_eq!(buffer[..count], expected[offset..offset + count], "{length} at {offset}");
                    assert!(buffer[count..].iter().all(|byte| *byte == 0xEE), "{length} at {offset}");
                }
            }
        }
        assert_eq!(reader.path(), path);
    });
}

#[test]
fn a_read_behind_the_end_finds_nothing_whatever_the_offset() {
    on_each(|fs, dir| {
        let file = fs.create(&dir.join("f")).unwrap();
        file.append(b"1234").unwrap();
        for offset in
            [4, 5, 1 << 40, (1 << 62) - 1, 1 << 62, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX]
        {
            assert_eq!(file.read_at(offset, &mut [0; 8]).unwrap(), 0, "at {offset}");
            assert_eq!(file.read_exact_at(offset, &mut [0; 8]).unwrap_err().code(), Code::Corruption);
        }
        let error = file.read_exact_at(2, &mut [0; 3]).unwrap_err();
        assert_eq!(error.code(), Code::Corruption);
        assert!(error.message().contains("2"), "{error}");
    });
}

#[test]
fn a_file_is_created_only_where_nothing_stands() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        write(fs, &path, b"first");
        assert_io(fs.create(&path), ErrorKind::AlreadyExists, &path);
        assert_eq!(fs.create(dir).err().map(|error| error.code()), Some(Code::Io));
        assert_eq!(read(fs, &path), b"first");
    });
}

#[test]
fn what_is_missing_is_reported_as_not_found_by_every_operation() {
    on_each(|fs, dir| {
        let path = dir.join("missing");
        assert_io(fs.open(&path), ErrorKind::NotFound, &path);
        assert_io(fs.remove(&path), ErrorKind::NotFound, &path);
        assert_io(fs.rename(&path, &dir.join("to")), ErrorKind::NotFound, &path);
        assert_io(fs.list(&path), ErrorKind::NotFound, &path);
        assert_io(fs.sync_dir(&path), ErrorKind::NotFound, &path);
        assert_io(fs.canonicalize(&path), ErrorKind::NotFound, &path);
        assert_io(fs.create(&path.join("f")), ErrorKind::NotFound, &path);
        assert_io(fs.lock(&path.join("LOCK")), ErrorKind::NotFound, &path);
        assert!(sorted_list(fs, dir).is_empty());
    });
}

#[test]
fn a_file_opened_for_reading_refuses_appends_and_is_not_changed() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        write(fs, &path, b"kept");
        assert_io(fs.open(&path).unwrap().append(b"!"), ErrorKind::PermissionDenied, &path);
        assert_eq!(read(fs, &path), b"kept");
    });
}

#[test]
fn a_file_opened_for_reading_can_be_synced() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        write(fs, &path, b"bytes");
        fs.open(&path).unwrap().sync().unwrap();
    });
}

#[test]
fn a_reader_sees_what_is_appended_after_it_was_opened() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        let writer = fs.create(&path).unwrap();
        let reader = fs.open(&path).unwrap();
        writer.append(b"later").unwrap();
        assert_eq!(read_all(&*reader), b"later");
    });
}

#[test]
fn a_rename_replaces_its_target_and_leaves_open_files_as_they_are() {
    on_each(|fs, dir| {
        let (new, current) = (dir.join("new"), dir.join("current"));
        write(fs, &current, b"old");
        let old = fs.open(&current).unwrap();
        let file = fs.create(&new).unwrap();
        file.append(b"ne").unwrap();

        fs.rename(&new, &current).unwrap();
        file.append(b"w").unwrap();

        assert_eq!(read(fs, &current), b"new");
        assert_eq!(read_all(&*old), b"old");
        assert_eq!(sorted_list(fs, dir), ["current"]);
        fs.rename(&current, &current).unwrap();
        assert_eq!(read(fs, &current), b"new");
    });
}

#[test]
fn a_rename_stays_in_its_directory() {
    on_each(|fs, dir| {
        let (from, below) = (dir.join("f"), dir.join("below"));
        write(fs, &from, b"bytes");
        fs.create_dir_all(&below).unwrap();
        assert_eq!(fs.rename(&from, &below.join("f")).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(fs.rename(&from, &below).unwrap_err().code(), Code::Io);
        assert_eq!(read(fs, &from), b"bytes");
    });
}

#[test]
fn a_linked_file_has_two_names_that_end_apart() {
    on_each(|fs, dir| {
        let (from, below) = (dir.join("f"), dir.join("below"));
        let to = below.join("g");
        fs.create_dir_all(&below).unwrap();
        write(fs, &from, b"bytes");
        fs.open(&from).unwrap().sync().unwrap();

        fs.hard_link(&from, &to).unwrap();
        fs.sync_dir(&below).unwrap();
        assert_eq!(read(fs, &to), b"bytes");
        fs.remove(&from).unwrap();
        assert_eq!(read(fs, &to), b"bytes");
        assert_eq!(sorted_list(fs, &below), ["g"]);
    });
}

#[test]
fn a_link_is_made_of_a_file_only_and_where_nothing_stands() {
    on_each(|fs, dir| {
        let (from, taken, missing) = (dir.join("f"), dir.join("taken"), dir.join("missing"));
        write(fs, &from, b"bytes");
        write(fs, &taken, b"kept");
        assert_io(fs.hard_link(&from, &taken), ErrorKind::AlreadyExists, dir);
        assert_eq!(read(fs, &taken), b"kept");
        assert_io(fs.hard_link(&missing, &dir.join("g")), ErrorKind::NotFound, &missing);
        assert_eq!(fs.hard_link(dir, &dir.join("g")).unwrap_err().code(), Code::Io);
        assert_eq!(fs.hard_link(&from, &missing.join("g")).unwrap_err().code(), Code::Io);
        assert_eq!(sorted_list(fs, dir), ["f", "taken"]);
    });
}

#[test]
fn an_open_file_outlives_its_removal_and_its_name_is_free() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        let writer = fs.create(&path).unwrap();
        writer.append(b"old").unwrap();
        let reader = fs.open(&path).unwrap();

        fs.remove(&path).unwrap();
        assert!(!fs.exists(&path).unwrap());
        write(fs, &path, b"new");
        writer.append(b"er").unwrap();
        writer.sync().unwrap();

        assert_eq!(read_all(&*reader), b"older");
        assert_eq!(read(fs, &path), b"new");
    });
}

#[test]
fn directories_are_created_with_their_parents_and_found_again() {
    on_each(|fs, dir| {
        let deep = dir.join("a").join("b").join("c");
        fs.create_dir_all(&deep).unwrap();
        fs.create_dir_all(&deep).unwrap();
        fs.create_dir_all(&dir.join("a").join("d")).unwrap();
        fs.sync_dir(&deep).unwrap();
        assert!(fs.exists(&deep).unwrap());
        assert_eq!(sorted_list(fs, &dir.join("a")), ["b", "d"]);
        assert!(sorted_list(fs, &deep).is_empty());
    });
}

#[test]
fn a_file_where_a_directory_should_be_is_named_in_the_error() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        write(fs, &path, b"kept");
        assert_io(fs.create_dir_all(&path), ErrorKind::NotADirectory, &path);
        assert_io(fs.create_dir_all(&path.join("below").join("it")), ErrorKind::NotADirectory, &path);
        assert!(!fs.exists(&path.join("below")).unwrap());
        assert_eq!(read(fs, &path), b"kept");
    });
}

#[test]
fn a_directory_is_no_file() {
    on_each(|fs, dir| {
        let below = dir.join("below");
        fs.create_dir_all(&below).unwrap();
        for error in [fs.open(&below).err(), fs.remove(&below).err(), fs.lock(&below).err()] {
            assert_eq!(error.expect("it is a directory").code(), Code::Io);
        }
        assert_eq!(fs.list(&below).unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_listing_names_what_is_in_the_directory_and_nothing_deeper() {
    on_each(|fs, dir| {
        fs.create_dir_all(&dir.join("b").join("c")).unwrap();
        for name in ["a", "b.tbl", "b0", "z"] {
            write(fs, &dir.join(name), b"");
        }
        write(fs, &dir.join("b").join("inner"), b"");
        assert_eq!(sorted_list(fs, dir), ["a", "b", "b.tbl", "b0", "z"]);
        assert_eq!(sorted_list(fs, &dir.join("b")), ["c", "inner"]);
        assert_eq!(fs.list(&dir.join("a")).unwrap_err().code(), Code::Io);
    });
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    on_each(|fs, dir| {
        let path = dir.join("LOCK");
        let first = fs.lock(&path).unwrap();
        for _ in 0..2 {
            let Err(error) = fs.lock(&path) else { panic!("two hold the lock") };
            assert_eq!(error.code(), Code::Locked);
            assert!(error.message().contains(dir.to_str().unwrap()), "{error}");
        }
        drop(first);
        let second = fs.lock(&path).unwrap();
        assert_eq!(fs.lock(&path).err().map(|error| error.code()), Some(Code::Locked));
        drop(second);
        assert!(fs.exists(&path).unwrap());
    });
}

#[test]
fn a_lock_leaves_the_bytes_of_its_file_alone() {
    on_each(|fs, dir| {
        let path = dir.join("LOCK");
        write(fs, &path, b"not ours");
        drop(fs.lock(&path).unwrap());
        assert_eq!(read(fs, &path), b"not ours");
    });
}

#[test]
fn a_directory_has_one_canonical_path() {
    on_each(|fs, dir| {
        fs.create_dir_all(&dir.join("a").join("b")).unwrap();
        let canonical = fs.canonicalize(&dir.join("a")).unwrap();
        assert!(canonical.is_absolute());
        assert_eq!(fs.canonicalize(&dir.join("a").join("b").join("..")).unwrap(), canonical);
        assert_eq!(fs.canonicalize(&dir.join(".").join("a")).unwrap(), canonical);
        assert_eq!(fs.canonicalize(&canonical).unwrap(), canonical);
    });
}

#[test]
fn readers_beside_an_appender_see_whole_prefixes() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        let writer = fs.create(&path).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let reader = fs.open(&path).unwrap();
                scope.spawn(move || {
                    let mut length = 0;
                    while length < 256 * 1000 {
                        length = reader.len().unwrap();
                        let mut bytes = vec![0; length as usize];
                        reader.read_exact_at(0, &mut bytes).unwrap();
                        assert!(bytes.iter().enumerate().all(|(index, byte)| *byte == index as u8));
                    }
                });
            }
            let chunk: Vec<u8> = (0..1000).flat_map(|_| 0..=255).collect();
            for piece in chunk.chunks(3001) {
                writer.append(piece).unwrap();
            }
        });
    });
}

#[test]
fn appends_of_several_threads_do_not_overlap() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        let file = fs.create(&path).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let file = &file;
                scope.spawn(move || (0..100).for_each(|_| file.append(&[thread; 777]).unwrap()));
            }
        });
        let bytes = read(fs, &path);
        assert_eq!(bytes.len(), 4 * 100 * 777);
        assert!(bytes.chunks(777).all(|piece| piece.iter().all(|byte| *byte == piece[0])));
    });
}

#[test]
fn what_is_written_at_an_offset_overwrites_and_lengthens_and_leaves_no_gap() {
    on_each(|fs, dir| {
        let path = dir.join("f");
        let file = fs.create(&path).unwrap();
        let mut expected = Vec::new();
        for (turn, (offset, size)) in
            [(0, 10), (0, 3), (4, 100_000), (65_530, 20), (99_000, 70_000), (169_000, 0), (169_000, 1)]
                .into_iter()
                .enumerate()
        {
            let bytes: Vec<u8> = (0..size).map(|index| (index * 7 + turn) as u8).collect();
            file.write_at(offset as u64, &bytes).unwrap();
            expected.resize(expected.len().max(offset + size), 0);
            expected[offset..offset + size].copy_from_slice(&bytes);
            assert_eq!(read_all(&*file), expected, "turn {turn}");
        }
        let refused = file.write_at(expected.len() as u64 + 1, b"x").unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        file.append(b"end").unwrap();
        expected.extend_from_slice(b"end");
        file.sync().unwrap();
        assert_eq!(read(fs, &path), expected);
        assert_io(fs.open(&path).unwrap().write_at(0, b"x"), ErrorKind::PermissionDenied, &path);
        assert_eq!(read(fs, &path), expected);
    });
}
