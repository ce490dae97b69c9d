//! A bound on the files that are open for reading: one is opened when it is read, and closed again when others need
//! its place.
//!
//! What is evicted is what a clock hand finds: each file has a bit that a read sets, and the hand passes over a file
//! whose bit is set once, and clears it. A read that finds its block in a cache never comes here.
//!
//! One promise of the contract is weaker here: a file that is removed or replaced can't be read to the end by whoever has
//! it open already, since it may have to be opened again. The engine removes no file that somebody may still read, and
//! never gives a number to a second one.
//!
//! Invariant: at most `max` files are open, those of reads in progress included. A read holds one file only and for the
//! time of one call, so one that waits for a place waits for a short time, and never for itself.
#![forbid(unsafe_code)]

#[cfg(all(test, schedules))]
mod schedules;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::surroundings::Surroundings;
use super::{File, FileSystem, LockGuard};
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex};

/// The system's own limit never brings the budget below this.
const FILES_MIN: usize = 8;

/// A read that waits for a place looks up this often: a file may have become idle without anybody saying so.
const WAIT_INTERVAL: Duration = Duration::from_millis(1);

/// A file system on which only so many files are open for reading at once.
pub(crate) struct FileBudget {
    fs: Arc<dyn FileSystem>,
    ring: Arc<Ring>,
}

/// The files that are open.
struct Ring {
    state: Mutex<State>,
    /// Woken when a file was closed.
    closed: Condvar,
    surroundings: Surroundings,
}

struct State {
    max: usize,
    /// Files that are open or about to be.
    open: usize,
    slots: Vec<Arc<Slot>>,
    hand: usize,
}

/// The place of one file: it is in the ring while it holds something.
#[derive(Default)]
struct Slot {
    opened: Mutex<Option<Arc<Opened>>>,
    used: AtomicBool,
}

/// An open file, counted as long as it lives.
struct Opened {
    file: Option<Arc<dyn File>>,
    ring: Arc<Ring>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Closed first: whoever is told of the place may open a file at once.
        self.file = None;
        self.ring.give_back();
    }
}

impl FileBudget {
    /// `fs` with at most `max` files open for reading.
    pub(crate) fn new(fs: Arc<dyn FileSystem>, max: usize) -> Self {
        let state = State { max, open: 0, slots: Vec::new(), hand: 0 };
        let (state, closed) = (Mutex::new(state), Condvar::new());
        Self { fs, ring: Arc::new(Ring { state, closed, surroundings: Surroundings::default() }) }
    }

    /// How many files are open for reading.
    pub(crate) fn open_files(&self) -> usize {
        self.ring.state.lock().open
    }

    /// Runs `call`; where the process may open no more files, closes some of ours and runs it once more.
    fn relieved<T>(&self, call: impl Fn(&dyn FileSystem) -> Result<T>) -> Result<T> {
        match call(self.fs.as_ref()) {
            Err(error) if is_out_of_files(&error) => {
                self.ring.shrink();
                call(self.fs.as_ref())
            }
            result => result,
        }
    }

    fn open_counted(&self, path: &Path) -> Result<Arc<Opened>> {
        self.ring.reserve();
        // Gives the place back where the opening fails.
        let mut opened = Opened { file: None, ring: Arc::clone(&self.ring) };
        opened.file = Some(self.relieved(|fs| fs.open(path))?);
        Ok(Arc::new(opened))
    }
}

/// Whether the process or the system has no more file descriptors.
fn is_out_of_files(error: &Error) -> bool {
    let code = error.io_cause().and_then(std::io::Error::raw_os_error);
    // EMFILE and ENFILE, which have these numbers on every Unix; ERROR_TOO_MANY_OPEN_FILES.
    if cfg!(windows) { code == Some(4) } else { matches!(code, Some(23 | 24)) }
}

impl Ring {
    /// Takes a place for one more open file, closing another where there is none.
    fn reserve(&self) {
        loop {
            let mut state = self.state.lock();
            if state.open < state.max {
                state.open += 1;
                return;
            }
            let victim = state.take_idle();
            if victim.is_none() {
                self.closed.wait_for(&mut state, WAIT_INTERVAL);
            }
            // The victim is closed at the end of the scope, behind the lock.
            drop(state);
        }
    }

    fn give_back(&self) {
        self.state.lock().open -= 1;
        self.closed.notify_one();
    }

    fn join(&self, slot: &Arc<Slot>) {
        self.state.lock().slots.push(Arc::clone(slot));
    }

    fn leave(&self, slot: &Arc<Slot>) {
        let mut state = self.state.lock();
        if let Some(at) = state.slots.iter().position(|other| Arc::ptr_eq(other, slot)) {
            state.slots.swap_remove(at);
        }
    }

    /// The system has less room than the budget: closes a quarter of the files, and keeps to that, so that others in
    /// the process can open files too.
    fn shrink(&self) {
        let mut state = self.state.lock();
        state.max = (state.open - state.open.div_ceil(4)).max(FILES_MIN).min(state.max);
        let surplus = state.open.saturating_sub(state.max).max(1);
        let victims: Vec<_> = (0..surplus).map_while(|_| state.take_idle()).collect();
        drop(state);
        drop(victims);
    }
}

impl State {
    /// Takes an open file that nobody reads out of the ring: the first that was not used since the hand was there.
    fn take_idle(&mut self) -> Option<Arc<Opened>> {
        // Twice around, since the first time may only clear the bits.
        for _ in 0..self.slots.len() * 2 {
            self.hand = if self.hand < self.slots.len() { self.hand } else { 0 };
            let slot = self.slots.get(self.hand)?;
            let was_used = slot.used.swap(false, Ordering::Relaxed);
            // Reads take their share under the lock of the slot: one that has none can't get it meanwhile.
            let idle = match slot.opened.try_lock() {
                Some(mut opened) if !was_used => opened.take_if(|opened| Arc::strong_count(opened) == 1),
                _ => None,
            };
            if idle.is_some() {
                self.slots.swap_remove(self.hand);
                return idle;
            }
            self.hand += 1;
        }
        None
    }
}

/// A file that is open only when it is needed.
struct BudgetedFile {
    fs: Arc<dyn FileSystem>,
    ring: Arc<Ring>,
    path: PathBuf,
    slot: Arc<Slot>,
}

impl BudgetedFile {
    fn reading<T>(&self, read: impl FnOnce(&dyn File) -> Result<T>) -> Result<T> {
        let opened = self.opened()?;
        let file = opened.file.as_deref().expect("an opened file has one until it is dropped");
        read(file)
    }

    /// The file, where it is open and nobody is about to open or close it.
    fn opened_already(&self) -> Option<Arc<Opened>> {
        self.slot.used.store(true, Ordering::Relaxed);
        self.slot.opened.try_lock()?.clone()
    }

    fn opened(&self) -> Result<Arc<Opened>> {
        if !self.slot.used.load(Ordering::Relaxed) {
            self.slot.used.store(true, Ordering::Relaxed);
        }
        let mut place = self.slot.opened.lock();
        if let Some(opened) = &*place {
            return Ok(Arc::clone(opened));
        }
        let budget = FileBudget { fs: Arc::clone(&self.fs), ring: Arc::clone(&self.ring) };
        let opened = budget.open_counted(&self.path)?;
        *place = Some(Arc::clone(&opened));
        drop(place);
        self.ring.join(&self.slot);
        Ok(opened)
    }
}

impl Drop for BudgetedFile {
    fn drop(&mut self) {
        self.ring.leave(&self.slot);
    }
}

impl File for BudgetedFile {
    fn append(&self, _: &[u8]) -> Result<()> {
        Err(super::opened_for_reading(&self.path))
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
        Err(super::opened_for_reading(&self.path))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.reading(|file| self.ring.surroundings.read_at(file, offset, buffer))
    }

    fn read_at_once(&self, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>> {
        let Some(opened) = self.opened_already() else { return Ok(None) };
        opened.file.as_deref().map_or(Ok(None), |file| file.read_at_once(offset, buffer))
    }

    fn len(&self) -> Result<u64> {
        self.reading(|file| file.len())
    }

    fn sync(&self) -> Result<()> {
        self.reading(|file| file.sync())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl FileSystem for FileBudget {
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.relieved(|fs| fs.create_dir_all(dir))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.relieved(|fs| fs.create(path))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let (fs, ring) = (Arc::clone(&self.fs), Arc::clone(&self.ring));
        let file = BudgetedFile { fs, ring, path: path.to_path_buf(), slot: Arc::default() };
        // A file that is missing is to be missed now.
        file.opened()?;
        Ok(Arc::new(file))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.fs.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.fs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.relieved(|fs| fs.hard_link(from, to))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.fs.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        self.relieved(|fs| fs.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.relieved(|fs| fs.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.relieved(|fs| fs.lock(path))
    }

    fn canonicalize(&self, dir: &Path) -> Result<PathBuf> {
        self.fs.canonicalize(dir)
    }
}
