//! The thread that purges what has expired from time to time, from the first document on that expires.
//!
//! Invariant: it is joined before the engine is closed.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::ledger::Database;
use crate::config::SyncMode;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex};

/// See the module.
#[derive(Default)]
pub(super) struct Purger {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Running(JoinHandle<()>),
    Stopped,
}

impl Purger {
    /// Starts the thread, unless it runs, or the database has no threads in the background.
    pub(super) fn start(&self, database: &Arc<Database>) {
        let config = database.engine.config();
        if !config.auto_background || database.engine.is_read_only() {
            return;
        }
        let mut state = self.state.lock();
        if !matches!(*state, State::Idle) {
            return;
        }
        let interval = Duration::from_secs(config.gc_interval_secs);
        // Held by the thread until it is stopped, which closing the database does.
        let database = Arc::clone(database);
        let thread = thread::Builder::new().name("flowdb-purge".to_owned());
        // Where there is no thread to be had, the next document that expires asks again; nothing depends on it.
        if let Ok(thread) = thread.spawn(move || run(&database, interval)) {
            *state = State::Running(thread);
        }
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Stopped);
        self.stopped.notify_all();
        if let State::Running(thread) = state {
            // A panic there has nobody to be told to, and what it did is a transaction or nothing.
            let _ = thread.join();
        }
    }

    /// Waits for `interval`, and says whether the thread is to go on.
    fn wait(&self, interval: Duration) -> bool {
        let mut state = self.state.lock();
        if !matches!(*state, State::Stopped) {
            self.stopped.wait_for(&mut state, interval);
        }
        !matches!(*state, State::Stopped)
    }
}

fn run(database: &Arc<Database>, interval: Duration) {
    while database.purger.wait(interval) {
        // A full disk or a poisoned engine is told to whoever writes; this can be done later.
        let _ = database.purge(Some(SyncMode::Never));
    }
}
