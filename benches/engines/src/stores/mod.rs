//! The engines behind one small trait, each set up alike: 64 MiB of memtable, LZ4 and a bloom filter of 10 bits a key
//! where the engine has them, one cache size for all, the default number of threads.

mod fjall_store;
mod flow;
mod lmdb;
mod redb_store;
#[cfg(feature = "rocksdb")]
mod rocks;
mod surreal;

use std::path::Path;

/// Bytes of memtable or write buffer, for the engines that have one.
pub const MEMTABLE_BYTES: usize = 64 << 20;

/// Bits of filter for each key, for the engines that have filters.
pub const BLOOM_BITS: u8 = 10;

/// The engines by the names of the command line.
pub const NAMES: &[&str] = &[
    "flowdb",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    "fjall",
    "surrealkv",
    "lmdb",
    "redb",
];

/// An ordered map on disk.
pub trait Store: Send + Sync {
    /// Writes `entries` atomically; with `sync`, they are on the disk when this returns.
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool);

    /// Something to read with, as of now. Engines that read in transactions begin one here and not at each read.
    fn reader(&self) -> Box<dyn Reader + '_>;

    /// Moves what is in memory into tables and waits for the compactions that follow, where there are such things.
    fn settle(&self);
}

/// A view to read from.
pub trait Reader {
    /// The length of the value of `key`.
    fn get(&self, key: &[u8]) -> Option<usize>;

    /// Reads up to `limit` rows from `start` on, or backwards from before it, and returns how many there were and the
    /// bytes of their keys and values.
    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize);
}

/// Opens the engine called `name` in `dir` with a cache of `cache_bytes`.
pub fn open(name: &str, dir: &Path, cache_bytes: usize) -> Box<dyn Store> {
    match name {
        "flowdb" => Box::new(flow::Flow::open(dir, cache_bytes)),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Box::new(rocks::Rocks::open(dir, cache_bytes)),
        "fjall" => Box::new(fjall_store::Fjall::open(dir, cache_bytes)),
        "surrealkv" => Box::new(surreal::Surreal::open(dir, cache_bytes)),
        "lmdb" => Box::new(lmdb::Lmdb::open(dir)),
        "redb" => Box::new(redb_store::Redb::open(dir, cache_bytes)),
        _ => panic!("no engine is called {name}: {NAMES:?}"),
    }
}
