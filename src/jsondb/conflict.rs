//! Conflicts: what a transaction has read, held against what others committed since its snapshot.
//!
//! Invariant: every row written by a commit above the oldest active snapshot is listed in [`CommittedWrites`], or
//! the commit is at or below `forgotten`. A commit is listed before it becomes visible, in commit order.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::rows::{RowKey, RowRange, split_row_key};

/// The most rows and ranges that are listed; above it, the oldest are forgotten and transactions from before them
/// can't commit any more.
pub const COMMITTED_WRITES_MAX: usize = 1 << 20;

/// The most bytes of keys that are listed.
pub const COMMITTED_BYTES_MAX: usize = 128 << 20;

/// A transaction that has read more bytes of keys than this has its reads remembered more coarsely.
pub const READS_BYTES_MAX: usize = 64 << 20;

/// Counted for each point and range beside its bytes, for the nodes that hold it.
const READ_BYTES: usize = 64;

/// So many listed writes are dropped at most when a transaction ends, so that no one commit waits for all of them.
const PRUNED_MAX: usize = 10_000;

/// The rows that a transaction's outcome depends on.
#[derive(Debug)]
pub(crate) struct ReadSet {
    /// In the order in which they were read, or, where `is_settled`, sorted and each once.
    points: Vec<RowKey>,
    is_settled: bool,
    ranges: Vec<RowRange>,
    bytes: usize,
    bytes_max: usize,
}

impl Default for ReadSet {
    fn default() -> Self {
        let (points, ranges) = (Vec::new(), Vec::new());
        Self { points, is_settled: true, ranges, bytes: 0, bytes_max: READS_BYTES_MAX }
    }
}

impl ReadSet {
    /// Remembers that the row at `key` was looked up, whether it was there or not.
    pub(crate) fn point(&mut self, key: impl Into<RowKey>) {
        let key = key.into();
        self.bytes += key.len() + READ_BYTES;
        self.points.push(key);
        self.is_settled = false;
        self.keep_bounded();
    }

    /// Sorts the points. Most transactions are never compared with a write of others, so this is done when one is.
    fn settle(&mut self) {
        if self.is_settled {
            return;
        }
        self.points.sort_unstable();
        let bytes = |points: &[RowKey]| points.iter().map(|key| key.len()).sum::<usize>();
        let before = bytes(&self.points);
        let count = self.points.len();
        self.points.dedup();
        let after = bytes(&self.points);
        self.bytes -= before - after + (count - self.points.len()) * READ_BYTES;
        self.is_settled = true;
    }

    /// The first point in `range`, once they are settled.
    fn point_in(&self, range: &RowRange) -> Option<&RowKey> {
        let first = self.points.partition_point(|key| key[..] < range.start[..]);
        self.points.get(first).filter(|key| key[..] < range.end[..])
    }

    /// Whether the row at `key` was read, once the points are settled.
    fn holds(&self, key: &[u8]) -> bool {
        self.points.binary_search_by(|point| point[..].cmp(key)).is_ok()
            || self.ranges.iter().any(|range| range.contains(key))
    }

    /// Remembers that every row in `range` was read, missing ones included.
    pub(crate) fn range(&mut self, range: RowRange) {
        if range.is_empty() {
            return;
        }
        if let Some(last) = self.ranges.last_mut() {
            // The pages of one cursor adjoin, in one direction or the other.
            if last.start <= range.end && range.start <= last.end {
                last.start = range.start.min(std::mem::take(&mut last.start));
                last.end = range.end.max(std::mem::take(&mut last.end));
                return;
            }
        }
        self.bytes += range.start.len() + range.end.len() + READ_BYTES;
        self.ranges.push(range);
        self.keep_bounded();
    }

    /// Where too much has been read to remember it all, remembers one range for each kind of row of each store, from
    /// the first that was read to the last: it may conflict with more than was read, and stays small.
    fn keep_bounded(&mut self) {
        if self.bytes <= self.bytes_max {
            return;
        }
        self.settle();
        // Were it more, the next point would have all of them sorted again.
        if self.bytes <= self.bytes_max / 2 {
            return;
        }
        let points = std::mem::take(&mut self.points).into_iter();
        let points = points.map(|key| RowRange { end: successor(&key), start: key.to_vec() });
        let mut widened: BTreeMap<Option<(u8, u64)>, RowRange> = BTreeMap::new();
        for range in std::mem::take(&mut self.ranges).into_iter().chain(points) {
            let place = split_row_key(&range.start).map(|(kind, store, _)| (kind, store));
            match widened.get_mut(&place) {
                None => drop(widened.insert(place, range)),
                Some(whole) => {
                    whole.start = range.start.min(std::mem::take(&mut whole.start));
                    whole.end = range.end.max(std::mem::take(&mut whole.end));
                }
            }
        }
        self.ranges = widened.into_values().collect();
        self.bytes = self.ranges.iter().map(|range| range.start.len() + range.end.len() + READ_BYTES).sum();
    }
}

/// The first key behind `key`.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// Why a transaction can't commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clash {
    /// This row was written by another since.
    Row(Vec<u8>),
    /// The transaction is older than the listed writes.
    Forgotten,
}

/// So many later writes are gone through one by one.
const FEW_WRITES: usize = 16;

/// The rows that commits have written since the snapshots of the transactions that are under way.
#[derive(Debug)]
pub(crate) struct CommittedWrites {
    /// The last commit of each row, for the first `indexed` writes of the log.
    points: BTreeMap<RowKey, u64>,
    /// Every listed write in commit order.
    log: VecDeque<(u64, Written)>,
    /// Writes are indexed when somebody looks for them. Where nobody writes beside them, they are dropped before that.
    indexed: usize,
    /// How many ranges are in the log.
    range_count: usize,
    bytes: usize,
    /// Commits up to this seqno may be missing.
    forgotten: u64,
    /// How many transactions read at each snapshot.
    active: BTreeMap<u64, usize>,
    entries_max: usize,
}

#[derive(Debug)]
enum Written {
    Row(RowKey),
    Range(RowRange),
}

impl Written {
    fn bytes(&self) -> usize {
        match self {
            Self::Row(key) => key.len(),
            Self::Range(range) => range.start.len() + range.end.len(),
        }
    }
}

impl Default for CommittedWrites {
    fn default() -> Self {
        Self {
            points: BTreeMap::new(),
            log: VecDeque::new(),
            indexed: 0,
            range_count: 0,
            bytes: 0,
            forgotten: 0,
            active: BTreeMap::new(),
            entries_max: COMMITTED_WRITES_MAX,
        }
    }
}

impl CommittedWrites {
    /// A transaction begins that reads at `snapshot`.
    pub(crate) fn begin(&mut self, snapshot: u64) {
        *self.active.entry(snapshot).or_default() += 1;
    }

    /// A transaction that read at `snapshot` has ended; what only it needed is dropped. Later transactions read at
    /// `visible` or above.
    pub(crate) fn end(&mut self, snapshot: u64, visible: u64) {
        if let Some(count) = self.active.get_mut(&snapshot) {
            *count -= 1;
            if *count == 0 {
                self.active.remove(&snapshot);
            }
        }
        let oldest = self.active.keys().next().map_or(visible, |&oldest| oldest.min(visible));
        for _ in 0..PRUNED_MAX {
            if self.log.front().is_none_or(|(seqno, _)| *seqno > oldest) {
                break;
            }
            self.drop_oldest();
        }
    }

    /// Whether nothing in `reads` was written after `snapshot`.
    pub(crate) fn check(&mut self, reads: &mut ReadSet, snapshot: u64) -> Result<(), Clash> {
        if snapshot < self.forgotten {
            return Err(Clash::Forgotten);
        }
        let first_later = self.log.partition_point(|(seqno, _)| *seqno <= snapshot);
        if first_later == self.log.len() {
            return Ok(());
        }
        reads.settle();
        if self.log.len() - first_later <= FEW_WRITES {
            return self.check_few(reads, first_later);
        }
        self.index();
        let is_later = |seqno: &u64| *seqno > snapshot;
        for range in &reads.ranges {
            let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
            if let Some((key, _)) = self.points.range::<[u8], _>(bounds).find(|(_, seqno)| is_later(seqno)) {
                return Err(Clash::Row(key.to_vec()));
            }
        }
        if self.range_count > 0 {
            self.check_ranges(reads, first_later)?;
        }
        // A check holds up every commit behind it, so the shorter of the two lists is gone through.
        if self.log.len() - first_later < reads.points.len() {
            let later = self.log.range(first_later..).filter_map(|(_, written)| match written {
                Written::Row(key) => Some(key),
                Written::Range(_) => None,
            });
            return later
                .map(|key| &key[..])
                .find(|key| reads.holds(key))
                .map_or(Ok(()), |key| Err(Clash::Row(key.to_vec())));
        }
        let read_later = |key: &&RowKey| self.points.get(*key).is_some_and(is_later);
        reads.points.iter().find(read_later).map_or(Ok(()), |key| Err(Clash::Row(key.to_vec())))
    }

    fn check_few(&self, reads: &ReadSet, first_later: usize) -> Result<(), Clash> {
        for (_, written) in self.log.range(first_later..) {
            if let Written::Row(key) = written
                && reads.holds(key)
            {
                return Err(Clash::Row(key.to_vec()));
            }
        }
        if self.range_count > 0 { self.check_ranges(reads, first_later) } else { Ok(()) }
    }

    /// Ranges are written only where a store or many documents are cleared, which is rare: they are looked for in the
    /// log.
    fn check_ranges(&self, reads: &ReadSet, first_later: usize) -> Result<(), Clash> {
        for (_, written) in self.log.range(first_later..) {
            let Written::Range(range) = written else { continue };
            if let Some(key) = reads.point_in(range) {
                return Err(Clash::Row(key.to_vec()));
            }
            if reads.ranges.iter().any(|read| read.start < range.end && range.start < read.end) {
                return Err(Clash::Row(range.start.clone()));
            }
        }
        Ok(())
    }

    /// Lists what the commit at `seqno` writes.
    pub(crate) fn record(&mut self, seqno: u64, rows: Vec<RowKey>, ranges: Vec<RowRange>) {
        rows.into_iter().for_each(|key| self.push(seqno, Written::Row(key)));
        for range in ranges {
            self.range_count += 1;
            self.push(seqno, Written::Range(range));
        }
        self.keep_bounded();
    }

    /// As [`CommittedWrites::record`], one row.
    pub(crate) fn record_row(&mut self, seqno: u64, row: RowKey) {
        self.push(seqno, Written::Row(row));
        self.keep_bounded();
    }

    /// Indexes the writes that are not yet.
    fn index(&mut self) {
        for (seqno, written) in self.log.range(self.indexed..) {
            if let Written::Row(key) = written {
                self.points.insert(Arc::clone(key), *seqno);
            }
        }
        self.indexed = self.log.len();
    }

    fn keep_bounded(&mut self) {
        while self.log.len() > self.entries_max || self.bytes > COMMITTED_BYTES_MAX {
            let forgotten = self.drop_oldest();
            self.forgotten = self.forgotten.max(forgotten);
        }
    }

    /// Takes back what commits at or above `seqno` listed: they were not written after all.
    pub(crate) fn retract(&mut self, seqno: u64) {
        while self.log.back().is_some_and(|(at, _)| *at >= seqno) {
            let Some((at, written)) = self.log.pop_back() else { break };
            if self.indexed > self.log.len() {
                // Of a row that was written before as well, the index knows the last write only.
                self.points.clear();
                self.indexed = 0;
            }
            self.unlist(at, &written, false);
        }
    }

    fn push(&mut self, seqno: u64, written: Written) {
        self.bytes += written.bytes();
        self.log.push_back((seqno, written));
    }

    /// Drops the oldest listed write, and returns its seqno.
    fn drop_oldest(&mut self) -> u64 {
        let Some((seqno, written)) = self.log.pop_front() else { return 0 };
        let was_indexed = self.indexed > 0;
        self.indexed = self.indexed.saturating_sub(1);
        self.unlist(seqno, &written, was_indexed);
        seqno
    }

    fn unlist(&mut self, seqno: u64, written: &Written, was_indexed: bool) {
        self.bytes -= written.bytes();
        match written {
            Written::Range(_) => self.range_count -= 1,
            Written::Row(key) => {
                if was_indexed && self.points.get(key) == Some(&seqno) {
                    self.points.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(keys: &[&str]) -> Vec<Arc<[u8]>> {
        keys.iter().map(|key| Arc::from(key.as_bytes())).collect()
    }

    fn range(start: &str, end: &str) -> RowRange {
        RowRange { start: start.into(), end: end.into() }
    }

    fn reading(points: &[&str], ranges: &[RowRange]) -> ReadSet {
        let mut reads = ReadSet::default();
        points.iter().for_each(|key| reads.point(key.as_bytes()));
        ranges.iter().for_each(|range| reads.range(range.clone()));
        reads
    }

    #[test]
    fn a_read_clashes_with_a_later_write_only() {
        let mut writes = CommittedWrites::default();
        writes.begin(5);
        writes.record(4, rows(&["a"]), vec![]);
        writes.record(6, rows(&["m"]), vec![]);
        writes.record(8, rows(&[]), vec![range("p", "r")]);

        let mut check = |points: &[&str], ranges: &[RowRange]| writes.check(&mut reading(points, ranges), 5);

        assert_eq!(check(&["a", "b", "r"], &[range("a", "m"), range("n", "p"), range("r", "z")]), Ok(()));
        assert_eq!(check(&["m"], &[]), Err(Clash::Row(b"m".to_vec())));
        assert_eq!(check(&[], &[range("l", "n")]), Err(Clash::Row(b"m".to_vec())));
        assert_eq!(check(&["q"], &[]), Err(Clash::Row(b"q".to_vec())));
        assert_eq!(check(&[], &[range("o", "q")]), Err(Clash::Row(b"p".to_vec())));
        assert_eq!(writes.check(&mut reading(&["m", "q"], &[]), 8), Ok(()));
    }

    #[test]
    fn writes_are_dropped_with_the_last_transaction_that_could_clash_with_them() {
        let mut writes = CommittedWrites::default();
        writes.begin(1);
        writes.begin(3);
        writes.record(2, rows(&["a"]), vec![range("x", "y")]);
        writes.record(4, rows(&["a", "b"]), vec![]);

        writes.end(1, 4);
        assert_eq!(writes.log.len(), 2);
        assert_eq!(writes.check(&mut reading(&["a"], &[]), 3), Err(Clash::Row(b"a".to_vec())));

        // What is not visible yet is kept: a transaction that begins now does not see it.
        writes.end(3, 3);
        assert_eq!(writes.log.len(), 2);
        writes.begin(4);
        writes.end(4, 4);
        assert_eq!((writes.log.len(), writes.points.len(), writes.bytes), (0, 0, 0));
    }

    #[test]
    fn a_transaction_older_than_the_list_is_refused() {
        let mut writes = CommittedWrites { entries_max: 2, ..CommittedWrites::default() };
        writes.begin(1);
        writes.record(2, rows(&["a"]), vec![]);
        writes.record(3, rows(&["b"]), vec![]);
        assert_eq!(writes.check(&mut reading(&["z"], &[]), 1), Ok(()));

        writes.record(4, rows(&["c"]), vec![]);

        assert_eq!(writes.check(&mut reading(&["z"], &[]), 1), Err(Clash::Forgotten));
        assert_eq!(writes.check(&mut reading(&["z"], &[]), 2), Ok(()));
    }

    #[test]
    fn what_was_not_written_after_all_clashes_with_nothing() {
        let mut writes = CommittedWrites::default();
        writes.begin(1);
        writes.record(2, rows(&["a"]), vec![]);
        writes.record(3, rows(&["b"]), vec![range("x", "y")]);

        writes.retract(3);

        assert_eq!(writes.check(&mut reading(&["b", "x"], &[]), 1), Ok(()));
        assert_eq!(writes.check(&mut reading(&["a"], &[]), 1), Err(Clash::Row(b"a".to_vec())));
    }

    #[test]
    fn what_was_written_before_clashes_though_a_later_write_of_the_same_row_was_taken_back() {
        let mut writes = CommittedWrites::default();
        writes.begin(1);
        writes.record(2, rows(&["a"]), vec![]);
        writes.record(3, rows(&["a", "b"]), vec![]);

        writes.retract(3);

        assert_eq!(writes.check(&mut reading(&["a"], &[]), 1), Err(Clash::Row(b"a".to_vec())));
        assert_eq!(writes.check(&mut reading(&["a"], &[]), 2), Ok(()));
        assert_eq!(writes.check(&mut reading(&["b"], &[]), 1), Ok(()));
        writes.end(1, 3);
        assert!(writes.points.is_empty());
    }

    #[test]
    fn a_read_set_stays_bounded_and_still_clashes_store_by_store() {
        let row = |kind: u8, store: u8, key: u8| vec![kind, store, key, key];
        let mut reads = ReadSet { bytes_max: 4_000, ..ReadSet::default() };
        for key in 0..100 {
            reads.point(row(3, 1, key));
            reads.point(row(3, 2, 50));
            reads.range(RowRange { start: row(4, 1, key), end: row(4, 1, key + 1) });
        }
        assert!(reads.points.len() + reads.ranges.len() < 100 && reads.bytes < 4_200);
        let mut clashes = |kind, store, key| {
            let mut writes = CommittedWrites::default();
            writes.record(2, vec![Arc::from(row(kind, store, key))], vec![]);
            assert_eq!(writes.check(&mut reads, 2), Ok(()));
            writes.check(&mut reads, 1).is_err()
        };

        assert!((0..100).all(|key| clashes(3, 1, key) && clashes(4, 1, key)));
        assert!(clashes(3, 2, 50));
        assert!(!clashes(3, 2, 51) && !clashes(3, 0, 5) && !clashes(4, 2, 5) && !clashes(2, 1, 5));
    }

    #[test]
    fn few_writes_against_many_reads_clash_alike() {
        let many: Vec<String> = (0..100).map(|number| format!("k{number:03}")).collect();
        let mut reads = reading(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        let mut writes = CommittedWrites::default();
        writes.record(2, rows(&["k007"]), vec![]);
        writes.record(4, rows(&["j", "k0070"]), vec![]);

        assert_eq!(writes.check(&mut reads, 2), Ok(()));
        assert_eq!(writes.check(&mut reads, 1), Err(Clash::Row(b"k007".to_vec())));
    }

    /// Few later writes are gone through, many are looked up: both find the same.
    #[test]
    fn many_writes_clash_as_few_do_also_after_some_were_taken_back() {
        let mut writes = CommittedWrites::default();
        writes.begin(1);
        writes.record(2, rows(&["a"]), vec![]);
        let names: Vec<String> = (0..100).map(|number| format!("k{number:03}")).collect();
        writes.record(3, names.iter().map(|name| Arc::from(name.as_bytes())).collect(), vec![]);
        let clash = |writes: &mut CommittedWrites, points: &[&str], ranges: &[RowRange], since| {
            writes.check(&mut reading(points, ranges), since).err()
        };
        let row = |key: &str| Some(Clash::Row(key.into()));

        assert_eq!(clash(&mut writes, &["k050", "z"], &[], 1), row("k050"));
        assert_eq!(clash(&mut writes, &["z", "k05"], &[range("k0500", "k051")], 1), None);
        assert_eq!(clash(&mut writes, &[], &[range("k0500", "k052")], 1), row("k051"));
        assert_eq!(clash(&mut writes, &["a"], &[], 1), row("a"));
        assert_eq!(clash(&mut writes, &["a"], &[], 2), None);
        // The same row again, and not written after all: the write before it counts as it did.
        writes.record(4, rows(&["a", "k050"]), vec![]);
        assert_eq!(clash(&mut writes, &["a"], &[range("x", "y")], 1), row("a"));
        writes.retract(4);
        assert_eq!(clash(&mut writes, &["a"], &[range("x", "y")], 1), row("a"));
        assert_eq!(clash(&mut writes, &["a"], &[], 2), None);
    }

    #[test]
    fn adjoining_pages_are_one_range() {
        let mut reads = ReadSet::default();
        reads.range(range("c", "d"));
        reads.range(range("d", "f"));
        reads.range(range("a", "c"));
        assert_eq!(reads.ranges, [range("a", "f")]);
    }
}
