//! A condition variable on which the time of those who wait for a while may be over at any moment.
//!
//! Shuttle's own never lets a time be over, which would leave out what happens then, and hang where somebody counts on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shuttle::rand::RngCore;
use shuttle::thread;

use super::locks::MutexGuard;
use super::{is_over, point};

#[derive(Default)]
pub(crate) struct Condvar {
    /// No step is made under this lock, so that it is never waited for.
    waiting: parking_lot::Mutex<Vec<Arc<Waiter>>>,
}

struct Waiter {
    thread: thread::Thread,
    told: AtomicBool,
}

pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_for(guard, Duration::MAX);
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_for(guard, deadline.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, duration: Duration) -> WaitTimeoutResult {
        let waiter = Arc::new(Waiter { thread: thread::current(), told: AtomicBool::new(false) });
        self.waiting.lock().push(Arc::clone(&waiter));
        let was_told = MutexGuard::unlocked(guard, || self.is_told(&waiter, duration));
        WaitTimeoutResult(!was_told)
    }

    /// Waits until `waiter` is told, or its time is over.
    fn is_told(&self, waiter: &Arc<Waiter>, duration: Duration) -> bool {
        while !waiter.told.load(Ordering::Relaxed) {
            if duration >= super::FOREVER {
                thread::park();
            } else if is_over(duration) {
                self.waiting.lock().retain(|other| !Arc::ptr_eq(other, waiter));
                return false;
            } else {
                thread::yield_now();
            }
        }
        true
    }

    /// Wakes any one of those who wait.
    pub(crate) fn notify_one(&self) {
        point();
        let number = shuttle::rand::thread_rng().next_u32() as usize;
        let mut waiting = self.waiting.lock();
        let at = number.checked_rem(waiting.len());
        let woken = at.map(|at| waiting.swap_remove(at));
        drop(waiting);
        woken.iter().for_each(|waiter| wake(waiter));
    }

    pub(crate) fn notify_all(&self) {
        point();
        let woken = std::mem::take(&mut *self.waiting.lock());
        woken.iter().for_each(|waiter| wake(waiter));
    }
}

fn wake(waiter: &Waiter) {
    waiter.told.store(true, Ordering::Relaxed);
    waiter.thread.unpark();
}
