//! The bytes of pointers, directories and footers.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::path::Path;

use crate::coding::{put_varint, take_u32, take_u64, take_varint};
use crate::error::{Code, Error, Result};
use crate::frame::{Damage, Decoded, TRAILER_BYTES};
use crate::key::VALUE_BYTES_MAX;

/// A value is cut into chunks of so many bytes; the last one has the rest. A slice costs what its chunks do.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// The length of the footer.
pub(crate) const FOOTER_BYTES: usize = 40;

/// The length of the value and the checksum, with which every directory ends.
pub(super) const DIRECTORY_END_BYTES: usize = 8;

const LEN_BYTES: usize = 4;

/// Where the checksum stands in the footer.
const CHECKSUM_AT: usize = 28;

const FORMAT_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"FLOWval\0";

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValuePointer {
    /// The number of the value file.
    pub(crate) file: u64,
    /// Where the record begins.
    pub(crate) offset: u64,
    /// The length of the record, its directory included.
    pub(crate) record_len: u64,
    /// The length of the value.
    pub(crate) value_len: u64,
}

impl ValuePointer {
    /// Appends the pointer as the value of a table's entry.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.file, self.offset, self.record_len, self.value_len] {
            put_varint(out, number);
        }
    }

    /// Reads the value of a table's entry.
    pub(crate) fn decode(mut bytes: &[u8]) -> Decoded<Self> {
        Self::take(&mut bytes).filter(|_| bytes.is_empty()).ok_or(Damage("it leads nowhere"))
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let pointer = Self {
            file: take_varint(input)?,
            offset: take_varint(input)?,
            record_len: take_varint(input)?,
            value_len: take_varint(input)?,
        };
        // The least record of such a value: each chunk is a byte in its frame.
        let chunks = pointer.value_len.div_ceil(CHUNK_BYTES as u64);
        let least = chunks * (1 + TRAILER_BYTES as u64) + directory_len(pointer.value_len);
        let is_sound = (1..=VALUE_BYTES_MAX as u64).contains(&pointer.value_len)
            && pointer.record_len >= least
            && pointer.offset.checked_add(pointer.record_len).is_some();
        is_sound.then_some(pointer)
    }

    /// Where the record ends.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.record_len)
    }
}

/// The length of the directory of a value of `value_len` bytes.
pub(super) fn directory_len(value_len: u64) -> u64 {
    value_len.div_ceil(CHUNK_BYTES as u64) * LEN_BYTES as u64 + DIRECTORY_END_BYTES as u64
}

/// Where the chunks of one value lie. The lengths of them all are checked against each other and the record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(super) value_len: u64,
    /// Where the chunks begin, and where the last one ends.
    pub(super) bounds: Vec<u64>,
}

impl Directory {
    /// The directory behind chunks with these frame lengths.
    pub(super) fn encode(number: u64, offset: u64, frames: &[u32], value_len: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(frames.len() * LEN_BYTES + DIRECTORY_END_BYTES);
        for len in frames {
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(&(value_len as u32).to_le_bytes());
        let checksum = checksum(number, offset, &[&out]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The length of the value of which a directory ends with `end`. Nothing has verified it yet.
    pub(super) fn value_len_at_end(mut end: &[u8]) -> Decoded<u64> {
        let len = take_u32(&mut end).map(u64::from);
        len.filter(|len| (1..=VALUE_BYTES_MAX as u64).contains(len))
            .ok_or(Damage("it has an impossible length"))
    }

    /// Reads the directory at `offset` of the value file `number`. It stands behind its chunks.
    pub(super) fn decode(number: u64, offset: u64, bytes: &[u8]) -> Decoded<Self> {
        const SHORT: Damage = Damage("it is cut short");
        let (body, mut stored) =
            bytes.split_last_chunk::<LEN_BYTES>().map(|(b, c)| (b, &c[..])).ok_or(SHORT)?;
        if take_u32(&mut stored) != Some(checksum(number, offset, &[body])) {
            return Err(Damage("the checksum doesn't match"));
        }
        let (mut lens, end) = body.split_last_chunk::<LEN_BYTES>().map(|(b, c)| (b, &c[..])).ok_or(SHORT)?;
        let value_len = Self::value_len_at_end(end)?;
        if bytes.len() as u64 != directory_len(value_len) {
            return Err(Damage("it has another number of chunks than its value"));
        }
        let mut bounds = Vec::with_capacity(lens.len() / LEN_BYTES + 1);
        bounds.push(0);
        let (mut total, mut left) = (0u64, value_len);
        while let Some(len) = take_u32(&mut lens) {
            let payload = left.min(CHUNK_BYTES as u64);
            left -= payload;
            // A chunk that doesn't shrink is stored as it is.
            let fits = (1 + TRAILER_BYTES as u64..=payload + TRAILER_BYTES as u64).contains(&u64::from(len));
            if !fits {
                return Err(Damage("a chunk has an impossible length"));
            }
            total += u64::from(len);
            bounds.push(total);
        }
        let start = offset.checked_sub(total).ok_or(Damage("its chunks would begin before the file"))?;
        bounds.iter_mut().for_each(|bound| *bound += start);
        Ok(Self { value_len, bounds })
    }

    /// Where the first chunk begins.
    pub(super) fn start(&self) -> u64 {
        self.bounds.first().copied().unwrap_or_default()
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Where the frame of a chunk lies in the file.
    pub(super) fn frame(&self, chunk: usize) -> Range<u64> {
        match self.bounds.get(chunk..chunk + 2) {
            Some(&[start, end]) => start..end,
            _ => 0..0,
        }
    }

    /// How many bytes of the value a chunk holds.
    pub(super) fn payload_len(&self, chunk: usize) -> usize {
        let before = (chunk * CHUNK_BYTES) as u64;
        self.value_len.saturating_sub(before).min(CHUNK_BYTES as u64) as usize
    }

    /// The chunks that hold a range of the value that isn't empty.
    pub(super) fn chunks_of(&self, range: &Range<u64>) -> Range<usize> {
        let chunk = CHUNK_BYTES as u64;
        (range.start / chunk) as usize..range.end.div_ceil(chunk) as usize
    }
}

/// The end of a value file: what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) records: u64,
    /// The bytes of all values before compression.
    pub(super) value_bytes: u64,
    pub(super) number: u64,
}

impl Footer {
    /// The footer's bytes at `offset`.
    pub(super) fn encode(&self, offset: u64) -> [u8; FOOTER_BYTES] {
        let mut out = [0; FOOTER_BYTES];
        out[..8].copy_from_slice(&self.records.to_le_bytes());
        out[8..16].copy_from_slice(&self.value_bytes.to_le_bytes());
        out[16..20].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[20..28].copy_from_slice(&self.number.to_le_bytes());
        let checksum = checksum(self.number, offset, &[&out[..CHECKSUM_AT], &MAGIC]);
        out[CHECKSUM_AT..32].copy_from_slice(&checksum.to_le_bytes());
        out[32..].copy_from_slice(&MAGIC);
        out
    }

    /// Reads the footer of the value file `number`, which stands at `offset` in the file `path`.
    pub(super) fn decode(bytes: &[u8], number: u64, offset: u64, path: &Path) -> Result<Self> {
        let damaged = |damage: Damage| damage.at(path, "the footer", offset);
        let (footer, version) = Self::parse(bytes, number, offset).map_err(damaged)?;
        if version != FORMAT_VERSION {
            let message = format!(
                "{}: the value file has format version {version}, this FlowDB reads {FORMAT_VERSION}: use a newer one",
                path.display()
            );
            return Err(Error::new(Code::Version, message));
        }
        Ok(footer)
    }

    fn parse(bytes: &[u8], number: u64, offset: u64) -> Decoded<(Self, u32)> {
        const SHORT: Damage = Damage("too short");
        let (mut body, mut tail) = bytes.split_at_checked(CHECKSUM_AT).ok_or(SHORT)?;
        let stored = take_u32(&mut tail).ok_or(SHORT)?;
        if tail != MAGIC {
            return Err(Damage("this is not a value file, or its end is missing"));
        }
        if stored != checksum(number, offset, &[body, &MAGIC]) {
            return Err(Damage("the checksum doesn't match"));
        }
        Self::take(&mut body).filter(|(footer, _)| footer.number == number).ok_or(SHORT)
    }

    fn take(input: &mut &[u8]) -> Option<(Self, u32)> {
        let (records, value_bytes) = (take_u64(input)?, take_u64(input)?);
        let (version, number) = (take_u32(input)?, take_u64(input)?);
        Some((Self { records, value_bytes, number }, version))
    }
}

/// The checksum of `parts` that stand at `offset` in the file `number`.
pub(super) fn checksum(number: u64, offset: u64, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
