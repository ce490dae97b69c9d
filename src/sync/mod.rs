//! Everything by which one thread waits for another or sees what it did: locks, atomics, threads, and the queue between
//! them.
//!
//! These are parking_lot's, std's, arc-swap's and crossbeam's, under one name and nothing more. Only where the crate is
//! built with `--cfg schedules` they are a model of them (`model`), which runs one thread at a time and chooses before
//! each step which one. Tests can then look at many thousands of orders of the steps, and at each of them again.
#![forbid(unsafe_code)]

#[cfg(schedules)]
mod model;

#[cfg(schedules)]
pub(crate) use model::*;

#[cfg(not(schedules))]
pub(crate) use {
    arc_swap::ArcSwap,
    parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    std::sync::atomic,
    std::{thread, thread_local},
};

#[cfg(all(feature = "node", not(schedules)))]
pub(crate) use crossbeam_channel as channel;
