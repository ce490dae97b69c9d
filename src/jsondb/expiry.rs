//! When documents expire, and the rows that tell of it.
//!
//! The rows of a document and of its index entries carry its expiry in the engine, which hides them from that
//! millisecond on and gives their space back. Beside them is a row of [`Kind::Expiry`](super::rows::Kind::Expiry) that
//! stays: the number of documents in a store is the stored one less the rows of this kind whose time has come, until
//! they are purged.
//!
//! Invariant: a writer that replaces or removes a document with an expiry has read its expiry row, so that it and a
//! purge of that row never both commit.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::key::Key;
use super::overlay::Value;
use super::rows::{RowKey, expiry_key};
use super::schema::StoreDef;
use super::view::View;

/// When a document expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Expires {
    /// As its store says: the store's default time after it is written, or never.
    #[default]
    Default,
    /// Never, whatever its store says.
    Never,
    /// At this moment, in milliseconds since 1970. In the past, it is gone at once.
    At(u64),
    /// So many milliseconds after it is written.
    After(u64),
}

impl Expires {
    /// The moment, in milliseconds since 1970; 0 is never.
    pub(crate) fn at(self, store: &StoreDef, now_ms: u64) -> u64 {
        let after = |ms: u64| now_ms.saturating_add(ms).max(1);
        match self {
            Self::Default if store.default_ttl_ms > 0 => after(store.default_ttl_ms),
            Self::Default | Self::Never => 0,
            Self::At(moment) => moment.max(1),
            Self::After(ms) => after(ms),
        }
    }
}

/// What has to be done to the expiry rows when a document changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpiryChange {
    goes: Option<Vec<u8>>,
    comes: Option<Vec<u8>>,
}

impl ExpiryChange {
    /// The change of a document that expired at `old` and is to expire at `new`; 0 is never, or no document.
    pub(crate) fn between(store: &StoreDef, key: &Key, old: u64, new: u64) -> Self {
        if old == new {
            return Self::default();
        }
        let row = |expires_at| (expires_at != 0).then(|| expiry_key(store.id, expires_at, key));
        Self { goes: row(old), comes: row(new) }
    }

    /// The rows that [`ExpiryChange::apply`] will write.
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&[u8], usize)> + Clone {
        self.goes.iter().chain(&self.comes).map(|row| (&row[..], 0))
    }

    /// Writes the change.
    pub(crate) fn apply(self, view: &mut View) {
        if let Some(row) = self.goes {
            let row = RowKey::from(row);
            view.reads.point(Arc::clone(&row));
            view.overlay.write(row, None);
        }
        if let Some(row) = self.comes {
            view.overlay.write(row, Some(Value::lasting(Vec::new())));
        }
    }
}
