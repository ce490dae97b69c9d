//! The packed encodings of series: what is asked of them, and records and windows on their way back.
//!
//! `lib/series.js` is the other side; docs/binding.md lists every byte.
#![forbid(unsafe_code)]

use std::ops::Bound;

use crate::error::Result;
use crate::jsondb::{Key, KeyRange};
use crate::series::{Aggregate, Query, Record, Window};

use super::packing::{
    PageSize, RawRange, put_bytes, take_bytes, take_optional_bytes, take_optional_text, take_page_size,
    take_range, take_text, take_u8, take_u32,
};

/// The number of the first verb of series; those below are others'.
pub(super) const FIRST_VERB: u8 = 22;

/// In the place of an expiry: none is given.
const NO_EXPIRY: i64 = i64::MIN;

/// The series that an operation is for, by name, as it was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct SeriesRef<'a> {
    pub(crate) name: &'a str,
    /// In seconds; `None` where none was asked for and that of the series is as it is.
    pub(crate) retention: Option<u64>,
}

/// One record on its way in.
#[derive(Debug, PartialEq)]
pub(crate) struct RawRecord<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) ts: i64,
    pub(crate) expire_at: Option<i64>,
    pub(crate) value: &'a [u8],
}

/// Which records; the keys have not been checked yet.
#[derive(Debug, PartialEq)]
pub(crate) struct RawQuery<'a> {
    /// The lower bound is what the keys begin with.
    is_prefix: bool,
    range: RawRange<'a>,
    /// Both ends included.
    times: (i64, i64),
    reverse: bool,
}

impl RawQuery<'_> {
    /// The query with its keys checked.
    pub(crate) fn decode(&self) -> Result<Query> {
        let range = self.range.decode()?;
        let times = self.times.0..=self.times.1;
        let range = match (self.is_prefix, range.lower) {
            (true, Bound::Included(prefix)) => KeyRange::prefix(prefix)?,
            (_, lower) => KeyRange { lower, upper: range.upper },
        };
        let bytes = |bound: &Bound<Key>| bound.as_ref().map(|key| key.as_bytes().to_vec());
        let query = match (&range.lower, &range.upper) {
            (Bound::Included(lower), Bound::Included(upper)) if lower == upper => {
                Query::key(lower.as_bytes()).within(times)
            }
            (lower, upper) => Query::key_time_range::<Vec<u8>>((bytes(lower), bytes(upper)), times),
        };
        Ok(if self.reverse { query.reverse() } else { query })
    }
}

/// What is asked of series.
#[derive(Debug, PartialEq)]
pub(crate) enum SeriesVerb<'a> {
    /// Creates it where it is missing.
    Open(SeriesRef<'a>),
    Append(SeriesRef<'a>, Vec<RawRecord<'a>>),
    Delete(SeriesRef<'a>, &'a [u8], i64),
    DeleteRange(SeriesRef<'a>, RawQuery<'a>),
    /// The change is a JSON merge patch (RFC 7396).
    Patch {
        series: SeriesRef<'a>,
        key: &'a [u8],
        ts: i64,
        expire_at: Option<i64>,
        change: Option<&'a [u8]>,
    },
    Get(SeriesRef<'a>, &'a [u8], i64),
    /// The latest record of the key within the times, both included.
    Latest(SeriesRef<'a>, RawQuery<'a>),
    Range {
        cursor: u32,
        series: SeriesRef<'a>,
        query: RawQuery<'a>,
        size: PageSize,
    },
    Windows {
        cursor: u32,
        series: SeriesRef<'a>,
        query: RawQuery<'a>,
        width: i64,
        aggregate: Aggregate,
        path: Option<&'a str>,
        size: PageSize,
    },
    Drop {
        name: &'a str,
    },
    Names,
}

impl SeriesVerb<'_> {
    /// Whether it may share a commit with others.
    pub(crate) fn is_grouped(&self) -> bool {
        matches!(self, Self::Append(..) | Self::Delete(..) | Self::Patch { .. })
    }

    /// Whether it only reads, so that what it sees is fixed when it is submitted.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Get(..) | Self::Latest(..) | Self::Range { .. } | Self::Windows { .. })
    }

    /// About how many bytes it adds to a commit.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Append(_, records) => {
                records.iter().map(|record| record.key.len() + record.value.len()).sum()
            }
            _ => 0,
        }
    }
}

/// Takes the fields of the verb `number`.
pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<SeriesVerb<'a>> {
    Some(match number {
        22 => SeriesVerb::Open(take_series(input)?),
        23 => SeriesVerb::Append(take_series(input)?, take_records(input)?),
        24 => SeriesVerb::Delete(take_series(input)?, take_bytes(input)?, take_i64(input)?),
        25 => SeriesVerb::DeleteRange(take_series(input)?, take_query(input)?),
        26 => SeriesVerb::Patch {
            series: take_series(input)?,
            key: take_bytes(input)?,
            ts: take_i64(input)?,
            expire_at: take_expiry(input)?,
            change: take_optional_bytes(input)?,
        },
        27 => SeriesVerb::Get(take_series(input)?, take_bytes(input)?, take_i64(input)?),
        28 => SeriesVerb::Latest(take_series(input)?, take_query(input)?),
        29 => SeriesVerb::Range {
            cursor: take_u32(input)?,
            series: take_series(input)?,
            query: take_query(input)?,
            size: take_page_size(input)?,
        },
        30 => SeriesVerb::Windows {
            cursor: take_u32(input)?,
            series: take_series(input)?,
            query: take_query(input)?,
            width: take_i64(input)?,
            aggregate: take_aggregate(input)?,
            path: take_optional_text(input)?,
            size: take_page_size(input)?,
        },
        31 => SeriesVerb::Drop { name: take_text(input)? },
        32 => SeriesVerb::Names,
        _ => return None,
    })
}

fn take_i64(input: &mut &[u8]) -> Option<i64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(i64::from_le_bytes(*bytes))
}

fn take_expiry(input: &mut &[u8]) -> Option<Option<i64>> {
    Some(Some(take_i64(input)?).filter(|&expiry| expiry != NO_EXPIRY))
}

/// A retention of 0 is none that was asked for.
fn take_series<'a>(input: &mut &'a [u8]) -> Option<SeriesRef<'a>> {
    let name = take_text(input)?;
    let retention = u64::try_from(take_i64(input)?).ok()?;
    Some(SeriesRef { name, retention: (retention > 0).then_some(retention) })
}

/// The count is not trusted with an allocation: the list grows by what is really there.
fn take_records<'a>(input: &mut &'a [u8]) -> Option<Vec<RawRecord<'a>>> {
    let count = take_u32(input)?;
    let record = |input: &mut &'a [u8]| {
        Some(RawRecord {
            key: take_bytes(input)?,
            ts: take_i64(input)?,
            expire_at: take_expiry(input)?,
            value: take_bytes(input)?,
        })
    };
    (0..count).map(|_| record(input)).collect()
}

fn take_query<'a>(input: &mut &'a [u8]) -> Option<RawQuery<'a>> {
    Some(RawQuery {
        is_prefix: take_u8(input)? != 0,
        range: take_range(input)?,
        times: (take_i64(input)?, take_i64(input)?),
        reverse: take_u8(input)? != 0,
    })
}

fn take_aggregate(input: &mut &[u8]) -> Option<Aggregate> {
    Some(match take_u8(input)? {
        0 => Aggregate::Count,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        4 => Aggregate::Avg,
        5 => Aggregate::First,
        6 => Aggregate::Last,
        _ => return None,
    })
}

/// Packs a record.
pub(super) fn put_record(out: &mut Vec<u8>, record: &Record) {
    put_bytes(out, &record.key);
    out.extend_from_slice(&record.ts.to_le_bytes());
    out.extend_from_slice(&record.expire_at.unwrap_or(NO_EXPIRY).to_le_bytes());
    put_bytes(out, &record.value);
}

/// Packs a window.
pub(super) fn put_window(out: &mut Vec<u8>, window: &Window) {
    put_bytes(out, &window.key);
    out.extend_from_slice(&window.start.to_le_bytes());
    out.extend_from_slice(&window.value.to_le_bytes());
    // JavaScript counts in f64, exact to 2^53.
    out.extend_from_slice(&(window.count as f64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::packing::{Operation, Verb, read_run};
    use super::*;

    fn an_append() -> Vec<u8> {
        let mut run = vec![23, 7, 0, 0, 0, 0, 0, 0, 0];
        put_bytes(&mut run, b"heat");
        run.extend_from_slice(&60i64.to_le_bytes());
        run.extend_from_slice(&1u32.to_le_bytes());
        put_record(&mut run, &Record::new([0x10], -5, "21.5"));
        run
    }

    #[test]
    fn a_run_reads_back_as_the_records_that_were_packed() {
        let run = an_append();

        let record = RawRecord { key: &[0x10], ts: -5, expire_at: None, value: b"21.5" };
        let series = SeriesRef { name: "heat", retention: Some(60) };
        let verb = Verb::Series(SeriesVerb::Append(series, vec![record]));
        assert_eq!(read_run(&run).unwrap(), [Operation { request: 7, transaction: 0, verb }]);
        for end in 1..run.len() {
            assert!(read_run(&run[..end]).is_err(), "cut at {end}");
        }
    }
}
