//! Any bytes as documents: what is read from them is what a parser reads from them that builds everything.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::coding::Choices;
use crate::error::Code;
use crate::jsondb::document::naive::{expected, lookup};
use crate::jsondb::document::{
    DOCUMENT_DEPTH_MAX, Extracted, Extractor, Projection, Wanted, merge_patch, set_top_level_path,
};

const PATHS: [&str; 16] = [
    "",
    "a",
    "b",
    "0",
    "a.b",
    "a.0",
    "a.b.c",
    "b.a",
    "b.1.a",
    "0.0",
    "a.a.a.a",
    "id",
    "tags",
    "n.x",
    "é",
    "__proto__",
];

/// Takes keys from a document. Whether it was one.
///
/// The whole text is checked, and what stands at a path is what a parser finds there.
pub(crate) fn extract(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let paths: Vec<String> = (0..1 + choices.below(4)).map(|_| path(&mut choices)).collect();
    let json = choices.rest();
    let mut wanted: Vec<Wanted<'_>> =
        paths.iter().flat_map(|path| [Wanted::Value(path), Wanted::Entries(path)]).collect();
    wanted.push(Wanted::Compound(&paths));
    let is_path = |path: &String| path.is_empty() || path.split('.').all(|segment| !segment.is_empty());
    let extractor = match Extractor::new(&wanted) {
        Ok(extractor) => extractor,
        Err(error) => {
            assert!(
                error.code() == Code::InvalidArgument && !paths.iter().all(is_path),
                "{error}: {paths:?}"
            );
            return false;
        }
    };
    let found = extractor.extract(json);
    assert_eq!(found.is_ok(), is_json(json), "{found:?}");
    let (Ok(found), Some(document)) = (found, parsed(json)) else { return false };
    for (found, wanted) in found.iter().zip(&wanted) {
        let expected = match expected(&document, *wanted) {
            // It is told apart where each part is a key.
            Extracted::Unusable if *found == Extracted::TooLong => Extracted::TooLong,
            expected => expected,
        };
        assert_eq!(*found, expected, "{wanted:?}");
    }
    true
}

/// Merges two documents, takes parts of one, and writes a number into it. Whether both were documents.
pub(crate) fn merge_and_project(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let paths: Vec<String> = (0..choices.below(4)).map(|_| path(&mut choices)).collect();
    let number = choices.number() % 1_000;
    let change = choices.piece(1 << 12);
    let json = choices.rest();
    let merged = merge_patch(json, change);
    assert_eq!(merged.is_ok(), is_json(json) && is_json(change), "{merged:?}");
    let Some(document) = parsed(json) else { return false };
    let projected = Projection::new(&paths).and_then(|projection| projection.of(json));
    if let Ok(projected) = projected {
        let nothing = if document.is_array() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        let expected = projection(&document, &segments_of(&paths)).unwrap_or(nothing);
        assert_eq!(parsed(&projected), Some(expected), "{paths:?}");
    }
    for path in &paths {
        if let Ok(written) = set_top_level_path(json, path, number) {
            let written = parsed(&written).expect("a number was written into JSON");
            assert_eq!(lookup(&written, path), Some(&Value::from(number)), "{path}");
        }
    }
    let Some(change) = parsed(change) else { return false };
    let merged = merged.expect("both are JSON");
    let mut expected = document;
    merge(&mut expected, &change);
    assert_eq!(parsed(&merged), Some(expected));
    true
}

/// One of a few, or any text.
fn path(choices: &mut Choices<'_>) -> String {
    match choices.below(20) {
        known if known < PATHS.len() => PATHS[known].to_owned(),
        _ => String::from_utf8_lossy(choices.piece(16)).into_owned(),
    }
}

/// Whether the bytes are JSON that nests no deeper than a document may. Halves of surrogate pairs are told by neither.
fn is_json(bytes: &[u8]) -> bool {
    let is_text = std::str::from_utf8(bytes).is_ok();
    is_text && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() && depth_of(bytes) <= DOCUMENT_DEPTH_MAX
}

/// How deep JSON nests.
fn depth_of(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut is_in_string, mut is_escaped) = (0, 0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b'[' | b'{' if !is_in_string => depth += 1,
            b']' | b'}' if !is_in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// `None` also for JSON that this parser doesn't take: nested deeper than 128, beyond all numbers, half a surrogate pair.
fn parsed(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}

/// RFC 7396, as it stands there.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(members) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let object = target.as_object_mut().expect("it has been made one");
    for (name, change) in members {
        if change.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), change);
        }
    }
}

fn segments_of(paths: &[String]) -> Vec<Vec<&str>> {
    paths.iter().map(|path| path.split('.').filter(|_| !path.is_empty()).collect()).collect()
}

/// What is named of `value` by paths that have led to it; `None` for nothing.
fn projection(value: &Value, paths: &[Vec<&str>]) -> Option<Value> {
    if paths.iter().any(Vec::is_empty) {
        return Some(value.clone());
    }
    let below = |name: &str| -> Vec<Vec<&str>> {
        paths.iter().filter(|path| path[0] == name).map(|path| path[1..].to_vec()).collect()
    };
    let part = |name: &str, value: &Value| projection(value, &below(name));
    match value {
        Value::Object(members) => {
            let kept: Map<String, Value> =
                members.iter().filter_map(|(name, value)| Some((name.clone(), part(name, value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(elements) => {
            let numbered = elements.iter().enumerate();
            let kept: Vec<Value> =
                numbered.filter_map(|(index, value)| part(&index.to_string(), value)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}
