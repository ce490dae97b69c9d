//! Reading blocks that follow each other many at a time, so that a long scan costs few reads and bounded memory.
#![forbid(unsafe_code)]

use super::Handle;
use super::reader::Table;
use crate::error::Result;

/// The first readahead of a scan, doubled with every further one.
const READAHEAD_BYTES_MIN: u64 = 16 << 10;

/// The largest readahead, and that of compaction from the start.
const READAHEAD_BYTES_MAX: u64 = 256 << 10;

/// The direction in which blocks follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Forward,
    Backward,
}

impl Step {
    /// The neighbour of a position. Below 0 it wraps around to a position that no entry has.
    pub(super) fn from(self, at: usize) -> usize {
        if self == Self::Forward { at + 1 } else { at.wrapping_sub(1) }
    }
}

/// Reads blocks that follow each other many at a time.
#[derive(Default)]
pub(super) struct Readahead {
    /// Where `bytes` begin in the file.
    start: u64,
    bytes: Vec<u8>,
    /// How much the next read takes at least; 0 until the blocks are seen to follow each other.
    window: u64,
    /// The block that was wanted last.
    last: Handle,
}

impl Readahead {
    /// One that reads far ahead from the start.
    pub(super) fn eager() -> Self {
        Self { window: READAHEAD_BYTES_MAX, ..Self::default() }
    }

    /// The bytes of the block at `handle`, which lies within the file.
    pub(super) fn frame(&mut self, table: &Table, handle: Handle, step: Step) -> Result<&[u8]> {
        let last = std::mem::replace(&mut self.last, handle);
        if self.buffered(handle).is_none() {
            self.read(table, handle, last, step)?;
        }
        Ok(self.buffered(handle).unwrap_or_default())
    }

    fn read(&mut self, table: &Table, handle: Handle, last: Handle, step: Step) -> Result<()> {
        let follows = match step {
            Step::Forward => last.end() == handle.offset,
            Step::Backward => handle.end() == last.offset,
        };
        if follows && last.len > 0 {
            self.window = (self.window * 2).clamp(READAHEAD_BYTES_MIN, READAHEAD_BYTES_MAX);
        }
        let (start, end) = match step {
            _ if self.window <= u64::from(handle.len) => (handle.offset, handle.end()),
            Step::Forward => (handle.offset, (handle.offset + self.window).min(table.blocks_end())),
            Step::Backward => (handle.end().saturating_sub(self.window), handle.end()),
        };
        self.bytes.clear();
        self.bytes.resize((end - start) as usize, 0);
        self.start = start;
        let read = table.file().read_exact_at(start, &mut self.bytes);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }

    fn buffered(&self, handle: Handle) -> Option<&[u8]> {
        let start = usize::try_from(handle.offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(handle.len as usize)?)
    }
}
