//! A type and the store that its values live in.
#![forbid(unsafe_code)]

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::collection::Collection;
use crate::error::Result;
use crate::jsondb::{IndexOptions, IndexSchema, JsonDb, StoreOptions, StoreSchema};

/// A type whose values live in one store, and the definition of that. The crate `flowdb-derive` (feature `derive`)
/// implements it from attributes.
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
/// By hand:
///
/// ```
/// use flowdb::config::Config;
/// use flowdb::jsondb::{JsonDb, KeyPath, ObjectStore, StoreSchema};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Setting {
///     name: String,
///     value: String,
/// }
///
/// impl ObjectStore for Setting {
///     const NAME: &'static str = "settings";
///
///     fn schema() -> StoreSchema {
///         StoreSchema {
///             name: Self::NAME.to_owned(),
///             key_path: Some(KeyPath::One("name".to_owned())),
///             auto_increment: false,
///             default_ttl_ms: 0,
///             indexes: Vec::new(),
///         }
///     }
/// }
///
/// # fn main() -> flowdb::error::Result<()> {
/// let db = JsonDb::open(Config::in_memory())?;
/// let settings = db.store_of::<Setting>()?;
/// settings.put(&Setting { name: "theme".into(), value: "dark".into() })?;
/// assert_eq!(settings.get("theme")?.map(|setting| setting.value).as_deref(), Some("dark"));
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no object store",
    note = "derive `ObjectStore` (crate `flowdb-derive`), or implement `flowdb::jsondb::ObjectStore`"
)]
pub trait ObjectStore: Serialize + DeserializeOwned {
    /// The name of the store, which [`ObjectStore::schema`] has as well.
    const NAME: &'static str;

    /// The store with the indexes that it has to have.
    fn schema() -> StoreSchema;
}

impl JsonDb {
    /// The store of `T`. It, and each of its indexes, is created where it is missing; other indexes stay as they are.
    ///
    /// An index on a store that has documents is built from them before this returns, as
    /// [`JsonDb::create_index`] does. An index that fails leaves the store and the indexes before it.
    ///
    /// # Errors
    ///
    /// `Exists` where the store or an index is there with another definition; and as for
    /// [`JsonDb::create_object_store`] and [`JsonDb::create_index`].
    pub fn store_of<T: ObjectStore>(&self) -> Result<Collection<T>> {
        let StoreSchema { name, key_path, auto_increment, default_ttl_ms, indexes } = T::schema();
        self.create_object_store_with_ttl(&name, StoreOptions { key_path, auto_increment }, default_ttl_ms)?;
        for index in indexes {
            let IndexSchema { name: index, key_path, unique, multi_entry } = index;
            self.create_index(&name, &index, IndexOptions { key_path, unique, multi_entry })?;
        }
        self.collection(&name)
    }
}

/// What must not compile, beside the same with one word changed, which does. A path that leads nowhere:
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
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, flowdb_derive::ObjectStore)]
/// #[store(name = "users", key_path = "id")]
/// struct User {
///     #[index(unique)]
///     id: u64,
/// }
/// ```
#[cfg(doctest)]
struct DerivedWrongly;
