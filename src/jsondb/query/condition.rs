//! Conditions: how they are given, and how documents are held against them.
//!
//! Everything is compared as keys: by the one order of the key codec, and with its types. What stands in a document and
//! can't be a key, an object for example, meets no condition.

use super::span::Spans;
use crate::error::{Code, Error, Result, shown};
use crate::jsondb::Format;
use crate::jsondb::document::{Extracted, Extractor, Wanted};
use crate::jsondb::key::{Key, KeyRange};

/// The most keys of one [`Condition::In`].
pub const IN_KEYS_MAX: usize = 10_000;

/// The most conditions of a query.
pub const CONDITIONS_MAX: usize = 64;

/// What the value at a path has to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// This key.
    Equals(Key),
    /// One of these keys, at most [`IN_KEYS_MAX`]; with none of them nothing is found.
    In(Vec<Key>),
    /// In the range, and of the type of its bounds: a range of numbers finds no strings.
    Range(KeyRange),
    /// A string, binary key or array that begins with this one.
    Prefix(Key),
    /// An array one of whose elements is this key.
    Contains(Key),
}

/// All conditions on one path.
#[derive(Debug, Clone)]
pub(super) struct PathTest {
    pub(super) path: String,
    /// The keys that the value may be; `None` where nothing is said of that.
    pub(super) spans: Option<Spans>,
    /// The keys that have to be among the elements of the array.
    pub(super) contains: Vec<Key>,
}

impl PathTest {
    fn add(&mut self, condition: &Condition) -> Result<()> {
        let spans = match condition {
            Condition::Equals(key) => Spans::points([key]),
            Condition::In(keys) if keys.len() > IN_KEYS_MAX => {
                let message = format!(
                    "the condition on {} names {} keys: the most is {IN_KEYS_MAX}",
                    shown(&self.path),
                    keys.len()
                );
                return Err(Error::new(Code::InvalidArgument, message));
            }
            Condition::In(keys) => Spans::points(keys),
            Condition::Range(range) => Spans::range(range),
            Condition::Prefix(key) => Spans::range(&KeyRange::prefix(key.clone())?),
            Condition::Contains(key) => {
                self.contains.push(key.clone());
                return Ok(());
            }
        };
        self.spans = Some(match &self.spans {
            Some(before) => before.intersect(&spans),
            None => spans,
        });
        Ok(())
    }

    /// Whether no document at all can pass.
    pub(super) fn is_impossible(&self) -> bool {
        self.spans.as_ref().is_some_and(Spans::is_empty)
    }
}

/// Gathers conditions by their path.
pub(super) fn by_path(conditions: &[(String, Condition)]) -> Result<Vec<PathTest>> {
    if conditions.len() > CONDITIONS_MAX {
        let message = format!("a query of {} conditions: the most is {CONDITIONS_MAX}", conditions.len());
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let mut tests: Vec<PathTest> = Vec::new();
    for (path, condition) in conditions {
        let at = tests.iter().position(|test| test.path == *path).unwrap_or_else(|| {
            tests.push(PathTest { path: path.clone(), spans: None, contains: Vec::new() });
            tests.len() - 1
        });
        tests[at].add(condition)?;
    }
    Ok(tests)
}

/// Reads from a document, in one pass, what its conditions and its place in an order depend on.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// Gives the values of the tests with spans, then the elements of those with keys to contain, then the order.
    extractor: Extractor,
    is_trivial: bool,
}

/// What a document that passed has at the paths of the order: `None` where that is no key.
pub(super) type OrderKeys = Vec<Option<Key>>;

impl Filter {
    /// # Errors
    ///
    /// `InvalidArgument` for a path that is none.
    pub(super) fn new<'a>(tests: &'a [PathTest], order: impl Iterator<Item = &'a str>) -> Result<Self> {
        let valued = tests.iter().filter(|test| test.spans.is_some());
        let listed = tests.iter().filter(|test| !test.contains.is_empty());
        let wanted: Vec<Wanted<'_>> = valued
            .map(|test| Wanted::Value(&test.path))
            .chain(listed.map(|test| Wanted::Entries(&test.path)))
            .chain(order.map(Wanted::Value))
            .collect();
        Ok(Self { extractor: Extractor::new(&wanted)?, is_trivial: tests.is_empty() })
    }

    /// The keys by which a document is ordered, if it passes all of `tests`.
    ///
    /// # Errors
    ///
    /// `InvalidValue` when the document is not the JSON that it says it is.
    pub(super) fn pass(
        &self,
        tests: &[PathTest],
        order: usize,
        format: Format,
        document: &[u8],
    ) -> Result<Option<OrderKeys>> {
        if format != Format::Json {
            return Ok(self.is_trivial.then(|| vec![None; order]));
        }
        let mut found = self.extractor.extract(document)?.into_iter();
        for spans in tests.iter().filter_map(|test| test.spans.as_ref()) {
            match found.next() {
                Some(Extracted::One(key)) if spans.contains(key.as_bytes()) => {}
                _ => return Ok(None),
            }
        }
        for test in tests.iter().filter(|test| !test.contains.is_empty()) {
            match found.next() {
                Some(Extracted::Many(keys))
                    if test.contains.iter().all(|key| keys.binary_search(key).is_ok()) => {}
                _ => return Ok(None),
            }
        }
        let key_of = |found| if let Extracted::One(key) = found { Some(key) } else { None };
        Ok(Some(found.map(key_of).collect()))
    }
}
