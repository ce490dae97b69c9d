//! A value file as versions hold it: what the manifest says of it, and the open file, once someone needed it.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{TableSource, ValueFileMeta, values_path};
use crate::error::Result;
use crate::value_file::{FOOTER_BYTES, ValueFile};

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
        let _one_at_a_time = self.opening.lock();
        if let Some(file) = self.opened.get() {
            return Ok(file);
        }
        let ValueFileMeta { number, size } = self.meta;
        let file = self.source.fs.open(&values_path(&self.source.dir, number))?;
        let file = ValueFile::open(file, number, size)?;
        Ok(self.opened.get_or_init(|| file))
    }

    /// No later version holds the file: it goes with the last one that does.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for ValueFileHandle {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            // A file that stays behind is an orphan, and the next open removes it.
            let _ = self.source.fs.remove(&values_path(&self.source.dir, self.meta.number));
        }
    }
}
