//! The gate that every operation on the simulated disk goes through: it counts, and says which ones fail.
//!
//! Invariant: what happens to an operation follows from its number alone, so that a run can be repeated. The gate is
//! held shared while an operation is applied, and exclusively while the disk is copied; so a copy has each
//! operation whole or not at all, and every operation that has been reported as done.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::random::Random;
use crate::error::{Error, Result};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The kind of the operating-system error that is reported.
    pub kind: io::ErrorKind,
    /// Whether all later operations fail in the same way, until [`super::SimFs::heal`].
    pub sticky: bool,
    /// Whether a write to a file writes a part of its bytes before it fails.
    pub partial: bool,
}

impl Fault {
    /// One failure that leaves nothing behind.
    #[must_use]
    pub fn once(kind: io::ErrorKind) -> Self {
        Self { kind, sticky: false, partial: false }
    }

    /// A failure of this and all later operations.
    #[must_use]
    pub fn sticky(kind: io::ErrorKind) -> Self {
        Self { kind, sticky: true, partial: false }
    }
}

#[derive(Default)]
pub(super) struct Gate {
    operations: AtomicU64,
    /// Set when the machine has crashed: nothing works any more.
    dead: AtomicBool,
    reads_fail: AtomicBool,
    plan: RwLock<Plan>,
}

#[derive(Default)]
pub(super) struct Plan {
    crash_at: Option<u64>,
    faults: Vec<(u64, Fault)>,
    capacity: Option<u64>,
}

/// What happens to one mutating operation.
enum Fate {
    Succeeds,
    Fails(Fault),
    /// The machine crashes during this operation.
    Crashes,
    /// The machine has crashed before.
    Dead,
}

/// The passage of one mutating operation; while it lives, the disk is not copied.
pub(super) struct Pass<'a> {
    plan: RwLockReadGuard<'a, Plan>,
    fate: Fate,
    random: Random,
}

impl Gate {
    pub(super) fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Counts a mutating operation and decides its fate.
    pub(super) fn enter(&self) -> Pass<'_> {
        let plan = self.plan.read();
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        let fate = if self.dead.load(Ordering::SeqCst) { Fate::Dead } else { plan.fate_of(number) };
        if matches!(fate, Fate::Crashes | Fate::Dead) {
            self.dead.store(true, Ordering::SeqCst);
        }
        Pass { plan, fate, random: Random::new(number) }
    }

    /// Passes a read of a file's bytes or of a directory.
    pub(super) fn check_read(&self) -> io::Result<()> {
        if self.reads_fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("a read fault was injected"));
        }
        self.check_alive()
    }

    /// Passes what only needs a running machine.
    pub(super) fn check_alive(&self) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) { Err(crashed()) } else { Ok(()) }
    }

    /// Waits for the operations under way, and keeps others out while the guard lives.
    pub(super) fn close(&self) -> RwLockWriteGuard<'_, Plan> {
        self.plan.write()
    }

    pub(super) fn crash(&self) {
        let _plan = self.plan.write();
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(super) fn crash_at(&self, number: u64) {
        self.plan.write().crash_at = Some(number);
    }

    pub(super) fn fail_at(&self, number: u64, fault: Fault) {
        self.plan.write().faults.push((number, fault));
    }

    pub(super) fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    pub(super) fn set_capacity(&self, bytes: u64) {
        self.plan.write().capacity = Some(bytes);
    }

    pub(super) fn heal(&self) {
        let mut plan = self.plan.write();
        plan.faults.clear();
        plan.capacity = None;
        self.fail_reads(false);
    }
}

impl Plan {
    fn fate_of(&self, number: u64) -> Fate {
        match self.crash_at {
            Some(crash_at) if number == crash_at => return Fate::Crashes,
            Some(crash_at) if number > crash_at => return Fate::Dead,
            _ => {}
        }
        let meets = |(at, fault): &&(u64, Fault)| *at == number || (fault.sticky && *at < number);
        match self.faults.iter().find(meets) {
            Some((_, fault)) => Fate::Fails(*fault),
            None => Fate::Succeeds,
        }
    }
}

impl Pass<'_> {
    /// The error that the operation reports whatever it has changed.
    pub(super) fn verdict(&self, doing: &str, path: &Path) -> Result<()> {
        let error = match &self.fate {
            Fate::Succeeds => return Ok(()),
            Fate::Fails(fault) => io::Error::new(fault.kind, "a fault was injected"),
            Fate::Crashes | Fate::Dead => crashed(),
        };
        Err(Error::io(doing, path, error))
    }

    /// Whether a change of a directory is applied: the one during which the machine crashes may be.
    pub(super) fn applies(&mut self) -> bool {
        match self.fate {
            Fate::Succeeds => true,
            Fate::Crashes => self.random.coin(),
            Fate::Fails(_) | Fate::Dead => false,
        }
    }

    /// How many of the `len` bytes of a write get into the file.
    pub(super) fn bytes_applied(&mut self, len: usize) -> usize {
        match self.fate {
            Fate::Succeeds => len,
            Fate::Fails(fault) if fault.partial => self.random.below(len as u64) as usize,
            Fate::Crashes => self.random.below(len as u64 + 1) as usize,
            Fate::Fails(_) | Fate::Dead => 0,
        }
    }

    /// Whether the operation fails while the machine runs on.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self.fate, Fate::Fails(_))
    }

    pub(super) fn capacity(&self) -> Option<u64> {
        self.plan.capacity
    }
}

fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}
