//! The model: what `sync` names, on threads that shuttle runs one at a time, in an order that it chooses.
//!
//! Before every step that another thread could see, shuttle may let another one run. Atomics are read and written in the
//! order in which the threads run, whatever their ordering says: what only a weaker order can show is not found here. Time
//! stands still, so that whoever waits for a while may find it over at any moment; a minute never is.
//!
//! Nothing of this works outside of [`explore`].

pub(crate) mod atomic;
#[cfg(feature = "node")]
pub(crate) mod channel;
mod condvar;
#[cfg(test)]
mod explore;
mod locks;
pub(crate) mod thread;

pub(crate) use atomic::ArcSwap;
pub(crate) use condvar::Condvar;
#[cfg(test)]
pub(crate) use explore::explore;
pub(crate) use locks::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub(crate) use shuttle::thread_local;

use std::time::Duration;

use shuttle::rand::Rng;

/// Whoever waits for so long is waiting for somebody, and not for the time to be over.
const FOREVER: Duration = Duration::from_secs(60);

/// Lets shuttle choose who goes on.
fn point() {
    // A load is a step, and of a cell that nobody else has it is nothing more.
    shuttle::sync::atomic::AtomicBool::new(false).load(std::sync::atomic::Ordering::SeqCst);
}

/// Whether the time of somebody who waits is over now.
fn is_over(duration: Duration) -> bool {
    duration < FOREVER && shuttle::rand::thread_rng().gen_ratio(1, 4)
}
