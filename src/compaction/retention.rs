//! Which versions of a key have to be kept.
//!
//! The open snapshots cut the seqnos into stripes: two entries in one stripe look the same to every reader, except
//! that the newer one hides the older. What is newer than every snapshot is kept whole, because the next snapshot
//! may be taken anywhere there.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::iter::is_expired;
use crate::key::{EntryRef, SEQNO_MAX, SeqNo};
use crate::range_tombstone::{RangeTombstone, RangeTombstones};

/// Decides entry by entry, in internal order, what a flush or compaction writes.
pub(crate) struct Retention {
    /// Ascending; the last one is what was visible when the job began.
    snapshots: Vec<SeqNo>,
    tombstones: Arc<RangeTombstones>,
    now_ms: u64,
    key: Vec<u8>,
    has_key: bool,
    /// The stripe of the entry of `key` that was seen last; a further one in it is hidden.
    stripe: Option<SeqNo>,
    /// Whether entries may lose their seqno.
    settles: bool,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is written as it is.
    Keep,
    /// It is written with [`SETTLED`](crate::key::SETTLED) for its seqno: everybody sees it, and nothing older is anywhere.
    Settle,
    /// A tombstone is written in its place, because it has expired but hides older ones elsewhere.
    Bury,
    /// Nobody can see it.
    Drop,
}

impl Retention {
    /// `snapshots` are the open ones, ascending, and at the end what is visible now. `tombstones` are those among
    /// the inputs of the job.
    pub(crate) fn new(snapshots: Vec<SeqNo>, tombstones: Arc<RangeTombstones>, now_ms: u64) -> Self {
        debug_assert!(snapshots.is_sorted());
        Self { snapshots, tombstones, now_ms, key: Vec::new(), has_key: false, stripe: None, settles: false }
    }

    /// The same, for a job whose output has no seqnos in its order: entries that need no seqno any more lose it.
    pub(crate) fn settling(self) -> Self {
        Self { settles: true, ..self }
    }

    /// What becomes of `entry`, which follows the last one in internal order. `is_bottom` tells whether nothing
    /// older than the inputs of the job holds a key; it is asked only where it matters.
    pub(crate) fn fate(&mut self, entry: &EntryRef<'_>, is_bottom: impl FnOnce(&[u8]) -> bool) -> Fate {
        if !self.has_key || self.key != entry.key {
            self.key.clear();
            self.key.extend_from_slice(entry.key);
            self.has_key = true;
            self.stripe = None;
        }
        let Some(stripe) = self.stripe_of(entry.seqno) else { return Fate::Keep };
        if self.stripe.replace(stripe) == Some(stripe) || self.is_covered(entry, stripe) {
            return Fate::Drop;
        }
        let expired = is_expired(entry.expires_at, self.now_ms);
        if entry.kind.is_value() && !expired {
            let settles = self.settles && self.is_settled(entry) && is_bottom(entry.key);
            return if settles { Fate::Settle } else { Fate::Keep };
        }
        // In the oldest stripe a deletion that hides nothing any more can go.
        if self.is_oldest(entry.seqno) && is_bottom(entry.key) {
            return Fate::Drop;
        }
        if expired { Fate::Bury } else { Fate::Keep }
    }

    /// Whether a range tombstone hides nothing any more once the inputs of the job have been rewritten.
    pub(crate) fn may_drop_tombstone(&self, seqno: SeqNo) -> bool {
        self.is_oldest(seqno)
    }

    /// Those of `tombstones` that some reader needs.
    pub(crate) fn tombstones_to_keep(&self, tombstones: &RangeTombstones) -> Vec<RangeTombstone> {
        tombstones.thinned(|seqno| self.stripe_of(seqno))
    }

    /// The oldest snapshot that sees `seqno`; `None` where it is newer than all of them.
    fn stripe_of(&self, seqno: SeqNo) -> Option<SeqNo> {
        self.snapshots.get(self.snapshots.partition_point(|&snapshot| snapshot < seqno)).copied()
    }

    /// Whether every reader sees `entry` and no range tombstone, of those that are older than it, would hide it without its
    /// seqno.
    fn is_settled(&self, entry: &EntryRef<'_>) -> bool {
        self.is_oldest(entry.seqno) && self.tombstones.covering(entry.key, SEQNO_MAX).is_none()
    }

    fn is_oldest(&self, seqno: SeqNo) -> bool {
        self.snapshots.first().is_some_and(|&oldest| seqno <= oldest)
    }

    /// Whether a range tombstone hides `entry` from every reader: the newest that the entry's stripe sees is newer.
    fn is_covered(&self, entry: &EntryRef<'_>, stripe: SeqNo) -> bool {
        self.tombstones.covering(entry.key, stripe).is_some_and(|deleted_at| deleted_at > entry.seqno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn fates(
        snapshots: &[SeqNo],
        entries: &[(&str, SeqNo, Kind)],
        tombstones: &[RangeTombstone],
    ) -> Vec<Fate> {
        let tombstones = Arc::new(RangeTombstones::new(tombstones));
        let mut retention = Retention::new(snapshots.to_vec(), tombstones, 1_000);
        entries
            .iter()
            .map(|&(key, seqno, kind)| {
                let entry = EntryRef { key: key.as_bytes(), seqno, kind, expires_at: 0, value: b"" };
                retention.fate(&entry, |_| true)
            })
            .collect()
    }

    fn settled(
        snapshots: &[SeqNo],
        entry: (SeqNo, Kind),
        tombstones: &[RangeTombstone],
        bottom: bool,
    ) -> Fate {
        let tombstones = Arc::new(RangeTombstones::new(tombstones));
        let mut retention = Retention::new(snapshots.to_vec(), tombstones, 1_000).settling();
        let entry = EntryRef { key: b"a", seqno: entry.0, kind: entry.1, expires_at: 0, value: b"" };
        retention.fate(&entry, |_| bottom)
    }

    #[test]
    fn a_value_that_everybody_sees_above_nothing_needs_no_seqno() {
        assert_eq!(settled(&[5, 10], (5, Kind::Value), &[], true), Fate::Settle);
        assert_eq!(settled(&[5, 10], (5, Kind::Separated), &[], true), Fate::Settle);
    }

    #[test]
    fn a_value_keeps_its_seqno_where_a_snapshot_does_not_see_it_or_something_older_could_be_taken_for_newer()
    {
        let older = RangeTombstone { start: b"a".to_vec(), end: b"b".to_vec(), seqno: 3 };
        let beside = RangeTombstone { start: b"b".to_vec(), end: b"c".to_vec(), seqno: 3 };

        assert_eq!(settled(&[5, 10], (6, Kind::Value), &[], true), Fate::Keep, "the first snapshot is older");
        assert_eq!(settled(&[10], (6, Kind::Value), &[], false), Fate::Keep, "an older one may lie below");
        assert_eq!(settled(&[10], (6, Kind::Value), &[older], true), Fate::Keep, "it would seem deleted");
        assert_eq!(settled(&[10], (6, Kind::Value), &[beside], true), Fate::Settle);
        assert_eq!(settled(&[10], (6, Kind::Tombstone), &[], true), Fate::Drop);
        assert_eq!(fates(&[10], &[("a", 6, Kind::Value)], &[]), [Fate::Keep], "level 0 is ordered by seqnos");
    }

    #[test]
    fn an_overwritten_version_is_kept_for_the_snapshot_that_sees_it_and_no_other() {
        let entries =
            [("a", 9, Kind::Value), ("a", 7, Kind::Value), ("a", 5, Kind::Value), ("a", 2, Kind::Value)];

        assert_eq!(fates(&[5, 10], &entries, &[]), [Fate::Keep, Fate::Drop, Fate::Keep, Fate::Drop]);
    }

    #[test]
    fn what_is_newer_than_every_snapshot_is_kept_whole() {
        let entries = [("a", 9, Kind::Value), ("a", 8, Kind::Tombstone), ("a", 5, Kind::Value)];

        assert_eq!(fates(&[6], &entries, &[]), [Fate::Keep, Fate::Keep, Fate::Keep]);
    }

    #[test]
    fn a_tombstone_goes_only_where_no_snapshot_needs_what_it_hides() {
        let entries = [("a", 9, Kind::Tombstone), ("a", 4, Kind::Value)];

        assert_eq!(fates(&[10], &entries, &[]), [Fate::Drop, Fate::Drop]);
        assert_eq!(fates(&[5, 10], &entries, &[]), [Fate::Keep, Fate::Keep]);
    }

    #[test]
    fn a_range_tombstone_hides_only_what_is_older_in_the_same_stripe() {
        let deleted = RangeTombstone { start: b"a".to_vec(), end: b"b".to_vec(), seqno: 6 };
        let entries = [("a", 8, Kind::Value), ("a", 4, Kind::Value), ("b", 3, Kind::Value)];

        assert_eq!(
            fates(&[10], &entries, std::slice::from_ref(&deleted)),
            [Fate::Keep, Fate::Drop, Fate::Keep]
        );
        assert_eq!(fates(&[5, 10], &entries[..2], &[deleted]), [Fate::Keep, Fate::Keep]);
    }
}
