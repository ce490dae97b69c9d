//! Any bytes as work for an engine: what it answers is what an ordered map would.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use super::{Entry, State, scanned, tiny_config};
use crate::clock::ManualClock;
use crate::coding::Choices;
use crate::config::{Compression, Config, SyncMode};
use crate::engine::{CommitOptions, Direction, Engine, ScanRange, Snapshot, WriteBatch};
use crate::error::Result;
use crate::fs::{CrashOutcome, SimFs};

const STEPS_MAX: usize = 200;
const SNAPSHOTS_MAX: usize = 4;

/// Does what `bytes` say. Whether everything was done.
///
/// Every answer is the one of an ordered map, also of the past that snapshots see; and a crash leaves a prefix of the
/// batches with everything that was durable.
pub(crate) fn work(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let mut history = History::begin(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        history.step(&mut choices).expect("nothing fails but the machine");
    }
    let is_done = choices.is_empty();
    history.check(&mut choices).expect("nothing fails but the machine");
    history.engine.close().expect("nothing fails but the machine");
    is_done
}

struct History {
    config: Config,
    clock: Arc<ManualClock>,
    disk: SimFs,
    engine: Engine,
    /// What there was after each batch since everything was durable, and what there is.
    states: Vec<State>,
    snapshots: VecDeque<(Snapshot, State)>,
}

impl History {
    fn begin(choices: &mut Choices<'_>) -> Self {
        let drawn = choices.byte();
        let clock = Arc::new(ManualClock::new(1_000));
        let config = Config {
            wal_sync_mode: if drawn & 1 == 0 { SyncMode::Always } else { SyncMode::Never },
            compression: if drawn & 2 == 0 { Compression::Lz4 } else { Compression::None },
            value_threshold_bytes: [200, 0, 16, 1 << 10][usize::from(drawn >> 2 & 3)],
            bloom_bits_per_key: [10, 0][usize::from(drawn >> 4 & 1)],
            block_size: [128, 4 << 10][usize::from(drawn >> 5 & 1)],
            block_cache_capacity_bytes: [64 << 10, 0][usize::from(drawn >> 6 & 1)],
            clock: Arc::clone(&clock) as _,
            ..tiny_config()
        };
        let disk = SimFs::new();
        let engine = Engine::open_on(config.clone(), Arc::new(disk.clone())).expect("nothing is there");
        Self { config, clock, disk, engine, states: vec![State::new()], snapshots: VecDeque::new() }
    }

    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        match choices.byte() % 16 {
            0..4 => self.commit(choices)?,
            4 => {
                self.engine.flush()?;
                self.is_durable();
            }
            5 | 6 => drop(self.engine.run_pending()?),
            7 => drop(self.engine.run_pending_when_quiet()?),
            8 => {
                let (start, end) = (key(choices), key(choices));
                self.engine.compact_range(Bound::Included(&start), Bound::Excluded(&end))?;
                self.is_durable();
            }
            9 => {
                if self.snapshots.len() == SNAPSHOTS_MAX {
                    self.snapshots.pop_front();
                }
                self.snapshots.push_back((self.engine.snapshot(), self.state().clone()));
            }
            10 => drop(self.snapshots.pop_front()),
            11 => self.check(choices)?,
            12 => self.clock.advance(u64::from(choices.byte())),
            13 => {
                self.snapshots.clear();
                self.engine.close()?;
                self.open()?;
                self.is_durable();
            }
            14 => {
                self.engine.sync()?;
                self.is_durable();
            }
            _ => self.crash(choices)?,
        }
        Ok(())
    }

    fn state(&self) -> &State {
        self.states.last().expect("there always is one")
    }

    /// No crash takes what there is now.
    fn is_durable(&mut self) {
        self.states.drain(..self.states.len() - 1);
    }

    fn open(&mut self) -> Result<()> {
        self.engine = Engine::open_on(self.config.clone(), Arc::new(self.disk.clone()))?;
        Ok(())
    }

    fn commit(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        let (mut batch, mut state) = (WriteBatch::new(), self.state().clone());
        for _ in 0..1 + choices.below(6) {
            match choices.byte() % 8 {
                0..4 => {
                    let (key, value) = (key(choices), value(choices));
                    batch.put(&key, &value)?;
                    state.insert(key, (value, 0));
                }
                4 => {
                    let expires_at = self.engine.now_ms() + 1 + u64::from(choices.byte());
                    let (key, value) = (key(choices), value(choices));
                    batch.put_expiring(&key, &value, expires_at)?;
                    state.insert(key, (value, expires_at));
                }
                5 | 6 => {
                    let key = key(choices);
                    batch.delete(&key)?;
                    state.remove(&key);
                }
                _ => {
                    let (start, end) = (key(choices), key(choices));
                    batch.delete_range(&start, &end)?;
                    state.retain(|key, _| *key < start || *key >= end);
                }
            }
        }
        let is_synced = self.config.wal_sync_mode == SyncMode::Always || choices.byte().is_multiple_of(8);
        let sync = is_synced.then_some(SyncMode::Always);
        self.engine.commit(batch, CommitOptions { sync, check: None })?;
        self.states.push(state);
        if is_synced {
            self.is_durable();
        }
        Ok(())
    }

    /// The machine goes down and comes back.
    fn crash(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        let outcome = match choices.byte() % 4 {
            0 => CrashOutcome::LoseUnsynced,
            1 => CrashOutcome::KeepUnsynced,
            2 => CrashOutcome::ProcessOnly,
            _ => CrashOutcome::Random(choices.number()),
        };
        self.snapshots.clear();
        self.disk.crash();
        let after = self.disk.after_crash(outcome);
        // It can't write any more, and says so.
        let _ = self.engine.close();
        self.disk = after;
        self.open()?;
        let (rows, read) = scanned(&self.engine, ScanRange::all(), Direction::Forward, None);
        read?;
        let now = self.engine.now_ms();
        let found = self.states.iter().rposition(|state| visible(state, now).eq(&rows));
        let found =
            found.unwrap_or_else(|| panic!("{outcome:?}: {rows:?} is no prefix of {:?}", self.states));
        self.states.truncate(found + 1);
        // Of states that look alike now, each may be the one that was found.
        Ok(())
    }

    /// Compares everything, in both directions, now and as the snapshots see it.
    fn check(&self, choices: &mut Choices<'_>) -> Result<()> {
        self.engine.verify()?;
        self.check_at(None, self.state(), choices)?;
        self.snapshots.iter().try_for_each(|(snapshot, state)| self.check_at(Some(snapshot), state, choices))
    }

    fn check_at(&self, at: Option<&Snapshot>, state: &State, choices: &mut Choices<'_>) -> Result<()> {
        let expected = visible(state, self.engine.now_ms());
        let (rows, read) = scanned(&self.engine, ScanRange::all(), Direction::Forward, at);
        read?;
        assert_eq!(rows, expected);
        let (mut rows, read) = scanned(&self.engine, ScanRange::all(), Direction::Reverse, at);
        read?;
        rows.reverse();
        assert_eq!(rows, expected, "backward");
        let (start, end) = (key(choices), key(choices));
        let (rows, read) =
            scanned(&self.engine, ScanRange::between(&start[..], &end[..]), Direction::Forward, at);
        read?;
        let within = expected.iter().filter(|(key, _)| start <= *key && *key < end);
        assert!(rows.iter().eq(within), "from {start:?} to {end:?}: {rows:?}");
        for key in state.keys().chain([&start, &end]) {
            let found = self.engine.get(key, at)?.map(|value| (value.bytes, value.expires_at));
            let wanted = expected.binary_search_by(|(other, _)| other.cmp(key)).ok();
            assert_eq!(found.as_ref(), wanted.map(|at| &expected[at].1), "{key:?}");
        }
        Ok(())
    }
}

/// What has not expired.
fn visible(state: &State, now_ms: u64) -> Vec<Entry> {
    let is_there = |expires_at: u64| expires_at == 0 || expires_at > now_ms;
    let rows = state.iter().filter(|(_, (_, expires_at))| is_there(*expires_at));
    rows.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Often one of a few, so that there are many versions of them.
fn key(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.byte() {
        known @ 0..192 => format!("key{:02}", known % 48).into_bytes(),
        192..224 => choices.piece(8).to_vec(),
        long => [&vec![b'l'; usize::from(long)][..], choices.piece(4)].concat(),
    }
}

fn value(choices: &mut Choices<'_>) -> Vec<u8> {
    let repeated = match choices.byte() {
        few @ 0..160 => usize::from(few % 8),
        more => usize::from(more - 159),
    };
    choices.piece(24).repeat(repeated)
}
