//! The packed operations on versions, expiries and savepoints: docs/binding.md lists every byte.
#![forbid(unsafe_code)]

use crate::config::{SYNC_INTERVAL_MS, SyncMode};
use crate::jsondb::{Expires, PutOptions, Row, Savepoint};

use super::packing::{
    Verb, put_bytes, take_bytes, take_format, take_optional_bytes, take_optional_text, take_text, take_u8,
};

/// The numbers of the verbs that this file reads.
pub(super) const FIRST_VERB: u8 = 40;
pub(super) const LAST_VERB: u8 = 46;

const IF_ABSENT: u8 = 1;
const IF_VERSION: u8 = 2;
const DURABILITY_SHIFT: u8 = 2;

/// The fields of the operation with this number.
pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<Verb<'a>> {
    Some(match number {
        40 => Verb::PutWith {
            store: take_text(input)?,
            key: take_optional_bytes(input)?,
            format: take_format(input)?,
            document: take_bytes(input)?,
            sync: sync_of(*input.first()?),
            options: take_options(input)?,
        },
        41 => {
            Verb::Touch { store: take_text(input)?, key: take_bytes(input)?, expires: take_expires(input)? }
        }
        42 => Verb::GetEntry { store: take_text(input)?, key: take_bytes(input)? },
        43 => Verb::Purge { store: take_optional_text(input)? },
        44 => Verb::SetDefaultTtl { store: take_text(input)?, ms: take_u64(input)? },
        45 => Verb::Savepoint,
        46 => Verb::RollbackTo { savepoint: Savepoint::with_number(take_u64(input)?) },
        _ => return None,
    })
}

/// The durability that the flags of a put ask for.
fn sync_of(flags: u8) -> Option<SyncMode> {
    match flags >> DURABILITY_SHIFT & 3 {
        0 => None,
        1 => Some(SyncMode::Always),
        2 => Some(SyncMode::Interval(SYNC_INTERVAL_MS)),
        _ => Some(SyncMode::Never),
    }
}

pub(super) fn take_options(input: &mut &[u8]) -> Option<PutOptions> {
    let flags = take_u8(input)?;
    let version = take_u64(input)?;
    Some(PutOptions {
        expires: take_expires(input)?,
        if_version: (flags & IF_VERSION != 0).then_some(version),
        if_absent: flags & IF_ABSENT != 0,
    })
}

fn take_expires(input: &mut &[u8]) -> Option<Expires> {
    let kind = take_u8(input)?;
    let ms = take_u64(input)?;
    match kind {
        0 => Some(Expires::Default),
        1 => Some(Expires::Never),
        2 => Some(Expires::At(ms)),
        3 => Some(Expires::After(ms)),
        _ => None,
    }
}

pub(super) fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

/// Packs a document with what is known of it.
pub(super) fn put_entry(out: &mut Vec<u8>, row: &Row) {
    put_bytes(out, row.key.as_bytes());
    // JavaScript counts in f64, exact to 2^53; times are far below.
    for number in [row.version, row.updated_at, row.expires_at] {
        out.extend_from_slice(&(number as f64).to_le_bytes());
    }
    out.push(row.document.format as u8);
    put_bytes(out, &row.document.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsondb::Format;

    #[test]
    fn a_put_with_conditions_reads_back_and_one_cut_anywhere_is_refused() {
        let mut fields = Vec::new();
        put_bytes(&mut fields, b"users");
        put_bytes(&mut fields, b"key");
        fields.push(1);
        put_bytes(&mut fields, b"{}");
        fields.push(IF_VERSION | 1 << DURABILITY_SHIFT);
        fields.extend_from_slice(&7u64.to_le_bytes());
        fields.push(3);
        fields.extend_from_slice(&60_000u64.to_le_bytes());

        let options = PutOptions { expires: Expires::After(60_000), if_version: Some(7), if_absent: false };
        let expected = Verb::PutWith {
            store: "users",
            key: Some(b"key"),
            format: Format::Json,
            document: b"{}",
            options,
            sync: Some(SyncMode::Always),
        };
        assert_eq!(take_verb(40, &mut &fields[..]), Some(expected));
        for end in 0..fields.len() {
            assert_eq!(take_verb(40, &mut &fields[..end]), None, "cut at {end}");
        }
    }
}
