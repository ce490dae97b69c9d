//! What a crash may take and what it must leave, and that faults strike where they are told to.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};

use super::random::Random;
use super::*;
use crate::error::Code;

const PAGE: usize = 4096;

/// Every outcome that loses power, with many seeds.
fn power_losses() -> impl Iterator<Item = CrashOutcome> {
    let fixed = [CrashOutcome::LoseUnsynced, CrashOutcome::KeepUnsynced];
    fixed.into_iter().chain((0..300).map(CrashOutcome::Random))
}

/// The seed of a randomised test: from `FLOWDB_SEED`, or a new one. It is printed, so that a failure can be repeated.
fn seed() -> u64 {
    let given = std::env::var("FLOWDB_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("FLOWDB_SEED={seed}");
    seed
}

fn at(name: &str) -> PathBuf {
    Path::new("/db").join(name)
}

fn disk_with_dir() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir_all(Path::new("/db")).unwrap();
    disk
}

/// A file whose name and first bytes are durable.
fn durable_file(disk: &SimFs, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.create(&at(name)).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    file
}

#[track_caller]
fn assert_kind<T>(result: Result<T>, kind: ErrorKind) {
    let Err(error) = result else { panic!("the operation should have failed") };
    assert_eq!(error.code(), Code::Io, "{error:?}");
    assert_eq!(error.io_cause().map(io::Error::kind), Some(kind), "{error:?}");
}

fn names(disk: &SimFs) -> Vec<String> {
    disk.files().iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Each name with the text of its file.
fn state(disk: &SimFs) -> Vec<(String, String)> {
    let text = |path: &PathBuf| String::from_utf8(disk.read_file(path).unwrap()).unwrap();
    names(disk).into_iter().zip(disk.files().iter().map(text)).collect()
}

// What outlasts a power loss.

#[test]
fn synced_bytes_of_a_synced_name_outlast_every_power_loss() {
    let disk = disk_with_dir();
    let sure: Vec<u8> = (0..10_000_u32).map(|index| index as u8 | 1).collect();
    let file = durable_file(&disk, "f", &sure);
    file.append(&[9; 20_000]).unwrap();
    for outcome in power_losses() {
        let bytes = disk.after_crash(outcome).read_file(at("f")).unwrap();
        assert!(bytes.starts_with(&sure), "{outcome:?}");
        assert!(bytes.len() <= 30_000, "{outcome:?}");
        assert!(bytes[10_000..].iter().all(|byte| [0, 9].contains(byte)), "{outcome:?}");
    }
}

#[test]
fn the_fixed_outcomes_keep_all_or_nothing_of_what_is_unsynced() {
    let disk = disk_with_dir();
    durable_file(&disk, "f", b"sure ").append(b"unsure").unwrap();
    durable_file(&disk, "gone", b"gone");
    disk.remove(&at("gone")).unwrap();
    disk.create(&at("new")).unwrap().append(b"new").unwrap();

    let lost = disk.after_crash(CrashOutcome::LoseUnsynced);
    assert_eq!(state(&lost), [("f".into(), "sure ".into()), ("gone".into(), "gone".into())]);
    let kept = [("f".into(), "sure unsure".into()), ("new".into(), "new".into())];
    assert_eq!(state(&disk.after_crash(CrashOutcome::KeepUnsynced)), kept);
    assert_eq!(state(&disk.after_crash(CrashOutcome::ProcessOnly)), kept);
    assert_eq!(state(&disk), kept, "a crash copy changes nothing on the disk itself");
}

#[test]
fn a_file_vanishes_with_its_name_however_well_its_bytes_were_synced() {
    let disk = disk_with_dir();
    let file = disk.create(&at("f")).unwrap();
    file.append(b"bytes").unwrap();
    file.sync().unwrap();
    assert!(names(&disk.after_crash(CrashOutcome::LoseUnsynced)).is_empty());
    let found: BTreeSet<_> = power_losses().map(|outcome| names(&disk.after_crash(outcome)).len()).collect();
    assert_eq!(found, BTreeSet::from([0, 1]));
}

#[test]
fn a_link_is_as_durable_as_its_directory_and_the_names_share_one_fate() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"sure ");
    disk.hard_link(&at("f"), &at("g")).unwrap();
    assert_eq!(names(&disk.after_crash(CrashOutcome::LoseUnsynced)), ["f"]);
    disk.sync_dir(at("f").parent().unwrap()).unwrap();
    file.append(b"unsure").unwrap();
    for outcome in power_losses() {
        let found = disk.after_crash(outcome);
        assert_eq!(names(&found), ["f", "g"], "{outcome:?}");
        assert_eq!(found.read_file(at("f")), found.read_file(at("g")), "{outcome:?}");
    }
}

#[test]
fn a_synced_name_keeps_a_file_but_not_its_bytes() {
    let disk = disk_with_dir();
    disk.create(&at("f")).unwrap().append(b"bytes").unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    assert_eq!(disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap(), b"");
}

#[test]
fn what_a_power_loss_left_is_durable_from_then_on() {
    let disk = disk_with_dir();
    disk.create(&at("f")).unwrap().append(b"bytes").unwrap();
    let found = disk.after_crash(CrashOutcome::KeepUnsynced).after_crash(CrashOutcome::LoseUnsynced);
    assert_eq!(found.read_file(at("f")).unwrap(), b"bytes");
}

#[test]
fn what_a_process_crash_left_can_still_be_lost_until_it_is_synced() {
    let disk = disk_with_dir();
    durable_file(&disk, "f", b"sure ").append(b"unsure").unwrap();
    disk.create(&at("new")).unwrap();

    let reopened = disk.after_crash(CrashOutcome::ProcessOnly);
    assert_eq!(names(&reopened), ["f", "new"]);
    let lost = reopened.after_crash(CrashOutcome::LoseUnsynced);
    assert_eq!(state(&lost), [("f".into(), "sure ".into())]);

    reopened.open(&at("f")).unwrap().sync().unwrap();
    reopened.sync_dir(Path::new("/db")).unwrap();
    let kept = reopened.after_crash(CrashOutcome::LoseUnsynced);
    assert_eq!(state(&kept), [("f".into(), "sure unsure".into()), ("new".into(), "".into())]);
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let disk = disk_with_dir();
    for name in ["a", "b", "c"] {
        disk.create(&at(name)).unwrap().append(&[7; 50_000]).unwrap();
    }
    let contents = |disk: &SimFs| disk.files().iter().map(|path| disk.read_file(path)).collect::<Vec<_>>();
    let mut distinct = BTreeSet::new();
    for seed in 0..50 {
        let [one, other] = [(); 2].map(|()| disk.after_crash(CrashOutcome::Random(seed)));
        assert_eq!(one.files(), other.files());
        assert_eq!(contents(&one), contents(&other));
        distinct.insert((one.files(), contents(&one)));
    }
    assert!(distinct.len() > 25, "only {} different disks", distinct.len());
}

// Bytes under random outcomes.

/// What became of a file of five unsynced pages, the last one short and appended on its own.
fn random_remains() -> impl Iterator<Item = Vec<u8>> {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"");
    file.append(&[1; 4 * PAGE]).unwrap();
    file.append(&[2; 1000]).unwrap();
    (0..1000).map(move |seed| disk.after_crash(CrashOutcome::Random(seed)).read_file(at("f")).unwrap())
}

#[test]
fn pages_are_lost_out_of_order_and_read_as_zeros() {
    let hole = |bytes: &Vec<u8>| {
        let pages: Vec<u8> = bytes.chunks(PAGE).take(4).map(|page| page[0]).collect();
        pages.windows(2).any(|pair| pair == [0, 1])
    };
    assert!(random_remains().any(|bytes| hole(&bytes)));
    for bytes in random_remains() {
        let whole = |page: &[u8]| page.iter().all(|byte| *byte == page[0]);
        assert!(bytes.chunks(PAGE).take(4).all(whole), "the early appends are kept or lost page by page");
    }
}

#[test]
fn the_last_append_is_torn_at_any_byte() {
    let cuts: BTreeSet<usize> = random_remains()
        .filter(|bytes| bytes.len() > 4 * PAGE)
        .map(|bytes| bytes[4 * PAGE..].iter().take_while(|byte| **byte == 2).count())
        .collect();
    assert!(cuts.contains(&0) && cuts.contains(&1000), "{cuts:?}");
    assert!(cuts.len() > 50, "{cuts:?}");
}

#[test]
fn a_lost_tail_shortens_the_file_or_leaves_zeros() {
    let lost_tail = |bytes: &Vec<u8>| bytes.get(4 * PAGE).is_none_or(|byte| *byte == 0);
    let lengths: BTreeSet<_> = random_remains().filter(lost_tail).map(|bytes| bytes.len()).collect();
    for pages in 0..=4 {
        assert!(lengths.contains(&(pages * PAGE)), "{lengths:?}");
    }
    assert!(lengths.contains(&(4 * PAGE + 1000)), "{lengths:?}");
}

#[test]
fn everything_or_nothing_may_be_left_too() {
    let whole = [[1; 4 * PAGE].as_slice(), &[2; 1000]].concat();
    assert!(random_remains().any(|bytes| bytes == whole));
    assert!(random_remains().any(|bytes| bytes.is_empty()));
}

#[test]
fn a_page_that_is_synced_in_part_loses_only_the_rest() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", &[1; 100]);
    file.append(&[2; 100]).unwrap();
    file.append(&[3; 100]).unwrap();
    let mut middles = BTreeSet::new();
    for seed in 0..300 {
        let bytes = disk.after_crash(CrashOutcome::Random(seed)).read_file(at("f")).unwrap();
        assert!(bytes.starts_with(&[1; 100]));
        middles.insert(bytes.get(100).copied());
    }
    assert_eq!(middles, BTreeSet::from([None, Some(0), Some(2)]));
}

// A failed sync.

#[test]
fn bytes_whose_sync_failed_stay_doubtful_after_later_syncs() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"sure ");
    file.append(b"doubtful ").unwrap();
    disk.fail_at(disk.operations(), Fault::once(ErrorKind::Other));
    assert_kind(file.sync(), ErrorKind::Other);
    file.sync().unwrap();
    assert_eq!(disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap(), b"sure ");

    file.append(b"later").unwrap();
    file.sync().unwrap();
    let after = |outcome| disk.after_crash(outcome).read_file(at("f")).unwrap();
    assert_eq!(after(CrashOutcome::LoseUnsynced), b"sure \0\0\0\0\0\0\0\0\0later");
    assert_eq!(after(CrashOutcome::KeepUnsynced), b"sure doubtful later");
    let random: BTreeSet<_> = (0..100).map(|seed| after(CrashOutcome::Random(seed))).collect();
    let either = [b"sure \0\0\0\0\0\0\0\0\0later".to_vec(), b"sure doubtful later".to_vec()];
    assert_eq!(random, BTreeSet::from(either));
    let reopened = disk.after_crash(CrashOutcome::ProcessOnly).after_crash(CrashOutcome::LoseUnsynced);
    assert_eq!(reopened.read_file(at("f")).unwrap(), after(CrashOutcome::LoseUnsynced));
}

#[test]
fn each_failed_sync_casts_doubt_on_its_own_bytes() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"");
    let append_and_fail = |bytes: &[u8]| {
        file.append(bytes).unwrap();
        disk.fail_at(disk.operations(), Fault::once(ErrorKind::Other));
        assert_kind(file.sync(), ErrorKind::Other);
    };
    append_and_fail(b"aa");
    append_and_fail(b"bb");
    file.sync().unwrap();
    file.append(b"cc").unwrap();
    file.sync().unwrap();
    append_and_fail(b"dd");
    file.sync().unwrap();
    file.append(b"ee").unwrap();
    file.sync().unwrap();
    let lost = disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap();
    assert_eq!(lost, b"\0\0\0\0cc\0\0ee");
}

// Names under random outcomes.

#[test]
fn a_random_power_loss_leaves_every_subset_of_the_directory_changes_and_nothing_else() {
    let disk = disk_with_dir();
    durable_file(&disk, "CURRENT", b"old");
    durable_file(&disk, "dead", b"dead");
    let temporary = disk.create(&at("temporary")).unwrap();
    temporary.append(b"new").unwrap();
    temporary.sync().unwrap();
    disk.rename(&at("temporary"), &at("CURRENT")).unwrap();
    disk.remove(&at("dead")).unwrap();

    let mut expected = BTreeSet::new();
    for subset in 0..8 {
        let [created, renamed, removed] = [1, 2, 4].map(|bit| subset & bit != 0);
        let mut names = vec![("CURRENT", if created && renamed { "new" } else { "old" })];
        if !removed {
            names.push(("dead", "dead"));
        }
        if created && !renamed {
            names.push(("temporary", "new"));
        }
        expected.insert(names.into_iter().map(|(name, text)| (name.into(), text.into())).collect());
    }
    let found: BTreeSet<Vec<(String, String)>> =
        (0..500).map(|seed| state(&disk.after_crash(CrashOutcome::Random(seed)))).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_directory_sync_settles_its_own_directory_only() {
    let disk = disk_with_dir();
    disk.create_dir_all(Path::new("/db/below")).unwrap();
    disk.create(&at("f")).unwrap();
    disk.create(&at("below/g")).unwrap();
    disk.sync_dir(Path::new("/db")).unwrap();
    assert_eq!(names(&disk.after_crash(CrashOutcome::LoseUnsynced)), ["f"]);
    disk.sync_dir(Path::new("/db/below")).unwrap();
    assert_eq!(names(&disk.after_crash(CrashOutcome::LoseUnsynced)), ["g", "f"]);
}

#[test]
fn created_directories_are_durable_when_the_call_returns() {
    let disk = SimFs::new();
    disk.create_dir_all(Path::new("/a/b/c")).unwrap();
    let found = disk.after_crash(CrashOutcome::LoseUnsynced);
    assert!(found.exists(Path::new("/a/b/c")).unwrap());
}

#[test]
fn a_lost_directory_takes_its_files_with_it() {
    let disk = SimFs::new();
    let tree = || disk.0.tree.lock();
    tree().create_dir(Path::new("/db")).unwrap();
    durable_file(&disk, "f", b"bytes");
    assert!(disk.after_crash(CrashOutcome::LoseUnsynced).files().is_empty());
    tree().sync_dir(Path::new("/")).unwrap();
    assert_eq!(names(&disk.after_crash(CrashOutcome::LoseUnsynced)), ["f"]);
}

/// The process that created a directory may have died before it synced the parent.
#[test]
fn a_directory_that_is_found_is_made_durable_before_it_is_used() {
    let mut unsynced_dir_found = false;
    for crash_at in 0..4 {
        let disk = SimFs::crashing_after(crash_at);
        disk.create_dir_all(Path::new("/a/b")).unwrap_err();
        let reopened = disk.after_crash(CrashOutcome::ProcessOnly);
        unsynced_dir_found |= reopened.0.tree.lock().has_pending();
        reopened.create_dir_all(Path::new("/a/b")).unwrap();
        let found = reopened.after_crash(CrashOutcome::LoseUnsynced);
        assert!(found.exists(Path::new("/a/b")).unwrap(), "crash_at={crash_at}");
    }
    assert!(unsynced_dir_found);
}

// Crash points.

/// Replaces the text of CURRENT as a database does.
fn replace_current(disk: &SimFs, sync_bytes: bool, sync_name: bool) -> Result<()> {
    let file = disk.create(&at("temporary"))?;
    file.append(b"new, ")?;
    file.append(b"and whole")?;
    if sync_bytes {
        file.sync()?;
    }
    disk.rename(&at("temporary"), &at("CURRENT"))?;
    if sync_name {
        disk.sync_dir(Path::new("/db"))?;
    }
    Ok(())
}

/// Every text that CURRENT can have after a crash anywhere in the replacement; whether an acknowledged one was lost.
fn texts_after_crashes(sync_bytes: bool, sync_name: bool) -> (BTreeSet<String>, bool) {
    let mut texts = BTreeSet::new();
    let mut acknowledged_lost = false;
    for crash_at in 0..8 {
        for outcome in power_losses() {
            let disk = disk_with_dir();
            durable_file(&disk, "CURRENT", b"old");
            disk.crash_at(disk.operations() + crash_at);
            let acknowledged = replace_current(&disk, sync_bytes, sync_name).is_ok();
            let bytes = disk.after_crash(outcome).read_file(at("CURRENT")).unwrap_or_default();
            let text = String::from_utf8(bytes).unwrap();
            acknowledged_lost |= acknowledged && text != "new, and whole";
            texts.insert(text);
        }
    }
    (texts, acknowledged_lost)
}

#[test]
fn a_careful_replacement_is_seen_whole_or_not_at_all_wherever_the_machine_crashes() {
    let whole = BTreeSet::from(["old".to_owned(), "new, and whole".to_owned()]);
    assert_eq!(texts_after_crashes(true, true), (whole, false));
}

#[test]
fn a_careless_replacement_is_caught() {
    let (texts, acknowledged_lost) = texts_after_crashes(true, false);
    assert!(texts.len() == 2 && acknowledged_lost, "{texts:?}");
    let (texts, acknowledged_lost) = texts_after_crashes(false, true);
    assert!(texts.len() > 2 && acknowledged_lost, "{texts:?}");
}

#[test]
fn from_the_crash_on_everything_fails() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"bytes");
    disk.crash_at(disk.operations() + 1);
    file.append(b"more").unwrap();
    assert_kind(file.sync(), ErrorKind::Other);
    for _ in 0..2 {
        assert_kind(file.append(b"!"), ErrorKind::Other);
        assert_kind(file.sync(), ErrorKind::Other);
        assert_kind(file.read_at(0, &mut [0]), ErrorKind::Other);
        assert_kind(file.len(), ErrorKind::Other);
        assert_kind(disk.create(&at("g")), ErrorKind::Other);
        assert_kind(disk.open(&at("f")), ErrorKind::Other);
        assert_kind(disk.exists(&at("f")), ErrorKind::Other);
        assert_kind(disk.rename(&at("f"), &at("g")), ErrorKind::Other);
        assert_kind(disk.remove(&at("f")), ErrorKind::Other);
        assert_kind(disk.list(Path::new("/db")), ErrorKind::Other);
        assert_kind(disk.sync_dir(Path::new("/db")), ErrorKind::Other);
        assert_kind(disk.create_dir_all(Path::new("/other")), ErrorKind::Other);
        assert_kind(disk.create_dir_all(Path::new("/db")), ErrorKind::Other);
        assert_kind(disk.lock(&at("LOCK")), ErrorKind::Other);
        assert_kind(disk.canonicalize(Path::new("/db")), ErrorKind::Other);
        disk.heal();
    }
    assert_eq!(state(&disk.after_crash(CrashOutcome::ProcessOnly)), [("f".into(), "bytesmore".into())]);
    assert_eq!(state(&disk.after_crash(CrashOutcome::LoseUnsynced)), [("f".into(), "bytes".into())]);
}

#[test]
fn the_operation_that_the_machine_crashes_in_may_be_done_in_part() {
    let (mut lengths, mut created) = (BTreeSet::new(), BTreeSet::new());
    for before in 0..64 {
        let disk = disk_with_dir();
        let file = durable_file(&disk, "f", b"");
        (0..before).for_each(|_| file.sync().unwrap());
        let other = disk.deep_copy();

        disk.crash_at(disk.operations());
        assert_kind(file.append(&[1; 100]), ErrorKind::Other);
        lengths.insert(disk.after_crash(CrashOutcome::KeepUnsynced).read_file(at("f")).unwrap().len());

        other.crash_at(before);
        (0..before).for_each(|_| other.sync_dir(Path::new("/db")).unwrap());
        assert_kind(other.create(&at("g")), ErrorKind::Other);
        created.insert(names(&other.after_crash(CrashOutcome::KeepUnsynced)).len());
    }
    assert!(lengths.len() > 10, "{lengths:?}");
    assert_eq!(created, BTreeSet::from([1, 2]));
}

#[test]
fn a_machine_can_be_crashed_between_two_operations() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"bytes");
    disk.crash();
    assert_kind(file.append(b"!"), ErrorKind::Other);
    assert_kind(file.read_at(0, &mut [0]), ErrorKind::Other);
    assert_eq!(disk.after_crash(CrashOutcome::KeepUnsynced).read_file(at("f")).unwrap(), b"bytes");
}

#[test]
fn a_crash_copy_taken_beside_a_writer_has_all_that_was_acknowledged() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"");
    let acknowledged = AtomicU64::new(0);
    let mut lost = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while file.append(b"12345678").is_ok() && file.sync().is_ok() {
                acknowledged.fetch_add(8, Ordering::SeqCst);
            }
        });
        for _ in 0..200 {
            let before = acknowledged.load(Ordering::SeqCst);
            let copy = disk.after_crash(CrashOutcome::LoseUnsynced);
            let found = copy.read_file(at("f")).unwrap().len() as u64;
            lost.extend((found < before).then_some((found, before)));
        }
        // This ends the writer. Whatever was found is judged after it, as a panic here would leave it running.
        disk.crash();
    });
    assert_eq!(lost, []);
    let found = disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap();
    assert_eq!(found.len() as u64, acknowledged.load(Ordering::SeqCst));
}

// Faults.

#[test]
fn mutating_operations_are_counted_and_no_others() {
    let disk = SimFs::new();
    let mut expected = 0;
    let mut counts = |operations: u64, what: &str| {
        expected += operations;
        assert_eq!(disk.operations(), expected, "{what}");
    };
    disk.create_dir_all(Path::new("/db/below")).unwrap();
    counts(4, "two for each directory, to create it and to sync its parent");
    disk.create_dir_all(Path::new("/db/below")).unwrap();
    counts(1, "one to sync the entry of the directory that was found");
    let file = disk.create(&at("f")).unwrap();
    counts(1, "create");
    file.append(b"bytes").unwrap();
    counts(1, "append");
    file.sync().unwrap();
    counts(1, "sync");
    disk.rename(&at("f"), &at("g")).unwrap();
    counts(1, "rename");
    disk.sync_dir(Path::new("/db")).unwrap();
    counts(1, "sync_dir");
    let lock = disk.lock(&at("LOCK")).unwrap();
    disk.open(&at("g")).unwrap().read_at(0, &mut [0]).unwrap();
    disk.list(Path::new("/db")).unwrap();
    disk.exists(&at("g")).unwrap();
    disk.canonicalize(Path::new("/db")).unwrap();
    disk.write_file("/db/h", b"");
    drop(lock);
    counts(0, "what changes nothing");
    disk.remove(&at("g")).unwrap();
    counts(1, "remove");
    assert_eq!(disk.after_crash(CrashOutcome::ProcessOnly).operations(), 0);
}

#[test]
fn a_fault_strikes_the_operation_that_it_was_set_for_and_leaves_nothing_behind() {
    for (nth_op, kind) in
        [ErrorKind::PermissionDenied, ErrorKind::StorageFull, ErrorKind::Other].iter().enumerate()
    {
        let disk = disk_with_dir();
        let start = disk.operations();
        disk.fail_at(start + nth_op as u64, Fault::once(*kind));
        let created = disk.create(&at("f"));
        if nth_op == 0 {
            assert_kind(created, *kind);
            assert!(names(&disk).is_empty());
            continue;
        }
        let file = created.unwrap();
        for turn in 1..4 {
            let appended = file.append(b"x");
            if turn == nth_op { assert_kind(appended, *kind) } else { appended.unwrap() }
        }
        assert_eq!(disk.read_file(at("f")).unwrap(), b"xx");
    }
}

#[test]
fn a_sticky_fault_lasts_until_it_is_healed_and_spares_reads() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"bytes");
    disk.fail_at(disk.operations() + 1, Fault::sticky(ErrorKind::StorageFull));
    file.append(b"1").unwrap();
    for _ in 0..3 {
        assert_kind(file.append(b"2"), ErrorKind::StorageFull);
        assert_kind(disk.remove(&at("f")), ErrorKind::StorageFull);
        assert_kind(disk.create(&at("g")), ErrorKind::StorageFull);
    }
    assert_eq!(file.len().unwrap(), 6);
    assert_eq!(disk.list(Path::new("/db")).unwrap(), ["f"]);
    disk.heal();
    file.append(b"3").unwrap();
    assert_eq!(disk.read_file(at("f")).unwrap(), b"bytes13");
}

#[test]
fn a_partial_fault_writes_a_prefix() {
    let mut lengths = BTreeSet::new();
    for turn in 0..64 {
        let disk = disk_with_dir();
        let file = durable_file(&disk, "f", b"");
        (0..turn).for_each(|_| file.sync().unwrap());
        disk.fail_at(disk.operations(), Fault { partial: true, ..Fault::once(ErrorKind::Other) });
        assert_kind(file.append(b"0123456789"), ErrorKind::Other);
        let bytes = disk.read_file(at("f")).unwrap();
        assert!(bytes.len() < 10 && b"0123456789".starts_with(&bytes));
        lengths.insert(bytes.len());
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let disk = disk_with_dir();
    let big = durable_file(&disk, "big", &[1; 1000]);
    let file = durable_file(&disk, "f", b"");
    disk.set_capacity(1010);
    file.append(b"12345678").unwrap();
    assert_kind(file.append(b"9abc"), ErrorKind::StorageFull);
    assert_kind(file.append(b"d"), ErrorKind::StorageFull);
    assert_eq!(disk.read_file(at("f")).unwrap(), b"123456789a");
    assert_eq!(big.len().unwrap(), 1000);
    file.sync().unwrap();

    disk.remove(&at("big")).unwrap();
    file.append(b"bcd").unwrap();
    disk.set_capacity(13);
    assert_kind(file.append(b"e"), ErrorKind::StorageFull);
    disk.heal();
    file.append(&[0; 5000]).unwrap();
}

#[test]
fn reads_fail_when_told_to_and_writes_go_on() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"bytes");
    disk.fail_reads(true);
    assert_kind(file.read_at(0, &mut [0]), ErrorKind::Other);
    assert_kind(disk.open(&at("f")), ErrorKind::Other);
    assert_kind(disk.list(Path::new("/db")), ErrorKind::Other);
    file.append(b"!").unwrap();
    disk.fail_reads(false);
    assert_eq!(file.read_at(5, &mut [0]).unwrap(), 1);
    disk.fail_reads(true);
    disk.heal();
    disk.open(&at("f")).unwrap();
}

#[test]
fn the_read_that_a_fault_was_set_for_fails_with_the_error_of_its_number() {
    const INPUT_OUTPUT: i32 = 5;
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"bytes");
    let before = disk.reads();
    disk.fail_read_at(before + 1, Fault::of_os(INPUT_OUTPUT));
    file.read_at(0, &mut [0]).unwrap();
    let error = disk.open(&at("f")).err().unwrap();
    assert_eq!(error.io_cause().and_then(io::Error::raw_os_error), Some(INPUT_OUTPUT));
    file.append(b"!").unwrap();
    disk.open(&at("f")).unwrap();
    assert_eq!(disk.reads(), before + 3, "no write is counted");
    disk.fail_read_at(before + 3, Fault::sticky(ErrorKind::PermissionDenied));
    assert_kind(disk.list(Path::new("/db")), ErrorKind::PermissionDenied);
    assert_kind(file.read_at(0, &mut [0]), ErrorKind::PermissionDenied);
    disk.heal();
    file.read_at(0, &mut [0]).unwrap();
}

/// Copies share memory until one of them is written to.
#[test]
fn what_is_written_to_one_of_two_copies_is_not_in_the_other() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", &[1; 3 * PAGE]);
    let others = [disk.deep_copy(), disk.after_crash(CrashOutcome::LoseUnsynced)];
    file.append(b"end").unwrap();
    file.write_at(7, &[2]).unwrap();
    for other in &others {
        assert_eq!(other.read_file(at("f")).unwrap(), [1; 3 * PAGE]);
    }
    let bytes = disk.read_file(at("f")).unwrap();
    assert_eq!((bytes[7], bytes.len()), (2, 3 * PAGE + 3));
}

// Sharing, copying and damage.

#[test]
fn clones_share_the_disk_and_its_locks_and_copies_do_not() {
    let disk = disk_with_dir();
    let _lock = disk.lock(&at("LOCK")).unwrap();
    let (clone, copy) = (disk.clone(), disk.deep_copy());
    assert_eq!(clone.lock(&at("LOCK")).err().map(|error| error.code()), Some(Code::Locked));
    assert_eq!(clone.lock(Path::new("db/../db/LOCK")).err().map(|error| error.code()), Some(Code::Locked));
    drop(copy.lock(&at("LOCK")).unwrap());
    drop(disk.after_crash(CrashOutcome::LoseUnsynced).lock(&at("LOCK")).unwrap());

    durable_file(&disk, "f", b"bytes");
    assert_eq!(clone.read_file(at("f")).unwrap(), b"bytes");
    assert_eq!(copy.read_file(at("f")), None);
}

#[test]
fn a_copy_goes_its_own_way_with_the_same_bytes_unsynced() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"sure ");
    file.append(b"unsure").unwrap();
    let copy = disk.deep_copy();
    file.append(b" here").unwrap();
    copy.write_file(at("g"), b"there");
    assert_eq!(state(&copy), [("f".into(), "sure unsure".into()), ("g".into(), "there".into())]);
    assert_eq!(state(&disk), [("f".into(), "sure unsure here".into())]);
    assert_eq!(copy.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap(), b"sure ");
}

#[test]
fn damage_is_seen_through_open_files_and_is_durable() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"bytes");
    file.append(b"unsynced").unwrap();
    disk.write_file(at("f"), b"BYT");
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"BYT");
    disk.write_file("new/directory/f", b"placed");
    for outcome in power_losses() {
        let found = disk.after_crash(outcome);
        assert_eq!(found.read_file(at("f")).unwrap(), b"BYT");
        assert_eq!(found.read_file("/new/directory/f").unwrap(), b"placed");
    }
    assert_eq!(disk.read_file(at("missing")), None);
    assert_eq!(disk.read_file("/db"), None);
}

#[test]
fn an_in_memory_disk_keeps_no_account_and_frees_removed_files() {
    let disk = SimFs::in_memory();
    disk.create_dir_all(Path::new("/db")).unwrap();
    let file = disk.create(&at("f")).unwrap();
    file.append(b"bytes").unwrap();
    let node = Arc::downgrade(disk.0.tree.lock().file(&at("f")).unwrap());
    for outcome in power_losses().chain([CrashOutcome::ProcessOnly]) {
        assert_eq!(disk.after_crash(outcome).read_file(at("f")).unwrap(), b"bytes");
    }
    disk.remove(&at("f")).unwrap();
    assert!(node.upgrade().is_some(), "the open file needs it");
    drop(file);
    assert!(node.upgrade().is_none());
    assert!(!disk.0.tree.lock().has_pending());
}

#[test]
fn a_removed_file_is_freed_when_its_directory_is_synced() {
    let disk = disk_with_dir();
    durable_file(&disk, "f", b"bytes");
    let node = Arc::downgrade(disk.0.tree.lock().file(&at("f")).unwrap());
    disk.remove(&at("f")).unwrap();
    assert!(node.upgrade().is_some(), "a power loss could bring it back");
    disk.sync_dir(Path::new("/db")).unwrap();
    assert!(node.upgrade().is_none());
    assert!(!disk.0.tree.lock().has_pending());
}

// A randomised run against a plain model.

/// What the model knows of one file: its text, how much of it is synced, and whether its name is.
#[derive(Clone, Default)]
struct Modelled {
    bytes: Vec<u8>,
    synced: usize,
    name_synced: bool,
}

#[test]
fn random_runs_never_lose_what_is_synced_nor_show_what_was_never_written() {
    let seed = seed();
    for run in 0..200 {
        let mut random = Random::new(seed.wrapping_add(run));
        let disk = disk_with_dir();
        let mut files: Vec<(Arc<dyn File>, Modelled)> = Vec::new();
        for step in 0..random.below(60) {
            let chosen = random.below(files.len() as u64) as usize;
            match (random.below(8), files.get_mut(chosen)) {
                (0, _) | (_, None) => {
                    let file = disk.create(&at(&step.to_string())).unwrap();
                    files.push((file, Modelled::default()));
                }
                (1, _) => {
                    disk.sync_dir(Path::new("/db")).unwrap();
                    files.iter_mut().for_each(|(_, model)| model.name_synced = true);
                }
                (2 | 3, Some((file, model))) => {
                    file.sync().unwrap();
                    model.synced = model.bytes.len();
                }
                (_, Some((file, model))) => {
                    let bytes = vec![step as u8 + 1; random.below(10_000) as usize];
                    file.append(&bytes).unwrap();
                    model.bytes.extend_from_slice(&bytes);
                }
            }
        }
        for outcome in [CrashOutcome::LoseUnsynced, CrashOutcome::Random(random.next())] {
            let found = disk.after_crash(outcome);
            for (file, model) in &files {
                let context = format!("run {run}, {outcome:?}, {}", file.path().display());
                match found.read_file(file.path()) {
                    None => assert!(!model.name_synced, "{context}"),
                    Some(bytes) => {
                        assert!(bytes.starts_with(&model.bytes[..model.synced]), "{context}");
                        assert!(bytes.len() <= model.bytes.len(), "{context}");
                        let written = |(found, written): (&u8, &u8)| *found == *written || *found == 0;
                        assert!(bytes.iter().zip(&model.bytes).all(written), "{context}");
                    }
                }
            }
        }
    }
}

// What overwrites other bytes.

#[test]
fn an_overwritten_page_is_old_or_new_and_both_without_a_sync_only() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", &[1; 3 * PAGE]);
    file.write_at(0, &[2; 3 * PAGE]).unwrap();
    let (mut old, mut new, mut mixed) = (false, false, false);
    for outcome in power_losses() {
        let bytes = disk.after_crash(outcome).read_file(at("f")).unwrap();
        assert_eq!(bytes.len(), 3 * PAGE);
        assert!(bytes.iter().all(|byte| [1, 2].contains(byte)), "{outcome:?}");
        let whole: Vec<bool> = bytes.chunks(PAGE).map(|page| page.iter().all(|byte| *byte == 2)).collect();
        old |= bytes.iter().all(|byte| *byte == 1);
        new |= whole.iter().all(|whole| *whole);
        mixed |= whole.contains(&true) && whole.contains(&false);
    }
    assert!(old && new && mixed);
    assert_eq!(disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap(), [1; 3 * PAGE]);
    assert_eq!(disk.after_crash(CrashOutcome::ProcessOnly).read_file(at("f")).unwrap(), [2; 3 * PAGE]);

    file.sync().unwrap();

    for outcome in power_losses() {
        assert_eq!(disk.after_crash(outcome).read_file(at("f")).unwrap(), [2; 3 * PAGE], "{outcome:?}");
    }
}

#[test]
fn of_several_writes_over_one_page_any_may_be_the_last_that_reached_the_disk() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", &[1; PAGE]);
    for number in 2..=4 {
        file.write_at(0, &[number; 100]).unwrap();
    }
    let seen: BTreeSet<u8> =
        power_losses().map(|outcome| disk.after_crash(outcome).read_file(at("f")).unwrap()[0]).collect();
    assert_eq!(seen, BTreeSet::from([1, 2, 3, 4]));
}

#[test]
fn a_failed_sync_leaves_overwritten_bytes_in_doubt_until_they_are_written_again() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", b"old");
    file.write_at(0, b"new").unwrap();
    disk.fail_at(disk.operations(), Fault::once(ErrorKind::Other));
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap(), b"old");

    file.write_at(0, b"NEW").unwrap();
    file.sync().unwrap();

    assert_eq!(disk.after_crash(CrashOutcome::LoseUnsynced).read_file(at("f")).unwrap(), b"NEW");
}

#[test]
fn a_write_over_other_bytes_needs_no_room() {
    let disk = disk_with_dir();
    let file = durable_file(&disk, "f", &[1; 100]);
    disk.set_capacity(100);

    file.write_at(0, &[2; 100]).unwrap();
    assert_kind(file.write_at(50, &[3; 51]), ErrorKind::StorageFull);

    assert_eq!(disk.read_file(at("f")).unwrap().len(), 100);
}
