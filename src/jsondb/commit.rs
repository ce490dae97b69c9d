//! Committing what a transaction wrote: one batch, checked in commit order against what others committed meanwhile.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::conflict::{Clash, ReadSet};
use super::feed::Ticket;
use super::generator::GENERATED_KEY_FIRST;
use super::ledger::Ledger;
use super::rows::{Kind, META_KEY, RowKey, RowRange, StoreState, split_row_key};
use super::schema::{Schema, StoreDef};
use super::scope::Involved;
use super::view::{Base, View};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, WriteBatch};
use crate::error::{Code, Error, Result};

/// The state of a store in which nothing has been put yet.
pub(super) const NEW_STORE: StoreState = StoreState { count: 0, generator: GENERATED_KEY_FIRST };

/// What the check of a commit needs, apart from the ledger.
struct Claim {
    snapshot: u64,
    stores: Vec<Involved>,
    reads: ReadSet,
    rows: Vec<RowKey>,
    ranges: Vec<RowRange>,
    sets_expiry: bool,
    /// How a clash is told.
    words: Words,
}

/// A clash in the words of the layer whose rows they are.
pub(crate) type Words = fn(&Clash, &[Involved]) -> Error;

/// Commits what was written in `view`.
///
/// # Errors
///
/// As for [`commit_views`].
pub(crate) fn commit_view(view: View, stores: Vec<Involved>, sync: Option<SyncMode>) -> Result<Option<u64>> {
    match Prepared::new(view, stores, sync, conflict)? {
        Some(prepared) => commit_prepared(prepared).map(Some),
        None => Ok(None),
    }
}

/// Commits what was written in `view`, rows of another layer that are no documents. A clash is told in its `words`.
///
/// # Errors
///
/// As for [`commit_views`].
pub(crate) fn commit_rows(view: View, sync: Option<SyncMode>, words: Words) -> Result<Option<u64>> {
    match Prepared::new(view, Vec::new(), sync, words)? {
        Some(prepared) => commit_prepared(prepared).map(Some),
        None => Ok(None),
    }
}

fn commit_prepared(prepared: Prepared) -> Result<u64> {
    let Prepared { base, batch, options, sets_expiry, ticket } = prepared;
    let seqno = base.database.engine.commit(batch, options)?;
    ticket.settle(&base.database.engine, &base.snapshot);
    if sets_expiry {
        base.database.purger.start(&base.database);
    }
    Ok(seqno)
}

/// As [`commit_view`] where that waits for nobody; says whether it was done.
///
/// # Errors
///
/// As for [`commit_views`].
pub(crate) fn try_commit_view(view: View, stores: Vec<Involved>, sync: Option<SyncMode>) -> Result<bool> {
    Prepared::new(view, stores, sync, conflict)?.map_or(Ok(true), try_commit_prepared)
}

/// As [`commit_rows`] where that waits for nobody; says whether it was done.
///
/// # Errors
///
/// As for [`commit_views`].
pub(crate) fn try_commit_rows(view: View, sync: Option<SyncMode>, words: Words) -> Result<bool> {
    Prepared::new(view, Vec::new(), sync, words)?.map_or(Ok(true), try_commit_prepared)
}

fn try_commit_prepared(prepared: Prepared) -> Result<bool> {
    let Prepared { base, batch, options, sets_expiry, ticket } = prepared;
    let Some(committed) = base.database.engine.try_commit(batch, options) else { return Ok(false) };
    committed?;
    ticket.settle(&base.database.engine, &base.snapshot);
    if sets_expiry {
        base.database.purger.start(&base.database);
    }
    Ok(true)
}

/// Commits what was written in each of `views`, in their order and with one sync for all. They are views of one
/// database. Gives the seqno of each, and `None` for one in which nothing was written.
///
/// # Errors
///
/// Each for itself: `Conflict` when something that was read, or the schema of one of its stores, has been changed by
/// a later commit, that of a view before it included.
pub(crate) fn commit_views(
    views: Vec<(View, Vec<Involved>)>,
    sync: Option<SyncMode>,
) -> Vec<Result<Option<u64>>> {
    let prepared: Vec<Result<Option<Prepared>>> =
        views.into_iter().map(|(view, stores)| Prepared::new(view, stores, sync, conflict)).collect();
    // The bases live on until the commits are done: what was written since their snapshots must stay listed.
    let (mut bases, mut tickets) = (Vec::new(), Vec::new());
    let (mut requests, mut results) = (Vec::new(), Vec::new());
    let mut set_expiry = false;
    for prepared in prepared {
        results.push(prepared.map(|prepared| {
            prepared.map(|Prepared { base, batch, options, sets_expiry, ticket }| {
                set_expiry |= sets_expiry;
                bases.push(base);
                tickets.push(ticket);
                requests.push((batch, options));
            })
        }));
    }
    let committed = match bases.first() {
        Some(base) => base.database.engine.commit_all(requests),
        None => Vec::new(),
    };
    for ((ticket, base), committed) in tickets.into_iter().zip(&bases).zip(&committed) {
        if committed.is_ok() {
            ticket.settle(&base.database.engine, &base.snapshot);
        }
    }
    if let Some(base) = bases.first()
        && set_expiry
    {
        base.database.purger.start(&base.database);
    }
    let mut committed = committed.into_iter();
    results
        .into_iter()
        .map(|result| match result? {
            Some(()) => committed.next().transpose(),
            None => Ok(None),
        })
        .collect()
}

/// A transaction's writes as the engine takes them.
struct Prepared {
    base: Base,
    batch: WriteBatch,
    options: CommitOptions,
    sets_expiry: bool,
    ticket: Ticket,
}

impl Prepared {
    /// `None` for a view in which nothing was written: it saw one state of the database, whatever has happened since.
    fn new(view: View, stores: Vec<Involved>, sync: Option<SyncMode>, words: Words) -> Result<Option<Self>> {
        let View { base, overlay, reads } = view;
        if overlay.is_empty() {
            return Ok(None);
        }
        let batch = overlay.to_batch()?;
        // Only documents have their expiries listed and purged here.
        let sets_expiry = overlay.sets_expiry() && !stores.is_empty();
        let (rows, ranges) = overlay.into_written();
        let snapshot = base.snapshot.seqno();
        let claim = Claim { snapshot, stores, reads, rows, ranges, sets_expiry, words };
        let (ledger, feed) = (Arc::clone(&base.database.ledger), Arc::clone(&base.database.feed));
        let ticket = feed.ticket();
        let number = ticket.number();
        let check = Box::new(move |batch: &mut WriteBatch, seqno: u64| {
            let watched = feed.is_watched().then(|| stores_of(&claim));
            let mut ledger = ledger.lock();
            // What was checked at this seqno before was never written.
            ledger.retract(seqno);
            let admitted = admit(&mut ledger, claim, batch, seqno).and_then(|()| match watched {
                Some(stores) => feed.list(number, batch, &stores, &[]),
                None => Ok(()),
            });
            if admitted.is_err() {
                ledger.retract(seqno);
            }
            admitted
        });
        let options = CommitOptions { sync, check: Some(check) };
        Ok(Some(Self { base, batch, options, sets_expiry, ticket }))
    }
}

/// How a commit changes the schema.
pub(crate) struct SchemaChange {
    /// The schema from the commit on.
    pub(crate) next: Schema,
    /// Rows of the catalog with what they are set to.
    pub(crate) rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The ids of new stores.
    pub(crate) created: Vec<u64>,
    /// The names of stores that it deletes, be it that others come under them.
    pub(crate) deleted: Vec<Arc<str>>,
    /// No id from this one on was given.
    pub(crate) next_id: u64,
}

/// Commits what was written in `view` together with a change of the schema, while nobody else changes that.
///
/// # Errors
///
/// `Conflict` when something that was read has been changed by a later commit.
pub(crate) fn commit_with_schema(
    view: View,
    stores: Vec<Involved>,
    change: SchemaChange,
    sync: Option<SyncMode>,
) -> Result<u64> {
    let View { base, overlay, reads } = view;
    let mut batch = overlay.to_batch()?;
    for (row, value) in change.rows {
        match value {
            Some(value) => batch.put(&row, &value)?,
            None => batch.delete(&row)?,
        }
    }
    let sets_expiry = overlay.sets_expiry();
    let (rows, ranges) = overlay.into_written();
    let (snapshot, words) = (base.snapshot.seqno(), conflict as Words);
    let claim = Claim { snapshot, stores, reads, rows, ranges, sets_expiry, words };
    let (created, next_id, next) = (change.created.clone(), change.next_id, Arc::new(change.next));
    let (ledger, engine) = (Arc::clone(&base.database.ledger), base.database.engine.clone());
    let (feed, deleted) = (Arc::clone(&base.database.feed), change.deleted);
    let ticket = feed.ticket();
    let number = ticket.number();
    let check = Box::new(move |batch: &mut WriteBatch, seqno: u64| {
        let watched = feed.is_watched().then(|| stores_of(&claim));
        let mut ledger = ledger.lock();
        ledger.retract(seqno);
        created.iter().for_each(|store| ledger.add_store(*store, NEW_STORE));
        let admitted = admit_writes(&mut ledger, claim, batch, seqno).and_then(|()| match watched {
            Some(stores) => feed.list(number, batch, &stores, &deleted),
            None => Ok(()),
        });
        if admitted.is_err() {
            ledger.retract(seqno);
            return admitted;
        }
        batch.put(META_KEY, &ledger.meta_row(next_id))?;
        ledger.publish(seqno, next, engine.visible_seqno());
        Ok(())
    });
    let committed = base.database.engine.commit(batch, CommitOptions { sync, check: Some(check) });
    if committed.is_err() {
        let mut ledger = base.database.ledger.lock();
        change.created.iter().for_each(|store| ledger.remove_store(*store));
        return committed;
    }
    ticket.settle(&base.database.engine, &base.snapshot);
    if sets_expiry {
        base.database.purger.start(&base.database);
    }
    committed
}

/// The stores that a transaction has written to.
fn stores_of(claim: &Claim) -> Vec<Arc<StoreDef>> {
    let written = claim.stores.iter().filter(|involved| involved.written);
    written.map(|involved| Arc::clone(&involved.store)).collect()
}

fn admit(ledger: &mut Ledger, claim: Claim, batch: &mut WriteBatch, seqno: u64) -> Result<()> {
    let schema = Arc::clone(ledger.schema_next());
    if let Some(Involved { store, .. }) = claim.stores.iter().find(|involved| !involved.is_still_in(&schema))
    {
        let message = format!("the object store {:?} was changed since the transaction began", store.name);
        return Err(Error::new(Code::Conflict, message));
    }
    admit_writes(ledger, claim, batch, seqno)
}

fn admit_writes(ledger: &mut Ledger, mut claim: Claim, batch: &mut WriteBatch, seqno: u64) -> Result<()> {
    if let Err(clash) = ledger.writes.check(&mut claim.reads, claim.snapshot) {
        return Err((claim.words)(&clash, &claim.stores));
    }
    for Involved { store, change, gaps, .. } in claim.stores.iter().filter(|involved| involved.written) {
        ledger.update_state(seqno, store, *change, batch)?;
        store.ends.note(&claim.rows, gaps, seqno);
    }
    if claim.sets_expiry {
        ledger.note_expiry(seqno, batch)?;
    }
    ledger.writes.record(seqno, claim.rows, claim.ranges);
    Ok(())
}

/// The clash in the words of the document layer.
pub(super) fn conflict(clash: &Clash, stores: &[Involved]) -> Error {
    let message = match clash {
        Clash::Forgotten => {
            "the transaction began before so many other writes that they are not all listed any \
                             more: run it again, and keep it shorter"
                .to_owned()
        }
        Clash::Row(row) => {
            let (what, store) = describe(row, stores).unwrap_or_else(|| ("a row".to_owned(), "?".to_owned()));
            format!(
                "{what} of the object store {store:?}, which the transaction had read, was changed by another: \
                 run it again"
            )
        }
    };
    Error::new(Code::Conflict, message)
}

fn describe(row: &[u8], stores: &[Involved]) -> Option<(String, String)> {
    let (kind, id, rest) = split_row_key(row)?;
    let store = &stores.iter().find(|involved| involved.store.id == id)?.store;
    let what = match kind {
        kind if kind == Kind::State as u8 => "the number of documents".to_owned(),
        kind if kind == Kind::Expiry as u8 => "the expiry of a document".to_owned(),
        kind if kind == Kind::Document as u8 => match super::key::Key::from_encoded(rest) {
            Ok(key) => format!("the document {key}"),
            // A range begins before its first key.
            Err(_) => "a range of documents".to_owned(),
        },
        kind if kind == Kind::Index as u8 => {
            let id = crate::coding::take_varint(&mut &rest[..]);
            match store.indexes.iter().find(|index| Some(index.id) == id) {
                Some(index) => format!("the index {:?}", index.name),
                None => "an index".to_owned(),
            }
        }
        _ => return None,
    };
    Some((what, store.name.clone()))
}
