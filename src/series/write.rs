//! Changing records: any number of changes, to any series of a database, become one commit.
//!
//! A change of what is there (a patch) has to see the last write of its record and no other may come between. So
//! each row stands for one of a few locks: who only writes it holds the lock shared with other writers, who
//! changes it holds it alone, from the reading until the commit is done. The locks are taken in one order.
//!
//! Invariant: a change that fails leaves nothing in the batch; the others go on.

use std::collections::{BTreeMap, HashMap};

use super::catalog::{STRIPES, stripe_of};
use super::record::{expiry_from_ms, expiry_to_ms};
use super::rows::record_row;
use super::{Patch, Record, Series};
use crate::engine::{CommitOptions, WriteBatch};
use crate::error::Result;
use crate::sync::{RwLockReadGuard, RwLockWriteGuard};

/// What a patch is made of: it is shown the record, and gives what is to change, or `None` for nothing.
pub(crate) type MakePatch<'a> = Box<dyn FnOnce(&Record) -> Result<Option<Patch>> + 'a>;

/// One change, of one series.
pub(crate) enum Change<'a> {
    /// Writes records, all or none. Those without an expiry get that of the series.
    Put(Vec<Record>),
    /// Deletes records by key and time, whether they are there or not.
    Delete(Vec<(Vec<u8>, i64)>),
    /// Deletes the rows from the first (inclusive) to the second (exclusive).
    DeleteRows(Vec<(Vec<u8>, Vec<u8>)>),
    /// Changes a record by what it holds.
    Patch { key: Vec<u8>, ts: i64, make: MakePatch<'a> },
}

/// Commits `changes` in their order, with one sync. Each succeeds or fails for itself until the commit, which all share.
/// A patch says whether it found its record; everything else says true.
pub(crate) fn commit(changes: Vec<(&Series, Change<'_>)>) -> Vec<Result<bool>> {
    let Some((first, _)) = changes.first() else { return Vec::new() };
    let (engine, ledger) = (first.engine.clone(), first.ledger.clone());
    let prepared: Vec<(&Series, Result<Prepared<'_>>)> =
        changes.into_iter().map(|(series, change)| (series, prepare(series, change))).collect();
    // The catalog first, then the stripes in ascending order: whoever waits for a lock holds only lower ones.
    let _catalog = ledger.hold();
    let stripes = stripes_of(prepared.iter().filter_map(|(_, prepared)| prepared.as_ref().ok()));
    let _guards: Vec<Guard<'_>> = stripes
        .into_iter()
        .map(|(stripe, alone)| {
            let lock = &ledger.stripes[stripe];
            if alone { Guard::Alone(lock.write()) } else { Guard::Shared(lock.read()) }
        })
        .collect();
    let patches = prepared.iter().any(|(_, prepared)| matches!(prepared, Ok(Prepared::Patch { .. })));
    let mut group = Group { batch: WriteBatch::new(), earlier: patches.then(Earlier::default) };
    let mut results: Vec<Result<bool>> = prepared
        .into_iter()
        .map(|(series, prepared)| {
            let prepared = prepared?;
            series.definition.check_there()?;
            group.add(series, prepared)
        })
        .collect();
    if let Err(error) = engine.commit(group.batch, CommitOptions::default()) {
        results.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(error.clone()));
    }
    results
}

/// Held for its drop only.
enum Guard<'a> {
    Shared(#[expect(dead_code, reason = "a guard is held for its drop")] RwLockReadGuard<'a, ()>),
    Alone(#[expect(dead_code, reason = "a guard is held for its drop")] RwLockWriteGuard<'a, ()>),
}

/// A change whose arguments have been checked, as rows.
enum Prepared<'a> {
    Write { batch: WriteBatch, rows: Vec<Vec<u8>>, ranges: Vec<(Vec<u8>, Vec<u8>)> },
    Patch { row: Vec<u8>, key: Vec<u8>, ts: i64, make: MakePatch<'a> },
}

fn prepare<'a>(series: &Series, change: Change<'a>) -> Result<Prepared<'a>> {
    let id = series.definition.id;
    let (mut batch, mut rows) = (WriteBatch::new(), Vec::new());
    match change {
        Change::Put(records) => {
            for record in records {
                let row = record_row(id, &record.key, record.ts)?;
                let expires_at = series.expires_at_ms(&record);
                batch.put_expiring(&row, &record.value, expires_at)?;
                rows.push(row);
            }
        }
        Change::Delete(records) => {
            for (key, ts) in records {
                let row = record_row(id, &key, ts)?;
                batch.delete(&row)?;
                rows.push(row);
            }
        }
        Change::DeleteRows(ranges) => {
            for (start, end) in &ranges {
                batch.delete_range(start, end)?;
            }
            return Ok(Prepared::Write { batch, rows, ranges });
        }
        Change::Patch { key, ts, make } => {
            return Ok(Prepared::Patch { row: record_row(id, &key, ts)?, key, ts, make });
        }
    }
    Ok(Prepared::Write { batch, rows, ranges: Vec::new() })
}

/// The stripes that the changes need, and whether alone.
fn stripes_of<'a>(changes: impl Iterator<Item = &'a Prepared<'a>>) -> BTreeMap<usize, bool> {
    let mut stripes = BTreeMap::new();
    for change in changes {
        match change {
            Prepared::Write { rows, ranges, .. } => {
                if !ranges.is_empty() {
                    (0..STRIPES).for_each(|stripe| _ = stripes.entry(stripe).or_insert(false));
                }
                rows.iter().for_each(|row| _ = stripes.entry(stripe_of(row)).or_insert(false));
            }
            Prepared::Patch { row, .. } => _ = stripes.insert(stripe_of(row), true),
        }
    }
    stripes
}

/// What will be committed.
struct Group {
    batch: WriteBatch,
    /// Kept where there are patches, which see the changes before them.
    earlier: Option<Earlier>,
}

/// What the changes of the group have done so far.
#[derive(Default)]
struct Earlier {
    /// Value and expiry of a row, or `None` for one that was deleted.
    rows: HashMap<Vec<u8>, Option<(Vec<u8>, u64)>>,
    /// Deleted before everything in `rows`.
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Group {
    fn add(&mut self, series: &Series, change: Prepared<'_>) -> Result<bool> {
        match change {
            Prepared::Write { batch, rows: _, ranges } => {
                self.batch.append(&batch)?;
                if let Some(earlier) = &mut self.earlier {
                    earlier.note(&batch, ranges);
                }
                Ok(true)
            }
            Prepared::Patch { row, key, ts, make } => self.patch(series, row, key, ts, make),
        }
    }

    fn patch(
        &mut self,
        series: &Series,
        row: Vec<u8>,
        key: Vec<u8>,
        ts: i64,
        make: MakePatch<'_>,
    ) -> Result<bool> {
        let Some((value, expires_at)) = self.read(series, &row)? else { return Ok(false) };
        let record = Record { key, ts, expire_at: expiry_from_ms(expires_at), value };
        let Some(patch) = make(&record)? else { return Ok(true) };
        let value = patch.value.unwrap_or(record.value);
        let expires_at = patch.expire_at.map_or(expires_at, expiry_to_ms);
        self.batch.put_expiring(&row, &value, expires_at)?;
        if let Some(earlier) = &mut self.earlier {
            earlier.rows.insert(row, Some((value, expires_at)));
        }
        Ok(true)
    }

    /// The row as the changes so far have left it.
    fn read(&self, series: &Series, row: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
        if let Some(earlier) = &self.earlier {
            if let Some(written) = earlier.rows.get(row) {
                let now = series.engine.now_ms();
                return Ok(written.clone().filter(|(_, expires_at)| *expires_at == 0 || *expires_at > now));
            }
            if earlier.ranges.iter().any(|(start, end)| start.as_slice() <= row && row < end.as_slice()) {
                return Ok(None);
            }
        }
        Ok(series.engine.get(row, None)?.map(|value| (value.bytes, value.expires_at)))
    }
}

impl Earlier {
    fn note(&mut self, batch: &WriteBatch, ranges: Vec<(Vec<u8>, Vec<u8>)>) {
        for (start, end) in ranges {
            self.rows.retain(|row, _| *row < start || *row >= end);
            self.ranges.push((start, end));
        }
        for (row, put) in batch.points() {
            self.rows.insert(row.to_vec(), put.map(|(value, expires_at)| (value.to_vec(), expires_at)));
        }
    }
}
