//! Definitions of stores and indexes, between the JSON that crosses to JavaScript and JsonDB's own types.
#![forbid(unsafe_code)]

use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::jsondb::{IndexOptions, KeyPath, StoreOptions, StoreSchema};

/// The name and options in the definition of a store, and after how many milliseconds its documents expire (0: never).
pub(crate) fn store(definition: &str) -> Result<(String, StoreOptions, u64)> {
    let value = parse(definition)?;
    let key_path = match &value["keyPath"] {
        Value::Null => None,
        path => Some(key_path(path)?),
    };
    let options = StoreOptions { key_path, auto_increment: flag(&value, "autoIncrement") };
    Ok((name(&value)?, options, value["defaultTtlMs"].as_u64().unwrap_or(0)))
}

/// The name in the definition of a store that, with all those below it, comes into being with its first write; `None` for
/// one that is to be created.
pub(crate) fn declared(definition: &str) -> Result<Option<String>> {
    let value = parse(definition)?;
    if flag(&value, "isDeclared") { name(&value).map(Some) } else { Ok(None) }
}

/// The name and options in the definition of an index.
pub(crate) fn index(definition: &str) -> Result<(String, IndexOptions)> {
    let value = parse(definition)?;
    let options = IndexOptions {
        key_path: key_path(&value["keyPath"])?,
        unique: flag(&value, "unique"),
        multi_entry: flag(&value, "multiEntry"),
    };
    Ok((name(&value)?, options))
}

/// Every store with its indexes, as JSON.
pub(crate) fn schema(stores: &[StoreSchema]) -> String {
    Value::Array(stores.iter().map(describe).collect()).to_string()
}

fn describe(store: &StoreSchema) -> Value {
    let indexes: Vec<Value> = store
        .indexes
        .iter()
        .map(|index| {
            json!({
                "name": index.name,
                "keyPath": path_value(&index.key_path),
                "unique": index.unique,
                "multiEntry": index.multi_entry,
            })
        })
        .collect();
    let mut description = json!({
        "name": store.name,
        "keyPath": store.key_path.as_ref().map(path_value),
        "autoIncrement": store.auto_increment,
        "indexes": indexes,
    });
    if store.default_ttl_ms > 0 {
        description["defaultTtl"] = json!(store.default_ttl_ms as f64 / 1000.0);
    }
    description
}

fn path_value(path: &KeyPath) -> Value {
    match path {
        KeyPath::One(path) => json!(path),
        KeyPath::Many(paths) => json!(paths),
    }
}

fn parse(definition: &str) -> Result<Value> {
    serde_json::from_str(definition).map_err(|error| unreadable(&error.to_string()))
}

fn name(value: &Value) -> Result<String> {
    value["name"].as_str().map(str::to_owned).ok_or_else(|| unreadable("it has no name"))
}

fn flag(value: &Value, name: &str) -> bool {
    value[name].as_bool().unwrap_or(false)
}

fn key_path(value: &Value) -> Result<KeyPath> {
    let text = |path: &Value| path.as_str().map(str::to_owned);
    match value {
        Value::String(path) => Ok(KeyPath::One(path.clone())),
        Value::Array(paths) => {
            let paths = paths.iter().map(text).collect::<Option<Vec<String>>>();
            paths.map(KeyPath::Many).ok_or_else(|| unreadable("a key path is not a string"))
        }
        _ => Err(unreadable("its key path is neither a string nor an array of strings")),
    }
}

/// `lib/` checks definitions before it sends them, so this is a defect of ours.
fn unreadable(what: &str) -> Error {
    Error::new(Code::Internal, format!("a definition came from JavaScript that can't be read: {what}"))
}
