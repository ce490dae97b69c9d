//! What reading documents costs, in allocations that are counted and not in time.
#![expect(unsafe_code, reason = "an allocator that counts is one, and can be none otherwise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use flowdb::config::Config;
use flowdb::engine::Direction;
use flowdb::jsondb::{
    Condition, Course, Document, Format, IndexOptions, JsonDb, Key, KeyPath, KeyRange, KeyValue, Mode, Order,
    PageLimits, QueryBuilder, StoreOptions, Transaction,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has none any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `work` takes on this thread.
fn allocations_of<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.get();
    let done = work();
    (ALLOCATIONS.get() - before, done)
}

const DOCUMENTS: i64 = 2_000;

/// Documents with an index on `score`, in tables or in memory. Every second one is `active`.
fn filled(in_tables: bool) -> JsonDb {
    let db = JsonDb::open(Config::in_memory()).unwrap();
    let options = StoreOptions { key_path: Some(KeyPath::One("id".into())), auto_increment: false };
    db.create_object_store("people", options).unwrap();
    let options = IndexOptions { key_path: KeyPath::One("score".into()), unique: false, multi_entry: false };
    db.create_index("people", "score", options).unwrap();
    db.update(&["people"], None, |transaction| {
        for id in 0..DOCUMENTS {
            let (score, active) = (id * 7 % DOCUMENTS, id % 2 == 0);
            let text =
                format!("{{\"id\":{id},\"name\":\"User {id}\",\"score\":{score},\"active\":{active}}}");
            transaction.put("people", None, Document { format: Format::Json, bytes: text.into() })?;
        }
        Ok(())
    })
    .unwrap();
    if in_tables {
        db.engine().flush().unwrap();
    }
    db
}

/// The allocations of one page, and the bytes of its documents.
fn cost_of_page(transaction: &mut Transaction, index: Option<&str>, rows: usize) -> (u64, usize) {
    let course = Course { range: KeyRange::all(), direction: Direction::Forward, distinct: false };
    let limits = PageLimits { rows, bytes: usize::MAX, keys_only: false };
    let mut read = (0, 0);
    let (allocations, _) = allocations_of(|| {
        transaction
            .page_with("people", index, &course, None, limits, None, |row| {
                read.0 += 1;
                read.1 += row.document.len();
            })
            .unwrap()
    });
    assert_eq!(read.0, rows);
    (allocations, read.1)
}

#[test]
fn a_page_takes_as_many_allocations_however_many_rows_it_lends() {
    for in_tables in [false, true] {
        let db = filled(in_tables);
        let mut transaction = db.begin(&["people"], Mode::ReadOnly).unwrap();
        for index in [None, Some("score")] {
            // The first one brings the blocks into memory.
            cost_of_page(&mut transaction, index, 1_000);
            let (few, _) = cost_of_page(&mut transaction, index, 10);
            let (many, bytes) = cost_of_page(&mut transaction, index, 1_000);
            assert!(bytes > 40_000, "{bytes}");
            assert!(
                many <= few + 2,
                "{few} allocations for 10 rows, {many} for 1,000 ({index:?}, {in_tables})"
            );
            assert!(few <= 40, "{few} allocations for a page of 10 rows ({index:?}, {in_tables})");
        }
    }
}

#[test]
fn a_query_copies_no_document_that_does_not_pass() {
    let db = filled(true);
    let mut transaction = db.begin(&["people"], Mode::ReadOnly).unwrap();
    let at_least = Condition::Range(KeyRange::lower_bound(Key::from(0), false));
    let nameless = Condition::Equals(Key::encode(&KeyValue::Null).unwrap());
    let query = QueryBuilder::new("people").filter("score", at_least).filter("name", nameless);
    let query = query.order_by("score", Order::Ascending).build().unwrap();

    // The first one brings the blocks into memory.
    assert!(query.rows(&mut transaction).unwrap().is_empty());
    let (allocations, _) = allocations_of(|| query.rows(&mut transaction).unwrap());

    // For each document its key and its row's, two lists of what is found in it, and its name as a key.
    let allowed = 6 * DOCUMENTS as u64;
    assert!(allocations <= allowed, "{allocations} allocations for {DOCUMENTS} documents");
}
