//! Puts and deletes in one store that happen together, and taking a document out at either end of a range.
#![forbid(unsafe_code)]

use super::key::{Key, KeyRange};
use super::page::Course;
use super::transaction::Transaction;
use super::{Document, PageLimits, PutOptions, Row};
use crate::engine::Direction;
use crate::error::Result;

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchWrite {
    /// As [`Transaction::put_with`].
    Put(Option<Key>, Document, PutOptions),
    /// As [`Transaction::delete`].
    Delete(Key),
}

impl Transaction {
    /// Makes the changes in their order, all of them or none. Says how many documents were deleted.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put_with`] and [`Transaction::delete`], for the first that fails.
    pub fn write_batch(&mut self, store: &str, writes: Vec<BatchWrite>) -> Result<u64> {
        self.all_or_none(|transaction| {
            let mut deleted = 0;
            for write in writes {
                match write {
                    BatchWrite::Put(key, document, options) => {
                        transaction.put_with(store, key, document, options)?;
                    }
                    BatchWrite::Delete(key) => deleted += u64::from(transaction.delete(store, &key)?),
                }
            }
            Ok(deleted)
        })
    }

    /// Takes out the first document of a range, or the last, and gives it: no other transaction that commits has it.
    ///
    /// # Errors
    ///
    /// `ReadOnly`, and as for [`Transaction::page`] and [`Transaction::delete`].
    pub fn pop(&mut self, store: &str, range: &KeyRange, direction: Direction) -> Result<Option<Row>> {
        self.store_to_write(store)?;
        let course = Course { range: range.clone(), direction, distinct: false };
        let limits = PageLimits { rows: 1, bytes: usize::MAX, keys_only: false };
        let page = self.page_of(store, None, &course, None, limits, None)?;
        let Some(row) = page.rows.into_iter().next() else { return Ok(None) };
        self.delete(store, &row.key)?;
        Ok(Some(row))
    }
}
