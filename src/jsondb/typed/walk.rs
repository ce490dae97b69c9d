//! Walking over the documents of a range, page by page.
#![forbid(unsafe_code)]

use std::borrow::BorrowMut;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::members::Entry;
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{KeyRange, Page, PageLimits, Position, Row, Transaction};

/// A page ends after so many documents, or so many bytes of them: what a walk keeps in memory.
const PAGE: PageLimits = PageLimits { rows: 256, bytes: 64 << 10, keys_only: false };

/// The documents of a range in order, read page by page as they are asked for. After an error it ends.
///
/// It reads from the transaction `X`, or from a snapshot of its own, taken when it began.
pub struct Walk<T, X = Transaction> {
    transaction: X,
    store: String,
    index: Option<String>,
    range: KeyRange,
    direction: Direction,
    page: std::vec::IntoIter<Row>,
    next: Next,
    values: PhantomData<fn() -> T>,
}

/// Where the next page begins.
enum Next {
    Start,
    After(Position),
    End,
}

impl<T, X> Walk<T, X> {
    pub(super) fn new(transaction: X, store: &str, index: Option<&str>, range: KeyRange) -> Self {
        Self {
            transaction,
            store: store.to_owned(),
            index: index.map(str::to_owned),
            range,
            direction: Direction::Forward,
            page: Vec::new().into_iter(),
            next: Next::Start,
            values: PhantomData,
        }
    }

    /// The same range from its end. Only before the first document was taken: after that it begins anew.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.direction = match self.direction {
            Direction::Forward => Direction::Reverse,
            Direction::Reverse => Direction::Forward,
        };
        self.page = Vec::new().into_iter();
        self.next = Next::Start;
        self
    }
}

impl<T: DeserializeOwned, X: BorrowMut<Transaction>> Walk<T, X> {
    /// The walk with keys, versions and times beside the values.
    pub fn entries(mut self) -> impl Iterator<Item = Result<Entry<T>>> {
        std::iter::from_fn(move || self.next_entry())
    }

    fn next_entry(&mut self) -> Option<Result<Entry<T>>> {
        let entry = match self.next_row()? {
            Ok(row) => Entry::read(&self.store, row),
            Err(error) => Err(error),
        };
        if entry.is_err() {
            self.page = Vec::new().into_iter();
            self.next = Next::End;
        }
        Some(entry)
    }

    fn next_row(&mut self) -> Option<Result<Row>> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            let page = match &self.next {
                Next::End => return None,
                Next::Start => self.read_page(None),
                Next::After(position) => self.read_page(Some(&position.clone())),
            };
            match page {
                Ok(Page { rows, next }) => {
                    self.page = rows.into_iter();
                    self.next = next.map_or(Next::End, Next::After);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn read_page(&mut self, after: Option<&Position>) -> Result<Page> {
        let Self { transaction, store, index, range, direction, .. } = self;
        transaction.borrow_mut().page(store, index.as_deref(), range, *direction, after, PAGE)
    }
}

impl<T: DeserializeOwned, X: BorrowMut<Transaction>> Iterator for Walk<T, X> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().map(|entry| entry.map(|entry| entry.value))
    }
}

impl<T, X> std::fmt::Debug for Walk<T, X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("store", &self.store).field("index", &self.index).finish_non_exhaustive()
    }
}
