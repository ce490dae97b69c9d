//! FlowDB: an embedded database for Node.js and Rust.
//!
//! From the ground up: [`fs`] is the file-system contract; `wal`, `memtable`, `sstable` and `version` are one
//! on-disk or in-memory thing each; [`engine`] joins them into an ordered, transactional key-value store;
//! [`jsondb`] keeps documents and their indexes in it, [`series`] records in time, [`keyspace`] bytes under bytes, [`structures`] those of Redis; `binding` (feature `node`) carries both into Node.js.
// Tests may unwrap, also those in tests/, which is why this is not in Cargo.toml with the other lints.
#![warn(clippy::unwrap_used)]

pub(crate) mod chunk;
pub mod clock;
pub(crate) mod coding;
pub(crate) mod compaction;
pub mod config;
pub(crate) mod effort;
pub mod engine;
pub mod error;
pub(crate) mod frame;
pub mod fs;
pub(crate) mod iter;
pub mod jsondb;
pub(crate) mod key;
pub mod keyspace;
pub(crate) mod memtable;
pub(crate) mod numbering;
pub(crate) mod prefetch;
pub(crate) mod range_tombstone;
pub mod series;
pub(crate) mod shared_bytes;
pub(crate) mod sstable;
pub mod structures;
pub(crate) mod sync;
pub(crate) mod times;
pub(crate) mod value_file;
pub(crate) mod version;
pub(crate) mod wal;

#[cfg(feature = "node")]
#[cfg_attr(test, allow(dead_code, reason = "in a test nothing is registered with Node.js"))]
mod binding;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;

/// The program of the page runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/flowdb/rust.md")]
struct RustPage;
