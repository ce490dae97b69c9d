//! When how much of a table has expired: a histogram in bounded memory, however many entries there are.
//!
//! Invariant: a moment that it names is never too early, because each step counts at its end. It may be too late by
//! one step, which is at most about a hundredth of the time over which the entries expire.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// The histogram has at most so many steps; when it would have more, they become twice as wide.
const STEPS_MAX: usize = 256;

/// The bytes of a table by the time at which they expire.
#[derive(Debug, Default)]
pub(super) struct ExpiryHistogram {
    /// Bytes by the number of their step.
    steps: BTreeMap<u64, u64>,
    /// A step is `1 << width` milliseconds wide.
    width: u32,
}

impl ExpiryHistogram {
    /// Counts `bytes` that expire at `expires_at`.
    pub(super) fn add(&mut self, expires_at: u64, bytes: u64) {
        *self.steps.entry(expires_at >> self.width).or_default() += bytes;
        while self.steps.len() > STEPS_MAX {
            self.width += 1;
            for (step, bytes) in std::mem::take(&mut self.steps) {
                *self.steps.entry(step >> 1).or_default() += bytes;
            }
        }
    }

    /// A moment by which at least `wanted` bytes have expired; 0 where there are not that many.
    pub(super) fn expired_by(&self, wanted: u64) -> u64 {
        let mut expired = 0;
        for (step, bytes) in &self.steps {
            expired += bytes;
            if expired >= wanted {
                return (step << self.width) | ((1 << self.width) - 1);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_exact_while_there_are_few() {
        let mut histogram = ExpiryHistogram::default();
        for expires_at in [50, 10, 20, u64::MAX] {
            histogram.add(expires_at, 100);
        }

        assert_eq!(
            [1, 100, 101, 300, 400].map(|bytes| histogram.expired_by(bytes)),
            [10, 10, 20, 50, u64::MAX]
        );
        assert_eq!(histogram.expired_by(401), 0);
    }

    #[test]
    fn a_moment_is_late_by_at_most_a_hundredth_and_never_early() {
        let mut histogram = ExpiryHistogram::default();
        let all = 100_000;
        for index in 0..all {
            // In no order, from 1,000,000 on.
            histogram.add(1_000_000 + index * 7_919 % all, 1);
        }

        assert!(histogram.steps.len() <= STEPS_MAX);
        for wanted in [1, all / 4, all / 2, all] {
            let exact = 1_000_000 + wanted - 1;
            let named = histogram.expired_by(wanted);
            assert!((exact..=exact + all / 100).contains(&named), "{wanted} bytes by {named}, not {exact}");
        }
    }
}
