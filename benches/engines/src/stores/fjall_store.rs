//! Fjall with LZ4 (its default) and its default filters of 10 bits a key.

use std::ops::Bound;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::{MEMTABLE_BYTES, Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

pub struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

impl Fjall {
    pub fn open(dir: &Path, setup: Setup) -> Self {
        let builder = Database::builder(dir).cache_size(setup.cache_bytes as u64);
        let database = builder.open().expect("opening fjall");
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES as u64);
        let keyspace = database.keyspace("data", options).expect("opening a keyspace of fjall");
        Self { database, keyspace }
    }

    /// A batch that is with the operating system once it is committed, which is not the default of batches (but of single
    /// entries).
    fn batch(&self, sync: bool) -> OwnedWriteBatch {
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        self.database.batch().durability(Some(mode))
    }
}

impl Store for Fjall {
    fn write(&self, entries: Entries<'_>, sync: bool) {
        if entries.len() == 1 && !sync {
            // Its fastest way for one entry.
            for (key, value) in entries.iter() {
                self.keyspace.insert(key, value).expect("writing to fjall");
            }
            return;
        }
        let mut batch = self.batch(sync);
        for (key, value) in entries.iter() {
            batch.insert(&self.keyspace, key, value);
        }
        batch.commit().expect("writing to fjall");
    }

    fn delete(&self, entries: Entries<'_>) {
        let mut batch = self.batch(false);
        for (key, _) in entries.iter() {
            batch.remove(&self.keyspace, key);
        }
        batch.commit().expect("deleting from fjall");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(FjallReader(&self.keyspace))
    }

    fn settle(&self) {
        self.keyspace.rotate_memtable_and_wait().expect("flushing fjall");
        while self.database.outstanding_flushes() + self.database.active_compactions() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        super::wait_until_quiet(self.keyspace.path(), || self.database.compactions_completed());
    }

    fn compact_all(&self) -> bool {
        self.keyspace.major_compact().expect("compacting fjall");
        true
    }

    fn close(self: Box<Self>) {}
}

struct FjallReader<'a>(&'a Keyspace);

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.0.get(key).expect("reading fjall").map(|value| Seen::of(&value))
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        let mut rows = Rows::default();
        let mut add = |row: fjall::Guard| {
            let (key, value) = row.into_inner().expect("scanning fjall");
            rows.add(&key, &value);
        };
        let start = scan.start.map_or(Bound::Unbounded, Bound::Included);
        let end = scan.end.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.0.range::<&[u8], _>((start, end));
        let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
        if scan.reverse {
            range.rev().take(limit).for_each(&mut add);
        } else {
            range.take(limit).for_each(&mut add);
        }
        rows
    }
}
