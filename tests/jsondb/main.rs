//! The document layer through its public API.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::needless_pass_by_value, reason = "literal documents and keys read better by value")]

mod support;

mod bulk;
mod conflicts;
mod courses;
mod crash;
mod documents;
mod expiry;
mod generated_keys;
mod golden;
mod histories;
mod indexes;
mod isolation;
mod model;
mod pages;
mod repair;
mod savepoints;
mod schema;
mod sharing;
mod together;
mod typed;
mod versions;
