//! The groups on their way from the log to the readers: in commit order, while a sync of the log runs.
//!
//! A group enters with its record written and its entries in the memtable, still invisible. One that needs no sync,
//! with nothing before it, is visible at once. Any other waits: for the sync that covers it, and for the groups
//! before it. One sync runs at a time, because the operating system reports a failed write to one of them only; what
//! is written meanwhile waits for the next, which one of those who wait for it runs for all.
//!
//! Invariants: a group becomes visible after all groups before it, and after a sync that began after its record was
//! written, where it asked for one. After a failed sync no group becomes visible any more. While a group is on its way,
//! a sync runs or somebody has been told to run one.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Turn, Waiter};
use super::shared::Shared;
use crate::error::{Code, Error, Result};
use crate::fs::File;
use crate::key::SeqNo;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex};

/// So long a sync waits for writers that may still come: less than a sync takes.
const COMPANION_PATIENCE: Duration = Duration::from_micros(50);

/// See the module.
pub(crate) struct Pipeline {
    state: Mutex<State>,
    /// Everything up to this seqno has been synced.
    durable: AtomicU64,
    /// Woken when a sync has ended.
    ended: Condvar,
    /// Woken when everybody is there for whom a sync waits.
    companions: Condvar,
}

struct State {
    /// Those that are not visible yet, in commit order.
    groups: VecDeque<Group>,
    /// The log, and up to which seqno everything is in it, or in the ones before.
    file: Option<Arc<dyn File>>,
    written: SeqNo,
    is_syncing: bool,
    /// So many writers were there when the last sync ended, those whom it let go and those who waited for the next.
    writers: usize,
    /// Whether a sync waits for writers that may still come.
    is_gathering: bool,
    failure: Option<Error>,
}

impl State {
    /// Whether as many writers wait for a sync as there were when the last one ended.
    fn are_all_here(&self) -> bool {
        self.groups.iter().map(Group::writers).sum::<usize>() >= self.writers
    }
}

/// Batches that were written as one record.
pub(crate) struct Group {
    pub(crate) last_seqno: SeqNo,
    pub(crate) needs_sync: bool,
    /// Who waits, and what for: the seqno of its batch or what its check said. The latter hears it in its turn too, so
    /// that what it clashed with can be seen by then.
    pub(crate) members: Vec<(Arc<Waiter>, Result<SeqNo>)>,
}

/// What the leader of a group that has entered is to do.
pub(crate) enum Entered {
    /// Tell the members: the group is visible.
    Visible(Group),
    /// Run a sync: the group will be visible then.
    Syncs,
    /// Wait: with this, where it is not itself among the members.
    Waits(Option<Arc<Waiter>>),
}

impl Group {
    /// How many wait for the group; the one that syncs it is in none of the members.
    fn writers(&self) -> usize {
        self.members.len().max(1)
    }

    /// Tells the members that the group is visible, or why it never will be.
    pub(crate) fn finish(self, failure: Option<&Error>) {
        for (waiter, result) in self.members {
            let result = match failure {
                Some(error) => result.and_then(|_| Err(error.clone())),
                None => result,
            };
            waiter.tell(Turn::Done(result));
        }
    }
}

impl Pipeline {
    /// Nothing is on its way, and everything up to `durable` has been synced.
    pub(crate) fn new(durable: SeqNo) -> Self {
        let state = State {
            groups: VecDeque::new(),
            file: None,
            written: durable,
            is_syncing: false,
            writers: 0,
            is_gathering: false,
            failure: None,
        };
        let (ended, companions) = Default::default();
        Self { state: Mutex::new(state), durable: AtomicU64::new(durable), ended, companions }
    }

    /// Everything up to this seqno has been synced.
    pub(crate) fn durable(&self) -> SeqNo {
        self.durable.load(Ordering::Acquire)
    }

    /// Whether nothing is on its way, no sync runs, and none has failed.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.groups.is_empty() && !state.is_syncing && state.failure.is_none()
    }

    /// Everything up to `seqno` is in the log file.
    pub(crate) fn note_written(&self, seqno: SeqNo) {
        let mut state = self.state.lock();
        state.written = state.written.max(seqno);
    }

    /// From here on `file` is the log. Everything in the one before has been synced.
    pub(crate) fn change_file(&self, file: Arc<dyn File>) {
        self.state.lock().file = Some(file);
    }
}

impl Shared {
    /// Lets a group in whose record is written and whose entries are in the memtable. The caller holds the memtable, so
    /// that groups enter in commit order; `leads_alone` says that its own batch is in the group, but not it.
    ///
    /// # Errors
    ///
    /// That of a sync that has failed; the members have been told.
    pub(crate) fn enter(
        &self,
        mut group: Group,
        leads_alone: Option<Result<SeqNo>>,
        written: SeqNo,
    ) -> Result<Entered> {
        let mut state = self.pipeline.state.lock();
        state.written = state.written.max(written);
        if let Some(failure) = state.failure.clone() {
            drop(state);
            group.finish(Some(&failure));
            return Err(failure);
        }
        group.needs_sync &= self.pipeline.durable() < group.last_seqno;
        if state.groups.is_empty() && !group.needs_sync {
            self.snapshots.publish(group.last_seqno);
            return Ok(Entered::Visible(group));
        }
        if group.needs_sync && !std::mem::replace(&mut state.is_syncing, true) {
            state.groups.push_back(group);
            return Ok(Entered::Syncs);
        }
        let own = leads_alone.map(|result| {
            let waiter = Arc::new(Waiter::new(None));
            group.members.insert(0, (Arc::clone(&waiter), result));
            waiter
        });
        state.groups.push_back(group);
        if state.is_gathering && state.are_all_here() {
            self.pipeline.companions.notify_one();
        }
        Ok(Entered::Waits(own))
    }

    /// No group becomes visible from here on, because of `cause`.
    pub(crate) fn fail_commits(&self, cause: Error) {
        let cause = self.poison(cause);
        self.pipeline.state.lock().failure.get_or_insert(cause);
    }

    /// Syncs the log: for the caller, whose turn it is, and for everyone whose record is in it by now.
    pub(crate) fn take_sync_turn(&self) -> Result<()> {
        let turn = SyncTurn { shared: self, has_ended: false };
        self.await_companions();
        let (file, written) = {
            let state = self.pipeline.state.lock();
            (state.file.clone(), state.written)
        };
        let synced = file.map_or(Ok(()), |file| {
            self.counters.syncs.fetch_add(1, Ordering::Relaxed);
            file.sync()
        });
        turn.end(synced.map(|()| written))
    }

    /// Gives those whom the last sync has let go the chance to be in this one: they are about to write again, and
    /// otherwise the writers split into two halves, each of which waits for the sync of the other. A writer that is
    /// alone waits for nobody.
    fn await_companions(&self) {
        let deadline = Instant::now() + COMPANION_PATIENCE;
        let mut state = self.pipeline.state.lock();
        // Asleep, and not by giving the processor away again and again: that may be for milliseconds where others are busy.
        state.is_gathering = true;
        while !state.are_all_here() {
            if self.pipeline.companions.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_gathering = false;
    }

    /// Makes everything durable that is in the log up to `seqno`, and makes that visible.
    ///
    /// # Errors
    ///
    /// `Io` when the sync fails, which poisons; `Poisoned` where one has failed before.
    pub(crate) fn sync_up_to(&self, seqno: SeqNo) -> Result<()> {
        let pipeline = &self.pipeline;
        let mut state = pipeline.state.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.wrap(Code::Poisoned, "an earlier sync of the log failed"));
            }
            if pipeline.durable() >= seqno.min(state.written) {
                return Ok(());
            }
            if !std::mem::replace(&mut state.is_syncing, true) {
                break;
            }
            pipeline.ended.wait(&mut state);
        }
        drop(state);
        self.take_sync_turn()
    }

    /// Makes everything in the log durable and waits until all groups are visible. The caller holds the log, so that
    /// none enters meanwhile.
    pub(crate) fn drain(&self) -> Result<()> {
        self.await_inserts();
        self.sync_up_to(SeqNo::MAX)?;
        let mut state = self.pipeline.state.lock();
        while !state.groups.is_empty() || state.is_syncing {
            self.pipeline.ended.wait(&mut state);
        }
        match &state.failure {
            Some(failure) => Err(failure.wrap(Code::Poisoned, "an earlier sync of the log failed")),
            None => Ok(()),
        }
    }

    /// Makes visible what the sync allows, and gives the turn to one who waits for the next.
    fn end_sync(&self, synced: Result<SeqNo>) -> Result<()> {
        let mut state = self.pipeline.state.lock();
        state.is_syncing = false;
        let ended: Vec<Group> = match &synced {
            Ok(written) => {
                let durable = (*written).max(self.pipeline.durable());
                self.pipeline.durable.store(durable, Ordering::Release);
                let is_ready = |group: &Group| !group.needs_sync || group.last_seqno <= durable;
                let ready = state.groups.iter().take_while(|group| is_ready(group)).count();
                state.groups.drain(..ready).collect()
            }
            Err(error) => {
                // Before anyone is told, so that no one who is told can write again.
                state.failure = Some(self.poison(error.clone()));
                state.groups.drain(..).collect()
            }
        };
        state.writers = ended.iter().chain(&state.groups).map(Group::writers).sum();
        if let (Ok(_), Some(last)) = (&synced, ended.last()) {
            self.snapshots.publish(last.last_seqno);
        }
        // The first group waits for a sync; its first member is in no group before, so it listens.
        let next = state.groups.front().and_then(|group| group.members.first());
        let next = next.map(|(waiter, _)| Arc::clone(waiter));
        if let Some(waiter) = next {
            state.is_syncing = true;
            waiter.tell(Turn::Sync);
        }
        drop(state);
        self.pipeline.ended.notify_all();
        let failure = synced.as_ref().err();
        ended.into_iter().for_each(|group| group.finish(failure));
        synced.map(|_| ())
    }
}

/// The right to sync. However it ends, by a panic too, it is passed on.
struct SyncTurn<'a> {
    shared: &'a Shared,
    has_ended: bool,
}

impl SyncTurn<'_> {
    fn end(mut self, synced: Result<SeqNo>) -> Result<()> {
        self.has_ended = true;
        self.shared.end_sync(synced)
    }
}

impl Drop for SyncTurn<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let message = "a sync ended without a result, which is a defect of FlowDB";
            let _ = self.shared.end_sync(Err(Error::new(Code::Internal, message)));
        }
    }
}
