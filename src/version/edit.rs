//! A version edit: one step from a version of the database to the next, as it stands in a manifest's record.
//!
//! An edit is a list of tagged fields. A tag or flag that this code doesn't know was written by a newer FlowDB, and
//! guessing would lose data: that is a `Version` error. Everything else that is wrong is `Corruption`: the
//! record's checksum was right, so nothing here is the work of a torn write.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::coding::{put_prefixed, put_varint, take_prefixed, take_u8, take_varint};
use crate::error::{Code, Error, Result};
use crate::key::SeqNo;

const TAG_ADDED: u64 = 1;
const TAG_REMOVED: u64 = 2;
const TAG_LOG_NUMBER: u64 = 3;
const TAG_NEXT_FILE_NUMBER: u64 = 4;
const TAG_LAST_SEQNO: u64 = 5;
const TAG_CLEAN_END: u64 = 6;
const TAG_VALUES_ADDED: u64 = 7;

const FLAG_LARGEST_IS_EXCLUSIVE: u64 = 1;
const FLAG_HAS_GARBAGE: u64 = 2;
const FLAG_HAS_VALUES: u64 = 4;

/// What the manifest knows of a table: enough to find it, to check it, and to pick it for reads and compactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TableMeta {
    /// The number of its file.
    pub(crate) number: u64,
    /// The size of its file, in bytes.
    pub(crate) size: u64,
    /// How many point entries it holds, tombstones counted.
    pub(crate) entries: u64,
    /// The smallest user key that it says anything of.
    pub(crate) smallest: Vec<u8>,
    /// The largest user key that it says anything of, or the first one behind all of them.
    pub(crate) largest: Vec<u8>,
    /// Whether `largest` is behind the table's keys: so when a range tombstone ends there.
    pub(crate) largest_is_exclusive: bool,
    pub(crate) seqno_min: SeqNo,
    pub(crate) seqno_max: SeqNo,
    /// How many of the point entries are tombstones.
    pub(crate) tombstones: u64,
    pub(crate) range_tombstones: u64,
    /// The latest moment at which an entry expires, or 0 where none does.
    pub(crate) largest_expiry: u64,
    pub(crate) garbage: Garbage,
    /// The value files that its entries lead to, ascending by number.
    pub(crate) values: Vec<ValueShare>,
}

impl TableMeta {
    /// The bytes that the entries have in value files.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.values.iter().map(|share| share.bytes).fold(0, u64::saturating_add)
    }
}

/// What the entries of a table have in one value file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueShare {
    /// The number of the value file.
    pub(crate) file: u64,
    /// The bytes of their records there; never 0.
    pub(crate) bytes: u64,
}

/// What the manifest knows of a value file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueFileMeta {
    /// The number of the file.
    pub(crate) number: u64,
    /// The size of the file, in bytes.
    pub(crate) size: u64,
}

/// What a table holds, or will hold, that compaction can drop. Zeros where nothing is known: then nothing is dropped
/// for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Garbage {
    /// How many of the point entries are older versions of a key that the table has a newer one of. They were kept
    /// for a snapshot.
    pub(crate) superseded: u64,
    /// In milliseconds since 1970: by then, a quarter of the table's bytes has expired; or 0.
    pub(crate) quarter_expired_at: u64,
    /// In milliseconds since 1970: by then, every point entry has expired; or 0.
    pub(crate) all_expired_at: u64,
}

/// How far a log reached when the database was closed: nothing before may be missing when it is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CleanEnd {
    pub(crate) log_number: u64,
    pub(crate) end_offset: u64,
    pub(crate) last_seqno: SeqNo,
}

/// One step from a version to the next. All of it happens or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct VersionEdit {
    /// Tables that join, with their level.
    pub(crate) added: Vec<(u8, TableMeta)>,
    /// Tables that leave: level and number.
    pub(crate) removed: Vec<(u8, u64)>,
    /// Value files that join. One leaves by itself, when no table leads to it any more.
    pub(crate) values_added: Vec<ValueFileMeta>,
    /// Logs below this number are no longer needed.
    pub(crate) log_number: Option<u64>,
    /// No file with this number or a higher one has been named.
    pub(crate) next_file_number: Option<u64>,
    /// No entry of a table has a higher seqno.
    pub(crate) last_seqno: Option<SeqNo>,
    pub(crate) clean_end: Option<CleanEnd>,
}

impl VersionEdit {
    /// The edit's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut meta = Vec::new();
        for (level, table) in &self.added {
            put_varint(&mut out, TAG_ADDED);
            out.push(*level);
            meta.clear();
            table.encode(&mut meta);
            put_prefixed(&mut out, &meta);
        }
        for (level, number) in &self.removed {
            put_varint(&mut out, TAG_REMOVED);
            out.push(*level);
            put_varint(&mut out, *number);
        }
        for values in &self.values_added {
            for number in [TAG_VALUES_ADDED, values.number, values.size] {
                put_varint(&mut out, number);
            }
        }
        let numbers = [
            (TAG_LOG_NUMBER, self.log_number),
            (TAG_NEXT_FILE_NUMBER, self.next_file_number),
            (TAG_LAST_SEQNO, self.last_seqno),
        ];
        for (tag, number) in numbers {
            if let Some(number) = number {
                put_varint(&mut out, tag);
                put_varint(&mut out, number);
            }
        }
        if let Some(end) = &self.clean_end {
            put_varint(&mut out, TAG_CLEAN_END);
            for number in [end.log_number, end.end_offset, end.last_seqno] {
                put_varint(&mut out, number);
            }
        }
        out
    }

    /// Decodes an edit of the manifest at `path`.
    ///
    /// # Errors
    ///
    /// `Version` for a field that this code doesn't know, `Corruption` for one that can't be right.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let mut edit = Self::default();
        let mut input = bytes;
        while !input.is_empty() {
            edit.take_field(&mut input).map_err(|flaw| flaw.into_error(path))?;
        }
        Ok(edit)
    }

    fn take_field(&mut self, input: &mut &[u8]) -> std::result::Result<(), Flaw> {
        match take_varint(input).ok_or(Flaw::Wrong("cut short"))? {
            TAG_ADDED => {
                let level = take_u8(input).ok_or(Flaw::Wrong("cut short"))?;
                let meta = take_prefixed(input).ok_or(Flaw::Wrong("cut short"))?;
                self.added.push((level, TableMeta::decode(meta)?));
                Ok(())
            }
            TAG_REMOVED => {
                let level = take_u8(input).ok_or(Flaw::Wrong("cut short"))?;
                self.removed.push((level, take_number(input)?));
                Ok(())
            }
            TAG_LOG_NUMBER => set_once(&mut self.log_number, take_number(input)?),
            TAG_NEXT_FILE_NUMBER => set_once(&mut self.next_file_number, take_number(input)?),
            TAG_LAST_SEQNO => set_once(&mut self.last_seqno, take_number(input)?),
            TAG_CLEAN_END => {
                let log_number = take_number(input)?;
                let end_offset = take_number(input)?;
                let last_seqno = take_number(input)?;
                set_once(&mut self.clean_end, CleanEnd { log_number, end_offset, last_seqno })
            }
            TAG_VALUES_ADDED => {
                let (number, size) = (take_number(input)?, take_number(input)?);
                self.values_added.push(ValueFileMeta { number, size });
                Ok(())
            }
            tag => Err(Flaw::Newer("field", tag)),
        }
    }
}

impl TableMeta {
    fn encode(&self, out: &mut Vec<u8>) {
        let has_garbage = self.garbage != Garbage::default();
        let flags = if self.largest_is_exclusive { FLAG_LARGEST_IS_EXCLUSIVE } else { 0 }
            | if has_garbage { FLAG_HAS_GARBAGE } else { 0 }
            | if self.values.is_empty() { 0 } else { FLAG_HAS_VALUES };
        for number in [self.number, self.size, self.entries, flags] {
            put_varint(out, number);
        }
        put_prefixed(out, &self.smallest);
        put_prefixed(out, &self.largest);
        let counts =
            [self.seqno_min, self.seqno_max, self.tombstones, self.range_tombstones, self.largest_expiry];
        for number in counts {
            put_varint(out, number);
        }
        if has_garbage {
            let Garbage { superseded, quarter_expired_at, all_expired_at } = self.garbage;
            for number in [superseded, quarter_expired_at, all_expired_at] {
                put_varint(out, number);
            }
        }
        if !self.values.is_empty() {
            put_varint(out, self.values.len() as u64);
            for share in &self.values {
                put_varint(out, share.file);
                put_varint(out, share.bytes);
            }
        }
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, Flaw> {
        let mut input = bytes;
        let input = &mut input;
        let (number, size, entries) = (take_number(input)?, take_number(input)?, take_number(input)?);
        let flags = take_number(input)?;
        if flags & !(FLAG_LARGEST_IS_EXCLUSIVE | FLAG_HAS_GARBAGE | FLAG_HAS_VALUES) != 0 {
            return Err(Flaw::Newer("table flags", flags));
        }
        let table = Self {
            number,
            size,
            entries,
            smallest: take_prefixed(input).ok_or(Flaw::Wrong("table bounds cut short"))?.to_vec(),
            largest: take_prefixed(input).ok_or(Flaw::Wrong("table bounds cut short"))?.to_vec(),
            largest_is_exclusive: flags & FLAG_LARGEST_IS_EXCLUSIVE != 0,
            seqno_min: take_number(input)?,
            seqno_max: take_number(input)?,
            tombstones: take_number(input)?,
            range_tombstones: take_number(input)?,
            largest_expiry: take_number(input)?,
            garbage: if flags & FLAG_HAS_GARBAGE != 0 { Garbage::take(input)? } else { Garbage::default() },
            values: if flags & FLAG_HAS_VALUES != 0 { take_shares(input)? } else { Vec::new() },
        };
        if !input.is_empty() {
            return Err(Flaw::Newer("bytes behind table", number));
        }
        if table.smallest > table.largest || table.seqno_min > table.seqno_max {
            return Err(Flaw::Wrong("table bounds out of order"));
        }
        Ok(table)
    }
}

impl Garbage {
    fn take(input: &mut &[u8]) -> std::result::Result<Self, Flaw> {
        Ok(Self {
            superseded: take_number(input)?,
            quarter_expired_at: take_number(input)?,
            all_expired_at: take_number(input)?,
        })
    }
}

/// The shares are taken one by one, so that their count alone allocates nothing.
fn take_shares(input: &mut &[u8]) -> std::result::Result<Vec<ValueShare>, Flaw> {
    let count = take_number(input)?;
    let mut shares: Vec<ValueShare> = Vec::new();
    for _ in 0..count {
        let share = ValueShare { file: take_number(input)?, bytes: take_number(input)? };
        if share.bytes == 0 || shares.last().is_some_and(|last| last.file >= share.file) {
            return Err(Flaw::Wrong("value files of a table out of order or without bytes"));
        }
        shares.push(share);
    }
    if shares.is_empty() { Err(Flaw::Wrong("a table with no value files has some")) } else { Ok(shares) }
}

/// Why an edit can't be decoded.
#[derive(Debug)]
enum Flaw {
    Wrong(&'static str),
    /// A thing of this kind with this number is not known here.
    Newer(&'static str, u64),
}

impl Flaw {
    fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Wrong(what) => Error::corruption(path, format!("version edit: {what}")),
            Self::Newer(kind, number) => {
                let message = format!(
                    "{}: version edit with unknown {kind} {number}: open it with the FlowDB that wrote it",
                    path.display()
                );
                Error::new(Code::Version, message)
            }
        }
    }
}

fn take_number(input: &mut &[u8]) -> std::result::Result<u64, Flaw> {
    take_varint(input).ok_or(Flaw::Wrong("number cut short"))
}

/// Sets a field that an edit has at most once.
fn set_once<T>(field: &mut Option<T>, value: T) -> std::result::Result<(), Flaw> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Flaw::Wrong("a field twice")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const PATH: &str = "/db/MANIFEST-000001";

    pub(crate) fn table(number: u64) -> TableMeta {
        TableMeta {
            number,
            size: 4_096 * number,
            entries: 100,
            smallest: format!("a{number:03}").into_bytes(),
            largest: format!("b{number:03}").into_bytes(),
            largest_is_exclusive: number % 2 == 1,
            seqno_min: number * 1_000,
            seqno_max: number * 1_000 + 100,
            tombstones: 3,
            range_tombstones: number % 2,
            largest_expiry: 1_700_000_000_000,
            garbage: Garbage { superseded: number % 3, quarter_expired_at: 0, all_expired_at: 0 },
            values: (0..number % 3).map(|file| ValueShare { file: 10 + file, bytes: 500 }).collect(),
        }
    }

    fn full_edit() -> VersionEdit {
        VersionEdit {
            added: vec![(0, table(3)), (255, table(4)), (6, TableMeta::default())],
            removed: vec![(1, 2), (0, u64::MAX)],
            values_added: vec![
                ValueFileMeta { number: 10, size: 70_000 },
                ValueFileMeta { number: 11, size: 1 },
            ],
            log_number: Some(0),
            next_file_number: Some(u64::MAX),
            last_seqno: Some(77),
            clean_end: Some(CleanEnd { log_number: 5, end_offset: 52, last_seqno: 76 }),
        }
    }

    fn decode(bytes: &[u8]) -> Result<VersionEdit> {
        VersionEdit::decode(bytes, Path::new(PATH))
    }

    #[test]
    fn edits_come_back_as_they_went_in() {
        for edit in [VersionEdit::default(), full_edit()] {
            assert_eq!(decode(&edit.encode()).unwrap(), edit);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_lie_about_its_errors() {
        let bytes = full_edit().encode();
        let check = |bytes: &[u8]| {
            if let Err(error) = decode(bytes) {
                assert!(matches!(error.code(), Code::Corruption | Code::Version), "{error:?}");
            }
        };
        for at in 0..bytes.len() {
            check(&bytes[..at]);
            check(&bytes[at..]);
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                check(&changed);
            }
        }
    }

    #[test]
    fn a_field_that_is_not_known_is_a_newer_version_and_not_skipped() {
        let mut unknown_tag = full_edit().encode();
        unknown_tag.push(8);
        assert_eq!(decode(&unknown_tag).unwrap_err().code(), Code::Version);

        let mut meta = Vec::new();
        table(3).encode(&mut meta);
        let with_meta = |meta: &[u8]| {
            let mut edit = vec![TAG_ADDED as u8, 0];
            put_prefixed(&mut edit, meta);
            decode(&edit).map_err(|error| error.code())
        };
        assert_eq!(with_meta(&meta).map(|edit| edit.added), Ok(vec![(0, table(3))]));
        let mut longer = meta.clone();
        longer.push(0);
        assert_eq!(with_meta(&longer), Err(Code::Version));
        assert_eq!(with_meta(&meta[..meta.len() - 1]), Err(Code::Corruption));

        let mut flags = Vec::new();
        for number in [3, 1, 1, 8] {
            put_varint(&mut flags, number);
        }
        assert_eq!(with_meta(&flags), Err(Code::Version));
    }

    #[test]
    fn an_edit_that_can_not_be_right_is_corruption() {
        let twice = VersionEdit { log_number: Some(1), ..VersionEdit::default() }.encode().repeat(2);
        let keys = TableMeta { smallest: b"c".to_vec(), ..table(1) };
        let seqnos = TableMeta { seqno_min: 2_000, ..table(1) };
        let with_table = |table| VersionEdit { added: vec![(0, table)], ..VersionEdit::default() }.encode();

        let share = |file, bytes| ValueShare { file, bytes };
        let shares = |values: &[ValueShare]| with_table(TableMeta { values: values.to_vec(), ..table(1) });
        let (unordered, empty) = (shares(&[share(4, 1), share(4, 1)]), shares(&[share(4, 0)]));

        for bytes in [twice, with_table(keys), with_table(seqnos), unordered, empty] {
            assert_eq!(decode(&bytes).unwrap_err().code(), Code::Corruption);
        }
    }

    /// The worked example of docs/format/log.md.
    #[test]
    fn the_format_is_frozen() {
        let table = TableMeta {
            number: 3,
            size: 300,
            entries: 2,
            smallest: b"a".to_vec(),
            largest: b"c".to_vec(),
            largest_is_exclusive: true,
            seqno_min: 1,
            seqno_max: 3,
            tombstones: 0,
            range_tombstones: 1,
            largest_expiry: 0,
            garbage: Garbage::default(),
            values: Vec::new(),
        };
        let with_values = VersionEdit {
            added: vec![(0, TableMeta { values: vec![ValueShare { file: 4, bytes: 200 }], ..table.clone() })],
            values_added: vec![ValueFileMeta { number: 4, size: 340 }],
            ..VersionEdit::default()
        };
        let with_garbage = VersionEdit {
            added: vec![(
                0,
                TableMeta {
                    garbage: Garbage { superseded: 1, quarter_expired_at: 200, all_expired_at: 0 },
                    ..table.clone()
                },
            )],
            ..VersionEdit::default()
        };
        let edit = VersionEdit {
            added: vec![(0, table)],
            removed: vec![(1, 9)],
            values_added: Vec::new(),
            log_number: Some(4),
            next_file_number: Some(6),
            last_seqno: Some(3),
            clean_end: Some(CleanEnd { log_number: 5, end_offset: 52, last_seqno: 3 }),
        };

        let wanted = [
            &[1, 0, 14, 3, 0xac, 2, 2, 1, 1, b'a', 1, b'c', 1, 3, 0, 1, 0][..],
            &[2, 1, 9, 3, 4, 4, 6, 5, 3, 6, 5, 52, 3],
        ];
        assert_eq!(edit.encode(), wanted.concat());
        let wanted = [1, 0, 18, 3, 0xac, 2, 2, 3, 1, b'a', 1, b'c', 1, 3, 0, 1, 0, 1, 0xc8, 1, 0];
        assert_eq!(with_garbage.encode(), wanted);
        let wanted = [
            &[1, 0, 18, 3, 0xac, 2, 2, 5, 1, b'a', 1, b'c', 1, 3, 0, 1, 0, 1, 4, 0xc8, 1][..],
            &[7, 4, 0xd4, 2],
        ];
        assert_eq!(with_values.encode(), wanted.concat());
    }
}
