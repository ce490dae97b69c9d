//! Queries: what they give, what they cost, and what a transaction has read by them.

use flowdb::error::{Code, Result};
use flowdb::jsondb::{
    Condition, Document, Explanation, Format, JsonDb, Key, KeyRange, Mode, Order, PageLimits, PlanKind,
    Query, QueryBuilder, Transaction,
};
use serde_json::{Value, json as j};

use crate::support::{
    change, code, compound_on, content, index_on, json, key, multi_entry_on, open, open_with_items,
    out_of_line, put, unique_on,
};

fn equals(value: impl Into<flowdb::jsondb::KeyValue>) -> Condition {
    Condition::Equals(key(value))
}

fn at_least(value: impl Into<flowdb::jsondb::KeyValue>) -> Condition {
    Condition::Range(KeyRange::lower_bound(key(value), false))
}

fn items() -> QueryBuilder {
    QueryBuilder::new("items")
}

fn ids(tx: &mut Transaction, query: QueryBuilder) -> Vec<i64> {
    let keys = query.build().unwrap().keys(tx).unwrap();
    keys.iter().map(|key| key.to_string().parse().unwrap()).collect()
}

fn read(db: &JsonDb) -> Transaction {
    db.begin(&["items"], Mode::ReadOnly).unwrap()
}

fn explain(db: &JsonDb, query: QueryBuilder) -> Explanation {
    query.build().unwrap().explain(&mut read(db)).unwrap()
}

fn people() -> JsonDb {
    let db = open_with_items();
    for document in [
        j!({ "id": 1, "city": "Bern", "age": 30, "tags": ["a", "b"] }),
        j!({ "id": 2, "city": "Jena", "age": 17, "tags": [] }),
        j!({ "id": 3, "city": "Bern", "tags": "a" }),
        j!({ "id": 4, "city": "Bern", "age": "old", "tags": ["b", ["a"]] }),
        j!({ "id": 5, "city": "Jena", "age": 30, "address": { "zip": "3000" } }),
        j!({ "id": 6, "city": null, "age": { "years": 3 } }),
    ] {
        put(&db, document);
    }
    db
}

fn with_indexes() -> JsonDb {
    let db = people();
    db.create_index("items", "by_city", index_on("city")).unwrap();
    db.create_index("items", "by_age", index_on("age")).unwrap();
    db.create_index("items", "by_tag", multi_entry_on("tags")).unwrap();
    db.create_index("items", "by_both", compound_on(&["city", "age"])).unwrap();
    db
}

#[test]
fn each_condition_finds_what_it_says_with_and_without_an_index() {
    for db in [people(), with_indexes()] {
        let mut tx = read(&db);
        let mut found = |path: &str, condition| {
            ids(&mut tx, items().filter(path, condition).order_by("id", Order::Ascending))
        };
        assert_eq!(found("city", equals("Bern")), [1, 3, 4]);
        assert_eq!(found("city", equals(flowdb::jsondb::KeyValue::Null)), [6]);
        assert_eq!(found("city", Condition::In(vec![key("Jena"), key("Ulm"), key("Jena")])), [2, 5]);
        assert_eq!(found("city", Condition::In(vec![])), [0; 0]);
        assert_eq!(found("city", Condition::Prefix(key("B"))), [1, 3, 4]);
        assert_eq!(found("age", at_least(17.0)), [1, 2, 5], "a range of numbers finds no strings");
        assert_eq!(found("age", at_least("")), [4]);
        assert_eq!(found("age", Condition::Range(KeyRange::all())), [1, 2, 4, 5], "an object is no key");
        assert_eq!(found("tags", Condition::Contains(key("a"))), [1], "only arrays contain something");
        assert_eq!(found("tags", Condition::Contains(key([key_value("a")]))), [4]);
        assert_eq!(found("tags", equals("a")), [3]);
        assert_eq!(found("tags", Condition::Prefix(key([key_value("b")]))), [4]);
        assert_eq!(found("tags.0", equals("b")), [4]);
        assert_eq!(found("address.zip", equals("3000")), [5]);
        assert_eq!(found("id", at_least(5.0)), [5, 6]);
        assert_eq!(found("nowhere", equals(1.0)), [0; 0]);
    }
}

fn key_value(text: &str) -> flowdb::jsondb::KeyValue {
    text.into()
}

#[test]
fn conditions_on_one_path_and_on_several_have_to_be_met_all() {
    for db in [people(), with_indexes()] {
        let mut tx = read(&db);
        let both = items().filter("city", equals("Bern")).filter("age", at_least(18.0));
        assert_eq!(ids(&mut tx, both), [1]);
        let between = items()
            .filter("age", at_least(17.0))
            .filter("age", Condition::Range(KeyRange::upper_bound(key(30.0), true)));
        assert_eq!(ids(&mut tx, between), [2]);
        let never = items().filter("age", at_least(17.0)).filter("age", at_least("a")).build().unwrap();
        assert_eq!(never.count(&mut tx).unwrap(), 0);
        assert_eq!(never.explain(&mut tx).unwrap().plan, PlanKind::Nothing);
        let tags = items()
            .filter("tags", Condition::Contains(key("a")))
            .filter("tags", Condition::Contains(key("b")));
        assert_eq!(ids(&mut tx, tags), [1]);
    }
}

#[test]
fn documents_without_a_key_come_last_in_both_directions_and_ties_by_primary_key() {
    for db in [people(), with_indexes()] {
        let mut tx = read(&db);
        assert_eq!(ids(&mut tx, items().order_by("age", Order::Ascending)), [2, 1, 5, 4, 3, 6]);
        assert_eq!(ids(&mut tx, items().order_by("age", Order::Descending)), [4, 1, 5, 2, 3, 6]);
        assert_eq!(ids(&mut tx, items().order_by("id", Order::Descending)), [6, 5, 4, 3, 2, 1]);
        let by_two = items().order_by("city", Order::Descending).order_by("age", Order::Ascending);
        assert_eq!(ids(&mut tx, by_two.clone()), [2, 5, 1, 4, 3, 6]);
        assert_eq!(ids(&mut tx, by_two.offset(1).limit(3)), [5, 1, 4]);
        let in_city = items().filter("city", equals("Bern")).order_by("age", Order::Descending);
        assert_eq!(ids(&mut tx, in_city), [4, 1, 3]);
    }
}

#[test]
fn a_selection_keeps_what_is_named_where_it_is_nested() {
    let db = with_indexes();
    let query = items().filter("id", equals(5.0)).select(["address.zip", "age", "none"]).build().unwrap();
    let row = query.first(&mut read(&db)).unwrap().unwrap();
    assert_eq!(content(&row), j!({ "age": 30, "address": { "zip": "3000" } }));
    assert_eq!(row.version, 1);
}

#[test]
fn documents_that_are_not_json_meet_no_condition_and_have_no_parts() {
    let db = open();
    db.create_object_store("items", out_of_line()).unwrap();
    db.create_index("items", "by_a", index_on("a")).unwrap();
    change(&db, |tx| {
        tx.put("items", Some(key(1.0)), Document { format: Format::Raw, bytes: vec![1] })?;
        tx.put("items", Some(key(2.0)), json(&j!({ "a": 1 })))
    })
    .unwrap();
    let mut tx = read(&db);
    assert_eq!(ids(&mut tx, items().filter("a", equals(1.0))), [2]);
    assert_eq!(ids(&mut tx, items().order_by("a", Order::Descending)), [2, 1]);
    let rows = items().select(["a"]).build().unwrap().rows(&mut tx).unwrap();
    assert_eq!(rows.iter().map(content).collect::<Vec<_>>(), [j!({}), j!({ "a": 1 })]);
}

#[test]
fn what_a_query_may_not_ask_is_a_typed_error() {
    let refused = |query: QueryBuilder| code(query.build());
    assert_eq!(refused(items().filter("a..b", equals(1.0))), Code::InvalidArgument);
    assert_eq!(refused(items().order_by("a.", Order::Ascending)), Code::InvalidArgument);
    assert_eq!(refused(items().select(["."])), Code::InvalidArgument);
    assert_eq!(refused(items().filter("a", Condition::Prefix(key(1.0)))), Code::InvalidArgument);
    assert_eq!(refused(items().filter("x".repeat(1_025), equals(1.0))), Code::InvalidArgument);
    let many = vec![key(1.0); 10_001];
    assert_eq!(refused(items().filter("a", Condition::In(many))), Code::InvalidArgument);
    let by_many = (0..17).fold(items(), |query, n| query.order_by(format!("p{n}"), Order::Ascending));
    assert_eq!(refused(by_many), Code::InvalidArgument);
    let by_many = (0..65).fold(items(), |query, n| query.filter(format!("p{n}"), equals(1.0)));
    assert_eq!(refused(by_many), Code::InvalidArgument);
    assert_eq!(refused(items().select((0..257).map(|n| n.to_string()))), Code::InvalidArgument);

    let db = people();
    let mut tx = read(&db);
    let elsewhere = QueryBuilder::new("nowhere").build().unwrap();
    assert_eq!(code(elsewhere.rows(&mut tx)), Code::NotFound);
    assert_eq!(code(items().build().unwrap().delete(&mut tx)), Code::ReadOnly);
}

#[test]
fn a_query_in_a_transaction_sees_its_writes_and_deletes_what_it_finds() {
    let db = with_indexes();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 7, "city": "Bern", "age": 1 }))).unwrap();
    tx.delete("items", &key(3.0)).unwrap();
    let in_bern = items().filter("city", equals("Bern"));
    assert_eq!(ids(&mut tx, in_bern.clone()), [1, 4, 7]);
    let oldest = in_bern.clone().order_by("age", Order::Descending).offset(1).limit(1).build().unwrap();
    assert_eq!(oldest.delete(&mut tx).unwrap(), 1);
    assert_eq!(ids(&mut tx, in_bern.clone()), [4, 7]);
    assert_eq!(in_bern.clone().build().unwrap().delete(&mut tx).unwrap(), 2);
    assert_eq!(ids(&mut read(&db), in_bern.clone()), [1, 3, 4]);
    tx.commit(None).unwrap();
    assert_eq!(ids(&mut read(&db), in_bern), [0; 0]);
    assert_eq!(ids(&mut read(&db), items().order_by("age", Order::Ascending)), [2, 5, 6]);
}

/// Runs `query` in a transaction that then writes elsewhere, with `other` committed in between.
fn commits_beside(query: &Query, other: Value) -> Result<()> {
    commits_beside_in(&with_indexes(), query, other)
}

fn commits_beside_in(db: &JsonDb, query: &Query, other: Value) -> Result<()> {
    db.create_object_store("other", out_of_line()).unwrap();
    let mut tx = db.begin(&["items", "other"], Mode::ReadWrite).unwrap();
    query.rows(&mut tx).unwrap();
    tx.put("other", Some(key(1.0)), json(&j!(1))).unwrap();
    put(db, other);
    tx.commit(None)
}

#[test]
fn what_a_query_reads_conflicts_with_what_others_write_there_and_only_there() {
    let in_bern = items().filter("city", equals("Bern")).build().unwrap();
    assert_eq!(code(commits_beside(&in_bern, j!({ "id": 9, "city": "Bern" }))), Code::Conflict, "a phantom");
    assert_eq!(
        code(commits_beside(&in_bern, j!({ "id": 1, "city": "Jena" }))),
        Code::Conflict,
        "one that goes"
    );
    commits_beside(&in_bern, j!({ "id": 9, "city": "Ulm" })).unwrap();
    commits_beside(&in_bern, j!({ "id": 2, "city": "Ulm" })).unwrap();
    let youngest = items().order_by("age", Order::Ascending).limit(1).build().unwrap();
    assert_eq!(code(commits_beside(&youngest, j!({ "id": 9, "age": 3 }))), Code::Conflict);
    commits_beside(&youngest, j!({ "id": 9, "age": 99 })).unwrap();
    let ageless = items().order_by("age", Order::Ascending).offset(5).limit(1).build().unwrap();
    assert_eq!(code(commits_beside(&ageless, j!({ "id": 0 }))), Code::Conflict, "one without a key");
    let scan = items().filter("address.zip", equals("x")).build().unwrap();
    assert_eq!(code(commits_beside(&scan, j!({ "id": 9 }))), Code::Conflict);
}

#[test]
fn a_cursor_goes_on_over_its_snapshot_and_only_in_its_transaction() {
    let db = with_indexes();
    let limits = PageLimits { rows: 2, bytes: usize::MAX, keys_only: false };
    let query = items().order_by("age", Order::Descending).build().unwrap();
    let (mut tx, mut cursor) = (read(&db), query.cursor());
    let mut found = Vec::new();
    loop {
        let page = cursor.next_page(&mut tx, limits).unwrap();
        found.extend(page.rows.iter().map(|row| content(row)["id"].as_i64().unwrap()));
        change(&db, |tx| tx.clear("items")).unwrap();
        if !page.more {
            break;
        }
    }
    assert_eq!(found, [4, 1, 5, 2, 3, 6]);
    assert_eq!(cursor.next_page(&mut tx, limits).unwrap().rows, []);

    let mut cursor = query.cursor();
    cursor.next_page(&mut tx, limits).unwrap();
    db.delete_object_store("items").unwrap();
    db.create_object_store("items", out_of_line()).unwrap();
    assert_eq!(code(cursor.next_page(&mut read(&db), limits)), Code::InvalidArgument);
}

#[test]
fn a_query_that_its_transaction_writes_beside_gives_what_was_there_when_it_began() {
    let db = with_indexes();
    let one = PageLimits { rows: 1, bytes: usize::MAX, keys_only: false };
    for keys_only in [false, true] {
        // By an index whose rows decide all, and sorted.
        for query in [items(), items().order_by("tags", Order::Descending).order_by("id", Order::Ascending)] {
            let query = query.filter("city", equals("Bern")).build().unwrap();
            let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
            let (limits, mut cursor) = (PageLimits { keys_only, ..one }, query.cursor());
            let wanted = query.rows(&mut tx).unwrap();
            let mut found = cursor.next_page(&mut tx, limits).unwrap().rows;
            let others: Vec<i64> =
                [1, 3, 4].into_iter().filter(|id| found[0].key != key(*id as f64)).collect();
            tx.delete("items", &key(others[0] as f64)).unwrap();
            tx.put("items", None, json(&j!({ "id": others[1], "city": "Ulm" }))).unwrap();
            loop {
                let page = cursor.next_page(&mut tx, limits).unwrap();
                found.extend(page.rows);
                if !page.more {
                    break;
                }
            }
            if keys_only {
                let keys =
                    |rows: Vec<flowdb::jsondb::Row>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
                assert_eq!(keys(found), keys(wanted), "{query:?}");
            } else {
                assert_eq!(found, wanted, "{query:?}");
            }
            assert_eq!(query.count(&mut tx).unwrap(), 1, "one that begins now sees the writes");
        }
    }
}

/// A compound key can be too long where each part of it is short enough: no index has it, and a query finds it.
#[test]
fn a_document_whose_compound_key_is_too_long_is_found_all_the_same() {
    let db = open_with_items();
    db.create_index("items", "by_both", compound_on(&["a", "b"])).unwrap();
    let long = "x".repeat(10_000);
    put(&db, j!({ "id": 1, "a": long, "b": long }));
    put(&db, j!({ "id": 2, "a": long, "b": "y" }));
    put(&db, j!({ "id": 3, "a": "z" }));
    let mut tx = read(&db);
    let by_a = || items().filter("a", equals(&long[..]));
    assert_eq!(ids(&mut tx, by_a().order_by("id", Order::Ascending)), [1, 2]);
    assert_eq!(ids(&mut tx, by_a().filter("b", at_least("x"))), [2, 1]);
    assert_eq!(ids(&mut tx, by_a().filter("b", equals(&long[..]))), [1]);
    assert_eq!(ids(&mut tx, by_a().order_by("b", Order::Descending)), [2, 1]);
    let in_order = items().order_by("a", Order::Ascending).order_by("b", Order::Ascending);
    assert_eq!(ids(&mut tx, in_order.clone()), [1, 2, 3]);
    assert!(explain(&db, in_order).sorted);
}

#[test]
fn sorting_more_than_its_bound_is_a_typed_error_and_a_limit_or_an_index_helps() {
    let db = open_with_items();
    let long = "x".repeat(16_000);
    for from in (0..4_400).step_by(400) {
        change(&db, |tx| {
            for id in from..from + 400 {
                tx.put("items", None, json(&j!({ "id": id, "text": format!("{long}{id:04}") })))?;
            }
            Ok(())
        })
        .unwrap();
    }
    let query = items().order_by("text", Order::Descending);
    let keys = |query: &QueryBuilder| query.clone().build().unwrap().keys(&mut read(&db));
    assert_eq!(code(keys(&query)), Code::InvalidArgument);
    assert_eq!(keys(&query.clone().limit(2)).unwrap(), [key(4_399.0), key(4_398.0)]);
    db.create_index("items", "by_text", index_on("text")).unwrap();
    assert_eq!(keys(&query).unwrap().len(), 4_400);
}

#[test]
fn an_index_is_used_wherever_one_serves() {
    let db = with_indexes();
    db.create_index("items", "by_zip", unique_on("address.zip")).unwrap();
    for (query, index) in [
        (items().filter("city", equals("Jena")), "by_city"),
        (items().filter("age", at_least(18.0)), "by_age"),
        (items().filter("age", Condition::In(vec![key(30.0), key(17.0)])), "by_age"),
        (items().filter("tags", Condition::Contains(key("a"))), "by_tag"),
        (items().filter("address.zip", equals("3000")).filter("city", equals("Jena")), "by_zip"),
        (items().filter("city", equals("Bern")).filter("age", at_least(18.0)), "by_both"),
        (items().filter("city", equals("Bern")).order_by("age", Order::Descending).limit(2), "by_both"),
        (items().order_by("city", Order::Ascending), "by_city"),
    ] {
        let explained = explain(&db, query);
        assert_eq!((explained.plan, explained.sorted), (PlanKind::Index, false), "{explained:?}");
        assert_eq!(explained.indexes, [index]);
    }
    assert_eq!(explain(&db, items().filter("id", at_least(3.0))).plan, PlanKind::Key);
    assert_eq!(explain(&db, items().filter("address.city", equals(1.0))).plan, PlanKind::Scan);
    assert_eq!(explain(&db, items().filter("address.zip", equals("3000"))).rows_read(), 2);

    db.delete_index("items", "by_city").unwrap();
    let by_prefix = explain(&db, items().filter("city", equals("Bern")));
    assert_eq!(by_prefix.indexes, ["by_both"], "a compound index serves by its first part");
    assert_eq!(by_prefix.rows_returned, 3);
}

mod cost {
    use super::*;

    /// How many documents the tests of cost are about.
    fn documents() -> u64 {
        std::env::var("FLOWDB_DOCUMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
    }

    /// Documents with a number of their own, one of ten groups, and one of a hundred.
    fn large() -> JsonDb {
        let db = open_with_items();
        db.create_index("items", "by_n", index_on("n")).unwrap();
        db.create_index("items", "by_u", unique_on("u")).unwrap();
        db.create_index("items", "by_ten", index_on("ten")).unwrap();
        db.create_index("items", "by_hundred", index_on("hundred")).unwrap();
        db.create_index("items", "by_ten_n", compound_on(&["ten", "n"])).unwrap();
        db.create_index("items", "by_tag", multi_entry_on("tags")).unwrap();
        let count = documents();
        for from in (0..count).step_by(1_000) {
            change(&db, |tx| {
                for id in from..(from + 1_000).min(count) {
                    // Scattered, so that the order of numbers is not that of the ids.
                    let n = id * 7_919 % count;
                    let tags = [format!("t{}", id % 500), format!("s{}", id % 3)];
                    let document =
                        j!({ "id": id, "n": n, "u": id, "ten": n % 10, "hundred": id % 100, "tags": tags });
                    tx.put("items", None, json(&document))?;
                }
                Ok(())
            })
            .unwrap();
        }
        db
    }

    #[test]
    fn a_limit_on_an_ordered_index_reads_tens_of_rows_and_not_thousands() {
        let db = large();
        let tens = |query: QueryBuilder| {
            let explained = explain(&db, query.limit(10));
            assert_eq!(explained.rows_returned, 10, "{explained:?}");
            assert!(explained.rows_read() < 100 && !explained.sorted, "{explained:?}");
            explained
        };
        for order in [Order::Ascending, Order::Descending] {
            assert_eq!(tens(items().order_by("n", order)).indexes, ["by_n"]);
            assert_eq!(tens(items().order_by("u", order)).indexes, ["by_u"]);
            assert_eq!(tens(items().order_by("ten", order)).indexes, ["by_ten"]);
            tens(items().order_by("id", order));
            let in_one = items().filter("ten", equals(3.0)).order_by("n", order);
            assert_eq!(tens(in_one).indexes, ["by_ten_n"]);
            let half = at_least((documents() / 2) as f64);
            assert_eq!(tens(items().filter("n", half).order_by("n", order)).indexes, ["by_n"]);
            tens(items().order_by("ten", order).order_by("n", order));
        }
        tens(items().filter("n", at_least((documents() / 2) as f64)));
        tens(items().filter("ten", equals(3.0)));
        tens(items());
    }

    #[test]
    fn what_is_selective_is_read_and_not_the_rest() {
        let db = large();
        let by_key = explain(&db, items().filter("u", equals(77.0)).filter("ten", at_least(0.0)));
        assert_eq!((by_key.rows_read(), by_key.indexes), (2, vec!["by_u".to_owned()]));
        let by_id = explain(&db, items().filter("id", equals(77.0)));
        assert_eq!((by_id.rows_read(), by_id.plan), (1, PlanKind::Key));
        let few = documents() / 500;
        let by_tag = explain(
            &db,
            items().filter("tags", Condition::Contains(key("t77"))).filter("ten", at_least(0.0)),
        );
        assert_eq!((by_tag.documents_read, by_tag.indexes), (few, vec!["by_tag".to_owned()]));
        let counted = items().filter("n", at_least(0.0)).build().unwrap();
        assert_eq!(counted.count(&mut read(&db)).unwrap(), documents());
        // Ordered by something else: sorted, because that is less than walking.
        let sorted = explain(
            &db,
            items().filter("tags", Condition::Contains(key("t77"))).order_by("n", Order::Ascending),
        );
        assert!(sorted.sorted && sorted.rows_read() < 8 * few, "{sorted:?}");
    }

    #[test]
    fn of_two_selective_indexes_the_keys_are_intersected() {
        let db = large();
        let query = items().filter("hundred", equals(4.0)).filter("tags", Condition::Contains(key("t104")));
        let query = query.filter("tags", Condition::Contains(key("s0")));
        let explained = explain(&db, query);
        let (hundredth, few) = (documents() / 100, documents() / 500);
        assert_eq!(explained.plan, PlanKind::Intersection, "{explained:?}");
        assert_eq!(explained.indexes, ["by_tag", "by_hundred"]);
        assert!(
            explained.documents_read <= few && explained.index_rows_read <= hundredth + few,
            "{explained:?}"
        );
        let both =
            items().filter("hundred", equals(4.0)).filter("ten", Condition::In(vec![key(1.0), key(2.0)]));
        let explained = explain(&db, both);
        assert!(explained.documents_read <= hundredth, "{explained:?}");
    }

    #[test]
    fn a_long_search_comes_back_with_empty_pages_so_that_others_have_their_turn() {
        let db = large();
        let query = items().filter("none", equals(1.0)).build().unwrap();
        let (mut tx, mut cursor, mut pages) = (read(&db), query.cursor(), 0);
        let limits = PageLimits { rows: 10, bytes: 1_000, keys_only: false };
        while cursor.next_page(&mut tx, limits).unwrap().more {
            pages += 1;
        }
        assert!(pages >= documents() / 21_000, "{pages}");
        assert_eq!(cursor.explanation().documents_read, documents());
    }

    #[test]
    fn keys_that_an_index_tells_cost_no_document() {
        let db = large();
        let query = items().filter("ten", equals(3.0)).build().unwrap();
        let (mut tx, mut cursor) = (read(&db), query.cursor());
        let limits = PageLimits { rows: usize::MAX, bytes: usize::MAX, keys_only: true };
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let page = cursor.next_page(&mut tx, limits).unwrap();
            keys.extend(page.rows.into_iter().map(|row| row.key));
            if !page.more {
                break;
            }
        }
        assert_eq!(keys.len() as u64, documents() / 10);
        assert_eq!(cursor.explanation().documents_read, 0);
    }
}

#[test]
fn an_index_that_is_walked_in_any_case_is_not_tried_first() {
    let db = open_with_items();
    db.create_index("items", "by_age", index_on("age")).unwrap();
    (0..100).for_each(|id| put(&db, j!({ "id": id, "age": id, "even": id % 2 == 0 })));
    let query = |least: f64| {
        items().filter("age", at_least(least)).filter("even", equals(true)).order_by("age", Order::Ascending)
    };

    let explained = explain(&db, query(10.0).limit(20));
    assert_eq!((explained.plan, explained.sorted), (PlanKind::Index, false), "{explained:?}");
    assert_eq!(explained.rows_sampled, 0, "{explained:?}");
    assert_eq!(ids(&mut read(&db), query(10.0).limit(3)), [10, 12, 14]);
    // With another index there is something to choose from.
    db.create_index("items", "by_evenness", index_on("even")).unwrap();
    assert!(explain(&db, query(10.0).limit(20)).rows_sampled > 0);
    assert_eq!(ids(&mut read(&db), query(95.0)), [96, 98]);
}

/// A transaction that reads less conflicts with less, too.
#[test]
fn a_query_in_the_order_of_an_index_reads_nothing_behind_the_last_row_that_it_gives() {
    let numbered = || {
        let db = open_with_items();
        db.create_index("items", "by_age", index_on("age")).unwrap();
        (0..100).for_each(|id| put(&db, j!({ "id": id, "age": id, "even": id % 2 == 0 })));
        db
    };
    let query = |limit| {
        let evens = items().filter("age", at_least(10.0)).filter("even", equals(true));
        evens.order_by("age", Order::Ascending).limit(limit)
    };
    for limit in [1, 2, 7, 20] {
        let explained = explain(&numbered(), query(limit));
        let met = 2 * limit - 1;
        let read = (explained.index_rows_read, explained.documents_read, explained.rows_returned);
        assert_eq!(read, (met, met, limit));
        let last = 10 + met - 1;
        let (query, odd) = (query(limit).build().unwrap(), |id: u64| j!({ "id": id, "age": id }));
        assert_eq!(code(commits_beside_in(&numbered(), &query, odd(last))), Code::Conflict, "what it gave");
        commits_beside_in(&numbered(), &query, odd(last + 1)).unwrap();
    }
}

/// Whether pages are copied or lent, cut after any row or not at all, they have the same rows.
#[test]
fn pages_that_are_lent_have_the_rows_of_those_that_are_copied_wherever_they_end() {
    let db = with_indexes();
    for query in [
        items().filter("city", equals("Bern")).order_by("age", Order::Ascending),
        items().filter("age", at_least(0.0)).filter("city", equals("Jena")).order_by("age", Order::Ascending),
        items().filter("age", at_least(0.0)).order_by("age", Order::Ascending).offset(1).limit(2),
        items().filter("city", at_least("")).select(["id", "address.zip"]),
        items().filter("tags", Condition::Contains(key("b"))).order_by("id", Order::Descending),
        items().order_by("id", Order::Ascending).limit(4),
        items(),
    ] {
        let query = query.build().unwrap();
        let all = query.rows(&mut read(&db)).unwrap();
        for rows in 1..=all.len() + 1 {
            let (mut tx, mut cursor) = (read(&db), query.cursor());
            let limits = PageLimits { rows, bytes: usize::MAX, keys_only: false };
            let mut lent = Vec::new();
            while cursor.next_page_with(&mut tx, limits, |row| lent.push(row.to_row())).unwrap() {}
            assert_eq!(lent, all, "{rows} rows a page");
        }
    }
}
