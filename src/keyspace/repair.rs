//! Making the catalog of a repaired database fit the rows that are left.
//!
//! A row that gives a name its number may be lost, and so may the one that says which number comes next. The entries of a
//! keyspace without a name stay where they are: nobody sees them, and nobody else gets their number.
#![forbid(unsafe_code)]

use super::catalog::{names, next_id};
use super::rows::{META_KEY, NUMBERS, encode_meta};
use crate::engine::{CommitOptions, Engine, WriteBatch};
use crate::error::Result;
use crate::numbering::CatalogReport;

/// Sees to it that no number that stands in a row is given to another name. Looks at one entry of each keyspace.
///
/// # Errors
///
/// `Io`, `Corruption`, `Version` or what a commit gives.
pub(crate) fn put_right(engine: &Engine) -> Result<CatalogReport> {
    let named = names(engine)?.into_values().map(u64::from);
    let (report, next) = NUMBERS.compare(engine, named)?;
    if next > u64::from(next_id(engine)?) {
        let mut batch = WriteBatch::new();
        batch.put(META_KEY, &encode_meta(next))?;
        engine.commit(batch, CommitOptions::default())?;
    }
    Ok(report)
}
