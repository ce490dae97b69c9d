//! Numbers as Redis reads and writes them, and scores as bytes that sort as they do.
//!
//! Integers have 64 bits. Floats have 64, too, where Redis reckons with the 80 of a `long double` for strings and hashes: so
//! the last digits of a sum may differ (0.1 + 0.2 is 0.30000000000000004 here). Hexadecimal floats are not read.
#![forbid(unsafe_code)]

use crate::error::{Code, Error, Result};

/// The longest text of an integer: a sign and 19 digits.
const INTEGER_BYTES_MAX: usize = 20;

/// Floats are read from texts up to this length: the largest one has 309 digits, and 1,074 behind the point say the least.
const FLOAT_BYTES_MAX: usize = 5_000;

/// The number that a text says in the one form in which Redis writes it: no blanks, no `+`, no zeros before it.
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', ..] => text.len() <= INTEGER_BYTES_MAX,
        _ => false,
    };
    if is_plain { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// The number that a text says, infinities among them; `None` for what is none, and for NaN.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    if text.len() > FLOAT_BYTES_MAX {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// The shortest text that is read as the number again, without an exponent.
pub(super) fn format_float(number: f64) -> String {
    // There is one zero.
    if number == 0.0 { String::from("0") } else { number.to_string() }
}

/// A score as Redis writes it: an integer as that, others with as few digits as tell it, and very large and small ones with
/// an exponent.
#[must_use]
pub fn format_score(score: f64) -> String {
    /// Up to here every integer is one of its own.
    const EXACT_MAX: f64 = 4_503_599_627_370_496.0;
    if score.is_infinite() {
        return String::from(if score > 0.0 { "inf" } else { "-inf" });
    }
    if score.trunc() == score && score.abs() <= EXACT_MAX {
        return (score as i64).to_string();
    }
    let text = format!("{score:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    let last = exponent + 1 - digits;
    let is_plain = if last >= 0 { exponent < digits + 7 } else { last > -7 || exponent.abs() < 4 };
    if is_plain {
        return score.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{}", exponent.abs())
}

/// A number of 64 bits that is less than another's where the score is. Both zeros are one.
pub(super) fn order_of_score(score: f64) -> u64 {
    let bits = if score == 0.0 { 0 } else { score.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The score of which [`order_of_score`] has made this; `None` where it has made it of none.
pub(super) fn score_of_order(order: u64) -> Option<f64> {
    let bits = if order >> 63 == 1 { order & !(1 << 63) } else { !order };
    let score = f64::from_bits(bits);
    (!score.is_nan() && order_of_score(score) == order).then_some(score)
}

/// The value of a counter after a step.
///
/// # Errors
///
/// `InvalidValue` where that is no number of 64 bits.
pub(super) fn add_integers(value: i64, by: i64) -> Result<i64> {
    value
        .checked_add(by)
        .ok_or_else(|| Error::new(Code::InvalidValue, "increment or decrement would overflow"))
}

/// As [`add_integers`] for floats.
///
/// # Errors
///
/// `InvalidValue` where the result is NaN or infinite.
pub(super) fn add_floats(value: f64, by: f64) -> Result<f64> {
    let sum = value + by;
    if sum.is_finite() {
        return Ok(sum);
    }
    Err(Error::new(Code::InvalidValue, "increment would produce NaN or Infinity"))
}

pub(super) fn not_an_integer(what: &str) -> Error {
    Error::new(Code::InvalidValue, format!("{what} is not an integer or out of range"))
}

pub(super) fn not_a_float(what: &str) -> Error {
    Error::new(Code::InvalidValue, format!("{what} is not a valid float"))
}

/// # Errors
///
/// `InvalidValue` for NaN, which has no place in any order.
pub(super) fn check_score(score: f64) -> Result<()> {
    if score.is_nan() {
        return Err(Error::new(Code::InvalidValue, "a score that is not a number (NaN)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_the_form_in_which_they_are_written_only() {
        for number in [0, 7, -7, i64::MAX, i64::MIN, 1_000_000] {
            assert_eq!(parse_integer(number.to_string().as_bytes()), Some(number));
        }
        let texts = [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "9223372036854775808",
            "-9223372036854775809",
        ];
        for text in texts {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_integer(&[b'1'; 1 << 20]), None);
        assert_eq!(parse_integer(b"\xff"), None);
    }

    #[test]
    fn floats_are_read_without_blanks_and_never_as_nan() {
        for (text, number) in
            [("5", 5.0), ("5.", 5.0), (".5", 0.5), ("+1e3", 1000.0), ("-InF", f64::NEG_INFINITY), ("-0", 0.0)]
        {
            assert_eq!(parse_float(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["", " 1", "1 ", "nan", "-nan", "0x10", "1e", "abc", "1,5"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn floats_are_written_without_an_exponent() {
        for (number, text) in [
            (10.6, "10.6"),
            (5200.0, "5200"),
            (-0.0, "0"),
            (1e20, "100000000000000000000"),
            (1e-7, "0.0000001"),
        ] {
            assert_eq!(format_float(number), text);
        }
        assert_eq!(format_float(f64::MAX).parse::<f64>().unwrap(), f64::MAX);
    }

    #[test]
    fn scores_are_written_as_redis_does() {
        for (score, text) in [
            (3.0, "3"),
            (-0.0, "0"),
            (3.1, "3.1"),
            (-12.125, "-12.125"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1e15, "1000000000000000"),
            (1e20, "1e+20"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (1e-7, "1e-7"),
            (1.234_567e-10, "1.234567e-10"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
        ] {
            assert_eq!(format_score(score), text);
            assert_eq!(parse_float(text.as_bytes()), Some(score));
        }
    }

    #[test]
    fn the_bytes_of_scores_sort_as_they_do_and_lead_back_to_them() {
        let scores = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            -5e-324,
            0.0,
            5e-324,
            1.0,
            1.5,
            f64::MAX,
            f64::INFINITY,
        ];
        assert!(scores.map(order_of_score).is_sorted_by(|a, b| a < b));
        for score in scores {
            assert_eq!(score_of_order(order_of_score(score)), Some(score));
        }
        assert_eq!(order_of_score(-0.0), order_of_score(0.0));
        assert_eq!(score_of_order(u64::MAX), None);
        assert_eq!(score_of_order(0), None);
        assert_eq!(score_of_order(!(1 << 63)), None, "minus zero has no place of its own");
    }
}
