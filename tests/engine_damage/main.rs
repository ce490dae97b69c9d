//! Damage by the hundred thousand, to whole databases: right data or `Corruption` within bounds and without a panic; a
//! verification that finds what a read would find; a repair that saves what is whole.
//!
//! `FLOWDB_SEED=n` replays the damage to one database; `FLOWDB_DAMAGES=n` tries so many. `FLOWDB_EVERY_BYTE=n` damages every
//! byte of n databases.

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod damage;
mod made;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::Random;
use common::trials::{count_of, report, seeds, side_by_side};
use flowdb::engine::{Direction, Engine, ScanRange, repair_on};
use flowdb::error::{Code, Result};
use flowdb::fs::SimFs;

use bounds::within_bounds;
use damage::{Damage, used};
use made::{BATCH, ENTRIES_OF_A_BLOCK, KEYS, Made, RANGE, State, is_a, key};

const TRIALS: u64 = 100_000;
const TRIALS_OF_A_DATABASE: u64 = 500;

/// One of so many trials is repaired, too: that takes longer than all reads, as it looks for blocks everywhere.
const REPAIRED: u64 = 2;

/// Where no number of databases is given of which every byte is damaged, one of so many bytes of four of them is.
const STRIDE: usize = 101;

/// What became of the trials.
#[derive(Default)]
struct Outcomes {
    right: AtomicU64,
    refused: AtomicU64,
    repaired_whole: AtomicU64,
    repaired_with_losses: AtomicU64,
}

impl Outcomes {
    fn tell(&self) -> u64 {
        let [right, refused] = [&self.right, &self.refused].map(|count| count.load(Relaxed));
        let repaired = [&self.repaired_whole, &self.repaired_with_losses].map(|count| count.load(Relaxed));
        println!("right data: {right}; Corruption: {refused}");
        println!("repaired to the same data: {}; with losses: {}", repaired[0], repaired[1]);
        right + refused
    }
}

#[test]
fn damage_gives_right_data_or_corruption_is_found_and_repaired() {
    let outcomes = Outcomes::default();
    let databases = count_of("FLOWDB_DAMAGES", TRIALS).div_ceil(TRIALS_OF_A_DATABASE);
    side_by_side(&seeds(databases), |seed| {
        let made = Made::of(seed);
        let random = &mut Random::new(seed);
        for trial in 0..TRIALS_OF_A_DATABASE {
            let damage = Damage::draw(random, &made);
            try_damage(&made, damage, trial % REPAIRED == 0, &outcomes);
        }
    });
    report("damage trials", outcomes.tell(), "FLOWDB_DAMAGES", TRIALS);
    for count in
        [&outcomes.right, &outcomes.refused, &outcomes.repaired_whole, &outcomes.repaired_with_losses]
    {
        assert!(count.load(Relaxed) > 0, "a kind of outcome that no damage had");
    }
}

/// Bytes of every file flipped, 0x00 and 0xFF, and files cut there: each byte of as many databases as `FLOWDB_EVERY_BYTE`
/// says.
#[test]
fn bytes_of_whole_databases_in_their_order_give_right_data_or_corruption() {
    let outcomes = Outcomes::default();
    let stride = if std::env::var("FLOWDB_EVERY_BYTE").is_ok() { 1 } else { STRIDE };
    side_by_side(&seeds(count_of("FLOWDB_EVERY_BYTE", 4)), |seed| {
        let made = Made::of(seed);
        for (file, (_, bytes)) in made.files.iter().enumerate() {
            // All bytes but the zeros that were written ahead of the records of a log, of which one stands for all.
            for (at, &byte) in
                bytes.iter().enumerate().take(used(bytes) + 1).skip(file % stride).step_by(stride)
            {
                for to in [byte ^ 1 << (at % 8), byte ^ 0xff, 0, 0xff] {
                    if to != byte {
                        try_damage(&made, Damage::Byte { file, at, to }, to == 0, &outcomes);
                    }
                }
                try_damage(&made, Damage::Cut { file, len: at }, at % REPAIRED as usize == 0, &outcomes);
            }
        }
    });
    report("damaged bytes and cuts", outcomes.tell(), "FLOWDB_EVERY_BYTE", 1_000);
}

fn try_damage(made: &Made, damage: Damage, is_repaired: bool, outcomes: &Outcomes) {
    let path = &made.files[damage.file()].0;
    let tried = catch_unwind(AssertUnwindSafe(|| {
        within_bounds(|| check_reads(made, damage, path, outcomes));
        if is_repaired {
            within_bounds(|| check_repair(made, damage, path, outcomes));
        }
    }));
    if let Err(panic) = tried {
        eprintln!("{damage:?} to {}", path.display());
        std::panic::resume_unwind(panic);
    }
}

/// Reads give right data or `Corruption`, and where one is refused, the verification has found it.
fn check_reads(made: &Made, damage: Damage, path: &Path, outcomes: &Outcomes) {
    let opened = Engine::open_on(made.config.clone(), Arc::new(damage.disk(made)));
    let read = opened.as_ref().map_err(Clone::clone).and_then(read_everything);
    let verified = opened.and_then(|engine| engine.verify());
    for error in [read.as_ref().err(), verified.as_ref().err()].into_iter().flatten() {
        assert_eq!(error.code(), Code::Corruption, "{error:?}");
    }
    match read {
        Ok([state, reverse, by_key]) => {
            assert!(state == reverse && state == by_key, "the ways of reading differ");
            let is_right = state == made.state || made.may_be_torn(path) && made.before.contains(&state);
            assert!(is_right, "wrong data: {:?}", changed(&made.state, &state));
            outcomes.right.fetch_add(1, Relaxed);
        }
        Err(_) => {
            assert!(verified.is_err(), "a read finds what the verification does not");
            outcomes.refused.fetch_add(1, Relaxed);
        }
    }
    if is_a("tbl", path) {
        assert!(verified.is_err(), "every byte of a table counts, and the verification has not found this");
    }
}

/// By scans both ways, and by key.
fn read_everything(engine: &Engine) -> Result<[State; 3]> {
    let mut states = [State::new(), State::new(), State::new()];
    for (state, direction) in states.iter_mut().zip([Direction::Forward, Direction::Reverse]) {
        let mut scan = engine.scan(ScanRange::all(), direction, None)?;
        while scan.advance()? {
            state.insert(scan.key().to_vec(), scan.value().to_vec());
        }
    }
    for key in (0..KEYS).map(key) {
        if let Some(value) = engine.get(&key, None)? {
            states[2].insert(key, value.bytes);
        }
    }
    Ok(states)
}

/// A repair gives a database that is whole, has no value that was never there, and has lost no more than was damaged.
fn check_repair(made: &Made, damage: Damage, path: &Path, outcomes: &Outcomes) {
    let disk: SimFs = damage.disk(made);
    let repair = repair_on(&made.config, Arc::new(disk.clone())).unwrap();
    let engine = Engine::open_on(made.config.clone(), Arc::new(disk)).unwrap();
    engine.verify().unwrap();
    let [state, ..] = read_everything(&engine).unwrap();
    let changed = changed(&made.state, &state);
    for (key, value) in &changed {
        let was_there = value.is_none_or(|value| made.ever.contains(&((*key).clone(), value.clone())));
        assert!(was_there, "{key:?} has a value that it never had: {repair:?}");
    }
    let most = most_lost(damage, path);
    assert!(changed.len() <= most, "{} of at most {most} keys have changed: {repair:?}", changed.len());
    let is_told = !repair.is_lossless() || made.may_be_torn(path);
    assert!(changed.is_empty() || is_told, "a loss that is not told: {repair:?}");
    let count = if changed.is_empty() { &outcomes.repaired_whole } else { &outcomes.repaired_with_losses };
    count.fetch_add(1, Relaxed);
}

/// The keys that are not what they were, with what they are now.
fn changed<'a>(before: &'a State, after: &'a State) -> BTreeMap<&'a Vec<u8>, Option<&'a Vec<u8>>> {
    let keys = before.keys().chain(after.keys());
    keys.filter(|key| before.get(*key) != after.get(*key)).map(|key| (key, after.get(key))).collect()
}

/// How many keys may be others after a repair. A byte is in one block, record or value.
fn most_lost(damage: Damage, path: &Path) -> usize {
    let is_data = ["tbl", "val", "wal"].iter().any(|ending| is_a(ending, path));
    match damage {
        // The manifest and CURRENT say nothing that the other files don't.
        _ if !is_data => 0,
        _ if !damage.is_small() => usize::MAX,
        _ if is_a("wal", path) => (BATCH + RANGE) as usize,
        _ if is_a("val", path) => 1,
        _ => ENTRIES_OF_A_BLOCK,
    }
}
