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
    /// Fragments side by side, disjoint and in key order.
    runs: Vec<Run>,
}

/// Fragments of which each begins where the one before ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// The positions of its first fragment, and behind its last.
    first: usize,
    behind: usize,
    /// The least and the greatest of the newest seqnos of its fragments.
    newest_min: SeqNo,
    newest_max: SeqNo,
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

/// What a set says of a key.
pub(crate) enum Neighbourhood<'a> {
    /// It is deleted, for those who see a tombstone of the fragment.
    Within(&'a Fragment),
    /// It is not: the end of the fragment before it and the start of the one behind, where there are such.
    Between(Option<&'a [u8]>, Option<&'a [u8]>),
}

impl Fragment {
    /// The newest tombstone at or below `snapshot`.
    pub(crate) fn newest_at(&self, snapshot: SeqNo) -> Option<SeqNo> {
        self.seqnos.iter().copied().find(|&seqno| seqno <= snapshot)
    }
}

fn runs_of(fragments: &[Fragment]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, fragment) in fragments.iter().enumerate() {
        let newest = fragment.seqnos[0];
        let adjoins = at > 0 && fragments[at - 1].end == fragment.start;
        match runs.last_mut().filter(|_| adjoins) {
            Some(run) => {
                run.behind = at + 1;
                run.newest_min = run.newest_min.min(newest);
                run.newest_max = run.newest_max.max(newest);
            }
            None => runs.push(Run { first: at, behind: at + 1, newest_min: newest, newest_max: newest }),
        }
    }
    runs
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
        let runs = runs_of(&fragments);
        Self { fragments, runs }
    }

    /// The newest tombstone at or below `snapshot` that covers `key`. Entries of the key below it are deleted.
    pub(crate) fn covering(&self, key: &[u8], snapshot: SeqNo) -> Option<SeqNo> {
        self.fragment_of(key)?.newest_at(snapshot)
    }

    /// Keys around `key`, from the first (inclusive) to the second (exclusive), and a deletion that hides everything older
    /// in all of them: wide where fragments lie side by side and `snapshot` sees the newest of each, so that a hole made
    /// by many deletions is left at once.
    pub(crate) fn hole_around(&self, key: &[u8], snapshot: SeqNo) -> Option<Hole<'_>> {
        let at = self.position_of(key)?;
        let run = self.runs.partition_point(|run| run.behind <= at);
        if let Some(run) = self.runs.get(run).filter(|run| run.newest_max <= snapshot) {
            let (first, last) = (&self.fragments[run.first], &self.fragments[run.behind - 1]);
            return Some(Hole { start: &first.start, end: &last.end, deleted_at: run.newest_min });
        }
        self.fragment_around(key, snapshot)
    }

    /// As [`RangeTombstones::hole_around`], but only as far as the same tombstones cover: of all holes the one that hides most.
    pub(crate) fn fragment_around(&self, key: &[u8], snapshot: SeqNo) -> Option<Hole<'_>> {
        let fragment = &self.fragments[self.position_of(key)?];
        let deleted_at = fragment.newest_at(snapshot)?;
        Some(Hole { start: &fragment.start, end: &fragment.end, deleted_at })
    }

    /// What is deleted at `key`, or beside it.
    pub(crate) fn neighbourhood(&self, key: &[u8]) -> Neighbourhood<'_> {
        let at = self.fragments.partition_point(|fragment| fragment.end.as_slice() <= key);
        match self.fragments.get(at) {
            Some(fragment) if fragment.start.as_slice() <= key => Neighbourhood::Within(fragment),
            after => {
                let before = at.checked_sub(1).map(|before| self.fragments[before].end.as_slice());
                Neighbourhood::Between(before, after.map(|after| after.start.as_slice()))
            }
        }
    }

    /// The position of the fragment that holds `key`.
    fn position_of(&self, key: &[u8]) -> Option<usize> {
        let at = self.fragments.partition_point(|fragment| fragment.end.as_slice() <= key);
        self.fragments.get(at).filter(|fragment| fragment.start.as_slice() <= key).map(|_| at)
    }

    /// The fragment that holds `key`.
    fn fragment_of(&self, key: &[u8]) -> Option<&Fragment> {
        self.position_of(key).map(|at| &self.fragments[at])
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
    fn a_hole_of_many_deletions_is_one_for_who_sees_the_newest_of_each() {
        let set = RangeTombstones::new(&[
            tombstone("b", "d", 5),
            tombstone("d", "f", 9),
            tombstone("f", "h", 7),
            tombstone("x", "y", 1),
        ]);
        let around = |key: &str, snapshot| {
            let hole = set.hole_around(key.as_bytes(), snapshot)?;
            Some((hole.start.to_vec(), hole.end.to_vec(), hole.deleted_at))
        };
        let hole = |start: &str, end: &str, deleted_at| Some((start.into(), end.into(), deleted_at));

        for key in ["b", "d", "g"] {
            assert_eq!(around(key, 9), hole("b", "h", 5), "{key}");
        }
        assert_eq!(around("e", 8), None);
        assert_eq!(around("f", 8), hole("f", "h", 7));
        assert_eq!(around("x", 9), hole("x", "y", 1));
        assert_eq!((around("a", 9), around("h", 9), around("y", 9)), (None, None, None));
        let exact = set.fragment_around(b"d", 9).unwrap();
        assert_eq!((exact.start, exact.end, exact.deleted_at), (&b"d"[..], &b"f"[..], 9));
        assert!(matches!(set.neighbourhood(b"d"), Neighbourhood::Within(fragment) if fragment.start == b"d"));
        let between = |key: &str| match set.neighbourhood(key.as_bytes()) {
            Neighbourhood::Between(before, after) => (before.map(<[u8]>::to_vec), after.map(<[u8]>::to_vec)),
            Neighbourhood::Within(_) => panic!("{key} is not deleted"),
        };
        assert_eq!(between("a"), (None, Some(b"b".to_vec())));
        assert_eq!(between("h"), (Some(b"h".to_vec()), Some(b"x".to_vec())));
        assert_eq!(between("y"), (Some(b"y".to_vec()), None));
    }

    #[test]
    fn fragmenting_again_changes_nothing() {
        let set =
            RangeTombstones::new(&[tombstone("a", "k", 3), tombstone("c", "p", 4), tombstone("c", "k", 1)]);

        let again = RangeTombstones::new(&set.tombstones().collect::<Vec<_>>());

        assert_eq!(set, again);
    }
}
