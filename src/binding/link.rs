//! What one JavaScript environment holds: its worker threads, its answers on the way, its open databases.
//!
//! Environments (the main thread and each worker thread) share nothing here; they share the engine, inside JsonDB.
//!
//! Invariant: after [`Link::shut_down`] no thread of the environment runs and none of its databases is open, so
//! nothing can touch the environment after it has gone.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::sync::Mutex;

use super::database::Database;
use super::execute::guarded;
use super::outbox::Outbox;
use super::pool::Pool;

/// The native half of an environment.
pub(crate) struct Link {
    pub(crate) outbox: Arc<Outbox>,
    pool: Arc<Pool>,
    long_work_pool: Arc<Pool>,
    databases: Mutex<Databases>,
}

#[derive(Default)]
struct Databases {
    by_id: HashMap<u32, Arc<Database>>,
    last_id: u32,
}

impl Link {
    /// A link without databases.
    pub(crate) fn new() -> Self {
        let (pool, long_work_pool) = (Arc::new(Pool::new()), Arc::new(Pool::new()));
        Self { outbox: Arc::default(), pool, long_work_pool, databases: Mutex::default() }
    }

    /// Makes a handle for the database of `config` and returns its number. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a setting outside its limits.
    pub(crate) fn add(&self, config: Config) -> Result<u32> {
        config.check()?;
        let database = Database::new(
            config,
            Arc::clone(&self.outbox),
            Arc::clone(&self.pool),
            Arc::clone(&self.long_work_pool),
        );
        let mut databases = self.databases.lock();
        databases.last_id += 1;
        let id = databases.last_id;
        databases.by_id.insert(id, Arc::new(database));
        Ok(id)
    }

    /// The handle with this number.
    pub(crate) fn database(&self, id: u32) -> Result<Arc<Database>> {
        let closed = || Error::new(Code::Closed, "the database is closed");
        self.databases.lock().by_id.get(&id).cloned().ok_or_else(closed)
    }

    /// Lets go of a handle that has been closed.
    pub(crate) fn remove(&self, id: u32) {
        // Dropped after the lock, because dropping the last handle of a database may close it.
        let removed = self.databases.lock().by_id.remove(&id);
        drop(removed);
    }

    /// Ends everything: work that waits is dropped, long work ends between two of its steps, other work that runs is
    /// waited for, databases are closed.
    pub(crate) fn shut_down(&self) {
        self.outbox.disconnect();
        // Both at first, so that the one pool does not take up more while the other is waited for.
        self.pool.take_no_more();
        self.long_work_pool.take_no_more();
        self.pool.stop();
        self.long_work_pool.stop();
        let databases = std::mem::take(&mut self.databases.lock().by_id);
        for database in databases.into_values() {
            // Nobody is left to be told of an error here; the next open reads what is on disk.
            let _ = guarded(|| database.close());
        }
    }
}
