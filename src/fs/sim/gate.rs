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
    /// Its number, where it has to have one: not every error of an operating system has a kind of its own.
    pub os_error: Option<i32>,
    /// Whether all later operations fail in the same way, until [`super::SimFs::heal`].
    pub sticky: bool,
    /// Whether a write to a file writes a part of its bytes before it fails.
    pub partial: bool,
}

impl Fault {
    /// One failure that leaves nothing behind.
    #[must_use]
    pub fn once(kind: io::ErrorKind) -> Self {
        Self { kind, os_error: None, sticky: false, partial: false }
    }

    /// One failure with the error of this number, which leaves nothing behind.
    #[must_use]
    pub fn of_os(number: i32) -> Self {
        Self { os_error: Some(number), ..Self::once(io::Error::from_raw_os_error(number).kind()) }
    }

    /// A failure of this and all later operations.
    #[must_use]
    pub fn sticky(kind: io::ErrorKind) -> Self {
        Self { sticky: true, ..Self::once(kind) }
    }

    fn error(&self) -> io::Error {
        match self.os_error {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(self.kind, "a fault was injected"),
        }
    }
}

#[derive(Default)]
pub(super) struct Gate {
    operations: AtomicU64,
    /// Off for databases in memory, whose readers have no counter to share.
    counts_reads: bool,
    reads: AtomicU64,
    /// Set when the machine has crashed: nothing works any more.
    dead: AtomicBool,
    reads_fail: AtomicBool,
    plan: RwLock<Plan>,
}

#[derive(Default)]
pub(super) struct Plan {
    crash_at: Option<u64>,
    faults: Vec<(u64, Fault)>,
    read_faults: Vec<(u64, Fault)>,
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
    pub(super) fn new(counts_reads: bool) -> Self {
        Self { counts_reads, ..Self::default() }
    }

    pub(super) fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
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
        if self.counts_reads {
            let number = self.reads.fetch_add(1, Ordering::SeqCst);
            if let Some(fault) = fault_of(&self.plan.read().read_faults, number) {
                return Err(fault.error());
            }
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

    pub(super) fn fail_read_at(&self, number: u64, fault: Fault) {
        self.plan.write().read_faults.push((number, fault));
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
        plan.read_faults.clear();
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
        fault_of(&self.faults, number).map_or(Fate::Succeeds, Fate::Fails)
    }
}

/// The fault that operation `number` meets.
fn fault_of(faults: &[(u64, Fault)], number: u64) -> Option<Fault> {
    let meets = |(at, fault): &&(u64, Fault)| *at == number || (fault.sticky && *at < number);
    faults.iter().find(meets).map(|(_, fault)| *fault)
}

impl Pass<'_> {
    /// The error that the operation reports whatever it has changed.
    pub(super) fn verdict(&self, doing: &str, path: &Path) -> Result<()> {
        let error = match &self.fate {
            Fate::Succeeds => return Ok(()),
            Fate::Fails(fault) => fault.error(),
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
