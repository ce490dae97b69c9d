//! Reading ranges page by page, of documents and indexes, in both directions.

use flowdb::engine::Direction::{Forward, Reverse};
use flowdb::error::Code;
use flowdb::jsondb::{Format, KeyRange, Mode, PageLimits, Row};
use serde_json::json as j;

use crate::support::{
    all, code, content, index_on, json, key, keyed_by, limits, open_with_items, put, read_all, unique_on,
};

fn ids(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| content(row)["id"].as_i64().unwrap()).collect()
}

#[test]
fn pages_of_any_size_cover_a_range_once_in_both_directions() {
    let db = open_with_items();
    db.create_index("items", "by_group", index_on("group")).unwrap();
    (0..10).for_each(|id| put(&db, j!({ "id": id, "group": id / 3 })));
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let range = KeyRange::bound(key(2.0), key(7.0), false, true).unwrap();
    let groups = KeyRange::bound(key(0.0), key(2.0), true, false).unwrap();

    for rows in 1..12 {
        assert_eq!(ids(&read_all(&mut tx, None, &range, Forward, rows)), [2, 3, 4, 5, 6]);
        assert_eq!(ids(&read_all(&mut tx, None, &range, Reverse, rows)), [6, 5, 4, 3, 2]);
        assert_eq!(ids(&read_all(&mut tx, Some("by_group"), &groups, Forward, rows)), [3, 4, 5, 6, 7, 8]);
        assert_eq!(ids(&read_all(&mut tx, Some("by_group"), &groups, Reverse, rows)), [8, 7, 6, 5, 4, 3]);
    }
    let row = &read_all(&mut tx, Some("by_group"), &groups, Forward, 1)[0];
    assert_eq!((row.key.clone(), row.index_key.clone(), row.version), (key(3.0), Some(key(1.0)), 1));
}

#[test]
fn a_page_ends_at_its_bytes_but_has_a_row_if_there_is_one() {
    let db = open_with_items();
    let text = "x".repeat(1_000);
    (0..10).for_each(|id| put(&db, j!({ "id": id, "text": text })));
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let mut page = |rows, bytes, keys_only| {
        tx.page("items", None, &all(), Forward, None, PageLimits { rows, bytes, keys_only }).unwrap()
    };

    assert_eq!(page(100, 2_500, false).rows.len(), 3);
    assert_eq!(page(100, 0, false).rows.len(), 1);
    assert_eq!(page(0, 1 << 20, false).rows.len(), 1);
    let keys = page(100, 2_500, true);
    assert_eq!((keys.rows.len(), keys.next), (10, None));
    assert!(keys.rows.iter().all(|row| row.document.bytes.is_empty() && row.document.format == Format::Raw));
}

#[test]
fn the_end_of_a_range_is_told() {
    let db = open_with_items();
    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let page = tx.page("items", None, &all(), Forward, None, limits(5)).unwrap();
    assert!(page.rows.is_empty() && page.next.is_none());

    let nothing = KeyRange { lower: KeyRange::only(key(5.0)).lower, upper: KeyRange::only(key(3.0)).upper };
    put(&db, j!({ "id": 4 }));
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 3.5 }))).unwrap();
    for direction in [Forward, Reverse] {
        assert!(tx.page("items", None, &nothing, direction, None, limits(5)).unwrap().rows.is_empty());
        assert_eq!(tx.count("items", &nothing).unwrap(), 0);
    }
}

#[test]
fn pages_and_counts_see_own_writes_among_those_of_the_snapshot() {
    let db = open_with_items();
    db.create_index("items", "by_n", index_on("n")).unwrap();
    (0..8).for_each(|id| put(&db, j!({ "id": id * 2, "n": -id })));
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 3, "n": 100 }))).unwrap();
    tx.put("items", None, json(&j!({ "id": 4, "n": -100 }))).unwrap();
    tx.put("items", None, json(&j!({ "id": -1 }))).unwrap();
    tx.put("items", None, json(&j!({ "id": 15, "n": 0 }))).unwrap();
    tx.delete("items", &key(0.0)).unwrap();
    tx.delete("items", &key(14.0)).unwrap();
    tx.delete("items", &key(6.0)).unwrap();

    for rows in 1..10 {
        assert_eq!(ids(&read_all(&mut tx, None, &all(), Forward, rows)), [-1, 2, 3, 4, 8, 10, 12, 15]);
        assert_eq!(ids(&read_all(&mut tx, None, &all(), Reverse, rows)), [15, 12, 10, 8, 4, 3, 2, -1]);
        assert_eq!(ids(&read_all(&mut tx, Some("by_n"), &all(), Forward, rows)), [4, 12, 10, 8, 2, 15, 3]);
        assert_eq!(ids(&read_all(&mut tx, Some("by_n"), &all(), Reverse, rows)), [3, 15, 2, 8, 10, 12, 4]);
    }
    assert_eq!(tx.count("items", &all()).unwrap(), 8);
    assert_eq!(tx.count("items", &KeyRange::upper_bound(key(4.0), false)).unwrap(), 4);
    assert_eq!(tx.count_by_index("items", "by_n", &all()).unwrap(), 7);
    assert_eq!(tx.count_by_index("items", "by_n", &KeyRange::only(key(100.0))).unwrap(), 1);
}

#[test]
fn a_cursor_goes_on_behind_its_last_row_whatever_is_written_meanwhile() {
    let db = open_with_items();
    (0..6).for_each(|id| put(&db, j!({ "id": id })));
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();

    let first = tx.page("items", None, &all(), Forward, None, limits(3)).unwrap();
    tx.delete("items", &key(2.0)).unwrap();
    tx.delete("items", &key(3.0)).unwrap();
    tx.put("items", None, json(&j!({ "id": 2.5 }))).unwrap();
    tx.put("items", None, json(&j!({ "id": 0.5 }))).unwrap();
    let rest = tx.page("items", None, &all(), Forward, first.next.as_ref(), limits(100)).unwrap();

    assert_eq!(ids(&first.rows), [0, 1, 2]);
    let keys: Vec<_> = rest.rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(keys, [key(2.5), key(4.0), key(5.0)]);
}

#[test]
fn a_position_belongs_to_its_store_and_index() {
    let db = open_with_items();
    db.create_object_store("others", keyed_by("id")).unwrap();
    db.create_index("items", "by_n", unique_on("n")).unwrap();
    (0..3).for_each(|id| put(&db, j!({ "id": id, "n": id })));
    let mut tx = db.begin(&["items", "others"], Mode::ReadOnly).unwrap();
    let position = tx.page("items", None, &all(), Forward, None, limits(1)).unwrap().next;

    let other = tx.page("others", None, &all(), Forward, position.as_ref(), limits(1));
    assert_eq!(code(other), Code::InvalidArgument);
    let index = tx.page("items", Some("by_n"), &all(), Forward, position.as_ref(), limits(1));
    assert_eq!(code(index), Code::InvalidArgument);
    assert_eq!(code(tx.page("items", Some("by_x"), &all(), Forward, None, limits(1))), Code::NotFound);
    assert_eq!(code(tx.count_by_index("items", "by_x", &all())), Code::NotFound);
}
