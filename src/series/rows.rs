//! The rows of series: what their keys and values look like. docs/format/series.md is the reference.
//!
//! A record's row key is its kind, the id of its series, the record's key with an end that no key goes beyond, and
//! its time. So the records of one key lie side by side in the order of time, and those of a series in the order of
//! their keys, bytewise. The kinds are none of those that the document layer has: both live in one engine.

use std::ops::Bound;

use super::SeriesOptions;
use crate::coding::{put_varint, take_u8, take_varint};
use crate::engine::ScanRange;
use crate::error::{Code, Error, Result};
use crate::numbering::{FIRST_NUMBER, Numbering};
use crate::times::{RECORD_KIND, TIME_BYTES, Times, decode_time, encode_time};

/// The version of the rows that this build writes.
pub(super) const ROWS_VERSION: u64 = 1;

/// The first byte of the rows that describe series. Part of the format.
const CATALOG_KIND: u8 = 0x05;

/// The ids of series: what comes next fits a `u64`, too.
pub(super) const IDS: Numbering = Numbering { kind: RECORD_KIND, highest: u64::MAX - 1 };

/// The longest key of a record, in bytes. Escaped, with its time, it is still a key for the engine.
pub const RECORD_KEY_BYTES_MAX: usize = 16 * 1024;

/// A zero byte of a record key is followed by this.
const ESCAPED: u8 = 0xff;

/// The row that says in which version the rows are and which id comes next.
pub(super) const META_KEY: &[u8] = &[CATALOG_KIND];

/// Every row that describes a series, and the one at [`META_KEY`].
pub(super) fn catalog_range() -> ScanRange {
    ScanRange::prefix([CATALOG_KIND])
}

/// The row of a series' definition. Names are not empty, so that it isn't [`META_KEY`].
pub(super) fn catalog_key(name: &str) -> Vec<u8> {
    [META_KEY, name.as_bytes()].concat()
}

/// The name of the series whose definition stands at `row`.
pub(super) fn decode_catalog_key(row: &[u8]) -> Option<&str> {
    std::str::from_utf8(row.strip_prefix(META_KEY)?).ok()
}

pub(super) fn encode_meta(next_id: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, ROWS_VERSION);
    put_varint(&mut value, next_id);
    value
}

/// The next id.
pub(super) fn decode_meta(mut value: &[u8]) -> Result<u64> {
    match take_varint(&mut value) {
        Some(ROWS_VERSION) => {}
        Some(version) if version > ROWS_VERSION => {
            let message = format!(
                "the series are in format {version}, this build reads up to {ROWS_VERSION}: use a newer one"
            );
            return Err(Error::new(Code::Version, message));
        }
        _ => return Err(damaged(META_KEY, "its format version is not one")),
    }
    match take_varint(&mut value) {
        Some(next_id) if value.is_empty() && next_id >= FIRST_NUMBER => Ok(next_id),
        _ => Err(damaged(META_KEY, "it does not hold a next id")),
    }
}

pub(super) fn encode_definition(id: u64, options: SeriesOptions) -> Vec<u8> {
    let mut value = Vec::new();
    for number in [id, options.retention_secs.unwrap_or(0), options.time_bucket_secs] {
        put_varint(&mut value, number);
    }
    value
}

/// The id and the options of a series.
pub(super) fn decode_definition(mut value: &[u8], row: &[u8]) -> Result<(u64, SeriesOptions)> {
    let mut take = || take_varint(&mut value);
    let numbers = take().zip(take()).zip(take());
    match numbers {
        Some(((id, retention), time_bucket_secs))
            if value.is_empty() && (FIRST_NUMBER..=IDS.highest).contains(&id) =>
        {
            let retention_secs = (retention > 0).then_some(retention);
            Ok((id, SeriesOptions { retention_secs, time_bucket_secs }))
        }
        _ => Err(damaged(row, "it does not hold the definition of a series")),
    }
}

/// What the keys of a series' records begin with.
pub(super) fn record_prefix(id: u64) -> Vec<u8> {
    let mut prefix = vec![RECORD_KIND];
    put_varint(&mut prefix, id);
    prefix
}

/// What the rows of one record key begin with, everything before the time.
///
/// # Errors
///
/// `InvalidKey` for a key of more than [`RECORD_KEY_BYTES_MAX`] bytes.
pub(super) fn key_prefix(id: u64, key: &[u8]) -> Result<Vec<u8>> {
    if key.len() > RECORD_KEY_BYTES_MAX {
        let message = format!("a record key of {} bytes: the most is {RECORD_KEY_BYTES_MAX}", key.len());
        return Err(Error::new(Code::InvalidKey, message));
    }
    let mut row = record_prefix(id);
    put_escaped(&mut row, key);
    row.extend_from_slice(&[0, 0]);
    Ok(row)
}

/// The row of a record.
///
/// # Errors
///
/// As [`key_prefix`].
pub(super) fn record_row(id: u64, key: &[u8], ts: i64) -> Result<Vec<u8>> {
    let mut row = key_prefix(id, key)?;
    row.extend_from_slice(&encode_time(ts));
    Ok(row)
}

/// The rows of one record key within `times`, which is not empty.
///
/// # Errors
///
/// As [`key_prefix`].
pub(super) fn rows_of_key(id: u64, key: &[u8], times: Times) -> Result<ScanRange> {
    let first = record_row(id, key, times.first)?;
    let mut behind = record_row(id, key, times.last)?;
    behind.push(0);
    Ok(ScanRange::between(first, behind))
}

/// The rows of all record keys that begin with `prefix`.
pub(super) fn rows_of_prefix(id: u64, prefix: &[u8]) -> ScanRange {
    let mut row = record_prefix(id);
    put_escaped(&mut row, prefix);
    ScanRange::prefix(row)
}

/// The rows of the record keys between two bounds.
pub(super) fn rows_of_keys(id: u64, (lower, upper): (Bound<&[u8]>, Bound<&[u8]>)) -> ScanRange {
    let all = ScanRange::prefix(record_prefix(id));
    // Behind a zero byte stands a 0 or ESCAPED: with a 0 the rows of the key itself begin, with a 1 they have ended.
    let at = |key: &[u8], behind: u8| {
        let mut row = record_prefix(id);
        put_escaped(&mut row, key);
        row.extend_from_slice(&[0, behind]);
        row
    };
    let start = match lower {
        Bound::Unbounded => all.start,
        Bound::Included(key) => Bound::Included(at(key, 0)),
        Bound::Excluded(key) => Bound::Included(at(key, 1)),
    };
    let end = match upper {
        Bound::Unbounded => all.end,
        Bound::Included(key) => Bound::Excluded(at(key, 1)),
        Bound::Excluded(key) => Bound::Excluded(at(key, 0)),
    };
    ScanRange { start, end }
}

/// The key and the time of the record at `row`, which begins with `prefix`.
pub(super) fn decode_row(row: &[u8], prefix: &[u8]) -> Result<(Vec<u8>, i64)> {
    row.strip_prefix(prefix)
        .and_then(take_key_and_time)
        .ok_or_else(|| damaged(row, "it is not the row of a record of this series"))
}

fn take_key_and_time(mut rest: &[u8]) -> Option<(Vec<u8>, i64)> {
    let mut key = Vec::with_capacity(rest.len());
    loop {
        match take_u8(&mut rest)? {
            0 if take_u8(&mut rest)? == 0 => break,
            0 => key.push(0),
            byte => key.push(byte),
        }
    }
    let time: [u8; TIME_BYTES] = rest.try_into().ok()?;
    Some((key, decode_time(time)))
}

fn put_escaped(out: &mut Vec<u8>, key: &[u8]) {
    out.reserve(key.len() + TIME_BYTES + 2);
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(ESCAPED);
        }
    }
}

/// A `Corruption` that names the row.
pub(super) fn damaged(row: &[u8], how: &str) -> Error {
    /// A key may be kilobytes long; its beginning tells which row it is.
    const SHOWN: usize = 48;
    let shown = row.get(..SHOWN).unwrap_or(row);
    Error::new(Code::Corruption, format!("a row of a series ({shown:02x?}): {how}"))
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    #[test]
    fn rows_sort_as_key_and_time_do_and_come_back_as_they_went_in() {
        let keys: [&[u8]; 9] =
            [b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"\xff\xff"];
        let mut records = Vec::new();
        for key in keys {
            for ts in [i64::MIN, -1, 0, 1_700_000_000_000_000, i64::MAX] {
                records.push((key.to_vec(), ts));
            }
        }
        records.sort();
        let rows: Vec<Vec<u8>> = records.iter().map(|(key, ts)| record_row(300, key, *ts).unwrap()).collect();
        assert!(rows.is_sorted());
        for (row, record) in rows.iter().zip(&records) {
            assert_eq!(decode_row(row, &record_prefix(300)).unwrap(), *record);
        }
    }

    #[test]
    fn ranges_of_rows_hold_the_records_that_their_bounds_say() {
        let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"a\xff", b"b"];
        let holds = |range: &ScanRange, key: &[u8], ts: i64| {
            let bounds = (range.start.as_ref().map(Vec::as_slice), range.end.as_ref().map(Vec::as_slice));
            <(Bound<&[u8]>, Bound<&[u8]>) as RangeBounds<[u8]>>::contains(
                &bounds,
                &record_row(7, key, ts).unwrap()[..],
            )
        };
        for key in keys {
            for ts in [i64::MIN, -3, 0, i64::MAX] {
                for other in keys {
                    let range = rows_of_keys(7, (Bound::Included(other), Bound::Unbounded));
                    assert_eq!(holds(&range, key, ts), key >= other);
                    let range = rows_of_keys(7, (Bound::Excluded(other), Bound::Unbounded));
                    assert_eq!(holds(&range, key, ts), key > other);
                    let range = rows_of_keys(7, (Bound::Unbounded, Bound::Included(other)));
                    assert_eq!(holds(&range, key, ts), key <= other);
                    let range = rows_of_keys(7, (Bound::Unbounded, Bound::Excluded(other)));
                    assert_eq!(holds(&range, key, ts), key < other);
                    assert_eq!(holds(&rows_of_prefix(7, other), key, ts), key.starts_with(other));
                    let range = rows_of_key(7, other, Times { first: -3, last: 0 }).unwrap();
                    assert_eq!(holds(&range, key, ts), key == other && (-3..=0).contains(&ts));
                }
                assert!(!holds(&rows_of_prefix(6, b""), key, ts) && !holds(&rows_of_prefix(8, b""), key, ts));
            }
        }
    }

    #[test]
    fn a_row_that_is_not_one_of_a_record_is_corruption() {
        let row = record_row(7, b"a\0b", 5).unwrap();
        for end in 0..row.len() {
            assert_eq!(decode_row(&row[..end], &record_prefix(7)).unwrap_err().code(), Code::Corruption);
        }
        assert!(decode_row(&[&row[..], b"x"].concat(), &record_prefix(7)).is_err());
        assert!(decode_row(&row, &record_prefix(8)).is_err());
    }

    /// The rows of docs/format/series.md.
    #[test]
    fn the_rows_are_frozen() {
        let options = SeriesOptions { retention_secs: Some(86_400), time_bucket_secs: 3_600 };

        assert_eq!(encode_meta(2), [1, 2]);
        assert_eq!(catalog_key("heat"), *b"\x05heat");
        assert_eq!(encode_definition(1, options), [1, 0x80, 0xa3, 5, 0x90, 0x1c]);
        let row = record_row(1, b"a\0b", 1_700_000_000_000_000).unwrap();
        assert_eq!(row, *b"\x06\x01a\0\xffb\0\0\x80\x06\x0a\x24\x18\x1e\x40\x00");
        let row = record_row(1, b"", -1).unwrap();
        assert_eq!(row, *b"\x06\x01\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    }
}
