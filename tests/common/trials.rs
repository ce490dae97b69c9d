//! Trials by the hundred thousand: seeds side by side, what a crash may leave of a disk, and how many trials there were.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowdb::engine::Engine;
use flowdb::fs::{CrashOutcome, SimFs};

/// Says which seed failed, when a test panics while this lives.
pub struct SeedReport(pub u64);

impl Drop for SeedReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with FLOWDB_SEED={}", self.0);
        }
    }
}

/// The seeds of a run: the one in `FLOWDB_SEED`, or `0..count`.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("FLOWDB_SEED") {
        Ok(seed) => vec![seed.parse().expect("FLOWDB_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

/// How many of something a test tries: what the environment says under `name`, or `usual`.
pub fn count_of(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |count| count.parse().expect("the variable is a number"))
}

/// Calls `run` for every seed, on as many threads as there are processors, and says which seed failed.
pub fn side_by_side(seeds: &[u64], run: impl Fn(u64) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let _report = SeedReport(seed);
            run(seed);
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
}

/// Prints how many trials there were, and fails where they were fewer than `least`. A run over one seed, or over as many
/// as `variable` says, is as long as it was asked to be.
pub fn report(what: &str, trials: u64, variable: &str, least: u64) {
    println!("{what}: {trials}");
    let is_asked_for = ["FLOWDB_SEED", variable].iter().any(|name| std::env::var(name).is_ok());
    assert!(
        is_asked_for || trials >= least,
        "{trials} of {what} are less than the {least} that are promised"
    );
}

/// What a loss of power may leave of `disk`: nothing that was unsynced, everything, and what `draws` draws from `seed`
/// decide. No two of the disks have the same files, so that each is worth its recovery.
pub fn power_losses(disk: &SimFs, seed: u64, draws: u64) -> Vec<(CrashOutcome, SimFs)> {
    let mut seen = HashSet::new();
    let drawn =
        (0..draws).map(|draw| CrashOutcome::Random(seed.wrapping_mul(0x9E37_79B9).wrapping_add(draw)));
    [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced]
        .into_iter()
        .chain(drawn)
        .map(|outcome| (outcome, disk.after_crash(outcome)))
        .filter(|(_, left)| seen.insert(fingerprint(left)))
        .collect()
}

/// A number for the names and bytes of all files.
fn fingerprint(disk: &SimFs) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in disk.files() {
        let bytes = disk.read_file(&path).expect("it is among the files");
        (path, bytes.len(), crc32fast::hash(&bytes)).hash(&mut hasher);
    }
    hasher.finish()
}

/// Fails where `dir` has a file that nothing leads to: of each kind there are so many as the database knows. (The database
/// was flushed and closed and is open again: what the last edit before a crash made needless stays until then.)
pub fn assert_no_orphans(engine: &Engine, disk: &SimFs, dir: &str, context: &str) {
    let stats = engine.stats();
    let names: Vec<String> = disk
        .files()
        .iter()
        .filter(|path| path.parent() == Some(Path::new(dir)))
        .map(|path| path.file_name().expect("a file has a name").to_string_lossy().into_owned())
        .collect();
    let ending = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).count() as u64;
    let manifests = names.iter().filter(|name| name.starts_with("MANIFEST-")).count() as u64;
    let (tables, values, logs) = (ending(".tbl"), ending(".val"), ending(".wal"));
    let is_there = |name: &str| names.iter().any(|other| other == name);
    assert!(is_there("CURRENT") && is_there("LOCK"), "{context}: {names:?}");
    assert_eq!(tables, stats.level_tables.iter().sum::<u64>(), "{context}: tables of {names:?}");
    assert_eq!(values, stats.value_files, "{context}: value files of {names:?}");
    assert_eq!(manifests, 1, "{context}: manifests of {names:?}");
    assert!(logs <= 1, "{context}: logs of {names:?}");
    assert_eq!(names.len() as u64, tables + values + manifests + logs + 2, "{context}: {names:?}");
}
