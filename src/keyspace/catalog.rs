//! Which keyspaces there are, once for each database.
//!
//! Invariant: a name has its number before anything is written under that, and keeps it. So the log never has rows of a
//! keyspace before the row that names it, and who knows a number knows it for good.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::rows::{
    META_KEY, NUMBERS, catalog_key, damaged, decode_catalog_key, decode_id, decode_meta, encode_id,
    encode_meta,
};
use crate::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use crate::error::{Code, Error, Result, shown};
use crate::numbering::FIRST_NUMBER;
use crate::sync::{Mutex, RwLock};

/// The most keyspaces with a name: so a number has two bytes at most.
pub const KEYSPACES_MAX: usize = (1 << 14) - 1;

/// The longest name, in bytes.
pub const KEYSPACE_NAME_BYTES_MAX: usize = 255;

/// The first number that a name gets.
const FIRST_ID: u32 = FIRST_NUMBER as u32;

/// What all handles of one database share.
#[derive(Default)]
pub(super) struct Ledger {
    /// Held by who gives a name its number, which takes a commit: nobody who reads waits for that.
    naming: Mutex<()>,
    /// The numbers by name, read on first use.
    catalog: RwLock<Option<Catalog>>,
}

struct Catalog {
    next_id: u32,
    by_name: HashMap<String, u32>,
}

impl Ledger {
    /// The number of a name, if it has one.
    pub(super) fn find(&self, engine: &Engine, name: &str) -> Result<Option<u32>> {
        if let Some(known) = self.try_find(name) {
            return Ok(known);
        }
        self.load(engine)?;
        Ok(self.try_find(name).flatten())
    }

    /// As [`Ledger::find`], but `None` where the rows would have to be read.
    pub(super) fn try_find(&self, name: &str) -> Option<Option<u32>> {
        self.catalog.read().as_ref().map(|catalog| catalog.by_name.get(name).copied())
    }

    /// The number of a name, which gets one where it has none.
    pub(super) fn open(&self, engine: &Engine, name: &str) -> Result<u32> {
        if let Some(id) = self.find(engine, name)? {
            return Ok(id);
        }
        check_name(name)?;
        let _alone = self.naming.lock();
        // Somebody else may have been faster.
        if let Some(id) = self.find(engine, name)? {
            return Ok(id);
        }
        let id = self.next_id(engine)?;
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &encode_meta(u64::from(id) + 1))?;
        batch.put(&catalog_key(name), &encode_id(id))?;
        engine.commit(batch, CommitOptions::default())?;
        if let Some(catalog) = &mut *self.catalog.write() {
            catalog.next_id = id + 1;
            catalog.by_name.insert(name.to_owned(), id);
        }
        Ok(id)
    }

    /// Reads the rows, unless somebody has. It is not done under the lock, so that whoever looks up a name waits for no
    /// device. Nothing that is named meanwhile can be missed: who names has found the catalog here.
    fn load(&self, engine: &Engine) -> Result<()> {
        let catalog = load(engine)?;
        self.catalog.write().get_or_insert(catalog);
        Ok(())
    }

    /// The number that the next name gets. One that has rows is passed over: in a database that was repaired the row that
    /// names it may be lost.
    fn next_id(&self, engine: &Engine) -> Result<u32> {
        let (next_id, names) = {
            let catalog = self.catalog.read();
            let catalog =
                catalog.as_ref().expect("who names has looked for the name, and so read the catalog");
            (catalog.next_id, catalog.by_name.len())
        };
        if names >= KEYSPACES_MAX {
            let message = format!("a database has at most {KEYSPACES_MAX} keyspaces with a name");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let id = NUMBERS.without_rows(engine, u64::from(next_id))?;
        Ok(u32::try_from(id).expect("it is at most the highest number of a keyspace"))
    }
}

fn load(engine: &Engine) -> Result<Catalog> {
    let (given, by_name) = (next_id(engine)?, names(engine)?);
    // Of a database that was repaired, the row with the next number may be lost, or be an older one.
    let next_id = by_name.values().map(|id| id + 1).fold(given, u32::max);
    Ok(Catalog { next_id, by_name })
}

/// The next number that stands in the rows, or the first one.
pub(super) fn next_id(engine: &Engine) -> Result<u32> {
    match engine.get(META_KEY, None)? {
        Some(meta) => decode_meta(&meta.bytes),
        None => Ok(FIRST_ID),
    }
}

/// The numbers of all names.
pub(super) fn names(engine: &Engine) -> Result<HashMap<String, u32>> {
    let mut by_name = HashMap::new();
    let mut rows = engine.scan(ScanRange::prefix(META_KEY), Direction::Forward, None)?;
    while rows.advance()? {
        if rows.key() == META_KEY {
            continue;
        }
        let name = decode_catalog_key(rows.key()).filter(|name| check_name(name).is_ok());
        let name = name.ok_or_else(|| damaged("its name is none"))?.to_owned();
        by_name.insert(name, decode_id(rows.value())?);
    }
    Ok(by_name)
}

fn check_name(name: &str) -> Result<()> {
    if name.len() <= KEYSPACE_NAME_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "{} can't be the name of a keyspace: it is longer than {KEYSPACE_NAME_BYTES_MAX} bytes",
        shown(name)
    );
    Err(Error::new(Code::InvalidArgument, message))
}
