//! What the integration tests share: a seeded generator, and small databases on a simulated disk.
#![allow(dead_code, reason = "each test binary compiles this file for itself and uses its own part of it")]

pub mod trials;
pub mod watched;

use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::{Compression, Config, SyncMode};

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough to draw test cases.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// A configuration drawn from `random` in which every limit is reached after a few writes.
pub fn tiny_config(random: &mut Random, clock: Arc<ManualClock>) -> Config {
    let modes = [SyncMode::Always, SyncMode::Interval(10), SyncMode::Never];
    Config {
        wal_sync_mode: *random.pick(&modes),
        memtable_size_bytes: *random.pick(&[4 << 10, 6 << 10, 16 << 10]),
        // Drawn from what was drawn before, so that the seeds of old failures keep their histories.
        wal_segment_size_bytes: if random.clone().one_in(2) { 4 << 10 } else { 64 << 20 },
        max_frozen_memtables: *random.pick(&[1, 2, 4]),
        block_size: *random.pick(&[128, 256, 1024]),
        table_size_bytes: *random.pick(&[4 << 10, 8 << 10]),
        block_cache_capacity_bytes: *random.pick(&[0, 2 << 10, 1 << 20]),
        bloom_bits_per_key: *random.pick(&[0, 4, 10]),
        compression: *random.pick(&[Compression::None, Compression::Lz4]),
        compaction_threshold: *random.pick(&[2, 3, 4]),
        level_size_bytes: 16 << 10,
        value_threshold_bytes: *random.pick(&[0, 16, 200, 4 << 10]),
        value_file_size_bytes: *random.pick(&[4 << 10, 16 << 10, 1 << 20]),
        auto_background: false,
        clock,
        ..Config::new("/db")
    }
}
