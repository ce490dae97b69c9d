//! Doing something only where keys have not changed since a moment, as `WATCH` and `EXEC` do.
//!
//! A watch holds, for each key, a transaction that has read its header and every row of its structure, at the moment at
//! which it was asked for. Whether anything of that was written since is what the check of a commit asks, too.
#![forbid(unsafe_code)]

use super::rows::rows_of;
use super::transaction::StructureTransaction;
use super::{Structures, with_attempts};
use crate::config::SyncMode;
use crate::error::{Code, Error, Result};
use crate::jsondb::Mode;

/// So many keys are watched at most: for each there is a snapshot.
const WATCHED_MAX: usize = 1 << 16;

/// Keys that are watched.
pub struct KeyWatch {
    structures: Structures,
    watched: Vec<Watched>,
}

struct Watched {
    transaction: StructureTransaction,
    database: u32,
    key: Vec<u8>,
    /// In milliseconds since 1970; 0 is never.
    expires_at: u64,
}

impl Structures {
    /// A watch on no key.
    #[must_use]
    pub fn watch(&self) -> KeyWatch {
        KeyWatch { structures: self.clone(), watched: Vec::new() }
    }

    /// As [`Structures::update`], unless a key that `watch` has changed since it was added, or has expired: then nothing is
    /// done, and `None` given.
    ///
    /// # Errors
    ///
    /// As for [`Structures::update`].
    pub fn update_watched<T>(
        &self,
        watch: &mut KeyWatch,
        sync: Option<SyncMode>,
        mut change: impl FnMut(&mut StructureTransaction) -> Result<T>,
    ) -> Result<Option<T>> {
        with_attempts(|| {
            let mut transaction = self.begin(Mode::ReadWrite)?;
            for Watched { database, key, .. } in &watch.watched {
                transaction.read_all_of(*database, key)?;
            }
            // What changed before the transaction began shows here, and what changes later as a conflict of it.
            if watch.has_changed()? {
                return Ok(None);
            }
            transaction.select(0)?;
            let value = change(&mut transaction)?;
            transaction.commit(sync)?;
            Ok(Some(value))
        })
    }
}

impl KeyWatch {
    /// Watches a key of a database from now on.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a database that is none and for more than 65,536 keys, `InvalidKey`, `ReadOnly` in a database
    /// that was opened read-only, `Closed`, and what reading gives.
    pub fn add(&mut self, database: u32, key: &[u8]) -> Result<()> {
        if self.watched.len() >= WATCHED_MAX {
            let message = format!("watching more than {WATCHED_MAX} keys");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let mut transaction = self.structures.begin(Mode::ReadWrite)?;
        let expires_at = transaction.read_all_of(database, key)?;
        self.watched.push(Watched { transaction, database, key: key.to_vec(), expires_at });
        Ok(())
    }

    /// Whether a key has changed since it was added, or has expired. So many other writes may have come that nobody knows;
    /// that counts as a change.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn has_changed(&mut self) -> Result<bool> {
        self.structures.db.check_open()?;
        Ok(self.watched.iter_mut().any(Watched::has_changed))
    }
}

impl Watched {
    fn has_changed(&mut self) -> bool {
        let view = &mut self.transaction.view;
        self.expires_at > 0 && self.expires_at <= view.base.now_ms() || view.move_on().is_err()
    }
}

impl StructureTransaction {
    /// Counts as having read a key and everything in its structure, and returns when it expires.
    fn read_all_of(&mut self, database: u32, key: &[u8]) -> Result<u64> {
        self.select(database)?;
        let Some(header) = self.header(key)? else { return Ok(0) };
        if header.id > 0 {
            for range in rows_of(header.kind, header.id) {
                self.view.base.walked(&self.view.overlay, &mut self.view.reads, range);
            }
        }
        Ok(header.expires_at)
    }
}

impl std::fmt::Debug for KeyWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyWatch")
    }
}
