//! Keys expire to the millisecond, whatever they hold and whatever is done to them, and leave nothing behind.

use std::time::{Duration, Instant};

use flowdb::config::Config;
use flowdb::engine::{Direction, ScanRange};
use flowdb::error::Code;
use flowdb::jsondb::{JsonDb, Mode};
use flowdb::structures::{
    End, ExpireOptions, Expiry, Moment, SetOptions, StructureTransaction, Structures, Ttl, Type, ZAddOptions,
};

use crate::support::{START_MS, assert_no_row_is_lost, code_of, open_with_clock, text, update};

const KINDS: [Type; 5] = [Type::String, Type::Hash, Type::Set, Type::SortedSet, Type::List];

/// Puts a structure of a type under a key that is not there.
fn fill(tx: &mut StructureTransaction, kind: Type, key: &[u8]) -> flowdb::error::Result<()> {
    match kind {
        Type::String => tx.set(key, &[7; 2_000], &SetOptions::default()).map(drop),
        Type::Hash => tx.h_set(key, &[(b"f", b"v"), (b"g", b"w")]).map(drop),
        Type::Set => tx.s_add(key, &[b"m", b"n"]).map(drop),
        Type::SortedSet => tx.z_add(key, &[(1.0, b"m"), (2.0, b"n")], ZAddOptions::default()).map(drop),
        Type::List => tx.r_push(key, &[b"m", b"n"]).map(drop),
    }
}

/// How many rows of structures the engine has, but for the one that says which number comes next.
fn rows(structures: &Structures) -> usize {
    let range = ScanRange::between(vec![0x0a, 0x01], vec![0x0f]);
    let mut scan = structures.db().engine().scan(range, Direction::Forward, None).unwrap();
    let mut count = 0;
    while scan.advance().unwrap() {
        count += 1;
    }
    count
}

fn expire(structures: &Structures, key: &[u8], ms: i64) -> bool {
    update(structures, |tx| tx.expire(key, Moment::In(ms), ExpireOptions::default()))
}

fn ttl(structures: &Structures, key: &[u8]) -> i64 {
    structures.view(|tx| tx.ttl(key)).unwrap().as_ms()
}

#[test]
fn every_kind_of_key_expires_at_its_millisecond_and_is_evicted_whole() {
    for kind in KINDS {
        let (structures, clock) = open_with_clock();
        update(&structures, |tx| fill(tx, kind, b"k"));
        assert_eq!(ttl(&structures, b"k"), -1);
        assert!(expire(&structures, b"k", 100));

        clock.set(START_MS + 99);
        assert_eq!(ttl(&structures, b"k"), 1, "{kind:?}");
        assert_eq!(structures.evict(9).unwrap(), 0);
        clock.set(START_MS + 100);
        assert_eq!(ttl(&structures, b"k"), -2, "{kind:?}");
        assert_eq!(structures.view(|tx| tx.exists(&[b"k"])).unwrap(), 0);
        assert_eq!(structures.view(|tx| tx.keys(b"*")).unwrap(), Vec::<Vec<u8>>::new());

        assert_eq!(structures.evict(9).unwrap(), 1);
        assert_eq!((rows(&structures), structures.evict(9).unwrap()), (0, 0), "{kind:?}");
    }
}

/// What has expired has another number than what came after it.
#[test]
fn a_key_that_is_written_again_after_it_has_expired_is_its_own() {
    for (old, new) in KINDS.iter().flat_map(|old| KINDS.map(|new| (*old, new))) {
        let (structures, clock) = open_with_clock();
        update(&structures, |tx| {
            fill(tx, old, b"k")?;
            tx.expire(b"k", Moment::In(100), ExpireOptions::default())
        });
        clock.advance(100);
        update(&structures, |tx| fill(tx, new, b"k"));
        let before = rows(&structures);

        assert_eq!(structures.evict(9).unwrap(), 1);

        assert_eq!(ttl(&structures, b"k"), -1);
        assert!(rows(&structures) < before);
        let mut whole = structures.begin(Mode::ReadWrite).unwrap();
        assert_eq!(whole.type_of(b"k").unwrap(), Some(new));
        whole.delete(&[b"k"]).unwrap();
        whole.commit(None).unwrap();
        assert_eq!(rows(&structures), 0, "{old:?} then {new:?}");
    }
}

#[test]
fn an_expiry_follows_its_key_and_goes_with_it() {
    let (structures, clock) = open_with_clock();
    let set = |options: SetOptions| {
        update(&structures, |tx| tx.set(b"k", b"1", &options));
    };
    let in_100 = Expiry::Moment(Moment::In(100));
    set(SetOptions { expiry: in_100, ..SetOptions::default() });
    update(&structures, |tx| tx.incr_by(b"k", 1));
    update(&structures, |tx| tx.append(b"k", b"0"));
    assert_eq!(ttl(&structures, b"k"), 100, "changes keep it");
    set(SetOptions { expiry: Expiry::Keep, ..SetOptions::default() });
    assert_eq!(ttl(&structures, b"k"), 100);
    update(&structures, |tx| tx.rename(b"k", b"l"));
    assert_eq!((ttl(&structures, b"k"), ttl(&structures, b"l")), (-2, 100));
    set(SetOptions::default());
    update(&structures, |tx| tx.rename(b"l", b"k"));
    assert_eq!(ttl(&structures, b"k"), 100);
    set(SetOptions::default());
    assert_eq!(ttl(&structures, b"k"), -1, "a plain set takes it away");
    assert!(expire(&structures, b"k", 50) && expire(&structures, b"k", 70));
    assert!(update(&structures, |tx| tx.persist(b"k")));
    assert!(!update(&structures, |tx| tx.persist(b"k")));
    clock.advance(1_000);
    assert_eq!(structures.evict(9).unwrap(), 0, "nothing is listed any more");
    set(SetOptions { expiry: in_100, ..SetOptions::default() });
    assert_eq!(text(update(&structures, |tx| tx.get_del(b"k"))).unwrap(), "1");
    assert_eq!(rows(&structures), 0);
}

#[test]
fn an_expiry_in_the_past_deletes_and_one_that_is_none_is_refused() {
    let (structures, _) = open_with_clock();
    for moment in [Moment::In(0), Moment::In(-5), Moment::At(1), Moment::At(i64::MIN)] {
        update(&structures, |tx| fill(tx, Type::Hash, b"k"));
        assert!(update(&structures, |tx| tx.expire(b"k", moment, ExpireOptions::default())));
        assert_eq!((ttl(&structures, b"k"), rows(&structures)), (-2, 0));
    }
    assert!(!expire(&structures, b"k", 100));
    update(&structures, |tx| tx.set_ex(b"k", Moment::At(1), b"v"));
    assert_eq!(ttl(&structures, b"k"), -2);
    for moment in [Moment::In(0), Moment::In(-1), Moment::At(0), Moment::In(i64::MAX)] {
        assert_eq!(code_of(&structures, |tx| tx.set_ex(b"k", moment, b"v")), Code::InvalidArgument);
    }
    update(&structures, |tx| fill(tx, Type::Set, b"k"));
    let beyond =
        |tx: &mut StructureTransaction| tx.expire(b"k", Moment::In(i64::MAX), ExpireOptions::default());
    assert_eq!(code_of(&structures, beyond), Code::InvalidArgument);
}

/// Who has read a key before it expired and writes it behind that would bring it back for those who saw it go.
#[test]
fn a_transaction_that_outlives_a_key_it_has_read_is_run_again() {
    let (structures, clock) = open_with_clock();
    update(&structures, |tx| tx.h_set(b"k", &[(b"f", b"1")]));
    expire(&structures, b"k", 100);
    let mut late = structures.begin(Mode::ReadWrite).unwrap();
    assert!(late.persist(b"k").unwrap());
    clock.advance(100);

    assert_eq!(late.commit(None).unwrap_err().code(), Code::Conflict);

    let mut late = structures.begin(Mode::ReadWrite).unwrap();
    assert_eq!(late.h_incr_by(b"k", b"f", 1).unwrap(), 1, "it begins anew");
    late.commit(None).unwrap();
    assert_eq!(ttl(&structures, b"k"), -1);
}

#[test]
fn a_write_beside_an_eviction_leaves_no_row_that_belongs_to_nothing() {
    let (structures, clock) = open_with_clock();
    update(&structures, |tx| tx.h_set(b"k", &[(b"f", b"1")]));
    expire(&structures, b"k", 100);
    let mut late = structures.begin(Mode::ReadWrite).unwrap();
    late.h_set(b"k", &[(b"f", b"2")]).unwrap();
    clock.advance(100);
    assert_eq!(structures.evict(9).unwrap(), 1);

    assert_eq!(late.commit(None).unwrap_err().code(), Code::Conflict);
    assert_eq!(rows(&structures), 0);
}

#[test]
fn a_large_structure_is_evicted_and_many_are_in_steps() {
    let (structures, clock) = open_with_clock();
    let members: Vec<Vec<u8>> = (0..5_000).map(|number| format!("{number}").into_bytes()).collect();
    let scored: Vec<(f64, &[u8])> = members.iter().map(|member| (1.0, member.as_slice())).collect();
    update(&structures, |tx| {
        tx.z_add(b"large", &scored, ZAddOptions::default())?;
        tx.expire(b"large", Moment::In(50), ExpireOptions::default())?;
        for (at, member) in members.iter().take(300).enumerate() {
            let kind = KINDS[at % KINDS.len()];
            fill(tx, kind, member)?;
            tx.expire(member, Moment::In(50 + at as i64 % 3), ExpireOptions::default())?;
        }
        tx.push(b"stays", End::Left, &[b"1"])
    });
    clock.advance(60);

    assert_eq!(structures.evict(100).unwrap(), 100);
    assert_eq!(structures.evict(u64::MAX).unwrap(), 201);
    assert_eq!(rows(&structures), 2, "a header and an element");
    assert_no_row_is_lost(&structures, "at the end");
}

/// Deleted, renamed and replaced structures leave no rows, either.
#[test]
fn whatever_ends_a_structure_takes_all_its_rows() {
    for kind in KINDS {
        let (structures, _) = open_with_clock();
        update(&structures, |tx| {
            fill(tx, kind, b"k")?;
            tx.expire(b"k", Moment::In(100), ExpireOptions::default())
        });
        update(&structures, |tx| tx.set(b"k", b"short", &SetOptions::default()));
        assert_eq!(rows(&structures), 1, "{kind:?}");
        update(&structures, |tx| fill(tx, kind, b"l"));
        update(&structures, |tx| tx.rename(b"k", b"l"));
        assert_eq!(rows(&structures), 1, "{kind:?}");
        update(&structures, |tx| tx.delete(&[b"l", b"k"]));
        assert_eq!(rows(&structures), 0, "{kind:?}");
        update(&structures, |tx| fill(tx, kind, b"k"));
        assert!(update(&structures, |tx| tx.delete_as(kind, b"k")));
        assert_eq!(rows(&structures), 0, "{kind:?}");
        update(&structures, |tx| fill(tx, kind, b"k"));
        update(&structures, StructureTransaction::flush_db);
        assert_eq!(rows(&structures), 0, "{kind:?}");
    }
}

#[test]
fn the_thread_evicts_by_itself_and_ends_with_the_last_handle() {
    let db = JsonDb::open(Config::in_memory()).unwrap();
    let structures = Structures::with_eviction(db.clone(), Duration::from_millis(5)).unwrap();
    let clone = structures.clone();
    update(&structures, |tx| {
        fill(tx, Type::Hash, b"k")?;
        tx.expire(b"k", Moment::In(1), ExpireOptions::default())
    });

    let deadline = Instant::now() + Duration::from_secs(60);
    while rows(&structures) > 0 {
        assert!(Instant::now() < deadline, "nothing was evicted");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(structures);
    update(&clone, |tx| fill(tx, Type::Set, b"k"));
    assert_eq!(clone.view(|tx| tx.ttl(b"k")).unwrap(), Ttl::Lasting);
    db.close().unwrap();
    drop(clone);
}
