//! What a transaction sees: a snapshot with its own writes laid over it, and a record of what it has looked at.
//!
//! Every read of a transaction goes through here, so that none of them can miss the transaction's own writes or
//! escape the check for conflicts. At [`Isolation::Snapshot`] what the user reads is not checked; what a write has to
//! look at (the document that it replaces, the rows of unique indexes) always is.
#![forbid(unsafe_code)]

use std::iter::Peekable;
use std::sync::Arc;

use super::Isolation;
use super::conflict::{Clash, ReadSet};
use super::ledger::Database;
use super::overlay::{Overlay, Value, Walk};
use super::rows::{RowKey, RowRange};
use super::schema::Schema;
use crate::effort;
use crate::engine::{Direction, Scan, ScanRange, Snapshot, TryGet, ValueRef};
use crate::error::{Code, Error, Result};
use crate::sync::atomic::{AtomicBool, Ordering};

/// What it costs, in steps, to look a row up where nothing may be waited for.
const LOOKUP_STEPS: i64 = 2;

/// A snapshot that is registered as active while it lives.
pub(crate) struct Base {
    pub(crate) database: Arc<Database>,
    pub(crate) snapshot: Snapshot,
    writes: bool,
    /// Whether what the user reads is checked when the transaction commits.
    checks_reads: bool,
    /// Whether no file is read.
    is_in_memory: bool,
    /// Whether a file would have had to be read.
    has_missed: AtomicBool,
}

impl Drop for Base {
    fn drop(&mut self) {
        if self.writes {
            self.database.end(self.snapshot.seqno());
        }
    }
}

/// See the module.
pub(crate) struct View {
    pub(crate) base: Base,
    pub(crate) overlay: Overlay,
    pub(crate) reads: ReadSet,
}

impl View {
    /// A view of now and the schema that it shows. One that `writes` records its reads.
    pub(crate) fn begin(database: &Arc<Database>, writes: bool) -> (Self, Arc<Schema>) {
        Self::begin_with(database, writes, Isolation::Serializable)
    }

    /// As [`View::begin`]; at snapshot isolation, only the reads of its writes are recorded.
    pub(crate) fn begin_with(
        database: &Arc<Database>,
        writes: bool,
        isolation: Isolation,
    ) -> (Self, Arc<Schema>) {
        let (snapshot, schema) = database.begin(writes);
        let checks_reads = writes && isolation == Isolation::Serializable;
        let base = Base::new(Arc::clone(database), snapshot, writes, checks_reads);
        (Self { base, overlay: Overlay::default(), reads: ReadSet::default() }, schema)
    }

    /// Moves the view on to what is visible now, unless something that was read has changed since: then that is given,
    /// and the view stays as it was.
    pub(crate) fn move_on(&mut self) -> std::result::Result<(), Clash> {
        let database = Arc::clone(&self.base.database);
        let (writes, checks_reads) = (self.base.writes, self.base.checks_reads);
        let (snapshot, _) = database.begin(writes);
        let base = Base::new(database, snapshot, writes, checks_reads);
        let since = self.base.snapshot.seqno();
        let checked = base.database.ledger.lock().writes.check(&mut self.reads, since);
        checked?;
        self.base = base;
        Ok(())
    }

    /// The value of one row that a write depends on: recorded at any isolation.
    pub(crate) fn get(&mut self, row: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.base.get(&self.overlay, &mut self.reads, row, self.base.writes)?;
        Ok(value.map(|value| value.bytes))
    }

    /// As [`View::get`]; gives the value to `read` where it lies.
    pub(crate) fn get_with<R>(&mut self, row: &RowKey, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        if let Some(written) = self.overlay.get(row) {
            let written = written.filter(|value| self.base.is_there(value));
            return Ok(written.map(|value| read(&value.bytes)));
        }
        if self.base.writes {
            self.reads.point(Arc::clone(row));
        }
        self.base.stored_with(row, |value| read(value.bytes))
    }

    /// The value of one row that a user reads.
    pub(crate) fn read(&mut self, row: &[u8]) -> Result<Option<Vec<u8>>> {
        self.base.read(&self.overlay, &mut self.reads, row)
    }
}

/// What is read from: a view, or an earlier state of its overlay.
pub(crate) struct Sight<'a> {
    pub(crate) base: &'a Base,
    pub(crate) overlay: &'a Overlay,
    pub(crate) reads: &'a mut ReadSet,
}

impl Base {
    fn new(database: Arc<Database>, snapshot: Snapshot, writes: bool, checks_reads: bool) -> Self {
        let (is_in_memory, has_missed) = (false, AtomicBool::new(false));
        Self { database, snapshot, writes, checks_reads, is_in_memory, has_missed }
    }

    /// From now on no file is read: what would need one fails.
    pub(crate) fn stay_in_memory(&mut self) {
        self.is_in_memory = true;
    }

    /// Whether something has failed since because it would have needed a file.
    pub(crate) fn has_missed(&self) -> bool {
        self.has_missed.load(Ordering::Relaxed)
    }

    /// # Errors
    ///
    /// `Busy` where no file may be read, which is noted.
    pub(crate) fn check_may_wait(&self) -> Result<()> {
        if !self.is_in_memory {
            return Ok(());
        }
        self.has_missed.store(true, Ordering::Relaxed);
        Err(Error::new(Code::Busy, "what is asked for does not lie in memory"))
    }

    /// The value of one row that a user reads; what the snapshot answers is recorded in `reads`.
    pub(crate) fn read(&self, overlay: &Overlay, reads: &mut ReadSet, row: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.read_value(overlay, reads, row)?.map(|value| value.bytes))
    }

    /// As [`Base::read`], with the expiry of the row.
    pub(crate) fn read_value(
        &self,
        overlay: &Overlay,
        reads: &mut ReadSet,
        row: &[u8],
    ) -> Result<Option<Value>> {
        self.get(overlay, reads, row, self.checks_reads)
    }

    /// Lends the value of one row that a user reads; what the snapshot answers is recorded in `reads`.
    pub(crate) fn lend<R>(
        &self,
        overlay: &Overlay,
        reads: &mut ReadSet,
        row: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        if !overlay.is_empty()
            && let Some(written) = overlay.get(row)
        {
            return Ok(written.filter(|value| self.is_there(value)).map(|value| read(&value.bytes)));
        }
        if self.checks_reads {
            reads.point(row);
        }
        self.stored_with(row, |value| read(value.bytes))
    }

    fn get(
        &self,
        overlay: &Overlay,
        reads: &mut ReadSet,
        row: &[u8],
        is_recorded: bool,
    ) -> Result<Option<Value>> {
        if let Some(written) = overlay.get(row) {
            return Ok(written.filter(|value| self.is_there(value)).cloned());
        }
        if is_recorded {
            reads.point(row);
        }
        self.stored_with(row, |value| Value { bytes: value.bytes.to_vec(), expires_at: value.expires_at })
    }

    /// Gives what the snapshot has at `row` to `read`.
    fn stored_with<R>(&self, row: &[u8], read: impl FnOnce(ValueRef<'_>) -> R) -> Result<Option<R>> {
        let (engine, snapshot) = (&self.database.engine, Some(&self.snapshot));
        if !self.is_in_memory {
            return engine.get_with(row, snapshot, read);
        }
        let found = engine.try_get_with(row, snapshot, |value| (value.bytes.len(), read(value)))?;
        match found {
            TryGet::Found((len, found)) => {
                effort::spend(LOOKUP_STEPS + effort::steps_of(len))?;
                Ok(Some(found))
            }
            TryGet::Missing => Ok(None),
            TryGet::NeedsIo => self.check_may_wait().map(|()| None),
        }
    }

    /// Whether what the transaction has written has not expired.
    fn is_there(&self, value: &Value) -> bool {
        value.expires_at == 0 || value.expires_at > self.now_ms()
    }

    /// The time by which rows expire.
    pub(crate) fn now_ms(&self) -> u64 {
        self.database.engine.now_ms()
    }

    /// Whether nothing that the user reads is checked, but what is written is.
    pub(crate) fn checks_only_writes(&self) -> bool {
        self.writes && !self.checks_reads
    }

    /// The rows in `range`, before the first of them. Whoever walks them records how far with [`Base::walked`].
    pub(crate) fn rows<'a>(
        &'a self,
        overlay: &'a Overlay,
        range: &RowRange,
        direction: Direction,
    ) -> Result<Rows<'a>> {
        let is_bare = overlay.is_empty();
        let mut rows = Rows {
            base: self,
            overlay,
            left: range.clone(),
            scan: None,
            written: overlay.walk(range, direction).peekable(),
            direction,
            current: Current::Start,
            is_bare,
            now_ms: if is_bare { 0 } else { self.now_ms() },
        };
        if let Some(cleared) = overlay.cleared_at(&rows.left.start) {
            rows.left.start.clone_from(&cleared.end);
        }
        rows.open_scan()?;
        Ok(rows)
    }

    /// Records that every row in `range` was seen.
    pub(crate) fn walked(&self, overlay: &Overlay, reads: &mut ReadSet, range: RowRange) {
        if self.checks_reads {
            self.walked_to_write(overlay, reads, range);
        }
    }

    /// As [`Base::walked`], where a write depends on the range: recorded at any isolation.
    pub(crate) fn walked_to_write(&self, overlay: &Overlay, reads: &mut ReadSet, mut range: RowRange) {
        if !self.writes {
            return;
        }
        // What the transaction has cleared is its own business. A clear in the midst is not worth two ranges.
        if let Some(cleared) = overlay.cleared_at(&range.start) {
            range.start.clone_from(&cleared.end);
        }
        reads.range(range);
    }
}

/// Which of the two streams the current row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Start,
    Scan,
    Written,
    End,
}

/// A row where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LentRow<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// When it expires, in milliseconds since 1970; 0 is never.
    pub(crate) expires_at: u64,
}

/// The snapshot's rows merged with the transaction's writes, in one direction.
pub(crate) struct Rows<'a> {
    base: &'a Base,
    overlay: &'a Overlay,
    /// What is left for a scan that has to be opened again.
    left: RowRange,
    /// Stands on its next row, which the transaction has not cleared; `None` at its end.
    scan: Option<Scan>,
    written: Peekable<Walk<'a>>,
    direction: Direction,
    current: Current,
    /// The transaction has written nothing, so that the snapshot's rows are all there is.
    is_bare: bool,
    /// By which own writes have expired; the scan has looked at the clock, too.
    now_ms: u64,
}

impl Rows<'_> {
    /// Moves to the next row; `false` at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool> {
        if self.is_bare { self.advance_bare() } else { self.advance_merged() }
    }

    #[inline]
    fn advance_bare(&mut self) -> Result<bool> {
        if self.current == Current::Scan
            && let Some(scan) = &mut self.scan
            && !scan.advance()?
        {
            self.scan = None;
        }
        self.current = if self.scan.is_some() { Current::Scan } else { Current::End };
        Ok(self.current == Current::Scan)
    }

    fn advance_merged(&mut self) -> Result<bool> {
        match self.current {
            Current::Start | Current::End => {}
            Current::Scan => self.advance_scan()?,
            Current::Written => {
                self.written.next();
            }
        }
        loop {
            self.current = self.next_source();
            match self.current {
                Current::Written => {}
                Current::Start | Current::Scan | Current::End => return Ok(self.current == Current::Scan),
            }
            self.skip_replaced()?;
            match self.written.peek() {
                Some((_, Some(value))) if value.expires_at == 0 || value.expires_at > self.now_ms => {
                    return Ok(true);
                }
                // The transaction deleted the row, or set one that has expired.
                _ => self.written.next(),
            };
        }
    }

    /// Passes over the snapshot's row where the transaction has written the same one.
    fn skip_replaced(&mut self) -> Result<()> {
        let replaced = match (&self.scan, self.written.peek()) {
            (Some(scan), Some((key, _))) => scan.key() == *key,
            _ => false,
        };
        if replaced { self.advance_scan() } else { Ok(()) }
    }

    fn next_source(&mut self) -> Current {
        match (&self.scan, self.written.peek()) {
            (None, None) => Current::End,
            (Some(_), None) => Current::Scan,
            (None, Some(_)) => Current::Written,
            (Some(scan), Some((key, _))) => {
                let scan_is_first = match self.direction {
                    Direction::Forward => scan.key() < *key,
                    Direction::Reverse => scan.key() > *key,
                };
                if scan_is_first { Current::Scan } else { Current::Written }
            }
        }
    }

    fn advance_scan(&mut self) -> Result<()> {
        if let Some(scan) = &mut self.scan
            && !scan.advance()?
        {
            self.scan = None;
        }
        self.leap_over_cleared()
    }

    fn open_scan(&mut self) -> Result<()> {
        self.scan = self.scan_left()?;
        self.leap_over_cleared()
    }

    fn scan_left(&self) -> Result<Option<Scan>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        self.base.check_may_wait()?;
        let range = ScanRange::between(self.left.start.clone(), self.left.end.clone());
        let mut scan = self.base.database.engine.scan(range, self.direction, Some(&self.base.snapshot))?;
        Ok(scan.advance()?.then_some(scan))
    }

    /// Where the scan has come into a cleared range, opens it again behind that.
    fn leap_over_cleared(&mut self) -> Result<()> {
        while let Some(cleared) = self.scan.as_ref().and_then(|scan| self.overlay.cleared_at(scan.key())) {
            match self.direction {
                Direction::Forward => self.left.start.clone_from(&cleared.end),
                Direction::Reverse => self.left.end.clone_from(&cleared.start),
            }
            self.scan = self.scan_left()?;
        }
        Ok(())
    }

    /// The current row's key and value.
    #[inline]
    pub(crate) fn row(&mut self) -> Option<(&[u8], &[u8])> {
        self.lent().map(|row| (row.key, row.value))
    }

    /// The current row, where it lies.
    #[inline]
    pub(crate) fn lent(&mut self) -> Option<LentRow<'_>> {
        match self.current {
            Current::Scan => self.scan.as_ref().map(|scan| {
                let row = scan.row();
                LentRow { key: row.key, value: row.value, expires_at: row.expires_at }
            }),
            Current::Written => self.written.peek().and_then(|(key, write)| {
                write.map(|value| LentRow { key, value: &value.bytes, expires_at: value.expires_at })
            }),
            Current::Start | Current::End => None,
        }
    }

    /// When the current row expires, in milliseconds since 1970; 0 is never.
    pub(crate) fn expires_at(&mut self) -> u64 {
        match self.current {
            Current::Scan => self.scan.as_ref().map_or(0, Scan::expires_at),
            Current::Written => {
                self.written.peek().and_then(|(_, write)| *write).map_or(0, |value| value.expires_at)
            }
            Current::Start | Current::End => 0,
        }
    }
}
