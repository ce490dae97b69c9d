//! Random queries over random documents and indexes give what a filter over all documents gives.

use std::cmp::Ordering;
use std::ops::Bound;

use flowdb::jsondb::{
    Condition, IndexOptions, JsonDb, Key, KeyRange, KeyValue, Mode, Order, PlanKind, QueryBuilder,
    Transaction, compare_values,
};
use serde_json::{Value, json as j};

use crate::support::{
    Random, compound_on, content, index_on, json, key, multi_entry_on, open_with_items, unique_on,
};

const PATHS: &[&str] = &["a", "b", "n.x", "tags", "id", "u", "tags.0", "n"];

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.below(from.len() as u64) as usize]
}

/// A value of any type, often the same ones.
fn value(random: &mut Random) -> Value {
    let texts = ["", "a", "ab", "abc", "b", "\u{e9}", "\u{1f600}"];
    match random.below(12) {
        0 => Value::Null,
        1 => j!(random.below(2) == 0),
        2..=5 => j!(random.below(8) as i64 - 2),
        6 => j!(random.below(8) as f64 / 4.0),
        7..=8 => j!(*pick(random, &texts)),
        9 => {
            let elements: Vec<Value> = (0..random.below(3)).map(|_| value(random)).collect();
            j!(elements)
        }
        10 => j!({ "x": random.below(3) }),
        _ => j!(random.below(3)),
    }
}

fn document(random: &mut Random, id: u64) -> Value {
    let mut document = j!({ "id": id });
    for field in ["a", "n"] {
        if random.below(6) > 0 {
            document[field] = value(random);
        }
    }
    if random.below(8) > 0 {
        document["b"] = j!(random.below(12));
    }
    if random.below(3) > 0 {
        document["n"] = j!({ "x": value(random) });
    }
    if random.below(4) > 0 {
        document["u"] = j!(id * 3 % 101 + id * 101);
    }
    if random.below(4) > 0 {
        let tags: Vec<Value> = (0..random.below(4)).map(|_| value(random)).collect();
        document["tags"] = if random.below(8) == 0 { value(random) } else { j!(tags) };
    }
    document
}

fn some_indexes(random: &mut Random) -> Vec<(&'static str, IndexOptions)> {
    let mut all = vec![
        ("a", index_on("a")),
        ("b", index_on("b")),
        ("x", index_on("n.x")),
        ("u", unique_on("u")),
        ("tags", multi_entry_on("tags")),
        ("tags whole", index_on("tags")),
        ("a many", multi_entry_on("a")),
        ("a b", compound_on(&["a", "b"])),
        ("b a", compound_on(&["b", "a"])),
        ("a x b", compound_on(&["a", "n.x", "b"])),
        ("b id", compound_on(&["b", "id"])),
        ("b u", IndexOptions { unique: true, ..compound_on(&["b", "u"]) }),
    ];
    let often = random.below(4);
    all.retain(|_| random.below(4) <= often);
    all
}

/// What a value is as a key.
fn as_key(value: &Value) -> Option<KeyValue> {
    Some(match value {
        Value::Null => KeyValue::Null,
        Value::Bool(value) => KeyValue::Bool(*value),
        Value::Number(number) => KeyValue::Number(number.as_f64()?),
        Value::String(text) => text.as_str().into(),
        Value::Array(elements) => KeyValue::Array(elements.iter().map(as_key).collect::<Option<_>>()?),
        Value::Object(_) => return None,
    })
}

fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(document, |value, segment| match value {
        Value::Object(members) => members.get(segment),
        Value::Array(elements) => elements.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

fn same_type(a: &KeyValue, b: &KeyValue) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// A condition, as the query has it and as the filter asks it.
#[derive(Debug, Clone)]
enum Asked {
    Equals(KeyValue),
    In(Vec<KeyValue>),
    Range(Bound<KeyValue>, Bound<KeyValue>),
    Prefix(KeyValue),
    Contains(KeyValue),
}

impl Asked {
    fn random(random: &mut Random) -> Self {
        let mut operand = || loop {
            if let Some(key) = as_key(&value(random)) {
                return key;
            }
        };
        let (a, b) = (operand(), operand());
        match random.below(8) {
            0..=1 => Self::Equals(a),
            2 => Self::In(
                (0..random.below(4))
                    .map(|_| j!(random.below(4)))
                    .filter_map(|v| as_key(&v))
                    .chain([a, b])
                    .collect(),
            ),
            3 => Self::Range(bound(random, a), Bound::Unbounded),
            4 => Self::Range(Bound::Unbounded, bound(random, a)),
            5 => Self::Range(bound(random, a), bound(random, b)),
            6 if matches!(a, KeyValue::String(_) | KeyValue::Array(_)) => Self::Prefix(a),
            6 => Self::Range(Bound::Unbounded, Bound::Unbounded),
            _ => Self::Contains(a),
        }
    }

    fn to_condition(&self) -> Condition {
        let encoded = |bound: &Bound<KeyValue>| bound.clone().map(key);
        match self {
            Self::Equals(value) => Condition::Equals(key(value.clone())),
            Self::In(values) => Condition::In(values.iter().cloned().map(key).collect()),
            Self::Range(lower, upper) => {
                Condition::Range(KeyRange { lower: encoded(lower), upper: encoded(upper) })
            }
            Self::Prefix(value) => Condition::Prefix(key(value.clone())),
            Self::Contains(value) => Condition::Contains(key(value.clone())),
        }
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return false };
        if let (Self::Contains(wanted), Value::Array(elements)) = (self, value) {
            let is_wanted = |key: KeyValue| compare_values(&key, wanted).is_eq();
            return elements.iter().filter_map(as_key).any(is_wanted);
        }
        let Some(key) = as_key(value) else { return false };
        match self {
            Self::Equals(wanted) => compare_values(&key, wanted).is_eq(),
            Self::In(wanted) => wanted.iter().any(|wanted| compare_values(&key, wanted).is_eq()),
            Self::Range(lower, upper) => {
                let lies = |bound: &Bound<KeyValue>, side: Ordering| match bound {
                    Bound::Unbounded => true,
                    Bound::Included(edge) => {
                        same_type(edge, &key) && compare_values(&key, edge) != side.reverse()
                    }
                    Bound::Excluded(edge) => same_type(edge, &key) && compare_values(&key, edge) == side,
                };
                lies(lower, Ordering::Greater) && lies(upper, Ordering::Less)
            }
            Self::Prefix(wanted) => match (&key, wanted) {
                (KeyValue::String(text), KeyValue::String(prefix)) => text.starts_with(prefix),
                (KeyValue::Array(elements), KeyValue::Array(prefix)) => elements.starts_with(prefix),
                _ => false,
            },
            Self::Contains(_) => false,
        }
    }
}

fn bound(random: &mut Random, value: KeyValue) -> Bound<KeyValue> {
    if random.below(2) == 0 { Bound::Included(value) } else { Bound::Excluded(value) }
}

#[derive(Debug)]
struct Asking {
    conditions: Vec<(&'static str, Asked)>,
    order: Vec<(&'static str, Order)>,
    limit: Option<u64>,
    offset: u64,
}

impl Asking {
    fn random(random: &mut Random) -> Self {
        let conditions = (0..[0, 1, 1, 2, 2, 3][random.below(6) as usize])
            .map(|_| (*pick(random, PATHS), Asked::random(random)))
            .collect();
        let direction = *pick(random, &[Order::Ascending, Order::Descending]);
        let order = (0..[0, 0, 1, 1, 2, 3][random.below(6) as usize])
            .map(|_| {
                let other = *pick(random, &[Order::Ascending, Order::Descending]);
                (*pick(random, PATHS), if random.below(3) == 0 { other } else { direction })
            })
            .collect();
        let limit = (random.below(2) == 0).then(|| random.below(12));
        let offset = if random.below(3) == 0 { random.below(8) } else { 0 };
        Self { conditions, order, limit, offset }
    }

    fn builder(&self) -> QueryBuilder {
        let mut query = QueryBuilder::new("items").offset(self.offset);
        for (path, asked) in &self.conditions {
            query = query.filter(*path, asked.to_condition());
        }
        for (path, order) in &self.order {
            query = query.order_by(*path, *order);
        }
        match self.limit {
            Some(limit) => query.limit(limit),
            None => query,
        }
    }

    /// All documents that meet the conditions, in order.
    fn filtered<'a>(&self, documents: &'a [Value]) -> Vec<&'a Value> {
        let meets =
            |document: &&Value| self.conditions.iter().all(|(path, asked)| asked.holds(at(document, path)));
        let mut found: Vec<&Value> = documents.iter().filter(meets).collect();
        found.sort_by(|a, b| {
            let by = self.order.iter().map(|(path, order)| compare_at(a, b, path, *order));
            by.fold(Ordering::Equal, Ordering::then).then(a["id"].as_u64().cmp(&b["id"].as_u64()))
        });
        found
    }

    fn cut<'a>(&self, found: &[&'a Value]) -> Vec<&'a Value> {
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        found.iter().skip(self.offset as usize).take(limit).copied().collect()
    }
}

fn compare_at(a: &Value, b: &Value, path: &str, order: Order) -> Ordering {
    match (at(a, path).and_then(as_key), at(b, path).and_then(as_key)) {
        (Some(a), Some(b)) if order == Order::Ascending => compare_values(&a, &b),
        (Some(a), Some(b)) => compare_values(&b, &a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Holds one query against the filter.
fn check(
    tx: &mut Transaction,
    asking: &Asking,
    documents: &[Value],
    indexes: &[(&str, IndexOptions)],
) -> PlanKind {
    let query = asking.builder().build().unwrap();
    let all = asking.filtered(documents);
    let expected = asking.cut(&all);
    let rows: Vec<Value> = query.rows(tx).unwrap().iter().map(content).collect();
    let keys = query.keys(tx).unwrap();
    let explained = query.explain(tx).unwrap();
    let why = || format!("{asking:?} {explained:?} {indexes:?}");
    if asking.order.is_empty() {
        // Any of those that meet the conditions will do, each once.
        let mut ids: Vec<u64> = rows.iter().map(|row| row["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), expected.len(), "{}", why());
        assert!(rows.iter().all(|row| all.contains(&row)), "{}", why());
    } else {
        assert_eq!(rows.iter().collect::<Vec<_>>(), expected, "{}", why());
    }
    let of_rows: Vec<Key> = rows.iter().map(|row| key(row["id"].as_f64().unwrap())).collect();
    assert_eq!(keys, of_rows, "{}", why());
    assert_eq!(query.count(tx).unwrap(), expected.len() as u64, "{}", why());
    assert_eq!(explained.rows_returned, expected.len() as u64, "{}", why());
    assert!(explained.plan != PlanKind::Scan || !serves(asking, indexes), "{}", why());
    explained.plan
}

/// Whether an index or the primary key has to be used: a condition is on its path, and no order speaks for another way.
fn serves(asking: &Asking, indexes: &[(&str, IndexOptions)]) -> bool {
    let serves_one = |(path, asked): &(&str, Asked)| {
        let is_first = |options: &IndexOptions| !options.multi_entry && options.key_path.parts()[0] == *path;
        match asked {
            Asked::Contains(_) => {
                indexes.iter().any(|(_, options)| options.multi_entry && options.key_path.parts()[0] == *path)
            }
            _ => *path == "id" || indexes.iter().any(|(_, options)| is_first(options)),
        }
    };
    asking.order.is_empty() && asking.conditions.iter().any(serves_one)
}

fn fill(random: &mut Random, db: &JsonDb, count: u64) -> Vec<Value> {
    let mut documents: Vec<Value> = (0..count).map(|id| document(random, id)).collect();
    db.update(&["items"], None, |tx| {
        documents.iter().try_for_each(|document| tx.put("items", None, json(document)).map(drop))
    })
    .unwrap();
    // Some are replaced and some go, so that index rows come and go.
    db.update(&["items"], None, |tx| {
        change_some(random, tx, &mut documents);
        Ok(())
    })
    .unwrap();
    documents
}

fn change_some(random: &mut Random, tx: &mut Transaction, documents: &mut Vec<Value>) {
    documents.retain_mut(|old| {
        let id = old["id"].as_u64().unwrap();
        match random.below(8) {
            0 => {
                tx.delete("items", &key(id as f64)).unwrap();
                false
            }
            1 => {
                *old = document(random, id);
                tx.put("items", None, json(old)).unwrap();
                true
            }
            _ => true,
        }
    });
}

#[test]
fn twenty_thousand_random_queries_give_what_a_filter_over_all_documents_gives() {
    let mut random =
        Random::from_env("twenty_thousand_random_queries_give_what_a_filter_over_all_documents_gives");
    let mut plans = std::collections::HashMap::new();
    for round in 0..1_000 {
        let db = open_with_items();
        let indexes = some_indexes(&mut random);
        let before = random.below(2) == 0;
        let create = |db: &JsonDb| {
            for (name, options) in &indexes {
                db.create_index("items", name, options.clone()).unwrap();
            }
        };
        if before {
            create(&db);
        }
        let count = if round % 20 == 0 { 400 } else { random.below(40) };
        let mut documents = fill(&mut random, &db, count);
        if !before {
            create(&db);
        }
        let mut tx = db.begin(&["items"], Mode::ReadWrite).unwrap();
        if random.below(2) == 0 {
            change_some(&mut random, &mut tx, &mut documents);
        }
        for _ in 0..20 {
            let plan = check(&mut tx, &Asking::random(&mut random), &documents, &indexes);
            *plans.entry(plan).or_insert(0) += 1;
        }
        let asking = Asking::random(&mut random);
        let query = asking.builder().build().unwrap();
        let gone = query.keys(&mut tx).unwrap();
        assert_eq!(query.delete(&mut tx).unwrap(), gone.len() as u64);
        documents.retain(|document| !gone.contains(&key(document["id"].as_f64().unwrap())));
        let all =
            Asking { conditions: vec![], order: vec![("a", Order::Descending)], limit: None, offset: 0 };
        check(&mut tx, &all, &documents, &indexes);
    }
    for plan in [PlanKind::Nothing, PlanKind::Scan, PlanKind::Key, PlanKind::Index, PlanKind::Intersection] {
        assert!(plans.contains_key(&plan), "no query was answered by {plan:?}: {plans:?}");
    }
}
