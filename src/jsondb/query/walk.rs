//! Walking the rows of an access, some at a time, in either direction.
//!
//! Invariant: rows of one index key come in ascending order of the primary key, whatever the direction. Backwards, the
//! rows are read in reverse and each group of one key is turned round; a group that is longer than what is read at once
//! is walked forwards instead, so that memory stays bounded.

use std::collections::VecDeque;

use super::access::{Access, Piece, Target};
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::conflict::{ReadSet, successor};
use crate::jsondb::key::Key;
use crate::jsondb::overlay::Overlay;
use crate::jsondb::rows::{
    RowRange, StoredDocument, damaged, decode_document_key, decode_key, document_key_in, index_row_keys,
};
use crate::jsondb::view::{Base, LentRow, Sight};

/// A batch of documents ends after so many bytes.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// What was read so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) index_rows: u64,
    pub(super) documents: u64,
    /// Rows that were looked at to choose a plan.
    pub(super) sampled: u64,
}

impl Counts {
    /// Everything that was read to answer.
    pub(super) fn reads(&self) -> u64 {
        self.index_rows + self.documents
    }
}

/// A document that a row leads to, with the document where the row is that of the document itself.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) stored: Option<StoredDocument>,
    /// When the row, and the document with it, expires; 0 is never.
    pub(super) expires_at: u64,
}

/// The key by which a row lies in its order, where rows that have the same one are to be turned round, and where it
/// leads.
type Keyed = (Option<Key>, Entry);

/// What the rows of a walk are.
#[derive(Debug, Clone)]
enum Kind {
    Documents,
    Index {
        is_unique: bool,
    },
    /// Each row has a primary key behind the prefix.
    List,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    prefix: Vec<u8>,
    kind: Kind,
    pieces: VecDeque<Piece>,
}

impl Walk {
    pub(super) fn new(access: &Access, direction: Direction) -> Self {
        let Target { index, prefix, is_unique, .. } = &access.target;
        let kind = if index.is_none() { Kind::Documents } else { Kind::Index { is_unique: *is_unique } };
        let mut pieces = access.pieces.clone();
        if direction == Direction::Reverse {
            pieces = pieces.into_iter().rev().map(backwards).collect();
        }
        Self { prefix: prefix.clone(), kind, pieces }
    }

    /// A walk over rows of a list, which begin with the start of the range.
    pub(super) fn list(range: RowRange) -> Self {
        let prefix = range.start.clone();
        Self { prefix, kind: Kind::List, pieces: VecDeque::from([Piece::Range(range, Direction::Forward)]) }
    }

    pub(super) fn is_done(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Takes out the rows that come next, where they lie side by side and are walked forwards. What is left of them is to
    /// be given back.
    pub(super) fn take_forwards(&mut self) -> Option<RowRange> {
        if !self.goes_forwards() {
            return None;
        }
        match self.pieces.pop_front() {
            Some(Piece::Range(range, _)) => Some(range),
            _ => None,
        }
    }

    /// Whether there are such rows.
    pub(super) fn goes_forwards(&self) -> bool {
        let is_listed = matches!(self.kind, Kind::List);
        !is_listed && matches!(self.pieces.front(), Some(Piece::Range(_, Direction::Forward)))
    }

    /// Gives back the rows of `range` behind `last`, and notes that those before were read.
    pub(super) fn give_back(&mut self, sight: &mut Sight<'_>, range: RowRange, last: Option<&[u8]>) {
        sight.base.walked(sight.overlay, sight.reads, passed(&range, Direction::Forward, last));
        if let Some(last) = last {
            let rest = RowRange { start: successor(last), end: range.end };
            self.pieces.push_front(Piece::Range(rest, Direction::Forward));
        }
    }

    /// The primary key that a row leads to, where it lies.
    #[inline]
    pub(super) fn key_of<'a>(&self, row: &'a [u8], value: &'a [u8]) -> Result<&'a [u8]> {
        match self.kind {
            Kind::Documents => document_key_in(row, &self.prefix),
            Kind::Index { is_unique } => Ok(index_row_keys(row, value, &self.prefix, is_unique)?.1),
            Kind::List => {
                Err(damaged("the row of a list", row, "it was taken for one of documents or of an index"))
            }
        }
    }

    /// Whether its rows are the documents themselves.
    pub(super) fn is_over_documents(&self) -> bool {
        matches!(self.kind, Kind::Documents)
    }

    /// The next entries, about `rows_max` of them; none only at the end.
    pub(super) fn next_batch(
        &mut self,
        sight: &mut Sight<'_>,
        rows_max: usize,
        counts: &mut Counts,
    ) -> Result<Vec<Entry>> {
        self.read(sight.base, sight.overlay, Some(sight.reads), rows_max, counts)
    }

    /// As [`Walk::next_batch`], without noting that it was read: for choosing a plan, on which no answer depends.
    pub(super) fn peek_batch(
        &mut self,
        sight: &Sight<'_>,
        rows_max: usize,
        counts: &mut Counts,
    ) -> Result<Vec<Entry>> {
        self.read(sight.base, sight.overlay, None, rows_max, counts)
    }

    fn read(
        &mut self,
        base: &Base,
        overlay: &Overlay,
        mut reads: Option<&mut ReadSet>,
        rows_max: usize,
        counts: &mut Counts,
    ) -> Result<Vec<Entry>> {
        let mut batch = Vec::new();
        while batch.len() < rows_max {
            let Some(piece) = self.pieces.pop_front() else { break };
            match piece {
                Piece::Row(row) => {
                    let mut unnoted = ReadSet::default();
                    let reads = reads.as_deref_mut().unwrap_or(&mut unnoted);
                    if let Some(value) = base.read_value(overlay, reads, &row)? {
                        self.count(counts);
                        batch.push(self.entry(&row, &value.bytes, value.expires_at, false)?.1);
                    }
                }
                Piece::Range(range, direction) => {
                    let room = rows_max - batch.len();
                    let (rows, last) = self.read_range(base, overlay, &range, direction, room)?;
                    rows.iter().for_each(|_| self.count(counts));
                    if let Some(reads) = reads.as_deref_mut() {
                        base.walked(overlay, reads, passed(&range, direction, last.as_deref()));
                    }
                    match direction {
                        Direction::Forward => batch.extend(self.forwards(range, rows, last)),
                        Direction::Reverse => batch.extend(self.turned(range, rows, last)),
                    }
                    if self.is_over_documents() && bytes_of(&batch) >= BATCH_BYTES_MAX {
                        break;
                    }
                }
            }
        }
        Ok(batch)
    }

    /// Counts a row.
    #[inline]
    pub(super) fn count(&self, counts: &mut Counts) {
        let counter = if self.is_over_documents() { &mut counts.documents } else { &mut counts.index_rows };
        *counter += 1;
    }

    /// The first rows of `range`, and the key of the last one where there may be more.
    fn read_range(
        &self,
        base: &Base,
        overlay: &Overlay,
        range: &RowRange,
        direction: Direction,
        rows_max: usize,
    ) -> Result<(Vec<Keyed>, Option<Vec<u8>>)> {
        let mut rows = base.rows(overlay, range, direction)?;
        let (mut read, mut bytes) = (Vec::new(), 0);
        let turns = direction == Direction::Reverse && self.has_ties();
        while rows.advance()? {
            let Some(LentRow { key: row, value, expires_at }) = rows.lent() else { break };
            bytes += value.len();
            read.push(self.entry(row, value, expires_at, turns)?);
            if read.len() >= rows_max || bytes >= BATCH_BYTES_MAX {
                return Ok((read, Some(row.to_vec())));
            }
        }
        Ok((read, None))
    }

    fn entry(&self, row: &[u8], value: &[u8], expires_at: u64, turns: bool) -> Result<Keyed> {
        match self.kind {
            Kind::Documents => {
                let key = decode_document_key(row, &self.prefix)?;
                let stored = StoredDocument::decode(value, row)?;
                Ok((None, Entry { key, stored: Some(stored), expires_at }))
            }
            Kind::Index { is_unique } => {
                let (index_key, key) = index_row_keys(row, value, &self.prefix, is_unique)?;
                let key = Key::of_checked(key);
                Ok((turns.then(|| Key::of_checked(index_key)), Entry { key, stored: None, expires_at }))
            }
            Kind::List => {
                let key = decode_key(row.get(self.prefix.len()..).unwrap_or_default().to_vec(), row)?;
                Ok((None, Entry { key, stored: None, expires_at }))
            }
        }
    }

    /// Whether several rows may have one key.
    fn has_ties(&self) -> bool {
        matches!(self.kind, Kind::Index { is_unique: false })
    }

    fn forwards(&mut self, range: RowRange, rows: Vec<Keyed>, last: Option<Vec<u8>>) -> Vec<Entry> {
        if let Some(last) = last {
            let rest = RowRange { start: successor(&last), end: range.end };
            self.pieces.push_front(Piece::Range(rest, Direction::Forward));
        }
        rows.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The rows that were read backwards, with those of one key turned round.
    fn turned(&mut self, range: RowRange, mut rows: Vec<Keyed>, last: Option<Vec<u8>>) -> Vec<Entry> {
        let has_ties = self.has_ties();
        if let Some(last) = last {
            let mut rest = RowRange { start: range.start, end: last };
            // There may be more rows with the last key: they are read again, forwards.
            if has_ties && let Some(key) = rows.last().and_then(|(key, _)| key.clone()) {
                rows.retain(|(other, _)| other.as_ref() != Some(&key));
                let group = RowRange::prefix([&self.prefix, key.as_bytes()].concat());
                rest.end.clone_from(&group.start);
                self.pieces.push_front(Piece::Range(rest, Direction::Reverse));
                self.pieces.push_front(Piece::Range(group, Direction::Forward));
            } else {
                self.pieces.push_front(Piece::Range(rest, Direction::Reverse));
            }
        }
        if has_ties {
            rows.chunk_by_mut(|(a, _), (b, _)| a == b).for_each(<[_]>::reverse);
        }
        rows.into_iter().map(|(_, entry)| entry).collect()
    }
}

fn backwards(piece: Piece) -> Piece {
    match piece {
        Piece::Range(range, _) => Piece::Range(range, Direction::Reverse),
        row @ Piece::Row(_) => row,
    }
}

/// The part of `range` that a walk to `last` has been through.
fn passed(range: &RowRange, direction: Direction, last: Option<&[u8]>) -> RowRange {
    let mut passed = range.clone();
    match (last, direction) {
        (None, _) => {}
        (Some(last), Direction::Forward) => passed.end = successor(last),
        (Some(last), Direction::Reverse) => passed.start = last.to_vec(),
    }
    passed
}

fn bytes_of(batch: &[Entry]) -> usize {
    batch.iter().map(|entry| entry.stored.as_ref().map_or(0, |stored| stored.document.bytes.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_walk_has_been_through_has_its_last_row_and_nothing_behind_it() {
        let range = RowRange { start: b"b".to_vec(), end: b"y".to_vec() };
        let forward = passed(&range, Direction::Forward, Some(b"m"));
        let reverse = passed(&range, Direction::Reverse, Some(b"m"));

        let held = |range: &RowRange| {
            [&b"a"[..], b"b", b"l", b"m", b"m0", b"x", b"y"].map(|key| range.contains(key))
        };
        assert_eq!(held(&forward), [false, true, true, true, false, false, false]);
        assert_eq!(held(&reverse), [false, false, false, true, true, true, false]);
        assert_eq!(held(&passed(&range, Direction::Forward, None)), held(&range));
    }
}
