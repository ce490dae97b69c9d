//! Opening a database: what the manifest says, what the logs add, and a new log to go on with.
//!
//! The logs from the manifest's `log_number` on form a chain: each header names the log before and its exact end,
//! which was durable by then. So only the last one can be torn, and a missing or damaged one is seen. What they
//! hold goes into the first memtable; where that is not enough, or the chain has grown long, into tables at once.
//! Nothing is removed before the new state is durable, and never a file that is not ours.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::commit::{LogState, apply};
use super::shared::{LoggedMemtable, whole_of};
use crate::compaction::{Retention, job};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::FileSystem;
use crate::key::SeqNo;
use crate::memtable::Memtable;
use crate::version::{
    CleanEnd, FileKind, Manifest, TableMeta, TableSource, Version, VersionEdit, log_path, parse, table_path,
};
use crate::wal::{HeaderState, LogKind, LogReader, LogWriter, PreviousSegment, SegmentHeader, Tail};

/// A chain of this many logs is flushed at the opening, so that reopening again and again doesn't lengthen it.
const LOGS_KEPT_MAX: usize = 4;

/// What an opened database starts with.
pub(crate) struct Recovered {
    pub(crate) version: Version,
    pub(crate) active: LoggedMemtable,
    pub(crate) log: LogState,
    pub(crate) manifest: Manifest,
    pub(crate) next_file_number: u64,
}

/// Opens the database in `source.dir`, or creates it. The caller holds the directory's lock.
pub(crate) fn recover(config: &Config, source: &Arc<TableSource>) -> Result<Recovered> {
    let (fs, dir) = (source.fs.as_ref(), source.dir.as_path());
    let state = Manifest::read(fs, dir)?;
    let files = Files::list(fs, dir)?;
    let opening =
        Opening { config, source, fs, dir, next_number: AtomicU64::new(files.highest_number + 1), files };
    match state {
        Some(state) => opening.open(&state.edits),
        None if config.create_if_missing => opening.create(),
        None => {
            let message = format!("{} holds no database, and create_if_missing is off", dir.display());
            Err(Error::new(Code::NotFound, message))
        }
    }
}

/// Our files in the directory.
struct Files {
    kinds: Vec<FileKind>,
    highest_number: u64,
}

impl Files {
    fn list(fs: &dyn FileSystem, dir: &Path) -> Result<Self> {
        let kinds: Vec<FileKind> = fs.list(dir)?.iter().filter_map(|name| parse(name)).collect();
        let highest_number = kinds.iter().filter_map(|kind| kind.number()).max().unwrap_or(0);
        Ok(Self { kinds, highest_number })
    }

    /// The numbers of the logs from `first` on, ascending.
    fn logs_from(&self, first: u64) -> Vec<u64> {
        let mut logs: Vec<u64> = self
            .kinds
            .iter()
            .filter_map(|kind| if let FileKind::Log(number) = *kind { Some(number) } else { None })
            .filter(|&number| number >= first)
            .collect();
        logs.sort_unstable();
        logs
    }
}

/// What the manifest's edits come to.
#[derive(Default)]
struct State {
    version: Version,
    log_number: u64,
    last_seqno: SeqNo,
    clean_end: Option<CleanEnd>,
}

/// A log of the chain.
struct Segment {
    number: u64,
    previous: Option<PreviousSegment>,
}

/// What the logs held.
struct Replayed {
    memtable: Memtable,
    /// Tables that were written because a memtable was full.
    tables: Vec<TableMeta>,
    /// The last log of the chain and where its records end.
    tail: Option<PreviousSegment>,
    last_seqno: SeqNo,
}

struct Opening<'a> {
    config: &'a Config,
    source: &'a Arc<TableSource>,
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    files: Files,
    next_number: AtomicU64,
}

impl Opening<'_> {
    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// A new database. The manifest comes first, so that a log never lies in a directory without one; that the
    /// first log belongs to the database is said last.
    fn create(self) -> Result<Recovered> {
        let mut manifest =
            self.begin_manifest(&VersionEdit { last_seqno: Some(0), ..VersionEdit::default() })?;
        let log = self.begin_log(None, 0)?;
        manifest.append(&VersionEdit { log_number: Some(log.number), ..VersionEdit::default() })?;
        self.remove_leftovers(manifest.number(), log.number, &Version::default());
        let active = LoggedMemtable { memtable: Arc::new(Memtable::new()), first_log: log.number };
        self.finish(Version::default(), active, log, manifest)
    }

    fn open(self, edits: &[VersionEdit]) -> Result<Recovered> {
        let state = self.fold(edits)?;
        self.check_tables_exist(&state.version)?;
        let chain = self.chain(&state)?;
        let mut replayed = self.replay(&state, &chain)?;
        let first_log = chain.first().map(|segment| segment.number);
        let flush_all = !replayed.tables.is_empty() || chain.len() >= LOGS_KEPT_MAX;
        if flush_all {
            self.flush(&mut replayed)?;
        }
        let log = self.begin_log(replayed.tail, replayed.last_seqno)?;
        let first_log = first_log.filter(|_| !flush_all).unwrap_or(log.number);
        let added = replayed.tables.into_iter().map(|meta| (0, meta)).collect();
        let edit = VersionEdit { added, ..VersionEdit::default() };
        let version = state.version.apply(&edit, self.source)?;
        let manifest = self.begin_manifest(&VersionEdit {
            log_number: Some(first_log),
            last_seqno: Some(replayed.last_seqno),
            clean_end: state.clean_end,
            ..whole_of(&version)
        })?;
        self.remove_leftovers(manifest.number(), first_log, &version);
        let active = LoggedMemtable { memtable: Arc::new(replayed.memtable), first_log };
        self.finish(version, active, log, manifest)
    }

    fn finish(
        self,
        version: Version,
        active: LoggedMemtable,
        log: LogState,
        manifest: Manifest,
    ) -> Result<Recovered> {
        let next_file_number = self.next_number();
        Ok(Recovered { version, active, log, manifest, next_file_number })
    }

    /// Applies the edits one after another.
    fn fold(&self, edits: &[VersionEdit]) -> Result<State> {
        let mut state = State::default();
        for edit in edits {
            state.version = state.version.apply(edit, self.source)?;
            state.log_number = edit.log_number.unwrap_or(state.log_number);
            state.last_seqno = state.last_seqno.max(edit.last_seqno.unwrap_or(0));
            state.clean_end = edit.clean_end.or(state.clean_end);
            self.next_number.fetch_max(edit.next_file_number.unwrap_or(0), Ordering::Relaxed);
        }
        let in_tables = state.version.tables().map(|(_, table)| table.meta().seqno_max).max();
        state.last_seqno = state.last_seqno.max(in_tables.unwrap_or(0));
        Ok(state)
    }

    fn check_tables_exist(&self, version: &Version) -> Result<()> {
        for (_, table) in version.tables() {
            let number = table.meta().number;
            if !self.files.kinds.contains(&FileKind::Table(number)) {
                let path = table_path(self.dir, number);
                return Err(Error::corruption(
                    &path,
                    "the manifest names this table, but the file is missing",
                ));
            }
        }
        Ok(())
    }

    /// The logs to replay, oldest first, each the successor of the one before.
    ///
    /// Logs at the end whose creation a crash cut short hold nothing and are left out.
    fn chain(&self, state: &State) -> Result<Vec<Segment>> {
        let mut chain: Vec<Segment> = Vec::new();
        let mut torn: Option<u64> = None;
        for number in self.files.logs_from(state.log_number) {
            let path = log_path(self.dir, number);
            let reader = match LogReader::open(self.fs, &path, LogKind::Wal, number, None)? {
                HeaderState::Torn => {
                    torn = torn.or(Some(number));
                    continue;
                }
                HeaderState::Whole(reader) => reader,
            };
            if let Some(torn) = torn {
                let path = log_path(self.dir, torn);
                return Err(Error::corruption(&path, "the log has no header, but a later log follows it"));
            }
            let previous = reader.header().previous;
            let expected = chain.last().map(|segment| segment.number);
            if expected.is_some() && expected != previous.map(|previous| previous.number) {
                let what =
                    format!("its predecessor is {previous:?}, found was log {expected:?}: a log is missing");
                return Err(Error::corruption(&path, what));
            }
            chain.push(Segment { number, previous });
        }
        let missing = |number: u64| {
            Error::corruption(
                &log_path(self.dir, number),
                "the manifest needs this log, but it is missing or empty",
            )
        };
        if state.log_number != 0 && chain.first().is_none_or(|first| first.number != state.log_number) {
            return Err(missing(state.log_number));
        }
        match state.clean_end {
            Some(end) if end.log_number >= state.log_number => {
                let found = chain.iter().any(|segment| segment.number == end.log_number);
                if found { Ok(chain) } else { Err(missing(end.log_number)) }
            }
            _ => Ok(chain),
        }
    }

    /// Reads the logs into a memtable, and into tables as often as it is full.
    fn replay(&self, state: &State, chain: &[Segment]) -> Result<Replayed> {
        let mut replayed = Replayed {
            memtable: Memtable::new(),
            tables: Vec::new(),
            tail: None,
            last_seqno: state.last_seqno,
        };
        for (index, segment) in chain.iter().enumerate() {
            let successor = chain.get(index + 1).and_then(|next| next.previous);
            let clean_end = state.clean_end.filter(|end| end.log_number == segment.number);
            let limit = successor.map(|end| end.end_offset).or(clean_end.map(|end| end.end_offset));
            self.replay_segment(segment, limit, &mut replayed)?;
        }
        Ok(replayed)
    }

    fn replay_segment(&self, segment: &Segment, limit: Option<u64>, replayed: &mut Replayed) -> Result<()> {
        let path = log_path(self.dir, segment.number);
        let HeaderState::Whole(mut log) =
            LogReader::open(self.fs, &path, LogKind::Wal, segment.number, limit)?
        else {
            return Err(Error::corruption(&path, "the log's header has gone"));
        };
        while let Some(record) = log.next()? {
            let entries = apply(&replayed.memtable, record.body, record.first_seqno);
            if entries != Some(record.entry_count) {
                let what = format!("record of seqno {}: its body is not a batch", record.first_seqno);
                return Err(Error::corruption(&path, what));
            }
            let last_seqno = record.first_seqno + record.entry_count - 1;
            replayed.last_seqno = replayed.last_seqno.max(last_seqno);
            if replayed.memtable.size_bytes() >= self.config.memtable_size_bytes {
                self.flush(replayed)?;
            }
        }
        let tail = log.finish()?;
        let end_offset = log.offset();
        debug_assert!(tail != Tail::Clean || limit.is_none_or(|limit| limit == end_offset));
        replayed.tail = Some(PreviousSegment { number: segment.number, end_offset });
        if limit.is_none() {
            // The records may be in the page cache only; the next log's header is going to say that they are
            // durable.
            self.fs.open(&path)?.sync()?;
        }
        Ok(())
    }

    /// Writes what has been replayed as a table of level 0.
    fn flush(&self, replayed: &mut Replayed) -> Result<()> {
        let memtable = Arc::new(std::mem::replace(&mut replayed.memtable, Memtable::new()));
        let tombstones = memtable.range_tombstones();
        let now_ms = self.config.clock.now_ms();
        let retention = Retention::new(vec![replayed.last_seqno], Arc::clone(&tombstones), now_ms);
        let context = job::JobContext {
            fs: self.fs,
            dir: self.dir,
            config: self.config,
            next_number: &|| self.next_number(),
            is_cancelled: &|| false,
        };
        replayed.tables.extend(job::flush(&context, &mut memtable.iter(), &tombstones, retention)?);
        Ok(())
    }

    fn begin_log(&self, previous: Option<PreviousSegment>, last_seqno: SeqNo) -> Result<LogState> {
        let number = self.next_number();
        let header = SegmentHeader { kind: LogKind::Wal, number, previous, first_seqno: last_seqno + 1 };
        let writer = if self.config.in_memory {
            None
        } else {
            Some(LogWriter::create(self.fs, &log_path(self.dir, number), header)?)
        };
        Ok(LogState {
            writer,
            number,
            last_seqno,
            written_seqno: last_seqno,
            durable_seqno: last_seqno,
            tail_is_torn: false,
        })
    }

    fn begin_manifest(&self, snapshot: &VersionEdit) -> Result<Manifest> {
        let number = self.next_number();
        let next_file_number = Some(self.next_number.load(Ordering::Relaxed));
        Manifest::create(self.fs, self.dir, number, &VersionEdit { next_file_number, ..snapshot.clone() })
    }

    /// Removes our files that the database no longer needs. What can't be removed now is tried again at the
    /// next opening.
    fn remove_leftovers(&self, manifest: u64, first_log: u64, version: &Version) {
        for &kind in &self.files.kinds {
            let is_needed = match kind {
                FileKind::Current | FileKind::Lock => true,
                FileKind::CurrentTemporary => false,
                FileKind::Manifest(number) => number == manifest,
                FileKind::Log(number) => number >= first_log && self.is_whole_log(number),
                FileKind::Table(number) => version.tables().any(|(_, table)| table.meta().number == number),
            };
            if !is_needed {
                let _ = self.fs.remove(&kind.path(self.dir));
            }
        }
    }

    /// Whether a log is more than what a crash left of its creation.
    fn is_whole_log(&self, number: u64) -> bool {
        let path = log_path(self.dir, number);
        !matches!(LogReader::open(self.fs, &path, LogKind::Wal, number, None), Ok(HeaderState::Torn))
    }
}
