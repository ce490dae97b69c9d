//! Committing what a transaction wrote: one batch, checked in commit order against what others committed meanwhile.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::conflict::{Clash, ReadSet};
use super::feed::Ticket;
use super::ledger::{CountChange, Ledger};
use super::rows::{Kind, RowRange, split_row_key};
use super::schema::StoreDef;
use super::view::{Base, View};
use crate::config::SyncMode;
use crate::engine::{CommitOptions, WriteBatch};
use crate::error::{Code, Error, Result};

/// A store that a transaction works on, by the rules that its snapshot showed.
#[derive(Debug, Clone)]
pub(crate) struct Involved {
    pub(crate) store: Arc<StoreDef>,
    pub(crate) change: CountChange,
    /// The transaction wrote into the store, or cleared it.
    pub(crate) written: bool,
}

/// What the check of a commit needs, apart from the ledger.
struct Claim {
    snapshot: u64,
    stores: Vec<Involved>,
    reads: ReadSet,
    rows: Vec<Arc<[u8]>>,
    ranges: Vec<RowRange>,
    sets_expiry: bool,
}

/// Commits what was written in `view`.
///
/// # Errors
///
/// As for [`commit_views`].
pub(crate) fn commit_view(view: View, stores: Vec<Involved>, sync: Option<SyncMode>) -> Result<Option<u64>> {
    commit_views(vec![(view, stores)], sync).pop().unwrap_or(Ok(None))
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
        views.into_iter().map(|(view, stores)| Prepared::new(view, stores, sync)).collect();
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
    fn new(view: View, stores: Vec<Involved>, sync: Option<SyncMode>) -> Result<Option<Self>> {
        let View { base, overlay, reads } = view;
        if overlay.is_empty() {
            return Ok(None);
        }
        let batch = overlay.to_batch()?;
        let sets_expiry = overlay.sets_expiry();
        let (rows, ranges) = overlay.into_written();
        let claim = Claim { snapshot: base.snapshot.seqno(), stores, reads, rows, ranges, sets_expiry };
        let (ledger, feed) = (Arc::clone(&base.database.ledger), Arc::clone(&base.database.feed));
        let ticket = feed.ticket();
        let number = ticket.number();
        let check = Box::new(move |batch: &mut WriteBatch, seqno: u64| {
            let watched = feed.is_watched().then(|| stores_of(&claim));
            let mut ledger = ledger.lock();
            // What was checked at this seqno before was never written.
            ledger.retract(seqno);
            let admitted = admit(&mut ledger, claim, batch, seqno).and_then(|()| match watched {
                Some(stores) => feed.list(number, batch, &stores),
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

/// The stores that a transaction has written to.
fn stores_of(claim: &Claim) -> Vec<Arc<StoreDef>> {
    let written = claim.stores.iter().filter(|involved| involved.written);
    written.map(|involved| Arc::clone(&involved.store)).collect()
}

fn admit(ledger: &mut Ledger, claim: Claim, batch: &mut WriteBatch, seqno: u64) -> Result<()> {
    let schema = Arc::clone(ledger.schema_next());
    for Involved { store, .. } in &claim.stores {
        let is_same = |now: &Arc<StoreDef>| now.id == store.id && now.version == store.version;
        if !schema.stores.get(&store.name).is_some_and(is_same) {
            let message =
                format!("the object store {:?} was changed since the transaction began", store.name);
            return Err(Error::new(Code::Conflict, message));
        }
    }
    if let Err(clash) = ledger.writes.check(&claim.reads, claim.snapshot) {
        return Err(conflict(&clash, &claim.stores));
    }
    for Involved { store, change, .. } in claim.stores.iter().filter(|involved| involved.written) {
        ledger.update_state(seqno, store, *change, batch)?;
    }
    if claim.sets_expiry {
        ledger.note_expiry(seqno, batch)?;
    }
    ledger.writes.record(seqno, claim.rows, claim.ranges);
    Ok(())
}

/// The clash in the words of the document layer.
fn conflict(clash: &Clash, stores: &[Involved]) -> Error {
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
