//! What is promised of keyspaces.

use std::sync::Arc;

use super::*;
use crate::config::Config;
use crate::engine::{CommitOptions, WriteBatch};
use crate::error::Code;
use crate::fs::{CrashOutcome, SimFs};

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
fn a_catalog_of_a_newer_format_or_a_damaged_one_is_refused_and_says_so() {
    let cases: [(&[u8], &[u8], Code); 4] = [
        (rows::META_KEY, &[2, 1], Code::Version),
        (rows::META_KEY, &[], Code::Corruption),
        (b"\x08name", &[0], Code::Corruption),
        (b"\x08name", &[9], Code::Corruption),
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
