//! Removing the entries of a range one by one: so many of them at most, or those that a snapshot sees.
//!
//! Invariant: an entry that the snapshot does not see is not removed, unless its key is seen.
#![forbid(unsafe_code)]

use super::{Batch, KeyBounds, Keyspace};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, Direction, GoOn, Snapshot};
use crate::error::Result;

/// A commit removes so many entries …
const ENTRIES_TOGETHER: usize = 10_000;
/// … or, where their keys are long, so many bytes of them.
const BYTES_TOGETHER: usize = 4 << 20;

/// Which entries go.
pub(crate) struct Clearing<'a> {
    pub(crate) bounds: KeyBounds<'a>,
    /// From which end they are counted.
    pub(crate) direction: Direction,
    /// How many at most.
    pub(crate) limit: u64,
}

impl Keyspace {
    /// Removes entries that `snapshot` sees, for as long as `go_on` lets it. A commit takes so many of them that it is small,
    /// so if it fails in the middle, the first ones are gone.
    ///
    /// # Errors
    ///
    /// What a scan and a commit give.
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
