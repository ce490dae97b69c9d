//! Logs: files of checksummed records, each behind the one before, for the WAL's segments and the MANIFEST.
//!
//! A record's checksum covers the number of its file and its own offset, so a stale record of another file, or
//! one that was moved, is not taken for a live one. A record also says up to which seqno everything was durable
//! when it was written; by that a reader tells a torn tail (cut) from damage to what was synced (`Corruption`).
//! The byte layouts stand in docs/format/log.md.
#![forbid(unsafe_code)]

mod reader;
mod writer;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use reader::{HeaderState, LogReader, LogSalvage, Record, Tail};
pub(crate) use writer::{LogWriter, is_storage_full};

use crate::coding::{VARINT_BYTES_MAX, put_varint, take_bytes, take_u32, take_u64, take_varint, varint_len};
use crate::error::{Code, Error, Result};
use crate::key::{SEQNO_MAX, SeqNo};

/// The version of the layouts that this code writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 1;

/// The size of a segment header: the same in every version, with the checksum in the last four bytes, so that
/// damage can be told from a newer format.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 52;

/// What stands before a record's payload: checksum, payload length and tag, four bytes each.
const RECORD_HEADER_BYTES: usize = 12;

/// The longest body of a record. A value of the largest size, its key and a group of small batches fit; a group
/// is to be closed before it grows past this.
pub(crate) const RECORD_BODY_BYTES_MAX: usize = 1 << 31;

/// The longest payload: a body of the largest size behind three varints.
const PAYLOAD_BYTES_MAX: usize = RECORD_BODY_BYTES_MAX + 3 * VARINT_BYTES_MAX;

/// What a log is for. One kind is never read as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// A segment of the write-ahead log: the records hold batches.
    Wal,
    /// A manifest: the records hold version edits.
    Manifest,
}

impl LogKind {
    /// What a file of this kind begins with.
    pub(crate) fn magic(self) -> [u8; 8] {
        match self {
            Self::Wal => *b"FlowWAL\n",
            Self::Manifest => *b"FlowMAN\n",
        }
    }

    /// The four bytes that stand in every record of log `number`. A reader searches for them behind damage.
    fn tag(self, number: u64) -> u32 {
        let magic = match self {
            Self::Wal => 0x9D4B_E7A3,
            Self::Manifest => 0xC6A9_58F1,
        };
        number as u32 ^ magic
    }
}

/// The segment that came before, and its exact length at the time when it was sealed and synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PreviousSegment {
    pub(crate) number: u64,
    pub(crate) end_offset: u64,
}

/// What a log says of itself at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) kind: LogKind,
    /// The number of this file.
    pub(crate) number: u64,
    /// Everything in that segment before that offset was durable before this header was written.
    pub(crate) previous: Option<PreviousSegment>,
    /// The seqno of the first entry of the first record. At least 1.
    pub(crate) first_seqno: SeqNo,
}

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let previous = self.previous.unwrap_or(PreviousSegment { number: 0, end_offset: 0 });
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend_from_slice(&self.kind.magic());
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        // Reserved, so that the numbers behind it are aligned.
        out.extend_from_slice(&[0; 4]);
        for number in [self.number, previous.number, previous.end_offset, self.first_seqno] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// Decodes the header of log `number` of `kind` that stands in `bytes`.
    fn decode(bytes: &[u8], path: &Path, kind: LogKind, number: u64) -> Result<Self> {
        let damaged = |what: &str| Error::corruption(path, format!("segment header: {what}"));
        let fields = Fields::take(bytes).ok_or_else(|| damaged("cut short"))?;
        if fields.magic != kind.magic() {
            return Err(damaged("not the magic bytes of this kind of log"));
        }
        if !Self::is_whole(bytes) {
            return Err(damaged("checksum mismatch"));
        }
        if fields.version != FORMAT_VERSION {
            let message = format!(
                "{} has log format {}; this FlowDB reads {FORMAT_VERSION}: open it with the FlowDB that wrote it",
                path.display(),
                fields.version
            );
            return Err(Error::new(Code::Version, message));
        }
        let previous = match (fields.previous_number, fields.previous_end) {
            (0, 0) => None,
            (number, end_offset) => Some(PreviousSegment { number, end_offset }),
        };
        let header = Self { kind, number: fields.number, previous, first_seqno: fields.first_seqno };
        if fields.number != number {
            return Err(damaged(&format!("it names file {} instead of {number}", fields.number)));
        }
        if !header.is_sound() {
            return Err(damaged("impossible numbers"));
        }
        Ok(header)
    }

    /// Whether `bytes` begin with a header, of whatever version, with the right checksum.
    fn is_whole(bytes: &[u8]) -> bool {
        let Some((covered, mut crc)) =
            bytes.get(..SEGMENT_HEADER_BYTES).map(|bytes| bytes.split_at(SEGMENT_HEADER_BYTES - 4))
        else {
            return false;
        };
        take_u32(&mut crc) == Some(crc32fast::hash(covered))
    }

    /// Whether the numbers can be true: what a writer must give, and a reader may rely on.
    fn is_sound(&self) -> bool {
        let previous_is_sound = self.previous.is_none_or(|previous| {
            (1..self.number).contains(&previous.number) && previous.end_offset >= SEGMENT_HEADER_BYTES as u64
        });
        self.number > 0 && (1..=SEQNO_MAX).contains(&self.first_seqno) && previous_is_sound
    }
}

/// The fields of a segment header as they lie in the file.
struct Fields {
    magic: [u8; 8],
    version: u32,
    number: u64,
    previous_number: u64,
    previous_end: u64,
    first_seqno: u64,
}

impl Fields {
    fn take(bytes: &[u8]) -> Option<Self> {
        let mut input = bytes;
        let magic = take_bytes(&mut input, 8)?.try_into().ok()?;
        let version = take_u32(&mut input)?;
        take_u32(&mut input)?;
        Some(Self {
            magic,
            version,
            number: take_u64(&mut input)?,
            previous_number: take_u64(&mut input)?,
            previous_end: take_u64(&mut input)?,
            first_seqno: take_u64(&mut input)?,
        })
    }
}

/// What a record says of its entries, in front of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claims {
    first_seqno: SeqNo,
    /// Everything up to this seqno was durable when the record was written.
    durable_seqno: SeqNo,
    entry_count: u64,
}

impl Claims {
    /// The seqno of the last entry, or `None` where the numbers can't be true.
    fn last_seqno(&self) -> Option<SeqNo> {
        let more = self.entry_count.checked_sub(1)?;
        let last = self.first_seqno.checked_add(more)?;
        let sound = self.first_seqno > self.durable_seqno && last <= SEQNO_MAX;
        sound.then_some(last)
    }

    fn encoded_len(&self) -> usize {
        varint_len(self.first_seqno) + varint_len(self.lag()) + varint_len(self.entry_count)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.first_seqno);
        put_varint(out, self.lag());
        put_varint(out, self.entry_count);
    }

    /// Takes the claims from the front of a payload; `None` where they can't be true.
    fn take(input: &mut &[u8]) -> Option<Self> {
        let first_seqno = take_varint(input)?;
        let lag = take_varint(input)?;
        let durable_seqno = first_seqno.checked_sub(1)?.checked_sub(lag)?;
        let claims = Self { first_seqno, durable_seqno, entry_count: take_varint(input)? };
        claims.last_seqno().map(|_| claims)
    }

    /// How many seqnos before the first were not yet durable: small in the common case, so one byte.
    fn lag(&self) -> u64 {
        self.first_seqno - 1 - self.durable_seqno
    }
}

/// The checksum of a record of log `number` at `offset`; `covered` is its length, tag and payload as they lie
/// in the file.
fn record_crc(number: u64, offset: u64, covered: &[u8]) -> u32 {
    record_crc_of(number, offset, covered, &[])
}

/// As [`record_crc`], for bytes of which the end lies elsewhere, in parts.
fn record_crc_of(number: u64, offset: u64, covered: &[u8], parts: &[&[u8]]) -> u32 {
    // What binds the record to its place, in one piece: each call costs more than the bytes of a small record do.
    let mut place = [0; 16];
    place[..8].copy_from_slice(&number.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place);
    hasher.update(covered);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
