//! The engine against an ordered map: random histories of every operation, under random tiny configurations.
//!
//! `FLOWDB_SEED=n` replays one history; `FLOWDB_SEQUENCES=n` runs so many (10,000 without it).

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Random, SeedReport, seeds, tiny_config};
use flowdb::clock::{Clock, ManualClock};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, Direction, Engine, Scan, ScanRange, Snapshot, TryGet, WriteBatch};
use flowdb::fs::SimFs;

/// What the database should hold: value and expiry (0 for never) by key.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

struct History {
    random: Random,
    config: Config,
    clock: Arc<ManualClock>,
    disk: SimFs,
    engine: Engine,
    model: Model,
    snapshots: Vec<(Snapshot, Model)>,
    /// Scans that stay open while the database changes, with the rows that they have yet to give, in their order.
    scans: Vec<(Scan, VecDeque<Row>)>,
    /// Bytes of values that the engine of before the last opening has moved between value files.
    relocated_bytes: u64,
}

type Row = (Vec<u8>, Vec<u8>);

impl History {
    fn begin(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clock = Arc::new(ManualClock::new(1_000));
        let config = tiny_config(&mut random, Arc::clone(&clock));
        let disk = SimFs::new();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        Self {
            random,
            config,
            clock,
            disk,
            engine,
            model: Model::new(),
            snapshots: Vec::new(),
            scans: Vec::new(),
            relocated_bytes: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.write(),
            40..42 => self.open_scan(),
            42..45 => self.go_on_with_a_scan(),
            45..60 => self.check_gets(),
            60..75 => self.check_scan(),
            75..79 => self.snapshots.push((self.engine.snapshot(), self.model.clone())),
            79..82 => self.drop_snapshot(),
            82..88 => {
                self.engine.run_pending().unwrap();
            }
            88..91 => self.engine.flush().unwrap(),
            91..92 => self.compact(),
            92..96 => self.clock.advance(self.random.below(50)),
            96..98 => self.burst(),
            _ => self.reopen(),
        }
    }

    fn compact(&mut self) {
        if self.random.one_in(2) {
            return self.engine.compact_all().unwrap();
        }
        let (start, end) = (self.key(), self.key());
        self.engine.compact_range(Bound::Included(&start), Bound::Excluded(&end)).unwrap();
    }

    /// A key of a small set, so that overwrites, deletes and misses are common; some share long prefixes.
    fn key(&mut self) -> Vec<u8> {
        match self.random.below(20) {
            0 => Vec::new(),
            1 => vec![0xff; 1 + self.random.below(3) as usize],
            2..6 => format!("a long common prefix of many keys {:03}", self.random.below(40)).into_bytes(),
            _ => format!("{:02}", self.random.below(60)).into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let len = match self.random.below(20) {
            0 => 0,
            1 => 3_000,
            _ => self.random.below(60) as usize,
        };
        let byte = self.random.next() as u8;
        (0..len).map(|index| byte.wrapping_add((index / 7) as u8)).collect()
    }

    /// Adds one random entry to a batch and to the model.
    fn add_entry(&mut self, batch: &mut WriteBatch) {
        let key = self.key();
        match self.random.below(20) {
            0..12 => {
                let value = self.value();
                batch.put(&key, &value).unwrap();
                self.model.insert(key, (value, 0));
            }
            12..14 => {
                let (value, expires_at) = (self.value(), self.clock.now_ms() + 1 + self.random.below(100));
                batch.put_expiring(&key, &value, expires_at).unwrap();
                self.model.insert(key, (value, expires_at));
            }
            14..19 => {
                batch.delete(&key).unwrap();
                self.model.remove(&key);
            }
            _ => {
                let end = self.key();
                batch.delete_range(&key, &end).unwrap();
                self.model.retain(|other, _| !(key.as_slice() <= other.as_slice() && other < &end));
            }
        }
    }

    fn write(&mut self) {
        let mut batch = WriteBatch::new();
        let entries = if self.random.one_in(4) { 1 + self.random.below(30) } else { 1 };
        for _ in 0..entries {
            self.add_entry(&mut batch);
        }
        let modes = [None, None, Some(SyncMode::Always), Some(SyncMode::Interval(5)), Some(SyncMode::Never)];
        let sync = *self.random.pick(&modes);
        self.engine.commit(batch, CommitOptions { sync, check: None }).unwrap();
    }

    fn open_scan(&mut self) {
        let (snapshot, model) = self.view();
        let now = self.clock.now_ms();
        let direction = if self.random.one_in(2) { Direction::Forward } else { Direction::Reverse };
        let scan = self.engine.scan(ScanRange::all(), direction, snapshot.as_ref()).unwrap();
        let mut rows: VecDeque<Row> = model
            .into_iter()
            .filter(|(_, (_, expires_at))| *expires_at == 0 || *expires_at > now)
            .map(|(key, (value, _))| (key, value))
            .collect();
        if direction == Direction::Reverse {
            rows.make_contiguous().reverse();
        }
        self.scans.push((scan, rows));
    }

    /// A scan gives what was there when it was opened, whatever has been written, compacted or has expired since.
    fn go_on_with_a_scan(&mut self) {
        let Some((mut scan, mut rows)) = self.scans.pop() else { return };
        for _ in 0..self.random.below(40) {
            let expected = rows.pop_front();
            let seen = scan.advance().unwrap().then(|| (scan.key().to_vec(), scan.value().to_vec()));
            assert_eq!(seen, expected, "a scan that stayed open");
            if seen.is_none() {
                return;
            }
        }
        let index = self.random.below(self.scans.len() as u64 + 1) as usize;
        self.scans.insert(index, (scan, rows));
    }

    /// Enough writes to fill a memtable or two.
    fn burst(&mut self) {
        for _ in 0..40 {
            self.write();
        }
    }

    fn drop_snapshot(&mut self) {
        if !self.snapshots.is_empty() {
            let index = self.random.below(self.snapshots.len() as u64) as usize;
            self.snapshots.swap_remove(index);
        }
    }

    fn reopen(&mut self) {
        self.snapshots.clear();
        self.scans.clear();
        self.relocated_bytes += self.engine.stats().value_bytes_relocated;
        self.engine.close().unwrap();
        self.engine = Engine::open_on(self.config.clone(), Arc::new(self.disk.clone())).unwrap();
    }

    /// Compactions that give space back must not pick the same table for ever.
    fn run_out_of_work(&mut self) {
        let mut steps = 0;
        while self.engine.run_pending().unwrap() {
            steps += 1;
            assert!(steps < 1_000, "background work does not end: {:?}", self.engine.stats());
        }
    }

    /// The state to read at: now, or one of the snapshots.
    fn view(&mut self) -> (Option<Snapshot>, Model) {
        if self.snapshots.is_empty() || self.random.one_in(2) {
            return (None, self.model.clone());
        }
        let (snapshot, model) = self.random.pick(&self.snapshots);
        (Some(snapshot.clone()), model.clone())
    }

    fn check_gets(&mut self) {
        let (snapshot, model) = self.view();
        let now = self.clock.now_ms();
        for _ in 0..5 {
            let key = self.key();
            let expected = model.get(&key).filter(|(_, expires_at)| *expires_at == 0 || *expires_at > now);
            let tried = self.engine.try_get(&key, snapshot.as_ref()).unwrap();
            let found = self.engine.get(&key, snapshot.as_ref()).unwrap();
            let seen = found.as_ref().map(|value| (value.bytes.clone(), value.expires_at));
            assert_eq!(seen.as_ref(), expected, "get {key:?} at {snapshot:?}");
            match tried {
                TryGet::NeedsIo => {}
                TryGet::Missing => assert_eq!(found, None, "try_get {key:?}"),
                TryGet::Found(value) => assert_eq!(found, Some(value), "try_get {key:?}"),
            }
            self.check_pieces(&key, snapshot.as_ref(), expected.map(|(value, _)| &value[..]));
        }
    }

    /// A slice is a slice of the whole value, and a reader reads all of it.
    fn check_pieces(&mut self, key: &[u8], snapshot: Option<&Snapshot>, expected: Option<&[u8]>) {
        let (offset, len) = (self.random.below(70) as usize, self.random.below(70) as usize);
        let slice = self.engine.get_slice(key, offset as u64, len, snapshot).unwrap();
        let reader = self.engine.open_value(key, snapshot).unwrap();
        let Some(value) = expected else {
            assert!(slice.is_none() && reader.is_none(), "{key:?} is not there");
            return;
        };
        let (slice, mut reader) = (slice.unwrap(), reader.unwrap());
        let start = offset.min(value.len());
        let end = (offset + len).clamp(start, value.len());
        assert_eq!(slice.bytes, value[start..end], "{key:?} {offset} {len}");
        assert_eq!((slice.value_len, reader.len()), (value.len() as u64, value.len() as u64));
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut read).unwrap();
        assert_eq!(read, value, "{key:?} by a reader");
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.random.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(self.key()),
            _ => Bound::Excluded(self.key()),
        }
    }

    fn check_scan(&mut self) {
        let (snapshot, model) = self.view();
        let now = self.clock.now_ms();
        let (start, end) = (self.bound(), self.bound());
        let direction = if self.random.one_in(2) { Direction::Forward } else { Direction::Reverse };
        let mut expected: Vec<(Vec<u8>, Vec<u8>)> = model
            .iter()
            .filter(|(key, _)| is_above(key, &start) && is_below(key, &end))
            .filter(|(_, (_, expires_at))| *expires_at == 0 || *expires_at > now)
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect();
        if direction == Direction::Reverse {
            expected.reverse();
        }
        let range = ScanRange { start: start.clone(), end: end.clone() };
        let mut scan = self.engine.scan(range, direction, snapshot.as_ref()).unwrap();
        let stop_after = if self.random.one_in(3) { self.random.below(10) as usize } else { usize::MAX };
        expected.truncate(stop_after);
        let mut seen = Vec::new();
        while seen.len() < stop_after && scan.advance().unwrap() {
            seen.push((scan.key().to_vec(), scan.value().to_vec()));
        }
        assert_eq!(seen, expected, "{direction:?} scan from {start:?} to {end:?} at {snapshot:?}");
    }
}

fn is_above(key: &[u8], start: &Bound<Vec<u8>>) -> bool {
    match start {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start.as_slice(),
        Bound::Excluded(start) => key > start.as_slice(),
    }
}

fn is_below(key: &[u8], end: &Bound<Vec<u8>>) -> bool {
    match end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= end.as_slice(),
        Bound::Excluded(end) => key < end.as_slice(),
    }
}

#[test]
fn every_history_reads_as_an_ordered_map_would() {
    let count = std::env::var("FLOWDB_SEQUENCES").map_or(10_000, |count| count.parse().expect("a number"));
    let seeds = seeds(count);
    println!("{} histories, seeds {}..={}", seeds.len(), seeds[0], seeds[seeds.len() - 1]);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let relocated = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (seeds, relocated) = (&seeds, &relocated);
            scope.spawn(move || {
                for &seed in seeds.iter().skip(worker).step_by(workers) {
                    relocated.fetch_add(run(seed), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{relocated:?} bytes of values were moved between value files");
    assert!(count < 1_000 || relocated.into_inner() > 0 || seeds.len() == 1);
}

/// Runs one history; returns how many bytes of values were moved between value files.
fn run(seed: u64) -> u64 {
    let _report = SeedReport(seed);
    let mut history = History::begin(seed);
    let steps = 30 + history.random.below(60);
    for _ in 0..steps {
        history.step();
    }
    while !history.scans.is_empty() {
        history.go_on_with_a_scan();
    }
    // Whatever snapshots are open, and again when they have gone.
    history.run_out_of_work();
    history.check_scan();
    history.snapshots.clear();
    history.clock.advance(1_000);
    history.run_out_of_work();
    history.check_gets();
    history.reopen();
    history.check_scan();
    history.check_gets();
    history.engine.verify().unwrap();
    history.relocated_bytes
}
