//! The packed encodings of keyspaces: what is asked of them, and values and pages on their way back.
//!
//! `lib/keyspace.js` is the other side; docs/binding.md lists every byte.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use crate::config::{SYNC_INTERVAL_MS, SyncMode};
use crate::engine::Row;
use crate::error::{Code, Error, Result};

use super::bulk_packing::ANSWER_BYTES_MAX;
use super::packing::{
    PageSize, RawRange, length_u32, put_bytes, take_bytes, take_page_size, take_range, take_text, take_u8,
    take_u32,
};
use super::versions::take_u64;

/// The numbers of the verbs of keyspaces.
pub(super) const VERBS: RangeInclusive<u8> = 100..=110;

/// A page carries the keys of its rows.
const WANTS_KEYS: u8 = 1;
/// A page carries the values of its rows.
const WANTS_VALUES: u8 = 2;
/// A page carries the expiries of its rows.
const WANTS_EXPIRIES: u8 = 4;

/// In the place of the length of a value: there is none.
const ABSENT: u32 = u32::MAX;

/// The keyspace that an operation is for, and what it sees of it.
#[derive(Debug, PartialEq, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    /// The number of a snapshot that is kept; 0 for the moment at which it was submitted.
    pub(crate) snapshot: u32,
}

/// What an operation asks of a keyspace.
#[derive(Debug, PartialEq)]
pub(crate) enum KeyspaceVerb<'a> {
    Get(Seen<'a>, &'a [u8]),
    GetMany(Seen<'a>, Vec<&'a [u8]>),
    HasMany(Seen<'a>, Vec<&'a [u8]>),
    /// When a key expires.
    Expiry(Seen<'a>, &'a [u8]),
    Page {
        seen: Seen<'a>,
        range: RawRange<'a>,
        reverse: bool,
        wants: u8,
        size: PageSize,
    },
    Batch {
        name: &'a str,
        sync: Option<SyncMode>,
        changes: Vec<Change<'a>>,
        /// What the changes take in the run.
        bytes: usize,
    },
    /// Keeps what is visible now under a number.
    TakeSnapshot(u32),
    Compact(&'a str, RawRange<'a>),
    ApproximateSize(&'a str, RawRange<'a>),
    /// What the engine counts.
    Stats,
    /// Removes entries one by one.
    Clear {
        seen: Seen<'a>,
        sync: Option<SyncMode>,
        range: RawRange<'a>,
        reverse: bool,
        limit: u64,
    },
}

/// One change of a batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Change<'a> {
    Delete(&'a [u8]),
    Put { key: &'a [u8], value: &'a [u8], expires_at_ms: Option<u64> },
    Clear(RawRange<'a>),
}

impl KeyspaceVerb<'_> {
    /// Whether it only reads as of the moment at which it is submitted.
    pub(crate) fn is_read_of_now(&self) -> bool {
        match self {
            Self::Get(seen, _)
            | Self::GetMany(seen, _)
            | Self::HasMany(seen, _)
            | Self::Expiry(seen, _)
            | Self::Page { seen, .. } => seen.snapshot == 0,
            _ => false,
        }
    }
}

/// Takes the fields of the verb `number`.
pub(super) fn take_verb<'a>(number: u8, input: &mut &'a [u8]) -> Option<KeyspaceVerb<'a>> {
    Some(match number {
        100 => KeyspaceVerb::Get(take_seen(input)?, take_bytes(input)?),
        101 => KeyspaceVerb::GetMany(take_seen(input)?, take_keys(input)?),
        102 => KeyspaceVerb::HasMany(take_seen(input)?, take_keys(input)?),
        103 => KeyspaceVerb::Expiry(take_seen(input)?, take_bytes(input)?),
        104 => KeyspaceVerb::Page {
            seen: take_seen(input)?,
            range: take_range(input)?,
            reverse: take_u8(input)? != 0,
            wants: take_u8(input)?,
            size: take_page_size(input)?,
        },
        105 => take_batch(input)?,
        106 => KeyspaceVerb::TakeSnapshot(take_u32(input)?),
        107 => KeyspaceVerb::Compact(take_text(input)?, take_range(input)?),
        108 => KeyspaceVerb::ApproximateSize(take_text(input)?, take_range(input)?),
        109 => KeyspaceVerb::Stats,
        110 => KeyspaceVerb::Clear {
            seen: take_seen(input)?,
            sync: take_sync(input)?,
            range: take_range(input)?,
            reverse: take_u8(input)? != 0,
            limit: take_u64(input)?,
        },
        _ => return None,
    })
}

fn take_seen<'a>(input: &mut &'a [u8]) -> Option<Seen<'a>> {
    Some(Seen { name: take_text(input)?, snapshot: take_u32(input)? })
}

/// The count is not trusted with an allocation: the list grows by what is really there.
fn take_keys<'a>(input: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let count = take_u32(input)?;
    (0..count).map(|_| take_bytes(input)).collect()
}

fn take_batch<'a>(input: &mut &'a [u8]) -> Option<KeyspaceVerb<'a>> {
    let (name, sync) = (take_text(input)?, take_sync(input)?);
    let count = take_u32(input)?;
    let before = input.len();
    let changes = (0..count).map(|_| take_change(input)).collect::<Option<_>>()?;
    Some(KeyspaceVerb::Batch { name, sync, changes, bytes: before - input.len() })
}

fn take_sync(input: &mut &[u8]) -> Option<Option<SyncMode>> {
    Some(match take_u8(input)? {
        0 => None,
        1 => Some(SyncMode::Always),
        2 => Some(SyncMode::Interval(SYNC_INTERVAL_MS)),
        3 => Some(SyncMode::Never),
        _ => return None,
    })
}

fn take_change<'a>(input: &mut &'a [u8]) -> Option<Change<'a>> {
    let what = take_u8(input)?;
    Some(match what {
        0 => Change::Delete(take_bytes(input)?),
        1 => Change::Put { key: take_bytes(input)?, value: take_bytes(input)?, expires_at_ms: None },
        2 => {
            let expires_at_ms = Some(take_u64(input)?);
            Change::Put { key: take_bytes(input)?, value: take_bytes(input)?, expires_at_ms }
        }
        3 => Change::Clear(take_range(input)?),
        _ => return None,
    })
}

/// What a request to a keyspace came to, packed.
pub(crate) struct KeyspaceAnswer {
    kind: u8,
    payload: Vec<u8>,
}

impl KeyspaceAnswer {
    pub(crate) fn value(bytes: &[u8]) -> Self {
        Self { kind: 25, payload: bytes.to_vec() }
    }

    pub(super) fn kind(&self) -> u8 {
        self.kind
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Packs values, or none, in the order in which they were asked for.
pub(crate) struct ValuesPacker {
    out: Vec<u8>,
    bytes_max: usize,
}

impl ValuesPacker {
    pub(crate) fn new(count: usize) -> Self {
        Self { out: length_u32(count).to_le_bytes().to_vec(), bytes_max: ANSWER_BYTES_MAX }
    }

    /// # Errors
    ///
    /// `InvalidArgument` where the values are more than one answer holds.
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<()> {
        if self.out.len() + value.len() > self.bytes_max {
            let message =
                format!("reading more than {} bytes of values at once: ask for fewer", self.bytes_max);
            return Err(Error::new(Code::InvalidArgument, message));
        }
        put_bytes(&mut self.out, value);
        Ok(())
    }

    pub(crate) fn add_none(&mut self) {
        self.out.extend_from_slice(&ABSENT.to_le_bytes());
    }

    pub(crate) fn end(self) -> KeyspaceAnswer {
        KeyspaceAnswer { kind: 26, payload: self.out }
    }
}

/// Packs, for each key that was asked for, whether it is there.
pub(crate) fn pack_flags(flags: &[bool]) -> KeyspaceAnswer {
    KeyspaceAnswer { kind: 27, payload: flags.iter().map(|&flag| u8::from(flag)).collect() }
}

/// Packs a page of rows. Behind them stands the last key, where more rows may follow, whatever the page carries.
pub(crate) struct RowsPacker {
    out: Vec<u8>,
    last_key: Vec<u8>,
    wants: u8,
    rows: u32,
    bytes: usize,
    size: PageSize,
}

impl RowsPacker {
    /// The head is written at the end, when it is known.
    const HEAD_BYTES: usize = 5;

    pub(crate) fn new(wants: u8, size: PageSize) -> Self {
        Self { out: vec![0; Self::HEAD_BYTES], last_key: Vec::new(), wants, rows: 0, bytes: 0, size }
    }

    /// Whether no more rows go in. A page that has been asked for takes one, however long that is.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.size.rows || (self.rows > 0 && self.bytes >= self.size.bytes as usize)
    }

    pub(crate) fn add(&mut self, row: &Row<'_>) {
        if self.wants & WANTS_KEYS != 0 {
            put_bytes(&mut self.out, row.key);
        }
        if self.wants & WANTS_VALUES != 0 {
            put_bytes(&mut self.out, row.value);
        }
        if self.wants & WANTS_EXPIRIES != 0 {
            // JavaScript counts in f64, exact to 2^53.
            self.out.extend_from_slice(&(row.expires_at as f64).to_le_bytes());
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(row.key);
        self.rows += 1;
        self.bytes += row.key.len() + row.value.len();
    }

    pub(crate) fn end(mut self, more: bool) -> KeyspaceAnswer {
        self.out[0] = u8::from(more);
        self.out[1..Self::HEAD_BYTES].copy_from_slice(&self.rows.to_le_bytes());
        if more {
            put_bytes(&mut self.out, &self.last_key);
        }
        KeyspaceAnswer { kind: 28, payload: self.out }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packing::{Operation, Verb, read_run};
    use super::*;

    fn a_batch() -> Vec<u8> {
        let mut run = vec![105, 7, 0, 0, 0, 0, 0, 0, 0];
        put_bytes(&mut run, b"k");
        run.push(1);
        run.extend_from_slice(&4u32.to_le_bytes());
        run.push(0);
        put_bytes(&mut run, b"gone");
        run.push(1);
        put_bytes(&mut run, b"key");
        put_bytes(&mut run, b"value");
        run.push(2);
        run.extend_from_slice(&77u64.to_le_bytes());
        put_bytes(&mut run, b"");
        put_bytes(&mut run, b"");
        run.extend_from_slice(&[3, 0]);
        run
    }

    #[test]
    fn a_run_reads_back_as_the_batch_that_was_packed() {
        let run = a_batch();

        let operations = read_run(&run).unwrap();

        let [Operation { request: 7, verb: Verb::Keyspace(verb), .. }] = operations.as_slice() else {
            panic!("{operations:?}")
        };
        let KeyspaceVerb::Batch { name: "k", sync: Some(SyncMode::Always), changes, .. } = verb else {
            panic!("{verb:?}")
        };
        assert_eq!(changes[0], Change::Delete(b"gone"));
        assert_eq!(changes[1], Change::Put { key: b"key", value: b"value", expires_at_ms: None });
        assert_eq!(changes[2], Change::Put { key: b"", value: b"", expires_at_ms: Some(77) });
        assert!(matches!(changes[3], Change::Clear(_)));
        for end in 1..run.len() {
            assert!(read_run(&run[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn values_that_are_more_than_an_answer_holds_are_refused_and_those_that_just_fit_are_not() {
        let mut values = ValuesPacker::new(3);
        values.bytes_max = 4 + (4 + 3) + 5;
        values.add(b"abc").unwrap();

        let error = values.add(b"abcdef").unwrap_err();

        assert_eq!(error.code(), Code::InvalidArgument);
        values.add(b"abcde").unwrap();
        assert_eq!(values.add(b"").unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(ValuesPacker::new(0).bytes_max, 1 << 30, "as docs/adapters/level.md says");
    }

    #[test]
    fn a_clear_reads_back_as_it_was_packed_and_is_refused_where_it_is_cut() {
        let mut run = vec![110, 7, 0, 0, 0, 0, 0, 0, 0];
        put_bytes(&mut run, b"k");
        run.extend_from_slice(&3u32.to_le_bytes());
        run.extend_from_slice(&[1, 0, 1]);
        run.extend_from_slice(&9u64.to_le_bytes());

        let operations = read_run(&run).unwrap();

        let Verb::Keyspace(verb) = &operations[0].verb else { panic!("{operations:?}") };
        let KeyspaceVerb::Clear { seen, sync: Some(SyncMode::Always), reverse: true, limit: 9, .. } = verb
        else {
            panic!("{verb:?}")
        };
        assert_eq!(*seen, Seen { name: "k", snapshot: 3 });
        assert!(!verb.is_read_of_now() && operations[0].verb.changes_what_is_seen());
        for end in 1..run.len() {
            assert!(read_run(&run[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn counts_that_lie_allocate_nothing() {
        let mut batch = a_batch();
        let count = 9 + 4 + 1 + 1;
        batch[count..count + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_run(&batch).is_err());
    }
}
