//! Making the rows of a repaired database agree with each other: counts, generators, ids, and the rows of indexes.
//!
//! The engine saves rows one by one, so a document may have lost its index rows, or they their document. Documents are
//! what counts; everything else is derived from them and from the catalog. What the catalogs of keyspaces and series lack is
//! put right, too: whoever repairs a database has one call for all that is in it.
//!
//! Invariant: what is missing is written before what is wrong is removed, and each step leaves the database no worse. So
//! a repair that is cut short can be done again.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Document;
use super::generator::{GENERATED_KEY_FIRST, Generator};
use super::index::{IndexRow, rows_of};
use super::key::{Key, KeyValue};
use super::rows::{
    Kind, META_KEY, ROWS_VERSION_EXPIRY, RowRange, StoreState, StoredDocument, catalog_key, catalog_range,
    decode_catalog_key, decode_document_key, decode_expiry_key, decode_gap_row, decode_index_row,
    decode_meta, document_key, document_prefix, encode_meta, expiries_prefix, expiries_range, expiry_key,
    index_prefix, index_range, split_row_key, state_key,
};
use super::schema::StoreDef;
use crate::coding::take_varint;
use crate::config::{Config, SyncMode};
use crate::engine::{
    self, CommitOptions, Direction, Engine, GoOn, RepairReport, ScanRange, WriteBatch, always,
};
use crate::error::Result;
use crate::fs::{DiskFs, FileSystem};
use crate::keyspace;
use crate::series;

/// A batch is committed after so many changes.
const BATCH_CHANGES_MAX: usize = 1_000;

/// What a repair has saved, lost and put right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentsReport {
    /// What was saved of the files.
    pub files: RepairReport,
    /// Object stores that can be read.
    pub stores: u64,
    /// Documents in them.
    pub documents: u64,
    /// Rows of indexes that were missing.
    pub index_rows_added: u64,
    /// Rows of indexes that stood for no document.
    pub index_rows_removed: u64,
    /// Documents that have the key of another one in a unique index. The index has the other one.
    pub unique_conflicts: u64,
    /// Keyspaces with a name.
    pub keyspaces: u64,
    /// Keyspaces whose name was lost. Their entries stay, and nobody sees them.
    pub keyspaces_lost: u64,
    /// Series that are defined.
    pub series: u64,
    /// Series that have records, but whose definition was lost. Their records stay, and nobody sees them.
    pub series_lost: u64,
}

/// Repairs the files of the document database that `config` describes, then makes its rows agree.
///
/// # Errors
///
/// As [`crate::engine::repair`].
pub fn repair(config: &Config) -> Result<DocumentsReport> {
    repair_while(config, &always)
}

/// As [`repair`], for as long as `go_on` lets it: what is left then can be repaired by another call.
pub(crate) fn repair_while(config: &Config, go_on: GoOn<'_>) -> Result<DocumentsReport> {
    repair_documents_while(config, Arc::new(DiskFs), go_on)
}

/// As [`repair`], on a file system of the caller's.
///
/// # Errors
///
/// As [`crate::engine::repair`].
pub fn repair_documents_on(config: &Config, fs: Arc<dyn FileSystem>) -> Result<DocumentsReport> {
    repair_documents_while(config, fs, &always)
}

fn repair_documents_while(
    config: &Config,
    fs: Arc<dyn FileSystem>,
    go_on: GoOn<'_>,
) -> Result<DocumentsReport> {
    let files = engine::repair_while(config, Arc::clone(&fs), go_on)?;
    let engine = Engine::open_on(config.clone(), fs)?;
    let mut work = Work {
        engine: engine.clone(),
        report: DocumentsReport { files, ..DocumentsReport::default() },
        batch: WriteBatch::new(),
        go_on,
    };
    let put_right = work.put_right();
    let closed = engine.close();
    put_right?;
    closed?;
    Ok(work.report)
}

struct Work<'a> {
    engine: Engine,
    report: DocumentsReport,
    /// Changes on their way.
    batch: WriteBatch,
    go_on: GoOn<'a>,
}

impl Work<'_> {
    fn put_right(&mut self) -> Result<()> {
        let keyspaces = keyspace::put_right(&self.engine)?;
        (self.report.keyspaces, self.report.keyspaces_lost) = (keyspaces.named, keyspaces.lost);
        let series = series::put_right(&self.engine)?;
        (self.report.series, self.report.series_lost) = (series.named, series.lost);
        let stores = self.stores()?;
        self.give_ids(&stores)?;
        for store in &stores {
            self.report.stores += 1;
            self.follow_documents(store)?;
            for index in 0..store.indexes.len() {
                self.follow_index(store, index)?;
            }
        }
        self.commit()?;
        self.engine.sync()
    }

    fn commit_if_full(&mut self) -> Result<()> {
        if self.batch.len() >= BATCH_CHANGES_MAX { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.engine.commit(batch, CommitOptions { sync: Some(SyncMode::Never), check: None })?;
        Ok(())
    }

    /// The stores of the catalog. Of two with one name, which is so when the deletion of the first was lost, the newer
    /// one stays. Indexes that were being built are not theirs yet.
    fn stores(&mut self) -> Result<Vec<StoreDef>> {
        let RowRange { start, end } = catalog_range();
        let mut rows = self.engine.scan(ScanRange::between(start, end), Direction::Forward, None)?;
        let mut stores: BTreeMap<String, StoreDef> = BTreeMap::new();
        while rows.advance()? {
            let id = decode_catalog_key(rows.key())?;
            let store = StoreDef::decode(id, rows.value(), GENERATED_KEY_FIRST)?;
            let ready = store.indexes.iter().filter(|index| !index.building).cloned().collect();
            let store = store.with_indexes(ready, store.version)?;
            let (stays, goes) = match stores.remove(&store.name) {
                Some(other) if other.id > store.id => (other, Some(store)),
                other => (store, other),
            };
            if let Some(goes) = goes {
                self.batch.delete(&catalog_key(goes.id))?;
            }
            stores.insert(stays.name.clone(), stays);
        }
        drop(rows);
        self.commit()?;
        Ok(stores.into_values().collect())
    }

    /// Sees to it that no id that stands in a row is given to another store or index.
    fn give_ids(&mut self, stores: &[StoreDef]) -> Result<()> {
        let given = match self.engine.get(META_KEY, None)? {
            Some(meta) => Some(decode_meta(&meta.bytes)?),
            None => None,
        };
        // Where the row is lost, nobody knows whether anything has ever expired.
        let version = given.map_or(ROWS_VERSION_EXPIRY, |(version, _)| version);
        let in_catalog = stores
            .iter()
            .flat_map(|store| std::iter::once(store.id).chain(store.indexes.iter().map(|index| index.id)));
        let highest = in_catalog.max().unwrap_or(0).max(self.highest_id_in_rows()?);
        // A database without any store and row may have no such row.
        if highest > 0 && given.is_none_or(|(_, next)| next <= highest) {
            self.batch.put(META_KEY, &encode_meta(version, highest + 1))?;
        }
        Ok(())
    }

    /// The highest id in the rows of documents, indexes and expiries, also of stores that are not in the catalog any more.
    /// Looks at one row for each store and index.
    fn highest_id_in_rows(&self) -> Result<u64> {
        let of_documents = self.highest_id_between(Kind::Document as u8, Kind::Index as u8)?;
        Ok(of_documents.max(self.highest_id_between(Kind::Expiry as u8, Kind::Expiry as u8)?))
    }

    fn highest_id_between(&self, first: u8, last: u8) -> Result<u64> {
        let (mut highest, mut from) = (0, vec![first]);
        loop {
            let range = ScanRange::between(from, vec![last + 1]);
            let mut rows = self.engine.scan(range, Direction::Forward, None)?;
            if !rows.advance()? {
                return Ok(highest);
            }
            let Some((kind, store, mut rest)) = split_row_key(rows.key()) else { return Ok(highest) };
            highest = highest.max(store);
            let mut rows_of_it = match kind {
                kind if kind == Kind::Expiry as u8 => expiries_range(store),
                _ => RowRange::prefix(document_prefix(store)),
            };
            if kind == Kind::Index as u8 {
                let index = take_varint(&mut rest).unwrap_or(0);
                highest = highest.max(index);
                rows_of_it = index_range(store, index);
            }
            from = rows_of_it.end;
        }
    }

    /// Counts the documents of a store, and writes the index rows and expiry rows that they lack.
    fn follow_documents(&mut self, store: &StoreDef) -> Result<()> {
        let row = state_key(store.id);
        let state = match self.engine.get(&row, None)? {
            Some(state) => StoreState::decode(&state.bytes, &row)?,
            None => StoreState::default(),
        };
        let generator = Generator::new(state.generator.max(GENERATED_KEY_FIRST));
        let prefix = document_prefix(store.id);
        let RowRange { start, end } = RowRange::prefix(prefix.clone());
        let began_at = self.engine.now_ms();
        let mut documents = self.engine.scan(ScanRange::between(start, end), Direction::Forward, None)?;
        // Those that expire are counted by their expiry rows, as they are when the database is read.
        let (mut count, mut lasting) = (0, 0);
        while documents.advance()? {
            (self.go_on)()?;
            let primary = decode_document_key(documents.key(), &prefix)?;
            if store.options.auto_increment
                && let Ok(KeyValue::Number(number)) = primary.decode()
            {
                generator.pass(number);
            }
            count += 1;
            let stored = StoredDocument::decode(documents.value(), documents.key())?;
            for index_row in rows_of(store, &primary, &stored.document)? {
                self.add_row(store, &index_row, stored.expires_at)?;
            }
            if stored.expires_at == 0 {
                lasting += 1;
            } else {
                let expiry = expiry_key(store.id, stored.expires_at, &primary);
                if self.engine.get(&expiry, None)?.is_none() {
                    self.batch.put(&expiry, &[])?;
                    self.commit_if_full()?;
                }
            }
        }
        self.report.documents += count;
        self.commit()?;
        let expiring = self.follow_expiries(store, began_at)?;
        let right = StoreState { count: lasting + expiring, generator: generator.next() };
        if state != right {
            self.batch.put(&row, &right.encode())?;
        }
        // What was put must be seen where the rows of the indexes are walked.
        self.commit()
    }

    /// Removes the expiry rows of documents that had expired at `began_at` or do not expire then, and returns how many
    /// are left.
    fn follow_expiries(&mut self, store: &StoreDef, began_at: u64) -> Result<u64> {
        let prefix = expiries_prefix(store.id);
        let RowRange { start, end } = expiries_range(store.id);
        let mut rows = self.engine.scan(ScanRange::between(start, end), Direction::Forward, None)?;
        let mut left = 0;
        while rows.advance()? {
            (self.go_on)()?;
            let (expires_at, primary) = decode_expiry_key(rows.key(), &prefix)?;
            let stands = expires_at > began_at
                && match self.engine.get(&document_key(store.id, &primary), None)? {
                    Some(document) => document.expires_at == expires_at,
                    // One that has expired meanwhile was counted, and is taken off when the database is read.
                    None => expires_at <= self.engine.now_ms(),
                };
            if stands {
                left += 1;
            } else {
                self.batch.delete(rows.key())?;
                self.commit_if_full()?;
            }
        }
        Ok(left)
    }

    fn add_row(&mut self, store: &StoreDef, wanted: &IndexRow, expires_at: u64) -> Result<()> {
        match self.engine.get(&wanted.row, None)? {
            Some(there) if there.bytes == wanted.value && there.expires_at == expires_at => return Ok(()),
            Some(there)
                if there.bytes != wanted.value
                    && self.stands_for_a_document(store, &wanted.row, &there.bytes)? =>
            {
                self.report.unique_conflicts += 1;
                return Ok(());
            }
            _ => {}
        }
        self.report.index_rows_added += 1;
        self.batch.put_expiring(&wanted.row, &wanted.value, expires_at)?;
        // Two documents with one key of a unique index must see each other.
        self.commit_if_full_or_unique(store, wanted)
    }

    fn commit_if_full_or_unique(&mut self, store: &StoreDef, added: &IndexRow) -> Result<()> {
        let is_unique = store
            .indexes
            .iter()
            .any(|index| index.options.unique && added.row.starts_with(&index_prefix(store.id, index.id)));
        if is_unique { self.commit() } else { self.commit_if_full() }
    }

    /// Whether a row of an index is one that a document has.
    fn stands_for_a_document(&self, store: &StoreDef, row: &[u8], value: &[u8]) -> Result<bool> {
        for index in &store.indexes {
            let prefix = index_prefix(store.id, index.id);
            if !row.starts_with(&prefix) {
                continue;
            }
            let in_gap = decode_gap_row(row, value, store.id, index.id);
            let in_entry = || decode_index_row(row, value, &prefix, index.options.unique).ok();
            // A row that can't be read stands for nothing.
            let Some(primary) = in_gap.or_else(|| in_entry().map(|(_, primary)| primary)) else {
                return Ok(false);
            };
            let Some(document) = self.document(store, &primary)? else { return Ok(false) };
            let rows = rows_of(store, &primary, &document)?;
            return Ok(rows.iter().any(|own| *own.row == *row && own.value == value));
        }
        Ok(false)
    }

    fn document(&self, store: &StoreDef, primary: &Key) -> Result<Option<Document>> {
        let row = document_key(store.id, primary);
        let Some(value) = self.engine.get(&row, None)? else { return Ok(None) };
        Ok(Some(StoredDocument::decode(&value.bytes, &row)?.document))
    }

    /// Removes the rows of an index that stand for no document.
    fn follow_index(&mut self, store: &StoreDef, index: usize) -> Result<()> {
        let Some(index) = store.indexes.get(index) else { return Ok(()) };
        let RowRange { start, end } = index_range(store.id, index.id);
        let mut rows = self.engine.scan(ScanRange::between(start, end), Direction::Forward, None)?;
        while rows.advance()? {
            (self.go_on)()?;
            let stands = self.stands_for_a_document(store, rows.key(), rows.value())?;
            if !stands {
                self.report.index_rows_removed += 1;
                self.batch.delete(rows.key())?;
                self.commit_if_full()?;
            }
        }
        Ok(())
    }
}
