//! What Windows does in its own way: positioned I/O, syncs that need a writable handle, and locking by refusing to share.
#![forbid(unsafe_code)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The error code of an open that another handle's share mode forbids.
const ERROR_SHARING_VIOLATION: i32 = 32;

pub(super) fn create_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    options
}

pub(super) fn dir_builder() -> DirBuilder {
    DirBuilder::new()
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

pub(super) fn read_at_once(_file: &File, _buffer: &mut [u8], _offset: u64) -> Option<usize> {
    None
}

/// Windows takes no such hint for a part of a file.
pub(super) fn fetch(_file: &File, _offset: u64, _len: u64) {}

pub(super) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// `FlushFileBuffers` wants a handle that may write.
pub(super) fn sync_read_only_file(_file: &File, path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

/// NTFS journals directory entries by itself and offers no sync for them.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if fs::metadata(dir)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Takes the lock, or returns `None` when it is held through another opening of the file, here or elsewhere.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).share_mode(0);
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}
