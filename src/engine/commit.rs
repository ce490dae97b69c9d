//! Group commit: many writers, one write to the log, one sync, and no waiting for the sync of others before the own
//! record is written.
//!
//! A leader takes what waits as one group. Holding the log, it runs each batch's check and writes the group as one
//! record. Then it takes the memtable, lets the log go to the next leader, and puts the group's entries in, where nobody
//! sees them yet. The group goes on through the pipeline, which makes it visible in its turn; a sync runs beside the
//! writing of the groups after it.
//!
//! Invariants: a seqno becomes visible only after its record is as durable as its writer asked for. The memtable is taken
//! with the log in hand and kept until the group has entered the pipeline, so that groups go into both in the order of
//! the log.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::batch::{WriteBatch, decode};
use super::log::LogState;
use super::pipeline::{self, Entered};
use super::queue::{Joined, Request, Turn, Waiter};
use super::shared::Shared;
use crate::config::SyncMode;
use crate::error::{Code, Error, Result};
use crate::key::{EntryRef, Kind, SEQNO_MAX, SeqNo, hash_key};
use crate::memtable::{Memtable, MemtableWriter};
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::wal::LogWriter;

/// With durability `none`, the log is written once so many bytes wait.
const PENDING_BYTES_MAX: usize = 1 << 20;

/// A batch of this size that is written at once is not copied first: it costs the log one write more, and less than the
/// copy.
const DIRECT_BYTES_MIN: usize = 32 << 10;

/// So many entries of a batch are decoded before they go into the memtable.
const APPLY_WINDOW: usize = 32;

/// What so many inserts will touch is fetched while their group is written to the log.
const PREFETCHED_MAX: u64 = 16;

/// What stands in the window before an entry does.
const NO_ENTRY: EntryRef<'_> = EntryRef { key: &[], seqno: 0, kind: Kind::Value, expires_at: 0, value: &[] };

/// Runs in commit order, just before the batch is written. It may add to the batch, and refuse it.
///
/// The batches before it may not be visible yet; the error of a check is given when they are. A check that panics refuses
/// its batch with `Internal`.
pub type CommitCheck = Box<dyn FnOnce(&mut WriteBatch, u64) -> Result<()> + Send>;

/// How a batch is to be committed.
#[derive(Default)]
pub struct CommitOptions {
    /// When the batch is acknowledged; the database's `wal_sync_mode` where not given.
    pub sync: Option<SyncMode>,
    /// See [`CommitCheck`]; its second argument is the seqno that the batch's first entry will have.
    pub check: Option<CommitCheck>,
}

/// The group that a leader has taken. However the leader ends, by a panic too, nobody in it is left waiting.
pub(super) struct Lead<'a> {
    shared: &'a Shared,
    members: Vec<Arc<Waiter>>,
    has_handed_over: bool,
}

impl<'a> Lead<'a> {
    /// For the caller, who has become the leader.
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, members: Vec::new(), has_handed_over: false }
    }

    /// Lets the next leader begin.
    fn hand_over(&mut self) {
        if !std::mem::replace(&mut self.has_handed_over, true) {
            self.shared.commits.hand_over();
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        for member in self.members.drain(..) {
            let message = "the commit ended without a result, which is a defect of FlowDB";
            member.tell(Turn::Done(Err(Error::new(Code::Internal, message))));
        }
        self.hand_over();
    }
}

/// A group on its way into the memtable. One that ends there by a panic is half visible to whoever comes after it, so
/// nobody may.
struct Inserting<'a> {
    shared: &'a Shared,
    has_ended: bool,
}

impl Drop for Inserting<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let message = "a commit ended before all of it was in memory, which is a defect of FlowDB";
            self.shared.fail_commits(Error::new(Code::Internal, message));
        }
    }
}

/// What came of the checks of a group.
struct Admitted {
    /// The batches that passed, in order; their entries are numbered without a gap from `first_seqno` on.
    batches: Vec<WriteBatch>,
    /// For the leader's own request, where it leads alone, and for each member: the seqno of its last entry, or why
    /// it was refused.
    own: Option<Result<SeqNo>>,
    results: Vec<Result<SeqNo>>,
    first_seqno: SeqNo,
    next_seqno: SeqNo,
    /// Whether a member asked for a sync, and whether none asked for the log file either.
    needs_sync: bool,
    is_lazy: bool,
}

impl Admitted {
    /// How many entries the batches have together.
    fn entries(&self) -> u64 {
        self.next_seqno - self.first_seqno
    }

    /// The entries of all batches, in order.
    fn decoded(&self) -> impl Iterator<Item = Option<EntryRef<'_>>> {
        let mut first_seqno = self.first_seqno;
        self.batches.iter().flat_map(move |batch| {
            let entries = decode(batch.encoded(), first_seqno);
            first_seqno += batch.len() as u64;
            entries
        })
    }

    /// Runs the check of a request and numbers the batch if it passes.
    fn admit(&mut self, request: Request) -> Result<SeqNo> {
        let Request { mut batch, check, sync } = request;
        if let Some(check) = check {
            run_check(check, &mut batch, self.next_seqno)?;
        }
        if batch.is_empty() {
            return Ok(self.next_seqno - 1);
        }
        if self.next_seqno + batch.len() as u64 > SEQNO_MAX {
            return Err(Error::new(Code::Unsupported, "the database has used all 2^56 sequence numbers"));
        }
        self.next_seqno += batch.len() as u64;
        self.needs_sync |= sync == SyncMode::Always;
        self.is_lazy &= sync == SyncMode::Never;
        self.batches.push(batch);
        Ok(self.next_seqno - 1)
    }
}

/// Runs a check. One that panics refuses its own batch: a panic on its way up would take the leader with it, who leads
/// for others and may have more of its own in the queue.
fn run_check(check: CommitCheck, batch: &mut WriteBatch, first_seqno: SeqNo) -> Result<()> {
    let checked = catch_unwind(AssertUnwindSafe(|| check(batch, first_seqno)));
    checked.unwrap_or_else(|_| {
        let message =
            "the check of a batch panicked, so the batch was refused: that is a defect of the check";
        Err(Error::new(Code::Internal, message))
    })
}

impl Shared {
    /// Makes `batch` visible, as durable as `options` say, and returns the seqno of its last entry.
    pub(crate) fn commit(&self, batch: WriteBatch, options: CommitOptions) -> Result<SeqNo> {
        self.check_writable()?;
        if batch.is_empty() && options.check.is_none() {
            return Ok(self.snapshots.visible());
        }
        match self.commits.join(self.request(batch, options)) {
            Joined::Leads(request) => self.lead(Some(request)).unwrap_or_else(|| {
                Err(Error::new(Code::Internal, "a commit has no result, which is a defect of FlowDB"))
            }),
            Joined::Waits(waiter) => self.result_of(&waiter),
        }
    }

    /// Commits several batches in their order, each for itself, with as few writes and syncs as one group needs.
    pub(crate) fn commit_all(&self, requests: Vec<(WriteBatch, CommitOptions)>) -> Vec<Result<SeqNo>> {
        if let Err(error) = self.check_writable() {
            return requests.iter().map(|_| Err(error.clone())).collect();
        }
        let waiters: Vec<Arc<Waiter>> = requests
            .into_iter()
            .map(|(batch, options)| Arc::new(Waiter::new(Some(self.request(batch, options)))))
            .collect();
        if self.commits.join_all(&waiters) {
            self.lead(None);
        }
        waiters.iter().map(|waiter| self.result_of(waiter)).collect()
    }

    pub(super) fn request(&self, batch: WriteBatch, options: CommitOptions) -> Request {
        let sync = options.sync.unwrap_or(self.config.wal_sync_mode);
        Request { batch, check: options.check, sync }
    }

    /// Waits until `waiter` has its result, leading and syncing where its turn has come.
    fn result_of(&self, waiter: &Waiter) -> Result<SeqNo> {
        loop {
            match waiter.wait() {
                Turn::Done(result) => return result,
                Turn::Lead => drop(self.lead(None)),
                // Its error is told to everyone in the group, the caller included.
                Turn::Sync => drop(self.take_sync_turn()),
            }
        }
    }

    /// Commits a group: `own`, if there is one, and what waits. Returns the result of `own`.
    fn lead(&self, own: Option<Request>) -> Option<Result<SeqNo>> {
        let mut lead = Lead::new(self);
        let is_alone = own.is_some();
        let written = self.write_group(&mut lead, own);
        self.end_lead(lead, written, is_alone)
    }

    /// What follows when the group of a leader is written, or could not be.
    pub(super) fn end_lead(
        &self,
        mut lead: Lead<'_>,
        written: Result<(Entered, Option<Result<SeqNo>>)>,
        is_alone: bool,
    ) -> Option<Result<SeqNo>> {
        lead.hand_over();
        let (entered, own) = match written {
            Ok(entered) => entered,
            Err(error) => {
                let members = lead.members.drain(..);
                members.for_each(|member| member.tell(Turn::Done(Err(error.clone()))));
                return is_alone.then_some(Err(error));
            }
        };
        match entered {
            Entered::Visible(group) => {
                group.finish(None);
                own
            }
            Entered::Syncs => {
                let synced = self.take_sync_turn();
                own.map(|own| own.and_then(|seqno| synced.map(|()| seqno)))
            }
            Entered::Waits(Some(waiter)) => Some(self.result_of(&waiter)),
            Entered::Waits(None) => own,
        }
    }

    /// What is done in the order of the log: takes the group, checks it, writes it to the log and into the memtable.
    /// The log is handed over in between.
    fn write_group(
        &self,
        lead: &mut Lead<'_>,
        own: Option<Request>,
    ) -> Result<(Entered, Option<Result<SeqNo>>)> {
        if let Some(own) = &own {
            self.expect(&own.batch);
        }
        let mut log = self.log.lock();
        lead.members = self.commits.take(own.as_ref().map_or(0, |own| own.batch.size_bytes()));
        self.prepare(&mut log)?;
        self.write_taken(lead, log, own, None)
    }

    /// As [`Shared::write_group`], from where the group is taken and there is room for it. Takes the memtable itself where
    /// the caller has not.
    pub(super) fn write_taken(
        &self,
        lead: &mut Lead<'_>,
        mut log: MutexGuard<'_, LogState>,
        own: Option<Request>,
        memtable: Option<MemtableWriter<'_>>,
    ) -> Result<(Entered, Option<Result<SeqNo>>)> {
        let admitted = self.admit(lead, own, log.last_seqno + 1);
        if !admitted.batches.is_empty() {
            self.prefetch(&admitted);
            self.log_group(&mut log, &admitted)?;
            log.applied_seqno = log.last_seqno;
            log.last_group_bytes = admitted.batches.iter().map(|batch| batch.encoded().len()).sum();
        }
        let view = self.view.load();
        let mut memtable = memtable.unwrap_or_else(|| view.active.memtable.writer());
        // Dropped before the memtable is let go.
        let mut inserting = Inserting { shared: self, has_ended: false };
        let (last_seqno, written_seqno) = (log.last_seqno, log.written_seqno);
        let has_log = log.writer.is_some();
        drop(log);
        lead.hand_over();
        insert_group(&mut memtable, &admitted);
        let Admitted { own, results, needs_sync, .. } = admitted;
        let group = pipeline::Group {
            last_seqno,
            needs_sync: needs_sync && has_log,
            members: std::mem::take(&mut lead.members).into_iter().zip(results).collect(),
        };
        let entered = self.enter(group, own.clone(), written_seqno);
        inserting.has_ended = true;
        Ok((entered?, own))
    }

    /// Waits until every group that was written is in the memtable and in the pipeline. The caller holds the log, so that
    /// no other comes.
    pub(crate) fn await_inserts(&self) {
        drop(self.view.load().active.memtable.writer());
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
    fn admit(&self, lead: &Lead<'_>, own: Option<Request>, first_seqno: SeqNo) -> Admitted {
        let mut admitted = Admitted {
            batches: Vec::with_capacity(lead.members.len() + usize::from(own.is_some())),
            own: None,
            results: Vec::with_capacity(lead.members.len()),
            first_seqno,
            next_seqno: first_seqno,
            needs_sync: false,
            is_lazy: true,
        };
        admitted.own = own.map(|request| admitted.admit(request));
        for member in &lead.members {
            let request = member.take_request().expect("a writer is taken from the queue once");
            let result = admitted.admit(request);
            admitted.results.push(result);
        }
        admitted
    }

    /// Writes the group to the log as one record.
    fn log_group(&self, log: &mut LogState, group: &Admitted) -> Result<()> {
        let durable = self.pipeline.durable();
        let mut direct: &[u8] = &[];
        if let Some(writer) = &mut log.writer {
            let (first, entries) = (group.first_seqno, group.entries());
            let bytes = group.batches.iter().map(|batch| batch.encoded().len() as u64).sum();
            self.counters.wal_bytes.fetch_add(bytes, Ordering::Relaxed);
            match &group.batches[..] {
                [alone] if !group.is_lazy && alone.encoded().len() >= DIRECT_BYTES_MIN => {
                    direct = alone.encoded();
                    writer.buffer_head(first, durable, entries, direct)?;
                }
                [alone] => writer.buffer_parts(first, durable, entries, &[alone.encoded()])?,
                several => {
                    let bodies: Vec<&[u8]> = several.iter().map(WriteBatch::encoded).collect();
                    writer.buffer_parts(first, durable, entries, &bodies)?;
                }
            }
        }
        log.last_seqno = group.next_seqno - 1;
        let pending = log.writer.as_ref().map_or(0, LogWriter::pending_bytes);
        if !group.is_lazy || pending > PENDING_BYTES_MAX {
            self.write_log_with(log, group.needs_sync, direct)?;
        }
        Ok(())
    }

    /// Begins to fetch what a batch of one entry will need first, for which it would have to wait later.
    fn expect(&self, batch: &WriteBatch) {
        if batch.len() == 1
            && let Some(Some(entry)) = decode(batch.encoded(), 0).next()
        {
            self.view.load().active.memtable.prefetch_slot(hash_key(entry.key));
        }
    }

    /// Lets the processor fetch what the inserts of a small group will touch, while the group is written to the log. A
    /// large one has enough inserts to fetch for some while it does others.
    fn prefetch(&self, group: &Admitted) {
        if group.entries() > PREFETCHED_MAX {
            return;
        }
        let view = self.view.load();
        let memtable = &view.active.memtable;
        if group.entries() > 1 {
            group.decoded().flatten().for_each(|entry| memtable.prefetch_slot(hash_key(entry.key)));
        }
        group.decoded().flatten().for_each(|entry| memtable.prefetch_insert(entry.key, hash_key(entry.key)));
    }
}

/// Puts the entries of a group into the memtable.
fn insert_group(memtable: &mut MemtableWriter<'_>, group: &Admitted) {
    const ENCODED_HERE: &str = "the batch was encoded by this process";
    if group.entries() == 1 {
        let entry = group.decoded().next().flatten().expect(ENCODED_HERE);
        memtable.insert_one(&entry);
    } else if group.entries() > 1 {
        insert(memtable, group.decoded()).expect(ENCODED_HERE);
    }
}

/// Puts the entries of an encoded batch into a memtable. `None` where the bytes are not a batch.
pub(crate) fn apply(memtable: &Memtable, encoded: &[u8], first_seqno: SeqNo) -> Option<u64> {
    insert(&mut memtable.writer(), decode(encoded, first_seqno))
}

fn insert<'a>(
    memtable: &mut MemtableWriter<'_>,
    mut entries: impl Iterator<Item = Option<EntryRef<'a>>>,
) -> Option<u64> {
    let mut window = [NO_ENTRY; APPLY_WINDOW];
    let mut inserted = 0;
    loop {
        let mut len = 0;
        for (place, entry) in window.iter_mut().zip(&mut entries) {
            *place = entry?;
            len += 1;
        }
        memtable.insert_all(&window[..len]);
        inserted += len as u64;
        if len < APPLY_WINDOW {
            return Some(inserted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;

    /// What a panic leaves behind in the memtable is half a group.
    #[test]
    fn a_group_that_ends_on_its_way_into_the_memtable_is_the_last_one() {
        let engine = Engine::open(Config::in_memory()).unwrap();
        let mut batch = WriteBatch::new();
        batch.put(b"a", b"1").unwrap();
        let visible = engine.commit(batch.clone(), CommitOptions::default()).unwrap();

        drop(Inserting { shared: engine.shared(), has_ended: true });
        assert!(engine.commit(batch.clone(), CommitOptions::default()).is_ok());
        drop(Inserting { shared: engine.shared(), has_ended: false });

        let error = engine.commit(batch, CommitOptions::default()).unwrap_err();
        assert_eq!(error.code(), Code::Poisoned);
        assert_eq!(engine.visible_seqno(), visible + 1);
        assert!(engine.get(b"a", None).unwrap().is_some(), "reads go on");
    }
}
