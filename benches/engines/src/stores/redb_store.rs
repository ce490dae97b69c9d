//! redb. It has no log and no compression; without sync its commits have `Durability::None`.

use std::ops::Bound;
use std::path::Path;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::{Reader, Store};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("data");

pub struct Redb(Database);

impl Redb {
    pub fn open(dir: &Path, cache_bytes: usize) -> Self {
        std::fs::create_dir_all(dir).expect("a directory for redb");
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let database = builder.create(dir.join("redb")).expect("opening redb");
        let txn = database.begin_write().expect("a transaction of redb");
        txn.open_table(TABLE).expect("a table of redb");
        txn.commit().expect("committing to redb");
        Self(database)
    }
}

impl Store for Redb {
    fn write(&self, entries: &[(Vec<u8>, Vec<u8>)], sync: bool) {
        let mut txn = self.0.begin_write().expect("a transaction of redb");
        let durability = if sync { Durability::Immediate } else { Durability::None };
        txn.set_durability(durability).expect("a durability of redb");
        let mut table = txn.open_table(TABLE).expect("a table of redb");
        for (key, value) in entries {
            table.insert(key.as_slice(), value.as_slice()).expect("writing to redb");
        }
        drop(table);
        txn.commit().expect("committing to redb");
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        let txn = self.0.begin_read().expect("a transaction of redb");
        Box::new(RedbReader(txn.open_table(TABLE).expect("a table of redb")))
    }

    fn settle(&self) {
        self.write(&[], true);
    }
}

struct RedbReader(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Reader for RedbReader {
    fn get(&self, key: &[u8]) -> Option<usize> {
        self.0.get(key).expect("reading redb").map(|value| value.value().len())
    }

    fn scan(&self, start: &[u8], limit: usize, reverse: bool) -> (usize, usize) {
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = match reverse {
            true => (Bound::Unbounded, Bound::Excluded(start)),
            false => (Bound::Included(start), Bound::Unbounded),
        };
        let mut rows = self.0.range::<&[u8]>(bounds).expect("scanning redb");
        let (mut count, mut bytes) = (0, 0);
        while count < limit {
            let next = if reverse { rows.next_back() } else { rows.next() };
            let Some(row) = next else { break };
            let (key, value) = row.expect("scanning redb");
            count += 1;
            bytes += key.value().len() + value.value().len();
        }
        (count, bytes)
    }
}
