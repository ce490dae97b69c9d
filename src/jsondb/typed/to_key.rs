//! Keys from Rust's values: the key that the same value has when it stands in a document.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::jsondb::{BigInt, Key, KeyValue};

/// A value that can be a key.
///
/// Numbers, booleans, strings, and arrays of those: slices, vectors and tuples. The key is the one that serde gives the
/// value in a document, so that what stands at a key path or in an index is found by the same value; `None` is `null`. So
/// a slice of `u8` is an array of numbers as well: binary keys are made by [`Key::from_binary`], dates by
/// [`KeyValue::Date`].
///
/// One difference remains. Whole numbers beyond 2^53 - 1 are bigints here, while numbers in JSON text are doubles and lose
/// their last digits: as keys within documents, such numbers belong into strings.
///
/// ```
/// use flowdb::jsondb::{KeyValue, ToKey};
///
/// # fn main() -> flowdb::error::Result<()> {
/// assert_eq!(7u8.to_key()?, 7.0.to_key()?);
/// assert_eq!(("Oslo", 1048).to_key()?.decode()?.to_string(), r#"["Oslo", 1048]"#);
/// assert!(f64::NAN.to_key().is_err());
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a key",
    note = "keys are numbers (not `f32`, `i128` or `u128`), booleans, strings, and slices, vectors or tuples of keys"
)]
pub trait ToKey {
    /// The key of this value.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for NaN, and for a key that is too long or nested too deep.
    fn to_key(&self) -> Result<Key>;
}

impl ToKey for Key {
    fn to_key(&self) -> Result<Key> {
        Ok(self.clone())
    }
}

impl ToKey for KeyValue {
    fn to_key(&self) -> Result<Key> {
        Key::encode(self)
    }
}

impl ToKey for str {
    fn to_key(&self) -> Result<Key> {
        Key::from_str(self)
    }
}

impl ToKey for String {
    fn to_key(&self) -> Result<Key> {
        Key::from_str(self)
    }
}

impl ToKey for f64 {
    fn to_key(&self) -> Result<Key> {
        Key::from_f64(*self)
    }
}

impl ToKey for bool {
    fn to_key(&self) -> Result<Key> {
        Key::encode(&KeyValue::Bool(*self))
    }
}

/// The largest number that is exact in a double, as are all whole numbers below it.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

impl ToKey for u64 {
    fn to_key(&self) -> Result<Key> {
        match *self {
            number if number <= SAFE_INTEGER_MAX => Key::from_f64(number as f64),
            number => Key::encode(&KeyValue::BigInt(BigInt::from(i128::from(number)))),
        }
    }
}

impl ToKey for usize {
    fn to_key(&self) -> Result<Key> {
        (*self as u64).to_key()
    }
}

impl ToKey for isize {
    fn to_key(&self) -> Result<Key> {
        Ok(Key::from_i64(*self as i64))
    }
}

macro_rules! whole_numbers_to_keys {
    ($($number:ty)*) => {$(
        impl ToKey for $number {
            fn to_key(&self) -> Result<Key> {
                Ok(Key::from_i64(i64::from(*self)))
            }
        }
    )*};
}
whole_numbers_to_keys!(i8 i16 i32 i64 u8 u16 u32);

impl<T: ToKey> ToKey for Option<T> {
    fn to_key(&self) -> Result<Key> {
        self.as_ref().map_or_else(|| Key::encode(&KeyValue::Null), ToKey::to_key)
    }
}

impl<T: ToKey + ?Sized> ToKey for &T {
    fn to_key(&self) -> Result<Key> {
        (*self).to_key()
    }
}

impl<T: ToKey> ToKey for [T] {
    fn to_key(&self) -> Result<Key> {
        Key::from_parts(&self.iter().map(ToKey::to_key).collect::<Result<Vec<_>>>()?)
    }
}

impl<T: ToKey, const N: usize> ToKey for [T; N] {
    fn to_key(&self) -> Result<Key> {
        self.as_slice().to_key()
    }
}

impl<T: ToKey> ToKey for Vec<T> {
    fn to_key(&self) -> Result<Key> {
        self.as_slice().to_key()
    }
}

macro_rules! tuples_to_keys {
    ($(($($element:ident $at:tt),*))*) => {$(
        impl<$($element: ToKey),*> ToKey for ($($element,)*) {
            fn to_key(&self) -> Result<Key> {
                Key::from_parts(&[$(self.$at.to_key()?),*])
            }
        }
    )*};
}
tuples_to_keys! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::error::Code;
    use crate::jsondb::document::{Extracted, Extractor, Wanted};

    /// The key that a document has at the path `k`.
    fn key_in_document(value: impl Serialize) -> Key {
        let document = serde_json::to_vec(&serde_json::json!({ "k": value })).unwrap();
        let extractor = Extractor::new(&[Wanted::Value("k")]).unwrap();
        match extractor.extract(&document).unwrap().pop() {
            Some(Extracted::One(key)) => key,
            other => panic!("no key but {other:?}"),
        }
    }

    #[test]
    fn a_value_is_the_key_that_it_has_in_a_document() {
        fn check(value: impl ToKey + Serialize + std::fmt::Debug) {
            assert_eq!(value.to_key().unwrap(), key_in_document(&value), "{value:?}");
        }
        for number in [0, 1, -1, i64::from(i32::MIN), (1 << 53) - 1, 1 - (1 << 53)] {
            check(number);
            check(number as isize);
        }
        check((1u64 << 53) - 1);
        check(usize::from(u16::MAX));
        check((i8::MIN, u8::MAX, i16::MIN, u16::MAX, u32::MAX));
        for number in [0.0, -0.0, 0.1, -2.5e300, 1e21] {
            check(number);
        }
        check((true, false, None::<bool>, Some("x")));
        for text in ["", "Zürich", "\0\n\"", "\u{10ffff}"] {
            check(text);
            check(text.to_owned());
        }
        check([1u8, 2, 3].as_slice());
        check(vec![vec!["a"], vec![]]);
        check(("a", (1, [2, 3]), vec![false]));
        check((1,));
        check((1, 2, 3, 4, 5, 6, 7, "h"));
    }

    #[test]
    fn numbers_beyond_doubles_stay_apart_as_bigints() {
        let large = u64::MAX;
        assert_ne!(large.to_key().unwrap(), (large - 1).to_key().unwrap());
        assert!(large.to_key().unwrap() > i64::MAX.to_key().unwrap());
        assert_eq!((1u64 << 60).to_key().unwrap(), (1i64 << 60).to_key().unwrap());
    }

    #[test]
    fn what_can_be_no_key_is_an_error() {
        let long = "x".repeat(crate::jsondb::ENCODED_KEY_BYTES_MAX);
        for wrong in [f64::NAN.to_key(), long.to_key(), (1, long.as_str()).to_key(), [f64::NAN].to_key()] {
            assert_eq!(wrong.unwrap_err().code(), Code::InvalidKey);
        }
    }
}
