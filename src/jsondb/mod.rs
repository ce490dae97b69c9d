//! Documents in object stores, their keys and indexes, and transactions over them.
//!
//! A document, its index rows and its store's count are rows of the engine (`rows`). A [`Transaction`] reads from a
//! snapshot with its own writes laid over it (`view`, `overlay`) and is checked when it commits, in commit order,
//! against what others committed meanwhile (`commit`, `conflict`); so committed transactions are serializable. What
//! all of them share is in one `ledger`. Schema changes are in `catalog`, the building of indexes in `build`.
#![forbid(unsafe_code)]

mod atomic;
mod batch;
mod build;
mod bulk;
mod catalog;
mod commit;
mod conflict;
mod declared;
mod deletion;
mod document;
mod ends;
mod expiry;
mod feed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generator;
mod handle;
mod index;
mod key;
mod ledger;
mod modify;
mod number;
mod overlay;
mod page;
mod purge;
mod purger;
mod put;
mod query;
mod reader;
mod registry;
mod repair;
mod restore;
mod row_ref;
mod rows;
mod savepoint;
#[cfg(all(test, schedules))]
mod schedules;
mod schema;
mod scope;
mod stats;
mod store_map;
mod transaction;
mod try_get;
mod try_update;
mod typed;
mod unique_reader;
mod upgrade;
mod upkeep;
mod view;
mod watch;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "node")]
pub(crate) use document::{Extracted, Extractor, Wanted, merge_patch};
#[cfg(feature = "node")]
pub(crate) use feed::Taken;
#[cfg(feature = "node")]
pub(crate) use key::{number_of, plain_ascii_of};

// What a layer beside this one keeps rows of its own with.
pub(crate) use commit::{commit_rows, try_commit_rows};
pub(crate) use conflict::{Clash, successor};
pub(crate) use overlay::Value;
pub(crate) use rows::RowRange;
pub(crate) use scope::Involved;
pub(crate) use view::View;

pub use atomic::{Check, Made, Settled, Step};
pub use batch::BatchWrite;
pub use conflict::{COMMITTED_BYTES_MAX, COMMITTED_WRITES_MAX, READS_BYTES_MAX};
pub use declared::DECLARED_SEPARATOR;
pub use expiry::Expires;
pub use key::{ARRAY_DEPTH_MAX, BigInt, ENCODED_KEY_BYTES_MAX, Key, KeyRange, KeyValue, compare_values};
pub use modify::{Changed, Stamp};
pub use number::Reckoning;
pub use overlay::TRANSACTION_BYTES_MAX;
pub use page::{Course, Seen};
pub use put::PutOptions;
pub use query::{
    CONDITIONS_MAX, Condition, Explanation, IN_KEYS_MAX, ORDER_PATHS_MAX, Order, PlanKind, Query,
    QueryBuilder, QueryCursor, QueryPage, SELECTED_PATHS_MAX, SORT_BYTES_MAX,
};
pub use reader::{DocumentRef, StoreReader};
#[cfg(feature = "node")]
pub(crate) use repair::repair_while;
pub use repair::{DocumentsReport, repair, repair_documents_on};
pub use restore::{DOCUMENT_VERSION_MAX, Facts};
pub use row_ref::RowRef;
pub use savepoint::{SAVEPOINTS_MAX, Savepoint};
pub use schema::{
    INDEXES_MAX, IndexOptions, IndexSchema, KEY_PATH_BYTES_MAX, KEY_PATH_PARTS_MAX, KeyPath, NAME_BYTES_MAX,
    STORES_MAX, StoreOptions, StoreSchema,
};
pub use stats::{StoreStats, stores_to_prometheus};
pub use transaction::{DOCUMENT_BYTES_MAX, Transaction};
pub use try_get::TryRow;
pub use typed::{Collection, Entry, Members, ObjectStore, ToKey, ToKeyRange, Walk};
pub use unique_reader::UniqueReader;
pub use upgrade::VERSION_MAX;
pub use watch::{
    Change, Overflow, WATCH_BUFFER_DEFAULT, WATCH_BUFFER_MAX, WATCH_BYTES_MAX, Watch, WatchOptions,
};

use crate::clock::SteadyClock;
use crate::config::{Config, SyncMode};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::fs::FileSystem;
use crate::sync::thread;
use handle::Handle;
use ledger::Database;

/// [`JsonDb::update`] gives up after so many attempts that ended in a conflict.
pub const UPDATE_ATTEMPTS_MAX: u32 = 100;

/// The longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_millis(20);

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Read only: it never conflicts with anything.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// Which of its reads a transaction that writes is checked for when it commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// All of them: those that commit are as if they had run one after the other, in the order of their commits.
    #[default]
    Serializable,
    /// Those that its writes need: nobody else has written what it writes since it began, and unique indexes hold. What
    /// it only read may have changed, so that two that each read what the other writes may both commit (write skew).
    Snapshot,
}

/// What the bytes of a document are. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Format {
    /// JSON text, from which keys can be read.
    Json = 1,
    /// A structured clone as Node writes it. In no index, and only in stores without a key path.
    Structured = 2,
    /// Bytes. In no index, and only in stores without a key path.
    Raw = 3,
    /// UTF-8 text. In no index, and only in stores without a key path.
    Text = 4,
}

impl Format {
    fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Json),
            2 => Some(Self::Structured),
            3 => Some(Self::Raw),
            4 => Some(Self::Text),
            _ => None,
        }
    }
}

/// A document's bytes and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What the bytes are.
    pub format: Format,
    /// The bytes. JSON text is kept as it is given.
    pub bytes: Vec<u8>,
}

/// A document as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The primary key.
    pub key: Key,
    /// The key by which an index has it, where it was read through one.
    pub index_key: Option<Key>,
    /// The document; empty and `Raw` where only keys were asked for.
    pub document: Document,
    /// 1 for the first document under the key, one more for each that replaced it; 0 where only keys were asked for.
    pub version: u64,
    /// When it was written, in milliseconds since 1970.
    pub updated_at: u64,
    /// When it expires, in milliseconds since 1970; 0 is never.
    pub expires_at: u64,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(Vec<u8>);

/// Some of the rows of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows, in the order that was asked for.
    pub rows: Vec<Row>,
    /// Where the next page goes on; `None` when the range was read to its end.
    pub next: Option<Position>,
}

/// Where a page ends. At least one row comes back if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// After so many rows.
    pub rows: usize,
    /// Once the keys and documents reach so many bytes.
    pub bytes: usize,
    /// Leave the documents out.
    pub keys_only: bool,
}

/// A handle on a document database. A clone is the same handle.
#[derive(Clone)]
pub struct JsonDb {
    handle: Arc<Handle>,
}

impl JsonDb {
    /// Opens the database that `config` describes.
    ///
    /// Every opener of one directory in this process shares one database; the settings of later openers are not
    /// used, but `wal_sync_mode` and `read_only` must be the same. A database in memory is never shared.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a setting beyond its limits or a `wal_sync_mode` or `read_only` unlike that of those who have the
    /// database open, `NotFound` when there is none and `create_if_missing` is off, `Locked` when another process has
    /// it open, `Version`, `Corruption`, `Io`.
    pub fn open(config: Config) -> Result<Self> {
        config.check()?;
        let config = steady(config);
        if config.in_memory {
            return Self::unshared(Engine::open(config)?);
        }
        let (database, share) = registry::open_shared(config)?;
        Ok(Self { handle: Arc::new(Handle::new(database, Some(share))) })
    }

    /// Opens the database that `config` describes on a file system of the caller's. It is not shared.
    ///
    /// # Errors
    ///
    /// As for [`JsonDb::open`].
    pub fn open_on(config: Config, fs: Arc<dyn FileSystem>) -> Result<Self> {
        Self::unshared(Engine::open_on(steady(config), fs)?)
    }

    fn unshared(engine: Engine) -> Result<Self> {
        let database = Database::start(engine)?;
        Ok(Self { handle: Arc::new(Handle::new(database, None)) })
    }

    /// Closes this handle and, if it is the last, the database. A second call does nothing. The transactions of the
    /// handle fail with `Closed` from here on.
    ///
    /// # Errors
    ///
    /// What the engine gives on closing.
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    /// Creates an object store. One that exists with the same key path and auto-increment is left as it is.
    ///
    /// # Errors
    ///
    /// `Exists` for a store with another definition, `InvalidArgument` for a name, key path or number of stores out
    /// of bounds, `Closed`, and what the engine gives.
    pub fn create_object_store(&self, name: &str, options: StoreOptions) -> Result<()> {
        self.database()?.create_store(name, options, 0)
    }

    /// As [`JsonDb::create_object_store`]: documents that are put without an expiry of their own expire
    /// `default_ttl_ms` milliseconds after they are written; 0 is never.
    ///
    /// # Errors
    ///
    /// As for [`JsonDb::create_object_store`], `Exists` also for a store with another default.
    pub fn create_object_store_with_ttl(
        &self,
        name: &str,
        options: StoreOptions,
        default_ttl_ms: u64,
    ) -> Result<()> {
        self.database()?.create_store(name, options, default_ttl_ms)
    }

    /// Changes after how many milliseconds the documents expire that are put into a store from now on; 0 is never. Those
    /// that are there stay as they are.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Closed`, and what the engine gives.
    pub fn set_default_ttl(&self, store: &str, default_ttl_ms: u64) -> Result<()> {
        self.database()?.set_default_ttl(store, default_ttl_ms)
    }

    /// Deletes an object store with its documents and indexes, however many they are, by one small write.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Closed`, and what the engine gives.
    pub fn delete_object_store(&self, name: &str) -> Result<()> {
        self.database()?.delete_store(name)
    }

    /// Creates an index and fills it from the documents that are there. One that exists as described is left as it
    /// is. Readers and writers go on meanwhile; the index can be read once this returns.
    ///
    /// # Errors
    ///
    /// `NotFound` for the store, `Exists` for an index with another definition, `InvalidArgument` for a name, key path
    /// or number of indexes out of bounds, `Constraint` when documents have the same key and the index is unique (it is
    /// not created then), `Closed`, and what the engine gives.
    pub fn create_index(&self, store: &str, name: &str, options: IndexOptions) -> Result<()> {
        self.database()?.create_index(store, name, options)
    }

    /// Deletes an index, however many entries it has, by one small write.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Closed`, and what the engine gives.
    pub fn delete_index(&self, store: &str, name: &str) -> Result<()> {
        self.database()?.delete_index(store, name)
    }

    /// The object stores and their indexes, each in the order of their names.
    #[must_use]
    pub fn schema(&self) -> Vec<StoreSchema> {
        self.handle.database.schema().stores.values().map(|store| store.to_schema()).collect()
    }

    /// Begins a transaction on the stores of `scope`, which sees the database as it is now.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that does not exist, `InvalidArgument` for an empty scope, `ReadOnly` for a transaction
    /// that is to write in a database that was opened read-only, `Closed`.
    pub fn begin(&self, scope: &[&str], mode: Mode) -> Result<Transaction> {
        Transaction::begin(&self.handle, scope, mode, Isolation::Serializable)
    }

    /// As [`JsonDb::begin`], for a transaction that writes at another isolation.
    ///
    /// # Errors
    ///
    /// As for [`JsonDb::begin`].
    pub fn begin_with(&self, scope: &[&str], mode: Mode, isolation: Isolation) -> Result<Transaction> {
        Transaction::begin(&self.handle, scope, mode, isolation)
    }

    /// Runs `change` in a transaction and commits it, again and again while that ends in a conflict. What `change` does
    /// elsewhere than in the transaction happens once for each attempt.
    ///
    /// # Errors
    ///
    /// What `change` gives, after which nothing is written; `Conflict` after [`UPDATE_ATTEMPTS_MAX`] attempts; and
    /// what [`Transaction::commit`] gives.
    pub fn update<T>(
        &self,
        scope: &[&str],
        sync: Option<SyncMode>,
        mut change: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.begin(scope, Mode::ReadWrite)?;
            let changed = change(&mut transaction);
            let result = changed.and_then(|value| transaction.commit(sync).map(|()| value));
            match result {
                Err(error) if error.code() == Code::Conflict && attempt < UPDATE_ATTEMPTS_MAX => {}
                result => return result,
            }
            thread::sleep(backoff(attempt));
            attempt += 1;
        }
    }

    /// Commits several transactions in their order, each for itself: one that conflicts, with another of them too, fails
    /// alone. Together they usually cost one write and one sync. The results come in the order of the transactions.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::commit`]; `InvalidArgument` for a transaction of another database, and then for all.
    #[must_use]
    pub fn commit_all(&self, transactions: Vec<Transaction>, sync: Option<SyncMode>) -> Vec<Result<()>> {
        let is_ours = |one: &Transaction| Arc::ptr_eq(&one.view.base.database, &self.handle.database);
        if !transactions.iter().all(is_ours) {
            let message = "committing a transaction together with those of another database";
            return transactions.iter().map(|_| Err(Error::new(Code::InvalidArgument, message))).collect();
        }
        transaction::commit_all(transactions, sync).into_iter().map(|done| done.map(drop)).collect()
    }

    /// The engine beneath, for its statistics and upkeep. Whoever writes to it directly can damage the database.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.handle.database.engine
    }

    /// A view for rows of another layer, in which it reads, and writes where the mode is that.
    ///
    /// # Errors
    ///
    /// `ReadOnly` for a view that is to write in a database that was opened read-only, `Closed`.
    pub(crate) fn begin_rows(&self, mode: Mode) -> Result<View> {
        let database = self.database()?;
        if mode == Mode::ReadWrite && database.engine.is_read_only() {
            let message = "the database was opened read-only: open it without that to write";
            return Err(Error::new(Code::ReadOnly, message));
        }
        Ok(View::begin(database, mode == Mode::ReadWrite).0)
    }

    /// # Errors
    ///
    /// `Closed` once this handle has been closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.handle.check_open()
    }

    fn database(&self) -> Result<&Arc<Database>> {
        self.handle.check_open()?;
        Ok(&self.handle.database)
    }
}

impl std::fmt::Debug for JsonDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsonDb")
    }
}

/// The settings with a clock that never goes back: index rows of a document that has expired stay until they are compacted
/// away, and must not be seen again beside another one under its key.
fn steady(config: Config) -> Config {
    let clock = SteadyClock::over(Arc::clone(&config.clock));
    Config { clock, ..config }
}

/// How long to wait after the failure of `attempt`: a random part of a time that doubles with each, so that those who
/// conflicted don't meet again.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let longest = Duration::from_micros(50 << attempt.min(10)).min(BACKOFF_MAX);
    // The hasher's keys are random; that is all that is wanted of it.
    let random = RandomState::new().hash_one(attempt) as u32;
    longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
