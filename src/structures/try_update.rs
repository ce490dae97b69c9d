//! Reading and writing without waiting, for callers that must not block: from memory and in the calling thread, or not at
//! all.
//!
//! Invariant: what can't be done so leaves nothing behind.
#![forbid(unsafe_code)]

use super::{StructureTransaction, Structures};
use crate::config::SyncMode;
use crate::effort::{self, Attempt};
use crate::error::{Code, Result};
use crate::fs::nowait::without_waiting;
use crate::jsondb::Mode;

/// What is done in the call may take so many steps of reading: about a millisecond, with what is made of it.
const STEPS_MAX: i64 = 4_000;

impl Structures {
    /// As [`Structures::update`] where nothing has to be waited for: no file is read that the system does not have in
    /// memory, nobody else commits, what is written needs no sync, no background work holds writers up, and little is
    /// read (4,000 steps: one for a row that is walked over, two for one that is looked up, and one more for each 256
    /// bytes). `None` where that is not so; then nothing has been done, and whatever `change` gave counts for nothing.
    ///
    /// # Errors
    ///
    /// What `change` gives, after which nothing is written, and what [`StructureTransaction::commit`] gives but
    /// `Conflict`.
    pub fn try_update<T>(
        &self,
        sync: Option<SyncMode>,
        change: impl FnOnce(&mut StructureTransaction) -> Result<T>,
    ) -> Result<Option<T>> {
        if !self.db.engine().is_commit_at_hand(sync) {
            return Ok(None);
        }
        let mut transaction = self.begin(Mode::ReadWrite)?;
        let Some(value) = at_once(|| change(&mut transaction))? else { return Ok(None) };
        // The commit is no part of the attempt: once that is made, nothing may be given up.
        match transaction.try_commit(sync) {
            Ok(is_done) => Ok(is_done.then_some(value)),
            Err(error) if error.code() == Code::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Structures::view`] where nothing has to be waited for and little is read; see [`Structures::try_update`].
    ///
    /// # Errors
    ///
    /// What `read` gives, and `Closed`.
    pub fn try_view<T>(
        &self,
        read: impl FnOnce(&mut StructureTransaction) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut transaction = self.begin(Mode::ReadOnly)?;
        at_once(|| read(&mut transaction))
    }
}

/// What `attempt` gives, if it waits for nothing and does not take long.
fn at_once<T>(attempt: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    match effort::within(STEPS_MAX, || without_waiting(attempt))? {
        Attempt::Done(value, _) => Ok(value),
        Attempt::TooMuch => Ok(None),
    }
}
