//! SurrealKV with Snappy on every level, as it has no LZ4. Its commits are futures; they are driven on the calling thread.

use std::path::Path;

use surrealkv::{CompressionType, Durability, LSMIterator, Mode, Transaction, Tree, TreeBuilder};
use tokio::runtime::Runtime;

use super::{MEMTABLE_BYTES, Reader, Store};

pub struct Surreal {
    tree: Tree,
    runtime: Runtime,
}

impl Surreal {
    pub fn open(dir: &Path, cache_bytes: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime for surrealkv");
        let _inside = runtime.enter();
        let options = surrealkv::Options::new()
            .with_path(dir.to_path_buf())
            .with_compression_per_level(vec![CompressionType::SnappyCompression; 6])
            .with_max_memtable_size(MEMTABLE_BYTES)
            .with_block_cache_capacity(cache_bytes as u64);
        let tree = TreeBuilder::with_options(options).build().expect("opening surrealkv");
        drop(_inside);
        Self { tree, runtime }
    }
}

impl Store for Surreal {
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool) {
        let durability = if sync { Durability::Immediate } else { Durability::Eventual };
        let transaction = self.tree.begin_with_mode(Mode::WriteOnly).expect("a transaction of surrealkv");
        let mut transaction = transaction.with_durability(durability);
        for (key, value) in entries {
            transaction.set(key.as_slice(), value.as_slice()).expect("writing to surrealkv");
        }
        self.runtime.block_on(transaction.commit()).expect("committing to surrealkv");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(SurrealReader(
            self.tree.begin_with_mode(Mode::ReadOnly).expect("a transaction of surrealkv"),
        ))
    }

    fn settle(&self) {
        // Its flush can't be asked for: a second is longer than its compactions take on this data.
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

struct SurrealReader(Transaction);

impl Reader for SurrealReader {
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.0.get(key).expect("reading surrealkv").map(|value| value.len())
    }

    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize) {
        let (lower, upper): (&[u8], &[u8]) = if reverse { (b"", start) } else { (start, &[0xff; 17]) };
        let mut rows = self.0.range(lower, upper).expect("scanning surrealkv");
        let (mut count, mut bytes) = (0, 0);
        let mut valid =
            if reverse { rows.seek_last() } else { rows.seek_first() }.expect("scanning surrealkv");
        while valid && count < limit {
            count += 1;
            bytes += rows.key().user_key().len() + rows.value().expect("scanning surrealkv").len();
            valid = if reverse { rows.prev() } else { rows.next() }.expect("scanning surrealkv");
        }
        (count, bytes)
    }
}
