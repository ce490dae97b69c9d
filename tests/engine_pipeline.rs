//! What happens beside a running sync: the next groups are checked and written, and become visible in their order.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::Random;
use common::trials::{SeedReport, seeds};
use common::watched::{Watch, Watched, is_a};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Engine, WriteBatch};
use flowdb::error::{Code, Error, Result};
use flowdb::fs::{CrashOutcome, SimFs};

/// The gate, where it is closed.
#[derive(Default)]
struct Gates(Mutex<Option<Gate>>);

/// A simulated disk on which each sync of a log waits for the test, once [`Gates::close`] was called.
type Gated = Watched<Gates>;

fn gated() -> Gated {
    Watched::new(SimFs::new(), Gates::default())
}

/// Says that a sync has begun, and waits until it may go on, with its result.
struct Gate {
    begun: Sender<()>,
    go_on: Receiver<Result<()>>,
}

/// The test's side of the gate.
struct Syncs {
    begun: Receiver<()>,
    go_on: Sender<Result<()>>,
}

impl Syncs {
    fn await_one(&self) {
        self.begun.recv_timeout(Duration::from_secs(20)).expect("a sync begins");
    }

    fn none_waits(&self) -> bool {
        self.begun.recv_timeout(Duration::from_millis(100)).is_err()
    }

    fn let_one_go(&self, result: Result<()>) {
        self.go_on.send(result).expect("somebody waits");
    }
}

impl Gates {
    fn close(&self) -> Syncs {
        let ((begun, await_begun), (send_on, go_on)) = (channel(), channel());
        *self.0.lock().unwrap() = Some(Gate { begun, go_on });
        Syncs { begun: await_begun, go_on: send_on }
    }

    fn open(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Watch for Gates {
    fn syncs(&self, path: &Path) -> Result<()> {
        if !is_a("wal", path) {
            return Ok(());
        }
        // Held while the sync waits: there is never a second one.
        let gate = self.0.try_lock().expect("one sync of a log at a time");
        if let Some(gate) = gate.as_ref() {
            // A test that has ended lets everything go.
            let _ = gate.begun.send(());
            gate.go_on.recv().unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

fn config() -> Config {
    Config { auto_background: false, ..Config::new("/db") }
}

/// A database with a log, so that the next sync is that of a commit.
fn database(disk: &Gated) -> Engine {
    let engine = Engine::open_on(config(), Arc::new(disk.clone())).unwrap();
    put(&engine, b"first", SyncMode::Always).unwrap();
    engine
}

fn put(engine: &Engine, key: &[u8], sync: SyncMode) -> Result<u64> {
    let mut batch = WriteBatch::new();
    batch.put(key, b"value")?;
    engine.commit(batch, CommitOptions { sync: Some(sync), check: None })
}

/// Commits in a thread; the receiver hears of the check, that is: the batch has its place in the order.
fn put_beside(
    engine: &Engine,
    key: &'static [u8],
    sync: SyncMode,
) -> (JoinHandle<Result<u64>>, Receiver<u64>) {
    let (engine, (checked, heard)) = (engine.clone(), channel());
    let body = move || {
        let mut batch = WriteBatch::new();
        batch.put(key, b"value")?;
        let check = Box::new(move |_: &mut WriteBatch, seqno: u64| {
            // Not every test listens.
            let _ = checked.send(seqno);
            Ok(())
        });
        engine.commit(batch, CommitOptions { sync: Some(sync), check: Some(check) })
    };
    (std::thread::spawn(body), heard)
}

fn has(engine: &Engine, key: &[u8]) -> bool {
    engine.get(key, None).unwrap().is_some()
}

fn hears(heard: &Receiver<u64>) {
    heard.recv_timeout(Duration::from_secs(20)).expect("the check runs while the sync does");
}

/// Waits until the log on the disk holds `key`.
fn await_in_log(disk: &Gated, key: &[u8]) {
    let is_there = || {
        let logs = disk.disk.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "wal"));
        logs.filter_map(|path| disk.disk.read_file(path))
            .any(|bytes| bytes.windows(key.len()).any(|window| window == key))
    };
    let started = Instant::now();
    while !is_there() {
        assert!(started.elapsed() < Duration::from_secs(20), "the record is written while the sync runs");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_next_group_is_checked_and_written_while_a_sync_runs_and_waits_for_its_own() {
    let disk = gated();
    let engine = database(&disk);
    let syncs = disk.watch.close();
    let (one, _) = put_beside(&engine, b"key one", SyncMode::Always);
    syncs.await_one();

    let (two, checked) = put_beside(&engine, b"key two", SyncMode::Always);
    hears(&checked);
    let (three, checked) = put_beside(&engine, b"key three", SyncMode::Always);
    hears(&checked);
    await_in_log(&disk, b"key two");
    await_in_log(&disk, b"key three");

    assert!(!has(&engine, b"key one") && !has(&engine, b"key two"), "nothing is visible before its sync");
    syncs.let_one_go(Ok(()));
    one.join().unwrap().unwrap();
    syncs.await_one();
    assert!(has(&engine, b"key one") && !has(&engine, b"key two"));
    syncs.let_one_go(Ok(()));
    two.join().unwrap().unwrap();
    three.join().unwrap().unwrap();
    assert!(has(&engine, b"key two") && has(&engine, b"key three"));
    assert!(syncs.none_waits(), "one sync was enough for both");
}

#[test]
fn a_commit_without_sync_waits_for_those_before_it_only() {
    let disk = gated();
    let engine = database(&disk);
    let syncs = disk.watch.close();
    let syncing = engine.clone();
    put(&engine, b"unsynced", SyncMode::Interval(10)).unwrap();
    let explicit = std::thread::spawn(move || syncing.sync());
    syncs.await_one();
    put(&engine, b"beside a sync", SyncMode::Interval(10)).unwrap();
    put(&engine, b"lazily", SyncMode::Never).unwrap();
    assert!(has(&engine, b"beside a sync") && has(&engine, b"lazily"), "nothing before them waits");
    syncs.let_one_go(Ok(()));
    explicit.join().unwrap().unwrap();

    let (synced, _) = put_beside(&engine, b"synced", SyncMode::Always);
    syncs.await_one();
    let (behind, checked) = put_beside(&engine, b"behind", SyncMode::Never);
    hears(&checked);
    std::thread::sleep(Duration::from_millis(50));
    assert!(!has(&engine, b"behind") && !behind.is_finished(), "visible before a commit before it");
    syncs.let_one_go(Ok(()));
    synced.join().unwrap().unwrap();
    behind.join().unwrap().unwrap();
    assert!(has(&engine, b"behind"));
    assert!(syncs.none_waits(), "nobody asked for another sync");
    disk.watch.open();
}

#[test]
fn a_failed_sync_fails_every_group_behind_it_and_nothing_of_them_is_ever_visible() {
    for flushes in [false, true] {
        let disk = gated();
        let engine = database(&disk);
        let syncs = disk.watch.close();
        let (one, _) = put_beside(&engine, b"one", SyncMode::Always);
        syncs.await_one();
        let (two, checked) = put_beside(&engine, b"two", SyncMode::Always);
        hears(&checked);
        let (three, checked) = put_beside(&engine, b"three", SyncMode::Interval(10));
        hears(&checked);
        let flushing = engine.clone();
        let flush = flushes.then(|| std::thread::spawn(move || flushing.flush()));
        std::thread::sleep(Duration::from_millis(20));

        let cause = std::io::Error::other("the disk is gone");
        syncs.let_one_go(Err(Error::io("syncing", Path::new("/db/log"), cause)));

        for thread in [one, two, three] {
            let code = thread.join().unwrap().unwrap_err().code();
            assert!(matches!(code, Code::Io | Code::Poisoned), "{code:?}");
        }
        if let Some(flush) = flush {
            assert_eq!(flush.join().unwrap().unwrap_err().code(), Code::Poisoned);
        }
        assert!(syncs.none_waits(), "a failed sync is never tried again");
        for key in [b"one".as_slice(), b"two", b"three"] {
            assert!(!has(&engine, key));
        }
        assert_eq!(put(&engine, b"four", SyncMode::Never).unwrap_err().code(), Code::Poisoned);
        assert_eq!(engine.sync().unwrap_err().code(), Code::Poisoned);
        assert!(has(&engine, b"first"));
        engine.close().unwrap();
        disk.watch.open();
        let survivor = disk.disk.after_crash(CrashOutcome::LoseUnsynced);
        let engine = Engine::open_on(config(), Arc::new(survivor)).unwrap();
        assert!(has(&engine, b"first") && !has(&engine, b"two"));
    }
}

#[test]
fn a_flush_and_a_close_beside_a_running_sync_wait_for_it_and_lose_nothing() {
    let disk = gated();
    let engine = database(&disk);
    let syncs = disk.watch.close();
    let (one, _) = put_beside(&engine, b"one", SyncMode::Always);
    syncs.await_one();
    let (two, checked) = put_beside(&engine, b"two", SyncMode::Always);
    hears(&checked);
    let flushing = engine.clone();
    let flush = std::thread::spawn(move || flushing.flush());
    std::thread::sleep(Duration::from_millis(30));
    assert!(!flush.is_finished() && engine.stats().frozen_memtables == 0, "sealed with invisible entries");
    disk.watch.open_gate_after(&syncs);
    flush.join().unwrap().unwrap();
    one.join().unwrap().unwrap();
    two.join().unwrap().unwrap();
    assert!(has(&engine, b"one") && has(&engine, b"two"));

    let syncs = disk.watch.close();
    let (three, _) = put_beside(&engine, b"three", SyncMode::Always);
    syncs.await_one();
    let closing = engine.clone();
    let close = std::thread::spawn(move || closing.close());
    std::thread::sleep(Duration::from_millis(30));
    assert!(!close.is_finished());
    disk.watch.open_gate_after(&syncs);
    three.join().unwrap().unwrap();
    close.join().unwrap().unwrap();

    let engine =
        Engine::open_on(config(), Arc::new(disk.disk.after_crash(CrashOutcome::LoseUnsynced))).unwrap();
    for key in [b"first".as_slice(), b"one", b"two", b"three"] {
        assert!(has(&engine, key));
    }
}

impl Gates {
    /// Lets the sync that waits go, and all after it.
    fn open_gate_after(&self, syncs: &Syncs) {
        // More answers than anyone asks for: who asks next finds one.
        (0..20).for_each(|_| syncs.let_one_go(Ok(())));
    }
}

#[test]
fn who_is_refused_by_a_check_can_see_what_it_clashed_with() {
    let disk = gated();
    let engine = database(&disk);
    let syncs = disk.watch.close();
    let (winner, _) = put_beside(&engine, b"winner", SyncMode::Always);
    syncs.await_one();
    let loser = engine.clone();
    let refused = std::thread::spawn(move || {
        let check = Box::new(|_: &mut WriteBatch, _: u64| Err(Error::new(Code::Conflict, "clash")));
        let result = loser.commit(WriteBatch::new(), CommitOptions { sync: None, check: Some(check) });
        (result, loser.get(b"winner", None).unwrap().is_some())
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!refused.is_finished(), "told before it could see why");
    disk.watch.open_gate_after(&syncs);
    winner.join().unwrap().unwrap();
    let (result, saw_it) = refused.join().unwrap();
    assert_eq!(result.unwrap_err().code(), Code::Conflict);
    assert!(saw_it);
}

/// Many writers of all durabilities, and a disk that stops at any operation.
#[test]
fn after_a_crash_beside_concurrent_writers_what_is_there_is_a_prefix_with_everything_synced() {
    for seed in seeds(150) {
        let _report = SeedReport(seed);
        let mut random = Random::new(seed);
        let disk = SimFs::new();
        let config = Config {
            memtable_size_bytes: 6 << 10,
            wal_segment_size_bytes: 4 << 10,
            auto_background: random.one_in(2),
            ..Config::new("/db")
        };
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        disk.crash_at(disk.operations() + 1 + random.below(150));
        // By the seqno that it had: the key, and whether it was acknowledged as synced.
        let tried = Arc::new(Mutex::new(BTreeMap::<u64, (String, bool)>::new()));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, tried) = (engine.clone(), Arc::clone(&tried));
                let mut random = Random::new(seed * 4 + thread);
                scope.spawn(move || write_until_it_fails(&engine, &tried, thread, &mut random));
            }
        });
        disk.crash();
        drop(engine);

        for outcome in [CrashOutcome::LoseUnsynced, CrashOutcome::Random(seed), CrashOutcome::ProcessOnly] {
            let engine = Engine::open_on(config.clone(), Arc::new(disk.after_crash(outcome)))
                .unwrap_or_else(|error| panic!("{outcome:?}: {error:?}"));
            let tried = tried.lock().unwrap();
            let there: Vec<bool> = tried.values().map(|(key, _)| has(&engine, key.as_bytes())).collect();
            assert!(there.is_sorted_by(|a, b| a >= b), "{outcome:?}: not a prefix: {there:?}");
            let lost = tried.values().zip(&there).find(|((_, synced), there)| *synced && !**there);
            assert!(lost.is_none(), "{outcome:?}: {lost:?} was acknowledged as synced");
        }
    }
}

fn write_until_it_fails(
    engine: &Engine,
    tried: &Arc<Mutex<BTreeMap<u64, (String, bool)>>>,
    thread: u64,
    random: &mut Random,
) {
    for number in 0..100 {
        let key = format!("{thread}-{number:03}");
        let mut batch = WriteBatch::new();
        batch.put(key.as_bytes(), &vec![7; random.below(300) as usize]).unwrap();
        let (noted, noted_key) = (Arc::clone(tried), key.clone());
        let check = Box::new(move |_: &mut WriteBatch, seqno: u64| {
            noted.lock().unwrap().insert(seqno, (noted_key, false));
            Ok(())
        });
        let sync = *random.pick(&[SyncMode::Always, SyncMode::Interval(10), SyncMode::Never]);
        match engine.commit(batch, CommitOptions { sync: Some(sync), check: Some(check) }) {
            Ok(seqno) => {
                assert!(engine.visible_seqno() >= seqno, "acknowledged and not visible");
                if sync == SyncMode::Always {
                    tried.lock().unwrap().insert(seqno, (key, true));
                }
            }
            Err(error) => {
                assert!(matches!(error.code(), Code::Io | Code::Poisoned), "{error:?}");
                return;
            }
        }
    }
}

#[test]
fn a_long_log_is_synced_before_its_end_even_where_no_durability_asks_for_it() {
    let config = Config { wal_sync_mode: SyncMode::Never, auto_background: true, ..Config::new("/db") };
    let engine = Engine::open_on(config, Arc::new(SimFs::new())).unwrap();
    let started = Instant::now();
    while engine.stats().syncs == 0 {
        assert!(engine.stats().frozen_memtables == 0 && started.elapsed() < Duration::from_secs(20));
        let mut batch = WriteBatch::new();
        batch.put(b"key", &[7; 100_000]).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();
        assert!(engine.stats().wal_bytes < 40 << 20, "the memtable will be sealed soon");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(engine.stats().wal_bytes >= 4 << 20);
}

#[test]
fn a_log_that_has_reached_its_size_is_followed_by_another_and_all_go_with_the_memtable() {
    let disk = SimFs::new();
    let config = Config { wal_segment_size_bytes: 10_000, wal_sync_mode: SyncMode::Never, ..config() };
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    for number in 0..200u32 {
        let mut batch = WriteBatch::new();
        batch.put(&number.to_be_bytes(), &[7; 500]).unwrap();
        let options = CommitOptions { sync: Some(SyncMode::Interval(10)), check: None };
        engine.commit(batch, options).unwrap();
    }
    let logs = |disk: &SimFs| -> Vec<usize> {
        let names = disk.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "wal"));
        names.map(|path| disk.read_file(path).unwrap().len()).collect()
    };
    let lengths = logs(&disk);
    assert!((9..14).contains(&lengths.len()) && lengths.iter().all(|len| *len < 11_000), "{lengths:?}");
    assert_eq!(engine.stats().frozen_memtables, 0, "the memtable is not full");

    let survivor = Engine::open_on(config, Arc::new(disk.after_crash(CrashOutcome::ProcessOnly))).unwrap();
    assert!((0..200u32).all(|number| has(&survivor, &number.to_be_bytes())));
    engine.flush().unwrap();
    assert_eq!(logs(&disk).len(), 1);
}

#[test]
fn while_a_sync_runs_nothing_is_committed_at_once() {
    let disk = gated();
    let engine = database(&disk);
    let try_put = |key: &[u8]| {
        let mut batch = WriteBatch::new();
        batch.put(key, b"value").unwrap();
        engine.try_commit(batch, CommitOptions { sync: Some(SyncMode::Never), check: None })
    };
    let syncs = disk.watch.close();
    let (strict, _) = put_beside(&engine, b"strict", SyncMode::Always);
    syncs.await_one();

    assert!(try_put(b"lazy").is_none(), "it would be visible only behind what is being synced");

    syncs.let_one_go(Ok(()));
    let visible = strict.join().unwrap().unwrap();
    assert_eq!(engine.get(b"lazy", None).unwrap(), None);
    assert_eq!(try_put(b"lazy").unwrap().unwrap(), visible + 1);
}
