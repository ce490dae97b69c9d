//! The transactions that JavaScript has open, by the numbers it gave them.
//!
//! Invariant: a transaction in which work panicked has ended; what the panic left half done is never committed.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::jsondb::Transaction;
use crate::sync::Mutex;

use super::execute::guarded;
use super::packing::{Answer, Operation, Verb};
use super::writes;

/// A transaction that operations and cursors share; `None` once it has ended. It is taken out for each operation, so it
/// lies in a box.
pub(crate) type SharedTransaction = Arc<Mutex<Option<Box<Transaction>>>>;

/// So many writes of a transaction are done before their answers are sent.
const WRITES_MAX: usize = 256;

/// Makes a transaction one that can be shared.
pub(crate) fn shared(transaction: Transaction) -> SharedTransaction {
    Arc::new(Mutex::new(Some(Box::new(transaction))))
}

/// How many of the first `operations` are single writes in one transaction.
pub(crate) fn group_len(operations: &[Operation<'_>]) -> usize {
    let Some(first) = operations.first().filter(|first| first.transaction != 0) else { return 0 };
    let is_of_it = |operation: &&Operation<'_>| {
        let is_write =
            matches!(operation.verb, Verb::Put { .. } | Verb::PutWith { .. } | Verb::Delete { .. });
        is_write && operation.transaction == first.transaction
    };
    operations.iter().take(WRITES_MAX).take_while(is_of_it).count()
}

/// The open transactions of a handle.
#[derive(Default)]
pub(crate) struct Transactions {
    by_id: Mutex<HashMap<u32, Entry>>,
}

struct Entry {
    transaction: SharedTransaction,
    /// The requests of writes that failed, each with its error. JavaScript uses the number of an answered request
    /// again, so a later write with the same number takes its place.
    failed: HashMap<u32, Error>,
}

impl Transactions {
    /// Keeps a transaction under its number.
    pub(crate) fn insert(&self, id: u32, transaction: Transaction) {
        let entry = Entry { transaction: shared(transaction), failed: HashMap::new() };
        self.by_id.lock().insert(id, entry);
    }

    /// The transaction with this number.
    pub(crate) fn get(&self, id: u32) -> Result<SharedTransaction> {
        self.by_id.lock().get(&id).map(|entry| Arc::clone(&entry.transaction)).ok_or_else(inactive)
    }

    /// Does a write, and remembers whether it failed.
    pub(crate) fn write(&self, operation: &Operation<'_>) -> Result<Answer> {
        let transaction = self.get(operation.transaction)?;
        let result =
            with_transaction(&transaction, |transaction| writes::write(transaction, &operation.verb));
        if let Some(entry) = self.by_id.lock().get_mut(&operation.transaction) {
            match &result {
                Ok(_) => entry.failed.remove(&operation.request),
                Err(error) => entry.failed.insert(operation.request, error.clone()),
            };
        }
        result
    }

    /// Does writes of one transaction, which are no others' business, and gives the result of each.
    pub(crate) fn write_all(&self, operations: &[Operation<'_>]) -> Vec<Result<Answer>> {
        let id = operations.first().map_or(0, |first| first.transaction);
        let transaction = match self.get(id) {
            Ok(transaction) => transaction,
            Err(error) => return operations.iter().map(|_| Err(error.clone())).collect(),
        };
        let write = |operation: &Operation<'_>| {
            guarded(|| with_transaction(&transaction, |inside| writes::write(inside, &operation.verb)))
        };
        let results: Vec<_> = operations.iter().map(write).collect();
        if let Some(Entry { failed, .. }) = self.by_id.lock().get_mut(&id) {
            for (operation, result) in operations.iter().zip(&results) {
                match result {
                    Ok(_) if failed.is_empty() => {}
                    Ok(_) => drop(failed.remove(&operation.request)),
                    Err(error) => drop(failed.insert(operation.request, error.clone())),
                }
            }
        }
        results
    }

    /// Takes a transaction out, to be committed or aborted. What else holds it finds it ended.
    ///
    /// # Errors
    ///
    /// That of the first request in `relied_on` that failed; the transaction is aborted then. `TransactionInactive`.
    pub(crate) fn end(&self, id: u32, relied_on: &[u32]) -> Result<Transaction> {
        let entry = self.by_id.lock().remove(&id).ok_or_else(inactive)?;
        let transaction = entry.transaction.lock().take().ok_or_else(inactive)?;
        match relied_on.iter().find_map(|request| entry.failed.get(request)) {
            None => Ok(*transaction),
            Some(error) => {
                transaction.abort();
                Err(error.clone())
            }
        }
    }

    /// Aborts every transaction.
    pub(crate) fn abort_all(&self) {
        let entries = std::mem::take(&mut *self.by_id.lock());
        for entry in entries.into_values() {
            if let Some(transaction) = entry.transaction.lock().take() {
                transaction.abort();
            }
        }
    }
}

/// Runs `work` on a transaction, unless that has ended.
pub(crate) fn with_transaction<T>(
    shared: &SharedTransaction,
    work: impl FnOnce(&mut Transaction) -> Result<T>,
) -> Result<T> {
    let mut slot = shared.lock();
    let mut transaction = slot.take().ok_or_else(inactive)?;
    let result = work(&mut transaction);
    *slot = Some(transaction);
    result
}

fn inactive() -> Error {
    Error::new(Code::TransactionInactive, "the transaction has been committed or aborted")
}
