//! The binding's own worker threads, a few for each JavaScript environment.
//!
//! Never libuv's pool: a sync there would hold up `fs` and `dns`. Threads start when there is work for them and
//! end when there has been none for a while.
//!
//! Invariant: a job that was taken is run, unless the pool is stopped first; a job that was not taken is given back
//! in the call. After [`Pool::stop`] no thread of the pool is left.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use crate::sync::thread::{self, JoinHandle};

/// So many threads work for one environment: one may sync while others read.
const THREADS_MAX: usize = 4;

/// So many jobs may wait for a thread. A database takes one place for all its ordered work together.
const JOBS_WAITING_MAX: usize = 4096;

/// A thread without work ends after this long.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What a thread runs.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The threads and the queue before them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    receiver: Receiver<Job>,
    /// Set when `sender` has gone, for those who ask often.
    stopped: AtomicBool,
    idle_max: Duration,
}

struct State {
    /// `None` once the pool is stopped.
    sender: Option<Sender<Job>>,
    live: usize,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool without threads as yet.
    pub(crate) fn new() -> Self {
        Self::with_idle_max(IDLE_MAX)
    }

    fn with_idle_max(idle_max: Duration) -> Self {
        let (sender, receiver) = bounded(JOBS_WAITING_MAX);
        let state = State { sender: Some(sender), live: 0, idle: 0, threads: Vec::new() };
        let stopped = AtomicBool::new(false);
        Self { shared: Arc::new(Shared { state: Mutex::new(state), receiver, stopped, idle_max }) }
    }

    /// Queues `job`, and gives it back where the queue is full, the pool stopped, or no thread can be had.
    pub(crate) fn run(&self, job: Job) -> Result<(), Job> {
        let mut state = self.shared.state.lock();
        let Some(sender) = &state.sender else { return Err(job) };
        sender.try_send(job).map_err(|refused| refused.into_inner())?;
        if state.idle < self.shared.receiver.len() && state.live < THREADS_MAX {
            self.start_thread(&mut state);
        }
        if state.live == 0 {
            // Nobody will ever come for it: the system refused the first thread.
            return self.shared.receiver.try_recv().map_or(Ok(()), Err);
        }
        Ok(())
    }

    /// Whether jobs wait for a thread.
    pub(crate) fn is_busy(&self) -> bool {
        !self.shared.receiver.is_empty()
    }

    /// Whether the pool takes no more jobs, because its environment goes.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// How many threads it has.
    #[cfg(all(test, schedules))]
    pub(crate) fn threads(&self) -> usize {
        self.shared.state.lock().live
    }

    fn start_thread(&self, state: &mut State) {
        state.threads.retain(|thread| !thread.is_finished());
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("flowdb-worker".to_owned());
        if let Ok(thread) = thread.spawn(move || shared.work()) {
            state.live += 1;
            state.threads.push(thread);
        }
    }

    /// Takes no more jobs. Who does long work looks at [`Pool::is_stopped`] between its steps, and ends.
    pub(crate) fn take_no_more(&self) {
        let sender = self.shared.state.lock().sender.take();
        self.shared.stopped.store(true, Ordering::Release);
        drop(sender);
    }

    /// Drops the jobs that wait, lets those that run end, and joins the threads.
    pub(crate) fn stop(&self) {
        self.take_no_more();
        let threads = std::mem::take(&mut self.shared.state.lock().threads);
        // Dropping a job may drop a database, which may do anything: not under the lock.
        while self.shared.receiver.try_recv().is_ok() {}
        for thread in threads {
            // A thread ends only by returning, because every job runs under `catch_unwind`.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next_job() {
            // Jobs answer for their own panics; this only keeps the thread.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next_job(&self) -> Option<Job> {
        self.state.lock().idle += 1;
        loop {
            let received = self.receiver.recv_timeout(self.idle_max);
            let mut state = self.state.lock();
            match received {
                Ok(job) => {
                    state.idle -= 1;
                    return Some(job);
                }
                // A job may have come between the timeout and the lock.
                Err(RecvTimeoutError::Timeout) if !self.receiver.is_empty() => {}
                Err(_) => {
                    state.idle -= 1;
                    state.live -= 1;
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn every_job_runs_even_after_one_has_panicked() {
        let pool = Pool::new();
        let done = Arc::new(AtomicUsize::new(0));
        for number in 0..100 {
            let done = Arc::clone(&done);
            let job = move || {
                assert_ne!(number, 50, "a panic that the pool has to survive");
                done.fetch_add(1, Ordering::SeqCst);
            };
            assert!(pool.run(Box::new(job)).is_ok());
        }

        while done.load(Ordering::SeqCst) < 99 {
            std::thread::yield_now();
        }

        pool.stop();
        assert_eq!(done.load(Ordering::SeqCst), 99);
    }

    #[test]
    fn a_stopped_pool_has_no_threads_and_gives_jobs_back() {
        let pool = Pool::new();
        let (entered, wait) = bounded::<()>(0);
        let ended = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&ended);
        let job = move || {
            let _ = entered.send(());
            std::thread::sleep(Duration::from_millis(20));
            seen.fetch_add(1, Ordering::SeqCst);
        };
        assert!(pool.run(Box::new(job)).is_ok());
        wait.recv().unwrap();

        pool.stop();

        assert_eq!(ended.load(Ordering::SeqCst), 1, "the running job was not waited for");
        assert!(pool.run(Box::new(|| {})).is_err());
        assert_eq!(pool.shared.state.lock().live, 0);
    }

    #[test]
    fn idle_threads_end_and_come_back() {
        let pool = Pool::with_idle_max(Duration::from_millis(1));
        for _ in 0..20 {
            let (sender, receiver) = bounded(1);
            assert!(pool.run(Box::new(move || sender.send(()).unwrap())).is_ok());
            receiver.recv().unwrap();
            while pool.shared.state.lock().live > 0 {
                std::thread::yield_now();
            }
        }
        pool.stop();
    }
}
