//! Sorting in memory: the first so many keys of an order, within a bound.
//!
//! Only the keys of documents and what they are ordered by are held, not the documents.

use std::collections::BinaryHeap;

use super::Order;
use super::condition::OrderKeys;
use super::walk::Entry;
use crate::error::{Code, Error, Result};
use crate::jsondb::key::Key;

/// What a query may hold in memory to sort, in bytes: the keys of what it has found and what they are ordered by.
pub const SORT_BYTES_MAX: usize = 64 << 20;

/// Counted for each entry beside its bytes.
const ENTRY_BYTES: usize = 64;

/// Stands in the place of a key that a document doesn't have: behind all that it does have.
const NO_KEY: u8 = 0xff;

/// Compares as its bytes: the keys of the order, descending ones with their bits flipped, and then the primary key.
/// No encoded key is the beginning of another, so that they can stand one after the other.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Sorted {
    bytes: Vec<u8>,
    primary_at: usize,
    expires_at: u64,
}

/// See the module.
pub(super) struct Sorter {
    heap: BinaryHeap<Sorted>,
    kept_max: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Sorter {
    /// One that keeps the first `kept_max`, or all of them where there is none.
    pub(super) fn new(kept_max: Option<u64>, bytes_max: usize) -> Self {
        let kept_max = kept_max.and_then(|kept| usize::try_from(kept).ok()).unwrap_or(usize::MAX);
        Self { heap: BinaryHeap::new(), kept_max, bytes: 0, bytes_max }
    }

    /// Takes a document that expires at `expires_at`; 0 is never.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when it would be too much.
    pub(super) fn add(
        &mut self,
        order: impl Iterator<Item = Order>,
        keys: &OrderKeys,
        primary: &Key,
        expires_at: u64,
    ) -> Result<()> {
        let sorted = sorted(order, keys, primary, expires_at);
        if self.heap.len() >= self.kept_max {
            match self.heap.peek() {
                Some(last) if sorted < *last => {}
                _ => return Ok(()),
            }
            self.bytes -= self.heap.pop().map_or(0, |last| cost(&last));
        }
        self.bytes += cost(&sorted);
        if self.bytes > self.bytes_max {
            let message = format!(
                "sorting {} documents takes more than {} bytes of memory: give the query a smaller limit, or create an \
                 index in the order that is wanted",
                self.heap.len() + 1,
                self.bytes_max
            );
            return Err(Error::new(Code::InvalidArgument, message));
        }
        self.heap.push(sorted);
        Ok(())
    }

    /// The documents in order.
    ///
    /// # Errors
    ///
    /// None that can happen: what was put in was a key.
    pub(super) fn into_entries(self) -> Result<Vec<Entry>> {
        let entry_of = |sorted: Sorted| {
            let key = Key::from_encoded(sorted.bytes.get(sorted.primary_at..).unwrap_or_default())?;
            Ok(Entry { key, stored: None, expires_at: sorted.expires_at })
        };
        self.heap.into_sorted_vec().into_iter().map(entry_of).collect()
    }
}

fn cost(sorted: &Sorted) -> usize {
    sorted.bytes.len() + ENTRY_BYTES
}

fn sorted(order: impl Iterator<Item = Order>, keys: &OrderKeys, primary: &Key, expires_at: u64) -> Sorted {
    let mut bytes = Vec::new();
    for (order, key) in order.zip(keys) {
        match (key, order) {
            (None, _) => bytes.push(NO_KEY),
            (Some(key), Order::Ascending) => bytes.extend_from_slice(key.as_bytes()),
            (Some(key), Order::Descending) => bytes.extend(key.as_bytes().iter().map(|byte| !byte)),
        }
    }
    let primary_at = bytes.len();
    bytes.extend_from_slice(primary.as_bytes());
    Sorted { bytes, primary_at, expires_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: f64) -> Key {
        Key::from_f64(number).unwrap()
    }

    fn sort(order: Order, kept: Option<u64>, given: &[(Option<f64>, f64)]) -> Vec<Key> {
        let mut sorter = Sorter::new(kept, SORT_BYTES_MAX);
        for (by, primary) in given {
            sorter.add([order].into_iter(), &vec![by.map(key)], &key(*primary), 0).unwrap();
        }
        sorter.into_entries().unwrap().into_iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn ties_come_by_primary_key_and_what_has_no_key_comes_last_in_both_directions() {
        let given = [(Some(2.0), 1.0), (None, 2.0), (Some(1.0), 4.0), (Some(1.0), 3.0), (None, 0.0)];
        let up = [3.0, 4.0, 1.0, 0.0, 2.0].map(key);
        let down = [1.0, 3.0, 4.0, 0.0, 2.0].map(key);
        assert_eq!(sort(Order::Ascending, None, &given), up);
        assert_eq!(sort(Order::Descending, None, &given), down);
        for kept in 0..=5 {
            assert_eq!(sort(Order::Ascending, Some(kept), &given), up[..kept as usize]);
            assert_eq!(sort(Order::Descending, Some(kept), &given), down[..kept as usize]);
        }
    }

    #[test]
    fn what_takes_too_much_memory_is_a_typed_error_and_a_small_limit_never_does() {
        let fill = |kept| {
            let mut sorter = Sorter::new(kept, 2_000);
            (0..1_000).try_for_each(|n| {
                let n = f64::from(n);
                sorter.add([Order::Descending].into_iter(), &vec![Some(key(n))], &key(n), 0)
            })
        };
        assert_eq!(fill(None).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(fill(Some(500)).unwrap_err().code(), Code::InvalidArgument);
        fill(Some(10)).unwrap();
    }
}
