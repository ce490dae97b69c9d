//! Making a database out of what is whole of one that can't be opened.
//!
//! 1. What the manifest still says tells which tables and logs count; where it is damaged or lost, all that are there do.
//! 2. Every table is verified; what is whole of a damaged one is written to new tables.
//! 3. The whole records of the logs are written to new tables.
//! 4. The tables are arranged: in the levels of the manifest where that is whole, else in level 0, merged as far as
//!    their order there would be wrong.
//! 5. What is damaged gets a second name in `lost`; then a new manifest comes to count, and the rest is removed.
//!
//! Invariant: nothing that was there is removed before the new manifest counts, and new files have new numbers. So a repair
//! that is cut short has only added files, and another one can begin from the start.
#![forbid(unsafe_code)]

mod arrange;
mod logs;
mod tables;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::upkeep::{GoOn, always};
use crate::compaction::Written;
use crate::compaction::job::{self, JobContext};
use crate::config::Config;
use crate::error::{Code, Error, Result, shown_path};
use crate::fs::{DiskFs, File, FileBudget, FileSystem};
use crate::iter::InternalIterator;
use crate::key::SeqNo;
use crate::range_tombstone::RangeTombstones;
use crate::sstable::{BlockCache, Table};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::version::{
    FileKind, Manifest, TableMeta, TableSource, Version, VersionEdit, lock_path, parse, table_path,
};

/// Where a repair puts what it could not use.
const LOST_DIR: &str = "lost";

/// What the manifest said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ManifestFound {
    /// Which tables and logs belong to the database.
    Whole,
    /// Which did at some time; later changes are lost.
    Part,
    /// Nothing.
    #[default]
    Lost,
}

/// What a repair has saved and lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairReport {
    /// What was left of the manifest.
    pub manifest: ManifestFound,
    /// Tables of which every byte was right.
    pub tables_whole: u64,
    /// Damaged tables of which something was saved.
    pub tables_salvaged: u64,
    /// Tables that were missing, or of which nothing was left.
    pub tables_lost: u64,
    /// Entries that were saved from damaged tables.
    pub entries_salvaged: u64,
    /// Entries of damaged and missing tables that are known to be lost. Of a table that does not say any more how many it
    /// had, none are counted.
    pub entries_lost: u64,
    /// Bytes of tables that could not be read as anything.
    pub table_bytes_lost: u64,
    /// Value files of which every byte was right.
    pub value_files_whole: u64,
    /// Value files that were damaged or missing.
    pub value_files_lost: u64,
    /// Entries that were lost because their value, which lay in such a file, was.
    pub values_lost: u64,
    /// Logs that were read.
    pub logs: u64,
    /// Logs that are known to be missing; where the manifest is not whole, none are.
    pub logs_lost: u64,
    /// Batches that were saved from them.
    pub log_records_saved: u64,
    /// Bytes of logs that could not be read as anything; the torn end that a crash leaves is counted too.
    pub log_bytes_lost: u64,
    /// The names of the files that were moved to the directory `lost`. Where another file has the name there, a number is
    /// put behind it: `000005.tbl.1`.
    pub files_moved: Vec<String>,
}

impl RepairReport {
    /// Whether nothing that was in the files is missing now.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.manifest == ManifestFound::Whole
            && [self.tables_salvaged, self.tables_lost, self.table_bytes_lost] == [0; 3]
            && [self.logs_lost, self.log_bytes_lost, self.value_files_lost, self.values_lost] == [0; 4]
    }
}

/// Makes the database that `config` describes one that can be opened, of everything in its files that is whole.
///
/// For a database that [`Engine::open`](super::Engine::open) or reading refuses as damaged. Copy the directory first
/// if it can be copied. What can come back that was deleted, and what else a repair can't know, is told in
/// docs/administration.md.
///
/// # Errors
///
/// `NotFound` where there are no files of a database, `Locked` while anybody has it open, `Version` where a newer FlowDB
/// wrote a file, `Unsupported` for one in memory or of LevelDB, `InvalidArgument`, `Io`. After an error, or a crash, it can be run
/// again; nothing has been removed by then.
pub fn repair(config: &Config) -> Result<RepairReport> {
    repair_on(config, Arc::new(DiskFs))
}

/// As [`repair`], on a file system of the caller's.
///
/// # Errors
///
/// As [`repair`].
pub fn repair_on(config: &Config, fs: Arc<dyn FileSystem>) -> Result<RepairReport> {
    repair_while(config, fs, &always)
}

/// As [`repair_on`], for as long as `go_on` lets it.
pub(crate) fn repair_while(
    config: &Config,
    fs: Arc<dyn FileSystem>,
    go_on: GoOn<'_>,
) -> Result<RepairReport> {
    config.check()?;
    if config.in_memory {
        return Err(Error::new(
            Code::Unsupported,
            "a database in memory has no files that could be repaired",
        ));
    }
    if config.read_only {
        let message = "a repair writes: it can't be asked for with read_only";
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let dir = config.data_dir.clone();
    if !fs.exists(&dir)? || our_files(fs.as_ref(), &dir)?.iter().all(|kind| *kind == FileKind::Lock) {
        let message = format!("{} holds no files of a database", shown_path(&dir));
        return Err(Error::new(Code::NotFound, message));
    }
    Manifest::check_not_foreign(fs.as_ref(), &dir)?;
    let lock = fs.lock(&lock_path(&dir))?;
    let fs: Arc<dyn FileSystem> = Arc::new(FileBudget::new(fs, config.max_open_files));
    let cache = Arc::new(BlockCache::with_pins(0, config.index_memory_budget_bytes));
    let source = Arc::new(TableSource { fs: Arc::clone(&fs), dir, cache });
    let report = Repair::begin(config, source, go_on)?.run();
    drop(lock);
    report
}

fn our_files(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<FileKind>> {
    let mut kinds: Vec<FileKind> = fs.list(dir)?.iter().filter_map(|name| parse(name)).collect();
    // So that two runs on the same files do the same.
    kinds.sort_by_key(|kind| kind.name());
    Ok(kinds)
}

/// Whether the manifest has lost its last edits, behind one that is whole: there are tables of which it says nothing, and one
/// of them is whole or something else is missing. (Whole ones may also be left by a flush or compaction that has ended before
/// its edit. They hold nothing but what is beside them, too, so they do no harm.)
fn is_behind(source: &TableSource, known: &Knowledge, files: &[FileKind]) -> Result<bool> {
    let lacks_file = known.lacks_file(files);
    for number in known.unknown(files) {
        if lacks_file {
            return Ok(true);
        }
        let file = source.fs.open(&table_path(&source.dir, number))?;
        let size = file.len()?;
        let opened = Table::open(file, number, size, Arc::clone(&source.cache));
        if unless_damaged(opened.and_then(|table| table.verify()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Files are compared by pieces of this size.
const COMPARED_BYTES: usize = 1 << 20;

/// A repair on its way.
struct Repair<'a> {
    config: &'a Config,
    source: Arc<TableSource>,
    go_on: GoOn<'a>,
    files: Vec<FileKind>,
    known: Knowledge,
    next_number: AtomicU64,
    report: RepairReport,
    /// The names of what is damaged, and goes to `lost`.
    damaged: BTreeSet<String>,
    values: values::ValueFiles,
}

/// What the manifest still says.
#[derive(Default)]
struct Knowledge {
    /// The tables that belonged to the database after the last edit that is whole, with their levels.
    live: Vec<(u8, TableMeta)>,
    /// Tables that have left it.
    removed: BTreeSet<u64>,
    /// The sizes of value files.
    value_sizes: BTreeMap<u64, u64>,
    /// Logs below this are in tables.
    log_number: u64,
    last_seqno: SeqNo,
    next_file_number: u64,
    /// What the first edit says of that: files below it may have left the database without a word in this manifest.
    first_number: u64,
    clean_end: Option<crate::version::CleanEnd>,
}

impl Knowledge {
    fn of(edits: &[VersionEdit]) -> Self {
        let first = edits.first().and_then(|edit| edit.next_file_number);
        let mut known = Self { first_number: first.unwrap_or(0), ..Self::default() };
        for edit in edits {
            for &(_, number) in &edit.removed {
                known.live.retain(|(_, meta)| meta.number != number);
                known.removed.insert(number);
            }
            for (level, meta) in &edit.added {
                known.removed.remove(&meta.number);
                known.live.push((*level, meta.clone()));
            }
            known.value_sizes.extend(edit.values_added.iter().map(|file| (file.number, file.size)));
            known.log_number = edit.log_number.unwrap_or(known.log_number);
            known.last_seqno = known.last_seqno.max(edit.last_seqno.unwrap_or(0));
            known.next_file_number = known.next_file_number.max(edit.next_file_number.unwrap_or(0));
            known.clean_end = edit.clean_end.or(known.clean_end);
        }
        known
    }

    /// Whether a file that the database had at the last edit is gone.
    fn lacks_file(&self, files: &[FileKind]) -> bool {
        let is_missing = |kind: FileKind| !files.contains(&kind);
        let lacks_log = (1..self.next_file_number).contains(&self.log_number)
            && is_missing(FileKind::Log(self.log_number));
        lacks_log || self.live.iter().any(|(_, meta)| is_missing(FileKind::Table(meta.number)))
    }

    /// The tables in `files` that only edits behind the last one can have added.
    fn unknown(&self, files: &[FileKind]) -> impl Iterator<Item = u64> {
        let is_live = |number: u64| self.live.iter().any(|(_, meta)| meta.number == number);
        files
            .iter()
            .filter_map(move |kind| match *kind {
                FileKind::Table(number) if number >= self.first_number && !is_live(number) => Some(number),
                _ => None,
            })
            .filter(|number| !self.removed.contains(number))
    }
}

impl<'a> Repair<'a> {
    fn begin(config: &'a Config, source: Arc<TableSource>, go_on: GoOn<'a>) -> Result<Self> {
        let (fs, dir) = (source.fs.as_ref(), source.dir.as_path());
        let files = our_files(fs, dir)?;
        let found = Manifest::known(fs, dir)?;
        let is_read_whole = found.as_ref().map(|found| found.is_whole);
        let known = found.map(|found| Knowledge::of(&found.edits)).unwrap_or_default();
        let manifest = match is_read_whole {
            Some(true) if !is_behind(&source, &known, &files)? => ManifestFound::Whole,
            Some(_) => ManifestFound::Part,
            None => ManifestFound::Lost,
        };
        let mut highest = files.iter().filter_map(|kind| kind.number()).max().unwrap_or(0);
        let lost = dir.join(LOST_DIR);
        if fs.exists(&lost)? {
            highest =
                highest.max(our_files(fs, &lost)?.iter().filter_map(|kind| kind.number()).max().unwrap_or(0));
        }
        let next_number = AtomicU64::new((highest + 1).max(known.next_file_number));
        let report = RepairReport { manifest, ..RepairReport::default() };
        Ok(Self {
            config,
            source,
            go_on,
            files,
            known,
            next_number,
            report,
            damaged: BTreeSet::new(),
            values: values::ValueFiles::default(),
        })
    }

    fn run(mut self) -> Result<RepairReport> {
        self.check_value_files()?;
        let mut saved = self.save_tables()?;
        let from_logs = self.save_logs()?;
        saved.extend(from_logs.into_iter().map(|meta| (0, meta)));
        let arranged = self.arrange(saved)?;
        if self.report.manifest != ManifestFound::Whole {
            let manifests = self.files.iter().filter(|kind| matches!(kind, FileKind::Manifest(_)));
            self.damaged.extend(manifests.map(|kind| kind.name()));
        }
        self.keep_what_is_lost()?;
        (self.go_on)()?;
        self.establish(arranged)?;
        self.report.files_moved = self.damaged.into_iter().collect();
        Ok(self.report)
    }

    fn fs(&self) -> &dyn FileSystem {
        self.source.fs.as_ref()
    }

    fn dir(&self) -> &Path {
        &self.source.dir
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn is_damaged(&mut self, kind: FileKind) {
        self.damaged.insert(kind.name());
    }

    /// Writes entries whose values are with them, or in value files that are whole, to new tables.
    fn write_tables(
        &mut self,
        entries: &mut dyn InternalIterator,
        tombstones: &RangeTombstones,
    ) -> Result<Vec<TableMeta>> {
        let written = self.write(entries, tombstones)?;
        self.values.add_written(&written.values);
        Ok(written.tables)
    }

    fn write(&self, entries: &mut dyn InternalIterator, tombstones: &RangeTombstones) -> Result<Written> {
        let context = JobContext {
            fs: self.fs(),
            dir: self.dir(),
            config: self.config,
            next_number: &|| self.next_number(),
            is_cancelled: &|| (self.go_on)().is_err(),
            pace: &|_| {},
        };
        job::rewrite(&context, entries, tombstones).map_err(|error| (self.go_on)().err().unwrap_or(error))
    }

    /// Gives what is damaged a second name in `lost`.
    fn keep_what_is_lost(&self) -> Result<()> {
        if self.damaged.is_empty() {
            return Ok(());
        }
        let lost = self.dir().join(LOST_DIR);
        self.fs().create_dir_all(&lost)?;
        for name in &self.damaged {
            let from = self.dir().join(name);
            if let Some(to) = self.free_name(&from, &lost, name)? {
                self.fs().hard_link(&from, &to)?;
            }
        }
        self.fs().sync_dir(&lost)
    }

    /// A name in `lost` for a file, or `None` where it has one: a repair before this one may have come so far. (Another file of
    /// the same name is there when a database was destroyed that had been repaired.)
    fn free_name(&self, from: &Path, lost: &Path, name: &str) -> Result<Option<PathBuf>> {
        let suffixes = std::iter::once(String::new()).chain((1..).map(|number| format!(".{number}")));
        for suffix in suffixes {
            let to = lost.join(format!("{name}{suffix}"));
            if !self.fs().exists(&to)? {
                return Ok(Some(to));
            }
            if are_same(&*self.fs().open(from)?, &*self.fs().open(&to)?)? {
                break;
            }
        }
        Ok(None)
    }

    /// Lets the new state count, then removes what it has no use for.
    fn establish(&self, tables: Vec<(u8, TableMeta)>) -> Result<()> {
        let in_tables = tables.iter().map(|(_, meta)| meta.seqno_max).max();
        let last_seqno = self.known.last_seqno.max(in_tables.unwrap_or(0));
        let number = self.next_number();
        let next_file_number = number + 1;
        let whole = VersionEdit {
            values_added: self.values.needed_by(&tables),
            added: tables,
            // The log is yet to come.
            log_number: Some(next_file_number),
            next_file_number: Some(next_file_number),
            last_seqno: Some(last_seqno),
            ..VersionEdit::default()
        };
        Manifest::create(self.fs(), self.dir(), number, &whole)?;
        let kept: BTreeSet<u64> = whole.added.iter().map(|(_, meta)| meta.number).collect();
        let kept_values: BTreeSet<u64> = whole.values_added.iter().map(|file| file.number).collect();
        for kind in our_files(self.fs(), self.dir())? {
            let is_needless = match kind {
                FileKind::Current | FileKind::Lock => false,
                FileKind::CurrentTemporary => true,
                FileKind::Manifest(other) => other != number,
                FileKind::Log(_) => true,
                FileKind::Table(other) => !kept.contains(&other),
                FileKind::Values(other) => !kept_values.contains(&other),
            };
            if is_needless {
                // What stays behind is an orphan, and the next opening removes it.
                let _ = self.fs().remove(&kind.path(self.dir()));
            }
        }
        Ok(())
    }

    /// Whether the tables stand as a version may have them.
    fn is_in_order(&self, tables: &[(u8, TableMeta)]) -> Result<bool> {
        let values_added = self.values.needed_by(tables);
        let edit = VersionEdit { added: tables.to_vec(), values_added, ..VersionEdit::default() };
        match Version::default().apply(&edit, &self.source) {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::Corruption => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The value, or `None` for damage; other errors stay what they are.
/// Whether two files have the same bytes.
fn are_same(one: &dyn File, other: &dyn File) -> Result<bool> {
    let len = one.len()?;
    if other.len()? != len {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; COMPARED_BYTES], vec![0; COMPARED_BYTES]);
    let mut at = 0;
    while at < len {
        let count = COMPARED_BYTES.min(usize::try_from(len - at).unwrap_or(COMPARED_BYTES));
        one.read_exact_at(at, &mut left[..count])?;
        other.read_exact_at(at, &mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

fn unless_damaged<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == Code::Corruption => Ok(None),
        Err(error) => Err(error),
    }
}
