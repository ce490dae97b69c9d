//! The documents of one store within a transaction, as values of one type.
#![forbid(unsafe_code)]

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json;
use super::range::ToKeyRange;
use super::to_key::ToKey;
use super::walk::Walk;
use crate::engine::Direction;
use crate::error::Result;
use crate::jsondb::{Document, Key, KeyRange, PageLimits, PutOptions, Row, Transaction};

/// A value with what is known of its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// The primary key.
    pub key: Key,
    /// The key by which an index has it, where it was read through one.
    pub index_key: Option<Key>,
    /// The value.
    pub value: T,
    /// 1 for the first document under the key, one more for each that replaced it.
    pub version: u64,
    /// When it was written, in milliseconds since 1970.
    pub updated_at: u64,
    /// When it expires, in milliseconds since 1970; 0 is never.
    pub expires_at: u64,
}

impl<T: DeserializeOwned> Entry<T> {
    pub(super) fn read(store: &str, row: Row) -> Result<Self> {
        let value = json::read(store, &row)?;
        let Row { key, index_key, version, updated_at, expires_at, .. } = row;
        Ok(Self { key, index_key, value, version, updated_at, expires_at })
    }
}

/// The documents of one store within a transaction, as values of `T`; see [`Transaction::collection`].
///
/// What holds for every call: a document that is not JSON, or not a `T`, is an `InvalidValue` error of the call that
/// reads it, and so is a value that serde can't write as JSON. What serde writes and [`Transaction`] does with it is what
/// is stored: numbers that are not finite become `null`, for example.
#[derive(Debug)]
pub struct Members<'t, T> {
    transaction: &'t mut Transaction,
    store: String,
    values: PhantomData<fn() -> T>,
}

impl Transaction {
    /// The documents of `store` as values of `T`, read and written in this transaction.
    ///
    /// ```
    /// use flowdb::config::Config;
    /// use flowdb::jsondb::{JsonDb, StoreOptions};
    ///
    /// # fn main() -> flowdb::error::Result<()> {
    /// let db = JsonDb::open(Config::in_memory())?;
    /// db.create_object_store("stock", StoreOptions::default())?;
    /// db.create_object_store("orders", StoreOptions { auto_increment: true, ..StoreOptions::default() })?;
    /// db.collection::<u32>("stock")?.put_at("apples", &10)?;
    ///
    /// let order = db.update(&["stock", "orders"], None, |transaction| {
    ///     transaction.collection::<u32>("stock")?.modify("apples", |apples| *apples -= 3)?;
    ///     transaction.collection("orders")?.put(&("apples", 3))
    /// })?;
    ///
    /// assert_eq!(db.collection::<u32>("stock")?.get("apples")?, Some(7));
    /// assert_eq!(db.collection::<(String, u32)>("orders")?.get(&order)?, Some(("apples".to_owned(), 3)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope, `Closed`.
    pub fn collection<T>(&mut self, store: &str) -> Result<Members<'_, T>> {
        self.store(store)?;
        Ok(Members { transaction: self, store: store.to_owned(), values: PhantomData })
    }
}

impl<T: Serialize> Members<'_, T> {
    /// Stores `value`, in the place of one with the same key, and returns its key: the one at the key path of the
    /// store, or a generated one.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put`].
    pub fn put(&mut self, value: &T) -> Result<Key> {
        self.put_with(None, value, PutOptions::default())
    }

    /// Stores `value` under `key`, in a store without a key path.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put`].
    pub fn put_at(&mut self, key: impl ToKey, value: &T) -> Result<Key> {
        self.put_with(Some(&key.to_key()?), value, PutOptions::default())
    }

    /// As [`Members::put`], but only where there is no document with the key.
    ///
    /// # Errors
    ///
    /// `Constraint` when there is one, and as for [`Transaction::put`].
    pub fn add(&mut self, value: &T) -> Result<Key> {
        self.put_with(None, value, PutOptions { if_absent: true, ..PutOptions::default() })
    }

    /// As [`Members::put_at`], but only where there is no document with the key.
    ///
    /// # Errors
    ///
    /// `Constraint` when there is one, and as for [`Transaction::put`].
    pub fn add_at(&mut self, key: impl ToKey, value: &T) -> Result<Key> {
        let options = PutOptions { if_absent: true, ..PutOptions::default() };
        self.put_with(Some(&key.to_key()?), value, options)
    }

    /// Stores `value` under the conditions and with the expiry of `options`; under `key` where the store has no key
    /// path.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put_with`].
    pub fn put_with(&mut self, key: Option<&Key>, value: &T, options: PutOptions) -> Result<Key> {
        let document = self.document(value)?;
        self.transaction.put_with(&self.store, key.cloned(), document, options)
    }

    /// Stores each of `values` as [`Members::put`] does, and returns their keys. All of them or none.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::put`], for the first that fails.
    pub fn put_many<'v>(&mut self, values: impl IntoIterator<Item = &'v T>) -> Result<Vec<Key>>
    where
        T: 'v,
    {
        let documents = self.documents(values)?;
        self.transaction.put_many(&self.store, documents)
    }

    /// Stores each of `values` as [`Members::add`] does, and returns their keys. All of them or none.
    ///
    /// # Errors
    ///
    /// As for [`Members::add`], for the first that fails.
    pub fn add_many<'v>(&mut self, values: impl IntoIterator<Item = &'v T>) -> Result<Vec<Key>>
    where
        T: 'v,
    {
        let documents = self.documents(values)?;
        self.transaction.add_many(&self.store, documents)
    }

    fn documents<'v>(&self, values: impl IntoIterator<Item = &'v T>) -> Result<Vec<(Option<Key>, Document)>>
    where
        T: 'v,
    {
        values.into_iter().map(|value| Ok((None, self.document(value)?))).collect()
    }

    fn document(&self, value: &T) -> Result<Document> {
        json::write(&self.store, value)
    }
}

impl<T: DeserializeOwned> Members<'_, T> {
    /// The value stored under `key`.
    ///
    /// # Errors
    ///
    /// `InvalidKey`, and as for [`Transaction::get`].
    pub fn get(&mut self, key: impl ToKey) -> Result<Option<T>> {
        Ok(self.get_entry(key)?.map(|entry| entry.value))
    }

    /// The value stored under `key`, with its version and times.
    ///
    /// # Errors
    ///
    /// As for [`Members::get`].
    pub fn get_entry(&mut self, key: impl ToKey) -> Result<Option<Entry<T>>> {
        let row = self.transaction.get(&self.store, &key.to_key()?)?;
        row.map(|row| Entry::read(&self.store, row)).transpose()
    }

    /// The values stored under `keys`, in the order of the keys; `None` for each that is not there.
    ///
    /// # Errors
    ///
    /// As for [`Members::get`].
    pub fn get_many<K: ToKey>(&mut self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<T>>> {
        keys.into_iter().map(|key| self.get(key)).collect()
    }

    /// The value with this key in the index; of several the one with the lowest primary key.
    ///
    /// # Errors
    ///
    /// `InvalidKey`, and as for [`Transaction::page`].
    pub fn get_by_index(&mut self, index: &str, key: impl ToKey) -> Result<Option<T>> {
        let range = KeyRange::only(key.to_key()?);
        let limits = PageLimits { rows: 1, bytes: usize::MAX, keys_only: false };
        let page =
            self.transaction.page(&self.store, Some(index), &range, Direction::Forward, None, limits)?;
        page.rows.first().map(|row| json::read(&self.store, row)).transpose()
    }

    /// All values with this key in the index, in the order of their primary keys.
    ///
    /// # Errors
    ///
    /// As for [`Members::get_by_index`].
    pub fn get_all_by_index(&mut self, index: &str, key: impl ToKey) -> Result<Vec<T>> {
        let range = KeyRange::only(key.to_key()?);
        self.range_by_index(index, range)?.collect()
    }

    /// Walks over the values whose keys are in `range`, in the order of the keys.
    ///
    /// # Errors
    ///
    /// As for [`ToKeyRange::to_key_range`]. What reading gives comes from the walk.
    pub fn range(&mut self, range: impl ToKeyRange) -> Result<Walk<T, &mut Transaction>> {
        Ok(Walk::new(&mut *self.transaction, &self.store, None, range.to_key_range()?))
    }

    /// Walks over the values whose keys in the index are in `range`, in the order of those, and of the primary keys
    /// where they are equal.
    ///
    /// # Errors
    ///
    /// As for [`Members::range`].
    pub fn range_by_index(
        &mut self,
        index: &str,
        range: impl ToKeyRange,
    ) -> Result<Walk<T, &mut Transaction>> {
        Ok(Walk::new(&mut *self.transaction, &self.store, Some(index), range.to_key_range()?))
    }
}

impl<T: Serialize + DeserializeOwned> Members<'_, T> {
    /// Changes the value stored under `key`, and returns it as it is now; `None` where there is none. Its expiry stays.
    ///
    /// What the document has and `T` does not know is lost, as serde leaves it out;
    /// [`Transaction::patch`] keeps it.
    ///
    /// # Errors
    ///
    /// `InvalidKey` where the change is of the key, and as for [`Transaction::put`].
    pub fn modify(&mut self, key: impl ToKey, change: impl FnOnce(&mut T)) -> Result<Option<T>> {
        self.transaction.store_to_write(&self.store)?;
        let key = key.to_key()?;
        let Some(row) = self.transaction.get(&self.store, &key)? else { return Ok(None) };
        let mut value = json::read(&self.store, &row)?;
        change(&mut value);
        let document = self.document(&value)?;
        self.transaction.replace(&self.store, &key, document, Some(&row))?;
        Ok(Some(value))
    }
}

impl<T> Members<'_, T> {
    /// Whether a document is stored under `key`.
    ///
    /// # Errors
    ///
    /// `InvalidKey`, and as for [`Transaction::get`].
    pub fn has(&mut self, key: impl ToKey) -> Result<bool> {
        Ok(self.transaction.get(&self.store, &key.to_key()?)?.is_some())
    }

    /// Deletes the document stored under `key`, and says whether there was one.
    ///
    /// # Errors
    ///
    /// `InvalidKey`, and as for [`Transaction::delete`].
    pub fn delete(&mut self, key: impl ToKey) -> Result<bool> {
        self.transaction.delete(&self.store, &key.to_key()?)
    }

    /// Deletes the documents whose keys are in `range`, and returns how many there were.
    ///
    /// # Errors
    ///
    /// As for [`ToKeyRange::to_key_range`] and [`Transaction::delete_range`].
    pub fn delete_range(&mut self, range: impl ToKeyRange) -> Result<u64> {
        self.transaction.delete_range(&self.store, &range.to_key_range()?)
    }

    /// Deletes every document, however many they are, by one small write.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::clear`].
    pub fn clear(&mut self) -> Result<()> {
        self.transaction.clear(&self.store)
    }

    /// How many documents have their key in `range`; see [`Transaction::count`] for what it costs.
    ///
    /// # Errors
    ///
    /// As for [`ToKeyRange::to_key_range`] and [`Transaction::count`].
    pub fn count(&mut self, range: impl ToKeyRange) -> Result<u64> {
        self.transaction.count(&self.store, &range.to_key_range()?)
    }

    /// How many entries of an index have their key in `range`.
    ///
    /// # Errors
    ///
    /// As for [`ToKeyRange::to_key_range`] and [`Transaction::count_by_index`].
    pub fn count_by_index(&mut self, index: &str, range: impl ToKeyRange) -> Result<u64> {
        self.transaction.count_by_index(&self.store, index, &range.to_key_range()?)
    }
}
