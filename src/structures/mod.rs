//! Strings, hashes, sets, sorted sets and lists under keys that may expire: the structures of Redis, with its names and its
//! answers, in transactions of the same database that holds documents.
//!
//! A key has a header, which names its structure by a number; fields, members and elements are rows of their own under
//! that number (`rows`, `header`, `ids`). So a command costs what it touches, however large the structure is. A
//! [`StructureTransaction`] reads from a snapshot with its own writes laid over it, and is checked when it commits against
//! what others committed meanwhile, as transactions over documents are: those that commit are serializable, and
//! commands on different keys never conflict. A command that fails has changed nothing.
//!
//! Names sort by their bytes, wherever there is an order. A structure is there as long as there is something in it. There are
//! [`DATABASES_MAX`] databases, each with keys of its own ([`StructureTransaction::select`]).
//!
//! Where the costs of commands are given, *n* is the number of fields, members or elements; each unit is a lookup or
//! a step in a scan.
//!
//! ```
//! use flowdb::config::Config;
//! use flowdb::jsondb::JsonDb;
//! use flowdb::structures::{Moment, SetOptions, Structures, ZAddOptions};
//!
//! # fn main() -> flowdb::error::Result<()> {
//! let structures = Structures::new(JsonDb::open(Config::in_memory())?)?;
//! let rank = structures.update(None, |tx| {
//!     tx.set(b"session:7", b"Ada", &SetOptions::default())?;
//!     tx.expire(b"session:7", Moment::In(60_000), Default::default())?;
//!     tx.z_add(b"points", &[(12.0, b"Ada"), (7.5, b"Grace")], ZAddOptions::default())?;
//!     tx.z_rank(b"points", b"Ada")
//! })?;
//! assert_eq!(rank, Some(1));
//! assert_eq!(structures.view(|tx| tx.get(b"session:7"))?.unwrap(), b"Ada");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod access;
mod count_tree;
mod evict;
mod evictor;
mod glob;
mod hashes;
mod header;
mod ids;
mod keys;
mod lists;
mod number;
mod random;
mod rows;
mod scan;
mod set_algebra;
mod sets;
mod sorted_algebra;
mod sorted_ranges;
mod sorted_sets;
mod strings;
mod transaction;
mod try_update;
mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use glob::PATTERN_BYTES_MAX;
pub use keys::{ExpireOptions, Moment, Ttl};
pub use lists::{Beside, End};
pub use number::format_score;
pub use rows::{DATABASES_MAX, STRUCTURE_KEY_BYTES_MAX};
pub use scan::{ScanOptions, ScanPage};
pub use set_algebra::SetOperation;
pub use sorted_algebra::{Aggregate, SortedOperation};
pub use sorted_ranges::{Limit, ScoreBound, SortedRange, TextBound};
pub use sorted_sets::{Added, Scored, ZAddOptions};
pub use strings::{Expiry, STRING_BYTES_MAX, SetOptions, SetReply};
pub use transaction::StructureTransaction;
pub use watch::KeyWatch;

use crate::config::SyncMode;
use crate::error::{Code, Result};
use crate::jsondb::{JsonDb, Mode, UPDATE_ATTEMPTS_MAX, backoff};
use evictor::Evictor;
use ids::Ids;
use random::Random;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Bytes.
    String,
    /// Fields with values.
    Hash,
    /// Members.
    Set,
    /// Members with scores, in their order.
    SortedSet,
    /// Elements, from left to right.
    List,
}

impl Type {
    /// As Redis names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::List => "list",
        }
    }
}

/// The structures of a database. A clone is the same handle.
#[derive(Clone)]
pub struct Structures {
    db: JsonDb,
    ids: Arc<Ids>,
    random: Arc<Random>,
    /// Held for what its end does.
    _evictor: Option<Arc<Evictor>>,
}

impl Structures {
    /// The structures of the database of `db`. What has expired takes space until [`Structures::evict`] is called; nobody
    /// sees it.
    ///
    /// # Errors
    ///
    /// `Version` where they were written by a newer build, `Corruption`, `Io`, `Closed`.
    pub fn new(db: JsonDb) -> Result<Self> {
        let ids: Arc<Ids> = db.engine().attached();
        ids.load(db.engine())?;
        Ok(Self { db, ids, random: Arc::new(Random::new()), _evictor: None })
    }

    /// As [`Structures::new`], with a thread that evicts what has expired every `interval`, as long as the handle or a
    /// clone of it is there. A database without threads in the background (`auto_background` off, or opened read-only)
    /// gets none.
    ///
    /// # Errors
    ///
    /// As for [`Structures::new`].
    pub fn with_eviction(db: JsonDb, interval: Duration) -> Result<Self> {
        let structures = Self::new(db)?;
        let evictor = Evictor::start(&structures, interval);
        Ok(Self { _evictor: evictor.map(Arc::new), ..structures })
    }

    /// The same, but members are drawn in an order that follows from `seed`, for tests.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { random: Arc::new(Random::seeded(seed)), ..self }
    }

    /// The database beneath.
    #[must_use]
    pub fn db(&self) -> &JsonDb {
        &self.db
    }

    /// Begins a transaction, which sees the database as it is now.
    ///
    /// # Errors
    ///
    /// `ReadOnly` for one that is to write in a database that was opened read-only, `Closed`.
    pub fn begin(&self, mode: Mode) -> Result<StructureTransaction> {
        StructureTransaction::begin(self, mode)
    }

    /// Runs `change` in a transaction and commits it, again and again while that ends in a conflict. What `change` does
    /// elsewhere than in the transaction happens once for each attempt.
    ///
    /// # Errors
    ///
    /// What `change` gives, after which nothing is written; `Conflict` after [`UPDATE_ATTEMPTS_MAX`] attempts; and
    /// what [`StructureTransaction::commit`] gives.
    pub fn update<T>(
        &self,
        sync: Option<SyncMode>,
        mut change: impl FnMut(&mut StructureTransaction) -> Result<T>,
    ) -> Result<T> {
        with_attempts(|| {
            let mut transaction = self.begin(Mode::ReadWrite)?;
            let value = change(&mut transaction)?;
            transaction.commit(sync)?;
            Ok(value)
        })
    }

    /// Runs `read` in a transaction that only reads, and so never conflicts.
    ///
    /// # Errors
    ///
    /// What `read` gives, and `Closed`.
    pub fn view<T>(&self, read: impl FnOnce(&mut StructureTransaction) -> Result<T>) -> Result<T> {
        read(&mut self.begin(Mode::ReadOnly)?)
    }
}

/// Makes `attempt` again and again while it ends in a conflict.
fn with_attempts<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for number in 1..UPDATE_ATTEMPTS_MAX {
        match attempt() {
            Err(error) if error.code() == Code::Conflict => crate::sync::thread::sleep(backoff(number)),
            result => return result,
        }
    }
    attempt()
}

impl std::fmt::Debug for Structures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Structures")
    }
}
