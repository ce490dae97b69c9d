//! What a transaction has written and not yet committed, laid over what its snapshot shows.
//!
//! Invariant: an entry is newer than every cleared range that holds its key, because clearing a range removes the
//! entries in it. So a batch with the ranges first and the entries after them says the same.
//!
//! Where there is a savepoint, a journal holds what every change since has replaced, so that going back costs what is
//! undone. A row that is changed again behind the newest savepoint is in it once.
//!
//! What a cursor has seen costs nothing until the transaction writes on: it shares the rows, and not the journal.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::sync::Arc;

use super::rows::{RowKey, RowRange};
use crate::engine::{Direction, VALUE_BYTES_MAX, WriteBatch};
use crate::error::{Code, Error, Result};

/// The most bytes of rows a transaction may write, with 128 counted for each row beside its bytes, and with what its
/// savepoints keep: one largest document with room for the rows beside it, and less than a batch may hold. The write that
/// would go beyond it is refused with `InvalidArgument`.
pub const TRANSACTION_BYTES_MAX: usize = VALUE_BYTES_MAX + (32 << 20);

/// Counted for each row beside its bytes, for the nodes that hold it.
const ENTRY_BYTES: usize = 128;

/// What a row takes in a batch beside its bytes, and almost always less.
const BATCH_ENTRY_BYTES: usize = 20;

/// What the check of a commit on one store adds to a batch.
const CHECK_BYTES: usize = 64;

/// What a transaction sets a row to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bytes: Vec<u8>,
    /// When the row expires, in milliseconds since 1970; 0 is never.
    pub(crate) expires_at: u64,
}

impl Value {
    /// A value that stays.
    pub(crate) fn lasting(bytes: Vec<u8>) -> Self {
        Self { bytes, expires_at: 0 }
    }
}

/// What a transaction says of a row: its new value, or `None` where it deleted it.
pub(crate) type Write = Option<Value>;

#[derive(Debug, Clone)]
struct Entry {
    write: Write,
    /// How many savepoints there had been when it was written.
    epoch: usize,
}

/// A change, as it is taken back.
#[derive(Debug)]
enum Undo {
    /// The row had this entry.
    Row(RowKey, Option<Entry>),
    /// These entries were removed, and the cleared range `whole` came in the place of those that it met.
    Clear { entries: BTreeMap<RowKey, Entry>, whole: RowRange, met: Vec<RowRange> },
}

#[derive(Debug, Clone, Copy)]
struct Saved {
    journal_len: usize,
    /// That of entries written since, until there is another savepoint.
    epoch: usize,
}

/// Buffered writes in row order.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: Arc<BTreeMap<RowKey, Entry>>,
    /// In order; none touches the next.
    cleared: Arc<Vec<RowRange>>,
    /// Of the entries and the cleared ranges.
    bytes: usize,
    journal: Vec<Undo>,
    /// Of the journal.
    journal_bytes: usize,
    savepoints: Vec<Saved>,
    /// How many savepoints there have been.
    epoch: usize,
    /// Whether a row was written that expires.
    sets_expiry: bool,
}

impl Overlay {
    /// What there is now, for cursors that are to see no more than that. It has no savepoints.
    pub(crate) fn seen(&self) -> Self {
        Self {
            entries: Arc::clone(&self.entries),
            cleared: Arc::clone(&self.cleared),
            bytes: self.bytes,
            sets_expiry: self.sets_expiry,
            ..Self::default()
        }
    }

    /// Whether anything was written or cleared in `range`.
    pub(super) fn touches(&self, range: &RowRange) -> bool {
        let is_beside = |cleared: &RowRange| cleared.end <= range.start || range.end <= cleared.start;
        self.walk(range, Direction::Forward).next().is_some() || !self.cleared.iter().all(is_beside)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.cleared.is_empty()
    }

    /// Whether there is nothing to go back to but the beginning.
    pub(crate) fn has_no_past(&self) -> bool {
        self.is_empty() && self.savepoints.is_empty()
    }

    /// Whether a row was written that expires, be it one that was taken back.
    pub(crate) fn sets_expiry(&self) -> bool {
        self.sets_expiry
    }

    /// What the transaction wrote at `key`; `None` where the snapshot holds the answer.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&Value>> {
        match self.entries.get(key) {
            Some(entry) => Some(entry.write.as_ref()),
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
    pub(crate) fn check_room<'a>(
        &self,
        writes: impl Iterator<Item = (&'a [u8], usize)> + Clone,
    ) -> Result<()> {
        let mut bytes = self.bytes + self.journal_bytes;
        // Almost always there is room whatever they replace, and nothing has to be looked up.
        let most = |(key, value_len): (&[u8], usize)| cost(key.len(), value_len) + cost(key.len(), 0);
        if check_bytes(bytes + writes.clone().map(most).sum::<usize>()).is_ok() {
            return Ok(());
        }
        for (key, value_len) in writes {
            bytes += cost(key.len(), value_len);
            let replaced = self.entries.get(key);
            if self.is_journaled(replaced) {
                // What it replaces stays, and the journal has the key once more.
                bytes += cost(key.len(), 0);
            } else {
                bytes -= replaced.map_or(0, |replaced| cost(key.len(), len_of(&replaced.write)));
            }
        }
        check_bytes(bytes)
    }

    /// The bytes that the deletion of a row would add at the most; none where nothing has to be kept of what the
    /// transaction has written there already.
    pub(crate) fn added_by(&self, deleted: &[u8]) -> usize {
        let entry = self.entries.get(deleted);
        match (self.is_journaled(entry), entry) {
            (true, _) => 2 * cost(deleted.len(), 0),
            (false, None) => cost(deleted.len(), 0),
            (false, Some(_)) => 0,
        }
    }

    /// Fails where so many bytes more would take the transaction beyond its limit.
    pub(crate) fn check_more(&self, bytes: usize) -> Result<()> {
        check_bytes((self.bytes + self.journal_bytes).saturating_add(bytes))
    }

    pub(crate) fn write(&mut self, key: impl Into<RowKey>, write: Write) {
        let key = key.into();
        self.sets_expiry |= write.as_ref().is_some_and(|value| value.expires_at != 0);
        let entry = Entry { write, epoch: self.epoch };
        if !self.savepoints.is_empty() && self.is_journaled(self.entries.get(&key)) {
            let replaced = self.insert(Arc::clone(&key), entry);
            self.note(Undo::Row(key, replaced));
        } else {
            self.insert(key, entry);
        }
    }

    /// Deletes everything in `range`, the transaction's own writes included.
    pub(crate) fn clear(&mut self, range: RowRange) {
        if range.is_empty() {
            return;
        }
        let entries = Arc::make_mut(&mut self.entries);
        let mut behind = entries.split_off(range.start.as_slice());
        let mut kept = behind.split_off(range.end.as_slice());
        self.bytes -= bytes_of(&behind);
        entries.append(&mut kept);
        let cleared = Arc::make_mut(&mut self.cleared);
        // Those that it meets or touches become one with it.
        let first = cleared.partition_point(|other| other.end < range.start);
        let last = cleared.partition_point(|other| other.start <= range.end);
        let mut whole = range;
        let met: Vec<_> = cleared.drain(first..last).collect();
        for other in &met {
            whole.start = whole.start.min(other.start.clone());
            whole.end = whole.end.max(other.end.clone());
        }
        cleared.insert(first, whole.clone());
        self.bytes = self.bytes + cost_of(&whole) - met.iter().map(cost_of).sum::<usize>();
        if !self.savepoints.is_empty() {
            self.note(Undo::Clear { entries: behind, whole, met });
        }
    }

    /// Sets a savepoint behind those that there are, and returns its place.
    pub(crate) fn save(&mut self) -> usize {
        self.epoch += 1;
        self.savepoints.push(Saved { journal_len: self.journal.len(), epoch: self.epoch });
        self.savepoints.len() - 1
    }

    /// Takes back everything since the savepoint at `place`. That one stays, those behind it go.
    pub(crate) fn roll_back(&mut self, place: usize) {
        let Some(&Saved { journal_len, .. }) = self.savepoints.get(place) else { return };
        while self.journal.len() > journal_len
            && let Some(undo) = self.journal.pop()
        {
            self.journal_bytes -= size_of_undo(&undo);
            self.take_back(undo);
        }
        self.savepoints.truncate(place + 1);
    }

    /// Forgets the newest savepoint; what was written since belongs to the one before it.
    pub(crate) fn release(&mut self) {
        self.savepoints.pop();
        if self.savepoints.is_empty() {
            self.journal = Vec::new();
            self.journal_bytes = 0;
        }
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Row(key, Some(entry)) => _ = self.insert(key, entry),
            Undo::Row(key, None) => {
                if let Some(gone) = Arc::make_mut(&mut self.entries).remove(&key) {
                    self.bytes -= cost(key.len(), len_of(&gone.write));
                }
            }
            Undo::Clear { entries, whole, met } => {
                let cleared = Arc::make_mut(&mut self.cleared);
                let first = cleared.partition_point(|range| range.start < whole.start);
                self.bytes = self.bytes + met.iter().map(cost_of).sum::<usize>() - cost_of(&whole);
                cleared.splice(first..=first, met);
                self.bytes += bytes_of(&entries);
                // One by one: appending would go through every entry there is.
                Arc::make_mut(&mut self.entries).extend(entries);
            }
        }
    }

    /// Whether a change of a row that has this entry has to be noted: it has not been written since the newest savepoint.
    fn is_journaled(&self, entry: Option<&Entry>) -> bool {
        self.savepoints.last().is_some_and(|saved| entry.is_none_or(|entry| entry.epoch < saved.epoch))
    }

    fn note(&mut self, undo: Undo) {
        self.journal_bytes += size_of_undo(&undo);
        self.journal.push(undo);
    }

    /// Returns the entry that was there.
    fn insert(&mut self, key: RowKey, entry: Entry) -> Option<Entry> {
        let key_len = key.len();
        self.bytes += cost(key_len, len_of(&entry.write));
        let replaced = Arc::make_mut(&mut self.entries).insert(key, entry);
        self.bytes -= replaced.as_ref().map_or(0, |replaced| cost(key_len, len_of(&replaced.write)));
        replaced
    }

    /// The writes as one batch.
    pub(crate) fn to_batch(&self) -> Result<WriteBatch> {
        // With room for the states of stores, which the check adds.
        let mut batch = WriteBatch::with_capacity(self.batch_bytes() + CHECK_BYTES);
        for range in self.cleared.iter() {
            batch.delete_range(&range.start, &range.end)?;
        }
        for (key, entry) in self.entries.iter() {
            match &entry.write {
                Some(value) => batch.put_expiring(key, &value.bytes, value.expires_at)?,
                None => batch.delete(key)?,
            }
        }
        Ok(batch)
    }

    /// About what the writes take in a batch.
    fn batch_bytes(&self) -> usize {
        self.bytes - (self.entries.len() + self.cleared.len()) * (ENTRY_BYTES - BATCH_ENTRY_BYTES)
    }

    /// The keys and ranges that were written.
    pub(crate) fn into_written(self) -> (Vec<RowKey>, Vec<RowRange>) {
        let keys = match Arc::try_unwrap(self.entries) {
            Ok(entries) => entries.into_keys().collect(),
            // A cursor reads from them.
            Err(entries) => entries.keys().cloned().collect(),
        };
        (keys, Arc::unwrap_or_clone(self.cleared))
    }
}

fn check_bytes(bytes: usize) -> Result<()> {
    if bytes > TRANSACTION_BYTES_MAX {
        let message = format!(
            "a transaction that writes more than {TRANSACTION_BYTES_MAX} bytes, which is the most it takes, with \
             {ENTRY_BYTES} for each row and what its savepoints keep: commit it in parts"
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(())
}

fn len_of(write: &Write) -> usize {
    write.as_ref().map_or(0, |value| value.bytes.len())
}

fn cost(key_len: usize, value_len: usize) -> usize {
    key_len + value_len + ENTRY_BYTES
}

fn cost_of(range: &RowRange) -> usize {
    cost(range.start.len(), range.end.len())
}

fn bytes_of(entries: &BTreeMap<RowKey, Entry>) -> usize {
    entries.iter().map(|(key, entry)| cost(key.len(), len_of(&entry.write))).sum()
}

fn size_of_undo(undo: &Undo) -> usize {
    match undo {
        Undo::Row(key, None) => cost(key.len(), 0),
        Undo::Row(key, Some(replaced)) => cost(key.len(), 0) + cost(key.len(), len_of(&replaced.write)),
        Undo::Clear { entries, whole, met } => {
            cost_of(whole) + met.iter().map(cost_of).sum::<usize>() + bytes_of(entries)
        }
    }
}

/// Buffered writes in one direction.
pub(crate) struct Walk<'a> {
    range: Range<'a, RowKey, Entry>,
    direction: Direction,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a [u8], Option<&'a Value>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, entry) = match self.direction {
            Direction::Forward => self.range.next(),
            Direction::Reverse => self.range.next_back(),
        }?;
        Some((key, entry.write.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> RowRange {
        RowRange { start: start.into(), end: end.into() }
    }

    fn set(overlay: &mut Overlay, key: &str, value: &str) {
        overlay.write(key.as_bytes(), Some(Value::lasting(value.into())));
    }

    /// What every row has, what is cleared, and the bytes.
    fn shown(overlay: &Overlay) -> (Vec<String>, Vec<RowRange>, usize) {
        let rows = overlay.walk(&range("", "~"), Direction::Forward);
        let rows = rows.map(|(key, value)| format!("{key:?} = {value:?}")).collect();
        (rows, overlay.cleared.to_vec(), overlay.bytes)
    }

    #[test]
    fn what_is_to_be_deleted_is_refused_before_it_is_too_much() {
        let mut overlay = Overlay::default();
        overlay.write(b"written".to_vec(), Some(Value::lasting(vec![0; 100])));
        let left = TRANSACTION_BYTES_MAX - cost(7, 100);

        overlay.check_more(left).unwrap();
        assert_eq!(overlay.check_more(left + 1).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!((overlay.added_by(b"other"), overlay.added_by(b"written")), (cost(5, 0), 0));
        // Behind a savepoint the journal has the row, too.
        overlay.save();
        assert_eq!(
            (overlay.added_by(b"other"), overlay.added_by(b"written")),
            (2 * cost(5, 0), 2 * cost(7, 0))
        );
    }

    #[test]
    fn a_write_after_a_clear_stays_and_one_before_goes() {
        let mut overlay = Overlay::default();
        set(&mut overlay, "a", "1");
        set(&mut overlay, "m", "2");
        overlay.clear(range("b", "z"));
        set(&mut overlay, "n", "3");

        let bytes = |key: &[u8]| overlay.get(key).map(|value| value.map(|value| &value.bytes[..]));
        assert_eq!(bytes(b"a"), Some(Some(&b"1"[..])));
        assert_eq!(bytes(b"m"), Some(None));
        assert_eq!(bytes(b"n"), Some(Some(&b"3"[..])));
        assert_eq!(bytes(b"z"), None);
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
    fn going_back_to_a_savepoint_restores_exactly_what_was_there() {
        let mut overlay = Overlay::default();
        set(&mut overlay, "a", "1");
        set(&mut overlay, "m", "2");
        let first = shown(&overlay);
        overlay.save();
        set(&mut overlay, "a", "10");
        overlay.write(b"n".to_vec(), None);
        overlay.clear(range("b", "z"));
        set(&mut overlay, "q", "3");
        let second = shown(&overlay);
        overlay.save();
        set(&mut overlay, "q", "4");
        overlay.clear(range("b", "z"));
        overlay.clear(range("", "b"));
        set(&mut overlay, "a", "5");

        overlay.roll_back(1);
        assert_eq!(shown(&overlay), second);
        set(&mut overlay, "q", "6");
        overlay.roll_back(1);
        assert_eq!(shown(&overlay), second);
        overlay.roll_back(0);
        assert_eq!(shown(&overlay), first);
        assert_eq!((overlay.journal.len(), overlay.journal_bytes, overlay.savepoints.len()), (0, 0, 1));
        overlay.roll_back(1);
        assert_eq!(shown(&overlay), first);
    }

    #[test]
    fn a_row_that_is_written_again_and_again_behind_a_savepoint_is_kept_once() {
        let mut overlay = Overlay::default();
        set(&mut overlay, "a", "before");
        overlay.save();
        (0..1000).for_each(|turn| set(&mut overlay, "a", &turn.to_string()));

        assert_eq!(overlay.journal.len(), 1);
        assert_eq!(overlay.journal_bytes, cost(1, 0) + cost(1, 6));
        overlay.roll_back(0);
        assert_eq!(overlay.get(b"a").unwrap().unwrap().bytes, b"before");
    }

    #[test]
    fn a_transaction_takes_what_is_documented_and_says_so_beyond_it() {
        let mut overlay = Overlay::default();
        set(&mut overlay, "a", "1");
        let (old, new) = (b"a".to_vec(), b"b".to_vec());
        let rest = TRANSACTION_BYTES_MAX - 2 * cost(1, 0);
        let room = |overlay: &Overlay, key, len| overlay.check_room([(key, len)].into_iter());

        assert!(room(&overlay, &new, rest - 1).is_ok());
        let error = room(&overlay, &new, rest).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(&TRANSACTION_BYTES_MAX.to_string()), "{error}");
        assert!(room(&overlay, &old, TRANSACTION_BYTES_MAX - cost(1, 0)).is_ok());
        // Behind a savepoint what is replaced is kept.
        overlay.save();
        assert!(room(&overlay, &old, TRANSACTION_BYTES_MAX - cost(1, 0)).is_err());
    }

    #[test]
    fn a_released_savepoint_leaves_what_was_written_to_the_one_before_it() {
        let mut overlay = Overlay::default();
        set(&mut overlay, "a", "before");
        let before = shown(&overlay);
        overlay.save();
        overlay.save();
        set(&mut overlay, "a", "1");
        set(&mut overlay, "b", "2");
        overlay.release();
        set(&mut overlay, "b", "3");
        overlay.roll_back(0);
        assert_eq!(shown(&overlay), before);

        overlay.release();
        overlay.save();
        set(&mut overlay, "a", "4");
        overlay.release();
        assert_eq!((overlay.journal.len(), overlay.journal_bytes), (0, 0));
        // A row of a savepoint that is gone was written before the next one.
        let kept = shown(&overlay);
        overlay.save();
        set(&mut overlay, "a", "5");
        overlay.roll_back(0);
        assert_eq!(shown(&overlay), kept);
    }

    #[test]
    fn what_was_seen_stays_whatever_is_written_or_taken_back() {
        let mut overlay = Overlay::default();
        set(&mut overlay, "a", "1");
        overlay.save();
        set(&mut overlay, "a", "2");
        overlay.clear(range("m", "p"));
        let (seen, rows) = (overlay.seen(), shown(&overlay));
        assert!(
            Arc::ptr_eq(&seen.entries, &overlay.entries),
            "nothing is copied before there are other writes"
        );

        set(&mut overlay, "m", "3");
        assert_eq!(shown(&seen), rows);
        overlay.clear(range("a", "z"));
        overlay.roll_back(0);
        assert_eq!(shown(&seen), rows);
        assert_ne!(shown(&overlay), rows);
    }
}
