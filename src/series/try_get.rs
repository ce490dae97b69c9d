//! Reading one record without waiting for a file or a writer, for callers that must not block.
#![forbid(unsafe_code)]

use super::record::expiry_from_ms;
use super::{Record, Series, SeriesDb, rows};
use crate::engine::TryGet;
use crate::error::Result;

/// What could be told without waiting.
#[derive(Debug, Clone, PartialEq)]
pub enum TryRecord {
    /// The record as it is now.
    Found(Record),
    /// There is none.
    Missing,
    /// Only [`Series::get`] can tell: it reads files.
    NeedsIo,
}

impl SeriesDb {
    /// As [`SeriesDb::open`], but `None` where that would have to wait, and where there is no such series.
    #[must_use]
    pub fn try_open(&self, name: &str) -> Option<Series> {
        self.handle(self.ledger.try_find(name)?).ok()
    }
}

impl Series {
    /// The record of `key` at `ts` as of now, if no file has to be read for it.
    ///
    /// # Errors
    ///
    /// `InvalidKey`, `NotFound` when the series has been deleted, `Corruption` or `Closed`.
    pub fn try_get(&self, key: impl AsRef<[u8]>, ts: i64) -> Result<TryRecord> {
        self.definition.check_there()?;
        let key = key.as_ref();
        let row = rows::record_row(self.definition.id, key, ts)?;
        Ok(match self.engine.try_get(&row, None)? {
            TryGet::Found(value) => TryRecord::Found(Record {
                key: key.to_vec(),
                ts,
                expire_at: expiry_from_ms(value.expires_at),
                value: value.bytes,
            }),
            TryGet::Missing => TryRecord::Missing,
            TryGet::NeedsIo => TryRecord::NeedsIo,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;
    use crate::error::Code;

    #[test]
    fn what_lies_in_memory_is_told_at_once_and_what_is_not_known_yet_is_not() {
        let engine = Engine::open(Config::in_memory()).unwrap();
        let all = SeriesDb::new(engine.clone());
        assert!(all.try_open("s").is_none());
        let series = all.open_or_create("s").unwrap();
        let record = Record { key: b"k".to_vec(), ts: 5, expire_at: None, value: b"7".to_vec() };
        series.write_batch(std::slice::from_ref(&record)).unwrap();

        let series = all.try_open("s").unwrap();

        assert_eq!(series.try_get(b"k", 5).unwrap(), TryRecord::Found(record));
        assert_eq!(series.try_get(b"k", 6).unwrap(), TryRecord::Missing);
        all.delete("s").unwrap();
        assert!(all.try_open("s").is_none());
        assert_eq!(series.try_get(b"k", 5).unwrap_err().code(), Code::NotFound);
    }
}
