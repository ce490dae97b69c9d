//! Purging: taking the expiry rows of what has expired, and their number from the number of documents.
//!
//! The documents themselves need nothing: the engine hides them, and compaction drops them. A purge is one small batch
//! for a store, however many documents have expired.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::commit::commit_view;
use super::ledger::{CountChange, Database};
use super::rows::expired_range;
use super::scope::Involved;
use super::view::View;
use super::{JsonDb, UPDATE_ATTEMPTS_MAX, backoff};
use crate::config::SyncMode;
use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::sync::thread;

impl JsonDb {
    /// Forgets the documents of `store`, or of every store, that have expired, and returns how many they were.
    ///
    /// Nobody sees them any more, and a background thread does this every `gc_interval_secs` where `auto_background` is
    /// on. Until then each of them makes [`Transaction::count`](super::Transaction::count) of a whole store a little
    /// slower.
    ///
    /// # Errors
    ///
    /// `NotFound` for the store, `ReadOnly`, `Closed`, `Conflict` when others wrote the same rows at each of
    /// [`UPDATE_ATTEMPTS_MAX`] attempts, and what the engine gives.
    pub fn purge_expired(&self, store: Option<&str>) -> Result<u64> {
        let database = self.database()?;
        if database.engine.is_read_only() {
            let message = "purging what has expired in a database that was opened read-only";
            return Err(Error::new(Code::ReadOnly, message));
        }
        match store {
            Some(store) => match database.purge_store(store, None) {
                Err(error) if error.code() == Code::NotFound => {
                    self.handle.may_be_read(&database.schema(), store).map(|()| 0)
                }
                purged => purged,
            },
            None => database.purge(None),
        }
    }
}

impl Database {
    /// Purges every store.
    pub(super) fn purge(self: &Arc<Self>, sync: Option<SyncMode>) -> Result<u64> {
        let mut purged = 0;
        for store in self.schema().stores.values() {
            match self.purge_store(&store.name, sync) {
                Ok(count) => purged += count,
                // It was deleted meanwhile.
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(purged)
    }

    fn purge_store(self: &Arc<Self>, name: &str, sync: Option<SyncMode>) -> Result<u64> {
        let mut attempt = 1;
        loop {
            match self.try_purge(name, sync) {
                Err(error) if error.code() == Code::Conflict && attempt < UPDATE_ATTEMPTS_MAX => {}
                result => return result,
            }
            thread::sleep(backoff(attempt));
            attempt += 1;
        }
    }

    fn try_purge(self: &Arc<Self>, name: &str, sync: Option<SyncMode>) -> Result<u64> {
        let (mut view, schema) = View::begin(self, true);
        let store = Arc::clone(schema.store(name)?);
        let range = expired_range(store.id, self.engine.now_ms());
        let View { base, overlay, reads } = &mut view;
        let mut rows = base.rows(overlay, &range, Direction::Forward)?;
        let mut count = 0;
        while rows.advance()? {
            count += 1;
        }
        drop(rows);
        if count == 0 {
            return Ok(0);
        }
        base.walked(overlay, reads, range.clone());
        overlay.clear(range);
        let change = CountChange { added: -count, ..CountChange::default() };
        commit_view(view, vec![Involved { change, written: true, ..Involved::new(store) }], sync)?;
        Ok(count.unsigned_abs())
    }
}
