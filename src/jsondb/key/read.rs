//! Reading keys, strictly: every reader takes exactly what `encode` writes and gives `None` for anything else.

use super::{
    ARRAY, ARRAY_DEPTH_MAX, ARRAY_END, BIGINT_BYTES_MAX, BINARY, BigInt, Class, DATE, ENCODED_KEY_BYTES_MAX,
    FALSE, KeyValue, NULL, NUMBER, STRING, TRUE, is_date,
};
use crate::coding::{take_bytes, take_u8};

/// Takes one encoded key from the front of `input`, as in a row key that has several; `None`, and `input` as it
/// was, when what stands there is not a valid, canonical key.
#[must_use]
pub fn skip<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *input;
    skip_value(&mut rest, 0)?;
    let len = input.len() - rest.len();
    if len > ENCODED_KEY_BYTES_MAX {
        return None;
    }
    take_bytes(input, len)
}

/// Takes a key that lies within `depth` arrays, for its value.
pub(super) fn take_value(input: &mut &[u8], depth: usize) -> Option<KeyValue> {
    Some(match take_u8(input)? {
        NULL => KeyValue::Null,
        FALSE => KeyValue::Bool(false),
        TRUE => KeyValue::Bool(true),
        NUMBER => match take_number(input)? {
            Numeric::Number(number) => KeyValue::Number(number),
            Numeric::BigInt(number) => KeyValue::BigInt(number),
        },
        DATE => KeyValue::Date(take_date(input)?),
        STRING => {
            let mut units = Vec::new();
            take_string(input, |unit| units.push(unit))?;
            KeyValue::String(units)
        }
        BINARY => {
            let mut bytes = Vec::new();
            take_binary(input, |byte| bytes.push(byte))?;
            KeyValue::Binary(bytes)
        }
        ARRAY if depth < ARRAY_DEPTH_MAX => {
            let mut elements = Vec::new();
            while !take_array_end(input)? {
                elements.push(take_value(input, depth + 1)?);
            }
            KeyValue::Array(elements)
        }
        _ => return None,
    })
}

/// Takes a key that lies within `depth` arrays, only to know where it ends.
fn skip_value(input: &mut &[u8], depth: usize) -> Option<()> {
    match take_u8(input)? {
        NULL | FALSE | TRUE => Some(()),
        NUMBER => take_number(input).map(drop),
        DATE => take_date(input).map(drop),
        STRING => skip_string(input),
        BINARY => take_binary(input, drop),
        ARRAY if depth < ARRAY_DEPTH_MAX => {
            while !take_array_end(input)? {
                skip_value(input, depth + 1)?;
            }
            Some(())
        }
        _ => None,
    }
}

/// Takes the end of an array if it is there; `None` at the end of the input.
fn take_array_end(input: &mut &[u8]) -> Option<bool> {
    let (&byte, rest) = input.split_first()?;
    if byte == ARRAY_END {
        *input = rest;
    }
    Some(byte == ARRAY_END)
}

enum Numeric {
    Number(f64),
    BigInt(BigInt),
}

fn take_number(input: &mut &[u8]) -> Option<Numeric> {
    let (value, class) = take_bits(input)?;
    match class {
        Class::Number => Some(Numeric::Number(value)),
        Class::Whole if value.is_infinite() || value.trunc() != value => None,
        Class::Whole => BigInt::from_floor(value, &[]).map(Numeric::BigInt),
        Class::Above => take_remainder(input, value).map(Numeric::BigInt),
    }
}

fn take_date(input: &mut &[u8]) -> Option<f64> {
    let (ms, class) = take_bits(input)?;
    (class == Class::Number && is_date(ms)).then_some(ms)
}

/// Takes the remainder of a bigint and gives the bigint.
fn take_remainder(input: &mut &[u8], floor: f64) -> Option<BigInt> {
    if floor == f64::INFINITY || floor.trunc() != floor {
        return None;
    }
    let flip = if floor == f64::NEG_INFINITY { 0xff } else { 0 };
    let len = u16::from_be_bytes([take_u8(input)? ^ flip, take_u8(input)? ^ flip]);
    if len == 0 || usize::from(len) > BIGINT_BYTES_MAX {
        return None;
    }
    let remainder: Vec<u8> = take_bytes(input, len.into())?.iter().map(|byte| byte ^ flip).collect();
    if remainder.first() == Some(&0) {
        return None;
    }
    BigInt::from_floor(floor, &remainder).filter(|number| number.magnitude().len() <= BIGINT_BYTES_MAX)
}

/// Takes an `f64` and its class.
fn take_bits(input: &mut &[u8]) -> Option<(f64, Class)> {
    let mut stream = 0u128;
    for index in 0..10 {
        let byte = take_u8(input)?;
        stream |= u128::from(byte >> 1) << (63 - 7 * index);
        if byte & 1 == 1 {
            continue;
        }
        let is_padded = byte == 0;
        let class = match stream >> 4 & 3 {
            0 => Class::Number,
            1 => Class::Whole,
            2 => Class::Above,
            _ => return None,
        };
        if is_padded || stream & 0xf != 0 {
            return None;
        }
        let ordered = (stream >> 6) as u64;
        let bits = if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered };
        let value = f64::from_bits(bits);
        let is_negative_zero = value == 0.0 && value.is_sign_negative();
        return (!value.is_nan() && !is_negative_zero).then_some((value, class));
    }
    None
}

fn take_string(input: &mut &[u8], mut each: impl FnMut(u16)) -> Option<()> {
    loop {
        let first = take_u8(input)?;
        match first {
            0 => return Some(()),
            1 => match take_u8(input)? {
                escaped @ 1..=2 => each(u16::from(escaped) - 1),
                _ => return None,
            },
            2..=0x7f => each(first.into()),
            0xc2..=0xdf => each(u16::from(first & 0x1f) << 6 | take_continuation(input)?),
            0xe0..=0xef => {
                let high = take_continuation(input)?;
                let unit = u16::from(first & 0xf) << 12 | high << 6 | take_continuation(input)?;
                if unit < 0x800 {
                    return None;
                }
                each(unit);
            }
            _ => return None,
        }
    }
}

/// Passes a string, eight letters at a time while they are of ASCII and above U+0001.
fn skip_string(input: &mut &[u8]) -> Option<()> {
    while let Some((word, rest)) = input.split_first_chunk::<8>()
        && are_plain(u64::from_le_bytes(*word))
    {
        *input = rest;
    }
    take_string(input, drop)
}

/// Whether eight bytes are all from 2 to 0x7f.
fn are_plain(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // A byte below 2 borrows into its own high bit; where none does, no bit is set that is not in `word`.
    (word.wrapping_sub(2 * ONES) | word) & (ONES << 7) == 0
}

/// The number that an encoded key is; `None` where it is anything else.
#[cfg(feature = "node")]
pub(super) fn number_of(encoded: &[u8]) -> Option<f64> {
    let (&NUMBER, mut rest) = encoded.split_first()? else { return None };
    match take_bits(&mut rest)? {
        (value, Class::Number) if rest.is_empty() => Some(value),
        _ => None,
    }
}

/// Takes the six bits of a continuation byte.
fn take_continuation(input: &mut &[u8]) -> Option<u16> {
    let byte = take_u8(input)?;
    (byte >> 6 == 0b10).then_some(u16::from(byte & 0x3f))
}

fn take_binary(input: &mut &[u8], mut each: impl FnMut(u8)) -> Option<()> {
    loop {
        match take_u8(input)? {
            0 => match take_u8(input)? {
                0 => return Some(()),
                0xff => each(0),
                _ => return None,
            },
            byte => each(byte),
        }
    }
}
