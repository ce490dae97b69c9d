//! Making the catalog of a repaired database fit the rows that are left.
//!
//! A row that gives a name its number may be lost, and so may the one that says which number comes next. The entries of a
//! keyspace without a name stay where they are: nobody sees them, and nobody else gets their number.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::catalog::{FIRST_ID, given, names};
use super::rows::{DEFAULT_ID, META_KEY, Prefix, decode_row_id, encode_meta, entries};
use crate::engine::{CommitOptions, Direction, Engine, ScanRange, WriteBatch};
use crate::error::Result;

/// What was found, and put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KeyspacesReport {
    /// Keyspaces with a name.
    pub(crate) named: u64,
    /// Keyspaces with entries, but without the row that names them.
    pub(crate) lost: u64,
}

/// Sees to it that no number that stands in a row is given to another name. Looks at one entry of each keyspace.
///
/// # Errors
///
/// `Io`, `Corruption`, `Version` or what a commit gives.
pub(crate) fn put_right(engine: &Engine) -> Result<KeyspacesReport> {
    let named: HashSet<u32> = names(engine)?.into_values().collect();
    let with_entries = ids_of_entries(engine)?;
    let lost = with_entries.iter().filter(|&&id| id != DEFAULT_ID && !named.contains(&id)).count();
    let highest = named.iter().chain(&with_entries).copied().max().unwrap_or(DEFAULT_ID);
    if highest >= given(engine)?.unwrap_or(FIRST_ID) {
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &encode_meta(highest + 1))?;
        engine.commit(batch, CommitOptions::default())?;
    }
    Ok(KeyspacesReport { named: named.len() as u64, lost: lost as u64 })
}

/// The numbers that stand in the keys of entries.
fn ids_of_entries(engine: &Engine) -> Result<Vec<u32>> {
    let (mut from, end) = entries();
    let mut ids = Vec::new();
    loop {
        let range = ScanRange::between(from, end.clone());
        let mut rows = engine.scan(range, Direction::Forward, None)?;
        if !rows.advance()? {
            return Ok(ids);
        }
        // A key without a number is none that was ever written.
        let Some(id) = decode_row_id(rows.key()) else { return Ok(ids) };
        ids.push(id);
        from = Prefix::new(id).end();
    }
}
