//! Documents, their keys and indexes, and transactions over them.
#![forbid(unsafe_code)]

mod document;
mod key;

pub use key::{ARRAY_DEPTH_MAX, BigInt, ENCODED_KEY_BYTES_MAX, Key, KeyRange, KeyValue, compare_values};
