//! Where the values of a job's entries go: into its tables, into value files of its own, or nowhere, because they lie
//! in a value file already and stay there.
//!
//! Like tables, the files are synced before the job returns, and the directory after them.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::path::PathBuf;

use super::job::{JobContext, PACE_BYTES};
use crate::error::{Code, Error, Result};
use crate::key::{EntryRef, Kind};
use crate::value_file::{ValueFileWriter, ValuePointer};
use crate::version::{ValueFileMeta, Version, values_path};

/// The value files that a job writes, cut at a size.
pub(super) struct ValueOutputs<'a> {
    context: &'a JobContext<'a>,
    /// Where values that have been separated before lie; a flush has none.
    version: Option<&'a Version>,
    /// The value files that values are moved out of.
    moved: HashSet<u64>,
    writer: Option<(u64, ValueFileWriter)>,
    finished: Vec<ValueFileMeta>,
    written: Vec<PathBuf>,
    relocated_bytes: u64,
    /// What was written since the pace was told of it.
    unpaced_bytes: u64,
}

impl<'a> ValueOutputs<'a> {
    /// For entries that come with their values.
    pub(super) fn new(context: &'a JobContext<'a>) -> Self {
        Self {
            context,
            version: None,
            moved: HashSet::new(),
            writer: None,
            finished: Vec::new(),
            written: Vec::new(),
            relocated_bytes: 0,
            unpaced_bytes: 0,
        }
    }

    /// For entries of `version`, whose values are moved out of the value files `moved`.
    pub(super) fn moving(context: &'a JobContext<'a>, version: &'a Version, moved: HashSet<u64>) -> Self {
        Self { version: Some(version), moved, ..Self::new(context) }
    }

    /// Sees to it that a large value lies in a value file, and returns where; `None` for an entry that keeps its value.
    pub(super) fn place(&mut self, entry: &EntryRef<'_>) -> Result<Option<ValuePointer>> {
        match entry.kind {
            Kind::Value if self.is_large(entry.value) => self.separate(entry.value).map(Some),
            Kind::Separated => {
                let pointer = ValuePointer::decode(entry.value).map_err(|damage| {
                    let key = entry.key.escape_ascii();
                    let message = format!("the pointer to the value of key {key}: {}", damage.0);
                    Error::new(Code::Corruption, message)
                })?;
                if self.moved.contains(&pointer.file) {
                    return self.relocate(&pointer).map(Some);
                }
                Ok(Some(pointer))
            }
            Kind::Value | Kind::Tombstone | Kind::RangeTombstone => Ok(None),
        }
    }

    fn is_large(&self, value: &[u8]) -> bool {
        let threshold = self.context.config.value_threshold_bytes;
        threshold > 0 && value.len() >= threshold
    }

    fn separate(&mut self, value: &[u8]) -> Result<ValuePointer> {
        let pointer = self.writer()?.add(value)?;
        self.placed(pointer)
    }

    fn relocate(&mut self, pointer: &ValuePointer) -> Result<ValuePointer> {
        let no_version = || Error::new(Code::Internal, "a flush met a value that was separated before");
        let version = self.version.ok_or_else(no_version)?;
        let source = version.values().file(pointer.file)?;
        let moved = self.writer()?.copy(source.open()?, pointer)?;
        self.relocated_bytes += moved.record_len;
        self.placed(moved)
    }

    fn placed(&mut self, pointer: ValuePointer) -> Result<ValuePointer> {
        self.unpaced_bytes += pointer.record_len;
        if self.unpaced_bytes >= PACE_BYTES {
            (self.context.pace)(std::mem::take(&mut self.unpaced_bytes));
            self.context.check_cancelled()?;
        }
        let size = self.writer.as_ref().map_or(0, |(_, writer)| writer.size());
        if size >= self.context.config.value_file_size_bytes {
            self.close_file()?;
        }
        Ok(pointer)
    }

    /// The writer of the current file, begun where there is none.
    fn writer(&mut self) -> Result<&mut ValueFileWriter> {
        if self.writer.is_none() {
            let number = (self.context.next_number)();
            let path = values_path(self.context.dir, number);
            let file = self.context.fs.create(&path)?;
            self.written.push(path);
            let writer = ValueFileWriter::new(file, number, self.context.config.compression);
            self.writer = Some((number, writer));
        }
        Ok(&mut self.writer.as_mut().expect("it was put there just now").1)
    }

    fn close_file(&mut self) -> Result<()> {
        if let Some((number, writer)) = self.writer.take() {
            self.finished.push(ValueFileMeta { number, size: writer.finish()? });
        }
        Ok(())
    }

    /// Ends the last file. Returns the files, and the bytes that were moved from other value files.
    pub(super) fn finish(&mut self) -> Result<(Vec<ValueFileMeta>, u64)> {
        self.close_file()?;
        (self.context.pace)(std::mem::take(&mut self.unpaced_bytes));
        Ok((std::mem::take(&mut self.finished), self.relocated_bytes))
    }

    /// Closes the current file; all that were begun are to be removed.
    pub(super) fn abandon(&mut self) -> &[PathBuf] {
        self.writer = None;
        &self.written
    }
}
