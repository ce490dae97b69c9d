//! Transactions over structures: whole or not at all, serializable, and no further in each other's way than they must.

use std::path::Path;
use std::sync::Arc;

use flowdb::config::{Config, SyncMode};
use flowdb::error::{Code, Error, Result};
use flowdb::fs::SimFs;
use flowdb::jsondb::{Document, Format, JsonDb, KeyRange, Mode, StoreOptions, WatchOptions};
use flowdb::structures::{End, Moment, SetOptions, StructureTransaction, Structures, ZAddOptions};

use crate::model::{Command, Model, read_all, run};
use crate::support::{Random, START_MS, code_of, open, open_with_clock, text, update};

#[test]
fn a_failure_after_many_mixed_commands_leaves_every_key_as_it_was() {
    let (structures, _) = open_with_clock();
    let mut random = Random::from_env("a_failure_after_many_mixed_commands_leaves_every_key_as_it_was");
    let model = Model { now_ms: START_MS, ..Model::default() };
    for _ in 0..50 {
        let mut work = |tx: &mut StructureTransaction| {
            for _ in 0..20 {
                let command = Command::any(&mut random);
                if !matches!(command, Command::SPop(..) | Command::SRandMember(..)) {
                    run(tx, &command, &model);
                }
            }
        };
        update(&structures, |tx| {
            work(tx);
            Ok(())
        });
        let before = structures.view(|tx| Ok(read_all(tx, 1, START_MS))).unwrap();

        let failed: Result<()> = structures.update(None, |tx| {
            work(tx);
            Err(Error::new(Code::Aborted, "of the test"))
        });

        assert_eq!(failed.unwrap_err().code(), Code::Aborted);
        assert_eq!(structures.view(|tx| Ok(read_all(tx, 1, START_MS))).unwrap(), before);
    }
}

/// The command is prepared as far as it goes, and taken back.
#[test]
fn a_command_that_fails_half_way_changes_nothing() {
    let structures = open();
    let long = vec![b'x'; flowdb::structures::STRUCTURE_KEY_BYTES_MAX + 1];
    update(&structures, |tx| {
        tx.s_add(b"set", &[b"a"])?;
        tx.z_add(b"sorted", &[(1.0, b"a")], ZAddOptions::default())?;
        tx.h_set(b"hash", &[(b"a", b"1")])?;
        assert!(tx.s_add(b"set", &[b"b", &long]).is_err());
        assert!(tx.s_add(b"new", &[b"b", &long]).is_err());
        assert!(tx.z_add(b"sorted", &[(2.0, b"a"), (f64::NAN, b"b")], ZAddOptions::default()).is_err());
        assert!(tx.h_set(b"hash", &[(b"a", b"2"), (&long, b"1")]).is_err());
        assert!(tx.m_set(&[(b"text", b"1"), (&long, b"1")]).is_err());
        Ok(())
    });

    structures
        .view(|tx| {
            assert_eq!(tx.s_members(b"set")?, [b"a"]);
            assert_eq!(tx.z_score(b"sorted", b"a")?, Some(1.0));
            assert_eq!(text(tx.h_get(b"hash", b"a")?).unwrap(), "1");
            assert_eq!(tx.exists(&[b"new", b"text"])?, 0);
            Ok(())
        })
        .unwrap();
}

#[test]
fn writing_in_a_transaction_that_reads_is_an_error_and_changes_nothing() {
    let structures = open();
    let mut tx = structures.begin(Mode::ReadOnly).unwrap();
    assert_eq!(tx.set(b"k", b"v", &SetOptions::default()).unwrap_err().code(), Code::ReadOnly);
    assert_eq!(tx.delete(&[b"k"]).unwrap_err().code(), Code::ReadOnly);
    assert_eq!(tx.flush_all().unwrap_err().code(), Code::ReadOnly);
    tx.commit(None).unwrap();
    assert_eq!(structures.view(|tx| tx.db_size()).unwrap(), 0);
}

#[test]
fn a_view_sees_one_moment_and_a_transaction_what_it_has_written() {
    let structures = open();
    update(&structures, |tx| tx.r_push(b"list", &[b"1", b"2"]));
    let mut view = structures.begin(Mode::ReadOnly).unwrap();
    update(&structures, |tx| tx.r_push(b"list", &[b"3"]));
    assert_eq!(view.l_len(b"list").unwrap(), 2);

    let mut tx = structures.begin(Mode::ReadWrite).unwrap();
    tx.l_push(b"list", &[b"0"]).unwrap();
    tx.l_trim(b"list", 0, 1).unwrap();
    tx.select(1).unwrap();
    tx.r_push(b"list", &[b"other"]).unwrap();
    tx.select(0).unwrap();
    assert_eq!(tx.l_range(b"list", 0, -1).unwrap(), [b"0", b"1"]);
    assert_eq!(structures.view(|tx| tx.l_len(b"list")).unwrap(), 3);
    drop(tx);
    assert_eq!(structures.view(|tx| tx.l_len(b"list")).unwrap(), 3);
}

fn conflict_of(
    structures: &Structures,
    mut mine: impl FnMut(&mut StructureTransaction),
    mut others: impl FnMut(&mut StructureTransaction),
) -> Option<Code> {
    let mut first = structures.begin(Mode::ReadWrite).unwrap();
    mine(&mut first);
    update(structures, |tx| {
        others(tx);
        Ok(())
    });
    first.commit(None).err().map(|error| error.code())
}

#[test]
fn commands_on_different_keys_don_t_conflict_and_those_on_what_was_read_do() {
    let structures = open();
    update(&structures, |tx| tx.h_set(b"hash", &[(b"f", b"1"), (b"g", b"1")]));
    type Commands = fn(&mut StructureTransaction);
    let free: [(Commands, Commands); 4] = [
        (|tx| _ = tx.incr_by(b"a", 1).unwrap(), |tx| _ = tx.incr_by(b"b", 1).unwrap()),
        (|tx| _ = tx.s_add(b"s1", &[b"m"]).unwrap(), |tx| _ = tx.s_add(b"s2", &[b"m"]).unwrap()),
        (|tx| _ = tx.h_incr_by(b"hash", b"f", 1).unwrap(), |tx| _ = tx.h_incr_by(b"hash", b"g", 1).unwrap()),
        (
            |tx| {
                tx.set_ex(b"c", Moment::In(60_000), b"1").unwrap();
            },
            |tx| tx.set_ex(b"d", Moment::In(60_000), b"1").unwrap(),
        ),
    ];
    for (at, (mine, others)) in free.into_iter().enumerate() {
        assert_eq!(conflict_of(&structures, mine, others), None, "case {at}");
    }
    let clashing: [(Commands, Commands); 5] = [
        (|tx| _ = tx.incr_by(b"a", 1).unwrap(), |tx| _ = tx.incr_by(b"a", 1).unwrap()),
        (
            |tx| {
                assert_eq!(tx.h_get_all(b"hash").unwrap().len(), 2);
                tx.incr_by(b"z", 1).unwrap();
            },
            |tx| _ = tx.h_set(b"hash", &[(b"f", b"9")]).unwrap(),
        ),
        (
            |tx| {
                assert_eq!(tx.keys(b"nobody*").unwrap().len(), 0);
                tx.incr_by(b"z", 1).unwrap();
            },
            |tx| _ = tx.incr_by(b"nobody:1", 1).unwrap(),
        ),
        (|tx| tx.flush_all().unwrap(), |tx| _ = tx.incr_by(b"late", 1).unwrap()),
        (|tx| _ = tx.h_set(b"hash", &[(b"f", b"3")]).unwrap(), |tx| tx.flush_all().unwrap()),
    ];
    for (at, (mine, others)) in clashing.into_iter().enumerate() {
        assert_eq!(conflict_of(&structures, mine, others), Some(Code::Conflict), "case {at}");
    }
}

#[test]
fn a_conflict_names_the_key() {
    let structures = open();
    let mut first = structures.begin(Mode::ReadWrite).unwrap();
    first.incr_by(b"visits", 1).unwrap();
    update(&structures, |tx| tx.incr_by(b"visits", 1));
    let error = first.commit(None).unwrap_err();
    assert!(error.message().contains(r#"the key "visits""#), "{error}");
}

/// Members and scores that are moved between keys by many at once are neither lost nor doubled.
#[test]
fn concurrent_updates_conserve_sums_and_members() {
    const THREADS: u64 = 4;
    const EACH: u64 = 250;
    let structures = open();
    let keys: [&[u8]; 4] = [b"k0", b"k1", b"k2", b"k3"];
    let (sets, lists): ([&[u8]; 2], [&[u8]; 2]) = ([b"s0", b"s1"], [b"l0", b"l1"]);
    update(&structures, |tx| {
        keys.iter()
            .try_for_each(|key| tx.z_add(key, &[(100.0, b"sum")], ZAddOptions::default()).map(drop))?;
        let members: Vec<Vec<u8>> = (0..40u8).map(|number| vec![number]).collect();
        let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
        tx.s_add(sets[0], &members)?;
        tx.r_push(lists[0], &members)
    });
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let structures = structures.clone();
            scope.spawn(move || {
                let mut random = Random::seeded(thread);
                for _ in 0..EACH {
                    let (from, to) = (*random.pick(&keys), *random.pick(&keys));
                    let by = random.below(9) as f64;
                    let (turn, member) = (random.below(2) as usize, [random.below(40) as u8]);
                    update(&structures, |tx| {
                        tx.z_incr_by(from, -by, b"sum")?;
                        tx.z_incr_by(to, by, b"sum")?;
                        tx.s_move(sets[turn], sets[1 - turn], &member)?;
                        tx.l_move(lists[turn], lists[1 - turn], End::Left, End::Right)
                    });
                }
            });
        }
    });
    structures
        .view(|tx| {
            let mut sum = 0.0;
            for key in keys {
                sum += tx.z_score(key, b"sum")?.unwrap();
            }
            assert_eq!(sum, 400.0);
            assert_eq!(tx.s_card(sets[0])? + tx.s_card(sets[1])?, 40);
            assert_eq!(tx.s_inter_card(&sets, 0)?, 0);
            let mut elements = tx.l_range(lists[0], 0, -1)?;
            elements.extend(tx.l_range(lists[1], 0, -1)?);
            elements.sort();
            assert_eq!(elements, (0..40u8).map(|number| vec![number]).collect::<Vec<_>>());
            Ok(())
        })
        .unwrap();
}

/// Documents of one database with structures: who watches them sees their changes only, and their rows say nothing of
/// expiries.
#[test]
fn structures_and_documents_live_side_by_side() {
    let structures = open();
    let db = structures.db().clone();
    db.create_object_store("items", StoreOptions { key_path: None, auto_increment: true }).unwrap();
    let version = |db: &JsonDb| db.engine().get(&[0], None).unwrap().unwrap().bytes[0];
    let before = version(&db);
    let watch = db.watch(WatchOptions::default()).unwrap();

    update(&structures, |tx| {
        tx.set_ex(b"k", Moment::In(60_000), b"v")?;
        tx.s_add(b"s", &[b"m"])
    });
    assert_eq!(watch.try_recv().unwrap(), None);
    assert_eq!(version(&db), before);
    let document = Document { format: Format::Raw, bytes: vec![1] };
    db.update(&["items"], None, |tx| tx.put("items", None, document.clone())).unwrap();
    assert!(watch.try_recv().unwrap().is_some());
    update(&structures, StructureTransaction::flush_all);
    let count = db.begin(&["items"], Mode::ReadOnly).unwrap().count("items", &KeyRange::all()).unwrap();
    assert_eq!((count, structures.view(|tx| tx.db_size()).unwrap()), (1, 0));
}

#[test]
fn what_was_committed_is_there_when_the_database_is_opened_again() {
    let disk = SimFs::new();
    let open = || {
        let config = Config { auto_background: false, ..Config::new(Path::new("/db")) };
        Structures::new(JsonDb::open_on(config, Arc::new(disk.clone())).unwrap()).unwrap()
    };
    let structures = open();
    update(&structures, |tx| tx.z_add(b"z", &[(1.5, b"m")], ZAddOptions::default()));
    structures.db().close().unwrap();
    assert_eq!(code_of_begin(&structures), Code::Closed);

    let structures = open();
    assert_eq!(structures.view(|tx| tx.z_score(b"z", b"m")).unwrap(), Some(1.5));
    let mut tx = structures.begin(Mode::ReadWrite).unwrap();
    tx.incr_by(b"n", 1).unwrap();
    structures.db().close().unwrap();
    assert_eq!(tx.incr_by(b"n", 1).unwrap_err().code(), Code::Closed);
    assert_eq!(tx.commit(None).unwrap_err().code(), Code::Closed);
}

fn code_of_begin(structures: &Structures) -> Code {
    structures.begin(Mode::ReadOnly).map(drop).unwrap_err().code()
}

#[test]
fn what_has_nothing_to_wait_for_is_done_in_the_call_scans_included() {
    let structures = open();
    let relaxed = Some(SyncMode::Interval(1_000));
    update(&structures, |tx| tx.s_add(b"warm", &[b"up"]));

    let done = structures.try_update(relaxed, |tx| {
        tx.z_add(b"z", &[(1.0, b"a"), (2.0, b"b")], ZAddOptions::default())?;
        tx.z_rank(b"z", b"b")
    });
    assert_eq!(done.unwrap(), Some(Some(1)));
    assert_eq!(structures.try_view(|tx| tx.z_card(b"z")).unwrap(), Some(2));
    let failed = structures.try_update(relaxed, |tx| tx.incr_by(b"z", 1));
    assert_eq!(failed.unwrap_err().code(), Code::WrongType);
    // Much is left to somebody who has the time.
    let members: Vec<Vec<u8>> = (0..9_000u32).map(|number| number.to_be_bytes().to_vec()).collect();
    let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    assert_eq!(structures.try_update(relaxed, |tx| tx.s_add(b"many", &members)).unwrap(), None);
    assert_eq!(structures.view(|tx| tx.exists(&[b"many"])).unwrap(), 0);
    update(&structures, |tx| tx.s_add(b"many", &members));
    assert_eq!(structures.try_view(|tx| tx.s_members(b"many")).unwrap(), None);
}

#[test]
fn a_conflict_in_the_call_leaves_nothing() {
    let structures = open();
    update(&structures, |tx| tx.incr_by(b"warm", 1));
    let mut attempts = 0;
    let done = structures.try_update(Some(SyncMode::Never), |tx| {
        attempts += 1;
        tx.incr_by(b"n", 1)?;
        structures.update(None, |other| other.incr_by(b"n", 5))
    });
    assert_eq!((done.unwrap(), attempts), (None, 1));
    assert_eq!(text(structures.view(|tx| tx.get(b"n")).unwrap()).unwrap(), "5");
}

#[test]
fn a_database_that_was_opened_read_only_shows_structures_and_takes_none() {
    let directory = std::env::temp_dir().join(format!("flowdb-structures-{}", std::process::id()));
    let open = |read_only| {
        let config = Config { read_only, ..Config::new(&directory) };
        Structures::new(JsonDb::open(config).unwrap()).unwrap()
    };
    let structures = open(false);
    update(&structures, |tx| tx.incr_by(b"n", 7));
    structures.db().close().unwrap();
    drop(structures);

    let structures = open(true);
    assert_eq!(text(structures.view(|tx| tx.get(b"n")).unwrap()).unwrap(), "7");
    assert_eq!(structures.update(None, |tx| tx.incr_by(b"n", 1)).unwrap_err().code(), Code::ReadOnly);
    assert_eq!(structures.evict(9).unwrap_err().code(), Code::ReadOnly);
    structures.db().close().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_key_of_another_kind_is_a_typed_error_for_every_command() {
    let structures = open();
    update(&structures, |tx| {
        tx.r_push(b"list", &[b"1"])?;
        tx.incr_by(b"text", 1)
    });
    type Command = fn(&mut StructureTransaction) -> Result<()>;
    let commands: [Command; 12] = [
        |tx| tx.get(b"list").map(drop),
        |tx| tx.incr_by(b"list", 1).map(drop),
        |tx| tx.append(b"list", b"1").map(drop),
        |tx| tx.get_set(b"list", b"1").map(drop),
        |tx| tx.h_get(b"list", b"f").map(drop),
        |tx| tx.h_set(b"list", &[]).map(drop),
        |tx| tx.s_add(b"list", &[b"m"]).map(drop),
        |tx| tx.s_move(b"list", b"other", b"m").map(drop),
        |tx| tx.z_rank(b"list", b"m").map(drop),
        |tx| tx.z_add(b"list", &[], ZAddOptions::default()).map(drop),
        |tx| tx.l_push(b"text", &[b"1"]).map(drop),
        |tx| tx.l_move(b"list", b"text", End::Left, End::Left).map(drop),
    ];
    for (at, command) in commands.into_iter().enumerate() {
        assert_eq!(code_of(&structures, command), Code::WrongType, "command {at}");
    }
    assert_eq!(structures.view(|tx| tx.l_len(b"list")).unwrap(), 1);
}
