//! The times of record rows, and the spans of time that blocks, tables and queries have.
//!
//! A record is a row whose key ends with its time (`series` has the whole layout). What lies below the engine has to
//! know no more of a record than this file says: which rows are records, and when each of them is.
//!
//! Invariant: the time is a part of the key, so all versions of a row, its tombstones among them, have the same one.
//! That is what lets a scan of a span of time leave out a whole block: it can't hold the newest version of a row
//! of which another block holds an older one.
#![forbid(unsafe_code)]

/// The first byte of every record row's key. Part of the format.
pub(crate) const RECORD_KIND: u8 = 0x06;

/// The bytes of the time at the end of a record row's key.
pub(crate) const TIME_BYTES: usize = 8;

/// A span of time, both ends included, in microseconds since 1970. One with `first > last` is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Times {
    /// All times.
    pub(crate) const ALL: Self = Self { first: i64::MIN, last: i64::MAX };

    /// No time.
    pub(crate) const NONE: Self = Self { first: i64::MAX, last: i64::MIN };

    /// One moment.
    pub(crate) fn at(time: i64) -> Self {
        Self { first: time, last: time }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first > self.last
    }

    pub(crate) fn contains(self, time: i64) -> bool {
        self.first <= time && time <= self.last
    }

    /// Whether both have a moment in common.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.first <= other.last && other.first <= self.last
    }

    /// The smallest span that holds both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// The span of both, where there are any.
pub(crate) fn union(a: Option<Times>, b: Option<Times>) -> Option<Times> {
    a.zip(b).map(|(a, b)| a.union(b)).or(a).or(b)
}

/// The time of a record row, or `None` for a row of another kind.
///
/// Every row with the kind of records is taken for one, whoever wrote it: then what is said of the times in a block
/// is true whatever the rest of the key looks like.
pub(crate) fn time_of(row_key: &[u8]) -> Option<i64> {
    let (rest, time) = row_key.split_last_chunk::<TIME_BYTES>()?;
    (rest.first() == Some(&RECORD_KIND)).then(|| decode_time(*time))
}

/// The bytes of a time, which sort as times do.
pub(crate) fn encode_time(time: i64) -> [u8; TIME_BYTES] {
    ((time as u64) ^ (1 << 63)).to_be_bytes()
}

/// The time that [`encode_time`] has encoded.
pub(crate) fn decode_time(bytes: [u8; TIME_BYTES]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

/// From a record row outside of `times`, the nearest row key in the order of `reverse` that may be within them: the
/// end of the span in the same record key, or what lies behind the record key. `None` for a row that is no record.
///
/// A forward scan goes on at or above it, a reverse scan below it.
pub(crate) fn leap(row_key: &[u8], times: Times, reverse: bool) -> Option<Vec<u8>> {
    let time = time_of(row_key)?;
    let (record_key, _) = row_key.split_last_chunk::<TIME_BYTES>()?;
    let mut target = record_key.to_vec();
    match (reverse, time < times.first) {
        (false, true) => target.extend_from_slice(&encode_time(times.first)),
        // Above every row of the record key, whose times are of one length.
        (false, false) => target.extend_from_slice(&[0xff; TIME_BYTES + 1]),
        // Below the least row of the record key.
        (true, true) => target.extend_from_slice(&[0; TIME_BYTES]),
        (true, false) => {
            target.extend_from_slice(&encode_time(times.last));
            target.push(0);
        }
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_times_sort_as_times_do() {
        let times = [i64::MIN, -1_700_000_000_000_000, -1, 0, 1, 1_700_000_000_000_000, i64::MAX];
        for pair in times.windows(2) {
            assert!(encode_time(pair[0]) < encode_time(pair[1]), "{pair:?}");
        }
        for time in times {
            assert_eq!(decode_time(encode_time(time)), time);
        }
    }

    #[test]
    fn only_rows_of_the_kind_of_records_have_a_time() {
        let row = |kind: u8, rest: &[u8]| [&[kind], rest].concat();

        assert_eq!(time_of(&row(RECORD_KIND, &encode_time(-5))), Some(-5));
        assert_eq!(time_of(&row(RECORD_KIND, &[&b"key"[..], &encode_time(7)].concat())), Some(7));
        assert_eq!(time_of(&row(RECORD_KIND, &[0; 7])), None);
        assert_eq!(time_of(&row(0x03, &encode_time(7))), None);
        assert_eq!(time_of(b""), None);
    }

    #[test]
    fn spans_overlap_where_they_share_a_moment() {
        let span = |first, last| Times { first, last };

        assert!(span(1, 3).overlaps(span(3, 9)) && span(3, 9).overlaps(span(1, 3)));
        assert!(!span(1, 2).overlaps(span(3, 9)) && !span(3, 9).overlaps(span(1, 2)));
        assert!(!Times::NONE.overlaps(Times::ALL) && !Times::ALL.overlaps(Times::NONE));
        assert_eq!(Times::NONE.union(Times::at(4)).union(Times::at(-2)), span(-2, 4));
    }

    /// Between a row and where it leaps to there is no row that is asked for.
    #[test]
    fn a_leap_passes_nothing_that_is_within_the_span() {
        let row = |key: &[u8], time| [&[RECORD_KIND], key, &encode_time(time)].concat();
        let times = Times { first: 10, last: 20 };
        let all: Vec<Vec<u8>> = [&b"a"[..], b"b"]
            .iter()
            .flat_map(|key| [i64::MIN, 9, 10, 15, 20, 21, i64::MAX].map(|time| row(key, time)))
            .collect();
        let wanted = |row: &Vec<u8>| times.contains(time_of(row).unwrap());
        for (at, from) in all.iter().enumerate().filter(|(_, row)| !wanted(row)) {
            let above = leap(from, times, false).unwrap();
            let next = all[at..].iter().find(|row| wanted(row));
            let landed = all.iter().find(|row| **row >= above);
            assert!(above > *from && next >= landed, "{from:?}");

            let below = leap(from, times, true).unwrap();
            let next = all[..at].iter().rev().find(|row| wanted(row));
            let landed = all.iter().rev().find(|row| **row < below);
            assert!(below <= *from, "{from:?}");
            // Nothing wanted lies between them.
            assert!(next.is_none() || landed >= next, "{from:?}");
        }
    }
}
