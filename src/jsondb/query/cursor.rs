//! Running a query: its rows page by page, over what the transaction sees.
//!
//! Stages give entries in batches; each entry is held against the conditions, with its document where a row of an index
//! doesn't tell enough. Where the plan sorts, all of them go through a sorter first, and what comes out of it is one more
//! batch. Memory is bounded by a batch, a page, and what the sorter may hold.

use std::collections::VecDeque;
use std::sync::Arc;

use super::access::{Access, LeftOut};
use super::condition::OrderKeys;
use super::explain::Explanation;
use super::planner::{Plan, PlanKind, plan};
use super::sorter::{SORT_BYTES_MAX, Sorter};
use super::walk::{Counts, Entry, Walk};
use super::{Query, QueryPage, Rest};
use crate::effort;
use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::jsondb::conflict::ReadSet;
use crate::jsondb::key::Key;
use crate::jsondb::overlay::Overlay;
use crate::jsondb::row_ref::RowRef;
use crate::jsondb::rows::{StoredDocument, damaged, document_key};
use crate::jsondb::schema::StoreDef;
use crate::jsondb::transaction::{Transaction, row_of};
use crate::jsondb::view::{Sight, View};
use crate::jsondb::{Document, Format, PageLimits, Row};

/// The first batch has so many rows where nobody says how many are wanted, or more are.
const BATCH_FIRST: usize = 64;
/// The rows of the largest batch.
const BATCH_MAX: usize = 256;
/// Where no order is wanted, so many rows of an index are read at once, so that their documents are read in key order.
const BATCH_UNORDERED: usize = 4_096;

/// A page ends, with whatever it has, after so many rows were read for it.
const PAGE_READS_MAX: u64 = 20_000;

/// About as many steps as it takes to read a row of an index and the document that it leads to, and what lies between.
const READ_STEPS: u64 = 5;

/// Where a query is. It is run in the transaction that it is given each time, which has to be the same.
pub struct QueryCursor {
    query: Query,
    run: Option<Run>,
    /// What the transaction had written when the query began; nothing before that.
    seen: Option<Overlay>,
    is_done: bool,
    /// A page failed, and nobody knows what it had given by then.
    has_failed: bool,
    counts: Counts,
    returned: u64,
}

/// What a stage's entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// They meet all conditions.
    Exact,
    /// They have to be held against those conditions that their access does not meet.
    Rest,
    /// They have to be held against the conditions.
    Candidates,
}

pub(super) struct Stage {
    pub(super) walk: Walk,
    pub(super) trust: Trust,
    /// The entries of a batch are put into the order of their keys.
    pub(super) by_key: bool,
}

pub(super) struct Run {
    pub(super) store: Arc<StoreDef>,
    pub(super) stages: VecDeque<Stage>,
    pub(super) pending: VecDeque<Entry>,
    pending_trust: Trust,
    /// What is left to ask of those of the first stage.
    pub(super) rest: Option<Rest>,
    batch_rows: usize,
    pub(super) sorter: Option<Sorter>,
    pub(super) offset_left: u64,
    /// `None` where there is no limit.
    pub(super) limit_left: Option<u64>,
    summary: Summary,
}

/// A row of a query, on its way to whoever takes it.
pub(super) enum Found<'a> {
    /// Where it lies.
    Lent(RowRef<'a>),
    Made(Row),
}

/// What the plan was.
struct Summary {
    kind: PlanKind,
    indexes: Vec<String>,
    direction: Direction,
    sorts: bool,
}

impl QueryCursor {
    pub(super) fn new(query: Query) -> Self {
        Self {
            query,
            run: None,
            seen: None,
            is_done: false,
            has_failed: false,
            counts: Counts::default(),
            returned: 0,
        }
    }

    /// The next rows of the query. A page ends at its limits, or when much was read for it: then it may be empty and
    /// have `more` set all the same.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope, `InvalidArgument` for another transaction than before and when
    /// sorting takes more than [`SORT_BYTES_MAX`], `Corruption`, `Io`.
    pub fn next_page(&mut self, transaction: &mut Transaction, limits: PageLimits) -> Result<QueryPage> {
        let mut rows = Vec::new();
        let more = self.fill(transaction, limits, |found| {
            rows.push(match found {
                Found::Lent(row) => row.to_row(),
                Found::Made(row) => row,
            });
        })?;
        Ok(QueryPage { rows, more })
    }

    /// As [`QueryCursor::next_page`], where rows are lent to `take`, one after the other, and whether there may be more is
    /// returned. What a row lies in is held meanwhile, so `take` should be short; it may have been given some rows when
    /// the call fails.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`].
    pub fn next_page_with(
        &mut self,
        transaction: &mut Transaction,
        limits: PageLimits,
        mut take: impl FnMut(RowRef<'_>),
    ) -> Result<bool> {
        self.fill(transaction, limits, |found| match found {
            Found::Lent(row) => take(row),
            Found::Made(row) => take((&row).into()),
        })
    }

    /// Gives the rows of a page to `take`, and says whether there may be more.
    fn fill(
        &mut self,
        transaction: &mut Transaction,
        limits: PageLimits,
        mut take: impl FnMut(Found<'_>),
    ) -> Result<bool> {
        if self.is_done {
            return Ok(false);
        }
        if self.has_failed {
            let message = "a query that has failed gives no more rows: begin it anew";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let (query, counts) = (&self.query, &mut self.counts);
        let store = transaction.store(&query.store)?;
        let View { base, overlay, reads } = &mut transaction.view;
        let overlay = self.seen.get_or_insert_with(|| overlay.seen());
        let mut sight = Sight { base, overlay, reads };
        let run = match &mut self.run {
            Some(run) if run.store.id != store.id => {
                let message = "a query goes on in another transaction than it began in";
                return Err(Error::new(Code::InvalidArgument, message));
            }
            Some(run) => run,
            none => none.insert(Run::begin(&mut sight, store, query, counts)?),
        };
        // Rather a page with little in it than an attempt for nothing: what has been read so far is kept.
        let reads_max = counts.reads() + PAGE_READS_MAX.min(effort::left() / READ_STEPS);
        let mut room = Room { rows: 0, bytes: 0, limits, reads_max };
        let mut taking = |room: &mut Room, found: Found<'_>| {
            room.rows += 1;
            room.bytes += match &found {
                Found::Lent(row) => row.size(),
                Found::Made(row) => RowRef::from(row).size(),
            };
            take(found);
        };
        self.has_failed = true;
        let more = loop {
            if room.is_full() {
                break true;
            }
            if run.is_stream() {
                run.stream(&mut sight, query, &mut room, counts, &mut taking)?;
                if !run.is_satisfied() && !room.may_read(counts) {
                    break true;
                }
                continue;
            }
            match run.step(&mut sight, query, limits.keys_only, counts)? {
                Step::Row(row) => taking(&mut room, Found::Made(row)),
                Step::Nothing if !room.may_read(counts) => break true,
                Step::Nothing => {}
                Step::End => {
                    self.is_done = true;
                    break false;
                }
            }
        };
        self.has_failed = false;
        self.returned += room.rows as u64;
        Ok(more)
    }

    /// What has been done so far.
    #[must_use]
    pub fn explanation(&self) -> Explanation {
        let summary = self.run.as_ref().map(|run| &run.summary);
        Explanation {
            plan: summary.map_or(PlanKind::Nothing, |summary| summary.kind),
            indexes: summary.map_or(Vec::new(), |summary| summary.indexes.clone()),
            reverse: summary.is_some_and(|summary| summary.direction == Direction::Reverse),
            sorted: summary.is_some_and(|summary| summary.sorts),
            index_rows_read: self.counts.index_rows,
            documents_read: self.counts.documents,
            rows_sampled: self.counts.sampled,
            rows_returned: self.returned,
        }
    }
}

/// What a page may still take.
pub(super) struct Room {
    rows: usize,
    bytes: usize,
    pub(super) limits: PageLimits,
    reads_max: u64,
}

impl Room {
    /// Whether the page has as much as was asked for.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.limits.rows || self.bytes >= self.limits.bytes
    }

    /// Whether more may be read for the page.
    pub(super) fn may_read(&self, counts: &Counts) -> bool {
        counts.reads() < self.reads_max
    }
}

enum Step {
    Row(Row),
    /// Something was done, and nothing came of it yet.
    Nothing,
    End,
}

impl Run {
    fn begin(
        sight: &mut Sight<'_>,
        store: Arc<StoreDef>,
        query: &Query,
        counts: &mut Counts,
    ) -> Result<Self> {
        let plan = plan(sight, &store, query, counts)?;
        let kept_max = query.limit.map(|limit| limit.saturating_add(query.offset));
        let summary = Summary {
            kind: plan.kind,
            indexes: plan.accesses.iter().filter_map(|access| access.target.index.clone()).collect(),
            direction: plan.direction,
            sorts: plan.sorts,
        };
        let mut run = Self {
            store,
            stages: VecDeque::new(),
            pending: VecDeque::new(),
            pending_trust: Trust::Candidates,
            rest: None,
            batch_rows: 0,
            sorter: plan.sorts.then(|| Sorter::new(kept_max, SORT_BYTES_MAX)),
            offset_left: query.offset,
            limit_left: query.limit,
            summary,
        };
        if plan.kind == PlanKind::Intersection {
            run.intersect(sight, &plan, query, counts)?;
        } else if let Some(access) = plan.accesses.first() {
            run.follow(access, &plan, query)?;
        }
        Ok(run)
    }

    /// Lays out the stages of an access: its rows, and then the documents that it leaves out.
    fn follow(&mut self, access: &Access, plan: &Plan, query: &Query) -> Result<()> {
        let by_key = query.order.is_empty() && access.target.index.is_some();
        let trust = match (access.is_exact(&query.tests), plan.sorts) {
            (true, _) => Trust::Exact,
            (false, true) => Trust::Candidates,
            (false, false) => {
                self.rest = Some(query.rest(access)?);
                Trust::Rest
            }
        };
        self.stages.push_back(Stage { walk: Walk::new(access, plan.direction), trust, by_key });
        let left_out = match &access.left_out {
            LeftOut::Listed(range) => Some(range),
            LeftOut::Nothing => None,
        };
        for range in left_out.into_iter().chain(&access.too_long) {
            self.stages.push_back(Stage {
                walk: Walk::list(range.clone()),
                trust: Trust::Candidates,
                by_key: false,
            });
        }
        let wanted = query.limit.map_or(BATCH_UNORDERED as u64, |limit| limit.saturating_add(query.offset));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        // Backwards, the last key of a batch is not known to be whole.
        let first = wanted.saturating_add(usize::from(plan.direction == Direction::Reverse));
        self.batch_rows = match (by_key, plan.sorts) {
            (true, _) => wanted.clamp(BATCH_FIRST, BATCH_UNORDERED),
            (false, true) => BATCH_MAX,
            (false, false) => first.clamp(1, BATCH_FIRST),
        };
        Ok(())
    }

    /// Reads the keys that two accesses give, and keeps those that both do.
    fn intersect(
        &mut self,
        sight: &mut Sight<'_>,
        plan: &Plan,
        query: &Query,
        counts: &mut Counts,
    ) -> Result<()> {
        let mut sets = Vec::new();
        for access in &plan.accesses {
            let mut walk = Walk::new(access, Direction::Forward);
            let mut keys: Vec<(Key, u64)> = Vec::new();
            while !walk.is_done() {
                let batch = walk.next_batch(sight, BATCH_UNORDERED, counts)?;
                keys.extend(batch.into_iter().map(|entry| (entry.key, entry.expires_at)));
            }
            keys.sort_unstable();
            sets.push(keys);
        }
        let has =
            |set: &Vec<(Key, u64)>, key: &Key| set.binary_search_by(|(other, _)| other.cmp(key)).is_ok();
        let is_in_all = |key: &Key| sets.iter().skip(1).all(|set| has(set, key));
        let found = sets.first().into_iter().flatten().filter(|(key, _)| is_in_all(key)).cloned();
        self.pending = found.map(|(key, expires_at)| Entry { key, stored: None, expires_at }).collect();
        let covers = |path: &String| plan.accesses.iter().any(|access| access.covered.contains(path));
        let is_exact = query.tests.iter().all(|test| test.contains.is_empty() && covers(&test.path));
        self.pending_trust = if is_exact { Trust::Exact } else { Trust::Candidates };
        Ok(())
    }

    /// Whether as many rows have been given out as were asked for.
    pub(super) fn is_satisfied(&self) -> bool {
        self.limit_left == Some(0)
    }

    fn step(
        &mut self,
        sight: &mut Sight<'_>,
        query: &Query,
        keys_only: bool,
        counts: &mut Counts,
    ) -> Result<Step> {
        if self.is_satisfied() {
            return Ok(Step::End);
        }
        if let Some(entry) = self.pending.pop_front() {
            return self.take(sight, query, entry, keys_only, counts);
        }
        if self.refill(sight, counts)? {
            return Ok(Step::Nothing);
        }
        let Some(sorter) = self.sorter.take() else { return Ok(Step::End) };
        self.pending = sorter.into_entries()?.into();
        self.pending_trust = Trust::Candidates;
        Ok(Step::Nothing)
    }

    /// Reads the next batch; false at the end of the last stage.
    fn refill(&mut self, sight: &mut Sight<'_>, counts: &mut Counts) -> Result<bool> {
        while let Some(stage) = self.stages.front_mut() {
            if stage.walk.is_done() {
                self.stages.pop_front();
                continue;
            }
            let mut batch = stage.walk.next_batch(sight, self.batch_rows, counts)?;
            if stage.by_key {
                batch.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            }
            self.pending_trust = stage.trust;
            self.pending.extend(batch);
            self.batch_rows = (self.batch_rows * 2).clamp(1, BATCH_MAX.max(self.batch_rows));
            return Ok(true);
        }
        Ok(false)
    }

    fn take(
        &mut self,
        sight: &mut Sight<'_>,
        query: &Query,
        entry: Entry,
        keys_only: bool,
        counts: &mut Counts,
    ) -> Result<Step> {
        let row = document_key(self.store.id, &entry.key);
        if entry.expires_at != 0 && entry.expires_at <= sight.base.now_ms() {
            // A page may be asked for long after its entries were found.
            return Ok(Step::Nothing);
        }
        let trust = self.pending_trust;
        let sorts = self.sorter.is_some();
        if trust == Trust::Exact && !sorts && (self.offset_left > 0 || keys_only) {
            return Ok(self.give(row_of(entry.key, None, no_document())));
        }
        let Entry { key, stored, expires_at } = entry;
        let judge = |format, document: &[u8]| match (trust, &self.rest) {
            (Trust::Exact, _) if !sorts => Ok(Some(OrderKeys::new())),
            (Trust::Rest, Some(rest)) => rest.pass(&self.store, key.as_bytes(), format, document),
            _ => query.pass(&self.store, key.as_bytes(), format, document),
        };
        let passed = match stored {
            Some(stored) => {
                judge(stored.document.format, &stored.document.bytes)?.map(|order| (stored, order))
            }
            None => {
                counts.documents += 1;
                read_passing(sight, &row, expires_at, judge)?
            }
        };
        let Some((stored, order)) = passed else { return Ok(Step::Nothing) };
        if let Some(sorter) = &mut self.sorter {
            sorter.add(query.order.iter().map(|(_, order)| *order), &order, &key, stored.expires_at)?;
            return Ok(Step::Nothing);
        }
        let stored = if keys_only { no_document() } else { query.selected(stored)? };
        Ok(self.give(row_of(key, None, stored)))
    }

    /// Gives a row out, unless it is one of those to be passed over.
    fn give(&mut self, row: Row) -> Step {
        if self.offset_left > 0 {
            self.offset_left -= 1;
            return Step::Nothing;
        }
        if let Some(left) = &mut self.limit_left {
            *left -= 1;
        }
        Step::Row(row)
    }
}

/// The document that an entry leads to, and what it is ordered by, if `judge` lets it pass; `None` also where it has
/// expired since the entry was found. One that doesn't pass is not copied.
fn read_passing(
    sight: &mut Sight<'_>,
    row: &[u8],
    expires_at: u64,
    judge: impl FnOnce(Format, &[u8]) -> Result<Option<OrderKeys>>,
) -> Result<Option<(StoredDocument, OrderKeys)>> {
    let read = sight.base.lend(sight.overlay, sight.reads, row, |mut value| {
        let (format, version, updated_at, expires_at) = StoredDocument::header(&mut value, row)?;
        let Some(order) = judge(format, value)? else { return Ok(None) };
        let document = Document { format, bytes: value.to_vec() };
        Ok(Some((StoredDocument { document, version, updated_at, expires_at }, order)))
    })?;
    match read {
        Some(read) => read,
        None if expires_at != 0 && expires_at <= sight.base.now_ms() => Ok(None),
        None => Err(damaged("a document row", row, "an index leads to it, and it is missing")),
    }
}

/// What stands in the place of a document that was not asked for.
fn no_document() -> StoredDocument {
    let document = Document { format: Format::Raw, bytes: Vec::new() };
    StoredDocument { document, version: 0, updated_at: 0, expires_at: 0 }
}

impl Query {
    /// Whether an entry's document passes, without noting that it was read.
    pub(super) fn peek(&self, sight: &mut Sight<'_>, store: &StoreDef, entry: Entry) -> Result<bool> {
        let stored = match entry.stored {
            Some(stored) => stored,
            None => {
                let row = document_key(store.id, &entry.key);
                let value = sight.base.read(sight.overlay, &mut ReadSet::default(), &row)?;
                let Some(value) = value else { return Ok(false) };
                StoredDocument::decode_in_place(value, &row)?
            }
        };
        let Document { format, bytes } = &stored.document;
        Ok(self.pass(store, entry.key.as_bytes(), *format, bytes)?.is_some())
    }
}
