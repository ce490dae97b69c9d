//! Any bytes as keys, documents, queries and rows.

mod documents;
mod keys;
mod queries;
mod rows;

pub(crate) use documents::{extract, merge_and_project};
pub(crate) use keys::read_keys;
pub(crate) use queries::query;
pub(crate) use rows::read_rows;
