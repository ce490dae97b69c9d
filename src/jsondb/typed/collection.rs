//! The documents of one store as values of one type, each call a transaction of its own.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::members::{Entry, Members};
use super::range::ToKeyRange;
use super::to_key::ToKey;
use super::walk::Walk;
use crate::config::SyncMode;
use crate::error::Result;
use crate::jsondb::{JsonDb, Key, Mode, PutOptions, Transaction};

/// The documents of one store as values of `T`; see [`JsonDb::collection`].
///
/// Each call is a transaction of its own, and one that writes is run again where it conflicts with others. For several
/// in one transaction there are [`Collection::update`] and [`Collection::view`], and over several stores
/// [`Transaction::collection`]. What a call does is said with [`Members`], which has the same calls; in addition to the
/// errors there, each may give `Closed`, `NotFound` once the store is deleted, and what [`JsonDb::update`] gives.
pub struct Collection<T> {
    db: JsonDb,
    store: String,
    sync: Option<SyncMode>,
    values: PhantomData<fn() -> T>,
}

impl JsonDb {
    /// The documents of `store` as values of `T`: what serde makes of a `T` in JSON is the document.
    ///
    /// ```
    /// use flowdb::config::Config;
    /// use flowdb::jsondb::{Collection, IndexOptions, JsonDb, KeyPath, StoreOptions};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct City {
    ///     name: String,
    ///     country: String,
    ///     people: u64,
    /// }
    ///
    /// # fn main() -> flowdb::error::Result<()> {
    /// let path = |path: &str| KeyPath::One(path.to_owned());
    /// let db = JsonDb::open(Config::in_memory())?;
    /// db.create_object_store("cities", StoreOptions { key_path: Some(path("name")), auto_increment: false })?;
    /// let on_people = IndexOptions { key_path: path("people"), unique: false, multi_entry: false };
    /// db.create_index("cities", "people", on_people)?;
    ///
    /// let cities: Collection<City> = db.collection("cities")?;
    /// cities.put(&City { name: "Oslo".into(), country: "NO".into(), people: 709_000 })?;
    /// cities.put(&City { name: "Lima".into(), country: "PE".into(), people: 10_000_000 })?;
    /// cities.modify("Oslo", |city| city.people += 37)?;
    ///
    /// assert_eq!(cities.get("Oslo")?.map(|city| city.people), Some(709_037));
    /// let large: Vec<City> = cities.range_by_index("people", 1_000_000..)?.collect::<Result<_, _>>()?;
    /// assert_eq!(large[0].name, "Lima");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that does not exist, `Closed`.
    pub fn collection<T>(&self, store: &str) -> Result<Collection<T>> {
        self.database()?.schema().store(store)?;
        Ok(Collection { db: self.clone(), store: store.to_owned(), sync: None, values: PhantomData })
    }
}

impl<T> Collection<T> {
    /// The same collection with writes as durable as `sync` says, instead of as the database does.
    #[must_use]
    pub fn with_sync(mut self, sync: SyncMode) -> Self {
        self.sync = Some(sync);
        self
    }

    /// The name of the store.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Runs `change` in a transaction on this store and commits it; see [`JsonDb::update`].
    ///
    /// # Errors
    ///
    /// As for [`JsonDb::update`].
    pub fn update<R>(&self, mut change: impl FnMut(&mut Members<'_, T>) -> Result<R>) -> Result<R> {
        self.db.update(&[&self.store], self.sync, |transaction| {
            change(&mut transaction.collection(&self.store)?)
        })
    }

    /// Runs `read` on one snapshot of this store.
    ///
    /// # Errors
    ///
    /// What `read` gives, `NotFound` once the store is deleted, `Closed`.
    pub fn view<R>(&self, read: impl FnOnce(&mut Members<'_, T>) -> Result<R>) -> Result<R> {
        read(&mut self.snapshot()?.collection(&self.store)?)
    }

    /// See [`Members::has`].
    ///
    /// # Errors
    ///
    /// As for [`Members::has`].
    pub fn has(&self, key: impl ToKey) -> Result<bool> {
        self.view(|members| members.has(key))
    }

    /// See [`Members::delete`].
    ///
    /// # Errors
    ///
    /// As for [`Members::delete`].
    pub fn delete(&self, key: impl ToKey) -> Result<bool> {
        self.update(|members| members.delete(&key))
    }

    /// See [`Members::delete_range`].
    ///
    /// # Errors
    ///
    /// As for [`Members::delete_range`].
    pub fn delete_range(&self, range: impl ToKeyRange) -> Result<u64> {
        self.update(|members| members.delete_range(&range))
    }

    /// See [`Members::clear`].
    ///
    /// # Errors
    ///
    /// As for [`Members::clear`].
    pub fn clear(&self) -> Result<()> {
        self.update(|members| members.clear())
    }

    /// See [`Members::count`].
    ///
    /// # Errors
    ///
    /// As for [`Members::count`].
    pub fn count(&self, range: impl ToKeyRange) -> Result<u64> {
        self.view(|members| members.count(range))
    }

    /// See [`Members::count_by_index`].
    ///
    /// # Errors
    ///
    /// As for [`Members::count_by_index`].
    pub fn count_by_index(&self, index: &str, range: impl ToKeyRange) -> Result<u64> {
        self.view(|members| members.count_by_index(index, range))
    }

    fn snapshot(&self) -> Result<Transaction> {
        self.db.begin(&[&self.store], Mode::ReadOnly)
    }
}

impl<T: Serialize> Collection<T> {
    /// See [`Members::put`].
    ///
    /// # Errors
    ///
    /// As for [`Members::put`].
    pub fn put(&self, value: &T) -> Result<Key> {
        self.update(|members| members.put(value))
    }

    /// See [`Members::put_at`].
    ///
    /// # Errors
    ///
    /// As for [`Members::put_at`].
    pub fn put_at(&self, key: impl ToKey, value: &T) -> Result<Key> {
        self.update(|members| members.put_at(&key, value))
    }

    /// See [`Members::add`].
    ///
    /// # Errors
    ///
    /// As for [`Members::add`].
    pub fn add(&self, value: &T) -> Result<Key> {
        self.update(|members| members.add(value))
    }

    /// See [`Members::add_at`].
    ///
    /// # Errors
    ///
    /// As for [`Members::add_at`].
    pub fn add_at(&self, key: impl ToKey, value: &T) -> Result<Key> {
        self.update(|members| members.add_at(&key, value))
    }

    /// See [`Members::put_with`].
    ///
    /// # Errors
    ///
    /// As for [`Members::put_with`].
    pub fn put_with(&self, key: Option<&Key>, value: &T, options: PutOptions) -> Result<Key> {
        self.update(|members| members.put_with(key, value, options))
    }

    /// See [`Members::put_many`].
    ///
    /// # Errors
    ///
    /// As for [`Members::put_many`].
    pub fn put_many(&self, values: &[T]) -> Result<Vec<Key>> {
        self.update(|members| members.put_many(values))
    }

    /// See [`Members::add_many`].
    ///
    /// # Errors
    ///
    /// As for [`Members::add_many`].
    pub fn add_many(&self, values: &[T]) -> Result<Vec<Key>> {
        self.update(|members| members.add_many(values))
    }
}

impl<T: DeserializeOwned> Collection<T> {
    /// See [`Members::get`].
    ///
    /// # Errors
    ///
    /// As for [`Members::get`].
    pub fn get(&self, key: impl ToKey) -> Result<Option<T>> {
        self.view(|members| members.get(key))
    }

    /// See [`Members::get_entry`].
    ///
    /// # Errors
    ///
    /// As for [`Members::get_entry`].
    pub fn get_entry(&self, key: impl ToKey) -> Result<Option<Entry<T>>> {
        self.view(|members| members.get_entry(key))
    }

    /// See [`Members::get_many`]; all of them are read from one snapshot.
    ///
    /// # Errors
    ///
    /// As for [`Members::get_many`].
    pub fn get_many<K: ToKey>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<T>>> {
        self.view(|members| members.get_many(keys))
    }

    /// See [`Members::get_by_index`].
    ///
    /// # Errors
    ///
    /// As for [`Members::get_by_index`].
    pub fn get_by_index(&self, index: &str, key: impl ToKey) -> Result<Option<T>> {
        self.view(|members| members.get_by_index(index, key))
    }

    /// See [`Members::get_all_by_index`].
    ///
    /// # Errors
    ///
    /// As for [`Members::get_all_by_index`].
    pub fn get_all_by_index(&self, index: &str, key: impl ToKey) -> Result<Vec<T>> {
        self.view(|members| members.get_all_by_index(index, key))
    }

    /// See [`Members::range`]. The walk sees the store as it is now, and keeps that snapshot while it lasts.
    ///
    /// # Errors
    ///
    /// As for [`Members::range`].
    pub fn range(&self, range: impl ToKeyRange) -> Result<Walk<T>> {
        Ok(Walk::new(self.snapshot()?, &self.store, None, range.to_key_range()?))
    }

    /// See [`Members::range_by_index`]. The walk sees the store as it is now, and keeps that snapshot while it lasts.
    ///
    /// # Errors
    ///
    /// As for [`Members::range_by_index`].
    pub fn range_by_index(&self, index: &str, range: impl ToKeyRange) -> Result<Walk<T>> {
        Ok(Walk::new(self.snapshot()?, &self.store, Some(index), range.to_key_range()?))
    }
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    /// See [`Members::modify`]. `change` is called once for each attempt, where others write at the same time.
    ///
    /// # Errors
    ///
    /// As for [`Members::modify`].
    pub fn modify(&self, key: impl ToKey, mut change: impl FnMut(&mut T)) -> Result<Option<T>> {
        self.update(|members| members.modify(&key, &mut change))
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), store: self.store.clone(), sync: self.sync, values: PhantomData }
    }
}

impl<T> std::fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection").field("store", &self.store).finish_non_exhaustive()
    }
}
