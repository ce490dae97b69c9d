//! redb. It has no log and no compression; without sync its commits have `Durability::None`.

use std::ops::Bound;
use std::path::Path;

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, Table, TableDefinition};

use super::{Reader, Rows, Scan, Seen, Setup, Store};
use crate::data::Entries;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("data");

pub struct Redb(Database);

impl Redb {
    pub fn open(dir: &Path, setup: Setup) -> Self {
        let mut builder = Database::builder();
        builder.set_cache_size(setup.cache_bytes);
        let redb = Self(builder.create(dir.join("redb")).expect("opening redb"));
        redb.commit(false, |_| ());
        redb
    }

    fn commit(&self, sync: bool, fill: impl FnOnce(&mut Table<'_, &[u8], &[u8]>)) {
        let mut txn = self.0.begin_write().expect("a transaction of redb");
        let durability = if sync { Durability::Immediate } else { Durability::None };
        txn.set_durability(durability).expect("a durability of redb");
        fill(&mut txn.open_table(TABLE).expect("a table of redb"));
        txn.commit().expect("committing to redb");
    }
}

impl Store for Redb {
    fn write(&self, entries: Entries<'_>, sync: bool) {
        self.commit(sync, |table| {
            for (key, value) in entries.iter() {
                table.insert(key, value).expect("writing to redb");
            }
        });
    }

    fn delete(&self, entries: Entries<'_>) {
        self.commit(false, |table| {
            for (key, _) in entries.iter() {
                table.remove(key).expect("deleting from redb");
            }
        });
    }

    fn delete_range(&self, start: &[u8], end: &[u8]) -> bool {
        // One call, although what it does is to visit key by key.
        self.commit(false, |table| table.retain_in(start..end, |_, _| false).expect("deleting from redb"));
        true
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        let txn = self.0.begin_read().expect("a transaction of redb");
        Box::new(RedbReader(txn.open_table(TABLE).expect("a table of redb")))
    }

    fn settle(&self) {
        self.commit(true, |_| ());
    }

    fn has_log(&self) -> bool {
        false
    }

    fn close(self: Box<Self>) {}
}

struct RedbReader(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Reader for RedbReader {
    fn get(&mut self, key: &[u8]) -> Option<Seen> {
        self.0.get(key).expect("reading redb").map(|value| Seen::of(value.value()))
    }

    fn scan(&mut self, scan: Scan<'_>) -> Rows {
        let start = scan.start.map_or(Bound::Unbounded, Bound::Included);
        let end = scan.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut cursor = self.0.range::<&[u8]>((start, end)).expect("scanning redb");
        let mut rows = Rows::default();
        while rows.rows < scan.limit {
            let next = if scan.reverse { cursor.next_back() } else { cursor.next() };
            let Some(row) = next else { break };
            let (key, value) = row.expect("scanning redb");
            rows.add(key.value(), value.value());
        }
        rows
    }
}
