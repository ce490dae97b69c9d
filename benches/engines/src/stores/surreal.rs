//! SurrealKV with Snappy on every level, as it has no LZ4. Its commits are futures; they are driven on the calling thread.

use std::path::{Path, PathBuf};

use surrealkv::{
    CompactRangeOptions, CompressionType, Durability, LSMIterator, Mode, ReadOptions, Transaction, Tree,
    TreeBuilder,
};
use tokio::runtime::Runtime;

use super::{MEMTABLE_BYTES, Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

pub struct Surreal {
    tree: Tree,
    runtime: Runtime,
    dir: PathBuf,
}

impl Surreal {
    pub fn open(dir: &Path, setup: Setup) -> Self {
        let runtime = Runtime::new().expect("a runtime for surrealkv");
        let inside = runtime.enter();
        let options = surrealkv::Options::new()
            .with_path(dir.to_path_buf())
            .with_compression_per_level(vec![CompressionType::SnappyCompression; 6])
            .with_max_memtable_size(MEMTABLE_BYTES)
            .with_block_cache_capacity(setup.cache_bytes as u64);
        let tree = TreeBuilder::with_options(options).build().expect("opening surrealkv");
        drop(inside);
        Self { tree, runtime, dir: dir.to_path_buf() }
    }

    fn commit(&self, sync: bool, fill: impl FnOnce(&mut Transaction) -> surrealkv::Result<()>) {
        let durability = if sync { Durability::Immediate } else { Durability::Eventual };
        let transaction = self.tree.begin_with_mode(Mode::WriteOnly).expect("a transaction of surrealkv");
        let mut transaction = transaction.with_durability(durability);
        fill(&mut transaction).expect("writing to surrealkv");
        self.runtime.block_on(transaction.commit()).expect("committing to surrealkv");
    }
}

impl Store for Surreal {
    fn write(&self, entries: Entries<'_>, sync: bool) {
        self.commit(sync, |transaction| {
            entries.iter().try_for_each(|(key, value)| transaction.set(key, value))
        });
    }

    fn delete(&self, entries: Entries<'_>) {
        self.commit(false, |transaction| entries.iter().try_for_each(|(key, _)| transaction.delete(key)));
    }

    fn delete_range(&self, start: &[u8], end: &[u8]) -> bool {
        self.commit(false, |transaction| transaction.delete_range(start, end));
        true
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(SurrealReader(
            self.tree.begin_with_mode(Mode::ReadOnly).expect("a transaction of surrealkv"),
        ))
    }

    fn settle(&self) {
        // Down to level 0 means that memtables are flushed and nothing is compacted.
        let options = CompactRangeOptions { target_level: Some(0), ..CompactRangeOptions::default() };
        self.tree.compact_range(None, None, &options).expect("flushing surrealkv");
        super::wait_until_quiet(&self.dir, || ());
    }

    fn compact_all(&self) -> bool {
        self.tree.compact_range(None, None, &CompactRangeOptions::default()).expect("compacting surrealkv");
        true
    }

    fn close(self: Box<Self>) {
        self.runtime.block_on(self.tree.close()).expect("closing surrealkv");
    }
}

struct SurrealReader(Transaction);

impl Reader for SurrealReader {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.0.get(key).expect("reading surrealkv").map(|value| Seen::of(&value))
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        let mut options = ReadOptions::new();
        options.set_iterate_lower_bound(scan.start.map(<[u8]>::to_vec));
        options.set_iterate_upper_bound(scan.end.map(<[u8]>::to_vec));
        let mut cursor = self.0.range_with_options(&options).expect("scanning surrealkv");
        let mut rows = Rows::default();
        let mut valid =
            if scan.reverse { cursor.seek_last() } else { cursor.seek_first() }.expect("scanning surrealkv");
        while valid && rows.rows < scan.limit {
            rows.add(cursor.key().user_key(), &cursor.value_ref().expect("scanning surrealkv"));
            valid = if scan.reverse { cursor.prev() } else { cursor.next() }.expect("scanning surrealkv");
        }
        rows
    }
}
