//! What a transaction has written and not yet committed, laid over what its snapshot shows.
//!
//! Invariant: an entry is newer than every cleared range that holds its key, because clearing a range removes the
//! entries in it. So a batch with the ranges first and the entries after them says the same.
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
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: BTreeMap<Vec<u8>, Write>,
    cleared: Vec<RowRange>,
    bytes: usize,
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

    /// Whether the transaction cleared `key`, so that nothing in the snapshot counts there. Whole stores are
    /// cleared, so a range of one kind of row of one store is cleared where its start is.
    pub(crate) fn is_cleared(&self, key: &[u8]) -> bool {
        self.cleared.iter().any(|range| range.contains(key))
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
        Self::check_bytes(bytes)
    }

    /// The bytes that the deletion of a row would add; none where the transaction has written it already.
    pub(crate) fn added_by(&self, deleted: &[u8]) -> usize {
        if self.entries.contains_key(deleted) { 0 } else { cost(deleted.len(), 0) }
    }

    /// Fails where so many bytes more would take the transaction beyond its limit.
    pub(crate) fn check_more(&self, bytes: usize) -> Result<()> {
        Self::check_bytes(self.bytes + bytes)
    }

    fn check_bytes(bytes: usize) -> Result<()> {
        if bytes > TRANSACTION_BYTES_MAX {
            let message = format!(
                "a transaction that writes more than {TRANSACTION_BYTES_MAX} bytes: commit it in parts"
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, key: Vec<u8>, write: Write) {
        let key_len = key.len();
        self.bytes += cost(key_len, len_of(&write));
        if let Some(replaced) = self.entries.insert(key, write) {
            self.bytes -= cost(key_len, len_of(&replaced));
        }
    }

    /// Deletes everything in `range`, the transaction's own writes included.
    pub(crate) fn clear(&mut self, range: RowRange) {
        let mut behind = self.entries.split_off(&range.start);
        let mut kept = behind.split_off(&range.end);
        self.bytes -= behind.iter().map(|(key, write)| cost(key.len(), len_of(write))).sum::<usize>();
        self.entries.append(&mut kept);
        if !self.cleared.contains(&range) {
            self.cleared.push(range);
        }
    }

    /// The writes as one batch.
    pub(crate) fn to_batch(&self) -> Result<WriteBatch> {
        let mut batch = WriteBatch::new();
        for range in &self.cleared {
            batch.delete_range(&range.start, &range.end)?;
        }
        for (key, write) in &self.entries {
            match write {
                Some(value) => batch.put(key, value)?,
                None => batch.delete(key)?,
            }
        }
        Ok(batch)
    }

    /// The keys and ranges that were written.
    pub(crate) fn into_written(self) -> (Vec<Arc<[u8]>>, Vec<RowRange>) {
        (self.entries.into_keys().map(Arc::from).collect(), self.cleared)
    }
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
    fn what_is_to_be_deleted_is_refused_before_it_is_too_much() {
        let mut overlay = Overlay::default();
        overlay.write(b"written".to_vec(), Some(vec![0; 100]));
        let left = TRANSACTION_BYTES_MAX - cost(7, 100);

        overlay.check_more(left).unwrap();
        assert_eq!(overlay.check_more(left + 1).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!((overlay.added_by(b"other"), overlay.added_by(b"written")), (cost(5, 0), 0));
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
        assert_eq!(overlay.bytes, cost(1, 1) * 2);
    }
}
