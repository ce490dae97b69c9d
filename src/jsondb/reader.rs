//! Reading documents of one store again and again, for callers that must not wait: no name is looked up twice, and nothing
//! is copied.
#![forbid(unsafe_code)]

use std::sync::Weak;

use super::handle::Handle;
use super::rows::{StoredDocument, document_prefix};
use super::{Document, Format, JsonDb};
use crate::engine::TryGet;
use crate::error::{Code, Error, Result};
use crate::sync::atomic::Ordering;

/// A document where it lies, lent for the time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentRef<'a> {
    /// What the bytes are.
    pub format: Format,
    /// The document.
    pub bytes: &'a [u8],
}

impl Document {
    /// The document, where it lies.
    pub(super) fn lent(&self) -> DocumentRef<'_> {
        DocumentRef { format: self.format, bytes: &self.bytes }
    }
}

/// See the module. It does not keep the database open.
pub struct StoreReader {
    handle: Weak<Handle>,
    store: String,
    /// When the schema was looked at, and what the rows of the store begin with by that.
    known: Option<(u64, usize)>,
    /// The row that is read, in the same memory each time.
    row: Vec<u8>,
    /// The rows of many keys, one behind the other, and where each ends.
    rows: Vec<u8>,
    ends: Vec<usize>,
}

impl JsonDb {
    /// A reader of `store`, which need not exist yet.
    #[must_use]
    pub fn reader(&self, store: &str) -> StoreReader {
        let handle = std::sync::Arc::downgrade(&self.handle);
        let (row, rows, ends) = (Vec::new(), Vec::new(), Vec::new());
        StoreReader { handle, store: store.to_owned(), known: None, row, rows, ends }
    }
}

impl StoreReader {
    /// Gives the document under the encoded `key`, as of the last visible commit, to `read`, if no file has to be read
    /// for it.
    ///
    /// # Errors
    ///
    /// `NotFound` while there is no such store, `Corruption`, `Closed`.
    pub fn try_get_with<R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(DocumentRef<'_>) -> R,
    ) -> Result<TryGet<R>> {
        let handle =
            self.handle.upgrade().ok_or_else(|| Error::new(Code::Closed, "the database is closed"))?;
        handle.check_open()?;
        let Some(prefix) = self.prefix_len(&handle)? else { return Ok(TryGet::Missing) };
        self.row.truncate(prefix);
        self.row.extend_from_slice(key);
        let found = handle.database.engine.try_get_with(&self.row, None, |value| {
            let mut bytes = value.bytes;
            let (format, ..) = StoredDocument::header(&mut bytes, &self.row)?;
            Ok(read(DocumentRef { format, bytes }))
        })?;
        Ok(match found {
            TryGet::Found(read) => TryGet::Found(read?),
            TryGet::Missing => TryGet::Missing,
            TryGet::NeedsIo => TryGet::NeedsIo,
        })
    }

    /// As [`StoreReader::try_get_with`] for each of `keys`, all as of one commit; `read` is given each with its place.
    ///
    /// # Errors
    ///
    /// As there. Some of the keys may have been given then.
    pub fn try_get_many_with<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        mut read: impl FnMut(usize, TryGet<DocumentRef<'_>>),
    ) -> Result<()> {
        let handle =
            self.handle.upgrade().ok_or_else(|| Error::new(Code::Closed, "the database is closed"))?;
        handle.check_open()?;
        let Some(prefix) = self.prefix_len(&handle)? else {
            keys.enumerate().for_each(|(place, _)| read(place, TryGet::Missing));
            return Ok(());
        };
        self.row.truncate(prefix);
        self.rows.clear();
        self.ends.clear();
        for key in keys {
            self.rows.extend_from_slice(&self.row);
            self.rows.extend_from_slice(key);
            self.ends.push(self.rows.len());
        }
        let (rows, ends) = (&self.rows, &self.ends);
        let row = |place: usize| &rows[if place == 0 { 0 } else { ends[place - 1] }..ends[place]];
        let mut damage = Ok(());
        handle.database.engine.try_get_many_with(ends.len(), row, |place, found| {
            let found = match found {
                TryGet::Found(value) => {
                    let mut bytes = value.bytes;
                    match StoredDocument::header(&mut bytes, row(place)) {
                        Ok((format, ..)) => TryGet::Found(DocumentRef { format, bytes }),
                        Err(error) => {
                            damage = Err(error);
                            return;
                        }
                    }
                }
                TryGet::Missing => TryGet::Missing,
                TryGet::NeedsIo => TryGet::NeedsIo,
            };
            read(place, found);
        })?;
        damage
    }

    /// Sees to it that the row begins with what those of the store begin with, and says how long that is; `None` for a
    /// store that comes into being with its first write.
    fn prefix_len(&mut self, handle: &Handle) -> Result<Option<usize>> {
        let now = handle.database.schema_epoch.load(Ordering::Acquire);
        match self.known {
            Some((then, len)) if then == now => Ok(Some(len)),
            _ => self.look_up(handle),
        }
    }

    fn look_up(&mut self, handle: &Handle) -> Result<Option<usize>> {
        self.known = None;
        let (schema, settled) = handle.database.schema_and_epoch();
        let store = handle.involved(&schema, &self.store)?.store;
        if store.is_absent() {
            return Ok(None);
        }
        self.row = document_prefix(store.id);
        // A schema that is not visible yet will be without another change.
        self.known = settled.map(|epoch| (epoch, self.row.len()));
        Ok(Some(self.row.len()))
    }
}

impl std::fmt::Debug for StoreReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreReader").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Document, Key, StoreOptions};

    fn put(db: &JsonDb, key: i64, text: &str) {
        let document = Document { format: Format::Json, bytes: text.into() };
        db.update(&["s"], None, |transaction| transaction.put("s", Some(key.into()), document.clone()))
            .unwrap();
    }

    #[test]
    fn a_reader_finds_what_is_there_now_whatever_becomes_of_the_store() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        let mut reader = db.reader("s");
        let mut read = |key: i64| {
            reader.try_get_with(Key::from(key).as_bytes(), |found| {
                String::from_utf8_lossy(found.bytes).into_owned()
            })
        };
        let options = StoreOptions { key_path: None, auto_increment: false };

        assert_eq!(read(1).unwrap_err().code(), Code::NotFound);
        db.create_object_store("s", options.clone()).unwrap();
        assert_eq!(read(1).unwrap(), TryGet::Missing);
        put(&db, 1, "7");
        assert_eq!(read(1).unwrap(), TryGet::Found("7".to_owned()));
        put(&db, 1, "8");
        assert_eq!(read(1).unwrap(), TryGet::Found("8".to_owned()));
        db.delete_object_store("s").unwrap();
        assert_eq!(read(1).unwrap_err().code(), Code::NotFound);
        db.create_object_store("s", options).unwrap();
        assert_eq!(read(1).unwrap(), TryGet::Missing);
        put(&db, 1, "9");
        assert_eq!(read(1).unwrap(), TryGet::Found("9".to_owned()));
        db.close().unwrap();
        assert_eq!(read(1).unwrap_err().code(), Code::Closed);
    }

    #[test]
    fn many_documents_are_read_from_a_store_that_is_there_and_from_one_that_is_not() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        let mut reader = db.reader("s");
        let keys: Vec<Key> = (0..40_i64).map(Key::from).collect();
        let mut read = || {
            let mut found = Vec::new();
            let keys = keys.iter().map(Key::as_bytes);
            let read = reader.try_get_many_with(keys, |place, document| {
                assert_eq!(place, found.len());
                found.push(match document {
                    TryGet::Found(document) => String::from_utf8_lossy(document.bytes).into_owned(),
                    other => format!("{:?}", matches!(other, TryGet::Missing)),
                });
            });
            read.map(|()| found)
        };
        assert_eq!(read().unwrap_err().code(), Code::NotFound);
        db.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        assert_eq!(read().unwrap(), vec!["true"; 40]);

        (0..40).step_by(2).for_each(|key| put(&db, key, &format!("\"{key}\"")));

        let expected = (0..40).map(|key| if key % 2 == 0 { format!("\"{key}\"") } else { "true".to_owned() });
        assert_eq!(read().unwrap(), expected.collect::<Vec<_>>());
        db.close().unwrap();
        assert_eq!(read().unwrap_err().code(), Code::Closed);
    }

    #[test]
    fn a_reader_does_not_keep_the_database_open() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        let mut reader = db.reader("s");
        drop(db);
        assert_eq!(reader.try_get_with(b"", |_| ()).unwrap_err().code(), Code::Closed);
    }
}
