//! Creating and deleting stores and indexes: definitions, limits, and what readers under way see of it.

use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{
    INDEXES_MAX, IndexOptions, IndexSchema, KEY_PATH_PARTS_MAX, KeyPath, Mode, Order, QueryBuilder,
    STORES_MAX, StoreOptions, StoreSchema,
};
use serde_json::json as j;

use crate::support::{
    all, auto_increment, change, code, compound_on, get, ids_by, index_on, json, key, keyed_by, limits,
    multi_entry_on, open, open_with_items, out_of_line, put, read_all, unique_on,
};

#[test]
fn the_schema_lists_stores_and_indexes_by_name() {
    let db = open();
    db.create_object_store("zebra", auto_increment(Some("id"))).unwrap();
    db.create_object_store("ant", out_of_line()).unwrap();
    db.create_index("ant", "b", multi_entry_on("tags")).unwrap();
    db.create_index("ant", "a", compound_on(&["x", "y.z"])).unwrap();

    let index = |name: &str, IndexOptions { key_path, unique, multi_entry }| IndexSchema {
        name: name.to_owned(),
        key_path,
        unique,
        multi_entry,
    };
    let ant = StoreSchema {
        name: "ant".to_owned(),
        key_path: None,
        auto_increment: false,
        default_ttl_ms: 0,
        indexes: vec![index("a", compound_on(&["x", "y.z"])), index("b", multi_entry_on("tags"))],
    };
    let zebra = StoreSchema {
        name: "zebra".to_owned(),
        key_path: Some(KeyPath::One("id".to_owned())),
        auto_increment: true,
        default_ttl_ms: 0,
        indexes: vec![],
    };
    assert_eq!(db.schema(), [ant, zebra]);
}

#[test]
fn creating_again_as_before_changes_nothing_and_otherwise_fails() {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    put(&db, j!({ "id": 1, "n": 1 }));

    db.create_object_store("items", keyed_by("id")).unwrap();
    db.create_index("items", "by_n", index_on("n")).unwrap();

    assert_eq!(get(&db, 1.0), Some(j!({ "id": 1, "n": 1 })));
    assert_eq!(code(db.create_object_store("items", keyed_by("key"))), Code::Exists);
    assert_eq!(code(db.create_object_store("items", auto_increment(Some("id")))), Code::Exists);
    assert_eq!(code(db.create_index("items", "by_n", unique_on("n"))), Code::Exists);
    assert_eq!(code(db.create_index("items", "by_n", index_on("m"))), Code::Exists);
}

#[test]
fn what_is_not_there_is_not_found() {
    let db = open_with_items();
    assert_eq!(code(db.delete_object_store("nothing")), Code::NotFound);
    assert_eq!(code(db.create_index("nothing", "by_n", index_on("n"))), Code::NotFound);
    assert_eq!(code(db.delete_index("nothing", "by_n")), Code::NotFound);
    assert_eq!(code(db.delete_index("items", "by_n")), Code::NotFound);
}

#[test]
fn names_and_definitions_out_of_bounds_are_refused() {
    let db = open_with_items();
    let long = "x".repeat(256);
    for name in ["", &long, "a\0b", "a\nb", "a\u{7f}"] {
        assert_eq!(code(db.create_object_store(name, out_of_line())), Code::InvalidArgument, "{name:?}");
        assert_eq!(code(db.create_index("items", name, index_on("n"))), Code::InvalidArgument, "{name:?}");
    }
    db.create_object_store(&long[1..], out_of_line()).unwrap();
    db.create_object_store("Ä b.c/d", out_of_line()).unwrap();

    let many = |count: usize| KeyPath::Many((0..count).map(|part| format!("p{part}")).collect());
    let store =
        |key_path, auto_increment| db.create_object_store("new", StoreOptions { key_path, auto_increment });
    for path in
        [KeyPath::One("a..b".into()), KeyPath::One("x".repeat(2_000)), many(0), many(KEY_PATH_PARTS_MAX + 1)]
    {
        assert_eq!(code(store(Some(path.clone()), false)), Code::InvalidArgument, "{path}");
    }
    assert_eq!(code(store(Some(many(2)), true)), Code::InvalidArgument);
    assert_eq!(code(store(Some(KeyPath::One(String::new())), true)), Code::InvalidArgument);
    let both = IndexOptions { multi_entry: true, ..compound_on(&["a", "b"]) };
    assert_eq!(code(db.create_index("items", "by_both", both)), Code::InvalidArgument);
}

#[test]
fn there_are_limits_to_stores_and_indexes() {
    let db = open();
    db.upgrade(1, None, |tx, _| {
        (0..STORES_MAX)
            .try_for_each(|number| tx.create_object_store(&format!("s{number}"), out_of_line(), 0))?;
        assert_eq!(code(tx.create_object_store("more", out_of_line(), 0)), Code::InvalidArgument);
        Ok(())
    })
    .unwrap();
    assert_eq!(code(db.create_object_store("more", out_of_line())), Code::InvalidArgument);
    for number in 0..INDEXES_MAX {
        db.create_index("s7", &format!("i{number}"), index_on("n")).unwrap();
    }
    assert_eq!(code(db.create_index("s7", "more", index_on("n"))), Code::InvalidArgument);
    db.delete_object_store("s9").unwrap();
    db.create_object_store("more", out_of_line()).unwrap();
}

#[test]
fn a_reader_under_way_goes_on_in_a_store_that_is_deleted() {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    (0..5).for_each(|id| put(&db, j!({ "id": id, "n": id })));
    let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let first = reader.page("items", Some("by_n"), &all(), Direction::Forward, None, limits(2)).unwrap();

    db.delete_object_store("items").unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    put(&db, j!({ "id": 77 }));

    let rest = reader
        .page("items", Some("by_n"), &all(), Direction::Forward, first.next.as_ref(), limits(9))
        .unwrap();
    assert_eq!(rest.rows.len(), 3);
    assert_eq!(reader.count("items", &all()).unwrap(), 5);
    assert_eq!(read_all(&mut reader, None, &all(), Direction::Reverse, 2).len(), 5);
    let mut now = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(now.count("items", &all()).unwrap(), 1);
    assert!(now.get("items", &key(0.0)).unwrap().is_none());
    assert_eq!(code(now.count_by_index("items", "by_n", &all())), Code::NotFound);
}

#[test]
fn a_reader_under_way_goes_on_in_an_index_that_is_deleted_and_sees_none_that_is_new() {
    let db = open_with_items();
    db.create_index("items", "old", index_on("n")).unwrap();
    (0..5).for_each(|id| put(&db, j!({ "id": id, "n": id })));
    let mut reader = db.begin(&["items"], Mode::ReadOnly).unwrap();

    db.delete_index("items", "old").unwrap();
    db.create_index("items", "new", index_on("n")).unwrap();

    assert_eq!(reader.count_by_index("items", "old", &all()).unwrap(), 5);
    assert_eq!(code(reader.count_by_index("items", "new", &all())), Code::NotFound);
    let mut now = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(code(now.count_by_index("items", "old", &all())), Code::NotFound);
    assert_eq!(now.count_by_index("items", "new", &all()).unwrap(), 5);
}

#[test]
fn a_writer_under_way_in_a_store_that_is_deleted_conflicts() {
    let db = open_with_items();
    let mut writer = db.begin(&["items"], Mode::ReadWrite).unwrap();
    writer.put("items", None, json(&j!({ "id": 1 }))).unwrap();

    db.delete_object_store("items").unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();

    assert_eq!(code(writer.commit(None)), Code::Conflict);
    assert_eq!(get(&db, 1.0), None);
}

#[test]
fn an_index_made_again_under_its_old_name_has_nothing_of_the_old_one() {
    let db = open_with_items();
    (0..5).for_each(|id| put(&db, j!({ "id": id, "a": id, "b": "b" })));
    db.create_index("items", "by", unique_on("a")).unwrap();
    db.delete_index("items", "by").unwrap();
    put(&db, j!({ "id": 5, "a": 0, "b": "b" }));

    db.create_index("items", "by", index_on("b")).unwrap();

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    assert_eq!(tx.count_by_index("items", "by", &all()).unwrap(), 6);
}

/// An id is written in as many bytes as it needs, and the first one of 255 is 0xff.
#[test]
fn clearing_and_deleting_reach_the_rows_of_every_id() {
    let db = open_with_items();
    for id in 2..=260 {
        db.create_index("items", "by_n", index_on("n")).unwrap();
        put(&db, j!({ "id": 1, "n": 5 }));
        put(&db, j!({ "id": 2 }));
        change(&db, |tx| tx.clear("items")).unwrap();
        assert_eq!(ids_by(&db, "by_n", &all()), [0; 0], "index {id}");
        let ordered = QueryBuilder::new("items").order_by("n", Order::Ascending).build().unwrap();
        let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
        assert_eq!(ordered.rows(&mut tx).unwrap(), [], "index {id}");
        db.delete_index("items", "by_n").unwrap();
    }
}
