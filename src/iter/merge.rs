//! Many streams in internal order as one.
//!
//! The children are kept sorted by their entry in the direction of travel; after a step only the front one may
//! have to move back, and usually one comparison shows that it need not. With the few children that a read has
//! (memtables, tables of level 0, one stream for each deeper level) this is faster than a heap. Where two
//! children stand on equal positions the one that was given first wins, so newer sources are given first.
#![forbid(unsafe_code)]

use std::cmp::Ordering;

use super::InternalIterator;
use crate::error::Result;
use crate::key::{EntryRef, SEQNO_MAX, SeqNo, compare_internal};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Travel {
    Forward,
    Backward,
}

/// Merges its children; see the file's head.
pub(crate) struct MergeIterator {
    children: Vec<Box<dyn InternalIterator>>,
    /// Indexes of the valid children, the one to be read next at the end (so that it pops cheaply).
    order: Vec<usize>,
    travel: Travel,
}

impl MergeIterator {
    /// Merges `children`, newer sources first. It stands on no entry before the first seek.
    pub(crate) fn new(children: Vec<Box<dyn InternalIterator>>) -> Self {
        let order = Vec::with_capacity(children.len());
        Self { children, order, travel: Travel::Forward }
    }

    /// Seeks every child by `seek` and sorts them for `travel`.
    fn seek_all(
        &mut self,
        travel: Travel,
        mut seek: impl FnMut(&mut dyn InternalIterator) -> Result<()>,
    ) -> Result<()> {
        self.order.clear();
        self.travel = travel;
        for child in &mut self.children {
            seek(child.as_mut())?;
        }
        for index in 0..self.children.len() {
            if self.children[index].is_valid() {
                self.place(index);
            }
        }
        Ok(())
    }

    /// Puts a valid child where it belongs; the place is usually near the front.
    fn place(&mut self, index: usize) {
        let mut at = self.order.len();
        while at > 0 && self.comes_before(self.order[at - 1], index) {
            at -= 1;
        }
        self.order.insert(at, index);
    }

    /// Whether child `a` is to be read before child `b`.
    fn comes_before(&self, a: usize, b: usize) -> bool {
        let (left, right) = (self.children[a].entry(), self.children[b].entry());
        let by_position = compare_internal((left.key, left.seqno), (right.key, right.seqno));
        let by_travel = if self.travel == Travel::Forward { by_position } else { by_position.reverse() };
        by_travel.then(a.cmp(&b)) == Ordering::Less
    }

    fn step(&mut self, step: impl FnOnce(&mut dyn InternalIterator) -> Result<()>) -> Result<()> {
        let Some(&front) = self.order.last() else { return Ok(()) };
        if let Err(error) = step(self.children[front].as_mut()) {
            self.order.clear();
            return Err(error);
        }
        let valid = self.children[front].is_valid();
        let len = self.order.len();
        if valid && (len == 1 || !self.comes_before(self.order[len - 2], front)) {
            return Ok(());
        }
        self.order.pop();
        if valid {
            self.place(front);
        }
        Ok(())
    }

    /// Turns round on the current entry: every child is seeked to its neighbour in the other direction.
    fn turn(&mut self, travel: Travel) -> Result<()> {
        let Some(&front) = self.order.last() else { return Ok(()) };
        let entry = self.children[front].entry();
        let (key, seqno) = (entry.key.to_vec(), entry.seqno);
        self.seek_all(travel, |child| match travel {
            Travel::Forward => child.seek(&key, seqno),
            Travel::Backward => seek_at_or_before(child, &key, seqno),
        })
    }
}

/// Moves to the last entry at or before `(key, seqno)` in internal order.
fn seek_at_or_before(child: &mut dyn InternalIterator, key: &[u8], seqno: SeqNo) -> Result<()> {
    child.seek(key, seqno)?;
    if !child.is_valid() {
        return child.seek_to_last();
    }
    let entry = child.entry();
    if (entry.key, entry.seqno) == (key, seqno) { Ok(()) } else { child.prev() }
}

impl InternalIterator for MergeIterator {
    fn is_valid(&self) -> bool {
        !self.order.is_empty()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.seek_all(Travel::Forward, |child| child.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.seek_all(Travel::Backward, |child| child.seek_to_last())
    }

    fn seek(&mut self, key: &[u8], seqno: SeqNo) -> Result<()> {
        debug_assert!(seqno <= SEQNO_MAX);
        self.seek_all(Travel::Forward, |child| child.seek(key, seqno))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.seek_all(Travel::Backward, |child| child.seek_before(key))
    }

    fn next(&mut self) -> Result<()> {
        if self.travel == Travel::Backward {
            self.turn(Travel::Forward)?;
        }
        self.step(|child| child.next())
    }

    fn prev(&mut self) -> Result<()> {
        if self.travel == Travel::Forward {
            self.turn(Travel::Backward)?;
        }
        self.step(|child| child.prev())
    }

    fn entry(&self) -> EntryRef<'_> {
        let front = *self.order.last().expect("the caller checked is_valid");
        self.children[front].entry()
    }
}
