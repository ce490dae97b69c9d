//! The packed encodings of calls on many documents, on ranges of them, and of changes by what a document holds.
//!
//! `lib/bulk.js` and `lib/modify.js` are the other side; docs/binding.md lists every byte.
#![forbid(unsafe_code)]

use crate::error::{Code, Error, Result};
use crate::jsondb::{Changed, Document, Format, Key, PutOptions, Reckoning, Row, Stamp};

use super::atomic::reckoning;
use super::columns::{put_document, put_documents, put_keys};
use super::packing::{
    RawRange, take_bytes, take_format, take_optional_bytes, take_optional_text, take_range, take_text,
    take_u8, take_u32,
};
use super::versions::take_options;

/// The numbers of these verbs.
pub(super) const FIRST_BULK_VERB: u8 = 55;
pub(super) const LAST_BULK_VERB: u8 = 67;

/// One answer may hold so many bytes of documents.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 30;

/// A document on its way in.
#[derive(Debug, PartialEq)]
pub(crate) struct RawDocument<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) format: Format,
    pub(crate) bytes: &'a [u8],
}

impl RawDocument<'_> {
    pub(crate) fn to_document(&self) -> Document {
        Document { format: self.format, bytes: self.bytes.to_vec() }
    }
}

/// What is asked.
#[derive(Debug, PartialEq)]
pub(crate) enum BulkVerb<'a> {
    GetMany {
        store: &'a str,
        keys: Vec<&'a [u8]>,
    },
    /// The first primary key of a range: of keys, or of those of an index.
    GetKey {
        store: &'a str,
        index: Option<&'a str>,
        range: RawRange<'a>,
    },
    DeleteRange {
        store: &'a str,
        range: RawRange<'a>,
    },
    PutMany {
        store: &'a str,
        documents: Vec<RawDocument<'a>>,
        overwrite: bool,
    },
    DeleteMany {
        store: &'a str,
        keys: Vec<&'a [u8]>,
    },
    GetStamped {
        store: &'a str,
        key: &'a [u8],
    },
    /// Deletes where there is no document.
    Change {
        store: &'a str,
        key: &'a [u8],
        stamp: Stamp,
        document: Option<RawDocument<'a>>,
    },
    /// The change is a JSON merge patch (RFC 7396).
    Patch {
        store: &'a str,
        key: &'a [u8],
        change: &'a [u8],
    },
    /// Takes out the first document of a range, or the last.
    Pop {
        store: &'a str,
        range: RawRange<'a>,
        reverse: bool,
    },
    /// Puts and deletes, all or none.
    Batch {
        store: &'a str,
        writes: Vec<RawWrite<'a>>,
    },
    /// How long one document will still be there.
    GetTimeLeft {
        store: &'a str,
        key: &'a [u8],
    },
    /// Changes a document that is a number by another.
    Reckon {
        store: &'a str,
        key: &'a [u8],
        reckoning: Reckoning,
        number: RawDocument<'a>,
    },
}

/// One of a batch: a put, or, without a document, a delete.
#[derive(Debug, PartialEq)]
pub(crate) struct RawWrite<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) put: Option<(Format, &'a [u8], PutOptions)>,
}

impl<'a> BulkVerb<'a> {
    pub(crate) fn store(&self) -> &'a str {
        match self {
            Self::GetMany { store, .. }
            | Self::GetKey { store, .. }
            | Self::DeleteRange { store, .. }
            | Self::PutMany { store, .. }
            | Self::DeleteMany { store, .. }
            | Self::GetStamped { store, .. }
            | Self::Change { store, .. }
            | Self::Patch { store, .. }
            | Self::Pop { store, .. }
            | Self::Batch { store, .. }
            | Self::GetTimeLeft { store, .. }
            | Self::Reckon { store, .. } => store,
        }
    }

    /// Whether it only reads, so that what it sees is fixed when it is submitted.
    pub(crate) fn is_read(&self) -> bool {
        matches!(
            self,
            Self::GetMany { .. } | Self::GetKey { .. } | Self::GetStamped { .. } | Self::GetTimeLeft { .. }
        )
    }

    /// Whether it writes one document, so that it may share a commit with others.
    pub(crate) fn is_single_write(&self) -> bool {
        matches!(self, Self::Change { .. } | Self::Patch { .. } | Self::Pop { .. } | Self::Reckon { .. })
    }

    /// The bytes that it brings.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Change { document: Some(document), .. } => document.bytes.len(),
            Self::Patch { change, .. } => change.len(),
            Self::Reckon { number, .. } => number.bytes.len(),
            _ => 0,
        }
    }
}

/// Reads the fields of the verb with this number.
pub(super) fn take_bulk<'a>(number: u8, input: &mut &'a [u8]) -> Option<BulkVerb<'a>> {
    let store = take_text(input)?;
    Some(match number {
        55 => BulkVerb::GetMany { store, keys: take_list(input, take_bytes)? },
        56 => BulkVerb::GetKey { store, index: take_optional_text(input)?, range: take_range(input)? },
        57 => BulkVerb::DeleteRange { store, range: take_range(input)? },
        58 | 59 => BulkVerb::PutMany {
            store,
            documents: take_list(input, |input| {
                let key = take_optional_bytes(input)?;
                Some(RawDocument { key, format: take_format(input)?, bytes: take_bytes(input)? })
            })?,
            overwrite: number == 58,
        },
        60 => BulkVerb::DeleteMany { store, keys: take_list(input, take_bytes)? },
        61 => BulkVerb::GetStamped { store, key: take_bytes(input)? },
        62 => BulkVerb::Change {
            store,
            key: take_bytes(input)?,
            stamp: take_stamp(input)?,
            document: take_replacement(input)?,
        },
        63 => BulkVerb::Patch { store, key: take_bytes(input)?, change: take_bytes(input)? },
        64 => BulkVerb::Pop { store, range: take_range(input)?, reverse: take_u8(input)? != 0 },
        65 => BulkVerb::Batch { store, writes: take_list(input, take_write)? },
        66 => BulkVerb::GetTimeLeft { store, key: take_bytes(input)? },
        67 => BulkVerb::Reckon {
            store,
            key: take_bytes(input)?,
            reckoning: reckoning(take_u8(input)?)?,
            number: RawDocument { key: None, format: take_format(input)?, bytes: take_bytes(input)? },
        },
        _ => return None,
    })
}

/// A format of 0 stands for a delete.
fn take_write<'a>(input: &mut &'a [u8]) -> Option<RawWrite<'a>> {
    let key = take_bytes(input)?;
    if input.first() == Some(&0) {
        take_u8(input)?;
        return Some(RawWrite { key, put: None });
    }
    Some(RawWrite { key, put: Some((take_format(input)?, take_bytes(input)?, take_options(input)?)) })
}

/// The count is not trusted with an allocation: the list grows by what is really there.
pub(super) fn take_list<'a, T>(
    input: &mut &'a [u8],
    take: impl Fn(&mut &'a [u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let count = take_u32(input)?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(take(input)?);
    }
    Some(list)
}

fn take_stamp(input: &mut &[u8]) -> Option<Stamp> {
    let (bytes, rest) = input.split_first_chunk::<16>()?;
    *input = rest;
    Some(Stamp::from_bytes(*bytes))
}

/// A format of 0 stands for no document.
fn take_replacement<'a>(input: &mut &'a [u8]) -> Option<Option<RawDocument<'a>>> {
    if input.first() == Some(&0) {
        take_u8(input)?;
        return Some(None);
    }
    Some(Some(RawDocument { key: None, format: take_format(input)?, bytes: take_bytes(input)? }))
}

/// What these verbs come to.
pub(crate) enum BulkAnswer {
    Documents(Vec<Option<Document>>),
    Keys(Vec<Key>),
    /// Whether the change that was asked for was made, the stamp, and the document unless it is known.
    Stamped(bool, Stamp, Option<Document>),
}

impl BulkAnswer {
    /// # Errors
    ///
    /// `InvalidArgument` where the documents are more than one answer holds.
    pub(crate) fn documents(rows: Vec<Option<Row>>) -> Result<Self> {
        let bytes: usize = rows.iter().flatten().map(|row| row.document.bytes.len()).sum();
        if bytes > ANSWER_BYTES_MAX {
            let message =
                format!("reading {bytes} bytes of documents at once: the most is {ANSWER_BYTES_MAX}");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        Ok(Self::Documents(rows.into_iter().map(|row| row.map(|row| row.document)).collect()))
    }

    pub(crate) fn changed(changed: Changed) -> Self {
        match changed {
            Changed::Done(stamp) => Self::Stamped(true, stamp, None),
            Changed::Otherwise(row) => Self::stamped(row),
        }
    }

    pub(crate) fn stamped(row: Option<Row>) -> Self {
        Self::Stamped(false, Stamp::of(row.as_ref()), row.map(|row| row.document))
    }

    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Documents(_) => 15,
            Self::Keys(_) => 16,
            Self::Stamped(..) => 17,
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Documents(documents) => {
                put_count(out, documents.len());
                put_documents(out, documents.iter().map(Option::as_ref));
            }
            Self::Keys(keys) => {
                put_count(out, keys.len());
                put_keys(out, keys.iter());
            }
            Self::Stamped(done, stamp, document) => {
                out.push(u8::from(*done));
                out.extend_from_slice(&stamp.to_bytes());
                put_document(out, document.as_ref());
            }
        }
    }
}

/// There are at most as many as came in one run, whose length is a u32.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::packing::put_bytes;
    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_went() {
        let document = Document { format: Format::Json, bytes: b"{}".to_vec() };
        let key = Key::from_f64(1.0).unwrap();
        let row = Row { key, index_key: None, document, version: 7, updated_at: 0, expires_at: 0 };
        let stamp = Stamp::of(Some(&row));
        assert_ne!(stamp, Stamp::MISSING);
        assert_eq!(Stamp::from_bytes(stamp.to_bytes()), stamp);
        let other = Row { document: Document { format: Format::Json, bytes: b"[]".to_vec() }, ..row };
        assert_ne!(Stamp::of(Some(&other)), stamp, "the version is the same and the document is not");
    }

    #[test]
    fn a_verb_cut_anywhere_is_refused_and_a_count_that_lies_allocates_nothing() {
        let mut change = Vec::new();
        put_bytes(&mut change, b"s");
        put_bytes(&mut change, b"key");
        change.extend_from_slice(&[0; 16]);
        change.push(1);
        put_bytes(&mut change, b"{}");
        assert!(matches!(take_bulk(62, &mut &change[..]), Some(BulkVerb::Change { document: Some(_), .. })));
        for end in 0..change.len() {
            assert_eq!(take_bulk(62, &mut &change[..end]), None, "cut at {end}");
        }
        let mut many = Vec::new();
        put_bytes(&mut many, b"s");
        many.extend_from_slice(&u32::MAX.to_le_bytes());
        for number in [55, 58, 59, 60, 65] {
            assert_eq!(take_bulk(number, &mut &many[..]), None);
        }
        assert_eq!(take_bulk(LAST_BULK_VERB + 1, &mut &change[..]), None);
    }
}
