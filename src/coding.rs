//! Varints, fixed integers and length-prefixed bytes: the alphabet of every format of ours.
//!
//! Decoders take from the front of a slice and return `None` where the bytes don't hold what was asked for;
//! the caller knows the file and turns that into `Corruption`. Nothing here allocates.
#![forbid(unsafe_code)]

#[cfg(any(test, fuzzing))]
mod choices;

#[cfg(any(test, fuzzing))]
pub(crate) use choices::Choices;

/// The longest varint of a `u64`, in bytes.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Appends `value` as LEB128: seven bits a byte, lowest first, the high bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_varint`] would append.
pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes a varint from the front of `input`. Padded encodings (`0x80 0x00`) and overflows are refused.
#[inline]
pub(crate) fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        *input = rest;
        return Some(u64::from(first));
    }
    let Some(word) = input.first_chunk::<8>() else { return take_varint_bytewise(input) };
    let word = u64::from_le_bytes(*word);
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return take_varint_bytewise(input);
    }
    // Eight bytes at a time: drop what lies behind the first byte without its high bit, then close the gaps that the
    // high bits leave between the groups of seven, pairwise.
    let bits = ends.trailing_zeros() + 1;
    if word >> (bits - 8) & 0xff == 0 {
        return None;
    }
    let word = word & (u64::MAX >> (64 - bits)) & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let quads = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    *input = &input[bits as usize / 8..];
    Some((quads & 0x0fff_ffff) | ((quads & 0x0fff_ffff_0000_0000) >> 4))
}

fn take_varint_bytewise(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in input.iter().enumerate().take(VARINT_BYTES_MAX) {
        let bits = u64::from(byte & 0x7f);
        if index == VARINT_BYTES_MAX - 1 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return None;
            }
            *input = &input[index + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a varint that counts bytes or entries in memory.
pub(crate) fn take_len(input: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_varint(input)?).ok()
}

/// Takes the first `len` bytes of `input`.
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(taken)
}

/// Takes one byte.
pub(crate) fn take_u8(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}

/// Takes a little-endian `u32`.
pub(crate) fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_le_bytes(*bytes))
}

/// Takes a little-endian `u64`.
pub(crate) fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

/// Appends `bytes` behind their length as a varint.
pub(crate) fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes that stand behind their length as a varint.
pub(crate) fn take_prefixed<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_len(input)?;
    take_bytes(input, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_as_they_went_in() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                assert_eq!(bytes.len(), varint_len(value), "{value}");
                let mut input = &bytes[..];
                assert_eq!(take_varint(&mut input), Some(value));
                assert!(input.is_empty());
            }
        }
    }

    #[test]
    fn a_varint_that_is_cut_padded_or_too_large_is_refused() {
        for bytes in [&[0x80u8][..], &[], &[0x80, 0x00], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(take_varint(&mut &bytes[..]), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_varint_reads_the_same_whatever_stands_behind_it() {
        for len in 1..=VARINT_BYTES_MAX {
            for last in [0, 1, 2, 0x7f] {
                for continued in [0x80, 0x81, 0xd5, 0xff] {
                    let mut bytes = vec![continued; len - 1];
                    bytes.push(last);
                    let mut alone = &bytes[..];
                    let wanted = take_varint_bytewise(&mut alone);
                    for behind in [&[][..], &[0; 9], &[0xff; 9], &[0x80, 1, 2, 3, 4, 5, 6, 7]] {
                        let longer = [&bytes[..], behind].concat();
                        let mut input = &longer[..];
                        assert_eq!(take_varint(&mut input), wanted, "{longer:x?}");
                        if wanted.is_some() {
                            assert_eq!(input, behind, "{longer:x?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_the_input_is_refused() {
        assert_eq!(take_prefixed(&mut &[5, 1, 2][..]), None);
        assert_eq!(take_prefixed(&mut &[2, 1, 2, 3][..]), Some(&[1u8, 2][..]));
    }
}
