//! The engine: an ordered, transactional map from bytes to bytes, on disk or in memory.
//!
//! A write goes through the commit queue into the log and the active memtable; a full memtable is sealed and
//! flushed to a table of level 0, and compaction moves tables down. A read looks at the memtables and then at the
//! tables, newest first. What a reader sees is fixed by a seqno, so that nobody waits for anybody.
//!
//! ```
//! use flowdb::config::Config;
//! use flowdb::engine::{CommitOptions, Engine, WriteBatch};
//!
//! # fn main() -> flowdb::error::Result<()> {
//! let db = Engine::open(Config::in_memory())?;
//! let mut batch = WriteBatch::new();
//! batch.put(b"stage", b"Bologna")?;
//! db.commit(batch, CommitOptions::default())?;
//! assert_eq!(db.get(b"stage", None)?.unwrap().bytes, b"Bologna");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod attached;
mod background;
mod batch;
mod checkpoint;
mod commit;
mod destroy;
mod directory;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod log;
mod pacing;
mod pipeline;
mod prometheus;
mod queue;
mod read;
mod read_many;
mod recovery;
mod repair;
#[cfg(all(test, schedules))]
mod schedules;
mod shared;
mod size;
mod snapshot;
mod source;
mod stats;
mod try_commit;
mod upkeep;
mod value;
mod verify;

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use crate::config::{Config, SyncMode};
use crate::error::{Code, Error, Result, shown_path};
use crate::fs::{DiskFs, FileBudget, FileSystem, SimFs};
use crate::sstable::BlockCache;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::thread::JoinHandle;
use crate::sync::{ArcSwap, Mutex};
use crate::times::Times;
use crate::version::{CleanEnd, TableSource, VersionEdit, lock_path};

pub use crate::compaction::CompactionKind;
pub use crate::key::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub(crate) use batch::BatchEntry;
pub use batch::{BATCH_BYTES_MAX, WriteBatch};
pub use commit::{CommitCheck, CommitOptions};
pub use destroy::destroy;
#[cfg(feature = "node")]
pub(crate) use destroy::destroy_while;
pub(crate) use directory::create_dir;
pub use read::{Direction, Row, Scan, ScanRange, TryGet, Value, ValueRef};
pub use recovery::{Loss, SalvageReport};
pub(crate) use repair::repair_while;
pub use repair::{ManifestFound, RepairReport, repair, repair_on};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub(crate) use upkeep::{GoOn, always};
pub use value::{TRY_GET_BYTES_MAX, ValueReader, ValueSlice};

use shared::{Shared, View};
use snapshot::Snapshots;

/// Where a database in memory believes to be.
const IN_MEMORY_DIR: &str = "/flowdb";

/// At a close, a memtable whose log would take noticeable time to replay is flushed instead, in bytes.
const CLOSE_FLUSH_BYTES: usize = 256 << 10;

/// An open database. Clones are handles to the same one; the last one that goes closes it.
#[derive(Clone)]
pub struct Engine(Arc<Owner>);

struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closing: Mutex<()>,
    attached: attached::Attached,
}

impl Engine {
    /// Opens the database that `config` describes, creating it where it is missing.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a setting out of its limits, `Locked` where another process has the database open,
    /// `NotFound` where there is none and it may not be created or is only to be read, `Unsupported` where one of
    /// LevelDB's stands there, `Corruption`, `Version`, `Io`.
    pub fn open(config: Config) -> Result<Self> {
        if config.in_memory {
            return Self::open_on(config, Arc::new(SimFs::in_memory()));
        }
        Self::open_on(config, Arc::new(DiskFs))
    }

    /// Opens the database on a file system of the caller's.
    ///
    /// # Errors
    ///
    /// As [`Engine::open`].
    pub fn open_on(config: Config, fs: Arc<dyn FileSystem>) -> Result<Self> {
        config.check()?;
        let dir = if config.in_memory { PathBuf::from(IN_MEMORY_DIR) } else { config.data_dir.clone() };
        if config.read_only {
            directory::check_exists(fs.as_ref(), &dir)?;
        } else if config.create_if_missing || config.in_memory {
            create_dir(fs.as_ref(), &dir)?;
        } else if !fs.exists(&dir)? {
            let message = format!("{} does not exist, and it was not to be created", shown_path(&dir));
            return Err(Error::new(Code::NotFound, message));
        }
        directory::check_lockable(fs.as_ref(), &dir)?;
        let lock = fs.lock(&lock_path(&dir))?;
        let open_files = Arc::new(FileBudget::new(fs, config.max_open_files));
        let fs: Arc<dyn FileSystem> = Arc::clone(&open_files) as _;
        let cache =
            BlockCache::with_pins(config.block_cache_capacity_bytes, config.index_memory_budget_bytes);
        let cache = Arc::new(cache);
        let source = Arc::new(TableSource { fs: Arc::clone(&fs), dir: dir.clone(), cache });
        let recovered = recovery::recover(&config, &source)?;
        let background = Arc::new(background::Background::default());
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&background)));
        snapshots.publish(recovered.log.last_seqno);
        let view = View {
            active: Arc::new(recovered.active),
            frozen: recovered.frozen.into_iter().map(Arc::new).collect(),
            version: Arc::new(recovered.version),
        };
        let shared = Arc::new(Shared {
            fs,
            open_files,
            dir,
            source,
            view: ArcSwap::from_pointee(view),
            changing_view: Mutex::new(()),
            snapshots,
            commits: queue::CommitQueue::default(),
            pipeline: pipeline::Pipeline::new(recovered.log.last_seqno),
            log: Mutex::new(recovered.log),
            flushing: Mutex::new(()),
            compacting: Mutex::new(()),
            manifest: Mutex::new(recovered.manifest),
            next_file_number: AtomicU64::new(recovered.next_file_number),
            clean_end: recovered.clean_end,
            salvaged: recovered.salvaged,
            poison: OnceLock::new(),
            closed: AtomicBool::new(false),
            background,
            counters: stats::Counters::default(),
            write_limit: pacing::WriteLimit::new(config.write_limit_bytes_per_sec),
            lock: Mutex::new(Some(lock)),
            config,
        });
        let has_background = shared.config.auto_background && !shared.config.read_only;
        let threads = if has_background { background::start(&shared)? } else { Vec::new() };
        let (threads, attached) = (Mutex::new(threads), attached::Attached::default());
        Ok(Self(Arc::new(Owner { shared, threads, closing: Mutex::new(()), attached })))
    }

    /// Makes `batch` visible, as durable as `options` say, and returns the seqno of its last entry.
    ///
    /// Batches of concurrent callers share one write and one sync.
    ///
    /// # Errors
    ///
    /// Whatever the check of `options` gives; `Io` when the log can't be written, and `Poisoned` from then on;
    /// `ReadOnly`; `Closed`. A batch that was refused changes nothing; after an `Io` error it may or may not be there when
    /// the database is opened again.
    pub fn commit(&self, batch: WriteBatch, options: CommitOptions) -> Result<u64> {
        self.shared().commit(batch, options)
    }

    /// As [`Engine::commit`] where that waits for nobody; `None` where it would, and then nothing has been done. What a check
    /// waits for is its own business.
    #[must_use]
    pub fn try_commit(&self, batch: WriteBatch, options: CommitOptions) -> Option<Result<u64>> {
        self.shared().try_commit(batch, options)
    }

    /// Whether [`Engine::try_commit`] would commit now. It may not any more when it is called.
    pub(crate) fn is_commit_at_hand(&self, sync: Option<SyncMode>) -> bool {
        self.shared().is_commit_at_hand(sync)
    }

    /// Commits several batches in their order. Each succeeds or fails for itself, as by [`Engine::commit`]; together
    /// they usually cost one write and one sync. The results come in the order of the requests.
    #[must_use]
    pub fn commit_all(&self, requests: Vec<(WriteBatch, CommitOptions)>) -> Vec<Result<u64>> {
        self.shared().commit_all(requests)
    }

    /// The settings that the database was opened with; those of the first of several openers.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared().config
    }

    /// An empty batch whose puts expire after `default_ttl_secs`, unless they name an expiry of their own; where that is
    /// 0, the same as [`WriteBatch::new`]. The time begins now.
    #[must_use]
    pub fn batch(&self) -> WriteBatch {
        match self.shared().config.default_ttl_secs {
            0 => WriteBatch::new(),
            secs => WriteBatch::expiring_at(self.now_ms().saturating_add(secs.saturating_mul(1000))),
        }
    }

    /// The value of `key`, as of `snapshot` or of now.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn get(&self, key: &[u8], snapshot: Option<&Snapshot>) -> Result<Option<Value>> {
        self.shared().get_with(key, snapshot, |value| Value::from(value))
    }

    /// Calls `read` with the value of `key`, as of `snapshot` or of now, where it lies in memory, and returns what that
    /// returns; `None` where the key is not there. The cheapest way to read: nothing is copied. What the value lies in
    /// is held meanwhile, so `read` should be short.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    #[inline]
    pub fn get_with<R>(
        &self,
        key: &[u8],
        snapshot: Option<&Snapshot>,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Result<Option<R>> {
        self.shared().get_with(key, snapshot, read)
    }

    /// As [`Engine::get`], but never waits for a device, and gives no value of more than [`TRY_GET_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// `Corruption` or `Closed`.
    pub fn try_get(&self, key: &[u8], snapshot: Option<&Snapshot>) -> Result<TryGet> {
        self.shared().try_get_with(key, snapshot, |value| Value::from(value))
    }

    /// As [`Engine::get_with`], but never waits for a device, and gives no value of more than [`TRY_GET_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// `Corruption` or `Closed`.
    #[inline]
    pub fn try_get_with<R>(
        &self,
        key: &[u8],
        snapshot: Option<&Snapshot>,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Result<TryGet<R>> {
        self.shared().try_get_with(key, snapshot, read)
    }

    /// As [`Engine::try_get_with`] for each of `count` keys, all as of one moment; `read` is given each with its place.
    ///
    /// # Errors
    ///
    /// `Corruption` or `Closed`.
    pub fn try_get_many_with<'k>(
        &self,
        count: usize,
        key: impl Fn(usize) -> &'k [u8],
        read: impl FnMut(usize, TryGet<ValueRef<'_>>),
    ) -> Result<()> {
        self.shared().try_get_many_with(count, key, read)
    }

    /// Up to `len` bytes of the value of `key` from `offset` on, as of `snapshot` or of now. Of a value in a value file
    /// only what holds them is read: chunks of 64 KiB, and their directory, 4 bytes for each chunk of the value.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn get_slice(
        &self,
        key: &[u8],
        offset: u64,
        len: usize,
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<ValueSlice>> {
        self.shared().get_slice(key, offset, len, snapshot)
    }

    /// A reader of the value of `key`, as of `snapshot` or of now, for values that are not to be in memory whole.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn open_value(&self, key: &[u8], snapshot: Option<&Snapshot>) -> Result<Option<ValueReader>> {
        self.shared().open_value(key, snapshot)
    }

    /// Fixes what is visible now, until the snapshot is dropped.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.shared().snapshots)
    }

    /// The rows of `range`, as of `snapshot` or of now.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn scan(&self, range: ScanRange, direction: Direction, snapshot: Option<&Snapshot>) -> Result<Scan> {
        self.shared().scan(range, direction, snapshot, None)
    }

    /// As [`Engine::scan`], but only the records (rows as `series` writes them) within a span of time. Blocks and tables
    /// that hold none are not read.
    ///
    /// # Errors
    ///
    /// As [`Engine::scan`].
    pub(crate) fn scan_within(
        &self,
        range: ScanRange,
        times: Times,
        direction: Direction,
        snapshot: Option<&Snapshot>,
    ) -> Result<Scan> {
        self.shared().scan(range, direction, snapshot, Some(times))
    }

    /// The seqno of the last commit that a new snapshot would see.
    #[must_use]
    pub fn visible_seqno(&self) -> u64 {
        self.shared().snapshots.visible()
    }

    /// The time by which entries expire, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared().config.clock.now_ms()
    }

    /// Moves everything that is in memory into tables.
    ///
    /// # Errors
    ///
    /// `Io`, `Poisoned`, `ReadOnly` or `Closed`.
    pub fn flush(&self) -> Result<()> {
        let shared = self.shared();
        let mut log = shared.log.lock();
        // Asked with the lock in hand: a log that is begun behind the end that a close has written would be taken
        // for the successor of a log before.
        shared.check_writable()?;
        let active = Arc::clone(&shared.view().active.memtable);
        if !active.is_empty() || !active.range_tombstones().is_empty() {
            shared.seal(&mut log)?;
        }
        drop(log);
        while shared.flush_oldest()? {}
        Ok(())
    }

    /// How many bytes the tables have between `start` and `end`, what is overwritten or deleted included, with the
    /// values that they lead to in value files; what is only in memory is not counted.
    ///
    /// A bound that goes through a table may be wrong by one data block there, and by the table's index and filter,
    /// which are counted with its last keys, and by what the table's values differ from an even spread over
    /// its bytes: it goes through at most one table of each level but level 0, where it
    /// may go through all. The sizes of adjoining ranges add up to that of their union. Costs two lookups in the
    /// index of each of these tables, and an addition for each table within the range.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn approximate_size(&self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<u64> {
        self.shared().approximate_size((start, end))
    }

    /// Does one step of the background work: a sync that is due, a flush or a compaction. False where there is
    /// nothing to flush or compact.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn run_pending(&self) -> Result<bool> {
        self.run_step(false)
    }

    /// As [`Engine::run_pending`], but with the compactions that wait for a time when nobody writes, as if it had come.
    ///
    /// # Errors
    ///
    /// As [`Engine::run_pending`].
    pub fn run_pending_when_quiet(&self) -> Result<bool> {
        self.run_step(true)
    }

    fn run_step(&self, is_quiet: bool) -> Result<bool> {
        let shared = self.shared();
        shared.check_open()?;
        if shared.config.read_only {
            return Ok(false);
        }
        shared.sync_in_background(false)?;
        Ok(shared.flush_oldest()? || shared.compact_once(is_quiet)?)
    }

    /// Makes everything that has been acknowledged durable.
    ///
    /// # Errors
    ///
    /// `Io` when the sync fails, and `Poisoned` from then on; `Closed`.
    pub fn sync(&self) -> Result<()> {
        let shared = self.shared();
        if shared.config.read_only {
            // Nothing was acknowledged.
            return shared.check_open();
        }
        shared.check_writable()?;
        let written = shared.write_buffered()?;
        let is_unproven = {
            let log = shared.log.lock();
            log.writer.is_none() && log.replayed.is_none()
        };
        // What was replayed from a log whose last sync may have failed can be read, and no sync of that log makes it
        // durable any more: only a table does.
        while is_unproven && !shared.config.in_memory && shared.flush_oldest()? {}
        shared.sync_up_to(written)
    }

    /// Whether the database was opened with `read_only`, so that everything that writes gives `ReadOnly`.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.shared().config.read_only
    }

    /// What was lost, where the database was opened with `salvage` and damage was found.
    #[must_use]
    pub fn salvage_report(&self) -> Option<&SalvageReport> {
        self.shared().salvaged.as_ref()
    }

    /// What the database counts about itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// Waits for what is in flight, makes it durable and lets the directory go. Later calls of other methods
    /// give `Closed`; closing again does nothing.
    ///
    /// # Errors
    ///
    /// `Io` where the last writes could not be made durable. The database is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }

    /// The value of the type `T` that goes with this database; see [`attached`].
    pub(crate) fn attached<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.0.attached.get()
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.shared().dir.display())
    }
}

impl Owner {
    fn close(&self) -> Result<()> {
        let _one_at_a_time = self.closing.lock();
        let shared = &self.shared;
        if shared.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        shared.background.stop();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has nothing more to say; the log is what counts.
            let _ = thread.join();
        }
        let ended = self.end_log();
        // What callers of `flush` and `compact_all` have begun in threads of theirs.
        drop((shared.flushing.lock(), shared.compacting.lock()));
        let mut manifest = shared.manifest.lock();
        *manifest = None;
        *shared.lock.lock() = None;
        ended
    }

    /// Makes the log whole and says in the manifest where it ends, so that damage to it will be seen.
    fn end_log(&self) -> Result<()> {
        let shared = &self.shared;
        let mut log = shared.log.lock();
        if shared.config.in_memory || shared.config.read_only || shared.poison.get().is_some() {
            log.writer = None;
            return Ok(());
        }
        let memory: usize = shared.view().memtables().map(|memtable| memtable.size_bytes()).sum();
        if memory >= CLOSE_FLUSH_BYTES && !log.is_sealed {
            // Only saves time at the next opening: everything is in the log.
            let _ = shared.flush_at_close(&mut log);
        }
        let ended = self.write_clean_end(&mut log);
        log.writer = None;
        ended
    }

    fn write_clean_end(&self, log: &mut log::LogState) -> Result<()> {
        let shared = &self.shared;
        if !log.is_sealed {
            shared.write_log(log, false)?;
        }
        shared.drain()?;
        let Some(writer) = &log.writer else { return Ok(()) };
        let clean_end = CleanEnd {
            log_number: writer.number(),
            end_offset: writer.end_offset(),
            last_seqno: log.last_seqno,
        };
        shared.apply_edit(VersionEdit { clean_end: Some(clean_end), ..VersionEdit::default() }, |_| {})?;
        Ok(())
    }
}

impl Shared {
    fn flush_at_close(&self, log: &mut log::LogState) -> Result<()> {
        self.seal(log)?;
        while self.flush_oldest_at_close()? {}
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Nobody is left to be told; what was acknowledged is as durable as its mode promised.
        let _ = self.close();
    }
}
