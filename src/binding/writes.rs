//! Single writes that follow each other become one transaction: one commit and one sync for all of them.
//!
//! Invariant: each write still succeeds or fails alone. JsonDB leaves a transaction as it was when a write in it
//! fails, so the others go on; and when the whole commit is refused for what one of them asked, the group is halved
//! until the one that is at fault stands alone.
#![forbid(unsafe_code)]

use crate::config::SyncMode;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::jsondb::{DocumentRef, JsonDb, Key, PutOptions, Transaction};

use super::atomic;
use super::bulk;
use super::execute::guarded;
use super::moving;
use super::packing::{Answer, Answers, Operation, Verb};
use super::query_packing::QueryVerb;

/// A transaction takes at most so many single writes.
pub(super) const GROUP_WRITES_MAX: usize = 1000;

/// A transaction takes so many bytes of single writes, unless one alone is larger.
pub(super) const GROUP_BYTES_MAX: usize = 1 << 20;

/// How many of the first `operations` are single writes that may share a transaction.
///
/// A large one never joins others: together they could be more than a transaction takes, and it would fail for that.
pub(crate) fn group_len(operations: &[Operation<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |(place, operation): &(usize, &Operation<'_>)| {
        bytes += size(&operation.verb);
        is_single_write(operation) && (*place == 0 || bytes <= GROUP_BYTES_MAX)
    };
    operations.iter().enumerate().take(GROUP_WRITES_MAX).take_while(fits).count()
}

/// Whether an operation outside a transaction writes documents, however many: it can be a transaction by itself.
pub(crate) fn is_write_of_its_own(operation: &Operation<'_>) -> bool {
    let is_bulk_write = matches!(&operation.verb, Verb::Bulk(verb) if !verb.is_read());
    (is_bulk_write && operation.transaction == 0) || is_single_write(operation)
}

fn is_single_write(operation: &Operation<'_>) -> bool {
    let writes = match &operation.verb {
        Verb::Put { .. }
        | Verb::PutWith { .. }
        | Verb::Touch { .. }
        | Verb::Delete { .. }
        | Verb::Clear { .. } => true,
        Verb::Bulk(verb) => verb.is_single_write(),
        _ => false,
    };
    writes && operation.transaction == 0
}

fn size(verb: &Verb<'_>) -> usize {
    match verb {
        Verb::Put { document, .. } | Verb::PutWith { document, .. } => document.len(),
        Verb::Bulk(verb) => verb.size(),
        _ => 0,
    }
}

/// Commits `group` and answers each of its writes.
pub(crate) fn commit(json: &JsonDb, group: &[Operation<'_>], answers: &mut Answers) {
    match guarded(|| attempt(json, group)) {
        Ok(results) => {
            for (operation, result) in group.iter().zip(results) {
                answers.push(operation.request, result);
            }
        }
        Err(error) if group.len() > 1 && may_be_the_fault_of_one(error.code()) => {
            let (first, second) = group.split_at(group.len() / 2);
            commit(json, first, answers);
            commit(json, second, answers);
        }
        Err(error) => {
            for operation in group {
                answers.push(operation.request, Err(error.clone()));
            }
        }
    }
}

/// As [`commit`], where that waits for nobody: says whether it was done. If it was not, nothing has been answered.
pub(crate) fn try_commit(json: &JsonDb, group: &[Operation<'_>], answers: &mut Answers) -> bool {
    let done = guarded(|| {
        json.try_update(&scope_of(group), sync_of(json, group), |transaction| {
            Ok(write_all(transaction, group))
        })
    });
    match done {
        Ok(None) => return false,
        // Which one it is shows when it is done in the usual way.
        Err(error) if group.len() > 1 && may_be_the_fault_of_one(error.code()) => return false,
        Ok(Some(results)) => {
            for (operation, result) in group.iter().zip(results) {
                answers.push(operation.request, result);
            }
        }
        Err(error) => {
            for operation in group {
                answers.push(operation.request, Err(error.clone()));
            }
        }
    }
    true
}

fn attempt(json: &JsonDb, group: &[Operation<'_>]) -> Result<Vec<Result<Answer>>> {
    json.update(&scope_of(group), sync_of(json, group), |transaction| Ok(write_all(transaction, group)))
}

fn write_all(transaction: &mut Transaction, group: &[Operation<'_>]) -> Vec<Result<Answer>> {
    group.iter().map(|operation| write(transaction, &operation.verb)).collect()
}

/// The stores that are written to.
fn scope_of<'a>(group: &[Operation<'a>]) -> Vec<&'a str> {
    let mut scope: Vec<&str> = Vec::new();
    for store in group.iter().filter_map(|operation| store_of(&operation.verb)) {
        if !scope.contains(&store) {
            scope.push(store);
        }
    }
    scope
}

/// As durable as that of its writes has to be that has to be it most; `None` where none has said.
///
/// A write that is to be synced within the interval, in a database that never syncs by itself, is synced at once.
fn sync_of(json: &JsonDb, group: &[Operation<'_>]) -> Option<SyncMode> {
    let asked = |operation: &Operation<'_>| match &operation.verb {
        Verb::PutWith { sync, .. } => *sync,
        _ => None,
    };
    strictest(json.engine(), group.iter().map(asked))
}

/// Of what writes of one commit have asked for, the most; `None` where none has.
pub(super) fn strictest(
    engine: &Engine,
    asked: impl IntoIterator<Item = Option<SyncMode>>,
) -> Option<SyncMode> {
    let usual = engine.config().wal_sync_mode;
    let (mut is_asked, mut most) = (false, SyncMode::Never);
    for mode in asked {
        is_asked |= mode.is_some();
        let mode = mode.unwrap_or(usual);
        if rank(mode) < rank(most) {
            most = mode;
        }
    }
    is_asked.then_some(match (most, usual) {
        (SyncMode::Interval(_), SyncMode::Never) => SyncMode::Always,
        (most, _) => most,
    })
}

fn rank(mode: SyncMode) -> u8 {
    match mode {
        SyncMode::Always => 0,
        SyncMode::Interval(_) => 1,
        SyncMode::Never => 2,
    }
}

/// Errors that speak of a name or a document, not of the database: another write of the group may do.
fn may_be_the_fault_of_one(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound
            | Code::Constraint
            | Code::Conflict
            | Code::Exists
            | Code::InvalidKey
            | Code::InvalidValue
            | Code::InvalidArgument
            | Code::Busy
    )
}

fn store_of<'a>(verb: &Verb<'a>) -> Option<&'a str> {
    match verb {
        Verb::Put { store, .. }
        | Verb::PutWith { store, .. }
        | Verb::Touch { store, .. }
        | Verb::Delete { store, .. }
        | Verb::Clear { store } => Some(store),
        Verb::Bulk(verb) => Some(verb.store()),
        _ => None,
    }
}

/// Does one write within a transaction.
pub(crate) fn write(transaction: &mut Transaction, verb: &Verb<'_>) -> Result<Answer> {
    match verb {
        Verb::Put { store, key, format, document, overwrite } => {
            let key = key.map(Key::from_encoded).transpose()?;
            let document = DocumentRef { format: *format, bytes: document };
            let options = PutOptions { if_absent: !overwrite, ..PutOptions::default() };
            transaction.put_lent(store, key, document, options).map(Answer::Key)
        }
        Verb::PutWith { store, key, format, document, options, .. } => {
            let key = key.map(Key::from_encoded).transpose()?;
            let document = DocumentRef { format: *format, bytes: document };
            transaction.put_lent(store, key, document, *options).map(Answer::Key)
        }
        Verb::Touch { store, key, expires } => {
            transaction.touch(store, &Key::from_encoded(*key)?, *expires).map(Answer::Flag)
        }
        Verb::Savepoint => transaction.savepoint().map(|savepoint| Answer::Count(savepoint.number())),
        Verb::RollbackTo { savepoint } => transaction.rollback_to(*savepoint).map(|()| Answer::Nothing),
        Verb::Delete { store, key } => transaction.delete(store, &Key::from_encoded(*key)?).map(Answer::Flag),
        Verb::Clear { store } => transaction.clear(store).map(|()| Answer::Nothing),
        Verb::Bulk(verb) => bulk::write(transaction, verb),
        Verb::Atomic(verb) => atomic::write(transaction, verb),
        Verb::Query(QueryVerb::Delete(query)) => query.decode()?.delete(transaction).map(Answer::Count),
        Verb::CreateStore { .. }
        | Verb::DeleteStore { .. }
        | Verb::CreateIndex { .. }
        | Verb::DeleteIndex { .. } => moving::change_schema(transaction, verb),
        _ => Err(Error::new(Code::Internal, "an operation that writes nothing was taken for a write")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{Format, StoreOptions};

    fn put(request: u32, store: &'static str, document: &'static [u8]) -> Operation<'static> {
        let verb = Verb::Put { store, key: None, format: Format::Json, document, overwrite: true };
        Operation { request, transaction: 0, verb }
    }

    #[test]
    fn a_group_ends_at_its_limits_and_at_the_first_operation_of_another_kind() {
        static LARGE: [u8; GROUP_BYTES_MAX] = [b' '; GROUP_BYTES_MAX];
        let small = |count: u32| (0..count).map(|request| put(request, "s", b"{}"));

        assert_eq!(group_len(&small(1500).collect::<Vec<_>>()), GROUP_WRITES_MAX);
        assert_eq!(group_len(&small(3).chain([put(9, "s", &LARGE)]).collect::<Vec<_>>()), 3);
        assert_eq!(group_len(&[put(9, "s", &LARGE)].into_iter().chain(small(3)).collect::<Vec<_>>()), 1);
        let read = Operation { request: 9, transaction: 0, verb: Verb::Schema };
        assert_eq!(group_len(&small(2).chain([read]).chain(small(2)).collect::<Vec<_>>()), 2);
        let in_transaction = Operation { transaction: 1, ..put(9, "s", b"{}") };
        assert_eq!(group_len(&[in_transaction]), 0);
    }

    #[test]
    fn a_write_that_the_group_fails_for_is_the_only_one_that_fails() {
        let json = JsonDb::open(Config::in_memory()).unwrap();
        json.create_object_store("s", StoreOptions { key_path: None, auto_increment: true }).unwrap();
        let group: Vec<_> =
            (1..=20).map(|request| put(request, if request == 7 { "nowhere" } else { "s" }, b"1")).collect();
        let mut answers = Answers::default();

        commit(&json, &group, &mut answers);

        let mut packed = &answers.take()[..];
        let mut kinds = Vec::new();
        while let Some((header, rest)) = packed.split_first_chunk::<9>() {
            let length = u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize;
            kinds.push((u32::from_le_bytes([header[0], header[1], header[2], header[3]]), header[4]));
            packed = &rest[length..];
        }
        let expected: Vec<_> = (1..=20).map(|request| (request, if request == 7 { 7 } else { 1 })).collect();
        assert_eq!(kinds, expected);
    }
}
