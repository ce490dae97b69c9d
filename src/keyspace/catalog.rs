//! Which keyspaces there are, once for each database.
//!
//! Invariant: a name has its number before anything is written under that, and keeps it. So the log never has rows of a
//! keyspace before the row that names it, and who knows a number knows it for good.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::rows::{
    META_KEY, catalog_key, damaged, decode_catalog_key, decode_id, decode_meta, encode_id, encode_meta,
};
use crate::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use crate::error::{Code, Error, Result, shown};
use crate::sync::{Mutex, RwLock};

/// The most keyspaces with a name: so a number has two bytes at most.
pub const KEYSPACES_MAX: usize = (1 << 14) - 1;

/// The longest name, in bytes.
pub const KEYSPACE_NAME_BYTES_MAX: usize = 255;

const FIRST_ID: u32 = 1;

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
        if let Some(catalog) = &*self.catalog.read() {
            return Ok(catalog.by_name.get(name).copied());
        }
        let mut catalog = self.catalog.write();
        Ok(loaded(&mut catalog, engine)?.by_name.get(name).copied())
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
        batch.put(META_KEY, &encode_meta(id + 1))?;
        batch.put(&catalog_key(name), &encode_id(id))?;
        engine.commit(batch, CommitOptions::default())?;
        let mut catalog = self.catalog.write();
        let catalog = loaded(&mut catalog, engine)?;
        catalog.next_id = id + 1;
        catalog.by_name.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The number that the next name gets.
    fn next_id(&self, engine: &Engine) -> Result<u32> {
        let mut catalog = self.catalog.write();
        let catalog = loaded(&mut catalog, engine)?;
        if catalog.by_name.len() >= KEYSPACES_MAX {
            let message = format!("a database has at most {KEYSPACES_MAX} keyspaces with a name");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(catalog.next_id)
    }
}

fn loaded<'a>(catalog: &'a mut Option<Catalog>, engine: &Engine) -> Result<&'a mut Catalog> {
    if catalog.is_none() {
        *catalog = Some(load(engine)?);
    }
    Ok(catalog.as_mut().expect("it was put there just now"))
}

fn load(engine: &Engine) -> Result<Catalog> {
    let next_id = match engine.get(META_KEY, None)? {
        Some(meta) => decode_meta(&meta.bytes)?,
        None => FIRST_ID,
    };
    let mut by_name = HashMap::new();
    let mut rows = engine.scan(ScanRange::prefix(META_KEY), Direction::Forward, None)?;
    while rows.advance()? {
        if rows.key() == META_KEY {
            continue;
        }
        let name = decode_catalog_key(rows.key()).filter(|name| check_name(name).is_ok());
        let name = name.ok_or_else(|| damaged("its name is none"))?.to_owned();
        let id = decode_id(rows.value())?;
        if id >= next_id {
            return Err(damaged("its number was not given yet"));
        }
        by_name.insert(name, id);
    }
    Ok(Catalog { next_id, by_name })
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
