//! Any bytes as documents, indexes over them, and a query of them.

use std::cmp::Ordering;
use std::ops::Bound;

use serde_json::{Value, json};

use crate::coding::Choices;
use crate::config::Config;
use crate::error::{Code, Result};
use crate::jsondb::document::naive::{key_of, key_value, lookup};
use crate::jsondb::{
    Condition, Document, Format, IndexOptions, JsonDb, Key, KeyPath, KeyRange, KeyValue, Mode, Order, Query,
    QueryBuilder, Row, StoreOptions,
};

const PATHS: [&str; 8] = ["a", "b", "n.x", "tags", "id", "tags.0", "n", ""];
const STORE: &str = "items";

/// Asks a query of some documents. Whether it could be asked.
///
/// It finds the documents that meet its conditions, in its order, by whatever plan; or it says what is wrong with it.
pub(crate) fn query(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let asked = Asked::of(&mut choices);
    let query = match asked.build() {
        Ok(query) => query,
        Err(error) => {
            assert!(matches!(error.code(), Code::InvalidArgument | Code::InvalidKey), "{error}");
            return false;
        }
    };
    let indexes: Vec<IndexOptions> = (0..choices.below(4)).map(|_| index(&mut choices)).collect();
    let documents: Vec<Value> = (0..choices.below(12)).map(|id| document(&mut choices, id)).collect();
    let db = filled(&indexes, &documents).expect("every document has a key, and no index is unique");
    check(&db, &query, &asked, &documents).expect("nothing fails in memory");
    db.close().expect("nothing fails in memory");
    true
}

fn filled(indexes: &[IndexOptions], documents: &[Value]) -> Result<JsonDb> {
    let db = JsonDb::open(Config { auto_background: false, ..Config::in_memory() })?;
    let key_path = Some(KeyPath::One("id".to_owned()));
    db.create_object_store(STORE, StoreOptions { key_path, auto_increment: false })?;
    for (at, options) in indexes.iter().enumerate() {
        db.create_index(STORE, &at.to_string(), options.clone())?;
    }
    db.update(&[STORE], None, |tx| {
        documents.iter().try_for_each(|document| {
            let bytes = document.to_string().into_bytes();
            tx.put(STORE, None, Document { format: Format::Json, bytes }).map(drop)
        })
    })?;
    Ok(db)
}

fn check(db: &JsonDb, query: &Query, asked: &Asked, documents: &[Value]) -> Result<()> {
    let mut tx = db.begin(&[STORE], Mode::ReadWrite)?;
    let (rows, keys) = (query.rows(&mut tx)?, query.keys(&mut tx)?);
    let expected = asked.answer(documents);
    let count = (expected.len() as u64).saturating_sub(asked.offset).min(asked.limit.unwrap_or(u64::MAX));
    assert_eq!(query.count(&mut tx)?, count, "{asked:?} of {documents:?}");
    assert_eq!(query.explain(&mut tx)?.rows_returned, count, "{asked:?}");
    assert_eq!(rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), keys, "{asked:?}");
    let found: Vec<Value> = rows.iter().map(content).collect();
    if asked.order.is_empty() {
        // Any of those that meet the conditions will do, each once.
        assert!(found.len() as u64 == count && found.iter().all(|row| expected.contains(&row)), "{asked:?}");
        let mut single = keys.clone();
        single.sort_unstable();
        single.dedup();
        assert_eq!(single.len(), keys.len(), "{asked:?}");
    } else {
        let from = usize::try_from(asked.offset).unwrap_or(usize::MAX);
        let expected: Vec<&Value> = expected.into_iter().skip(from).take(found.len()).collect();
        assert!(found.iter().eq(expected), "{asked:?} of {documents:?} found {found:?}");
    }
    assert_eq!(query.delete(&mut tx)?, count);
    Ok(())
}

fn content(row: &Row) -> Value {
    serde_json::from_slice(&row.document.bytes).expect("what was put is JSON")
}

fn pick<T: Copy>(choices: &mut Choices<'_>, from: &[T]) -> T {
    from[choices.below(from.len())]
}

fn index(choices: &mut Choices<'_>) -> IndexOptions {
    let many: Vec<String> = (0..choices.below(4)).map(|_| pick(choices, &PATHS[..5]).to_owned()).collect();
    let key_path = if many.len() < 2 {
        KeyPath::One(pick(choices, &PATHS[..7]).to_owned())
    } else {
        KeyPath::Many(many)
    };
    let multi_entry = matches!(key_path, KeyPath::One(_)) && choices.byte() % 2 == 1;
    IndexOptions { key_path, unique: false, multi_entry }
}

/// A value of any type, often the same ones.
fn value(choices: &mut Choices<'_>, depth: usize) -> Value {
    match choices.below(9) {
        0 => Value::Null,
        1 => json!(choices.byte().is_multiple_of(2)),
        2 | 3 => json!(i64::from(choices.byte() % 8) - 2),
        4 => json!(f64::from(choices.byte()) / 4.0),
        5 => json!(pick(choices, &["", "a", "ab", "abc", "b", "\u{e9}", "\u{1f600}", "\0"])),
        6 => json!(String::from_utf8_lossy(choices.piece(8))),
        7 if depth < 3 => json!((0..choices.below(4)).map(|_| value(choices, depth + 1)).collect::<Vec<_>>()),
        _ => json!({ "x": choices.byte() % 3 }),
    }
}

fn document(choices: &mut Choices<'_>, id: usize) -> Value {
    let has = choices.byte();
    let mut document = json!({ "id": id });
    for (bit, name) in ["a", "b", "n", "tags"].into_iter().enumerate() {
        if has >> bit & 1 == 1 {
            document[name] = value(choices, 0);
        }
    }
    if has >> 4 & 1 == 1 {
        document["n"] = json!({ "x": value(choices, 0) });
    }
    document
}

/// A key of any type. Some can't be found in documents.
fn key(choices: &mut Choices<'_>) -> Option<Key> {
    if choices.byte() % 8 == 7 {
        return Key::from_encoded(choices.piece(16)).ok();
    }
    key_of(&value(choices, 0))
}

/// A query, and what it has to find.
#[derive(Debug)]
struct Asked {
    conditions: Vec<(String, Condition)>,
    order: Vec<(&'static str, Order)>,
    offset: u64,
    limit: Option<u64>,
}

impl Asked {
    fn of(choices: &mut Choices<'_>) -> Self {
        let conditions =
            (0..choices.below(4)).filter_map(|_| Some((path(choices), condition(choices)?))).collect();
        let direction = |byte: u8| if byte.is_multiple_of(2) { Order::Ascending } else { Order::Descending };
        let order =
            (0..choices.below(3)).map(|_| (pick(choices, &PATHS), direction(choices.byte()))).collect();
        let limit = choices.byte();
        let limit = (limit % 2 == 1).then_some(u64::from(limit / 2) % 16);
        Self { conditions, order, offset: u64::from(choices.byte()).saturating_sub(200) % 8, limit }
    }

    fn build(&self) -> Result<Query> {
        let mut query = QueryBuilder::new(STORE).offset(self.offset);
        for (path, condition) in &self.conditions {
            query = query.filter(path.clone(), condition.clone());
        }
        for (path, order) in &self.order {
            query = query.order_by(*path, *order);
        }
        match self.limit {
            Some(limit) => query.limit(limit).build(),
            None => query.build(),
        }
    }

    /// All documents that meet the conditions, in order.
    fn answer<'d>(&self, documents: &'d [Value]) -> Vec<&'d Value> {
        let meets = |document: &&Value| {
            self.conditions.iter().all(|(path, condition)| holds(condition, lookup(document, path)))
        };
        let mut found: Vec<&Value> = documents.iter().filter(meets).collect();
        found.sort_by(|a, b| {
            let by = self.order.iter().map(|(path, order)| compare_at(a, b, path, *order));
            by.fold(Ordering::Equal, Ordering::then)
        });
        found
    }
}

fn path(choices: &mut Choices<'_>) -> String {
    match choices.below(9) {
        known if known < PATHS.len() => PATHS[known].to_owned(),
        _ => String::from_utf8_lossy(choices.piece(12)).into_owned(),
    }
}

fn condition(choices: &mut Choices<'_>) -> Option<Condition> {
    Some(match choices.below(6) {
        0 => Condition::Equals(key(choices)?),
        1 => Condition::In((0..choices.below(4)).filter_map(|_| key(choices)).collect()),
        2 => Condition::Prefix(key(choices)?),
        3 => Condition::Contains(key(choices)?),
        _ => Condition::Range(KeyRange { lower: bound(choices)?, upper: bound(choices)? }),
    })
}

fn bound(choices: &mut Choices<'_>) -> Option<Bound<Key>> {
    Some(match choices.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(choices)?),
        _ => Bound::Excluded(key(choices)?),
    })
}

/// Whether the value, or what stands where there is none, meets the condition.
fn holds(condition: &Condition, value: Option<&Value>) -> bool {
    let Some(value) = value else { return false };
    if let (Condition::Contains(wanted), Value::Array(elements)) = (condition, value) {
        return elements.iter().filter_map(key_of).any(|key| key == *wanted);
    }
    let (Some(key), Some(value)) = (key_of(value), key_value(value)) else { return false };
    match condition {
        Condition::Equals(wanted) => key == *wanted,
        Condition::In(wanted) => wanted.contains(&key),
        Condition::Range(KeyRange { lower, upper }) => {
            let lies = |bound: &Bound<Key>, side: Ordering| match bound {
                Bound::Unbounded => true,
                Bound::Included(edge) => is_of_type(edge, &value) && key.cmp(edge) != side.reverse(),
                Bound::Excluded(edge) => is_of_type(edge, &value) && key.cmp(edge) == side,
            };
            lies(lower, Ordering::Greater) && lies(upper, Ordering::Less)
        }
        Condition::Prefix(wanted) => match (&value, meaning(wanted)) {
            (KeyValue::String(text), KeyValue::String(prefix)) => text.starts_with(&prefix),
            (KeyValue::Array(elements), KeyValue::Array(prefix)) => elements.starts_with(&prefix),
            _ => false,
        },
        Condition::Contains(_) => false,
    }
}

fn meaning(key: &Key) -> KeyValue {
    key.decode().expect("it was made of a value, or checked")
}

/// Numbers and bigints are one type; so are both booleans.
fn is_of_type(edge: &Key, value: &KeyValue) -> bool {
    let edge = match meaning(edge) {
        KeyValue::BigInt(_) => KeyValue::Number(0.0),
        edge => edge,
    };
    std::mem::discriminant(&edge) == std::mem::discriminant(value)
}

fn compare_at(a: &Value, b: &Value, path: &str, order: Order) -> Ordering {
    let key = |document| lookup(document, path).and_then(key_of);
    match (key(a), key(b)) {
        (Some(a), Some(b)) if order == Order::Ascending => a.cmp(&b),
        (Some(a), Some(b)) => b.cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}
