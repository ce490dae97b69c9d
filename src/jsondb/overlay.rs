//! What a transaction has written and not yet committed, laid over what its snapshot shows.
//!
//! Invariant: an entry is newer than every cleared range that holds its key, because clearing a range removes the
//! entries in it. So a batch with the ranges first and the entries after them says the same.
//!
//! A clone costs nothing until one of the two is written to: cursors read from one that stays as it was.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::sync::Arc;

use super::rows::RowRange;
use crate::engine::{Direction, VALUE_BYTES_MAX, WriteBatch};
use crate::error::{Code, Error, Result};

/// The most bytes of rows a transaction may write: one largest document with room for the rows beside it, and less
/// than a batch may hold.
pub const TRANSACTION_BYTES_MAX: usize = VALUE_BYTES_MAX + (32 << 20);

/// Counted for each row beside its bytes, for the nodes that hold it.
const ENTRY_BYTES: usize = 64;

/// What a transaction says of a row: its new value, or `None` where it deleted it.
pub(crate) type Write = Option<Vec<u8>>;

/// Buffered writes in row order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay {
    entries: Arc<BTreeMap<Vec<u8>, Write>>,
    /// In order; none touches the next.
    cleared: Arc<Vec<RowRange>>,
    bytes: usize,
    /// While writes are on trial: what was at their keys before, in the order of the writes.
    replaced: Option<Vec<(Vec<u8>, Option<Write>)>>,
}

impl Overlay {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.cleared.is_empty()
    }

    /// What the transaction wrote at `key`; `None` where the snapshot holds the answer.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        match self.entries.get(key) {
            Some(write) => Some(write.as_deref()),
            None => self.is_cleared(key).then_some(None),
        }
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        self.cleared_at(key).is_some()
    }

    /// The cleared range that holds `key`: nothing in the snapshot counts there.
    pub(crate) fn cleared_at(&self, key: &[u8]) -> Option<&RowRange> {
        let next = self.cleared.partition_point(|range| range.start.as_slice() <= key);
        self.cleared.get(next.checked_sub(1)?).filter(|range| range.contains(key))
    }

    /// The transaction's writes in `range`, to be walked in `direction`.
    pub(crate) fn walk(&self, range: &RowRange, direction: Direction) -> Walk<'_> {
        let empty = range.is_empty();
        // A BTreeMap panics on a range that ends before it starts.
        let (start, end) = if empty { (&[][..], &[][..]) } else { (&range.start[..], &range.end[..]) };
        Walk {
            range: self
                .entries
                .range::<[u8], _>((std::ops::Bound::Included(start), std::ops::Bound::Excluded(end))),
            direction,
        }
    }

    /// Fails where `writes` would take the transaction beyond its limit, so that a caller can find out before it
    /// changes anything.
    pub(crate) fn check_room<'a>(&self, writes: impl Iterator<Item = (&'a Vec<u8>, usize)>) -> Result<()> {
        let mut bytes = self.bytes;
        for (key, value_len) in writes {
            bytes += cost(key.len(), value_len);
            bytes -= self.entries.get(key).map_or(0, |replaced| cost(key.len(), len_of(replaced)));
        }
        check_bytes(bytes)
    }

    /// Fails where tombstones that cost `bytes` in all would take the transaction beyond its limit.
    pub(crate) fn check_room_for_bytes(&self, bytes: usize) -> Result<()> {
        check_bytes(self.bytes.saturating_add(bytes))
    }

    /// What a tombstone at `key` costs.
    pub(crate) fn tombstone_bytes(key: &[u8]) -> usize {
        cost(key.len(), 0)
    }

    pub(crate) fn write(&mut self, key: Vec<u8>, write: Write) {
        let key_len = key.len();
        self.bytes += cost(key_len, len_of(&write));
        let before = self.replaced.is_some().then(|| key.clone());
        let replaced = Arc::make_mut(&mut self.entries).insert(key, write);
        if let Some(replaced) = &replaced {
            self.bytes -= cost(key_len, len_of(replaced));
        }
        if let (Some(list), Some(key)) = (&mut self.replaced, before) {
            list.push((key, replaced));
        }
    }

    /// Puts the writes that follow on trial, until [`Overlay::keep`] or [`Overlay::take_back`]. Nothing may be cleared
    /// meanwhile.
    pub(crate) fn try_writes(&mut self) {
        self.replaced = Some(Vec::new());
    }

    /// The writes on trial stay.
    pub(crate) fn keep(&mut self) {
        self.replaced = None;
    }

    /// Takes back the writes on trial.
    pub(crate) fn take_back(&mut self) {
        let entries = Arc::make_mut(&mut self.entries);
        for (key, before) in self.replaced.take().unwrap_or_default().into_iter().rev() {
            let key_len = key.len();
            self.bytes += before.as_ref().map_or(0, |write| cost(key_len, len_of(write)));
            let now = match before {
                Some(write) => entries.insert(key, write),
                None => entries.remove(&key),
            };
            self.bytes -= now.as_ref().map_or(0, |write| cost(key_len, len_of(write)));
        }
    }

    /// Deletes everything in `range`, the transaction's own writes included.
    pub(crate) fn clear(&mut self, range: RowRange) {
        if range.is_empty() {
            return;
        }
        let entries = Arc::make_mut(&mut self.entries);
        let mut behind = entries.split_off(&range.start);
        let mut kept = behind.split_off(&range.end);
        self.bytes -= behind.iter().map(|(key, write)| cost(key.len(), len_of(write))).sum::<usize>();
        entries.append(&mut kept);
        let cleared = Arc::make_mut(&mut self.cleared);
        // Those that it meets or touches become one with it.
        let first = cleared.partition_point(|other| other.end < range.start);
        let last = cleared.partition_point(|other| other.start <= range.end);
        let mut whole = range;
        for other in cleared.drain(first..last) {
            self.bytes -= cost(other.start.len(), other.end.len());
            whole.start = whole.start.min(other.start);
            whole.end = whole.end.max(other.end);
        }
        self.bytes += cost(whole.start.len(), whole.end.len());
        cleared.insert(first, whole);
    }

    /// The writes as one batch.
    pub(crate) fn to_batch(&self) -> Result<WriteBatch> {
        let mut batch = WriteBatch::new();
        for range in self.cleared.iter() {
            batch.delete_range(&range.start, &range.end)?;
        }
        for (key, write) in self.entries.iter() {
            match write {
                Some(value) => batch.put(key, value)?,
                None => batch.delete(key)?,
            }
        }
        Ok(batch)
    }

    /// The keys and ranges that were written.
    pub(crate) fn into_written(self) -> (Vec<Arc<[u8]>>, Vec<RowRange>) {
        let entries = Arc::unwrap_or_clone(self.entries);
        (entries.into_keys().map(Arc::from).collect(), Arc::unwrap_or_clone(self.cleared))
    }
}

fn check_bytes(bytes: usize) -> Result<()> {
    if bytes > TRANSACTION_BYTES_MAX {
        let message =
            format!("a transaction that writes more than {TRANSACTION_BYTES_MAX} bytes: commit it in parts");
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(())
}

fn len_of(write: &Write) -> usize {
    write.as_ref().map_or(0, Vec::len)
}

fn cost(key_len: usize, value_len: usize) -> usize {
    key_len + value_len + ENTRY_BYTES
}

/// Buffered writes in one direction.
pub(crate) struct Walk<'a> {
    range: Range<'a, Vec<u8>, Write>,
    direction: Direction,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, write) = match self.direction {
            Direction::Forward => self.range.next(),
            Direction::Reverse => self.range.next_back(),
        }?;
        Some((key, write.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> RowRange {
        RowRange { start: start.into(), end: end.into() }
    }

    #[test]
    fn a_write_after_a_clear_stays_and_one_before_goes() {
        let mut overlay = Overlay::default();
        overlay.write(b"a".to_vec(), Some(b"1".to_vec()));
        overlay.write(b"m".to_vec(), Some(b"2".to_vec()));
        overlay.clear(range("b", "z"));
        overlay.write(b"n".to_vec(), Some(b"3".to_vec()));

        assert_eq!(overlay.get(b"a"), Some(Some(&b"1"[..])));
        assert_eq!(overlay.get(b"m"), Some(None));
        assert_eq!(overlay.get(b"n"), Some(Some(&b"3"[..])));
        assert_eq!(overlay.get(b"z"), None);
        let keys: Vec<_> = overlay.walk(&range("a", "zz"), Direction::Reverse).map(|(key, _)| key).collect();
        assert_eq!(keys, [b"n", b"a"]);
        assert_eq!(overlay.walk(&range("z", "a"), Direction::Forward).count(), 0);
        assert_eq!(overlay.to_batch().unwrap().len(), 3);
        assert_eq!(overlay.bytes, cost(1, 1) * 3, "two entries and a range");
    }

    #[test]
    fn cleared_ranges_that_meet_or_touch_are_one() {
        let mut overlay = Overlay::default();
        for (start, end) in
            [("m", "p"), ("a", "c"), ("x", "z"), ("c", "d"), ("z", "z"), ("n", "x"), ("b", "c")]
        {
            overlay.clear(range(start, end));
        }

        assert_eq!(*overlay.cleared, [range("a", "d"), range("m", "z")]);
        let cleared = ["a", "c", "d", "m", "y", "z"].map(|key| overlay.get(key.as_bytes()).is_some());
        assert_eq!(cleared, [true, true, false, true, true, false]);
        assert_eq!(overlay.bytes, cost(1, 1) * 2);
    }

    #[test]
    fn writes_on_trial_are_taken_back_whole_and_a_clone_stays_as_it_was() {
        let mut overlay = Overlay::default();
        overlay.write(b"a".to_vec(), Some(b"old".to_vec()));
        overlay.write(b"b".to_vec(), None);
        let before = overlay.clone();

        overlay.try_writes();
        overlay.write(b"a".to_vec(), Some(b"newer".to_vec()));
        overlay.write(b"a".to_vec(), None);
        overlay.write(b"b".to_vec(), Some(b"1".to_vec()));
        overlay.write(b"c".to_vec(), Some(b"2".to_vec()));
        assert_eq!(before.get(b"c"), None);
        overlay.take_back();

        assert_eq!((&overlay.entries, overlay.bytes), (&before.entries, before.bytes));
        overlay.try_writes();
        overlay.write(b"c".to_vec(), None);
        overlay.keep();
        overlay.take_back();
        assert_eq!(overlay.get(b"c"), Some(None));
    }
}
