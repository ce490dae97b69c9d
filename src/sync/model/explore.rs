//! Running a test in many orders of its steps, and in one of them again.

use std::time::Instant;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

/// In a schedule of the second kind one thread goes on as long as it can, but for so many changes at random moments: few
/// changes find most defects, and moments far apart are seldom met by choosing at every step.
const CHANGES: usize = 3;

/// More steps than any of our tests takes: whoever takes more goes round and round.
const STEPS_MAX: usize = 1_000_000;

/// What a thread of ours may need; shuttle's own have less.
const STACK_BYTES: usize = 512 << 10;

/// Runs `test` in `schedules` orders of its steps, times `FLOWDB_SCHEDULES` where that is set: the first half chosen step
/// by step, the others with few changes. A failure says the seed, and prints its schedule, which `FLOWDB_SCHEDULE` runs
/// again.
pub(crate) fn explore(promise: &str, schedules: usize, test: impl Fn() + Clone + Send + Sync + 'static) {
    if let Ok(schedule) = std::env::var("FLOWDB_SCHEDULE") {
        let mut replayed = ReplayScheduler::new_from_encoded(schedule.trim());
        replayed.set_allow_incomplete();
        run(replayed, test);
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seed = number("FLOWDB_SEED").unwrap_or_else(rand_seed);
    let schedules = schedules * number("FLOWDB_SCHEDULES").unwrap_or(1) as usize;
    // Shown where the test fails.
    println!("FLOWDB_SEED={seed}");
    let (started, half) = (Instant::now(), schedules.div_ceil(2));
    let done = run(RandomScheduler::new_from_seed(seed, half), test.clone())
        + run(PctScheduler::new_from_seed(seed, CHANGES, schedules - half), test);
    println!("schedules: {done} in {:.1} s: {promise}", started.elapsed().as_secs_f64());
}

fn run(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(test)
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.as_nanos() as u64)
}
