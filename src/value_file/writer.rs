//! Writes one value file, front to back: values in, a synced file out.
//!
//! Invariant: no more than a chunk of a value is held in memory, and the footer goes last, so that a file without its
//! end is no value file.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::format::{CHUNK_BYTES, Directory, Footer, ValuePointer};
use super::reader::ValueFile;
use crate::config::Compression;
use crate::error::{Code, Error, Result};
use crate::frame::{self, Effort, FrameOutput, Packing};
use crate::fs::File;
use crate::key::VALUE_BYTES_MAX;

/// A value file in the making. Dropped before [`ValueFileWriter::finish`], it leaves a file that is none.
pub(crate) struct ValueFileWriter {
    out: FrameOutput,
    compression: Compression,
    records: u64,
    value_bytes: u64,
    /// The lengths of the frames of the value that is being written.
    frames: Vec<u32>,
    scratch: Vec<u8>,
}

impl ValueFileWriter {
    /// A writer of value file `number` to `file`, which must be empty.
    pub(crate) fn new(file: Arc<dyn File>, number: u64, compression: Compression) -> Self {
        let (frames, scratch) = (Vec::new(), Vec::new());
        let out = FrameOutput::new(file, number);
        Self { out, compression, records: 0, value_bytes: 0, frames, scratch }
    }

    /// Adds a value and returns where it lies.
    ///
    /// # Errors
    ///
    /// `Internal` for a value that is empty or too long. `Io` from the file, which must be discarded then.
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<ValuePointer> {
        if !(1..=VALUE_BYTES_MAX).contains(&value.len()) {
            let (path, len) = (self.out.path().display(), value.len());
            let message =
                format!("writing value file {path}: a value has {len} bytes: this is a defect of FlowDB");
            return Err(Error::new(Code::Internal, message));
        }
        let start = self.out.offset();
        for chunk in value.chunks(CHUNK_BYTES) {
            let compressed = match self.compression {
                Compression::None => None,
                Compression::Lz4 => frame::compress(chunk, Effort::Quick, &mut self.scratch),
            };
            let len = match compressed {
                Some(stored) => self.out.frame(stored, Packing::Lz4)?,
                None => self.out.frame(chunk, Packing::Raw)?,
            };
            self.frames.push(len);
        }
        self.end_record(start, value.len() as u64)
    }

    /// Adds a value that lies in another value file, chunk by chunk as it is stored there.
    ///
    /// # Errors
    ///
    /// `Corruption` where it is damaged, `Io` from either file.
    pub(crate) fn copy(&mut self, source: &ValueFile, pointer: &ValuePointer) -> Result<ValuePointer> {
        let start = self.out.offset();
        let (out, frames) = (&mut self.out, &mut self.frames);
        frames.clear();
        source.for_each_stored_chunk(pointer, |stored, packing| {
            frames.push(out.frame(stored, packing)?);
            Ok(())
        })?;
        self.end_record(start, pointer.value_len)
    }

    fn end_record(&mut self, start: u64, value_len: u64) -> Result<ValuePointer> {
        let (number, offset) = (self.out.number(), self.out.offset());
        let directory = Directory::encode(number, offset, &self.frames, value_len);
        self.frames.clear();
        self.out.append(&directory)?;
        self.records += 1;
        self.value_bytes += value_len;
        Ok(ValuePointer { file: number, offset: start, record_len: self.out.offset() - start, value_len })
    }

    /// The bytes of the records so far.
    pub(crate) fn size(&self) -> u64 {
        self.out.offset()
    }

    /// Writes the footer, syncs the file and returns its length. Its name is durable once its directory is synced.
    pub(crate) fn finish(mut self) -> Result<u64> {
        let (records, value_bytes, number) = (self.records, self.value_bytes, self.out.number());
        let footer = Footer { records, value_bytes, number }.encode(self.out.offset());
        self.out.append(&footer)?;
        self.out.finish()
    }
}
