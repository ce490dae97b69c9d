//! The feed: from commits to those who watch.
//!
//! The check of a commit, which the engine runs in commit order, lists what the commit changes. The thread that commits
//! settles it once the engine has made it visible, or has refused it; then it goes to the subscribers as soon as everything
//! listed before it is settled. So they get what is visible, in commit order, each once. A commit without subscribers
//! asks for their number and does nothing more.
//!
//! Invariant: everything that is listed is settled, however its thread ends (`Ticket`). Wakes are called with no lock
//! held.
#![forbid(unsafe_code)]

mod buffer;
mod changes;
mod subscriber;

use std::collections::VecDeque;
use std::sync::Arc;

use super::rows::StoredDocument;
use super::schema::StoreDef;
use super::watch::Change;
use crate::engine::{Engine, Snapshot, WriteBatch};
use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use changes::Listed;

#[cfg(feature = "node")]
pub(crate) use buffer::Taken;
pub(crate) use subscriber::Subscriber;
use subscriber::Wake;

/// See the module.
#[derive(Default)]
pub(crate) struct Feed {
    /// How many subscribers there are.
    watched: AtomicUsize,
    last_ticket: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Arc<Subscriber>>,
    /// Commits that are not given yet, in their order.
    pending: VecDeque<Pending>,
    /// Counts what is listed; a subscriber gets what was listed after it came.
    last_order: u64,
}

struct Pending {
    ticket: u64,
    order: u64,
    listed: Listed,
    /// The outer `None` until it is settled.
    settled: Option<Option<Error>>,
}

/// A commit on its way, held by the thread that commits. Dropped without being settled, it counts as refused.
pub(crate) struct Ticket {
    feed: Arc<Feed>,
    number: u64,
    is_settled: bool,
}

impl Feed {
    /// A ticket for a commit to come.
    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        // A number is all that it has to be: another than every other one.
        let number = self.last_ticket.fetch_add(1, Ordering::Relaxed) + 1;
        Ticket { feed: Arc::clone(self), number, is_settled: false }
    }

    /// Whether anybody watches. Exact within the check of a commit, in whose order subscribers come.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire) > 0
    }

    /// Lists what the commit with this ticket changes: the stores that it deletes, and documents of `stores`, which are
    /// those that it writes to. Called once in its check, when nothing else refuses it.
    pub(crate) fn list(
        &self,
        ticket: u64,
        batch: &WriteBatch,
        stores: &[Arc<StoreDef>],
        deleted: &[Arc<str>],
    ) -> Result<()> {
        let mut state = self.state.lock();
        let mut listed = Listed::drop_of(deleted, &state.subscribers);
        listed.read(batch, stores, &state.subscribers)?;
        state.push(ticket, listed);
        Ok(())
    }

    /// Adds a subscriber, for what is listed from now on.
    pub(crate) fn subscribe(&self, subscriber: &Arc<Subscriber>) {
        let mut state = self.state.lock();
        subscriber.begin_after(state.last_order);
        state.subscribers.push(Arc::clone(subscriber));
        self.watched.store(state.subscribers.len(), Ordering::Release);
    }

    /// Removes a subscriber, if it is there.
    pub(crate) fn unsubscribe(&self, subscriber: &Arc<Subscriber>) {
        let mut state = self.state.lock();
        state.subscribers.retain(|other| !Arc::ptr_eq(other, subscriber));
        self.watched.store(state.subscribers.len(), Ordering::Release);
        if state.subscribers.is_empty() {
            state.pending.clear();
        }
    }

    /// What was listed under `ticket` is visible, and `old_values` belong to it; or it never will be (`None`).
    fn settle(&self, ticket: u64, old_values: Option<Result<Vec<(usize, StoredDocument)>>>) {
        let mut wakes = Vec::new();
        let mut state = self.state.lock();
        let Some(at) = state.pending.iter().position(|pending| pending.ticket == ticket) else { return };
        match old_values {
            None => drop(state.pending.remove(at)),
            Some(old_values) => state.pending[at].settle(old_values),
        }
        while state.pending.front().is_some_and(|pending| pending.settled.is_some()) {
            if let Some(pending) = state.pending.pop_front() {
                pending.deliver(&state.subscribers, &mut wakes);
            }
        }
        drop(state);
        wakes.into_iter().for_each(|wake| wake());
    }

    /// The rows whose old documents somebody wants of what was listed under `ticket`; `None` where nothing was.
    fn old_rows(&self, ticket: u64) -> Option<Vec<(usize, Vec<u8>)>> {
        let mut state = self.state.lock();
        let pending = state.pending.iter_mut().find(|pending| pending.ticket == ticket)?;
        Some(std::mem::take(&mut pending.listed.old_rows))
    }
}

impl State {
    fn push(&mut self, ticket: u64, listed: Listed) {
        if !listed.changes.is_empty() {
            self.last_order += 1;
            self.pending.push_back(Pending { ticket, order: self.last_order, listed, settled: None });
        }
    }
}

impl Pending {
    fn settle(&mut self, old_values: Result<Vec<(usize, StoredDocument)>>) {
        match old_values {
            Ok(old_values) => {
                for (at, stored) in old_values {
                    self.listed.set_old_value(at, stored.document);
                }
                self.settled = Some(None);
            }
            Err(error) => self.settled = Some(Some(error)),
        }
    }

    fn deliver(self, subscribers: &[Arc<Subscriber>], wakes: &mut Vec<Wake>) {
        let changes: Vec<Arc<Change>> = self.listed.changes.into_iter().map(Arc::new).collect();
        let failure = self.settled.flatten();
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.gets(self.order)) {
            wakes.extend(subscriber.give(&changes, failure.as_ref()));
        }
    }
}

impl Ticket {
    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The commit is visible. Old documents are read from `snapshot`, in which nothing has changed that the commit
    /// replaced.
    pub(crate) fn settle(mut self, engine: &Engine, snapshot: &Snapshot) {
        if !self.feed.is_watched() {
            return;
        }
        if let Some(rows) = self.feed.old_rows(self.number) {
            let read = |(at, row): (usize, Vec<u8>)| -> Result<Option<(usize, StoredDocument)>> {
                let value = engine.get(&row, Some(snapshot))?;
                value.map(|value| Ok((at, StoredDocument::decode(&value.bytes, &row)?))).transpose()
            };
            let old_values = rows.into_iter().filter_map(|row| read(row).transpose()).collect();
            self.is_settled = true;
            self.feed.settle(self.number, Some(old_values));
        }
    }

    /// The commit, which replaces no document, is visible.
    pub(crate) fn settle_plain(mut self) {
        self.is_settled = true;
        self.feed.settle(self.number, Some(Ok(Vec::new())));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_settled && self.feed.is_watched() {
            self.feed.settle(self.number, None);
        }
    }
}
