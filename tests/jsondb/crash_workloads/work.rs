//! Random work of every kind on stores, indexes and keyspaces, with an account of what it leads to.

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::{Config, SyncMode};
use flowdb::engine::CommitOptions;
use flowdb::error::Result;
use flowdb::fs::SimFs;
use flowdb::jsondb::{Expires, JsonDb, KeyRange, PutOptions, Transaction};
use flowdb::keyspace::{Batch, Keyspaces};
use serde_json::{Value, json as j};

use super::world::{KEYSPACES, STORES, Store, World, definition, id_of};
use crate::support::{Random, json, keyed_by};

pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
const STEPS: u64 = 40;
const IDS: u64 = 24;
const INDEXES: [&str; 3] = ["by_n", "by_u", "by_tag"];

/// A configuration and its clock.
pub(crate) struct Setting {
    pub(crate) config: Config,
    pub(crate) clock: Arc<ManualClock>,
}

impl Setting {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let mut pick = |from: &[usize]| from[random.below(from.len() as u64) as usize];
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let config = Config {
            wal_sync_mode: [SyncMode::Always, SyncMode::Interval(10), SyncMode::Never][pick(&[0, 1, 2])],
            memtable_size_bytes: pick(&[4 << 10, 8 << 10, 32 << 10]),
            table_size_bytes: 4 << 10,
            block_size: pick(&[128, 512]),
            level_size_bytes: 16 << 10,
            compaction_threshold: pick(&[2, 3]),
            value_threshold_bytes: pick(&[0, 40, 200]),
            value_file_size_bytes: 4 << 10,
            auto_background: false,
            clock: Arc::clone(&clock) as _,
            ..Config::new("/db")
        };
        Self { config, clock }
    }

    pub(crate) fn open(&self, disk: &SimFs) -> Result<JsonDb> {
        JsonDb::open_on(self.config.clone(), Arc::new(disk.clone()))
    }
}

/// What a workload did before the disk stopped.
pub(crate) struct Run {
    /// The world after each change that was tried, the empty one first.
    pub(crate) worlds: Vec<World>,
    /// So many changes must survive the loss of power …
    pub(crate) durable: usize,
    /// … and so many the death of the process.
    pub(crate) written: usize,
    /// Where a checkpoint was begun, of the world after how many changes, and whether it was made.
    pub(crate) checkpoints: Vec<(PathBuf, usize, bool)>,
}

impl Run {
    pub(crate) fn tried(&self) -> usize {
        self.worlds.len() - 1
    }

    fn last(&self) -> &World {
        &self.worlds[self.tried()]
    }
}

pub(crate) struct Work<'a> {
    setting: &'a Setting,
    disk: &'a SimFs,
    db: JsonDb,
    random: Random,
    run: &'a mut Run,
}

/// Runs the workload of `seed` until it ends or the disk stops.
pub(crate) fn run(seed: u64, setting: &Setting, disk: &SimFs) -> Run {
    setting.clock.set(NOW_MS);
    let mut run = Run { worlds: vec![World::default()], durable: 0, written: 0, checkpoints: Vec::new() };
    if let Ok(db) = setting.open(disk) {
        let random = Random::seeded(seed ^ 0xD0C5);
        let mut work = Work { setting, disk, db, random, run: &mut run };
        // Which operation meets the crash is not the point here.
        let _ = (0..STEPS).try_for_each(|_| work.step()).and_then(|()| work.close());
    }
    run
}

impl Work<'_> {
    fn step(&mut self) -> Result<()> {
        match self.random.below(26) {
            0..9 => self.transaction(),
            9 => self.create_store(),
            10 => self.delete_store(),
            11 | 12 => self.create_index(),
            13 => self.delete_index(),
            14..17 => self.write_keyspaces(),
            17 => self.db.engine().flush(),
            18 | 19 => self.background(),
            20 => self.db.engine().compact_all(),
            21 => {
                self.setting.clock.advance(self.random.below(80));
                Ok(())
            }
            22 => self.checkpoint(),
            23 => {
                self.db.engine().sync()?;
                self.all_is_durable();
                Ok(())
            }
            24 => self.db.purge_expired(None).map(|_| ()),
            _ => {
                self.close()?;
                self.db = self.setting.open(self.disk)?;
                Ok(())
            }
        }
    }

    fn background(&mut self) -> Result<()> {
        while self.db.engine().run_pending()? {}
        Ok(())
    }

    fn all_is_durable(&mut self) {
        (self.run.durable, self.run.written) = (self.run.tried(), self.run.tried());
    }

    /// Makes a change, which leads to `world`.
    fn change(&mut self, world: World, make: impl FnOnce(&JsonDb) -> Result<()>) -> Result<()> {
        self.run.worlds.push(world);
        make(&self.db)?;
        match self.setting.config.wal_sync_mode {
            SyncMode::Always => self.all_is_durable(),
            SyncMode::Interval(_) => self.run.written = self.run.tried(),
            SyncMode::Never => {}
        }
        Ok(())
    }

    /// One of the stores that are there.
    fn store(&mut self) -> Option<&'static str> {
        let names: Vec<_> = self.run.last().stores.keys().copied().collect();
        (!names.is_empty()).then(|| names[self.random.below(names.len() as u64) as usize])
    }

    fn create_store(&mut self) -> Result<()> {
        let name = STORES[self.random.below(STORES.len() as u64) as usize];
        let mut world = self.run.last().clone();
        world.stores.entry(name).or_default();
        self.change(world, |db| db.create_object_store(name, keyed_by("id")))
    }

    fn delete_store(&mut self) -> Result<()> {
        let Some(name) = self.store() else { return Ok(()) };
        let mut world = self.run.last().clone();
        world.stores.remove(name);
        self.change(world, |db| db.delete_object_store(name))
    }

    fn create_index(&mut self) -> Result<()> {
        let Some(store) = self.store() else { return self.create_store() };
        let index = INDEXES[self.random.below(3) as usize];
        let mut world = self.run.last().clone();
        let indexes = &mut world.stores.get_mut(store).expect("it is there").indexes;
        if !indexes.contains(&index) {
            indexes.push(index);
        }
        self.change(world, |db| db.create_index(store, index, definition(index).0))
    }

    fn delete_index(&mut self) -> Result<()> {
        let Some(store) = self.store() else { return Ok(()) };
        let mut world = self.run.last().clone();
        let Some(index) = world.stores.get_mut(store).expect("it is there").indexes.pop() else {
            return Ok(());
        };
        self.change(world, |db| db.delete_index(store, index))
    }

    /// Changes in every store that is there, which are one commit.
    fn transaction(&mut self) -> Result<()> {
        let mut world = self.run.last().clone();
        let names: Vec<_> = world.stores.keys().copied().collect();
        if names.is_empty() {
            return self.create_store();
        }
        let mut tx = self.db.begin(&names, flowdb::jsondb::Mode::ReadWrite)?;
        for name in names {
            let store = world.stores.get_mut(name).expect("it is there");
            for _ in 0..1 + self.random.below(4) {
                write(&mut tx, name, store, &mut self.random, self.setting.clock.now_ms())?;
            }
        }
        self.change(world, |_| tx.commit(None))
    }

    /// Changes in two keyspaces, which are one commit.
    fn write_keyspaces(&mut self) -> Result<()> {
        let keyspaces = Keyspaces::new(self.db.engine().clone());
        let mut world = self.run.last().clone();
        let mut batch = Batch::new(self.db.engine());
        let now = self.setting.clock.now_ms();
        for _ in 0..2 {
            let name = KEYSPACES[self.random.below(KEYSPACES.len() as u64) as usize];
            let keyspace = keyspaces.open(name)?;
            let rows = world.keyspaces.entry(name).or_default();
            for _ in 0..1 + self.random.below(4) {
                let [from, to] = [(); 2].map(|()| vec![b'a' + self.random.below(20) as u8]);
                match self.random.below(8) {
                    0 => {
                        let bounds = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
                        batch.delete_range(&keyspace, bounds)?;
                        rows.retain(|key, _| !(from <= *key && *key < to));
                    }
                    1 => {
                        batch.delete(&keyspace, &from)?;
                        rows.remove(&from);
                    }
                    kind => {
                        let until = if kind == 2 { now + 1 + self.random.below(100) } else { 0 };
                        let value = vec![self.random.next() as u8; self.random.below(300) as usize];
                        batch.put(&keyspace, &from, &value, (until != 0).then_some(until))?;
                        rows.insert(from, (value, until));
                    }
                }
            }
        }
        self.change(world, |db| db.engine().commit(batch.into_writes(), CommitOptions::default()).map(|_| ()))
    }

    fn checkpoint(&mut self) -> Result<()> {
        let dir = PathBuf::from(format!("/backup/{}", self.run.checkpoints.len()));
        self.run.checkpoints.push((dir.clone(), self.run.tried(), false));
        self.db.engine().checkpoint(&dir)?;
        self.run.checkpoints.last_mut().expect("it was pushed just now").2 = true;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.db.close()?;
        self.all_is_durable();
        Ok(())
    }
}

/// One random write, in the transaction and in the model alike.
fn write(tx: &mut Transaction, name: &str, store: &mut Store, random: &mut Random, now: u64) -> Result<()> {
    let id = random.below(IDS) as i64;
    match random.below(12) {
        0 => {
            let to = id + random.below(IDS / 3) as i64;
            tx.delete_range(name, &KeyRange::bound(id_of(id), id_of(to), false, false).unwrap())?;
            store.documents.retain(|other, _| *other < id || *other > to);
        }
        1 | 2 => {
            tx.delete(name, &id_of(id))?;
            store.documents.remove(&id);
        }
        kind => {
            let document = document(random, id);
            let until = if kind < 5 { now + 1 + random.below(100) } else { 0 };
            let expires = if until == 0 { Expires::Never } else { Expires::At(until) };
            tx.put_with(name, None, json(&document), PutOptions { expires, ..PutOptions::default() })?;
            store.documents.insert(id, (document, until));
        }
    }
    Ok(())
}

/// A document whose unique field is no other document's.
fn document(random: &mut Random, id: i64) -> Value {
    let mut document = j!({ "id": id, "text": "x".repeat(random.below(120) as usize) });
    if random.below(3) > 0 {
        document["n"] = j!(random.below(6));
    }
    if random.below(3) > 0 {
        document["u"] = j!(id * 10 + random.below(10) as i64);
    }
    if random.below(3) > 0 {
        document["tags"] = j!((0..random.below(4)).map(|_| random.below(5)).collect::<Vec<_>>());
    }
    document
}
