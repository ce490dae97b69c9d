//! Packs a page of rows as they are lent, so that each key and document is copied once, to where it is sent from.
#![forbid(unsafe_code)]

use crate::jsondb::{RowRef, Stamp};

use super::columns::{DocumentColumn, KeyColumn};
use super::packing::{
    ANSWER_HEAD_BYTES, PageSize, WANTS_DOCUMENTS, WANTS_INDEX_KEYS, WANTS_KEYS, WANTS_STAMPS, length_u32,
};

/// Before the columns: whether more follows, and the number of rows.
const PAGE_HEAD_BYTES: usize = 5;

/// Room for so many bytes is there from the beginning, and grows beyond that. A page of the usual size has it at once.
const ROOM_BYTES_MAX: usize = 68 << 10;

/// A page that is being packed.
pub(crate) struct PagePacker {
    wants: u8,
    rows: usize,
    /// Behind room for the heads of the answer and of the page.
    documents: Vec<u8>,
    column: Option<DocumentColumn>,
    keys: KeyColumn,
    index_keys: KeyColumn,
    stamps: Vec<u8>,
}

/// A packed page, with room before it for the head of the answer.
pub(crate) struct PackedPage(Vec<u8>);

impl PackedPage {
    /// The page as the payload of an answer.
    pub(super) fn payload(&self) -> &[u8] {
        &self.0[ANSWER_HEAD_BYTES..]
    }

    /// The page as the answer of a kind to `request`, in the same memory.
    pub(super) fn into_answer(self, request: u32, kind: u8) -> Vec<u8> {
        let length = length_u32(self.payload().len());
        let Self(mut answer) = self;
        answer[..4].copy_from_slice(&request.to_le_bytes());
        answer[4] = kind;
        answer[5..ANSWER_HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
        answer
    }
}

impl PagePacker {
    /// A page of what `wants` names, without rows.
    pub(crate) fn new(wants: u8, size: PageSize) -> Self {
        let mut documents = Vec::with_capacity((size.bytes as usize).min(ROOM_BYTES_MAX));
        documents.resize(ANSWER_HEAD_BYTES + PAGE_HEAD_BYTES, 0);
        let (keys, index_keys) = (KeyColumn::begin(Vec::new()), KeyColumn::begin(Vec::new()));
        let mut packer =
            Self { wants, rows: 0, documents, column: None, keys, index_keys, stamps: Vec::new() };
        if packer.does_want(WANTS_DOCUMENTS) {
            packer.column = Some(DocumentColumn::begin(std::mem::take(&mut packer.documents)));
        }
        packer
    }

    fn does_want(&self, what: u8) -> bool {
        self.wants & what != 0
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    #[inline]
    pub(crate) fn add(&mut self, row: &RowRef<'_>) {
        self.rows += 1;
        if let Some(column) = &mut self.column {
            column.add(Some((row.format, row.document)));
        }
        if self.does_want(WANTS_KEYS) {
            self.keys.add(row.key);
        }
        if self.does_want(WANTS_INDEX_KEYS) {
            self.index_keys.add(row.index_key.unwrap_or(row.key));
        }
        if self.does_want(WANTS_STAMPS) {
            self.stamps.extend_from_slice(&Stamp::of_lent(row).to_bytes());
        }
    }

    /// The page, behind which there is `more` or not.
    pub(crate) fn end(self, more: bool) -> PackedPage {
        let Self { wants, rows, documents, column, keys, index_keys, stamps } = self;
        let mut page = column.map_or(documents, DocumentColumn::end);
        let head = &mut page[ANSWER_HEAD_BYTES..][..PAGE_HEAD_BYTES];
        head[0] = u8::from(more);
        head[1..].copy_from_slice(&length_u32(rows).to_le_bytes());
        if wants & WANTS_KEYS != 0 {
            page.extend_from_slice(&keys.end());
        }
        if wants & WANTS_INDEX_KEYS != 0 {
            page.extend_from_slice(&index_keys.end());
        }
        page.extend_from_slice(&stamps);
        PackedPage(page)
    }
}
