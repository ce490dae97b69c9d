//! What the threads of one open database share, and the two ways in which it changes: a memtable is sealed, or
//! an edit makes the next version.
//!
//! Lock order, outermost first: `log`, `flushing` or `compacting`, `manifest`, `view`. A reader takes only `view`,
//! for as long as it takes to copy one pointer.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::background::Background;
use super::commit::{CommitQueue, LogState};
use super::snapshot::Snapshots;
use super::stats::Counters;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::{FileSystem, LockGuard};
use crate::memtable::Memtable;
use crate::version::{FileKind, Manifest, TableSource, Version, VersionEdit, parse};

/// A manifest that has grown to this size is followed by one that begins with the version of that time.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// A memtable and where its entries begin in the log.
pub(crate) struct LoggedMemtable {
    pub(crate) memtable: Arc<Memtable>,
    /// The oldest log that holds an entry of the memtable.
    pub(crate) first_log: u64,
}

/// Everything that a reader needs, immutable, newest first.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) active: Arc<LoggedMemtable>,
    /// Sealed memtables that wait for their flush, newest first.
    pub(crate) frozen: Vec<Arc<LoggedMemtable>>,
    pub(crate) version: Arc<Version>,
}

impl View {
    /// The memtables, newest first.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen).map(|logged| &logged.memtable)
    }
}

/// One open database.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    pub(crate) source: Arc<TableSource>,
    pub(crate) view: RwLock<Arc<View>>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) commits: CommitQueue,
    pub(crate) log: Mutex<LogState>,
    /// Held by whoever flushes.
    pub(crate) flushing: Mutex<()>,
    /// Held by whoever compacts.
    pub(crate) compacting: Mutex<()>,
    /// `None` after a failed append: the next edit begins a new manifest.
    pub(crate) manifest: Mutex<Option<Manifest>>,
    pub(crate) next_file_number: AtomicU64,
    pub(crate) poison: OnceLock<Error>,
    pub(crate) closed: AtomicBool,
    pub(crate) background: Background,
    pub(crate) counters: Counters,
    pub(crate) lock: Mutex<Option<Box<dyn LockGuard>>>,
}

impl Shared {
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.next_file_number.fetch_add(1, Ordering::Relaxed)
    }

    /// # Errors
    ///
    /// `Closed` once the database has been closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(Code::Closed, "the database has been closed"));
        }
        Ok(())
    }

    /// # Errors
    ///
    /// `Closed`, or `Poisoned` with the failure that poisoned the engine.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match self.poison.get() {
            None => Ok(()),
            Some(cause) => {
                let message = "an earlier write to the log failed, so that nothing more can be written: \
                               close the database, look at the disk, and open it again";
                Err(cause.wrap(Code::Poisoned, message))
            }
        }
    }

    /// Refuses every later write. Returns the failure for whoever met it.
    pub(crate) fn poison(&self, cause: Error) -> Error {
        // The first failure is the one that explains the rest.
        let _ = self.poison.set(cause.clone());
        self.background.wake_everyone();
        cause
    }

    /// Replaces the view by what `change` makes of it.
    pub(crate) fn change_view(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.view.write();
        let mut next = View::clone(&view);
        change(&mut next);
        *view = Arc::new(next);
    }

    /// Makes `edit` durable, then visible together with what `change` does to the view.
    ///
    /// Files that the edit adds must stay when this fails: the edit may have reached the disk all the same.
    pub(crate) fn apply_edit(&self, mut edit: VersionEdit, change: impl FnOnce(&mut View)) -> Result<()> {
        let mut manifest = self.manifest.lock();
        let base = self.view();
        let next = Arc::new(base.version.apply(&edit, &self.source)?);
        edit.next_file_number = Some(self.next_file_number.load(Ordering::Relaxed) + 1);
        edit.last_seqno = Some(self.snapshots.visible());
        match manifest.take() {
            Some(mut open) if open.size_bytes() < MANIFEST_BYTES_MAX => {
                open.append(&edit)?;
                *manifest = Some(open);
            }
            _ => *manifest = Some(self.begin_manifest(&next, &edit)?),
        }
        self.change_view(|view| {
            view.version = Arc::clone(&next);
            change(view);
        });
        self.mark_obsolete(&base.version, &next);
        Ok(())
    }

    fn mark_obsolete(&self, before: &Version, after: &Version) {
        for (_, table) in before.tables() {
            let number = table.meta().number;
            if !after.tables().any(|(_, kept)| kept.meta().number == number) {
                table.mark_obsolete();
            }
        }
    }

    /// A new manifest that begins with the whole of `version`.
    fn begin_manifest(&self, version: &Version, edit: &VersionEdit) -> Result<Manifest> {
        let view = self.view();
        let oldest_log = view.frozen.last().map_or(view.active.first_log, |oldest| oldest.first_log);
        let whole = VersionEdit {
            log_number: edit.log_number.or(Some(oldest_log)),
            next_file_number: edit.next_file_number,
            last_seqno: edit.last_seqno,
            clean_end: edit.clean_end,
            ..whole_of(version)
        };
        let manifest = Manifest::create(self.fs.as_ref(), &self.dir, self.next_number(), &whole)?;
        self.remove_files(|kind| matches!(kind, FileKind::Manifest(number) if number < manifest.number()));
        Ok(manifest)
    }

    /// Removes the logs below `log_number`: everything in them is in tables.
    pub(crate) fn remove_logs_below(&self, log_number: u64) {
        self.remove_files(|kind| matches!(kind, FileKind::Log(number) if number < log_number));
    }

    /// Removes those of our files that nobody needs. One that stays is an orphan, which the next open removes.
    fn remove_files(&self, is_needless: impl Fn(FileKind) -> bool) {
        let Ok(names) = self.fs.list(&self.dir) else { return };
        for kind in names.iter().filter_map(|name| parse(name)).filter(|&kind| is_needless(kind)) {
            let _ = self.fs.remove(&kind.path(&self.dir));
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// An edit that adds every table of `version`.
pub(crate) fn whole_of(version: &Version) -> VersionEdit {
    let added = version.tables().map(|(level, table)| (level as u8, table.meta().clone())).collect();
    VersionEdit { added, ..VersionEdit::default() }
}
