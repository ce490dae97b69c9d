//! Giving tables an order in which the newest entry of every key is met first.
//!
//! Level 0 is read from the table with the highest seqno down. That finds the newest entry of a key if of any two tables
//! with keys in common one is newer in all its entries. Tables of deeper levels mostly are not: a compaction mixes old
//! and new. Where nobody knows the levels any more, tables that would be read in a wrong order are merged.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::sync::Arc;

use super::{ManifestFound, Repair};
use crate::error::{Code, Error, Result};
use crate::iter::{InternalIterator, MergeIterator};
use crate::key::{EntryRef, SEQNO_MAX, SETTLED, SeqNo};
use crate::range_tombstone::{RangeTombstone, RangeTombstones};
use crate::version::{KeySpan, LevelIterator, TableHandle, TableMeta};

impl Repair<'_> {
    /// A level for each table; tables are merged where that is needed.
    pub(super) fn arrange(&mut self, tables: Vec<(u8, TableMeta)>) -> Result<Vec<(u8, TableMeta)>> {
        if self.report.manifest == ManifestFound::Whole && self.is_in_order(&tables)? {
            return Ok(tables);
        }
        let mut arranged = Vec::new();
        for cluster in clusters(tables.into_iter().map(|(_, meta)| meta)) {
            let merged = match <[TableMeta; 1]>::try_from(cluster.tables) {
                Ok([alone]) => vec![alone],
                Err(several) => self.merge(several)?,
            };
            arranged.extend(merged.into_iter().map(|meta| (0, meta)));
        }
        Ok(arranged)
    }

    fn merge(&mut self, mut tables: Vec<TableMeta>) -> Result<Vec<TableMeta>> {
        // Of two entries that have lost their seqnos the one in the later file is the newer.
        tables.sort_by_key(|table| Reverse(table.number));
        let handle = |meta| Arc::new(TableHandle::new(meta, Arc::clone(&self.source)));
        let handles: Vec<Arc<TableHandle>> = tables.into_iter().map(handle).collect();
        let mut tombstones: Vec<RangeTombstone> = Vec::new();
        for table in handles.iter().filter(|table| table.meta().range_tombstones > 0) {
            tombstones.extend(table.open()?.range_tombstones().tombstones());
        }
        let children = runs(handles).into_iter().map(|run| {
            let child: Box<dyn InternalIterator> = Box::new(LevelIterator::new_uncached(run));
            child
        });
        let mut entries = Distinct::new(MergeIterator::new(children.collect()));
        self.write_tables(&mut entries, &RangeTombstones::new(&tombstones))
    }
}

/// Tables dealt into runs of disjoint ones in key order, each table in an earlier run than those behind it in `tables` that
/// it overlaps.
fn runs(tables: Vec<Arc<TableHandle>>) -> Vec<Vec<Arc<TableHandle>>> {
    let mut runs: Vec<Vec<Arc<TableHandle>>> = Vec::new();
    for table in tables {
        let span = table.span();
        let overlaps = |run: &Vec<Arc<TableHandle>>| run.iter().any(|other| other.span().overlaps(&span));
        let at = runs.iter().rposition(overlaps).map_or(0, |last| last + 1);
        match runs.get_mut(at) {
            Some(run) => run.push(table),
            None => runs.push(vec![table]),
        }
    }
    for run in &mut runs {
        run.sort_by(|a, b| a.meta().smallest.cmp(&b.meta().smallest));
    }
    runs
}

/// Tables that have to be one.
struct Cluster {
    tables: Vec<TableMeta>,
    span: KeySpan,
    seqnos: (SeqNo, SeqNo),
}

impl Cluster {
    /// Whether neither of the two is newer in all its entries, and they have keys in common.
    fn is_entangled(&self, other: &Self) -> bool {
        self.span.overlaps(&other.span) && self.seqnos.0 <= other.seqnos.1 && other.seqnos.0 <= self.seqnos.1
    }

    fn absorb(&mut self, other: Self) {
        self.span = self.span.clone().union(&other.span);
        self.seqnos = (self.seqnos.0.min(other.seqnos.0), self.seqnos.1.max(other.seqnos.1));
        self.tables.extend(other.tables);
    }
}

/// Groups tables so that no two groups are entangled.
fn clusters(tables: impl Iterator<Item = TableMeta>) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for meta in tables {
        let TableMeta { smallest, largest, largest_is_exclusive, .. } = meta.clone();
        let span = KeySpan { smallest, largest, largest_is_exclusive };
        // What an entry without its seqno was made from may still be there, and lie in any table.
        let is_settled = meta.seqno_min == SETTLED;
        let seqnos = if is_settled { (SETTLED, SEQNO_MAX) } else { (meta.seqno_min, meta.seqno_max) };
        let mut cluster = Cluster { tables: vec![meta], span, seqnos };
        // What it absorbs makes it larger, so that it may be entangled with further ones.
        while let Some(at) = clusters.iter().position(|other| other.is_entangled(&cluster)) {
            cluster.absorb(clusters.swap_remove(at));
        }
        clusters.push(cluster);
    }
    clusters
}

/// Leaves out an entry that is there twice: after a repair that was cut short, beside the log that it came from, or beside
/// the one that was written anew without its seqno.
pub(super) struct Distinct<I> {
    entries: I,
    last: Vec<u8>,
}

impl<I: InternalIterator> Distinct<I> {
    pub(super) fn new(entries: I) -> Self {
        Self { entries, last: Vec::new() }
    }
}

impl<I: InternalIterator> InternalIterator for Distinct<I> {
    fn is_valid(&self) -> bool {
        self.entries.is_valid()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.entries.seek_to_first()
    }

    fn next(&mut self) -> Result<()> {
        let before = self.entries.entry();
        let seqno = before.seqno;
        self.last.clear();
        self.last.extend_from_slice(before.key);
        self.entries.next()?;
        while self.entries.is_valid() {
            let entry = self.entries.entry();
            if entry.key != self.last || (entry.seqno != seqno && entry.seqno != SETTLED) {
                break;
            }
            self.entries.next()?;
        }
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        Err(forwards_only())
    }

    fn seek(&mut self, _: &[u8], _: SeqNo) -> Result<()> {
        Err(forwards_only())
    }

    fn seek_before(&mut self, _: &[u8]) -> Result<()> {
        Err(forwards_only())
    }

    fn prev(&mut self) -> Result<()> {
        Err(forwards_only())
    }

    fn entry(&self) -> EntryRef<'_> {
        self.entries.entry()
    }
}

pub(super) fn forwards_only() -> Error {
    Error::new(Code::Internal, "a repair reads forwards only: this is a defect of FlowDB")
}
