//! One open handle of a JavaScript environment: its lane of ordered work, its transactions and its cursors.
//!
//! Three ways lead through here. Work that must keep the order in which it was issued goes through the lane, which one
//! worker at a time empties. Reads that no earlier write of the handle could change go straight to the pool, so they
//! never wait behind a sync. Long work on the whole database has a pool of its own, so that nothing waits behind it.
//!
//! Invariant: the lane is scheduled whenever it holds runs; runs are executed in the order they came.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::config::Config;
use crate::engine::{self, Engine, Snapshot};
use crate::error::{Code, Error, Result};
use crate::jsondb::{
    self, DocumentsReport, Isolation, JsonDb, Mode, Taken, Transaction, Watch, WatchOptions,
};
use crate::sync::{Mutex, MutexGuard};

use super::cursor::{Pages, SharedCursor};
use super::definitions;
use super::execute::{Snapshots, run_in_order, run_long_work, run_reads};
use super::long_work::LongWork;
use super::outbox::Outbox;
use super::packing::{self, Answer, Answers, Operation, PageSize};
use super::pool::Pool;
use super::transactions::{SharedTransaction, Transactions, with_transaction};
use super::{keyspace, watching, writes};

/// The runs that wait in a lane may hold so many bytes; a single larger one is taken when the lane is empty.
const LANE_BYTES_MAX: usize = 512 << 20;

/// A worker takes runs off the lane until it has so many bytes, so that their writes share commits.
const TURN_BYTES: usize = 1 << 20;

/// Larger runs of writes are left to a worker: so JavaScript is never held up for long.
const TRIED_BYTES_MAX: usize = 16 << 10;

/// The handle.
pub(crate) struct Database {
    outbox: Arc<Outbox>,
    pool: Arc<Pool>,
    long_work_pool: Arc<Pool>,
    long_work: LongWork,
    config: Config,
    state: Mutex<State>,
    lane: Mutex<Lane>,
    transactions: Transactions,
    cursors: Mutex<HashMap<u32, SharedCursor>>,
    watches: Mutex<HashMap<u32, Arc<Watch>>>,
    /// Those that JavaScript holds, by the numbers it gave them.
    snapshots: Mutex<HashMap<u32, Snapshot>>,
}

enum State {
    Unopened,
    Open(JsonDb),
    Failed(Error),
    Closed,
}

struct Lane {
    runs: VecDeque<Vec<u8>>,
    /// Of the runs that wait and of those being executed.
    bytes: usize,
    bytes_max: usize,
    scheduled: bool,
}

impl Lane {
    fn check_room(&self, run: &[u8]) -> Result<()> {
        if self.bytes > 0 && self.bytes + run.len() > self.bytes_max { Err(busy()) } else { Ok(()) }
    }

    /// Adds a run. Somebody has been found who will come for it.
    fn push(&mut self, run: &[u8]) {
        self.scheduled = true;
        self.bytes += run.len();
        self.runs.push_back(run.to_vec());
    }
}

impl Database {
    /// A handle that the operation `Open` will open.
    pub(crate) fn new(
        config: Config,
        outbox: Arc<Outbox>,
        pool: Arc<Pool>,
        long_work_pool: Arc<Pool>,
    ) -> Self {
        Self {
            outbox,
            pool,
            long_work_pool,
            long_work: LongWork::default(),
            config,
            state: Mutex::new(State::Unopened),
            lane: Mutex::new(Lane {
                runs: VecDeque::new(),
                bytes: 0,
                bytes_max: LANE_BYTES_MAX,
                scheduled: false,
            }),
            transactions: Transactions::default(),
            cursors: Mutex::default(),
            watches: Mutex::default(),
            snapshots: Mutex::default(),
        }
    }

    /// Queues a run behind everything that was submitted before it.
    ///
    /// # Errors
    ///
    /// `Busy` when too much waits already; `Internal` for a run that can't be read. Nothing of it is executed then.
    pub(crate) fn submit(self: &Arc<Self>, run: &[u8]) -> Result<()> {
        packing::check_run(run)?;
        let mut lane = self.lane.lock();
        lane.check_room(run)?;
        if !lane.scheduled {
            self.schedule()?;
        }
        lane.push(run);
        Ok(())
    }

    /// As [`Database::submit`], for a caller that will wait for what it submits: where no worker is at the lane, the
    /// calling thread does its work, which saves the way to another thread and back.
    ///
    /// # Errors
    ///
    /// As [`Database::submit`].
    pub(crate) fn submit_here(self: &Arc<Self>, run: &[u8]) -> Result<()> {
        packing::check_run(run)?;
        let is_ours = {
            let mut lane = self.lane.lock();
            lane.check_room(run)?;
            let is_ours = !lane.scheduled;
            lane.push(run);
            is_ours
        };
        if is_ours {
            self.empty_lane();
        }
        Ok(())
    }

    /// Does a small run of writes at once, in the calling thread, where nothing is in the lane and nothing has to be waited
    /// for: gives the packed answers. `None` where that is not so; then nothing has been done.
    pub(crate) fn try_run(&self, run: &[u8]) -> Option<Vec<u8>> {
        // Only the thread of the environment brings work for the lane, and that is here.
        if run.len() > TRIED_BYTES_MAX || self.lane.lock().scheduled {
            return None;
        }
        let operations = packing::read_run(run).ok()?;
        let is_group = match operations.as_slice() {
            [one] => writes::is_write_of_its_own(one),
            several => writes::group_len(several) == several.len(),
        };
        let mut answers = Answers::default();
        let is_done = if is_group {
            writes::try_commit(&self.json().ok()?, &operations, &mut answers)
        } else {
            keyspace::group_len(&operations) == operations.len()
                && keyspace::try_commit(&self.json().ok()?, &operations, &mut answers)
        };
        is_done.then(|| answers.take())
    }

    /// Hands a run of reads to any worker. What they see is fixed here, in the call.
    ///
    /// # Errors
    ///
    /// As [`Database::submit`], and when the database is not open.
    pub(crate) fn submit_reads(self: &Arc<Self>, run: &[u8]) -> Result<()> {
        let snapshots = Snapshots::take(self, &packing::read_run(run)?)?;
        let (database, run) = (Arc::clone(self), run.to_vec());
        let job = move || {
            if let Ok(operations) = packing::read_run(&run) {
                run_reads(&database, &operations, snapshots);
            }
        };
        self.pool.run(Box::new(job)).map_err(|_| busy())
    }

    /// Hands one operation to the threads for long work, or to that which waits for them already and asks for the same.
    ///
    /// # Errors
    ///
    /// `Busy` when too much waits already; `Internal` for a run that is not of one operation.
    pub(crate) fn submit_long_work(self: &Arc<Self>, run: &[u8]) -> Result<()> {
        let operations = packing::read_run(run)?;
        let [operation] = operations.as_slice() else {
            return Err(Error::new(Code::Internal, "long work came in a run with other operations"));
        };
        self.long_work.add(run, operation, || {
            let database = Arc::clone(self);
            let job = move || {
                if let Some(waiting) = database.long_work.take() {
                    run_long_work(&database, &waiting);
                }
            };
            self.long_work_pool.run(Box::new(job)).map_err(|_| busy())
        })
    }

    /// Whether the environment stays, so that somebody can be told of what is done.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn check_wanted(&self) -> Result<()> {
        if self.pool.is_stopped() {
            return Err(Error::new(Code::Closed, "the work was ended, because its thread of JavaScript has"));
        }
        Ok(())
    }

    fn schedule(self: &Arc<Self>) -> Result<()> {
        let database = Arc::clone(self);
        self.pool.run(Box::new(move || database.empty_lane())).map_err(|_| busy())
    }

    fn empty_lane(self: &Arc<Self>) {
        // When the pool stops, the environment goes: it must not wait for what nobody will be told of.
        while !self.pool.is_stopped()
            && let Some(runs) = self.take_turn()
        {
            let operations: Vec<Operation<'_>> =
                runs.iter().filter_map(|run| packing::read_run(run).ok()).flatten().collect();
            run_in_order(self, &operations);
            self.lane.lock().bytes -= runs.iter().map(Vec::len).sum::<usize>();
            // Others get their turn; where the queue is too full for that, this worker goes on.
            if self.pool.is_busy() && self.schedule().is_ok() {
                return;
            }
        }
    }

    /// The runs to execute next; with none left, the lane is no longer scheduled.
    fn take_turn(&self) -> Option<Vec<Vec<u8>>> {
        let mut lane = self.lane.lock();
        let mut runs = Vec::new();
        let mut bytes = 0;
        while bytes < TURN_BYTES {
            let Some(run) = lane.runs.pop_front() else { break };
            bytes += run.len();
            runs.push(run);
        }
        lane.scheduled = !runs.is_empty();
        lane.scheduled.then_some(runs)
    }

    /// Sends packed answers to JavaScript.
    pub(crate) fn send(&self, answers: Vec<u8>) {
        self.outbox.publish(answers);
    }

    /// Opens the database, the first operation of every handle, and creates the store that it is opened for.
    pub(crate) fn open(&self, definition: Option<&str>) -> Result<()> {
        let mut state = self.state.lock();
        if !matches!(*state, State::Unopened) {
            return Ok(());
        }
        // Not under the lock: opening may recover a long log, and a call from JavaScript must not wait for that.
        let opened = MutexGuard::unlocked(&mut state, || self.open_with(definition));
        match opened {
            Ok(json) => {
                *state = State::Open(json);
                Ok(())
            }
            Err(error) => {
                *state = State::Failed(error.clone());
                Err(error)
            }
        }
    }

    fn open_with(&self, definition: Option<&str>) -> Result<JsonDb> {
        let json = JsonDb::open(self.config.clone())?;
        if let Some(definition) = definition
            && let Err(error) = provide(&json, definition)
        {
            json.close()?;
            return Err(error);
        }
        Ok(json)
    }

    /// The open database.
    pub(crate) fn json(&self) -> Result<JsonDb> {
        match &*self.state.lock() {
            State::Open(json) => Ok(json.clone()),
            State::Failed(error) => {
                let message = format!("the database could not be opened: {}", error.message());
                Err(error.wrap(error.code(), message))
            }
            State::Unopened | State::Closed => Err(Error::new(Code::Closed, "the database is not open")),
        }
    }

    /// Runs `read` with the engine of the open database. Whoever closes it waits meanwhile, so it must be short.
    pub(crate) fn with_engine<R>(&self, read: impl FnOnce(&Engine) -> Result<R>) -> Result<R> {
        if let State::Open(json) = &*self.state.lock() {
            return read(json.engine());
        }
        read(self.json()?.engine())
    }

    /// Keeps a snapshot under a number, unless there is one by now.
    pub(crate) fn keep_snapshot(&self, number: u32, take: impl FnOnce() -> Snapshot) {
        self.snapshots.lock().entry(number).or_insert_with(take);
    }

    /// The snapshot with this number.
    pub(crate) fn snapshot(&self, number: u32) -> Result<Snapshot> {
        let closed = || Error::new(Code::Closed, "the snapshot is closed, or its database has been");
        self.snapshots.lock().get(&number).cloned().ok_or_else(closed)
    }

    /// Lets go of a snapshot, if it is there.
    pub(crate) fn forget_snapshot(&self, number: u32) {
        let snapshot = self.snapshots.lock().remove(&number);
        drop(snapshot);
    }

    /// Aborts what is open on the handle, and closes it.
    pub(crate) fn close(&self) -> Result<()> {
        self.cursors.lock().clear();
        self.snapshots.lock().clear();
        self.transactions.abort_all();
        // Told that they have ended by the closing of the handle; those that are taken from then on are no more.
        let watches = std::mem::take(&mut *self.watches.lock());
        let state = std::mem::replace(&mut *self.state.lock(), State::Closed);
        let closed = match state {
            State::Open(json) => json.close(),
            _ => Ok(()),
        };
        drop(watches);
        closed
    }

    /// Removes the files of the database, which this handle has not open.
    pub(crate) fn destroy(&self) -> Result<()> {
        self.close()?;
        engine::destroy_while(&self.config, &|| self.check_wanted())
    }

    /// Makes one that can be opened of the files of a damaged database, which this handle has not open.
    pub(crate) fn repair(&self) -> Result<DocumentsReport> {
        self.close()?;
        jsondb::repair_while(&self.config, &|| self.check_wanted())
    }

    /// Begins a transaction under a number.
    pub(crate) fn begin(&self, id: u32, scope: &[&str], mode: Mode, isolation: Isolation) -> Result<()> {
        let transaction = self.json()?.begin_with(scope, mode, isolation)?;
        self.transactions.insert(id, transaction);
        Ok(())
    }

    /// Begins an upgrade of the schema under a number, and gives the version before; `None` where there is nothing to
    /// upgrade.
    pub(crate) fn begin_upgrade(&self, id: u32, version: u64) -> Result<Option<u64>> {
        let json = self.json()?;
        let Some(transaction) = json.begin_upgrade(version)? else { return Ok(None) };
        let before = json.version()?;
        self.transactions.insert(id, transaction);
        Ok(Some(before))
    }

    /// The transaction with this number.
    pub(crate) fn transaction(&self, id: u32) -> Result<SharedTransaction> {
        self.transactions.get(id)
    }

    /// Reads in the transaction with this number.
    pub(crate) fn in_transaction<T>(
        &self,
        id: u32,
        work: impl FnOnce(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        with_transaction(&self.transactions.get(id)?, work)
    }

    /// Writes in a transaction.
    pub(crate) fn write(&self, operation: &Operation<'_>) -> Result<Answer> {
        // A write of its own gets here only when the database is not open: it is told that.
        if operation.transaction == 0 {
            self.json()?;
        }
        self.transactions.write(operation)
    }

    /// As [`Database::write`], single writes of one transaction.
    pub(crate) fn write_all(&self, operations: &[Operation<'_>]) -> Vec<Result<Answer>> {
        self.transactions.write_all(operations)
    }

    /// Takes out the transaction with this number, to be committed, unless a write that the caller relied on has
    /// failed.
    pub(crate) fn take_transaction(&self, id: u32, relied_on: &[u32]) -> Result<Transaction> {
        self.transactions.end(id, relied_on)
    }

    /// Aborts the transaction with this number, if there is one.
    pub(crate) fn abort(&self, id: u32) {
        if let Ok(transaction) = self.transactions.end(id, &[]) {
            transaction.abort();
        }
    }

    /// Reads the first page of a cursor, and keeps the cursor when there is more.
    pub(crate) fn read_new_cursor(
        &self,
        id: u32,
        mut cursor: Box<dyn Pages>,
        size: PageSize,
    ) -> Result<Answer> {
        let (page, more) = cursor.next_page(size)?;
        if more {
            self.cursors.lock().insert(id, Arc::new(Mutex::new(cursor)));
        }
        Ok(page)
    }

    /// Reads the next page of a cursor. One that failed or came to its end is forgotten.
    pub(crate) fn read_cursor(&self, id: u32, size: PageSize) -> Result<Answer> {
        let cursor = self.cursors.lock().get(&id).cloned().ok_or_else(|| {
            Error::new(Code::Closed, "the cursor is closed: its database or transaction has ended")
        })?;
        let mut cursor = cursor.lock();
        let page = cursor.next_page(size);
        if page.as_ref().map_or(true, |(_, more)| !more) {
            self.forget_cursor(id);
        }
        Ok(page?.0)
    }

    /// Lets go of a cursor and its snapshot.
    pub(crate) fn forget_cursor(&self, id: u32) {
        self.cursors.lock().remove(&id);
    }

    /// Begins to watch, under a number.
    pub(crate) fn watch(&self, id: u32, options: WatchOptions) -> Result<()> {
        let watch = self.json()?.watch(options)?;
        self.watches.lock().insert(id, Arc::new(watch));
        Ok(())
    }

    /// Takes changes that wait. Where none do, a notice is sent when some have come or the watch has ended.
    pub(crate) fn take_changes(&self, id: u32, size: PageSize) -> Result<Taken> {
        let watch = self.watches.lock().get(&id).cloned().ok_or_else(watching::no_watch)?;
        let outbox = Arc::clone(&self.outbox);
        let wake = Box::new(move || outbox.publish(watching::notice(id)));
        let taken = watch.subscriber().take(size.rows as usize, size.bytes as usize, wake);
        if taken.as_ref().map_or(true, |taken| taken.has_ended) {
            self.forget_watch(id);
        }
        taken
    }

    /// Ends the watch with this number, if there is one.
    pub(crate) fn forget_watch(&self, id: u32) {
        let watch = self.watches.lock().remove(&id);
        drop(watch);
    }
}

/// Creates the store that a database is opened for, or declares it.
fn provide(json: &JsonDb, definition: &str) -> Result<()> {
    if let Some(root) = definitions::declared(definition)? {
        return json.declare_stores(&root);
    }
    let (name, options, default_ttl_ms) = definitions::store(definition)?;
    json.create_object_store_with_ttl(&name, options, default_ttl_ms)
}

fn busy() -> Error {
    let message = "too much work is waiting already: await some of it, then try again";
    Error::new(Code::Busy, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::outbox::Taken;
    use super::*;

    /// An operation that asks for the schema.
    const SCHEMA: [u8; 9] = [17, 1, 0, 0, 0, 0, 0, 0, 0];

    fn database() -> Arc<Database> {
        let (pool, long_work_pool) = (Arc::new(Pool::new()), Arc::new(Pool::new()));
        Arc::new(Database::new(Config::in_memory(), Arc::default(), pool, long_work_pool))
    }

    #[test]
    fn a_run_that_can_not_be_read_is_refused_whole() {
        let database = database();

        assert_eq!(database.submit(&SCHEMA[..8]).unwrap_err().code(), Code::Internal);
        assert_eq!(database.lane.lock().bytes, 0);
    }

    #[test]
    fn a_lane_takes_no_more_than_its_limit_but_a_run_of_any_size_when_it_is_empty() {
        let database = database();
        database.lane.lock().bytes_max = SCHEMA.len() / 2;
        // As if a worker were at it, so that nothing is taken off the lane.
        database.lane.lock().scheduled = true;

        database.submit(&SCHEMA).unwrap();

        assert_eq!(database.submit(&SCHEMA).unwrap_err().code(), Code::Busy);
        assert_eq!(database.lane.lock().runs.len(), 1);
    }

    #[test]
    fn who_waits_does_the_work_of_a_lane_that_no_worker_is_at() {
        let database = database();
        database.outbox.connect(Arc::new(|| {}));

        database.submit_here(&SCHEMA).unwrap();

        assert!(database.outbox.wait_for(1, Duration::ZERO).is_some(), "it was not done in the call");
        assert!(!database.lane.lock().scheduled);
        database.lane.lock().scheduled = true;
        database.submit_here(&SCHEMA).unwrap();
        assert_eq!(database.lane.lock().runs.len(), 1, "the worker that is there does it");
    }

    #[test]
    fn work_for_a_pool_that_has_stopped_is_refused_and_does_not_wait_for_ever() {
        let database = database();
        database.pool.stop();

        assert_eq!(database.submit(&SCHEMA).unwrap_err().code(), Code::Busy);
        assert!(database.lane.lock().runs.is_empty());
    }

    /// As four verifications of a large database would.
    #[test]
    fn reads_are_answered_while_long_work_has_all_its_threads() {
        let database = database();
        database.outbox.connect(Arc::new(|| {}));
        database.open(None).unwrap();
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        for _ in 0..4 {
            let wait = wait.clone();
            assert!(database.long_work_pool.run(Box::new(move || _ = wait.recv())).is_ok());
        }
        let (verification, statistics) = ([34, 1, 0, 0, 0, 0, 0, 0, 0], [35, 2, 0, 0, 0, 0, 0, 0, 0]);
        let next_answer = || {
            let mut out = [0; 64 << 10];
            loop {
                if let Taken::Bytes(_) = database.outbox.take(&mut out) {
                    return out[0];
                }
                std::thread::yield_now();
            }
        };

        database.submit_long_work(&verification).unwrap();
        database.submit_reads(&statistics).unwrap();

        assert_eq!(next_answer(), 2);
        drop(release);
        assert_eq!(next_answer(), 1);
    }

    #[test]
    fn long_work_ends_when_its_environment_goes() {
        let database = database();
        database.check_wanted().unwrap();
        let (started, wait) = crossbeam_channel::bounded::<()>(1);
        let working = Arc::clone(&database);
        let job = move || {
            started.send(()).unwrap();
            while working.check_wanted().is_ok() {
                std::thread::yield_now();
            }
        };
        assert!(database.long_work_pool.run(Box::new(job)).is_ok());
        wait.recv().unwrap();

        database.pool.take_no_more();
        database.long_work_pool.stop();

        assert_eq!(database.check_wanted().unwrap_err().code(), Code::Closed);
    }

    #[test]
    fn a_database_that_could_not_be_opened_says_why_to_every_operation() {
        let config = Config { create_if_missing: false, ..Config::new("/nowhere/at/all") };
        let (pool, long_work_pool) = (Arc::new(Pool::new()), Arc::new(Pool::new()));
        let database = Database::new(config, Arc::default(), pool, long_work_pool);

        let error = database.open(None).unwrap_err();

        let told = database.json().unwrap_err();
        assert_eq!(told.code(), error.code());
        assert_eq!(told.cause().unwrap().message(), error.message());
    }
}
