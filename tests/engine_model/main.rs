//! The engine against an ordered map: random histories of every operation, under configurations of every kind.
//!
//! Each history draws one of the configurations that have a name, and the rest of its settings at random. The test
//! says how many histories each configuration and each feature had, and fails where one had none.
//!
//! `FLOWDB_SEED=n` replays one history; `FLOWDB_SEQUENCES=n` runs so many (20,000 without it).

#[path = "../common/mod.rs"]
mod common;

mod checkpoints;
mod configurations;
mod features;
mod history;
mod reading;
mod records;

use std::collections::BTreeMap;

use common::{SeedReport, seeds};
use configurations::CONFIGURATIONS;
use history::History;
use parking_lot::Mutex;

const HISTORIES: u64 = 20_000;

/// From so many histories on, each configuration and each feature is sure to have had one.
const ENOUGH: u64 = 5_000;

#[test]
fn every_history_reads_as_an_ordered_map_would() {
    let count = std::env::var("FLOWDB_SEQUENCES").map_or(HISTORIES, |count| count.parse().expect("a number"));
    let seeds = seeds(count);
    println!("{} histories, seeds {}..={}", seeds.len(), seeds[0], seeds[seeds.len() - 1]);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let tally = Mutex::new(Tally::new());
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (seeds, tally) = (&seeds, &tally);
            scope.spawn(move || {
                for &seed in seeds.iter().skip(worker).step_by(workers) {
                    let history = run(seed);
                    tally.lock().add(history.configuration, &history.seen);
                }
            });
        }
    });
    tally.into_inner().report(seeds.len() as u64 >= ENOUGH);
}

/// How many histories had what.
struct Tally {
    configurations: [u64; CONFIGURATIONS.len()],
    features: BTreeMap<String, u64>,
}

impl Tally {
    fn new() -> Self {
        let features = features::all().into_iter().map(|feature| (feature, 0)).collect();
        Self { configurations: [0; CONFIGURATIONS.len()], features }
    }

    fn add<'a>(&mut self, configuration: usize, seen: impl IntoIterator<Item = &'a String>) {
        self.configurations[configuration] += 1;
        for feature in seen {
            let count = self.features.get_mut(feature);
            *count.unwrap_or_else(|| panic!("{feature} is not among the features")) += 1;
        }
    }

    fn report(&self, is_complete: bool) {
        let configurations = CONFIGURATIONS.iter().map(|(name, _)| *name).zip(self.configurations);
        let features = self.features.iter().map(|(name, count)| (name.as_str(), *count));
        for (name, count) in configurations.chain(features) {
            println!("{count:>7}  {name}");
            assert!(!is_complete || count > 0, "no history had {name}");
        }
    }
}

fn run(seed: u64) -> History {
    let _report = SeedReport(seed);
    let mut history = History::begin(seed);
    history.run();
    history
}
