//! The engines behind one small trait, each set up alike: 64 MiB of memtable, LZ4 and a filter of 10 bits a key where the
//! engine has them, one cache size for all, the default number of threads.

mod fjall_store;
mod flow;
mod flow083;
mod lmdb;
mod redb_store;
#[cfg(feature = "rocksdb")]
mod rocks;
mod surreal;

use std::path::Path;
use std::time::Duration;

use crate::clock::disk_bytes;
use crate::data::Entries;

/// Bytes of memtable or write buffer, for the engines that have one.
pub const MEMTABLE_BYTES: usize = 64 << 20;

/// Bits of filter for each key, for the engines that have filters.
pub const BLOOM_BITS: u8 = 10;

/// Ours.
pub const OURS: &str = "flowdb";

/// What ratios are given to, besides the best of all peers.
pub const REFERENCE: &str = "rocksdb";

/// The engines that are compared unless the command line names others.
pub const NAMES: &[&str] = &[
    OURS,
    #[cfg(feature = "rocksdb")]
    REFERENCE,
    "fjall",
    "surrealkv",
    "lmdb",
    "redb",
    "flowdb-0.8.3",
];

/// What an engine is opened with.
#[derive(Clone, Copy)]
pub struct Setup {
    /// The size of its cache.
    pub cache_bytes: usize,
    /// Every write will ask for a sync. For engines where that is decided when they are opened.
    pub synced: bool,
    /// Every key will be above those before it. For engines that have a way of their own for that.
    pub ascending: bool,
    /// The cache is far smaller than the data. For engines that had better keep their indexes outside it then.
    pub short_cache: bool,
}

/// An ordered map on disk. It panics where the engine gives an error.
pub trait Store: Send + Sync {
    /// Writes `entries` atomically; with `sync`, they are on the disk when this returns.
    fn write(&self, entries: Entries<'_>, sync: bool);

    /// Removes the keys of `entries` atomically.
    fn delete(&self, entries: Entries<'_>);

    /// Removes the keys from `start` to before `end` at once; false where the engine can't.
    fn delete_range(&self, _start: &[u8], _end: &[u8]) -> bool {
        false
    }

    /// Something to read with, as of now. Engines that read in transactions begin one here and not at each read.
    fn reader(&self) -> Box<dyn Reader + '_>;

    /// Moves what is in memory into tables and waits for the compactions that follow, where there are such things.
    fn settle(&self);

    /// Compacts everything, and returns when that is done; false where the engine can't while it is in use.
    fn compact_all(&self) -> bool {
        false
    }

    /// Whether there is a log from which unsynced writes come back after the process has died.
    fn has_log(&self) -> bool {
        true
    }

    /// Whether scans can go backwards.
    fn scans_backwards(&self) -> bool {
        true
    }

    /// Closes it in the way that it documents.
    fn close(self: Box<Self>);
}

/// A view to read from.
pub trait Reader {
    /// What the value of `key` is.
    fn get(&mut self, key: &[u8]) -> Option<Seen>;

    /// Reads rows, and returns what there was.
    fn scan(&mut self, scan: Scan<'_>) -> Rows;
}

/// What a read saw of a value, enough to tell whether it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its length.
    pub bytes: usize,
    /// Its first eight bytes; see [`crate::data::head`].
    pub head: u64,
}

impl Seen {
    /// Looks at a value, without copying it.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        let head = value.first_chunk().map_or(u64::MAX, |head| u64::from_le_bytes(*head));
        Self { bytes: value.len(), head }
    }
}

/// What to scan.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    /// The first key, or the beginning.
    pub start: Option<&'a [u8]>,
    /// Behind the last key, or the end.
    pub end: Option<&'a [u8]>,
    /// The most rows.
    pub limit: u64,
    /// From the end on.
    pub reverse: bool,
}

impl Scan<'_> {
    /// Every row.
    pub const ALL: Self = Self { start: None, end: None, limit: u64::MAX, reverse: false };
}

/// What a scan saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many rows.
    pub rows: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
    /// The sum of the heads of their values, which shows a row that is wrong, missing or there twice.
    pub heads: u64,
}

impl Rows {
    /// Looks at a row.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes += (key.len() + value.len()) as u64;
        self.heads = self.heads.wrapping_add(Seen::of(value).head);
    }
}

/// Opens the engine called `name` in `dir`.
///
/// # Panics
///
/// If there is no such engine, or it can't be opened.
#[must_use]
pub fn open(name: &str, dir: &Path, setup: Setup) -> Box<dyn Store> {
    std::fs::create_dir_all(dir).expect("a directory for an engine");
    match name {
        OURS => Box::new(flow::Flow::open(dir, setup)),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Box::new(rocks::Rocks::open(dir, setup, false)),
        #[cfg(feature = "rocksdb")]
        "rocksdb-tuned" => Box::new(rocks::Rocks::open(dir, setup, true)),
        "fjall" => Box::new(fjall_store::Fjall::open(dir, setup)),
        "surrealkv" => Box::new(surreal::Surreal::open(dir, setup)),
        "lmdb" => Box::new(lmdb::Lmdb::open(dir, setup)),
        "redb" => Box::new(redb_store::Redb::open(dir, setup)),
        "flowdb-0.8.3" => Box::new(flow083::Flow083::open(dir, setup)),
        _ => panic!("no engine is called {name}: {NAMES:?} and rocksdb-tuned are known"),
    }
}

/// Waits until neither what `counted` gives nor the disk that `dir` takes has changed for a while: no flush or compaction is
/// writing any more.
fn wait_until_quiet<T: PartialEq>(dir: &Path, counted: impl Fn() -> T) {
    const QUIET: Duration = Duration::from_millis(600);
    let state = || (counted(), disk_bytes(dir));
    let mut last = state();
    loop {
        std::thread::sleep(QUIET);
        if std::mem::replace(&mut last, state()) == last {
            return;
        }
    }
}
