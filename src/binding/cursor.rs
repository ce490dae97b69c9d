//! A scan that JavaScript reads page by page.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{Course, PageLimits, Position, RowRef, Seen};
use crate::sync::Mutex;

use super::packing::{Answer, PageSize, Scan, WANTS_DOCUMENTS};
use super::page_packer::PagePacker;
use super::transactions::{SharedTransaction, with_transaction};

/// So many rows are passed over at a time.
const PASSED_ROWS_MAX: usize = 1_000;

/// What is read page by page.
pub(crate) trait Pages: Send {
    /// Reads the next page, and says whether there are more, and somebody may ask for them: who gets as many rows as he wants
    /// in all asks for no others.
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
        let mut packer = PagePacker::new(self.wants, size);
        if self.offset > 0 && !self.pass_over()? {
            return Ok((Answer::Page(packer.end(false)), false));
        }
        self.read(limits, |row| packer.add(&row))?;
        let more = self.after.is_some() && !size.is_filled_by(packer.rows());
        Ok((Answer::Page(packer.end(more)), more))
    }
}

impl Cursor {
    /// Gives the rows of the next page to `take`. `after` is where the one behind it goes on.
    fn read(&mut self, limits: PageLimits, take: impl FnMut(RowRef<'_>)) -> Result<()> {
        let next = with_transaction(&self.transaction, |transaction| {
            let (index, after, seen) = (self.index.as_deref(), self.after.as_ref(), Some(&self.seen));
            transaction.page_with(&self.store, index, &self.course, after, limits, seen, take)
        })?;
        self.after = next;
        Ok(())
    }

    /// Goes behind the rows that are passed over, and says whether there may be others.
    fn pass_over(&mut self) -> Result<bool> {
        while self.offset > 0 {
            let rows = usize::try_from(self.offset).unwrap_or(usize::MAX).min(PASSED_ROWS_MAX);
            let mut passed = 0;
            self.read(PageLimits { rows, bytes: usize::MAX, keys_only: true }, |_| passed += 1)?;
            if self.after.is_none() {
                return Ok(false);
            }
            self.offset -= passed;
        }
        Ok(true)
    }
}
