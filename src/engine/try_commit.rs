//! Commits in the calling thread that wait for nobody: for a thread that has other things to do.
//!
//! A commit is *at hand* where no other commit, sync or background step is in its way: the log goes on, the memtable has
//! room, nothing is before it in the pipeline, and it asks for no sync. Then all that is left to do is one write to the
//! log, which goes no further than the memory of the operating system.
//!
//! Invariant: everything that could be waited for is taken, or seen to be free, before the log is written. What is not at
//! hand leaves nothing behind, and may be committed in the usual way.
#![forbid(unsafe_code)]

use super::batch::WriteBatch;
use super::commit::{CommitOptions, Lead};
use super::log::LogState;
use super::pacing::{Pace, pace};
use super::shared::{Shared, View};
use crate::config::SyncMode;
use crate::error::Result;
use crate::key::SeqNo;

impl Shared {
    /// As [`Shared::commit`], where that waits for nobody; `None` where it would, and then nothing has been done.
    pub(crate) fn try_commit(&self, batch: WriteBatch, options: CommitOptions) -> Option<Result<SeqNo>> {
        if let Err(error) = self.check_writable() {
            return Some(Err(error));
        }
        let own = self.request(batch, options);
        if !self.is_lazy_enough(own.sync) || !self.commits.try_lead() {
            return None;
        }
        let mut lead = Lead::new(self);
        let log = self.log.try_lock()?;
        let view = self.view.load();
        // When this is free, the groups before are in it, counted in its size, and in the pipeline; no other group comes
        // while the log is held.
        let memtable = view.active.memtable.try_writer()?;
        if !self.goes_on(&log) || !self.has_room(&view) || !self.pipeline.is_idle() {
            return None;
        }
        let written = self.write_taken(&mut lead, log, Some(own), Some(memtable));
        self.end_lead(lead, written, true)
    }

    /// Whether a commit would be at hand now. It may not be any more when it is made.
    pub(crate) fn is_commit_at_hand(&self, sync: Option<SyncMode>) -> bool {
        let is_log_free = || self.log.try_lock().is_some_and(|log| self.goes_on(&log));
        self.is_lazy_enough(sync.unwrap_or(self.config.wal_sync_mode))
            && !self.commits.is_led()
            && is_log_free()
            && self.has_room(&self.view.load())
            && self.pipeline.is_idle()
    }

    /// Whether nothing is synced for a commit in this mode.
    fn is_lazy_enough(&self, sync: SyncMode) -> bool {
        sync != SyncMode::Always || self.config.in_memory
    }

    /// Whether the log goes on as it is.
    fn goes_on(&self, log: &LogState) -> bool {
        let is_there = log.writer.is_some() || self.config.in_memory;
        is_there && !log.is_sealed && !log.is_full(self.config.wal_segment_size_bytes)
    }

    /// Whether the memtable has room, and nobody is to be slowed down.
    fn has_room(&self, view: &View) -> bool {
        view.active.memtable.size_bytes() < self.config.memtable_size_bytes
            && pace(view.version.level(0).len(), self.config.compaction_threshold) == Pace::Go
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::engine::Engine;
    use crate::fs::{CrashOutcome, SimFs};

    const RELAXED: Option<SyncMode> = Some(SyncMode::Interval(1_000));
    const MEMTABLE_BYTES: usize = 64 << 10;

    fn open(disk: &SimFs) -> Engine {
        let config = Config {
            auto_background: false,
            memtable_size_bytes: MEMTABLE_BYTES,
            wal_segment_size_bytes: 4 * MEMTABLE_BYTES as u64,
            ..Config::new("/db")
        };
        Engine::open_on(config, Arc::new(disk.clone())).unwrap()
    }

    fn batch(key: &[u8], value_len: usize) -> WriteBatch {
        let mut batch = WriteBatch::new();
        batch.put(key, &vec![7; value_len]).unwrap();
        batch
    }

    fn put(engine: &Engine, key: &[u8], value_len: usize) {
        let options = CommitOptions { sync: RELAXED, check: None };
        engine.commit(batch(key, value_len), options).unwrap();
    }

    fn try_put(engine: &Engine, key: &[u8], sync: Option<SyncMode>) -> Option<Result<u64>> {
        engine.try_commit(batch(key, 9), CommitOptions { sync, check: None })
    }

    /// The first write begins a log, which is synced.
    fn database(disk: &SimFs) -> Engine {
        let engine = open(disk);
        assert!(try_put(&engine, b"first", RELAXED).is_none());
        put(&engine, b"first", 9);
        engine
    }

    #[test]
    fn a_commit_at_hand_is_visible_and_in_the_log_and_has_synced_nothing() {
        let disk = SimFs::new();
        let engine = database(&disk);
        let syncs = engine.stats().syncs;

        let seqno = try_put(&engine, b"key", RELAXED).expect("nothing is in its way").unwrap();

        assert_eq!((seqno, engine.stats().syncs), (engine.visible_seqno(), syncs));
        // As if the process had been killed.
        let after = open(&disk.after_crash(CrashOutcome::KeepUnsynced));
        assert_eq!(after.get(b"key", None).unwrap().unwrap().bytes, [7; 9]);
    }

    /// Whoever calls this must not wait: each of these would be waited for by a commit in the usual way.
    #[test]
    fn what_would_have_to_be_waited_for_is_left_and_nothing_of_the_commit_stays() {
        let engine = database(&SimFs::new());
        let shared = engine.shared();
        let before = engine.visible_seqno();
        let is_left = |what: &str| {
            assert!(try_put(&engine, b"key", RELAXED).is_none(), "{what}");
            assert!(!engine.is_commit_at_hand(RELAXED) || what == "another writer of the memtable");
        };

        assert!(try_put(&engine, b"key", Some(SyncMode::Always)).is_none(), "its sync");
        assert!(shared.commits.try_lead());
        is_left("another commit");
        shared.commits.hand_over();
        let log = shared.log.lock();
        is_left("somebody at the log");
        drop(log);
        let view = shared.view();
        let writer = view.active.memtable.writer();
        is_left("another writer of the memtable");
        drop(writer);

        assert_eq!(engine.visible_seqno(), before);
        assert_eq!(try_put(&engine, b"key", RELAXED).unwrap().unwrap(), before + 1);
    }

    #[test]
    fn a_full_memtable_or_log_is_left_to_a_commit_that_may_wait() {
        let engine = database(&SimFs::new());
        put(&engine, b"fills the memtable", MEMTABLE_BYTES);
        assert!(try_put(&engine, b"key", RELAXED).is_none());
        put(&engine, b"begins another", 9);
        assert!(try_put(&engine, b"key", RELAXED).is_some());

        let mut log = engine.shared().log.lock();
        log.is_sealed = true;
        drop(log);
        assert!(try_put(&engine, b"key", RELAXED).is_none());
        put(&engine, b"begins another log", 9);
        assert!(try_put(&engine, b"key", RELAXED).is_some());
    }

    #[test]
    fn a_commit_that_is_not_at_hand_lets_the_others_lead() {
        let engine = database(&SimFs::new());
        let view = engine.shared().view();
        let writer = view.active.memtable.writer();
        assert!(try_put(&engine, b"key", RELAXED).is_none());
        drop(writer);

        // It would wait for ever for a leader that has gone.
        put(&engine, b"other", 9);
    }
}
