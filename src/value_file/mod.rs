//! Value files: large values, each cut into chunks that can be read one by one.
//!
//! A value file is records one behind the other and a footer (docs/format/values.md has every byte). A record is the
//! chunks of one value and, behind them, a directory of their lengths, so that a writer streams and a reader of a slice
//! reads the directory and the chunks that it needs. Tables name a record by a [`ValuePointer`]; nothing in the file
//! says which key it is of, or whether anybody still needs it: that is for the tables to say.
//!
//! Invariant: every byte that a reader acts on has been verified by a checksum that is bound to the file's number and
//! the byte's offset.
#![forbid(unsafe_code)]

mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use format::{Directory, FOOTER_BYTES, ValuePointer};
pub(crate) use reader::ValueFile;
pub(crate) use writer::ValueFileWriter;
