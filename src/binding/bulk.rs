//! Doing what is asked of many documents at once, of ranges of them, or of one by what it holds.
#![forbid(unsafe_code)]

use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::jsondb::{Course, DocumentRef, Key, PageLimits, PutOptions, Transaction};

use super::bulk_packing::{BulkAnswer, BulkVerb, RawDocument, RawWrite};
use super::database::Database;
use super::execute::Snapshots;
use super::packing::{Answer, Operation};

/// Does what is not one of a group of single writes.
pub(crate) fn execute(
    database: &Database,
    operation: &Operation<'_>,
    verb: &BulkVerb<'_>,
    snapshots: &mut Snapshots,
) -> Result<Answer> {
    let id = operation.transaction;
    match (verb.is_read(), id) {
        (true, 0) => read(snapshots.of(&database.json()?, verb.store())?, verb),
        (true, _) => database.in_transaction(id, |transaction| read(transaction, verb)),
        (false, 0) => database.json()?.update(&[verb.store()], None, |transaction| write(transaction, verb)),
        (false, _) => database.write(operation),
    }
}

fn read(transaction: &mut Transaction, verb: &BulkVerb<'_>) -> Result<Answer> {
    match verb {
        BulkVerb::GetMany { store, keys } => {
            BulkAnswer::documents(transaction.get_many(store, &keys_of(keys)?)?).map(Answer::Bulk)
        }
        BulkVerb::GetKey { store, index, range } => {
            let course = Course { range: range.decode()?, direction: Direction::Forward, distinct: false };
            let limits = PageLimits { rows: 1, bytes: usize::MAX, keys_only: true };
            let page = transaction.page_of(store, *index, &course, None, limits, None)?;
            Ok(page.rows.into_iter().next().map_or(Answer::Nothing, |row| Answer::Key(row.key)))
        }
        BulkVerb::GetStamped { store, key } => {
            let row = transaction.get(store, &Key::from_encoded(*key)?)?;
            Ok(Answer::Bulk(BulkAnswer::stamped(row)))
        }
        BulkVerb::GetTimeLeft { store, key } => {
            let ms = transaction.time_left_ms(store, &Key::from_encoded(*key)?)?;
            Ok(ms.map_or(Answer::Nothing, Answer::Count))
        }
        _ => Err(mistaken()),
    }
}

/// Writes within a transaction.
pub(crate) fn write(transaction: &mut Transaction, verb: &BulkVerb<'_>) -> Result<Answer> {
    match verb {
        BulkVerb::DeleteRange { store, range } => {
            transaction.delete_range(store, &range.decode()?).map(Answer::Count)
        }
        BulkVerb::PutMany { store, documents, overwrite } => {
            let options = PutOptions { if_absent: !overwrite, ..PutOptions::default() };
            let keys = transaction.all_or_none(|transaction| {
                documents.iter().map(|one| put_one(transaction, store, one, options)).collect()
            })?;
            Ok(Answer::Bulk(BulkAnswer::Keys(keys)))
        }
        BulkVerb::DeleteMany { store, keys } => {
            transaction.delete_many(store, &keys_of(keys)?).map(Answer::Count)
        }
        BulkVerb::Change { store, key, stamp, document } => {
            let document = document.as_ref().map(RawDocument::to_document);
            let changed = transaction.change(store, &Key::from_encoded(*key)?, *stamp, document)?;
            Ok(Answer::Bulk(BulkAnswer::changed(changed)))
        }
        BulkVerb::Patch { store, key, change } => {
            transaction.patch(store, &Key::from_encoded(*key)?, change).map(Answer::Flag)
        }
        BulkVerb::Pop { store, range, reverse } => {
            let direction = if *reverse { Direction::Reverse } else { Direction::Forward };
            let popped = transaction.pop(store, &range.decode()?, direction)?;
            Ok(popped.map_or(Answer::Nothing, Answer::Entry))
        }
        BulkVerb::Batch { store, writes } => {
            let deleted = transaction.all_or_none(|transaction| {
                writes.iter().map(|write| write_one(transaction, store, write)).sum()
            })?;
            Ok(Answer::Count(deleted))
        }
        BulkVerb::Reckon { store, key, reckoning, number } => {
            let key = Key::from_encoded(*key)?;
            transaction.reckon(store, &key, *reckoning, &number.to_document()).map(Answer::Document)
        }
        _ => Err(mistaken()),
    }
}

fn put_one(
    transaction: &mut Transaction,
    store: &str,
    document: &RawDocument<'_>,
    options: PutOptions,
) -> Result<Key> {
    let RawDocument { key, format, bytes } = *document;
    let key = key.map(Key::from_encoded).transpose()?;
    transaction.put_lent(store, key, DocumentRef { format, bytes }, options)
}

/// Makes one write of a batch, and says how many documents it has deleted.
fn write_one(transaction: &mut Transaction, store: &str, write: &RawWrite<'_>) -> Result<u64> {
    let key = Key::from_encoded(write.key)?;
    match write.put {
        None => transaction.delete(store, &key).map(u64::from),
        Some((format, bytes, options)) => {
            transaction.put_lent(store, Some(key), DocumentRef { format, bytes }, options).map(|_| 0)
        }
    }
}

fn keys_of(keys: &[&[u8]]) -> Result<Vec<Key>> {
    keys.iter().map(|key| Key::from_encoded(*key)).collect()
}

fn mistaken() -> Error {
    Error::new(Code::Internal, "a read of documents was taken for a write, or a write for a read")
}
