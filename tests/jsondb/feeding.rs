//! Every way of writing feeds those who watch: whoever follows the changes has the documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowdb::clock::{Clock, ManualClock};
use flowdb::config::Config;
use flowdb::engine::Direction;
use flowdb::error::Result;
use flowdb::jsondb::{
    Change, Changed, Condition, Document, Expires, Facts, JsonDb, Key, KeyRange, Mode, PutOptions,
    QueryBuilder, Stamp, Transaction, Watch, WatchOptions,
};
use serde_json::{Value, json as j};

use crate::support::{Random, all, change, content, index_on, json, key, keyed_by, limits, unique_on};

const NOW_MS: u64 = 1_700_000_000_000;
const IDS: u64 = 30;

/// A document with its version and expiry.
type Entry = (Value, u64, u64);

/// Store and id.
type Place = (String, i64);

/// What a follower makes of changes.
#[derive(Default)]
struct Follower {
    documents: BTreeMap<Place, Entry>,
    /// How many changes of each kind came.
    seen: BTreeMap<&'static str, usize>,
}

fn value_of(document: &Document) -> Value {
    serde_json::from_slice(&document.bytes).unwrap()
}

fn place(store: &str, key: &Key) -> Place {
    (store.to_owned(), key.to_string().parse().unwrap())
}

impl Follower {
    /// Forgets what has expired at `now_ms`, of which no change tells.
    fn forget_expired(&mut self, now_ms: u64) {
        self.documents.retain(|_, (_, _, expires_at)| *expires_at == 0 || *expires_at > now_ms);
    }

    fn forget(&mut self, store: &str, range: &KeyRange) {
        self.documents.retain(|(other, id), _| other != store || !range.contains(&key(*id as f64)));
    }

    fn follow(&mut self, watch: &Watch) {
        while let Some(change) = watch.try_recv().unwrap() {
            *self.seen.entry(kind_of(&change)).or_default() += 1;
            self.take(&change);
        }
    }

    fn take(&mut self, change: &Change) {
        match change {
            Change::Put { store, key, version, expires_at, value, old_value, .. } => {
                let place = place(store, key);
                let old = self.documents.get(&place).map(|(value, ..)| value.clone());
                assert_eq!(old_value.as_deref().map(value_of), old, "the old one of {place:?}");
                let value = value_of(value.as_deref().unwrap());
                self.documents.insert(place, (value, *version, *expires_at));
            }
            Change::Delete { store, key, old_value } => {
                let old = self.documents.remove(&place(store, key)).map(|(value, ..)| value);
                assert_eq!(old_value.as_deref().map(value_of), old, "the old one of {key} in {store}");
            }
            Change::DeleteRange { store, range } => self.forget(store, range),
            Change::Clear { store } | Change::Drop { store } => self.forget(store, &all()),
            Change::Lost { .. } => panic!("nothing gets lost here"),
        }
    }
}

fn kind_of(change: &Change) -> &'static str {
    match change {
        Change::Put { .. } => "put",
        Change::Delete { .. } => "delete",
        Change::DeleteRange { .. } => "range",
        Change::Clear { .. } => "clear",
        Change::Drop { .. } => "drop",
        Change::Lost { .. } => "lost",
    }
}

/// What a database holds.
fn documents_in(db: &JsonDb) -> BTreeMap<Place, Entry> {
    let mut found = BTreeMap::new();
    for store in db.schema() {
        let mut tx = db.begin(&[&store.name], Mode::ReadOnly).unwrap();
        let page = tx.page(&store.name, None, &all(), Direction::Forward, None, limits(usize::MAX)).unwrap();
        found.extend(
            page.rows
                .iter()
                .map(|row| (place(&store.name, &row.key), (content(row), row.version, row.expires_at))),
        );
    }
    found
}

fn open() -> (JsonDb, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config { clock: clock.clone(), auto_background: false, ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    for store in ["items", "others"] {
        db.create_object_store(store, keyed_by("id")).unwrap();
    }
    db.create_index("items", "by_n", index_on("n")).unwrap();
    (db, clock)
}

fn watch(db: &JsonDb) -> Watch {
    let options =
        WatchOptions { values: true, old_values: true, buffer: 1_000_000, ..WatchOptions::default() };
    db.watch(options).unwrap()
}

fn id(random: &mut Random) -> u64 {
    random.below(IDS)
}

fn document(random: &mut Random) -> Document {
    let (id, n) = (id(random), random.below(5));
    json(&if n == 0 { j!({ "id": id }) } else { j!({ "id": id, "n": n, "x": random.below(9) }) })
}

fn some(random: &mut Random) -> Vec<(Option<Key>, Document)> {
    (0..random.below(6)).map(|_| (None, document(random))).collect()
}

fn expiry(random: &mut Random) -> Expires {
    match random.below(4) {
        0 => Expires::Never,
        1 => Expires::Default,
        _ => Expires::After(1 + random.below(40)),
    }
}

fn range(random: &mut Random) -> KeyRange {
    let (from, to) = (id(random), id(random));
    KeyRange::bound(key(from.min(to) as f64), key(from.max(to) as f64), false, false).unwrap()
}

/// One write, by any of the ways.
fn write(tx: &mut Transaction, random: &mut Random) -> Result<()> {
    let store = ["items", "items", "others"][random.below(3) as usize];
    let at = key(id(random) as f64);
    match random.below(13) {
        0 => tx.put_many(store, some(random)).map(drop),
        // It fails where one of them is there, and then none is.
        1 => {
            let _ = tx.add_many(store, some(random));
            Ok(())
        }
        2 => tx.delete_many(store, &[at, key(id(random) as f64)]).map(drop),
        3 => tx.delete_range(store, &range(random)).map(drop),
        4 => tx.delete(store, &at).map(drop),
        5 if random.below(6) == 0 => tx.clear(store),
        6 => tx.patch(store, &at, br#"{"n":3,"x":null}"#).map(drop),
        7 => change_by_stamp(tx, store, &at, random),
        8 => tx.touch(store, &at, expiry(random)).map(drop),
        9 => {
            let query = QueryBuilder::new(store).filter("n", Condition::Equals(key(random.below(5) as f64)));
            query.limit(3).build()?.delete(tx).map(drop)
        }
        10 => {
            let document = document(random);
            let at = key(value_of(&document)["id"].as_f64().unwrap());
            let expires_at = if random.below(2) == 0 { 0 } else { NOW_MS + random.below(3_000) };
            let facts = Facts { version: 1 + random.below(9), updated_at: NOW_MS, expires_at };
            tx.restore(store, &at, document, facts).map(drop)
        }
        _ => {
            let options = PutOptions { expires: expiry(random), ..PutOptions::default() };
            tx.put_with(store, None, document(random), options).map(drop)
        }
    }
}

fn change_by_stamp(tx: &mut Transaction, store: &str, at: &Key, random: &mut Random) -> Result<()> {
    let stamp = Stamp::of(tx.get(store, at)?.as_ref());
    let id: i64 = at.to_string().parse().unwrap();
    let new = (random.below(3) > 0).then(|| json(&j!({ "id": id, "n": random.below(9) })));
    assert!(matches!(tx.change(store, at, stamp, new)?, Changed::Done(_)));
    Ok(())
}

/// Writes, some of which are taken back.
fn writes(tx: &mut Transaction, random: &mut Random, savepoints: bool) -> Result<()> {
    for _ in 0..1 + random.below(5) {
        if savepoints && random.below(4) == 0 {
            let place = tx.savepoint()?;
            write(tx, random)?;
            write(tx, random)?;
            tx.rollback_to(place)?;
        } else {
            write(tx, random)?;
        }
    }
    Ok(())
}

/// Changes stores and documents together; one of three is dropped.
fn upgrade(db: &JsonDb, random: &mut Random) {
    let mut tx = db.begin_upgrade(db.version().unwrap() + 1).unwrap().unwrap();
    writes(&mut tx, random, false).unwrap();
    if random.below(3) == 0 {
        tx.delete_object_store("others").unwrap();
        tx.create_object_store("others", keyed_by("id"), 0).unwrap();
    }
    let index = format!("by_x{}", random.below(2));
    if tx.create_index("items", &index, index_on("x")).is_ok() && random.below(2) == 0 {
        tx.delete_index("items", &index).unwrap();
    }
    writes(&mut tx, random, false).unwrap();
    if random.below(3) == 0 {
        tx.abort();
    } else {
        tx.commit(None).unwrap();
    }
}

#[test]
fn who_follows_the_changes_of_random_work_by_every_way_of_writing_has_the_documents() {
    let mut random =
        Random::from_env("who_follows_the_changes_of_random_work_by_every_way_of_writing_has_the_documents");
    let mut seen = BTreeMap::new();
    for round in 0..12 {
        let (db, clock) = open();
        let (watch, mut follower) = (watch(&db), Follower::default());
        for step in 0..60 {
            match random.below(12) {
                0 => upgrade(&db, &mut random),
                1 => clock.advance(random.below(20)),
                2 => drop(db.purge_expired(None).unwrap()),
                3 => db.set_default_ttl("items", random.below(2) * 30).unwrap(),
                _ => {
                    let mut tx = db.begin(&["items", "others"], Mode::ReadWrite).unwrap();
                    writes(&mut tx, &mut random, true).unwrap();
                    tx.commit(None).unwrap();
                }
            }
            let now_ms = clock.now_ms();
            follower.forget_expired(now_ms);
            follower.follow(&watch);
            assert_eq!(follower.documents, documents_in(&db), "round {round}, step {step}");
        }
        for (kind, count) in follower.seen {
            *seen.entry(kind).or_insert(0) += count;
        }
    }
    assert!(["put", "delete", "clear", "drop"].iter().all(|kind| seen.contains_key(kind)), "{seen:?}");
}

#[test]
fn many_documents_that_a_range_deletes_are_one_change_and_few_are_one_each() {
    let (db, _clock) = open();
    let many: Vec<_> = (0..1_500).map(|id| (None, json(&j!({ "id": id, "n": id })))).collect();
    change(&db, |tx| tx.put_many("items", many.clone()).map(drop)).unwrap();
    let watch = watch(&db);
    let kinds = || std::iter::from_fn(|| watch.try_recv().unwrap()).map(|change| kind_of(&change));

    let most = KeyRange::upper_bound(key(1_399.0), false);
    change(&db, |tx| tx.delete_range("items", &most)).unwrap();
    let first = watch.try_recv().unwrap().unwrap();
    assert_eq!(*first, Change::DeleteRange { store: Arc::from("items"), range: most });
    assert_eq!(kinds().count(), 0);
    change(&db, |tx| tx.delete_range("items", &KeyRange::upper_bound(key(1_401.0), false))).unwrap();
    assert_eq!(kinds().collect::<Vec<_>>(), ["delete", "delete"]);
    let query = QueryBuilder::new("items").filter("n", Condition::Equals(key(1_402.0))).build().unwrap();
    change(&db, |tx| query.delete(tx)).unwrap();
    assert_eq!(kinds().collect::<Vec<_>>(), ["delete"]);
    change(&db, |tx| tx.delete_range("items", &KeyRange::only(key(3.0)))).unwrap();
    assert_eq!(kinds().count(), 0, "where there is nothing, nothing changes");
}

#[test]
fn an_upgrade_is_one_commit_with_the_stores_that_it_deletes_first() {
    let (db, _clock) = open();
    change(&db, |tx| tx.put("items", None, json(&j!({ "id": 1, "n": 1 })))).unwrap();
    db.update(&["others"], None, |tx| tx.put("others", None, json(&j!({ "id": 1 })))).unwrap();
    let watch = watch(&db);
    let waiting = || std::iter::from_fn(|| watch.try_recv().unwrap()).collect::<Vec<_>>();
    let change_all = |tx: &mut Transaction| {
        tx.create_index("items", "by_u", unique_on("u"))?;
        tx.put("items", None, json(&j!({ "id": 1, "n": 2 })))?;
        tx.delete_object_store("others")?;
        tx.create_object_store("others", keyed_by("id"), 0)?;
        tx.put("others", None, json(&j!({ "id": 2 })))?;
        tx.create_object_store("more", keyed_by("id"), 0)?;
        tx.put("more", None, json(&j!({ "id": 3 })))
    };

    let mut dropped = db.begin_upgrade(1).unwrap().unwrap();
    change_all(&mut dropped).unwrap();
    assert_eq!(waiting(), []);
    dropped.abort();
    assert_eq!(waiting(), [], "what an index is built of is no change of documents");

    let mut tx = db.begin_upgrade(1).unwrap().unwrap();
    change_all(&mut tx).unwrap();
    tx.commit(None).unwrap();
    let changes = waiting();
    let kinds: Vec<_> = changes.iter().map(|change| kind_of(change)).collect();
    assert_eq!(kinds, ["drop", "put", "put", "put"]);
    let mut follower = Follower::default();
    follower.documents.insert(("items".into(), 1), (j!({ "id": 1, "n": 1 }), 1, 0));
    follower.documents.insert(("others".into(), 1), (j!({ "id": 1 }), 1, 0));
    changes.iter().for_each(|change| follower.take(change));
    assert_eq!(follower.documents, documents_in(&db));
}
