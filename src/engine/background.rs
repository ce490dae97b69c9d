//! The work behind the writers' backs: flushes, compactions and the periodic sync, and how writers wait for it.
//!
//! Three threads, one for each, wake when there is something to do. With `auto_background` off there are none,
//! and `run_pending` does one step at a time, so that a test decides when. A step that fails is tried again after
//! a while; until one succeeds, writers that would have to wait for it get its error instead of waiting for ever.
#![forbid(unsafe_code)]

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::log::LogState;
use super::pacing::{Lull, Pace, QUIET_INTERVAL, pace};
use super::shared::{Shared, View};
use super::upkeep::{GoOn, always};
use crate::compaction::{
    Reasons, Retention, Task, Written, held_back, job, pick, pick_rewrite, pick_value_garbage,
    pick_when_quiet, pick_within,
};
use crate::config::{SYNC_INTERVAL_MS, SyncMode};
use crate::error::{Code, Error, Result};
use crate::memtable::Memtable;
use crate::sync::atomic::Ordering;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex};
use crate::version::{KeyBounds, LEVELS, TableMeta, VersionEdit};

/// How long a failed step waits before it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A writer that waits looks up this often, in case a wake-up was meant for the moment before it slept.
const STALL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A group of up to this size may go into a memtable while the one before it does, and is not yet in its size.
const UNSEEN_BYTES_MAX: usize = 1 << 20;

/// Who waits for a turn or a pause in work that somebody may end asks so often whether to go on.
const GO_ON_INTERVAL: Duration = Duration::from_millis(20);

/// How long a flush that nobody waits for may wait for the log.
const SEAL_PATIENCE: Duration = Duration::from_millis(100);

/// A memtable is worth a flush before its time if one in so many entries of the database fades with it.
const FADING_SHARE: u64 = 20;

/// What the threads wait for, and what writers wait for.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    flush: Condvar,
    compact: Condvar,
    sync: Condvar,
    /// Woken when the engine closes, for a compaction that waits for the write limit.
    pause: Condvar,
    /// Woken when a step has made room, has failed, or the engine closes.
    room: Condvar,
}

#[derive(Default)]
struct State {
    flush_asked: bool,
    compaction_asked: bool,
    sync_asked: bool,
    stopping: bool,
    flush_error: Option<Error>,
    compaction_error: Option<Error>,
}

impl Background {
    pub(crate) fn wake_flush(&self) {
        self.state.lock().flush_asked = true;
        self.flush.notify_one();
    }

    pub(crate) fn wake_compaction(&self) {
        self.state.lock().compaction_asked = true;
        self.compact.notify_one();
    }

    /// Has the log synced before its time.
    pub(crate) fn wake_sync(&self) {
        self.state.lock().sync_asked = true;
        self.sync.notify_one();
    }

    pub(crate) fn wake_everyone(&self) {
        for condition in [&self.flush, &self.compact, &self.sync, &self.pause, &self.room] {
            condition.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake_everyone();
    }

    /// Waits for `duration`, or until the engine closes, or `go_on` gives an error.
    fn pause(&self, duration: Duration, go_on: GoOn<'_>) {
        if duration.is_zero() {
            return;
        }
        let started = Instant::now();
        let mut state = self.state.lock();
        while !state.stopping && go_on().is_ok() {
            let left = duration.saturating_sub(started.elapsed());
            if left.is_zero() {
                return;
            }
            self.pause.wait_for(&mut state, left.min(GO_ON_INTERVAL));
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    #[cfg(all(test, schedules))]
    pub(crate) fn is_compaction_asked(&self) -> bool {
        self.state.lock().compaction_asked
    }
}

/// Which of the two kinds of step a thread does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Flush,
    Compact,
}

/// Starts the threads.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for (name, body) in [
        ("flowdb-flush", (|shared: &Shared| shared.run_steps(Step::Flush)) as fn(&Shared)),
        ("flowdb-compact", |shared| shared.run_steps(Step::Compact)),
        ("flowdb-sync", Shared::run_sync),
    ] {
        let shared_with_thread = Arc::clone(shared);
        let guarded = move || run_guarded(&shared_with_thread, body);
        let spawned = thread::Builder::new().name(name.into()).spawn(guarded);
        match spawned {
            Ok(thread) => threads.push(thread),
            Err(cause) => {
                shared.background.stop();
                for thread in threads {
                    let _ = thread.join();
                }
                return Err(Error::io("starting a background thread for", &shared.dir, cause));
            }
        }
    }
    Ok(threads)
}

/// Runs a thread's body; a panic in it, which is a defect of ours, stops the writers instead of the process.
fn run_guarded(shared: &Shared, body: fn(&Shared)) {
    if std::panic::catch_unwind(AssertUnwindSafe(|| body(shared))).is_err() {
        let message = "a background thread panicked, which is a defect of FlowDB: please report it";
        shared.poison(Error::new(Code::Internal, message));
    }
}

/// What a flush is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlushGoal {
    /// Memory and the log, which writers may be waiting for.
    Room,
    /// That the database is at rest: nobody waits, and what is written may stay for long.
    Rest,
}

impl Shared {
    /// Sees to it that the active memtable has room for one more group: seals it where it is full, and waits
    /// where flush or compaction can't keep up.
    pub(crate) fn make_room(&self, log: &mut LogState) -> Result<()> {
        if log.last_group_bytes > UNSEEN_BYTES_MAX {
            // So that the memtable's size has it, and two of them never go into one that had room for neither.
            self.await_inserts();
        }
        let view = self.view.load();
        let has_room = view.active.memtable.size_bytes() < self.config.memtable_size_bytes;
        if has_room && pace(view.version.level(0).len(), self.config.compaction_threshold) == Pace::Go {
            return Ok(());
        }
        drop(view);
        self.wait_for_compaction()?;
        loop {
            let view = self.view();
            if view.active.memtable.size_bytes() < self.config.memtable_size_bytes {
                return Ok(());
            }
            if view.frozen.len() < self.config.max_frozen_memtables {
                return self.seal(log);
            }
            drop(view);
            if self.config.auto_background {
                self.wait_for_room(|state| &state.flush_error)?;
            } else {
                self.flush_oldest()?;
            }
        }
    }

    /// Slows writers down a little, then altogether, while level 0 grows faster than it is compacted.
    fn wait_for_compaction(&self) -> Result<()> {
        if !self.config.auto_background {
            return Ok(());
        }
        let pace = || pace(self.view().version.level(0).len(), self.config.compaction_threshold);
        match pace() {
            Pace::Go => return Ok(()),
            Pace::Slow(wait) => {
                self.background.wake_compaction();
                self.background.room.wait_for(&mut self.background.state.lock(), wait);
                return Ok(());
            }
            Pace::Stop => self.background.wake_compaction(),
        }
        while pace() == Pace::Stop {
            self.wait_for_room(|state| &state.compaction_error)?;
        }
        Ok(())
    }

    /// Waits for the next step to end; with the error of the last one where it failed.
    fn wait_for_room(&self, error_of: impl Fn(&State) -> &Option<Error>) -> Result<()> {
        self.check_writable()?;
        self.counters.stalls.fetch_add(1, Ordering::Relaxed);
        let mut state = self.background.state.lock();
        if let Some(error) = error_of(&state) {
            let message = format!("no room for more writes, because writing tables fails: {error}");
            return Err(error.wrap(error.code(), message));
        }
        if state.stopping {
            return Err(Error::new(Code::Closed, "the database is being closed"));
        }
        self.background.room.wait_for(&mut state, STALL_CHECK_INTERVAL);
        Ok(())
    }

    /// The body of the flush and the compaction thread.
    fn run_steps(&self, step: Step) {
        let background = &self.background;
        let mut aging = Weak::new();
        let mut lull = Lull::new(self.snapshots.visible(), Instant::now());
        loop {
            let done = match step {
                Step::Flush => self.flush_oldest(),
                Step::Compact => {
                    let is_quiet = lull.is_quiet(self.snapshots.visible(), Instant::now());
                    // What is being flushed would be merged with the same tables once more.
                    self.compact_once(is_quiet && self.view().frozen.is_empty())
                }
            };
            let mut state = background.state.lock();
            if state.stopping {
                return;
            }
            let error = done.as_ref().err().cloned();
            match step {
                Step::Flush => state.flush_error = error,
                Step::Compact => state.compaction_error = error,
            }
            background.room.notify_all();
            let wake = if step == Step::Flush { &background.flush } else { &background.compact };
            let mut is_due = false;
            match done {
                Ok(true) => {}
                Ok(false) => {
                    while !(state.stopping || take_asked(&mut state, step) || is_due) {
                        match self.interval_of(step, lull.has_been_written()) {
                            Some(interval) => is_due = wake.wait_for(&mut state, interval).timed_out(),
                            None => wake.wait(&mut state),
                        }
                    }
                }
                Err(_) => {
                    wake.wait_for(&mut state, RETRY_INTERVAL);
                }
            }
            if state.stopping {
                return;
            }
            drop(state);
            if is_due && step == Step::Flush {
                self.seal_aged(&mut aging);
            }
        }
    }

    /// Seals the active memtable if it was there an interval ago already and space depends on its flush.
    fn seal_aged(&self, aging: &mut Weak<Memtable>) {
        let view = self.view();
        let memtable = Arc::downgrade(&view.active.memtable);
        let was_there = memtable.ptr_eq(aging);
        *aging = if view.active.memtable.is_empty() { Weak::new() } else { memtable };
        if !was_there || !view.is_worth_a_flush() {
            return;
        }
        // A writer that has the log may wait for this thread, so this thread must not wait for the log; the next
        // interval tries again.
        let Some(mut log) = self.log.try_lock_for(SEAL_PATIENCE) else { return };
        let is_active = Arc::ptr_eq(&self.view().active.memtable, &view.active.memtable);
        if is_active && self.check_writable().is_ok() {
            // Whoever writes next meets the failure again, or is told of it.
            let _ = self.seal(&mut log);
        }
    }

    /// After what time without being asked a thread looks again whether there is something to do. A database that
    /// nobody has written to since the opening has no quiet times to wait for, and its threads should sleep.
    fn interval_of(&self, step: Step, was_written: bool) -> Option<Duration> {
        let version = || Arc::clone(&self.view().version);
        let expires = || version().tables().any(|(_, table)| table.meta().largest_expiry > 0);
        match step {
            Step::Flush => {
                let ms = self.config.flush_interval_ms;
                (ms > 0).then(|| Duration::from_millis(ms))
            }
            Step::Compact if was_written && pick_when_quiet(&version(), &self.config).is_some() => {
                Some(QUIET_INTERVAL)
            }
            Step::Compact => expires().then(|| Duration::from_secs(self.config.gc_interval_secs)),
        }
    }

    /// The body of the sync thread: writes what is buffered, and syncs where the durability asks for it.
    fn run_sync(&self) {
        let interval = match self.config.wal_sync_mode {
            SyncMode::Interval(ms) => Duration::from_millis(ms),
            SyncMode::Always | SyncMode::Never => Duration::from_millis(SYNC_INTERVAL_MS),
        };
        loop {
            let mut state = self.background.state.lock();
            if state.stopping {
                return;
            }
            if !state.sync_asked {
                self.background.sync.wait_for(&mut state, interval);
            }
            if state.stopping {
                return;
            }
            let is_asked = std::mem::take(&mut state.sync_asked);
            drop(state);
            // A failure has poisoned the engine: the next writer is told.
            let _ = self.sync_in_background(is_asked);
        }
    }

    /// Writes what is buffered and, unless the durability is `none` and nobody has asked, syncs it without holding up
    /// the writers.
    pub(crate) fn sync_in_background(&self, is_asked: bool) -> Result<()> {
        if self.poison.get().is_some() {
            return Ok(());
        }
        let written = self.write_buffered()?;
        if self.config.wal_sync_mode == SyncMode::Never && !is_asked {
            return Ok(());
        }
        self.sync_up_to(written)
    }

    /// Flushes the oldest sealed memtable; false where there is none.
    pub(crate) fn flush_oldest(&self) -> Result<bool> {
        self.flush_oldest_for(FlushGoal::Room)
    }

    /// As [`Shared::flush_oldest`], where nobody waits for room.
    pub(crate) fn flush_oldest_at_close(&self) -> Result<bool> {
        self.flush_oldest_for(FlushGoal::Rest)
    }

    fn flush_oldest_for(&self, goal: FlushGoal) -> Result<bool> {
        let _one_at_a_time = self.flushing.lock();
        self.check_locked()?;
        let view = self.view();
        let Some(sealed) = view.frozen.last() else { return Ok(false) };
        let tombstones = sealed.memtable.range_tombstones();
        let retention =
            Retention::new(self.snapshots.to_keep(), Arc::clone(&tombstones), self.config.clock.now_ms());
        // Writers wait for a flush, so it doesn't wait; compactions make up for what it has written.
        let count = |bytes| {
            self.write_limit.take(bytes);
        };
        // Only a flush brings the first table, and there is one flush at a time.
        let is_first = goal == FlushGoal::Rest && view.version.tables().next().is_none();
        let written = self.in_job(&|| false, &count, |context| {
            let flush = if is_first { job::flush_first } else { job::flush };
            flush(context, &mut sealed.memtable.iter(), &tombstones, retention)
        })?;
        let following = view.frozen.len().checked_sub(2).map_or(&view.active, |index| &view.frozen[index]);
        let log_number = following.first_log;
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.flushed_bytes.fetch_add(bytes_of(&written.tables), Ordering::Relaxed);
        self.count_values(&written);
        let edit = VersionEdit {
            values_added: written.values,
            added: written.tables.into_iter().map(|meta| (u8::from(is_first), meta)).collect(),
            log_number: Some(log_number),
            ..VersionEdit::default()
        };
        let log_number = self.apply_edit(edit, |view| {
            view.frozen.pop();
        })?;
        self.remove_logs_below(log_number.unwrap_or(0));
        self.background.wake_compaction();
        Ok(true)
    }

    /// Does the most urgent compaction; false where none is needed. In quiet times it does more.
    pub(crate) fn compact_once(&self, is_quiet: bool) -> Result<bool> {
        let _one_at_a_time = self.compacting.lock();
        self.check_open()?;
        let version = Arc::clone(&self.view().version);
        // One moment for the choice and the work: were the clock set back between them, nothing might be dropped.
        let now_ms = self.config.clock.now_ms();
        let reasons = Reasons { oldest_snapshot: self.snapshots.oldest(), now_ms };
        let in_quiet = || if is_quiet { pick_when_quiet(&version, &self.config) } else { None };
        let Some(task) = pick(&version, &self.config, reasons).or_else(in_quiet) else {
            if let Some(seqno) = held_back(&version, reasons) {
                self.snapshots.call_when_reached(seqno);
            }
            return Ok(false);
        };
        self.run_task(&task, now_ms, &always)?;
        Ok(true)
    }

    /// Merges what there is within `bounds` into one level, dropping all that nobody can see, for as long as `go_on`
    /// lets it.
    pub(crate) fn compact_within(&self, bounds: KeyBounds<'_>, go_on: GoOn<'_>) -> Result<()> {
        let _one_at_a_time = loop {
            go_on()?;
            if let Some(turn) = self.compacting.try_lock_for(GO_ON_INTERVAL) {
                break turn;
            }
        };
        self.check_open()?;
        let version = || Arc::clone(&self.view().version);
        let before = version();
        let deepest = (0..LEVELS).rev().find(|&level| !before.within(level, bounds).is_empty());
        let Some(deepest) = deepest else { return Ok(()) };
        let bottom = deepest.max(1);
        let now_ms = self.config.clock.now_ms();
        for level in 0..bottom {
            if let Some(task) = pick_within(&version(), level, bounds) {
                self.run_task(&task, now_ms, go_on)?;
            }
        }
        if let Some(task) = pick_rewrite(&version(), bottom, bounds) {
            self.run_task(&task, now_ms, go_on)?;
        }
        // What was dropped may have left value files of which little is needed.
        while let Some(task) = pick_value_garbage(&version()) {
            self.run_task(&task, now_ms, go_on)?;
        }
        // What had to be kept for a snapshot is waited for by the compaction thread.
        self.background.wake_compaction();
        Ok(())
    }

    fn run_task(&self, task: &Task, now_ms: u64, go_on: GoOn<'_>) -> Result<()> {
        let version = Arc::clone(&self.view().version);
        let removed: Vec<(u8, u64)> =
            (task.inputs.iter().map(|table| (task.level as u8, table.meta().number)))
                .chain(task.overlapped.iter().map(|table| (task.target as u8, table.meta().number)))
                .collect();
        let written = if task.is_discarded {
            Written::default()
        } else if task.is_trivial_move() {
            let tables = task.inputs.iter().map(|table| table.meta().clone()).collect();
            Written { tables, ..Written::default() }
        } else {
            let snapshots = self.snapshots.to_keep();
            let wait = |bytes| self.background.pause(self.write_limit.take(bytes), go_on);
            let is_stopped = || self.background.is_stopping() || go_on().is_err();
            let written = self.in_job(&is_stopped, &wait, |context| {
                job::compact(context, task, &version, |tombstones| {
                    Retention::new(snapshots.clone(), tombstones, now_ms)
                })
            });
            let written = written.map_err(|error| go_on().err().unwrap_or(error))?;
            self.counters.compacted_bytes.fetch_add(bytes_of(&written.tables), Ordering::Relaxed);
            self.count_values(&written);
            written
        };
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.counters.compactions_of.get(task.kind() as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let Written { tables, values: values_added, .. } = written;
        let added = tables.into_iter().map(|meta| (task.target as u8, meta)).collect();
        self.apply_edit(VersionEdit { added, removed, values_added, ..VersionEdit::default() }, |_| {})?;
        Ok(())
    }

    fn count_values(&self, written: &Written) {
        let bytes: u64 = written.values.iter().map(|file| file.size).sum();
        self.counters.value_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counters.relocated_value_bytes.fetch_add(written.relocated_bytes, Ordering::Relaxed);
    }

    /// A flush is not cancelled: at a close it would have to be done again.
    fn in_job<T>(
        &self,
        is_cancelled: &dyn Fn() -> bool,
        pace: &dyn Fn(u64),
        run: impl FnOnce(&job::JobContext<'_>) -> Result<T>,
    ) -> Result<T> {
        run(&job::JobContext {
            fs: self.fs.as_ref(),
            dir: &self.dir,
            config: &self.config,
            next_number: &|| self.next_number(),
            is_cancelled,
            pace,
        })
    }
}

impl View {
    /// Whether enough goes with the active memtable that it should not wait for its size.
    fn is_worth_a_flush(&self) -> bool {
        let memtable = &self.active.memtable;
        let in_tables: u64 = self.version.tables().map(|(_, table)| table.meta().entries).sum();
        let fading = memtable.fading();
        fading > 0
            && (memtable.has_range_tombstones()
                || fading.saturating_mul(FADING_SHARE) >= in_tables + memtable.entries())
    }
}

fn take_asked(state: &mut State, step: Step) -> bool {
    match step {
        Step::Flush => std::mem::take(&mut state.flush_asked),
        Step::Compact => std::mem::take(&mut state.compaction_asked),
    }
}

fn bytes_of(tables: &[TableMeta]) -> u64 {
    tables.iter().map(|meta| meta.size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::{CommitOptions, Engine, WriteBatch};
    use crate::fs::SimFs;

    /// A processor that is woken three times a second for nothing never rests.
    #[test]
    fn a_database_that_is_only_read_wakes_no_thread_for_quiet_times() {
        let config = Config { auto_background: false, ..Config::new("/db") };
        let disk = SimFs::new();
        let open = || Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let engine = open();
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value").unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        engine.flush().unwrap();
        assert_eq!(engine.shared().interval_of(Step::Compact, true), Some(QUIET_INTERVAL));
        engine.close().unwrap();

        let engine = open();

        assert_eq!(engine.stats().level_tables[0], 1, "level 0 has something that a quiet time could merge");
        assert_eq!(engine.shared().interval_of(Step::Compact, false), None);
    }
}
