//! The engine against an ordered map: random histories of every operation, under configurations of every kind.
//!
//! Each history draws one of the configurations that have a name, and the rest of its settings at random. Many are short, so
//! that there are many beginnings; one of twenty is long, so that much lies below what is done. Background work is done in
//! steps that the seed says. The tests say how many histories each configuration and each feature had, and fail where one
//! had none.
//!
//! `FLOWDB_SEED=n` replays one history; `FLOWDB_SEQUENCES=n` runs so many (20,000 without it), and a twentieth of it long.

#[path = "../common/mod.rs"]
mod common;

mod checkpoints;
mod configurations;
mod features;
mod history;
mod reading;
mod records;

use std::collections::BTreeMap;

use common::trials::{count_of, report, seeds, side_by_side};
use configurations::CONFIGURATIONS;
use history::History;
use parking_lot::Mutex;

const HISTORIES: u64 = 20_000;

/// From so many histories on, each configuration and each feature is sure to have had one.
const ENOUGH: u64 = 5_000;

const LONG_HISTORIES: u64 = 1_000;

/// The operations of a long history, each of which may be several calls.
const LONG: u64 = 2_000;

/// As `ENOUGH`, of those that are long.
const ENOUGH_LONG: u64 = 500;

#[test]
fn every_history_reads_as_an_ordered_map_would() {
    let tally = run_all(count_of("FLOWDB_SEQUENCES", HISTORIES), |history| {
        let operations = 30 + history.random.below(60);
        history.run(operations);
        operations
    });
    report("histories", tally.histories, "FLOWDB_SEQUENCES", HISTORIES);
    tally.report(ENOUGH);
}

#[test]
fn every_long_history_reads_as_an_ordered_map_would() {
    let count = count_of("FLOWDB_SEQUENCES", LONG_HISTORIES * 20).div_ceil(20);
    let tally = run_all(count, |history| {
        history.run(LONG);
        LONG
    });
    report("long histories", tally.histories, "FLOWDB_SEQUENCES", LONG_HISTORIES);
    report("operations of long histories", tally.operations, "FLOWDB_SEQUENCES", LONG_HISTORIES * LONG);
    tally.report(ENOUGH_LONG);
}

/// Runs so many histories, each by `run`, which returns how many operations it had.
fn run_all(count: u64, run: impl Fn(&mut History) -> u64 + Sync) -> Tally {
    let tally = Mutex::new(Tally::new());
    side_by_side(&seeds(count), |seed| {
        let mut history = History::begin(seed);
        let operations = run(&mut history);
        tally.lock().add(&history, operations);
    });
    tally.into_inner()
}

/// How many histories had what.
struct Tally {
    histories: u64,
    operations: u64,
    configurations: [u64; CONFIGURATIONS.len()],
    features: BTreeMap<String, u64>,
}

impl Tally {
    fn new() -> Self {
        let features = features::all().into_iter().map(|feature| (feature, 0)).collect();
        Self { histories: 0, operations: 0, configurations: [0; CONFIGURATIONS.len()], features }
    }

    fn add(&mut self, history: &History, operations: u64) {
        self.histories += 1;
        self.operations += operations;
        self.configurations[history.configuration] += 1;
        for feature in &history.seen {
            let count = self.features.get_mut(feature);
            *count.unwrap_or_else(|| panic!("{feature} is not among the features")) += 1;
        }
    }

    /// From `enough` histories on, none of them may be without one.
    fn report(&self, enough: u64) {
        let configurations = CONFIGURATIONS.iter().map(|(name, _)| *name).zip(self.configurations);
        let features = self.features.iter().map(|(name, count)| (name.as_str(), *count));
        for (name, count) in configurations.chain(features) {
            println!("{count:>7}  {name}");
            assert!(self.histories < enough || count > 0, "no history had {name}");
        }
    }
}
