//! A file of the simulated disk: its bytes, and which of them are sure to outlast a power loss.
//!
//! What is appended may be lost, and then reads as zeros or is not there; what overwrites other bytes may be lost, and
//! then those are back: they are kept until a sync.
//!
//! Bytes are kept in chunks, so that growing a large file neither copies it nor doubles its memory. Copies of a disk share
//! them until one is written to: a test makes many disks of one.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

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
    chunks: Vec<Arc<Vec<u8>>>,
    len: u64,
    /// The length at the last successful sync.
    synced: u64,
    /// Ranges below `synced` (or starting there) that were unsynced when a sync failed: the page cache may have marked them clean
    /// without writing them, so that the successful sync after it says nothing about them. Sorted and disjoint.
    doubtful: Vec<Range<u64>>,
    /// Where the bytes of the last append begin.
    last_append: u64,
    /// What was overwritten and may come back, oldest first.
    overwritten: Vec<Overwritten>,
}

/// Bytes in whose place others were written since.
#[derive(Clone)]
pub(super) struct Overwritten {
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    /// A sync has failed since: the next one that succeeds says nothing about this write.
    is_doubtful: bool,
}

impl Overwritten {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }
}

impl Node {
    /// A file whose every byte is durable.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        Self::of(Contents::durable(bytes))
    }

    pub(super) fn of(contents: Contents) -> Self {
        Self { contents: RwLock::new(contents) }
    }

    /// A file of its own with the same bytes and the same bookkeeping.
    pub(super) fn copy(&self) -> Self {
        Self::of(self.contents.read().clone())
    }

    pub(super) fn len(&self) -> u64 {
        self.contents.read().len
    }
}

impl Contents {
    pub(super) fn durable(bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        contents.append(bytes);
        contents.mark_synced();
        contents
    }

    /// The same bytes, every one durable.
    pub(super) fn settled(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len, synced: self.len, ..Self::default() }
    }

    /// Whether a power loss can take nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.overwritten.is_empty() && self.unsure().is_empty()
    }

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

    /// Writes `bytes` at `offset`, which is not behind the end. What they overwrite is kept where it may come back.
    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8], is_tracked: bool) {
        let over = bytes.len().min(usize::try_from(self.len - offset).unwrap_or(usize::MAX));
        let (over, beyond) = bytes.split_at(over);
        if is_tracked && !over.is_empty() {
            let mut old = vec![0; over.len()];
            self.read_at(offset, &mut old);
            self.overwritten.push(Overwritten { offset, bytes: old, is_doubtful: false });
        }
        self.overwrite(offset, over);
        if !beyond.is_empty() {
            self.append(beyond);
        }
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset as usize + done;
            let chunk = &mut Arc::make_mut(&mut self.chunks[at / CHUNK_BYTES])[at % CHUNK_BYTES..];
            let count = chunk.len().min(bytes.len() - done);
            chunk[..count].copy_from_slice(&bytes[done..done + count]);
            done += count;
        }
    }

    /// The chunk that has room. Only the first chunk grows by itself, for the sake of small files.
    fn last_chunk(&mut self) -> &mut Vec<u8> {
        if self.len as usize / CHUNK_BYTES == self.chunks.len() {
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK_BYTES };
            self.chunks.push(Arc::new(Vec::with_capacity(capacity)));
        }
        Arc::make_mut(self.chunks.last_mut().expect("a chunk was pushed when there was none"))
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
        let mut bytes = Vec::with_capacity(self.len as usize);
        self.chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes
    }

    pub(super) fn mark_synced(&mut self) {
        self.synced = self.len;
        // What was written over a doubtful write since is sure now, and so can't be undone by that one.
        let settled: Vec<Overwritten> = self.overwritten.extract_if(.., |old| !old.is_doubtful).collect();
        self.overwritten.retain(|old| !settled.iter().any(|new| new.overlaps(old)));
    }

    /// A sync has failed: what was unsynced can't be made sure any more.
    pub(super) fn mark_doubtful(&mut self) {
        let range = self.synced..self.len;
        match self.doubtful.last_mut() {
            Some(last) if last.start == range.start => *last = range,
            _ if range.is_empty() => {}
            _ => self.doubtful.push(range),
        }
        self.overwritten.iter_mut().for_each(|old| old.is_doubtful = true);
    }

    /// What was overwritten and may come back, oldest first.
    pub(super) fn overwritten(&self) -> &[Overwritten] {
        &self.overwritten
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
