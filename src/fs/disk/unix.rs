//! What Linux and macOS do in their own way: open flags, modes, positioned I/O, syncs and `flock`.
#![forbid(unsafe_code)]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

pub(super) fn create_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(flags(OFlags::NOFOLLOW));
    options
}

pub(super) fn dir_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// What the page cache has of it, which Linux alone tells.
#[cfg(target_os = "linux")]
pub(super) fn read_at_once(file: &File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    let mut buffers = [io::IoSliceMut::new(buffer)];
    rustix::io::preadv2(file, &mut buffers, offset, rustix::io::ReadWriteFlags::NOWAIT).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_at_once(_file: &File, _buffer: &mut [u8], _offset: u64) -> Option<usize> {
    None
}

/// A hint: where the system doesn't take it, nothing is lost.
#[cfg(target_os = "linux")]
pub(super) fn fetch(file: &File, offset: u64, len: u64) {
    let _ = rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(len), rustix::fs::Advice::WillNeed);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn fetch(_file: &File, _offset: u64, _len: u64) {}

/// On Linux a data sync is enough: it covers the length, and what it leaves out (times) nobody reads.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// On macOS only `F_FULLFSYNC`, which `sync_all` asks for, reaches the medium. Network volumes don't know it;
/// there a plain fsync is the most that can be had.
#[cfg(target_vendor = "apple")]
pub(super) fn sync_file(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_unsupported(&error) => Ok(rustix::fs::fsync(file)?),
        synced => synced,
    }
}

pub(super) fn sync_read_only_file(file: &File, _path: &Path) -> io::Result<()> {
    sync_file(file)
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY)).open(dir)?;
    match dir.sync_all() {
        // Some network and user-space file systems have no such operation; to refuse them would help nobody.
        Err(error) if is_unsupported(&error) => Ok(()),
        synced => synced,
    }
}

/// Whether the file system says that it can't sync such a thing at all, not that a sync failed.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::NOTTY))
}

/// Takes the lock, or returns `None` when it is held through another opening of the file, here or elsewhere.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(0o600).custom_flags(flags(OFlags::NOFOLLOW)).open(path)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
