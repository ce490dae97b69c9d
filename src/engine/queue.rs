//! The queue of writers: who waits, who leads, and how each hears what became of its batch.
//!
//! A writer that finds nobody leading leads at once and in its own thread, without a place in the queue: alone, it
//! allocates nothing and wakes nobody. Everybody else gets a [`Waiter`], and hears from it: the result, or that it is
//! its turn to lead or to sync.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::WriteBatch;
use super::commit::CommitCheck;
use crate::config::SyncMode;
use crate::error::Result;
use crate::key::SeqNo;
use crate::sync::{Condvar, Mutex};

/// A group ends before the batch that would take it beyond this many bytes, unless it is the first.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// A batch to be committed.
pub(crate) struct Request {
    pub(crate) batch: WriteBatch,
    pub(crate) check: Option<CommitCheck>,
    pub(crate) sync: SyncMode,
}

/// The writers that wait to be taken into a group.
#[derive(Default)]
pub(crate) struct CommitQueue {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Waiter>>,
    is_led: bool,
}

/// What a writer is to do that has just queued.
pub(crate) enum Joined {
    /// Lead, with its own request in front.
    Leads(Request),
    Waits(Arc<Waiter>),
}

impl CommitQueue {
    /// Lets one writer in.
    pub(crate) fn join(&self, request: Request) -> Joined {
        let mut queue = self.queue.lock();
        // While somebody waits, somebody leads, so there is nobody to overtake.
        if !std::mem::replace(&mut queue.is_led, true) {
            return Joined::Leads(request);
        }
        let waiter = Arc::new(Waiter::new(Some(request)));
        queue.waiting.push_back(Arc::clone(&waiter));
        Joined::Waits(waiter)
    }

    /// Makes the caller the leader, with nothing of its own in the queue, unless somebody leads.
    pub(crate) fn try_lead(&self) -> bool {
        !std::mem::replace(&mut self.queue.lock().is_led, true)
    }

    /// Whether somebody leads.
    pub(crate) fn is_led(&self) -> bool {
        self.queue.lock().is_led
    }

    /// Puts writers at the end of the queue. True where nobody leads: the caller then has to.
    pub(crate) fn join_all(&self, waiters: &[Arc<Waiter>]) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting.extend(waiters.iter().cloned());
        !waiters.is_empty() && !std::mem::replace(&mut queue.is_led, true)
    }

    /// Takes from the front what goes well with the `bytes` of the group so far.
    pub(crate) fn take(&self, mut bytes: usize) -> Vec<Arc<Waiter>> {
        let mut queue = self.queue.lock();
        let mut members: Vec<Arc<Waiter>> = Vec::new();
        while let Some(next) = queue.waiting.front() {
            let is_first = bytes == 0 && members.is_empty();
            bytes += next.size_bytes;
            if bytes > GROUP_BYTES_MAX && !is_first {
                break;
            }
            members.extend(queue.waiting.pop_front());
        }
        members
    }

    /// Ends the caller's lead: the first that waits has it now.
    pub(crate) fn hand_over(&self) {
        let mut queue = self.queue.lock();
        match queue.waiting.front() {
            Some(next) => next.tell(Turn::Lead),
            None => queue.is_led = false,
        }
    }
}

/// What a writer hears.
pub(crate) enum Turn {
    /// To take the next group from the queue.
    Lead,
    /// To sync the log, for everyone who waits for that.
    Sync,
    Done(Result<SeqNo>),
}

/// A writer that waits.
pub(crate) struct Waiter {
    request: Mutex<Option<Request>>,
    size_bytes: usize,
    turn: Mutex<Option<Turn>>,
    wake: Condvar,
}

impl Waiter {
    /// `None` for a writer whose request is in a group already.
    pub(crate) fn new(request: Option<Request>) -> Self {
        let size_bytes = request.as_ref().map_or(0, |request| request.batch.size_bytes());
        Self { request: Mutex::new(request), size_bytes, turn: Mutex::default(), wake: Condvar::new() }
    }

    pub(crate) fn take_request(&self) -> Option<Request> {
        self.request.lock().take()
    }

    /// Waits for the next turn. After [`Turn::Done`] there is none.
    pub(crate) fn wait(&self) -> Turn {
        let mut turn = self.turn.lock();
        loop {
            if let Some(turn) = turn.take() {
                return turn;
            }
            self.wake.wait(&mut turn);
        }
    }

    /// Tells the writer what to do, or what has been done: then nothing more is said.
    pub(crate) fn tell(&self, next: Turn) {
        let mut turn = self.turn.lock();
        if !matches!(*turn, Some(Turn::Done(_))) {
            *turn = Some(next);
            drop(turn);
            self.wake.notify_one();
        }
    }
}
