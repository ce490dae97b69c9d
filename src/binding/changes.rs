//! Many changes of one store as one commit, in the order in which they are given: docs/binding.md lists every byte.
//!
//! Invariant: all of the changes are made, or none.
#![forbid(unsafe_code)]

use crate::error::{Code, Error, Result};
use crate::jsondb::{Document, Format, JsonDb, Key, Transaction};

use super::packing::{Answer, take_bytes, take_format, take_text, take_u8, take_u32};

/// The number of the verb that this file reads.
pub(super) const VERB: u8 = 95;

/// The changes of a store.
#[derive(Debug, PartialEq)]
pub(crate) struct Changes<'a> {
    store: &'a str,
    changes: Vec<RawChange<'a>>,
}

/// One of these changes.
#[derive(Debug, PartialEq)]
pub(crate) enum RawChange<'a> {
    Put {
        key: &'a [u8],
        format: Format,
        document: &'a [u8],
    },
    Delete {
        key: &'a [u8],
    },
    Clear,
    /// Changes nothing, and lets all fail unless the store has this document, or none, under the key.
    Check {
        key: &'a [u8],
        document: Option<(Format, &'a [u8])>,
    },
}

/// The fields of the operation.
pub(super) fn take_changes<'a>(input: &mut &'a [u8]) -> Option<Changes<'a>> {
    let (store, count) = (take_text(input)?, take_u32(input)?);
    // The count is not trusted with an allocation.
    let changes = (0..count).map(|_| take_change(input)).collect::<Option<_>>()?;
    Some(Changes { store, changes })
}

fn take_change<'a>(input: &mut &'a [u8]) -> Option<RawChange<'a>> {
    Some(match take_u8(input)? {
        1 => RawChange::Put {
            key: take_bytes(input)?,
            format: take_format(input)?,
            document: take_bytes(input)?,
        },
        2 => RawChange::Delete { key: take_bytes(input)? },
        3 => RawChange::Clear,
        4 => RawChange::Check {
            key: take_bytes(input)?,
            document: Some((take_format(input)?, take_bytes(input)?)),
        },
        5 => RawChange::Check { key: take_bytes(input)?, document: None },
        _ => return None,
    })
}

/// Makes the changes, all or none.
pub(crate) fn execute(json: &JsonDb, Changes { store, changes }: &Changes<'_>) -> Result<Answer> {
    json.update(&[store], None, |transaction| {
        changes.iter().try_for_each(|change| apply(transaction, store, change))
    })
    .map(|()| Answer::Nothing)
}

fn apply(transaction: &mut Transaction, store: &str, change: &RawChange<'_>) -> Result<()> {
    match change {
        RawChange::Put { key, format, document } => {
            let document = Document { format: *format, bytes: document.to_vec() };
            transaction.put(store, Some(Key::from_encoded(*key)?), document).map(drop)
        }
        RawChange::Delete { key } => transaction.delete(store, &Key::from_encoded(*key)?).map(drop),
        RawChange::Clear => transaction.clear(store),
        RawChange::Check { key, document } => {
            let found = transaction.get(store, &Key::from_encoded(*key)?)?.map(|row| row.document);
            let found = found.as_ref().map(|document| (document.format, &document.bytes[..]));
            if found == *document {
                return Ok(());
            }
            let message = format!("a document of the store {store:?} is not the one that was expected");
            Err(Error::new(Code::Constraint, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::jsondb::{KeyRange, KeyValue, Mode, StoreOptions};

    fn key(number: f64) -> Key {
        Key::encode(&KeyValue::Number(number)).unwrap()
    }

    fn put(key: &Key) -> RawChange<'_> {
        RawChange::Put { key: key.as_bytes(), format: Format::Json, document: b"1" }
    }

    fn apply_to(json: &JsonDb, changes: Vec<RawChange<'_>>) -> Result<Answer> {
        execute(json, &Changes { store: "s", changes })
    }

    fn count(json: &JsonDb) -> u64 {
        json.begin(&["s"], Mode::ReadOnly).unwrap().count("s", &KeyRange::all()).unwrap()
    }

    #[test]
    fn changes_are_made_in_their_order_and_all_or_none() {
        let json = JsonDb::open(Config::in_memory()).unwrap();
        json.create_object_store("s", StoreOptions::default()).unwrap();
        let (one, two) = (key(1.0), key(2.0));

        apply_to(&json, vec![put(&one), put(&two)]).unwrap();
        assert_eq!(count(&json), 2);
        apply_to(&json, vec![RawChange::Clear, put(&two), RawChange::Delete { key: one.as_bytes() }])
            .unwrap();
        assert_eq!(count(&json), 1);

        let is_there = || RawChange::Check { key: two.as_bytes(), document: Some((Format::Json, b"1")) };
        let failed = apply_to(&json, vec![put(&one), RawChange::Clear, is_there()]);
        assert_eq!(failed.err().unwrap().code(), Code::Constraint);
        assert_eq!(count(&json), 1);
        let is_missing = RawChange::Check { key: one.as_bytes(), document: None };
        apply_to(&json, vec![is_there(), is_missing, put(&one)]).unwrap();
        assert_eq!(count(&json), 2);
    }

    #[test]
    fn changes_cut_anywhere_are_refused() {
        let mut fields = vec![1, 0, 0, 0, b's', 2, 0, 0, 0, 3, 4, 1, 0, 0, 0, 9, 1, 2, 0, 0, 0];
        fields.extend_from_slice(b"{}");
        let mut whole = &fields[..];
        let expected =
            vec![RawChange::Clear, RawChange::Check { key: &[9], document: Some((Format::Json, b"{}")) }];

        assert_eq!(take_changes(&mut whole), Some(Changes { store: "s", changes: expected }));
        for end in 0..fields.len() {
            assert_eq!(take_changes(&mut &fields[..end]), None, "cut at {end}");
        }
    }
}
