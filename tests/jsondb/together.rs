//! Calls on many documents, on ranges and by what a document holds, queries and cursors, with expiry, versions and savepoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowdb::clock::ManualClock;
use flowdb::config::Config;
use flowdb::engine::{Direction, ScanRange};
use flowdb::error::Code;
use flowdb::jsondb::{
    Changed, Condition, Course, Expires, Isolation, JsonDb, Key, KeyRange, Mode, Order, PageLimits, PlanKind,
    PutOptions, QueryBuilder, Row, Stamp, Transaction,
};
use serde_json::{Value, json as j};

use crate::support::{
    Random, all, change, code, content, documents, ids_by, index_on, json, key, keyed_by, limits, put,
    read_all, unique_on,
};

const NOW_MS: u64 = 1_700_000_000_000;
const TTL_MS: u64 = 1_000;
const EXPIRY_ROW: u8 = 7;

/// `items` with a default expiry, an index and a unique one, and the clock that it goes by.
fn open(default_ttl_ms: u64) -> (JsonDb, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let config = Config { clock: clock.clone(), auto_background: false, ..Config::in_memory() };
    let db = JsonDb::open(config).unwrap();
    db.create_object_store_with_ttl("items", keyed_by("id"), default_ttl_ms).unwrap();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    (db, clock)
}

fn put_for(tx: &mut Transaction, value: &Value, ms: u64) {
    let options = PutOptions { expires: Expires::After(ms), ..PutOptions::default() };
    tx.put_with("items", None, json(value), options).unwrap();
}

fn row(db: &JsonDb, id: i64) -> Option<Row> {
    db.begin(&["items"], Mode::ReadOnly).unwrap().get("items", &key(id as f64)).unwrap()
}

fn count(db: &JsonDb) -> u64 {
    db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &all()).unwrap()
}

fn expiry_rows(db: &JsonDb) -> usize {
    let mut rows = db.engine().scan(ScanRange::prefix([EXPIRY_ROW]), Direction::Forward, None).unwrap();
    std::iter::from_fn(|| rows.advance().unwrap().then_some(())).count()
}

fn unkeyed(values: &[Value]) -> Vec<(Option<Key>, flowdb::jsondb::Document)> {
    values.iter().map(|value| (None, json(value))).collect()
}

fn between(lower: i64, upper: i64) -> KeyRange {
    KeyRange::bound(key(lower as f64), key(upper as f64), false, true).unwrap()
}

#[test]
fn many_that_are_put_expire_as_their_store_says_and_count_their_versions() {
    let (db, clock) = open(TTL_MS);
    let values = [j!({ "id": 1, "n": 1, "u": 1 }), j!({ "id": 2, "n": 1, "u": 2 })];
    change(&db, |tx| tx.add_many("items", unkeyed(&values))).unwrap();
    clock.advance(TTL_MS - 1);
    assert_eq!(code(change(&db, |tx| tx.add_many("items", unkeyed(&values)))), Code::Constraint);
    change(&db, |tx| tx.put_many("items", unkeyed(&values[..1]))).unwrap();
    let first = row(&db, 1).unwrap();
    assert_eq!((first.version, first.expires_at), (2, NOW_MS + 2 * TTL_MS - 1));

    clock.advance(1);
    assert_eq!((count(&db), ids_by(&db, "by_n", &all())), (1, vec![1]));
    assert_eq!(change(&db, |tx| tx.delete_many("items", &[key(1.0), key(2.0)])).unwrap(), 1);
    assert_eq!((count(&db), expiry_rows(&db)), (0, 1));
    change(&db, |tx| tx.add_many("items", unkeyed(&values))).unwrap();
    assert_eq!((count(&db), row(&db, 2).unwrap().version), (2, 1));
    assert_eq!(db.purge_expired(None).unwrap(), 1);
    assert_eq!((count(&db), expiry_rows(&db)), (2, 2));
}

#[test]
fn a_change_counts_as_a_write_and_keeps_the_expiry() {
    for own in [None, Some(5 * TTL_MS)] {
        let (db, clock) = open(2 * TTL_MS);
        change(&db, |tx| {
            match own {
                Some(ms) => put_for(tx, &j!({ "id": 1, "n": 1 }), ms),
                None => _ = tx.put("items", None, json(&j!({ "id": 1, "n": 1 })))?,
            }
            Ok(())
        })
        .unwrap();
        let ends = NOW_MS + own.unwrap_or(2 * TTL_MS);
        clock.advance(TTL_MS);
        assert!(change(&db, |tx| tx.patch("items", &key(1.0), br#"{"n":2}"#)).unwrap());
        let stamp = Stamp::of(row(&db, 1).as_ref());
        let third = json(&j!({ "id": 1, "n": 3, "u": 3 }));
        let changed = change(&db, |tx| tx.change("items", &key(1.0), stamp, Some(third.clone()))).unwrap();
        assert!(matches!(changed, Changed::Done(_)));

        let now = row(&db, 1).unwrap();
        assert_eq!((now.version, now.expires_at, now.updated_at), (3, ends, NOW_MS + TTL_MS));
        assert_eq!((content(&now)["n"].as_i64(), expiry_rows(&db)), (Some(3), 1));
        clock.set(ends);
        assert_eq!((count(&db), ids_by(&db, "by_n", &all())), (0, vec![]));
        // A change of nothing is a document of its own, which expires as its store says.
        change(&db, |tx| tx.change("items", &key(1.0), Stamp::MISSING, Some(third.clone()))).unwrap();
        assert_eq!(row(&db, 1).unwrap().expires_at, ends + 2 * TTL_MS);
    }
}

#[test]
fn a_document_that_never_expires_does_not_begin_to_by_a_change() {
    let (db, _clock) = open(TTL_MS);
    let lasting = PutOptions { expires: Expires::Never, ..PutOptions::default() };
    change(&db, |tx| tx.put_with("items", None, json(&j!({ "id": 1 })), lasting)).unwrap();

    change(&db, |tx| tx.patch("items", &key(1.0), br#"{"n":2}"#)).unwrap();

    assert_eq!((row(&db, 1).unwrap().expires_at, expiry_rows(&db)), (0, 0));
}

#[test]
fn a_stamp_tells_an_expiry_that_was_changed_and_a_document_that_has_expired() {
    let (db, clock) = open(0);
    put(&db, j!({ "id": 1, "n": 1 }));
    let stamp = Stamp::of(row(&db, 1).as_ref());
    let set = |stamp| {
        change(&db, |tx| tx.change("items", &key(1.0), stamp, Some(json(&j!({ "id": 1, "n": 2 }))))).unwrap()
    };
    change(&db, |tx| tx.touch("items", &key(1.0), Expires::After(TTL_MS))).unwrap();

    let Changed::Otherwise(Some(touched)) = set(stamp) else { panic!("it expires at another time") };
    assert_eq!((touched.version, content(&touched)), (1, j!({ "id": 1, "n": 1 })));
    clock.advance(TTL_MS);
    assert_eq!(set(Stamp::of(Some(&touched))), Changed::Otherwise(None));
}

/// Below and above the number from which on the range itself is deleted, with indexes and without.
#[test]
fn a_deleted_range_takes_the_expiry_rows_of_its_documents_and_leaves_those_that_have_expired_to_be_purged() {
    for (total, indexed) in [(60, true), (2_400, true), (60, false), (2_400, false)] {
        let (db, clock) = open(0);
        if !indexed {
            db.delete_index("items", "by_n").unwrap();
            db.delete_index("items", "by_u").unwrap();
        }
        // A third each: for ever, for long, and gone when the range is deleted.
        change(&db, |tx| {
            for id in 0..total {
                let value = j!({ "id": id, "n": id % 7, "u": id });
                match id % 3 {
                    0 => _ = tx.put("items", None, json(&value))?,
                    1 => put_for(tx, &value, 9 * TTL_MS),
                    _ => put_for(tx, &value, TTL_MS),
                }
            }
            Ok(())
        })
        .unwrap();
        clock.advance(TTL_MS);
        let third = total as u64 / 3;
        assert_eq!(count(&db), 2 * third);

        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        let start = tx.savepoint().unwrap();
        for _ in 0..2 {
            assert_eq!(tx.delete_range("items", &between(6, total)).unwrap(), 2 * third - 4);
            assert_eq!(tx.count("items", &all()).unwrap(), 4, "{total} {indexed}");
            tx.rollback_to(start).unwrap();
            assert_eq!(tx.count("items", &all()).unwrap(), 2 * third);
            assert_eq!(documents(&mut tx).len() as u64, 2 * third);
        }
        tx.delete_range("items", &between(6, total)).unwrap();
        tx.commit(None).unwrap();
        assert_eq!((count(&db), expiry_rows(&db) as u64), (4, third + 2), "{total} {indexed}");
        if indexed {
            assert_eq!(ids_by(&db, "by_u", &all()), [0, 1, 3, 4]);
        }
        assert_eq!(db.purge_expired(None).unwrap(), third);
        assert_eq!((count(&db), expiry_rows(&db)), (4, 2));
        clock.advance(8 * TTL_MS);
        assert_eq!(count(&db), 2);
        assert_eq!(db.purge_expired(None).unwrap(), 2);
        assert_eq!((count(&db), expiry_rows(&db)), (2, 0));
    }
}

/// Whoever deletes a range writes every document in it, at snapshot isolation, too.
#[test]
fn a_deleted_range_conflicts_at_snapshot_isolation_with_who_wrote_in_it_first() {
    let (db, _clock) = open(0);
    put(&db, j!({ "id": 5 }));
    let begin = || db.begin_with(&["items"], Mode::ReadWrite, Isolation::Snapshot).unwrap();
    let (mut deleting, mut patching) = (begin(), begin());
    deleting.delete_range("items", &between(0, 10)).unwrap();
    patching.patch("items", &key(5.0), br#"{"n":5}"#).unwrap();
    put(&db, j!({ "id": 6 }));
    assert_eq!(code(deleting.commit(None)), Code::Conflict);
    put(&db, j!({ "id": 5, "n": 1 }));
    assert_eq!(code(patching.commit(None)), Code::Conflict);
}

#[test]
fn a_cursor_sees_what_there_was_when_it_was_opened_whatever_is_taken_back() {
    let (db, clock) = open(0);
    put(&db, j!({ "id": 1, "n": 1 }));
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    let start = tx.savepoint().unwrap();
    tx.put("items", None, json(&j!({ "id": 2, "n": 2 }))).unwrap();
    put_for(&mut tx, &j!({ "id": 3, "n": 3 }), TTL_MS);
    let seen = tx.seen();
    let course = Course { range: all(), direction: Direction::Reverse, distinct: true };
    let ids = |tx: &mut Transaction| {
        [None, Some("by_n")].map(|index| {
            let page = tx.page_of("items", index, &course, None, limits(9), Some(&seen)).unwrap();
            page.rows.iter().map(|row| content(row)["id"].as_i64().unwrap()).collect::<Vec<_>>()
        })
    };
    let both = |ids: &[i64]| [ids.to_vec(), ids.to_vec()];

    tx.rollback_to(start).unwrap();
    assert_eq!(documents(&mut tx).into_keys().collect::<Vec<_>>(), [1]);
    assert_eq!(ids(&mut tx), both(&[3, 2, 1]));
    tx.delete_range("items", &all()).unwrap();
    tx.put("items", None, json(&j!({ "id": 4, "n": 4 }))).unwrap();
    assert_eq!(ids(&mut tx), both(&[3, 2, 1]));
    clock.advance(TTL_MS);
    assert_eq!(ids(&mut tx), both(&[2, 1]), "what has expired is gone for everybody");
    tx.commit(None).unwrap();
    assert_eq!((count(&db), ids_by(&db, "by_n", &all())), (1, vec![4]));
}

#[test]
fn a_call_on_many_that_fails_behind_a_savepoint_is_taken_back_alone() {
    let (db, _clock) = open(TTL_MS);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 1, "u": 1 }))).unwrap();
    let start = tx.savepoint().unwrap();
    tx.put("items", None, json(&j!({ "id": 2, "u": 2 }))).unwrap();
    let clash = unkeyed(&[j!({ "id": 2, "u": 7 }), j!({ "id": 3, "u": 3 }), j!({ "id": 4, "u": 1 })]);
    assert_eq!(code(tx.put_many("items", clash)), Code::Constraint);
    assert_eq!(
        documents(&mut tx).into_values().collect::<Vec<_>>(),
        [j!({ "id": 1, "u": 1 }), j!({ "id": 2, "u": 2 })]
    );
    tx.put_many("items", unkeyed(&[j!({ "id": 1, "u": 9 }), j!({ "id": 3, "u": 1 })])).unwrap();
    assert_eq!(tx.count("items", &all()).unwrap(), 3);
    let later = tx.savepoint().unwrap();
    tx.put_many("items", unkeyed(&[j!({ "id": 3, "u": 4 })])).unwrap();
    tx.rollback_to(later).unwrap();
    assert_eq!(documents(&mut tx)[&3], j!({ "id": 3, "u": 1 }));

    tx.rollback_to(start).unwrap();
    tx.commit(None).unwrap();
    assert_eq!((count(&db), ids_by(&db, "by_u", &all()), expiry_rows(&db)), (1, vec![1], 1));
}

/// Queries by every plan: a scan, an index, one with its gaps, a unique row, and sorting.
fn queries() -> Vec<QueryBuilder> {
    let items = || QueryBuilder::new("items");
    let number = |n: f64| Condition::Equals(key(n));
    vec![
        items(),
        items().filter("n", number(1.0)),
        items().filter("u", number(2.0)),
        items().filter("u", Condition::In((0..9).map(|u| key(f64::from(u))).collect())),
        items().order_by("n", Order::Descending),
        items().order_by("other", Order::Ascending).offset(1),
        items().filter("id", Condition::Range(between(0, 99))).order_by("u", Order::Ascending).limit(50),
    ]
}

fn found(builder: QueryBuilder, tx: &mut Transaction) -> (Vec<i64>, Vec<Key>, u64) {
    let query = builder.build().unwrap();
    let rows = query.rows(tx).unwrap();
    let ids = rows.iter().map(|row| content(row)["id"].as_i64().unwrap()).collect();
    (ids, query.keys(tx).unwrap(), query.count(tx).unwrap())
}

/// What a query finds beside documents that have expired is what it finds where they were deleted.
#[test]
fn documents_that_have_expired_are_absent_for_queries_by_every_plan() {
    let (expired, clock) = open(0);
    let (deleted, _) = open(0);
    for db in [&expired, &deleted] {
        change(db, |tx| {
            for id in 0..30 {
                let value =
                    if id % 5 == 0 { j!({ "id": id }) } else { j!({ "id": id, "n": id % 2, "u": id }) };
                match id % 3 {
                    0 => put_for(tx, &value, TTL_MS),
                    1 => put_for(tx, &value, 9 * TTL_MS),
                    _ => _ = tx.put("items", None, json(&value))?,
                }
            }
            Ok(())
        })
        .unwrap();
    }
    let mut began_before = expired.begin(&["items"], Mode::ReadOnly).unwrap();
    clock.advance(TTL_MS);
    change(&deleted, |tx| {
        let keys: Vec<Key> = (0..30).filter(|id| id % 3 == 0).map(|id| key(f64::from(id))).collect();
        tx.delete_many("items", &keys)
    })
    .unwrap();
    for builder in queries() {
        let mut other = deleted.begin(&["items"], Mode::ReadOnly).unwrap();
        let wanted = found(builder.clone(), &mut other);
        assert_eq!(wanted.1.len() as u64, wanted.2);
        assert_eq!(found(builder.clone(), &mut began_before), wanted, "{builder:?}");
        let mut now = expired.begin(&["items"], Mode::ReadWrite).unwrap();
        let start = now.savepoint().unwrap();
        let query = builder.build().unwrap();
        let explained = query.explain(&mut now).unwrap();
        let of_other = query.explain(&mut other).unwrap();
        assert_eq!((explained.plan, &explained.indexes), (of_other.plan, &of_other.indexes));
        assert_eq!(explained.rows_sampled, of_other.rows_sampled, "what has expired is not counted");
        assert_eq!(query.delete(&mut now).unwrap(), wanted.2);
        assert_eq!(now.count("items", &all()).unwrap(), 20 - wanted.2);
        now.rollback_to(start).unwrap();
        assert_eq!(now.count("items", &all()).unwrap(), 20);
    }
}

/// Rows that were found and not yet given out may expire meanwhile.
#[test]
fn what_expires_between_two_pages_of_a_query_is_not_given_out() {
    for by in ["id", "other"] {
        for keys_only in [false, true] {
            let (db, clock) = open(0);
            change(&db, |tx| {
                for id in 0..40 {
                    let ms = if id % 2 == 0 { TTL_MS } else { 9 * TTL_MS };
                    put_for(tx, &j!({ "id": id, "n": 1 }), ms);
                }
                Ok(())
            })
            .unwrap();
            let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
            let query = QueryBuilder::new("items").filter("n", Condition::Equals(key(1.0)));
            let mut cursor = query.order_by(by, Order::Ascending).build().unwrap().cursor();
            let page = PageLimits { rows: 4, bytes: usize::MAX, keys_only };
            assert_eq!(cursor.next_page(&mut tx, page).unwrap().rows.len(), 4);
            assert_eq!(cursor.explanation().plan, PlanKind::Index);
            clock.set(NOW_MS + TTL_MS);
            let mut ids = Vec::new();
            loop {
                let next = cursor.next_page(&mut tx, page).unwrap();
                ids.extend(next.rows.iter().map(|row| row.key.clone()));
                if !next.more {
                    break;
                }
            }
            let left: Vec<Key> = (4..40).filter(|id| id % 2 == 1).map(|id| key(f64::from(id))).collect();
            assert_eq!(ids, left, "by {by}, keys only: {keys_only}");
        }
    }
}

#[test]
fn a_query_goes_on_over_what_there_was_when_it_began_whatever_is_taken_back() {
    let (db, _clock) = open(0);
    for by in ["n", "other", "id"] {
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        let start = tx.savepoint().unwrap();
        for id in 0..30 {
            tx.put("items", None, json(&j!({ "id": id, "n": id }))).unwrap();
        }
        let query = QueryBuilder::new("items").filter("n", Condition::Range(between(0, 99)));
        let mut cursor = query.order_by(by, Order::Ascending).build().unwrap().cursor();
        let page = PageLimits { rows: 4, bytes: usize::MAX, keys_only: false };
        assert_eq!(cursor.next_page(&mut tx, page).unwrap().rows.len(), 4);
        tx.rollback_to(start).unwrap();
        tx.put("items", None, json(&j!({ "id": 99, "n": 4 }))).unwrap();
        let mut count = 4;
        loop {
            let next = cursor.next_page(&mut tx, page).unwrap();
            count += next.rows.len();
            if !next.more {
                break;
            }
        }
        assert_eq!(count, 30, "by {by}");
        assert_eq!(documents(&mut tx).len(), 1);
    }
}

/// A document with the moment at which it expires; 0 is never.
type Model = BTreeMap<i64, (Value, u64)>;

const IDS: u64 = 24;

fn step(tx: &mut Transaction, model: &mut Model, random: &mut Random, now_ms: u64) {
    let id = random.below(IDS) as i64;
    let value = j!({ "id": id, "n": random.below(5) });
    let ms = random.below(4_000);
    match random.below(8) {
        0 => {
            tx.put("items", None, json(&value)).unwrap();
            model.insert(id, (value, 0));
        }
        1 | 2 => {
            put_for(tx, &value, ms);
            model.insert(id, (value, now_ms + ms));
        }
        3 => {
            let values: Vec<Value> = (id..id + 3).map(|id| j!({ "id": id, "n": 1 })).collect();
            tx.put_many("items", unkeyed(&values)).unwrap();
            model.extend(values.into_iter().zip(id..).map(|(value, id)| (id, (value, 0))));
        }
        4 => {
            let is_there = tx.touch("items", &key(id as f64), Expires::After(ms)).unwrap();
            assert_eq!(is_there, model.contains_key(&id));
            model.entry(id).and_modify(|(_, expires_at)| *expires_at = now_ms + ms);
        }
        5 => {
            let is_there = tx.patch("items", &key(id as f64), br#"{"n":9}"#).unwrap();
            assert_eq!(is_there, model.contains_key(&id));
            model.entry(id).and_modify(|(value, _)| value["n"] = j!(9));
        }
        6 => {
            let upper = id + random.below(6) as i64 + 1;
            let before = model.len();
            model.retain(|other, _| *other < id || *other >= upper);
            assert_eq!(tx.delete_range("items", &between(id, upper)).unwrap(), (before - model.len()) as u64);
        }
        _ => assert_eq!(tx.delete("items", &key(id as f64)).unwrap(), model.remove(&id).is_some()),
    }
    model.retain(|_, (_, expires_at)| *expires_at == 0 || *expires_at > now_ms);
}

fn assert_shows(tx: &mut Transaction, model: &Model) {
    let values: BTreeMap<i64, Value> = model.iter().map(|(id, (value, _))| (*id, value.clone())).collect();
    assert_eq!(documents(tx), values);
    assert_eq!(tx.count("items", &all()).unwrap(), model.len() as u64);
    assert_eq!(tx.count("items", &between(0, 99)).unwrap(), model.len() as u64);
    let nines = QueryBuilder::new("items").filter("n", Condition::Equals(key(9.0))).build().unwrap();
    let is_nine = |value: &&Value| value["n"] == 9;
    assert_eq!(nines.rows(tx).unwrap().len(), values.values().filter(is_nine).count());
    assert_eq!(nines.count(tx).unwrap() as usize, values.values().filter(is_nine).count());
    let by_n = read_all(tx, Some("by_n"), &all(), Direction::Forward, 5);
    let mut expected: Vec<(i64, i64)> =
        values.values().map(|value| (value["n"].as_i64().unwrap(), value["id"].as_i64().unwrap())).collect();
    expected.sort_unstable();
    let found =
        by_n.iter().map(content).map(|value| (value["n"].as_i64().unwrap(), value["id"].as_i64().unwrap()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn everything_agrees_with_a_model_under_random_work() {
    let mut random = Random::from_env("everything_agrees_with_a_model_under_random_work");
    for _ in 0..60 {
        let (db, clock) = open(0);
        let mut now_ms = NOW_MS;
        let mut model = Model::new();
        for _ in 0..6 {
            let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
            let mut saved = Vec::new();
            let before = model.clone();
            for _ in 0..random.below(14) {
                match random.below(6) {
                    0 => saved.push((tx.savepoint().unwrap(), model.clone())),
                    1 if !saved.is_empty() => {
                        let place = random.below(saved.len() as u64) as usize;
                        tx.rollback_to(saved[place].0).unwrap();
                        model = saved[place].1.clone();
                        saved.truncate(place + 1);
                    }
                    2 => {
                        now_ms += random.below(900);
                        clock.set(now_ms);
                    }
                    _ => step(&mut tx, &mut model, &mut random, now_ms),
                }
                model.retain(|_, (_, expires_at)| *expires_at == 0 || *expires_at > now_ms);
                assert_shows(&mut tx, &model);
            }
            if random.below(4) == 0 {
                drop(tx);
                model = before;
            } else {
                tx.commit(None).unwrap();
            }
            if random.below(3) == 0 {
                db.purge_expired(None).unwrap();
            }
            model.retain(|_, (_, expires_at)| *expires_at == 0 || *expires_at > now_ms);
            assert_shows(&mut db.begin(&["items"], Mode::ReadOnly).unwrap(), &model);
        }
    }
}
