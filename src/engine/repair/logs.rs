//! The logs of a damaged database: every whole record of those that count goes into tables.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arrange::Distinct;
use super::{ManifestFound, Repair};
use crate::engine::batch::decode;
use crate::engine::commit::apply;
use crate::error::Result;
use crate::key::SeqNo;
use crate::memtable::Memtable;
use crate::version::{FileKind, TableMeta, log_path};
use crate::wal::{LogKind, LogSalvage};

impl Repair<'_> {
    /// Writes what the logs hold to tables.
    pub(super) fn save_logs(&mut self) -> Result<Vec<TableMeta>> {
        let logs = self.logs();
        let (ends, beginnings) = self.bounds_of(&logs)?;
        let mut memtable = Arc::new(Memtable::new());
        let mut tables = Vec::new();
        for number in logs {
            let path = log_path(self.dir(), number);
            let end = ends.get(&number).copied();
            let given_again = beginnings.range(number + 1..).map(|(_, &first)| first).min();
            let mut log = LogSalvage::open(self.fs(), &path, LogKind::Wal, number, end)?;
            let mut refused_bytes = 0;
            let mut records = 0;
            while let Some(record) = log.next()? {
                (self.go_on)()?;
                let is_superseded =
                    given_again.is_some_and(|seqno| record.first_seqno + record.entry_count > seqno);
                if is_superseded {
                    continue;
                }
                let entries = decode(record.body, record.first_seqno);
                // Looked at first, so that a batch is taken whole or not at all.
                let count = entries.take_while(Option::is_some).count() as u64;
                if count != record.entry_count {
                    refused_bytes += record.body.len() as u64;
                    continue;
                }
                apply(&memtable, record.body, record.first_seqno);
                records += 1;
                if memtable.size_bytes() >= self.config.memtable_size_bytes {
                    let full = std::mem::replace(&mut memtable, Arc::new(Memtable::new()));
                    tables.extend(self.write_memtable(&full)?);
                }
            }
            self.report.logs += 1;
            self.report.log_records_saved += records;
            let lost_bytes = log.lost_bytes + refused_bytes;
            self.report.log_bytes_lost += lost_bytes;
            if lost_bytes > 0 {
                self.is_damaged(FileKind::Log(number));
            }
        }
        tables.extend(self.write_memtable(&memtable)?);
        Ok(tables)
    }

    /// The logs that may hold something that is not in tables, oldest first.
    fn logs(&self) -> Vec<u64> {
        let numbers = self.files.iter().filter_map(|kind| match *kind {
            FileKind::Log(number) => Some(number),
            _ => None,
        });
        let mut logs: Vec<u64> = numbers.filter(|&number| number >= self.known.log_number).collect();
        logs.sort_unstable();
        logs
    }

    /// Where the logs end, as far as their successors or the manifest say, and with which seqno they begin. What lies
    /// behind an end was never acknowledged, and its seqnos were given out again: that is how it is known, too, where
    /// the successor has lost its header. (Where that has lost its first records as well, what lies between may be either,
    /// and is kept: rather one batch too many than an acknowledged one less.) Counts the logs that are needed and not
    /// there, if the manifest tells.
    fn bounds_of(&mut self, logs: &[u64]) -> Result<(BTreeMap<u64, u64>, BTreeMap<u64, SeqNo>)> {
        let (mut ends, mut beginnings) = (BTreeMap::new(), BTreeMap::new());
        for &number in logs {
            let path = log_path(self.dir(), number);
            let mut log = LogSalvage::open(self.fs(), &path, LogKind::Wal, number, None)?;
            let first_seqno = match log.header {
                Some(header) => Some(header.first_seqno),
                None => log.next()?.map(|record| record.first_seqno),
            };
            beginnings.extend(first_seqno.map(|first| (number, first)));
            if let Some(previous) = log.header.and_then(|header| header.previous) {
                ends.insert(previous.number, previous.end_offset);
            }
        }
        if let Some(end) = self.known.clean_end {
            ends.insert(end.log_number, end.end_offset);
        }
        if self.report.manifest == ManifestFound::Whole {
            let first = self.known.log_number;
            let mut named: BTreeSet<u64> = ends.keys().copied().filter(|&number| number >= first).collect();
            named.extend((1..self.known.next_file_number).contains(&first).then_some(first));
            self.report.logs_lost = named.iter().filter(|number| !logs.contains(number)).count() as u64;
        }
        Ok((ends, beginnings))
    }

    fn write_memtable(&mut self, memtable: &Arc<Memtable>) -> Result<Vec<TableMeta>> {
        let tombstones = memtable.range_tombstones();
        let mut entries = Distinct::new(memtable.iter());
        self.write_tables(&mut entries, &tombstones)
    }
}
