//! Group commit: many writers, one append to the log, one sync.
//!
//! Writers queue. The first becomes the leader; it takes what waits as one group, runs each batch's check, writes
//! the group as one record, syncs if anyone in it asked for that, applies it to the memtable, publishes its seqno and
//! wakes the others. Meanwhile the next group gathers.
//!
//! Invariant: a seqno becomes visible only after its record is as durable as its writer asked for.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex};

use super::batch::{WriteBatch, decode};
use super::shared::{LoggedMemtable, Shared};
use crate::config::SyncMode;
use crate::error::{Code, Error, Result};
use crate::fs::File;
use crate::key::{Kind, SEQNO_MAX, SeqNo};
use crate::memtable::Memtable;
use crate::version::{VersionEdit, log_path};
use crate::wal::{LogKind, LogWriter, PreviousSegment, SegmentHeader};

/// A group ends before the batch that would take it beyond this many bytes, unless it is the first.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// With durability `none`, the log is written once so many bytes wait.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// Runs in commit order, just before the batch is written. It may add to the batch, and refuse it.
pub type CommitCheck = Box<dyn FnOnce(&mut WriteBatch, u64) -> Result<()> + Send>;

/// How a batch is to be committed.
#[derive(Default)]
pub struct CommitOptions {
    /// When the batch is acknowledged; the database's `wal_sync_mode` where not given.
    pub sync: Option<SyncMode>,
    /// See [`CommitCheck`]; its second argument is the seqno that the batch's first entry will have.
    pub check: Option<CommitCheck>,
}

/// The end of the log.
pub(crate) struct LogState {
    /// `None` for a database in memory, until the first write after an opening, and once the database is closed.
    pub(crate) writer: Option<LogWriter>,
    /// The last log that was found at the opening and where its records end. `None` where there is none that a
    /// successor may build on: then what was replayed is flushed before the next log begins.
    pub(crate) replayed: Option<PreviousSegment>,
    /// Whether the manifest says that there is a log, so that one that is missing will be missed.
    pub(crate) is_announced: bool,
    /// The last seqno that was given to a batch.
    pub(crate) last_seqno: SeqNo,
    /// Everything up to this seqno is in the log file (not only in a buffer).
    pub(crate) written_seqno: SeqNo,
    /// Everything up to this seqno has been synced.
    pub(crate) durable_seqno: SeqNo,
    /// Nothing more may be written to this log: its tail is garbage because an append failed for want of space, or
    /// a successor that names its end may exist already. The next write begins a new log.
    pub(crate) is_sealed: bool,
}

impl LogState {
    /// Whether the log has come up to the size at which it goes on in another file.
    fn is_full(&self, segment_size_bytes: u64) -> bool {
        let size = |writer: &LogWriter| writer.end_offset() + writer.pending_bytes() as u64;
        self.writer.as_ref().is_some_and(|writer| size(writer) >= segment_size_bytes)
    }

    /// The number of the log that the next memtable's entries will be in, or of one before.
    fn number(&self) -> u64 {
        let replayed = self.replayed.map_or(0, |last| last.number);
        self.writer.as_ref().map_or(replayed, LogWriter::number)
    }
}

/// The writers that wait.
#[derive(Default)]
pub(crate) struct CommitQueue {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Waiter>>,
    is_led: bool,
}

struct Waiter {
    request: Mutex<Option<Request>>,
    sync: SyncMode,
    size_bytes: usize,
    state: Mutex<WaiterState>,
    wake: Condvar,
}

struct Request {
    batch: WriteBatch,
    check: Option<CommitCheck>,
}

enum WaiterState {
    Waiting,
    Leading,
    Done(Result<SeqNo>),
}

impl Waiter {
    /// Waits for the result, or for `None`: the writer is to lead.
    fn wait(&self) -> Option<Result<SeqNo>> {
        let mut state = self.state.lock();
        loop {
            match &*state {
                WaiterState::Waiting => self.wake.wait(&mut state),
                WaiterState::Leading => return None,
                WaiterState::Done(result) => return Some(result.clone()),
            }
        }
    }

    /// The first result stands.
    fn finish(&self, result: Result<SeqNo>) {
        let mut state = self.state.lock();
        if !matches!(*state, WaiterState::Done(_)) {
            *state = WaiterState::Done(result);
            self.wake.notify_one();
        }
    }

    fn lead(&self) {
        *self.state.lock() = WaiterState::Leading;
        self.wake.notify_one();
    }
}

/// The group that a leader writes. However the leader ends, by a panic of a check too, nobody is left waiting.
struct Group<'a> {
    shared: &'a Shared,
    members: Vec<Arc<Waiter>>,
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        for member in &self.members {
            let message = "the commit ended without a result, which is a defect of FlowDB";
            member.finish(Err(Error::new(Code::Internal, message)));
        }
        let mut queue = self.shared.commits.queue.lock();
        match queue.waiting.front() {
            Some(next) => next.lead(),
            None => queue.is_led = false,
        }
    }
}

/// A member of a group whose check has passed.
struct Admitted {
    waiter: Arc<Waiter>,
    batch: WriteBatch,
    first_seqno: SeqNo,
}

impl Admitted {
    fn last_seqno(&self) -> SeqNo {
        self.first_seqno + self.batch.len() as u64 - 1
    }
}

impl Shared {
    /// Makes `batch` visible, as durable as `options` say, and returns the seqno of its last entry.
    pub(crate) fn commit(&self, batch: WriteBatch, options: CommitOptions) -> Result<SeqNo> {
        self.check_writable()?;
        if batch.is_empty() && options.check.is_none() {
            return Ok(self.snapshots.visible());
        }
        let waiter = self.waiter(batch, options);
        if self.enqueue(std::slice::from_ref(&waiter)) {
            self.lead();
        }
        self.result_of(&waiter)
    }

    /// Commits several batches in their order, each for itself, with as few writes and syncs as one group needs.
    pub(crate) fn commit_all(&self, requests: Vec<(WriteBatch, CommitOptions)>) -> Vec<Result<SeqNo>> {
        if let Err(error) = self.check_writable() {
            return requests.iter().map(|_| Err(error.clone())).collect();
        }
        let waiters: Vec<Arc<Waiter>> =
            requests.into_iter().map(|(batch, options)| self.waiter(batch, options)).collect();
        if self.enqueue(&waiters) {
            self.lead();
        }
        waiters.iter().map(|waiter| self.result_of(waiter)).collect()
    }

    fn waiter(&self, batch: WriteBatch, options: CommitOptions) -> Arc<Waiter> {
        Arc::new(Waiter {
            sync: options.sync.unwrap_or(self.config.wal_sync_mode),
            size_bytes: batch.size_bytes(),
            request: Mutex::new(Some(Request { batch, check: options.check })),
            state: Mutex::new(WaiterState::Waiting),
            wake: Condvar::new(),
        })
    }

    /// Puts writers at the end of the queue. True where nobody leads: the caller then has to.
    fn enqueue(&self, waiters: &[Arc<Waiter>]) -> bool {
        let mut queue = self.commits.queue.lock();
        queue.waiting.extend(waiters.iter().cloned());
        !waiters.is_empty() && !std::mem::replace(&mut queue.is_led, true)
    }

    /// Waits until `waiter` has its result, leading where its turn has come: a leader is in its own group.
    fn result_of(&self, waiter: &Waiter) -> Result<SeqNo> {
        loop {
            match waiter.wait() {
                Some(result) => return result,
                None => self.lead(),
            }
        }
    }

    /// Takes a group from the front of the queue and commits it.
    fn lead(&self) {
        let mut log = self.log.lock();
        let group = Group { shared: self, members: self.take_group() };
        let admitted = match self.prepare(&mut log) {
            Ok(()) => self.admit(&group, &mut log),
            Err(error) => {
                group.members.iter().for_each(|member| member.finish(Err(error.clone())));
                return;
            }
        };
        if admitted.is_empty() {
            return;
        }
        let result = self.log_group(&mut log, &admitted);
        if result.is_ok() {
            self.publish(&log, &admitted);
        }
        drop(log);
        for member in admitted {
            member.waiter.finish(result.clone().map(|()| member.last_seqno()));
        }
    }

    fn take_group(&self) -> Vec<Arc<Waiter>> {
        let mut queue = self.commits.queue.lock();
        let mut members: Vec<Arc<Waiter>> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = queue.waiting.front() {
            bytes += next.size_bytes;
            if bytes > GROUP_BYTES_MAX && !members.is_empty() {
                break;
            }
            members.extend(queue.waiting.pop_front());
        }
        members
    }

    /// Everything that must be well before a group is let in.
    fn prepare(&self, log: &mut LogState) -> Result<()> {
        self.check_writable()?;
        if log.is_sealed || log.is_full(self.config.wal_segment_size_bytes) {
            self.roll_log(log)?;
        }
        self.make_room(log)
    }

    /// Runs the checks in order and numbers the batches that pass.
    fn admit(&self, group: &Group<'_>, log: &mut LogState) -> Vec<Admitted> {
        let mut admitted = Vec::with_capacity(group.members.len());
        let mut next_seqno = log.last_seqno + 1;
        for waiter in &group.members {
            let Some(Request { mut batch, check }) = waiter.request.lock().take() else { continue };
            if let Some(check) = check
                && let Err(error) = check(&mut batch, next_seqno)
            {
                waiter.finish(Err(error));
                continue;
            }
            if batch.is_empty() {
                waiter.finish(Ok(next_seqno - 1));
                continue;
            }
            if next_seqno + batch.len() as u64 > SEQNO_MAX {
                waiter.finish(Err(Error::new(
                    Code::Unsupported,
                    "the database has used all 2^56 sequence numbers",
                )));
                continue;
            }
            let first_seqno = next_seqno;
            next_seqno += batch.len() as u64;
            admitted.push(Admitted { waiter: Arc::clone(waiter), batch, first_seqno });
        }
        admitted
    }

    /// Writes the group to the log as one record, and syncs it if a member asked for that.
    fn log_group(&self, log: &mut LogState, group: &[Admitted]) -> Result<()> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let last_seqno = last.last_seqno();
        let entries = last_seqno + 1 - first.first_seqno;
        let durable = log.durable_seqno;
        if let Some(writer) = &mut log.writer {
            let bodies: Vec<&[u8]> = group.iter().map(|member| member.batch.encoded()).collect();
            self.counters.wal_bytes.fetch_add(bodies.iter().map(|b| b.len() as u64).sum(), Ordering::Relaxed);
            writer.buffer_parts(first.first_seqno, durable, entries, &bodies)?;
        }
        log.last_seqno = last_seqno;
        let lazy = group.iter().all(|member| member.waiter.sync == SyncMode::Never);
        let pending = log.writer.as_ref().map_or(0, LogWriter::pending_bytes);
        if !lazy || pending > PENDING_BYTES_MAX {
            self.write_log(log)?;
        }
        if group.iter().any(|member| member.waiter.sync == SyncMode::Always) {
            self.sync_log(log)?;
        }
        Ok(())
    }

    /// Hands what is buffered to the file.
    ///
    /// Where the disk is full the records are lost for their writers, who are told, and the log goes on in a new
    /// segment as soon as there is space; any other failure poisons.
    pub(crate) fn write_log(&self, log: &mut LogState) -> Result<()> {
        let Some(writer) = &mut log.writer else { return Ok(()) };
        let Err(error) = writer.write_pending() else {
            log.written_seqno = log.last_seqno;
            return Ok(());
        };
        let is_full = error.io_cause().is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull);
        // Writes of durability `none` that were acknowledged from the buffer are in the memtable: their order
        // can't be kept in a log that has lost them.
        if is_full && log.written_seqno == self.snapshots.visible() {
            log.is_sealed = true;
            log.last_seqno = log.written_seqno;
            return Err(error.wrap(Code::Io, "writing to the log: the disk is full"));
        }
        Err(self.poison(error))
    }

    /// Makes everything that is in the log file durable.
    pub(crate) fn sync_log(&self, log: &mut LogState) -> Result<()> {
        let Some(writer) = &log.writer else { return Ok(()) };
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        writer.sync_handle().sync().map_err(|error| self.poison(error))?;
        log.durable_seqno = log.written_seqno;
        Ok(())
    }

    /// The log file and how far it is written, for a sync outside the lock.
    pub(crate) fn unsynced(&self) -> Result<Option<(Arc<dyn File>, SeqNo)>> {
        let mut log = self.log.lock();
        // A log that a full disk has sealed takes no more records, but those in it are still to be synced.
        if !log.is_sealed {
            self.write_log(&mut log)?;
        }
        let is_synced = log.durable_seqno == log.written_seqno;
        Ok(log.writer.as_ref().filter(|_| !is_synced).map(|writer| (writer.sync_handle(), log.written_seqno)))
    }

    /// Applies the group to the memtable and makes it readable.
    fn publish(&self, log: &LogState, group: &[Admitted]) {
        let view = self.view();
        for member in group {
            apply(&view.active.memtable, member.batch.encoded(), member.first_seqno)
                .expect("the batch was encoded by this process");
        }
        self.snapshots.publish(log.last_seqno);
    }

    /// Begins a new log and a new memtable, and hands the old memtable to the flush.
    pub(crate) fn seal(&self, log: &mut LogState) -> Result<()> {
        self.roll_log(log)?;
        let active =
            Arc::new(LoggedMemtable { memtable: Arc::new(Memtable::new()), first_log: log.number() });
        self.change_view(|view| {
            let sealed = std::mem::replace(&mut view.active, active);
            view.frozen.insert(0, sealed);
        });
        self.background.wake_flush();
        Ok(())
    }

    /// Ends the log at its last whole record, durably, and begins the next one, whose header says where that is.
    fn roll_log(&self, log: &mut LogState) -> Result<()> {
        if self.config.in_memory {
            log.is_sealed = false;
            return Ok(());
        }
        if !log.is_sealed {
            self.write_log(log)?;
        }
        self.sync_log(log)?;
        let previous = match &log.writer {
            Some(old) => Some(PreviousSegment { number: old.number(), end_offset: old.end_offset() }),
            None => log.replayed,
        };
        if previous.is_none() {
            while self.flush_oldest()? {}
        }
        let number = self.next_number();
        let header = SegmentHeader { kind: LogKind::Wal, number, previous, first_seqno: log.last_seqno + 1 };
        let path = log_path(self.dir(), number);
        let created = LogWriter::create(self.fs.as_ref(), &path, header);
        if created.is_err() {
            log.is_sealed = true;
            // What is left of it counts for nothing, but takes space that may be short.
            let _ = self.fs.remove(&path);
        }
        log.writer = Some(created?);
        log.is_sealed = true;
        if previous.is_none() {
            self.change_view(|view| {
                let memtable = Arc::clone(&view.active.memtable);
                view.active = Arc::new(LoggedMemtable { memtable, first_log: number });
            });
        }
        if !log.is_announced {
            let log_number = Some(self.view().oldest_log());
            self.apply_edit(VersionEdit { log_number, ..VersionEdit::default() }, |_| {})?;
            log.is_announced = true;
        }
        log.is_sealed = false;
        Ok(())
    }
}

/// Puts the entries of an encoded batch into a memtable. `None` where the bytes are not a batch.
pub(crate) fn apply(memtable: &Memtable, encoded: &[u8], first_seqno: SeqNo) -> Option<u64> {
    let mut entries = 0;
    let mut writer = memtable.writer();
    for entry in decode(encoded, first_seqno) {
        let entry = entry?;
        match entry.kind {
            Kind::RangeTombstone => writer.insert_range_tombstone(entry.key, entry.value, entry.seqno),
            kind => writer.insert(entry.key, entry.seqno, kind, entry.expires_at, entry.value),
        }
        entries += 1;
    }
    Some(entries)
}
