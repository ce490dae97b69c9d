//! Many streams in internal order as one.
//!
//! The children are kept sorted by their entry in the direction of travel; after a step only the front one may
//! have to move back, and usually one comparison shows that it need not. With the few children that a read has
//! (memtables, tables of level 0, one stream for each deeper level) this is faster than a heap. Where two
//! children stand on equal positions the one that was given first wins, so newer sources are given first.
//!
//! A child that has been in front for a while is asked whether the whole block that it stands in comes before the second
//! child, and then needs no comparison until it leaves that block ([`InternalIterator::begin_run`]).
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use super::{InternalIterator, Travel};
use crate::error::Result;
use crate::key::{EntryRef, SEQNO_MAX, SeqNo, compare_internal};
use crate::range_tombstone::Hole;

/// After so many steps of one child in a row it is worth asking for a run; where sources alternate it is not.
const STEPS_BEFORE_RUN: u32 = 4;

/// Merges its children; see the file's head.
pub(crate) struct MergeIterator<C> {
    children: Vec<C>,
    /// Indexes of the valid children, the one to be read next at the end (so that it pops cheaply).
    order: Vec<usize>,
    travel: Travel,
    /// Whether the second child stands on the user key of the first.
    tied: bool,
    /// How many steps in a row the front child has made without being overtaken.
    steps: u32,
}

impl<C: InternalIterator> MergeIterator<C> {
    /// Merges `children`, newer sources first. It stands on no entry before the first seek.
    pub(crate) fn new(children: Vec<C>) -> Self {
        let order = Vec::with_capacity(children.len());
        Self { children, order, travel: Travel::Forward, tied: false, steps: 0 }
    }

    /// The child that is read next. The iterator must be valid.
    #[inline]
    fn front(&self) -> &C {
        let front = *self.order.last().expect("the caller checked is_valid");
        &self.children[front]
    }

    /// Seeks every child by `seek` and sorts them for `travel`.
    fn seek_all(&mut self, travel: Travel, mut seek: impl FnMut(&mut C) -> Result<()>) -> Result<()> {
        self.order.clear();
        self.travel = travel;
        for child in &mut self.children {
            seek(child)?;
        }
        for index in 0..self.children.len() {
            if self.children[index].is_valid() {
                self.place(index);
            }
        }
        self.look_ahead();
        Ok(())
    }

    /// Puts a valid child where it belongs; the place is usually near the front.
    fn place(&mut self, index: usize) {
        let mut at = self.order.len();
        while at > 0 && self.compare(self.order[at - 1], index).0 == Ordering::Less {
            at -= 1;
        }
        self.order.insert(at, index);
    }

    /// Whether child `a` is to be read before child `b`, and whether they stand on one user key.
    fn compare(&self, a: usize, b: usize) -> (Ordering, bool) {
        let (left, right) = (self.children[a].entry(), self.children[b].entry());
        let by_key = left.key.cmp(right.key);
        let by_position = by_key.then(right.seqno.cmp(&left.seqno));
        let by_travel = if self.travel == Travel::Forward { by_position } else { by_position.reverse() };
        (by_travel.then(a.cmp(&b)), by_key == Ordering::Equal)
    }

    /// Notes whether the first two children stand on one key, after the order has changed.
    fn look_ahead(&mut self) {
        self.steps = 0;
        self.tied = match self.order[..] {
            [.., second, first] => self.children[first].entry().key == self.children[second].entry().key,
            _ => false,
        };
    }

    /// Lets the front child find the run of its entries that come before the second child.
    fn begin_run(&mut self) {
        let [.., second, first] = self.order[..] else { return };
        // Two children at once can be borrowed only in parts of the list.
        let (low, high) = self.children.split_at_mut(first.max(second));
        let (first, second) =
            if first < second { (&mut low[first], &high[0]) } else { (&mut high[0], &low[second]) };
        first.begin_run(second.entry().key, self.travel);
    }

    /// Moves the front child by `step` and puts it where it then belongs.
    #[inline]
    fn step(&mut self, step: impl FnOnce(&mut C) -> Result<()>) -> Result<()> {
        let Some(&front) = self.order.last() else { return Ok(()) };
        if let Err(error) = step(&mut self.children[front]) {
            self.order.clear();
            return Err(error);
        }
        if self.steps > STEPS_BEFORE_RUN && self.children[front].is_in_run() {
            return Ok(());
        }
        self.settle(front);
        Ok(())
    }

    /// Puts the front child where it belongs after a step.
    #[inline]
    fn settle(&mut self, front: usize) {
        let valid = self.children[front].is_valid();
        let &[.., second, _] = &self.order[..] else {
            if !valid {
                self.order.clear();
            }
            return;
        };
        if valid {
            let (order, tied) = self.compare(second, front);
            if order != Ordering::Less {
                self.tied = tied;
                self.steps = if tied { 0 } else { self.steps.saturating_add(1) };
                if self.steps >= STEPS_BEFORE_RUN {
                    self.begin_run();
                    self.steps = if self.children[front].is_in_run() { STEPS_BEFORE_RUN + 1 } else { 0 };
                }
                return;
            }
            if self.order.len() == 2 {
                self.order.swap(0, 1);
                (self.tied, self.steps) = (tied, 0);
                return;
            }
        }
        self.order.pop();
        if valid {
            self.place(front);
        }
        self.look_ahead();
    }

    /// Moves the children behind the front one on that stand on its user key.
    fn untie(&mut self) -> Result<()> {
        while self.tied {
            let &[.., second, first] = &self.order[..] else { return Ok(()) };
            if let Err(error) = self.children[second].next_user_key() {
                self.order.clear();
                return Err(error);
            }
            self.order.truncate(self.order.len() - 2);
            if self.children[second].is_valid() {
                self.place(second);
            }
            self.order.push(first);
            self.look_ahead();
        }
        Ok(())
    }

    /// Turns round on the current entry: every child is seeked to its neighbour in the other direction.
    fn turn(&mut self, travel: Travel) -> Result<()> {
        if self.order.is_empty() {
            return Ok(());
        }
        let entry = self.front().entry();
        let (key, seqno) = (entry.key.to_vec(), entry.seqno);
        self.seek_all(travel, |child| match travel {
            Travel::Forward => child.seek(&key, seqno),
            Travel::Backward => seek_at_or_before(child, &key, seqno),
        })
    }
}

/// Moves to the last entry at or before `(key, seqno)` in internal order.
fn seek_at_or_before(child: &mut impl InternalIterator, key: &[u8], seqno: SeqNo) -> Result<()> {
    child.seek(key, seqno)?;
    if !child.is_valid() {
        return child.seek_to_last();
    }
    let entry = child.entry();
    if compare_internal((entry.key, entry.seqno), (key, seqno)).is_eq() { Ok(()) } else { child.prev() }
}

impl<C: InternalIterator> InternalIterator for MergeIterator<C> {
    #[inline]
    fn is_valid(&self) -> bool {
        !self.order.is_empty()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.seek_all(Travel::Forward, C::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.seek_all(Travel::Backward, C::seek_to_last)
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        debug_assert!(seqno <= SEQNO_MAX);
        self.seek_all(Travel::Forward, |child| child.seek(key, seqno))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.seek_all(Travel::Backward, |child| child.seek_before(key))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        if self.travel == Travel::Backward {
            self.turn(Travel::Forward)?;
        }
        self.step(C::next)
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if self.travel == Travel::Forward {
            self.turn(Travel::Backward)?;
        }
        self.step(C::prev)
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        self.front().entry()
    }

    #[inline]
    fn next_user_key(&mut self) -> Result<()> {
        if self.travel == Travel::Backward {
            self.turn(Travel::Forward)?;
        }
        if self.tied {
            self.untie()?;
        }
        self.step(C::next_user_key)
    }

    fn seek_in_hole(&mut self, key: &[u8], hole: &Hole<'_>, travel: Travel) -> Result<()> {
        self.seek_all(travel, |child| child.seek_in_hole(key, hole, travel))
    }

    fn leave_hole(&mut self, hole: &Hole<'_>, travel: Travel) -> Result<bool> {
        let Some(&front) = self.order.last() else { return Ok(false) };
        // The merge turns round in its next step, and only then do the children stand where they should.
        if self.travel != travel {
            return Ok(false);
        }
        match self.children[front].leave_hole(hole, travel) {
            Ok(true) => {
                self.tied = false;
                self.settle(front);
                self.look_ahead();
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                self.order.clear();
                Err(error)
            }
        }
    }

    #[inline]
    fn is_only_version(&self) -> bool {
        !self.tied && self.front().is_only_version()
    }
}
