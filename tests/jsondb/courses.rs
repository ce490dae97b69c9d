//! The courses of cursors: each key of an index once, what a transaction had written when they began, and what they cost.

use flowdb::config::Config;
use flowdb::engine::Direction;
use flowdb::error::Code;
use flowdb::jsondb::{Course, JsonDb, KeyRange, Mode, PageLimits, Row, Seen, Transaction};
use serde_json::json as j;

use crate::support::{
    Random, all, change, code, index_on, json, key, keyed_by, limits, multi_entry_on, open_with_items, put,
    read_all, unique_on,
};

fn with_groups(groups: i64, each: i64) -> JsonDb {
    let db = open_with_items();
    db.create_index("items", "by_g", index_on("g")).unwrap();
    change(&db, |tx| {
        for id in 0..groups * each {
            tx.put("items", None, json(&j!({ "id": id, "g": id % groups })))?;
        }
        Ok(())
    })
    .unwrap();
    db
}

fn walk(tx: &mut Transaction, course: &Course, rows: usize, seen: Option<&Seen>) -> Vec<(f64, f64)> {
    let mut found: Vec<Row> = Vec::new();
    let mut after = None;
    loop {
        let page = tx.page_of("items", Some("by_g"), course, after.as_ref(), limits(rows), seen).unwrap();
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let number = |key: &flowdb::jsondb::Key| key.to_string().parse().unwrap();
    found.iter().map(|row| (number(row.index_key.as_ref().unwrap()), number(&row.key))).collect()
}

fn distinct(range: KeyRange, direction: Direction) -> Course {
    Course { range, direction, distinct: true }
}

#[test]
fn each_key_comes_once_with_its_lowest_primary_key_in_both_directions() {
    let db = with_groups(5, 40);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.delete("items", &key(3.0)).unwrap();
    tx.put("items", None, json(&j!({ "id": -1, "g": 4 }))).unwrap();
    let lowest = [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 8.0), (4.0, -1.0)];

    for rows in [1, 2, 100] {
        assert_eq!(walk(&mut tx, &distinct(all(), Direction::Forward), rows, None), lowest);
        let mut back = walk(&mut tx, &distinct(all(), Direction::Reverse), rows, None);
        back.reverse();
        assert_eq!(back, lowest);
        let range = KeyRange::bound(key(1.0), key(3.0), false, true).unwrap();
        assert_eq!(walk(&mut tx, &distinct(range.clone(), Direction::Forward), rows, None), lowest[1..3]);
        assert_eq!(walk(&mut tx, &distinct(range, Direction::Reverse), rows, None), [lowest[2], lowest[1]]);
    }
}

#[test]
fn distinct_courses_agree_with_a_naive_walk() {
    let mut random = Random::from_env("distinct_courses_agree_with_a_naive_walk");
    for _ in 0..30 {
        let db = open_with_items();
        db.create_index("items", "by_g", multi_entry_on("g")).unwrap();
        let value = |random: &mut Random| {
            let id = random.below(60);
            let groups: Vec<u64> = (0..random.below(4)).map(|_| random.below(6)).collect();
            json(&j!({ "id": id, "g": groups }))
        };
        change(&db, |tx| {
            for _ in 0..80 {
                tx.put("items", None, value(&mut random))?;
            }
            Ok(())
        })
        .unwrap();
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        for _ in 0..10 {
            tx.put("items", None, value(&mut random)).unwrap();
            tx.delete("items", &key(random.below(60) as f64)).unwrap();
        }
        let all_rows =
            walk(&mut tx, &Course { range: all(), direction: Direction::Forward, distinct: false }, 7, None);
        let mut naive = all_rows;
        naive.dedup_by_key(|(group, _)| *group);
        let rows = 1 + random.below(5) as usize;
        assert_eq!(walk(&mut tx, &distinct(all(), Direction::Forward), rows, None), naive);
        naive.reverse();
        assert_eq!(walk(&mut tx, &distinct(all(), Direction::Reverse), rows, None), naive);
    }
}

/// Otherwise a cursor that moves documents forward in its index would meet them again and again.
#[test]
fn a_course_sees_what_was_written_when_it_began_and_no_more() {
    let db = with_groups(3, 2);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    tx.put("items", None, json(&j!({ "id": 100, "g": 1.5 }))).unwrap();
    let seen = tx.seen();
    let course = Course { range: all(), direction: Direction::Forward, distinct: false };
    let before = walk(&mut tx, &course, 3, None);

    tx.put("items", None, json(&j!({ "id": 0, "g": 50 }))).unwrap();
    tx.delete("items", &key(100.0)).unwrap();
    tx.delete_range("items", &KeyRange::lower_bound(key(3.0), false)).unwrap();

    assert_eq!(walk(&mut tx, &course, 3, Some(&seen)), before);
    assert_eq!(walk(&mut tx, &course, 3, None), [(1.0, 1.0), (2.0, 2.0), (50.0, 0.0)]);
}

#[test]
fn what_a_distinct_course_passes_conflicts_when_it_changes() {
    let db = with_groups(3, 2);
    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    walk(&mut tx, &distinct(all(), Direction::Forward), 10, None);
    tx.put("items", None, json(&j!({ "id": "elsewhere" }))).unwrap();
    put(&db, j!({ "id": 500, "g": 0 }));

    assert_eq!(code(tx.commit(None)), Code::Conflict);
}

/// How often the block cache was asked in `work`.
fn blocks_of<T>(db: &JsonDb, work: impl FnOnce() -> T) -> (u64, T) {
    let asked = || {
        let stats = db.engine().stats();
        stats.cache_hits + stats.cache_misses
    };
    let before = asked();
    let result = work();
    (asked() - before, result)
}

#[test]
fn a_lookup_in_a_unique_index_costs_two_point_reads_and_one_document_conflicts_with_it() {
    // Eight tables side by side: a scan would have to look into each, a point read is told by filters which one has it.
    let db = JsonDb::open(Config { auto_background: false, ..Config::in_memory() }).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    db.create_index("items", "by_u", unique_on("u")).unwrap();
    for part in 0..8 {
        change(&db, |tx| {
            for id in (part..20_000).step_by(8) {
                tx.put("items", None, json(&j!({ "id": id, "u": id * 2, "text": "x".repeat(50) })))?;
            }
            Ok(())
        })
        .unwrap();
        db.engine().flush().unwrap();
    }
    assert_eq!(db.engine().stats().level_tables[0], 8);
    let look = |tx: &mut Transaction, u: f64| {
        let range = KeyRange::only(key(u));
        tx.page("items", Some("by_u"), &range, Direction::Forward, None, limits(10)).unwrap()
    };

    let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
    let mut blocks_of_hundred = |first: f64, counted: bool| {
        let keys = (0..100).map(|step| first + f64::from(step) * 200.0);
        let (blocks, found) = blocks_of(&db, || {
            keys.map(|u| match counted {
                true => tx.count_by_index("items", "by_u", &KeyRange::only(key(u))).unwrap() as usize,
                false => look(&mut tx, u).rows.len(),
            })
            .sum::<usize>()
        });
        (blocks, found)
    };
    // The first ones load filters, too; of a hundred filters about one says yes for no reason.
    blocks_of_hundred(2.0, false);
    let (blocks, found) = blocks_of_hundred(2_000.0, false);
    assert_eq!(found, 100);
    assert!(blocks <= 230, "{blocks} blocks for a hundred index rows and their documents");
    let (blocks, found) = blocks_of_hundred(2_001.0, false);
    assert_eq!(found, 0);
    assert!(blocks <= 30, "{blocks} blocks for a hundred keys that are not there");
    let (blocks, found) = blocks_of_hundred(3_000.0, true);
    assert_eq!(found, 100);
    assert!(blocks <= 130, "{blocks} blocks to count a hundred index rows");

    let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
    look(&mut tx, 100.0);
    tx.put("items", None, json(&j!({ "id": -1 }))).unwrap();
    put(&db, j!({ "id": 51, "u": 101 }));
    tx.commit(None).unwrap();
}

/// The one that stands for a key is the first of them: one that comes before it would take its place.
#[test]
fn a_page_backward_that_ends_at_a_key_conflicts_with_a_new_first_document_of_that_key() {
    for direction in [Direction::Forward, Direction::Reverse] {
        let db = open_with_items();
        db.create_index("items", "by_g", index_on("g")).unwrap();
        (8..10).for_each(|id| put(&db, j!({ "id": id, "g": 3 })));
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        tx.page_of("items", Some("by_g"), &distinct(all(), direction), None, limits(1), None).unwrap();
        tx.put("items", None, json(&j!({ "id": "elsewhere" }))).unwrap();
        put(&db, j!({ "id": 6, "g": 3 }));

        assert_eq!(code(tx.commit(None)), Code::Conflict, "{direction:?}");
    }
}

#[test]
fn a_distinct_course_leaps_over_duplicates_and_does_not_read_them() {
    let db = with_groups(4, 10_000);
    db.engine().flush().unwrap();
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut tx = db.begin(&["items"], Mode::ReadOnly).unwrap();
        let keys = PageLimits { rows: 100, bytes: usize::MAX, keys_only: true };
        let (blocks, page) = blocks_of(&db, || {
            tx.page_of("items", Some("by_g"), &distinct(all(), direction), None, keys, None).unwrap()
        });
        assert_eq!(page.rows.len(), 4);
        assert!(blocks < 60, "{blocks} blocks for four keys");
        let (naive, rows) = blocks_of(&db, || read_all(&mut tx, Some("by_g"), &all(), direction, 100_000));
        assert_eq!(rows.len(), 40_000);
        assert!(naive > 4 * blocks, "{naive} blocks for all of them: the test shows nothing");
    }
}
