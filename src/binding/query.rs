//! Doing what is asked of queries, on a worker thread.
#![forbid(unsafe_code)]

use serde_json::json;

use crate::error::Result;
use crate::jsondb::{Explanation, PageLimits, QueryCursor, Transaction};

use super::cursor::Pages;
use super::database::Database;
use super::execute::Snapshots;
use super::packing::{Answer, Operation, PageSize, WANTS_DOCUMENTS};
use super::page_packer::PagePacker;
use super::query_packing::{QueryVerb, RawQuery};
use super::transactions::{SharedTransaction, shared, with_transaction};

/// A query that JavaScript reads page by page. It holds its transaction, as a cursor does.
struct QueryPages {
    transaction: SharedTransaction,
    cursor: QueryCursor,
    wants: u8,
}

impl Pages for QueryPages {
    fn next_page(&mut self, size: PageSize) -> Result<(Answer, bool)> {
        let limits = PageLimits {
            rows: size.rows as usize,
            bytes: size.bytes as usize,
            keys_only: self.wants & WANTS_DOCUMENTS == 0,
        };
        let mut packer = PagePacker::new(self.wants, size);
        let more = with_transaction(&self.transaction, |transaction| {
            self.cursor.next_page_with(transaction, limits, |row| packer.add(&row))
        })?;
        let more = more && !size.is_filled_by(packer.rows());
        Ok((Answer::Page(packer.end(more)), more))
    }
}

/// Does what an operation asks of a query.
pub(crate) fn execute(
    database: &Database,
    operation: &Operation<'_>,
    verb: &QueryVerb<'_>,
    snapshots: &mut Snapshots,
) -> Result<Answer> {
    match verb {
        QueryVerb::Open { cursor, query, wants, size } => {
            let transaction = match operation.transaction {
                0 => shared(snapshots.for_cursor(&database.json()?, *cursor, query.store)?),
                id => database.transaction(id)?,
            };
            let pages = QueryPages { transaction, cursor: query.decode()?.into_cursor(), wants: *wants };
            database.read_new_cursor(*cursor, Box::new(pages), *size)
        }
        QueryVerb::Count(query) | QueryVerb::Explain(query) => {
            if operation.transaction != 0 {
                return database
                    .in_transaction(operation.transaction, |transaction| read(transaction, verb, query));
            }
            read(snapshots.of(&database.json()?, query.store)?, verb, query)
        }
        QueryVerb::Delete(query) if operation.transaction == 0 => {
            let query = query.decode()?;
            let json = database.json()?;
            json.update(&[query.store()], None, |transaction| query.delete(transaction)).map(Answer::Count)
        }
        QueryVerb::Delete(_) => database.write(operation),
    }
}

fn read(transaction: &mut Transaction, verb: &QueryVerb<'_>, query: &RawQuery<'_>) -> Result<Answer> {
    let query = query.decode()?;
    match verb {
        QueryVerb::Explain(_) => {
            query.explain(transaction).map(|explained| Answer::Text(text_of(&explained)))
        }
        _ => query.count(transaction).map(Answer::Count),
    }
}

/// An explanation as JavaScript gets it.
fn text_of(explained: &Explanation) -> String {
    let order = match (explained.sorted, explained.reverse) {
        (true, _) => "sorted",
        (false, true) => "backwards",
        (false, false) => "forwards",
    };
    json!({
        "plan": explained.plan.as_str(),
        "index": explained.indexes.first(),
        "indexes": explained.indexes,
        "order": order,
        "rowsRead": explained.rows_read(),
        "rowsReturned": explained.rows_returned,
        "indexRowsRead": explained.index_rows_read,
        "documentsRead": explained.documents_read,
        "rowsSampled": explained.rows_sampled,
    })
    .to_string()
}
