//! Lists: elements under one key, from left to right.
//!
//! An element is a row under its position. Positions have no gaps; they begin in the midst of 64 bits, so that both ends
//! grow by one row. Who puts something between two elements, or takes some out, moves those on the shorter side.
#![forbid(unsafe_code)]

use super::Type;
use super::access::Step;
use super::header::Header;
use super::rows::{damaged, place_key, places_between};
use super::strings::check_len;
use super::transaction::StructureTransaction;
use crate::engine::Direction;
use crate::error::{Code, Error, Result};

/// One of the two ends of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where it begins.
    Left,
    /// Where it ends.
    Right,
}

/// On which side of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// To its left.
    Before,
    /// To its right.
    After,
}

impl Header {
    /// Behind the last element of a list.
    fn behind(&self) -> u64 {
        self.first + self.count
    }
}

impl StructureTransaction {
    /// Puts elements to one end of the list under `key`, one after the other, and returns how long it is then. Cost: one
    /// for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidValue` for an element of more than [`super::STRING_BYTES_MAX`] bytes, and as for
    /// [`StructureTransaction::delete`].
    pub fn push(&mut self, key: &[u8], end: End, elements: &[&[u8]]) -> Result<u64> {
        self.whole(|tx| {
            let (old, mut header) = tx.find_or_new(key, Type::List)?;
            for element in elements {
                tx.push_one(&mut header, end, element)?;
            }
            tx.keep(key, old.as_ref(), &header)?;
            Ok(header.count)
        })
    }

    fn push_one(&mut self, header: &mut Header, end: End, element: &[u8]) -> Result<()> {
        check_len(element.len())?;
        let is_full = || Error::new(Code::InvalidValue, "a list has no more positions on this side");
        let place = match end {
            End::Left => header.first.checked_sub(1).ok_or_else(is_full)?,
            End::Right => Some(header.behind()).filter(|place| *place < u64::MAX).ok_or_else(is_full)?,
        };
        self.put(place_key(header.id, place), element.to_vec())?;
        header.first = header.first.min(place);
        header.count += 1;
        Ok(())
    }

    /// [`StructureTransaction::push`] to the left: the last of `elements` is then the first of the list.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn l_push(&mut self, key: &[u8], elements: &[&[u8]]) -> Result<u64> {
        self.push(key, End::Left, elements)
    }

    /// [`StructureTransaction::push`] to the right.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn r_push(&mut self, key: &[u8], elements: &[&[u8]]) -> Result<u64> {
        self.push(key, End::Right, elements)
    }

    /// Takes up to `count` elements from one end of the list under `key`; `None` where there is no list. Cost: one for
    /// each.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn pop(&mut self, key: &[u8], end: End, count: u64) -> Result<Option<Vec<Vec<u8>>>> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::List)? else { return Ok(None) };
            let mut header = old.clone();
            let mut popped = Vec::new();
            while header.count > 0 && (popped.len() as u64) < count {
                popped.push(tx.pop_one(&mut header, end)?);
            }
            tx.keep(key, Some(&old), &header)?;
            Ok(Some(popped))
        })
    }

    fn pop_one(&mut self, header: &mut Header, end: End) -> Result<Vec<u8>> {
        let place = match end {
            End::Left => header.first,
            End::Right => header.behind() - 1,
        };
        let element = self.element(header, place)?;
        self.remove(place_key(header.id, place))?;
        header.first += u64::from(end == End::Left);
        header.count -= 1;
        Ok(element)
    }

    /// The element at a position.
    fn element(&mut self, header: &Header, place: u64) -> Result<Vec<u8>> {
        let row = place_key(header.id, place);
        self.bytes(&row)?.ok_or_else(|| damaged(&row, "there is no element at a position of a list"))
    }

    /// Takes an element from the left; see [`StructureTransaction::pop`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn l_pop(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.pop(key, End::Left, 1)?.and_then(|mut popped| popped.pop()))
    }

    /// Takes an element from the right; see [`StructureTransaction::pop`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn r_pop(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.pop(key, End::Right, 1)?.and_then(|mut popped| popped.pop()))
    }

    /// How many elements the list under `key` has. Cost: one.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn l_len(&mut self, key: &[u8]) -> Result<u64> {
        Ok(self.find(key, Type::List)?.map_or(0, |header| header.count))
    }

    /// The elements of the list under `key` from `start` to `stop`, both included; negative ones count from its end. Cost:
    /// one for each element.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::exists`].
    pub fn l_range(&mut self, key: &[u8], start: i64, stop: i64) -> Result<Vec<Vec<u8>>> {
        let Some(header) = self.find(key, Type::List)? else { return Ok(Vec::new()) };
        match span(header.count, start, stop) {
            Some((start, end)) => self.elements(&header, header.first + start, header.first + end),
            None => Ok(Vec::new()),
        }
    }

    /// The elements of a list from one position (inclusive) to another (exclusive).
    fn elements(&mut self, header: &Header, start: u64, end: u64) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        self.walk(&places_between(header.id, start, end), Direction::Forward, |_, value| {
            found.push(value.to_vec());
            Ok(Step::Continue(()))
        })?;
        if found.len() as u64 != end - start {
            return Err(damaged(&place_key(header.id, start), "elements of a list are not there"));
        }
        Ok(found)
    }

    /// The element at `index` of the list under `key`; a negative one counts from its end. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::l_range`].
    pub fn l_index(&mut self, key: &[u8], index: i64) -> Result<Option<Vec<u8>>> {
        let Some(header) = self.find(key, Type::List)? else { return Ok(None) };
        place_at(&header, index).map(|place| self.element(&header, place)).transpose()
    }

    /// Replaces the element at `index` of the list under `key`. Cost: one.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no list, `InvalidArgument` where it is shorter, and as for
    /// [`StructureTransaction::push`].
    pub fn l_set(&mut self, key: &[u8], index: i64, element: &[u8]) -> Result<()> {
        self.whole(|tx| {
            check_len(element.len())?;
            let header =
                tx.find(key, Type::List)?.ok_or_else(|| Error::new(Code::NotFound, "no such key"))?;
            let place = place_at(&header, index)
                .ok_or_else(|| Error::new(Code::InvalidArgument, "index out of range"))?;
            tx.put(place_key(header.id, place), element.to_vec())
        })
    }

    /// Puts an element beside the first one that is `pivot`, and returns how long the list under `key` is then; `None` where
    /// there is no such element, and 0 where there is no list. Cost: *n*: the elements up to that one are read, and
    /// those on its shorter side are moved.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::push`].
    pub fn l_insert(
        &mut self,
        key: &[u8],
        beside: Beside,
        pivot: &[u8],
        element: &[u8],
    ) -> Result<Option<u64>> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::List)? else { return Ok(Some(0)) };
            let mut header = old.clone();
            let Some(index) = tx.index_of(&header, pivot)? else { return Ok(None) };
            let index = index + u64::from(beside == Beside::After);
            tx.insert_at(&mut header, index, element)?;
            tx.keep(key, Some(&old), &header)?;
            Ok(Some(header.count))
        })
    }

    fn index_of(&mut self, header: &Header, element: &[u8]) -> Result<Option<u64>> {
        let (mut index, mut is_found) = (0, false);
        let range = places_between(header.id, header.first, header.behind());
        self.walk(&range, Direction::Forward, |_, value| {
            is_found = value == element;
            index += u64::from(!is_found);
            Ok(if is_found { Step::Break(()) } else { Step::Continue(()) })
        })?;
        Ok(is_found.then_some(index))
    }

    /// Makes room before the element at `index` by moving those on its shorter side, and puts an element there.
    fn insert_at(&mut self, header: &mut Header, index: u64, element: &[u8]) -> Result<()> {
        let (first, behind) = (header.first, header.behind());
        let at = first + index;
        if index < header.count / 2 {
            let moved = self.elements(header, first, at)?;
            self.push_one(header, End::Left, element)?;
            self.put_elements(header.id, first - 1, moved)?;
            self.put(place_key(header.id, at - 1), element.to_vec())
        } else {
            let moved = self.elements(header, at, behind)?;
            self.push_one(header, End::Right, element)?;
            self.put_elements(header.id, at + 1, moved)?;
            self.put(place_key(header.id, at), element.to_vec())
        }
    }

    fn put_elements(&mut self, id: u64, start: u64, elements: Vec<Vec<u8>>) -> Result<()> {
        (start..).zip(elements).try_for_each(|(place, element)| self.put(place_key(id, place), element))
    }

    /// Takes out of the list under `key` the first `count` elements that are `element`, of a negative count the last ones,
    /// and of 0 all. Returns how many there were. Cost: *n*: the elements are read, and those from the first that goes
    /// on to one end are moved.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn l_rem(&mut self, key: &[u8], count: i64, element: &[u8]) -> Result<u64> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::List)? else { return Ok(0) };
            let mut header = old.clone();
            let gone = tx.places_of(&header, count, element)?;
            tx.close_gaps(&mut header, &gone)?;
            tx.keep(key, Some(&old), &header)?;
            Ok(gone.len() as u64)
        })
    }

    /// Where the elements stand that are `element`, in order.
    fn places_of(&mut self, header: &Header, count: i64, element: &[u8]) -> Result<Vec<u64>> {
        let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
        let direction = if count < 0 { Direction::Reverse } else { Direction::Forward };
        let (mut places, mut passed) = (Vec::new(), 0);
        let range = places_between(header.id, header.first, header.behind());
        self.walk(&range, direction, |_, value| {
            if value == element {
                places.push(match direction {
                    Direction::Forward => header.first + passed,
                    Direction::Reverse => header.behind() - 1 - passed,
                });
            }
            passed += 1;
            Ok(if places.len() as u64 == most { Step::Break(()) } else { Step::Continue(()) })
        })?;
        places.sort_unstable();
        Ok(places)
    }

    /// Takes the elements at these positions out, and moves those between them and the end that is nearer.
    fn close_gaps(&mut self, header: &mut Header, gone: &[u64]) -> Result<()> {
        let (Some(&leftmost), Some(&rightmost)) = (gone.first(), gone.last()) else { return Ok(()) };
        let (first, behind, lost) = (header.first, header.behind(), gone.len() as u64);
        let moves_left_side = rightmost + 1 - first <= behind - leftmost;
        let (start, end) = if moves_left_side { (first, rightmost + 1) } else { (leftmost, behind) };
        let elements = self.elements(header, start, end)?;
        let mut next_gone = gone.iter().peekable();
        let is_left = |(place, _): &(u64, Vec<u8>)| next_gone.next_if(|gone| **gone == *place).is_none();
        let left: Vec<Vec<u8>> =
            (start..).zip(elements).filter(is_left).map(|(_, element)| element).collect();
        header.count -= lost;
        if moves_left_side {
            header.first += lost;
            self.put_elements(header.id, header.first, left)?;
            (first..header.first).try_for_each(|place| self.remove(place_key(header.id, place)))
        } else {
            self.put_elements(header.id, leftmost, left)?;
            (header.behind()..behind).try_for_each(|place| self.remove(place_key(header.id, place)))
        }
    }

    /// Leaves of the list under `key` the elements from `start` to `stop`, both included. Cost: one for each that goes, and
    /// where they are more than 1,024 little.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn l_trim(&mut self, key: &[u8], start: i64, stop: i64) -> Result<()> {
        self.whole(|tx| {
            let Some(old) = tx.find(key, Type::List)? else { return Ok(()) };
            let Some((start, end)) = span(old.count, start, stop) else { return tx.drop_key(key, &old) };
            let header = Header { first: old.first + start, count: end - start, ..old.clone() };
            tx.remove_all(places_between(old.id, old.first, header.first))?;
            tx.remove_all(places_between(old.id, header.behind(), old.behind()))?;
            tx.keep(key, Some(&old), &header)
        })
    }

    /// Takes an element from one end of a list and puts it to one of another, or of the same; gives it, or `None` where
    /// there is no list. Cost: one.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::push`].
    pub fn l_move(&mut self, from: &[u8], to: &[u8], take: End, put: End) -> Result<Option<Vec<u8>>> {
        self.whole(|tx| {
            let Some(old) = tx.find(from, Type::List)? else { return Ok(None) };
            let mut header = old.clone();
            let element = tx.pop_one(&mut header, take)?;
            if from == to {
                // One list, which keeps its expiry also where this was all that it had.
                tx.push_one(&mut header, put, &element)?;
            }
            tx.keep(from, Some(&old), &header)?;
            if from != to {
                tx.push(to, put, &[&element])?;
            }
            Ok(Some(element))
        })
    }
}

/// Where an index leads.
fn place_at(header: &Header, index: i64) -> Option<u64> {
    let index = from_start(header.count, index)?;
    (index < header.count).then(|| header.first + index)
}

/// An index from the start, of which a negative one counts from the end; `None` before the start.
fn from_start(count: u64, index: i64) -> Option<u64> {
    if index < 0 { count.checked_sub(index.unsigned_abs()) } else { Some(index.unsigned_abs()) }
}

/// From `start` to `stop`, both included, as a half-open range of indexes; `None` where there is nothing between them.
pub(super) fn span(count: u64, start: i64, stop: i64) -> Option<(u64, u64)> {
    let start = from_start(count, start).unwrap_or(0);
    let end = (from_start(count, stop)? + 1).min(count);
    (start < end).then_some((start, end))
}
