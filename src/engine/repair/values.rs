//! The value files of a damaged database, and the entries that lead to them.
//!
//! A value file that is whole stays as it is. Of one that is damaged, or in doubt, every value that can still be read is
//! written anew with its entry; an entry whose value is gone is gone too, and only that entry.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arrange::forwards_only;
use super::{ManifestFound, Repair, unless_damaged};
use crate::error::Result;
use crate::iter::InternalIterator;
use crate::key::{EntryRef, Kind, SeqNo};
use crate::sstable::Table;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::value_file::{ValueFile, ValuePointer};
use crate::version::{FileKind, TableMeta, ValueFileMeta, ValueShare, values_path};

/// The value files by their numbers. One that is missing is in neither list.
#[derive(Default)]
pub(super) struct ValueFiles {
    /// With their sizes; those that the repair has written are among them.
    whole: BTreeMap<u64, u64>,
    damaged: BTreeMap<u64, ValueFile>,
}

impl ValueFiles {
    pub(super) fn is_whole(&self, number: u64) -> bool {
        self.whole.contains_key(&number)
    }

    pub(super) fn add_written(&mut self, written: &[ValueFileMeta]) {
        self.whole.extend(written.iter().map(|file| (file.number, file.size)));
    }

    /// The files that `tables` lead to.
    pub(super) fn needed_by(&self, tables: &[(u8, TableMeta)]) -> Vec<ValueFileMeta> {
        let shares = tables.iter().flat_map(|(_, meta)| &meta.values);
        let numbers: BTreeSet<u64> = shares.map(|share| share.file).collect();
        let meta = |number| self.whole.get(&number).map(|&size| ValueFileMeta { number, size });
        numbers.into_iter().filter_map(meta).collect()
    }
}

impl Repair<'_> {
    /// Looks which value files are whole.
    pub(super) fn check_value_files(&mut self) -> Result<()> {
        let live = self.known.live.iter().flat_map(|(_, meta)| meta.values.iter().map(|share| share.file));
        let needed: BTreeSet<u64> = live.collect();
        let is_known = self.report.manifest == ManifestFound::Whole;
        let there: Vec<u64> = self
            .files
            .iter()
            .filter_map(|kind| match *kind {
                FileKind::Values(number) if !is_known || needed.contains(&number) => Some(number),
                _ => None,
            })
            .collect();
        for &number in &there {
            let file = self.fs().open(&values_path(self.dir(), number))?;
            let len = file.len()?;
            let size = self.known.value_sizes.get(&number).copied().unwrap_or(len);
            let opened = ValueFile::open(Arc::clone(&file), number, size);
            let verified = opened.and_then(|values| values.verify());
            if unless_damaged(verified)?.is_some() {
                self.report.value_files_whole += 1;
                self.values.whole.insert(number, size);
            } else {
                self.report.value_files_lost += 1;
                self.values.damaged.insert(number, ValueFile::damaged_with(file, number, len));
                self.is_damaged(FileKind::Values(number));
            }
        }
        if is_known {
            self.report.value_files_lost +=
                needed.iter().filter(|number| !there.contains(number)).count() as u64;
        }
        Ok(())
    }

    /// What the entries of a table have in value files.
    pub(super) fn shares_of(&self, table: &Arc<Table>) -> Result<Vec<ValueShare>> {
        let mut shares: BTreeMap<u64, u64> = BTreeMap::new();
        let mut entries = table.iter_uncached();
        entries.seek_to_first()?;
        while entries.is_valid() {
            let entry = entries.entry();
            if entry.kind == Kind::Separated
                && let Ok(pointer) = ValuePointer::decode(entry.value)
            {
                *shares.entry(pointer.file).or_default() += pointer.record_len;
            }
            entries.next()?;
        }
        Ok(shares.into_iter().map(|(file, bytes)| ValueShare { file, bytes }).collect())
    }
}

/// Entries with the values that have to leave their files; those whose value is gone are left out.
pub(super) struct WithValues<'a, I> {
    entries: I,
    files: &'a ValueFiles,
    /// The value of the current entry, where it was read.
    value: Option<Vec<u8>>,
    lost: &'a AtomicU64,
}

impl<'a, I: InternalIterator> WithValues<'a, I> {
    /// `lost` counts the entries that are left out.
    pub(super) fn new(entries: I, files: &'a ValueFiles, lost: &'a AtomicU64) -> Self {
        Self { entries, files, value: None, lost }
    }

    /// Moves on to the first entry, from the current one on, that has its value.
    fn settle(&mut self) -> Result<()> {
        self.value = None;
        while self.entries.is_valid() {
            let entry = self.entries.entry();
            if entry.kind != Kind::Separated {
                return Ok(());
            }
            if let Ok(pointer) = ValuePointer::decode(entry.value) {
                if self.files.is_whole(pointer.file) {
                    return Ok(());
                }
                self.value = self.read(&pointer)?;
                if self.value.is_some() {
                    return Ok(());
                }
            }
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.entries.next()?;
        }
        Ok(())
    }

    fn read(&self, pointer: &ValuePointer) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.files.damaged.get(&pointer.file) else { return Ok(None) };
        let mut value = Vec::new();
        let read = unless_damaged(file.read(pointer, 0..pointer.value_len, &mut value))?;
        Ok(read.filter(|()| value.len() as u64 == pointer.value_len).map(|()| value))
    }
}

impl<I: InternalIterator> InternalIterator for WithValues<'_, I> {
    fn is_valid(&self) -> bool {
        self.entries.is_valid()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.entries.seek_to_first()?;
        self.settle()
    }

    fn next(&mut self) -> Result<()> {
        self.entries.next()?;
        self.settle()
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
        let entry = self.entries.entry();
        match &self.value {
            Some(value) => EntryRef { kind: Kind::Value, value, ..entry },
            None => entry,
        }
    }
}
