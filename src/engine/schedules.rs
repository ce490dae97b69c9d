//! The engine in many orders of its steps: commits of every durability, failed syncs, flushes and compactions beside
//! readers, snapshots, closing.
#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use super::background::Background;
use super::snapshot::Snapshots;
use super::*;
use crate::config::SyncMode;
use crate::error::Code;
use crate::fs::{CrashOutcome, Fault, SimFs};
use crate::sync::{explore, thread};
use crate::version::FileKind;

const MODES: [SyncMode; 3] = [SyncMode::Always, SyncMode::Interval(1_000), SyncMode::Never];

fn config() -> Config {
    Config { auto_background: false, block_cache_capacity_bytes: 1 << 20, ..Config::new("/db") }
}

fn open(disk: &SimFs, config: Config) -> Engine {
    Engine::open_on(config, Arc::new(disk.clone())).unwrap()
}

/// The seqnos that checks were told, by key: in the order of the log, before anything is acknowledged.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<(u64, Vec<u8>)>>>);

impl Order {
    /// A batch of one key, whose seqno will be listed.
    fn request(&self, key: &[u8], value: &[u8], sync: SyncMode) -> (WriteBatch, CommitOptions) {
        let mut batch = WriteBatch::new();
        batch.put(key, value).unwrap();
        let (order, key) = (self.clone(), key.to_vec());
        let check: CommitCheck = Box::new(move |_, seqno| {
            order.0.lock().unwrap().push((seqno, key));
            Ok(())
        });
        (batch, CommitOptions { sync: Some(sync), check: Some(check) })
    }

    fn commit(&self, engine: &Engine, key: &[u8], sync: SyncMode) -> Result<u64> {
        let (batch, options) = self.request(key, key, sync);
        engine.commit(batch, options)
    }

    fn listed(&self) -> Vec<(u64, Vec<u8>)> {
        self.0.lock().unwrap().clone()
    }
}

fn has(engine: &Engine, key: &[u8]) -> bool {
    engine.get(key, None).unwrap().is_some()
}

/// A database with a log, so that a commit that needs no sync makes none.
fn with_log(disk: &SimFs, config: Config) -> (Engine, Order) {
    let (engine, order) = (open(disk, config), Order::default());
    order.commit(&engine, b"first", SyncMode::Always).unwrap();
    (engine, order)
}

/// Whether the log has `key` after a power loss at this moment.
fn is_durable(disk: &SimFs, key: &[u8]) -> bool {
    let after = disk.after_crash(CrashOutcome::LoseUnsynced);
    let files = after.files().into_iter();
    files
        .filter_map(|file| after.read_file(file))
        .any(|bytes| bytes.windows(key.len()).any(|part| part == key))
}

#[test]
fn commits_become_visible_in_their_order_and_as_durable_as_they_asked() {
    explore("commits become visible in their order and as durable as they asked", 12_000, || {
        let disk = SimFs::new();
        let (engine, order) = with_log(&disk, config());
        // Two that want a sync: one of them writes while that of the other runs.
        let modes = [(0, MODES[0]), (1, MODES[0]), (2, MODES[1 + random_below(2) as usize])];
        let writers = modes.map(|(id, sync)| {
            let (disk, engine, order) = (disk.clone(), engine.clone(), order.clone());
            thread::spawn(move || {
                for name in ["one", "two"] {
                    let key = format!("{name} of {id}").into_bytes();
                    let seqno = order.commit(&engine, &key, sync).unwrap();
                    assert!(engine.visible_seqno() >= seqno && has(&engine, &key));
                    assert!(sync != SyncMode::Always || is_durable(&disk, &key), "lost what was synced");
                }
            })
        });
        for _ in 0..2 {
            let snapshot = engine.snapshot();
            for (seqno, key) in order.listed() {
                let is_there = engine.get(&key, Some(&snapshot)).unwrap().is_some();
                assert_eq!(is_there, seqno <= snapshot.seqno(), "{seqno} at {}", snapshot.seqno());
            }
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(engine.visible_seqno(), 7);
        assert!(engine.shared().pipeline.is_idle() && !engine.shared().commits.is_led());
    });
}

#[test]
fn commits_in_the_call_and_of_several_batches_are_in_one_order_with_all_others() {
    explore("commits in the call and of several batches are in one order with all others", 8_000, || {
        let disk = SimFs::new();
        let (engine, order) = with_log(&disk, config());
        let (all, alone) = ((engine.clone(), order.clone()), (engine.clone(), order.clone()));
        let all = thread::spawn(move || {
            let requests = [(b"a", MODES[1]), (b"b", MODES[0]), (b"c", MODES[2])];
            let requests = requests.map(|(key, sync)| all.1.request(key, key, sync));
            let seqnos: Vec<u64> =
                all.0.commit_all(requests.into()).into_iter().map(Result::unwrap).collect();
            assert!(seqnos.is_sorted() && all.0.visible_seqno() >= seqnos[2]);
        });
        let alone = thread::spawn(move || alone.1.commit(&alone.0, b"d", MODES[0]).unwrap());
        let mut made = 0;
        for key in [b"e", b"f"] {
            let (batch, options) = order.request(key, key, MODES[1]);
            let before = engine.visible_seqno();
            match engine.try_commit(batch, options) {
                Some(seqno) => {
                    made += 1;
                    assert!(seqno.unwrap() > before && has(&engine, key));
                }
                None => assert!(!has(&engine, key)),
            }
        }
        all.join().unwrap();
        alone.join().unwrap();
        assert_eq!(engine.visible_seqno(), 5 + made);
        let listed = order.listed();
        assert!(listed.is_sorted() && listed.iter().all(|(_, key)| has(&engine, key)));
    });
}

#[test]
fn a_failed_sync_fails_everything_behind_it_and_nothing_before() {
    explore("a failed sync fails everything behind it and nothing before", 12_000, || {
        let disk = SimFs::new();
        let (engine, order) = with_log(&disk, config());
        let nth = disk.operations() + 1 + random_below(5);
        disk.fail_at(nth, Fault::sticky(ErrorKind::Other));
        let results = Arc::new(Mutex::new(Vec::new()));
        let writers = [MODES[0], MODES[0], MODES[1]].map(|sync| {
            let (engine, order, results) = (engine.clone(), order.clone(), Arc::clone(&results));
            thread::spawn(move || {
                let id = results.lock().unwrap().len();
                results.lock().unwrap().push(None);
                for name in ["one", "two"] {
                    let key = format!("{name} {id}").into_bytes();
                    let result = order.commit(&engine, &key, sync);
                    assert_eq!(has(&engine, &key), result.is_ok(), "what is refused is never seen");
                    results.lock().unwrap().push(Some((key, sync, result)));
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let results: Vec<_> = results.lock().unwrap().drain(..).flatten().collect();
        let seqno_of =
            |key: &[u8]| order.listed().into_iter().find(|(_, other)| other == key).map(|(seqno, _)| seqno);
        let failed = results.iter().filter(|(_, _, result)| result.is_err());
        let first_failed = failed.filter_map(|(key, _, _)| seqno_of(key)).min().unwrap_or(u64::MAX);
        for (key, sync, result) in &results {
            let Ok(seqno) = result else { continue };
            assert!(*seqno < first_failed, "{seqno} was acknowledged behind {first_failed}");
            assert!(*sync != SyncMode::Always || is_durable(&disk, key));
        }
        if first_failed < u64::MAX {
            assert_eq!(order.commit(&engine, b"last", MODES[0]).unwrap_err().code(), Code::Poisoned);
        }
    });
}

fn random_below(bound: u64) -> u64 {
    use shuttle::rand::Rng;
    shuttle::rand::thread_rng().gen_range(0..bound)
}

#[test]
fn a_log_ends_where_everything_in_it_is_durable_and_visible() {
    explore("a log ends where everything in it is durable and visible", 6_000, || {
        let disk = SimFs::new();
        let (engine, order) = with_log(&disk, config());
        let writers = [MODES[0], MODES[1]].map(|sync| {
            let (engine, order) = (engine.clone(), order.clone());
            thread::spawn(move || {
                for name in ["one", "two"] {
                    order.commit(&engine, format!("{name} {sync}").as_bytes(), sync).unwrap();
                }
            })
        });
        let shared = engine.shared();
        let mut log = shared.log.lock();
        shared.roll_log(&mut log).unwrap();
        assert_eq!(engine.visible_seqno(), log.last_seqno);
        assert!(order.listed().iter().all(|(_, key)| is_durable(&disk, key)));
        drop(log);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(engine.visible_seqno(), 5);
    });
}

/// Two tables of the same keys, and a memtable with a third value of each.
fn with_tables(disk: &SimFs) -> Engine {
    let engine = open(disk, config());
    for value in [b"1", b"2", b"3"] {
        for key in [b"a", b"b"] {
            let mut batch = WriteBatch::new();
            batch.put(key, value).unwrap();
            engine.commit(batch, CommitOptions { sync: Some(SyncMode::Never), check: None }).unwrap();
        }
        if value != b"3" {
            engine.flush().unwrap();
        }
    }
    engine
}

fn value_of(engine: &Engine, key: &[u8], snapshot: &Snapshot) -> Vec<u8> {
    engine.get(key, Some(snapshot)).unwrap().expect("every snapshot has the keys").bytes
}

#[test]
fn a_reader_never_meets_a_version_whose_files_have_gone() {
    explore("a reader never meets a version whose files have gone", 4_000, || {
        let engine = with_tables(&SimFs::new());
        let (flushing, compacting) = (engine.clone(), engine.clone());
        let flush = thread::spawn(move || flushing.flush().unwrap());
        let compact = thread::spawn(move || compacting.compact_all().unwrap());
        for direction in [Direction::Forward, Direction::Reverse] {
            let (snapshot, view) = (engine.snapshot(), engine.shared().view());
            let mut scan = engine.scan(ScanRange::all(), direction, Some(&snapshot)).unwrap();
            assert_eq!(value_of(&engine, b"a", &snapshot), b"3");
            let mut keys = Vec::new();
            while scan.advance().unwrap() {
                assert_eq!(scan.row().value, b"3");
                keys.push(scan.row().key.to_vec());
            }
            keys.sort();
            assert_eq!(keys, [b"a", b"b"]);
            // Whoever has opened a file may read what was removed; whoever has not may not.
            for (_, table) in view.version.tables() {
                let path = FileKind::Table(table.meta().number).path(engine.shared().dir());
                assert!(engine.shared().fs.exists(&path).unwrap(), "{} has gone", path.display());
            }
        }
        flush.join().unwrap();
        compact.join().unwrap();
        engine.verify().unwrap();
    });
}

#[test]
fn what_a_snapshot_sees_stays_beside_writers_flushes_and_compactions() {
    explore("what a snapshot sees stays beside writers, flushes and compactions", 4_000, || {
        let engine = with_tables(&SimFs::new());
        let (writing, compacting) = (engine.clone(), engine.clone());
        let write = thread::spawn(move || {
            let order = Order::default();
            let (batch, options) = order.request(b"a", b"4", SyncMode::Never);
            writing.commit(batch, options).unwrap();
            writing.flush().unwrap();
        });
        let compact = thread::spawn(move || {
            compacting.flush().unwrap();
            compacting.compact_all().unwrap();
        });
        let snapshot = engine.snapshot();
        let first = value_of(&engine, b"a", &snapshot);
        let again = value_of(&engine, b"a", &snapshot);
        write.join().unwrap();
        compact.join().unwrap();
        engine.compact_all().unwrap();
        assert!(first == again && first == value_of(&engine, b"a", &snapshot));
        assert_eq!(first, if snapshot.seqno() < 7 { b"3" } else { b"4" });
    });
}

#[test]
fn background_threads_make_room_and_end_when_the_database_is_closed() {
    explore("background threads make room and end when the database is closed", 2_000, || {
        let disk = SimFs::new();
        let memtable_size_bytes = 64 << 10;
        let config =
            Config { auto_background: true, max_frozen_memtables: 1, memtable_size_bytes, ..config() };
        let engine = open(&disk, config.clone());
        let writers = ["a", "b"].map(|name| {
            let engine = engine.clone();
            thread::spawn(move || {
                let order = Order::default();
                let value = vec![7; memtable_size_bytes];
                for number in 0..2 {
                    let key = format!("{name}{number}");
                    let (batch, options) = order.request(key.as_bytes(), &value, SyncMode::Never);
                    match engine.commit(batch, options) {
                        Ok(_) => {}
                        Err(error) => assert_eq!(error.code(), Code::Closed),
                    }
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        engine.close().unwrap();
        let again = open(&disk, Config { auto_background: false, ..config });
        assert!(["a0", "a1", "b0", "b1"].iter().all(|key| has(&again, key.as_bytes())));
    });
}

#[test]
fn a_close_waits_for_whoever_still_writes_and_keeps_what_was_acknowledged() {
    explore("a close waits for whoever still writes and keeps what was acknowledged", 6_000, || {
        let disk = SimFs::new();
        let (engine, order) = with_log(&disk, config());
        let writer = thread::spawn({
            let (engine, order) = (engine.clone(), order.clone());
            move || {
                let keys = ["one", "two"].into_iter();
                keys.filter(|key| order.commit(&engine, key.as_bytes(), MODES[2]).is_ok()).collect::<Vec<_>>()
            }
        });
        engine.close().unwrap();
        let after = disk.after_crash(CrashOutcome::LoseUnsynced);
        let acknowledged = writer.join().unwrap();
        let again = open(&after, config());
        assert!(acknowledged.iter().all(|key| has(&again, key.as_bytes())), "{acknowledged:?}");
    });
}

#[test]
fn a_list_of_what_to_keep_has_every_snapshot_that_is_or_will_be_read() {
    explore("a list of what to keep has every snapshot that is or will be read", 10_000, || {
        let snapshots = Arc::new(Snapshots::new(Arc::default()));
        // Everything below the last that is not in it may be dropped from then on.
        let kept: Arc<Mutex<Vec<u64>>> = Arc::default();
        let publisher = thread::spawn({
            let snapshots = Arc::clone(&snapshots);
            move || (1..4).for_each(|seqno| snapshots.publish(seqno))
        });
        let dropper = thread::spawn({
            let (snapshots, kept) = (Arc::clone(&snapshots), Arc::clone(&kept));
            move || {
                let list = snapshots.to_keep();
                *kept.lock().unwrap() = list;
            }
        });
        for _ in 0..2 {
            let snapshot = Snapshot::take(&snapshots);
            let seen = snapshots.visible();
            assert!(seen >= snapshot.seqno() && snapshots.oldest() <= snapshot.seqno());
            let kept = kept.lock().unwrap();
            assert!(
                kept.contains(&snapshot.seqno()) || kept.last() <= Some(&snapshot.seqno()),
                "{} is read and {kept:?} was kept",
                snapshot.seqno()
            );
        }
        publisher.join().unwrap();
        dropper.join().unwrap();
        assert_eq!(snapshots.open_count(), 0);
    });
}

#[test]
fn whoever_waits_for_a_snapshot_to_close_is_told() {
    explore("whoever waits for a snapshot to close is told", 6_000, || {
        let background = Arc::new(Background::default());
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&background)));
        snapshots.publish(1);
        let open = [Snapshot::take(&snapshots), Snapshot::take(&snapshots)];
        snapshots.publish(5);
        let closers = open.map(|snapshot| thread::spawn(move || drop(snapshot)));
        snapshots.call_when_reached(5);
        closers.into_iter().for_each(|closer| closer.join().unwrap());
        assert!(background.is_compaction_asked(), "nobody will look again");
    });
}
