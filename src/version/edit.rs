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

const FLAG_LARGEST_IS_EXCLUSIVE: u64 = 1;

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
    /// The latest expiry, when every entry of the table expires; else 0. From then on nothing in it is alive.
    pub(crate) largest_expiry: u64,
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
            tag => Err(Flaw::Newer("field", tag)),
        }
    }
}

impl TableMeta {
    fn encode(&self, out: &mut Vec<u8>) {
        let flags = if self.largest_is_exclusive { FLAG_LARGEST_IS_EXCLUSIVE } else { 0 };
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
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, Flaw> {
        let mut input = bytes;
        let input = &mut input;
        let (number, size, entries) = (take_number(input)?, take_number(input)?, take_number(input)?);
        let flags = take_number(input)?;
        if flags & !FLAG_LARGEST_IS_EXCLUSIVE != 0 {
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
