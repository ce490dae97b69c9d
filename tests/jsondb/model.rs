//! Random work held against a model: after every transaction, documents, indexes and counts are those of the model.

use std::collections::BTreeMap;

use flowdb::engine::Direction;
use flowdb::error::{Code, Result};
use flowdb::jsondb::{IndexOptions, JsonDb, KeyRange, Mode, Order, QueryBuilder, Transaction};
use serde_json::{Value, json as j};

use crate::support::{
    Random, all, content, index_on, json, key, multi_entry_on, open_with_items, read_all, unique_on,
};

/// Documents by id.
pub(crate) type Model = BTreeMap<i64, Value>;

fn random_document(random: &mut Random, ids: u64) -> Value {
    let mut document = j!({ "id": random.below(ids) });
    if random.below(4) > 0 {
        document["n"] = j!(random.below(6));
    }
    if random.below(4) > 0 {
        document["u"] = j!(random.below(ids * 2));
    }
    if random.below(3) > 0 {
        let tags: Vec<u64> = (0..random.below(4)).map(|_| random.below(5)).collect();
        document["tags"] = j!(tags);
    }
    document
}

fn is_taken(model: &Model, document: &Value) -> bool {
    let has_same = |other: &Value| other["id"] != document["id"] && other["u"] == document["u"];
    !document["u"].is_null() && model.values().any(has_same)
}

/// One random write, in the database and in the model alike. Fails only where the disk does.
pub(crate) fn step(tx: &mut Transaction, model: &mut Model, random: &mut Random, ids: u64) -> Result<()> {
    let document = random_document(random, ids);
    let id = document["id"].as_i64().unwrap();
    match random.below(40) {
        0 => {
            tx.clear("items")?;
            model.clear();
        }
        1 => {
            let upper = id + random.below(ids / 4 + 1) as i64;
            let range = KeyRange::bound(key(id as f64), key(upper as f64), false, false).unwrap();
            let before = model.len();
            model.retain(|other, _| *other < id || *other > upper);
            assert_eq!(tx.delete_range("items", &range)?, (before - model.len()) as u64);
        }
        2 => put_three(tx, model, random, ids)?,
        3 => patch(tx, model, &document, id)?,
        4..=12 => {
            let was_there = tx.delete("items", &key(id as f64))?;
            assert_eq!(was_there, model.remove(&id).is_some());
        }
        kind => {
            let only_new = kind <= 20;
            let refused = is_taken(model, &document) || only_new && model.contains_key(&id);
            let put = if only_new { Transaction::add } else { Transaction::put };
            match put(tx, "items", None, json(&document)) {
                Ok(stored) => {
                    assert!(!refused, "{document} was stored");
                    assert_eq!(stored, key(id as f64));
                    model.insert(id, document);
                }
                Err(error) if error.code() == Code::Constraint => assert!(refused, "{error}"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// All three or none.
fn put_three(tx: &mut Transaction, model: &mut Model, random: &mut Random, ids: u64) -> Result<()> {
    let documents: Vec<Value> = (0..3).map(|_| random_document(random, ids)).collect();
    let mut after = model.clone();
    let mut refused = false;
    for document in &documents {
        refused |= is_taken(&after, document);
        after.insert(document["id"].as_i64().unwrap(), document.clone());
    }
    match tx.put_many("items", documents.iter().map(|document| (None, json(document))).collect()) {
        Ok(_) => {
            assert!(!refused, "{documents:?} were stored");
            *model = after;
        }
        Err(error) if error.code() == Code::Constraint => assert!(refused, "{error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Merges the fields of `document`, none of which is an object, into the one that there is.
fn patch(tx: &mut Transaction, model: &mut Model, document: &Value, id: i64) -> Result<()> {
    let mut after = model.get(&id).cloned();
    for (field, value) in document.as_object().unwrap() {
        if let Some(after) = &mut after {
            after[field] = value.clone();
        }
    }
    let refused = after.as_ref().is_some_and(|after| is_taken(model, after));
    match tx.patch("items", &key(id as f64), document.to_string().as_bytes()) {
        Ok(found) => {
            assert!(!refused && found == after.is_some(), "{document} was merged");
            model.extend(after.map(|after| (id, after)));
        }
        Err(error) if error.code() == Code::Constraint => assert!(refused, "{error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}

pub(crate) fn indexes() -> [(&'static str, IndexOptions); 3] {
    [("by_n", index_on("n")), ("by_u", unique_on("u")), ("by_tag", multi_entry_on("tags"))]
}

pub(crate) fn create_indexes(db: &JsonDb) {
    for (name, options) in indexes() {
        db.create_index("items", name, options).unwrap();
    }
}

/// The entries that an index on `field` should have: index key and id, in order.
pub(crate) fn entries(model: &Model, field: &str) -> Vec<(i64, i64)> {
    let mut entries = Vec::new();
    for (id, document) in model {
        match &document[field] {
            Value::Array(elements) => {
                entries.extend(elements.iter().map(|element| (element.as_i64().unwrap(), *id)));
            }
            Value::Null => {}
            value => entries.push((value.as_i64().unwrap(), *id)),
        }
    }
    entries.sort_unstable();
    entries.dedup();
    entries
}

/// Holds everything that `tx` can read against the model.
pub(crate) fn assert_matches(tx: &mut Transaction, model: &Model, page: usize) {
    let found: Vec<_> = read_all(tx, None, &all(), Direction::Forward, page).iter().map(content).collect();
    assert_eq!(found, model.values().cloned().collect::<Vec<_>>());
    assert_eq!(tx.count("items", &all()).unwrap(), model.len() as u64);
    for field in ["n", "u"] {
        assert_ordered(tx, model, field);
    }
    for (index, field) in [("by_n", "n"), ("by_u", "u"), ("by_tag", "tags")] {
        let mut expected: Vec<_> = entries(model, field)
            .into_iter()
            .map(|(value, id)| (Some(key(value as f64)), key(id as f64)))
            .collect();
        let read = |tx: &mut Transaction, direction| -> Vec<_> {
            let rows = read_all(tx, Some(index), &all(), direction, page);
            rows.into_iter().map(|row| (row.index_key, row.key)).collect()
        };
        assert_eq!(read(tx, Direction::Forward), expected, "{index}");
        expected.reverse();
        assert_eq!(read(tx, Direction::Reverse), expected, "{index} backwards");
    }
}

/// Every document is led to by an index or listed in its gaps, and only once: in the order of the index come all.
fn assert_ordered(tx: &mut Transaction, model: &Model, field: &str) {
    let with = entries(model, field).into_iter().map(|(_, id)| id);
    let without = model.iter().filter(|(_, document)| document[field].is_null()).map(|(id, _)| *id);
    let expected: Vec<_> = with.chain(without).map(|id| key(id as f64)).collect();
    let query = QueryBuilder::new("items").order_by(field, Order::Ascending).build().unwrap();
    assert_eq!(query.keys(tx).unwrap(), expected, "in the order of {field}");
    assert!(!query.explain(tx).unwrap().sorted);
}

#[test]
fn documents_indexes_and_counts_follow_random_work() {
    let mut random = Random::from_env("documents_indexes_and_counts_follow_random_work");
    for round in 0..20 {
        let ids = [8, 40, 200][round % 3];
        let db = open_with_items();
        create_indexes(&db);
        let mut model = Model::new();
        for _ in 0..40 {
            let mut after = model.clone();
            let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
            for _ in 0..=random.below(12) {
                step(&mut tx, &mut after, &mut random, ids).unwrap();
            }
            let page = 1 + random.below(50) as usize;
            assert_matches(&mut tx, &after, page);
            if random.below(4) == 0 {
                tx.abort();
            } else {
                tx.commit(None).unwrap();
                model = after;
            }
            assert_matches(&mut db.begin(&["items"], Mode::ReadOnly).unwrap(), &model, page);
        }
    }
}

#[test]
fn random_ranges_are_read_and_counted_alike() {
    let mut random = Random::from_env("random_ranges_are_read_and_counted_alike");
    let db = open_with_items();
    create_indexes(&db);
    let mut model = Model::new();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    (0..300).for_each(|_| step(&mut tx, &mut model, &mut random, 60).unwrap());
    tx.commit(None).unwrap();
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    (0..60).for_each(|_| step(&mut tx, &mut model, &mut random, 60).unwrap());

    for _ in 0..300 {
        let (a, b) = (random.below(62) as i64 - 1, random.below(62) as i64 - 1);
        let (lower, upper) = (a.min(b), a.max(b));
        let (lower_open, upper_open) =
            (lower < upper && random.below(2) == 0, lower < upper && random.below(2) == 0);
        let range = KeyRange::bound(key(lower as f64), key(upper as f64), lower_open, upper_open).unwrap();
        let lies_in =
            |value: i64| value >= lower + i64::from(lower_open) && value <= upper - i64::from(upper_open);
        let expected = model.keys().filter(|id| lies_in(**id)).count();
        assert_eq!(tx.count("items", &range).unwrap(), expected as u64);
        for (index, field) in [("by_n", "n"), ("by_u", "u"), ("by_tag", "tags")] {
            let expected: Vec<_> =
                entries(&model, field).into_iter().filter(|(value, _)| lies_in(*value)).collect();
            let rows =
                read_all(&mut tx, Some(index), &range, Direction::Forward, 1 + random.below(9) as usize);
            assert_eq!(
                rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(),
                expected.iter().map(|(_, id)| key(*id as f64)).collect::<Vec<_>>()
            );
            assert_eq!(tx.count_by_index("items", index, &range).unwrap(), expected.len() as u64);
        }
    }
}
