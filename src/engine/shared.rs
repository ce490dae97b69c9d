//! What the threads of one open database share, and the two ways in which it changes: a memtable is sealed, or
//! an edit makes the next version.
//!
//! Lock order, outermost first: `log`, `flushing` or `compacting`, `manifest`, `lock`, `changing_view`; the writer's
//! side of the active memtable comes after `log`, the state of the pipeline after that, and a writer's turn last. A reader takes none of them: it loads the view.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;

use super::background::Background;
use super::log::LogState;
use super::pacing::WriteLimit;
use super::pipeline::Pipeline;
use super::queue::CommitQueue;
use super::recovery::SalvageReport;
use super::snapshot::Snapshots;
use super::stats::Counters;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::{FileBudget, FileSystem, LockGuard};
use crate::memtable::Memtable;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArcSwap, Mutex};
use crate::version::{CleanEnd, FileKind, Manifest, TableSource, Version, VersionEdit, parse};

/// A manifest that has grown to this size is followed by one that begins with the version of that time.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// Instead of the number of a log: the one that the next write begins.
pub(crate) const LOG_TO_COME: u64 = u64::MAX;

/// A memtable and where its entries begin in the log.
pub(crate) struct LoggedMemtable {
    pub(crate) memtable: Arc<Memtable>,
    /// The oldest log that holds an entry of the memtable, or [`LOG_TO_COME`].
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

    /// The oldest log that is needed, or [`LOG_TO_COME`].
    pub(crate) fn oldest_log(&self) -> u64 {
        self.frozen.last().unwrap_or(&self.active).first_log
    }
}

/// One open database.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) fs: Arc<dyn FileSystem>,
    /// The same as `fs`, to be asked how many files are open.
    pub(crate) open_files: Arc<FileBudget>,
    pub(crate) dir: PathBuf,
    pub(crate) source: Arc<TableSource>,
    /// Read without a lock; changed by whoever holds `changing_view`.
    pub(crate) view: ArcSwap<View>,
    pub(crate) changing_view: Mutex<()>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) commits: CommitQueue,
    pub(crate) pipeline: Pipeline,
    pub(crate) log: Mutex<LogState>,
    /// Held by whoever flushes.
    pub(crate) flushing: Mutex<()>,
    /// Held by whoever compacts.
    pub(crate) compacting: Mutex<()>,
    /// `None` after a failed append: the next edit begins a new manifest.
    pub(crate) manifest: Mutex<Option<Manifest>>,
    pub(crate) next_file_number: AtomicU64,
    /// Where the log of the opening before ended, which stays true: nothing is ever added to it.
    pub(crate) clean_end: Option<CleanEnd>,
    /// What the opening had to do without.
    pub(crate) salvaged: Option<SalvageReport>,
    pub(crate) poison: OnceLock<Error>,
    pub(crate) closed: AtomicBool,
    pub(crate) background: Arc<Background>,
    pub(crate) counters: Counters,
    pub(crate) write_limit: WriteLimit,
    pub(crate) lock: Mutex<Option<Box<dyn LockGuard>>>,
}

impl Shared {
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
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

    /// As [`Shared::check_open`], for work that a close waits for or does itself.
    ///
    /// # Errors
    ///
    /// `Closed` once the directory may be another's.
    pub(crate) fn check_locked(&self) -> Result<()> {
        if self.lock.lock().is_none() {
            return Err(Error::new(Code::Closed, "the database has been closed"));
        }
        Ok(())
    }

    /// # Errors
    ///
    /// `Closed`, `ReadOnly`, or `Poisoned` with the failure that poisoned the engine.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.config.read_only {
            let message = "the database was opened read-only: open it without that to write";
            return Err(Error::new(Code::ReadOnly, message));
        }
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
        let _one_at_a_time = self.changing_view.lock();
        let mut next = View::clone(&self.view.load());
        change(&mut next);
        self.view.store(Arc::new(next));
    }

    /// Makes `edit` durable, then visible together with what `change` does to the view.
    ///
    /// Files that the edit adds must stay when this fails: the edit may have reached the disk all the same.
    /// Returns the number below which no log is needed any more, where the edit names it.
    pub(crate) fn apply_edit(
        &self,
        mut edit: VersionEdit,
        change: impl FnOnce(&mut View),
    ) -> Result<Option<u64>> {
        let mut manifest = self.manifest.lock();
        self.check_locked()?;
        let base = self.view();
        let next = Arc::new(base.version.apply(&edit, &self.source)?);
        let next_file_number = self.next_file_number.load(Ordering::Relaxed) + 1;
        edit.next_file_number = Some(next_file_number);
        let has_no_log = base.oldest_log() == LOG_TO_COME;
        let log_number = edit.log_number.or(has_no_log.then_some(LOG_TO_COME));
        // A log that is yet to come has none of the numbers that have been drawn.
        edit.log_number = log_number.map(|number| number.min(next_file_number));
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
        mark_obsolete(&base.version, &next, &edit);
        Ok(edit.log_number)
    }

    /// A new manifest that begins with the whole of `version`.
    fn begin_manifest(&self, version: &Version, edit: &VersionEdit) -> Result<Manifest> {
        let whole = VersionEdit {
            log_number: edit.log_number.or(Some(self.view().oldest_log())),
            next_file_number: edit.next_file_number,
            last_seqno: edit.last_seqno,
            clean_end: edit.clean_end.or(self.clean_end),
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

/// Marks the files that `edit` has taken out of `before` on the way to `after`; a table that only changes its level
/// stays.
fn mark_obsolete(before: &Version, after: &Version, edit: &VersionEdit) {
    let is_kept = |number: u64| edit.added.iter().any(|(_, meta)| meta.number == number);
    let gone: HashSet<u64> =
        edit.removed.iter().map(|&(_, number)| number).filter(|&number| !is_kept(number)).collect();
    for (_, table) in before.tables().filter(|(_, table)| gone.contains(&table.meta().number)) {
        table.mark_obsolete();
    }
    for (file, _) in before.values().files().filter(|(file, _)| !after.values().contains(file.meta().number))
    {
        file.mark_obsolete();
    }
}

/// An edit that adds every table and value file of `version`.
pub(crate) fn whole_of(version: &Version) -> VersionEdit {
    let added = version.tables().map(|(level, table)| (level as u8, table.meta().clone())).collect();
    let values_added = version.values().files().map(|(file, _)| file.meta()).collect();
    VersionEdit { added, values_added, ..VersionEdit::default() }
}
