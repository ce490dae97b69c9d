//! Keyspaces: ordered maps from bytes to bytes, several of them in one database beside documents and series.
//!
//! A keyspace is a name and a number, and its rows are those of the engine whose keys begin with that number. It is there
//! as soon as something is written to it: nothing is created, and reading one that nobody has written to finds nothing.
//!
//! ```
//! use flowdb::config::Config;
//! use flowdb::engine::{CommitOptions, Engine};
//! use flowdb::keyspace::{Batch, Keyspaces};
//!
//! # fn main() -> flowdb::error::Result<()> {
//! let engine = Engine::open(Config::in_memory())?;
//! let stages = Keyspaces::new(engine.clone()).open("stages")?;
//! let mut batch = Batch::new(&engine);
//! batch.put(&stages, b"1", b"Bologna", None)?;
//! engine.commit(batch.into_writes(), CommitOptions::default())?;
//! assert_eq!(stages.get_with(b"1", None, |value| value.bytes.to_vec())?.unwrap(), b"Bologna");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod batch;
mod catalog;
mod clear;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod repair;
mod rows;

use std::ops::Bound;
use std::sync::Arc;

pub use batch::Batch;
pub use catalog::{KEYSPACE_NAME_BYTES_MAX, KEYSPACES_MAX};
pub use clear::Clearing;
pub(crate) use repair::put_right;
pub use rows::KEYSPACE_KEY_BYTES_MAX;

use crate::engine::{Direction, Engine, Scan, ScanRange, Snapshot, TryGet, ValueRef};
use crate::error::Result;
use catalog::Ledger;
use rows::{DEFAULT_ID, Prefix};

/// The bounds of a range of keys.
pub type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keyspaces of a database.
#[derive(Clone)]
pub struct Keyspaces {
    engine: Engine,
}

/// One keyspace. Cheap to clone; it stays what it is as long as the database does.
#[derive(Clone)]
pub struct Keyspace {
    engine: Engine,
    prefix: Prefix,
}

impl Keyspaces {
    /// Those of the database that `engine` has open.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The keyspace of this name, or `None` where nobody has written to it yet. The one without a name is always there.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption`, `Version` or `Closed`.
    pub fn find(&self, name: &str) -> Result<Option<Keyspace>> {
        if name.is_empty() {
            return Ok(Some(self.with_id(DEFAULT_ID)));
        }
        let id = self.ledger().find(&self.engine, name)?;
        Ok(id.map(|id| self.with_id(id)))
    }

    /// As [`Keyspaces::find`], where that needs no device: `NeedsIo` until somebody has found or opened one with a name.
    #[must_use]
    pub fn try_find(&self, name: &str) -> TryGet<Keyspace> {
        if name.is_empty() {
            return TryGet::Found(self.with_id(DEFAULT_ID));
        }
        match self.ledger().try_find(name) {
            Some(Some(id)) => TryGet::Found(self.with_id(id)),
            Some(None) => TryGet::Missing,
            None => TryGet::NeedsIo,
        }
    }

    /// The keyspace of this name, which gets its number now if it has none.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a name of more than [`KEYSPACE_NAME_BYTES_MAX`] bytes, and where there are
    /// [`KEYSPACES_MAX`] already; what a commit and [`Keyspaces::find`] give.
    pub fn open(&self, name: &str) -> Result<Keyspace> {
        if name.is_empty() {
            return Ok(self.with_id(DEFAULT_ID));
        }
        self.ledger().open(&self.engine, name).map(|id| self.with_id(id))
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.engine.attached::<Ledger>()
    }

    fn with_id(&self, id: u32) -> Keyspace {
        Keyspace { engine: self.engine.clone(), prefix: Prefix::new(id) }
    }
}

impl Keyspace {
    /// Calls `read` with the value of `key`, as of `snapshot` or of now, and returns what that returns; `None` where the
    /// key is not there.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn get_with<R>(
        &self,
        key: &[u8],
        snapshot: Option<&Snapshot>,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Result<Option<R>> {
        self.engine.get_with(&self.prefix.row(key), snapshot, read)
    }

    /// The rows of a range of keys, as of `snapshot` or of now.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn scan(
        &self,
        bounds: KeyBounds<'_>,
        direction: Direction,
        snapshot: Option<&Snapshot>,
    ) -> Result<Rows> {
        let (start, end) = self.prefix.rows(bounds);
        let range = ScanRange { start: Bound::Included(start), end: Bound::Excluded(end) };
        Ok(Rows { scan: self.engine.scan(range, direction, snapshot)?, prefix_len: self.prefix.len() })
    }

    /// How many bytes the tables have within a range of keys; see [`Engine::approximate_size`].
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub fn approximate_size(&self, bounds: KeyBounds<'_>) -> Result<u64> {
        let (start, end) = self.prefix.rows(bounds);
        if start >= end {
            return Ok(0);
        }
        self.engine.approximate_size(Bound::Included(&start), Bound::Excluded(&end))
    }

    /// Compacts a range of keys; see [`Engine::compact_range`].
    ///
    /// # Errors
    ///
    /// `Io`, `Poisoned`, `ReadOnly` or `Closed`.
    pub fn compact_range(&self, bounds: KeyBounds<'_>) -> Result<()> {
        self.compact_range_while(bounds, &crate::engine::always)
    }

    /// As [`Keyspace::compact_range`], for as long as `go_on` lets it.
    pub(crate) fn compact_range_while(
        &self,
        bounds: KeyBounds<'_>,
        go_on: crate::engine::GoOn<'_>,
    ) -> Result<()> {
        let (start, end) = self.prefix.rows(bounds);
        if start >= end {
            return Ok(());
        }
        self.engine.compact_range_while(Bound::Included(&start), Bound::Excluded(&end), go_on)
    }

    /// A reader of single keys, for callers that must not wait.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let row = self.prefix.row(&[]);
        Reader { prefix_len: row.len(), row, rows: Vec::new(), ends: Vec::new() }
    }
}

/// The rows of a scan. It stands before the first until `advance`.
#[derive(Debug)]
pub struct Rows {
    scan: Scan,
    prefix_len: usize,
}

impl Rows {
    /// Moves to the next row; false at the end.
    ///
    /// # Errors
    ///
    /// `Io` or `Corruption`.
    pub fn advance(&mut self) -> Result<bool> {
        self.scan.advance()
    }

    /// The row: its key without what the rows of the keyspace begin with. The last [`Rows::advance`] must have returned
    /// true.
    #[must_use]
    pub fn row(&self) -> crate::engine::Row<'_> {
        let row = self.scan.row();
        crate::engine::Row { key: row.key.get(self.prefix_len..).unwrap_or_default(), ..row }
    }
}

/// Reads single keys of a keyspace without waiting for a device, in the same memory each time. It holds no database.
#[derive(Debug, Clone)]
pub struct Reader {
    prefix_len: usize,
    /// The row that is read.
    row: Vec<u8>,
    /// The rows of many keys, one behind the other, and where each ends.
    rows: Vec<u8>,
    ends: Vec<usize>,
}

impl Reader {
    /// Gives the value of `key` as of now to `read`; see [`Engine::try_get_with`].
    ///
    /// # Errors
    ///
    /// `Corruption` or `Closed`.
    pub fn try_get_with<R>(
        &mut self,
        engine: &Engine,
        key: &[u8],
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> Result<TryGet<R>> {
        self.row.truncate(self.prefix_len);
        self.row.extend_from_slice(key);
        engine.try_get_with(&self.row, None, read)
    }

    /// As [`Reader::try_get_with`] for each of `keys`, all as of one moment; `read` is given each with its place.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_get_many_with<'k>(
        &mut self,
        engine: &Engine,
        keys: impl Iterator<Item = &'k [u8]>,
        read: impl FnMut(usize, TryGet<ValueRef<'_>>),
    ) -> Result<()> {
        self.row.truncate(self.prefix_len);
        self.rows.clear();
        self.ends.clear();
        for key in keys {
            self.rows.extend_from_slice(&self.row);
            self.rows.extend_from_slice(key);
            self.ends.push(self.rows.len());
        }
        let (rows, ends) = (&self.rows, &self.ends);
        let row = |place: usize| &rows[if place == 0 { 0 } else { ends[place - 1] }..ends[place]];
        engine.try_get_many_with(ends.len(), row, read)
    }
}

#[cfg(test)]
mod tests;
