//! LMDB by heed. It has no cache of its own (the page cache is one) and compresses nothing; without sync it is opened
//! with `NO_SYNC`, which leaves its pages to the operating system as the logs of the others are.

use std::ops::Bound;
use std::path::Path;

use heed::types::Bytes;
use heed::{Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use super::{Reader, Store};

/// The most that the map may grow to.
const MAP_BYTES: usize = 16 << 30;

pub struct Lmdb {
    env: Env<WithoutTls>,
    database: heed::Database<Bytes, Bytes>,
}

impl Lmdb {
    pub fn open(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("a directory for lmdb");
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES);
        // SAFETY: the directory is ours alone, and nobody else maps its files while this process runs.
        let env = unsafe {
            options.flags(EnvFlags::NO_SYNC);
            options.open(dir)
        };
        let env = env.expect("opening lmdb");
        let mut txn = env.write_txn().expect("a transaction of lmdb");
        let database = env.create_database(&mut txn, None).expect("a database of lmdb");
        txn.commit().expect("committing to lmdb");
        Self { env, database }
    }
}

impl Store for Lmdb {
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool) {
        let mut txn = self.env.write_txn().expect("a transaction of lmdb");
        for (key, value) in entries {
            self.database.put(&mut txn, key, value).expect("writing to lmdb");
        }
        txn.commit().expect("committing to lmdb");
        if sync {
            self.env.force_sync().expect("syncing lmdb");
        }
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(LmdbReader {
            txn: self.env.read_txn().expect("a transaction of lmdb"),
            database: self.database,
        })
    }

    fn settle(&self) {}
}

struct LmdbReader<'a> {
    txn: RoTxn<'a, WithoutTls>,
    database: heed::Database<Bytes, Bytes>,
}

impl Reader for LmdbReader<'_> {
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.database.get(&self.txn, key).expect("reading lmdb").map(<[u8]>::len)
    }

    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize) {
        let mut count = (0, 0);
        let mut add = |row: heed::Result<(&[u8], &[u8])>| {
            let (key, value) = row.expect("scanning lmdb");
            count = (count.0 + 1, count.1 + key.len() + value.len());
        };
        if reverse {
            let range = (Bound::Unbounded, Bound::Excluded(start));
            self.database.rev_range(&self.txn, &range).expect("scanning lmdb").take(limit).for_each(&mut add);
        } else {
            // An empty key is none to LMDB.
            let from = if start.is_empty() { Bound::Unbounded } else { Bound::Included(start) };
            let range = (from, Bound::Unbounded);
            self.database.range(&self.txn, &range).expect("scanning lmdb").take(limit).for_each(&mut add);
        }
        count
    }
}
