//! A workload on a disk that fails: it goes on, and knows at each moment what can be seen and what has to stay.

use std::sync::Arc;

use flowdb::clock::Clock;
use flowdb::engine::{Direction, Engine};
use flowdb::error::{Code, Error};
use flowdb::fs::SimFs;

use crate::common::Random;
use crate::workload::{Run, Setting, State, random_batch, read_all, visible};

/// A workload that goes on where an operation fails, as a program would that hopes for better times.
pub struct Persistent<'a> {
    pub setting: &'a Setting,
    pub disk: &'a SimFs,
    pub engine: Engine,
    pub run: Run,
    /// The state with the batch that failed last, which may be there when the database is opened again. (Behind a
    /// batch that was acknowledged later it may not.)
    pub failed: Option<State>,
    /// Whether the disk fails until it is healed. A database that can't be opened meanwhile waits for that.
    pub is_for_ever: bool,
    pub context: String,
}

impl Persistent<'_> {
    pub fn step(&mut self, random: &mut Random) {
        let acknowledged = match random.below(12) {
            0..8 => return self.write(random),
            8 => self.engine.flush().map(|()| false),
            9 | 10 => self.engine.run_pending().map(|_| false),
            11 if random.one_in(4) => {
                self.setting.clock.advance(random.below(60));
                return;
            }
            _ if random.one_in(2) => self.engine.sync().map(|()| true),
            _ => return self.reopen(),
        };
        match acknowledged {
            Ok(true) => (self.run.durable, self.run.written) = (self.run.tried(), self.run.tried()),
            Ok(false) => {}
            Err(error) => self.assert_typed(&error),
        }
    }

    fn write(&mut self, random: &mut Random) {
        let now = self.setting.clock.now_ms();
        let (batch, state, _) = random_batch(random, self.run.last(), now).unwrap();
        match self.run.commit_numbered(&self.engine, self.setting.config.wal_sync_mode, batch, state) {
            Ok(()) => self.failed = None,
            Err(error) => {
                self.assert_typed(&error);
                let state = self.run.states.pop();
                if error.code() == Code::Poisoned {
                    self.reopen();
                } else {
                    self.failed = state;
                }
            }
        }
        let state = read_all(&self.engine, Direction::Forward);
        assert!(self.is_state(self.run.tried(), &state), "{}: what is visible", self.context);
    }

    fn assert_typed(&self, error: &Error) {
        assert!(matches!(error.code(), Code::Io | Code::Poisoned), "{}: {error:?}", self.context);
    }

    /// The disk is well again: a write is taken at once, but where a sync has failed, which only a reopening ends.
    pub fn assert_takes_writes(&mut self) {
        let now = self.setting.clock.now_ms();
        let mode = self.setting.config.wal_sync_mode;
        for attempt in 0..2 {
            let (batch, state, _) = random_batch(&mut Random::new(now), self.run.last(), now).unwrap();
            let Err(error) = self.run.commit_numbered(&self.engine, mode, batch, state) else { break };
            self.run.states.pop();
            assert_eq!((attempt, error.code()), (0, Code::Poisoned), "{}: {error:?}", self.context);
            self.reopen();
        }
        self.failed = None;
        for done in [self.engine.flush(), self.engine.run_pending().map(|_| ()), self.engine.sync()] {
            done.unwrap_or_else(|error| panic!("{}: the disk is well: {error:?}", self.context));
        }
        (self.run.durable, self.run.written) = (self.run.tried(), self.run.tried());
        self.engine.verify().unwrap_or_else(|error| panic!("{}: {error:?}", self.context));
    }

    /// Whether `state` is what can be seen after so many batches.
    fn is_state(&self, batches: usize, state: &State) -> bool {
        visible(&self.run.states[batches], self.setting.clock.now_ms()).eq(state.iter())
    }

    /// Closes the database, which may fail, and goes on from what is found at the next opening.
    fn reopen(&mut self) {
        if self.engine.close().is_ok() && self.failed.is_none() {
            self.run.written = self.run.written.max(self.run.durable);
        }
        let open = || Engine::open_on(self.setting.config.clone(), Arc::new(self.disk.clone()));
        self.engine = match open() {
            Err(error) if error.code() == Code::Io => {
                if self.is_for_ever {
                    self.disk.heal();
                }
                open()
            }
            opened => opened,
        }
        .unwrap_or_else(|error| panic!("{}: can't be opened: {error:?}", self.context));
        let state = read_all(&self.engine, Direction::Forward);
        let least = self.run.written;
        self.run.states.extend(self.failed.take());
        let found = (least..=self.run.tried()).rev().find(|&batches| self.is_state(batches, &state));
        let Some(found) = found else {
            panic!("{}: reopened, and not the state after any of {least}..", self.context)
        };
        self.run.states.truncate(found + 1);
        self.run.written = found;
    }
}
