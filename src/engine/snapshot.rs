//! Snapshots: seqnos that somebody still reads at, and that compaction therefore keeps.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::background::Background;
use crate::key::SeqNo;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The seqno up to which everything is visible, and the snapshots that are open.
pub(crate) struct Snapshots {
    visible: AtomicU64,
    open: Mutex<BTreeMap<SeqNo, usize>>,
    /// Compaction has something to do once the oldest snapshot has reached this seqno; [`NOT_AWAITED`] for nothing.
    awaited: AtomicU64,
    background: Arc<Background>,
}

/// Instead of a seqno that compaction waits for.
const NOT_AWAITED: SeqNo = SeqNo::MAX;

impl Snapshots {
    /// No snapshots; `background` is told when one that was in its way has gone.
    pub(crate) fn new(background: Arc<Background>) -> Self {
        let (visible, awaited) = (AtomicU64::new(0), AtomicU64::new(NOT_AWAITED));
        Self { visible, open: Mutex::default(), awaited, background }
    }

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

    /// The oldest open snapshot, or what is visible now.
    pub(crate) fn oldest(&self) -> SeqNo {
        self.oldest_of(&self.open.lock())
    }

    fn oldest_of(&self, open: &BTreeMap<SeqNo, usize>) -> SeqNo {
        open.keys().next().copied().unwrap_or_else(|| self.visible())
    }

    /// Wakes compaction when no snapshot older than `seqno` is open any more: by a later closing, or now where the
    /// last of them has closed since the caller looked.
    pub(crate) fn call_when_reached(&self, seqno: SeqNo) {
        let open = self.open.lock();
        self.awaited.store(seqno, Ordering::Relaxed);
        self.call_if_reached(&open);
    }

    /// The lock, which the caller has, orders this against [`Snapshots::call_when_reached`].
    fn call_if_reached(&self, open: &BTreeMap<SeqNo, usize>) {
        if self.awaited.load(Ordering::Relaxed) <= self.oldest_of(open) {
            self.awaited.store(NOT_AWAITED, Ordering::Relaxed);
            self.background.wake_compaction();
        }
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
                self.snapshots.call_if_reached(&open);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::{CommitOptions, Engine, WriteBatch};
    use crate::fs::SimFs;

    #[test]
    fn what_two_snapshots_of_one_moment_see_stays_until_both_have_closed() {
        let config = Config { auto_background: false, ..Config::new("/db") };
        let engine = Engine::open_on(config, Arc::new(SimFs::new())).unwrap();
        let put = |value: &[u8]| {
            let mut batch = WriteBatch::new();
            batch.put(b"key", value).unwrap();
            engine.commit(batch, CommitOptions::default()).unwrap();
        };
        put(b"old");
        let (first, second) = (engine.snapshot(), engine.snapshot());
        put(b"new");

        drop(first);
        engine.compact_all().unwrap();

        assert_eq!(engine.get(b"key", Some(&second)).unwrap().unwrap().bytes, b"old");
    }
}
