//! Changes in several stores under checks: FlashStore's `atomic()`, in one operation.
#![forbid(unsafe_code)]

use serde_json::json;

use crate::error::{Code, Error, Result};
use crate::jsondb::{Check, Document, Format, Key, Made, PutOptions, Reckoning, Settled, Step, Transaction};

use super::bulk_packing::take_list;
use super::database::Database;
use super::packing::{Answer, Operation, take_bytes, take_format, take_text, take_u8, take_u32};
use super::versions::{take_options, take_u64};

/// The number of the verb.
pub(super) const VERB: u8 = 47;

/// What is asked.
#[derive(Debug, PartialEq)]
pub(crate) struct AtomicVerb<'a> {
    /// Those that checks and changes name by their places.
    stores: Vec<&'a str>,
    checks: Vec<RawCheck<'a>>,
    changes: Vec<RawChange<'a>>,
}

#[derive(Debug, PartialEq)]
struct RawCheck<'a> {
    store: u32,
    key: &'a [u8],
    version: u64,
    updated_at: Option<u64>,
}

#[derive(Debug, PartialEq)]
struct RawChange<'a> {
    store: u32,
    key: &'a [u8],
    made: RawMade<'a>,
}

#[derive(Debug, PartialEq)]
enum RawMade<'a> {
    Deleted,
    Put(Format, &'a [u8], PutOptions),
    Reckoned(Reckoning, Format, &'a [u8]),
}

/// The fields of the operation.
pub(super) fn take_verb<'a>(input: &mut &'a [u8]) -> Option<AtomicVerb<'a>> {
    Some(AtomicVerb {
        stores: take_list(input, take_text)?,
        checks: take_list(input, |input| {
            let (store, key) = (take_u32(input)?, take_bytes(input)?);
            let (version, time) = (take_u64(input)?, take_u64(input)?);
            Some(RawCheck { store, key, version, updated_at: (time != 0).then_some(time) })
        })?,
        changes: take_list(input, |input| {
            Some(RawChange { store: take_u32(input)?, key: take_bytes(input)?, made: take_made(input)? })
        })?,
    })
}

fn take_made<'a>(input: &mut &'a [u8]) -> Option<RawMade<'a>> {
    Some(match take_u8(input)? {
        0 => RawMade::Deleted,
        1 => RawMade::Put(take_format(input)?, take_bytes(input)?, take_options(input)?),
        number => {
            RawMade::Reckoned(reckoning(number.checked_sub(2)?)?, take_format(input)?, take_bytes(input)?)
        }
    })
}

/// What is made of two numbers, by its number.
pub(super) fn reckoning(number: u8) -> Option<Reckoning> {
    match number {
        0 => Some(Reckoning::Sum),
        1 => Some(Reckoning::Min),
        2 => Some(Reckoning::Max),
        _ => None,
    }
}

/// Does it, in a transaction or in one of its own.
pub(crate) fn execute(
    database: &Database,
    operation: &Operation<'_>,
    verb: &AtomicVerb<'_>,
) -> Result<Answer> {
    if operation.transaction != 0 {
        return database.write(operation);
    }
    database.json()?.update(&verb.stores, None, |transaction| write(transaction, verb))
}

/// Writes within a transaction.
pub(crate) fn write(transaction: &mut Transaction, verb: &AtomicVerb<'_>) -> Result<Answer> {
    let checks = verb.checks.iter().map(|check| verb.check(check)).collect::<Result<Vec<_>>>()?;
    let changes = verb.changes.iter().map(|change| verb.change(change)).collect::<Result<Vec<_>>>()?;
    Ok(Answer::Text(
        match transaction.change_if(&checks, changes)? {
            Settled::Done(versions) => json!({ "ok": true, "versions": versions }),
            Settled::Unmet(place) => json!({ "ok": false, "unmet": place }),
        }
        .to_string(),
    ))
}

impl AtomicVerb<'_> {
    fn check(&self, check: &RawCheck<'_>) -> Result<Check> {
        let (store, key) = (self.store(check.store)?, Key::from_encoded(check.key)?);
        Ok(Check { store, key, version: check.version, updated_at: check.updated_at })
    }

    fn change(&self, change: &RawChange<'_>) -> Result<Step> {
        let made = match change.made {
            RawMade::Deleted => Made::Deleted,
            RawMade::Put(format, bytes, options) => {
                Made::Put(Document { format, bytes: bytes.to_vec() }, options)
            }
            RawMade::Reckoned(reckoning, format, bytes) => {
                Made::Reckoned(reckoning, Document { format, bytes: bytes.to_vec() })
            }
        };
        Ok(Step { store: self.store(change.store)?, key: Key::from_encoded(change.key)?, made })
    }

    fn store(&self, place: u32) -> Result<String> {
        let store = usize::try_from(place).ok().and_then(|place| self.stores.get(place));
        let message = "a change names a store that was not given";
        store.map(|store| (*store).to_owned()).ok_or_else(|| Error::new(Code::Internal, message))
    }
}

#[cfg(test)]
mod tests {
    use super::super::packing::put_bytes;
    use super::*;
    use crate::jsondb::Expires;

    #[test]
    fn checks_and_changes_read_back_and_those_cut_anywhere_are_refused() {
        let mut fields = Vec::new();
        fields.extend_from_slice(&1u32.to_le_bytes());
        put_bytes(&mut fields, b"users");
        fields.extend_from_slice(&1u32.to_le_bytes());
        fields.extend_from_slice(&0u32.to_le_bytes());
        put_bytes(&mut fields, b"checked");
        fields.extend_from_slice(&7u64.to_le_bytes());
        fields.extend_from_slice(&9u64.to_le_bytes());
        fields.extend_from_slice(&3u32.to_le_bytes());
        for what in [0u8, 1, 4] {
            fields.extend_from_slice(&0u32.to_le_bytes());
            put_bytes(&mut fields, b"key");
            fields.push(what);
            if what != 0 {
                fields.push(1);
                put_bytes(&mut fields, b"5");
            }
            if what == 1 {
                fields.push(0);
                fields.extend_from_slice(&0u64.to_le_bytes());
                fields.push(1);
                fields.extend_from_slice(&0u64.to_le_bytes());
            }
        }

        let options = PutOptions { expires: Expires::Never, ..PutOptions::default() };
        let change = |made| RawChange { store: 0, key: b"key", made };
        let expected = AtomicVerb {
            stores: vec!["users"],
            checks: vec![RawCheck { store: 0, key: b"checked", version: 7, updated_at: Some(9) }],
            changes: vec![
                change(RawMade::Deleted),
                change(RawMade::Put(Format::Json, b"5", options)),
                change(RawMade::Reckoned(Reckoning::Max, Format::Json, b"5")),
            ],
        };
        assert_eq!(take_verb(&mut &fields[..]), Some(expected));
        for end in 0..fields.len() {
            assert_eq!(take_verb(&mut &fields[..end]), None, "cut at {end}");
        }
    }
}
