//! Ranges of keys.

use std::ops::Bound;

use super::{ARRAY, BINARY, Key, STRING};
use crate::error::{Code, Error, Result};

/// The keys between two bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// Where the range starts.
    pub lower: Bound<Key>,
    /// Where the range ends.
    pub upper: Bound<Key>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }

    /// `key` alone.
    #[must_use]
    pub fn only(key: Key) -> Self {
        Self { lower: Bound::Included(key.clone()), upper: Bound::Included(key) }
    }

    /// From `lower` to `upper`; a bound that is open is not in the range itself.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when `lower` is above `upper`, or equal to it and one of them is open: such a range
    /// could hold nothing, and is more likely a mistake.
    pub fn bound(lower: Key, upper: Key, lower_open: bool, upper_open: bool) -> Result<Self> {
        if lower > upper || lower == upper && (lower_open || upper_open) {
            let what = format!(
                "a key range from {lower:?} to {upper:?} can't hold any key: the lower bound comes first"
            );
            return Err(Error::new(Code::InvalidArgument, what));
        }
        Ok(Self { lower: bound(lower, lower_open), upper: bound(upper, upper_open) })
    }

    /// From `key` on; `key` itself is left out if `open`.
    #[must_use]
    pub fn lower_bound(key: Key, open: bool) -> Self {
        Self { lower: bound(key, open), upper: Bound::Unbounded }
    }

    /// Up to `key`; `key` itself is left out if `open`.
    #[must_use]
    pub fn upper_bound(key: Key, open: bool) -> Self {
        Self { lower: Bound::Unbounded, upper: bound(key, open) }
    }

    /// All strings that start with the string `key`, all binary keys that start with its bytes, or all arrays
    /// that start with its elements.
    ///
    /// The upper bound is the position behind the last of them, which is not a key of itself.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a key of another type.
    pub fn prefix(key: Key) -> Result<Self> {
        let terminator_len = match key.0.first() {
            Some(&(STRING | ARRAY)) => 1,
            Some(&BINARY) => 2,
            _ => {
                let what = format!("{key} can't be a prefix: only strings, binary keys and arrays can");
                return Err(Error::new(Code::InvalidArgument, what));
            }
        };
        // The first bytes that start with nothing of what the prefix starts: the body of the prefix, one up in
        // its last place. The tag is not 0xff, so that something is left to count up.
        let mut ceiling = key.0[..key.0.len() - terminator_len].to_vec();
        while ceiling.last() == Some(&0xff) {
            ceiling.pop();
        }
        if let Some(last) = ceiling.last_mut() {
            *last += 1;
        }
        Ok(Self { lower: Bound::Included(key), upper: Bound::Excluded(Key(ceiling)) })
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        let above = match &self.lower {
            Bound::Included(lower) => key >= lower,
            Bound::Excluded(lower) => key > lower,
            Bound::Unbounded => true,
        };
        above
            && match &self.upper {
                Bound::Included(upper) => key <= upper,
                Bound::Excluded(upper) => key < upper,
                Bound::Unbounded => true,
            }
    }
}

fn bound(key: Key, open: bool) -> Bound<Key> {
    if open { Bound::Excluded(key) } else { Bound::Included(key) }
}

#[cfg(test)]
mod tests {
    use super::super::KeyValue;
    use super::*;

    fn key(value: impl Into<KeyValue>) -> Key {
        Key::encode(&value.into()).unwrap()
    }

    fn binary(bytes: &[u8]) -> Key {
        Key::from_binary(bytes).unwrap()
    }

    #[test]
    fn a_range_holds_what_its_bounds_say() {
        let (one, two, three) = (key(1.0), key(2.0), key(3.0));
        let held = |range: &KeyRange| [&one, &two, &three].map(|key| range.contains(key));
        assert_eq!(held(&KeyRange::all()), [true, true, true]);
        assert_eq!(held(&KeyRange::only(two.clone())), [false, true, false]);
        assert_eq!(held(&KeyRange::lower_bound(two.clone(), false)), [false, true, true]);
        assert_eq!(held(&KeyRange::lower_bound(two.clone(), true)), [false, false, true]);
        assert_eq!(held(&KeyRange::upper_bound(two.clone(), false)), [true, true, false]);
        assert_eq!(held(&KeyRange::upper_bound(two.clone(), true)), [true, false, false]);
        let bound = |lower_open, upper_open| {
            KeyRange::bound(one.clone(), three.clone(), lower_open, upper_open)
                .map(|range| held(&range))
                .unwrap()
        };
        assert_eq!(bound(false, false), [true, true, true]);
        assert_eq!(bound(true, false), [false, true, true]);
        assert_eq!(bound(false, true), [true, true, false]);
    }

    #[test]
    fn a_range_that_could_hold_nothing_is_refused() {
        let (one, two) = (key(1.0), key(2.0));
        assert!(KeyRange::bound(one.clone(), one.clone(), false, false).is_ok());
        for (lower, upper, lower_open, upper_open) in
            [(&two, &one, false, false), (&one, &one, true, false), (&one, &one, false, true)]
        {
            let error = KeyRange::bound(lower.clone(), upper.clone(), lower_open, upper_open).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn a_prefix_range_holds_exactly_what_starts_with_the_prefix() {
        let last = KeyValue::String(vec![0xffff]);
        let strings = ["", "a", "ab", "ab\0", "ab\u{ffff}", "abc", "ac", "b", "\0"];
        for prefix in strings {
            let range = KeyRange::prefix(key(prefix)).unwrap();
            for text in strings {
                assert_eq!(range.contains(&key(text)), text.starts_with(prefix), "{text:?} in {prefix:?}");
            }
            assert_eq!(range.contains(&Key::encode(&last).unwrap()), prefix.is_empty());
            assert!(!range.contains(&key(1.0)) && !range.contains(&binary(&[])));
        }
        let binaries: [&[u8]; 9] =
            [&[], &[0], &[0, 0], &[0, 1], &[0, 255], &[1], &[255], &[255, 255], &[255, 255, 7]];
        for prefix in binaries {
            let range = KeyRange::prefix(binary(prefix)).unwrap();
            for bytes in binaries {
                assert_eq!(
                    range.contains(&binary(bytes)),
                    bytes.starts_with(prefix),
                    "{bytes:?} in {prefix:?}"
                );
            }
            assert!(!range.contains(&key("")) && !range.contains(&key([])));
        }
        let arrays: [&[f64]; 6] = [&[], &[1.0], &[1.0, 2.0], &[1.0, 2.0, f64::INFINITY], &[1.5], &[2.0]];
        let array = |numbers: &[f64]| {
            Key::encode(&KeyValue::Array(numbers.iter().copied().map(KeyValue::Number).collect())).unwrap()
        };
        for prefix in arrays {
            let range = KeyRange::prefix(array(prefix)).unwrap();
            for numbers in arrays {
                assert_eq!(
                    range.contains(&array(numbers)),
                    numbers.starts_with(prefix),
                    "{numbers:?} in {prefix:?}"
                );
            }
            assert_eq!(range.contains(&key([key_array()])), prefix.is_empty());
        }
        assert_eq!(KeyRange::prefix(key(1.0)).unwrap_err().code(), Code::InvalidArgument);
    }

    fn key_array() -> KeyValue {
        KeyValue::Array(vec![])
    }
}
