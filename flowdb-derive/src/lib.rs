//! The derive macro [`macro@ObjectStore`] of FlowDB: from the attributes of a struct to its store and indexes.
//!
//! `attributes` reads what FlowDB is told, `names` what serde is told, `store` joins and checks both, and `expand` writes
//! the code. Whatever can be seen to be wrong at compile time is an error there, at the word that is wrong.
// Tests may unwrap, also those in tests/, which is why this is not in Cargo.toml with the other lints.
#![warn(clippy::unwrap_used)]

mod attributes;
mod expand;
mod names;
mod store;

use proc_macro::TokenStream;

/// Implements `flowdb::jsondb::ObjectStore` for a struct, from attributes.
///
/// ```
/// use flowdb::config::Config;
/// use flowdb::jsondb::JsonDb;
/// use flowdb_derive::ObjectStore;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, ObjectStore)]
/// #[store(name = "users", key_path = "id")]
/// #[index(name = "place", paths("country", "address.city"))]
/// struct User {
///     id: u64,
///     #[index(unique)]
///     email: String,
///     #[index(multi_entry)]
///     tags: Vec<String>,
///     country: String,
///     address: Address,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Address {
///     city: String,
/// }
///
/// # fn main() -> flowdb::error::Result<()> {
/// let db = JsonDb::open(Config::in_memory())?;
/// let users = db.store_of::<User>()?;
/// let address = Address { city: "Graz".into() };
/// let tags = vec!["admin".into(), "staff".into()];
/// users.put(&User { id: 1, email: "ada@example.com".into(), tags, country: "AT".into(), address })?;
///
/// assert_eq!(users.get_by_index("email", "ada@example.com")?.map(|user| user.id), Some(1));
/// assert_eq!(users.get_all_by_index("tags", "staff")?.len(), 1);
/// assert_eq!(users.get_all_by_index("place", ("AT", "Graz"))?.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # On the struct
///
/// - `#[store(name = "users")]`, once: the name of the store. Beside it
///   - `key_path = "id"` or `key_path("country", "name")`: where the key stands in each document; without it, keys are
///     given beside the documents;
///   - `auto_increment`: documents without a key get the next number. A field that is to be filled so is left out of the
///     document until then: `#[serde(skip_serializing_if = "Option::is_none")] id: Option<u64>`;
///   - `default_ttl_ms = 60_000`: documents expire so many milliseconds after they are written.
/// - `#[index(name = "place", path = "address.city")]` or `#[index(name = "place", paths("country", "address.city"))]`,
///   any number of times: an index on any path, or on several together; with `unique`, and with one path `multi_entry`.
///
/// # On a field
///
/// - `#[index]`: an index on this field, with its name. In brackets any of `unique`, `multi_entry` (each element of the
///   array is an entry) and `name = "other"`.
///
/// # Names
///
/// Paths are those of the document, so the names are the ones that serde writes: `#[serde(rename = "…")]` on a field and
/// `#[serde(rename_all = "…")]` on the struct are followed, in names of indexes too. The first name of each path has to be
/// that of a field. It is not checked where serde writes the struct in another form (`flatten`, `into`, `transparent`).
///
/// # What does not compile
///
/// A path that leads nowhere:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, flowdb_derive::ObjectStore)]
/// #[store(name = "users", key_path = "identity")]
/// struct User {
///     id: u64,
/// }
/// ```
///
/// An option that there is not:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, flowdb_derive::ObjectStore)]
/// #[store(name = "users")]
/// struct User {
///     #[index(uniqe)]
///     id: u64,
/// }
/// ```
///
/// A type that is not a struct, or has parameters, or no `#[store(name = "…")]`.
#[proc_macro_derive(ObjectStore, attributes(store, index))]
pub fn derive_object_store(input: TokenStream) -> TokenStream {
    let expanded =
        syn::parse(input).and_then(|input| store::Store::read(&input)).map(|store| expand::expand(&store));
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
