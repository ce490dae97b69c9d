//! The frame around every block of a table and every chunk of a value: payload, a type byte, and a checksum.
//!
//! Invariant: the checksum covers the file's number and the block's offset besides its bytes, so that a block of
//! another file, of another place in this file, or of an earlier life of the disk sector can't pass for this one.
#![forbid(unsafe_code)]

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lz4;
mod output;

use std::cell::RefCell;
use std::path::Path;

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::coding::{VARINT_BYTES_MAX, put_varint, take_len};
use crate::error::Error;
use crate::key::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

pub(crate) use output::FrameOutput;

/// What is wrong with some bytes. The caller knows which file they came from, and makes it an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) &'static str);

impl Damage {
    /// The error for damage in the `part` of the file `path` that starts at `offset`.
    pub(crate) fn at(self, path: &Path, part: &str, offset: u64) -> Error {
        Error::corruption(path, format_args!("{part} at offset {offset}: {}", self.0))
    }
}

/// The result of decoding bytes whose file is not known here.
pub(crate) type Decoded<T> = Result<T, Damage>;

/// The type byte and the checksum.
pub(crate) const TRAILER_BYTES: usize = 5;

/// The longest payload, in bytes: the largest entry there may be, with room for what stands around it.
pub(crate) const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX + KEY_BYTES_MAX + 4096;

const RAW: u8 = 0;
const LZ4: u8 = 1;

/// One byte of LZ4 adds at most so many bytes to what it decompresses to.
const LZ4_EXPANSION_MAX: usize = 255;

/// Looking for the end of a frame, so many lengths whose type is none cost as much as a checksum.
const LENGTHS_OF_A_STEP: usize = 64;

/// How a payload lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As it is.
    Raw,
    /// As LZ4 behind the payload's length.
    Lz4,
}

/// The trailer of a block whose bytes on disk (before the trailer) are `stored`.
pub(crate) fn trailer(number: u64, offset: u64, stored: &[u8], packing: Packing) -> [u8; TRAILER_BYTES] {
    let kind = match packing {
        Packing::Raw => RAW,
        Packing::Lz4 => LZ4,
    };
    let [a, b, c, d] = checksum(number, offset, stored, kind).to_le_bytes();
    [kind, a, b, c, d]
}

/// How hard it is tried to make a payload small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Somebody waits, or it will be packed again soon.
    Quick,
    /// It will lie there for long. This takes twice the time.
    Thorough,
}

/// Compresses `payload` into `scratch` and returns the bytes to store, or `None` where that saves less than
/// an eighth: the reader would pay for every read what the disk hardly gains.
pub(crate) fn compress<'a>(payload: &[u8], effort: Effort, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let stored = if effort == Effort::Thorough && payload.len() <= lz4::INPUT_BYTES_MAX {
        scratch.clear();
        put_varint(scratch, payload.len() as u64);
        lz4::pack(payload, scratch);
        &scratch[..]
    } else {
        compress_quickly(payload, scratch)?
    };
    (stored.len() <= payload.len() - payload.len() / 8).then_some(stored)
}

fn compress_quickly<'a>(payload: &[u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let mut len = Vec::with_capacity(VARINT_BYTES_MAX);
    put_varint(&mut len, payload.len() as u64);
    let head = len.len();
    // It only grows, so that it is not cleared for every block.
    let room = head + get_maximum_output_size(payload.len());
    if scratch.len() < room {
        scratch.resize(room, 0);
    }
    scratch[..head].copy_from_slice(&len);
    let written = compress_into(payload, &mut scratch[head..]).ok()?;
    Some(&scratch[..head + written])
}

/// What is kept of the memory that payloads are decompressed into.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;

thread_local! {
    /// Its length never falls but to give memory back, so that it is not cleared for each block.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Verifies a whole frame and returns its payload.
pub(crate) fn open(number: u64, offset: u64, frame: &[u8]) -> Decoded<Vec<u8>> {
    open_with(number, offset, frame, |payload| Ok(payload.to_vec()))
}

/// Verifies a whole frame and gives its payload to `parse`.
pub(crate) fn open_with<T>(
    number: u64,
    offset: u64,
    frame: &[u8],
    parse: impl FnOnce(&[u8]) -> Decoded<T>,
) -> Decoded<T> {
    let (stored, packing) = verify(number, offset, frame)?;
    match packing {
        Packing::Raw => parse(stored),
        Packing::Lz4 => SCRATCH.with_borrow_mut(|scratch| {
            let parsed = decompress(stored, scratch).and_then(parse);
            if scratch.len() > SCRATCH_BYTES_KEPT {
                *scratch = Vec::new();
            }
            parsed
        }),
    }
}

/// Verifies a whole frame and returns its bytes as they are stored.
pub(crate) fn verify(number: u64, offset: u64, frame: &[u8]) -> Decoded<(&[u8], Packing)> {
    let (stored, trailer) =
        frame.split_last_chunk::<TRAILER_BYTES>().ok_or(Damage("shorter than its trailer"))?;
    let &[kind, a, b, c, d] = trailer;
    if checksum(number, offset, stored, kind) != u32::from_le_bytes([a, b, c, d]) {
        return Err(Damage("the checksum doesn't match"));
    }
    match kind {
        RAW => Ok((stored, Packing::Raw)),
        LZ4 => Ok((stored, Packing::Lz4)),
        _ => Err(Damage("an unknown block type")),
    }
}

/// Appends what a verified frame holds, which must be exactly `len` bytes.
pub(crate) fn unpack_behind(
    mut stored: &[u8],
    packing: Packing,
    len: usize,
    out: &mut Vec<u8>,
) -> Decoded<()> {
    const LENGTH: Damage = Damage("it doesn't hold as many bytes as it should");
    match packing {
        Packing::Raw if stored.len() == len => {
            out.extend_from_slice(stored);
            Ok(())
        }
        Packing::Raw => Err(LENGTH),
        Packing::Lz4 => {
            if take_len(&mut stored) != Some(len) {
                return Err(LENGTH);
            }
            let before = out.len();
            out.resize(before + len, 0);
            match decompress_into(stored, &mut out[before..]) {
                Ok(written) if written == len => Ok(()),
                Ok(_) => Err(LENGTH),
                Err(_) => Err(Damage("can't be decompressed")),
            }
        }
    }
}

/// The length of the frame that begins at `offset` of file `number` with `bytes`, if one does: the first length at which
/// the checksum is right. Adds the checksums that were compared to `steps`, and one for each [`LENGTHS_OF_A_STEP`] lengths
/// that were passed over.
pub(crate) fn find_end(number: u64, offset: u64, bytes: &[u8], steps: &mut u64) -> Option<usize> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    let mut hashed = 0;
    for len in 1..bytes.len().saturating_sub(TRAILER_BYTES - 1) {
        let Some(&[kind, a, b, c, d]) = bytes.get(len..len + TRAILER_BYTES) else { return None };
        if len % LENGTHS_OF_A_STEP == 0 {
            *steps += 1;
        }
        if kind != RAW && kind != LZ4 {
            continue;
        }
        *steps += 1;
        hasher.update(bytes.get(hashed..len).unwrap_or_default());
        hashed = len;
        let mut whole = hasher.clone();
        whole.update(&[kind]);
        if whole.finalize() == u32::from_le_bytes([a, b, c, d]) {
            return Some(len + TRAILER_BYTES);
        }
    }
    None
}

fn decompress<'a>(mut stored: &[u8], scratch: &'a mut Vec<u8>) -> Decoded<&'a [u8]> {
    let len = take_len(&mut stored).ok_or(Damage("the uncompressed length can't be read"))?;
    if len > PAYLOAD_BYTES_MAX || len > stored.len().saturating_mul(LZ4_EXPANSION_MAX) {
        return Err(Damage("the uncompressed length is beyond what the bytes can hold"));
    }
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    let payload = &mut scratch[..len];
    match decompress_into(stored, payload) {
        Ok(written) if written == len => Ok(payload),
        Ok(_) => Err(Damage("decompresses to fewer bytes than it says")),
        Err(_) => Err(Damage("can't be decompressed")),
    }
}

fn checksum(number: u64, offset: u64, stored: &[u8], kind: u8) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&number.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place);
    hasher.update(stored);
    hasher.update(&[kind]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(number: u64, offset: u64, payload: &[u8], packing: Packing) -> Vec<u8> {
        let mut scratch = Vec::new();
        let stored = match packing {
            Packing::Raw => payload,
            Packing::Lz4 => compress(payload, Effort::Quick, &mut scratch).unwrap(),
        };
        let mut frame = stored.to_vec();
        frame.extend_from_slice(&trailer(number, offset, stored, packing));
        frame
    }

    /// Or looking for blocks in a large damaged file would have no bound.
    #[test]
    fn lengths_that_can_be_none_are_counted_too_when_the_end_of_a_frame_is_looked_for() {
        let mut steps = 0;
        let bytes = vec![0xff; 100 * LENGTHS_OF_A_STEP + TRAILER_BYTES];

        assert_eq!(find_end(1, 0, &bytes, &mut steps), None);

        assert_eq!(steps, 100);
    }

    #[test]
    fn a_payload_comes_back_as_it_went_in() {
        let text = b"the same words, the same words, the same words, the same words".repeat(10);
        for packing in [Packing::Raw, Packing::Lz4] {
            let frame = framed(7, 4096, &text, packing);
            let (stored, found) = verify(7, 4096, &frame).unwrap();
            let mut payload = b"before".to_vec();
            unpack_behind(stored, found, text.len(), &mut payload).unwrap();
            assert_eq!((found, &payload[..]), (packing, &[b"before", &text[..]].concat()[..]));
            for wrong in [text.len() - 1, text.len() + 1] {
                assert!(unpack_behind(stored, found, wrong, &mut Vec::new()).is_err(), "{packing:?}");
            }
            assert_eq!(open(7, 4096, &frame).unwrap(), text, "{packing:?}");
        }
        assert_eq!(open(7, 0, &framed(7, 0, b"", Packing::Raw)).unwrap(), b"");
    }

    #[test]
    fn a_payload_comes_back_whatever_the_effort_and_its_length() {
        let mut scratch = Vec::new();
        for len in [100, 4096, lz4::INPUT_BYTES_MAX, lz4::INPUT_BYTES_MAX + 1, 100_000] {
            let text: Vec<u8> =
                b"the same words and other words, ".iter().copied().cycle().take(len).collect();
            for effort in [Effort::Quick, Effort::Thorough] {
                let mut frame = compress(&text, effort, &mut scratch).unwrap().to_vec();
                let trailer = trailer(7, 0, &frame, Packing::Lz4);
                frame.extend_from_slice(&trailer);

                assert_eq!(open(7, 0, &frame).unwrap(), text, "{len}, {effort:?}");
            }
        }
    }

    #[test]
    fn a_block_of_another_file_or_place_is_refused() {
        let frame = framed(7, 4096, b"payload", Packing::Raw);

        assert!(open(8, 4096, &frame).is_err());
        assert!(open(7, 8192, &frame).is_err());
    }

    #[test]
    fn the_end_of_a_frame_is_found_at_its_place_only() {
        let frame = framed(7, 4096, b"a payload", Packing::Raw);
        let more = [&frame[..], &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]].concat();

        assert_eq!(find_end(7, 4096, &more, &mut 0), Some(frame.len()));
        assert_eq!(find_end(7, 4096, &frame, &mut 0), Some(frame.len()));
        assert_eq!(find_end(7, 4096, &frame[..frame.len() - 1], &mut 0), None);
        assert_eq!(find_end(7, 4097, &more, &mut 0), None);
        assert_eq!(find_end(8, 4096, &more, &mut 0), None);
        for len in 0..TRAILER_BYTES {
            assert_eq!(find_end(7, 0, &frame[..len], &mut 0), None);
        }
    }

    #[test]
    fn any_flipped_or_missing_byte_is_refused() {
        let text = b"abcabcabcabcabcabcabcabcabcabcabcabcabc".repeat(4);
        for packing in [Packing::Raw, Packing::Lz4] {
            let frame = framed(7, 0, &text, packing);
            for at in 0..frame.len() {
                for mask in [1, 0x80, 0xff] {
                    let mut flipped = frame.clone();
                    flipped[at] ^= mask;
                    assert!(open(7, 0, &flipped).is_err(), "{packing:?} byte {at} mask {mask:#x}");
                }
                assert!(open(7, 0, &frame[..at]).is_err(), "{packing:?} cut at {at}");
            }
        }
    }

    /// Whoever makes a checksum fit still can't make us allocate a gigabyte for a few bytes.
    #[test]
    fn a_length_that_lz4_cannot_reach_is_refused_before_it_is_allocated() {
        for len in [4 * 255 + 1, PAYLOAD_BYTES_MAX as u64, PAYLOAD_BYTES_MAX as u64 + 1, u64::MAX] {
            let mut stored = Vec::new();
            put_varint(&mut stored, len);
            stored.extend_from_slice(&[0x10, b'x', 0, 0]);
            let mut frame = stored.clone();
            frame.extend_from_slice(&trailer(7, 0, &stored, Packing::Lz4));

            let damage = open(7, 0, &frame).unwrap_err();

            assert!(damage.0.contains("uncompressed length"), "{len}: {damage:?}");
        }
        // Five megabytes could become more than the largest payload there is.
        let mut stored = Vec::new();
        put_varint(&mut stored, PAYLOAD_BYTES_MAX as u64 + 1);
        stored.resize(5 << 20, 0);
        let trailer = trailer(7, 0, &stored, Packing::Lz4);
        stored.extend_from_slice(&trailer);
        assert!(open(7, 0, &stored).unwrap_err().0.contains("uncompressed length"));
    }

    #[test]
    fn a_payload_that_does_not_shrink_by_an_eighth_stays_raw() {
        let mut state = 1u64;
        let noise: Vec<u8> = (0..4096)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();

        for effort in [Effort::Quick, Effort::Thorough] {
            assert_eq!(compress(&noise, effort, &mut Vec::new()), None);
            assert_eq!(compress(b"", effort, &mut Vec::new()), None);
            assert!(compress(&[7; 4096], effort, &mut Vec::new()).is_some());
        }
    }
}
