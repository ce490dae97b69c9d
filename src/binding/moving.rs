//! Upgrades of the schema, and documents on their way out of a database and into another with all that is known of them:
//! docs/binding.md lists every byte.
#![forbid(unsafe_code)]

use crate::engine::Direction;
use crate::error::{Code, Error, Result};
use crate::jsondb::{
    Document, Facts, Format, JsonDb, Key, KeyRange, Page, PageLimits, Position, Transaction,
};

use super::cursor::Pages;
use super::database::Database;
use super::packing::{
    Answer, Operation, PageSize, Verb, take_bytes, take_format, take_page_size, take_text, take_u32,
};
use super::transactions::{SharedTransaction, with_transaction};
use super::versions::put_entry;
use super::{definitions, error};

/// The numbers of the verbs that this file reads.
pub(super) const VERBS: std::ops::RangeInclusive<u8> = 80..=89;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum MovingVerb<'a> {
    /// Begins a transaction that upgrades the schema; answered with the version before, or nothing where there is
    /// nothing to upgrade.
    BeginUpgrade { version: u64 },
    /// Opens a cursor over the documents of a store with all that is known of them.
    OpenRows { cursor: u32, store: &'a str, size: PageSize },
    /// Puts documents back, all or none of them.
    Restore { rows: Vec<RawRow<'a>> },
    /// Asks for the version of the schema and how far the generators of some stores got.
    Moment { stores: Vec<&'a str> },
    /// Has a store generate no key up to this one any more.
    PassGenerated { store: &'a str, last: u64 },
}

/// A document that is to be put back.
#[derive(Debug, PartialEq)]
pub(crate) struct RawRow<'a> {
    store: &'a str,
    key: &'a [u8],
    format: Format,
    document: &'a [u8],
    facts: Facts,
}

/// The fields of the operation with this number.
pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<MovingVerb<'a>> {
    Some(match number {
        80 => MovingVerb::BeginUpgrade { version: take_u64(input)? },
        81 => MovingVerb::OpenRows {
            cursor: take_u32(input)?,
            store: take_text(input)?,
            size: take_page_size(input)?,
        },
        82 => {
            let count = take_u32(input)?;
            // The count is not trusted with an allocation.
            MovingVerb::Restore { rows: (0..count).map(|_| take_row(input)).collect::<Option<_>>()? }
        }
        83 => {
            let count = take_u32(input)?;
            MovingVerb::Moment { stores: (0..count).map(|_| take_text(input)).collect::<Option<_>>()? }
        }
        84 => MovingVerb::PassGenerated { store: take_text(input)?, last: take_u64(input)? },
        _ => return None,
    })
}

fn take_row<'a>(input: &mut &'a [u8]) -> Option<RawRow<'a>> {
    Some(RawRow {
        store: take_text(input)?,
        key: take_bytes(input)?,
        format: take_format(input)?,
        document: take_bytes(input)?,
        facts: Facts {
            version: take_u64(input)?,
            updated_at: take_u64(input)?,
            expires_at: take_u64(input)?,
        },
    })
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

/// Does what is asked for.
pub(crate) fn execute(
    database: &Database,
    operation: &Operation<'_>,
    verb: &MovingVerb<'_>,
) -> Result<Answer> {
    match verb {
        MovingVerb::BeginUpgrade { version } => {
            let begun = database.begin_upgrade(operation.transaction, *version)?;
            Ok(begun.map_or(Answer::Nothing, Answer::Count))
        }
        MovingVerb::OpenRows { cursor, store, size } => {
            let transaction = database.transaction(operation.transaction)?;
            let rows = RowCursor { transaction, store: (*store).to_owned(), after: None };
            database.read_new_cursor(*cursor, Box::new(rows), *size)
        }
        MovingVerb::Restore { rows } => restore(&database.json()?, rows),
        MovingVerb::Moment { stores } => match operation.transaction {
            0 => Ok(moment(database.json()?.version()?, &[])),
            id => database.in_transaction(id, |transaction| {
                let last = stores.iter().map(|store| transaction.last_generated(store));
                Ok(moment(transaction.version()?, &last.collect::<Result<Vec<_>>>()?))
            }),
        },
        MovingVerb::PassGenerated { store, last } => {
            database.json()?.pass_generated(store, *last).map(|()| Answer::Nothing)
        }
    }
}

fn moment(version: u64, last_keys: &[u64]) -> Answer {
    Answer::Text(serde_json::json!({ "schemaVersion": version, "lastKeys": last_keys }).to_string())
}

/// Changes the schema in an upgrade.
pub(crate) fn change_schema(transaction: &mut Transaction, verb: &Verb<'_>) -> Result<Answer> {
    let changed = match verb {
        Verb::CreateStore { definition } => {
            let (name, options, default_ttl_ms) = definitions::store(definition)?;
            transaction.create_object_store(&name, options, default_ttl_ms)
        }
        Verb::DeleteStore { store } => transaction.delete_object_store(store),
        Verb::CreateIndex { store, definition } => {
            let (name, options) = definitions::index(definition)?;
            transaction.create_index(store, &name, options)
        }
        Verb::DeleteIndex { store, index } => transaction.delete_index(store, index),
        _ => Err(Error::new(Code::Internal, "an operation was taken for a change of the schema")),
    };
    changed.map(|()| Answer::Nothing)
}

/// Puts all of `rows` back in one transaction. Where one of them can't be, the answer says which and why.
fn restore(json: &JsonDb, rows: &[RawRow<'_>]) -> Result<Answer> {
    let mut scope: Vec<&str> = Vec::new();
    for row in rows {
        if !scope.contains(&row.store) {
            scope.push(row.store);
        }
    }
    let mut failed = None;
    let restored = json.update(&scope, None, |transaction| {
        let mut stored = 0_u64;
        for (place, row) in rows.iter().enumerate() {
            failed = Some(place);
            let document = Document { format: row.format, bytes: row.document.to_vec() };
            let is_there =
                transaction.restore(row.store, &Key::from_encoded(row.key)?, document, row.facts)?;
            stored += u64::from(is_there);
        }
        failed = None;
        Ok(stored)
    });
    match (restored, failed) {
        (Ok(stored), _) => Ok(Answer::Text(format!("{{\"stored\":{stored}}}"))),
        (Err(error), Some(place)) => {
            Ok(Answer::Text(format!("{{\"failed\":{place},\"error\":{}}}", error::to_json(&error))))
        }
        (Err(error), None) => Err(error),
    }
}

/// Where a walk over the documents of a store is.
struct RowCursor {
    transaction: SharedTransaction,
    store: String,
    after: Option<Position>,
}

impl Pages for RowCursor {
    fn next_page(&mut self, size: PageSize) -> Result<(Answer, bool)> {
        let limits = PageLimits { rows: size.rows as usize, bytes: size.bytes as usize, keys_only: false };
        let (all, forward) = (KeyRange::all(), Direction::Forward);
        let page = with_transaction(&self.transaction, |transaction| {
            transaction.page(&self.store, None, &all, forward, self.after.as_ref(), limits)
        })?;
        self.after.clone_from(&page.next);
        let more = page.next.is_some();
        Ok((Answer::Documents(page), more))
    }
}

/// Packs documents with all that is known of them.
pub(super) fn put_rows(out: &mut Vec<u8>, page: &Page) {
    for row in &page.rows {
        put_entry(out, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::packing::put_bytes;

    #[test]
    fn rows_to_restore_read_back_and_those_cut_anywhere_are_refused() {
        let mut fields = 1_u32.to_le_bytes().to_vec();
        put_bytes(&mut fields, b"users");
        put_bytes(&mut fields, b"key");
        fields.push(1);
        put_bytes(&mut fields, b"{}");
        for number in [7_u64, 8, 9] {
            fields.extend_from_slice(&number.to_le_bytes());
        }

        let facts = Facts { version: 7, updated_at: 8, expires_at: 9 };
        let row = RawRow { store: "users", key: b"key", format: Format::Json, document: b"{}", facts };
        assert_eq!(take_verb(82, &mut &fields[..]), Some(MovingVerb::Restore { rows: vec![row] }));
        for end in 0..fields.len() {
            assert_eq!(take_verb(82, &mut &fields[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn what_is_asked_of_generators_reads_back_and_that_cut_anywhere_is_refused() {
        let mut stores = 2_u32.to_le_bytes().to_vec();
        put_bytes(&mut stores, b"users");
        put_bytes(&mut stores, b"items");
        let mut passed = Vec::new();
        put_bytes(&mut passed, b"users");
        passed.extend_from_slice(&7_u64.to_le_bytes());

        assert_eq!(
            take_verb(83, &mut &stores[..]),
            Some(MovingVerb::Moment { stores: vec!["users", "items"] })
        );
        assert_eq!(
            take_verb(84, &mut &passed[..]),
            Some(MovingVerb::PassGenerated { store: "users", last: 7 })
        );
        for (verb, fields) in [(83, stores), (84, passed)] {
            for end in 0..fields.len() {
                assert_eq!(take_verb(verb, &mut &fields[..end]), None, "{verb} cut at {end}");
            }
        }
    }

    #[test]
    fn a_count_of_rows_that_lies_allocates_nothing() {
        assert_eq!(take_verb(82, &mut &u32::MAX.to_le_bytes()[..]), None);
        assert_eq!(take_verb(83, &mut &u32::MAX.to_le_bytes()[..]), None);
    }
}
