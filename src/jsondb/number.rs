//! Documents that are numbers, changed where they lie: counters.
//!
//! JSON text holds a number; a structured clone holds those that JSON can't, and bigints. Of that form only these few
//! are read and written here, each with the version of the form that stands before it.
//!
//! Invariant: a number and a bigint never make one of the two, because either would lose what the other has.
#![forbid(unsafe_code)]

use super::key::{BigInt, Key};
use super::transaction::Transaction;
use super::{Document, Format};
use crate::coding::{put_varint, take_bytes, take_varint};
use crate::error::{Code, Error, Result};

/// The longest bigint that is made, in bytes: what is added to takes time by its length.
const BIGINT_BYTES_MAX: usize = 1 << 20;

/// Whole numbers up to this one are each a number of their own, and written without a fraction.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What a structured clone begins with, before its version.
const CLONE: u8 = 0xff;
/// The version that is written where none is given.
const CLONE_VERSION: u8 = 15;
const CLONE_INT: u8 = b'I';
const CLONE_UNSIGNED: u8 = b'U';
const CLONE_DOUBLE: u8 = b'N';
const CLONE_BIGINT: u8 = b'Z';
/// Bigints lie there in digits of so many bytes.
const DIGIT_BYTES: usize = 8;

/// What is made of the number that there is and the one that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reckoning {
    /// Both together.
    Sum,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
}

impl Reckoning {
    fn of<T: PartialOrd>(self, now: T, given: T, sum: impl FnOnce(T, T) -> T) -> T {
        match self {
            Self::Sum => sum(now, given),
            Self::Min if given < now => given,
            Self::Max if given > now => given,
            Self::Min | Self::Max => now,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Number {
    Float(f64),
    Whole(BigInt),
}

impl Number {
    /// The number that a document is, if it is one.
    fn read(document: &Document) -> Option<Self> {
        match document.format {
            Format::Json => {
                let text = std::str::from_utf8(&document.bytes).ok()?.trim_ascii();
                // `parse` takes words for numbers, too.
                let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
                if is_number { text.parse().ok().map(Self::Float) } else { None }
            }
            Format::Structured => match document.bytes.as_slice() {
                [CLONE, _version, kind, rest @ ..] => read_clone(*kind, rest),
                _ => None,
            },
            Format::Raw | Format::Text => None,
        }
        .filter(|number| !matches!(number, Self::Float(float) if float.is_nan()))
    }

    /// The number as a document: in the form of `like`, where that can hold it.
    fn write(&self, like: &Document) -> Document {
        let version = match (like.format, like.bytes.get(1)) {
            (Format::Structured, Some(version)) => *version,
            _ => CLONE_VERSION,
        };
        match self {
            Self::Float(float) if like.format == Format::Json && !is_negative_zero(*float) => {
                let whole = float.fract() == 0.0 && float.abs() <= WHOLE_MAX;
                let text = if whole { format!("{float:.0}") } else { format!("{float:?}") };
                Document { format: Format::Json, bytes: text.into_bytes() }
            }
            Self::Float(float) => {
                let mut bytes = vec![CLONE, version, CLONE_DOUBLE];
                bytes.extend_from_slice(&float.to_le_bytes());
                Document { format: Format::Structured, bytes }
            }
            Self::Whole(whole) => {
                let mut bytes = vec![CLONE, version, CLONE_BIGINT];
                put_bigint(&mut bytes, whole);
                Document { format: Format::Structured, bytes }
            }
        }
    }
}

fn is_negative_zero(float: f64) -> bool {
    float == 0.0 && float.is_sign_negative()
}

fn read_clone(kind: u8, mut rest: &[u8]) -> Option<Number> {
    let number = match kind {
        CLONE_INT => {
            let zigzag = u32::try_from(take_varint(&mut rest)?).ok()?;
            Number::Float(f64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)))
        }
        CLONE_UNSIGNED => Number::Float(f64::from(u32::try_from(take_varint(&mut rest)?).ok()?)),
        CLONE_DOUBLE => {
            let (bytes, after) = rest.split_first_chunk()?;
            rest = after;
            Number::Float(f64::from_le_bytes(*bytes))
        }
        CLONE_BIGINT => Number::Whole(take_bigint(&mut rest)?),
        _ => return None,
    };
    rest.is_empty().then_some(number)
}

/// The sign is the lowest bit of what is before the digits, their length in bytes the rest; the lowest digit comes first.
fn take_bigint(input: &mut &[u8]) -> Option<BigInt> {
    let head = take_varint(input)?;
    let digits = take_bytes(input, usize::try_from(head >> 1).ok()?)?;
    let magnitude: Vec<u8> = digits.iter().rev().copied().collect();
    Some(BigInt::new(head & 1 != 0, &magnitude))
}

fn put_bigint(out: &mut Vec<u8>, number: &BigInt) {
    let magnitude = number.magnitude();
    let length = magnitude.len().next_multiple_of(DIGIT_BYTES);
    put_varint(out, (length as u64) << 1 | u64::from(number.is_negative()));
    out.extend(magnitude.iter().rev());
    out.resize(out.len() + length - magnitude.len(), 0);
}

impl Transaction {
    /// Puts in the place of a document that is a number what `reckoning` makes of it and of `given`, or `given` where there
    /// is none; and gives what is there then. A new one expires as its store says, and another when it would have.
    ///
    /// # Errors
    ///
    /// `InvalidValue` where one of them is no number, one is a number and the other a bigint, or what would come of it is
    /// too large; and as for [`Transaction::put`].
    pub fn reckon(
        &mut self,
        store: &str,
        key: &Key,
        reckoning: Reckoning,
        given: &Document,
    ) -> Result<Document> {
        self.store_to_write(store)?;
        let refused = |what: &str| {
            let message = format!("changing the number {key} of {store:?}: {what}");
            Error::new(Code::InvalidValue, message)
        };
        let number = Number::read(given).ok_or_else(|| refused("what is given is no number"))?;
        let old = self.get(store, key)?;
        let made = match &old {
            None => number,
            Some(old) => {
                let now =
                    Number::read(&old.document).ok_or_else(|| refused("the value there is no number"))?;
                combined(reckoning, now, number).map_err(refused)?
            }
        };
        let document = made.write(given);
        self.replace(store, key, document.clone(), old.as_ref())?;
        Ok(document)
    }
}

fn combined(reckoning: Reckoning, now: Number, given: Number) -> std::result::Result<Number, &'static str> {
    let made = match (now, given) {
        (Number::Float(now), Number::Float(given)) => {
            Number::Float(reckoning.of(now, given, |now, given| now + given))
        }
        (Number::Whole(now), Number::Whole(given)) => {
            Number::Whole(reckoning.of(now, given, |now, given| now.plus(&given)))
        }
        (Number::Float(_), Number::Whole(_)) => return Err("a bigint is given, and there is a number"),
        (Number::Whole(_), Number::Float(_)) => return Err("a number is given, and there is a bigint"),
    };
    match &made {
        Number::Float(float) if !float.is_finite() => Err("what comes of it is not finite"),
        Number::Whole(whole) if whole.magnitude().len() > BIGINT_BYTES_MAX => {
            Err("what comes of it is larger than 2^8388608")
        }
        _ => Ok(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(format: Format, bytes: &[u8]) -> Document {
        Document { format, bytes: bytes.to_vec() }
    }

    fn clone(bytes: &[u8]) -> Option<Number> {
        Number::read(&document(Format::Structured, bytes))
    }

    #[test]
    fn a_number_is_read_from_what_json_and_structured_clone_make_of_it() {
        let json = |text: &str| Number::read(&document(Format::Json, text.as_bytes()));
        assert_eq!(json("-12.5e3"), Some(Number::Float(-12_500.0)));
        assert_eq!(json(" 7\n"), Some(Number::Float(7.0)));
        for text in ["\"7\"", "null", "true", "[1]", "{}", "inf", "nan", ""] {
            assert_eq!(json(text), None, "{text}");
        }
        // As `v8.serialize` writes -3, 3,000,000,000 and ±2^64.
        assert_eq!(clone(&[0xff, 15, b'I', 5]), Some(Number::Float(-3.0)));
        let large = 3e9f64.to_le_bytes();
        assert_eq!(clone(&[&[0xff, 15, b'N'][..], &large].concat()), Some(Number::Float(3e9)));
        let digits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        for (head, negative) in [(32, false), (33, true)] {
            let bytes = [&[0xff, 15, b'Z', head][..], &digits].concat();
            let expected = BigInt::new(negative, &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(clone(&bytes), Some(Number::Whole(expected)));
            for end in 0..bytes.len() {
                assert_eq!(clone(&bytes[..end]), None, "cut at {end}");
            }
        }
        let nan = [&[0xff, 15, b'N'][..], &f64::NAN.to_le_bytes()].concat();
        assert_eq!((clone(&nan), clone(&[0xff, 15, b'T'])), (None, None));
        assert_eq!(Number::read(&document(Format::Text, b"7")), None);
    }

    #[test]
    fn a_number_is_written_so_that_it_is_read_back_as_it_was() {
        let like = document(Format::Json, b"0");
        let floats = [0.0, -0.0, 7.0, -1.5, 1e21, 1e-7, f64::MAX, f64::MIN_POSITIVE, 9_007_199_254_740_993.0];
        for float in floats {
            let written = Number::Float(float).write(&like);
            let Some(Number::Float(read)) = Number::read(&written) else { panic!("{float}") };
            assert_eq!(read.to_bits(), float.to_bits());
        }
        assert_eq!(Number::Float(7.0).write(&like).bytes, b"7");
        let structured = document(Format::Structured, &[0xff, 14, b'I', 2]);
        assert_eq!(Number::Float(7.0).write(&structured).bytes[..3], [0xff, 14, b'N']);
        for value in [0, 1, -1, i128::from(u64::MAX), i128::from(u64::MAX) + 1, i128::MIN + 1] {
            let number = Number::Whole(BigInt::from(value));
            assert_eq!(Number::read(&number.write(&like)), Some(number));
        }
    }

    #[test]
    fn what_no_number_can_be_made_of_is_refused() {
        let float = |float| Number::Float(float);
        let whole = |whole: i128| Number::Whole(BigInt::from(whole));
        assert_eq!(combined(Reckoning::Sum, float(0.1), float(0.2)), Ok(float(0.1 + 0.2)));
        assert_eq!(combined(Reckoning::Sum, whole(-5), whole(3)), Ok(whole(-2)));
        assert_eq!(combined(Reckoning::Min, whole(-5), whole(3)), Ok(whole(-5)));
        assert_eq!(combined(Reckoning::Max, float(-5.0), float(3.0)), Ok(float(3.0)));
        assert!(combined(Reckoning::Sum, float(f64::MAX), float(f64::MAX)).is_err());
        assert!(combined(Reckoning::Min, whole(1), float(1.0)).is_err());
        assert!(combined(Reckoning::Max, float(1.0), whole(1)).is_err());
        let longest = Number::Whole(BigInt::new(false, &vec![0xff; BIGINT_BYTES_MAX]));
        assert!(combined(Reckoning::Sum, longest.clone(), whole(1)).is_err());
        assert_eq!(combined(Reckoning::Sum, longest.clone(), whole(0)), Ok(longest));
    }
}
