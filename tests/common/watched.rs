//! A simulated disk that tells a test what is done to its files, or lets the test hold it up.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowdb::error::Result;
use flowdb::fs::{File, FileSystem, LockGuard, SimFs};

/// What a test watches. A hook that it leaves out does nothing.
pub trait Watch: Send + Sync + 'static {
    /// Before a file is created (`is_new`) or opened. What it returns lives as long as that open file.
    fn opens(&self, _path: &Path, _is_new: bool) -> Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    /// After a read of `bytes` bytes.
    fn has_read(&self, _path: &Path, _bytes: usize) {}

    /// Before a file is synced.
    fn syncs(&self, _path: &Path) -> Result<()> {
        Ok(())
    }
}

/// The disk; a clone is the same disk.
pub struct Watched<W> {
    pub disk: SimFs,
    pub watch: Arc<W>,
}

impl<W: Watch> Watched<W> {
    pub fn new(disk: SimFs, watch: W) -> Self {
        Self { disk, watch: Arc::new(watch) }
    }

    fn watched(
        &self,
        path: &Path,
        is_new: bool,
        open: impl FnOnce() -> Result<Arc<dyn File>>,
    ) -> Result<Arc<dyn File>> {
        let _ticket = self.watch.opens(path, is_new)?;
        Ok(Arc::new(WatchedFile { file: open()?, watch: Arc::clone(&self.watch), _ticket }))
    }
}

impl<W> Clone for Watched<W> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), watch: Arc::clone(&self.watch) }
    }
}

/// Whether `path` ends with `.extension`.
pub fn is_a(extension: &str, path: &Path) -> bool {
    path.extension().is_some_and(|it| it == extension)
}

struct WatchedFile<W> {
    file: Arc<dyn File>,
    watch: Arc<W>,
    _ticket: Box<dyn Any + Send + Sync>,
}

impl<W: Watch> File for WatchedFile<W> {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = self.file.read_at(offset, buffer)?;
        self.watch.has_read(self.path(), read);
        Ok(read)
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn sync(&self) -> Result<()> {
        self.watch.syncs(self.path())?;
        self.file.sync()
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

impl<W: Watch> FileSystem for Watched<W> {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.watched(path, true, || self.disk.create(path))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.watched(path, false, || self.disk.open(path))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.disk.lock(path)
    }

    fn canonicalize(&self, dir: &Path) -> Result<PathBuf> {
        self.disk.canonicalize(dir)
    }
}
