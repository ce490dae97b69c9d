//! Reading single keys of a keyspace from memory, for `raw`. A reader does not keep the database open.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};

use crate::engine::{Engine, TryGet, ValueRef};
use crate::error::{Code, Error, Result};
use crate::jsondb::{DocumentRef, Format};
use crate::keyspace::{Keyspaces, Reader};

use super::database::Database;
use super::raw_many::ReadMany;

/// See the module.
pub(super) struct KeyspaceReader {
    database: Weak<Database>,
    name: String,
    /// Once the keyspace is there: its number is for good.
    reader: Option<Reader>,
}

impl KeyspaceReader {
    pub(super) fn new(database: &Arc<Database>, name: &str) -> Self {
        Self { database: Arc::downgrade(database), name: name.to_owned(), reader: None }
    }

    /// Runs `read` with the engine and what reads the keyspace. `Missing` where there is no keyspace yet, `NeedsIo` where its
    /// number would have to be read first.
    fn with<R>(&mut self, read: impl FnOnce(&Engine, &mut Reader) -> Result<R>) -> Result<TryGet<R>> {
        let closed = || Error::new(Code::Closed, "the database is closed");
        let database = self.database.upgrade().ok_or_else(closed)?;
        database.with_engine(|engine| {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => match Keyspaces::new(engine.clone()).try_find(&self.name) {
                    TryGet::Found(keyspace) => none.insert(keyspace.reader()),
                    TryGet::Missing => return Ok(TryGet::Missing),
                    TryGet::NeedsIo => return Ok(TryGet::NeedsIo),
                },
            };
            read(engine, reader).map(TryGet::Found)
        })
    }

    pub(super) fn try_get_with<R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(DocumentRef<'_>) -> R,
    ) -> Result<TryGet<R>> {
        let found = self.with(|engine, reader| reader.try_get_with(engine, key, |value| read(raw(value))))?;
        Ok(match found {
            TryGet::Found(found) => found,
            TryGet::Missing => TryGet::Missing,
            TryGet::NeedsIo => TryGet::NeedsIo,
        })
    }
}

impl ReadMany for KeyspaceReader {
    fn try_get_many_with<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        mut read: impl FnMut(usize, TryGet<DocumentRef<'_>>),
    ) -> Result<()> {
        let all = keys.clone();
        let given = self.with(|engine, reader| {
            reader.try_get_many_with(engine, keys, |place, found| match found {
                TryGet::Found(value) => read(place, TryGet::Found(raw(value))),
                TryGet::Missing => read(place, TryGet::Missing),
                TryGet::NeedsIo => read(place, TryGet::NeedsIo),
            })
        })?;
        match given {
            TryGet::Found(()) => {}
            TryGet::Missing => all.enumerate().for_each(|(place, _)| read(place, TryGet::Missing)),
            TryGet::NeedsIo => all.enumerate().for_each(|(place, _)| read(place, TryGet::NeedsIo)),
        }
        Ok(())
    }
}

fn raw(value: ValueRef<'_>) -> DocumentRef<'_> {
    DocumentRef { format: Format::Raw, bytes: value.bytes }
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pool;
    use super::*;
    use crate::config::Config;
    use crate::engine::{CommitOptions, WriteBatch};

    #[test]
    fn a_reader_reads_no_catalog_and_needs_a_device_until_somebody_has() {
        let (pool, long_work_pool) = (Arc::new(Pool::new()), Arc::new(Pool::new()));
        let database = Arc::new(Database::new(Config::in_memory(), Arc::default(), pool, long_work_pool));
        database.open(None).unwrap();
        let engine = database.json().unwrap().engine().clone();
        let mut rows = WriteBatch::new();
        for (row, value) in [(&b"\x08"[..], &[1, 2][..]), (b"\x08k", &[1]), (b"\x09\x01a", b"v")] {
            rows.put(row, value).unwrap();
        }
        engine.commit(rows, CommitOptions::default()).unwrap();
        let mut reader = KeyspaceReader::new(&database, "k");
        let read = |reader: &mut KeyspaceReader, key: &[u8]| {
            let mut many = Vec::new();
            reader
                .try_get_many_with([key].into_iter(), |_, found| {
                    many.push(std::mem::discriminant(&one(found)))
                })
                .unwrap();
            let alone = reader.try_get_with(key, |document| document.bytes.to_vec()).unwrap();
            assert_eq!(many, [std::mem::discriminant(&alone)]);
            alone
        };
        let mut missing = KeyspaceReader::new(&database, "none");
        assert!(matches!(read(&mut reader, b"a"), TryGet::NeedsIo));
        assert!(matches!(read(&mut missing, b"a"), TryGet::NeedsIo));

        Keyspaces::new(engine).find("other").unwrap();

        assert!(matches!(read(&mut reader, b"a"), TryGet::Found(value) if value == b"v"));
        assert!(matches!(read(&mut reader, b"b"), TryGet::Missing));
        assert!(matches!(read(&mut missing, b"a"), TryGet::Missing));
    }

    fn one(found: TryGet<DocumentRef<'_>>) -> TryGet<Vec<u8>> {
        match found {
            TryGet::Found(document) => TryGet::Found(document.bytes.to_vec()),
            TryGet::Missing => TryGet::Missing,
            TryGet::NeedsIo => TryGet::NeedsIo,
        }
    }
}
