//! Pages of documents and index entries in key order, and counts of ranges.
//!
//! A page ends at its limits or at the end of its range, and what it walked over, rows that are not there included,
//! is what the transaction has read. The next page goes on behind the last row, wherever writes have moved things.
#![forbid(unsafe_code)]

use super::catalog::no_index;
use super::conflict::successor;
use super::key::{Key, KeyRange};
use super::rows::{
    RowRange, StoredDocument, damaged, decode_document_key, decode_index_row, document_key, document_prefix,
    index_prefix,
};
use super::schema::{IndexDef, StoreDef};
use super::transaction::{Transaction, row_of};
use super::view::View;
use super::{Document, Format, Page, PageLimits, Position, Row};
use crate::engine::Direction;
use crate::error::{Code, Error, Result};

impl Transaction {
    /// The next documents of `range` in key order, or in the order of an index; the page after `after` where given.
    ///
    /// A page holds at least one row if there is one, and has `next` set when it ended at one of its limits: there
    /// may be more then.
    ///
    /// # Errors
    ///
    /// `NotFound` for a store that is not in the scope and an index that is not there or not built yet,
    /// `InvalidArgument` for a position in another store or index, `Corruption`, `Io`.
    pub fn page(
        &mut self,
        store: &str,
        index: Option<&str>,
        range: &KeyRange,
        direction: Direction,
        after: Option<&Position>,
        limits: PageLimits,
    ) -> Result<Page> {
        let store = self.store(store)?;
        let source = Source::new(&store, index)?;
        let mut range = RowRange::keys(&source.prefix, range);
        if let Some(Position(row)) = after {
            if !row.starts_with(&source.prefix) {
                let message = format!("a position of another store or index was given for {:?}", store.name);
                return Err(Error::new(Code::InvalidArgument, message));
            }
            match direction {
                Direction::Forward => range.start = range.start.max(successor(row)),
                Direction::Reverse => range.end = range.end.min(row.clone()),
            }
        }
        read_page(&mut self.view, &source, range, direction, limits)
    }

    /// How many entries of an index have their key in `range`.
    ///
    /// # Errors
    ///
    /// As for [`Transaction::page`].
    pub fn count_by_index(&mut self, store: &str, index: &str, range: &KeyRange) -> Result<u64> {
        let store = self.store(store)?;
        let source = Source::new(&store, Some(index))?;
        self.count_rows(&RowRange::keys(&source.prefix, range))
    }

    /// How many rows there are in `range`.
    pub(super) fn count_rows(&mut self, range: &RowRange) -> Result<u64> {
        let View { base, overlay, reads } = &mut self.view;
        let mut rows = base.rows(overlay, range, Direction::Forward)?;
        let mut count = 0;
        while rows.advance()? {
            count += 1;
        }
        base.walked(overlay, reads, range.clone());
        Ok(count)
    }
}

/// The rows that a page walks over.
struct Source<'a> {
    store: &'a StoreDef,
    index: Option<&'a IndexDef>,
    prefix: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(store: &'a StoreDef, index: Option<&str>) -> Result<Self> {
        let Some(name) = index else {
            return Ok(Self { store, index: None, prefix: document_prefix(store.id) });
        };
        let index = store.index(name).ok_or_else(|| no_index(&store.name, name))?;
        if index.building {
            let message = format!("the index {name:?} of {:?} is still being built", store.name);
            return Err(Error::new(Code::NotFound, message));
        }
        Ok(Self { store, index: Some(index), prefix: index_prefix(store.id, index.id) })
    }
}

fn read_page(
    view: &mut View,
    source: &Source<'_>,
    mut range: RowRange,
    direction: Direction,
    limits: PageLimits,
) -> Result<Page> {
    let View { base, overlay, reads } = view;
    let mut page = Page { rows: Vec::new(), next: None };
    let mut bytes = 0;
    let mut rows = base.rows(overlay, &range, direction)?;
    while rows.advance()? {
        let expires_at = rows.expires_at();
        let Some((row_key, value)) = rows.row() else { break };
        let row = match source.index {
            None => document_row(source, row_key, value, limits.keys_only)?,
            Some(index) => {
                let (index_key, key) =
                    decode_index_row(row_key, value, &source.prefix, index.options.unique)?;
                let stored = if limits.keys_only {
                    no_document()
                } else {
                    let document = document_key(source.store.id, &key);
                    match base.read(overlay, reads, &document)? {
                        Some(value) => StoredDocument::decode(&value, &document)?,
                        // It has expired since its index row was looked at.
                        None if expires_at != 0 && expires_at <= base.now_ms() => continue,
                        None => {
                            let how = "there is no document with its primary key";
                            return Err(damaged("an index row", row_key, how));
                        }
                    }
                };
                row_of(key, Some(index_key), stored)
            }
        };
        bytes += size_of(&row);
        page.rows.push(row);
        if page.rows.len() >= limits.rows || bytes >= limits.bytes {
            page.next = Some(Position(row_key.to_vec()));
            break;
        }
    }
    if let Some(Position(last)) = &page.next {
        match direction {
            Direction::Forward => range.end = successor(last),
            Direction::Reverse => range.start.clone_from(last),
        }
    }
    base.walked(overlay, reads, range);
    Ok(page)
}

fn document_row(source: &Source<'_>, row_key: &[u8], value: &[u8], keys_only: bool) -> Result<Row> {
    let key = decode_document_key(row_key, &source.prefix)?;
    let stored = if keys_only { no_document() } else { StoredDocument::decode(value, row_key)? };
    Ok(row_of(key, None, stored))
}

/// What stands in the place of a document that was not asked for.
fn no_document() -> StoredDocument {
    let document = Document { format: Format::Raw, bytes: Vec::new() };
    StoredDocument { document, version: 0, updated_at: 0, expires_at: 0 }
}

fn size_of(row: &Row) -> usize {
    let keys = row.key.as_bytes().len() + row.index_key.as_ref().map_or(0, |key: &Key| key.as_bytes().len());
    keys + row.document.bytes.len()
}
