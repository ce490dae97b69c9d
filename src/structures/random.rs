//! The numbers by which members are drawn: SplitMix64 (Steele, Lea and Flood, 2014), seeded by the system or by a test.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher, RandomState};

use crate::sync::atomic::{AtomicU64, Ordering};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// See the module. Any number of threads draw from it.
pub(super) struct Random(AtomicU64);

impl Random {
    /// Numbers that nobody can tell before.
    pub(super) fn new() -> Self {
        // The hasher's keys are random; that is all that is wanted of it.
        Self::seeded(RandomState::new().hash_one(STEP))
    }

    /// The same numbers each time, where one thread draws.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, each as likely as another to one part in 2^64 / `bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_bound_comes_about_as_often_as_another() {
        let random = Random::seeded(7);
        let mut seen = [0; 10];
        (0..100_000).for_each(|_| seen[random.below(10) as usize] += 1);

        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
        assert_ne!(Random::new().next(), Random::new().next());
    }
}
