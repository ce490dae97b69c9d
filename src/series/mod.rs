//! Records in time: what was measured, said or done under a key at a moment, in series.
//!
//! A [`Record`] is identified by its key (any bytes) and its time in microseconds since 1970, which may be negative. A
//! [`Series`] is a set of records with a name, a retention, and rows of its own in the engine; any number of them live
//! beside each other and beside documents. The records of one key lie side by side in the order of time (`rows`), so
//! that the latest one, or a span of time of one key, is one seek away however many there are.
//!
//! A query for a span of time of many keys reads only what can hold it, in two ways at once. Tables say for each block
//! which times it holds, and blocks of other times are not read; that leaves out whole tables of older data, and all
//! but a few blocks of keys with many records. And where rows of other times still come, as from memtables or from
//! blocks with a few records of each of many keys, the scan seeks from key to key instead of walking over them.
//!
//! ```
//! use flowdb::config::Config;
//! use flowdb::engine::Engine;
//! use flowdb::series::{Aggregate, Query, Record, SeriesDb, SeriesOptions, number_of_f64};
//!
//! # fn main() -> flowdb::error::Result<()> {
//! let db = SeriesDb::new(Engine::open(Config::in_memory())?);
//! let heat = db.create("heat", SeriesOptions::default())?;
//! let measured = |ts, degrees: f64| Record::new("kitchen", ts, degrees.to_le_bytes());
//! heat.write_batch(&[measured(1_000_000, 19.0), measured(2_000_000, 21.0), measured(61_000_000, 24.0)])?;
//!
//! assert_eq!(heat.get_latest("kitchen", None)?.unwrap().ts, 61_000_000);
//! let first_minute = heat.scan(&Query::time_range(0..60_000_000), None)?;
//! assert_eq!(first_minute.count(), 2);
//! let minute = Some(60_000_000);
//! let averages = heat.downsample(&Query::key("kitchen"), minute, Aggregate::Avg, number_of_f64, None)?;
//! let averages: Vec<f64> = averages.map(|window| Ok(window?.value)).collect::<flowdb::error::Result<_>>()?;
//! assert_eq!(averages, [20.0, 24.0]);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod catalog;
mod downsample;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod query;
mod record;
mod repair;
mod rows;
mod scan;
mod try_get;
mod write;

use std::ops::Bound;
use std::sync::Arc;

pub use catalog::{SERIES_MAX, SERIES_NAME_BYTES_MAX};
pub use downsample::{Aggregate, Downsample, Window, number_of_f64};
pub use query::Query;
pub use record::{NEVER, Patch, Record, SECONDS_MAX, SeriesOptions};
pub(crate) use repair::put_right;
pub use rows::RECORD_KEY_BYTES_MAX;
pub use scan::RecordScan;
pub use try_get::TryRecord;
pub(crate) use write::{Change, commit};

use catalog::{Definition, Ledger};
use record::{MICROS_PER_SECOND, after, expiry_from_ms, expiry_to_ms};
use rows::rows_of_key;

use crate::engine::{Direction, Engine, Snapshot};
use crate::error::{Code, Error, Result};

/// The series of one database. Whoever makes one for the same engine sees the same series.
#[derive(Clone)]
pub struct SeriesDb {
    engine: Engine,
    ledger: Arc<Ledger>,
}

impl SeriesDb {
    /// The series in the database of `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        let ledger = engine.attached();
        Self { engine, ledger }
    }

    /// What a series is created with where nothing else is said: windows of the database's `time_bucket_secs`, and its
    /// `default_ttl_secs`, if there is one, as retention.
    #[must_use]
    pub fn default_options(&self) -> SeriesOptions {
        let config = self.engine.config();
        let retention_secs = Some(config.default_ttl_secs).filter(|&secs| secs > 0);
        SeriesOptions { retention_secs, time_bucket_secs: config.time_bucket_secs }
    }

    /// Creates a series; one that exists with the same options is opened.
    ///
    /// # Errors
    ///
    /// `Exists` for a series with other options, `InvalidArgument` for a name, an option or a number of series out of
    /// range, `NotFound` where it is missing in a database that was opened read-only, and what the engine gives.
    pub fn create(&self, name: &str, options: SeriesOptions) -> Result<Series> {
        self.handle(self.ledger.create(&self.engine, name, Some(options), options)?)
    }

    /// Opens a series with the options that it was created with; where there is none, one is created with
    /// [`SeriesDb::default_options`].
    ///
    /// # Errors
    ///
    /// As [`SeriesDb::create`].
    pub fn open_or_create(&self, name: &str) -> Result<Series> {
        self.handle(self.ledger.create(&self.engine, name, None, self.default_options())?)
    }

    /// Opens a series.
    ///
    /// # Errors
    ///
    /// `NotFound`, and what the engine gives.
    pub fn open(&self, name: &str) -> Result<Series> {
        let found = self.ledger.find(&self.engine, name)?;
        self.handle(found.ok_or_else(|| catalog::not_found(name))?)
    }

    /// Deletes a series with its records, however many they are, by one small write. Its handles give `NotFound` from
    /// then on, also when a series of the same name is created again.
    ///
    /// # Errors
    ///
    /// `NotFound`, and what the engine gives.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.ledger.delete(&self.engine, name)
    }

    /// The names of all series, sorted.
    ///
    /// # Errors
    ///
    /// What the engine gives.
    pub fn names(&self) -> Result<Vec<String>> {
        let definitions = self.ledger.list(&self.engine)?;
        Ok(definitions.iter().map(|definition| definition.name.clone()).collect())
    }

    fn handle(&self, definition: Arc<Definition>) -> Result<Series> {
        Ok(Series { engine: self.engine.clone(), ledger: Arc::clone(&self.ledger), definition })
    }
}

impl std::fmt::Debug for SeriesDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeriesDb")
    }
}

/// A handle on one series. A clone is the same series.
#[derive(Clone)]
pub struct Series {
    engine: Engine,
    ledger: Arc<Ledger>,
    definition: Arc<Definition>,
}

impl Series {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What the series was set to when it was created.
    #[must_use]
    pub fn options(&self) -> SeriesOptions {
        self.definition.options
    }

    /// Writes records, all of them or none. One that is there with the same key and time is replaced.
    ///
    /// # Errors
    ///
    /// `InvalidKey` or `InvalidValue` for what is too long, `InvalidArgument` for too much at once, `NotFound` when the
    /// series has been deleted, and what the engine gives.
    pub fn write_batch(&self, records: &[Record]) -> Result<()> {
        self.commit(Change::Put(records.to_vec())).map(|_| ())
    }

    /// As [`Series::write_batch`]; records without an expiry of their own expire `ttl_secs` after their time.
    ///
    /// # Errors
    ///
    /// As [`Series::write_batch`].
    pub fn write_batch_ttl(&self, records: &[Record], ttl_secs: u64) -> Result<()> {
        let mut records = records.to_vec();
        for record in &mut records {
            record.expire_at = record.expire_at.or(Some(after(record.ts, ttl_secs)));
        }
        self.commit(Change::Put(records)).map(|_| ())
    }

    /// The record of `key` at `ts`, as of `snapshot` or of now.
    ///
    /// # Errors
    ///
    /// `InvalidKey`, `NotFound` when the series has been deleted, `Io`, `Corruption` or `Closed`.
    pub fn get(&self, key: impl AsRef<[u8]>, ts: i64, snapshot: Option<&Snapshot>) -> Result<Option<Record>> {
        self.definition.check_there()?;
        let key = key.as_ref();
        let row = rows::record_row(self.definition.id, key, ts)?;
        let found = self.engine.get(&row, snapshot)?;
        Ok(found.map(|value| Record {
            key: key.to_vec(),
            ts,
            expire_at: expiry_from_ms(value.expires_at),
            value: value.bytes,
        }))
    }

    /// The latest record of `key`, found by one seek.
    ///
    /// # Errors
    ///
    /// As [`Series::get`].
    pub fn get_latest(&self, key: impl AsRef<[u8]>, snapshot: Option<&Snapshot>) -> Result<Option<Record>> {
        self.scan(&Query::key(key).reverse().limit(1), snapshot)?.next().transpose()
    }

    /// Deletes records by key and time, whether they are there or not.
    ///
    /// # Errors
    ///
    /// As [`Series::write_batch`].
    pub fn delete_batch<K: AsRef<[u8]>>(&self, records: &[(K, i64)]) -> Result<()> {
        let records = records.iter().map(|(key, ts)| (key.as_ref().to_vec(), *ts)).collect();
        self.commit(Change::Delete(records)).map(|_| ())
    }

    /// Deletes all records of a query.
    ///
    /// Whole keys, and a span of time of one key, are deleted by one small write, however many records there are. For
    /// a span of time of many keys it takes one for each key that has records there: they are committed in portions,
    /// so after an error, or a crash, the records of some keys may be gone and those of others not.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a query with a limit, and as [`Series::write_batch`].
    pub fn delete_range(&self, query: &Query) -> Result<()> {
        /// So many keys are deleted by one commit.
        const PORTION_KEYS: usize = 1_000;
        if query.limit.is_some() {
            let message = "deleting a range of records takes no limit";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let id = self.definition.id;
        let times = query.times;
        if times.is_empty() {
            return self.definition.check_there();
        }
        let (rows, looks_at_time) = query.rows(id)?;
        if !looks_at_time {
            return self.commit(Change::DeleteRows(bounded(rows).into_iter().collect())).map(|_| ());
        }
        let Some((first, behind)) = bounded(rows.clone()) else { return Ok(()) };
        let snapshot = self.engine.snapshot();
        let query = query.forward();
        let (mut rows, mut portion) = (rows, Vec::new());
        loop {
            let mut scan = self.scan_rows(rows.clone(), true, &query, Some(&snapshot))?;
            let key = if scan.advance()? { Some(scan.record().key.clone()) } else { None };
            if let Some(key) = &key {
                // A query that begins behind a place may have a part of the key's records only.
                let of_key = bounded(rows_of_key(id, key, times)?);
                portion
                    .extend(of_key.map(|(start, end)| (start.max(first.clone()), end.min(behind.clone()))));
                // On with what lies behind the key.
                rows.start =
                    rows::rows_of_keys(id, (Bound::Excluded(key.as_slice()), Bound::Unbounded)).start;
            }
            if portion.len() >= PORTION_KEYS || (key.is_none() && !portion.is_empty()) {
                self.commit(Change::DeleteRows(std::mem::take(&mut portion)))?;
            }
            if key.is_none() {
                return Ok(());
            }
        }
    }

    /// Changes the value, the expiry, or both, of one record, and says whether there was one. Nothing is written where
    /// there was none.
    ///
    /// # Errors
    ///
    /// As [`Series::write_batch`].
    pub fn patch_record(&self, key: impl AsRef<[u8]>, ts: i64, patch: &Patch) -> Result<bool> {
        self.update_record(key, ts, |_| Ok(Some(patch.clone())))
    }

    /// Changes one record by what it holds, and says whether there was one. No other write of the record comes between
    /// what `make` is shown and what it gives. `make` must not write records itself.
    ///
    /// # Errors
    ///
    /// What `make` gives, after which nothing is written, and as [`Series::write_batch`].
    pub fn update_record(
        &self,
        key: impl AsRef<[u8]>,
        ts: i64,
        make: impl FnOnce(&Record) -> Result<Option<Patch>>,
    ) -> Result<bool> {
        self.commit(Change::Patch { key: key.as_ref().to_vec(), ts, make: Box::new(make) })
    }

    /// The records of a query, as of `snapshot` or of now, one after the other with bounded memory.
    ///
    /// # Errors
    ///
    /// As [`Series::get`].
    pub fn scan(&self, query: &Query, snapshot: Option<&Snapshot>) -> Result<RecordScan> {
        if query.times.is_empty() {
            self.definition.check_there()?;
            return Ok(RecordScan::new(None, Vec::new(), None));
        }
        let (rows, looks_at_time) = query.rows(self.definition.id)?;
        self.scan_rows(rows, looks_at_time, query, snapshot)
    }

    /// The number that an aggregate makes of the values in each window of time of each key, in the order of `query`.
    ///
    /// Windows are `width` microseconds wide (the series' `time_bucket_secs` where it is `None`) and begin at multiples of
    /// that. `number_of` gives the number that a value stands for, for example [`number_of_f64`]; values that stand
    /// for none, or for NaN, are passed over. A limit of the query limits the windows. One window is held in memory at
    /// a time.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a width below 1, and as [`Series::get`].
    pub fn downsample<F: FnMut(&[u8]) -> Option<f64>>(
        &self,
        query: &Query,
        width: Option<i64>,
        aggregate: Aggregate,
        number_of: F,
        snapshot: Option<&Snapshot>,
    ) -> Result<Downsample<F>> {
        let bucket = self.definition.options.time_bucket_secs as i64 * MICROS_PER_SECOND;
        let records = self.scan(&query.unlimited(), snapshot)?;
        Downsample::new(records, width.unwrap_or(bucket), aggregate, number_of, query.limit)
    }

    /// Fixes what is visible now, until the snapshot is dropped.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.engine.snapshot()
    }

    fn scan_rows(
        &self,
        rows: crate::engine::ScanRange,
        looks_at_time: bool,
        query: &Query,
        snapshot: Option<&Snapshot>,
    ) -> Result<RecordScan> {
        self.definition.check_there()?;
        let direction = if query.is_reverse { Direction::Reverse } else { Direction::Forward };
        let rows = if looks_at_time {
            self.engine.scan_within(rows, query.times, direction, snapshot)?
        } else {
            self.engine.scan(rows, direction, snapshot)?
        };
        Ok(RecordScan::new(Some(rows), self.definition.prefix(), query.limit))
    }

    fn commit(&self, change: Change<'_>) -> Result<bool> {
        commit(vec![(self, change)]).pop().unwrap_or(Ok(true))
    }

    /// When a record that is to be written expires, as the engine has it.
    fn expires_at_ms(&self, record: &Record) -> u64 {
        let by_retention = || self.definition.options.retention_secs.map(|seconds| after(record.ts, seconds));
        record.expire_at.or_else(by_retention).map_or(0, expiry_to_ms)
    }
}

impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Series({:?})", self.definition.name)
    }
}

/// The first row of a range, and the first behind it; `None` for a range without both, which those of a series have.
fn bounded(rows: crate::engine::ScanRange) -> Option<(Vec<u8>, Vec<u8>)> {
    let behind = |mut row: Vec<u8>| {
        row.push(0);
        row
    };
    let start = match rows.start {
        Bound::Included(row) => row,
        Bound::Excluded(row) => behind(row),
        Bound::Unbounded => return None,
    };
    let end = match rows.end {
        Bound::Included(row) => behind(row),
        Bound::Excluded(row) => row,
        Bound::Unbounded => return None,
    };
    Some((start, end))
}
