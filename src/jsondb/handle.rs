//! One opener's hold on a database: open until it is closed or dropped, whatever others do with theirs.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};

use super::declared::Declared;
use super::feed::Subscriber;
use super::ledger::Database;
use super::registry::Share;
use crate::error::{Code, Error, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// See the module.
pub(super) struct Handle {
    pub(super) database: Arc<Database>,
    /// `None` for a database that is not shared.
    share: Option<Share>,
    is_closed: AtomicBool,
    /// The stores that come into being with their first write by this handle.
    pub(super) declared: Declared,
    /// Those who watch by this handle.
    watches: Mutex<Vec<Weak<Subscriber>>>,
}

impl Handle {
    pub(super) fn new(database: Arc<Database>, share: Option<Share>) -> Self {
        let (is_closed, declared) = (AtomicBool::new(false), Declared::default());
        Self { database, share, is_closed, declared, watches: Mutex::default() }
    }

    /// Notes one who watches by this handle and ends with it.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub(super) fn add_watch(&self, subscriber: &Arc<Subscriber>) -> Result<()> {
        let mut watches = self.watches.lock();
        // Under the lock: a close that comes now finds what is added here.
        self.check_open()?;
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(subscriber));
        Ok(())
    }

    /// # Errors
    ///
    /// `Closed` once this handle has been closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(Code::Closed, "the database has been closed"));
        }
        Ok(())
    }

    /// Closes this handle, and the database if it was the last. A second call does nothing.
    pub(super) fn close(&self) -> Result<()> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let watches = std::mem::take(&mut *self.watches.lock());
        for subscriber in watches.iter().filter_map(Weak::upgrade) {
            self.database.feed.unsubscribe(&subscriber);
            subscriber.end();
        }
        match &self.share {
            Some(share) => share.close(),
            None => self.database.close(),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left to tell; what was acknowledged is in the log already.
        let _ = self.close();
    }
}
