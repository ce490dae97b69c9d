//! Doing something only where keys have not changed, as `WATCH` and `EXEC` do.

use flowdb::error::Code;
use flowdb::structures::{ExpireOptions, Moment, StructureTransaction, Structures, ZAddOptions};

use crate::support::{open, open_with_clock, update};

/// Whether an update under a watch on `key` is done where `change` comes between.
fn is_done_beside(
    structures: &Structures,
    key: &[u8],
    change: impl FnMut(&mut StructureTransaction),
) -> bool {
    let mut watch = structures.watch();
    watch.add(0, key).unwrap();
    let mut change = change;
    update(structures, |tx| {
        change(tx);
        Ok(())
    });
    structures.update_watched(&mut watch, None, |tx| tx.incr_by(b"done", 1)).unwrap().is_some()
}

#[test]
fn a_change_of_a_watched_key_is_seen_whatever_it_is_and_of_others_not() {
    let structures = open();
    update(&structures, |tx| {
        tx.h_set(b"hash", &[(b"f", b"1")])?;
        tx.z_add(b"sorted", &[(1.0, b"m"), (2.0, b"n")], ZAddOptions::default())?;
        tx.r_push(b"list", &[b"1"])?;
        tx.s_add(b"set", &[b"m"])
    });
    let db = &structures;
    assert!(!is_done_beside(db, b"none", |tx| _ = tx.incr_by(b"none", 1).unwrap()));
    assert!(!is_done_beside(db, b"hash", |tx| _ = tx.h_set(b"hash", &[(b"f", b"2")]).unwrap()));
    assert!(!is_done_beside(db, b"sorted", |tx| _ = tx.z_incr_by(b"sorted", 0.5, b"m").unwrap()));
    assert!(!is_done_beside(db, b"list", |tx| tx.l_set(b"list", 0, b"2").unwrap()));
    assert!(!is_done_beside(db, b"set", |tx| _ = tx.delete(&[b"set"]).unwrap()));
    assert!(!is_done_beside(db, b"hash", |tx| tx.flush_all().unwrap()));

    assert!(is_done_beside(db, b"hash", |tx| _ = tx.h_set(b"other", &[(b"f", b"2")]).unwrap()));
    assert!(is_done_beside(db, b"done", |tx| _ = tx.exists(&[b"done"]).unwrap()));
}

#[test]
fn a_watch_counts_from_the_moment_at_which_a_key_was_added() {
    let structures = open();
    let mut watch = structures.watch();
    watch.add(0, b"a").unwrap();
    update(&structures, |tx| tx.incr_by(b"b", 1));
    watch.add(0, b"b").unwrap();
    assert!(!watch.has_changed().unwrap());
    assert_eq!(structures.update_watched(&mut watch, None, |tx| tx.incr_by(b"a", 1)).unwrap(), Some(1));
    assert!(watch.has_changed().unwrap(), "by that update");
    assert_eq!(structures.update_watched(&mut watch, None, |tx| tx.incr_by(b"a", 1)).unwrap(), None);
    assert_eq!(watch.add(1 << 20, b"a").unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn an_update_under_a_watch_sees_what_others_have_written_to_other_keys() {
    let structures = open();
    let mut watch = structures.watch();
    watch.add(0, b"a").unwrap();
    update(&structures, |tx| tx.incr_by(b"b", 5));
    let sum = structures.update_watched(&mut watch, None, |tx| tx.incr_by(b"b", 1)).unwrap();
    assert_eq!(sum, Some(6));
}

/// It comes between the beginning of the transaction and its commit.
#[test]
fn a_change_during_the_update_itself_is_seen() {
    let structures = open();
    let mut watch = structures.watch();
    watch.add(0, b"a").unwrap();
    let mut attempts = 0;
    let done = structures.update_watched(&mut watch, None, |tx| {
        attempts += 1;
        structures.update(None, |other| other.incr_by(b"a", 1))?;
        tx.incr_by(b"z", 1)
    });
    assert_eq!((done.unwrap(), attempts), (None, 1));
    assert_eq!(structures.view(|tx| tx.exists(&[b"z"])).unwrap(), 0);
}

#[test]
fn a_watched_key_that_expires_has_changed() {
    let (structures, clock) = open_with_clock();
    update(&structures, |tx| {
        tx.incr_by(b"a", 1)?;
        tx.expire(b"a", Moment::In(100), ExpireOptions::default())
    });
    let mut watch = structures.watch();
    watch.add(0, b"a").unwrap();
    clock.advance(99);
    assert!(!watch.has_changed().unwrap());
    clock.advance(1);
    assert!(watch.has_changed().unwrap());
}
