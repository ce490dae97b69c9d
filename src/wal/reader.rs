//! Reads one log: its records in order until the first invalid one, then what the rest of the file proves.
//!
//! Invariant: what comes out is a prefix of what was written, and never a prefix that lacks what is known to have
//! been durable: known by a valid record further on that says so, or by the exact end of a sealed log.
//! Memory is bounded by the longest record, and by what is left of the file where a length field lies.
#![forbid(unsafe_code)]

mod salvage;

pub(crate) use salvage::LogSalvage;

use std::path::Path;
use std::sync::Arc;

use super::{
    Claims, LogKind, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, record_crc,
};
use crate::coding::{VARINT_BYTES_MAX, take_bytes, take_u32};
use crate::error::{Error, Result};
use crate::fs::{File, FileSystem};
use crate::key::SeqNo;

/// How much is read at once, unless a record is longer.
const CHUNK_BYTES: usize = 64 << 10;

/// What the window keeps of its memory; a huge record must not hold its size for ever.
const CHUNK_BYTES_KEPT: usize = 1 << 20;

/// The search for proof of a loss may check at most this many times the bytes that it searches, and
/// [`CHUNK_BYTES`] more. Chance makes it check next to none; only bytes made to look like records reach this.
const SEARCH_FACTOR_MAX: u64 = 16;

/// What stands at the start of a log.
pub(crate) enum HeaderState {
    /// A valid header: the log can be read.
    Whole(LogReader),
    /// Nothing, nothing but zeros, or no more than an incomplete header: its creation did not get as far as its
    /// first sync, or the file was cut. It holds no records; the caller knows whether it may be so.
    Torn,
}

/// One record, borrowed from the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The seqno of the first entry; the others follow one by one.
    pub(crate) first_seqno: SeqNo,
    pub(crate) entry_count: u64,
    /// Everything up to this seqno was durable when the record was written.
    pub(crate) durable_seqno: SeqNo,
    pub(crate) body: &'a [u8],
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// With a whole record (or its header), at the end of the file or at the given limit.
    Clean,
    /// With bytes from this offset on that are no whole record, and nothing says that they were durable.
    Torn { at: u64 },
}

/// Reads a log from front to back.
pub(crate) struct LogReader {
    header: SegmentHeader,
    window: Window,
    /// Whether the exact end is known; then `window.end` is it.
    limited: bool,
    /// Where the next record is expected; everything before is whole.
    offset: u64,
    next_seqno: SeqNo,
    ended: bool,
}

impl LogReader {
    /// Opens log `number` of `kind`. `limit` is the exact end of a sealed log, as its successor's header or the
    /// clean end in the manifest has it: everything before must be whole, and what lies beyond is not looked at.
    ///
    /// # Errors
    ///
    /// `Corruption` for a damaged header and for a file shorter than `limit`; `Version` for a newer format.
    pub(crate) fn open(
        fs: &dyn FileSystem,
        path: &Path,
        kind: LogKind,
        number: u64,
        limit: Option<u64>,
    ) -> Result<HeaderState> {
        let file = fs.open(path)?;
        let len = file.len()?;
        if let Some(limit) = limit.filter(|&limit| len < limit || limit < SEGMENT_HEADER_BYTES as u64) {
            let what = format!("the file has {len} bytes, the log was sealed at {limit}");
            return Err(Error::corruption(path, what));
        }
        let mut window = Window { file, end: limit.unwrap_or(len), start: 0, bytes: Vec::new() };
        if limit.is_none() && window.is_torn_creation()? {
            return Ok(HeaderState::Torn);
        }
        let bytes = window.at(0, SEGMENT_HEADER_BYTES)?.unwrap_or_default();
        let header = SegmentHeader::decode(bytes, path, kind, number)?;
        Ok(HeaderState::Whole(Self {
            header,
            window,
            limited: limit.is_some(),
            offset: SEGMENT_HEADER_BYTES as u64,
            next_seqno: header.first_seqno,
            ended: false,
        }))
    }

    /// The log's header.
    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The end of the last record that was read: where the log is cut if its tail is torn.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The seqno of the last entry that was read, or the one before the header's first.
    #[cfg(test)]
    pub(crate) fn last_seqno(&self) -> SeqNo {
        self.next_seqno - 1
    }

    /// The next record, or `None` where the valid ones end; then [`finish`](Self::finish) says whether that end
    /// can be trusted.
    ///
    /// # Errors
    ///
    /// `Corruption` for an invalid record before the known end of a sealed log; `Io`.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>> {
        if self.ended {
            return Ok(None);
        }
        let at = self.offset;
        let Some(frame) = self.frame_at(at)?.filter(|frame| frame.claims.first_seqno == self.next_seqno)
        else {
            self.ended = true;
            self.check_limit()?;
            return Ok(None);
        };
        self.offset += frame.len as u64;
        self.next_seqno = frame.last_seqno + 1;
        let Some(bytes) = self.window.at(at, frame.len)? else { return Ok(None) };
        Ok(Some(Record {
            first_seqno: frame.claims.first_seqno,
            entry_count: frame.claims.entry_count,
            durable_seqno: frame.claims.durable_seqno,
            body: &bytes[frame.body_start..frame.len],
        }))
    }

    /// Says how the log ends; records not yet read are passed over.
    ///
    /// # Errors
    ///
    /// `Corruption` where records are missing that were durable: before the known end of a sealed log, or by the
    /// word of a valid record further on.
    pub(crate) fn finish(&mut self) -> Result<Tail> {
        while self.next()?.is_some() {}
        self.check_limit()?;
        if self.offset == self.window.end {
            return Ok(Tail::Clean);
        }
        self.search_for_loss()?;
        Ok(Tail::Torn { at: self.offset })
    }

    /// The highest seqno that valid records behind the ones that were read have, to say what is lost with them. The
    /// search is as bounded as the one for proof of a loss.
    pub(crate) fn last_seqno_behind(&mut self) -> Result<Option<SeqNo>> {
        let mut last = None;
        let mut budget = SEARCH_FACTOR_MAX * self.window.left(self.offset) + CHUNK_BYTES as u64;
        let tag = self.header.kind.tag(self.header.number).to_le_bytes();
        let tag_offset = (RECORD_HEADER_BYTES - tag.len()) as u64;
        let mut from = self.offset + tag_offset;
        while let Some(found) = self.window.find(from, tag)? {
            from = found + 1;
            let at = found - tag_offset;
            let Some(len) = self.record_len_at(at)? else { continue };
            if budget < len as u64 {
                break;
            }
            budget -= len as u64;
            if let Some(frame) = self.frame_at(at)? {
                last = last.max(Some(frame.last_seqno));
                from = at + frame.len as u64 + tag_offset;
            }
        }
        Ok(last)
    }

    /// How many bytes there are behind the records that were read.
    pub(crate) fn bytes_behind(&self) -> u64 {
        self.window.left(self.offset)
    }

    fn check_limit(&self) -> Result<()> {
        if !self.limited || self.offset == self.window.end {
            return Ok(());
        }
        let what = format!(
            "no whole record at offset {}, where seqno {} is expected; the log was sealed at {}",
            self.offset, self.next_seqno, self.window.end
        );
        Err(self.corruption(what))
    }

    /// The valid record at `at`: right tag, whole, right checksum, numbers that can be true.
    fn frame_at(&mut self, at: u64) -> Result<Option<Frame>> {
        let Some(len) = self.record_len_at(at)? else { return Ok(None) };
        let number = self.header.number;
        Ok(self.window.at(at, len)?.and_then(|bytes| Frame::check(number, at, &bytes[..len])))
    }

    /// The length of what may be a record at `at`: it has the tag of this log, and the file holds so much.
    fn record_len_at(&mut self, at: u64) -> Result<Option<usize>> {
        let tag = self.header.kind.tag(self.header.number);
        let left = self.window.left(at);
        let Some(mut input) = self.window.at(at, RECORD_HEADER_BYTES)? else { return Ok(None) };
        let (_crc, len, found) = (take_u32(&mut input), take_u32(&mut input), take_u32(&mut input));
        let payload_len = len.filter(|_| found == Some(tag)).map(|len| len as usize);
        let len = payload_len.filter(|&len| len <= PAYLOAD_BYTES_MAX).map(|len| RECORD_HEADER_BYTES + len);
        Ok(len.filter(|&len| len as u64 <= left))
    }

    /// Looks behind the end of the valid records for one that proves that the missing ones were durable.
    fn search_for_loss(&mut self) -> Result<()> {
        let mut budget = SEARCH_FACTOR_MAX * self.window.left(self.offset) + CHUNK_BYTES as u64;
        let tag = self.header.kind.tag(self.header.number).to_le_bytes();
        let tag_offset = (RECORD_HEADER_BYTES - tag.len()) as u64;
        let mut from = self.offset + tag_offset;
        while let Some(found) = self.window.find(from, tag)? {
            from = found + 1;
            let at = found - tag_offset;
            let Some(len) = self.accuser_at(at)? else { continue };
            if budget < len as u64 {
                let what = format!("too many bytes that look like records behind offset {}", self.offset);
                return Err(self.corruption(what));
            }
            budget -= len as u64;
            if let Some(frame) = self.frame_at(at)? {
                let what = format!(
                    "no whole record at offset {}, where seqno {} is expected; the record at {at} proves that \
                     everything up to seqno {} had been synced",
                    self.offset, self.next_seqno, frame.claims.durable_seqno
                );
                return Err(self.corruption(what));
            }
        }
        Ok(())
    }

    /// The length of what may be a record at `at` that says that the missing seqno was durable. Its checksum is
    /// for the caller to check: most candidates fall here, for nothing.
    fn accuser_at(&mut self, at: u64) -> Result<Option<usize>> {
        let Some(len) = self.record_len_at(at)? else { return Ok(None) };
        let peeked = len.min(RECORD_HEADER_BYTES + 3 * VARINT_BYTES_MAX);
        let Some(bytes) = self.window.at(at, peeked)? else { return Ok(None) };
        let claims = Claims::take(&mut &bytes[RECORD_HEADER_BYTES..peeked]);
        Ok(claims.filter(|claims| claims.durable_seqno >= self.next_seqno).map(|_| len))
    }

    fn corruption(&self, what: String) -> Error {
        Error::corruption(self.window.file.path(), what)
    }
}

/// A valid record: where its body lies in it, and what it says.
struct Frame {
    claims: Claims,
    last_seqno: SeqNo,
    body_start: usize,
    len: usize,
}

impl Frame {
    /// Checks the bytes of a record of log `number` at `at`; its length and tag have been.
    fn check(number: u64, at: u64, bytes: &[u8]) -> Option<Self> {
        let mut input = bytes;
        let crc = take_u32(&mut input)?;
        if crc != record_crc(number, at, input) {
            return None;
        }
        take_bytes(&mut input, RECORD_HEADER_BYTES - 4)?;
        let claims = Claims::take(&mut input)?;
        let last_seqno = claims.last_seqno()?;
        Some(Self { claims, last_seqno, body_start: bytes.len() - input.len(), len: bytes.len() })
    }
}

/// The part of the file that is in memory.
struct Window {
    file: Arc<dyn File>,
    /// Nothing is read from here on.
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// How many bytes there are from `offset` on.
    fn left(&self, offset: u64) -> u64 {
        self.end.saturating_sub(offset)
    }

    /// The bytes from `offset` on, as far as they are in memory, but at least `len`; `None` where there are
    /// fewer in the file.
    fn at(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>> {
        if self.left(offset) < len as u64 {
            return Ok(None);
        }
        if self.held(offset).len() < len {
            self.load(offset, len)?;
        }
        Ok(Some(self.held(offset)))
    }

    fn held(&self, offset: u64) -> &[u8] {
        let skip = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes.get(skip..)).unwrap_or_default()
    }

    /// Moves the window to `offset`, with at least `len` bytes, which the file is known to hold.
    fn load(&mut self, offset: u64, len: usize) -> Result<()> {
        let kept = self.held(offset).len();
        self.bytes.drain(..self.bytes.len() - kept);
        self.start = offset;
        let chunk = usize::try_from(self.left(offset)).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let wanted = len.max(chunk);
        self.bytes.shrink_to(wanted.max(CHUNK_BYTES_KEPT));
        self.bytes.resize(wanted, 0);
        let read = self.file.read_exact_at(offset + kept as u64, &mut self.bytes[kept..]);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }

    /// Where `tag` stands first, at `from` or behind.
    fn find(&mut self, mut from: u64, tag: [u8; 4]) -> Result<Option<u64>> {
        while let Some(bytes) = self.at(from, tag.len())? {
            if let Some(position) = bytes.windows(tag.len()).position(|bytes| bytes == tag) {
                return Ok(Some(from + position as u64));
            }
            from += (bytes.len() - tag.len() + 1) as u64;
        }
        Ok(None)
    }

    /// Whether the bytes are what a crash may leave of a log whose header was not yet synced. No record was
    /// written before that, so a file with records in it is never this, however its header looks.
    fn is_torn_creation(&mut self) -> Result<bool> {
        if self.end > SEGMENT_HEADER_BYTES as u64 {
            return self.is_zero();
        }
        Ok(!self.at(0, SEGMENT_HEADER_BYTES)?.is_some_and(SegmentHeader::is_whole))
    }

    /// Whether there is nothing but zeros.
    fn is_zero(&mut self) -> Result<bool> {
        let mut offset = 0;
        while let Some(bytes) = self.at(offset, 1)? {
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }
}
