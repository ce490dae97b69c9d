//! Doing what is asked of keyspaces, on a worker thread or in the call.
//!
//! Batches that follow each other become one commit, as single writes of documents do. Each is checked before anything of
//! it is added, so that one that fails leaves nothing there.
#![forbid(unsafe_code)]

use crate::config::SyncMode;
use crate::engine::{CommitOptions, Direction, Engine, GoOn, Snapshot, TryGet};
use crate::error::{Code, Error, Result};
use crate::jsondb::JsonDb;
use crate::keyspace::{Batch, Clearing, KEYSPACE_KEY_BYTES_MAX, Keyspace, Keyspaces};

use super::database::Database;
use super::execute::{Snapshots, guarded};
use super::keyspace_packing::{
    Change, KeyspaceAnswer, KeyspaceVerb, RowsPacker, Seen, ValuesPacker, pack_flags,
};
use super::packing::{Answer, Answers, Operation, PageSize, RawRange, Verb};
use super::upkeep;
use super::writes::{GROUP_BYTES_MAX, GROUP_WRITES_MAX, strictest};

/// How many of the first `operations` are batches that may share a commit.
pub(crate) fn group_len(operations: &[Operation<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |(place, operation): &(usize, &Operation<'_>)| match &operation.verb {
        Verb::Keyspace(KeyspaceVerb::Batch { bytes: own, .. }) => {
            bytes += own;
            *place == 0 || bytes <= GROUP_BYTES_MAX
        }
        _ => false,
    };
    operations.iter().enumerate().take(GROUP_WRITES_MAX).take_while(fits).count()
}

/// Commits `group` and answers each of its batches.
pub(crate) fn commit(json: &JsonDb, group: &[Operation<'_>], answers: &mut Answers) {
    let engine = json.engine();
    let all = Keyspaces::new(engine.clone());
    let committed = guarded(|| {
        let prepared = prepare(engine, group, |name| all.open(name).map(Some));
        let Some(Prepared { batch, sync, results }) = prepared else { return Err(mistaken()) };
        let writes = batch.into_writes();
        if !writes.is_empty() {
            engine.commit(writes, CommitOptions { sync, check: None })?;
        }
        Ok(results)
    });
    answer_all(group, committed, answers);
}

/// As [`commit`], where that waits for nobody: says whether it was done. If it was not, nothing has been answered.
pub(crate) fn try_commit(json: &JsonDb, group: &[Operation<'_>], answers: &mut Answers) -> bool {
    let engine = json.engine();
    let all = Keyspaces::new(engine.clone());
    let committed = guarded(|| {
        // A name that has no number yet gets one by a commit of its own, which may have to be waited for, and so may the
        // rows that say which names there are.
        let prepared = prepare(engine, group, |name| match all.try_find(name) {
            TryGet::Found(keyspace) => Ok(Some(keyspace)),
            TryGet::Missing | TryGet::NeedsIo => Ok(None),
        });
        let Some(Prepared { batch, sync, results }) = prepared else { return Ok(None) };
        let writes = batch.into_writes();
        if writes.is_empty() {
            return Ok(Some(results));
        }
        match engine.try_commit(writes, CommitOptions { sync, check: None }) {
            None => Ok(None),
            Some(committed) => committed.map(|_| Some(results)),
        }
    });
    match committed.transpose() {
        None => false,
        Some(committed) => {
            answer_all(group, committed, answers);
            true
        }
    }
}

fn answer_all(group: &[Operation<'_>], committed: Result<Vec<Result<()>>>, answers: &mut Answers) {
    match committed {
        Ok(results) => {
            for (operation, result) in group.iter().zip(results) {
                answers.push(operation.request, result.map(|()| Answer::Nothing));
            }
        }
        Err(error) => {
            for operation in group {
                answers.push(operation.request, Err(error.clone()));
            }
        }
    }
}

/// What a group comes to, before it is committed.
struct Prepared {
    batch: Batch,
    sync: Option<SyncMode>,
    /// For each operation whether it is in the batch.
    results: Vec<Result<()>>,
}

/// Puts a group into one batch. `None` where a keyspace is not found.
fn prepare(
    engine: &Engine,
    group: &[Operation<'_>],
    find: impl Fn(&str) -> Result<Option<Keyspace>>,
) -> Option<Prepared> {
    let mut batch = Batch::new(engine);
    let mut results = Vec::with_capacity(group.len());
    let mut modes = Vec::new();
    for operation in group {
        let Verb::Keyspace(KeyspaceVerb::Batch { name, sync, changes, .. }) = &operation.verb else {
            return None;
        };
        let added = match check(changes).and_then(|()| find(name)) {
            Ok(None) => return None,
            Ok(Some(keyspace)) => add(&mut batch, &keyspace, changes),
            Err(error) => Err(error),
        };
        if added.is_ok() {
            modes.push(*sync);
        } else if group.len() == 1 {
            // Too much for a batch, which only one that is alone can be: a part of it may have been added.
            batch = Batch::new(engine);
        }
        results.push(added);
    }
    Some(Prepared { batch, sync: strictest(engine, modes), results })
}

/// What could make a change fail after others have been added, but for the size of them all, which is below what a batch
/// takes where there is more than one operation. The bounds of a range may have any length.
fn check(changes: &[Change<'_>]) -> Result<()> {
    changes.iter().try_for_each(|change| match change {
        Change::Delete(key) | Change::Put { key, .. } => check_key(key),
        Change::Clear(_) => Ok(()),
    })
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > KEYSPACE_KEY_BYTES_MAX {
        let message = format!("a key of {} bytes: the most is {KEYSPACE_KEY_BYTES_MAX}", key.len());
        return Err(Error::new(Code::InvalidKey, message));
    }
    Ok(())
}

fn add(batch: &mut Batch, keyspace: &Keyspace, changes: &[Change<'_>]) -> Result<()> {
    changes.iter().try_for_each(|change| match *change {
        Change::Delete(key) => batch.delete(keyspace, key),
        Change::Put { key, value, expires_at_ms } => batch.put(keyspace, key, value, expires_at_ms),
        Change::Clear(ref range) => batch.delete_range(keyspace, range.bounds()),
    })
}

/// Does everything else that is asked of keyspaces.
pub(crate) fn execute(
    database: &Database,
    verb: &KeyspaceVerb<'_>,
    snapshots: &mut Snapshots,
) -> Result<Answer> {
    let json = database.json()?;
    let all = Keyspaces::new(json.engine().clone());
    let mut reading = |seen: &Seen<'_>| -> Result<Option<(Keyspace, Snapshot)>> {
        let snapshot = match seen.snapshot {
            0 => snapshots.records(&json).clone(),
            number => database.snapshot(number)?,
        };
        Ok(all.find(seen.name)?.map(|keyspace| (keyspace, snapshot)))
    };
    match verb {
        KeyspaceVerb::Get(seen, key) => {
            let Some((keyspace, snapshot)) = reading(seen)? else { return Ok(Answer::Nothing) };
            let found =
                keyspace.get_with(key, Some(&snapshot), |value| KeyspaceAnswer::value(value.bytes))?;
            Ok(found.map_or(Answer::Nothing, Answer::Keyspace))
        }
        KeyspaceVerb::GetMany(seen, keys) => get_many(reading(seen)?.as_ref(), keys),
        KeyspaceVerb::HasMany(seen, keys) => has_many(reading(seen)?.as_ref(), keys),
        KeyspaceVerb::Expiry(seen, key) => {
            let Some((keyspace, snapshot)) = reading(seen)? else { return Ok(Answer::Nothing) };
            let found = keyspace.get_with(key, Some(&snapshot), |value| value.expires_at)?;
            Ok(found.map_or(Answer::Nothing, Answer::Count))
        }
        KeyspaceVerb::Page { seen, range, reverse, wants, size } => {
            page(reading(seen)?, range, *reverse, RowsPacker::new(*wants, *size))
        }
        KeyspaceVerb::Batch { .. } => Err(mistaken()),
        KeyspaceVerb::Clear { seen, sync, range, reverse, limit } => {
            let Some((keyspace, snapshot)) = reading(seen)? else { return Ok(Answer::Nothing) };
            let clearing = Clearing { bounds: range.bounds(), direction: direction(*reverse), limit: *limit };
            let sync = strictest(json.engine(), [*sync]);
            keyspace.clear_while(&clearing, &snapshot, sync, &|| database.check_wanted())?;
            Ok(Answer::Nothing)
        }
        KeyspaceVerb::TakeSnapshot(number) => {
            database.keep_snapshot(*number, || snapshots.records(&json).clone());
            Ok(Answer::Nothing)
        }
        KeyspaceVerb::Compact(name, range) => compact(&all, name, range, &|| database.check_wanted()),
        KeyspaceVerb::ApproximateSize(name, range) => {
            let found = all.find(name)?;
            found.map_or(Ok(0), |keyspace| keyspace.approximate_size(range.bounds())).map(Answer::Count)
        }
        KeyspaceVerb::Stats => Ok(Answer::Text(upkeep::stats(&json.engine().stats(), &[]))),
    }
}

fn compact(all: &Keyspaces, name: &str, range: &RawRange<'_>, go_on: GoOn<'_>) -> Result<Answer> {
    if let Some(keyspace) = all.find(name)? {
        keyspace.compact_range_while(range.bounds(), go_on)?;
    }
    Ok(Answer::Nothing)
}

fn get_many(reading: Option<&(Keyspace, Snapshot)>, keys: &[&[u8]]) -> Result<Answer> {
    let mut values = ValuesPacker::new(keys.len());
    for key in keys {
        let found = match reading {
            Some((keyspace, snapshot)) => {
                keyspace.get_with(key, Some(snapshot), |value| values.add(value.bytes))?
            }
            None => None,
        };
        match found {
            Some(added) => added?,
            None => values.add_none(),
        }
    }
    Ok(Answer::Keyspace(values.end()))
}

fn has_many(reading: Option<&(Keyspace, Snapshot)>, keys: &[&[u8]]) -> Result<Answer> {
    let has = |key: &&[u8]| match reading {
        Some((keyspace, snapshot)) => {
            keyspace.get_with(key, Some(snapshot), |_| ()).map(|found| found.is_some())
        }
        None => Ok(false),
    };
    let flags = keys.iter().map(has).collect::<Result<Vec<_>>>()?;
    Ok(Answer::Keyspace(pack_flags(&flags)))
}

fn direction(reverse: bool) -> Direction {
    if reverse { Direction::Reverse } else { Direction::Forward }
}

/// A page may end before its range does; then more may follow, though perhaps nothing does.
fn page(
    reading: Option<(Keyspace, Snapshot)>,
    range: &RawRange<'_>,
    reverse: bool,
    mut page: RowsPacker,
) -> Result<Answer> {
    let Some((keyspace, snapshot)) = reading else { return Ok(Answer::Keyspace(page.end(false))) };
    let mut rows = keyspace.scan(range.bounds(), direction(reverse), Some(&snapshot))?;
    while !page.is_full() {
        if !rows.advance()? {
            return Ok(Answer::Keyspace(page.end(false)));
        }
        page.add(&rows.row());
    }
    Ok(Answer::Keyspace(page.end(true)))
}

/// Makes the verb one that is soon done in the call; false for one that is not tried.
pub(super) fn prepare_for_call(verb: &mut KeyspaceVerb<'_>, cut: impl FnOnce(PageSize) -> PageSize) -> bool {
    match verb {
        KeyspaceVerb::Page { size, .. } => {
            *size = cut(*size);
            true
        }
        KeyspaceVerb::Get(..)
        | KeyspaceVerb::GetMany(..)
        | KeyspaceVerb::HasMany(..)
        | KeyspaceVerb::Expiry(..)
        | KeyspaceVerb::Stats => true,
        _ => false,
    }
}

fn mistaken() -> Error {
    Error::new(Code::Internal, "an operation on a keyspace was taken for another: this is a defect of FlowDB")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::packing::read_run;
    use super::*;
    use crate::config::Config;
    use crate::fs::SimFs;

    fn put(request: u32, name: &str, key: &[u8]) -> Vec<u8> {
        let mut run = vec![105];
        run.extend(request.to_le_bytes());
        run.extend([0; 4]);
        super::super::packing::put_bytes(&mut run, name.as_bytes());
        run.push(0);
        run.extend(1u32.to_le_bytes());
        run.push(1);
        super::super::packing::put_bytes(&mut run, key);
        super::super::packing::put_bytes(&mut run, b"value");
        run
    }

    fn kinds(answers: &mut Answers) -> Vec<u8> {
        let packed = answers.take();
        let mut packed = &packed[..];
        let mut kinds = Vec::new();
        while let Some((header, rest)) = packed.split_first_chunk::<9>() {
            let length = u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize;
            kinds.push(header[4]);
            packed = &rest[length..];
        }
        kinds
    }

    fn database() -> JsonDb {
        let config = Config { auto_background: false, ..Config::new("/db") };
        JsonDb::open_on(config, Arc::new(SimFs::new())).unwrap()
    }

    #[test]
    fn batches_that_follow_each_other_share_one_sync_and_each_fails_alone() {
        let json = database();
        let too_long = vec![0; KEYSPACE_KEY_BYTES_MAX + 1];
        let key = |request: u32| if request == 7 { too_long.clone() } else { vec![request as u8] };
        let run: Vec<u8> = (1..=50).flat_map(|request| put(request, "", &key(request))).collect();
        let group = read_run(&run).unwrap();
        assert_eq!(group_len(&group), 50);
        let before = json.engine().stats().syncs;
        let mut answers = Answers::default();

        commit(&json, &group, &mut answers);

        assert_eq!(json.engine().stats().syncs - before, 1);
        let expected: Vec<u8> = (1..=50).map(|request| if request == 7 { 7 } else { 0 }).collect();
        assert_eq!(kinds(&mut answers), expected);
        let keyspace = Keyspaces::new(json.engine().clone()).find("").unwrap().unwrap();
        assert!(keyspace.get_with(&[50], None, |_| ()).unwrap().is_some());
        assert!(keyspace.get_with(&too_long, None, |_| ()).unwrap().is_none());
    }

    /// What fails behind others in a batch is known only when they have been added.
    #[test]
    fn a_batch_that_is_alone_and_fails_in_the_middle_leaves_nothing_there() {
        let json = database();
        // Pages that nobody touches: it is too long for a value, and is never read.
        let too_much = vec![0; crate::engine::VALUE_BYTES_MAX + 1];
        let changes = vec![
            Change::Put { key: b"first", value: b"value", expires_at_ms: None },
            Change::Put { key: b"second", value: &too_much, expires_at_ms: None },
        ];
        let verb = Verb::Keyspace(KeyspaceVerb::Batch { name: "", sync: None, changes, bytes: 0 });
        let group = [Operation { request: 1, transaction: 0, verb }];
        let mut answers = Answers::default();

        for is_tried in [true, false] {
            if is_tried {
                assert!(try_commit(&json, &group, &mut answers));
            } else {
                commit(&json, &group, &mut answers);
            }
            assert_eq!(kinds(&mut answers), [7]);
        }

        let keyspace = Keyspaces::new(json.engine().clone()).find("").unwrap().unwrap();
        assert!(keyspace.get_with(b"first", None, |_| ()).unwrap().is_none());
    }

    /// A database with the keyspace `k`, whose catalog nobody has read.
    fn with_unread_catalog() -> JsonDb {
        let json = database();
        let mut rows = crate::engine::WriteBatch::new();
        for (row, value) in [(&b"\x08"[..], &[1, 2][..]), (b"\x08k", &[1]), (b"\x09\x01a", b"v")] {
            rows.put(row, value).unwrap();
        }
        json.engine().commit(rows, CommitOptions::default()).unwrap();
        json
    }

    #[test]
    fn a_keyspace_whose_number_would_have_to_be_read_is_left_to_a_worker() {
        let json = with_unread_catalog();
        let mut run = put(1, "k", b"a");
        run[9 + 4 + 1] = 2;
        let group = read_run(&run).unwrap();
        let mut answers = Answers::default();

        assert!(!try_commit(&json, &group, &mut answers));

        assert_eq!(answers.len(), 0);
        commit(&json, &group, &mut answers);
        assert!(try_commit(&json, &group, &mut answers), "its number is known by now");
        assert_eq!(kinds(&mut answers), [0, 0]);
    }

    #[test]
    fn a_keyspace_without_a_number_and_a_sync_are_left_to_a_worker_and_nothing_is_answered() {
        let json = database();
        let named = put(1, "new", b"k");
        let named = read_run(&named).unwrap();
        let mut answers = Answers::default();
        assert!(!try_commit(&json, &named, &mut answers), "it has no number");
        commit(&json, &named, &mut answers);
        assert_eq!(kinds(&mut answers), [0]);
        assert!(!try_commit(&json, &named, &mut answers), "it asks for a sync");
        assert_eq!(answers.len(), 0);

        let mut relaxed = put(1, "new", b"k");
        relaxed[9 + 4 + 3] = 2;
        assert!(try_commit(&json, &read_run(&relaxed).unwrap(), &mut answers));
        assert_eq!(kinds(&mut answers), [0]);
    }
}
