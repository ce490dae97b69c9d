//! A scan that JavaScript reads page by page.
#![forbid(unsafe_code)]

use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{KeyRange, Page, PageLimits, Position};

use super::packing::{PageSize, Scan, WANTS_DOCUMENTS};
use super::transactions::{SharedTransaction, with_transaction};

/// Where a scan is. It holds its transaction: the snapshot of its own, or the one that it was opened in.
pub(crate) struct Cursor {
    transaction: SharedTransaction,
    store: String,
    index: Option<String>,
    range: KeyRange,
    direction: Direction,
    wants: u8,
    after: Option<Position>,
}

impl Cursor {
    /// A cursor before its first row.
    pub(crate) fn new(transaction: SharedTransaction, scan: &Scan<'_>) -> Result<Self> {
        Ok(Self {
            transaction,
            store: scan.store.to_owned(),
            index: scan.index.map(str::to_owned),
            range: scan.range.decode()?,
            direction: if scan.reverse { Direction::Reverse } else { Direction::Forward },
            wants: scan.wants,
            after: None,
        })
    }

    /// What its pages carry.
    pub(crate) fn wants(&self) -> u8 {
        self.wants
    }

    /// Reads the next page. The cursor is at its end when the page has no `next`.
    pub(crate) fn next_page(&mut self, size: PageSize) -> Result<Page> {
        let limits = PageLimits {
            rows: size.rows as usize,
            bytes: size.bytes as usize,
            keys_only: self.wants & WANTS_DOCUMENTS == 0,
        };
        let page = with_transaction(&self.transaction, |transaction| {
            let index = self.index.as_deref();
            transaction.page(&self.store, index, &self.range, self.direction, self.after.as_ref(), limits)
        })?;
        self.after.clone_from(&page.next);
        Ok(page)
    }
}
