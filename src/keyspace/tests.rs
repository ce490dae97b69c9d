//! What is promised of keyspaces.

use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::engine::{CommitOptions, WriteBatch};
use crate::error::Code;
use crate::fs::{CrashOutcome, SimFs};
use crate::numbering::CatalogReport;

const ALL: KeyBounds<'static> = (Bound::Unbounded, Bound::Unbounded);

fn engine() -> Engine {
    Engine::open(Config::in_memory()).unwrap()
}

fn keyspace(engine: &Engine, name: &str) -> Keyspace {
    Keyspaces::new(engine.clone()).open(name).unwrap()
}

fn commit(engine: &Engine, change: impl FnOnce(&mut Batch) -> Result<()>) {
    let mut batch = Batch::new(engine);
    change(&mut batch).unwrap();
    engine.commit(batch.into_writes(), CommitOptions::default()).unwrap();
}

fn put_all(engine: &Engine, keyspace: &Keyspace, keys: &[&[u8]]) {
    commit(engine, |batch| keys.iter().try_for_each(|key| batch.put(keyspace, key, key, None)));
}

fn keys(keyspace: &Keyspace, bounds: KeyBounds<'_>, direction: Direction) -> Vec<Vec<u8>> {
    let mut rows = keyspace.scan(bounds, direction, None).unwrap();
    let mut keys = Vec::new();
    while rows.advance().unwrap() {
        keys.push(rows.row().key.to_vec());
    }
    keys
}

#[test]
fn a_row_has_two_bytes_before_its_key_or_three_with_many_keyspaces() {
    assert_eq!(Prefix::new(DEFAULT_ID).row(b"k"), [9, 0, b'k']);
    assert_eq!(Prefix::new(127).row(b"k"), [9, 127, b'k']);
    assert_eq!(Prefix::new(KEYSPACES_MAX as u32).row(b"k"), [9, 0xff, 0x7f, b'k']);
}

#[test]
fn keyspaces_side_by_side_don_t_see_each_other() {
    let engine = engine();
    let names: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
    let all: Vec<Keyspace> = names.iter().map(|name| keyspace(&engine, name)).collect();
    for (keyspace, name) in all.iter().zip(&names) {
        put_all(&engine, keyspace, &[b"", b"\xff\xff", name.as_bytes()]);
    }

    for (keyspace, name) in all.iter().zip(&names) {
        assert_eq!(keys(keyspace, ALL, Direction::Forward), [b"", name.as_bytes(), b"\xff\xff"]);
    }
    commit(&engine, |batch| batch.delete_range(&all[127], ALL));
    assert!(keys(&all[127], ALL, Direction::Forward).is_empty());
    assert_eq!(keys(&all[126], ALL, Direction::Reverse).len(), 3);
    assert_eq!(keys(&all[128], ALL, Direction::Reverse).len(), 3);
}

#[test]
fn the_bounds_of_a_range_are_kept_exactly() {
    let engine = engine();
    let keyspace = keyspace(&engine, "");
    put_all(&engine, &keyspace, &[b"", b"a", b"a\0", b"b"]);
    let (a, b) = (&b"a"[..], &b"b"[..]);
    let found = |bounds| keys(&keyspace, bounds, Direction::Forward).len();

    assert_eq!(found((Bound::Included(a), Bound::Excluded(b))), 2);
    assert_eq!(found((Bound::Excluded(a), Bound::Included(b))), 2);
    assert_eq!(found((Bound::Excluded(a), Bound::Excluded(b))), 1);
    assert_eq!(found((Bound::Unbounded, Bound::Included(a))), 2);
    assert_eq!(found((Bound::Excluded(&b""[..]), Bound::Unbounded)), 3);
    assert_eq!(found((Bound::Included(b), Bound::Excluded(a))), 0);
    let empty = (Bound::Included(b), Bound::Excluded(a));
    commit(&engine, |batch| batch.delete_range(&keyspace, empty));
    assert_eq!(found(ALL), 4);
    assert_eq!(keyspace.approximate_size(empty).unwrap(), 0);
    keyspace.compact_range(empty).unwrap();
}

#[test]
fn a_value_is_read_until_its_expiry_and_one_that_is_long_past_never() {
    let engine = engine();
    let keyspace = keyspace(&engine, "");
    let later = engine.now_ms() + 60_000;
    commit(&engine, |batch| {
        batch.put(&keyspace, b"later", b"1", Some(later))?;
        batch.put(&keyspace, b"past", b"1", Some(0))
    });

    assert_eq!(keyspace.get_with(b"later", None, |value| value.expires_at).unwrap(), Some(later));
    assert_eq!(keys(&keyspace, ALL, Direction::Forward), [b"later"]);
}

#[test]
fn a_name_keeps_its_number_across_openings_and_a_crash() {
    let disk = SimFs::new();
    let config = Config { auto_background: false, ..Config::new("/db") };
    let open = |disk: &SimFs| Engine::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let engine = open(&disk);
    for name in ["a", "b"] {
        put_all(&engine, &keyspace(&engine, name), &[name.as_bytes()]);
    }

    let engine = open(&disk.after_crash(CrashOutcome::LoseUnsynced));

    let all = Keyspaces::new(engine.clone());
    assert_eq!(keys(&all.find("b").unwrap().unwrap(), ALL, Direction::Forward), [b"b"]);
    assert!(all.find("c").unwrap().is_none());
    put_all(&engine, &keyspace(&engine, "c"), &[b"c"]);
    assert_eq!(keys(&all.find("a").unwrap().unwrap(), ALL, Direction::Forward), [b"a"]);
}

#[test]
fn a_key_or_name_that_is_too_long_is_refused_and_the_longest_is_not() {
    let engine = engine();
    let keyspace = keyspace(&engine, &"n".repeat(KEYSPACE_NAME_BYTES_MAX));
    let longest = vec![0xff; KEYSPACE_KEY_BYTES_MAX];
    put_all(&engine, &keyspace, &[&longest]);
    commit(&engine, |batch| batch.delete_range(&keyspace, (Bound::Unbounded, Bound::Included(&longest))));
    assert!(keys(&keyspace, ALL, Direction::Forward).is_empty());

    let mut batch = Batch::new(&engine);
    let error = batch.put(&keyspace, &vec![0; KEYSPACE_KEY_BYTES_MAX + 1], b"", None).unwrap_err();
    assert_eq!(error.code(), Code::InvalidKey);
    assert!(batch.into_writes().is_empty());
    let name = "n".repeat(KEYSPACE_NAME_BYTES_MAX + 1);
    let error = Keyspaces::new(engine).open(&name).err().unwrap();
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[test]
fn a_bound_longer_than_any_key_parts_the_keys_where_it_would_stand() {
    let engine = engine();
    let keyspace = keyspace(&engine, "a");
    let longest = vec![b'k'; KEYSPACE_KEY_BYTES_MAX];
    let behind = [&longest[1..], b"l"].concat();
    let bound = [&longest[..], b"k"].concat();
    let before: &[&[u8]] = &[b"k", &longest];
    type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
    let cases: [(Bounds<'_>, &[&[u8]]); 4] = [
        ((Bound::Unbounded, Bound::Included(&bound)), &[&behind]),
        ((Bound::Unbounded, Bound::Excluded(&bound)), &[&behind]),
        ((Bound::Included(&bound), Bound::Unbounded), before),
        ((Bound::Excluded(&bound), Bound::Unbounded), before),
    ];
    for (bounds, kept) in cases {
        put_all(&engine, &keyspace, &[b"k", &longest, &behind]);
        let there = keys(&keyspace, ALL, Direction::Forward);
        let seen = keys(&keyspace, bounds, Direction::Forward);
        commit(&engine, |batch| batch.delete_range(&keyspace, bounds));
        let left = keys(&keyspace, ALL, Direction::Forward);
        assert_eq!(left, kept, "{:?}", bounds.0.map(<[u8]>::len));
        assert_eq!(seen.len() + left.len(), there.len());
        assert!(seen.iter().all(|key| !left.contains(key)));
    }
}

#[test]
fn a_catalog_of_a_newer_format_or_a_damaged_one_is_refused_and_says_so() {
    let cases: [(&[u8], &[u8], Code); 4] = [
        (rows::META_KEY, &[2, 1], Code::Version),
        (rows::META_KEY, &[], Code::Corruption),
        (b"\x08name", &[0], Code::Corruption),
        (b"\x08name", &[0xff, 0xff, 0xff, 0xff, 0xf], Code::Corruption),
    ];
    for (row, value, code) in cases {
        let engine = engine();
        let mut batch = WriteBatch::new();
        batch.put(row, value).unwrap();
        engine.commit(batch, CommitOptions::default()).unwrap();

        let error = Keyspaces::new(engine).open("other").err().unwrap();

        assert_eq!(error.code(), code, "{row:?} {value:?}");
    }
}

/// Names of `engine` get their numbers in their order, from 1 on, and each keyspace has its name for an entry.
fn fill(engine: &Engine, names: &[&str]) {
    for name in names {
        put_all(engine, &keyspace(engine, name), &[name.as_bytes()]);
    }
}

/// The database of `engine` without some rows, as it is opened next.
fn without(engine: &Engine, lost: &[&[u8]]) -> Engine {
    let other = self::engine();
    let mut batch = WriteBatch::new();
    let mut rows = engine.scan(ScanRange::all(), Direction::Forward, None).unwrap();
    while rows.advance().unwrap() {
        if !lost.contains(&rows.key()) {
            batch.put(rows.key(), rows.value()).unwrap();
        }
    }
    other.commit(batch, CommitOptions::default()).unwrap();
    other
}

#[test]
fn a_catalog_that_has_lost_rows_finds_all_other_names_and_gives_no_number_twice() {
    let engine = engine();
    fill(&engine, &["a", "b", "c"]);
    let losses: [&[&[u8]]; 3] = [&[b"\x08"], &[b"\x08c"], &[b"\x08", b"\x08b", b"\x08c"]];
    for lost in losses {
        let engine = without(&engine, lost);

        let new = keyspace(&engine, "new");

        assert!(keys(&new, ALL, Direction::Forward).is_empty(), "{lost:?}");
        put_all(&engine, &new, &[b"new"]);
        assert_eq!(keys(&keyspace(&engine, "a"), ALL, Direction::Forward), [b"a"], "{lost:?}");
        for name in ["b", "c"] {
            let is_lost = lost.contains(&format!("\x08{name}").as_bytes());
            assert_eq!(
                keys(&keyspace(&engine, name), ALL, Direction::Forward).is_empty(),
                is_lost,
                "{lost:?}"
            );
        }
    }
}

#[test]
fn a_repair_raises_the_next_number_above_all_that_stand_in_rows_and_counts_the_names_that_are_lost() {
    let engine = engine();
    let names: Vec<String> = (1..=300).map(|number| format!("k{number}")).collect();
    fill(&engine, &names.iter().map(String::as_str).collect::<Vec<_>>());
    put_all(&engine, &keyspace(&engine, ""), &[b"k"]);
    // 256 follows 128 in the order of varints, and not the other way round.
    let losses: [(&[&[u8]], u64); 3] =
        [(&[], 0), (&[b"\x08"], 0), (&[b"\x08", b"\x08k128", b"\x08k256", b"\x08k300"], 3)];
    for (rows, lost) in losses {
        let engine = without(&engine, rows);

        let report = put_right(&engine).unwrap();

        assert_eq!((report.named, report.lost), (300 - lost, lost), "{rows:?}");
        assert_eq!(catalog::next_id(&engine).unwrap(), 301, "{rows:?}");
        let seqno = engine.snapshot().seqno();
        put_right(&engine).unwrap();
        assert_eq!(engine.snapshot().seqno(), seqno, "what is right is not written again");
    }
}

#[test]
fn a_repair_looks_at_one_entry_of_each_keyspace() {
    let engine = engine();
    let many: Vec<Vec<u8>> = (0..5_000u32).map(|key| key.to_be_bytes().to_vec()).collect();
    for name in ["a", "b"] {
        put_all(&engine, &keyspace(&engine, name), &many.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    let steps = crate::effort::within(1_000, || put_right(&engine)).unwrap();

    let crate::effort::Attempt::Done(report, _) = steps else { panic!("{steps:?}") };
    assert_eq!((report.named, report.lost), (2, 0));
}

#[test]
fn a_database_without_keyspaces_gets_no_row_by_a_repair() {
    let engine = engine();
    put_all(&engine, &keyspace(&engine, ""), &[b"k"]);
    assert_eq!(put_right(&engine).unwrap(), CatalogReport::default());
    assert!(engine.get(rows::META_KEY, None).unwrap().is_none());
}

/// Nobody can give that many numbers; a repair must not write what can't be read, all the same.
#[test]
fn behind_the_highest_number_no_name_gets_one_and_all_others_are_found() {
    let highest = [0xfe, 0xff, 0xff, 0xff, 0xf];
    for named in [true, false] {
        let engine = engine();
        fill(&engine, &["a"]);
        let mut batch = WriteBatch::new();
        batch.put(&[b"\x09", &highest[..], b"k"].concat(), b"v").unwrap();
        if named {
            batch.put(b"\x08last", &highest).unwrap();
        }
        engine.commit(batch, CommitOptions::default()).unwrap();
        let engine = without(&engine, &[]);

        let report = put_right(&engine).unwrap();

        assert_eq!((report.named, report.lost), if named { (2, 0) } else { (1, 1) });
        assert_eq!(keys(&keyspace(&engine, "a"), ALL, Direction::Forward), [b"a"]);
        let all = Keyspaces::new(engine.clone());
        assert_eq!(all.find("last").unwrap().is_some(), named);
        assert_eq!(all.open("new").err().unwrap().code(), Code::InvalidArgument);
    }
}

/// The thread of JavaScript asks so: it must wait for no device.
#[test]
fn a_name_is_looked_up_without_reading_the_rows_once_anybody_has() {
    let engine = engine();
    fill(&engine, &["a"]);
    let engine = without(&engine, &[]);
    let all = Keyspaces::new(engine.clone());
    assert!(matches!(all.try_find("a"), TryGet::NeedsIo));
    assert!(matches!(all.try_find("none"), TryGet::NeedsIo));
    assert!(matches!(all.try_find(""), TryGet::Found(_)));

    all.find("none").unwrap();

    assert!(matches!(all.try_find("none"), TryGet::Missing));
    let TryGet::Found(found) = all.try_find("a") else { panic!("it has a number") };
    assert_eq!(keys(&found, ALL, Direction::Forward), [b"a"]);
}

/// Says how many commits were made before the last one.
fn clear(keyspace: &Keyspace, snapshot: &Snapshot, direction: Direction, limit: u64) -> u32 {
    let clearing = Clearing { bounds: ALL, direction, limit };
    let commits = std::cell::Cell::new(0);
    let go_on = || {
        commits.set(commits.get() + 1);
        Ok(())
    };
    keyspace.clear_while(&clearing, snapshot, None, &go_on).unwrap();
    commits.get()
}

#[test]
fn a_clear_with_a_limit_takes_so_many_from_the_end_that_it_is_given_by_one_commit() {
    let engine = engine();
    let keyspace = keyspace(&engine, "");
    put_all(&engine, &keyspace, &[b"a", b"b", b"c", b"d", b"e"]);

    assert_eq!(clear(&keyspace, &engine.snapshot(), Direction::Forward, 2), 0);
    assert_eq!(clear(&keyspace, &engine.snapshot(), Direction::Reverse, 1), 0);

    assert_eq!(keys(&keyspace, ALL, Direction::Forward), [b"c", b"d"]);
    clear(&keyspace, &engine.snapshot(), Direction::Forward, 0);
    assert_eq!(keys(&keyspace, ALL, Direction::Forward), [b"c", b"d"]);
    clear(&keyspace, &engine.snapshot(), Direction::Forward, u64::MAX);
    assert!(keys(&keyspace, ALL, Direction::Forward).is_empty());
}

#[test]
fn a_clear_of_a_snapshot_leaves_what_that_does_not_see_however_much_it_takes() {
    let engine = engine();
    let keyspace = keyspace(&engine, "");
    // More than go into one commit, by their number and by their bytes.
    let many: Vec<Vec<u8>> = (0..25_000u32).map(|key| key.to_be_bytes().to_vec()).collect();
    let long: Vec<Vec<u8>> = (0..100u8).map(|key| [&[key, 0xff][..], &[7; 60_000]].concat()).collect();
    put_all(&engine, &keyspace, &many.iter().map(Vec::as_slice).collect::<Vec<_>>());
    put_all(&engine, &keyspace, &long.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let snapshot = engine.snapshot();
    put_all(&engine, &keyspace, &[b"new", &many[7]]);

    let commits = clear(&keyspace, &snapshot, Direction::Forward, u64::MAX);

    assert_eq!(keys(&keyspace, ALL, Direction::Forward), [b"new"]);
    assert!((3..=4).contains(&commits), "{commits} commits before the last");
}

#[test]
fn a_clear_that_may_not_go_on_ends_between_two_commits() {
    let engine = engine();
    let keyspace = keyspace(&engine, "");
    let many: Vec<Vec<u8>> = (0..25_000u32).map(|key| key.to_be_bytes().to_vec()).collect();
    put_all(&engine, &keyspace, &many.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let calls = std::cell::Cell::new(0);
    let once = || match calls.replace(calls.get() + 1) {
        0 => Ok(()),
        _ => Err(crate::error::Error::new(Code::Closed, "of the test")),
    };

    let clearing = Clearing { bounds: ALL, direction: Direction::Forward, limit: u64::MAX };
    let ended = keyspace.clear_while(&clearing, &engine.snapshot(), None, &once);

    assert_eq!(ended.unwrap_err().code(), Code::Closed);
    assert_eq!(keys(&keyspace, ALL, Direction::Forward).len(), 15_000);
}

#[test]
fn readers_tell_what_lies_in_memory_of_one_key_or_of_many() {
    let engine = engine();
    let keyspace = keyspace(&engine, "k");
    put_all(&engine, &keyspace, &[b"a", b"c"]);
    let mut reader = keyspace.reader();
    let is_there = |found: &TryGet<()>| matches!(found, TryGet::Found(()));

    assert!(is_there(&reader.try_get_with(&engine, b"a", |_| ()).unwrap()));
    assert!(!is_there(&reader.try_get_with(&engine, b"b", |_| ()).unwrap()));
    let mut found = Vec::new();
    let many: [&[u8]; 3] = [b"a", b"b", b"c"];
    reader
        .try_get_many_with(&engine, many.into_iter(), |place, one| {
            found.push((place, matches!(one, TryGet::Found(value) if value.bytes == many[place])));
        })
        .unwrap();
    assert_eq!(found, [(0, true), (1, false), (2, true)]);
}
