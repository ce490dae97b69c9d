//! What is done to a database until the disk stops, with an account of what has to be there afterwards.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::{
    CommitOptions, CompactionKind, Direction, Engine, ScanRange, Snapshot, Stats, WriteBatch,
};
use flowdb::error::Result;
use flowdb::fs::SimFs;

use crate::common::Random;

/// Value and expiry (0 for never) by key, what has expired included.
pub type State = BTreeMap<Vec<u8>, (Rc<[u8]>, u64)>;

/// The rows of a state at a time.
pub fn visible(state: &State, now: u64) -> impl Iterator<Item = (&Vec<u8>, &(Rc<[u8]>, u64))> {
    state.iter().filter(move |(_, (_, expires_at))| *expires_at == 0 || *expires_at > now)
}

/// A configuration and its clock.
#[derive(Clone)]
pub struct Setting {
    pub config: Config,
    pub clock: Arc<ManualClock>,
}

/// What a workload did before the disk stopped.
pub struct Run {
    /// The state after each batch that was tried, the empty one first.
    pub states: Vec<State>,
    /// So many batches must survive the loss of power …
    pub durable: usize,
    /// … and so many the death of the process.
    pub written: usize,
    /// Where a checkpoint was begun, of the state after how many batches, and whether it was made.
    pub checkpoints: Vec<(PathBuf, usize, bool)>,
    /// Compactions of each kind, as far as the engine could still be asked.
    pub compactions: [u64; CompactionKind::ALL.len()],
    /// Flushes of memtables in which something had expired.
    pub expired_flushes: u64,
}

impl Run {
    pub fn new() -> Self {
        Self {
            states: vec![State::new()],
            durable: 0,
            written: 0,
            checkpoints: Vec::new(),
            compactions: [0; CompactionKind::ALL.len()],
            expired_flushes: 0,
        }
    }

    pub fn tried(&self) -> usize {
        self.states.len() - 1
    }

    pub fn last(&self) -> &State {
        &self.states[self.tried()]
    }

    fn all_is_durable(&mut self) {
        (self.durable, self.written) = (self.tried(), self.tried());
    }

    fn count(&mut self, stats: &Stats) {
        for (count, more) in self.compactions.iter_mut().zip(&stats.compactions_by_kind) {
            *count += more;
        }
    }

    /// Commits `batch` with a number in it, so that no two states are the same; it makes `state` of the last one.
    pub fn commit_numbered(
        &mut self,
        engine: &Engine,
        mode: SyncMode,
        mut batch: WriteBatch,
        mut state: State,
    ) -> Result<()> {
        let number = (self.tried() as u64 + 1).to_be_bytes();
        batch.put(b"the number of this batch", &number)?;
        state.insert(b"the number of this batch".to_vec(), (number[..].into(), 0));
        self.commit(engine, mode, batch, state)
    }

    /// Commits `batch`, which makes `state` of the last one: one that was not there before.
    fn commit(&mut self, engine: &Engine, mode: SyncMode, batch: WriteBatch, state: State) -> Result<()> {
        self.states.push(state);
        engine.commit(batch, CommitOptions::default())?;
        match mode {
            SyncMode::Always => self.all_is_durable(),
            SyncMode::Interval(_) => self.written = self.tried(),
            SyncMode::Never => {}
        }
        Ok(())
    }
}

/// A database under work.
pub struct Workload<'a> {
    pub setting: &'a Setting,
    pub disk: &'a SimFs,
    pub engine: Engine,
    pub snapshots: Vec<Snapshot>,
    pub run: &'a mut Run,
    /// Whether each batch has its number in it. That is a key that all tables have in common.
    pub has_numbers: bool,
    /// The first expiry of what has been written since the last flush.
    expiring: Option<u64>,
}

impl<'a> Workload<'a> {
    pub fn open(setting: &'a Setting, disk: &'a SimFs, run: &'a mut Run) -> Result<Self> {
        let engine = Engine::open_on(setting.config.clone(), Arc::new(disk.clone()))?;
        Ok(Self { setting, disk, engine, snapshots: Vec::new(), run, has_numbers: true, expiring: None })
    }

    pub fn commit(&mut self, batch: WriteBatch, state: State) -> Result<()> {
        let mode = self.setting.config.wal_sync_mode;
        if self.has_numbers {
            return self.run.commit_numbered(&self.engine, mode, batch, state);
        }
        self.run.commit(&self.engine, mode, batch, state)
    }

    /// Puts values of `len` bytes, which expire after `ttl` milliseconds where that is not 0.
    pub fn put(&mut self, keys: impl Iterator<Item = u64>, len: usize, ttl: u64) -> Result<()> {
        let (mut batch, mut state) = (WriteBatch::new(), self.run.last().clone());
        let expires_at = if ttl == 0 { 0 } else { self.setting.clock.now_ms() + ttl };
        let byte = self.run.tried() as u8;
        for number in keys {
            let value: Rc<[u8]> = (0..len).map(|at| byte.wrapping_add(at as u8)).collect();
            batch.put_expiring(&key(number), &value, expires_at)?;
            state.insert(key(number), (value, expires_at));
        }
        self.expire_at(expires_at);
        self.commit(batch, state)
    }

    fn expire_at(&mut self, expires_at: u64) {
        if expires_at != 0 {
            self.expiring = Some(self.expiring.map_or(expires_at, |first| first.min(expires_at)));
        }
    }

    pub fn delete(&mut self, keys: impl Iterator<Item = u64>) -> Result<()> {
        let (mut batch, mut state) = (WriteBatch::new(), self.run.last().clone());
        for number in keys {
            batch.delete(&key(number))?;
            state.remove(&key(number));
        }
        self.commit(batch, state)
    }

    pub fn delete_range(&mut self, from: u64, to: u64) -> Result<()> {
        let (mut batch, mut state) = (WriteBatch::new(), self.run.last().clone());
        batch.delete_range(&key(from), &key(to))?;
        state.retain(|other, _| !(key(from) <= *other && *other < key(to)));
        self.commit(batch, state)
    }

    pub fn flush(&mut self) -> Result<()> {
        let now = self.setting.clock.now_ms();
        self.run.expired_flushes += u64::from(self.expiring.take().is_some_and(|first| first <= now));
        self.engine.flush()
    }

    /// All background work that there is.
    pub fn work(&mut self) -> Result<()> {
        while self.engine.run_pending()? {}
        Ok(())
    }

    pub fn compact_range(&mut self, from: u64, to: u64) -> Result<()> {
        self.engine.compact_range(Bound::Included(&key(from)), Bound::Excluded(&key(to)))
    }

    pub fn sync(&mut self) -> Result<()> {
        self.engine.sync()?;
        self.run.all_is_durable();
        Ok(())
    }

    pub fn checkpoint(&mut self) -> Result<()> {
        let dir = PathBuf::from(format!("/backup/{}", self.run.checkpoints.len()));
        self.run.checkpoints.push((dir.clone(), self.run.tried(), false));
        self.engine.checkpoint(&dir)?;
        self.run.checkpoints.last_mut().expect("it was pushed just now").2 = true;
        Ok(())
    }

    pub fn close(&mut self) -> Result<()> {
        self.snapshots.clear();
        self.run.count(&self.engine.stats());
        self.engine.close()?;
        self.run.all_is_durable();
        Ok(())
    }

    pub fn reopen(&mut self) -> Result<()> {
        self.close()?;
        self.engine = Engine::open_on(self.setting.config.clone(), Arc::new(self.disk.clone()))?;
        Ok(())
    }

    fn random_step(&mut self, random: &mut Random) -> Result<()> {
        match random.below(30) {
            0..14 => {
                let (batch, state, expires_at) =
                    random_batch(random, self.run.last(), self.setting.clock.now_ms())?;
                self.expire_at(expires_at);
                self.commit(batch, state)
            }
            14 | 15 => self.flush(),
            16 | 17 => self.engine.run_pending().map(|_| ()),
            18 | 19 => self.work(),
            20 => self.engine.run_pending_when_quiet().map(|_| ()),
            21 => self.sync(),
            22 => {
                self.snapshots.push(self.engine.snapshot());
                Ok(())
            }
            23 => {
                self.snapshots.clear();
                Ok(())
            }
            24 | 25 => {
                self.setting.clock.advance(random.below(80));
                Ok(())
            }
            26 => self.checkpoint(),
            27 => self.engine.compact_all(),
            28 => self.compact_range(random.below(30), random.below(30)),
            _ => self.reopen(),
        }
    }
}

/// Some work of every kind.
pub fn random_workload(workload: &mut Workload<'_>, seed: u64) -> Result<()> {
    let mut random = Random::new(seed ^ 0xC0FFEE);
    (0..48).try_for_each(|_| workload.random_step(&mut random))
}

fn key(number: u64) -> Vec<u8> {
    format!("{number:03}").into_bytes()
}

/// A batch on top of `state`, the state that it leads to, and when the first of it expires.
pub fn random_batch(random: &mut Random, state: &State, now: u64) -> Result<(WriteBatch, State, u64)> {
    let (mut batch, mut state) = (WriteBatch::new(), state.clone());
    let mut first_expiry = 0;
    for _ in 0..1 + random.below(6) {
        let key_of_this = key(random.below(30));
        match random.below(8) {
            0 => {
                batch.delete(&key_of_this)?;
                state.remove(&key_of_this);
            }
            1 => {
                let end = key(random.below(30));
                batch.delete_range(&key_of_this, &end)?;
                state.retain(|other, _| !(key_of_this <= *other && *other < end));
            }
            kind => {
                let value: Rc<[u8]> = vec![random.next() as u8; random.below(600) as usize].into();
                let expires_at = if kind == 2 { now + 1 + random.below(100) } else { 0 };
                if expires_at != 0 {
                    first_expiry = expires_at;
                }
                batch.put_expiring(&key_of_this, &value, expires_at)?;
                state.insert(key_of_this, (value, expires_at));
            }
        }
    }
    Ok((batch, state, first_expiry))
}

pub fn read_all(engine: &Engine, direction: Direction) -> State {
    let mut scan = engine.scan(ScanRange::all(), direction, None).unwrap();
    let mut state = State::new();
    while scan.advance().unwrap() {
        let row = scan.row();
        state.insert(row.key.to_vec(), (row.value.into(), row.expires_at));
    }
    state
}
