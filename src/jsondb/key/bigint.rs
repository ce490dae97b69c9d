//! Whole numbers of any size, as far as keys need them: the nearest `f64` below, what is left over, and order.
//!
//! Invariant: a magnitude is big-endian without leading zeros, and zero is not negative, so that equal numbers
//! have equal representations.

use std::cmp::Ordering;
use std::fmt;

/// A whole number of any size: JavaScript's `bigint`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BigInt {
    negative: bool,
    magnitude: Vec<u8>,
}

impl BigInt {
    /// The number with this sign and big-endian magnitude; leading zeros are dropped, and -0 is 0.
    #[must_use]
    pub fn new(negative: bool, magnitude: &[u8]) -> Self {
        let magnitude = without_leading_zeros(magnitude);
        Self { negative: negative && !magnitude.is_empty(), magnitude: magnitude.to_vec() }
    }

    /// Whether the number is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The absolute value as big-endian bytes without leading zeros; zero has none.
    #[must_use]
    pub fn magnitude(&self) -> &[u8] {
        &self.magnitude
    }

    /// Both together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let (a, b) = (&self.magnitude, &other.magnitude);
        match (self.negative == other.negative, compare_magnitudes(a, b)) {
            (true, _) => Self::new(self.negative, &add(a, b)),
            (false, Ordering::Less) => Self::new(other.negative, &subtract(b, a)),
            (false, _) => Self::new(self.negative, &subtract(a, b)),
        }
    }

    /// The largest `f64` that is not above this number, and whether it is exactly this number.
    pub(super) fn floor(&self) -> (f64, bool) {
        let bits = bit_len(&self.magnitude);
        let (lead, rest) = self.magnitude.split_at(self.magnitude.len().min(8));
        let lead_value = lead.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        if bits <= f64::MANTISSA_DIGITS as usize {
            let value = lead_value as f64;
            return (if self.negative { -value } else { value }, true);
        }
        if bits > f64::MAX_EXP as usize {
            return (if self.negative { f64::NEG_INFINITY } else { f64::MAX }, false);
        }
        // The first of eight bytes is not zero, so that they hold 57 bits at least: the 53 of a significand
        // and more.
        let surplus = bits - 8 * rest.len() - f64::MANTISSA_DIGITS as usize;
        let significand = lead_value >> surplus;
        let exact = lead_value == significand << surplus && rest.iter().all(|&byte| byte == 0);
        let exponent = (bits - 1 + 1023) as u64;
        let truncated = f64::from_bits(exponent << 52 | significand & SIGNIFICAND_MASK);
        match (self.negative, exact) {
            (false, _) => (truncated, exact),
            (true, true) => (-truncated, true),
            (true, false) => ((-truncated).next_down(), false),
        }
    }

    /// The magnitude of `self - floor`, where `floor` comes from [`BigInt::floor`]; of `self` when it is -∞.
    pub(super) fn remainder(&self, floor: f64) -> Vec<u8> {
        let floor_magnitude = whole_magnitude(floor);
        match (floor.is_finite(), self.negative) {
            (false, _) => self.magnitude.clone(),
            (true, false) => subtract(&self.magnitude, &floor_magnitude),
            (true, true) => subtract(&floor_magnitude, &self.magnitude),
        }
    }

    /// The number that has this whole or infinite `floor` and this remainder; `None` when there is none.
    pub(super) fn from_floor(floor: f64, remainder: &[u8]) -> Option<Self> {
        let number = if floor == f64::NEG_INFINITY {
            Self::new(true, remainder)
        } else if floor >= 0.0 {
            Self::new(false, &add(&whole_magnitude(floor), remainder))
        } else {
            let floor_magnitude = whole_magnitude(floor);
            if compare_magnitudes(remainder, &floor_magnitude) != Ordering::Less {
                return None;
            }
            Self::new(true, &subtract(&floor_magnitude, remainder))
        };
        (number.floor() == (floor, remainder.is_empty())).then_some(number)
    }

    /// Compares by value with an `f64` that is not NaN.
    pub(super) fn compare_f64(&self, other: f64) -> Ordering {
        if other.is_infinite() {
            return 0.0.partial_cmp(&other).unwrap_or(Ordering::Equal);
        }
        let whole = Self::new(other < 0.0, &whole_magnitude(other));
        let fraction = other - other.trunc();
        self.cmp(&whole).then(0.0.partial_cmp(&fraction).unwrap_or(Ordering::Equal))
    }
}

impl Ord for BigInt {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => compare_magnitudes(&self.magnitude, &other.magnitude),
            (true, true) => compare_magnitudes(&other.magnitude, &self.magnitude),
        }
    }
}

impl PartialOrd for BigInt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i128> for BigInt {
    fn from(value: i128) -> Self {
        Self::new(value < 0, &value.unsigned_abs().to_be_bytes())
    }
}

/// Hexadecimal, for example `-0x1f`: exact, and cheap for a number of any size.
impl fmt::Debug for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negative { "-0x" } else { "0x" })?;
        match self.magnitude.split_first() {
            None => f.write_str("0"),
            Some((first, rest)) => {
                write!(f, "{first:x}")?;
                rest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

const SIGNIFICAND_MASK: u64 = (1 << 52) - 1;

fn without_leading_zeros(magnitude: &[u8]) -> &[u8] {
    let zeros = magnitude.iter().take_while(|&&byte| byte == 0).count();
    magnitude.get(zeros..).unwrap_or_default()
}

fn bit_len(magnitude: &[u8]) -> usize {
    magnitude.first().map_or(0, |first| 8 * magnitude.len() - first.leading_zeros() as usize)
}

fn compare_magnitudes(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The magnitude of a finite number's whole part.
fn whole_magnitude(value: f64) -> Vec<u8> {
    let bits = value.to_bits() & !(1 << 63);
    let exponent = (bits >> 52) as usize;
    if exponent < 1023 {
        return Vec::new();
    }
    let significand = bits & SIGNIFICAND_MASK | 1 << 52;
    if exponent <= 1075 {
        return without_leading_zeros(&(significand >> (1075 - exponent)).to_be_bytes()).to_vec();
    }
    let shift = exponent - 1075;
    let lead = (significand << (shift % 8)).to_be_bytes();
    let mut magnitude = without_leading_zeros(&lead).to_vec();
    magnitude.resize(magnitude.len() + shift / 8, 0);
    magnitude
}

fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    for place in 0..a.len().max(b.len()) {
        let total = digit(a, place) + digit(b, place) + carry;
        sum.push(total as u8);
        carry = total >> 8;
    }
    sum.push(carry as u8);
    sum.reverse();
    without_leading_zeros(&sum).to_vec()
}

/// `a - b`, where `a` is the larger.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = Vec::with_capacity(a.len());
    let mut borrow = 0;
    for place in 0..a.len() {
        let total = 256 + digit(a, place) - digit(b, place) - borrow;
        difference.push(total as u8);
        borrow = 1 - (total >> 8);
    }
    difference.reverse();
    without_leading_zeros(&difference).to_vec()
}

/// The digit to the base 256 at `place`, counted from the lowest.
fn digit(magnitude: &[u8], place: usize) -> u16 {
    magnitude.iter().rev().nth(place).copied().map_or(0, u16::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power_of_two(exponent: usize) -> Vec<u8> {
        let mut magnitude = vec![1 << (exponent % 8)];
        magnitude.resize(1 + exponent / 8, 0);
        magnitude
    }

    #[test]
    fn a_bigint_that_an_i128_holds_has_the_floor_that_the_cpu_computes() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..20_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(round) | 1);
            let value = (i128::from(state as i64) << 40 | i128::from(state >> 20)) >> (round % 104);
            let (floor, exact) = BigInt::from(value).floor();
            let nearest = value as f64;
            let expected = if nearest as i128 > value { nearest.next_down() } else { nearest };
            assert_eq!(floor, expected, "{value}");
            assert_eq!(exact, floor as i128 == value, "{value}");
            let remainder = BigInt::from(value).remainder(floor);
            assert_eq!(BigInt::new(false, &remainder), BigInt::from(value - floor as i128), "{value}");
            assert_eq!(BigInt::from_floor(floor, &remainder), Some(BigInt::from(value)));
        }
    }

    #[test]
    fn a_sum_is_the_one_that_the_cpu_computes() {
        let numbers = [0, 1, -1, 255, 256, -256, -65_537, i128::from(i64::MIN), i128::from(u64::MAX)];
        for a in numbers {
            for b in numbers {
                assert_eq!(BigInt::from(a).plus(&BigInt::from(b)), BigInt::from(a + b), "{a} + {b}");
            }
        }
    }

    #[test]
    fn beyond_the_largest_f64_the_floor_is_that_or_minus_infinity() {
        let max = whole_magnitude(f64::MAX);
        assert_eq!(BigInt::new(false, &max).floor(), (f64::MAX, true));
        assert_eq!(BigInt::new(true, &max).floor(), (f64::MIN, true));
        for beyond in [add(&max, &[1]), power_of_two(1024), power_of_two(8191)] {
            assert_eq!(BigInt::new(false, &beyond).floor(), (f64::MAX, false));
            assert_eq!(BigInt::new(true, &beyond).floor(), (f64::NEG_INFINITY, false));
            for negative in [false, true] {
                let number = BigInt::new(negative, &beyond);
                let floor = number.floor().0;
                assert_eq!(BigInt::from_floor(floor, &number.remainder(floor)), Some(number));
            }
        }
    }

    #[test]
    fn a_floor_and_remainder_that_belong_to_another_floor_are_refused() {
        let two_54 = (1u64 << 54) as f64;
        assert_eq!(BigInt::from_floor(two_54, &[4]), None, "the next f64 is only 4 away");
        assert!(BigInt::from_floor(two_54, &[3]).is_some());
        assert_eq!(BigInt::from_floor(-two_54, &[2]), None, "towards zero it is only 2 away");
        assert!(BigInt::from_floor(-two_54, &[1]).is_some());
        assert_eq!(BigInt::from_floor(1.0, &[1]), None);
        assert_eq!(BigInt::from_floor(-1.0, &[1]), None);
        assert_eq!(BigInt::from_floor(f64::NEG_INFINITY, &[1]), None);
        assert_eq!(BigInt::from_floor(f64::NEG_INFINITY, &[]), None);
    }

    #[test]
    fn a_bigint_compares_with_fractions_and_infinities_by_value() {
        let five = BigInt::from(5);
        assert_eq!(five.compare_f64(5.0), Ordering::Equal);
        assert_eq!(five.compare_f64(5.5), Ordering::Less);
        assert_eq!(five.compare_f64(4.5), Ordering::Greater);
        assert_eq!(BigInt::from(-5).compare_f64(-5.5), Ordering::Greater);
        assert_eq!(BigInt::from(0).compare_f64(-0.0), Ordering::Equal);
        assert_eq!(BigInt::from(0).compare_f64(f64::MIN_POSITIVE), Ordering::Less);
        let huge = BigInt::new(false, &power_of_two(8000));
        assert_eq!(huge.compare_f64(f64::INFINITY), Ordering::Less);
        assert_eq!(BigInt::new(true, huge.magnitude()).compare_f64(f64::NEG_INFINITY), Ordering::Greater);
    }

    #[test]
    fn zero_has_no_sign_and_no_leading_zeros_count() {
        assert_eq!(BigInt::new(true, &[0, 0]), BigInt::from(0));
        assert_eq!(BigInt::new(true, &[0, 7]), BigInt::from(-7));
        assert_eq!(
            format!("{:?} {:?} {:?}", BigInt::from(0), BigInt::from(-31), BigInt::from(4096)),
            "0x0 -0x1f 0x1000"
        );
    }
}
