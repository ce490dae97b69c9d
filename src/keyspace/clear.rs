//! Removing the entries of a range one by one: so many of them at most, or those that a snapshot sees.
//!
//! Invariant: an entry that the snapshot does not see is not removed, unless its key is seen.
#![forbid(unsafe_code)]

use super::{Batch, KeyBounds, Keyspace};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, Direction, GoOn, Snapshot, always};
use crate::error::Result;

/// A commit removes so many entries …
const ENTRIES_TOGETHER: usize = 10_000;
/// … or, where their keys are long, so many bytes of them.
const BYTES_TOGETHER: usize = 4 << 20;

/// Which entries go.
#[derive(Debug, Clone, Copy)]
pub struct Clearing<'a> {
    /// Their range.
    pub bounds: KeyBounds<'a>,
    /// From which end they are counted.
    pub direction: Direction,
    /// How many at most.
    pub limit: u64,
}

impl Keyspace {
    /// Removes entries that `snapshot` sees, up to 10,000 of them or 4 MiB of keys by a commit: so where it fails in the middle,
    /// the first ones are gone. A whole range goes by one small write with [`Batch::delete_range`].
    ///
    /// # Errors
    ///
    /// What [`Keyspace::scan`] and a commit give.
    pub fn clear(&self, clearing: &Clearing<'_>, snapshot: &Snapshot, sync: Option<SyncMode>) -> Result<()> {
        self.clear_while(clearing, snapshot, sync, &always)
    }

    /// As [`Keyspace::clear`], for as long as `go_on` lets it.
    pub(crate) fn clear_while(
        &self,
        clearing: &Clearing<'_>,
        snapshot: &Snapshot,
        sync: Option<SyncMode>,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let mut rows = self.scan(clearing.bounds, clearing.direction, Some(snapshot))?;
        let mut left = clearing.limit;
        let mut batch = Batch::new(&self.engine);
        while left > 0 && rows.advance()? {
            left -= 1;
            batch.delete(self, rows.row().key)?;
            if batch.writes().len() >= ENTRIES_TOGETHER || batch.writes().size_bytes() >= BYTES_TOGETHER {
                go_on()?;
                let full = std::mem::replace(&mut batch, Batch::new(&self.engine));
                self.engine.commit(full.into_writes(), CommitOptions { sync, check: None })?;
            }
        }
        if !batch.writes().is_empty() {
            self.engine.commit(batch.into_writes(), CommitOptions { sync, check: None })?;
        }
        Ok(())
    }
}
