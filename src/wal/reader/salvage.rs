//! Reads every whole record of a damaged log, whatever lies between them.
//!
//! A record's checksum is bound to the number of its file and to its offset, so a whole record is one that was written
//! at this place of this log, also where the header or the records before it are gone.
#![forbid(unsafe_code)]

use super::{
    Claims, File, FileSystem, LogKind, LogReader, Path, RECORD_HEADER_BYTES, Record, SEARCH_FACTOR_MAX,
    SEGMENT_HEADER_BYTES, SegmentHeader, Window,
};
use crate::error::{Code, Result};

/// Reads a damaged log from front to back.
pub(crate) struct LogSalvage {
    reader: LogReader,
    /// How many more bytes may be checked for looking like a record.
    budget: u64,
    /// What the log says of its predecessor, where its header is whole.
    pub(crate) header: Option<SegmentHeader>,
    /// Whether it is known where the records end.
    has_limit: bool,
    /// Bytes that are neither the header nor a whole record nor, where the end is not known, zeros there.
    pub(crate) lost_bytes: u64,
}

impl LogSalvage {
    /// Opens log `number` of `kind`. What lies behind `limit` was never acknowledged and is not looked at.
    ///
    /// # Errors
    ///
    /// `Io`, and `Version` where a newer FlowDB wrote the log.
    pub(crate) fn open(
        fs: &dyn FileSystem,
        path: &Path,
        kind: LogKind,
        number: u64,
        limit: Option<u64>,
    ) -> Result<Self> {
        let file = fs.open(path)?;
        let len = File::len(&*file)?;
        let end = limit.map_or(len, |limit| limit.min(len));
        let mut window = Window { file, end, start: 0, bytes: Vec::new() };
        let bytes = window.at(0, SEGMENT_HEADER_BYTES)?.unwrap_or_default();
        let header = match SegmentHeader::decode(bytes, path, kind, number) {
            Ok(header) => Some(header),
            Err(error) if error.code() == Code::Corruption => None,
            Err(error) => return Err(error),
        };
        let assumed = SegmentHeader { kind, number, previous: None, first_seqno: 1 };
        let is_empty = header.is_none() && window.is_torn_creation()?;
        let header_bytes =
            if header.is_some() || is_empty { 0 } else { end.min(SEGMENT_HEADER_BYTES as u64) };
        // What the log is known to have held behind the end of the file.
        let lost_bytes = header_bytes + limit.map_or(0, |limit| limit.saturating_sub(len));
        let reader = LogReader {
            header: header.unwrap_or(assumed),
            window,
            limited: false,
            offset: SEGMENT_HEADER_BYTES as u64,
            next_seqno: 1,
            ended: false,
        };
        let budget = SEARCH_FACTOR_MAX.saturating_mul(end);
        Ok(Self { reader, budget, header, has_limit: limit.is_some(), lost_bytes })
    }

    /// The next whole record, or `None` where there is none any more.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>> {
        let from = self.reader.offset;
        let mut at = from;
        let frame = loop {
            if let Some(frame) = self.reader.frame_at(at)? {
                break frame;
            }
            match self.next_candidate(at + 1)? {
                Some(candidate) => at = candidate,
                None => return self.end(from),
            }
        };
        self.lost_bytes += at - from;
        self.reader.offset = at + frame.len as u64;
        let Some(bytes) = self.reader.window.at(at, frame.len)? else { return Ok(None) };
        let Claims { first_seqno, durable_seqno, entry_count } = frame.claims;
        let body = bytes.get(frame.body_start..frame.len).unwrap_or_default();
        Ok(Some(Record { first_seqno, entry_count, durable_seqno, body }))
    }

    /// Where the next record may begin, at `from` or behind: the tag of this log stands where it should.
    fn next_candidate(&mut self, from: u64) -> Result<Option<u64>> {
        let header = self.reader.header;
        let tag = header.kind.tag(header.number).to_le_bytes();
        let before = (RECORD_HEADER_BYTES - tag.len()) as u64;
        let mut from = from + before;
        while let Some(found) = self.reader.window.find(from, tag)? {
            from = found + 1;
            let Some(len) = self.reader.record_len_at(found - before)? else { continue };
            if self.budget < len as u64 {
                return Ok(None);
            }
            self.budget -= len as u64;
            return Ok(Some(found - before));
        }
        Ok(None)
    }

    /// Counts what lies behind the last whole record.
    fn end(&mut self, from: u64) -> Result<Option<Record<'_>>> {
        let window = &mut self.reader.window;
        let mut at = from;
        // Zeros may have been written ahead of records, but not before where those end.
        let mut last_byte = if self.has_limit { window.end.max(from) } else { from };
        while let Some(bytes) = window.at(at, 1)? {
            if let Some(position) = bytes.iter().rposition(|&byte| byte != 0) {
                last_byte = last_byte.max(at + position as u64 + 1);
            }
            at += bytes.len() as u64;
        }
        self.lost_bytes += last_byte - from;
        self.reader.offset = window.end.max(from);
        Ok(None)
    }
}
