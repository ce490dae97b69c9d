//! A file of the simulated disk: its bytes, and which of them are sure to outlast a power loss.
//!
//! Bytes are kept in chunks, so that growing a large file neither copies it nor doubles its memory.
#![forbid(unsafe_code)]

use std::ops::Range;

use parking_lot::RwLock;

const CHUNK_BYTES: usize = 64 * 1024;

/// A file, apart from its names: it lives as long as a name or an open handle refers to it.
#[derive(Default)]
pub(super) struct Node {
    pub(super) contents: RwLock<Contents>,
}

#[derive(Default, Clone)]
pub(super) struct Contents {
    /// All chunks but the last are full.
    chunks: Vec<Vec<u8>>,
    len: u64,
    /// The length at the last successful sync.
    synced: u64,
    /// Ranges below `synced` (or starting there) that were unsynced when a sync failed: the page cache may have marked them clean
    /// without writing them, so that the successful sync after it says nothing about them. Sorted and disjoint.
    doubtful: Vec<Range<u64>>,
    /// Where the bytes of the last append begin.
    last_append: u64,
}

impl Node {
    /// A file whose every byte is durable.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        let mut contents = Contents::default();
        contents.append(bytes);
        contents.mark_synced();
        Self { contents: RwLock::new(contents) }
    }

    /// A file of its own with the same bytes and the same bookkeeping.
    pub(super) fn copy(&self) -> Self {
        Self { contents: RwLock::new(self.contents.read().clone()) }
    }

    pub(super) fn len(&self) -> u64 {
        self.contents.read().len
    }
}

impl Contents {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.last_append = self.len;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = rest.len().min(CHUNK_BYTES - self.len as usize % CHUNK_BYTES);
            let (now, later) = rest.split_at(count);
            self.last_chunk().extend_from_slice(now);
            self.len += count as u64;
            rest = later;
        }
    }

    /// The chunk that has room. Only the first chunk grows by itself, for the sake of small files.
    fn last_chunk(&mut self) -> &mut Vec<u8> {
        if self.len as usize / CHUNK_BYTES == self.chunks.len() {
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK_BYTES };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        self.chunks.last_mut().expect("a chunk was pushed when there was none")
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some(source) = self.bytes_from(offset.saturating_add(filled as u64)) else { break };
            let count = rest.len().min(source.len());
            rest[..count].copy_from_slice(&source[..count]);
            filled += count;
        }
        filled
    }

    /// The bytes from `offset` to the end of its chunk; `None` at the end of the file.
    fn bytes_from(&self, offset: u64) -> Option<&[u8]> {
        let chunk = self.chunks.get(usize::try_from(offset / CHUNK_BYTES as u64).ok()?)?;
        chunk.get(offset as usize % CHUNK_BYTES..).filter(|bytes| !bytes.is_empty())
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(super) fn mark_synced(&mut self) {
        self.synced = self.len;
    }

    /// A sync has failed: what was unsynced can't be made sure any more.
    pub(super) fn mark_doubtful(&mut self) {
        let range = self.synced..self.len;
        match self.doubtful.last_mut() {
            Some(last) if last.start == range.start => *last = range,
            _ if range.is_empty() => {}
            _ => self.doubtful.push(range),
        }
    }

    /// The ranges that a power loss may take, sorted and disjoint.
    pub(super) fn unsure(&self) -> Vec<Range<u64>> {
        let tail = self.synced..self.len;
        let doubtful = self.doubtful.iter().filter(|range| range.start < self.synced).cloned();
        doubtful.chain(Some(tail)).filter(|range| !range.is_empty()).collect()
    }

    pub(super) fn last_append(&self) -> u64 {
        self.last_append
    }
}
