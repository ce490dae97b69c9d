//! Savepoints: places in a transaction to which it can go back, at the cost of what is undone.
//!
//! What was read stays recorded: the user knows it, whatever is undone. Generated keys are not given again.
#![forbid(unsafe_code)]

use super::Mode;
use super::ledger::CountChange;
use super::transaction::Transaction;
use crate::error::{Code, Error, Result};
use crate::sync::atomic::{AtomicU64, Ordering};

/// The most savepoints that a transaction may have at a time.
pub const SAVEPOINTS_MAX: usize = 1_000;

/// A place in a transaction to which it can go back; see [`Transaction::savepoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Savepoint(u64);

#[cfg(feature = "node")]
impl Savepoint {
    /// Its number, which no other savepoint of this process has.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// The savepoint with this number. Whether there is one is for the transaction to say.
    pub(crate) fn with_number(number: u64) -> Self {
        Self(number)
    }
}

/// A savepoint, with the stores that had been written into by then.
#[derive(Debug)]
pub(super) struct Saved {
    savepoint: Savepoint,
    stores: Vec<(String, CountChange)>,
}

impl Transaction {
    /// Sets a savepoint: [`Transaction::rollback_to`] takes back what is written from here on.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `Unsupported` in an upgrade, `InvalidArgument` when there are [`SAVEPOINTS_MAX`], `Closed`.
    pub fn savepoint(&mut self) -> Result<Savepoint> {
        self.check_saves()?;
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("a transaction has at most {SAVEPOINTS_MAX} savepoints at a time");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        static LAST: AtomicU64 = AtomicU64::new(0);
        let savepoint = Savepoint(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let written = self.stores.as_slice().iter().filter(|involved| involved.written);
        let stores = written.map(|involved| (involved.store.name.clone(), involved.change)).collect();
        self.savepoints.push(Saved { savepoint, stores });
        self.view.overlay.save();
        Ok(savepoint)
    }

    /// Takes back everything that was written since `savepoint` was set. It stays, and can be gone back to again; those
    /// that were set after it are gone.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, `InvalidArgument` for one that is not of this transaction or is gone, `Closed`.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.check_saves()?;
        let place =
            self.savepoints.iter().position(|saved| saved.savepoint == savepoint).ok_or_else(|| {
                let message =
                    "the savepoint is not one of this transaction, or was taken back with one before it";
                Error::new(Code::InvalidArgument, message)
            })?;
        self.savepoints.truncate(place + 1);
        self.view.overlay.roll_back(place);
        for involved in self.stores.iter_mut() {
            involved.written = false;
            involved.change = CountChange::default();
        }
        let saved = self.savepoints.last().map(|saved| saved.stores.as_slice()).unwrap_or_default();
        for (name, change) in saved {
            if let Some(involved) = self.stores.get_mut(name) {
                involved.written = true;
                involved.change = *change;
            }
        }
        Ok(())
    }

    fn check_saves(&self) -> Result<()> {
        if self.mode == Mode::ReadOnly {
            let message = "a savepoint in a read-only transaction, in which nothing can be taken back";
            return Err(Error::new(Code::ReadOnly, message));
        }
        if self.upgrade.is_some() {
            let message = "a savepoint in an upgrade: it is taken back as a whole";
            return Err(Error::new(Code::Unsupported, message));
        }
        self.handle.check_open()
    }
}
