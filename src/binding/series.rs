//! Doing what is asked of series, on a worker thread.
//!
//! Writes that follow each other become one commit, as those of stores do: `series` lets each fail for itself.
#![forbid(unsafe_code)]

use serde_json::Value;

use crate::engine::Snapshot;
use crate::error::{Code, Error, Result};
use crate::jsondb::{Extracted, Extractor, JsonDb, Key, KeyValue, Wanted, merge_patch};
use crate::series::{
    Aggregate, Change, Patch, Query, Record, Series, SeriesDb, SeriesOptions, TryRecord, Window,
    commit as commit_changes,
};

use super::cursor::Pages;
use super::database::Database;
use super::execute::{Snapshots, guarded};
use super::packing::{Answer, Answers, Operation, PageSize, Verb};
use super::series_packing::{RawQuery, RawRecord, SeriesRef, SeriesVerb};
use super::writes::{GROUP_BYTES_MAX, GROUP_WRITES_MAX};

/// How many of the first `operations` are writes of records that may share a commit.
pub(crate) fn group_len(operations: &[Operation<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |(place, operation): &(usize, &Operation<'_>)| match &operation.verb {
        Verb::Series(verb) if verb.is_grouped() => {
            bytes += verb.size();
            *place == 0 || bytes <= GROUP_BYTES_MAX
        }
        _ => false,
    };
    operations.iter().enumerate().take(GROUP_WRITES_MAX).take_while(fits).count()
}

/// Commits `group` and answers each of its writes.
pub(crate) fn commit(json: &JsonDb, group: &[Operation<'_>], answers: &mut Answers) {
    let results = guarded(|| Ok(attempt(json, group)));
    match results {
        Ok(results) => {
            for (operation, result) in group.iter().zip(results) {
                answers.push(operation.request, result);
            }
        }
        Err(error) => {
            for operation in group {
                answers.push(operation.request, Err(error.clone()));
            }
        }
    }
}

fn attempt(json: &JsonDb, group: &[Operation<'_>]) -> Vec<Result<Answer>> {
    let prepared: Vec<Result<(Series, Change<'_>)>> =
        group.iter().map(|operation| change_of(json, &operation.verb)).collect();
    let changes: Vec<usize> = (0..prepared.len()).filter(|&at| prepared[at].is_ok()).collect();
    let mut results: Vec<Result<Answer>> = Vec::with_capacity(prepared.len());
    let (mut series, mut requests) = (Vec::new(), Vec::new());
    for prepared in prepared {
        results.push(prepared.map(|(of, change)| {
            series.push(of);
            requests.push(change);
            Answer::Nothing
        }));
    }
    let committed = commit_changes(series.iter().zip(requests).collect());
    for (at, committed) in changes.into_iter().zip(committed) {
        let is_patch = matches!(group[at].verb, Verb::Series(SeriesVerb::Patch { .. }));
        results[at] = committed.map(|found| if is_patch { Answer::Flag(found) } else { Answer::Nothing });
    }
    results
}

/// The change that an operation asks for, its arguments checked.
fn change_of<'a>(json: &JsonDb, verb: &'a Verb<'a>) -> Result<(Series, Change<'a>)> {
    let Verb::Series(verb) = verb else { return Err(mistaken()) };
    match verb {
        SeriesVerb::Append(series, records) => {
            let records = records.iter().map(record_of).collect::<Result<_>>()?;
            Ok((find(json, series)?, Change::Put(records)))
        }
        SeriesVerb::Delete(series, key, ts) => {
            Ok((find(json, series)?, Change::Delete(vec![(checked(key)?, *ts)])))
        }
        SeriesVerb::Patch { series, key, ts, expire_at, change } => {
            let make = move |record: &Record| {
                let value = change.map(|change| merge_patch(&record.value, change)).transpose()?;
                Ok(Some(Patch { value, expire_at: *expire_at }))
            };
            let change = Change::Patch { key: checked(key)?, ts: *ts, make: Box::new(make) };
            Ok((find(json, series)?, change))
        }
        _ => Err(mistaken()),
    }
}

fn record_of(record: &RawRecord<'_>) -> Result<Record> {
    let RawRecord { key, ts, expire_at, value } = *record;
    Ok(Record { key: checked(key)?, ts, expire_at, value: value.to_vec() })
}

/// The bytes of an encoded key.
fn checked(key: &[u8]) -> Result<Vec<u8>> {
    Key::from_encoded(key).map(Key::into_bytes)
}

/// Does everything else that is asked of series.
pub(crate) fn execute(
    database: &Database,
    verb: &SeriesVerb<'_>,
    snapshots: &mut Snapshots,
) -> Result<Answer> {
    let json = database.json()?;
    match verb {
        SeriesVerb::Open(series) => open(&json, series).map(|_| Answer::Nothing),
        SeriesVerb::DeleteRange(series, query) => {
            find(&json, series)?.delete_range(&query.decode()?).map(|()| Answer::Nothing)
        }
        SeriesVerb::Get(series, key, ts) => {
            let found = find(&json, series)?.get(checked(key)?, *ts, Some(snapshots.records(&json)))?;
            Ok(found.map_or(Answer::Nothing, Answer::Record))
        }
        SeriesVerb::Latest(series, query) => {
            let query = query.decode()?.reverse().limit(1);
            let latest = find(&json, series)?.scan(&query, Some(snapshots.records(&json)))?.next();
            Ok(latest.transpose()?.map_or(Answer::Nothing, Answer::Record))
        }
        SeriesVerb::Range { cursor, series, query, size } => {
            let reading = Reading::new(find(&json, series)?, query, snapshots.records(&json))?;
            database.read_new_cursor(*cursor, Box::new(Records(reading)), *size)
        }
        SeriesVerb::Windows { cursor, series, query, width, aggregate, path, size } => {
            let reading = Reading::new(find(&json, series)?, query, snapshots.records(&json))?;
            let numbers = Extractor::new(&[Wanted::Value(path.unwrap_or_default())])?;
            let windows = Windows { reading, width: *width, aggregate: *aggregate, numbers };
            database.read_new_cursor(*cursor, Box::new(windows), *size)
        }
        SeriesVerb::Drop { name } => all_of(&json).delete(name).map(|()| Answer::Nothing),
        SeriesVerb::Names => Ok(Answer::Text(Value::from(all_of(&json).names()?).to_string())),
        SeriesVerb::Append(..) | SeriesVerb::Delete(..) | SeriesVerb::Patch { .. } => Err(mistaken()),
    }
}

/// What reading one record gives, or `None` where that can't be told without waiting.
pub(crate) fn try_get(json: &JsonDb, verb: &SeriesVerb<'_>) -> Option<TryRecord> {
    let SeriesVerb::Get(asked, key, ts) = verb else { return None };
    let series = all_of(json).try_open(asked.name)?;
    let is_as_asked = asked.retention.is_none() || asked.retention == series.options().retention_secs;
    if is_as_asked { series.try_get(checked(key).ok()?, *ts).ok() } else { None }
}

fn all_of(json: &JsonDb) -> SeriesDb {
    SeriesDb::new(json.engine().clone())
}

fn open(json: &JsonDb, asked: &SeriesRef<'_>) -> Result<Series> {
    match find(json, asked) {
        Err(error) if error.code() == Code::NotFound => {}
        found => return found,
    }
    match asked.retention {
        None => all_of(json).open_or_create(asked.name),
        retention_secs => {
            let all = all_of(json);
            all.create(asked.name, SeriesOptions { retention_secs, ..all.default_options() })
        }
    }
}

/// The series, if it is as it was asked for.
fn find(json: &JsonDb, asked: &SeriesRef<'_>) -> Result<Series> {
    let series = all_of(json).open(asked.name)?;
    match (asked.retention, series.options().retention_secs) {
        (None, _) => Ok(series),
        (asked, stored) if asked == stored => Ok(series),
        (_, stored) => {
            let stored = stored.map_or("none".to_owned(), |seconds| format!("{seconds} seconds"));
            let message = format!("the series {:?} exists with another retention: {stored}", asked.name);
            Err(Error::new(Code::Exists, message))
        }
    }
}

/// A query that is read page by page. Between pages it holds a snapshot and its place, and nothing of what it reads.
struct Reading {
    series: Series,
    query: Query,
    snapshot: Snapshot,
    after: Option<(Vec<u8>, i64)>,
}

impl Reading {
    fn new(series: Series, query: &RawQuery<'_>, snapshot: &Snapshot) -> Result<Self> {
        Ok(Self { series, query: query.decode()?, snapshot: snapshot.clone(), after: None })
    }

    fn query(&self) -> Query {
        match &self.after {
            Some((key, ts)) => self.query.clone().after(key, *ts),
            None => self.query.clone(),
        }
    }
}

/// A cursor over records.
struct Records(Reading);

impl Pages for Records {
    fn next_page(&mut self, size: PageSize) -> Result<(Answer, bool)> {
        let reading = &mut self.0;
        let mut scan = reading.series.scan(&reading.query(), Some(&reading.snapshot))?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut more = false;
        while scan.advance()? {
            let record = scan.record();
            if !records.is_empty() && (records.len() >= size.rows as usize || bytes >= size.bytes as usize) {
                more = true;
                break;
            }
            bytes += record.key.len() + record.value.len();
            records.push(record.clone());
        }
        if let Some(last) = records.last() {
            reading.after = Some((last.key.clone(), last.ts));
        }
        Ok((Answer::Records(records, more), more))
    }
}

/// A cursor over windows.
struct Windows {
    reading: Reading,
    width: i64,
    aggregate: Aggregate,
    numbers: Extractor,
}

impl Pages for Windows {
    fn next_page(&mut self, size: PageSize) -> Result<(Answer, bool)> {
        let Self { reading, width, aggregate, numbers } = self;
        let number_of = |value: &[u8]| number_in(numbers, value);
        let snapshot = Some(&reading.snapshot);
        let found =
            reading.series.downsample(&reading.query(), Some(*width), *aggregate, number_of, snapshot)?;
        let (mut windows, mut bytes) = (Vec::<Window>::new(), 0);
        let mut more = false;
        for window in found {
            if !windows.is_empty() && (windows.len() >= size.rows as usize || bytes >= size.bytes as usize) {
                more = true;
                break;
            }
            let window = window?;
            bytes += window.key.len() + size_of::<Window>();
            windows.push(window);
        }
        if let Some(last) = windows.last() {
            // On behind the last moment of the window.
            reading.after = Some((last.key.clone(), last.start.saturating_add(*width - 1)));
        }
        Ok((Answer::Windows(windows, more), more))
    }
}

/// The number that stands in a JSON text where the extractor looks.
fn number_in(numbers: &Extractor, json: &[u8]) -> Option<f64> {
    let found = numbers.extract(json).ok()?.pop()?;
    let Extracted::One(key) = found else { return None };
    match key.decode().ok()? {
        KeyValue::Number(number) => Some(number),
        _ => None,
    }
}

fn mistaken() -> Error {
    Error::new(Code::Internal, "an operation on a series was taken for another: this is a defect of FlowDB")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::fs::SimFs;

    fn append(request: u32, key: &'static [u8]) -> Operation<'static> {
        let series = SeriesRef { name: "s", retention: None };
        let record = RawRecord { key, ts: 1, expire_at: None, value: b"1" };
        let verb = Verb::Series(SeriesVerb::Append(series, vec![record]));
        Operation { request, transaction: 0, verb }
    }

    #[test]
    fn writes_that_follow_each_other_share_one_sync_and_each_fails_alone() {
        let config = Config { auto_background: false, ..Config::new("/db") };
        let json = JsonDb::open_on(config, Arc::new(SimFs::new())).unwrap();
        let series = all_of(&json).open_or_create("s").unwrap();
        // Not an encoded key: the write with it is refused.
        let group: Vec<_> =
            (1..=50).map(|request| append(request, if request == 7 { &[0xff] } else { &[0x10] })).collect();
        assert_eq!(group_len(&group), 50);
        let before = json.engine().stats().syncs;
        let mut answers = Answers::default();

        commit(&json, &group, &mut answers);

        assert_eq!(json.engine().stats().syncs - before, 1);
        assert_eq!(series.scan(&Query::all(), None).unwrap().count(), 1);
        let answers = answers.take();
        let kinds: Vec<u8> = answer_kinds(&answers);
        assert_eq!(kinds.iter().filter(|&&kind| kind == 0).count(), 49);
        assert_eq!(kinds[6], 7, "the seventh is an error");
    }

    fn answer_kinds(mut packed: &[u8]) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some((header, rest)) = packed.split_first_chunk::<9>() {
            let length = u32::from_le_bytes([header[5], header[6], header[7], header[8]]) as usize;
            kinds.push(header[4]);
            packed = &rest[length..];
        }
        kinds
    }
}
