//! Fjall with LZ4 (its default) and its default filters of 10 bits a key.

use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{MEMTABLE_BYTES, Reader, Store};

pub struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

impl Fjall {
    pub fn open(dir: &Path, cache_bytes: usize) -> Self {
        let database = Database::builder(dir).cache_size(cache_bytes as u64).open().expect("opening fjall");
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES as u64);
        let keyspace = database.keyspace("data", options).expect("opening a keyspace of fjall");
        Self { database, keyspace }
    }
}

impl Store for Fjall {
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool) {
        if let ([(key, value)], false) = (entries, sync) {
            self.keyspace.insert(key.as_slice(), value.as_slice()).expect("writing to fjall");
            return;
        }
        let mut batch = self.database.batch().durability(sync.then_some(PersistMode::SyncData));
        for (key, value) in entries {
            batch.insert(&self.keyspace, key.as_slice(), value.as_slice());
        }
        batch.commit().expect("writing to fjall");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(FjallReader(&self.keyspace))
    }

    fn settle(&self) {
        self.keyspace.rotate_memtable_and_wait().expect("flushing fjall");
        let mut tables = usize::MAX;
        while std::mem::replace(&mut tables, self.keyspace.table_count()) != self.keyspace.table_count() {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

struct FjallReader<'a>(&'a Keyspace);

impl Reader for FjallReader<'_> {
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.0.get(key).expect("reading fjall").map(|value| value.len())
    }

    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize) {
        let mut count = (0, 0);
        let mut add = |row: fjall::Guard| {
            let (key, value) = row.into_inner().expect("scanning fjall");
            count = (count.0 + 1, count.1 + key.len() + value.len());
        };
        if reverse {
            let range = (Bound::Unbounded, Bound::Excluded(start));
            self.0.range::<&[u8], _>(range).rev().take(limit).for_each(&mut add);
        } else {
            self.0.range(start..).take(limit).for_each(&mut add);
        }
        count
    }
}
