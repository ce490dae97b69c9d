//! Ranges of keys from Rust's ranges.
#![forbid(unsafe_code)]

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::to_key::ToKey;
use crate::error::Result;
use crate::jsondb::KeyRange;

/// A range of keys: Rust's ranges of values that can be keys, `..` for all, or a [`KeyRange`].
///
/// ```
/// use flowdb::jsondb::{KeyRange, ToKey, ToKeyRange};
///
/// # fn main() -> flowdb::error::Result<()> {
/// assert_eq!((10..20).to_key_range()?, KeyRange::bound(10.to_key()?, 20.to_key()?, false, true)?);
/// assert_eq!(("Oslo"..).to_key_range()?, KeyRange::lower_bound("Oslo".to_key()?, false));
/// assert!((20..10).to_key_range().is_err());
/// # Ok(())
/// # }
/// ```
pub trait ToKeyRange {
    /// The range of the keys.
    ///
    /// # Errors
    ///
    /// `InvalidKey` for a bound that can't be a key, `InvalidArgument` for a range that could hold nothing, such as
    /// `5..5`.
    fn to_key_range(&self) -> Result<KeyRange>;
}

impl ToKeyRange for KeyRange {
    fn to_key_range(&self) -> Result<KeyRange> {
        Ok(self.clone())
    }
}

impl<R: ToKeyRange + ?Sized> ToKeyRange for &R {
    fn to_key_range(&self) -> Result<KeyRange> {
        (*self).to_key_range()
    }
}

impl ToKeyRange for RangeFull {
    fn to_key_range(&self) -> Result<KeyRange> {
        Ok(KeyRange::all())
    }
}

impl<K: ToKey> ToKeyRange for Range<K> {
    fn to_key_range(&self) -> Result<KeyRange> {
        KeyRange::bound(self.start.to_key()?, self.end.to_key()?, false, true)
    }
}

impl<K: ToKey> ToKeyRange for RangeInclusive<K> {
    fn to_key_range(&self) -> Result<KeyRange> {
        KeyRange::bound(self.start().to_key()?, self.end().to_key()?, false, false)
    }
}

impl<K: ToKey> ToKeyRange for RangeFrom<K> {
    fn to_key_range(&self) -> Result<KeyRange> {
        Ok(KeyRange::lower_bound(self.start.to_key()?, false))
    }
}

impl<K: ToKey> ToKeyRange for RangeTo<K> {
    fn to_key_range(&self) -> Result<KeyRange> {
        Ok(KeyRange::upper_bound(self.end.to_key()?, true))
    }
}

impl<K: ToKey> ToKeyRange for RangeToInclusive<K> {
    fn to_key_range(&self) -> Result<KeyRange> {
        Ok(KeyRange::upper_bound(self.end.to_key()?, false))
    }
}

impl<K: ToKey> ToKeyRange for (Bound<K>, Bound<K>) {
    fn to_key_range(&self) -> Result<KeyRange> {
        use Bound::{Excluded, Included, Unbounded};
        let (lower, upper) = (&self.0, &self.1);
        let is_open = |bound: &Bound<K>| matches!(bound, Excluded(_));
        match (lower, upper) {
            (Included(from) | Excluded(from), Included(to) | Excluded(to)) => {
                KeyRange::bound(from.to_key()?, to.to_key()?, is_open(lower), is_open(upper))
            }
            (Included(from) | Excluded(from), Unbounded) => {
                Ok(KeyRange::lower_bound(from.to_key()?, is_open(lower)))
            }
            (Unbounded, Included(to) | Excluded(to)) => {
                Ok(KeyRange::upper_bound(to.to_key()?, is_open(upper)))
            }
            (Unbounded, Unbounded) => Ok(KeyRange::all()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn held(range: impl ToKeyRange) -> Vec<i32> {
        let range = range.to_key_range().unwrap();
        (1..=4).filter(|number| range.contains(&number.to_key().unwrap())).collect()
    }

    #[test]
    fn a_range_holds_the_keys_of_what_it_holds_in_rust() {
        use Bound::{Excluded, Included, Unbounded};
        assert_eq!(held(..), [1, 2, 3, 4]);
        assert_eq!(held(2..3), [2]);
        assert_eq!(held(2..=3), [2, 3]);
        assert_eq!(held(3..), [3, 4]);
        assert_eq!(held(..3), [1, 2]);
        assert_eq!(held(..=3), [1, 2, 3]);
        assert_eq!(held((Excluded(1), Included(3))), [2, 3]);
        assert_eq!(held((Included(2), Excluded(4))), [2, 3]);
        assert_eq!(held((Excluded(2), Unbounded)), [3, 4]);
        assert_eq!(held((Unbounded, Excluded(2))), [1]);
        assert_eq!(held((Unbounded::<i32>, Unbounded)), [1, 2, 3, 4]);
        assert_eq!(held(KeyRange::only(2.to_key().unwrap())), [2]);
    }

    #[test]
    fn a_range_that_could_hold_nothing_and_bounds_that_are_no_keys_are_refused() {
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        for empty in [5..5, 6..5] {
            assert_eq!(empty.to_key_range().unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!((f64::NAN..).to_key_range().unwrap_err().code(), Code::InvalidKey);
        assert_eq!((..=f64::NAN).to_key_range().unwrap_err().code(), Code::InvalidKey);
    }
}
