//! Large values: following a table's entry into the value file, reading a slice, and reading piece by piece.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::read::Found;
use super::shared::{Shared, View};
use super::snapshot::Snapshot;
use crate::error::{Code, Error, Result};
use crate::key::{Kind, SeqNo};
use crate::memtable::{Memtable, VersionRef};
use crate::value_file::{Directory, ValuePointer};
use crate::version::ValueFileHandle;

/// `try_get` leaves longer values to a read that may take its time: it is called where nothing may wait, not even for a
/// long copy.
pub const TRY_GET_BYTES_MAX: usize = 64 << 10;

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSlice {
    /// The bytes that were asked for, as far as the value has them.
    pub bytes: Vec<u8>,
    /// The length of the whole value.
    pub value_len: u64,
    /// When the value expires, in milliseconds since 1970; 0 for never.
    pub expires_at: u64,
    /// The seqno of the put, or 0 once a compaction has left it out: where every snapshot sees it.
    pub seqno: u64,
}

/// Reads one value from its beginning to its end, as it was when the reader was made, whatever is written, flushed,
/// compacted or has expired since.
///
/// A value in a value file is read chunk by chunk, so that the reader takes little memory however long the value is. One in
/// memory is not copied, be it in a memtable or in the block cache, which reading like this does not fill. One that stands in a
/// table itself, because it is shorter than `value_threshold_bytes`, is held whole.
///
/// An error of the database comes out of [`io::Read`] with the [`Error`] as its inner error.
pub struct ValueReader {
    source: Source,
    key: Vec<u8>,
    value_len: u64,
    position: u64,
    expires_at: u64,
    seqno: SeqNo,
}

enum Source {
    Memtable(Arc<Memtable>),
    /// Of a table, or as the block cache holds it.
    Whole(Arc<Vec<u8>>),
    File(Chunks),
}

/// A value in a value file, and the chunk of it that was read last.
struct Chunks {
    /// Keeps the file, also where compaction has emptied it meanwhile.
    file: Arc<ValueFileHandle>,
    directory: Directory,
    start: u64,
    chunk: Vec<u8>,
}

impl Shared {
    /// Up to `len` bytes of the value of `key`, from `offset` on.
    pub(crate) fn get_slice(
        &self,
        key: &[u8],
        offset: u64,
        len: usize,
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<ValueSlice>> {
        let range = offset..offset.saturating_add(len as u64);
        let view = self.view();
        let Some(found) = self.find_visible(&view, key, snapshot)? else { return Ok(None) };
        let VersionRef { seqno, kind, expires_at, value } = found.version();
        let (bytes, value_len) = if kind == Kind::Separated {
            let pointer = pointer_of(value)?;
            let file = view.version.values().file(pointer.file)?;
            let mut bytes = Vec::new();
            match file.cached(&pointer) {
                Some(value) => bytes.extend_from_slice(part_of(&value, &range)),
                None => file.open()?.read(&pointer, range, &mut bytes)?,
            }
            (bytes, pointer.value_len)
        } else {
            (part_of(value, &range).to_vec(), value.len() as u64)
        };
        Ok(Some(ValueSlice { bytes, value_len, expires_at, seqno }))
    }

    /// A reader of the value of `key`.
    pub(crate) fn open_value(&self, key: &[u8], snapshot: Option<&Snapshot>) -> Result<Option<ValueReader>> {
        let view = self.view();
        let Some(found) = self.find_visible(&view, key, snapshot)? else { return Ok(None) };
        let VersionRef { seqno, kind, expires_at, value } = found.version();
        let (source, value_len) = if kind == Kind::Separated {
            let pointer = pointer_of(value)?;
            let file = Arc::clone(view.version.values().file(pointer.file)?);
            let source = match file.cached(&pointer) {
                Some(value) => Source::Whole(value),
                None => {
                    let directory = file.open()?.directory(&pointer)?;
                    Source::File(Chunks { file, directory, start: 0, chunk: Vec::new() })
                }
            };
            (source, pointer.value_len)
        } else if matches!(found, Found::InMemtable(_)) {
            let holds = |memtable: &&Arc<Memtable>| {
                memtable.get(key, seqno).is_some_and(|version| version.seqno == seqno)
            };
            let lost = || Error::new(Code::Internal, "a value that was found in memory is not there");
            let memtable = view.memtables().find(holds).ok_or_else(lost)?;
            (Source::Memtable(Arc::clone(memtable)), value.len() as u64)
        } else {
            (Source::Whole(Arc::new(value.to_vec())), value.len() as u64)
        };
        Ok(Some(ValueReader { source, key: key.to_vec(), value_len, position: 0, expires_at, seqno }))
    }
}

/// The value that the entry of a table leads to, whole; the block cache keeps it where it has room. `None` where it has more
/// than `bytes_max` bytes.
pub(super) fn resolve(view: &View, pointer: &[u8], bytes_max: usize) -> Result<Option<Arc<Vec<u8>>>> {
    let pointer = pointer_of(pointer)?;
    let file = view.version.values().file(pointer.file)?;
    let is_short = usize::try_from(pointer.value_len).is_ok_and(|len| len <= bytes_max);
    if is_short { file.value(&pointer).map(Some) } else { Ok(None) }
}

/// The value of a scan's row, where that lies in a value file. Each value follows the one before in the same memory, since
/// a scan does not put what it reads once into the block cache.
#[derive(Default)]
pub(super) struct ScannedValue {
    read: Vec<u8>,
    cached: Option<Arc<Vec<u8>>>,
}

impl ScannedValue {
    /// Moves to the value that the entry of a table leads to.
    pub(super) fn load(&mut self, view: &View, pointer: &[u8]) -> Result<()> {
        let pointer = pointer_of(pointer)?;
        let file = view.version.values().file(pointer.file)?;
        self.cached = file.cached(&pointer);
        match self.cached {
            Some(_) => Ok(()),
            None => file.open()?.read(&pointer, 0..pointer.value_len, &mut self.read),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.cached.as_ref().map_or(&self.read, |cached| cached)
    }
}

fn pointer_of(bytes: &[u8]) -> Result<ValuePointer> {
    ValuePointer::decode(bytes).map_err(|damage| {
        Error::new(Code::Corruption, format!("the pointer from a table to a value file: {}", damage.0))
    })
}

/// The bytes of `value` within `range`.
fn part_of<'a>(value: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let clamped = |at: u64| at.min(value.len() as u64) as usize;
    value.get(clamped(range.start)..clamped(range.end)).unwrap_or_default()
}

impl ValueReader {
    /// The length of the whole value.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.value_len
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.value_len == 0
    }

    /// When the value expires, in milliseconds since 1970; 0 for never.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// The seqno of the put, or 0 once a compaction has left it out: where every snapshot sees it.
    #[must_use]
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// What there is at the position in memory: at least a byte where the value has one.
    fn ahead(&mut self) -> Result<&[u8]> {
        let rest = self.position..self.value_len;
        Ok(match &mut self.source {
            Source::Memtable(memtable) => {
                let version = memtable.get(&self.key, self.seqno);
                part_of(version.map_or(b"", |version| version.value), &rest)
            }
            Source::Whole(value) => part_of(value, &rest),
            Source::File(chunks) => chunks.ahead(self.position)?,
        })
    }
}

impl Chunks {
    /// The bytes from `position`, which is within the value, to the end of its chunk.
    fn ahead(&mut self, position: u64) -> Result<&[u8]> {
        let is_within = (self.start..self.start + self.chunk.len() as u64).contains(&position);
        if !is_within {
            self.start = self.file.open()?.read_chunk(&self.directory, position, &mut self.chunk)?;
        }
        let range = position - self.start..self.chunk.len() as u64;
        Ok(part_of(&self.chunk, &range))
    }
}

impl io::Read for ValueReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position >= self.value_len {
            return Ok(0);
        }
        let ahead = self.ahead().map_err(into_io)?;
        let len = ahead.len().min(buffer.len());
        buffer[..len].copy_from_slice(&ahead[..len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl std::fmt::Debug for ValueReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ValueReader({} of {} bytes)", self.position, self.value_len)
    }
}

fn into_io(error: Error) -> io::Error {
    let kind = error.io_cause().map_or(io::ErrorKind::InvalidData, io::Error::kind);
    io::Error::new(kind, error)
}
