//! Numbers that stand in rows: those of keyspaces, and those of series.
//!
//! A row's key is a kind, the number of whose it is as a varint, and the rest, so the rows of one number lie side by side.
//! Which name has which number stands in a catalog. A repaired database may have lost any row of that, while rows with the
//! numbers are left.
//!
//! Invariant: a number that stands in a row is given to no other name. So nobody sees what was another's.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::ops::Bound;

use crate::coding::{put_varint, take_varint};
use crate::engine::{Direction, Engine, ScanRange};
use crate::error::{Code, Error, Result};

/// The first number that a name gets. The one below it needs no name.
pub(crate) const FIRST_NUMBER: u64 = 1;

/// The numbers that stand behind one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbering {
    /// The first byte of the rows.
    pub(crate) kind: u8,
    /// The highest number that a name may have. There is one above it.
    pub(crate) highest: u64,
}

/// What a catalog has, and what it has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CatalogReport {
    /// Numbers with a name.
    pub(crate) named: u64,
    /// Numbers that stand in rows, but without the row that gives them a name.
    pub(crate) lost: u64,
}

impl Numbering {
    /// `from`, or the first number above it that stands in no row.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where none is left, `Io`, `Corruption` or `Closed`.
    pub(crate) fn without_rows(self, engine: &Engine, from: u64) -> Result<u64> {
        for number in from..=self.highest {
            if !engine.scan(self.rows(number), Direction::Forward, None)?.advance()? {
                return Ok(number);
            }
        }
        let message = format!("naming another: no number up to {} is left", self.highest);
        Err(Error::new(Code::InvalidArgument, message))
    }

    /// Compares the numbers that have a name with those in rows, and says which number is the first above them all. Looks at
    /// one row of each number.
    ///
    /// # Errors
    ///
    /// `Io`, `Corruption` or `Closed`.
    pub(crate) fn compare(
        self,
        engine: &Engine,
        named: impl Iterator<Item = u64>,
    ) -> Result<(CatalogReport, u64)> {
        let named: HashSet<u64> = named.collect();
        let in_rows = self.in_rows(engine)?;
        let lost =
            in_rows.iter().filter(|&number| *number >= FIRST_NUMBER && !named.contains(number)).count();
        let next = named.iter().chain(&in_rows).map(|number| number + 1).fold(FIRST_NUMBER, u64::max);
        Ok((CatalogReport { named: named.len() as u64, lost: lost as u64 }, next))
    }

    /// The numbers that stand in rows, in the order of those.
    fn in_rows(self, engine: &Engine) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut range = ScanRange::prefix([self.kind]);
        let end = range.end.clone();
        loop {
            let mut rows = engine.scan(range, Direction::Forward, None)?;
            // A key without a number is none that was ever written.
            let number = if rows.advance()? { self.number_of(rows.key()) } else { None };
            let Some(number) = number else { return Ok(numbers) };
            numbers.push(number);
            let Bound::Excluded(behind) = self.rows(number).end else { return Ok(numbers) };
            range = ScanRange { start: Bound::Included(behind), end: end.clone() };
        }
    }

    fn number_of(self, row: &[u8]) -> Option<u64> {
        take_varint(&mut row.strip_prefix(&[self.kind])?).filter(|&number| number <= self.highest)
    }

    /// The rows of one number.
    fn rows(self, number: u64) -> ScanRange {
        let mut prefix = vec![self.kind];
        put_varint(&mut prefix, number);
        ScanRange::prefix(prefix)
    }
}
