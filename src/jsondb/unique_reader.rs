//! Reading documents of one store again and again by their keys in a unique index, for callers that must not wait: no name is
//! looked up twice, and nothing is copied but the primary key.
//!
//! Invariant: the row of the index and the document are read from one snapshot, so that the document has the key.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};

use super::JsonDb;
use super::handle::Handle;
use super::reader::DocumentRef;
use super::rows::{StoredDocument, document_prefix, index_prefix};
use crate::engine::TryGet;
use crate::error::{Code, Error, Result};
use crate::sync::atomic::Ordering;

/// See the module. It does not keep the database open.
pub struct UniqueReader {
    handle: Weak<Handle>,
    store: String,
    index: String,
    /// When the schema was looked at, and where the rows lie by that.
    known: Option<(u64, Place)>,
    /// The rows that are read, in the same memory each time.
    index_row: Vec<u8>,
    document_row: Vec<u8>,
}

/// How many bytes the rows of the index and those of the store begin with.
#[derive(Debug, Clone, Copy)]
struct Place {
    index_len: usize,
    document_len: usize,
}

impl JsonDb {
    /// A reader of `store` by the keys of `index`, neither of which need exist yet.
    #[must_use]
    pub fn unique_reader(&self, store: &str, index: &str) -> UniqueReader {
        UniqueReader {
            handle: Arc::downgrade(&self.handle),
            store: store.to_owned(),
            index: index.to_owned(),
            known: None,
            index_row: Vec::new(),
            document_row: Vec::new(),
        }
    }
}

impl UniqueReader {
    /// Gives the document that has the encoded `key` in the index, as of the last visible commit, to `read`, if no file has
    /// to be waited for. Where the index is not unique, or is not there, that can't be told.
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
        let Some(place) = self.place(&handle)? else { return Ok(TryGet::NeedsIo) };
        self.index_row.truncate(place.index_len);
        self.index_row.extend_from_slice(key);
        self.document_row.truncate(place.document_len);
        let engine = &handle.database.engine;
        let snapshot = engine.snapshot();
        let document_row = &mut self.document_row;
        let found = engine.try_get_with(&self.index_row, Some(&snapshot), |primary_key| {
            document_row.extend_from_slice(primary_key.bytes);
        })?;
        match found {
            TryGet::Found(()) => {}
            TryGet::Missing => return Ok(TryGet::Missing),
            TryGet::NeedsIo => return Ok(TryGet::NeedsIo),
        }
        let row = &self.document_row;
        let found = engine.try_get_with(row, Some(&snapshot), |value| {
            let mut bytes = value.bytes;
            let (format, ..) = StoredDocument::header(&mut bytes, row)?;
            Ok(read(DocumentRef { format, bytes }))
        })?;
        Ok(match found {
            TryGet::Found(read) => TryGet::Found(read?),
            // It has just expired, or is damaged: a read that may wait tells.
            TryGet::Missing | TryGet::NeedsIo => TryGet::NeedsIo,
        })
    }

    /// Sees to it that the rows begin with what those of the index and the store begin with, and says how long that is.
    fn place(&mut self, handle: &Handle) -> Result<Option<Place>> {
        let now = handle.database.schema_epoch.load(Ordering::Acquire);
        match self.known {
            Some((then, place)) if then == now => Ok(Some(place)),
            _ => self.look_up(handle),
        }
    }

    fn look_up(&mut self, handle: &Handle) -> Result<Option<Place>> {
        self.known = None;
        let (schema, settled) = handle.database.schema_and_epoch();
        let store = handle.involved(&schema, &self.store)?.store;
        let usable = store.index(&self.index).filter(|index| index.options.unique && !index.building);
        let Some(index) = usable else { return Ok(None) };
        self.index_row = index_prefix(store.id, index.id);
        self.document_row = document_prefix(store.id);
        let place = Place { index_len: self.index_row.len(), document_len: self.document_row.len() };
        // A schema that is not visible yet will be without another change.
        self.known = settled.map(|epoch| (epoch, place));
        Ok(Some(place))
    }
}

impl std::fmt::Debug for UniqueReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = (&self.store, &self.index);
        f.debug_tuple("UniqueReader").field(&names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Document, Format, IndexOptions, Key, KeyPath, StoreOptions};

    fn put(db: &JsonDb, key: i64, mail: &str) {
        let bytes = format!("{{\"mail\":\"{mail}\",\"key\":{key}}}").into_bytes();
        let document = Document { format: Format::Json, bytes };
        db.update(&["s"], None, |transaction| transaction.put("s", Some(key.into()), document.clone()))
            .unwrap();
    }

    fn by_mail(unique: bool) -> IndexOptions {
        IndexOptions { key_path: KeyPath::One("mail".to_owned()), unique, multi_entry: false }
    }

    /// The keys of the documents, which stand in them.
    fn read(reader: &mut UniqueReader, mail: &str) -> Result<TryGet<String>> {
        reader.try_get_with(Key::from_str(mail).unwrap().as_bytes(), |found| {
            String::from_utf8_lossy(found.bytes).split_once("key\":").unwrap().1.replace('}', "")
        })
    }

    #[test]
    fn a_reader_by_a_unique_index_finds_who_has_the_key_now_whatever_becomes_of_the_index() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        let mut reader = db.unique_reader("s", "mail");

        assert_eq!(read(&mut reader, "a").unwrap_err().code(), Code::NotFound);
        db.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        put(&db, 1, "a");
        assert_eq!(read(&mut reader, "a").unwrap(), TryGet::NeedsIo, "there is no index");
        db.create_index("s", "mail", by_mail(true)).unwrap();
        assert_eq!(read(&mut reader, "a").unwrap(), TryGet::Found("1".to_owned()));
        assert_eq!(read(&mut reader, "b").unwrap(), TryGet::Missing);
        put(&db, 1, "b");
        put(&db, 2, "a");
        assert_eq!(read(&mut reader, "a").unwrap(), TryGet::Found("2".to_owned()));
        assert_eq!(read(&mut reader, "b").unwrap(), TryGet::Found("1".to_owned()));
        db.delete_index("s", "mail").unwrap();
        db.create_index("s", "mail", by_mail(false)).unwrap();
        assert_eq!(read(&mut reader, "a").unwrap(), TryGet::NeedsIo, "several may have the key");
        db.close().unwrap();
        assert_eq!(read(&mut reader, "a").unwrap_err().code(), Code::Closed);
    }

    /// Two documents that swap their keys all the time: read one after the other, the row of the index and the document
    /// would not fit.
    #[test]
    fn a_document_that_is_found_by_a_unique_index_has_the_key_also_while_others_write() {
        let db = JsonDb::open(Config::in_memory()).unwrap();
        db.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        db.create_index("s", "mail", by_mail(true)).unwrap();
        let writer = std::thread::spawn({
            let db = db.clone();
            move || {
                for turn in 0..2_000 {
                    put(&db, 1, ["a", "b"][turn % 2]);
                }
            }
        });
        let mut reader = db.unique_reader("s", "mail");
        while !writer.is_finished() {
            for mail in ["a", "b"] {
                let found = reader.try_get_with(Key::from_str(mail).unwrap().as_bytes(), |found| {
                    String::from_utf8_lossy(found.bytes).into_owned()
                });
                match found.unwrap() {
                    TryGet::Found(text) => assert!(text.contains(&format!("\"{mail}\"")), "{mail}: {text}"),
                    TryGet::Missing => {}
                    TryGet::NeedsIo => panic!("all of it lies in memory"),
                }
            }
        }
        writer.join().unwrap();
    }
}
