//! Watching: the committed changes of documents, in the order of their commits.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::feed::Subscriber;
use super::handle::Handle;
use super::key::{Key, KeyRange};
use super::{Document, JsonDb};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, WriteBatch};
use crate::error::{Code, Error, Result};

/// The most changes that may wait to be taken from a watch.
pub const WATCH_BUFFER_MAX: usize = 1_000_000;

/// So many changes may wait to be taken where nothing else is asked for.
pub const WATCH_BUFFER_DEFAULT: usize = 10_000;

/// The most bytes of keys and documents, with 128 counted for each change, that may wait to be taken from a watch; one
/// change may be larger.
pub const WATCH_BYTES_MAX: usize = 64 << 20;

/// What becomes of changes that come faster than they are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// What waits is given, and then the watch ends with `Overflow`.
    #[default]
    Error,
    /// The oldest go; [`Change::Lost`] says how many.
    DropOldest,
    /// A change takes the place of one of the same document that waits, and of those in a range that it deletes. Where
    /// there are too many all the same, as [`Overflow::Error`].
    Coalesce,
}

/// What is watched, and how.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The store; every one where there is none.
    pub store: Option<String>,
    /// Documents whose key is in this range.
    pub range: KeyRange,
    /// Whether changes carry the new document.
    pub values: bool,
    /// Whether changes carry the document that was there before. Each then costs the writer a read.
    pub old_values: bool,
    /// How many changes may wait, from 1 to [`WATCH_BUFFER_MAX`].
    pub buffer: usize,
    /// What becomes of those that are more than that, or more than [`WATCH_BYTES_MAX`].
    pub overflow: Overflow,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            store: None,
            range: KeyRange::all(),
            values: false,
            old_values: false,
            buffer: WATCH_BUFFER_DEFAULT,
            overflow: Overflow::default(),
        }
    }
}

/// What a commit changed. Documents that expire are not told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A document was written. One whose expiry was changed has the version that it had.
    Put {
        /// Its store.
        store: Arc<str>,
        /// Its key.
        key: Key,
        /// Its version.
        version: u64,
        /// When it was written, in milliseconds since 1970.
        updated_at: u64,
        /// When it expires, in milliseconds since 1970; 0 is never.
        expires_at: u64,
        /// The document, where it was asked for.
        value: Option<Arc<Document>>,
        /// The one that it replaced, where that was asked for and there was one.
        old_value: Option<Arc<Document>>,
    },
    /// A document was deleted.
    Delete {
        /// Its store.
        store: Arc<str>,
        /// Its key.
        key: Key,
        /// The document, where it was asked for and is known.
        old_value: Option<Arc<Document>>,
    },
    /// Every document in a range was deleted. One that held few is told document by document.
    DeleteRange {
        /// The store.
        store: Arc<str>,
        /// The keys.
        range: KeyRange,
    },
    /// Every document of a store was deleted.
    Clear {
        /// The store.
        store: Arc<str>,
    },
    /// A store was deleted.
    Drop {
        /// The store.
        store: Arc<str>,
    },
    /// Changes were dropped before the next one.
    Lost {
        /// How many.
        changes: u64,
    },
}

/// Changes as they are committed; see [`JsonDb::watch`]. Dropping it ends the subscription.
pub struct Watch {
    handle: Arc<Handle>,
    subscriber: Arc<Subscriber>,
}

impl JsonDb {
    /// Subscribes to changes: every commit that becomes visible after this returns is given once, and none that was
    /// visible before it was called. What is read after this has returned may be newer than changes that are still to be
    /// taken; it is never older than those that are missing.
    ///
    /// The changes of one commit come together: stores that an upgrade deleted first, then ranges, then documents by store
    /// and key, each at most once.
    ///
    /// # Errors
    ///
    /// `NotFound` for the store, `InvalidArgument` for a buffer out of its limits, `Closed`, and what the engine gives when
    /// it takes no more writes.
    pub fn watch(&self, options: WatchOptions) -> Result<Watch> {
        let database = self.database()?;
        if !(1..=WATCH_BUFFER_MAX).contains(&options.buffer) {
            let message = format!("the buffer of a watch takes from 1 to {WATCH_BUFFER_MAX} changes");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if let Some(store) = &options.store {
            self.handle.may_be_read(&database.schema(), store)?;
        }
        let subscriber = Arc::new(Subscriber::new(options));
        let watch = Watch { handle: Arc::clone(&self.handle), subscriber: Arc::clone(&subscriber) };
        self.handle.add_watch(&subscriber)?;
        let feed = Arc::clone(&database.feed);
        if database.engine.is_read_only() {
            feed.subscribe(&subscriber);
            return Ok(watch);
        }
        // A place in the order of commits: what is checked after it is listed, and what was checked before it is visible
        // when it returns.
        let check = Box::new(move |_: &mut WriteBatch, _| {
            feed.subscribe(&subscriber);
            Ok(())
        });
        let options = CommitOptions { sync: Some(SyncMode::Never), check: Some(check) };
        database.engine.commit(WriteBatch::new(), options)?;
        Ok(watch)
    }
}

impl Watch {
    /// Waits for the next change. `None` when the handle was closed.
    ///
    /// # Errors
    ///
    /// `Overflow` once more changes came than may wait and those that waited have been taken; `Corruption` or `Io` where
    /// an old document could not be read. The watch has ended then, and the same comes again.
    pub fn recv(&self) -> Result<Option<Arc<Change>>> {
        self.subscriber.recv(None)
    }

    /// As [`Watch::recv`], but `None` also where no change has come when `timeout` has gone by.
    ///
    /// # Errors
    ///
    /// As for [`Watch::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Arc<Change>>> {
        self.subscriber.recv(Instant::now().checked_add(timeout))
    }

    /// The next change, if one waits.
    ///
    /// # Errors
    ///
    /// As for [`Watch::recv`].
    pub fn try_recv(&self) -> Result<Option<Arc<Change>>> {
        self.subscriber.recv(Some(Instant::now()))
    }

    #[cfg(feature = "node")]
    pub(crate) fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.database.feed.unsubscribe(&self.subscriber);
        self.subscriber.end();
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}
