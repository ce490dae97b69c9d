//! Snapshots: seqnos that somebody still reads at, and that compaction therefore keeps.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::key::SeqNo;

/// The seqno up to which everything is visible, and the snapshots that are open.
#[derive(Default)]
pub(crate) struct Snapshots {
    visible: AtomicU64,
    open: Mutex<BTreeMap<SeqNo, usize>>,
}

impl Snapshots {
    /// Everything up to this seqno can be read.
    pub(crate) fn visible(&self) -> SeqNo {
        self.visible.load(Ordering::Acquire)
    }

    /// Makes everything up to `seqno` readable. It must be in the memtable.
    pub(crate) fn publish(&self, seqno: SeqNo) {
        self.visible.store(seqno, Ordering::Release);
    }

    /// The open snapshots and, last, what is visible now: what a flush or compaction has to keep.
    ///
    /// The lock makes this exact: a snapshot that is taken later is at or after the last one of the list.
    pub(crate) fn to_keep(&self) -> Vec<SeqNo> {
        let open = self.open.lock();
        let mut kept: Vec<SeqNo> = open.keys().copied().collect();
        let visible = self.visible();
        if kept.last() != Some(&visible) {
            kept.push(visible);
        }
        kept
    }

    /// How many snapshots are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open.lock().values().sum()
    }
}

/// The database as it was when the snapshot was taken. Cheap to clone; what it sees stays until the last clone
/// is dropped.
#[derive(Clone)]
pub struct Snapshot(Arc<Registration>);

struct Registration {
    seqno: SeqNo,
    snapshots: Arc<Snapshots>,
}

impl Snapshot {
    pub(crate) fn take(snapshots: &Arc<Snapshots>) -> Self {
        let mut open = snapshots.open.lock();
        let seqno = snapshots.visible();
        *open.entry(seqno).or_default() += 1;
        drop(open);
        Self(Arc::new(Registration { seqno, snapshots: Arc::clone(snapshots) }))
    }

    /// The last commit that the snapshot sees.
    #[must_use]
    pub fn seqno(&self) -> u64 {
        self.0.seqno
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({})", self.0.seqno)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.snapshots.open.lock();
        if let Some(count) = open.get_mut(&self.seqno) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.seqno);
            }
        }
    }
}
