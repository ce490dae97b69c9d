//! Ranges of a sorted set: by rank, by score, or by the bytes of members of the same score; reading, counting and removing
//! them.
//!
//! Every range is one of places in the order, or of ranks. The count tree leads from one to the other, so that a range costs
//! what it gives and the logarithm of the set.
#![forbid(unsafe_code)]

use super::Type;
use super::access::Step;
use super::header::Header;
use super::lists::span;
use super::number::{check_score, order_of_score, score_of_order};
use super::rows::{damaged, order, order_between, order_key, place_in_order, place_of};
use super::sorted_sets::Scored;
use super::transaction::StructureTransaction;
use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::jsondb::{RowRange, successor};

/// The end of a range of scores. An infinity is a score as any other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScoreBound {
    /// This score is in the range.
    Included(f64),
    /// It is not.
    Excluded(f64),
}

/// The end of a range of members of the same score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextBound<'a> {
    /// Before every member (`-`).
    First,
    /// Behind every member (`+`).
    Last,
    /// This member is in the range (`[`).
    Included(&'a [u8]),
    /// It is not (`(`).
    Excluded(&'a [u8]),
}

/// Members of a sorted set that lie side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SortedRange<'a> {
    /// From one rank to another, both included; negative ones count from the end. Read in reverse, they count in that
    /// order.
    Rank(i64, i64),
    /// From one score to another.
    Score(ScoreBound, ScoreBound),
    /// From one member to another, where all have the same score; where not, those with the lowest.
    Lex(TextBound<'a>, TextBound<'a>),
}

/// Which part of a range is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So many members of it are passed over; of a negative number all.
    pub offset: i64,
    /// So many are given; of a negative number all that are left.
    pub count: i64,
}

impl Limit {
    /// The whole range.
    pub const NONE: Self = Self { offset: 0, count: -1 };

    /// How many are passed over and how many given; `None` for nothing.
    fn resolve(self) -> Option<(u64, u64)> {
        let count = if self.count < 0 { u64::MAX } else { self.count.unsigned_abs() };
        Some((u64::try_from(self.offset).ok()?, count))
    }
}

/// A range as the rows have it.
enum Span {
    Ranks(u64, u64),
    Places(RowRange),
}

impl StructureTransaction {
    /// The members of a range of the sorted set under `key` with their scores, in their order or, if `reverse`, in the
    /// opposite one. Cost: the logarithm of *n*, and one for each that is given.
    ///
    /// # Errors
    ///
    /// `WrongType`, `InvalidValue` for a bound that is NaN, `InvalidArgument` for a limit on ranks, and as for
    /// [`StructureTransaction::exists`].
    pub fn z_range(
        &mut self,
        key: &[u8],
        range: SortedRange<'_>,
        reverse: bool,
        limit: Limit,
    ) -> Result<Vec<Scored>> {
        if matches!(range, SortedRange::Rank(..)) && limit != Limit::NONE {
            let message = "LIMIT is only supported in combination with either BYSCORE or BYLEX";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let Some(header) = self.find(key, Type::SortedSet)? else { return Ok(Vec::new()) };
        let Some((offset, count)) = limit.resolve() else { return Ok(Vec::new()) };
        match self.span_of(&header, range, reverse)? {
            Span::Ranks(start, end) => self.read_ranks(&header, start, end, reverse),
            Span::Places(places) if offset == 0 => self.read_places(&places, count, reverse),
            Span::Places(places) => {
                let (start, end) = self.ranks_of(&header, &places)?;
                let passed = offset.min(end - start);
                let given = count.min(end - start - passed);
                let start = if reverse { end - passed - given } else { start + passed };
                self.read_ranks(&header, start, start + given, reverse)
            }
        }
    }

    /// The member of this rank in the sorted set under `key`, from the start or, if `reverse`, from the end; a negative
    /// one counts from the other side. Cost: the logarithm of *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_range`].
    pub fn z_get_by_rank(&mut self, key: &[u8], rank: i64, reverse: bool) -> Result<Option<Scored>> {
        Ok(self.z_range(key, SortedRange::Rank(rank, rank), reverse, Limit::NONE)?.pop())
    }

    /// How many members of the sorted set under `key` are in a range. Cost: the logarithm of *n*.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_range`].
    pub fn z_count(&mut self, key: &[u8], range: SortedRange<'_>) -> Result<u64> {
        let Some(header) = self.find(key, Type::SortedSet)? else { return Ok(0) };
        let (start, end) = match self.span_of(&header, range, false)? {
            Span::Ranks(start, end) => (start, end),
            Span::Places(places) => self.ranks_of(&header, &places)?,
        };
        Ok(end - start)
    }

    /// Takes the members of a range out of the sorted set under `key`, and returns how many they were. Cost: the logarithm
    /// of *n* for each.
    ///
    /// # Errors
    ///
    /// As for [`StructureTransaction::z_range`] and [`StructureTransaction::delete`].
    pub fn z_rem_range(&mut self, key: &[u8], range: SortedRange<'_>) -> Result<u64> {
        self.whole(|tx| {
            let members = tx.z_range(key, range, false, Limit::NONE)?;
            tx.remove_all_scored(key, &members)?;
            Ok(members.len() as u64)
        })
    }

    /// Takes up to `count` members with the lowest scores out of the sorted set under `key`, and gives them. Cost: the
    /// logarithm of *n* for each.
    ///
    /// # Errors
    ///
    /// `WrongType`, and as for [`StructureTransaction::delete`].
    pub fn z_pop_min(&mut self, key: &[u8], count: u64) -> Result<Vec<Scored>> {
        self.z_pop(key, count, false)
    }

    /// As [`StructureTransaction::z_pop_min`], with the highest scores, from the highest on.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn z_pop_max(&mut self, key: &[u8], count: u64) -> Result<Vec<Scored>> {
        self.z_pop(key, count, true)
    }

    fn z_pop(&mut self, key: &[u8], count: u64, reverse: bool) -> Result<Vec<Scored>> {
        self.whole(|tx| {
            let Some(header) = tx.find(key, Type::SortedSet)? else { return Ok(Vec::new()) };
            let members = tx.read_places(&order(header.id), count, reverse)?;
            tx.remove_all_scored(key, &members)?;
            Ok(members)
        })
    }

    /// All members of a sorted set in their order.
    pub(super) fn scored_of(&mut self, header: &Header) -> Result<Vec<Scored>> {
        self.read_places(&order(header.id), u64::MAX, false)
    }

    fn span_of(&mut self, header: &Header, range: SortedRange<'_>, reverse: bool) -> Result<Span> {
        match range {
            SortedRange::Rank(start, stop) => {
                let (start, end) = span(header.count, start, stop).unwrap_or((0, 0));
                let turned = (header.count - end, header.count - start);
                let (start, end) = if reverse { turned } else { (start, end) };
                Ok(Span::Ranks(start, end))
            }
            SortedRange::Score(min, max) => Ok(Span::Places(places_of_scores(header, min, max)?)),
            SortedRange::Lex(min, max) => {
                let first = self.first_row(&order(header.id), Direction::Forward)?;
                let (row, _) =
                    first.ok_or_else(|| damaged(&order_key(header.id, &[]), "it has no members"))?;
                let score = decode_place(&row)?.score;
                let start = text_start(header.id, score, min);
                let end = text_end(header.id, score, max);
                Ok(Span::Places(RowRange { start, end }))
            }
        }
    }

    /// The ranks of the members at these places.
    fn ranks_of(&mut self, header: &Header, places: &RowRange) -> Result<(u64, u64)> {
        if places.is_empty() {
            return Ok((0, 0));
        }
        let start = self.count_before(header, place_of(&places.start))?;
        let end = if places.end == order(header.id).end {
            header.count
        } else {
            self.count_before(header, place_of(&places.end))?
        };
        if start <= end && end <= header.count {
            return Ok((start, end));
        }
        Err(damaged(&places.start, "a sorted set has not the members that are counted"))
    }

    /// The members from one rank (inclusive) to another (exclusive).
    fn read_ranks(&mut self, header: &Header, start: u64, end: u64, reverse: bool) -> Result<Vec<Scored>> {
        let mut found = Vec::new();
        if start >= end {
            return Ok(found);
        }
        let (place, mut passed) = self.place_before(header, start)?;
        let count = end - start;
        self.walk(&order_between(header.id, &place, None), Direction::Forward, |row, _| {
            if passed > 0 {
                passed -= 1;
                return Ok(Step::Continue(()));
            }
            found.push(decode_place(row)?);
            Ok(if found.len() as u64 == count { Step::Break(()) } else { Step::Continue(()) })
        })?;
        if found.len() as u64 != count {
            return Err(damaged(&order_key(header.id, &place), "members of a sorted set are not there"));
        }
        if reverse {
            found.reverse();
        }
        Ok(found)
    }

    /// The first members at these places.
    fn read_places(&mut self, places: &RowRange, count: u64, reverse: bool) -> Result<Vec<Scored>> {
        let mut found = Vec::new();
        if count == 0 || places.is_empty() {
            return Ok(found);
        }
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        self.walk(places, direction, |row, _| {
            found.push(decode_place(row)?);
            Ok(if found.len() as u64 == count { Step::Break(()) } else { Step::Continue(()) })
        })?;
        Ok(found)
    }
}

/// The member and the score that stand in the key of a row of the order.
fn decode_place(row: &[u8]) -> Result<Scored> {
    let read = |place: &[u8]| {
        let (order, member) = place.split_first_chunk::<8>()?;
        Some(Scored { member: member.to_vec(), score: score_of_order(u64::from_be_bytes(*order))? })
    };
    read(place_of(row)).ok_or_else(|| damaged(row, "it holds no score"))
}

fn places_of_scores(header: &Header, min: ScoreBound, max: ScoreBound) -> Result<RowRange> {
    // The bits of scores are numbers that follow each other, and those of NaN lie beyond the infinities.
    let start = match min {
        ScoreBound::Included(score) => bits_of(score)?,
        ScoreBound::Excluded(score) => bits_of(score)? + 1,
    };
    let end = match max {
        ScoreBound::Included(score) => bits_of(score)? + 1,
        ScoreBound::Excluded(score) => bits_of(score)?,
    };
    Ok(order_between(header.id, &start.to_be_bytes(), Some(&end.to_be_bytes())))
}

fn bits_of(score: f64) -> Result<u64> {
    check_score(score)?;
    Ok(order_of_score(score))
}

fn text_start(id: u64, score: f64, bound: TextBound<'_>) -> Vec<u8> {
    match bound {
        TextBound::First => order_key(id, &place_in_order(score, &[])),
        TextBound::Last => behind_score(id, score),
        TextBound::Included(member) => order_key(id, &place_in_order(score, member)),
        TextBound::Excluded(member) => successor(&order_key(id, &place_in_order(score, member))),
    }
}

fn text_end(id: u64, score: f64, bound: TextBound<'_>) -> Vec<u8> {
    match bound {
        TextBound::Included(member) => successor(&order_key(id, &place_in_order(score, member))),
        TextBound::Excluded(member) => order_key(id, &place_in_order(score, member)),
        TextBound::First | TextBound::Last => text_start(id, score, bound),
    }
}

/// Behind every member of a score.
fn behind_score(id: u64, score: f64) -> Vec<u8> {
    order_key(id, &(order_of_score(score) + 1).to_be_bytes())
}
