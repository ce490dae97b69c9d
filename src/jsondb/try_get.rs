//! Reading one document without waiting for a file, for callers that must not block.
#![forbid(unsafe_code)]

use super::rows::{StoredDocument, document_key};
use super::scope::Involved;
use super::transaction::row_of;
use super::{JsonDb, Key, Row};
use crate::engine::TryGet;
use crate::error::Result;

/// What could be told without reading a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryRow {
    /// The document as it is now.
    Found(Row),
    /// There is none.
    Missing,
    /// Only a transaction can tell: it reads files.
    NeedsIo,
}

impl JsonDb {
    /// The document stored under `key` as of the last visible commit, if no file has to be read for it.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that does not exist, `Corruption`, `Closed`.
    pub fn try_get(&self, store: &str, key: &Key) -> Result<TryRow> {
        let database = self.database()?;
        let Involved { store, .. } = self.handle.involved(&database.schema(), store)?;
        if store.is_absent() {
            return Ok(TryRow::Missing);
        }
        let row = document_key(store.id, key);
        Ok(match database.engine.try_get(&row, None)? {
            TryGet::Found(value) => {
                let stored = StoredDocument::decode_in_place(value.bytes, &row)?;
                TryRow::Found(row_of(key.clone(), None, stored))
            }
            TryGet::Missing => TryRow::Missing,
            TryGet::NeedsIo => TryRow::NeedsIo,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::error::Code;
    use crate::jsondb::{Document, Format, StoreOptions};

    fn number(value: f64) -> Key {
        Key::from_f64(value).unwrap()
    }

    #[test]
    fn what_lies_in_memory_is_told_at_once_and_a_store_that_is_not_there_is_an_error() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        db.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        let document = Document { format: Format::Json, bytes: b"7".to_vec() };
        db.update(&["s"], None, |transaction| transaction.put("s", Some(number(1.0)), document.clone()))
            .unwrap();

        let TryRow::Found(row) = db.try_get("s", &number(1.0)).unwrap() else {
            panic!("it is in the memtable")
        };
        assert_eq!((row.document, row.version), (document, 1));
        assert_eq!(db.try_get("s", &number(2.0)).unwrap(), TryRow::Missing);
        assert_eq!(db.try_get("t", &number(1.0)).unwrap_err().code(), Code::NotFound);
        db.close().unwrap();
        assert_eq!(db.try_get("s", &number(1.0)).unwrap_err().code(), Code::Closed);
    }
}
