//! Reading records one after the other, with bounded memory.

use super::Record;
use super::record::expiry_from_ms;
use super::rows::decode_row;
use crate::engine::Scan;
use crate::error::Result;

/// The records of a query, as they were when the scan was made. It stands before the first until `advance`; as an
/// iterator it ends after an error.
pub struct RecordScan {
    /// `None` for a query that can't have any records.
    rows: Option<Scan>,
    prefix: Vec<u8>,
    left: Option<u64>,
    record: Record,
}

impl RecordScan {
    /// The records in `rows`, whose keys begin with `prefix`; at most `left` of them.
    pub(super) fn new(rows: Option<Scan>, prefix: Vec<u8>, left: Option<u64>) -> Self {
        Self { rows, prefix, left, record: Record::default() }
    }

    /// Moves to the next record; false at the end.
    ///
    /// # Errors
    ///
    /// `Io` or `Corruption`; the scan is then at its end.
    pub fn advance(&mut self) -> Result<bool> {
        let is_there = self.try_advance();
        if !matches!(is_there, Ok(true)) {
            self.rows = None;
        }
        is_there
    }

    fn try_advance(&mut self) -> Result<bool> {
        let Some(rows) = &mut self.rows else { return Ok(false) };
        if self.left == Some(0) || !rows.advance()? {
            return Ok(false);
        }
        self.left = self.left.map(|left| left - 1);
        let (key, ts) = decode_row(rows.key(), &self.prefix)?;
        self.record.key = key;
        self.record.ts = ts;
        self.record.expire_at = expiry_from_ms(rows.expires_at());
        self.record.value.clear();
        self.record.value.extend_from_slice(rows.value());
        Ok(true)
    }

    /// The record that the scan stands on. The last [`RecordScan::advance`] must have returned true.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

impl Iterator for RecordScan {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(true) => Some(Ok(self.record.clone())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl std::fmt::Debug for RecordScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordScan")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SyncMode};
    use crate::engine::Engine;
    use crate::series::{Query, SeriesDb};

    /// Memtables don't say which times they hold, so the scan leaps over what it does not want.
    #[test]
    fn a_span_of_time_in_memory_does_not_walk_over_all_records() {
        let config = Config { wal_sync_mode: SyncMode::Never, auto_background: false, ..Config::in_memory() };
        let series = SeriesDb::new(Engine::open(config).unwrap()).open_or_create("s").unwrap();
        for key in ["a", "b", "c"] {
            let records: Vec<Record> = (0..20_000).map(|ts| Record::new(key, ts, "v")).collect();
            series.write_batch(&records).unwrap();
        }
        for query in [Query::time_range(9_000..9_010), Query::time_range(9_000..9_010).reverse()] {
            let mut scan = series.scan(&query, None).unwrap();
            let mut found = 0;
            while scan.try_advance().unwrap() {
                found += 1;
            }
            let seen = scan.rows.as_ref().unwrap().rows_seen();
            assert_eq!(found, 30);
            // For each key the ten, and twice the rows that are walked over before a leap.
            assert!(seen <= 3 * (10 + 2 * 17), "{seen} rows were looked at");
        }
    }
}
