//! What all transactions of one database share: the schema through time, how many documents each store holds, and
//! what was written lately.
//!
//! The ledger is changed by commit checks, which the engine runs one at a time in commit order; so it may be ahead of
//! what is visible. A batch that was checked and then not written (the disk was full) leaves its seqnos to the next
//! one: everything at or above the seqno of a check is taken back before the check.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::conflict::CommittedWrites;
use super::feed::Feed;
use super::purger::Purger;
use super::rows::{META_KEY, ROWS_VERSION_EXPIRY, ROWS_VERSION_FIRST, StoreState, encode_meta, state_key};
use super::schema::{Schema, StoreDef};
use crate::engine::{Engine, Snapshot, WriteBatch};
use crate::error::Result;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One open document database: the engine and what goes with it.
pub(crate) struct Database {
    pub(crate) engine: Engine,
    /// Shared with the checks of commits that are under way.
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Changes with the schema. Shared with the ledger.
    pub(super) schema_epoch: Arc<AtomicU64>,
    /// Held by a schema change from its first read to its commit, so that there is one at a time. No transaction
    /// takes it. It holds the next id for a store or index.
    pub(crate) changing_schema: Mutex<u64>,
    pub(super) purger: Purger,
    /// An upgrade is under way: nobody else changes the schema. Set and looked at under `changing_schema`.
    pub(super) is_upgrading: AtomicBool,
    /// Where those who watch get the changes from. Shared with the checks of commits that are under way.
    pub(super) feed: Arc<Feed>,
}

/// See the module.
pub(crate) struct Ledger {
    /// Schemas, each with the seqno from which on it holds, in order. Never empty.
    schemas: VecDeque<(u64, Arc<Schema>)>,
    /// How often they have changed.
    pub(super) schema_epoch: Arc<AtomicU64>,
    /// The last written state of each store, by id.
    states: HashMap<u64, StoreState>,
    /// States as they were before commits that are not visible yet, in commit order.
    replaced: VecDeque<(u64, u64, StoreState)>,
    pub(crate) writes: CommittedWrites,
    /// No id from this one on was given to a store or index; ids below it may not have been, either.
    next_id: u64,
    /// The commit from which on the rows are of [`ROWS_VERSION_EXPIRY`]; 0 where they were when the database was opened.
    expiry_since: Option<u64>,
}

/// How a transaction changes the number of documents in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CountChange {
    /// The store was cleared; `added` counts from there.
    pub(crate) cleared: bool,
    pub(crate) added: i64,
    /// Documents came or went, be it as many as others.
    pub(crate) moves: bool,
}

impl CountChange {
    /// The number of documents where there were `count`.
    pub(crate) fn apply(self, count: u64) -> u64 {
        let base = if self.cleared { 0 } else { count };
        base.saturating_add_signed(self.added)
    }
}

impl Ledger {
    /// A ledger of what stands in the rows, whose meta row holds `version` and `next_id`.
    pub(crate) fn new(schema: Schema, states: HashMap<u64, StoreState>, version: u64, next_id: u64) -> Self {
        let schemas = VecDeque::from([(0, Arc::new(schema))]);
        let expiry_since = (version >= ROWS_VERSION_EXPIRY).then_some(0);
        let (replaced, writes) = (VecDeque::new(), CommittedWrites::default());
        Self { schemas, schema_epoch: Arc::default(), states, replaced, writes, next_id, expiry_since }
    }

    /// The meta row where ids up to `next_id` are given by a commit to come.
    pub(crate) fn meta_row(&mut self, next_id: u64) -> Vec<u8> {
        self.next_id = self.next_id.max(next_id);
        let version = if self.has_expiry() { ROWS_VERSION_EXPIRY } else { ROWS_VERSION_FIRST };
        encode_meta(version, self.next_id)
    }

    /// Whether anything in the database has ever been given an expiry.
    pub(crate) fn has_expiry(&self) -> bool {
        self.expiry_since.is_some()
    }

    /// The commit at `seqno` brings a row that expires: if it is the first, the version of the rows goes up with it, so
    /// that no build opens the database that knows of no expiries.
    pub(crate) fn note_expiry(&mut self, seqno: u64, batch: &mut WriteBatch) -> Result<()> {
        if self.expiry_since.is_none() {
            self.expiry_since = Some(seqno);
            batch.put(META_KEY, &self.meta_row(0))?;
        }
        Ok(())
    }

    /// The schema that a snapshot at `seqno` shows.
    pub(crate) fn schema_at(&self, seqno: u64) -> &Arc<Schema> {
        let next = self.schemas.partition_point(|(since, _)| *since <= seqno);
        // Schemas are pruned only below what is visible, so there is always one before `next`.
        &self.schemas[next.saturating_sub(1)].1
    }

    /// The schema that the next commit is to follow.
    pub(crate) fn schema_next(&self) -> &Arc<Schema> {
        &self.schemas[self.schemas.len() - 1].1
    }

    /// Takes back what commits at or above `seqno` left here: they were not written.
    pub(crate) fn retract(&mut self, seqno: u64) {
        while self.replaced.back().is_some_and(|(at, ..)| *at >= seqno) {
            if let Some((_, store, state)) = self.replaced.pop_back() {
                self.states.insert(store, state);
            }
        }
        while self.schemas.len() > 1 && self.schemas.back().is_some_and(|(since, _)| *since >= seqno) {
            self.schemas.pop_back();
            self.schema_epoch.fetch_add(1, Ordering::Release);
        }
        self.expiry_since = self.expiry_since.filter(|since| *since < seqno);
        self.writes.retract(seqno);
    }

    /// Makes `schema` hold from `seqno` on. Snapshots are taken at `visible` or above.
    pub(crate) fn publish(&mut self, seqno: u64, schema: Arc<Schema>, visible: u64) {
        while self.schemas.get(1).is_some_and(|(since, _)| *since <= visible) {
            self.schemas.pop_front();
        }
        self.schemas.push_back((seqno, schema));
        self.schema_epoch.fetch_add(1, Ordering::Release);
    }

    /// Begins to count a store that the commit at hand creates.
    pub(crate) fn add_store(&mut self, store: u64, state: StoreState) {
        self.states.insert(store, state);
    }

    /// Stops counting a store that is gone.
    pub(crate) fn remove_store(&mut self, store: u64) {
        self.states.remove(&store);
    }

    /// Adds the store's state row to `batch` where the commit at `seqno` changes it.
    ///
    /// The generator may be ahead of what this commit used: the row then covers others' numbers too, which is what
    /// keeps them from being given again after a restart.
    pub(crate) fn update_state(
        &mut self,
        seqno: u64,
        store: &StoreDef,
        change: CountChange,
        batch: &mut WriteBatch,
    ) -> Result<()> {
        let before = self.states.get(&store.id).copied().unwrap_or_default();
        let after = StoreState { count: change.apply(before.count), generator: store.generator.next() };
        let row = state_key(store.id);
        // Who has counted at an earlier time has counted what has expired since, and what was put in its place as well would
        // be one too many: so that holds also where as many documents went as came.
        if change.moves || after.count != before.count {
            self.writes.record_row(seqno, Arc::from(&row[..]));
        }
        if after != before {
            batch.put(&row, &after.encode())?;
            self.states.insert(store.id, after);
            self.replaced.push_back((seqno, store.id, before));
        }
        Ok(())
    }

    /// Forgets how to take back what is visible.
    pub(crate) fn settle(&mut self, visible: u64) {
        while self.replaced.front().is_some_and(|(seqno, ..)| *seqno <= visible) {
            self.replaced.pop_front();
        }
    }

    /// The stores whose generator is ahead of its row.
    pub(crate) fn unwritten_generators(&self, visible: u64) -> Vec<Arc<StoreDef>> {
        let ahead = |store: &&Arc<StoreDef>| {
            self.states.get(&store.id).is_some_and(|state| state.generator < store.generator.next())
        };
        self.schema_at(visible).stores.values().filter(ahead).cloned().collect()
    }
}

impl Database {
    /// Opens the database in `engine`, with its thread in the background.
    pub(crate) fn start(engine: Engine) -> Result<Arc<Self>> {
        let database = Arc::new(Self::open(engine)?);
        if database.ledger.lock().has_expiry() {
            database.purger.start(&database);
        }
        Ok(database)
    }

    /// A snapshot and the schema that it shows; a writer is listed as active until [`Database::end`].
    ///
    /// All of it under one lock: otherwise what was written between the snapshot and its registration could be
    /// dropped from the list of writes before anybody had compared it.
    pub(crate) fn begin(&self, writes: bool) -> (Snapshot, Arc<Schema>) {
        let mut ledger = self.ledger.lock();
        let snapshot = self.engine.snapshot();
        let schema = Arc::clone(ledger.schema_at(snapshot.seqno()));
        if writes {
            ledger.writes.begin(snapshot.seqno());
        }
        (snapshot, schema)
    }

    /// A writer that read at `snapshot` has ended.
    pub(crate) fn end(&self, snapshot: u64) {
        let mut ledger = self.ledger.lock();
        let visible = self.engine.visible_seqno();
        ledger.writes.end(snapshot, visible);
        ledger.settle(visible);
    }

    /// The schema as of the last visible commit, and the epoch in which it is that, unless a commit that is not visible
    /// yet changes it.
    pub(crate) fn schema_and_epoch(&self) -> (Arc<Schema>, Option<u64>) {
        let ledger = self.ledger.lock();
        let schema = ledger.schema_at(self.engine.visible_seqno());
        let is_last = Arc::ptr_eq(schema, ledger.schema_next());
        (Arc::clone(schema), is_last.then(|| self.schema_epoch.load(Ordering::Acquire)))
    }

    /// The schema as of the last visible commit.
    pub(crate) fn schema(&self) -> Arc<Schema> {
        Arc::clone(self.ledger.lock().schema_at(self.engine.visible_seqno()))
    }
}
