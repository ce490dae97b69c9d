//! One history: what it writes, what it does to the database, and what should be there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{CommitOptions, CompactionKind, Engine, Scan, Snapshot, WriteBatch};
use flowdb::error::{Code, Error};
use flowdb::fs::SimFs;

use crate::common::Random;
use crate::configurations::{self, CONFIGURATIONS, MANY_LEVELS};
use crate::features;
use crate::records::Records;

pub type Key = Vec<u8>;

/// What the database should have under a key.
#[derive(Debug, Clone)]
pub struct Entry {
    pub value: Rc<[u8]>,
    /// 0 for never.
    pub expires_at: u64,
    /// 0 where a compaction has left it out.
    pub seqno: u64,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let is_one = self.seqno == other.seqno || self.seqno == 0 || other.seqno == 0;
        is_one && self.value == other.value && self.expires_at == other.expires_at
    }
}

/// What the database should hold.
#[derive(Clone, Default)]
pub struct Model {
    pub rows: BTreeMap<Key, Entry>,
    pub records: Records,
}

/// What a scan should give.
pub type Row = (Key, Entry);

/// One entry of a batch.
enum Change {
    Put(Key, Rc<[u8]>, u64),
    Delete(Key),
    DeleteRange(Key, Key),
}

pub struct History {
    pub random: Random,
    /// The place of its configuration in the table.
    pub configuration: usize,
    pub config: Config,
    pub clock: Arc<ManualClock>,
    /// Whether there are records in time, too. All other keys then lie behind their rows.
    pub has_records: bool,
    pub disk: SimFs,
    pub engine: Engine,
    pub model: Rc<Model>,
    pub snapshots: Vec<(Snapshot, Rc<Model>)>,
    /// Scans that stay open while the database changes, with the rows that they have yet to give, in their order.
    pub scans: Vec<(Scan, VecDeque<Row>)>,
    pub checkpoints: u64,
    /// What this history has had of the features.
    pub seen: BTreeSet<String>,
}

impl History {
    pub fn begin(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clock = Arc::new(ManualClock::new(1_000));
        let (configuration, config) = configurations::draw(&mut random, Arc::clone(&clock));
        let has_records = random.one_in(3);
        let disk = if config.in_memory { SimFs::in_memory() } else { SimFs::new() };
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        Self {
            random,
            configuration,
            config,
            clock,
            has_records,
            disk,
            engine,
            model: Rc::default(),
            snapshots: Vec::new(),
            scans: Vec::new(),
            checkpoints: 0,
            seen: BTreeSet::new(),
        }
    }

    /// Does so many operations, and then reads everything, before and after a reopening.
    pub fn run(&mut self, operations: u64) {
        if self.has_many_levels() {
            self.fill_levels();
        }
        for _ in 0..operations {
            self.step();
        }
        while !self.scans.is_empty() {
            self.go_on_with_a_scan();
        }
        // Whatever snapshots are open, and again when they have gone.
        self.run_out_of_work();
        self.check_scan();
        self.snapshots.clear();
        self.clock.advance(1_000);
        self.run_out_of_work();
        self.check_gets();
        self.check_whole();
        self.reopen();
        self.check_whole();
        self.check_gets();
        self.verify();
        self.note_what_was_done();
    }

    fn step(&mut self) {
        if self.has_records && self.random.one_in(4) {
            return if self.random.one_in(2) { self.write_records() } else { self.check_records() };
        }
        match self.random.below(200) {
            0..72 => self.write(),
            72 | 73 => self.fade(),
            74..76 => self.open_scan(),
            76..84 => self.go_on_with_a_scan(),
            84..110 => self.check_gets(),
            110..142 => self.check_scan(),
            142..150 => self.snapshots.push((self.engine.snapshot(), Rc::clone(&self.model))),
            150..156 => self.drop_snapshot(),
            156..166 => {
                self.engine.run_pending().unwrap();
            }
            166..168 => {
                self.engine.run_pending_when_quiet().unwrap();
                self.saw(features::QUIET);
            }
            168..174 => self.flush(),
            174..176 => self.compact(),
            176..183 => self.clock.advance(self.random.below(50)),
            183..187 => self.burst(),
            187..190 => self.overwrite_often(),
            190..192 => self.checkpoint(),
            192..194 => self.check_sizes(),
            194 => self.verify(),
            195 => self.write_together(),
            196 => self.write_refused(),
            197 => self.reopen_read_only(),
            _ => self.reopen(),
        }
        self.note_shape();
    }

    pub fn saw(&mut self, feature: &str) {
        if !self.seen.contains(feature) {
            self.seen.insert(feature.to_owned());
        }
    }

    fn has_many_levels(&self) -> bool {
        CONFIGURATIONS[self.configuration].0 == MANY_LEVELS
    }

    /// What every key begins with that is not one of a record's rows.
    pub fn key_prefix(&self) -> &'static [u8] {
        if self.has_records { b"key " } else { b"" }
    }

    /// A key of a small set, so that overwrites, deletes and misses are common; some share long prefixes.
    pub fn key(&mut self) -> Key {
        let key = self.bare_key();
        [self.key_prefix(), &key].concat()
    }

    fn bare_key(&mut self) -> Key {
        if self.has_many_levels() && self.random.one_in(2) {
            return format!("{:03}", self.random.below(600)).into_bytes();
        }
        match self.random.below(20) {
            0 => Vec::new(),
            1 => vec![0xff; 1 + self.random.below(3) as usize],
            2..6 => format!("a long common prefix of many keys {:03}", self.random.below(40)).into_bytes(),
            _ => format!("{:02}", self.random.below(60)).into_bytes(),
        }
    }

    pub fn value(&mut self) -> Rc<[u8]> {
        let len = match self.random.below(40) {
            0 | 1 => 0,
            2 => 3_000,
            3 => 4_000 + self.random.below(200) as usize,
            _ => self.random.below(60) as usize,
        };
        let byte = self.random.next() as u8;
        (0..len).map(|index| byte.wrapping_add((index / 7) as u8)).collect()
    }

    fn change(&mut self) -> Change {
        let key = self.key();
        match self.random.below(20) {
            0..12 => Change::Put(key, self.value(), 0),
            12..14 => {
                let expires_at = self.clock.now_ms() + 1 + self.random.below(100);
                Change::Put(key, self.value(), expires_at)
            }
            14..19 => Change::Delete(key),
            _ => Change::DeleteRange(key, self.key()),
        }
    }

    fn changes(&mut self, most: u64) -> Vec<Change> {
        let count = if self.random.one_in(4) { 1 + self.random.below(most) } else { 1 };
        (0..count).map(|_| self.change()).collect()
    }

    /// Applies `changes` to the model, the first one with the seqno `first`.
    fn apply(&mut self, changes: Vec<Change>, first: u64) {
        let model = &mut Rc::make_mut(&mut self.model).rows;
        let mut seqno = first;
        let mut has_deleted_range = false;
        for change in changes {
            match change {
                Change::Put(key, value, expires_at) => {
                    model.insert(key, Entry { value, expires_at, seqno });
                }
                Change::Delete(key) => {
                    model.remove(&key);
                }
                // Such a range is empty, and takes no seqno.
                Change::DeleteRange(start, end) if start >= end => continue,
                Change::DeleteRange(start, end) => {
                    has_deleted_range = true;
                    model.retain(|key, _| !(start <= *key && *key < end));
                }
            }
            seqno += 1;
        }
        if has_deleted_range {
            self.saw(features::RANGE_TOMBSTONES);
        }
    }

    fn options(&mut self) -> CommitOptions {
        let modes = [None, None, Some(SyncMode::Always), Some(SyncMode::Interval(5)), Some(SyncMode::Never)];
        CommitOptions { sync: *self.random.pick(&modes), check: None }
    }

    fn commit(&mut self, changes: Vec<Change>) {
        let (batch, options) = (batch_of(&changes), self.options());
        let (before, entries) = (self.engine.visible_seqno(), batch.len() as u64);
        let last = self.engine.commit(batch, options).unwrap();
        assert_eq!((last, self.engine.visible_seqno()), (before + entries, before + entries));
        self.apply(changes, before + 1);
    }

    pub fn write(&mut self) {
        let changes = self.changes(30);
        self.commit(changes);
    }

    /// Several batches in one call, of which some are refused: each of the others is there, in their order.
    fn write_together(&mut self) {
        let requests: Vec<(Vec<Change>, bool)> =
            (0..2 + self.random.below(5)).map(|_| (self.changes(6), self.random.one_in(4))).collect();
        let mut seqno = self.engine.visible_seqno();
        let all = requests.iter().map(|(changes, is_refused)| {
            let options = if *is_refused { refusing() } else { CommitOptions::default() };
            (batch_of(changes), options)
        });
        let results = self.engine.commit_all(all.collect());
        for ((changes, is_refused), result) in requests.into_iter().zip(results) {
            if is_refused {
                assert_eq!(result.unwrap_err().code(), Code::Conflict);
                continue;
            }
            let first = seqno + 1;
            seqno += batch_of(&changes).len() as u64;
            assert_eq!(result.unwrap(), seqno);
            self.apply(changes, first);
        }
        self.saw(features::TOGETHER);
    }

    fn write_refused(&mut self) {
        let changes = self.changes(30);
        let before = self.engine.visible_seqno();
        let error = self.engine.commit(batch_of(&changes), refusing()).unwrap_err();
        assert_eq!((error.code(), self.engine.visible_seqno()), (Code::Conflict, before));
        self.check_whole();
        self.saw(features::REFUSED);
    }

    /// Enough writes to fill a memtable or two.
    fn burst(&mut self) {
        for _ in 0..40 {
            self.write();
        }
    }

    /// Many versions of a few keys, with snapshots between them, then scans that have to pass over them.
    fn overwrite_often(&mut self) {
        let keys: Vec<Key> = (0..1 + self.random.below(4)).map(|_| self.key()).collect();
        for _ in 0..20 + self.random.below(60) {
            let key = self.random.pick(&keys).clone();
            let change = match self.random.below(8) {
                0 => Change::Delete(key),
                1 => Change::Put(key, self.value(), self.clock.now_ms() + 1 + self.random.below(20)),
                _ => Change::Put(key, self.value(), 0),
            };
            self.commit(vec![change]);
            if self.random.one_in(16) {
                self.snapshots.push((self.engine.snapshot(), Rc::clone(&self.model)));
            }
            if self.random.one_in(24) {
                self.flush();
            }
        }
        for _ in 0..4 {
            self.check_scan();
        }
        self.saw(features::MANY_VERSIONS);
    }

    /// A table of which everything expires, over what was there before or beside it.
    fn fade(&mut self) {
        self.flush();
        let keys: Vec<Key> = (0..1 + self.random.below(5)).map(|_| self.key()).collect();
        for key in keys {
            let expires_at = self.clock.now_ms() + 1 + self.random.below(20);
            let put = Change::Put(key, self.value(), expires_at);
            self.commit(vec![put]);
        }
        self.flush();
        self.clock.advance(self.random.below(30));
        for _ in 0..self.random.below(3) {
            self.engine.run_pending().unwrap();
        }
        self.check_gets();
        self.check_scan();
    }

    /// More than the first level may hold, so that there is a second one.
    fn fill_levels(&mut self) {
        for _ in 0..10 {
            let puts = (0..50).map(|_| {
                let key = format!("{:03}", self.random.below(600)).into_bytes();
                let key = [self.key_prefix(), &key].concat();
                let (byte, len) = (self.random.next() as u8, 500 + self.random.below(400) as usize);
                Change::Put(key, std::iter::repeat_n(byte, len).collect(), 0)
            });
            let puts = puts.collect();
            self.commit(puts);
            while self.engine.run_pending().unwrap() {}
        }
        self.note_shape();
    }

    fn drop_snapshot(&mut self) {
        if !self.snapshots.is_empty() {
            let index = self.random.below(self.snapshots.len() as u64) as usize;
            self.snapshots.swap_remove(index);
        }
    }

    fn flush(&mut self) {
        self.engine.flush().unwrap();
        self.saw(features::FLUSH);
    }

    fn compact(&mut self) {
        if self.random.one_in(2) {
            self.saw(features::COMPACT_ALL);
            return self.engine.compact_all().unwrap();
        }
        let (start, end) = (self.bound(), self.bound());
        self.engine.compact_range(as_slice(&start), as_slice(&end)).unwrap();
        self.saw(features::COMPACT_RANGE);
    }

    pub fn verify(&mut self) {
        self.engine.verify().unwrap();
        self.saw(features::VERIFY);
    }

    fn close(&mut self) {
        self.snapshots.clear();
        self.scans.clear();
        self.note_what_was_done();
        self.engine.close().unwrap();
    }

    /// (A database in memory is gone when it is closed.)
    pub fn reopen(&mut self) {
        if self.config.in_memory {
            return self.flush();
        }
        self.close();
        self.engine = Engine::open_on(self.config.clone(), Arc::new(self.disk.clone())).unwrap();
        self.saw(features::REOPEN);
    }

    fn reopen_read_only(&mut self) {
        if self.config.in_memory {
            return;
        }
        self.close();
        let config = Config { read_only: true, ..self.config.clone() };
        self.engine = Engine::open_on(config, Arc::new(self.disk.clone())).unwrap();
        self.check_whole();
        self.check_scan();
        self.check_gets();
        self.check_records();
        let refused = self.engine.commit(batch_of(&[Change::Delete(Key::new())]), CommitOptions::default());
        assert_eq!(refused.unwrap_err().code(), Code::ReadOnly);
        self.reopen();
        self.saw(features::READ_ONLY);
    }

    /// Compactions that give space back must not pick the same table for ever.
    fn run_out_of_work(&mut self) {
        let mut steps = 0;
        while self.engine.run_pending().unwrap() {
            steps += 1;
            assert!(steps < 1_000, "background work does not end: {:?}", self.engine.stats());
        }
    }

    /// Notes what state the database is in.
    fn note_shape(&mut self) {
        let stats = self.engine.stats();
        let levels = stats.level_tables.iter().skip(1).filter(|&&tables| tables > 0).count();
        let states = [
            (stats.frozen_memtables >= 3, features::FROZEN),
            (stats.level_tables[0] >= 3, features::LEVEL_0),
            (levels >= 2, features::LEVELS),
            (stats.value_files > 0, features::VALUE_FILES),
        ];
        for (_, feature) in states.into_iter().filter(|(is_so, _)| *is_so) {
            self.saw(feature);
        }
    }

    /// Notes what the engine has counted since it was opened.
    fn note_what_was_done(&mut self) {
        let stats = self.engine.stats();
        for kind in CompactionKind::ALL.into_iter().filter(|&kind| stats.compactions_of(kind) > 0) {
            self.saw(&features::compaction(kind));
        }
        assert_eq!(stats.compactions, stats.compactions_by_kind.iter().sum::<u64>());
        let counts = [
            (stats.value_bytes_relocated, features::RELOCATED),
            (stats.cache_hits, features::READ_CACHED),
            (stats.cache_misses, features::READ_UNCACHED),
        ];
        for (_, feature) in counts.into_iter().filter(|(count, _)| *count > 0) {
            self.saw(feature);
        }
    }
}

fn batch_of(changes: &[Change]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for change in changes {
        match change {
            Change::Put(key, value, expires_at) => batch.put_expiring(key, value, *expires_at),
            Change::Delete(key) => batch.delete(key),
            Change::DeleteRange(start, end) => batch.delete_range(start, end),
        }
        .unwrap();
    }
    batch
}

fn refusing() -> CommitOptions {
    let check = Box::new(|_: &mut WriteBatch, _| Err(Error::new(Code::Conflict, "refused by the test")));
    CommitOptions { check: Some(check), ..CommitOptions::default() }
}

pub fn as_slice(bound: &Bound<Key>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
