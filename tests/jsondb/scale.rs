//! What does not grow with the number of documents, in files that are read and operations of the disk.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowdb::config::{Config, SyncMode};
use flowdb::error::Result;
use flowdb::fs::SimFs;
use flowdb::jsondb::JsonDb;
use serde_json::json as j;

use crate::support::{change, index_on, json, keyed_by, unique_on};
use crate::watched::{Watch, Watched};

/// How many documents there are in the larger of the databases.
fn documents() -> u64 {
    std::env::var("FLOWDB_DOCUMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

fn config() -> Config {
    Config { wal_sync_mode: SyncMode::Never, memtable_size_bytes: 1 << 20, ..Config::new("/db") }
}

/// A closed database with so many documents and two indexes.
fn closed_with(count: u64) -> SimFs {
    let disk = SimFs::new();
    let db = JsonDb::open_on(config(), Arc::new(disk.clone())).unwrap();
    db.create_object_store("items", keyed_by("id")).unwrap();
    db.create_index("items", "by_name", unique_on("name")).unwrap();
    db.create_index("items", "by_group", index_on("group")).unwrap();
    for from in (0..count).step_by(1_000) {
        change(&db, |tx| {
            for id in from..(from + 1_000).min(count) {
                let document = j!({ "id": id, "name": format!("name {id}"), "group": id % 100 });
                tx.put("items", None, json(&document))?;
            }
            Ok(())
        })
        .unwrap();
    }
    // What the log holds is bounded by the memtable's size, and would hide the rest.
    db.engine().flush().unwrap();
    while db.engine().run_pending().unwrap() {}
    db.close().unwrap();
    disk
}

#[derive(Default)]
struct Reads {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Watch for Reads {
    fn opens(&self, _path: &Path, _is_new: bool) -> Result<Box<dyn Any + Send + Sync>> {
        self.files.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(()))
    }

    fn has_read(&self, _path: &Path, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The files that are opened, and the bytes that are read, until the first document is there.
fn cost_of_opening(count: u64) -> (u64, u64) {
    let disk = Watched::new(closed_with(count), Reads::default());
    let watch = Arc::clone(&disk.watch);
    let db = JsonDb::open_on(config(), Arc::new(disk)).unwrap();
    assert!(change(&db, |tx| tx.get("items", &crate::support::key(count as f64 / 2.0))).unwrap().is_some());
    (watch.files.load(Ordering::Relaxed), watch.bytes.load(Ordering::Relaxed))
}

#[test]
fn opening_does_not_depend_on_the_number_of_documents() {
    let (small, large) = (cost_of_opening(documents() / 10), cost_of_opening(documents()));

    println!("files and bytes with a tenth: {small:?}, with {} documents: {large:?}", documents());
    // A table of each level, and those of level 0, of which there are between none and a dozen.
    assert!(large.0 <= small.0 + 16, "{small:?} files and bytes became {large:?}");
    // Of each table the manifest has a line, and the first read the top of its index.
    assert!(large.1 <= small.1 * 2 + (256 << 10), "{small:?} files and bytes became {large:?}");
}

#[test]
fn deleting_a_store_does_not_depend_on_the_number_of_documents_and_gives_all_their_space_back() {
    let costs = [documents() / 10, documents()].map(|count| {
        let disk = closed_with(count);
        let config = Config { auto_background: false, ..config() };
        let db = JsonDb::open_on(config, Arc::new(disk.clone())).unwrap();
        let before = db.engine().stats().table_bytes();
        let operations = disk.operations();

        db.delete_object_store("items").unwrap();

        let cost = disk.operations() - operations;
        db.engine().flush().unwrap();
        while db.engine().run_pending().unwrap() {}
        let after = db.engine().stats().table_bytes();
        assert!(after * 20 <= before, "{after} of {before} bytes are left");
        cost
    });

    println!("operations of the disk: {costs:?}");
    assert!(costs[1] <= costs[0] + 4, "{costs:?}");
}
