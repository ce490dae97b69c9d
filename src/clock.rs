//! Time for expiry and write times, injectable so that a test can turn it.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> u64;
}

/// The operating system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        // A clock set before 1970 reads as 1970: nothing has expired yet then.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
    }
}

/// A clock that never goes back: where the one beneath does, it stands still until that has caught up. So what has expired
/// once is not seen again.
pub(crate) struct SteadyClock {
    beneath: Arc<dyn Clock>,
    last: AtomicU64,
}

impl SteadyClock {
    /// A clock over `beneath`.
    pub(crate) fn over(beneath: Arc<dyn Clock>) -> Arc<dyn Clock> {
        Arc::new(Self { beneath, last: AtomicU64::new(0) })
    }
}

impl Clock for SteadyClock {
    fn now_ms(&self) -> u64 {
        let (now, last) = (self.beneath.now_ms(), self.last.load(Ordering::Relaxed));
        // Most of the time the millisecond is the same, and threads that only read it don't wait for each other.
        if now > last { self.last.fetch_max(now, Ordering::Relaxed).max(now) } else { last }
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self(AtomicU64::new(now_ms))
    }

    /// Moves the clock to `now_ms`.
    pub fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    /// Moves the clock forward by `ms`.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
