//! LMDB by heed. It has no cache of its own (the page cache is one) and compresses nothing. It is opened with `NO_SYNC`,
//! which leaves its pages to the operating system as the logs of the others are, and synced where a write asks for it.

use std::ops::Bound;
use std::path::Path;

use heed::types::Bytes;
use heed::{Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn, WithoutTls};

use super::{Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

/// The most that the map may grow to.
const MAP_BYTES: usize = 32 << 30;

pub struct Lmdb {
    env: Env<WithoutTls>,
    database: heed::Database<Bytes, Bytes>,
    flags: PutFlags,
}

impl Lmdb {
    pub fn open(dir: &Path, setup: Setup) -> Self {
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
        let flags = if setup.ascending { PutFlags::APPEND } else { PutFlags::empty() };
        Self { env, database, flags }
    }
}

impl Store for Lmdb {
    fn write(&self, entries: Entries<'_>, sync: bool) {
        let mut txn = self.env.write_txn().expect("a transaction of lmdb");
        for (key, value) in entries.iter() {
            self.database.put_with_flags(&mut txn, self.flags, key, value).expect("writing to lmdb");
        }
        txn.commit().expect("committing to lmdb");
        if sync {
            self.env.force_sync().expect("syncing lmdb");
        }
    }

    fn delete(&self, entries: Entries<'_>) {
        let mut txn = self.env.write_txn().expect("a transaction of lmdb");
        for (key, _) in entries.iter() {
            self.database.delete(&mut txn, key).expect("deleting from lmdb");
        }
        txn.commit().expect("committing to lmdb");
    }

    fn delete_range(&self, start: &[u8], end: &[u8]) -> bool {
        // One call, although what it does is to delete key by key.
        let range = (Bound::Included(start), Bound::Excluded(end));
        let mut txn = self.env.write_txn().expect("a transaction of lmdb");
        self.database.delete_range(&mut txn, &range).expect("deleting from lmdb");
        txn.commit().expect("committing to lmdb");
        true
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        let txn = self.env.read_txn().expect("a transaction of lmdb");
        Box::new(LmdbReader { txn, database: self.database })
    }

    fn settle(&self) {}

    fn has_log(&self) -> bool {
        false
    }

    fn close(self: Box<Self>) {
        self.env.prepare_for_closing().wait();
    }
}

struct LmdbReader<'a> {
    txn: RoTxn<'a, WithoutTls>,
    database: heed::Database<Bytes, Bytes>,
}

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.database.get(&self.txn, key).expect("reading lmdb").map(Seen::of)
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        let mut rows = Rows::default();
        let mut add = |row: heed::Result<(&[u8], &[u8])>| {
            let (key, value) = row.expect("scanning lmdb");
            rows.add(key, value);
        };
        let start = scan.start.map_or(Bound::Unbounded, Bound::Included);
        let end = scan.end.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
        if scan.reverse {
            let range = self.database.rev_range(&self.txn, &(start, end)).expect("scanning lmdb");
            range.take(limit).for_each(&mut add);
        } else {
            let range = self.database.range(&self.txn, &(start, end)).expect("scanning lmdb");
            range.take(limit).for_each(&mut add);
        }
        rows
    }
}
