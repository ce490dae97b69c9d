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
/// Paths that lead to no member, options that there are not, indexes with one name, and whatever else can be seen to be
/// wrong; types that are not structs, that have parameters, or no `#[store(name = "…")]`.
///
/// The documentation of the trait has a program, and `docs/flowdb/rust.md` another.
#[proc_macro_derive(ObjectStore, attributes(store, index))]
pub fn derive_object_store(input: TokenStream) -> TokenStream {
    let expanded =
        syn::parse(input).and_then(|input| store::Store::read(&input)).map(|store| expand::expand(&store));
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
