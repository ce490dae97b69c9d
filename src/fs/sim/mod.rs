//! A file system in memory, with the crash model of [`crate::fs`] and faults on demand.
//!
//! It serves the engine's in-memory mode, where nothing is durable and nothing is recorded, and tests, where it
//! remembers which bytes and names a power loss may take. Everything in it is deterministic: faults go by the number of the operation, and
//! what a crash takes by a seed.
#![forbid(unsafe_code)]

mod crash;
mod gate;
mod node;
mod random;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use crash::CrashOutcome;
pub use gate::Fault;
#[cfg(test)]
pub(crate) use random::split_mix;

use super::{File, FileSystem, LockGuard};
use crate::error::{Error, Result};
use gate::Gate;
use node::Node;
use tree::{Entry, Tree, normalize};

/// A disk in memory. Clones share it.
///
/// Relative paths start at its root directory, which is always there.
#[derive(Clone)]
pub struct SimFs(Arc<Disk>);

struct Disk {
    gate: Gate,
    tree: Mutex<Tree>,
    locks: Mutex<HashSet<PathBuf>>,
}

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl SimFs {
    /// An empty disk that knows what a power loss may take.
    #[must_use]
    pub fn new() -> Self {
        Self::with_tree(Tree::new(true))
    }

    /// An empty disk that keeps no account of what is unsynced: for databases that are to end with the process.
    /// To it, every crash is [`CrashOutcome::ProcessOnly`].
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with_tree(Tree::new(false))
    }

    /// An empty disk whose machine crashes after `operations` mutating operations. See [`SimFs::crash_at`].
    #[must_use]
    pub fn crashing_after(operations: u64) -> Self {
        let disk = Self::new();
        disk.crash_at(operations);
        disk
    }

    fn with_tree(tree: Tree) -> Self {
        let gate = Gate::new(tree.is_tracked());
        Self(Arc::new(Disk { gate, tree: Mutex::new(tree), locks: Mutex::default() }))
    }

    /// How many mutating operations have been tried: create, append, write, sync, link, rename, remove, `sync_dir`, and of
    /// `create_dir_all` each directory that it creates and each that it syncs.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.gate.operations()
    }

    /// Lets the machine crash during mutating operation `nth_op`, counted from 0 as [`SimFs::operations`] does. That
    /// one fails, after having done a part of its work, and from then on everything fails, reads too.
    pub fn crash_at(&self, nth_op: u64) {
        self.0.gate.crash_at(nth_op);
    }

    /// Lets the machine crash now, between two operations.
    pub fn crash(&self) {
        self.0.gate.crash();
    }

    /// Lets mutating operation `nth_op` fail, counted from 0 as [`SimFs::operations`] does.
    pub fn fail_at(&self, nth_op: u64, fault: Fault) {
        self.0.gate.fail_at(nth_op, fault);
    }

    /// How many reads have been tried: of a file's bytes, openings and listings. [`SimFs::in_memory`] does not count them.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.0.gate.reads()
    }

    /// Lets read `nth_read` fail, counted from 0 as [`SimFs::reads`] does.
    pub fn fail_read_at(&self, nth_read: u64, fault: Fault) {
        self.0.gate.fail_read_at(nth_read, fault);
    }

    /// Lets every read of a file, every open and every listing fail, or no longer.
    pub fn fail_reads(&self, fail: bool) {
        self.0.gate.fail_reads(fail);
    }

    /// Lets writes that lengthen a file fail with `StorageFull`, after writing what fits, once all files together hold `bytes`.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.gate.set_capacity(bytes);
    }

    /// Ends all faults, read faults and the capacity limit. A crash can't be healed: see [`SimFs::after_crash`].
    pub fn heal(&self) {
        self.0.gate.heal();
    }

    /// The disk as a machine would find it after a crash now: unlocked, without faults, and independent of this one.
    #[must_use]
    pub fn after_crash(&self, outcome: CrashOutcome) -> Self {
        let _closed = self.0.gate.close();
        Self::with_tree(crash::tree_after(&self.0.tree.lock(), outcome))
    }

    /// An independent copy of the disk as it is: unlocked and without faults, with the same bytes and names unsynced.
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        self.after_crash(CrashOutcome::ProcessOnly)
    }

    /// The bytes of a file, past all faults and counts.
    #[must_use]
    pub fn read_file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let node = self.0.node(path.as_ref()).ok()?;
        let bytes = node.contents.read().to_vec();
        Some(bytes)
    }

    /// Gives a file these bytes, durable, past all faults and counts. Open handles see them; a missing file is created.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        let node = Node::durable(bytes);
        let mut tree = self.0.tree.lock();
        let path = normalize(path.as_ref());
        match tree.file(&path) {
            Ok(there) => *there.contents.write() = node.contents.into_inner(),
            Err(_) => tree.place(&path, node),
        }
    }

    /// The absolute paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.tree.lock().files().map(|(path, _)| path.clone()).collect()
    }

    /// Passes the gate with a change of a directory, and makes it.
    fn change<T>(
        &self,
        doing: &str,
        path: &Path,
        make: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> Result<T> {
        let mut pass = self.0.gate.enter();
        let made = if pass.applies() { Some(make(&mut self.0.tree.lock())) } else { None };
        pass.verdict(doing, path)?;
        let made = made.expect("an operation that the gate lets succeed is applied");
        made.map_err(|error| Error::io(doing, path, error))
    }

    /// The deepest path at or above `path` where something stands, which must be a directory.
    fn deepest_existing(&self, path: &Path) -> Result<PathBuf> {
        let tree = self.0.tree.lock();
        let existing = path.ancestors().find(|above| tree.get(above).is_some()).unwrap_or(path);
        let usable = self.0.gate.check_alive().and_then(|()| tree.check_dir(existing));
        usable
            .map(|()| existing.to_path_buf())
            .map_err(|error| Error::io("creating directory", existing, error))
    }

    fn file(&self, path: &Path, node: Arc<Node>, writable: bool) -> Arc<dyn File> {
        Arc::new(SimFile { disk: Arc::clone(&self.0), node, path: path.to_path_buf(), writable })
    }
}

impl Disk {
    fn node(&self, path: &Path) -> io::Result<Arc<Node>> {
        self.tree.lock().file(&normalize(path)).cloned()
    }

    /// How many bytes fit on the disk besides what its files hold.
    fn room(&self, capacity: Option<u64>) -> usize {
        let Some(capacity) = capacity else { return usize::MAX };
        let used: u64 = self.tree.lock().files().map(|(_, node)| node.len()).sum();
        usize::try_from(capacity.saturating_sub(used)).unwrap_or(usize::MAX)
    }
}

impl FileSystem for SimFs {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let path = normalize(dir);
        let existing = self.deepest_existing(&path)?;
        if let Some(parent) = existing.parent() {
            self.sync_dir(parent)?;
        }
        let missing: Vec<&Path> = path.ancestors().take_while(|above| *above != existing).collect();
        for missing_dir in missing.into_iter().rev() {
            self.change("creating directory", missing_dir, |tree| tree.create_dir(missing_dir))?;
            self.sync_dir(missing_dir.parent().unwrap_or(missing_dir))?;
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let node = self.change("creating", path, |tree| tree.create(&normalize(path)))?;
        Ok(self.file(path, node, true))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let node = self.0.gate.check_read().and_then(|()| self.0.node(path));
        Ok(self.file(path, node.map_err(|error| Error::io("opening", path, error))?, false))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.0.gate.check_alive().map_err(|error| Error::io("looking for", path, error))?;
        Ok(self.0.tree.lock().get(&normalize(path)).is_some())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        super::check_same_directory(from, to)?;
        self.change("renaming", from, |tree| tree.rename(&normalize(from), &normalize(to)))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.change("linking", from, |tree| tree.hard_link(&normalize(from), &normalize(to)))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.change("removing", path, |tree| tree.remove(&normalize(path)))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let names = self.0.gate.check_read().and_then(|()| self.0.tree.lock().list(&normalize(dir)));
        names.map_err(|error| Error::io("listing", dir, error))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.change("syncing directory", dir, |tree| tree.sync_dir(&normalize(dir)))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        let normal = normalize(path);
        let mut locks = self.0.locks.lock();
        let present = self.0.gate.check_alive().and_then(|()| {
            let mut tree = self.0.tree.lock();
            match tree.get(&normal) {
                Some(Entry::File(_)) => Ok(()),
                Some(Entry::Directory) => Err(io::ErrorKind::IsADirectory.into()),
                None => tree.create(&normal).map(|_| ()),
            }
        });
        present.map_err(|error| Error::io("locking", path, error))?;
        if !locks.insert(normal.clone()) {
            return Err(super::locked(path));
        }
        Ok(Box::new(SimLock { disk: Arc::clone(&self.0), path: normal }))
    }

    fn canonicalize(&self, dir: &Path) -> Result<PathBuf> {
        let normal = normalize(dir);
        let present = self.0.gate.check_alive().and_then(|()| self.0.tree.lock().check_dir(&normal));
        present.map(|()| normal).map_err(|error| Error::io("resolving", dir, error))
    }
}

struct SimLock {
    disk: Arc<Disk>,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.locks.lock().remove(&self.path);
    }
}

struct SimFile {
    disk: Arc<Disk>,
    node: Arc<Node>,
    path: PathBuf,
    writable: bool,
}

impl SimFile {
    /// Writes `bytes` at `offset`, or at the end of the file. What overwrites others needs no room on the disk.
    fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<()> {
        if !self.writable {
            return Err(super::opened_for_reading(&self.path));
        }
        let mut pass = self.disk.gate.enter();
        let room = self.disk.room(pass.capacity());
        let is_tracked = self.disk.tree.lock().is_tracked();
        let mut contents = self.node.contents.write();
        let offset = offset.unwrap_or(contents.len());
        super::check_no_gap(&self.path, offset, contents.len())?;
        let applied = pass.bytes_applied(bytes.len());
        let over = usize::try_from(contents.len() - offset).unwrap_or(usize::MAX);
        let fitting = applied.min(room.saturating_add(over));
        if fitting > 0 {
            contents.write_at(offset, &bytes[..fitting], is_tracked);
        }
        drop(contents);
        pass.verdict("writing to", &self.path)?;
        if fitting < applied {
            return Err(Error::io("writing to", &self.path, io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }
}

impl File for SimFile {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.write(None, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write(Some(offset), bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.disk.gate.check_read().map_err(|error| Error::io("reading", &self.path, error))?;
        Ok(self.node.contents.read().read_at(offset, buffer))
    }

    fn read_at_once(&self, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>> {
        // What is a disk in tests has nothing in a page cache.
        if self.disk.tree.lock().is_tracked() {
            return Ok(None);
        }
        Ok(self.read_at(offset, buffer).ok())
    }

    fn len(&self) -> Result<u64> {
        let alive = self.disk.gate.check_alive();
        alive.map_err(|error| Error::io("reading the length of", &self.path, error))?;
        Ok(self.node.len())
    }

    fn sync(&self) -> Result<()> {
        let pass = self.disk.gate.enter();
        let verdict = pass.verdict("syncing", &self.path);
        if verdict.is_ok() {
            self.node.contents.write().mark_synced();
        } else if pass.is_fault() {
            self.node.contents.write().mark_doubtful();
        }
        verdict
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
