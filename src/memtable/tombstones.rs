//! The range tombstones of a memtable, fragmented when someone reads them and not when they are written.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::key::SeqNo;
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// What a tombstone is charged beside its keys.
const FIXED_BYTES: usize = size_of::<RangeTombstone>();

/// The range tombstones of one memtable.
pub(super) struct TombstoneList {
    state: RwLock<State>,
    /// Zero as long as there are none, so that most readers need no lock.
    used_bytes: AtomicUsize,
}

struct State {
    added: Vec<RangeTombstone>,
    /// The fragments of all of `added`, if they were made since the last one came.
    fragmented: Option<Arc<RangeTombstones>>,
}

impl TombstoneList {
    pub(super) fn new() -> Self {
        let state = State { added: Vec::new(), fragmented: Some(Arc::default()) };
        Self { state: RwLock::new(state), used_bytes: AtomicUsize::new(0) }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, tombstone: RangeTombstone) {
        let mut state = self.state.write();
        // Where each lies within the next, as when a queue is cut at its front again and again, the fragments name
        // every pair of them.
        let in_fragments = state.added.len() * size_of::<SeqNo>();
        let bytes = FIXED_BYTES + tombstone.start.len() + tombstone.end.len() + in_fragments;
        state.added.push(tombstone);
        state.fragmented = None;
        self.used_bytes.fetch_add(bytes, Ordering::Release);
    }

    pub(super) fn fragmented(&self) -> Arc<RangeTombstones> {
        if let Some(fragmented) = &self.state.read().fragmented {
            return Arc::clone(fragmented);
        }
        let mut state = self.state.write();
        let State { added, fragmented } = &mut *state;
        Arc::clone(fragmented.get_or_insert_with(|| Arc::new(RangeTombstones::new(added))))
    }
}
