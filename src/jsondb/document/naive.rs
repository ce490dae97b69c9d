//! What documents have at paths, found the slow way in what serde_json parsed: what tests and fuzzing hold ours against.

use serde_json::Value;

use super::{Extracted, Wanted};
use crate::jsondb::key::{Key, KeyValue};

/// What a parsed value is as a key; `None` when it can't be one.
pub(crate) fn key_value(value: &Value) -> Option<KeyValue> {
    Some(match value {
        Value::Null => KeyValue::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.as_f64()?.into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(elements) => KeyValue::Array(elements.iter().map(key_value).collect::<Option<_>>()?),
        Value::Object(_) => return None,
    })
}

/// The key of a parsed value; `None` when it can't be one.
pub(crate) fn key_of(value: &Value) -> Option<Key> {
    Key::encode(&key_value(value)?).ok()
}

/// The value at a path.
pub(crate) fn lookup<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|segment| !segment.is_empty()).try_fold(value, |value, segment| match value {
        Value::Object(members) => members.get(segment),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .find(|(index, _)| index.to_string() == segment)
            .map(|(_, element)| element),
        _ => None,
    })
}

/// What an extractor has to find.
pub(crate) fn expected(document: &Value, wanted: Wanted<'_>) -> Extracted {
    let one = |value: Option<&Value>| match value {
        None => Extracted::Missing,
        Some(value) => key_of(value).map_or(Extracted::Unusable, Extracted::One),
    };
    match wanted {
        Wanted::Value(path) => one(lookup(document, path)),
        Wanted::Entries(path) => match lookup(document, path) {
            Some(Value::Array(elements)) => {
                let keys: std::collections::BTreeSet<_> = elements.iter().filter_map(key_of).collect();
                Extracted::Many(keys.into_iter().collect())
            }
            other => one(other),
        },
        Wanted::Compound(paths) => {
            let Some(values) = paths.iter().map(|path| lookup(document, path)).collect::<Option<Vec<_>>>()
            else {
                return Extracted::Missing;
            };
            one(Some(&Value::Array(values.into_iter().cloned().collect())))
        }
    }
}
