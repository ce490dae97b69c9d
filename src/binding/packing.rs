//! The packed encodings: operations as they come from JavaScript, answers as they go back.
//!
//! `lib/run.js` and `lib/packing.js` are the other side, and docs/binding.md lists every byte. Integers are little endian; bytes and
//! text carry their length as a u32 before them. Nothing here is kept on disk, so both sides may change together.
//!
//! Invariant: a run of operations is read whole before the first is executed, so one that can't be read is refused
//! in the call that brought it and every request in it can still be answered.
#![forbid(unsafe_code)]

use std::ops::Bound;

use crate::config::SyncMode;
use crate::error::{Code, Error, Result};
use crate::jsondb::{
    Document, Expires, Format, Isolation, Key, KeyRange, Mode, Page, PutOptions, Row, Savepoint, Taken,
};
use crate::series::{Record, Window};

use super::atomic::{self, AtomicVerb};
use super::bulk_packing::{BulkAnswer, BulkVerb, FIRST_BULK_VERB, LAST_BULK_VERB, take_bulk};
use super::changes::{self, Changes};
use super::error::to_json;
use super::execute::guarded;
use super::keyspace_packing::{self, KeyspaceAnswer, KeyspaceVerb};
use super::moving::{self, MovingVerb};
use super::namespaces::{self, NamespaceVerb};
use super::page_packer::PackedPage;
use super::query_packing::{self, QueryVerb};
use super::series_packing::{FIRST_VERB, SeriesVerb, put_record, put_window, take_verb};
use super::versions;
use super::watching::{self, WatchVerb};

/// The length that says "there is none" where bytes are optional.
const ABSENT: u32 = u32::MAX;

/// A page carries the keys of its rows.
pub(super) const WANTS_KEYS: u8 = 1;
/// A page carries the documents of its rows.
pub(crate) const WANTS_DOCUMENTS: u8 = 2;
/// A page carries the keys that its rows have in the index.
pub(super) const WANTS_INDEX_KEYS: u8 = 4;
/// A page carries the stamps of its documents.
pub(super) const WANTS_STAMPS: u8 = 8;

/// A cursor goes from the last key to the first.
const REVERSE: u8 = 1;
/// A cursor comes to each key of an index once.
const DISTINCT: u8 = 2;

/// Request, kind and length come before the payload of an answer.
pub(super) const ANSWER_HEAD_BYTES: usize = 9;

/// Verb, request and transaction come before the fields of an operation.
const OPERATION_HEAD_BYTES: usize = 9;

pub(super) const LOWER: u8 = 1;
pub(super) const LOWER_OPEN: u8 = 2;
pub(super) const UPPER: u8 = 4;
pub(super) const UPPER_OPEN: u8 = 8;
/// The lower bound is what the keys begin with.
pub(super) const PREFIX: u8 = 16;

/// One request, borrowed from the run it came in.
#[derive(Debug, PartialEq)]
pub(crate) struct Operation<'a> {
    /// The answer carries this number back. No answer is wanted for request 0.
    pub(crate) request: u32,
    /// The transaction that the operation belongs to; 0 for an operation of its own.
    pub(crate) transaction: u32,
    pub(crate) verb: Verb<'a>,
}

/// What an operation asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Verb<'a> {
    /// The definition, if any, is that of a store without which the database is of no use to who opens it.
    Open {
        definition: Option<&'a str>,
    },
    Close,
    Put {
        store: &'a str,
        key: Option<&'a [u8]>,
        format: Format,
        document: &'a [u8],
        overwrite: bool,
    },
    /// A put with conditions, an expiry or a durability of its own.
    PutWith {
        store: &'a str,
        key: Option<&'a [u8]>,
        format: Format,
        document: &'a [u8],
        options: PutOptions,
        sync: Option<SyncMode>,
    },
    Touch {
        store: &'a str,
        key: &'a [u8],
        expires: Expires,
    },
    Get {
        store: &'a str,
        key: &'a [u8],
    },
    GetEntry {
        store: &'a str,
        key: &'a [u8],
    },
    Has {
        store: &'a str,
        key: &'a [u8],
    },
    Delete {
        store: &'a str,
        key: &'a [u8],
    },
    Clear {
        store: &'a str,
    },
    Count {
        store: &'a str,
        index: Option<&'a str>,
        range: RawRange<'a>,
    },
    OpenCursor {
        cursor: u32,
        scan: Scan<'a>,
        size: PageSize,
    },
    NextPage {
        cursor: u32,
        size: PageSize,
    },
    CloseCursor {
        cursor: u32,
    },
    /// The definition is JSON: `{ name, keyPath, autoIncrement }`.
    CreateStore {
        definition: &'a str,
    },
    DeleteStore {
        store: &'a str,
    },
    /// The definition is JSON: `{ name, keyPath, unique, multiEntry }`.
    CreateIndex {
        store: &'a str,
        definition: &'a str,
    },
    DeleteIndex {
        store: &'a str,
        index: &'a str,
    },
    Schema,
    Begin {
        mode: Mode,
        isolation: Isolation,
        scope: Vec<&'a str>,
    },
    Savepoint,
    RollbackTo {
        savepoint: Savepoint,
    },
    /// Refused when one of the writes in the transaction that these requests are for has failed.
    Commit {
        relied_on: Vec<u32>,
    },
    Abort,
    /// Removes the files of a database that is not open.
    Destroy,
    Series(SeriesVerb<'a>),
    Bulk(BulkVerb<'a>),
    Atomic(AtomicVerb<'a>),
    /// Makes a copy in a directory, which is given by its absolute path.
    Checkpoint {
        dir: &'a str,
    },
    Verify,
    Stats,
    Metrics,
    /// Of the whole database where no store is named.
    Compact {
        store: Option<&'a str>,
        range: RawRange<'a>,
    },
    ApproximateSize {
        store: Option<&'a str>,
        range: RawRange<'a>,
    },
    /// Makes a damaged database, which is not open, one that can be opened.
    Repair,
    /// Of the whole database where no store is named.
    Purge {
        store: Option<&'a str>,
    },
    /// 0 is no default.
    SetDefaultTtl {
        store: &'a str,
        ms: u64,
    },
    Query(QueryVerb<'a>),
    Moving(MovingVerb<'a>),
    Watch(WatchVerb<'a>),
    Changes(Changes<'a>),
    Namespace(NamespaceVerb<'a>),
    Keyspace(KeyspaceVerb<'a>),
}

impl Verb<'_> {
    /// Whether the operation, in a transaction, does the same whatever others have committed since that began.
    pub(crate) fn stays_in_transaction(&self) -> bool {
        matches!(
            self,
            Self::Put { .. }
                | Self::PutWith { .. }
                | Self::Touch { .. }
                | Self::GetEntry { .. }
                | Self::Savepoint
                | Self::RollbackTo { .. }
                | Self::Delete { .. }
                | Self::Clear { .. }
                | Self::Get { .. }
                | Self::Has { .. }
                | Self::Count { .. }
                | Self::OpenCursor { .. }
                | Self::NextPage { .. }
                | Self::CloseCursor { .. }
                | Self::Bulk(_)
                | Self::Atomic(_)
                | Self::Query(_)
                | Self::Abort
        )
    }

    /// Whether a read that comes after it has to look afresh. Writes in a transaction are seen with its commit.
    pub(crate) fn changes_what_is_seen(&self) -> bool {
        if let Self::Namespace(verb) = self {
            return verb.changes_what_is_seen();
        }
        matches!(
            self,
            Self::Open { .. }
                | Self::Close
                | Self::CreateStore { .. }
                | Self::DeleteStore { .. }
                | Self::CreateIndex { .. }
                | Self::DeleteIndex { .. }
                | Self::SetDefaultTtl { .. }
                | Self::Purge { .. }
                | Self::Moving(MovingVerb::Restore { .. })
                | Self::Commit { .. }
                | Self::Destroy
                | Self::Bulk(
                    BulkVerb::PutMany { .. }
                        | BulkVerb::DeleteMany { .. }
                        | BulkVerb::DeleteRange { .. }
                        | BulkVerb::Batch { .. }
                )
                | Self::Atomic(_)
                | Self::Query(QueryVerb::Delete(_))
                | Self::Changes(_)
                | Self::Keyspace(KeyspaceVerb::Clear { .. })
                | Self::Series(SeriesVerb::Open(_) | SeriesVerb::DeleteRange(..) | SeriesVerb::Drop { .. })
        )
    }
}

/// What a cursor runs over.
#[derive(Debug, PartialEq)]
pub(crate) struct Scan<'a> {
    pub(crate) store: &'a str,
    pub(crate) index: Option<&'a str>,
    pub(crate) range: RawRange<'a>,
    pub(crate) reverse: bool,
    /// Of the entries of an index with one key, only the first.
    pub(crate) distinct: bool,
    /// How many rows are passed over first.
    pub(crate) offset: u64,
    /// [`WANTS_KEYS`], [`WANTS_DOCUMENTS`] and so on, added up.
    pub(crate) wants: u8,
}

/// How much a page may hold; it holds a row whenever there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PageSize {
    pub(crate) rows: u32,
    pub(crate) bytes: u32,
    /// Nobody wants rows behind so many.
    pub(crate) is_all: bool,
}

impl PageSize {
    /// Whether so many rows are all that are wanted.
    pub(crate) fn is_filled_by(self, rows: usize) -> bool {
        self.is_all && rows >= self.rows as usize
    }
}

/// A range whose keys have not been checked yet.
#[derive(Debug, PartialEq)]
pub(crate) struct RawRange<'a> {
    lower: Bound<&'a [u8]>,
    upper: Bound<&'a [u8]>,
    /// The lower bound is what the keys begin with, and there is no other.
    is_prefix: bool,
}

impl RawRange<'_> {
    /// The range with its keys checked.
    pub(crate) fn decode(&self) -> Result<KeyRange> {
        if let (true, Bound::Included(prefix)) = (self.is_prefix, self.lower) {
            return KeyRange::prefix(Key::from_encoded(prefix)?);
        }
        Ok(KeyRange { lower: decode_bound(self.lower)?, upper: decode_bound(self.upper)? })
    }
}

impl<'a> RawRange<'a> {
    /// The bounds as they are, where the keys are any bytes.
    pub(crate) fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        (self.lower, self.upper)
    }
}

fn decode_bound(bound: Bound<&[u8]>) -> Result<Bound<Key>> {
    Ok(match bound {
        Bound::Included(bytes) => Bound::Included(Key::from_encoded(bytes)?),
        Bound::Excluded(bytes) => Bound::Excluded(Key::from_encoded(bytes)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

/// Reads a run of one operation; `None` where it is something else.
pub(crate) fn read_one(mut run: &[u8]) -> Option<Operation<'_>> {
    read_operation(&mut run).filter(|_| run.is_empty())
}

/// Reads every operation of a run.
pub(crate) fn read_run(run: &[u8]) -> Result<Vec<Operation<'_>>> {
    operations_of(run).collect()
}

/// Whether every operation of a run can be read.
pub(crate) fn check_run(run: &[u8]) -> Result<()> {
    operations_of(run).try_for_each(|operation| operation.map(drop))
}

fn operations_of(run: &[u8]) -> impl Iterator<Item = Result<Operation<'_>>> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let at = run.len() - rest.len();
        (!rest.is_empty()).then(|| read_operation(&mut rest).ok_or_else(|| malformed(at)))
    })
}

/// What the first operation of a run asks for: its verb and its fields, without request and transaction.
pub(crate) fn fields_of(run: &[u8]) -> (Option<&u8>, Option<&[u8]>) {
    (run.first(), run.get(OPERATION_HEAD_BYTES..))
}

fn malformed(at: usize) -> Error {
    Error::new(Code::Internal, format!("the operation packed at byte {at} of its run can't be read"))
}

fn read_operation<'a>(input: &mut &'a [u8]) -> Option<Operation<'a>> {
    let number = take_u8(input)?;
    let request = take_u32(input)?;
    let transaction = take_u32(input)?;
    let verb = match number {
        1 => Verb::Open { definition: take_optional_text(input)? },
        2 => Verb::Close,
        3 | 4 => Verb::Put {
            store: take_text(input)?,
            key: take_optional_bytes(input)?,
            format: take_format(input)?,
            document: take_bytes(input)?,
            overwrite: number == 3,
        },
        5 => Verb::Get { store: take_text(input)?, key: take_bytes(input)? },
        6 => Verb::Has { store: take_text(input)?, key: take_bytes(input)? },
        7 => Verb::Delete { store: take_text(input)?, key: take_bytes(input)? },
        8 => Verb::Clear { store: take_text(input)? },
        9 => Verb::Count {
            store: take_text(input)?,
            index: take_optional_text(input)?,
            range: take_range(input)?,
        },
        10 => Verb::OpenCursor {
            cursor: take_u32(input)?,
            scan: take_scan(input)?,
            size: take_page_size(input)?,
        },
        11 => Verb::NextPage { cursor: take_u32(input)?, size: take_page_size(input)? },
        12 => Verb::CloseCursor { cursor: take_u32(input)? },
        13 => Verb::CreateStore { definition: take_text(input)? },
        14 => Verb::DeleteStore { store: take_text(input)? },
        15 => Verb::CreateIndex { store: take_text(input)?, definition: take_text(input)? },
        16 => Verb::DeleteIndex { store: take_text(input)?, index: take_text(input)? },
        17 => Verb::Schema,
        18 => {
            let (mode, isolation) = take_mode(input)?;
            Verb::Begin { mode, isolation, scope: take_texts(input)? }
        }
        19 => Verb::Commit { relied_on: take_numbers(input)? },
        20 => Verb::Abort,
        21 => Verb::Destroy,
        33 => Verb::Checkpoint { dir: take_text(input)? },
        34 => Verb::Verify,
        35 => Verb::Stats,
        36 => Verb::Metrics,
        37 => Verb::Compact { store: take_optional_text(input)?, range: take_range(input)? },
        38 => Verb::ApproximateSize { store: take_optional_text(input)?, range: take_range(input)? },
        39 => Verb::Repair,
        versions::FIRST_VERB..=versions::LAST_VERB => versions::take_verb(number, input)?,
        atomic::VERB => Verb::Atomic(atomic::take_verb(input)?),
        FIRST_BULK_VERB..=LAST_BULK_VERB => Verb::Bulk(take_bulk(number, input)?),
        _ if query_packing::VERBS.contains(&number) => Verb::Query(query_packing::take_verb(number, input)?),
        _ if namespaces::VERBS.contains(&number) => Verb::Namespace(namespaces::take_verb(number, input)?),
        _ if keyspace_packing::VERBS.contains(&number) => {
            Verb::Keyspace(keyspace_packing::take_verb(number, input)?)
        }
        _ if moving::VERBS.contains(&number) => Verb::Moving(moving::take_verb(number, input)?),
        changes::VERB => Verb::Changes(changes::take_changes(input)?),
        watching::FIRST_VERB.. => Verb::Watch(watching::take_verb(number, input)?),
        FIRST_VERB.. => Verb::Series(take_verb(number, input)?),
        _ => return None,
    };
    Some(Operation { request, transaction, verb })
}

pub(super) fn take_u8(input: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = input.split_first()?;
    *input = rest;
    Some(byte)
}

pub(super) fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_le_bytes(*bytes))
}

pub(super) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    take_optional_bytes(input)?
}

pub(super) fn take_optional_bytes<'a>(input: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_u32(input)?;
    if length == ABSENT {
        return Some(None);
    }
    let (bytes, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
    *input = rest;
    Some(Some(bytes))
}

pub(super) fn take_text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(input)?).ok()
}

pub(super) fn take_optional_text<'a>(input: &mut &'a [u8]) -> Option<Option<&'a str>> {
    match take_optional_bytes(input)? {
        Some(bytes) => Some(Some(std::str::from_utf8(bytes).ok()?)),
        None => Some(None),
    }
}

/// The count is not trusted with an allocation: the list grows by what is really there.
fn take_texts<'a>(input: &mut &'a [u8]) -> Option<Vec<&'a str>> {
    let count = take_u32(input)?;
    (0..count).map(|_| take_text(input)).collect()
}

fn take_numbers(input: &mut &[u8]) -> Option<Vec<u32>> {
    let count = take_u32(input)?;
    (0..count).map(|_| take_u32(input)).collect()
}

pub(super) fn take_format(input: &mut &[u8]) -> Option<Format> {
    match take_u8(input)? {
        1 => Some(Format::Json),
        2 => Some(Format::Structured),
        3 => Some(Format::Raw),
        4 => Some(Format::Text),
        _ => None,
    }
}

fn take_mode(input: &mut &[u8]) -> Option<(Mode, Isolation)> {
    match take_u8(input)? {
        0 => Some((Mode::ReadOnly, Isolation::Serializable)),
        1 => Some((Mode::ReadWrite, Isolation::Serializable)),
        2 => Some((Mode::ReadWrite, Isolation::Snapshot)),
        _ => None,
    }
}

fn take_scan<'a>(input: &mut &'a [u8]) -> Option<Scan<'a>> {
    let (store, index, range) = (take_text(input)?, take_optional_text(input)?, take_range(input)?);
    let direction = take_u8(input)?;
    let (reverse, distinct) = (direction & REVERSE != 0, direction & DISTINCT != 0);
    let offset = versions::take_u64(input)?;
    Some(Scan { store, index, range, reverse, distinct, offset, wants: take_u8(input)? })
}

pub(super) fn take_page_size(input: &mut &[u8]) -> Option<PageSize> {
    Some(PageSize { rows: take_u32(input)?, bytes: take_u32(input)?, is_all: true })
}

pub(super) fn take_range<'a>(input: &mut &'a [u8]) -> Option<RawRange<'a>> {
    let flags = take_u8(input)?;
    let lower = take_bound(input, flags & LOWER != 0, flags & LOWER_OPEN != 0)?;
    let upper = take_bound(input, flags & UPPER != 0, flags & UPPER_OPEN != 0)?;
    Some(RawRange { lower, upper, is_prefix: flags & PREFIX != 0 })
}

fn take_bound<'a>(input: &mut &'a [u8], present: bool, open: bool) -> Option<Bound<&'a [u8]>> {
    Some(match (present, open) {
        (false, _) => Bound::Unbounded,
        (true, false) => Bound::Included(take_bytes(input)?),
        (true, true) => Bound::Excluded(take_bytes(input)?),
    })
}

/// What a request came to.
pub(crate) enum Answer {
    /// Done, with nothing to say; JavaScript sees `undefined`.
    Nothing,
    Key(Key),
    Document(Document),
    Entry(Row),
    Flag(bool),
    Count(u64),
    Page(PackedPage),
    Bulk(BulkAnswer),
    /// Documents with all that is known of them.
    Documents(Page),
    Record(Record),
    /// Records, and whether more follow.
    Records(Vec<Record>, bool),
    /// Windows, and whether more follow.
    Windows(Vec<Window>, bool),
    /// What was taken from a watch.
    Changes(Taken),
    /// JSON text.
    Text(String),
    /// What was read of a keyspace.
    Keyspace(KeyspaceAnswer),
}

/// Answers on their way back, packed one after the other.
#[derive(Default)]
pub(crate) struct Answers(Vec<u8>);

impl Answers {
    /// Packs the answer to `request`; an answer that nobody wants is dropped. One that can't be packed, by a defect, becomes an
    /// error: whoever packs answers has others to give, and a lane to go on with.
    pub(crate) fn push(&mut self, request: u32, answer: Result<Answer>) {
        if request != 0 {
            self.push_guarded(request, |answers| answers.pack(request, answer));
        }
    }

    fn push_guarded(&mut self, request: u32, pack: impl FnOnce(&mut Self)) {
        let before = self.0.len();
        let packed = guarded(|| {
            pack(self);
            Ok(())
        });
        if let Err(error) = packed {
            self.0.truncate(before);
            self.pack(request, Err(error));
        }
    }

    fn pack(&mut self, request: u32, answer: Result<Answer>) {
        let answer = match answer {
            Ok(Answer::Page(page)) if self.0.is_empty() => {
                // Its memory is taken as it is.
                self.0 = page.into_answer(request, 5);
                return;
            }
            answer => answer,
        };
        self.0.extend_from_slice(&request.to_le_bytes());
        match answer {
            Ok(Answer::Nothing) => self.payload(0, |_| {}),
            Ok(Answer::Key(key)) => self.payload(1, |out| out.extend_from_slice(key.as_bytes())),
            Ok(Answer::Document(document)) => self.payload(2, |out| {
                out.push(document.format as u8);
                out.extend_from_slice(&document.bytes);
            }),
            Ok(Answer::Flag(flag)) => self.payload(3, |out| out.push(u8::from(flag))),
            // JavaScript counts in f64, exact to 2^53.
            Ok(Answer::Count(count)) => self.payload(4, |out| {
                out.extend_from_slice(&(count as f64).to_le_bytes());
            }),
            Ok(Answer::Page(page)) => self.payload(5, |out| out.extend_from_slice(page.payload())),
            Ok(Answer::Documents(page)) => self.payload(24, |out| {
                put_page_head(out, page.next.is_some(), page.rows.len());
                moving::put_rows(out, &page);
            }),
            Ok(Answer::Text(text)) => self.payload(6, |out| out.extend_from_slice(text.as_bytes())),
            Ok(Answer::Entry(row)) => self.payload(11, |out| versions::put_entry(out, &row)),
            Ok(Answer::Bulk(bulk)) => self.payload(bulk.kind(), |out| bulk.put(out)),
            Ok(Answer::Changes(taken)) => {
                self.payload(watching::CHANGES, |out| watching::put_changes(out, &taken));
            }
            Ok(Answer::Keyspace(answer)) => {
                self.payload(answer.kind(), |out| out.extend_from_slice(answer.payload()));
            }
            Ok(Answer::Record(record)) => self.payload(8, |out| put_record(out, &record)),
            Ok(Answer::Records(records, more)) => self.payload(9, |out| {
                put_page_head(out, more, records.len());
                records.iter().for_each(|record| put_record(out, record));
            }),
            Ok(Answer::Windows(windows, more)) => self.payload(10, |out| {
                put_page_head(out, more, windows.len());
                windows.iter().for_each(|window| put_window(out, window));
            }),
            Err(error) => self.payload(7, |out| out.extend_from_slice(to_json(&error).as_bytes())),
        }
    }

    /// Takes what is packed so far, for sending.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// What is packed so far.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Forgets what is packed so far, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The length of what is packed so far, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn payload(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(kind);
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        write(&mut self.0);
        let length = length_u32(self.0.len() - at - 4);
        self.0[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// The request of the answer at the start of `answers`, and how many bytes it has; `None` where there is none.
pub(crate) fn answer_at(answers: &[u8]) -> Option<(u32, usize)> {
    let (request, rest) = answers.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*rest.get(1..)?.first_chunk::<4>()?);
    Some((u32::from_le_bytes(*request), ANSWER_HEAD_BYTES + length as usize))
}

fn put_page_head(out: &mut Vec<u8>, more: bool, rows: usize) {
    out.push(u8::from(more));
    out.extend_from_slice(&length_u32(rows).to_le_bytes());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length_u32(bytes.len()).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a value has at most 1 GiB and a page little more than one value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, text: &str) {
        put_bytes(out, text.as_bytes());
    }

    fn a_put() -> Vec<u8> {
        let mut run = vec![3, 7, 0, 0, 0, 0, 0, 0, 0];
        text(&mut run, "users");
        run.extend_from_slice(&ABSENT.to_le_bytes());
        run.push(1);
        text(&mut run, "{}");
        run
    }

    #[test]
    fn a_run_reads_back_as_the_operations_that_were_packed() {
        let mut run = a_put();
        run.extend_from_slice(&[17, 8, 0, 0, 0, 0, 0, 0, 0]);

        let operations = read_run(&run).unwrap();

        let put =
            Verb::Put { store: "users", key: None, format: Format::Json, document: b"{}", overwrite: true };
        assert_eq!(operations[0], Operation { request: 7, transaction: 0, verb: put });
        assert_eq!(operations[1], Operation { request: 8, transaction: 0, verb: Verb::Schema });
    }

    #[test]
    fn a_run_cut_anywhere_is_refused_and_never_a_panic() {
        let run = a_put();
        for end in 1..run.len() {
            assert_eq!(read_run(&run[..end]).unwrap_err().code(), Code::Internal, "cut at {end}");
        }
    }

    #[test]
    fn a_count_that_lies_allocates_nothing() {
        let mut run = vec![18, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        run.extend_from_slice(&u32::MAX.to_le_bytes());

        assert!(read_run(&run).is_err());
    }

    #[test]
    fn an_answer_carries_its_request_kind_and_length() {
        let mut answers = Answers::default();

        answers.push(9, Ok(Answer::Flag(true)));

        assert_eq!(answers.take(), [9, 0, 0, 0, 3, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn answers_are_told_apart_by_their_heads() {
        let mut answers = Answers::default();
        answers.push(9, Ok(Answer::Flag(true)));
        answers.push(8, Ok(Answer::Nothing));
        let packed = answers.take();

        assert_eq!(answer_at(&packed), Some((9, 10)));
        assert_eq!(answer_at(&packed[10..]), Some((8, 9)));
        assert_eq!(answer_at(&packed[19..]), None);
    }

    #[test]
    fn a_panic_while_an_answer_is_packed_becomes_its_error_and_spoils_no_other() {
        let mut answers = Answers::default();
        answers.push(9, Ok(Answer::Flag(true)));

        answers.push_guarded(8, |answers| answers.payload(6, |_| panic!("of the test")));
        answers.push(7, Ok(Answer::Nothing));

        let packed = answers.take();
        let (request, length) = answer_at(&packed[10..]).unwrap();
        assert_eq!((request, packed[14]), (8, 7));
        assert!(String::from_utf8_lossy(&packed[19..10 + length]).contains("of the test"));
        assert_eq!(answer_at(&packed[10 + length..]), Some((7, 9)));
    }

    #[test]
    fn an_answer_that_nobody_wants_is_not_packed() {
        let mut answers = Answers::default();

        answers.push(0, Ok(Answer::Nothing));

        assert_eq!(answers.len(), 0);
    }
}
