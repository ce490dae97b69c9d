//! What the tests of structures share: opening, a clock that is turned by hand, numbers from a seed, and the rows beneath.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::engine::{Direction, ScanRange};
use flowdb::error::{Code, Result};
use flowdb::jsondb::JsonDb;
use flowdb::structures::{ScoreBound, Scored, StructureTransaction, Structures};

/// When tests with a clock of their own begin.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) fn open() -> Structures {
    Structures::new(JsonDb::open(Config::in_memory()).unwrap()).unwrap()
}

/// A database in memory whose clock stands still until it is turned.
pub(crate) fn open_with_clock() -> (Structures, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START_MS));
    let config = Config { clock: Arc::clone(&clock) as _, auto_background: false, ..Config::in_memory() };
    (Structures::new(JsonDb::open(config).unwrap()).unwrap(), clock)
}

/// Runs commands in a transaction of their own.
pub(crate) fn update<T>(
    structures: &Structures,
    mut change: impl FnMut(&mut StructureTransaction) -> Result<T>,
) -> T {
    structures.update(None, &mut change).unwrap()
}

/// What a command fails with, in a transaction that commits what it left.
pub(crate) fn code_of<T>(
    structures: &Structures,
    mut change: impl FnMut(&mut StructureTransaction) -> Result<T>,
) -> Code {
    structures.update(None, |tx| Ok(change(tx).map(drop).unwrap_err().code())).unwrap()
}

pub(crate) fn texts(found: Vec<Vec<u8>>) -> Vec<String> {
    found.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

pub(crate) fn text(found: Option<Vec<u8>>) -> Option<String> {
    found.map(|bytes| String::from_utf8(bytes).unwrap())
}

pub(crate) fn pairs(found: Vec<Scored>) -> Vec<(String, f64)> {
    found.into_iter().map(|one| (String::from_utf8(one.member).unwrap(), one.score)).collect()
}

/// The scores from one to another, both included.
pub(crate) fn scores(min: f64, max: f64) -> flowdb::structures::SortedRange<'static> {
    flowdb::structures::SortedRange::Score(ScoreBound::Included(min), ScoreBound::Included(max))
}

/// Asserts that no row belongs to a structure that neither a key nor the list of expiries names.
pub(crate) fn assert_no_row_is_lost(structures: &Structures, context: &str) {
    let engine = structures.db().engine();
    let rows_of = |prefix: &[u8]| {
        let mut scan = engine.scan(ScanRange::prefix(prefix), Direction::Forward, None).unwrap();
        let mut rows = Vec::new();
        while scan.advance().unwrap() {
            rows.push((scan.key().to_vec(), scan.value().to_vec()));
        }
        rows
    };
    let named: BTreeSet<Vec<u8>> = [&[0x0a, 0x01], &[0x0a, 0x02]]
        .iter()
        .flat_map(|prefix| rows_of(&prefix[..]))
        .filter(|(_, value)| value[0] != 1)
        .map(|(_, value)| value[1..7].to_vec())
        .collect();
    for kind in 0x0b..=0x0e {
        for (row, _) in rows_of(&[kind]) {
            assert!(named.contains(&row[1..7]), "{context}: {row:x?} belongs to nothing");
        }
    }
}

/// Numbers that look random and come again with the same seed.
pub(crate) struct Random(u64);

impl Random {
    /// The seed of the environment, or one that differs from run to run; printed, so that a failure can be had again.
    pub(crate) fn from_env(test: &str) -> Self {
        let seed =
            std::env::var("FLOWDB_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
                now.as_nanos() as u64
            });
        println!("{test}: FLOWDB_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `-bound` to `bound`.
    pub(crate) fn around(&mut self, bound: i64) -> i64 {
        self.below(2 * bound as u64 + 1) as i64 - bound
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
