//! What the tests of tables share: rows, tables made of them in memory, and a random source that can be repeated.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;

use super::{BlockCache, Effort, Table, TableOptions, TableSummary, TableWriter};
use crate::config::Compression;
use crate::error::Result;
use crate::fs::{FileSystem, SimFs};
use crate::key::{EntryRef, Kind, SeqNo};
use crate::range_tombstone::RangeTombstone;

pub(super) const NUMBER: u64 = 7;

/// One entry that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Vec<u8>,
    pub(super) seqno: SeqNo,
    pub(super) kind: Kind,
    pub(super) expires_at: u64,
    pub(super) value: Vec<u8>,
}

impl Row {
    pub(super) fn value(key: impl Into<Vec<u8>>, seqno: SeqNo, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), seqno, kind: Kind::Value, expires_at: 0, value: value.into() }
    }

    pub(super) fn tombstone(key: impl Into<Vec<u8>>, seqno: SeqNo) -> Self {
        Self { kind: Kind::Tombstone, ..Self::value(key, seqno, "") }
    }

    pub(super) fn expiring(self, expires_at: u64) -> Self {
        Self { expires_at, ..self }
    }

    pub(super) fn entry(&self) -> EntryRef<'_> {
        let Self { key, seqno, kind, expires_at, value } = self;
        EntryRef { key, seqno: *seqno, kind: *kind, expires_at: *expires_at, value }
    }
}

impl From<EntryRef<'_>> for Row {
    fn from(entry: EntryRef<'_>) -> Self {
        Self {
            key: entry.key.to_vec(),
            seqno: entry.seqno,
            kind: entry.kind,
            expires_at: entry.expires_at,
            value: entry.value.to_vec(),
        }
    }
}

pub(super) fn options(block_size: usize, compression: Compression, bloom_bits_per_key: u8) -> TableOptions {
    TableOptions { block_size, compression, effort: Effort::Quick, bloom_bits_per_key }
}

/// A table file in memory.
pub(super) struct TestTable {
    pub(super) fs: SimFs,
    pub(super) summary: TableSummary,
    pub(super) bytes: Vec<u8>,
}

impl TestTable {
    /// Writes `rows`, which are in internal order.
    pub(super) fn write(options: TableOptions, rows: &[Row], tombstones: &[RangeTombstone]) -> Self {
        let fs = SimFs::in_memory();
        let mut writer = TableWriter::new(fs.create(&Self::path()).unwrap(), NUMBER, options);
        for row in rows {
            writer.add(row.entry()).unwrap();
        }
        for tombstone in tombstones {
            writer.add_range_tombstone(tombstone.clone()).unwrap();
        }
        let summary = writer.finish().unwrap();
        let bytes = fs.read_file(Self::path()).unwrap();
        assert_eq!(summary.size, bytes.len() as u64);
        Self { fs, summary, bytes }
    }

    pub(super) fn path() -> PathBuf {
        PathBuf::from("/000007.tbl")
    }

    pub(super) fn open(&self) -> Arc<Table> {
        self.open_with(1 << 20)
    }

    pub(super) fn open_with(&self, cache_bytes: usize) -> Arc<Table> {
        self.open_cached(&Arc::new(BlockCache::new(cache_bytes)))
    }

    pub(super) fn open_cached(&self, cache: &Arc<BlockCache>) -> Arc<Table> {
        let file = self.fs.open(&Self::path()).unwrap();
        Table::open(file, NUMBER, self.summary.size, Arc::clone(cache)).unwrap()
    }

    /// Opens the table as it would be if the file held `bytes`.
    pub(super) fn open_damaged(bytes: &[u8], size: u64) -> Result<Arc<Table>> {
        let fs = SimFs::in_memory();
        fs.write_file(Self::path(), bytes);
        Table::open(fs.open(&Self::path())?, NUMBER, size, Arc::new(BlockCache::new(1 << 20)))
    }
}

/// SplitMix64; a failing test can be run again with the seed that it printed, in `FLOWDB_SEED`.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn from_env() -> Self {
        let given = std::env::var("FLOWDB_SEED").ok().map(|seed| seed.parse().unwrap());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = given.unwrap_or(now);
        println!("FLOWDB_SEED={seed}");
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        crate::fs::split_mix(&mut self.0)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// Bytes of a length below `bound`, from an alphabet so small that keys share prefixes and repeat.
    pub(super) fn key(&mut self, bound: u64) -> Vec<u8> {
        let len = self.below(bound);
        (0..len).map(|_| [0, b'a', b'b', 0xff][self.below(4) as usize]).collect()
    }
}
