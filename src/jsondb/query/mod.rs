//! Queries: documents by conditions, in an order, some of them, in parts.
//!
//! A [`Query`] is built and checked once and can be run in any transaction. The `planner` chooses among the documents'
//! keys and the indexes (`access`), `walk` reads their rows, `cursor` puts both together; `condition` holds documents
//! against the conditions, which are sets of keys (`span`), `stream` does that while it walks, and `sorter` sorts what no index has in order.
//!
//! Order: documents come by the paths of the order, in the order of keys; a document without a key at such a path comes
//! behind all that have one, in both directions; and ties come by the primary key, ascending. Without an order they come
//! as the plan finds them.

mod access;
mod condition;
mod cursor;
mod explain;
mod planner;
mod sorter;
mod span;
mod stream;
mod walk;

pub use condition::{CONDITIONS_MAX, Condition, IN_KEYS_MAX};
pub use cursor::QueryCursor;
pub use explain::Explanation;
pub use planner::PlanKind;
pub use sorter::SORT_BYTES_MAX;

use access::Access;
use condition::{Filter, OrderKeys, PathTest, by_path};

use super::deletion::Deletion;
use super::document::Projection;
use super::key::{Key, KeyRange};
use super::rows::StoredDocument;
use super::schema::{KEY_PATH_BYTES_MAX, StoreDef};
use super::transaction::Transaction;
use super::{Document, Format, PageLimits, Row};
use crate::error::{Code, Error, Result};

/// The most paths of an order.
pub const ORDER_PATHS_MAX: usize = 16;

/// The most paths of a selection.
pub const SELECTED_PATHS_MAX: usize = 256;

/// What is read at once where nobody else says it.
const PAGE: PageLimits = PageLimits { rows: 1_000, bytes: 256 << 10, keys_only: false };

/// A direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The lowest key first.
    Ascending,
    /// The highest key first.
    Descending,
}

/// Some of the rows of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether there may be more.
    pub more: bool,
}

/// Puts a query together.
///
/// ```
/// use flowdb::config::Config;
/// use flowdb::jsondb::{
///     Condition, Document, Format, IndexOptions, JsonDb, Key, KeyPath, KeyRange, Mode, Order, QueryBuilder, StoreOptions,
/// };
///
/// # fn main() -> flowdb::error::Result<()> {
/// let db = JsonDb::open(Config::in_memory())?;
/// let id = StoreOptions { key_path: Some(KeyPath::One("id".into())), auto_increment: false };
/// db.create_object_store("users", id)?;
/// let age = IndexOptions { key_path: KeyPath::One("age".into()), unique: false, multi_entry: false };
/// db.create_index("users", "by_age", age)?;
/// db.update(&["users"], None, |tx| {
///     for text in [r#"{"id":1,"age":30,"city":"Bern"}"#, r#"{"id":2,"age":17,"city":"Bern"}"#] {
///         tx.put("users", None, Document { format: Format::Json, bytes: text.into() })?;
///     }
///     Ok(())
/// })?;
///
/// let adults = QueryBuilder::new("users")
///     .filter("city", Condition::Equals(Key::from_str("Bern")?))
///     .filter("age", Condition::Range(KeyRange::lower_bound(Key::from(18), false)))
///     .order_by("age", Order::Descending)
///     .limit(10)
///     .build()?;
/// let mut tx = db.begin(&["users"], Mode::ReadOnly)?;
/// let rows = adults.rows(&mut tx)?;
///
/// assert_eq!(rows.len(), 1);
/// assert_eq!(rows[0].key, Key::from(1));
/// assert_eq!(adults.explain(&mut tx)?.indexes, ["by_age"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct QueryBuilder {
    store: String,
    conditions: Vec<(String, Condition)>,
    order: Vec<(String, Order)>,
    selected: Option<Vec<String>>,
    limit: Option<u64>,
    offset: u64,
}

impl QueryBuilder {
    /// A query for every document of a store.
    #[must_use]
    pub fn new(store: impl Into<String>) -> Self {
        Self { store: store.into(), ..Self::default() }
    }

    /// Leaves only documents whose value at `path` meets `condition`. All conditions have to be met, also several on one
    /// path. A path is dotted, as that of an index.
    #[must_use]
    pub fn filter(mut self, path: impl Into<String>, condition: Condition) -> Self {
        self.conditions.push((path.into(), condition));
        self
    }

    /// Orders by the key at `path`, behind the orders that were given before.
    #[must_use]
    pub fn order_by(mut self, path: impl Into<String>, order: Order) -> Self {
        self.order.push((path.into(), order));
        self
    }

    /// Keeps of each document only what stands at these paths, within what it is nested in. Of an array that a path leads
    /// into, only the elements that are named are kept.
    #[must_use]
    pub fn select<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.selected = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Gives at most so many documents.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Passes over so many of the first documents.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Checks the query.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path that is none, for a prefix that is no string, binary key or array, and for more than
    /// [`CONDITIONS_MAX`] conditions, [`IN_KEYS_MAX`] keys in one of them, [`ORDER_PATHS_MAX`] paths of an order or
    /// [`SELECTED_PATHS_MAX`] of a selection.
    pub fn build(self) -> Result<Query> {
        let Self { store, conditions, order, selected, limit, offset } = self;
        check_count("orders", order.len(), ORDER_PATHS_MAX)?;
        check_count("selects", selected.as_ref().map_or(0, Vec::len), SELECTED_PATHS_MAX)?;
        let paths = conditions.iter().map(|(path, _)| path).chain(order.iter().map(|(path, _)| path));
        paths.chain(selected.iter().flatten()).try_for_each(|path| check_path(path))?;
        let tests = by_path(&conditions)?;
        let filter = Filter::new(&tests, order.iter().map(|(path, _)| path.as_str()))?;
        let selection = selected.map(|paths| Projection::new(&paths)).transpose()?;
        Ok(Query { store, tests, filter, order, selection, limit, offset })
    }
}

fn check_count(what: &str, count: usize, most: usize) -> Result<()> {
    if count > most {
        let message = format!("a query that {what} by {count} paths: the most is {most}");
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<()> {
    if path.len() > KEY_PATH_BYTES_MAX {
        let message = format!("a path of {} bytes: the most is {KEY_PATH_BYTES_MAX}", path.len());
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(())
}

/// Some of the conditions of a query.
struct Rest {
    tests: Vec<PathTest>,
    filter: Filter,
}

impl Rest {
    /// As [`Query::pass`], by these conditions, and without what documents are ordered by.
    fn pass(
        &self,
        store: &StoreDef,
        key: &[u8],
        format: Format,
        document: &[u8],
    ) -> Result<Option<OrderKeys>> {
        self.filter.pass(&self.tests, 0, format, document).map_err(|error| not_json(&error, store, key))
    }
}

fn not_json(error: &Error, store: &StoreDef, key: &[u8]) -> Error {
    let key = Key::of_checked(key);
    let message = format!("the document {key} of the object store {:?}: {error}", store.name);
    error.wrap(Code::Corruption, message)
}

/// Which documents, in which order, and what of them; made by a [`QueryBuilder`].
#[derive(Debug, Clone)]
pub struct Query {
    store: String,
    tests: Vec<PathTest>,
    filter: Filter,
    order: Vec<(String, Order)>,
    selection: Option<Projection>,
    limit: Option<u64>,
    offset: u64,
}

impl Query {
    /// The store that is asked.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    /// The query before its first row.
    #[must_use]
    pub fn cursor(&self) -> QueryCursor {
        QueryCursor::new(self.clone())
    }

    /// As [`Query::cursor`], for whoever runs the query once.
    #[must_use]
    pub fn into_cursor(self) -> QueryCursor {
        QueryCursor::new(self)
    }

    /// All rows.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`].
    pub fn rows(&self, transaction: &mut Transaction) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.run(transaction, false, |_, page| {
            rows.extend(page);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`].
    pub fn first(&self, transaction: &mut Transaction) -> Result<Option<Row>> {
        let query = Self { limit: Some(self.limit.map_or(1, |limit| limit.min(1))), ..self.clone() };
        Ok(query.rows(transaction)?.pop())
    }

    /// The primary keys of all rows.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`].
    pub fn keys(&self, transaction: &mut Transaction) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        self.run(transaction, true, |_, page| {
            keys.extend(page.into_iter().map(|row| row.key));
            Ok(())
        })?;
        Ok(keys)
    }

    /// How many rows there are, within limit and offset. Without conditions that costs nothing, and where rows of an
    /// index tell enough no document is read.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`].
    pub fn count(&self, transaction: &mut Transaction) -> Result<u64> {
        if self.tests.is_empty() {
            let count = transaction.count(&self.store, &KeyRange::all())?.saturating_sub(self.offset);
            return Ok(self.limit.map_or(count, |limit| count.min(limit)));
        }
        // No order changes how many there are.
        let query =
            Self { order: Vec::new(), filter: Filter::new(&self.tests, std::iter::empty())?, ..self.clone() };
        let mut count = 0;
        query.run(transaction, true, |_, page| {
            count += page.len() as u64;
            Ok(())
        })?;
        Ok(count)
    }

    /// Deletes the documents of all rows, and says how many they were.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`] and [`Transaction::delete`]; `InvalidArgument` when the transaction would write
    /// more than [`TRANSACTION_BYTES_MAX`](super::TRANSACTION_BYTES_MAX). Nothing is deleted then.
    pub fn delete(&self, transaction: &mut Transaction) -> Result<u64> {
        let mut deletion = Deletion::new(transaction.store_to_write(&self.store)?, None);
        self.run(transaction, true, |transaction, page| {
            page.into_iter().try_for_each(|row| deletion.add(transaction, row.key))
        })?;
        Ok(deletion.apply(transaction))
    }

    /// Runs the query and says how, and what was read for it.
    ///
    /// # Errors
    ///
    /// As for [`QueryCursor::next_page`].
    pub fn explain(&self, transaction: &mut Transaction) -> Result<Explanation> {
        let cursor = self.run(transaction, false, |_, _| Ok(()))?;
        Ok(cursor.explanation())
    }

    fn run(
        &self,
        transaction: &mut Transaction,
        keys_only: bool,
        mut take: impl FnMut(&mut Transaction, Vec<Row>) -> Result<()>,
    ) -> Result<QueryCursor> {
        let mut cursor = self.cursor();
        loop {
            let page = cursor.next_page(transaction, PageLimits { keys_only, ..PAGE })?;
            take(transaction, page.rows)?;
            if !page.more {
                return Ok(cursor);
            }
        }
    }

    /// What a document is ordered by, if it meets all conditions. Its key is encoded.
    fn pass(
        &self,
        store: &StoreDef,
        key: &[u8],
        format: Format,
        document: &[u8],
    ) -> Result<Option<OrderKeys>> {
        self.filter
            .pass(&self.tests, self.order.len(), format, document)
            .map_err(|error| not_json(&error, store, key))
    }

    /// What is left to ask of the documents that `access` leads to in the right order.
    fn rest(&self, access: &Access) -> Result<Rest> {
        let is_left = |test: &&PathTest| !access.meets(test);
        let tests: Vec<PathTest> = self.tests.iter().filter(is_left).cloned().collect();
        let filter = Filter::new(&tests, std::iter::empty())?;
        Ok(Rest { tests, filter })
    }

    /// What is wanted of a document.
    fn selected(&self, mut stored: StoredDocument) -> Result<StoredDocument> {
        if let Some(selection) = &self.selection {
            let bytes = selected_of(selection, stored.document.format, &stored.document.bytes)?;
            stored.document = Document { format: Format::Json, bytes };
        }
        Ok(stored)
    }
}

/// What `selection` leaves of a document, as JSON.
fn selected_of(selection: &Projection, format: Format, document: &[u8]) -> Result<Vec<u8>> {
    match format {
        Format::Json => selection.of(document),
        Format::Structured | Format::Raw | Format::Text => Ok(b"{}".to_vec()),
    }
}
