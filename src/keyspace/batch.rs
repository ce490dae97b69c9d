//! What is written to keyspaces by one commit.
#![forbid(unsafe_code)]

use super::rows::KEYSPACE_KEY_BYTES_MAX;
use super::{KeyBounds, Keyspace};
use crate::engine::{Engine, WriteBatch};
use crate::error::{Code, Error, Result};

/// Puts and deletions in any keyspaces of one database. Later ones win.
#[derive(Debug)]
pub struct Batch {
    writes: WriteBatch,
    /// The row that is written, in the same memory each time.
    row: Vec<u8>,
}

impl Batch {
    /// An empty batch for the database of `engine`, whose default expiry holds for puts without one.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        Self { writes: engine.batch(), row: Vec::new() }
    }

    /// Sets `key` to `value`, until `expires_at_ms` (milliseconds since 1970) where that is given.
    ///
    /// # Errors
    ///
    /// `InvalidKey` above [`KEYSPACE_KEY_BYTES_MAX`] bytes, `InvalidValue` above 1 GiB, `InvalidArgument` when the batch
    /// would be too large. The batch is then as it was.
    pub fn put(
        &mut self,
        keyspace: &Keyspace,
        key: &[u8],
        value: &[u8],
        expires_at_ms: Option<u64>,
    ) -> Result<()> {
        self.set_row(keyspace, key)?;
        match expires_at_ms {
            None => self.writes.put(&self.row, value),
            // 0 is never, for the engine; here it is long past.
            Some(ms) => self.writes.put_expiring(&self.row, value, ms.max(1)),
        }
    }

    /// Removes `key`, whether it is there or not.
    ///
    /// # Errors
    ///
    /// As [`Batch::put`].
    pub fn delete(&mut self, keyspace: &Keyspace, key: &[u8]) -> Result<()> {
        self.set_row(keyspace, key)?;
        self.writes.delete(&self.row)
    }

    /// Removes every key of a range, at a cost that does not depend on how many there are. Keys that are put later in
    /// the same batch stay.
    ///
    /// # Errors
    ///
    /// As [`Batch::put`].
    pub fn delete_range(&mut self, keyspace: &Keyspace, bounds: KeyBounds<'_>) -> Result<()> {
        let (start, end) = keyspace.prefix.rows(bounds);
        self.writes.delete_range(&start, &end)
    }

    pub(super) fn writes(&self) -> &WriteBatch {
        &self.writes
    }

    /// What is to be committed.
    #[must_use]
    pub fn into_writes(self) -> WriteBatch {
        self.writes
    }

    fn set_row(&mut self, keyspace: &Keyspace, key: &[u8]) -> Result<()> {
        if key.len() > KEYSPACE_KEY_BYTES_MAX {
            let message = format!("a key of {} bytes: the most is {KEYSPACE_KEY_BYTES_MAX}", key.len());
            return Err(Error::new(Code::InvalidKey, message));
        }
        keyspace.prefix.put_row(&mut self.row, key);
        Ok(())
    }
}
