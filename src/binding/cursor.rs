//! A scan that JavaScript reads page by page.
#![forbid(unsafe_code)]

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{Course, PageLimits, Position, Seen};

use super::packing::{Answer, PageSize, Scan, WANTS_DOCUMENTS};
use super::transactions::{SharedTransaction, with_transaction};

/// What is read page by page.
pub(crate) trait Pages: Send {
    /// Reads the next page, and says whether there are more.
    fn next_page(&mut self, size: PageSize) -> Result<(Answer, bool)>;
}

/// A cursor that is kept between pages.
pub(crate) type SharedCursor = Arc<Mutex<Box<dyn Pages>>>;

/// Where a scan is. It holds its transaction: the snapshot of its own, or the one that it was opened in.
pub(crate) struct Cursor {
    transaction: SharedTransaction,
    store: String,
    index: Option<String>,
    course: Course,
    wants: u8,
    after: Option<Position>,
    /// What its transaction had written when it was opened: what is written later it doesn't see.
    seen: Seen,
}

impl Cursor {
    /// A cursor before its first row.
    pub(crate) fn new(transaction: SharedTransaction, scan: &Scan<'_>) -> Result<Self> {
        let direction = if scan.reverse { Direction::Reverse } else { Direction::Forward };
        let seen = with_transaction(&transaction, |transaction| Ok(transaction.seen()))?;
        Ok(Self {
            transaction,
            store: scan.store.to_owned(),
            index: scan.index.map(str::to_owned),
            course: Course { range: scan.range.decode()?, direction, distinct: scan.distinct },
            wants: scan.wants,
            after: None,
            seen,
        })
    }
}

impl Pages for Cursor {
    fn next_page(&mut self, size: PageSize) -> Result<(Answer, bool)> {
        let limits = PageLimits {
            rows: size.rows as usize,
            bytes: size.bytes as usize,
            keys_only: self.wants & WANTS_DOCUMENTS == 0,
        };
        let page = with_transaction(&self.transaction, |transaction| {
            let (index, after, seen) = (self.index.as_deref(), self.after.as_ref(), Some(&self.seen));
            transaction.page_of(&self.store, index, &self.course, after, limits, seen)
        })?;
        self.after.clone_from(&page.next);
        let more = page.next.is_some();
        Ok((Answer::Page(page, self.wants), more))
    }
}
