//! The changes that wait to be taken from one watch, within their bounds.
//!
//! Invariant: never more changes than `changes_max`, and never more than [`WATCH_BYTES_MAX`] bytes beside the first.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::Document;
use super::super::key::{Key, KeyRange};
use super::super::watch::{Change, Overflow, WATCH_BYTES_MAX};
use crate::error::{Code, Error, Result};

/// Counted for each change beside its bytes.
const CHANGE_BYTES: usize = 128;

/// See the module.
pub(super) struct Buffer {
    /// By the order in which they came.
    changes: BTreeMap<u64, Arc<Change>>,
    next: u64,
    /// Where the change of a document waits; kept where changes are coalesced.
    by_document: HashMap<(Arc<str>, Key), u64>,
    bytes: usize,
    changes_max: usize,
    overflow: Overflow,
    /// So many were dropped before the first that waits.
    lost: u64,
    end: Option<End>,
}

enum End {
    Closed,
    Failed(Error),
}

/// What was taken.
pub(crate) struct Taken {
    pub(crate) changes: Vec<Arc<Change>>,
    /// Whether no other will come.
    pub(crate) has_ended: bool,
}

impl Buffer {
    pub(super) fn new(changes_max: usize, overflow: Overflow) -> Self {
        Self {
            changes: BTreeMap::new(),
            next: 0,
            by_document: HashMap::new(),
            bytes: 0,
            changes_max,
            overflow,
            lost: 0,
            end: None,
        }
    }

    /// Adds a change behind the others.
    pub(super) fn push(&mut self, change: Arc<Change>) {
        if self.end.is_some() {
            return;
        }
        let change = if self.overflow == Overflow::Coalesce { self.coalesced(change) } else { change };
        let bytes = size_of_change(&change);
        while self.changes.len() >= self.changes_max
            || (self.bytes + bytes > WATCH_BYTES_MAX && !self.changes.is_empty())
        {
            if self.overflow != Overflow::DropOldest {
                self.end = Some(End::Failed(overflow_of(self.changes_max)));
                return;
            }
            self.pop();
            self.lost += 1;
        }
        if self.overflow == Overflow::Coalesce
            && let Some((store, key)) = document_of(&change)
        {
            self.by_document.insert((Arc::clone(store), key.clone()), self.next);
        }
        self.bytes += bytes;
        self.changes.insert(self.next, change);
        self.next += 1;
    }

    /// Ends behind what waits.
    pub(super) fn fail(&mut self, error: Error) {
        self.end.get_or_insert(End::Failed(error));
    }

    /// Ends at once.
    pub(super) fn close(&mut self) {
        self.changes.clear();
        self.by_document.clear();
        (self.bytes, self.lost) = (0, 0);
        self.end = Some(End::Closed);
    }

    /// Takes the first changes, at least one if there is one.
    ///
    /// # Errors
    ///
    /// What it ended with, once nothing waits before that.
    pub(super) fn take(&mut self, changes_max: usize, bytes_max: usize) -> Result<Taken> {
        let mut changes = Vec::new();
        let mut bytes = 0;
        if self.lost > 0 {
            changes.push(Arc::new(Change::Lost { changes: std::mem::take(&mut self.lost) }));
        }
        while changes.len() < changes_max
            && bytes < bytes_max
            && let Some(change) = self.pop()
        {
            bytes += size_of_change(&change);
            changes.push(change);
        }
        match &self.end {
            Some(End::Failed(error)) if changes.is_empty() => Err(error.clone()),
            end => Ok(Taken { changes, has_ended: matches!(end, Some(End::Closed)) }),
        }
    }

    fn pop(&mut self) -> Option<Arc<Change>> {
        let (_, change) = self.changes.pop_first()?;
        self.bytes -= size_of_change(&change);
        if let Some((store, key)) = document_of(&change)
            && self.overflow == Overflow::Coalesce
        {
            self.by_document.remove(&(Arc::clone(store), key.clone()));
        }
        Some(change)
    }

    /// Drops what waits and means nothing any more after `change`. Where that is a change of the same document, the old
    /// document is now the one from before both.
    fn coalesced(&mut self, change: Arc<Change>) -> Arc<Change> {
        match &*change {
            Change::Put { store, key, .. } | Change::Delete { store, key, .. } => {
                let Some(at) = self.by_document.remove(&(Arc::clone(store), key.clone())) else {
                    return change;
                };
                let Some(before) = self.changes.remove(&at) else { return change };
                self.bytes -= size_of_change(&before);
                Arc::new(with_old_value(&change, old_value_of(&before).cloned()))
            }
            Change::DeleteRange { store, range } => {
                self.forget(store, range);
                change
            }
            Change::Clear { store } | Change::Drop { store } => {
                self.forget(store, &KeyRange::all());
                change
            }
            Change::Lost { .. } => change,
        }
    }

    /// Drops the changes of documents in a range.
    fn forget(&mut self, store: &Arc<str>, range: &KeyRange) {
        let Self { changes, by_document, bytes, .. } = self;
        by_document.retain(|(other, key), at| {
            let is_kept = other != store || !range.contains(key);
            if !is_kept && let Some(change) = changes.remove(at) {
                *bytes -= size_of_change(&change);
            }
            is_kept
        });
    }
}

fn document_of(change: &Change) -> Option<(&Arc<str>, &Key)> {
    match change {
        Change::Put { store, key, .. } | Change::Delete { store, key, .. } => Some((store, key)),
        _ => None,
    }
}

fn old_value_of(change: &Change) -> Option<&Arc<Document>> {
    match change {
        Change::Put { old_value, .. } | Change::Delete { old_value, .. } => old_value.as_ref(),
        _ => None,
    }
}

fn with_old_value(change: &Change, value: Option<Arc<Document>>) -> Change {
    let mut change = change.clone();
    if let Change::Put { old_value, .. } | Change::Delete { old_value, .. } = &mut change {
        *old_value = value;
    }
    change
}

fn size_of_change(change: &Change) -> usize {
    let size_of =
        |document: &Option<Arc<Document>>| document.as_ref().map_or(0, |document| document.bytes.len());
    CHANGE_BYTES
        + match change {
            Change::Put { key, value, old_value, .. } => {
                key.as_bytes().len() + size_of(value) + size_of(old_value)
            }
            Change::Delete { key, old_value, .. } => key.as_bytes().len() + size_of(old_value),
            _ => 0,
        }
}

fn overflow_of(changes_max: usize) -> Error {
    let message = format!(
        "a watch ended: more changes came than may wait for whoever takes them ({changes_max}, or {WATCH_BYTES_MAX} \
         bytes): take them faster, let more wait, or choose what is to be dropped"
    );
    Error::new(Code::Overflow, message)
}
