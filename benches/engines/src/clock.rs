//! What is measured: the time that an engine takes, and not that in which keys and values are made; memory and disk.

use std::path::Path;
use std::time::{Duration, Instant};

/// Operations between two looks at the clock, at the most.
const BLOCK_MAX: u64 = 1_000;

/// Operations of the first block.
const BLOCK_MIN: u64 = 8;

/// A block that takes longer than this is large enough.
const BLOCK_TIME: Duration = Duration::from_millis(5);

/// Adds up the time of blocks of operations, until a limit. Blocks are small at first, so that an engine that takes
/// milliseconds for each operation is stopped in time.
pub struct Clock {
    spent: Duration,
    limit: Duration,
    operations: u64,
    block: u64,
}

impl Clock {
    /// A clock that is over after `seconds` of work.
    #[must_use]
    pub fn new(seconds: f64) -> Self {
        Self {
            spent: Duration::ZERO,
            limit: Duration::from_secs_f64(seconds),
            operations: 0,
            block: BLOCK_MIN,
        }
    }

    /// How many operations to prepare next, given that `count` are wanted in all; 0 at the end.
    #[must_use]
    pub fn block(&self, count: u64) -> u64 {
        if self.spent >= self.limit { 0 } else { self.block.min(count.saturating_sub(self.operations)) }
    }

    /// Does `work`, which is so many operations, and counts its time.
    pub fn time<T>(&mut self, operations: u64, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        self.spent += took;
        self.operations += operations;
        if took < BLOCK_TIME {
            self.block = (self.block * 2).min(BLOCK_MAX);
        }
        result
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Operations a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.spent.as_secs_f64()
    }
}

/// The milliseconds that `work` takes, and what it returns.
pub fn milliseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64() * 1e3, result)
}

/// The value in the middle; of an even number the upper one.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which a share of the values is.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The most memory that this process has had, in MB.
#[must_use]
pub fn peak_memory_mb() -> f64 {
    proc_value("/proc/self/status", "VmHWM:").map_or(f64::NAN, |kilobytes| kilobytes / 1024.0)
}

/// Bytes that this process has handed to the operating system to write, be they on the disk or not.
#[must_use]
pub fn written_bytes() -> f64 {
    proc_value("/proc/self/io", "wchar:").unwrap_or(f64::NAN)
}

fn proc_value(path: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// What the files in `dir` take on the disk, in MB.
#[must_use]
pub fn disk_mb(dir: &Path) -> f64 {
    disk_bytes(dir) as f64 / f64::from(1 << 20)
}

/// What the files in `dir` take on the disk. Blocks and not lengths: some engines make files longer than what they hold.
#[must_use]
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
