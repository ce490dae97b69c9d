//! The memory that open tables hold by themselves, and its bound.
//!
//! Invariant: what is held of indexes and filters is within the budget; range tombstones, which a read can't do
//! without, are held in any case, and count.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::sync::atomic::{AtomicUsize, Ordering};

/// What all tables of a database may hold, and hold.
pub(crate) struct Pins {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Pins {
    /// A budget of `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: AtomicUsize::new(0) }
    }

    /// How many bytes are held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts `bytes` if the budget has room for them.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let grown = |held: usize| held.checked_add(bytes).filter(|&held| held <= self.bytes_max);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    /// Takes back what [`Pins::take`] has counted.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` that are held whatever the budget says.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Pinned {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Pinned { pins: Arc::clone(self), bytes }
    }
}

/// What one table holds, counted until it is dropped.
pub(crate) struct Pinned {
    pins: Arc<Pins>,
    bytes: usize,
}

impl Pinned {
    /// Counts `more` bytes if the budget has room for them.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let has_room = self.pins.take(more);
        self.bytes += if has_room { more } else { 0 };
        has_room
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.pins.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_within_the_budget_and_comes_back() {
        let pins = Arc::new(Pins::new(100));
        let mut table = pins.hold(0);
        assert!(table.grow(60));
        let mut other = pins.hold(10);
        assert!(!other.grow(31), "91 bytes are held or asked for beside 10");
        assert!(other.grow(30));
        assert_eq!(pins.bytes(), 100);

        drop(table);

        assert_eq!(pins.bytes(), 40);
        assert!(other.grow(60));
        drop(other);
        assert_eq!(pins.bytes(), 0);
    }

    #[test]
    fn what_has_to_be_held_counts_and_leaves_less_for_the_rest() {
        let pins = Arc::new(Pins::new(100));
        let mut table = pins.hold(150);

        assert!(!table.grow(1));
        assert_eq!(pins.bytes(), 150);
    }
}
