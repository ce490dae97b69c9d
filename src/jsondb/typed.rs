//! Documents as values of Rust types: serde writes them as JSON and reads them back.
//!
//! A [`Collection`] is a store of one database whose documents are all of one type; each of its calls is a transaction
//! of its own. A [`Members`] is the same within a transaction of the caller's, and does the work of both. Keys come from
//! values ([`ToKey`]), ranges from Rust's ranges ([`ToKeyRange`]). [`ObjectStore`] joins a type to its store.
#![forbid(unsafe_code)]

mod collection;
mod json;
mod members;
mod object_store;
mod range;
mod to_key;
mod walk;

pub use collection::Collection;
#[cfg(feature = "derive")]
pub use flowdb_derive::ObjectStore;
pub use members::{Entry, Members};
pub use object_store::ObjectStore;
pub use range::ToKeyRange;
pub use to_key::ToKey;
pub use walk::Walk;
