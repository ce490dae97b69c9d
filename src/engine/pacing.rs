//! How fast background work writes, how much writers wait for it, and when it has the time for itself: small functions
//! of numbers and moments.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::key::SeqNo;
use crate::sync::Mutex;

/// What was not written in the past counts for so long.
const BURST: Duration = Duration::from_millis(100);

/// From this many times `compaction_threshold` tables in level 0 on, each commit waits a little …
const SLOWDOWN_FACTOR: usize = 4;

/// … and from this many times on, until compaction has caught up.
const STOP_FACTOR: usize = 7;

/// How long a commit waits when one table more would stop it.
const SLOWDOWN_MAX: Duration = Duration::from_millis(16);

/// Nobody writes if nothing was committed for so long.
pub(crate) const QUIET_INTERVAL: Duration = Duration::from_millis(300);

/// Tells whether anybody writes, from what is visible at the moments when it is asked.
pub(crate) struct Lull {
    opened_at: SeqNo,
    seqno: SeqNo,
    /// When that seqno was seen first.
    since: Instant,
}

impl Lull {
    /// From the opening on, with what was visible then.
    pub(crate) fn new(opened_at: SeqNo, now: Instant) -> Self {
        Self { opened_at, seqno: opened_at, since: now }
    }

    /// Whether somebody has written since the opening and nobody for [`QUIET_INTERVAL`].
    pub(crate) fn is_quiet(&mut self, seqno: SeqNo, now: Instant) -> bool {
        if seqno != self.seqno {
            (self.seqno, self.since) = (seqno, now);
        }
        self.has_been_written() && now.saturating_duration_since(self.since) >= QUIET_INTERVAL
    }

    /// Whether anything had been written when it was asked last. A database that is only read is left as it is.
    pub(crate) fn has_been_written(&self) -> bool {
        self.seqno != self.opened_at
    }
}

/// A limit of bytes in a second, as a bucket of tokens that may be overdrawn.
pub(crate) struct WriteLimit {
    /// 0 is no limit.
    bytes_per_sec: u64,
    started: Instant,
    /// When everything that was written so far is paid for, from `started` on.
    paid_at: Mutex<Duration>,
}

impl WriteLimit {
    pub(crate) fn new(bytes_per_sec: u64) -> Self {
        Self { bytes_per_sec, started: Instant::now(), paid_at: Mutex::default() }
    }

    /// Takes `bytes` from the bucket. Returns how long to wait until they are paid for.
    pub(crate) fn take(&self, bytes: u64) -> Duration {
        if self.bytes_per_sec == 0 {
            return Duration::ZERO;
        }
        self.take_at(self.started.elapsed(), bytes)
    }

    fn take_at(&self, now: Duration, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_sec);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid_at = self.paid_at.lock();
        *paid_at = (*paid_at).max(now.saturating_sub(BURST)).saturating_add(price);
        paid_at.saturating_sub(now)
    }
}

/// What a commit does about the tables in level 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Go,
    /// Waits once, at most so long.
    Slow(Duration),
    /// Waits until there are fewer.
    Stop,
}

/// The pace of writers at `tables` in level 0: the wait grows with the square of the way from the first delay to the
/// stop, so that writers come down to the speed of compaction step by step and few of them ever stop.
pub(crate) fn pace(tables: usize, compaction_threshold: usize) -> Pace {
    let (slow, stop) = (compaction_threshold * SLOWDOWN_FACTOR, compaction_threshold * STOP_FACTOR);
    if tables < slow {
        Pace::Go
    } else if tables >= stop {
        Pace::Stop
    } else {
        let way = (tables + 1 - slow) as f64 / (stop - slow) as f64;
        Pace::Slow(SLOWDOWN_MAX.mul_f64(way * way))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn writing_is_limited_over_time_whatever_the_pieces() {
        let limit = WriteLimit::new(1_000_000);
        let mut now = Duration::ZERO;
        let pieces = [1_000, 64_000, 500_000, 7];

        for bytes in pieces.iter().cycle().take(100) {
            now += limit.take_at(now, *bytes);
        }

        assert_eq!(now, Duration::from_micros(pieces.iter().sum::<u64>() * 25));
    }

    #[test]
    fn after_a_pause_a_tenth_of_a_second_is_free_and_no_more() {
        let limit = WriteLimit::new(1_000_000);

        assert_eq!(limit.take_at(MS(60_000), 100_000), Duration::ZERO);
        assert_eq!(limit.take_at(MS(60_000), 50_000), MS(50));
    }

    #[test]
    fn what_did_not_wait_is_waited_for_by_those_who_do() {
        let limit = WriteLimit::new(1_000_000);
        let _a_flush_does_not_wait = limit.take_at(MS(1_000), 3_100_000);

        assert_eq!(limit.take_at(MS(1_000), 1_000), MS(3_001));
        assert_eq!(limit.take_at(MS(5_000), 1_000), Duration::ZERO);
    }

    /// A thread that is woken twice in a row, by two flushes, has not seen a quiet time.
    #[test]
    fn it_is_quiet_when_nobody_has_written_for_the_whole_interval() {
        let opened = Instant::now();
        let mut lull = Lull::new(7, opened);
        let mut is_quiet = |seqno, ms| lull.is_quiet(seqno, opened + MS(ms));

        assert!(!is_quiet(7, 60_000), "nobody has written since the opening");
        assert!(!is_quiet(8, 60_001));
        assert!(!is_quiet(8, 60_002), "asked twice is not an interval");
        assert!(!is_quiet(9, 60_300));
        assert!(!is_quiet(9, 60_599));
        assert!(is_quiet(9, 60_600));
        assert!(is_quiet(9, 90_000));
        assert!(!is_quiet(10, 90_001));
    }

    #[test]
    fn no_limit_never_waits() {
        assert_eq!(WriteLimit::new(0).take(u64::MAX), Duration::ZERO);
        assert!(WriteLimit::new(1).take(u64::MAX) > MS(1_000_000));
    }

    #[test]
    fn the_wait_grows_table_by_table_from_a_tenth_of_a_millisecond_to_the_stop() {
        for threshold in [2, 4, 64] {
            assert_eq!(pace(threshold * SLOWDOWN_FACTOR - 1, threshold), Pace::Go);
            assert_eq!(pace(threshold * STOP_FACTOR, threshold), Pace::Stop);
            let waits: Vec<Duration> = (threshold * SLOWDOWN_FACTOR..threshold * STOP_FACTOR)
                .map(|tables| match pace(tables, threshold) {
                    Pace::Slow(wait) => wait,
                    other => panic!("{other:?} at {tables} tables"),
                })
                .collect();
            assert!(waits.is_sorted_by(|a, b| a < b), "{waits:?}");
            assert!(waits[0] < Duration::from_micros(500) && *waits.last().unwrap() == SLOWDOWN_MAX);
        }
    }
}
