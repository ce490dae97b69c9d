//! The file-system contract: the few operations that the engine needs, object-safe, with typed errors.
//!
//! What a crash may undo is part of the contract. Bytes written to a file are durable after [`File::sync`]; of those
//! that overwrite others and were not synced, any part may have reached the disk. The existence and the name of a
//! file are durable after [`FileSystem::sync_dir`] on its directory. Nothing else is.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Code, Error, Result};

mod budget;
#[cfg(test)]
mod contract;
mod disk;
pub(crate) mod nowait;
mod sim;
mod surroundings;

pub(crate) use budget::FileBudget;
pub use disk::DiskFs;
#[cfg(test)]
pub(crate) use sim::split_mix;
pub use sim::{CrashOutcome, Fault, SimFs};

/// A directory tree with files that grow at their end.
pub trait FileSystem: Send + Sync + 'static {
    /// Creates `dir` and its missing parents (mode 0700), and syncs the parent of each that it created, and of the
    /// deepest that was there already: a crash may have kept an earlier call from syncing that one.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// Creates a file that must not exist (mode 0600, no symlink followed), open for appending and reading.
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Whether something exists at `path`.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// Renames a file within its directory, replacing a file that stands at `to`. (A rename into another directory
    /// is `InvalidArgument`: it would take two syncs to be durable, and between them a crash could do as it likes.)
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Gives the file at `from` a second name `to`, where nothing may stand, in any directory. Where the file system
    /// can't do that (on another volume, for example) `to` becomes a copy, synced before this returns. Only for files
    /// that are synced and never appended to any more: whether the names share their bytes is not told.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<()>;

    /// The names of the files and directories in `dir`, in no order.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;

    /// Makes the creations, links, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Takes the exclusive lock on the file at `path`, creating it where missing, or fails at once with
    /// `Locked`. The lock ends when the returned guard is dropped or the process dies.
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>>;

    /// The one absolute path of an existing directory, with links resolved.
    fn canonicalize(&self, dir: &Path) -> Result<PathBuf>;
}

/// Holds a directory's lock while it lives.
pub trait LockGuard: Send + Sync {}

/// An open file.
pub trait File: Send + Sync {
    /// Writes `bytes` at the end of the file. After an error an unknown part of them may be there.
    fn append(&self, bytes: &[u8]) -> Result<()>;

    /// Writes `bytes` at `offset`, over what is there and beyond the end of the file, but never with a gap behind
    /// that: such an offset is `InvalidArgument`. After an error an unknown part of the bytes may be there, and what
    /// they overwrote is lost. Concurrent writes to overlapping ranges leave any mix of both.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Reads at `offset` until `buffer` is full or the file ends, and returns how many bytes were read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// As [`File::read_at`], as far as that needs no device: `None` where it can't tell, or would have to wait.
    fn read_at_once(&self, _offset: u64, _buffer: &mut [u8]) -> Result<Option<usize>> {
        Ok(None)
    }

    /// Tells the system that `len` bytes from `offset` on will soon be read: it may begin to fetch them. This doesn't wait for
    /// them, but may wait for the disk where the system has to look up where they lie.
    fn fetch(&self, _offset: u64, _len: u64) {}

    /// The file's length in bytes.
    fn len(&self) -> Result<u64>;

    /// Makes everything written so far, through this or another opening, durable. After an error nothing written
    /// since the last successful sync can be trusted, and a second call must not be made: the page cache may have
    /// dropped the bytes.
    fn sync(&self) -> Result<()>;

    /// The path that the file was opened by, for messages.
    fn path(&self) -> &Path;

    /// Whether the file holds no bytes.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`; a file that ends before is `Corruption`. Where the thread may not wait (`nowait`), it
    /// doesn't.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = nowait::read(self, offset, buffer)?;
        if read < buffer.len() {
            let what =
                format!("{} bytes wanted at offset {offset}, the file holds {read} there", buffer.len());
            return Err(Error::corruption(self.path(), what));
        }
        Ok(())
    }
}

fn check_same_directory(from: &Path, to: &Path) -> Result<()> {
    if from.parent() == to.parent() {
        return Ok(());
    }
    let message = format!("can't rename {} to {}: that is another directory", from.display(), to.display());
    Err(Error::new(Code::InvalidArgument, message))
}

fn locked(lock: &Path) -> Error {
    let dir = lock.parent().unwrap_or(lock).display();
    let message = format!(
        "{dir} is open already, in another process or by another opening in this one: close that first"
    );
    Error::new(Code::Locked, message)
}

fn opened_for_reading(path: &Path) -> Error {
    let cause = io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading only");
    Error::io("writing to", path, cause)
}

/// Checks that a write at `offset` leaves no gap behind the `end` of the file.
fn check_no_gap(path: &Path, offset: u64, end: u64) -> Result<()> {
    if offset <= end {
        return Ok(());
    }
    let message = format!("can't write to {} at {offset}: the file ends at {end}", path.display());
    Err(Error::new(Code::InvalidArgument, message))
}
