//! The thread that evicts what has expired from time to time.
//!
//! Invariant: it is joined before the last handle that it works for is gone.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use super::Structures;
use crate::error::Code;
use crate::sync::thread::JoinHandle;
use crate::sync::{Condvar, Mutex};

/// See the module.
pub(super) struct Evictor {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Signal {
    is_stopped: Mutex<bool>,
    stopped: Condvar,
}

impl Signal {
    /// Waits for `interval`, and says whether the thread is to go on.
    fn wait(&self, interval: Duration) -> bool {
        let mut is_stopped = self.is_stopped.lock();
        if !*is_stopped {
            self.stopped.wait_for(&mut is_stopped, interval);
        }
        !*is_stopped
    }

    fn goes_on(&self) -> bool {
        !*self.is_stopped.lock()
    }
}

impl Evictor {
    /// `None` in a database without threads in the background, or where the system has no thread to give.
    pub(super) fn start(structures: &Structures, interval: Duration) -> Option<Self> {
        let engine = structures.db.engine();
        if !engine.config().auto_background || engine.is_read_only() {
            return None;
        }
        let signal = Arc::new(Signal::default());
        let (structures, of_thread) = (structures.clone(), Arc::clone(&signal));
        let thread = crate::sync::thread::Builder::new().name("flowdb-evict".to_owned());
        let thread = thread.spawn(move || run(&structures, &of_thread, interval)).ok()?;
        Some(Self { signal, thread: Some(thread) })
    }
}

impl Drop for Evictor {
    fn drop(&mut self) {
        *self.signal.is_stopped.lock() = true;
        self.signal.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has nobody to be told to, and what it did is a transaction or nothing.
            let _ = thread.join();
        }
    }
}

fn run(structures: &Structures, signal: &Signal, interval: Duration) {
    while signal.wait(interval) {
        // A full disk or a poisoned engine is told to whoever writes; this can be done later.
        let evicted = structures.evict_while(u64::MAX, || signal.goes_on());
        if evicted.is_err_and(|error| error.code() == Code::Closed) {
            break;
        }
    }
}
