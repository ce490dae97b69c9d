//! Watching from JavaScript: docs/binding.md lists every byte.
//!
//! JavaScript takes the changes that wait, and is told by a notice when some have come after it had found none. So a
//! watch has no request under way while nothing happens, and keeps no process alive.
#![forbid(unsafe_code)]

use std::ops::Bound;

use crate::error::{Code, Error, Result};
use crate::jsondb::{Change, Document, KeyRange, Overflow, Taken, WatchOptions};

use super::database::Database;
use super::packing::{
    Answer, LOWER, LOWER_OPEN, PREFIX, PageSize, RawRange, UPPER, UPPER_OPEN, length_u32, put_bytes,
    take_optional_text, take_page_size, take_range, take_u8, take_u32,
};

/// The verbs that this file reads begin with this number.
pub(super) const FIRST_VERB: u8 = 75;

/// The kind of an answer that holds changes.
pub(super) const CHANGES: u8 = 21;
/// The kind of a notice that changes wait, which answers no request.
const NOTICE: u8 = 22;

const VALUES: u8 = 1;
const OLD_VALUES: u8 = 2;

/// What an operation asks for. A watch has a number that no other one of its environment has.
#[derive(Debug, PartialEq)]
pub(crate) enum WatchVerb<'a> {
    Open {
        watch: u32,
        store: Option<&'a str>,
        range: RawRange<'a>,
        wants: u8,
        buffer: u32,
        overflow: Overflow,
    },
    Take {
        watch: u32,
        size: PageSize,
    },
    Close {
        watch: u32,
    },
}

/// The fields of the operation with this number.
pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<WatchVerb<'a>> {
    Some(match number {
        75 => WatchVerb::Open {
            watch: take_u32(input)?,
            store: take_optional_text(input)?,
            range: take_range(input)?,
            wants: take_u8(input)?,
            buffer: take_u32(input)?,
            overflow: take_overflow(input)?,
        },
        76 => WatchVerb::Take { watch: take_u32(input)?, size: take_page_size(input)? },
        77 => WatchVerb::Close { watch: take_u32(input)? },
        _ => return None,
    })
}

fn take_overflow(input: &mut &[u8]) -> Option<Overflow> {
    match take_u8(input)? {
        0 => Some(Overflow::Error),
        1 => Some(Overflow::DropOldest),
        2 => Some(Overflow::Coalesce),
        _ => None,
    }
}

/// Does what an operation asks for.
pub(super) fn execute(database: &Database, verb: &WatchVerb<'_>) -> Result<Answer> {
    match verb {
        WatchVerb::Open { watch, store, range, wants, buffer, overflow } => {
            let options = WatchOptions {
                store: store.map(str::to_owned),
                range: range.decode()?,
                values: wants & VALUES != 0,
                old_values: wants & OLD_VALUES != 0,
                buffer: *buffer as usize,
                overflow: *overflow,
            };
            database.watch(*watch, options).map(|()| Answer::Nothing)
        }
        WatchVerb::Take { watch, size } => database.take_changes(*watch, *size).map(Answer::Changes),
        WatchVerb::Close { watch } => {
            database.forget_watch(*watch);
            Ok(Answer::Nothing)
        }
    }
}

/// Tells JavaScript that changes wait, or that there will be none.
pub(super) fn notice(watch: u32) -> Vec<u8> {
    let mut answer = 0u32.to_le_bytes().to_vec();
    answer.push(NOTICE);
    answer.extend_from_slice(&4u32.to_le_bytes());
    answer.extend_from_slice(&watch.to_le_bytes());
    answer
}

/// The error of a watch that is no more.
pub(super) fn no_watch() -> Error {
    Error::new(Code::Closed, "the watch has ended")
}

/// Packs changes.
pub(super) fn put_changes(out: &mut Vec<u8>, taken: &Taken) {
    out.push(u8::from(taken.has_ended));
    out.extend_from_slice(&length_u32(taken.changes.len()).to_le_bytes());
    for change in &taken.changes {
        put_change(out, change);
    }
}

fn put_change(out: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Put { store, key, version, updated_at, expires_at, value, old_value } => {
            out.push(1);
            put_bytes(out, store.as_bytes());
            put_bytes(out, key.as_bytes());
            // JavaScript counts in f64, exact to 2^53; times are far below.
            for number in [version, updated_at, expires_at] {
                out.extend_from_slice(&(*number as f64).to_le_bytes());
            }
            put_document(out, value.as_deref());
            put_document(out, old_value.as_deref());
        }
        Change::Delete { store, key, old_value } => {
            out.push(2);
            put_bytes(out, store.as_bytes());
            put_bytes(out, key.as_bytes());
            put_document(out, old_value.as_deref());
        }
        Change::DeleteRange { store, range } => put_range(out, store, range),
        Change::Clear { store } => {
            out.push(4);
            put_bytes(out, store.as_bytes());
        }
        Change::Drop { store } => {
            out.push(5);
            put_bytes(out, store.as_bytes());
        }
        Change::Lost { changes } => put_lost(out, *changes),
    }
}

fn put_lost(out: &mut Vec<u8>, changes: u64) {
    out.push(6);
    out.extend_from_slice(&(changes as f64).to_le_bytes());
}

fn put_document(out: &mut Vec<u8>, document: Option<&Document>) {
    match document {
        Some(document) => {
            out.push(document.format as u8);
            put_bytes(out, &document.bytes);
        }
        None => out.push(0),
    }
}

fn put_range(out: &mut Vec<u8>, store: &str, range: &KeyRange) {
    let mut packed = vec![3];
    put_bytes(&mut packed, store.as_bytes());
    if let Bound::Included(key) = &range.lower
        && KeyRange::prefix(key.clone()).is_ok_and(|prefix| prefix == *range)
    {
        packed.push(LOWER | PREFIX);
        put_bytes(&mut packed, key.as_bytes());
        out.append(&mut packed);
        return;
    }
    let flags = match range.lower {
        Bound::Unbounded => 0,
        Bound::Included(_) => LOWER,
        Bound::Excluded(_) => LOWER | LOWER_OPEN,
    };
    let upper_flags = match range.upper {
        Bound::Unbounded => 0,
        Bound::Included(_) => UPPER,
        Bound::Excluded(_) => UPPER | UPPER_OPEN,
    };
    packed.push(flags | upper_flags);
    for bound in [&range.lower, &range.upper] {
        if let Bound::Included(key) | Bound::Excluded(key) = bound {
            if key.decode().is_err() {
                // Only Rust can delete such a range, which no keys say.
                return put_lost(out, 1);
            }
            put_bytes(&mut packed, key.as_bytes());
        }
    }
    out.append(&mut packed);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::jsondb::{Key, KeyValue};

    #[test]
    fn a_watch_reads_back_and_one_cut_anywhere_is_refused() {
        let mut fields = 9u32.to_le_bytes().to_vec();
        put_bytes(&mut fields, b"users");
        fields.extend_from_slice(&[0, VALUES]);
        fields.extend_from_slice(&1000u32.to_le_bytes());
        fields.push(2);

        let Some(WatchVerb::Open {
            watch: 9, store: Some("users"), wants: 1, buffer: 1000, overflow, ..
        }) = take_verb(75, &mut &fields[..])
        else {
            panic!("it was not read")
        };
        assert_eq!(overflow, Overflow::Coalesce);
        for end in 0..fields.len() {
            assert_eq!(take_verb(75, &mut &fields[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_range_that_keys_can_not_say_is_given_as_lost() {
        let key = |text: &str| Key::encode(&KeyValue::from(text)).unwrap();
        let prefix = KeyRange::prefix(key("ab")).unwrap();
        let within = KeyRange { lower: Bound::Included(key("abc")), upper: prefix.upper.clone() };
        let packed = |range| {
            let mut out = Vec::new();
            put_change(&mut out, &Change::DeleteRange { store: Arc::from("s"), range });
            out
        };

        assert_eq!(packed(prefix)[..7], [3, 1, 0, 0, 0, b's', LOWER | PREFIX]);
        assert_eq!(packed(within)[0], 6);
        assert_eq!(packed(KeyRange::only(key("a")))[..7], [3, 1, 0, 0, 0, b's', LOWER | UPPER]);
    }
}
