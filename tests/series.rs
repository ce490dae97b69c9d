//! Series of records: against a sorted map, and what they read of the disk.
//!
//! `FLOWDB_SEED=n` replays one history; `FLOWDB_SEQUENCES=n` runs so many (1,000 without it).

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::thread;

use common::trials::{SeedReport, seeds};
use common::{Random, tiny_config};
use flowdb::clock::{Clock, ManualClock};
use flowdb::config::{Compression, Config, SyncMode};
use flowdb::engine::{Engine, Snapshot};
use flowdb::error::Code;
use flowdb::fs::SimFs;
use flowdb::jsondb::{Document, Format, JsonDb, Key, StoreOptions};
use flowdb::series::{
    Aggregate, NEVER, Patch, Query, RECORD_KEY_BYTES_MAX, Record, Series, SeriesDb, SeriesOptions, Window,
    number_of_f64,
};

/// Value and expiry (milliseconds, 0 for never) of the records of a series, by key and time.
type Model = BTreeMap<(Vec<u8>, i64), (Vec<u8>, u64)>;

const RETENTIONS: [Option<u64>; 3] = [None, Some(1), Some(4)];

struct History {
    random: Random,
    config: Config,
    clock: Arc<ManualClock>,
    disk: SimFs,
    engine: Engine,
    models: Vec<Model>,
    snapshots: Vec<(Snapshot, Vec<Model>)>,
}

/// A query, and what it means in the words of the model.
struct Asked {
    query: Query,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    prefix: Vec<u8>,
    first: i64,
    last: i64,
    is_reverse: bool,
    limit: Option<u64>,
}

impl Asked {
    fn admits(&self, key: &[u8], ts: i64) -> bool {
        let above = match &self.lower {
            Bound::Included(lower) => key >= lower.as_slice(),
            Bound::Excluded(lower) => key > lower.as_slice(),
            Bound::Unbounded => true,
        };
        let below = match &self.upper {
            Bound::Included(upper) => key <= upper.as_slice(),
            Bound::Excluded(upper) => key < upper.as_slice(),
            Bound::Unbounded => true,
        };
        above && below && key.starts_with(&self.prefix) && self.first <= ts && ts <= self.last
    }

    fn of<'a>(&'a self, model: &'a Model, now: u64) -> Vec<Record> {
        let is_there = |expires_at: u64| expires_at == 0 || expires_at > now;
        let mut records: Vec<Record> = model
            .iter()
            .filter(|((key, ts), (_, expires_at))| self.admits(key, *ts) && is_there(*expires_at))
            .map(|(at, held)| record(at, held))
            .collect();
        if self.is_reverse {
            records.reverse();
        }
        records.truncate(self.limit.map_or(usize::MAX, |limit| limit as usize));
        records
    }
}

fn record((key, ts): &(Vec<u8>, i64), (value, expires_at): &(Vec<u8>, u64)) -> Record {
    let expire_at = (*expires_at != 0).then_some(*expires_at as i64 * 1_000);
    Record { key: key.clone(), ts: *ts, expire_at, value: value.clone() }
}

fn expiry_ms(expire_at: Option<i64>) -> u64 {
    match expire_at {
        None | Some(NEVER) => 0,
        Some(micros) => u64::try_from(micros).unwrap_or(0).div_ceil(1_000).max(1),
    }
}

impl History {
    fn begin(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clock = Arc::new(ManualClock::new(5_000));
        let config = tiny_config(&mut random, Arc::clone(&clock));
        let disk = SimFs::new();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let models = vec![Model::new(); RETENTIONS.len()];
        Self { random, config, clock, disk, engine, models, snapshots: Vec::new() }
    }

    fn series(&self, at: usize) -> Series {
        let options = SeriesOptions { retention_secs: RETENTIONS[at], ..SeriesOptions::default() };
        SeriesDb::new(self.engine.clone()).create(&format!("series {at}"), options).unwrap()
    }

    fn step(&mut self) {
        let at = self.random.below(RETENTIONS.len() as u64) as usize;
        match self.random.below(100) {
            0..30 => self.write(at),
            30..38 => self.delete(at),
            38..44 => self.patch(at),
            44..55 => self.check_points(at),
            55..74 => self.check_scan(at),
            74..78 => self.check_windows(at),
            78..80 => self.snapshots.push((self.engine.snapshot(), self.models.clone())),
            80..82 => {
                if !self.snapshots.is_empty() {
                    let gone = self.random.below(self.snapshots.len() as u64) as usize;
                    self.snapshots.swap_remove(gone);
                }
            }
            82..90 => {
                self.engine.run_pending().unwrap();
            }
            90..93 => self.engine.flush().unwrap(),
            93..94 => self.engine.compact_all().unwrap(),
            94..98 => self.clock.advance(self.random.below(300)),
            _ => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        self.snapshots.clear();
        self.engine.close().unwrap();
        self.engine = Engine::open_on(self.config.clone(), Arc::new(self.disk.clone())).unwrap();
    }

    fn key(&mut self) -> Vec<u8> {
        match self.random.below(12) {
            0 => Vec::new(),
            1 => vec![0; 1 + self.random.below(3) as usize],
            2 => vec![0xff; 1 + self.random.below(2) as usize],
            3..6 => format!("room/{}", self.random.below(4)).into_bytes(),
            _ => format!("{}", self.random.below(5)).into_bytes(),
        }
    }

    /// Mostly of the last seconds, so that retentions mean something; some far off.
    fn time(&mut self) -> i64 {
        match self.random.below(20) {
            0 => *self.random.pick(&[i64::MIN, i64::MAX, -1, 0]),
            1 => -(self.random.below(9_000_000) as i64),
            _ => (self.random.below(80) as i64 + 1) * 100_000,
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.random.below(8) {
            0 => Vec::new(),
            1 => vec![b'x'; 400],
            _ => (self.random.below(2_000) as f64 / 4.0 - 250.0).to_le_bytes().to_vec(),
        }
    }

    fn write(&mut self, at: usize) {
        let retention = RETENTIONS[at];
        let count = if self.random.one_in(10) { 60 } else { 1 + self.random.below(6) };
        let ttl = self.random.one_in(5).then(|| self.random.below(4));
        let mut records = Vec::new();
        for _ in 0..count {
            let mut record = Record::new(self.key(), self.time(), self.value());
            record.expire_at = match self.random.below(12) {
                0 => Some(NEVER),
                1 => Some(self.time()),
                _ => None,
            };
            let seconds = ttl.or(retention);
            let after = |seconds: u64| record.ts.saturating_add(seconds as i64 * 1_000_000);
            let expires_at = expiry_ms(record.expire_at.or(seconds.map(after)));
            self.models[at].insert((record.key.clone(), record.ts), (record.value.clone(), expires_at));
            records.push(record);
        }
        match ttl {
            Some(ttl) => self.series(at).write_batch_ttl(&records, ttl).unwrap(),
            None => self.series(at).write_batch(&records).unwrap(),
        }
    }

    fn delete(&mut self, at: usize) {
        if self.random.one_in(2) {
            let gone: Vec<(Vec<u8>, i64)> = (0..4).map(|_| (self.key(), self.time())).collect();
            self.series(at).delete_batch(&gone).unwrap();
            for record in gone {
                self.models[at].remove(&record);
            }
            return;
        }
        let mut asked = self.ask();
        asked.query = asked.query.reverse();
        if asked.limit.is_some() {
            let refused = self.series(at).delete_range(&asked.query);
            return assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
        }
        self.series(at).delete_range(&asked.query).unwrap();
        self.models[at].retain(|(key, ts), _| !asked.admits(key, *ts));
    }

    fn patch(&mut self, at: usize) {
        let now = self.clock.now_ms();
        let (key, ts) = match self.models[at].keys().nth(self.random.below(30) as usize) {
            Some(known) => known.clone(),
            None => (self.key(), self.time()),
        };
        let patch = Patch {
            value: self.random.one_in(2).then(|| b"patched".to_vec()),
            expire_at: self.random.one_in(3).then(|| *self.random.pick(&[NEVER, 9_000_500, 100])),
        };
        let series = self.series(at);
        let held = self.models[at].get_mut(&(key.clone(), ts));
        let held = held.filter(|(_, expires_at)| *expires_at == 0 || *expires_at > now);
        assert_eq!(series.patch_record(&key, ts, &patch).unwrap(), held.is_some());
        if let Some((value, expires_at)) = held {
            if let Some(patched) = &patch.value {
                value.clone_from(patched);
            }
            *expires_at = patch.expire_at.map_or(*expires_at, |at| expiry_ms(Some(at)));
        }
    }

    fn ask(&mut self) -> Asked {
        let (first, last, times) = self.times();
        let (mut lower, mut upper, mut prefix) = (Bound::Unbounded, Bound::Unbounded, Vec::new());
        let mut query = match self.random.below(5) {
            0 => {
                let key = self.key();
                (lower, upper) = (Bound::Included(key.clone()), Bound::Included(key.clone()));
                Query::key(key).within(times)
            }
            1 => {
                prefix = self.key();
                prefix.truncate(self.random.below(6) as usize);
                Query::prefix_time_range(&prefix, times)
            }
            2 | 3 => {
                let bound = |key: Vec<u8>, kind: u64| match kind {
                    0 => Bound::Unbounded,
                    1 => Bound::Included(key),
                    _ => Bound::Excluded(key),
                };
                lower = bound(self.key(), self.random.below(3));
                upper = bound(self.key(), self.random.below(3));
                Query::key_time_range::<Vec<u8>>((lower.clone(), upper.clone()), times)
            }
            _ => Query::time_range(times),
        };
        let is_reverse = self.random.one_in(2);
        if is_reverse {
            query = query.reverse();
        }
        let limit = self.random.one_in(4).then(|| self.random.below(8));
        if let Some(limit) = limit {
            query = query.limit(limit);
        }
        Asked { query, lower, upper, prefix, first, last, is_reverse, limit }
    }

    /// A span of time, its ends included, and the same as bounds.
    fn times(&mut self) -> (i64, i64, (Bound<i64>, Bound<i64>)) {
        match self.random.below(4) {
            0 => (i64::MIN, i64::MAX, (Bound::Unbounded, Bound::Unbounded)),
            1 => {
                let first = self.time();
                (first, i64::MAX, (Bound::Included(first), Bound::Unbounded))
            }
            2 => {
                let (first, last) = (self.time(), self.time());
                (first, last, (Bound::Included(first), Bound::Included(last)))
            }
            _ => {
                let first = self.random.below(8_000_000) as i64;
                let behind = first + 1_000_000;
                (first, behind - 1, (Bound::Included(first), Bound::Excluded(behind)))
            }
        }
    }

    /// Now, or as of a snapshot: the models of then, and the snapshot.
    fn moment(&mut self) -> (Vec<Model>, Option<Snapshot>) {
        if self.snapshots.is_empty() || self.random.one_in(2) {
            return (self.models.clone(), None);
        }
        let (snapshot, models) = self.random.pick(&self.snapshots);
        (models.clone(), Some(snapshot.clone()))
    }

    fn check_points(&mut self, at: usize) {
        let (models, snapshot) = self.moment();
        let (series, now) = (self.series(at), self.clock.now_ms());
        let is_there = |expires_at: u64| expires_at == 0 || expires_at > now;
        for _ in 0..5 {
            let (key, ts) = (self.key(), self.time());
            let at_time = (key.clone(), ts);
            let held = models[at].get(&at_time).filter(|(_, expires_at)| is_there(*expires_at));
            let found = series.get(&key, ts, snapshot.as_ref()).unwrap();
            assert_eq!(found, held.map(|held| record(&at_time, held)), "{key:?} at {ts}");
            let of_key = models[at].range((key.clone(), i64::MIN)..=(key.clone(), i64::MAX));
            let latest = of_key.rev().find(|(_, (_, expires_at))| is_there(*expires_at));
            let found = series.get_latest(&key, snapshot.as_ref()).unwrap();
            assert_eq!(found, latest.map(|(at, held)| record(at, held)), "the latest of {key:?}");
        }
    }

    fn check_scan(&mut self, at: usize) {
        let (models, snapshot) = self.moment();
        let asked = self.ask();
        let scan = self.series(at).scan(&asked.query, snapshot.as_ref()).unwrap();
        let found: Vec<Record> = scan.map(Result::unwrap).collect();
        assert_eq!(found, asked.of(&models[at], self.clock.now_ms()), "{:?}", asked.query);
    }

    fn check_windows(&mut self, at: usize) {
        let asked = Asked { limit: None, ..self.ask() };
        let (models, snapshot) = self.moment();
        let width = *self.random.pick(&[1, 300_000, 1_000_000]);
        let aggregates =
            [Aggregate::Count, Aggregate::Sum, Aggregate::First, Aggregate::Last, Aggregate::Max];
        let aggregate = *self.random.pick(&aggregates);
        let query = match asked.query.clone().limit(u64::MAX) {
            query if self.random.one_in(2) => query,
            query => query.limit(1_000_000),
        };
        let mut expected: Vec<Window> = Vec::new();
        let mut numbers: Vec<Vec<f64>> = Vec::new();
        for record in asked.of(&models[at], self.clock.now_ms()) {
            let Some(number) = number_of_f64(&record.value) else { continue };
            let start = record.ts.div_euclid(width).checked_mul(width).unwrap_or(i64::MIN);
            match expected.last() {
                Some(last) if last.key == record.key && last.start == start => {}
                _ => {
                    expected.push(Window { key: record.key, start, count: 0, value: 0.0 });
                    numbers.push(Vec::new());
                }
            }
            numbers.last_mut().unwrap().push(number);
        }
        for (window, mut numbers) in expected.iter_mut().zip(numbers) {
            if asked.is_reverse {
                numbers.reverse();
            }
            window.count = numbers.len() as u64;
            window.value = match aggregate {
                Aggregate::Count => numbers.len() as f64,
                // Quarters of small numbers: sums are exact in any order.
                Aggregate::Sum => numbers.iter().sum(),
                Aggregate::First => numbers[0],
                Aggregate::Last => numbers[numbers.len() - 1],
                _ => numbers.iter().copied().fold(f64::MIN, f64::max),
            };
        }
        let windows =
            self.series(at).downsample(&query, Some(width), aggregate, number_of_f64, snapshot.as_ref());
        let found: Vec<Window> = windows.unwrap().map(Result::unwrap).collect();
        assert_eq!(found, expected, "{aggregate:?} of {query:?}");
    }
}

#[test]
fn random_histories_read_as_a_sorted_map_would() {
    let count = std::env::var("FLOWDB_SEQUENCES").map_or(1_000, |count| count.parse().unwrap());
    for seed in seeds(count) {
        let _report = SeedReport(seed);
        let mut history = History::begin(seed);
        for _ in 0..120 {
            history.step();
        }
        history.engine.verify().unwrap();
        for at in 0..RETENTIONS.len() {
            history.check_scan(at);
        }
    }
}

/// A database on a simulated disk in which nothing happens by itself.
fn still() -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let config = Config {
        auto_background: false,
        wal_sync_mode: SyncMode::Never,
        compression: Compression::None,
        block_cache_capacity_bytes: 64 << 20,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..Config::new("/db")
    };
    (Engine::open_on(config, Arc::new(SimFs::new())).unwrap(), clock)
}

/// How many blocks `read` had to read, of index and data.
fn blocks_read<T>(engine: &Engine, read: impl FnOnce() -> T) -> (T, u64) {
    let before = engine.stats().cache_misses;
    let result = read();
    (result, engine.stats().cache_misses - before)
}

fn minute(key: &str, minute: i64) -> Record {
    Record::new(key, minute * 60_000_000, [b'v'; 60])
}

const DAY: i64 = 24 * 60;

#[test]
fn a_span_of_time_of_few_long_keys_reads_only_the_blocks_that_can_hold_it() {
    let (engine, _) = still();
    let series = SeriesDb::new(engine.clone()).create("s", SeriesOptions::default()).unwrap();
    let keys = ["a", "b", "c"];
    for key in keys {
        let records: Vec<Record> = (0..10 * DAY).map(|at| minute(key, at)).collect();
        series.write_batch(&records).unwrap();
    }
    // All in one table at the bottom, which holds every time.
    engine.compact_all().unwrap();
    let an_hour = || Query::time_range(5 * DAY * 60_000_000..(5 * DAY + 60) * 60_000_000);
    let count = |query: &Query| series.scan(query, None).unwrap().count();

    let (records, read) = blocks_read(&engine, || count(&an_hour()));
    assert_eq!(records, 180);
    // An hour of a key is less than two blocks of 4 KiB long, in at most three blocks, below a few of the index.
    assert!(read <= 3 * 3 + 4, "{read} blocks were read");
    let (records, reread) = blocks_read(&engine, || count(&an_hour().reverse()));
    assert_eq!((records, reread), (180, 0), "the same blocks backwards");

    let (_, whole) = blocks_read(&engine, || count(&Query::all()));
    assert!(whole > 20 * read, "{whole} blocks are there");
}

#[test]
fn a_span_of_time_of_many_keys_reads_only_the_tables_of_that_time() {
    let (engine, _) = still();
    let series = SeriesDb::new(engine.clone()).create("s", SeriesOptions::default()).unwrap();
    let keys: Vec<String> = (0..500).map(|key| format!("sensor {key:03}")).collect();
    // As data comes: every table has all keys, and a few minutes.
    for table in 0..8 {
        for at in table * 5..table * 5 + 5 {
            let records: Vec<Record> = keys.iter().map(|key| minute(key, at)).collect();
            series.write_batch(&records).unwrap();
        }
        engine.flush().unwrap();
    }
    assert_eq!(engine.stats().level_tables[0], 8);
    let count = |query: &Query| series.scan(query, None).unwrap().count();

    let (records, read) =
        blocks_read(&engine, || count(&Query::time_range(12 * 60_000_000..13 * 60_000_000)));
    assert_eq!(records, 500);
    let (_, whole) = blocks_read(&engine, || count(&Query::all()));
    assert!(whole > 300 && read <= (read + whole) / 8 + 2, "{read} blocks were read, {whole} beside them");
    let (records, none) = blocks_read(&engine, || count(&Query::time_range(40 * 60_000_000..)));
    assert_eq!((records, none), (0, 0));
}

/// A tombstone in a table that is read hides a record in one that is passed over, and the other way round.
#[test]
fn what_was_deleted_or_replaced_in_another_table_does_not_come_back() {
    let (engine, _) = still();
    let series = SeriesDb::new(engine.clone()).create("s", SeriesOptions::default()).unwrap();
    let records: Vec<Record> = (0..200).map(|at| minute("k", at)).collect();
    series.write_batch(&records).unwrap();
    engine.flush().unwrap();
    series.delete_batch(&(0..200).step_by(2).map(|at| ("k", at * 60_000_000)).collect::<Vec<_>>()).unwrap();
    engine.flush().unwrap();
    series.write_batch(&[Record::new("k", 100 * 60_000_000, "again")]).unwrap();
    engine.flush().unwrap();
    series.delete_range(&Query::key("k").within(150 * 60_000_000..)).unwrap();
    engine.flush().unwrap();

    let minutes = |query: Query| -> Vec<i64> {
        series.scan(&query, None).unwrap().map(|record| record.unwrap().ts / 60_000_000).collect()
    };
    let expected: Vec<i64> = (90..150).filter(|at| at % 2 == 1 || *at == 100).collect();
    assert_eq!(minutes(Query::time_range(90 * 60_000_000..160 * 60_000_000)), expected);
    let mut backwards = minutes(Query::time_range(90 * 60_000_000..160 * 60_000_000).reverse());
    backwards.reverse();
    assert_eq!(backwards, expected);
}

#[test]
fn the_latest_record_is_one_seek_however_many_there_are() {
    let mut read = Vec::new();
    for count in [100, 40_000] {
        let (engine, _) = still();
        let series = SeriesDb::new(engine.clone()).create("s", SeriesOptions::default()).unwrap();
        for key in ["a", "k", "z"] {
            series.write_batch(&(0..count).map(|at| minute(key, at)).collect::<Vec<_>>()).unwrap();
        }
        engine.compact_all().unwrap();
        let (latest, blocks) = blocks_read(&engine, || series.get_latest("k", None).unwrap());
        assert_eq!(latest.unwrap(), minute("k", count - 1));
        read.push(blocks);
    }
    assert!(read[1] <= 4, "blocks read: {read:?}");
}

#[test]
fn records_expire_exactly_when_their_series_or_they_themselves_say() {
    let (engine, clock) = still();
    let options = SeriesOptions { retention_secs: Some(60), ..SeriesOptions::default() };
    let series = SeriesDb::new(engine.clone()).create("s", options).unwrap();
    let now = clock.now_ms() as i64 * 1_000;
    let at = |key: &str, expire_at| Record { expire_at, ..Record::new(key, now, "v") };
    series
        .write_batch(&[at("by retention", None), at("never", Some(NEVER)), at("soon", Some(now + 1_500))])
        .unwrap();
    series.write_batch_ttl(&[at("by ttl", None), at("its own", Some(now + 5_000_000))], 10).unwrap();
    // It is older than what is kept.
    series.write_batch(&[Record::new("late", now - 61_000_000, "v")]).unwrap();
    let there = || -> Vec<String> {
        let keys = series.scan(&Query::all(), None).unwrap();
        keys.map(|record| String::from_utf8(record.unwrap().key).unwrap()).collect()
    };

    assert_eq!(there(), ["by retention", "by ttl", "its own", "never", "soon"]);
    clock.advance(1);
    assert!(there().contains(&"soon".to_owned()), "an expiry is rounded up to the millisecond");
    clock.advance(1);
    assert_eq!(there(), ["by retention", "by ttl", "its own", "never"]);
    clock.advance(4_998);
    assert_eq!(there(), ["by retention", "by ttl", "never"]);
    clock.advance(5_000);
    assert_eq!(there(), ["by retention", "never"]);
    clock.advance(49_999);
    assert_eq!(there(), ["by retention", "never"]);
    clock.advance(1);
    assert_eq!(there(), ["never"]);
    assert_eq!(series.get("by retention", now, None).unwrap(), None);
}

/// Retention gives the disk back without a call: the compaction that background work picks by itself.
#[test]
fn what_has_expired_leaves_the_disk() {
    let (engine, clock) = still();
    let options = SeriesOptions { retention_secs: Some(3_600), ..SeriesOptions::default() };
    let series = SeriesDb::new(engine.clone()).create("s", options).unwrap();
    let now = clock.now_ms() as i64 * 1_000;
    let records: Vec<Record> = (0..20_000).map(|at| Record::new("k", now + at, [b'v'; 100])).collect();
    series.write_batch(&records).unwrap();
    engine.flush().unwrap();
    let before = engine.stats().table_bytes();
    clock.advance(3_601_000);
    while engine.run_pending().unwrap() {}
    let after = engine.stats().table_bytes();
    assert!(before > 2_000_000 && after < before / 20, "{before} bytes, then {after}");
}

#[test]
fn a_patch_loses_no_write_that_others_make_meanwhile() {
    let config = Config { wal_sync_mode: SyncMode::Never, ..Config::in_memory() };
    let engine = Engine::open(config).unwrap();
    let series = SeriesDb::new(engine).create("s", SeriesOptions::default()).unwrap();
    series.write_batch(&[Record::new("sum", 1, 0u64.to_le_bytes()), Record::new("all", 1, "")]).unwrap();
    let add = |value: &[u8]| u64::from_le_bytes(value.try_into().unwrap()) + 1;
    thread::scope(|scope| {
        for thread in 0u8..4 {
            let series = &series;
            scope.spawn(move || {
                for round in 0..250 {
                    let found = series.update_record("sum", 1, |record| {
                        Ok(Some(Patch {
                            value: Some(add(&record.value).to_le_bytes().to_vec()),
                            expire_at: None,
                        }))
                    });
                    assert!(found.unwrap());
                    // Plain writes of the record that others patch: what a patch was made of must not be older.
                    if thread == 0 {
                        series.write_batch(&[Record::new("all", 1, [round as u8])]).unwrap();
                    } else {
                        let patched = series.update_record("all", 1, |record| {
                            Ok(Some(Patch {
                                value: Some([&record.value[..], &[thread]].concat()),
                                expire_at: None,
                            }))
                        });
                        assert!(patched.unwrap());
                    }
                }
            });
        }
    });
    assert_eq!(series.get("sum", 1, None).unwrap().unwrap().value, 1_000u64.to_le_bytes());
    // The last plain write begins the value, and only patches stand behind it.
    let all = series.get("all", 1, None).unwrap().unwrap().value;
    assert_eq!(all[0], 249);
    assert!(all[1..].iter().all(|&thread| (1..4).contains(&thread)));
}

#[test]
fn openers_create_one_series_and_find_it_again() {
    let disk = SimFs::new();
    let config = Config { auto_background: false, ..Config::new("/db") };
    let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let options = SeriesOptions { retention_secs: Some(10_000_000_000), ..SeriesOptions::default() };
    let made: Vec<Series> = thread::scope(|scope| {
        let create = || SeriesDb::new(engine.clone()).create("heat", options).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (at, series) in made.iter().enumerate() {
        series.write_batch(&[Record::new("k", at as i64, "v")]).unwrap();
    }
    assert_eq!(made[3].scan(&Query::all(), None).unwrap().count(), 8);
    engine.close().unwrap();

    let engine = Engine::open_on(config, Arc::new(disk)).unwrap();
    let db = SeriesDb::new(engine);
    assert_eq!(db.names().unwrap(), ["heat"]);
    assert_eq!(db.open_or_create("heat").unwrap().options(), options);
    assert_eq!(db.open("heat").unwrap().scan(&Query::all(), None).unwrap().count(), 8);
    assert_eq!(db.create("heat", SeriesOptions::default()).unwrap_err().code(), Code::Exists);
    assert_eq!(db.open("cold").unwrap_err().code(), Code::NotFound);
}

#[test]
fn a_deleted_series_takes_no_records_and_its_name_begins_anew() {
    let (engine, _) = still();
    let db = SeriesDb::new(engine.clone());
    let (old, other) =
        (db.open_or_create("s").unwrap(), db.create("other", SeriesOptions::default()).unwrap());
    for series in [&old, &other] {
        series.write_batch(&[minute("k", 1), minute("k", 2)]).unwrap();
    }

    db.delete("s").unwrap();

    assert_eq!(db.delete("s").unwrap_err().code(), Code::NotFound);
    let new = db.open_or_create("s").unwrap();
    assert_eq!(old.write_batch(&[minute("k", 3)]).unwrap_err().code(), Code::NotFound);
    assert_eq!(old.get("k", 60_000_000, None).unwrap_err().code(), Code::NotFound);
    assert_eq!(old.scan(&Query::all(), None).unwrap_err().code(), Code::NotFound);
    assert_eq!(new.scan(&Query::all(), None).unwrap().count(), 0);
    assert_eq!(other.scan(&Query::all(), None).unwrap().count(), 2);
}

#[test]
fn series_and_documents_live_in_one_database() {
    let disk = SimFs::new();
    let config = Config { auto_background: false, ..Config::new("/db") };
    for round in 0..2 {
        let json = JsonDb::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        json.create_object_store("s", StoreOptions { key_path: None, auto_increment: false }).unwrap();
        let series = SeriesDb::new(json.engine().clone()).open_or_create("s").unwrap();
        let key = Key::from_str("k").unwrap();
        let document = Document { format: Format::Json, bytes: b"7".to_vec() };
        json.update(&["s"], None, |transaction| transaction.put("s", Some(key.clone()), document.clone()))
            .unwrap();
        series.write_batch(&[minute("k", round)]).unwrap();
        assert_eq!(series.scan(&Query::all(), None).unwrap().count() as i64, round + 1);
        if round == 1 {
            json.delete_object_store("s").unwrap();
            assert_eq!(series.scan(&Query::all(), None).unwrap().count(), 2);
        }
        json.close().unwrap();
    }
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let (engine, _) = still();
    let db = SeriesDb::new(engine.clone());
    for name in ["", "a\0b", &"x".repeat(256)] {
        assert_eq!(db.open_or_create(name).unwrap_err().code(), Code::InvalidArgument, "{name:?}");
    }
    for options in [
        SeriesOptions { retention_secs: Some(0), ..SeriesOptions::default() },
        SeriesOptions { time_bucket_secs: 0, ..SeriesOptions::default() },
        SeriesOptions { retention_secs: Some(u64::MAX), ..SeriesOptions::default() },
    ] {
        assert_eq!(db.create("s", options).unwrap_err().code(), Code::InvalidArgument);
    }
    let series = db.open_or_create("s").unwrap();
    let long = vec![0; RECORD_KEY_BYTES_MAX];
    series.write_batch(&[Record::new(&long, i64::MIN, "v")]).unwrap();
    assert!(series.get(&long, i64::MIN, None).unwrap().is_some());
    let too_long = Record::new(vec![0; RECORD_KEY_BYTES_MAX + 1], 0, "v");

    let refused = series.write_batch(&[Record::new("k", 0, "v"), too_long]);

    assert_eq!(refused.unwrap_err().code(), Code::InvalidKey);
    assert_eq!(series.get("k", 0, None).unwrap(), None, "a batch is written whole or not at all");
    let windows = series.downsample(&Query::all(), Some(0), Aggregate::Sum, number_of_f64, None);
    assert_eq!(windows.unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn windows_are_one_number_each() {
    let (engine, _) = still();
    let options = SeriesOptions { time_bucket_secs: 10, ..SeriesOptions::default() };
    let series = SeriesDb::new(engine).create("s", options).unwrap();
    let at = |key: &str, ts: i64, number: f64| Record::new(key, ts * 1_000_000, number.to_le_bytes());
    let records = [at("a", -1, 5.0), at("a", 0, 1.0), at("a", 4, 7.0), at("a", 9, 4.0), at("a", 20, 2.0)];
    series.write_batch(&records).unwrap();
    series.write_batch(&[at("b", 1, f64::NAN), at("b", 2, 3.0), Record::new("b", 3, "text")]).unwrap();
    let windows = |query: &Query, width, aggregate| -> Vec<(i64, u64, f64)> {
        let windows = series.downsample(query, width, aggregate, number_of_f64, None).unwrap();
        let tell = |window: Window| (window.start / 1_000_000, window.count, window.value);
        windows.map(|window| tell(window.unwrap())).collect()
    };

    let a = Query::key("a");
    assert_eq!(windows(&a, None, Aggregate::Avg), [(-10, 1, 5.0), (0, 3, 4.0), (20, 1, 2.0)]);
    assert_eq!(windows(&a, None, Aggregate::Count)[1], (0, 3, 3.0));
    assert_eq!(windows(&a, None, Aggregate::Sum)[1], (0, 3, 12.0));
    assert_eq!(windows(&a, None, Aggregate::Min)[1], (0, 3, 1.0));
    assert_eq!(windows(&a, None, Aggregate::Max)[1], (0, 3, 7.0));
    assert_eq!(windows(&a, None, Aggregate::First)[1], (0, 3, 1.0));
    assert_eq!(windows(&a.clone().reverse(), None, Aggregate::Last)[1], (0, 3, 4.0));
    assert_eq!(windows(&a.clone().limit(2), None, Aggregate::Last), [(-10, 1, 5.0), (0, 3, 4.0)]);
    let wide = windows(&Query::time_range(0..), Some(100_000_000), Aggregate::Sum);
    assert_eq!(wide, [(0, 4, 14.0), (0, 1, 3.0)], "a window for each key");
}

/// What a query leaves out by its place is not deleted with the rest.
#[test]
fn deleting_a_range_deletes_the_records_of_the_query_and_no_others() {
    let queries = [
        Query::key("b").after("b", 2),
        Query::key("b").reverse().after("b", 2),
        Query::all().after("b", 2),
        Query::all().reverse().after("b", 2),
        Query::key_range("a"..="b").after("b", 2),
        Query::time_range(1..4).after("b", 2),
        Query::time_range(1..4).reverse().after("b", 2),
        Query::key_time_range("b".., 1..4).after("a", 0),
        Query::prefix_time_range("b", i64::MIN..=3).after("b", i64::MIN),
        Query::time_range(i64::MIN..=i64::MAX - 1).after("b", i64::MAX),
        Query::time_range(0..4).after("c", i64::MAX),
        Query::time_range(2..4),
        Query::all(),
    ];
    for query in queries {
        let (engine, _) = still();
        let series = SeriesDb::new(engine).open_or_create("s").unwrap();
        for key in ["a", "b", "c"] {
            let records = [i64::MIN, 0, 1, 2, 3, 4, i64::MAX].map(|ts| Record::new(key, ts, "v"));
            series.write_batch(&records).unwrap();
        }
        let of = |query: &Query| -> Vec<Record> {
            series.scan(query, None).unwrap().map(Result::unwrap).collect()
        };
        let (all, chosen) = (of(&Query::all()), of(&query));

        series.delete_range(&query).unwrap();

        let kept: Vec<Record> = all.into_iter().filter(|record| !chosen.contains(record)).collect();
        assert_eq!(of(&Query::all()), kept, "{query:?}");
    }
}
