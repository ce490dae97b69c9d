//! The keys of the rows in which structures are kept. docs/format/structures.md is the reference.
//!
//! A key has one row, its header, which names the structure by a number; everything else of the structure lies under that
//! number. Numbers have a fixed length and are never given twice. What a user names (a key, a field, a member) stands last
//! and as it is, so that rows sort by its bytes.
#![forbid(unsafe_code)]

use super::Type;
use super::number::order_of_score;
use crate::engine::KEY_BYTES_MAX;
use crate::error::{Code, Error, Result};
use crate::jsondb::{RowRange, successor};

/// The longest key, field or member, in bytes: with what stands before it, it is still a key of the engine's.
pub const STRUCTURE_KEY_BYTES_MAX: usize = KEY_BYTES_MAX - 64;

/// How many databases there are, numbered from 0 on.
pub const DATABASES_MAX: u32 = 1 << 14;

/// The bytes of a structure's number.
pub(super) const ID_BYTES: usize = 6;

/// No structure has this number or a greater one.
pub(super) const IDS_MAX: u64 = 1 << (8 * ID_BYTES);

/// The bytes of the number of a database.
const DATABASE_BYTES: usize = 2;

/// The first byte of the rows that name structures. Part of the format, as all that follow.
const NAMES: u8 = 0x0a;
/// … of the rows of fields and members, by name.
const MEMBERS: u8 = 0x0b;
/// … of the members of sorted sets in their order.
const ORDER: u8 = 0x0c;
/// … of the rows that count the members of a large sorted set.
const COUNTS: u8 = 0x0d;
/// … of what is numbered: the elements of lists and the members of sets.
const PLACES: u8 = 0x0e;

const HEADER: u8 = 0x01;
const EXPIRY: u8 = 0x02;

/// The row that says in which version the rows are and which number comes next.
pub(super) const META_KEY: &[u8] = &[NAMES, 0x00];

/// What a key's header is found under.
pub(super) fn header_key(database: u32, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(2 + DATABASE_BYTES + key.len());
    row.extend_from_slice(&[NAMES, HEADER]);
    put_database(&mut row, database);
    row.extend_from_slice(key);
    row
}

/// The headers of one database.
pub(super) fn headers(database: u32) -> RowRange {
    RowRange { start: header_key(database, &[]), end: header_key(database + 1, &[]) }
}

/// The headers of the databases before one, and of those behind it.
pub(super) fn headers_beside(database: u32) -> [RowRange; 2] {
    [
        RowRange { start: header_key(0, &[]), end: header_key(database, &[]) },
        RowRange { start: header_key(database + 1, &[]), end: vec![NAMES, EXPIRY] },
    ]
}

/// Every row that belongs to any structure.
pub(super) fn everything() -> RowRange {
    RowRange { start: vec![NAMES, HEADER], end: vec![PLACES + 1] }
}

/// The database and the key whose header a row is.
pub(super) fn decode_header_key(row: &[u8]) -> Option<(u32, &[u8])> {
    take_database(row.strip_prefix(&[NAMES, HEADER])?)
}

/// The row that says that a key expires at `expires_at`.
pub(super) fn expiry_key(expires_at: u64, database: u32, key: &[u8]) -> Vec<u8> {
    let mut row = expiry_prefix(expires_at);
    put_database(&mut row, database);
    row.extend_from_slice(key);
    row
}

fn expiry_prefix(expires_at: u64) -> Vec<u8> {
    let mut row = Vec::with_capacity(64);
    row.extend_from_slice(&[NAMES, EXPIRY]);
    row.extend_from_slice(&expires_at.to_be_bytes());
    row
}

/// The rows that tell of what has expired at `now_ms`.
pub(super) fn expired(now_ms: u64) -> RowRange {
    RowRange { start: expiry_prefix(0), end: expiry_prefix(now_ms.saturating_add(1)) }
}

/// The database and the key of which an expiry row tells.
pub(super) fn decode_expiry_key(row: &[u8]) -> Option<(u32, &[u8])> {
    let (_, rest) = row.strip_prefix(&[NAMES, EXPIRY])?.split_first_chunk::<8>()?;
    take_database(rest)
}

fn put_database(row: &mut Vec<u8>, database: u32) {
    // Checked where it is chosen; one more is the end of a range.
    row.extend_from_slice(&(database as u16).to_be_bytes());
}

fn take_database(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (database, key) = rest.split_first_chunk::<DATABASE_BYTES>()?;
    Some((u32::from(u16::from_be_bytes(*database)), key))
}

fn with_id(kind: u8, id: u64, more: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + ID_BYTES + more);
    row.push(kind);
    row.extend_from_slice(&id.to_be_bytes()[8 - ID_BYTES..]);
    row
}

fn joined(mut prefix: Vec<u8>, rest: &[u8]) -> Vec<u8> {
    prefix.extend_from_slice(rest);
    prefix
}

/// The rows that begin with a kind and a structure's number.
fn of_structure(kind: u8, id: u64) -> RowRange {
    RowRange { start: with_id(kind, id, 0), end: with_id(kind, id + 1, 0) }
}

/// The rows of each kind that begins with a structure's number, all structures together.
pub(super) fn rows_of_any() -> [RowRange; 4] {
    [MEMBERS, ORDER, COUNTS, PLACES].map(|kind| RowRange { start: vec![kind], end: vec![kind + 1] })
}

/// The structure's number with which a row of one of these kinds begins.
pub(super) fn id_of(row: &[u8]) -> Option<u64> {
    let id = row.get(1..)?.first_chunk::<ID_BYTES>()?;
    Some(id.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The headers and the expiry rows of all databases.
pub(super) fn names() -> RowRange {
    RowRange { start: vec![NAMES, HEADER], end: vec![NAMES + 1] }
}

/// The row of a field or member, and, where the name is empty, that of a long string.
pub(super) fn member_key(id: u64, member: &[u8]) -> Vec<u8> {
    joined(with_id(MEMBERS, id, member.len()), member)
}

/// The rows of all fields or members.
pub(super) fn members(id: u64) -> RowRange {
    of_structure(MEMBERS, id)
}

/// The fields or members behind one.
pub(super) fn members_behind(id: u64, member: &[u8]) -> RowRange {
    RowRange { start: successor(&member_key(id, member)), end: members(id).end }
}

/// The field or member that stands in the key of its row.
pub(super) fn member_of(row: &[u8]) -> &[u8] {
    row.get(1 + ID_BYTES..).unwrap_or_default()
}

/// The place of a member in the order of its sorted set: its score, then its bytes.
pub(super) fn place_in_order(score: f64, member: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(8 + member.len());
    place.extend_from_slice(&order_of_score(score).to_be_bytes());
    place.extend_from_slice(member);
    place
}

/// The row of a member at its place in the order.
pub(super) fn order_key(id: u64, place: &[u8]) -> Vec<u8> {
    joined(with_id(ORDER, id, place.len()), place)
}

/// The rows of a sorted set in its order.
pub(super) fn order(id: u64) -> RowRange {
    of_structure(ORDER, id)
}

/// Those from one place (inclusive) to another (exclusive), or to the end.
pub(super) fn order_between(id: u64, start: &[u8], end: Option<&[u8]>) -> RowRange {
    let end = end.map_or_else(|| order(id).end, |end| order_key(id, end));
    RowRange { start: order_key(id, start), end }
}

/// The place that stands in the key of a row of the order.
pub(super) fn place_of(row: &[u8]) -> &[u8] {
    row.get(1 + ID_BYTES..).unwrap_or_default()
}

/// The row that counts what lies from `start` on, at a level.
pub(super) fn count_key(id: u64, level: u8, start: &[u8]) -> Vec<u8> {
    let mut row = with_id(COUNTS, id, 1 + start.len());
    row.push(level);
    row.extend_from_slice(start);
    row
}

/// All rows that count.
pub(super) fn counts(id: u64) -> RowRange {
    of_structure(COUNTS, id)
}

/// Where the part begins that a counting row counts.
pub(super) fn counted_from(row: &[u8]) -> &[u8] {
    row.get(2 + ID_BYTES..).unwrap_or_default()
}

/// The row of what has a number in a structure.
pub(super) fn place_key(id: u64, place: u64) -> Vec<u8> {
    joined(with_id(PLACES, id, 8), &place.to_be_bytes())
}

/// The rows of the numbers from `start` (inclusive) to `end` (exclusive).
pub(super) fn places_between(id: u64, start: u64, end: u64) -> RowRange {
    RowRange { start: place_key(id, start), end: place_key(id, end) }
}

/// All rows of what has a number.
pub(super) fn places(id: u64) -> RowRange {
    of_structure(PLACES, id)
}

/// The ranges in which a structure of a type has its rows.
pub(super) fn rows_of(kind: Type, id: u64) -> Vec<RowRange> {
    match kind {
        Type::String | Type::Hash => vec![members(id)],
        Type::Set => vec![members(id), places(id)],
        Type::SortedSet => vec![members(id), order(id), counts(id)],
        Type::List => vec![places(id)],
    }
}

/// # Errors
///
/// `InvalidKey` for one that is too long.
pub(super) fn check_name(what: &str, name: &[u8]) -> Result<()> {
    if name.len() <= STRUCTURE_KEY_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a {what} of {} bytes: the most is {STRUCTURE_KEY_BYTES_MAX}", name.len());
    Err(Error::new(Code::InvalidKey, message))
}

/// A `Corruption` that names the row.
pub(super) fn damaged(row: &[u8], how: &str) -> Error {
    use std::fmt::Write;
    // A key may be kilobytes long; its beginning tells which row it is.
    const SHOWN: usize = 48;
    let mut text = String::from("a row of a structure (");
    for byte in row.iter().take(SHOWN) {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    let more = if row.len() > SHOWN { "…" } else { "" };
    Error::new(Code::Corruption, format!("{text}{more}) is damaged: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_structure_are_in_its_ranges_and_in_those_of_no_other() {
        let id = 0xff_ffff;
        let rows = [
            member_key(id, b""),
            member_key(id, &[0xff; 9]),
            order_key(id, &place_in_order(f64::INFINITY, &[0xff; 9])),
            count_key(id, 2, &[0xff; 9]),
            place_key(id, u64::MAX),
        ];
        for row in &rows {
            let holds = |id| {
                let kinds = [Type::Hash, Type::Set, Type::SortedSet, Type::List];
                kinds.iter().any(|kind| rows_of(*kind, id).iter().any(|range| range.contains(row)))
            };
            assert!(holds(id) && !holds(id + 1) && !holds(id - 1), "{row:x?}");
            assert!(everything().contains(row));
        }
    }

    #[test]
    fn the_headers_of_a_database_are_its_own() {
        for key in [&b""[..], &[0xff; 9]] {
            let row = header_key(7, key);
            assert!(headers(7).contains(&row) && everything().contains(&row));
            assert!(!headers(6).contains(&row) && !headers(8).contains(&row));
            assert!(!headers_beside(7).iter().any(|range| range.contains(&row)));
            assert!(headers_beside(6)[1].contains(&row) && headers_beside(8)[0].contains(&row));
            assert_eq!(decode_header_key(&row), Some((7, key)));
        }
        assert!(!everything().contains(META_KEY));
    }

    #[test]
    fn what_expires_at_a_moment_has_expired_at_it() {
        let row = expiry_key(1_000, 3, b"k");
        assert!(expired(1_000).contains(&row) && !expired(999).contains(&row));
        assert_eq!(decode_expiry_key(&row), Some((3, &b"k"[..])));
        assert_eq!((decode_expiry_key(&header_key(3, b"k")), decode_header_key(&row)), (None, None));
    }
}
