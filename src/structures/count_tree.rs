//! How many members of a sorted set lie before a place, at a cost that grows with the logarithm of the set.
//!
//! A set of up to [`PART_MAX`] members is walked over. Above that, level 1 has a row for each part of the order: where it
//! begins, and how many members it has. A row of a level above has the same of some rows of the level below it that lie
//! side by side, and how many those are. The uppermost level is walked over, too. What lies before a place is what the
//! rows before it count, level by level, and the members before it in one part.
//!
//! Invariants: the first row of each level begins at the empty place, so that every place is in a part. A row begins where
//! the first row below it does. A part that grows is cut, a row below or beside another of the same row above that
//! becomes small is joined with that, so that parts stay between a few members and [`PART_MAX`], and all parts have
//! the same number of levels above them.
#![forbid(unsafe_code)]

use super::access::Step;
use super::header::{Header, Tree};
use super::rows::{count_key, counted_from, counts, damaged, order_between, place_of};
use super::transaction::StructureTransaction;
use crate::coding::{put_varint, take_varint};
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{RowRange, successor};

/// The most members of a part.
const PART_MAX: u64 = 1024;

/// The most rows below one row, and of the uppermost level.
const ROWS_MAX: u64 = 128;

/// A change of the number of members at a place, or of a row that begins there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) place: Vec<u8>,
    pub(super) members: i64,
    /// Of the rows of the level below.
    rows: i64,
}

impl Change {
    /// A member comes (1) or goes (-1).
    pub(super) fn of_member(place: Vec<u8>, members: i64) -> Self {
        Self { place, members, rows: 0 }
    }
}

/// A row that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    start: Vec<u8>,
    members: u64,
    /// How many rows of the level below it stands for; 0 at level 1.
    rows: u64,
}

impl Node {
    /// By what a level measures how large its rows are, and the most of it.
    fn size(&self, level: u8) -> (u64, u64) {
        if level == 1 { (self.members, PART_MAX) } else { (self.rows, ROWS_MAX) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(4);
        put_varint(&mut value, self.members);
        put_varint(&mut value, self.rows);
        value
    }

    fn decode(row: &[u8], mut value: &[u8]) -> Result<Self> {
        let numbers = take_varint(&mut value).zip(take_varint(&mut value));
        match numbers {
            Some((members, rows)) if value.is_empty() => {
                Ok(Self { start: counted_from(row).to_vec(), members, rows })
            }
            _ => Err(damaged(row, "it counts nothing")),
        }
    }
}

/// The rows of a level from one that begins at `start` to the end of the level.
fn level_from(id: u64, level: u8, start: &[u8]) -> RowRange {
    let end = if level == u8::MAX { counts(id).end } else { count_key(id, level + 1, &[]) };
    RowRange { start: count_key(id, level, start), end }
}

/// The rows of a level that begin at or before a place, from one that begins at `start` on.
fn level_to(id: u64, level: u8, start: &[u8], place: &[u8]) -> RowRange {
    RowRange { start: count_key(id, level, start), end: successor(&count_key(id, level, place)) }
}

impl StructureTransaction {
    /// How many members have a place before this one. Cost: the logarithm of the set.
    pub(super) fn count_before(&mut self, header: &Header, place: &[u8]) -> Result<u64> {
        let mut before = 0;
        let mut part = Vec::new();
        for level in (1..=header.tree.depth).rev() {
            let mut last: Option<Node> = None;
            self.walk(&level_to(header.id, level, &part, place), Direction::Forward, |row, value| {
                let node = Node::decode(row, value)?;
                before += last.replace(node).map_or(0, |passed| passed.members);
                Ok(Step::Continue(()))
            })?;
            part = last.ok_or_else(|| missing(header, level))?.start;
        }
        self.walk(&order_between(header.id, &part, Some(place)), Direction::Forward, |_, _| {
            before += 1;
            Ok(Step::Continue(()))
        })?;
        Ok(before)
    }

    /// A place at or before the member of this rank, and how many members lie between them. Cost: the logarithm of the
    /// set.
    pub(super) fn place_before(&mut self, header: &Header, rank: u64) -> Result<(Vec<u8>, u64)> {
        let (mut part, mut left) = (Vec::new(), rank);
        for level in (1..=header.tree.depth).rev() {
            let mut found = None;
            self.walk(&level_from(header.id, level, &part), Direction::Forward, |row, value| {
                let node = Node::decode(row, value)?;
                if left < node.members {
                    found = Some(node.start);
                    return Ok(Step::Break(()));
                }
                left -= node.members;
                Ok(Step::Continue(()))
            })?;
            part = found.ok_or_else(|| missing(header, level))?;
        }
        Ok((part, left))
    }

    /// Has the rows that count, and the header, follow changes of the order that are made already.
    pub(super) fn recount(&mut self, header: &mut Header, mut changes: Vec<Change>) -> Result<()> {
        if header.tree.depth == 0 {
            return if header.count > PART_MAX { self.plant(header) } else { Ok(()) };
        }
        changes.sort_unstable_by(|a, b| a.place.cmp(&b.place));
        for level in 1..=header.tree.depth {
            changes = self.recount_level(header, level, changes)?;
        }
        let rows: i64 = changes.iter().map(|change| change.rows).sum();
        header.tree.top = header.tree.top.saturating_add_signed(rows);
        while header.tree.top > ROWS_MAX {
            self.grow(header)?;
        }
        self.shrink(header)
    }

    /// The first row of a set that has become too large to be walked over.
    fn plant(&mut self, header: &mut Header) -> Result<()> {
        let whole = Node { start: Vec::new(), members: header.count, rows: 0 };
        header.tree = Tree { depth: 1, top: 1 };
        self.put_node(header.id, 1, &whole)?;
        header.tree.top += self.cut(header, 1, &whole)?;
        while header.tree.top > ROWS_MAX {
            self.grow(header)?;
        }
        Ok(())
    }

    /// Puts a level above the uppermost, with a row for all of that, which is cut.
    fn grow(&mut self, header: &mut Header) -> Result<()> {
        let whole = Node { start: Vec::new(), members: header.count, rows: header.tree.top };
        header.tree = Tree { depth: header.tree.depth + 1, top: 1 };
        self.put_node(header.id, header.tree.depth, &whole)?;
        header.tree.top += self.cut(header, header.tree.depth, &whole)?;
        Ok(())
    }

    /// Takes levels away that have one row only.
    fn shrink(&mut self, header: &mut Header) -> Result<()> {
        while header.tree.depth > 0 && header.tree.top == 1 {
            let only = self.node_at(header, header.tree.depth, &[])?;
            self.remove(count_key(header.id, header.tree.depth, &only.start))?;
            header.tree.depth -= 1;
            header.tree.top = only.rows;
        }
        Ok(())
    }

    /// Has the rows of one level follow changes, which are in order, and gives those for the level above, in order.
    fn recount_level(&mut self, header: &Header, level: u8, changes: Vec<Change>) -> Result<Vec<Change>> {
        let mut above: Vec<Change> = Vec::new();
        let mut changes = changes.into_iter().peekable();
        while let Some(first) = changes.next() {
            let mut node = self.node_at(header, level, &first.place)?;
            let (mut members, mut rows) = (first.members, first.rows);
            if changes.peek().is_some() {
                let end = self.node_behind(header, level, &node.start)?.map(|next| next.start);
                let is_in = |change: &Change| end.as_ref().is_none_or(|end| change.place < *end);
                while let Some(change) = changes.next_if(is_in) {
                    members += change.members;
                    rows += change.rows;
                }
            }
            if members == 0 && rows == 0 {
                continue;
            }
            node.members = node.members.saturating_add_signed(members);
            node.rows = node.rows.saturating_add_signed(rows);
            let mut change = Change { place: node.start.clone(), members, rows: 0 };
            let (size, size_max) = node.size(level);
            self.put_node(header.id, level, &node)?;
            if size > size_max {
                change.rows = self.cut(header, level, &node)?.cast_signed();
            } else if size < size_max / 8 && (members < 0 || rows < 0) {
                change.rows = self.join(header, level, node)?;
            }
            above.push(change);
        }
        Ok(above)
    }

    /// Cuts a row into several of about the same size, none of them larger than three quarters of the most, and returns how
    /// many rows more there are.
    fn cut(&mut self, header: &Header, level: u8, node: &Node) -> Result<u64> {
        let (size, size_max) = node.size(level);
        let parts = size.div_ceil(size_max / 4 * 3);
        if parts < 2 {
            return Ok(0);
        }
        let nodes = if level == 1 {
            self.cut_members(header, node, parts)?
        } else {
            self.cut_rows(header, level, node, parts)?
        };
        nodes.iter().try_for_each(|node| self.put_node(header.id, level, node))?;
        Ok(nodes.len() as u64 - 1)
    }

    fn cut_members(&mut self, header: &Header, node: &Node, parts: u64) -> Result<Vec<Node>> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut passed = 0;
        self.walk(&order_between(header.id, &node.start, None), Direction::Forward, |row, _| {
            if passed == node.members {
                return Ok(Step::Break(()));
            }
            if passed == nodes.len() as u64 * node.members / parts {
                let start = if nodes.is_empty() { node.start.clone() } else { place_of(row).to_vec() };
                nodes.push(Node { start, members: 0, rows: 0 });
            }
            if let Some(last) = nodes.last_mut() {
                last.members += 1;
            }
            passed += 1;
            Ok(Step::Continue(()))
        })?;
        if passed == node.members { Ok(nodes) } else { Err(missing(header, 1)) }
    }

    fn cut_rows(&mut self, header: &Header, level: u8, node: &Node, parts: u64) -> Result<Vec<Node>> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut passed = 0;
        self.walk(&level_from(header.id, level - 1, &node.start), Direction::Forward, |row, value| {
            if passed == node.rows {
                return Ok(Step::Break(()));
            }
            let below = Node::decode(row, value)?;
            if passed == nodes.len() as u64 * node.rows / parts {
                nodes.push(Node { start: below.start, members: 0, rows: 0 });
            }
            if let Some(last) = nodes.last_mut() {
                last.members += below.members;
                last.rows += 1;
            }
            passed += 1;
            Ok(Step::Continue(()))
        })?;
        if passed == node.rows { Ok(nodes) } else { Err(missing(header, level)) }
    }

    /// Joins a small row with one beside it that has the same row above it, where the two make no large one. Returns how the
    /// number of rows changes.
    fn join(&mut self, header: &Header, level: u8, node: Node) -> Result<i64> {
        if let Some(next) = self.node_behind(header, level, &node.start)?
            && self.is_joinable(header, level, &node, &next)?
        {
            return self.join_two(header.id, level, node, &next);
        }
        if let Some(previous) = self.node_ahead(header, level, &node.start)?
            && self.is_joinable(header, level, &previous, &node)?
        {
            return self.join_two(header.id, level, previous, &node);
        }
        Ok(0)
    }

    fn is_joinable(&mut self, header: &Header, level: u8, left: &Node, right: &Node) -> Result<bool> {
        let ((left_size, size_max), (right_size, _)) = (left.size(level), right.size(level));
        if left_size + right_size > size_max / 2 {
            return Ok(false);
        }
        if level == header.tree.depth {
            return Ok(true);
        }
        // The right one is below another row above where it is the first of those.
        let above = self.node_at(header, level + 1, &right.start)?;
        Ok(above.start != right.start)
    }

    fn join_two(&mut self, id: u64, level: u8, left: Node, right: &Node) -> Result<i64> {
        let (members, rows) = (left.members + right.members, left.rows + right.rows);
        self.put_node(id, level, &Node { members, rows, ..left })?;
        self.remove(count_key(id, level, &right.start))?;
        Ok(-1)
    }

    fn put_node(&mut self, id: u64, level: u8, node: &Node) -> Result<()> {
        self.put(count_key(id, level, &node.start), node.encode())
    }

    /// The row of a level in whose part a place is.
    fn node_at(&mut self, header: &Header, level: u8, place: &[u8]) -> Result<Node> {
        let range = level_to(header.id, level, &[], place);
        let found = self.first_row(&range, Direction::Reverse)?;
        let (row, value) = found.ok_or_else(|| missing(header, level))?;
        Node::decode(&row, &value)
    }

    /// The row that follows the one that begins at `start`.
    fn node_behind(&mut self, header: &Header, level: u8, start: &[u8]) -> Result<Option<Node>> {
        let mut range = level_from(header.id, level, start);
        range.start = successor(&range.start);
        let found = self.first_row(&range, Direction::Forward)?;
        found.map(|(row, value)| Node::decode(&row, &value)).transpose()
    }

    /// The row before the one that begins at `start`.
    fn node_ahead(&mut self, header: &Header, level: u8, start: &[u8]) -> Result<Option<Node>> {
        let range =
            RowRange { start: count_key(header.id, level, &[]), end: count_key(header.id, level, start) };
        let found = self.first_row(&range, Direction::Reverse)?;
        found.map(|(row, value)| Node::decode(&row, &value)).transpose()
    }
}

fn missing(header: &Header, level: u8) -> crate::error::Error {
    damaged(&count_key(header.id, level, &[]), "the rows that count a sorted set are not all there")
}
