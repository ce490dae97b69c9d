//! A table as versions hold it: what the manifest says of it, and the open file, once someone needed it.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use super::{KeySpan, TableMeta, table_path};
use crate::error::Result;
use crate::fs::{FileSystem, nowait};
use crate::sstable::{BlockCache, Table};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Where tables are read from.
pub(crate) struct TableSource {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) cache: Arc<BlockCache>,
}

/// One table of a version. The file is removed when an obsolete handle is dropped.
pub(crate) struct TableHandle {
    meta: TableMeta,
    source: Arc<TableSource>,
    table: OnceLock<Arc<Table>>,
    opening: Mutex<()>,
    obsolete: AtomicBool,
}

impl TableHandle {
    /// A table that is opened when it is first read, so that opening a database doesn't depend on its size.
    pub(crate) fn new(meta: TableMeta, source: Arc<TableSource>) -> Self {
        let (table, opening) = (OnceLock::new(), Mutex::new(()));
        Self { meta, source, table, opening, obsolete: AtomicBool::new(false) }
    }

    /// What the manifest says of the table.
    pub(crate) fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// The open table.
    pub(crate) fn open(&self) -> Result<&Arc<Table>> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        if !nowait::may_wait() {
            return Err(nowait::refusal(&table_path(&self.source.dir, self.meta.number)));
        }
        let _one_at_a_time = self.opening.lock();
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let path = table_path(&self.source.dir, self.meta.number);
        let file = self.source.fs.open(&path)?;
        let table = Table::open(file, self.meta.number, self.meta.size, Arc::clone(&self.source.cache))?;
        Ok(self.table.get_or_init(|| table))
    }

    /// The table if someone has opened it already.
    #[inline]
    pub(crate) fn opened(&self) -> Option<&Arc<Table>> {
        self.table.get()
    }

    /// The keys that the table may hold or delete.
    pub(crate) fn span(&self) -> KeySpan {
        KeySpan {
            smallest: self.meta.smallest.clone(),
            largest: self.meta.largest.clone(),
            largest_is_exclusive: self.meta.largest_is_exclusive,
        }
    }

    /// Whether every key of the table is below `key`.
    pub(crate) fn ends_before(&self, key: &[u8]) -> bool {
        let largest = self.meta.largest.as_slice();
        if self.meta.largest_is_exclusive { largest <= key } else { largest < key }
    }

    /// Whether every key of the table lies before a range that begins at `start`.
    pub(crate) fn is_below(&self, start: Bound<&[u8]>) -> bool {
        match start {
            Bound::Unbounded => false,
            Bound::Included(key) => self.ends_before(key),
            Bound::Excluded(key) => self.meta.largest.as_slice() <= key,
        }
    }

    /// Whether every key of the table lies behind a range that ends at `end`.
    pub(crate) fn is_above(&self, end: Bound<&[u8]>) -> bool {
        match end {
            Bound::Unbounded => false,
            Bound::Included(key) => self.meta.smallest.as_slice() > key,
            Bound::Excluded(key) => self.meta.smallest.as_slice() >= key,
        }
    }

    /// Whether the table may hold or delete `key`.
    pub(crate) fn may_hold(&self, key: &[u8]) -> bool {
        self.meta.smallest.as_slice() <= key && !self.ends_before(key)
    }

    /// No later version holds the table: its file goes with the last one that does.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for TableHandle {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.source.cache.evict_file(self.meta.number);
            // A file that stays behind is an orphan, and the next open removes it.
            let _ = self.source.fs.remove(&table_path(&self.source.dir, self.meta.number));
        }
    }
}
