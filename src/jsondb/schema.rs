//! Stores and indexes: how they are described, checked, and written to the catalog.
//!
//! A [`Schema`] never changes once it is made; a schema change makes the next one. A store's `version` says which
//! rules its writers follow (which indexes they maintain): a transaction commits only under the rules it wrote by.
#![forbid(unsafe_code)]

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::document::{Extractor, Wanted};
use super::ends::Ends;
use super::generator::Generator;
use super::rows::{catalog_key, damaged};
use super::store_map::StoreMap;
use crate::error::{Code, Error, Result, shown};

/// The most object stores a database may have.
pub const STORES_MAX: usize = 100_000;
/// The most indexes a store may have.
pub const INDEXES_MAX: usize = 64;
/// The longest name of a store or index, in UTF-8 bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest key path, in UTF-8 bytes.
pub const KEY_PATH_BYTES_MAX: usize = 1_024;
/// The most paths in a compound key path.
pub const KEY_PATH_PARTS_MAX: usize = 16;

/// The version of the definition of a store whose documents do not expire by default and of which no index lists gaps, and
/// that of the others.
const CATALOG_VERSION_FIRST: u8 = 1;
const CATALOG_VERSION: u8 = 2;

/// Where a key stands in a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPath {
    /// A dotted path, such as `address.city`; the empty path is the document itself.
    One(String),
    /// Several: the key is the array of what they lead to.
    Many(Vec<String>),
}

impl KeyPath {
    /// The paths in order.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }

    fn check(&self) -> Result<()> {
        let parts = self.parts();
        if parts.is_empty() || parts.len() > KEY_PATH_PARTS_MAX {
            let message = format!("a key path of {} paths: it takes 1 to {KEY_PATH_PARTS_MAX}", parts.len());
            return Err(Error::new(Code::InvalidArgument, message));
        }
        if let Some(path) = parts.iter().find(|path| path.len() > KEY_PATH_BYTES_MAX) {
            let message = format!("a key path of {} bytes: the most is {KEY_PATH_BYTES_MAX}", path.len());
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Extractor::new(&[self.wanted(false)])?;
        Ok(())
    }

    fn wanted(&self, multi_entry: bool) -> Wanted<'_> {
        match self {
            Self::One(path) if multi_entry => Wanted::Entries(path),
            Self::One(path) => Wanted::Value(path),
            Self::Many(paths) => Wanted::Compound(paths),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::One(path) => json!(path),
            Self::Many(paths) => json!(paths),
        }
    }

    fn from_json(value: Value) -> Option<Self> {
        let path = match value {
            Value::String(path) => Self::One(path),
            Value::Array(paths) => Self::Many(
                paths
                    .into_iter()
                    .map(|path| if let Value::String(path) = path { Some(path) } else { None })
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        };
        path.check().is_ok().then_some(path)
    }
}

impl std::fmt::Display for KeyPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(path) => f.write_str(path),
            Self::Many(paths) => write!(f, "[{}]", paths.join(", ")),
        }
    }
}

/// How a store finds the keys of its documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Where the key stands in each document; without it, keys are given beside the documents.
    pub key_path: Option<KeyPath>,
    /// Give documents without a key the next number.
    pub auto_increment: bool,
}

impl StoreOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(path) = &self.key_path {
            path.check()?;
        }
        let has_a_place = match &self.key_path {
            Some(KeyPath::One(path)) => !path.is_empty(),
            Some(KeyPath::Many(_)) => false,
            None => true,
        };
        if self.auto_increment && !has_a_place {
            let message =
                "auto-increment with an array or nothing as key path: a generated key has no place to go";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(())
    }
}

/// What an index is on and what it promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexOptions {
    /// Where the index key stands in each document.
    pub key_path: KeyPath,
    /// No two documents may have the same index key.
    pub unique: bool,
    /// An array gives one entry for each of its distinct elements instead of one for the whole.
    pub multi_entry: bool,
}

impl IndexOptions {
    pub(crate) fn check(&self) -> Result<()> {
        self.key_path.check()?;
        if self.multi_entry && matches!(self.key_path, KeyPath::Many(_)) {
            let message = "a multi-entry index with an array as key path: an index is one or the other";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(())
    }
}

/// A store as [`super::JsonDb::schema`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSchema {
    /// The store's name.
    pub name: String,
    /// Where the key stands in each document.
    pub key_path: Option<KeyPath>,
    /// Whether documents without a key get the next number.
    pub auto_increment: bool,
    /// After how many milliseconds documents expire that are put without an expiry of their own; 0 is never.
    pub default_ttl_ms: u64,
    /// The store's indexes that can be read, by name.
    pub indexes: Vec<IndexSchema>,
}

/// An index as [`super::JsonDb::schema`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSchema {
    /// The index's name.
    pub name: String,
    /// Where the index key stands in each document.
    pub key_path: KeyPath,
    /// Whether no two documents may have the same index key.
    pub unique: bool,
    /// Whether an array gives one entry for each of its elements.
    pub multi_entry: bool,
}

/// An index of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexDef {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) options: IndexOptions,
    /// Writers maintain it, but documents from before its creation may still be missing: it can't be read.
    pub(crate) building: bool,
    /// Documents without an entry are listed beside the entries. Not so in indexes of format 1, nor in multi-entry ones,
    /// where a document may have any number of entries.
    pub(crate) lists_gaps: bool,
}

impl IndexDef {
    /// An index that is yet to be built.
    pub(crate) fn new(id: u64, name: &str, options: IndexOptions) -> Self {
        let lists_gaps = !options.multi_entry;
        Self { id, name: name.to_owned(), options, building: true, lists_gaps }
    }
}

/// A store of one schema.
#[derive(Debug, Clone)]
pub(crate) struct StoreDef {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Changes whenever writers must do something else than before. Counts within the process.
    pub(crate) version: u64,
    pub(crate) options: StoreOptions,
    /// 0 where documents do not expire by default.
    pub(crate) default_ttl_ms: u64,
    pub(crate) indexes: Vec<IndexDef>,
    /// Takes the primary key (where the store has a key path) and then the keys of each index from a document.
    pub(crate) extractor: Arc<Extractor>,
    pub(crate) generator: Arc<Generator>,
    /// Where it is known to be empty.
    pub(crate) ends: Arc<Ends>,
}

impl StoreDef {
    pub(crate) fn new(id: u64, name: &str, options: StoreOptions, generator: u64) -> Result<Self> {
        let indexes = Vec::new();
        let extractor = extractor_of(&options, &indexes)?;
        let generator = Arc::new(Generator::new(generator));
        let name = name.to_owned();
        let (version, default_ttl_ms, ends) = (0, 0, Arc::default());
        Ok(Self { id, name, version, options, default_ttl_ms, indexes, extractor, generator, ends })
    }

    /// The same store with other indexes, under other rules.
    pub(crate) fn with_indexes(&self, indexes: Vec<IndexDef>, version: u64) -> Result<Self> {
        let extractor = extractor_of(&self.options, &indexes)?;
        Ok(Self { version, indexes, extractor, ..self.clone() })
    }

    /// The same store under the same rules, with index `id` open to readers.
    pub(crate) fn with_index_ready(&self, id: u64) -> Self {
        let mut store = self.clone();
        for index in store.indexes.iter_mut().filter(|index| index.id == id) {
            index.building = false;
        }
        store
    }

    pub(crate) fn index(&self, name: &str) -> Option<&IndexDef> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// Whether one of its indexes is being built.
    pub(crate) fn is_building(&self) -> bool {
        self.indexes.iter().any(|index| index.building)
    }

    pub(crate) fn to_schema(&self) -> StoreSchema {
        let mut indexes: Vec<_> =
            self.indexes.iter().filter(|index| !index.building).map(to_schema).collect();
        indexes.sort_by(|a, b| a.name.cmp(&b.name));
        StoreSchema {
            name: self.name.clone(),
            key_path: self.options.key_path.clone(),
            auto_increment: self.options.auto_increment,
            default_ttl_ms: self.default_ttl_ms,
            indexes,
        }
    }

    /// The store's catalog row: a version byte and JSON text.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let indexes: Vec<Value> = self.indexes.iter().map(index_to_json).collect();
        let mut definition = json!({
            "name": self.name,
            "keyPath": self.options.key_path.as_ref().map_or(Value::Null, KeyPath::to_json),
            "autoIncrement": self.options.auto_increment,
            "indexes": indexes,
        });
        if self.default_ttl_ms > 0 {
            definition["defaultTtlMs"] = json!(self.default_ttl_ms);
        }
        let is_first = self.default_ttl_ms == 0 && self.indexes.iter().all(|index| !index.lists_gaps);
        let mut value = vec![if is_first { CATALOG_VERSION_FIRST } else { CATALOG_VERSION }];
        value.extend_from_slice(definition.to_string().as_bytes());
        value
    }

    /// The store `id` as its catalog row says.
    pub(crate) fn decode(id: u64, value: &[u8], generator: u64) -> Result<Self> {
        let row = catalog_key(id);
        let (version, text) = match value.split_first() {
            Some((&version @ CATALOG_VERSION_FIRST..=CATALOG_VERSION, text)) => (version, text),
            Some((&version, _)) if version > CATALOG_VERSION => {
                let message = format!(
                    "the catalog is in format {version}, this build reads up to {CATALOG_VERSION}: use a newer one"
                );
                return Err(Error::new(Code::Version, message));
            }
            _ => return Err(damaged("a catalog row", &row, "its format version is not one")),
        };
        let (name, options, default_ttl_ms, indexes) = serde_json::from_slice(text)
            .ok()
            .and_then(|definition| definition_from_json(version, definition))
            .ok_or_else(|| damaged("a catalog row", &row, "it does not hold a store's definition"))?;
        let extractor = extractor_of(&options, &indexes)?;
        let generator = Arc::new(Generator::new(generator));
        let (version, ends) = (0, Arc::default());
        Ok(Self { id, name, version, options, default_ttl_ms, indexes, extractor, generator, ends })
    }
}

fn to_schema(index: &IndexDef) -> IndexSchema {
    let IndexOptions { key_path, unique, multi_entry } = index.options.clone();
    IndexSchema { name: index.name.clone(), key_path, unique, multi_entry }
}

fn extractor_of(options: &StoreOptions, indexes: &[IndexDef]) -> Result<Arc<Extractor>> {
    let primary = options.key_path.iter().map(|path| path.wanted(false));
    let indexed = indexes.iter().map(|index| index.options.key_path.wanted(index.options.multi_entry));
    let wanted: Vec<Wanted<'_>> = primary.chain(indexed).collect();
    Ok(Arc::new(Extractor::new(&wanted)?))
}

fn index_to_json(index: &IndexDef) -> Value {
    let mut definition = json!({
        "id": index.id,
        "name": index.name,
        "keyPath": index.options.key_path.to_json(),
        "unique": index.options.unique,
        "multiEntry": index.options.multi_entry,
        "building": index.building,
    });
    if index.lists_gaps {
        definition["listsGaps"] = json!(true);
    }
    definition
}

fn definition_from_json(version: u8, value: Value) -> Option<(String, StoreOptions, u64, Vec<IndexDef>)> {
    let Value::Object(mut fields) = value else { return None };
    let name = take_name(&mut fields)?;
    let key_path = match fields.remove("keyPath")? {
        Value::Null => None,
        path => Some(KeyPath::from_json(path)?),
    };
    let options = StoreOptions { key_path, auto_increment: take_bool(&mut fields, "autoIncrement")? };
    let default_ttl_ms = match version {
        CATALOG_VERSION_FIRST => 0,
        _ => match fields.remove("defaultTtlMs") {
            None => 0,
            // Only where there is a default is it said.
            Some(ms) => ms.as_u64().filter(|ms| *ms > 0)?,
        },
    };
    let Value::Array(indexes) = fields.remove("indexes")? else { return None };
    let indexes: Vec<IndexDef> = indexes.into_iter().map(index_from_json).collect::<Option<_>>()?;
    let distinct = |a: &IndexDef, b: &IndexDef| a.id != b.id && a.name != b.name;
    let all_distinct =
        indexes.iter().enumerate().all(|(i, a)| indexes.iter().skip(i + 1).all(|b| distinct(a, b)));
    let whole = fields.is_empty() && options.check().is_ok() && indexes.len() <= INDEXES_MAX && all_distinct;
    whole.then_some((name, options, default_ttl_ms, indexes))
}

fn index_from_json(value: Value) -> Option<IndexDef> {
    let Value::Object(mut fields) = value else { return None };
    let id = fields.remove("id")?.as_u64()?;
    let name = take_name(&mut fields)?;
    let key_path = KeyPath::from_json(fields.remove("keyPath")?)?;
    let unique = take_bool(&mut fields, "unique")?;
    let multi_entry = take_bool(&mut fields, "multiEntry")?;
    let building = take_bool(&mut fields, "building")?;
    let lists_gaps = match fields.remove("listsGaps") {
        None => false,
        // Only where there are gaps is it said.
        Some(is_said) => is_said.as_bool().filter(|lists| *lists && !multi_entry)?,
    };
    let options = IndexOptions { key_path, unique, multi_entry };
    let is_whole = fields.is_empty() && options.check().is_ok();
    is_whole.then_some(IndexDef { id, name, options, building, lists_gaps })
}

fn take_name(fields: &mut Map<String, Value>) -> Option<String> {
    let Value::String(name) = fields.remove("name")? else { return None };
    check_name("a", &name).is_ok().then_some(name)
}

fn take_bool(fields: &mut Map<String, Value>, name: &str) -> Option<bool> {
    fields.remove(name)?.as_bool()
}

/// Refuses names that are empty, too long, or hold control characters; `what` is `"store"` or `"index"`.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!(
            "the {what} name {}: it takes 1 to {NAME_BYTES_MAX} bytes of UTF-8 without control characters",
            shown(name)
        );
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(())
}

/// Every store of the database at one point of its history.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) stores: StoreMap,
}

impl Schema {
    /// The store called `name`.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub(crate) fn store(&self, name: &str) -> Result<&Arc<StoreDef>> {
        self.stores
            .get(name)
            .ok_or_else(|| Error::new(Code::NotFound, format!("there is no object store {}", shown(name))))
    }

    /// This schema with `store` in it, in the place of one of the same name.
    pub(crate) fn with(&self, store: StoreDef) -> Self {
        let mut next = self.clone();
        next.stores.insert(Arc::new(store));
        next
    }

    /// This schema without those stores.
    pub(crate) fn without(&self, stores: &[Arc<StoreDef>]) -> Self {
        let mut next = self.clone();
        for store in stores {
            next.stores.remove(&store.name);
        }
        next
    }
}
