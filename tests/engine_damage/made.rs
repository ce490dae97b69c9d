//! Small databases that have everything in them, and what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowdb::config::{Compression, Config};
use flowdb::engine::{CommitOptions, Engine, WriteBatch};
use flowdb::fs::SimFs;

use crate::common::Random;

pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys are of numbers below this.
pub const KEYS: u64 = 120;

/// The changes of one batch, and so of one record of the log.
pub const BATCH: u64 = 6;

/// What a range of deletions covers.
pub const RANGE: u64 = 6;

/// A block of a table has 256 bytes, and an entry six at least: that of a deletion whose key ends with another byte than the
/// key before it.
pub const ENTRIES_OF_A_BLOCK: usize = 256 / 6;

pub struct Made {
    pub config: Config,
    pub disk: SimFs,
    /// Those that damage can matter to: all but `LOCK`.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub state: State,
    /// What it held after each of its batches.
    pub before: Vec<State>,
    pub is_closed: bool,
    /// Every value that any key ever had.
    pub ever: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

pub fn key(number: u64) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn config(random: &mut Random) -> Config {
    Config {
        memtable_size_bytes: 4 << 10,
        table_size_bytes: 4 << 10,
        block_size: 256,
        compaction_threshold: 2,
        level_size_bytes: 16 << 10,
        auto_background: false,
        compression: *random.pick(&[Compression::None, Compression::Lz4]),
        bloom_bits_per_key: *random.pick(&[0, 10]),
        value_threshold_bytes: *random.pick(&[0, 60]),
        value_file_size_bytes: 4 << 10,
        ..Config::new("/db")
    }
}

impl Made {
    /// Tables on several levels, value files, deletions of both kinds, and entries that are only in the log; closed, or left
    /// by a process that has died.
    pub fn of(seed: u64) -> Self {
        let random = &mut Random::new(seed ^ 0xDA3A6E);
        let config = config(random);
        let disk = SimFs::in_memory();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        let (mut state, mut ever) = (State::new(), BTreeSet::new());
        let mut before = vec![State::new()];
        for commit in 0..40 + random.below(40) {
            let batch = batch(random, commit, &mut state, &mut ever);
            engine.commit(batch, CommitOptions::default()).unwrap();
            before.push(state.clone());
            match random.below(24) {
                0 | 1 => engine.flush().unwrap(),
                2 => engine.compact_all().unwrap(),
                3 | 4 => while engine.run_pending().unwrap() {},
                _ => {}
            }
        }
        let is_closed = random.one_in(2);
        if is_closed {
            engine.close().unwrap();
        }
        let disk = disk.deep_copy();
        let names = disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
        let files =
            names.map(|path| (disk.read_file(&path).unwrap(), path)).map(|(bytes, path)| (path, bytes));
        Self { config, files: files.collect(), disk, state, before, is_closed, ever }
    }
    /// Whether damage to this file can look like what a crash has torn: the process has died, and this is its last log.
    pub fn may_be_torn(&self, path: &Path) -> bool {
        let last = self.files.iter().map(|(path, _)| path).filter(|path| is_a("wal", path)).max();
        !self.is_closed && last.is_some_and(|last| last == path)
    }
}

fn batch(
    random: &mut Random,
    commit: u64,
    state: &mut State,
    ever: &mut BTreeSet<(Vec<u8>, Vec<u8>)>,
) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for _ in 0..1 + random.below(BATCH) {
        let key = key(random.below(KEYS));
        if random.one_in(6) {
            batch.delete(&key).unwrap();
            state.remove(&key);
            continue;
        }
        let value = format!("value {commit}{}", "-".repeat(random.below(90) as usize)).into_bytes();
        batch.put(&key, &value).unwrap();
        ever.insert((key.clone(), value.clone()));
        state.insert(key, value);
    }
    if random.one_in(12) {
        let start = random.below(KEYS);
        batch.delete_range(&key(start), &key(start + RANGE)).unwrap();
        state.retain(|held, _| *held < key(start) || *held >= key(start + RANGE));
    }
    batch
}

/// What a file is, by its ending.
pub fn is_a(ending: &str, path: &Path) -> bool {
    path.extension().is_some_and(|it| it == ending)
}
