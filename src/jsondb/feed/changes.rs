//! Reading the changes of documents out of the batch of a commit.
#![forbid(unsafe_code)]

use std::ops::Bound;
use std::sync::Arc;

use super::super::Document;
use super::super::key::{Key, KeyRange};
use super::super::rows::{Kind, RowRange, StoredDocument, document_prefix, split_row_key};
use super::super::schema::StoreDef;
use super::super::watch::Change;
use super::subscriber::Subscriber;
use crate::engine::{BatchEntry, WriteBatch};
use crate::error::Result;

/// Ends the range of a store's documents: no key begins with it.
const BEHIND: u8 = 0xff;

/// What a commit changes, as far as anybody wants to know.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) changes: Vec<Change>,
    /// The changes whose old document is wanted, and the row where it is before the commit.
    pub(super) old_rows: Vec<(usize, Vec<u8>)>,
}

/// A store that the commit writes to, with the ranges of it that it clears.
struct Store {
    id: u64,
    name: Arc<str>,
    cleared: Vec<RowRange>,
}

impl Listed {
    /// That stores are deleted.
    pub(super) fn drop_of(deleted: &[Arc<str>], subscribers: &[Arc<Subscriber>]) -> Self {
        let is_wanted =
            |store: &&Arc<str>| subscribers.iter().any(|subscriber| subscriber.wants_store(store));
        let drop = |store: &Arc<str>| Change::Drop { store: Arc::clone(store) };
        Self { changes: deleted.iter().filter(is_wanted).map(drop).collect(), ..Self::default() }
    }

    /// Adds what `batch` changes, in which ranges come before single rows.
    pub(super) fn read(
        &mut self,
        batch: &WriteBatch,
        stores: &[Arc<StoreDef>],
        subscribers: &[Arc<Subscriber>],
    ) -> Result<()> {
        let named = |store: &Arc<StoreDef>| Store {
            id: store.id,
            name: Arc::from(store.name.as_str()),
            cleared: Vec::new(),
        };
        let mut stores: Vec<Store> = stores.iter().map(named).collect();
        for entry in batch.entries() {
            let (BatchEntry::Put { key: row, .. }
            | BatchEntry::Delete { key: row }
            | BatchEntry::DeleteRange { start: row, .. }) = entry;
            let Some((kind, id, key)) = split_row_key(row) else { continue };
            if kind != Kind::Document as u8 {
                continue;
            }
            let Some(store) = stores.iter_mut().find(|store| store.id == id) else { continue };
            match entry {
                BatchEntry::Put { value, .. } => self.put(store, row, key, value, subscribers)?,
                BatchEntry::Delete { .. } => self.delete(store, row, key, subscribers)?,
                BatchEntry::DeleteRange { end, .. } => {
                    let range = RowRange { start: row.to_vec(), end: end.to_vec() };
                    self.clear(store, range, subscribers);
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_old_value(&mut self, at: usize, document: Document) {
        if let Some(Change::Put { old_value, .. } | Change::Delete { old_value, .. }) =
            self.changes.get_mut(at)
        {
            *old_value = Some(Arc::new(document));
        }
    }

    fn put(
        &mut self,
        store: &Store,
        row: &[u8],
        key: &[u8],
        value: &[u8],
        subscribers: &[Arc<Subscriber>],
    ) -> Result<()> {
        let key = Key::from_encoded(key)?;
        let Some(wants) = Wants::of(subscribers, &store.name, &key) else { return Ok(()) };
        let StoredDocument { document, version, updated_at, expires_at } = if wants.values {
            StoredDocument::decode(value, row)?
        } else {
            StoredDocument::decode_header(value, row)?
        };
        let value = wants.values.then(|| Arc::new(document));
        self.note_old(&wants, store, row);
        let store = Arc::clone(&store.name);
        self.changes.push(Change::Put {
            store,
            key,
            version,
            updated_at,
            expires_at,
            value,
            old_value: None,
        });
        Ok(())
    }

    fn delete(
        &mut self,
        store: &Store,
        row: &[u8],
        key: &[u8],
        subscribers: &[Arc<Subscriber>],
    ) -> Result<()> {
        let key = Key::from_encoded(key)?;
        let Some(wants) = Wants::of(subscribers, &store.name, &key) else { return Ok(()) };
        self.note_old(&wants, store, row);
        self.changes.push(Change::Delete { store: Arc::clone(&store.name), key, old_value: None });
        Ok(())
    }

    /// What the commit has cleared before is not there any more when the row is written.
    fn note_old(&mut self, wants: &Wants, store: &Store, row: &[u8]) {
        if wants.old_values && !store.cleared.iter().any(|range| range.contains(row)) {
            self.old_rows.push((self.changes.len(), row.to_vec()));
        }
    }

    fn clear(&mut self, store: &mut Store, range: RowRange, subscribers: &[Arc<Subscriber>]) {
        let prefix = document_prefix(store.id);
        let name = &store.name;
        if range == RowRange::prefix(prefix.clone()) {
            if subscribers.iter().any(|subscriber| subscriber.wants_store(name)) {
                self.changes.push(Change::Clear { store: Arc::clone(name) });
            }
        } else {
            for range in key_ranges(&range, &prefix) {
                if subscribers.iter().any(|subscriber| subscriber.wants_range(name, &range)) {
                    self.changes.push(Change::DeleteRange { store: Arc::clone(name), range });
                }
            }
        }
        store.cleared.push(range);
    }
}

/// What those who want a change want of it.
struct Wants {
    values: bool,
    old_values: bool,
}

impl Wants {
    /// `None` where nobody wants it.
    fn of(subscribers: &[Arc<Subscriber>], store: &str, key: &Key) -> Option<Self> {
        let mut wants = None;
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.wants_key(store, key)) {
            let wants = wants.get_or_insert(Self { values: false, old_values: false });
            wants.values |= subscriber.values;
            wants.old_values |= subscriber.old_values;
        }
        wants
    }
}

/// The ranges of keys that a range of rows below `prefix` is: two where it ends behind the last key that begins with
/// another one, which no key says.
fn key_ranges(rows: &RowRange, prefix: &[u8]) -> Vec<KeyRange> {
    let lower = match rows.start.strip_prefix(prefix) {
        None | Some([]) => Bound::Unbounded,
        Some(rest) => bound_of(rest, Bound::Included, Bound::Excluded),
    };
    let upper = match rows.end.strip_prefix(prefix) {
        None | Some([BEHIND]) => Bound::Unbounded,
        Some(rest) => bound_of(rest, Bound::Excluded, Bound::Included),
    };
    let range = KeyRange { lower, upper };
    match prefix_at_end_of(&range) {
        Some(last) if last.lower == range.lower => vec![last],
        Some(KeyRange { lower: Bound::Included(key), upper })
            if RowRange::keys(&[], &range).start.as_slice() < key.as_bytes() =>
        {
            let before = KeyRange { lower: range.lower, upper: Bound::Excluded(key.clone()) };
            vec![before, KeyRange { lower: Bound::Included(key), upper }]
        }
        _ => vec![range],
    }
}

/// A bound `at` the first row of a key, or `behind` its rows; or at a position between keys.
fn bound_of(rest: &[u8], at: fn(Key) -> Bound<Key>, behind: fn(Key) -> Bound<Key>) -> Bound<Key> {
    if let Ok(key) = Key::from_encoded(rest) {
        return at(key);
    }
    match rest.strip_suffix(&[BEHIND]).map(Key::from_encoded) {
        Some(Ok(key)) => behind(key),
        _ => at(Key::at_position(rest.to_vec())),
    }
}

/// The range of all keys with a prefix that ends where `range` does; `None` where that is at a key.
fn prefix_at_end_of(range: &KeyRange) -> Option<KeyRange> {
    let Bound::Excluded(position) = &range.upper else { return None };
    if position.decode().is_ok() {
        return None;
    }
    let is_end = |prefix: &KeyRange| prefix.upper == range.upper;
    if let Bound::Included(key) = &range.lower
        && let Some(prefix) = KeyRange::prefix(key.clone()).ok().filter(is_end)
    {
        return Some(prefix);
    }
    let (last, body) = position.as_bytes().split_last()?;
    let body = [body, &[last.checked_sub(1)?]].concat();
    // The end of a string or an array, and that of bytes.
    [&[0][..], &[0, 0]].into_iter().find_map(|end| {
        let key = Key::from_encoded([&body, end].concat()).ok()?;
        KeyRange::prefix(key).ok().filter(is_end)
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::key::KeyValue;
    use super::*;

    fn key(text: &str) -> Key {
        Key::encode(&KeyValue::from(text)).unwrap()
    }

    fn back(range: &KeyRange) -> Vec<KeyRange> {
        let prefix = document_prefix(7);
        key_ranges(&RowRange::keys(&prefix, range), &prefix)
    }

    #[test]
    fn a_range_of_rows_is_the_range_of_keys_that_it_was_made_of() {
        let number = |number: f64| Key::encode(&KeyValue::Number(number)).unwrap();
        let bytes = Key::encode(&KeyValue::Binary(vec![1, 0xff])).unwrap();
        for range in [
            KeyRange::only(number(3.0)),
            KeyRange::lower_bound(key("a"), true),
            KeyRange::lower_bound(bytes.clone(), false),
            KeyRange::upper_bound(key("b"), true),
            KeyRange::upper_bound(bytes.clone(), false),
            KeyRange::bound(number(-1.0), key("b"), true, false).unwrap(),
            KeyRange::prefix(key("ab")).unwrap(),
            KeyRange::prefix(bytes).unwrap(),
        ] {
            assert_eq!(back(&range), std::slice::from_ref(&range));
        }
    }

    #[test]
    fn a_range_that_ends_with_a_prefix_is_two_which_keys_can_say() {
        let prefix = KeyRange::prefix(key("ab")).unwrap();
        let whole = KeyRange { lower: Bound::Excluded(key("a")), upper: prefix.upper.clone() };

        let before = KeyRange::bound(key("a"), key("ab"), true, true).unwrap();
        assert_eq!(back(&whole), [before, prefix]);
        // One that begins within the prefix stays what it is.
        let within = KeyRange { lower: Bound::Included(key("abc")), upper: whole.upper };
        assert_eq!(back(&within), [within]);
    }
}
