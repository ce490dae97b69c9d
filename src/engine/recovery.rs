//! Opening a database: what the manifest says, what the logs add, and a new log to go on with.
//!
//! The logs from the manifest's `log_number` on form a chain: each header names the log before and its exact end,
//! which was durable by then. So only the last one can be torn, and a missing or damaged one is seen. What they
//! hold goes into memtables, which wait for their flush as they did before.
//!
//! The last log of a database that was not closed may have bytes that a failed sync left in the page cache: they can
//! be read, a further sync says nothing about them, and a power loss takes them. So no log is built on it: what it
//! holds is written to a table before the next log begins. For the same reason the last edit of a manifest is no
//! proof, and a file that only it makes needless stays.
//!
//! Opening an existing database writes nothing, so that it works on a full disk and costs no sync: the first write
//! begins a new log, the first edit a new manifest. What it removes is what a crash left, and a database that is only
//! to be read keeps even that. Files that are not ours are never touched.
#![forbid(unsafe_code)]

mod salvage;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

pub use salvage::{Loss, SalvageReport};

use super::commit::apply;
use super::directory::no_database;
use super::log::LogState;
use super::shared::{LOG_TO_COME, LoggedMemtable};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fs::FileSystem;
use crate::key::SeqNo;
use crate::memtable::Memtable;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::version::{CleanEnd, FileKind, Manifest, TableSource, Version, VersionEdit, log_path, parse};
use crate::wal::{HeaderState, LogKind, LogReader, PreviousSegment, Record, SEGMENT_HEADER_BYTES};

/// A chain of this many logs is handed to the flush at the opening, so that reopening again and again doesn't
/// lengthen it.
const LOGS_KEPT_MAX: usize = 4;

/// What an opened database starts with.
pub(crate) struct Recovered {
    pub(crate) version: Version,
    pub(crate) active: LoggedMemtable,
    /// Newest first.
    pub(crate) frozen: Vec<LoggedMemtable>,
    pub(crate) log: LogState,
    /// `None` where the next edit is to begin a new one.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) next_file_number: u64,
    pub(crate) clean_end: Option<CleanEnd>,
    /// What was lost, where that was asked for and there is something.
    pub(crate) salvaged: Option<SalvageReport>,
}

/// Opens the database in `source.dir`, or creates it. The caller holds the directory's lock.
pub(crate) fn recover(config: &Config, source: &Arc<TableSource>) -> Result<Recovered> {
    let (fs, dir) = (source.fs.as_ref(), source.dir.as_path());
    let (state, loss) = match Manifest::read(fs, dir) {
        Err(error) if config.salvage && error.code() == Code::Corruption => {
            // Where it can't be salvaged, the first error is the one that says why.
            let (state, loss) = Manifest::salvage(fs, dir).map_err(|_| error)?;
            (Some(state), loss)
        }
        state => (state?, None),
    };
    let files = Files::list(fs, dir)?;
    let opening =
        Opening { config, source, fs, dir, next_number: AtomicU64::new(files.highest_number + 1), files };
    match state {
        Some(state) => {
            let losses = loss.map(|loss| opening.note_manifest_loss(state.number, loss));
            opening.open(state.number, &state.edits, losses.into_iter().collect())
        }
        None if config.create_if_missing && !config.read_only => opening.create(),
        None => Err(no_database(dir)),
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
    /// Files with this number or a higher one were not yet created, the log of `log_number` among them perhaps.
    next_file_number: u64,
    /// Version and log number before the last edit.
    before: (Version, u64),
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
    active: LoggedMemtable,
    /// Newest first.
    frozen: Vec<LoggedMemtable>,
    /// The last log of the chain and where its records end.
    tail: Option<PreviousSegment>,
    /// Whether the chain ends with records of which nothing proves that they are durable.
    is_unproven: bool,
    last_seqno: SeqNo,
}

impl Replayed {
    /// Nothing yet; the first entries will lie in log `first_log` or behind it.
    fn starting(last_seqno: SeqNo, first_log: u64) -> Self {
        Self {
            active: LoggedMemtable { memtable: Arc::new(Memtable::new()), first_log },
            frozen: Vec::new(),
            tail: None,
            is_unproven: false,
            last_seqno,
        }
    }

    /// Hands the memtable to the flush and begins another, whose entries lie in log `first_log` or behind it.
    fn seal(&mut self, first_log: u64) {
        let next = LoggedMemtable { memtable: Arc::new(Memtable::new()), first_log };
        self.frozen.insert(0, std::mem::replace(&mut self.active, next));
    }
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

    /// A new database: a manifest of nothing. The first log comes with the first write.
    fn create(self) -> Result<Recovered> {
        let snapshot = VersionEdit { last_seqno: Some(0), ..VersionEdit::default() };
        let manifest = Manifest::create(self.fs, self.dir, self.next_number(), &snapshot)?;
        self.remove_leftovers(manifest.number(), &State::default());
        let replayed = Replayed::starting(0, LOG_TO_COME);
        Ok(self.finish(State::default(), replayed, Some(manifest)))
    }

    fn open(self, number: u64, edits: &[VersionEdit], mut losses: Vec<Loss>) -> Result<Recovered> {
        let state = self.fold(edits)?;
        self.check_files_exist(&state.version)?;
        let mut replayed = match self.replay_chain(&state) {
            Err(error) if self.config.salvage && error.code() == Code::Corruption => {
                self.salvage_logs(&state, &mut losses)?
            }
            replayed => replayed?,
        };
        if replayed.is_unproven || !losses.is_empty() {
            replayed.seal(LOG_TO_COME);
            replayed.tail = None;
        }
        // What was lost is left for whoever wants to look at it.
        if !self.config.read_only && losses.is_empty() {
            self.remove_leftovers(number, &state);
        }
        let last_seqno = replayed.last_seqno;
        let salvaged = (!losses.is_empty()).then_some(SalvageReport { last_seqno, losses });
        Ok(Recovered { salvaged, ..self.finish(state, replayed, None) })
    }

    /// Replays the logs, every one of which must be whole as far as it was durable.
    fn replay_chain(&self, state: &State) -> Result<Replayed> {
        let chain = self.chain(state)?;
        let mut replayed = self.replay(state, &chain)?;
        if let Some(tail) = replayed.tail.filter(|_| !replayed.is_unproven && chain.len() >= LOGS_KEPT_MAX) {
            replayed.seal(tail.number);
        }
        Ok(replayed)
    }

    fn finish(self, state: State, replayed: Replayed, manifest: Option<Manifest>) -> Recovered {
        let next_file_number = self.next_number();
        let Replayed { active, frozen, tail, last_seqno, .. } = replayed;
        let log = LogState {
            writer: None,
            replayed: tail,
            is_announced: tail.is_some(),
            last_seqno,
            written_seqno: last_seqno,
            applied_seqno: last_seqno,
            last_group_bytes: 0,
            early_sync_at: 0,
            is_sealed: true,
        };
        let State { version, clean_end, .. } = state;
        Recovered { version, active, frozen, log, manifest, next_file_number, clean_end, salvaged: None }
    }

    /// Applies the edits one after another.
    fn fold(&self, edits: &[VersionEdit]) -> Result<State> {
        let mut state = State::default();
        for edit in edits {
            let next = state.version.apply(edit, self.source)?;
            state.before = (std::mem::replace(&mut state.version, next), state.log_number);
            state.log_number = edit.log_number.unwrap_or(state.log_number);
            state.last_seqno = state.last_seqno.max(edit.last_seqno.unwrap_or(0));
            state.clean_end = edit.clean_end.or(state.clean_end);
            state.next_file_number = state.next_file_number.max(edit.next_file_number.unwrap_or(0));
        }
        self.next_number.fetch_max(state.next_file_number, Ordering::Relaxed);
        let in_tables = state.version.tables().map(|(_, table)| table.meta().seqno_max).max();
        state.last_seqno = state.last_seqno.max(in_tables.unwrap_or(0));
        Ok(state)
    }

    fn check_files_exist(&self, version: &Version) -> Result<()> {
        let there: HashSet<FileKind> = self.files.kinds.iter().copied().collect();
        let tables = version.tables().map(|(_, table)| FileKind::Table(table.meta().number));
        let values = version.values().files().map(|(file, _)| FileKind::Values(file.meta().number));
        match tables.chain(values).find(|kind| !there.contains(kind)) {
            None => Ok(()),
            Some(kind) => {
                let what = "the manifest names this file, but it is missing";
                Err(Error::corruption(&kind.path(self.dir), what))
            }
        }
    }

    /// The logs to replay, oldest first: from the last one back along what each says of its predecessor.
    ///
    /// A log whose creation failed, or was cut short by a crash, may lie between them. Nothing was ever written to
    /// it, and no log names it, so it is passed over.
    fn chain(&self, state: &State) -> Result<Vec<Segment>> {
        let found = self.log_headers(state.log_number)?;
        let mut chain: Vec<Segment> = Vec::new();
        let mut next = found.keys().next_back().copied();
        while let Some(number) = next {
            let previous = *found.get(&number).ok_or_else(|| self.missing_log(number))?;
            chain.push(Segment { number, previous });
            next = previous.map(|previous| previous.number).filter(|_| number != state.log_number);
        }
        chain.reverse();
        let is_there = (1..state.next_file_number).contains(&state.log_number);
        if is_there && chain.first().is_none_or(|first| first.number != state.log_number) {
            return Err(self.missing_log(state.log_number));
        }
        match state.clean_end.filter(|end| end.log_number >= state.log_number) {
            Some(end) if !chain.iter().any(|segment| segment.number == end.log_number) => {
                Err(self.missing_log(end.log_number))
            }
            _ => Ok(chain),
        }
    }

    /// What the logs from `first` on that have a header say of their predecessors.
    fn log_headers(&self, first: u64) -> Result<BTreeMap<u64, Option<PreviousSegment>>> {
        let mut found = BTreeMap::new();
        for number in self.files.logs_from(first) {
            let path = log_path(self.dir, number);
            if let HeaderState::Whole(log) = LogReader::open(self.fs, &path, LogKind::Wal, number, None)? {
                found.insert(number, log.header().previous);
            }
        }
        Ok(found)
    }

    fn missing_log(&self, number: u64) -> Error {
        Error::corruption(
            &log_path(self.dir, number),
            "this log is needed, but it is missing or has no header",
        )
    }

    /// Reads the logs into memtables, as many as they filled before.
    fn replay(&self, state: &State, chain: &[Segment]) -> Result<Replayed> {
        let first_log = chain.first().map_or(LOG_TO_COME, |segment| segment.number);
        let mut replayed = Replayed::starting(state.last_seqno, first_log);
        for (index, segment) in chain.iter().enumerate() {
            let successor = chain.get(index + 1).and_then(|next| next.previous);
            let clean_end = state.clean_end.filter(|end| end.log_number == segment.number);
            let limit = successor.map(|end| end.end_offset).or(clean_end.map(|end| end.end_offset));
            self.replay_segment(segment, limit, state.log_number, &mut replayed)?;
        }
        Ok(replayed)
    }

    fn replay_segment(
        &self,
        segment: &Segment,
        limit: Option<u64>,
        log_number: u64,
        replayed: &mut Replayed,
    ) -> Result<()> {
        let path = log_path(self.dir, segment.number);
        let HeaderState::Whole(mut log) =
            LogReader::open(self.fs, &path, LogKind::Wal, segment.number, limit)?
        else {
            return Err(Error::corruption(&path, "the log's header has gone"));
        };
        while let Some(record) = log.next()? {
            self.replay_record(segment.number, &path, record, replayed)?;
        }
        log.finish()?;
        replayed.tail = Some(PreviousSegment { number: segment.number, end_offset: log.offset() });
        if limit.is_none() {
            // The records may be in the page cache only, and from now on they are read.
            if !self.config.read_only {
                self.fs.open(&path)?.sync()?;
            }
            let is_empty = log.offset() == SEGMENT_HEADER_BYTES as u64;
            replayed.is_unproven = !is_empty;
            if is_empty && segment.number != log_number {
                // Its creation may have failed at the sync, and a power loss may take it: the next log follows the
                // one before. A log that the manifest names was there before it was named.
                replayed.tail = segment.previous;
            }
        }
        Ok(())
    }

    /// Puts what a record of log `number` holds into the memtable.
    fn replay_record(
        &self,
        number: u64,
        path: &Path,
        record: Record<'_>,
        replayed: &mut Replayed,
    ) -> Result<()> {
        if replayed.active.memtable.size_bytes() >= self.config.memtable_size_bytes {
            replayed.seal(number);
        }
        let entries = apply(&replayed.active.memtable, record.body, record.first_seqno);
        if entries != Some(record.entry_count) {
            let what = format!("record of seqno {}: its body is not a batch", record.first_seqno);
            return Err(Error::corruption(path, what));
        }
        replayed.last_seqno = replayed.last_seqno.max(record.first_seqno + record.entry_count - 1);
        Ok(())
    }

    /// Removes our files that the database no longer needs. What can't be removed now is tried again at the
    /// next opening.
    fn remove_leftovers(&self, manifest: u64, state: &State) {
        let versions = [&state.version, &state.before.0];
        let first_log = state.log_number.min(state.before.1);
        let is_needless = |kind: FileKind| !match kind {
            FileKind::Current | FileKind::Lock => true,
            FileKind::CurrentTemporary => false,
            FileKind::Manifest(number) => number == manifest,
            FileKind::Log(number) => number >= first_log && self.is_whole_log(number),
            FileKind::Table(number) => versions
                .iter()
                .any(|version| version.tables().any(|(_, table)| table.meta().number == number)),
            FileKind::Values(number) => versions.iter().any(|version| version.values().contains(number)),
        };
        let needless: Vec<FileKind> =
            self.files.kinds.iter().copied().filter(|&kind| is_needless(kind)).collect();
        // The name of the manifest that counts may still have to reach the disk.
        if needless.is_empty() || self.fs.sync_dir(self.dir).is_err() {
            return;
        }
        for kind in needless {
            let _ = self.fs.remove(&kind.path(self.dir));
        }
    }

    /// Whether a log is more than what a crash left of its creation.
    fn is_whole_log(&self, number: u64) -> bool {
        let path = log_path(self.dir, number);
        !matches!(LogReader::open(self.fs, &path, LogKind::Wal, number, None), Ok(HeaderState::Torn))
    }
}
