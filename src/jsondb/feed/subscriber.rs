//! One who watches: what of the changes is wanted, and those that wait to be taken.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use super::super::key::{Key, KeyRange};
use super::super::rows::RowRange;
use super::super::watch::{Change, WatchOptions};
use super::buffer::{Buffer, Taken};
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};

/// Tells that something waits.
pub(crate) type Wake = Box<dyn FnOnce() + Send>;

/// See the module.
pub(crate) struct Subscriber {
    store: Option<String>,
    range: KeyRange,
    pub(super) values: bool,
    pub(super) old_values: bool,
    /// What was listed up to here was there before it came.
    since: AtomicU64,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

struct Waiting {
    buffer: Buffer,
    wake: Option<Wake>,
}

impl Subscriber {
    /// One who has not come yet.
    pub(crate) fn new(options: WatchOptions) -> Self {
        let WatchOptions { store, range, values, old_values, buffer, overflow } = options;
        Self {
            store,
            range,
            values,
            old_values,
            since: AtomicU64::new(0),
            waiting: Mutex::new(Waiting { buffer: Buffer::new(buffer, overflow), wake: None }),
            arrived: Condvar::new(),
        }
    }

    /// Gets what is listed after `order`.
    pub(super) fn begin_after(&self, order: u64) {
        self.since.store(order, Ordering::Relaxed);
    }

    pub(super) fn gets(&self, order: u64) -> bool {
        self.since.load(Ordering::Relaxed) < order
    }

    /// Whether changes of the document `key` of `store` are wanted.
    pub(super) fn wants_key(&self, store: &str, key: &Key) -> bool {
        self.wants_store(store) && self.range.contains(key)
    }

    /// Whether it is wanted that a range of `store` was deleted.
    pub(super) fn wants_range(&self, store: &str, range: &KeyRange) -> bool {
        let (wanted, deleted) = (RowRange::keys(&[], &self.range), RowRange::keys(&[], range));
        self.wants_store(store) && wanted.start < deleted.end && deleted.start < wanted.end
    }

    pub(super) fn wants_store(&self, store: &str) -> bool {
        self.store.as_deref().is_none_or(|wanted| wanted == store)
    }

    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::Put { store, key, .. } | Change::Delete { store, key, .. } => self.wants_key(store, key),
            Change::DeleteRange { store, range } => self.wants_range(store, range),
            Change::Clear { store } | Change::Drop { store } => self.wants_store(store),
            Change::Lost { .. } => true,
        }
    }

    /// The change without what only others want of it.
    fn trimmed(&self, change: &Arc<Change>) -> Arc<Change> {
        let is_wanted = match &**change {
            Change::Put { value, old_value, .. } => {
                (self.values || value.is_none()) && (self.old_values || old_value.is_none())
            }
            Change::Delete { old_value, .. } => self.old_values || old_value.is_none(),
            _ => true,
        };
        if is_wanted {
            return Arc::clone(change);
        }
        let mut trimmed = Change::clone(change);
        if let Change::Put { value, .. } = &mut trimmed
            && !self.values
        {
            *value = None;
        }
        if let Change::Put { old_value, .. } | Change::Delete { old_value, .. } = &mut trimmed
            && !self.old_values
        {
            *old_value = None;
        }
        Arc::new(trimmed)
    }

    /// Puts the changes of one commit into the buffer. Where old documents that it wants could not be read, it ends with
    /// `failure`. Gives the wake that is to be called.
    pub(super) fn give(&self, changes: &[Arc<Change>], failure: Option<&Error>) -> Option<Wake> {
        let mut waiting = self.waiting.lock();
        let mut wanted = changes.iter().filter(|change| self.wants(change)).peekable();
        wanted.peek()?;
        match failure {
            Some(failure) if self.old_values => waiting.buffer.fail(failure.clone()),
            _ => wanted.for_each(|change| waiting.buffer.push(self.trimmed(change))),
        }
        self.arrived.notify_all();
        waiting.wake.take()
    }

    /// Ends it; what waits is dropped.
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.buffer.close();
        self.arrived.notify_all();
        let wake = waiting.wake.take();
        drop(waiting);
        if let Some(wake) = wake {
            wake();
        }
    }

    /// The next change, for which it waits until `deadline`, or for ever. `None` when none came, or none will.
    pub(crate) fn recv(&self, deadline: Option<Instant>) -> Result<Option<Arc<Change>>> {
        let mut waiting = self.waiting.lock();
        loop {
            let Taken { mut changes, has_ended } = waiting.buffer.take(1, usize::MAX)?;
            if let Some(change) = changes.pop() {
                return Ok(Some(change));
            }
            if has_ended {
                return Ok(None);
            }
            match deadline {
                None => self.arrived.wait(&mut waiting),
                Some(deadline) if self.arrived.wait_until(&mut waiting, deadline).timed_out() => {
                    return Ok(waiting.buffer.take(1, usize::MAX)?.changes.pop());
                }
                Some(_) => {}
            }
        }
    }

    /// Takes changes up to a number and bytes. Where there are none, `wake` is called when there are some, or it ends.
    #[cfg(feature = "node")]
    pub(crate) fn take(&self, changes_max: usize, bytes_max: usize, wake: Wake) -> Result<Taken> {
        let mut waiting = self.waiting.lock();
        let taken = waiting.buffer.take(changes_max, bytes_max)?;
        if taken.changes.is_empty() && !taken.has_ended {
            waiting.wake = Some(wake);
        }
        Ok(taken)
    }
}
