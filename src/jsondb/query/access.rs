//! What may be walked for a query: the documents themselves by their keys, or an index, and which of its rows.
//!
//! Invariant: with what is `left_out` of it, an access leads to every document that passes the query's conditions, and
//! to each once. A multi-entry index has a document under several keys, but is walked at a single one, or at keys that a
//! document has only where it is no array and so has one entry.

use std::collections::VecDeque;

use super::Order;
use super::condition::PathTest;
use super::span::Span;
use crate::engine::Direction;
use crate::jsondb::key::{ARRAY, ARRAY_END, Key};
use crate::jsondb::rows::{Gap, RowRange, document_prefix, gap_range, index_prefix};
use crate::jsondb::schema::{IndexDef, KeyPath, StoreDef};

/// An index is walked in so many pieces at most; beyond that, of a condition with many keys only the first parts of a
/// compound key are used.
const PIECES_MAX: usize = 10_000;

/// Rows that lie in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The name of the index; `None` for the documents themselves.
    pub(super) index: Option<String>,
    pub(super) prefix: Vec<u8>,
    /// The paths of its key; none for documents whose keys are not in them.
    pub(super) parts: Vec<String>,
    is_compound: bool,
    pub(super) is_multi_entry: bool,
    /// One key has one row, which a point read finds.
    pub(super) is_unique: bool,
    /// Where documents are listed that it has no row for, by the reason; `None` where they are not.
    gaps: Option<(RowRange, RowRange)>,
}

impl Target {
    pub(super) fn documents(store: &StoreDef) -> Self {
        let key_path = store.options.key_path.as_ref();
        Self {
            index: None,
            prefix: document_prefix(store.id),
            parts: key_path.map_or(Vec::new(), |path| path.parts().to_vec()),
            is_compound: matches!(key_path, Some(KeyPath::Many(_))),
            is_multi_entry: false,
            is_unique: true,
            gaps: None,
        }
    }

    fn index(store: &StoreDef, index: &IndexDef) -> Self {
        let options = &index.options;
        Self {
            index: Some(index.name.clone()),
            prefix: index_prefix(store.id, index.id),
            parts: options.key_path.parts().to_vec(),
            is_compound: matches!(options.key_path, KeyPath::Many(_)),
            is_multi_entry: options.multi_entry,
            is_unique: options.unique,
            gaps: index.lists_gaps.then(|| {
                let range = |gap| gap_range(store.id, index.id, gap);
                (range(Gap::NoKey), range(Gap::KeyTooLong))
            }),
        }
    }
}

/// The documents of a store, and its indexes that can be read.
pub(super) fn targets(store: &StoreDef) -> impl Iterator<Item = Target> {
    let indexes = store.indexes.iter().filter(|index| !index.building);
    std::iter::once(Target::documents(store)).chain(indexes.map(|index| Target::index(store, index)))
}

/// Some rows of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// The one row that there can be.
    Row(Vec<u8>),
    /// Rows side by side, to be walked in a direction.
    Range(RowRange, Direction),
}

/// Documents that a target has no row for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// None that could pass.
    Nothing,
    /// Those that are listed here.
    Listed(RowRange),
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) target: Target,
    /// In ascending order.
    pub(super) pieces: VecDeque<Piece>,
    /// The paths whose condition on the value is met by every row.
    pub(super) covered: Vec<String>,
    /// So many of the first parts of the key are the same in all rows.
    fixed: usize,
    pub(super) left_out: LeftOut,
    /// Rows of documents that have a key for each part and none for the whole, which is nearly always none.
    pub(super) too_long: Option<RowRange>,
}

impl Access {
    /// All documents of a store.
    pub(super) fn scan(store: &StoreDef) -> Self {
        let target = Target::documents(store);
        let pieces = whole(&target);
        Self { target, pieces, covered: Vec::new(), fixed: 0, left_out: LeftOut::Nothing, too_long: None }
    }

    /// All rows of an index, where it is known which documents have none.
    pub(super) fn whole(target: &Target, store: &StoreDef) -> Option<Self> {
        let are_keys = !target.is_compound;
        Self::new(target, Reach { pieces: whole(target), covered: Vec::new(), fixed: 0, are_keys }, store)
    }

    /// `None` where documents may be missing and it is not known which.
    fn new(target: &Target, reach: Reach, store: &StoreDef) -> Option<Self> {
        let Reach { pieces, covered, fixed, are_keys } = reach;
        let is_sure = |part: &String| {
            let is_primary = matches!(&store.options.key_path, Some(KeyPath::One(path)) if path == part);
            is_primary || covered.contains(part)
        };
        let can_miss = target.index.is_some() && !target.is_multi_entry;
        let left_out = if !can_miss || target.parts.iter().all(is_sure) {
            LeftOut::Nothing
        } else {
            LeftOut::Listed(target.gaps.as_ref()?.0.clone())
        };
        let too_long = if can_miss && !are_keys { Some(target.gaps.as_ref()?.1.clone()) } else { None };
        Some(Self { target: target.clone(), pieces, covered, fixed, left_out, too_long })
    }

    /// The direction in which the pieces give `order`, with ties in ascending order of the primary key.
    pub(super) fn direction_of(&self, order: &[(String, Order)]) -> Option<Direction> {
        let parts = &self.target.parts;
        let Some((_, first)) = order.first() else {
            let is_by_primary = self.target.index.is_none() || self.is_one_key();
            return is_by_primary.then_some(Direction::Forward);
        };
        let rest = parts.get(self.fixed..).unwrap_or_default();
        let is_in_order = rest.len() == order.len()
            && rest.iter().zip(order).all(|(part, (path, direction))| part == path && direction == first);
        if !is_in_order || self.target.is_multi_entry {
            return None;
        }
        Some(if *first == Order::Ascending { Direction::Forward } else { Direction::Reverse })
    }

    fn is_one_key(&self) -> bool {
        self.pieces.len() <= 1 && self.fixed == self.target.parts.len()
    }

    /// Whether every row is read by a point read.
    pub(super) fn is_points(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Row(_)))
    }

    /// Whether nothing is left to ask of a document that a row leads to.
    pub(super) fn is_exact(&self, tests: &[PathTest]) -> bool {
        tests.iter().all(|test| self.meets(test))
    }

    /// Whether every document that a row leads to passes `test`.
    pub(super) fn meets(&self, test: &PathTest) -> bool {
        test.contains.is_empty() && self.covered.contains(&test.path)
    }
}

/// The rows of a target that `tests` leave; none where they say nothing of its key.
pub(super) fn accesses(target: &Target, tests: &[PathTest], store: &StoreDef) -> Vec<Access> {
    if target.is_multi_entry {
        return multi_entry_accesses(target, tests, store);
    }
    let reach = if target.is_compound { compound_reach(target, tests) } else { single_reach(target, tests) };
    let Some(reach) = reach else { return Vec::new() };
    Access::new(target, reach, store).into_iter().collect()
}

fn whole(target: &Target) -> VecDeque<Piece> {
    VecDeque::from([Piece::Range(RowRange::prefix(target.prefix.clone()), Direction::Forward)])
}

struct Reach {
    pieces: VecDeque<Piece>,
    covered: Vec<String>,
    fixed: usize,
    /// Whatever has a key for each part has one for the whole.
    are_keys: bool,
}

fn spans_at<'a>(tests: &'a [PathTest], path: &str) -> Option<&'a [Span]> {
    let test = tests.iter().find(|test| test.path == path)?;
    test.spans.as_ref().map(|spans| spans.as_slice())
}

fn single_reach(target: &Target, tests: &[PathTest]) -> Option<Reach> {
    let [path] = &target.parts[..] else { return None };
    let spans = spans_at(tests, path)?;
    let pieces = spans.iter().map(|span| piece(target, &target.prefix, span)).collect();
    let fixed = usize::from(matches!(spans, [one] if one.is_point()));
    Some(Reach { pieces, covered: vec![path.clone()], fixed, are_keys: true })
}

/// The parts of a compound key stand one after the other in its encoding, so that the first parts are a prefix of it.
fn compound_reach(target: &Target, tests: &[PathTest]) -> Option<Reach> {
    let mut heads = vec![extended(&target.prefix, &[ARRAY])];
    let (mut covered, mut fixed) = (Vec::new(), 0);
    for part in &target.parts {
        let Some(spans) = spans_at(tests, part) else { break };
        if heads.len() * spans.len() > PIECES_MAX {
            break;
        }
        covered.push(part.clone());
        if !spans.iter().all(Span::is_point) {
            let pieces = heads.iter().flat_map(|head| spans.iter().map(|span| range(head, span))).collect();
            return Some(Reach { pieces, covered, fixed, are_keys: false });
        }
        fixed += usize::from(spans.len() == 1 && heads.len() == 1);
        heads = heads.iter().flat_map(|head| spans.iter().map(|span| extended(head, &span.start))).collect();
    }
    if covered.is_empty() {
        return None;
    }
    if covered.len() < target.parts.len() {
        let pieces = heads.into_iter().map(|head| Piece::Range(RowRange::prefix(head), Direction::Forward));
        return Some(Reach { pieces: pieces.collect(), covered, fixed, are_keys: false });
    }
    heads.iter_mut().for_each(|head| head.push(ARRAY_END));
    let are_keys =
        heads.iter().all(|row| Key::from_encoded(row.get(target.prefix.len()..).unwrap_or_default()).is_ok());
    let piece_of = |row| match target.is_unique {
        true => Piece::Row(row),
        false => Piece::Range(RowRange::prefix(row), Direction::Forward),
    };
    Some(Reach { pieces: heads.into_iter().map(piece_of).collect(), covered, fixed, are_keys })
}

fn multi_entry_accesses(target: &Target, tests: &[PathTest], store: &StoreDef) -> Vec<Access> {
    let [path] = &target.parts[..] else { return Vec::new() };
    let Some(test) = tests.iter().find(|test| test.path == *path) else { return Vec::new() };
    let access = |pieces, fixed| {
        Access::new(target, Reach { pieces, covered: Vec::new(), fixed, are_keys: true }, store)
    };
    let of_key = |key| access(VecDeque::from([piece(target, &target.prefix, &Span::point(key))]), 1);
    let mut accesses: Vec<Access> = test.contains.iter().filter_map(of_key).collect();
    // An array as a whole has no row.
    if let Some(spans) = test.spans.as_ref().filter(|spans| !spans.may_hold_arrays()) {
        let pieces = spans.as_slice().iter().map(|span| piece(target, &target.prefix, span)).collect();
        accesses.extend(access(pieces, usize::from(spans.is_one_point())));
    }
    accesses
}

fn piece(target: &Target, head: &[u8], span: &Span) -> Piece {
    // In a unique multi-entry index, too, a key has one row.
    if target.is_unique && span.is_point() {
        Piece::Row(extended(head, &span.start))
    } else {
        range(head, span)
    }
}

fn range(head: &[u8], span: &Span) -> Piece {
    let range = RowRange { start: extended(head, &span.start), end: extended(head, &span.end) };
    Piece::Range(range, Direction::Forward)
}

fn extended(head: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(head.len() + rest.len());
    row.extend_from_slice(head);
    row.extend_from_slice(rest);
    row
}
