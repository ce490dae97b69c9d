//! Writes one log: a header, then records, each behind the one before.
//!
//! Invariant: the file is a whole log up to [`LogWriter::end_offset`]. A write that fails ends the writer, since
//! an unknown part of the bytes is in the file; the part before is still good and can be sealed at that offset.
//!
//! A sync of bytes that lengthen a file has to write the file's length too, which takes the file system's journal and
//! about half as long again. So where records are synced one by one, zeros are written ahead of them, and the records
//! over the zeros. No record is ever all zeros, so that a reader takes what is left of them for the end of the log.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use super::{
    Claims, LogKind, PAYLOAD_BYTES_MAX, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES, SegmentHeader,
    record_crc_of,
};
use crate::error::{Code, Error, Result};
use crate::fs::{File, FileSystem};
use crate::key::SeqNo;

/// What the buffer keeps of its memory between writes; a huge batch must not hold its size for ever.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// How many zeros are written ahead of synced records: as many as there are bytes before them, within these bounds.
/// A small log stays small, and a large one pays for its length once in some thousand syncs.
const AHEAD_BYTES_MIN: u64 = 64 << 10;
const AHEAD_BYTES_MAX: u64 = 1 << 20;

/// Nothing is written ahead of larger writes: they would write everything twice to save little of their sync.
const SMALL_WRITE_BYTES_MAX: usize = 64 << 10;

/// Appends records to a new log.
pub(crate) struct LogWriter {
    file: Arc<dyn File>,
    kind: LogKind,
    number: u64,
    /// Records that are encoded and not yet in the file.
    pending: Vec<u8>,
    /// So many bytes are missing at the end of `pending`: the body of a record, which is written from where it lies.
    owed_bytes: usize,
    /// What is in the file, the header included.
    end_offset: u64,
    /// The file has zeros from `end_offset` up to here, if that lies behind.
    zeros_end: u64,
    /// There was no room for zeros.
    is_disk_full: bool,
    /// The last seqno in the file.
    last_seqno: SeqNo,
    /// The seqno that the next record starts with, pending ones counted.
    next_seqno: SeqNo,
    /// The write that failed; every later one is refused.
    failure: Option<Error>,
}

impl LogWriter {
    /// Creates the log at `path`, which must not exist, and makes its header and its name durable: a returned
    /// writer's file is there after a crash.
    ///
    /// # Errors
    ///
    /// `Io`, also where the file exists. What is left of it can only be removed, and its number is spent.
    pub(crate) fn create(fs: &dyn FileSystem, path: &Path, header: SegmentHeader) -> Result<Self> {
        if !header.is_sound() {
            return Err(internal(path, &format!("impossible segment header {header:?}")));
        }
        let bytes = header.encode();
        let file = fs.create(path)?;
        file.append(&bytes)?;
        file.sync()?;
        if let Some(dir) = path.parent() {
            fs.sync_dir(dir)?;
        }
        Ok(Self {
            file,
            kind: header.kind,
            number: header.number,
            pending: Vec::new(),
            owed_bytes: 0,
            end_offset: bytes.len() as u64,
            zeros_end: 0,
            is_disk_full: false,
            last_seqno: header.first_seqno - 1,
            next_seqno: header.first_seqno,
            failure: None,
        })
    }

    /// Writes one record, and what was buffered before it, with one append. Nothing is synced.
    ///
    /// `first_seqno` must be [`next_seqno`](Self::next_seqno); everything up to `durable_seqno` must have been
    /// synced, in this log or an earlier one. Never say more: recovery takes it as proof.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a body over [`RECORD_BODY_BYTES_MAX`], with nothing written and the writer as good
    /// as before. `Io` where the write failed, and `Poisoned` ever after.
    pub(crate) fn append(
        &mut self,
        first_seqno: SeqNo,
        durable_seqno: SeqNo,
        entry_count: u64,
        body: &[u8],
    ) -> Result<()> {
        self.append_parts(first_seqno, durable_seqno, entry_count, &[body])
    }

    /// As [`append`](Self::append), for a body that is the concatenation of `bodies`: a group commit.
    pub(crate) fn append_parts(
        &mut self,
        first_seqno: SeqNo,
        durable_seqno: SeqNo,
        entry_count: u64,
        bodies: &[&[u8]],
    ) -> Result<()> {
        self.buffer_parts(first_seqno, durable_seqno, entry_count, bodies)?;
        self.write_pending()
    }

    /// Encodes a record in memory, for [`write_pending`](Self::write_pending) to write later.
    #[cfg(test)]
    pub(crate) fn buffer(
        &mut self,
        first_seqno: SeqNo,
        durable_seqno: SeqNo,
        entry_count: u64,
        body: &[u8],
    ) -> Result<()> {
        self.buffer_parts(first_seqno, durable_seqno, entry_count, &[body])
    }

    /// Encodes a record whose body is the concatenation of `bodies`, for [`write_pending`](Self::write_pending).
    pub(crate) fn buffer_parts(
        &mut self,
        first_seqno: SeqNo,
        durable_seqno: SeqNo,
        entry_count: u64,
        bodies: &[&[u8]],
    ) -> Result<()> {
        let claims = Claims { first_seqno, durable_seqno, entry_count };
        self.begin_record(claims, bodies, true)?;
        for body in bodies {
            self.pending.extend_from_slice(body);
        }
        self.owed_bytes = 0;
        Ok(())
    }

    /// Encodes a record but for its body, which is not copied. It is written next, by
    /// [`write_with`](Self::write_with) or [`write_ahead_of_sync`](Self::write_ahead_of_sync) with the same body.
    pub(crate) fn buffer_head(
        &mut self,
        first_seqno: SeqNo,
        durable_seqno: SeqNo,
        entry_count: u64,
        body: &[u8],
    ) -> Result<()> {
        let claims = Claims { first_seqno, durable_seqno, entry_count };
        self.begin_record(claims, &[body], false)
    }

    /// Encodes a record up to its body, which is owed then. Whether the body `is_copied` behind it, it has room for that.
    fn begin_record(&mut self, claims: Claims, bodies: &[&[u8]], is_copied: bool) -> Result<()> {
        self.check_usable()?;
        if self.owed_bytes > 0 {
            return Err(internal(self.file.path(), "a record where the body of another comes next"));
        }
        let last =
            claims.last_seqno().filter(|_| claims.first_seqno == self.next_seqno).ok_or_else(|| {
                internal(self.file.path(), &format!("{claims:?} where seqno {} comes next", self.next_seqno))
            })?;
        let body_len = body_len(self.file.path(), bodies)?;
        self.reserve(&claims, if is_copied { body_len } else { 0 })?;
        self.encode_head(&claims, body_len, bodies);
        self.owed_bytes = body_len;
        self.next_seqno = last + 1;
        Ok(())
    }

    /// Writes what is buffered with one write. Nothing is synced.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub(crate) fn write_pending(&mut self) -> Result<()> {
        self.write_with(&[])
    }

    /// As [`write_pending`](Self::write_pending), and behind it the `body` that [`buffer_head`](Self::buffer_head) has left
    /// out, with one write more.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub(crate) fn write_with(&mut self, body: &[u8]) -> Result<()> {
        self.check_usable()?;
        if body.len() != self.owed_bytes {
            let what = format!("a body of {} bytes where {} are owed", body.len(), self.owed_bytes);
            return Err(internal(self.file.path(), &what));
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let body_at = self.end_offset + self.pending.len() as u64;
        let mut written = self.file.write_at(self.end_offset, &self.pending);
        if written.is_ok() && !body.is_empty() {
            written = self.file.write_at(body_at, body);
        }
        if let Err(error) = written {
            self.failure = Some(error.clone());
            return Err(error);
        }
        self.end_offset = body_at + body.len() as u64;
        self.owed_bytes = 0;
        self.last_seqno = self.next_seqno - 1;
        self.pending.clear();
        self.pending.shrink_to(BUFFER_BYTES_KEPT);
        Ok(())
    }

    /// As [`write_with`](Self::write_with), where a sync follows: sees to it that the next ones have zeros to
    /// write over.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub(crate) fn write_ahead_of_sync(&mut self, body: &[u8]) -> Result<()> {
        let written = self.pending.len() + body.len();
        self.write_with(body)?;
        if written > SMALL_WRITE_BYTES_MAX || self.end_offset <= self.zeros_end || self.is_disk_full {
            return Ok(());
        }
        let ahead = self.end_offset.clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
        let zeros_end = (self.end_offset + ahead).next_multiple_of(AHEAD_BYTES_MIN);
        let zeros = vec![0; (zeros_end - self.end_offset) as usize];
        match self.file.write_at(self.end_offset, &zeros) {
            Ok(()) => self.zeros_end = zeros_end,
            // The records are in the file; they don't need what there is no room for.
            Err(error) if is_storage_full(&error) => self.is_disk_full = true,
            Err(error) => {
                self.failure = Some(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    /// How many bytes are buffered and not yet in the file.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// The file, for a sync outside the lock that guards this writer. What was in the file before the sync
    /// began (note [`last_seqno`](Self::last_seqno) then) is durable after it.
    pub(crate) fn sync_handle(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }

    /// The number of this log's file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes of the file are header and whole records; buffered ones don't count.
    pub(crate) fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// The last seqno in the file, or the one before the header's first; buffered records don't count.
    #[cfg(test)]
    pub(crate) fn last_seqno(&self) -> SeqNo {
        self.last_seqno
    }

    /// The seqno that the next record must start with; buffered records count.
    pub(crate) fn next_seqno(&self) -> SeqNo {
        self.next_seqno
    }

    fn check_usable(&self) -> Result<()> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => {
                let message = format!("{}: an earlier write failed", self.file.path().display());
                Err(failure.wrap(Code::Poisoned, message))
            }
        }
    }

    /// Puts a record but for its body behind the pending ones, whose checksum counts the body.
    fn encode_head(&mut self, claims: &Claims, body_len: usize, bodies: &[&[u8]]) {
        let payload_len = claims.encoded_len() + body_len;
        debug_assert!(payload_len <= PAYLOAD_BYTES_MAX);
        let start = self.pending.len();
        let offset = self.end_offset + start as u64;
        self.pending.extend_from_slice(&[0; 4]);
        self.pending.extend_from_slice(&(payload_len as u32).to_le_bytes());
        self.pending.extend_from_slice(&self.kind.tag(self.number).to_le_bytes());
        claims.put(&mut self.pending);
        let crc = record_crc_of(self.number, offset, &self.pending[start + 4..], bodies);
        self.pending[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Makes room for a record with `body_len` bytes of its body.
    fn reserve(&mut self, claims: &Claims, body_len: usize) -> Result<()> {
        let len = RECORD_HEADER_BYTES + claims.encoded_len() + body_len;
        self.pending.try_reserve(len).map_err(|_| {
            let message = format!("no memory for a log record of {len} bytes: write smaller batches");
            Error::new(Code::Busy, message)
        })
    }
}

/// Whether there was no room for a write: on the disk, within its owner's quota, or in a file of limited size.
pub(crate) fn is_storage_full(error: &Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    error.io_cause().is_some_and(|io| matches!(io.kind(), StorageFull | QuotaExceeded | FileTooLarge))
}

/// The length of the bodies together, checked against the limit before anything is copied.
fn body_len(path: &Path, bodies: &[&[u8]]) -> Result<usize> {
    let mut len = 0usize;
    for body in bodies {
        len = len.saturating_add(body.len());
    }
    if len > RECORD_BODY_BYTES_MAX {
        let message = format!(
            "writing {}: a record of {len} bytes; the limit is {RECORD_BODY_BYTES_MAX}: split the batch",
            path.display()
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(len)
}

/// The caller broke the contract of this file. An error rather than a panic, which might reach Node.
fn internal(path: &Path, what: &str) -> Error {
    Error::new(Code::Internal, format!("writing {}: {what}", path.display()))
}
