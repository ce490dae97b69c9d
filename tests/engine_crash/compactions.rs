//! A workload for each kind of compaction, and for what else writes tables: each does that kind for certain, and is
//! crashed at every file operation.

use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::{Compression, Config, SyncMode};
use flowdb::engine::CompactionKind;
use flowdb::error::Result;

use crate::common::trials::report;
use crate::recovery::crash_everywhere;
use crate::workload::{Run, Setting, Workload};

/// Each of these workloads has so many at least.
const CRASH_POINTS: u64 = 500;

const SYNC_MODES: [SyncMode; 3] = [SyncMode::Always, SyncMode::Interval(10), SyncMode::Never];

/// Small tables, so that a merge writes several, and three of them in level 0.
fn setting(wal_sync_mode: SyncMode, configure: fn(&mut Config)) -> Setting {
    let clock = Arc::new(ManualClock::new(1));
    let mut config = Config {
        wal_sync_mode,
        memtable_size_bytes: 64 << 10,
        table_size_bytes: 4 << 10,
        block_size: 512,
        compression: Compression::None,
        compaction_threshold: 3,
        level_size_bytes: 16 << 10,
        value_threshold_bytes: 0,
        value_file_size_bytes: 8 << 10,
        auto_background: false,
        clock: Arc::clone(&clock) as _,
        ..Config::new("/db")
    };
    configure(&mut config);
    Setting { config, clock }
}

/// Crashes `work` everywhere in every durability, and says how often; `has_done` is asked whether a whole run did what
/// it is there for.
fn crash(
    name: &str,
    configure: fn(&mut Config),
    work: fn(&mut Workload<'_>) -> Result<()>,
    has_done: impl Fn(&Run) -> bool,
) {
    let mut crash_points = 0;
    for mode in SYNC_MODES {
        let setting = setting(mode, configure);
        let (run, points) = crash_everywhere(&setting, 1, &work);
        let counts = CompactionKind::ALL.into_iter().zip(run.compactions).filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(kind, count)| format!("{count} {kind}")).collect();
        println!("{name}, {mode}: compactions: {}", counts.join(", "));
        assert!(has_done(&run), "{name}, {mode}: the workload has not done what it is there for");
        crash_points += points;
    }
    report("crash points", crash_points, "FLOWDB_WORKLOADS", CRASH_POINTS);
}

fn crash_during(kind: CompactionKind, work: fn(&mut Workload<'_>) -> Result<()>) {
    crash(&kind.to_string(), |_| {}, work, |run| run.compactions[kind as usize] > 0);
}

#[test]
fn a_crash_in_a_merge_of_level_0_loses_nothing() {
    crash_during(CompactionKind::Level0, |work| {
        for round in 0..6 {
            work.put((0..40).map(|at| at * 2 + round % 2), 60, 0)?;
            work.delete(round * 3..round * 3 + 2)?;
            work.flush()?;
            work.work()?;
        }
        Ok(())
    });
}

#[test]
fn a_crash_in_a_merge_of_a_deeper_level_loses_nothing() {
    let configure = |config: &mut Config| {
        config.table_size_bytes = 32 << 10;
        config.memtable_size_bytes = 256 << 10;
        config.compaction_threshold = 2;
    };
    let name = CompactionKind::Level.to_string();
    crash(&name, configure, two_levels, |run| run.compactions[CompactionKind::Level as usize] > 0);
}

/// Level 1 is filled until there is a level 2, and then again, so that it overlaps that.
fn two_levels(work: &mut Workload<'_>) -> Result<()> {
    for round in 0..2 {
        work.put((0..60).map(|at| at * 3 + round), 1_500, 0)?;
        work.flush()?;
    }
    work.work()?;
    work.put((0..30).map(|at| at * 6), 1_000, 0)?;
    work.flush()?;
    work.delete_range(100, 110)?;
    work.flush()?;
    work.work()
}

#[test]
fn a_crash_in_a_move_loses_nothing() {
    crash_during(CompactionKind::Move, |work| {
        work.has_numbers = false;
        for round in 0..3 {
            work.put(round * 10..round * 10 + 10, 60, 0)?;
            work.flush()?;
        }
        work.work()
    });
}

#[test]
fn a_crash_in_a_merge_of_quiet_times_loses_nothing() {
    crash_during(CompactionKind::Quiet, |work| {
        for _ in 0..2 {
            work.put(0..40, 60, 0)?;
            work.flush()?;
        }
        while work.engine.run_pending_when_quiet()? {}
        Ok(())
    });
}

#[test]
fn a_crash_in_a_merge_within_level_0_loses_nothing() {
    crash_during(CompactionKind::WithinLevel0, |work| {
        work.put(0..200, 300, 0)?;
        work.engine.compact_all()?;
        for round in 0..3 {
            work.put(round * 10..round * 10 + 40, 60, 0)?;
            work.delete(round * 20..round * 20 + 5)?;
            work.flush()?;
        }
        while work.engine.run_pending_when_quiet()? {}
        Ok(())
    });
}

#[test]
fn a_crash_while_deletions_are_taken_down_loses_nothing_and_brings_nothing_back() {
    crash_during(CompactionKind::Deletions, |work| {
        work.put(0..60, 60, 0)?;
        work.engine.compact_all()?;
        work.delete(10..30)?;
        work.flush()?;
        work.work()?;
        work.delete_range(40, 50)?;
        work.flush()?;
        work.work()
    });
}

/// A snapshot keeps what a range of deletions hides, and with it the deletions, until it is dropped.
#[test]
fn a_crash_while_deletions_are_dropped_in_place_brings_nothing_back() {
    crash_during(CompactionKind::DeletionsInPlace, |work| {
        work.put(0..60, 60, 0)?;
        work.snapshots.push(work.engine.snapshot());
        work.delete_range(10, 40)?;
        work.engine.compact_all()?;
        work.snapshots.clear();
        work.work()
    });
}

#[test]
fn a_crash_while_hidden_versions_are_dropped_brings_none_of_them_back() {
    crash_during(CompactionKind::Superseded, |work| {
        for _ in 0..3 {
            work.put(0..30, 60, 0)?;
            work.snapshots.push(work.engine.snapshot());
        }
        work.engine.compact_all()?;
        work.snapshots.clear();
        work.work()
    });
}

#[test]
fn a_crash_while_expired_entries_are_dropped_loses_no_others() {
    crash_during(CompactionKind::Expired, |work| {
        work.put(0..30, 60, 0)?;
        work.put((0..20).map(|at| at * 2), 60, 50)?;
        work.engine.compact_all()?;
        work.setting.clock.advance(100);
        work.work()
    });
}

#[test]
fn a_crash_while_a_table_is_discarded_loses_no_other() {
    crash_during(CompactionKind::Discard, |work| {
        work.has_numbers = false;
        work.put(0..20, 60, 0)?;
        work.engine.compact_all()?;
        work.put(50..80, 60, 50)?;
        work.flush()?;
        work.setting.clock.advance(100);
        work.put(90..95, 60, 0)?;
        work.work()
    });
}

fn values_apart(config: &mut Config) {
    config.value_threshold_bytes = 100;
}

/// Value files of which most has been overwritten, so that the rest is moved.
fn empty_value_files(work: &mut Workload<'_>) -> Result<()> {
    work.put(0..20, 1_000, 0)?;
    work.engine.compact_all()?;
    // Merged level by level, so that the values that are left stay where they are until their file is emptied.
    work.put((0..20).filter(|at| at % 4 != 0), 900, 0)?;
    work.flush()?;
    while work.engine.run_pending_when_quiet()? {}
    work.delete((0..20).filter(|at| at % 4 == 1))?;
    work.flush()?;
    work.work()
}

#[test]
fn a_crash_while_value_files_are_emptied_loses_no_value() {
    let has_done = |run: &Run| run.compactions[CompactionKind::Values as usize] > 0;
    crash(&CompactionKind::Values.to_string(), values_apart, empty_value_files, has_done);
}

#[test]
fn a_crash_in_a_compaction_that_was_asked_for_loses_nothing() {
    crash_during(CompactionKind::Asked, |work| {
        for round in 0..2 {
            work.put(round * 20..round * 20 + 40, 60, 0)?;
            work.flush()?;
        }
        work.compact_range(5, 25)?;
        work.delete_range(30, 35)?;
        work.engine.compact_all()
    });
}

#[test]
fn a_crash_in_a_flush_of_what_has_expired_loses_nothing_else() {
    let has_done = |run: &Run| run.expired_flushes == 2;
    crash(
        "flush of expired entries",
        values_apart,
        |work| {
            work.put(0..10, 60, 0)?;
            work.put(5..15, 60, 20)?;
            work.flush()?;
            work.put(0..5, 200, 20)?;
            work.put(20..25, 60, 90)?;
            work.setting.clock.advance(50);
            work.flush()?;
            work.put(3..8, 60, 10)?;
            work.setting.clock.advance(50);
            work.flush()
        },
        has_done,
    );
}

#[test]
fn a_crash_in_a_checkpoint_leaves_a_whole_one_or_none() {
    let has_done = |run: &Run| run.checkpoints.iter().filter(|(_, _, is_made)| *is_made).count() == 3;
    crash(
        "checkpoint",
        values_apart,
        |work| {
            work.put(0..30, 150, 0)?;
            work.checkpoint()?;
            work.delete_range(5, 15)?;
            work.put(40..45, 60, 30)?;
            work.checkpoint()?;
            work.setting.clock.advance(50);
            work.engine.compact_all()?;
            work.checkpoint()?;
            work.work()
        },
        has_done,
    );
}
