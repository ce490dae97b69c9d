//! Where a store is empty at either end, as those know who take documents out there.
//!
//! What has been taken out of a queue leaves tombstones at its end, in memory and in tables, until compaction drops them;
//! each further one would walk over all of them. So a transaction that takes a document out leaves word of the gap that it
//! found before it, and the next one begins behind that.
//!
//! Invariant: in the state that a snapshot at or above `since` shows, no document lies in the gap. Gaps are noted and
//! dropped by commit checks, in commit order: one is noted only where the check has shown that nothing was written in it
//! since it was read, and dropped by the first commit that writes in it. A gap never rests on what the transaction that
//! notes it has written itself, because that may come to nothing after the check.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::rows::RowRange;
use crate::engine::Direction;
use crate::sync::Mutex;

/// The gaps of a store.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<Gaps<(RowRange, u64)>>);

/// One of each direction.
#[derive(Debug, Clone)]
pub(crate) struct Gaps<T> {
    first: Option<T>,
    last: Option<T>,
}

impl<T> Default for Gaps<T> {
    fn default() -> Self {
        Self { first: None, last: None }
    }
}

impl<T> Gaps<T> {
    pub(super) fn of(&mut self, direction: Direction) -> &mut Option<T> {
        match direction {
            Direction::Forward => &mut self.first,
            Direction::Reverse => &mut self.last,
        }
    }
}

impl Ends {
    /// What of `range` is left to be looked at from the end where `direction` begins, by a snapshot at `seqno`.
    pub(super) fn left_of(&self, range: &RowRange, direction: Direction, seqno: u64) -> Option<RowRange> {
        let mut gaps = self.0.lock();
        let (gap, since) = gaps.of(direction).as_ref()?;
        if *since > seqno || range.is_empty() {
            return None;
        }
        match direction {
            Direction::Forward if gap.contains(&range.start) => {
                Some(RowRange { start: gap.end.clone().min(range.end.clone()), end: range.end.clone() })
            }
            Direction::Reverse if gap.start < range.end && range.end <= gap.end => {
                Some(RowRange { start: range.start.clone(), end: gap.start.clone().max(range.start.clone()) })
            }
            _ => None,
        }
    }

    /// A commit at `seqno`, which has been checked, writes `rows` and has found `gaps`.
    pub(super) fn note(&self, rows: &[Arc<[u8]>], gaps: &Gaps<RowRange>, seqno: u64) {
        let mut noted = self.0.lock();
        for direction in [Direction::Forward, Direction::Reverse] {
            let is_written = |gap: &RowRange| rows.iter().any(|row| gap.contains(row));
            let slot = noted.of(direction);
            if slot.as_ref().is_some_and(|(gap, _)| is_written(gap)) {
                *slot = None;
            }
            let found = gaps.clone().of(direction).take();
            if let Some(found) = found.filter(|gap| !gap.is_empty() && !is_written(gap)) {
                *slot = Some((found, seqno));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u8, end: u8) -> RowRange {
        RowRange { start: vec![start], end: vec![end] }
    }

    fn gaps(direction: Direction, gap: RowRange) -> Gaps<RowRange> {
        let mut gaps = Gaps::default();
        *gaps.of(direction) = Some(gap);
        gaps
    }

    #[test]
    fn who_comes_later_begins_behind_a_gap_and_who_began_before_does_not() {
        use Direction::{Forward, Reverse};
        let ends = Ends::default();
        ends.note(&[], &gaps(Forward, range(10, 20)), 7);
        ends.note(&[], &gaps(Reverse, range(80, 90)), 7);

        for seqno in [7, 8] {
            assert_eq!(ends.left_of(&range(10, 90), Forward, seqno), Some(range(20, 90)));
            assert_eq!(ends.left_of(&range(15, 17), Forward, seqno), Some(range(17, 17)));
            assert_eq!(ends.left_of(&range(10, 90), Reverse, seqno), Some(range(10, 80)));
            assert_eq!(ends.left_of(&range(85, 90), Reverse, seqno), Some(range(85, 85)));
        }
        assert_eq!(ends.left_of(&range(10, 90), Forward, 6), None);
        assert_eq!(ends.left_of(&range(9, 90), Forward, 7), None);
        assert_eq!(ends.left_of(&range(20, 90), Forward, 7), None);
        assert_eq!(ends.left_of(&range(10, 91), Reverse, 7), None);
        assert_eq!(ends.left_of(&range(10, 80), Reverse, 7), None);
    }

    #[test]
    fn a_commit_that_writes_in_a_gap_ends_it() {
        let (ends, none) = (Ends::default(), Gaps::default());
        let row = |byte: u8| -> Arc<[u8]> { Arc::from(&[byte][..]) };
        ends.note(&[], &gaps(Direction::Forward, range(10, 20)), 7);
        ends.note(&[row(9), row(20)], &none, 8);
        assert!(ends.left_of(&range(10, 90), Direction::Forward, 8).is_some());
        ends.note(&[row(19)], &none, 9);
        assert_eq!(ends.left_of(&range(10, 90), Direction::Forward, 9), None);
        ends.note(&[row(12)], &gaps(Direction::Forward, range(10, 20)), 10);
        assert_eq!(
            ends.left_of(&range(10, 90), Direction::Forward, 10),
            None,
            "it was written by who found it"
        );
    }
}
