//! The document layer through its public API.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::needless_pass_by_value, reason = "literal documents and keys read better by value")]

mod support;
#[path = "../common/trials.rs"]
mod trials;
#[path = "../common/watched.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod watched;

mod atomic;
mod batch;
mod bulk;
mod conflicts;
mod courses;
mod crash;
mod crash_workloads;
mod declared;
mod documents;
mod expiry;
mod feeding;
mod generated_keys;
mod golden;
mod histories;
mod indexes;
mod isolation;
mod model;
mod pages;
mod queries;
mod query_model;
mod repair;
mod restore;
mod savepoints;
mod scale;
mod schema;
mod sharing;
mod together;
mod typed;
mod upgrades;
mod versions;
mod watching;
