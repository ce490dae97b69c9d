//! Which series there are, once for each database, and what keeps writers apart.
//!
//! Invariant: whoever writes records holds the catalog, shared with other writers, until his commit is done; whoever
//! creates or deletes a series holds it alone. So no record is ever written into a series that is gone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::SeriesOptions;
use super::rows::{
    IDS, META_KEY, catalog_key, catalog_range, damaged, decode_catalog_key, decode_definition, decode_meta,
    encode_definition, encode_meta, record_prefix, rows_of_prefix,
};
use crate::engine::{CommitOptions, Direction, Engine, WriteBatch};
use crate::error::{Code, Error, Result, shown};
use crate::numbering::FIRST_NUMBER;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{RwLock, RwLockReadGuard};

/// The most series of a database.
pub const SERIES_MAX: usize = 10_000;

/// The longest name of a series, in bytes.
pub const SERIES_NAME_BYTES_MAX: usize = 255;

/// Rows are spread over so many locks.
pub(super) const STRIPES: usize = 64;

/// A series as it was defined.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) options: SeriesOptions,
    pub(super) id: u64,
    is_gone: AtomicBool,
}

impl Definition {
    /// What the keys of the records begin with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        record_prefix(self.id)
    }

    /// # Errors
    ///
    /// `NotFound` once the series has been deleted.
    pub(super) fn check_there(&self) -> Result<()> {
        if self.is_gone.load(Ordering::Acquire) {
            return Err(not_found(&self.name));
        }
        Ok(())
    }
}

/// What all handles of one database share.
pub(super) struct Ledger {
    catalog: RwLock<Option<Catalog>>,
    /// Held by writers of a row that stands for the stripe, shared; by whoever changes one by what it held, alone.
    pub(super) stripes: [RwLock<()>; STRIPES],
}

impl Default for Ledger {
    fn default() -> Self {
        Self { catalog: RwLock::default(), stripes: [const { RwLock::new(()) }; STRIPES] }
    }
}

/// The series, read on first use.
pub(super) struct Catalog {
    next_id: u64,
    by_name: BTreeMap<String, Arc<Definition>>,
}

impl Ledger {
    /// The series of this name, if there is one.
    pub(super) fn find(&self, engine: &Engine, name: &str) -> Result<Option<Arc<Definition>>> {
        if let Some(catalog) = &*self.catalog.read() {
            return Ok(catalog.by_name.get(name).cloned());
        }
        let mut catalog = self.catalog.write();
        Ok(loaded(&mut catalog, engine)?.by_name.get(name).cloned())
    }

    /// As [`Ledger::find`], but `None` also where that would have to wait for a writer or read the rows.
    pub(super) fn try_find(&self, name: &str) -> Option<Arc<Definition>> {
        self.catalog.try_read()?.as_ref()?.by_name.get(name).cloned()
    }

    /// Every series, in the order of the names.
    pub(super) fn list(&self, engine: &Engine) -> Result<Vec<Arc<Definition>>> {
        let mut catalog = self.catalog.write();
        Ok(loaded(&mut catalog, engine)?.by_name.values().cloned().collect())
    }

    /// Creates a series, or finds that it exists as described; with `None`, however it was described. One that is missing
    /// then gets the `defaults`.
    pub(super) fn create(
        &self,
        engine: &Engine,
        name: &str,
        options: Option<SeriesOptions>,
        defaults: SeriesOptions,
    ) -> Result<Arc<Definition>> {
        check_name(name)?;
        if let Some(options) = options {
            options.check()?;
        }
        let mut catalog = self.catalog.write();
        let catalog = loaded(&mut catalog, engine)?;
        if let Some(definition) = catalog.by_name.get(name) {
            return match options {
                Some(options) if options != definition.options => Err(exists(name)),
                _ => Ok(Arc::clone(definition)),
            };
        }
        if engine.is_read_only() {
            return Err(not_found(name));
        }
        if catalog.by_name.len() >= SERIES_MAX {
            let message = format!("creating series {name:?}: a database has at most {SERIES_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        // In a database that was repaired, the row that defines what has records may be lost.
        let id = IDS.without_rows(engine, catalog.next_id)?;
        let options = options.unwrap_or(defaults);
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &encode_meta(id + 1))?;
        batch.put(&catalog_key(name), &encode_definition(id, options))?;
        engine.commit(batch, CommitOptions::default())?;
        let definition =
            Arc::new(Definition { name: name.to_owned(), options, id, is_gone: AtomicBool::new(false) });
        catalog.next_id = id + 1;
        catalog.by_name.insert(name.to_owned(), Arc::clone(&definition));
        Ok(definition)
    }

    /// Deletes a series with its records, however many they are, by one small write.
    pub(super) fn delete(&self, engine: &Engine, name: &str) -> Result<()> {
        let mut catalog = self.catalog.write();
        let catalog = loaded(&mut catalog, engine)?;
        let definition = catalog.by_name.get(name).ok_or_else(|| not_found(name))?;
        let mut batch = WriteBatch::new();
        batch.delete(&catalog_key(name))?;
        let records = rows_of_prefix(definition.id, &[]);
        if let (std::ops::Bound::Included(start), std::ops::Bound::Excluded(end)) =
            (records.start, records.end)
        {
            batch.delete_range(&start, &end)?;
        }
        engine.commit(batch, CommitOptions::default())?;
        definition.is_gone.store(true, Ordering::Release);
        catalog.by_name.remove(name);
        Ok(())
    }

    /// Keeps the catalog as it is while the guard lives.
    pub(super) fn hold(&self) -> RwLockReadGuard<'_, Option<Catalog>> {
        self.catalog.read()
    }
}

/// The stripe of a row.
pub(super) fn stripe_of(row: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    (hasher.finish() % STRIPES as u64) as usize
}

fn loaded<'a>(catalog: &'a mut Option<Catalog>, engine: &Engine) -> Result<&'a mut Catalog> {
    if catalog.is_none() {
        *catalog = Some(load(engine)?);
    }
    Ok(catalog.as_mut().expect("it was put there just now"))
}

fn load(engine: &Engine) -> Result<Catalog> {
    let (given, by_name) = (next_id(engine)?, definitions(engine)?);
    // Of a database that was repaired, the row with the next id may be lost, or be an older one.
    let next_id = by_name.values().map(|definition| definition.id + 1).fold(given, u64::max);
    Ok(Catalog { next_id, by_name })
}

/// The next id that stands in the rows, or the first one.
pub(super) fn next_id(engine: &Engine) -> Result<u64> {
    match engine.get(META_KEY, None)? {
        Some(meta) => decode_meta(&meta.bytes),
        None => Ok(FIRST_NUMBER),
    }
}

/// The series by name. A repair may bring deleted ones back, so they may be more than [`SERIES_MAX`].
pub(super) fn definitions(engine: &Engine) -> Result<BTreeMap<String, Arc<Definition>>> {
    let mut by_name = BTreeMap::new();
    let mut rows = engine.scan(catalog_range(), Direction::Forward, None)?;
    while rows.advance()? {
        let row = rows.key();
        if row == META_KEY {
            continue;
        }
        let name = decode_catalog_key(row).filter(|name| check_name(name).is_ok());
        let name = name.ok_or_else(|| damaged(row, "its name is none"))?.to_owned();
        let (id, options) = decode_definition(rows.value(), row)?;
        if options.check().is_err() {
            return Err(damaged(row, "it has options out of range"));
        }
        let definition = Definition { name: name.clone(), options, id, is_gone: AtomicBool::new(false) };
        by_name.insert(name, Arc::new(definition));
    }
    Ok(by_name)
}

fn check_name(name: &str) -> Result<()> {
    let what = if name.is_empty() {
        "it is empty"
    } else if name.len() > SERIES_NAME_BYTES_MAX {
        "it is longer than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "it has a control character in it"
    } else {
        return Ok(());
    };
    let message = format!("{} can't be the name of a series: {what}", shown(name));
    Err(Error::new(Code::InvalidArgument, message))
}

/// A `NotFound` that names the series.
pub(super) fn not_found(name: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no series {}", shown(name)))
}

fn exists(name: &str) -> Error {
    Error::new(Code::Exists, format!("the series {name:?} exists with other options"))
}
