//! The document layer through its public API.

mod support;

mod conflicts;
mod crash;
mod documents;
mod generated_keys;
mod indexes;
mod model;
mod pages;
mod schema;
mod sharing;
