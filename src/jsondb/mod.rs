//! Documents, their keys and indexes, and transactions over them.

mod key;

pub use key::{ARRAY_DEPTH_MAX, BigInt, ENCODED_KEY_BYTES_MAX, Key, KeyRange, KeyValue, compare_values};
