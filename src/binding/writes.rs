//! Single writes that follow each other become one transaction: one commit and one sync for all of them.
//!
//! Invariant: each write still succeeds or fails alone. JsonDB leaves a transaction as it was when a write in it
//! fails, so the others go on; and when the whole commit is refused for what one of them asked, the group is halved
//! until the one that is at fault stands alone.
#![forbid(unsafe_code)]

use crate::error::{Code, Error, Result};
use crate::jsondb::{Document, JsonDb, Key, Transaction};

use super::execute::guarded;
use super::packing::{Answer, Answers, Operation, Verb};

/// A transaction takes at most so many single writes.
const GROUP_WRITES_MAX: usize = 1000;

/// A transaction takes no further single write once it has so many bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// How many of the first `operations` are single writes that may share a transaction.
pub(crate) fn group_len(operations: &[Operation<'_>]) -> usize {
    let mut bytes = 0;
    operations
        .iter()
        .take(GROUP_WRITES_MAX)
        .take_while(|operation| {
            let fits = bytes < GROUP_BYTES_MAX;
            bytes += size(&operation.verb);
            fits && is_single_write(operation)
        })
        .count()
}

fn is_single_write(operation: &Operation<'_>) -> bool {
    let writes = matches!(operation.verb, Verb::Put { .. } | Verb::Delete { .. } | Verb::Clear { .. });
    writes && operation.transaction == 0
}

fn size(verb: &Verb<'_>) -> usize {
    match verb {
        Verb::Put { document, .. } => document.len(),
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

fn attempt(json: &JsonDb, group: &[Operation<'_>]) -> Result<Vec<Result<Answer>>> {
    let mut scope: Vec<&str> = Vec::new();
    for store in group.iter().filter_map(|operation| store_of(&operation.verb)) {
        if !scope.contains(&store) {
            scope.push(store);
        }
    }
    json.update(&scope, None, |transaction| {
        Ok(group.iter().map(|operation| write(transaction, &operation.verb)).collect())
    })
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
    match *verb {
        Verb::Put { store, .. } | Verb::Delete { store, .. } | Verb::Clear { store } => Some(store),
        _ => None,
    }
}

/// Does one write within a transaction.
pub(crate) fn write(transaction: &mut Transaction, verb: &Verb<'_>) -> Result<Answer> {
    match verb {
        Verb::Put { store, key, format, document, overwrite } => {
            let key = key.map(Key::from_encoded).transpose()?;
            let document = Document { format: *format, bytes: document.to_vec() };
            let put = if *overwrite { Transaction::put } else { Transaction::add };
            put(transaction, store, key, document).map(Answer::Key)
        }
        Verb::Delete { store, key } => transaction.delete(store, &Key::from_encoded(*key)?).map(Answer::Flag),
        Verb::Clear { store } => transaction.clear(store).map(|()| Answer::Nothing),
        _ => Err(Error::new(Code::Internal, "an operation that writes nothing was taken for a write")),
    }
}
