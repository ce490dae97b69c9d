//! Writing keys.

use super::{
    ARRAY, ARRAY_DEPTH_MAX, ARRAY_END, BIGINT_BYTES_MAX, BINARY, BigInt, Class, DATE, ENCODED_KEY_BYTES_MAX,
    FALSE, KeyValue, NULL, NUMBER, SAFE_INTEGER_MAX, STRING, TRUE, invalid, is_date,
};
use crate::error::Result;

/// Appends the encoding of `value`, which lies within `depth` arrays.
pub(super) fn put_value(out: &mut Vec<u8>, value: &KeyValue, depth: usize) -> Result<()> {
    match value {
        KeyValue::Null => out.push(NULL),
        KeyValue::Bool(value) => out.push(if *value { TRUE } else { FALSE }),
        KeyValue::Number(number) if number.is_nan() => return Err(invalid("a key can't be NaN")),
        KeyValue::Number(number) => {
            out.push(NUMBER);
            put_bits(out, *number, Class::Number);
        }
        KeyValue::BigInt(number) => put_bigint(out, number)?,
        KeyValue::Date(ms) if !is_date(*ms) => return Err(invalid("a key can't be an invalid date")),
        KeyValue::Date(ms) => {
            out.push(DATE);
            put_bits(out, *ms, Class::Number);
        }
        KeyValue::String(units) => put_string(out, units)?,
        KeyValue::Binary(bytes) => put_binary(out, bytes)?,
        KeyValue::Array(elements) => {
            if depth == ARRAY_DEPTH_MAX {
                return Err(invalid(&format!("arrays in a key are nested more than {ARRAY_DEPTH_MAX} deep")));
            }
            out.push(ARRAY);
            for element in elements {
                put_value(out, element, depth + 1)?;
            }
            out.push(ARRAY_END);
        }
    }
    check_len(out)
}

/// Appends a number, or a bigint where numbers are not exact.
pub(super) fn put_whole(out: &mut Vec<u8>, number: i64) {
    out.push(NUMBER);
    if number.unsigned_abs() <= SAFE_INTEGER_MAX {
        put_bits(out, number as f64, Class::Number);
    } else {
        put_bigint_digits(out, &i128::from(number).into());
    }
}

/// Appends a string that is UTF-8; most are ASCII, which stands for itself.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) -> Result<()> {
    check_room(text.len() / 3)?; // no UTF-16 unit takes more bytes of UTF-8
    if !text.bytes().all(|byte| (2..=0x7f).contains(&byte)) {
        return put_string(out, &text.encode_utf16().collect::<Vec<_>>());
    }
    check_room(text.len())?;
    out.reserve(text.len() + 2);
    out.push(STRING);
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

fn put_string(out: &mut Vec<u8>, units: &[u16]) -> Result<()> {
    check_room(units.len())?;
    out.reserve(units.len() + 2);
    out.push(STRING);
    for &unit in units {
        let high = 0x80 | (unit >> 6 & 0x3f) as u8;
        let low = 0x80 | (unit & 0x3f) as u8;
        match unit {
            0..=1 => out.extend([1, unit as u8 + 1]),
            2..=0x7f => out.push(unit as u8),
            0x80..=0x7ff => out.extend([0xc0 | (unit >> 6) as u8, low]),
            0x800.. => out.extend([0xe0 | (unit >> 12) as u8, high, low]),
        }
    }
    out.push(0);
    Ok(())
}

/// Refuses an encoding that has grown beyond the longest key.
pub(super) fn check_len(encoded: &[u8]) -> Result<()> {
    check_room(encoded.len())
}

/// Refuses what takes `len` bytes at least, before they are written.
fn check_room(len: usize) -> Result<()> {
    if len > ENCODED_KEY_BYTES_MAX {
        return Err(invalid(&format!("a key takes more than {ENCODED_KEY_BYTES_MAX} bytes encoded")));
    }
    Ok(())
}

fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    check_room(bytes.len())?;
    out.reserve(bytes.len() + 3);
    out.push(BINARY);
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 0]);
    Ok(())
}

fn put_bigint(out: &mut Vec<u8>, number: &BigInt) -> Result<()> {
    if number.magnitude().len() > BIGINT_BYTES_MAX {
        let bits = 8 * BIGINT_BYTES_MAX;
        return Err(invalid(&format!(
            "a bigint in a key must lie between -2^{bits} and 2^{bits}, both excluded"
        )));
    }
    out.push(NUMBER);
    put_bigint_digits(out, number);
    Ok(())
}

/// Appends what follows the tag of a bigint of at most [`BIGINT_BYTES_MAX`].
fn put_bigint_digits(out: &mut Vec<u8>, number: &BigInt) {
    let (floor, exact) = number.floor();
    if exact {
        return put_bits(out, floor, Class::Whole);
    }
    put_bits(out, floor, Class::Above);
    let start = out.len();
    let remainder = number.remainder(floor);
    out.extend_from_slice(&(remainder.len() as u16).to_be_bytes());
    out.extend_from_slice(&remainder);
    if floor == f64::NEG_INFINITY {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Appends the 64 bits of `value` in their order and its class, seven bits a byte and without trailing zeros.
fn put_bits(out: &mut Vec<u8>, value: f64, class: Class) {
    // Adding 0 turns -0 into 0.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    let stream = u128::from(ordered) << 6 | u128::from(class as u8) << 4;
    let groups = 10 - (stream.trailing_zeros() as usize / 7).min(9);
    for index in 0..groups {
        let group = (stream >> (63 - 7 * index)) as u8 & 0x7f;
        out.push(group << 1 | u8::from(index + 1 < groups));
    }
}
