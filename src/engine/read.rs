//! Point reads and scans.
//!
//! A read takes the view first and the seqno second. What the view holds was made while no more was visible than
//! the seqno that is read now, so nothing that the reader should see has been dropped from it.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::sync::Arc;

use super::shared::{Shared, View};
use super::snapshot::Snapshot;
use super::source::Source;
use super::value::{ScannedValue, TRY_GET_BYTES_MAX, resolve};
use crate::effort;
use crate::error::Result;
use crate::fs::nowait;
use crate::iter::{Holes, MergeIterator, TombstoneSource, Travel, Visibility, VisibleIterator, is_expired};
use crate::key::{EntryRef, Kind, SeqNo, hash_key};
use crate::memtable::VersionRef;
use crate::range_tombstone::RangeTombstones;
use crate::sstable::{Near, TableEntry};
use crate::times::{Times, leap, time_of};
use crate::version::{LEVELS, LevelIterator, LevelTombstones};

/// A value as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The value's bytes.
    pub bytes: Vec<u8>,
    /// When it expires, in milliseconds since 1970; 0 for never.
    pub expires_at: u64,
    /// The seqno of the put, or 0 once a compaction has left it out: where every snapshot sees it.
    pub seqno: u64,
}

/// A value where it lies, lent for the time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueRef<'a> {
    /// The value's bytes.
    pub bytes: &'a [u8],
    /// When it expires, in milliseconds since 1970; 0 for never.
    pub expires_at: u64,
    /// The seqno of the put, or 0 once a compaction has left it out: where every snapshot sees it.
    pub seqno: u64,
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        Self { bytes: value.bytes.to_vec(), expires_at: value.expires_at, seqno: value.seqno }
    }
}

/// What a read that does no file I/O can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGet<T = Value> {
    /// The key is there.
    Found(T),
    /// The key is not there.
    Missing,
    /// A block or a value would have to be read from a device: neither our cache nor that of the system has it, or the
    /// system doesn't tell (Linux does). Or the value has more than [`TRY_GET_BYTES_MAX`] bytes, wherever it lies.
    NeedsIo,
}

/// The keys of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRange {
    /// Where the keys begin.
    pub start: Bound<Vec<u8>>,
    /// Where they end.
    pub end: Bound<Vec<u8>>,
}

impl ScanRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// The keys from `start` (inclusive) to `end` (exclusive).
    #[must_use]
    pub fn between(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Self {
        Self { start: Bound::Included(start.into()), end: Bound::Excluded(end.into()) }
    }

    /// The keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        // The first key behind the prefix: its last byte that can grow, grown. A prefix of 0xff bytes has none.
        while end.pop_if(|byte| *byte == 0xff).is_some() {}
        let end = match end.last_mut() {
            Some(byte) => {
                *byte += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        Self { start: Bound::Included(start), end }
    }
}

/// The order of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Reverse,
}

/// A row of a scan, where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The row's key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it expires, in milliseconds since 1970; 0 for never.
    pub expires_at: u64,
    /// The seqno of the put, or 0 once a compaction has left it out: where every snapshot sees it.
    pub seqno: u64,
}

/// A scan of a span of time walks over so many rows of other times before it seeks instead: a seek in every source costs
/// about as much.
const PASSED_MAX: u32 = 16;

/// The steps of a lookup of a value of any length, and of beginning a scan.
const LOOKUP_STEPS: i64 = 2;
const SCAN_STEPS: i64 = 8;

/// The rows of a range, as they were when the scan was made. It stands before the first row until `advance`.
pub struct Scan {
    rows: VisibleIterator<MergeIterator<Source>>,
    /// The value of the row, where it lies in a value file.
    value: ScannedValue,
    is_separated: bool,
    /// Whether rows may have their values in value files.
    has_value_files: bool,
    has_failed: bool,
    /// Only records within this time are given.
    within: Option<Times>,
    reverse: bool,
    /// Rows of any time that a scan of a span of time has come to.
    seen: u64,
    /// Keeps what the rows are read from, also where compaction has replaced it meanwhile.
    view: Arc<View>,
    _snapshot: Option<Snapshot>,
}

impl Scan {
    /// Moves to the next row; false at the end.
    ///
    /// # Errors
    ///
    /// `Io` or `Corruption`; the scan is then at its end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        self.is_separated = false;
        if self.has_failed || !self.advance_row()? {
            return Ok(false);
        }
        if !self.has_value_files {
            return Ok(true);
        }
        let row = self.rows.entry();
        if row.kind == Kind::Separated {
            self.is_separated = true;
            let read = self.value.load(&self.view, row.value);
            self.has_failed = read.is_err();
            read?;
            effort::spend(effort::steps_of(self.value.bytes().len()))?;
        }
        Ok(true)
    }

    #[inline]
    fn advance_row(&mut self) -> Result<bool> {
        match self.within {
            None => self.rows.advance(),
            Some(times) => self.advance_within(times),
        }
    }

    /// How many rows a scan of a span of time has come to, those that it passed over among them.
    #[cfg(test)]
    pub(crate) fn rows_seen(&self) -> u64 {
        self.seen
    }

    /// Moves to the next record within `times`. Rows of other times are passed over: of their versions some may be
    /// missing, since blocks were left out, so nothing may be said of them.
    ///
    /// Blocks say which times they hold, but memtables don't, and a block may hold a few records of each of many keys.
    /// So after some rows of other times the scan seeks to where the next one may be: in the same key, or behind it.
    fn advance_within(&mut self, times: Times) -> Result<bool> {
        let mut passed = 0;
        let mut is_there = self.rows.advance()?;
        while is_there {
            self.seen += 1;
            let key = self.rows.entry().key;
            if time_of(key).is_some_and(|time| times.contains(time)) {
                return Ok(true);
            }
            passed += 1;
            let target = if passed < PASSED_MAX { None } else { leap(key, times, self.reverse) };
            is_there = match target {
                Some(target) => {
                    passed = 0;
                    self.rows.skip_to(&target)?
                }
                None => self.rows.advance()?,
            };
        }
        Ok(false)
    }

    /// The row: who wants more than one part of it gets them all at once. The last [`Scan::advance`] must have
    /// returned true.
    #[must_use]
    #[inline]
    pub fn row(&self) -> Row<'_> {
        let EntryRef { key, seqno, expires_at, value, .. } = self.rows.entry();
        Row { key, value: if self.is_separated { self.value.bytes() } else { value }, expires_at, seqno }
    }

    /// The key of the row. The last [`Scan::advance`] must have returned true.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.rows.entry().key
    }

    /// The value of the row.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &[u8] {
        if self.is_separated { self.value.bytes() } else { self.rows.entry().value }
    }

    /// When the row expires, in milliseconds since 1970; 0 for never.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.rows.entry().expires_at
    }

    /// The seqno of the row's put, or 0 once a compaction has left it out: where every snapshot sees it.
    #[must_use]
    pub fn seqno(&self) -> u64 {
        self.rows.entry().seqno
    }
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scan")
    }
}

/// The newest version of a key that a reader sees, in the source that knows it.
pub(super) enum Found<'a> {
    InMemtable(VersionRef<'a>),
    InTable(TableEntry),
}

impl Found<'_> {
    pub(super) fn version(&self) -> VersionRef<'_> {
        match self {
            Self::InMemtable(version) => *version,
            Self::InTable(found) => {
                let EntryRef { seqno, kind, expires_at, value, .. } = found.entry();
                VersionRef { seqno, kind, expires_at, value }
            }
        }
    }
}

/// Where a lookup goes on.
enum Step<'a> {
    Found(Found<'a>),
    /// A range tombstone hides whatever older sources hold.
    Hidden,
    NextSource,
}

impl Shared {
    /// Gives the value of `key`, if it is there, to `read`.
    #[inline]
    pub(crate) fn get_with<R>(
        &self,
        key: &[u8],
        snapshot: Option<&Snapshot>,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Result<Option<R>> {
        let (mut value, mut len) = (None, 0);
        self.lookup(key, snapshot, usize::MAX, |found| {
            len = found.bytes.len();
            value = Some(read(found));
        })?;
        effort::spend(LOOKUP_STEPS + effort::steps_of(len))?;
        Ok(value)
    }

    /// As [`Shared::get_with`], as far as that waits for no device.
    #[inline]
    pub(crate) fn try_get_with<R>(
        &self,
        key: &[u8],
        snapshot: Option<&Snapshot>,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Result<TryGet<R>> {
        let mut value = None;
        let is_known = nowait::without_waiting(|| {
            self.lookup(key, snapshot, TRY_GET_BYTES_MAX, |found| value = Some(read(found)))
        })?;
        Ok(match value {
            Some(value) => TryGet::Found(value),
            None if is_known == Some(true) => TryGet::Missing,
            None => TryGet::NeedsIo,
        })
    }

    /// Gives the value of `key`, if it is there, to `read`. False where that has more than `bytes_max`.
    fn lookup(
        &self,
        key: &[u8],
        snapshot: Option<&Snapshot>,
        bytes_max: usize,
        read: impl FnOnce(ValueRef<'_>),
    ) -> Result<bool> {
        self.check_open()?;
        let view = self.view.load();
        let seqno = snapshot.map_or_else(|| self.snapshots.visible(), Snapshot::seqno);
        self.lookup_in(&view, (key, hash_key(key)), None, seqno, bytes_max, read)
    }

    /// As [`Shared::lookup`], in a view, of a key with its [`hash_key`], which somebody may be near.
    #[inline]
    pub(super) fn lookup_in<'a>(
        &self,
        view: &'a View,
        key: (&[u8], u64),
        near: Option<Near<'a>>,
        seqno: SeqNo,
        bytes_max: usize,
        read: impl FnOnce(ValueRef<'_>),
    ) -> Result<bool> {
        let Step::Found(found) = find(view, key, near, seqno)? else { return Ok(true) };
        let VersionRef { seqno, kind, expires_at, value } = found.version();
        if !self.is_there(kind, expires_at) {
            return Ok(true);
        }
        if kind == Kind::Separated {
            let Some(value) = resolve(view, value, bytes_max)? else { return Ok(false) };
            read(ValueRef { bytes: &value, expires_at, seqno });
        } else if value.len() <= bytes_max {
            read(ValueRef { bytes: value, expires_at, seqno });
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The newest version of `key` in `view`, if that is there.
    pub(super) fn find_visible<'a>(
        &self,
        view: &'a View,
        key: &[u8],
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<Found<'a>>> {
        self.check_open()?;
        let seqno = snapshot.map_or_else(|| self.snapshots.visible(), Snapshot::seqno);
        let Step::Found(found) = find(view, (key, hash_key(key)), None, seqno)? else { return Ok(None) };
        let VersionRef { kind, expires_at, .. } = found.version();
        Ok(Some(found).filter(|_| self.is_there(kind, expires_at)))
    }

    fn is_there(&self, kind: Kind, expires_at: u64) -> bool {
        // The clock is asked only where there is an expiry.
        kind.is_value() && !(expires_at != 0 && is_expired(expires_at, self.config.clock.now_ms()))
    }

    pub(crate) fn scan(
        &self,
        range: ScanRange,
        direction: Direction,
        snapshot: Option<&Snapshot>,
        within: Option<Times>,
    ) -> Result<Scan> {
        self.check_open()?;
        effort::spend(SCAN_STEPS)?;
        let view = self.view();
        let seqno = snapshot.map_or_else(|| self.snapshots.visible(), Snapshot::seqno);
        let mut tombstones: Vec<Box<dyn TombstoneSource>> = Vec::new();
        let mut sources: Vec<Source> = Vec::new();
        for memtable in view.memtables() {
            if memtable.has_range_tombstones() {
                tombstones.push(Box::new(memtable.range_tombstones()));
            }
            if !memtable.is_empty() {
                sources.push(Source::Memtable(Box::new(memtable.iter())));
            }
        }
        for handle in view.version.level(0) {
            let table = handle.open()?;
            if !table.range_tombstones().is_empty() {
                tombstones.push(Box::new(Arc::clone(table.range_tombstones())));
            }
            if handle.meta().entries == 0 {
                continue;
            }
            match within {
                None => sources.push(Source::Table(table.iter())),
                Some(times) if table.may_hold_within(times) => {
                    sources.push(Source::Table(table.iter().within(times)));
                }
                Some(_) => {}
            }
        }
        for level in (1..LEVELS).filter(|&level| !view.version.level(level).is_empty()) {
            if view.version.has_range_tombstones(level) {
                tombstones.push(Box::new(LevelTombstones::new(Arc::clone(&view.version), level)));
            }
            let entries = LevelIterator::new(Arc::clone(&view.version), level);
            sources.push(Source::Level(match within {
                None => entries,
                Some(times) => entries.within(times),
            }));
        }
        // The clock is asked only where something may expire.
        let may_expire =
            view.version.has_expiring() || view.memtables().any(|memtable| memtable.fading() > 0);
        let now_ms = if may_expire { self.config.clock.now_ms() } else { 0 };
        let reverse = direction == Direction::Reverse;
        let holes = Holes::new(tombstones, seqno, if reverse { Travel::Backward } else { Travel::Forward });
        let visibility = Visibility { snapshot: seqno, now_ms, holes };
        let merged = MergeIterator::new(sources);
        let rows = VisibleIterator::new(merged, visibility, range.start, range.end, reverse);
        let has_value_files = !view.version.values().is_empty();
        let (value, is_separated, has_failed) = (ScannedValue::default(), false, false);
        let _snapshot = snapshot.cloned();
        Ok(Scan {
            rows,
            within,
            reverse,
            seen: 0,
            value,
            is_separated,
            has_value_files,
            has_failed,
            view,
            _snapshot,
        })
    }
}

/// Goes through the sources from the newest to the oldest until one knows the key.
fn find<'a>(
    view: &'a View,
    (key, hash): (&[u8], u64),
    mut near: Option<Near<'a>>,
    snapshot: SeqNo,
) -> Result<Step<'a>> {
    for memtable in view.memtables() {
        let covered = match memtable.has_range_tombstones() {
            true => covering(&memtable.range_tombstones(), key, snapshot),
            false => 0,
        };
        match decide(memtable.get_hashed(key, hash, snapshot).map(Found::InMemtable), covered) {
            Step::NextSource => {}
            step => return Ok(step),
        }
    }
    for handle in view.version.tables_with(key) {
        let table = handle.open()?;
        let covered = covering(table.range_tombstones(), key, snapshot);
        let found = match near.take_if(|near| near.is_in(table)) {
            Some(near) => near.get(key, hash, snapshot)?,
            None => table.get(key, hash, snapshot)?,
        };
        match decide(found.map(Found::InTable), covered) {
            Step::NextSource => {}
            step => return Ok(step),
        }
    }
    Ok(Step::NextSource)
}

fn covering(tombstones: &RangeTombstones, key: &[u8], snapshot: SeqNo) -> SeqNo {
    if tombstones.is_empty() { 0 } else { tombstones.covering(key, snapshot).unwrap_or(0) }
}

/// What one source says, where its newest range tombstone over the key has seqno `covered` (0 for none). Whatever
/// older sources hold of the key is older than both.
fn decide(found: Option<Found<'_>>, covered: SeqNo) -> Step<'_> {
    match found {
        Some(found) if covered == 0 || found.version().seqno > covered => Step::Found(found),
        _ if covered > 0 => Step::Hidden,
        Some(found) => Step::Found(found),
        None => Step::NextSource,
    }
}
