//! Transactions over structures: begun on a snapshot, committed whole or not at all.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::Structures;
use super::ids::Ids;
use super::random::Random;
use super::rows::{DATABASES_MAX, decode_header_key};
use crate::config::SyncMode;
use crate::error::{Code, Error, Result, shown};
use crate::jsondb::{Clash, Involved, JsonDb, Mode, View, commit_rows, try_commit_rows};

/// A consistent view of all keys and, in [`Mode::ReadWrite`], changes to them. Dropping it aborts it.
///
/// Its methods are the commands, each under the name that Redis gives it. They see what the transaction has written before,
/// and one that fails has changed nothing.
pub struct StructureTransaction {
    pub(super) db: JsonDb,
    pub(super) ids: Arc<Ids>,
    pub(super) random: Arc<Random>,
    pub(super) mode: Mode,
    pub(super) view: View,
    /// The number of the database whose keys the commands mean.
    pub(super) database: u32,
    /// When the first of the keys expires that were read as being there, in milliseconds since 1970.
    pub(super) holds_until: u64,
}

impl StructureTransaction {
    pub(super) fn begin(structures: &Structures, mode: Mode) -> Result<Self> {
        let db = structures.db.clone();
        let view = db.begin_rows(mode)?;
        let (ids, random) = (Arc::clone(&structures.ids), Arc::clone(&structures.random));
        Ok(Self { db, ids, random, mode, view, database: 0, holds_until: u64::MAX })
    }

    /// The commands that follow mean the keys of this database. A transaction begins in that of number 0.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a number that is not below [`DATABASES_MAX`].
    pub fn select(&mut self, database: u32) -> Result<()> {
        if database >= DATABASES_MAX {
            let message = format!("a database of number {database}: they go from 0 to {}", DATABASES_MAX - 1);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        self.database = database;
        Ok(())
    }

    /// The number of the database whose keys the commands mean.
    #[must_use]
    pub fn selected(&self) -> u32 {
        self.database
    }

    /// Makes the writes visible to others, all at once, as durable as `sync` says (the database's mode if `None`).
    ///
    /// # Errors
    ///
    /// `Conflict` when a later commit changed something that this transaction had read, or a key has expired that it
    /// had read; nothing is written then. `Closed` after the database was closed, and what the engine gives.
    pub fn commit(self, sync: Option<SyncMode>) -> Result<()> {
        self.check_holds()?;
        commit_rows(self.view, sync, told).map(drop)
    }

    /// As [`StructureTransaction::commit`] where that waits for nobody; says whether it was done.
    pub(super) fn try_commit(self, sync: Option<SyncMode>) -> Result<bool> {
        self.check_holds()?;
        try_commit_rows(self.view, sync, told)
    }

    /// What was read of a key that has expired since counts no more: otherwise a key that others have seen expire could
    /// come back.
    fn check_holds(&self) -> Result<()> {
        self.db.check_open()?;
        if self.view.overlay.is_empty() || self.view.base.now_ms() < self.holds_until {
            return Ok(());
        }
        let message = "a key that the transaction had read has expired since: run it again";
        Err(Error::new(Code::Conflict, message))
    }
}

/// A clash in the words of structures.
fn told(clash: &Clash, _: &[Involved]) -> Error {
    let message = match clash {
        Clash::Forgotten => {
            "the transaction began before so many other writes that they are not all listed any more: run it again, \
             and keep it shorter"
                .to_owned()
        }
        Clash::Row(row) => {
            let what = match decode_header_key(row) {
                Some((_, key)) => format!("the key {}", shown(&String::from_utf8_lossy(key))),
                None => "a part of a structure".to_owned(),
            };
            format!("{what}, which the transaction had read, was changed by another: run it again")
        }
    };
    Error::new(Code::Conflict, message)
}

impl std::fmt::Debug for StructureTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StructureTransaction")
    }
}
