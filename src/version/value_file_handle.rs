//! A value file as versions hold it: what the manifest says of it, the open file, once someone needed it, and the way to
//! those of its values that the block cache holds.
//!
//! Invariant: a value enters the cache whole and verified, under its place in the file, and leaves it with the file.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::OnceLock;

use super::{TableSource, ValueFileMeta, values_path};
use crate::error::Result;
use crate::fs::nowait;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::value_file::{FOOTER_BYTES, ValueFile, ValuePointer};

/// One value file of a version. The file is removed when an obsolete handle is dropped.
pub(crate) struct ValueFileHandle {
    meta: ValueFileMeta,
    source: Arc<TableSource>,
    opened: OnceLock<ValueFile>,
    opening: Mutex<()>,
    obsolete: AtomicBool,
}

impl ValueFileHandle {
    /// A value file that is opened when it is first read.
    pub(crate) fn new(meta: ValueFileMeta, source: Arc<TableSource>) -> Self {
        let (opened, opening) = (OnceLock::new(), Mutex::new(()));
        Self { meta, source, opened, opening, obsolete: AtomicBool::new(false) }
    }

    /// What the manifest says of the file.
    pub(crate) fn meta(&self) -> ValueFileMeta {
        self.meta
    }

    /// The bytes of all records in the file, needed or not.
    pub(crate) fn record_bytes(&self) -> u64 {
        self.meta.size.saturating_sub(FOOTER_BYTES as u64)
    }

    /// The open file.
    pub(crate) fn open(&self) -> Result<&ValueFile> {
        if let Some(file) = self.opened.get() {
            return Ok(file);
        }
        if !nowait::may_wait() {
            return Err(nowait::refusal(&values_path(&self.source.dir, self.meta.number)));
        }
        let _one_at_a_time = self.opening.lock();
        if let Some(file) = self.opened.get() {
            return Ok(file);
        }
        let ValueFileMeta { number, size } = self.meta;
        let file = self.source.fs.open(&values_path(&self.source.dir, number))?;
        let file = ValueFile::open(file, number, size)?;
        Ok(self.opened.get_or_init(|| file))
    }

    /// The value that `pointer` names, whole: from the cache, or from the file, and then kept where the cache has room for
    /// one of its length.
    pub(crate) fn value(&self, pointer: &ValuePointer) -> Result<Arc<Vec<u8>>> {
        if let Some(value) = self.cached(pointer) {
            return Ok(value);
        }
        let mut bytes = Vec::new();
        self.open()?.read(pointer, 0..pointer.value_len, &mut bytes)?;
        let value = Arc::new(bytes);
        let cache = &self.source.cache;
        if cache.has_room_for_value(pointer.value_len) {
            cache.insert_value(self.meta.number, pointer.offset, Arc::clone(&value));
        }
        Ok(value)
    }

    /// The value that `pointer` names, if the cache holds it.
    pub(crate) fn cached(&self, pointer: &ValuePointer) -> Option<Arc<Vec<u8>>> {
        let value = self.source.cache.value(self.meta.number, pointer.offset, pointer.value_len)?;
        // A pointer that is wrong about the length is for the file to refuse.
        Some(value).filter(|value| value.len() as u64 == pointer.value_len)
    }

    /// No later version holds the file: it goes with the last one that does.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for ValueFileHandle {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.source.cache.evict_file(self.meta.number);
            // A file that stays behind is an orphan, and the next open removes it.
            let _ = self.source.fs.remove(&values_path(&self.source.dir, self.meta.number));
        }
    }
}
