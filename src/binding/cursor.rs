//! A scan that JavaScript reads page by page.
#![forbid(unsafe_code)]

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{Course, Page, PageLimits, Position, Seen};

use super::packing::{Answer, PageSize, Scan, WANTS_DOCUMENTS};
use super::transactions::{SharedTransaction, with_transaction};

/// So many rows are passed over at a time.
const PASSED_ROWS_MAX: usize = 1_000;

/// What is read page by page.
pub(crate) trait Pages: Send {
    /// Reads the next page, and says whether there are more, and somebody may ask for them.
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
    /// How many rows are still to be passed over.
    offset: u64,
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
            offset: scan.offset,
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
        if self.offset > 0 && !self.pass_over()? {
            return Ok((Answer::Page(Page { rows: Vec::new(), next: None }, self.wants), false));
        }
        let mut page = self.read(limits)?;
        if size.is_all && page.rows.len() >= limits.rows {
            page.next = None;
        }
        let more = page.next.is_some();
        Ok((Answer::Page(page, self.wants), more))
    }
}

impl Cursor {
    fn read(&mut self, limits: PageLimits) -> Result<Page> {
        let page = with_transaction(&self.transaction, |transaction| {
            let (index, after, seen) = (self.index.as_deref(), self.after.as_ref(), Some(&self.seen));
            transaction.page_of(&self.store, index, &self.course, after, limits, seen)
        })?;
        self.after.clone_from(&page.next);
        Ok(page)
    }

    /// Goes behind the rows that are passed over, and says whether there may be others.
    fn pass_over(&mut self) -> Result<bool> {
        while self.offset > 0 {
            let rows = usize::try_from(self.offset).unwrap_or(usize::MAX).min(PASSED_ROWS_MAX);
            let page = self.read(PageLimits { rows, bytes: usize::MAX, keys_only: true })?;
            if page.next.is_none() {
                return Ok(false);
            }
            self.offset -= page.rows.len() as u64;
        }
        Ok(true)
    }
}
