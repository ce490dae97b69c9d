//! Range tombstones: one entry that deletes every key from `start` (inclusive) to `end` (exclusive).
//!
//! A set is kept fragmented: disjoint ranges in key order, each with the seqnos that cover it, newest first, so
//! that "which deletion covers this key under this snapshot" is one binary search (as in RocksDB's DeleteRange).
#![forbid(unsafe_code)]

use crate::key::SeqNo;

/// One deletion of a range of keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RangeTombstone {
    pub(crate) start: Vec<u8>,
    /// Exclusive. A tombstone with `end <= start` deletes nothing.
    pub(crate) end: Vec<u8>,
    pub(crate) seqno: SeqNo,
}

/// An immutable set of range tombstones that answers which one covers a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeTombstones {
    fragments: Vec<Fragment>,
}

/// A range in which every key is covered by the same tombstones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    /// Newest first, never empty.
    pub(crate) seqnos: Vec<SeqNo>,
}

/// Keys of which every entry older than a deletion is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole<'a> {
    pub(crate) start: &'a [u8],
    /// Exclusive.
    pub(crate) end: &'a [u8],
    pub(crate) deleted_at: SeqNo,
}

impl RangeTombstones {
    /// Fragments `tombstones`, which may overlap and come in any order.
    pub(crate) fn new(tombstones: &[RangeTombstone]) -> Self {
        let mut events: Vec<(&[u8], bool, SeqNo)> = Vec::with_capacity(tombstones.len() * 2);
        for tombstone in tombstones.iter().filter(|tombstone| tombstone.start < tombstone.end) {
            events.push((&tombstone.start, true, tombstone.seqno));
            events.push((&tombstone.end, false, tombstone.seqno));
        }
        events.sort_unstable();
        let mut fragments: Vec<Fragment> = Vec::new();
        let mut open: Vec<SeqNo> = Vec::new();
        let mut from: &[u8] = &[];
        for (at, starts, seqno) in events {
            if at > from && !open.is_empty() {
                let mut seqnos = open.clone();
                seqnos.sort_unstable_by(|a, b| b.cmp(a));
                seqnos.dedup();
                fragments.push(Fragment { start: from.to_vec(), end: at.to_vec(), seqnos });
            }
            from = at;
            if starts {
                open.push(seqno);
            } else if let Some(index) = open.iter().position(|&other| other == seqno) {
                open.swap_remove(index);
            }
        }
        Self { fragments }
    }

    /// The newest tombstone at or below `snapshot` that covers `key`. Entries of the key below it are deleted.
    pub(crate) fn covering(&self, key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        let fragment = self.fragment_of(key)?;
        fragment.seqnos.iter().copied().find(|&seqno| seqno <= snapshot)
    }

    /// As [`RangeTombstones::covering`], with the keys around `key` that the same tombstone covers: from the first
    /// (inclusive) to the second (exclusive).
    pub(crate) fn hole_around(&self, key: &[u8], snapshot: SeqNo) -> Option<Hole<'_>> {
        let Fragment { start, end, seqnos } = self.fragment_of(key)?;
        let deleted_at = seqnos.iter().copied().find(|&seqno| seqno <= snapshot)?;
        Some(Hole { start, end, deleted_at })
    }

    /// The fragment that holds `key`.
    pub(crate) fn fragment_of(&self, key: &[u8]) -> Option<&Fragment> {
        let index = self.fragments.partition_point(|fragment| fragment.end.as_slice() <= key);
        self.fragments.get(index).filter(|fragment| fragment.start.as_slice() <= key)
    }

    /// Whether nothing is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// As [`RangeTombstones::tombstones`], without those that a newer one of the same fragment hides from every
    /// reader: one that lies in the same stripe (`None` for those that all have to be kept).
    pub(crate) fn thinned(&self, stripe_of: impl Fn(SeqNo) -> Option<SeqNo>) -> Vec<RangeTombstone> {
        let mut kept = Vec::new();
        for Fragment { start, end, seqnos } in &self.fragments {
            let mut last = None;
            for &seqno in seqnos {
                let stripe = stripe_of(seqno);
                if stripe.is_none() || stripe != last {
                    kept.push(RangeTombstone { start: start.clone(), end: end.clone(), seqno });
                }
                last = stripe;
            }
        }
        kept
    }

    /// The tombstones of the fragments, one for each range and seqno, in key order.
    pub(crate) fn tombstones(&self) -> impl Iterator<Item = RangeTombstone> + '_ {
        self.fragments.iter().flat_map(|fragment| {
            fragment.seqnos.iter().map(|&seqno| RangeTombstone {
                start: fragment.start.clone(),
                end: fragment.end.clone(),
                seqno,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(start: &str, end: &str, seqno: SeqNo) -> RangeTombstone {
        RangeTombstone { start: start.into(), end: end.into(), seqno }
    }

    #[test]
    fn a_key_is_covered_by_the_newest_tombstone_that_the_snapshot_sees() {
        let set =
            RangeTombstones::new(&[tombstone("b", "m", 5), tombstone("d", "f", 9), tombstone("x", "a", 7)]);

        let covering = |key: &str, snapshot| set.covering(key.as_bytes(), snapshot);

        assert_eq!(covering("a", 100), None);
        assert_eq!(covering("b", 100), Some(5));
        assert_eq!(covering("d", 100), Some(9));
        assert_eq!(covering("d", 8), Some(5));
        assert_eq!(covering("d", 4), None);
        assert_eq!(covering("f", 100), Some(5));
        assert_eq!(covering("m", 100), None);
    }

    #[test]
    fn fragmenting_again_changes_nothing() {
        let set =
            RangeTombstones::new(&[tombstone("a", "k", 3), tombstone("c", "p", 4), tombstone("c", "k", 1)]);

        let again = RangeTombstones::new(&set.tombstones().collect::<Vec<_>>());

        assert_eq!(set, again);
    }
}
