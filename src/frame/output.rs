//! The end of a file that is made of frames, with what waits to be appended to it.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use super::{PAYLOAD_BYTES_MAX, Packing, TRAILER_BYTES, trailer};
use crate::error::{Code, Error, Result};
use crate::fs::File;

/// Appends are gathered to this size: a write costs as much as ten blocks do.
const WRITE_BYTES: usize = 128 << 10;

/// Writes a file of frames front to back.
pub(crate) struct FrameOutput {
    file: Arc<dyn File>,
    number: u64,
    /// How many bytes have been appended.
    written: u64,
    buffer: Vec<u8>,
}

impl FrameOutput {
    /// Writes to `file`, which is empty and has this number.
    pub(crate) fn new(file: Arc<dyn File>, number: u64) -> Self {
        Self { file, number, written: 0, buffer: Vec::new() }
    }

    /// The number of the file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The path of the file, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the next byte will stand.
    pub(crate) fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes the frame of `stored` bytes and returns its length.
    pub(crate) fn frame(&mut self, stored: &[u8], packing: Packing) -> Result<u32> {
        let offset = self.offset();
        let len = stored.len() + TRAILER_BYTES;
        let Some(len) = u32::try_from(len).ok().filter(|_| stored.len() <= PAYLOAD_BYTES_MAX) else {
            let message = format!("writing {}: a block has {len} bytes", self.path().display());
            return Err(Error::new(Code::Internal, message));
        };
        let trailer = trailer(self.number, offset, stored, packing);
        self.append(stored)?;
        self.append(&trailer)?;
        Ok(len)
    }

    /// Writes bytes that have no frame.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() >= WRITE_BYTES {
            // A large value is not copied once more.
            self.flush()?;
            self.file.append(bytes)?;
            self.written += bytes.len() as u64;
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what waits, syncs the file, and returns its length.
    pub(crate) fn finish(&mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync()?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}
