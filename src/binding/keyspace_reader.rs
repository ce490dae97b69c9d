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

    /// Runs `read` with the engine and what reads the keyspace; gives `None` where there is no keyspace yet.
    fn with<R>(&mut self, read: impl FnOnce(&Engine, &mut Reader) -> Result<R>) -> Result<Option<R>> {
        let closed = || Error::new(Code::Closed, "the database is closed");
        let database = self.database.upgrade().ok_or_else(closed)?;
        database.with_engine(|engine| {
            if self.reader.is_none() {
                let found = Keyspaces::new(engine.clone()).find(&self.name)?;
                self.reader = found.map(|keyspace| keyspace.reader());
            }
            self.reader.as_mut().map(|reader| read(engine, reader)).transpose()
        })
    }

    pub(super) fn try_get_with<R>(
        &mut self,
        key: &[u8],
        read: impl FnOnce(DocumentRef<'_>) -> R,
    ) -> Result<TryGet<R>> {
        let found = self.with(|engine, reader| reader.try_get_with(engine, key, |value| read(raw(value))))?;
        Ok(found.unwrap_or(TryGet::Missing))
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
        if given.is_none() {
            all.enumerate().for_each(|(place, _)| read(place, TryGet::Missing));
        }
        Ok(())
    }
}

fn raw(value: ValueRef<'_>) -> DocumentRef<'_> {
    DocumentRef { format: Format::Raw, bytes: value.bytes }
}
