//! Sets of keys as sorted spans of their encodings.
//!
//! Invariant: the spans of a set are sorted, not empty, and don't overlap. A span is half-open over encoded bytes; no
//! encoded key begins with 0xff and none is the beginning of another, so a key followed by 0xff is the position right
//! behind it.

use std::ops::Bound;

use crate::jsondb::key::{ARRAY, Key, KeyRange};

/// Sorts behind everything that can follow a key.
const BEHIND: u8 = 0xff;

/// The first half of a key's first byte is its type.
const TYPE_MASK: u8 = 0xf0;
const TYPE_STEP: u8 = 0x10;

/// The keys from `start` to before `end`, both encoded keys or positions between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

impl Span {
    /// One key alone.
    pub(super) fn point(key: &Key) -> Self {
        Self { start: key.as_bytes().to_vec(), end: behind(key.as_bytes()) }
    }

    /// Whether there is room for one key only.
    pub(super) fn is_point(&self) -> bool {
        !self.start.is_empty() && self.end.split_last() == Some((&BEHIND, &self.start))
    }

    fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }
}

fn behind(key: &[u8]) -> Vec<u8> {
    let mut position = Vec::with_capacity(key.len() + 1);
    position.extend_from_slice(key);
    position.push(BEHIND);
    position
}

/// A set of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// The given keys.
    pub(super) fn points<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Self {
        let mut spans: Vec<Span> = keys.into_iter().map(Span::point).collect();
        spans.sort_unstable();
        spans.dedup();
        Self(spans)
    }

    /// The keys of `range` that have the type of its bounds: a range of numbers holds no strings. Where the bounds have
    /// different types, that is no key.
    pub(super) fn range(range: &KeyRange) -> Self {
        let above = match &range.lower {
            Bound::Unbounded => everything(),
            Bound::Included(key) => Span { start: key.as_bytes().to_vec(), end: type_end(key) },
            Bound::Excluded(key) => Span { start: behind(key.as_bytes()), end: type_end(key) },
        };
        let below = match &range.upper {
            Bound::Unbounded => everything(),
            Bound::Included(key) => Span { start: type_start(key), end: behind(key.as_bytes()) },
            Bound::Excluded(key) => Span { start: type_start(key), end: key.as_bytes().to_vec() },
        };
        Self(overlap(&above, &below).into_iter().collect())
    }

    /// The keys that are in both.
    pub(super) fn intersect(&self, other: &Self) -> Self {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            both.extend(overlap(a, b));
            if a.end <= b.end {
                ours.next()
            } else {
                theirs.next()
            };
        }
        Self(both)
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let behind = self.0.partition_point(|span| span.start.as_slice() <= key);
        behind.checked_sub(1).is_some_and(|at| self.0[at].contains(key))
    }

    pub(super) fn as_slice(&self) -> &[Span] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether exactly one key is in the set.
    pub(super) fn is_one_point(&self) -> bool {
        matches!(&self.0[..], [one] if one.is_point())
    }

    /// Whether an array may be in the set.
    pub(super) fn may_hold_arrays(&self) -> bool {
        self.0.last().is_some_and(|last| last.end.as_slice() > [ARRAY].as_slice())
    }
}

fn everything() -> Span {
    Span { start: Vec::new(), end: vec![BEHIND] }
}

fn overlap(a: &Span, b: &Span) -> Option<Span> {
    let span = Span { start: a.start.clone().max(b.start.clone()), end: a.end.clone().min(b.end.clone()) };
    (!span.is_empty()).then_some(span)
}

fn type_start(key: &Key) -> Vec<u8> {
    key.as_bytes().iter().take(1).map(|tag| tag & TYPE_MASK).collect()
}

fn type_end(key: &Key) -> Vec<u8> {
    key.as_bytes().iter().take(1).map(|tag| (tag & TYPE_MASK) + TYPE_STEP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsondb::KeyValue;

    fn key(value: impl Into<KeyValue>) -> Key {
        Key::encode(&value.into()).unwrap()
    }

    fn holds(spans: &Spans, value: impl Into<KeyValue>) -> bool {
        spans.contains(key(value).as_bytes())
    }

    #[test]
    fn a_range_holds_keys_of_the_type_of_its_bounds_only() {
        let above = Spans::range(&KeyRange::lower_bound(key(5.0), true));
        assert!(holds(&above, 5.5) && !holds(&above, 5.0) && !holds(&above, "6") && !holds(&above, true));
        let below = Spans::range(&KeyRange::upper_bound(key("b"), false));
        assert!(holds(&below, "") && holds(&below, "b") && !holds(&below, "ba") && !holds(&below, 1.0));
        let mixed = KeyRange { lower: Bound::Included(key(1.0)), upper: Bound::Included(key("z")) };
        assert!(Spans::range(&mixed).is_empty());
        let all = Spans::range(&KeyRange::all());
        assert!(holds(&all, KeyValue::Null) && holds(&all, [KeyValue::Null]) && all.may_hold_arrays());
        let from_false = Spans::range(&KeyRange::lower_bound(key(false), true));
        assert!(holds(&from_false, true) && !holds(&from_false, false) && !holds(&from_false, 0.0));
        let above_null = Spans::range(&KeyRange::lower_bound(key(KeyValue::Null), true));
        assert!(!holds(&above_null, KeyValue::Null) && !holds(&above_null, false));
    }

    #[test]
    fn an_intersection_holds_what_both_hold() {
        let few = Spans::points(&[key(1.0), key(3.0), key("x"), key(3.0)]);
        let range = Spans::range(&KeyRange::lower_bound(key(2.0), false));
        assert_eq!(few.as_slice().len(), 3);
        assert_eq!(few.intersect(&range), Spans::points(&[key(3.0)]));
        assert!(few.intersect(&range).is_one_point() && !range.is_one_point());
        assert!(range.intersect(&Spans::points(&[key("y")])).is_empty());
        let strings = Spans::range(&KeyRange::prefix(key("x")).unwrap());
        assert!(holds(&few.intersect(&strings), "x") && !few.may_hold_arrays());
        assert!(Spans::points(&[key([KeyValue::Null])]).may_hold_arrays());
    }
}
