//! Keys of documents and indexes: values of seven types in one order, as bytes that sort the same way.
//!
//! Order: null < false < true < numbers and bigints by value (at equal value the number first) < dates <
//! strings by UTF-16 code unit < binary < arrays. An encoding is self-delimiting (no encoding is the beginning
//! of another) and canonical (one value, one encoding), so that a row key can be several of them in a row.
//! `lib/key.js` writes the same bytes; docs/format/keys.md describes them and tests/golden/keys.json holds
//! both to that.
#![forbid(unsafe_code)]

mod bigint;
mod encode;
#[cfg(test)]
mod golden;
mod range;
mod read;
#[cfg(test)]
pub(super) mod tests;

use std::cmp::Ordering;
use std::fmt;

pub use bigint::BigInt;
pub use range::KeyRange;
pub use read::skip;

use crate::error::{Code, Error, Result};

/// The longest encoded key, in bytes.
pub const ENCODED_KEY_BYTES_MAX: usize = 16 * 1024;

/// How deep arrays may lie within each other in a key; an array of numbers is one deep.
pub const ARRAY_DEPTH_MAX: usize = 32;

/// The largest magnitude of a bigint in a key, in bytes: it is below 2^8192.
pub const BIGINT_BYTES_MAX: usize = 1024;

/// What a number takes at most.
const NUMBER_BYTES_MAX: usize = 12;

/// The farthest dates from 1970 that JavaScript has, in milliseconds.
const DATE_MS_MAX: f64 = 8.64e15;

pub(super) const ARRAY_END: u8 = 0x00;
const NULL: u8 = 0x10;
const FALSE: u8 = 0x20;
const TRUE: u8 = 0x21;
const NUMBER: u8 = 0x30;
const DATE: u8 = 0x40;
const STRING: u8 = 0x50;
const BINARY: u8 = 0x60;
pub(super) const ARRAY: u8 = 0x70;

/// What an `f64` in a key stands for; part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    /// The number itself (or the milliseconds of a date).
    Number = 0,
    /// A bigint of exactly this value.
    Whole = 1,
    /// A bigint above it by the remainder that follows.
    Above = 2,
}

/// An encoded key. Its order is the order of the values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

/// As [`Key::plain_ascii`], of an encoded key.
pub(crate) fn plain_ascii_of(encoded: &[u8]) -> Option<&[u8]> {
    match encoded {
        // All of them are looked at, which takes less than looking where to stop.
        [STRING, text @ .., 0] if text.iter().fold(true, |all, byte| all & (2..0x80).contains(byte)) => {
            Some(text)
        }
        _ => None,
    }
}

/// The number that an encoded key is, where it is one.
#[cfg(feature = "node")]
pub(crate) fn number_of(encoded: &[u8]) -> Option<f64> {
    read::number_of(encoded)
}

/// What a key means.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyValue {
    /// JavaScript's `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number but NaN. -0 is the same key as 0 and comes back as 0.
    Number(f64),
    /// A whole number below 2^8192 in magnitude; it is another key than the number of the same value.
    BigInt(BigInt),
    /// Whole milliseconds since 1970, at most 8.64e15 away from it.
    Date(f64),
    /// UTF-16 code units, lone surrogates included.
    String(Vec<u16>),
    /// Bytes.
    Binary(Vec<u8>),
    /// Keys within a key.
    Array(Vec<KeyValue>),
}

impl Key {
    /// Encodes `value`.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for NaN, a date or bigint out of range, arrays nested too deep, and an encoding above
    /// [`ENCODED_KEY_BYTES_MAX`].
    pub fn encode(value: &KeyValue) -> Result<Self> {
        let mut bytes = Vec::with_capacity(NUMBER_BYTES_MAX);
        encode::put_value(&mut bytes, value, 0)?;
        Ok(Self(bytes))
    }

    /// The value that this key means.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for the upper bound of [`KeyRange::prefix`], which is a position and not a key.
    pub fn decode(&self) -> Result<KeyValue> {
        let mut input = &self.0[..];
        match read::take_value(&mut input, 0) {
            Some(value) if input.is_empty() => Ok(value),
            _ => Err(not_a_key()),
        }
    }

    /// Takes bytes that claim to be an encoded key, and checks them whole.
    ///
    /// # Errors
    ///
    /// `InvalidKey` when they are anything else than what [`Key::encode`] gives for some value.
    pub fn from_encoded(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        let mut input = &bytes[..];
        match skip(&mut input) {
            Some(_) if input.is_empty() => Ok(Self(bytes)),
            _ => Err(not_a_key()),
        }
    }

    /// The key of bytes that [`skip`] has passed.
    pub(super) fn of_checked(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// A bound that is no key but a position between keys, such as the upper one of [`KeyRange::prefix`].
    pub(crate) fn at_position(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The key of an array of the values of `parts`, without decoding them.
    ///
    /// # Errors
    ///
    /// `InvalidKey` when it is too long or nested too deep.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a Key>) -> Result<Self> {
        let mut bytes = vec![ARRAY];
        for part in parts {
            bytes.extend_from_slice(&part.0);
            encode::check_len(&bytes)?;
        }
        bytes.push(ARRAY_END);
        Self::from_encoded(bytes)
    }

    /// The keys of an array's elements; `None` when this is not an array.
    #[must_use]
    pub fn parts(&self) -> Option<Vec<Key>> {
        let (&ARRAY, mut input) = self.0.split_first()? else { return None };
        let mut parts = Vec::new();
        while input != [ARRAY_END] {
            parts.push(Self(skip(&mut input)?.to_vec()));
        }
        Some(parts)
    }

    /// The letters, where the key is a string whose letters are all of ASCII and above U+0001.
    #[must_use]
    pub fn plain_ascii(&self) -> Option<&[u8]> {
        plain_ascii_of(&self.0)
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoded bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The key of a string.
    ///
    /// # Errors
    ///
    /// `InvalidKey` when it is too long.
    #[expect(clippy::should_implement_trait, reason = "text is the value here, not a notation to be parsed")]
    pub fn from_str(text: &str) -> Result<Self> {
        let mut bytes = Vec::new();
        encode::put_text(&mut bytes, text)?;
        encode::check_len(&bytes)?;
        Ok(Self(bytes))
    }

    /// The key of a number.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for NaN.
    pub fn from_f64(number: f64) -> Result<Self> {
        Self::encode(&number.into())
    }

    /// The key of a number, or of a bigint where JavaScript's numbers are not exact any more (beyond 2^53 - 1).
    #[must_use]
    pub fn from_i64(number: i64) -> Self {
        let mut bytes = Vec::new();
        encode::put_whole(&mut bytes, number);
        Self(bytes)
    }

    /// The key of bytes.
    ///
    /// # Errors
    ///
    /// `InvalidKey` when they are too many.
    pub fn from_binary(bytes: &[u8]) -> Result<Self> {
        Self::encode(&KeyValue::Binary(bytes.to_vec()))
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Self {
        Self::from_i64(number)
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The value as an error message shows it, cut where it is long.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 80;
        let text = match self.decode() {
            Ok(value) => value.to_string(),
            Err(_) => format!("position {:02x?}", self.0),
        };
        match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A notation for people, close to JavaScript's.
impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::BigInt(value) => write!(f, "{value:?}n"),
            Self::Date(ms) => write!(f, "Date({ms})"),
            Self::String(units) => write!(f, "{:?}", String::from_utf16_lossy(units)),
            Self::Binary(bytes) => write!(f, "Binary({bytes:02x?})"),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (index, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl From<bool> for KeyValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for KeyValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// A number, or a bigint where JavaScript's numbers are not exact any more (beyond 2^53 - 1).
impl From<i64> for KeyValue {
    fn from(number: i64) -> Self {
        if number.unsigned_abs() <= SAFE_INTEGER_MAX {
            Self::Number(number as f64)
        } else {
            Self::BigInt(i128::from(number).into())
        }
    }
}

impl From<BigInt> for KeyValue {
    fn from(number: BigInt) -> Self {
        Self::BigInt(number)
    }
}

impl From<&str> for KeyValue {
    fn from(text: &str) -> Self {
        Self::String(text.encode_utf16().collect())
    }
}

impl<const N: usize> From<[KeyValue; N]> for KeyValue {
    fn from(elements: [KeyValue; N]) -> Self {
        Self::Array(elements.into())
    }
}

/// The order of keys, computed from the values: what the order of the encodings is held to.
///
/// NaN, which no key has, compares as equal to every number.
#[must_use]
pub fn compare_values(a: &KeyValue, b: &KeyValue) -> Ordering {
    use KeyValue::{Array, BigInt, Binary, Bool, Date, Number, String};
    match (a, b) {
        (Bool(a), Bool(b)) => a.cmp(b),
        (Number(a), Number(b)) | (Date(a), Date(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (BigInt(a), BigInt(b)) => a.cmp(b),
        (BigInt(a), Number(b)) => a.compare_f64(*b).then(Ordering::Greater),
        (Number(a), BigInt(b)) => b.compare_f64(*a).reverse().then(Ordering::Less),
        (String(a), String(b)) => a.cmp(b),
        (Binary(a), Binary(b)) => a.cmp(b),
        (Array(a), Array(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| compare_values(a, b)).find(|order| order.is_ne());
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => type_rank(a).cmp(&type_rank(b)),
    }
}

/// The largest number such that it and all whole numbers below it are exact in an `f64`.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

fn type_rank(value: &KeyValue) -> u8 {
    match value {
        KeyValue::Null => 0,
        KeyValue::Bool(_) => 1,
        KeyValue::Number(_) | KeyValue::BigInt(_) => 2,
        KeyValue::Date(_) => 3,
        KeyValue::String(_) => 4,
        KeyValue::Binary(_) => 5,
        KeyValue::Array(_) => 6,
    }
}

fn is_date(ms: f64) -> bool {
    ms.abs() <= DATE_MS_MAX && ms.trunc() == ms
}

fn invalid(what: &str) -> Error {
    Error::new(Code::InvalidKey, what)
}

fn not_a_key() -> Error {
    invalid("these bytes are not an encoded key")
}
