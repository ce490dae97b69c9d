//! The file system of the machine, by `std::fs`.
//!
//! Invariant: a file's end is known to the object that created it, and every write is a positioned one, an append
//! at that end. So a short write, a signal or a concurrent read never moves where the next bytes go.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{File, FileSystem, LockGuard};
use crate::error::{Error, Result};

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

/// No file system holds a file of this length, so that reads from here on find the end of the file. Passed on,
/// such an offset (out of damaged bytes, say) would be an argument error of the operating system.
const FILE_LENGTH_LIMIT: u64 = 1 << 62;

/// A file is copied in pieces of this size.
const COPY_BYTES: usize = 1 << 20;

/// The directories and files of the machine. See [`FileSystem`] for the contract.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFs;

impl FileSystem for DiskFs {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let (existing, missing) = split_at_missing(dir)?;
        sync_entry_of(&existing)?;
        for missing_dir in missing.iter().rev() {
            create_dir(missing_dir)?;
            self.sync_dir(parent_of(missing_dir))?;
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file =
            platform::create_options().open(path).map_err(|error| Error::io("creating", path, error))?;
        Ok(Arc::new(DiskFile { file, path: path.to_path_buf(), end: Some(Mutex::new(0)) }))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let open = || {
            let file = fs::File::open(path)?;
            // Unix opens a directory for reading as if it were a file, and fails only when it is read.
            if file.metadata()?.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
            }
            Ok(file)
        };
        let file = open().map_err(|error| Error::io("opening", path, error))?;
        Ok(Arc::new(DiskFile { file, path: path.to_path_buf(), end: None }))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(Error::io("looking for", path, error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        super::check_same_directory(from, to)?;
        fs::rename(from, to).map_err(|error| Error::io("renaming", from, error))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        // Another volume, a file system without links, too many of them: the names of these failures differ from
        // system to system. What else may be wrong the copy meets as well, and names the right path.
        if fs::hard_link(from, to).is_ok() { Ok(()) } else { copy(self, from, to) }
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|error| Error::io("removing", path, error))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let names = || -> io::Result<Vec<String>> {
            // A name that is not Unicode can't be one of ours, and its lossy form can't look like one.
            fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        names().map_err(|error| Error::io("listing", dir, error))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        platform::sync_dir(dir).map_err(|error| Error::io("syncing directory", dir, error))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        match platform::lock(path) {
            Ok(Some(file)) => Ok(Box::new(DiskLock { _file: file })),
            Ok(None) => Err(super::locked(path)),
            Err(error) => Err(Error::io("locking", path, error)),
        }
    }

    fn canonicalize(&self, dir: &Path) -> Result<PathBuf> {
        fs::canonicalize(dir).map_err(|error| Error::io("resolving", dir, error))
    }
}

/// Writes the bytes of `from` to a new file `to`, and syncs it; what can't be finished is removed.
fn copy(disk: &DiskFs, from: &Path, to: &Path) -> Result<()> {
    let source = disk.open(from)?;
    let target = disk.create(to)?;
    let copied = copy_bytes(&*source, &*target);
    if copied.is_err() {
        drop(target);
        let _ = disk.remove(to);
    }
    copied
}

fn copy_bytes(source: &dyn File, target: &dyn File) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let read = source.read_at(offset, &mut buffer)?;
        if read == 0 {
            return target.sync();
        }
        target.append(&buffer[..read])?;
        offset += read as u64;
    }
}

/// The deepest directory at or above `dir` that exists, and the ones below it that don't, deepest first.
fn split_at_missing(dir: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let mut missing = Vec::new();
    let mut at = dir;
    loop {
        match fs::metadata(at) {
            Ok(metadata) if metadata.is_dir() => return Ok((at.to_path_buf(), missing)),
            Ok(_) => return Err(not_a_directory(at)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && at.parent().is_some() => {
                missing.push(at.to_path_buf());
                at = parent_of(at);
            }
            Err(error) => return Err(Error::io("creating directory", at, error)),
        }
    }
}

/// Syncs the entry of a directory that was already there: a crash between its creation and the sync of its
/// parent would have left it for us to find, and for the next power loss to take away.
fn sync_entry_of(dir: &Path) -> Result<()> {
    let resolved = fs::canonicalize(dir).map_err(|error| Error::io("resolving", dir, error))?;
    let Some(parent) = resolved.parent() else { return Ok(()) };
    match platform::sync_dir(parent) {
        // We may use a directory whose parent we may not read; then it is not we who created it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(|error| Error::io("syncing directory", parent, error)),
    }
}

fn create_dir(dir: &Path) -> Result<()> {
    match platform::dir_builder().create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another opener may have been faster.
            if fs::metadata(dir).is_ok_and(|metadata| metadata.is_dir()) {
                Ok(())
            } else {
                Err(not_a_directory(dir))
            }
        }
        Err(error) => Err(Error::io("creating directory", dir, error)),
    }
}

fn not_a_directory(path: &Path) -> Error {
    let cause =
        io::Error::new(io::ErrorKind::NotADirectory, "something that is not a directory stands there");
    Error::io("creating directory", path, cause)
}

/// The directory that holds `path`; for a bare name that is the current one.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether the error says that nothing is there (a file where a directory would have to be says so too).
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The operating system ends the lock when this file is closed.
struct DiskLock {
    _file: fs::File,
}

impl LockGuard for DiskLock {}

struct DiskFile {
    file: fs::File,
    path: PathBuf,
    /// Where the next append goes; `None` for a file opened for reading.
    end: Option<Mutex<u64>>,
}

impl DiskFile {
    /// Writes all of `bytes` from `offset` on, and keeps account of the file's end.
    fn write_from(&self, offset: u64, bytes: &[u8], end: &mut u64) -> Result<()> {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            match platform::write_at(&self.file, rest, at) {
                Ok(0) => return Err(Error::io("writing to", &self.path, io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    at += written as u64;
                    *end = at.max(*end);
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("writing to", &self.path, error)),
            }
        }
        Ok(())
    }
}

impl File for DiskFile {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        let Some(end) = &self.end else { return Err(super::opened_for_reading(&self.path)) };
        let mut end = end.lock();
        let offset = *end;
        self.write_from(offset, bytes, &mut end)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let Some(end) = &self.end else { return Err(super::opened_for_reading(&self.path)) };
        let mut end = end.lock();
        super::check_no_gap(&self.path, offset, *end)?;
        self.write_from(offset, bytes, &mut end)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset >= FILE_LENGTH_LIMIT {
            return Ok(0);
        }
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match platform::read_at(&self.file, rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("reading", &self.path, error)),
            }
        }
        Ok(filled)
    }

    fn read_at_once(&self, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>> {
        if offset >= FILE_LENGTH_LIMIT {
            return Ok(None);
        }
        // Whatever is wrong is for a read that may wait to report.
        Ok(platform::read_at_once(&self.file, buffer, offset))
    }

    fn fetch(&self, offset: u64, len: u64) {
        platform::fetch(&self.file, offset, len);
    }

    fn len(&self) -> Result<u64> {
        match self.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(Error::io("reading the length of", &self.path, error)),
        }
    }

    fn sync(&self) -> Result<()> {
        let synced = match self.end {
            Some(_) => platform::sync_file(&self.file),
            None => platform::sync_read_only_file(&self.file, &self.path),
        };
        synced.map_err(|error| Error::io("syncing", &self.path, error))
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::TemporaryDir;
    use super::*;

    #[test]
    fn the_parent_of_a_bare_name_is_the_current_directory() {
        assert_eq!(parent_of(Path::new("db")), Path::new("."));
        assert_eq!(parent_of(Path::new("a/db")), Path::new("a"));
        assert_eq!(parent_of(Path::new("/db")), Path::new("/"));
    }

    #[test]
    fn a_relative_directory_is_created_under_the_current_one() {
        // The directory of the tests is the package's; nothing is left there.
        let name = PathBuf::from(format!("flowdb-fs-relative-{}", std::process::id()));
        DiskFs.create_dir_all(&name.join("below")).unwrap();
        let found = DiskFs.exists(&std::env::current_dir().unwrap().join(&name).join("below")).unwrap();
        fs::remove_dir_all(&name).unwrap();
        assert!(found);
    }

    #[test]
    fn the_empty_path_is_refused() {
        assert_eq!(DiskFs.create_dir_all(Path::new("")).unwrap_err().code(), crate::error::Code::Io);
    }

    #[test]
    fn a_file_longer_than_this_object_wrote_is_read_to_its_real_end() {
        let temporary = TemporaryDir::new();
        let path = temporary.0.join("f");
        fs::write(&path, b"written by someone else").unwrap();
        let file = DiskFs.open(&path).unwrap();
        assert_eq!(file.len().unwrap(), 23);
        assert_eq!(file.read_at(8, &mut [0; 100]).unwrap(), 15);
    }

    #[test]
    fn what_is_read_without_waiting_is_what_the_file_holds() {
        let temporary = TemporaryDir::new();
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        let file = DiskFs.create(&temporary.0.join("f")).unwrap();
        file.append(&bytes).unwrap();
        let mut buffer = [0; 5_000];
        // Not every file system can tell.
        let read = file.read_at_once(98_000, &mut buffer).unwrap().unwrap_or(0);
        assert!(read <= 2_000 && buffer[..read] == bytes[98_000..98_000 + read]);
        assert_eq!(file.read_at_once(FILE_LENGTH_LIMIT, &mut buffer).unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_linked_is_copied_whole() {
        let temporary = TemporaryDir::new();
        let (from, to) = (temporary.0.join("from"), temporary.0.join("to"));
        for size in [0, 1, COPY_BYTES - 1, COPY_BYTES, 2 * COPY_BYTES + 3] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            fs::write(&from, &bytes).unwrap();

            copy(&DiskFs, &from, &to).unwrap();

            assert!(fs::read(&to).unwrap() == bytes, "{size}");
            assert!(copy(&DiskFs, &from, &to).is_err(), "something stands there");
            fs::remove_file(&to).unwrap();
        }
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{PermissionsExt, symlink};

        use super::*;

        fn mode(path: &Path) -> u32 {
            fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
        }

        #[test]
        fn nobody_else_may_read_what_is_created() {
            let temporary = TemporaryDir::new();
            let dir = temporary.0.join("outer").join("inner");
            DiskFs.create_dir_all(&dir).unwrap();
            DiskFs.create(&dir.join("f")).unwrap();
            drop(DiskFs.lock(&dir.join("LOCK")).unwrap());
            assert_eq!(mode(&temporary.0.join("outer")), 0o700);
            assert_eq!(mode(&dir), 0o700);
            assert_eq!(mode(&dir.join("f")), 0o600);
            assert_eq!(mode(&dir.join("LOCK")), 0o600);
        }

        #[test]
        fn no_link_is_followed_to_create_or_lock_a_file_elsewhere() {
            let temporary = TemporaryDir::new();
            let (link, target) = (temporary.0.join("link"), temporary.0.join("target"));
            symlink(&target, &link).unwrap();
            assert!(DiskFs.exists(&link).unwrap());
            assert!(DiskFs.create(&link).is_err());
            assert!(DiskFs.lock(&link).is_err());
            assert!(!DiskFs.exists(&target).unwrap());
        }

        #[test]
        fn a_directory_may_be_reached_by_a_link() {
            let temporary = TemporaryDir::new();
            let (link, target) = (temporary.0.join("link"), temporary.0.join("target"));
            fs::create_dir(&target).unwrap();
            symlink(&target, &link).unwrap();
            DiskFs.create_dir_all(&link.join("below")).unwrap();
            DiskFs.create_dir_all(&link).unwrap();
            let canonical = DiskFs.canonicalize(&link.join("below")).unwrap();
            assert_eq!(canonical, DiskFs.canonicalize(&target.join("below")).unwrap());
        }

        #[test]
        fn a_dangling_link_is_no_directory() {
            let temporary = TemporaryDir::new();
            let link = temporary.0.join("link");
            symlink(temporary.0.join("nowhere"), &link).unwrap();
            let error = DiskFs.create_dir_all(&link).unwrap_err();
            assert_eq!(error.io_cause().unwrap().kind(), io::ErrorKind::NotADirectory, "{error}");
        }

        #[test]
        fn a_full_device_is_reported_as_storage_full() {
            let file = fs::OpenOptions::new().write(true).open("/dev/full");
            // Only Linux has this device.
            let Ok(file) = file else { return };
            let file = DiskFile { file, path: PathBuf::from("/dev/full"), end: Some(Mutex::new(0)) };
            let error = file.append(b"bytes").unwrap_err();
            assert_eq!(error.io_cause().unwrap().kind(), io::ErrorKind::StorageFull, "{error}");
        }
    }
}
