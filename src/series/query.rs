//! Which records are asked for.

use std::ops::{Bound, RangeBounds};

use super::rows::{record_row, rows_of_key, rows_of_keys, rows_of_prefix};
use crate::engine::ScanRange;
use crate::error::Result;
use crate::times::Times;

/// Records by key and time, in the order of the keys and, within one key, of time.
///
/// Ranges are those of Rust: `a..b` leaves `b` out, `a..=b` has it, `..` is everything. Times are microseconds since
/// 1970.
///
/// ```
/// use flowdb::series::Query;
///
/// let morning = Query::prefix_time_range("room/", 0..43_200_000_000);
/// let newest_first = Query::key("room/1").reverse().limit(10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    keys: Keys,
    pub(super) times: Times,
    pub(super) is_reverse: bool,
    pub(super) limit: Option<u64>,
    /// Where the records begin, in their order: behind this place.
    after: Option<(Vec<u8>, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Keys {
    One(Vec<u8>),
    Prefix(Vec<u8>),
    Between(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

impl Query {
    /// Every record.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Keys::Prefix(Vec::new()), ..)
    }

    /// The records of one key.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::of(Keys::One(key.as_ref().to_vec()), ..)
    }

    /// The records of the keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::prefix_time_range(prefix, ..)
    }

    /// The records of the keys within a range.
    #[must_use]
    pub fn key_range<K: AsRef<[u8]>>(keys: impl RangeBounds<K>) -> Self {
        Self::key_time_range(keys, ..)
    }

    /// The records of a span of time, of every key.
    #[must_use]
    pub fn time_range(times: impl RangeBounds<i64>) -> Self {
        Self::of(Keys::Prefix(Vec::new()), times)
    }

    /// The records of a span of time, of the keys that begin with `prefix`.
    #[must_use]
    pub fn prefix_time_range(prefix: impl AsRef<[u8]>, times: impl RangeBounds<i64>) -> Self {
        Self::of(Keys::Prefix(prefix.as_ref().to_vec()), times)
    }

    /// The records of a span of time, of the keys within a range.
    #[must_use]
    pub fn key_time_range<K: AsRef<[u8]>>(keys: impl RangeBounds<K>, times: impl RangeBounds<i64>) -> Self {
        let owned = |bound: Bound<&K>| bound.map(|key| key.as_ref().to_vec());
        Self::of(Keys::Between(owned(keys.start_bound()), owned(keys.end_bound())), times)
    }

    /// These records, but only those of a span of time.
    #[must_use]
    pub fn within(self, times: impl RangeBounds<i64>) -> Self {
        Self { times: times_of(&times), ..self }
    }

    /// The same records in the opposite order: the last key first and, within one key, the latest first.
    #[must_use]
    pub fn reverse(self) -> Self {
        Self { is_reverse: !self.is_reverse, ..self }
    }

    /// At most so many of them.
    #[must_use]
    pub fn limit(self, records: u64) -> Self {
        Self { limit: Some(records), ..self }
    }

    /// The same records, all of them.
    pub(super) fn unlimited(&self) -> Self {
        Self { limit: None, ..self.clone() }
    }

    /// The same records in ascending order.
    pub(super) fn forward(&self) -> Self {
        Self { is_reverse: false, after: None, ..self.clone() }
    }

    /// The records of the query that come behind the place of the record of `key` at `ts`, whether that is there or not.
    #[must_use]
    pub fn after(self, key: impl AsRef<[u8]>, ts: i64) -> Self {
        Self { after: Some((key.as_ref().to_vec(), ts)), ..self }
    }

    fn of(keys: Keys, times: impl RangeBounds<i64>) -> Self {
        Self { keys, times: times_of(&times), is_reverse: false, limit: None, after: None }
    }

    /// The rows of the series `id` that the query is about, and whether the time still has to be looked at.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for a key that is too long.
    pub(super) fn rows(&self, id: u64) -> Result<(ScanRange, bool)> {
        let looks_at_time = self.times != Times::ALL;
        let (rows, looks_at_time) = match &self.keys {
            // The records of one key lie in the order of time, so that a span of it is a range of rows.
            Keys::One(key) => (rows_of_key(id, key, self.times)?, false),
            Keys::Prefix(prefix) => (rows_of_prefix(id, prefix), looks_at_time),
            Keys::Between(lower, upper) => {
                let bound = |bound: &Bound<Vec<u8>>| bound.clone();
                let (lower, upper) = (bound(lower), bound(upper));
                let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
                (rows_of_keys(id, bounds), looks_at_time)
            }
        };
        let Some((key, ts)) = &self.after else { return Ok((rows, looks_at_time)) };
        let place = record_row(id, key, *ts)?;
        let is_narrower = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(row) | Bound::Excluded(row) if self.is_reverse => place < *row,
            Bound::Included(row) | Bound::Excluded(row) => place >= *row,
            Bound::Unbounded => true,
        };
        let ScanRange { mut start, mut end } = rows;
        let bound = if self.is_reverse { &mut end } else { &mut start };
        if is_narrower(bound) {
            *bound = Bound::Excluded(place);
        }
        Ok((ScanRange { start, end }, looks_at_time))
    }
}

/// The span of time that a range means.
fn times_of(range: &impl RangeBounds<i64>) -> Times {
    let first = match range.start_bound() {
        Bound::Unbounded => Some(i64::MIN),
        Bound::Included(&time) => Some(time),
        Bound::Excluded(&time) => time.checked_add(1),
    };
    let last = match range.end_bound() {
        Bound::Unbounded => Some(i64::MAX),
        Bound::Included(&time) => Some(time),
        Bound::Excluded(&time) => time.checked_sub(1),
    };
    match first.zip(last) {
        Some((first, last)) if first <= last => Times { first, last },
        _ => Times::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_times_means_the_moments_in_it() {
        let span = |first, last| Times { first, last };

        assert_eq!(times_of(&(3..5)), span(3, 4));
        assert_eq!(times_of(&(3..=5)), span(3, 5));
        assert_eq!(times_of(&(..)), Times::ALL);
        assert_eq!(times_of(&(-5..)), span(-5, i64::MAX));
        assert_eq!(times_of(&(3..3)), Times::NONE);
        assert_eq!(times_of(&(..i64::MIN)), Times::NONE);
        assert_eq!(times_of(&(Bound::Excluded(i64::MAX), Bound::Unbounded)), Times::NONE);
    }
}
