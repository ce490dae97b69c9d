//! The operations that only FlashStore asks for: on its namespaces, each an object store below the one of its own entries,
//! and on the log beneath all of them.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::jsondb::JsonDb;

use super::packing::{Answer, take_text};
use super::versions::take_u64;

/// The numbers of these verbs.
pub(super) const VERBS: RangeInclusive<u8> = 90..=93;

/// What is asked.
#[derive(Debug, PartialEq)]
pub(crate) enum NamespaceVerb<'a> {
    /// Deletes a store and those below it.
    Drop { store: &'a str },
    /// The parts of names that come next below a store.
    Names { store: &'a str },
    /// The default expiry that a store is to have from the next write on; 0 is none.
    DefaultTtl { store: &'a str, ms: u64 },
    /// Makes everything durable that has been acknowledged.
    Sync,
}

impl NamespaceVerb<'_> {
    /// Whether reads that come after it have to look afresh.
    pub(crate) fn changes_what_is_seen(&self) -> bool {
        matches!(self, Self::Drop { .. })
    }
}

/// The fields of the operation with this number.
pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<NamespaceVerb<'a>> {
    Some(match number {
        90 => NamespaceVerb::Drop { store: take_text(input)? },
        91 => NamespaceVerb::Names { store: take_text(input)? },
        92 => NamespaceVerb::DefaultTtl { store: take_text(input)?, ms: take_u64(input)? },
        93 => NamespaceVerb::Sync,
        _ => return None,
    })
}

/// Does what is asked.
pub(crate) fn execute(json: &JsonDb, transaction: u32, verb: &NamespaceVerb<'_>) -> Result<Answer> {
    match verb {
        NamespaceVerb::Drop { .. } if transaction != 0 => {
            let message =
                "dropping a namespace in a transaction, which could not take that back: drop it on the store";
            Err(Error::new(Code::Unsupported, message))
        }
        NamespaceVerb::Drop { store } => json.delete_stores_within(store).map(Answer::Count),
        NamespaceVerb::Names { store } => {
            let names = json.store_names_within(store)?;
            Ok(Answer::Text(Value::from_iter(names.into_iter().map(|name| json!(name))).to_string()))
        }
        NamespaceVerb::DefaultTtl { store, ms } => {
            json.declare_default_ttl(store, *ms).map(|()| Answer::Nothing)
        }
        NamespaceVerb::Sync => json.engine().sync().map(|()| Answer::Nothing),
    }
}
