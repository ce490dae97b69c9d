//! Doing what operations ask for, on a worker thread.
//!
//! Invariant: every operation of a run gets exactly one answer, whatever fails or panics on the way.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::engine::{GoOn, Snapshot};
use crate::error::{Code, Error, Result};
use crate::jsondb::{JsonDb, Key, Mode, Transaction};

use super::cursor::Cursor;
use super::database::Database;
use super::keyspace_packing::KeyspaceVerb;
use super::long_work::Waiting;
use super::packing::{Answer, Answers, Operation, RawRange, Verb, read_run};
use super::query_packing::QueryVerb;
use super::transactions::shared;
use super::{
    atomic, bulk, changes, definitions, error, keyspace, moving, namespaces, query, series, transactions,
    upkeep, watching, writes,
};

/// Answers are sent on their way when there are so many bytes of them.
const SEND_BYTES: usize = 8 * 1024;

/// Runs `operations` in order.
pub(crate) fn run_in_order(database: &Database, operations: &[Operation<'_>]) {
    let mut answers = Answers::default();
    let mut snapshots = Snapshots::default();
    let mut commits = Commits::default();
    let mut rest = operations;
    while let Some(first) = rest.first() {
        if let Verb::Commit { relied_on } = &first.verb {
            commits.add(database, first, relied_on, &mut answers);
            snapshots.clear();
            rest = &rest[1..];
            continue;
        }
        if first.transaction == 0 || !first.verb.stays_in_transaction() {
            commits.make(database, &mut answers);
        }
        let inside = transactions::group_len(rest);
        if inside > 0 {
            let results = database.write_all(&rest[..inside]);
            rest[..inside]
                .iter()
                .zip(results)
                .for_each(|(write, result)| answers.push(write.request, result));
            rest = &rest[inside..];
            send_if_full(database, &mut answers);
            continue;
        }
        let group = writes::group_len(rest);
        let records = series::group_len(rest);
        let batches = keyspace::group_len(rest);
        let done = match database.json() {
            Ok(json) if group > 0 => {
                writes::commit(&json, &rest[..group], &mut answers);
                snapshots.clear();
                group
            }
            Ok(json) if records > 0 => {
                series::commit(&json, &rest[..records], &mut answers);
                snapshots.clear();
                records
            }
            Ok(json) if batches > 0 => {
                keyspace::commit(&json, &rest[..batches], &mut answers);
                snapshots.clear();
                batches
            }
            // Where the database is not open, each write is told so.
            _ => {
                answers.push(first.request, guarded(|| execute(database, first, &mut snapshots)));
                if first.verb.changes_what_is_seen() {
                    snapshots.clear();
                }
                1
            }
        };
        rest = &rest[done..];
        send_if_full(database, &mut answers);
    }
    commits.make(database, &mut answers);
    database.send(answers.take());
}

/// Transactions whose commit has been asked for. They are committed together, with one sync, before the next
/// operation that could see what they wrote.
#[derive(Default)]
struct Commits {
    requests: Vec<u32>,
    transactions: Vec<Transaction>,
}

impl Commits {
    fn add(
        &mut self,
        database: &Database,
        operation: &Operation<'_>,
        relied_on: &[u32],
        answers: &mut Answers,
    ) {
        match guarded(|| database.take_transaction(operation.transaction, relied_on)) {
            Ok(transaction) => {
                self.requests.push(operation.request);
                self.transactions.push(transaction);
            }
            Err(error) => answers.push(operation.request, Err(error)),
        }
    }

    fn make(&mut self, database: &Database, answers: &mut Answers) {
        if self.requests.is_empty() {
            return;
        }
        let (requests, transactions) =
            (std::mem::take(&mut self.requests), std::mem::take(&mut self.transactions));
        match guarded(|| Ok(database.json()?.commit_all(transactions, None))) {
            Ok(results) => {
                for (request, result) in requests.into_iter().zip(results) {
                    answers.push(request, result.map(|()| Answer::Nothing));
                }
            }
            Err(error) => requests.into_iter().for_each(|request| answers.push(request, Err(error.clone()))),
        }
    }
}

/// Runs reads, from the snapshots that were taken when they were submitted.
pub(crate) fn run_reads(database: &Database, operations: &[Operation<'_>], mut snapshots: Snapshots) {
    let mut answers = Answers::default();
    for operation in operations {
        answers.push(operation.request, guarded(|| execute(database, operation, &mut snapshots)));
        send_if_full(database, &mut answers);
    }
    database.send(answers.take());
}

/// Does long work, and tells all who wait for it.
pub(crate) fn run_long_work(database: &Database, work: &Waiting) {
    let Ok(operations) = read_run(&work.run) else { return };
    let mut answers = Answers::default();
    for operation in &operations {
        let done = guarded(|| execute(database, operation, &mut Snapshots::default()));
        for request in work.requests.iter().skip(1) {
            answers.push(*request, done.as_ref().map(|_| Answer::Nothing).map_err(Error::clone));
        }
        answers.push(operation.request, done);
    }
    database.send(answers.take());
}

fn send_if_full(database: &Database, answers: &mut Answers) {
    if answers.len() >= SEND_BYTES {
        database.send(answers.take());
    }
}

/// Runs `work`; a panic becomes an error, so that a defect rejects one promise and Node lives on.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(error::panicked(payload.as_ref())))
}

/// Does one operation, whatever it is.
pub(super) fn execute(
    database: &Database,
    operation: &Operation<'_>,
    snapshots: &mut Snapshots,
) -> Result<Answer> {
    match &operation.verb {
        Verb::Open { definition } => {
            database.open(*definition)?;
            database.json()?.version().map(Answer::Count)
        }
        Verb::Close => database.close().map(|()| Answer::Nothing),
        Verb::Put { .. }
        | Verb::PutWith { .. }
        | Verb::Touch { .. }
        | Verb::Delete { .. }
        | Verb::Clear { .. }
        | Verb::Savepoint
        | Verb::RollbackTo { .. } => database.write(operation),
        Verb::Get { store, .. }
        | Verb::GetEntry { store, .. }
        | Verb::Has { store, .. }
        | Verb::Count { store, .. } => {
            if operation.transaction != 0 {
                return database
                    .in_transaction(operation.transaction, |transaction| read(transaction, &operation.verb));
            }
            read(snapshots.of(&database.json()?, store)?, &operation.verb)
        }
        Verb::OpenCursor { cursor, scan, size } => {
            let transaction = match operation.transaction {
                0 => shared(snapshots.for_cursor(&database.json()?, *cursor, scan.store)?),
                id => database.transaction(id)?,
            };
            let cursor_open = Cursor::new(transaction, scan)?;
            database.read_new_cursor(*cursor, Box::new(cursor_open), *size)
        }
        Verb::NextPage { cursor, size } => database.read_cursor(*cursor, *size),
        Verb::CloseCursor { cursor } => {
            database.forget_cursor(*cursor);
            Ok(Answer::Nothing)
        }
        Verb::CreateStore { .. }
        | Verb::DeleteStore { .. }
        | Verb::CreateIndex { .. }
        | Verb::DeleteIndex { .. }
            if operation.transaction != 0 =>
        {
            database.write(operation)
        }
        Verb::CreateStore { definition } => {
            let (name, options, default_ttl_ms) = definitions::store(definition)?;
            let created = database.json()?.create_object_store_with_ttl(&name, options, default_ttl_ms);
            created.map(|()| Answer::Nothing)
        }
        Verb::DeleteStore { store } => database.json()?.delete_object_store(store).map(|()| Answer::Nothing),
        Verb::CreateIndex { store, definition } => {
            let (name, options) = definitions::index(definition)?;
            database.json()?.create_index(store, &name, options).map(|()| Answer::Nothing)
        }
        Verb::DeleteIndex { store, index } => {
            database.json()?.delete_index(store, index).map(|()| Answer::Nothing)
        }
        Verb::Schema if operation.transaction != 0 => database
            .in_transaction(operation.transaction, |transaction| {
                Ok(Answer::Text(definitions::schema(&transaction.schema())))
            }),
        Verb::Schema => Ok(Answer::Text(definitions::schema(&database.json()?.schema()))),
        Verb::Begin { mode, isolation, scope } => {
            let begun = snapshots.begun(operation.transaction);
            begun
                .unwrap_or_else(|| database.begin(operation.transaction, scope, *mode, *isolation))
                .map(|()| Answer::Nothing)
        }
        Verb::Commit { relied_on } => {
            let transaction = database.take_transaction(operation.transaction, relied_on)?;
            transaction.commit(None).map(|()| Answer::Nothing)
        }
        Verb::Abort => {
            // Aborting is also how a transaction that never began, or has ended, is let go of.
            database.abort(operation.transaction);
            Ok(Answer::Nothing)
        }
        Verb::Destroy => database.destroy().map(|()| Answer::Nothing),
        Verb::Purge { store } => database.json()?.purge_expired(*store).map(Answer::Count),
        Verb::SetDefaultTtl { store, ms } => {
            database.json()?.set_default_ttl(store, *ms).map(|()| Answer::Nothing)
        }
        Verb::Bulk(verb) => bulk::execute(database, operation, verb, snapshots),
        Verb::Atomic(verb) => atomic::execute(database, operation, verb),
        Verb::Series(verb) => series::execute(database, verb, snapshots),
        Verb::Query(verb) => query::execute(database, operation, verb, snapshots),
        Verb::Moving(verb) => moving::execute(database, operation, verb),
        Verb::Namespace(verb) => namespaces::execute(&database.json()?, operation.transaction, verb),
        Verb::Keyspace(verb) => keyspace::execute(database, verb, snapshots),
        Verb::Watch(verb) => watching::execute(database, verb),
        Verb::Changes(verb) => changes::execute(&database.json()?, verb),
        Verb::Repair => database.repair().map(|report| Answer::Text(upkeep::report(&report))),
        Verb::Checkpoint { .. }
        | Verb::Verify
        | Verb::Stats
        | Verb::Metrics
        | Verb::Compact { .. }
        | Verb::ApproximateSize { .. } => {
            look_after(&database.json()?, &operation.verb, &|| database.check_wanted())
        }
    }
}

/// What keeps a database in order, or tells how it is.
fn look_after(json: &JsonDb, verb: &Verb<'_>, go_on: GoOn<'_>) -> Result<Answer> {
    let engine = json.engine();
    match verb {
        Verb::Checkpoint { dir } => engine.checkpoint_while(Path::new(dir), go_on).map(|()| Answer::Nothing),
        Verb::Verify => engine.verify_while(go_on).map(|()| Answer::Nothing),
        Verb::Stats => Ok(Answer::Text(upkeep::stats(&engine.stats(), &json.store_stats()?))),
        Verb::Metrics => Ok(Answer::Text(upkeep::metrics(&engine.stats(), &json.store_stats()?))),
        Verb::Compact { store: None, .. } => {
            let all = (Bound::Unbounded, Bound::Unbounded);
            engine.compact_range_while(all.0, all.1, go_on).map(|()| Answer::Nothing)
        }
        Verb::Compact { store: Some(store), range } => {
            json.compact_while(store, &range.decode()?, go_on).map(|()| Answer::Nothing)
        }
        Verb::ApproximateSize { store: None, .. } => {
            engine.approximate_size(Bound::Unbounded, Bound::Unbounded).map(Answer::Count)
        }
        Verb::ApproximateSize { store: Some(store), range } => {
            json.approximate_size(store, &range.decode()?).map(Answer::Count)
        }
        _ => Err(Error::new(Code::Internal, "an operation on documents was taken for one on the database")),
    }
}

fn read(transaction: &mut Transaction, verb: &Verb<'_>) -> Result<Answer> {
    match verb {
        Verb::Get { store, key } => Ok(match transaction.get(store, &Key::from_encoded(*key)?)? {
            Some(row) => Answer::Document(row.document),
            None => Answer::Nothing,
        }),
        Verb::GetEntry { store, key } => {
            Ok(transaction.get(store, &Key::from_encoded(*key)?)?.map_or(Answer::Nothing, Answer::Entry))
        }
        Verb::Has { store, key } => {
            Ok(Answer::Flag(transaction.get(store, &Key::from_encoded(*key)?)?.is_some()))
        }
        Verb::Count { store, index, range } => count(transaction, store, *index, range),
        _ => Err(Error::new(Code::Internal, "an operation that reads no document was taken for a read")),
    }
}

fn count(
    transaction: &mut Transaction,
    store: &str,
    index: Option<&str>,
    range: &RawRange<'_>,
) -> Result<Answer> {
    let range = range.decode()?;
    let count = match index {
        Some(index) => transaction.count_by_index(store, index, &range)?,
        None => transaction.count(store, &range)?,
    };
    Ok(Answer::Count(count))
}

/// Read-only transactions that single reads share, so that a thousand gets of one tick take one snapshot.
///
/// Those of a run of reads are taken in the call that submits it: such a read sees the database as it was then, and
/// never a write that was issued after it.
#[derive(Default)]
pub(crate) struct Snapshots {
    by_store: Vec<(String, Result<Transaction>)>,
    /// Cursors outlive the run, so each has its own.
    by_cursor: Vec<(u32, Result<Transaction>)>,
    /// How the beginning of transactions went, which are kept by the database.
    by_transaction: Vec<(u32, Result<()>)>,
    /// What reads of series and keyspaces see.
    records: Option<Snapshot>,
}

impl Snapshots {
    /// Takes the snapshots that `operations` will ask for. Nothing fails here: an unknown store is the error of the
    /// operations that name it.
    pub(crate) fn take(database: &Database, operations: &[Operation<'_>]) -> Result<Self> {
        let json = &database.json()?;
        let mut snapshots = Self::default();
        for operation in operations {
            match &operation.verb {
                Verb::Begin { mode, isolation, scope } => {
                    let id = operation.transaction;
                    snapshots.by_transaction.push((id, database.begin(id, scope, *mode, *isolation)));
                }
                Verb::Series(verb) if verb.is_read() => _ = snapshots.records(json),
                Verb::Keyspace(KeyspaceVerb::TakeSnapshot(number)) => {
                    database.keep_snapshot(*number, || snapshots.records(json).clone());
                }
                Verb::Keyspace(verb) if verb.is_read_of_now() => _ = snapshots.records(json),
                _ if operation.transaction != 0 => {}
                Verb::Bulk(verb) if verb.is_read() => _ = snapshots.add(json, verb.store()),
                Verb::Get { store, .. }
                | Verb::GetEntry { store, .. }
                | Verb::Has { store, .. }
                | Verb::Count { store, .. } => {
                    snapshots.add(json, store);
                }
                Verb::OpenCursor { cursor, scan, .. } => {
                    snapshots.by_cursor.push((*cursor, json.begin(&[scan.store], Mode::ReadOnly)));
                }
                Verb::Query(QueryVerb::Open { cursor, query, .. }) => {
                    snapshots.by_cursor.push((*cursor, json.begin(&[query.store], Mode::ReadOnly)));
                }
                Verb::Query(QueryVerb::Count(query) | QueryVerb::Explain(query)) => {
                    snapshots.add(json, query.store);
                }
                _ => {}
            }
        }
        Ok(snapshots)
    }

    pub(crate) fn records(&mut self, json: &JsonDb) -> &Snapshot {
        self.records.get_or_insert_with(|| json.engine().snapshot())
    }

    fn begun(&mut self, transaction: u32) -> Option<Result<()>> {
        let at = self.by_transaction.iter().position(|(id, _)| *id == transaction)?;
        Some(self.by_transaction.swap_remove(at).1)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn add(&mut self, json: &JsonDb, store: &str) -> usize {
        if let Some(at) = self.by_store.iter().position(|(name, _)| name == store) {
            return at;
        }
        self.by_store.push((store.to_owned(), json.begin(&[store], Mode::ReadOnly)));
        self.by_store.len() - 1
    }

    pub(crate) fn of(&mut self, json: &JsonDb, store: &str) -> Result<&mut Transaction> {
        let at = self.add(json, store);
        self.by_store[at].1.as_mut().map_err(|error| error.clone())
    }

    pub(crate) fn for_cursor(&mut self, json: &JsonDb, cursor: u32, store: &str) -> Result<Transaction> {
        match self.by_cursor.iter().position(|(id, _)| *id == cursor) {
            Some(at) => self.by_cursor.swap_remove(at).1,
            None => json.begin(&[store], Mode::ReadOnly),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_so() {
        let error = guarded::<()>(|| panic!("the text of the panic")).unwrap_err();

        assert_eq!(error.code(), Code::Internal);
        assert!(error.message().contains("the text of the panic"), "{error}");
    }
}
